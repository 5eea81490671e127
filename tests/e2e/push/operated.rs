//! What operators do with phones, and what stays of them.

use serde_json::json;
use tests::device::{Choice, Personality};
use tests::flow::{Flow, SCOPES as FLOW_SCOPES};
use tests::handset::{Handset, REFUSED, register};
use tests::phones::{number, push, rig, rig_with};
use tests::time::unix_ms;

/// B.5.5, COMB-45: what operators do with a phone, at the command line too.
#[test]
fn operators_list_suspend_and_revoke_phones() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let mut alice = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    let listed = rig.cli_json(&["push", "list", "alice"]);
    let serial = listed["items"][0]["serial"].as_str().expect("a serial").to_owned();
    assert_eq!(listed["items"][0]["name"], "Pixel 8");
    let shown = tests::appliance::told(&rig.cli(&["push", "list", "alice"]));
    let codes = listed["items"][0]["pair"].as_str().expect("a serial");
    assert!(shown.contains(codes), "whoever loses a phone loses both: {shown}");
    let asked = push(&mut client, "alice");
    let notice = alice.handset.notice(alice.account);
    rig.cli_json(&["token", "suspend", &serial]);
    assert_eq!(alice.handset.answer(&notice, Choice::Number(number(&asked))).status, 400, "set aside");
    let refused = client.post("/v1/challenges", &json!({"user": "alice", "channel": "push"}));
    assert_eq!(refused.code(), "push.not_registered");
    rig.cli_json(&["token", "resume", &serial]);
    assert_eq!(alice.handset.answer(&notice, Choice::Number(number(&asked))).status, 200, "taken back");
    rig.cli_json(&["token", "revoke", &serial]);
    let shown = rig.cli_json(&["token", "show", &serial]);
    assert_eq!((shown["type"].as_str(), shown["state"].as_str()), (Some("push"), Some("revoked")));
    assert!(rig.cli_json(&["push", "list", "alice"])["items"].as_array().is_some_and(Vec::is_empty));
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let gone = "SELECT count(*) FROM push_device WHERE record IS NULL AND device IS NULL";
    assert_eq!(store.query_row(gone, [], |row| row.get::<_, i64>(0)).expect(gone), 1, "the secret is erased");
    let printed = rig.cli(&["push", "register", "alice", "--kind", "push", "--no-wait"]);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("pushauth://push/"));
}

/// BIND-38, COMB-15, AT-19. Red when the phone, its secret, its codes or a picture that waits outlive the person.
#[test]
fn a_forgotten_person_has_no_phone() {
    let (mut rig, mut client) = rig();
    rig.user("alice");
    let mut alice = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    let renewal = json!({"kind": "combined", "replace": true});
    let waiting = client.post("/v1/users/alice/registrations", &renewal).expect(201).json();
    let asked = push(&mut client, "alice");
    let notice = alice.handset.notice(alice.account);
    let secret = alice.handset.phone.accounts()[alice.account].push.as_ref().expect("push").secret.clone();
    rig.cli_json(&["user", "forget", "alice", "--yes"]);

    let right = Choice::Number(number(&asked));
    assert_eq!(alice.handset.answer(&notice, right).text(), REFUSED);
    let query = alice.handset.query(alice.account, &secret, unix_ms());
    assert_eq!(alice.handset.get(&query).text(), REFUSED);
    let late = waiting["uri"].as_str().expect("a URI");
    let mut other = Handset::new(&rig, Personality::PingNew, "other");
    assert_eq!(other.register(late).1.text(), REFUSED);
    rig.check_chain();
    rig.stop();
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
    for (sql, expected) in [
        ("SELECT count(*) FROM push_device WHERE lifecycle = 'revoked'", 1),
        ("SELECT count(*) FROM push_device WHERE record IS NOT NULL OR device IS NOT NULL", 0),
        ("SELECT count(*) FROM registration WHERE prepared IS NOT NULL", 0),
        ("SELECT count(*) FROM registration WHERE reason = 'forgotten'", 1),
    ] {
        assert_eq!(count(sql), expected, "{sql}");
    }
}

/// COMB-45, B.5.5, D-36. Red when whoever finds a phone gets in with the password alone, as soon as the phone is set aside, or
/// goes on with a login from before.
#[test]
fn a_phone_that_is_set_aside_is_not_none() {
    let flow = "[push]\n[[flow]]\nid = \"login\"\nlabel = \"Sign in\"\nsteps = [\"password\", \"push\"]\n\
                [flow.push]\noptional = true\n[pages]\nlogin_flow = \"login\"\n";
    let (rig, mut client) = rig_with(flow);
    let key = rig.app_key("shop", &FLOW_SCOPES);
    let step = |user: &str| Flow::of(rig.loopback(Some(&key)), "login", user).step().to_owned();
    for user in ["alice", "bob"] {
        rig.user(user);
    }
    register(&rig, &mut client, "alice", ("push", Personality::PingNew));
    assert_eq!((step("alice"), step("bob")), ("push-wait".to_owned(), "done".to_owned()));
    let listed = rig.cli_json(&["push", "list", "alice"]);
    let serial = listed["items"][0]["serial"].as_str().expect("a serial");
    let before = ["alice", "bob"].map(|user| Flow::of(rig.loopback(Some(&key)), "login", user));
    rig.cli_json(&["token", "suspend", serial]);
    let status = before.map(|mut flow| flow.again().status);
    assert_eq!(status, [404, 200], "the logins of the one, and of nobody else");
    assert_eq!(step("alice"), "failed");
    rig.cli_json(&["token", "revoke", serial]);
    assert_eq!(step("alice"), "done");
}

/// COMB-43, D-36. Red when a user whose lost phone was set aside cannot log in by a recovery code, or without one.
#[test]
fn a_recovery_code_stands_for_a_phone_that_is_set_aside() {
    let flow = "[push]\n[[flow]]\nid = \"login\"\nlabel = \"Sign in\"\nsteps = [\"password\", \"push\"]\n\
                recovery_codes = true\n[pages]\nlogin_flow = \"login\"\n";
    let (rig, mut client) = rig_with(flow);
    let key = rig.app_key("shop", &FLOW_SCOPES);
    rig.user("alice");
    let alice = register(&rig, &mut client, "alice", ("push", Personality::PingNew));
    let listed = rig.cli_json(&["push", "list", "alice"]);
    rig.cli_json(&["token", "suspend", listed["items"][0]["serial"].as_str().expect("a serial")]);
    let mut login = Flow::of(rig.loopback(Some(&key)), "login", "alice");
    login.wants("recovery-code");
    login.wrong("verify", &json!({"otp": "2222222222"}), "recovery.error.invalid");
    login.code(alice.shown["recovery_codes"][0].as_str().expect("a code"));
    let result = login.result();
    assert_eq!((&result["amr"], &result["loa"]), (&json!(["assertion", "recovery"]), &json!(1.5)));
}
