//! Phones: registered by one QR code, asked by a push, replaced by a recovery code; the simulated app in three
//! personalities against the real daemon.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::device::{Choice, Personality};
use tests::handset::{Handset, REFUSED, Registered, begin, register};
use tests::time::{unix_ms, unix_s};
use tests::{Appliance, Client, PATIENCE, RigOptions, wait_until};

/// By then a request has been read, but for the busiest machine.
const UNDER_WAY: Duration = Duration::from_millis(300);
const SCOPES: [&str; 5] = ["tokens:write", "challenge", "verify", "users:read", "users:write"];

fn rig_with(config: &str) -> (Appliance, Client) {
    let rig = Appliance::start(RigOptions { pages: true, ..RigOptions::default().config(config) });
    let key = rig.app_key("portal", &SCOPES);
    let client = rig.loopback(Some(&key));
    (rig, client)
}

fn rig() -> (Appliance, Client) {
    rig_with("[push]\n")
}

#[track_caller]
fn push(client: &mut Client, user: &str) -> Value {
    client.post("/v1/challenges", &json!({"user": user, "channel": "push"})).expect(201).json()
}

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("a handle")
}

fn state(client: &mut Client, challenge: &Value) -> String {
    let shown = client.get(&format!("/v1/challenges/{}", id(challenge))).expect(200).json();
    shown["state"].as_str().expect("a state").to_owned()
}

fn number(of: &Value) -> u8 {
    u8::try_from(of["number"].as_u64().expect("a number")).expect("two digits")
}

fn codes(shown: &Value) -> Vec<String> {
    let codes = shown["recovery_codes"].as_array().expect("recovery codes");
    codes.iter().map(|code| code.as_str().expect("a text").to_owned()).collect()
}

fn recover(client: &mut Client, user: &str, code: &str) -> tests::Answer {
    let asked =
        client.post("/v1/challenges", &json!({"user": user, "channel": "recovery"})).expect(201).json();
    client.post(&format!("/v1/challenges/{}/verify", id(&asked)), &json!({"otp": code}))
}

/// AT-20, COMB-01, COMB-03, COMB-12, COMB-29, COMB-32, COMB-33, COMB-36, COMB-39, COMB-43. Red when one personality is
/// answered in a way that it does not take, when only one half is stored, or when recovery codes are told twice.
#[test]
fn one_code_registers_both_halves_on_every_phone() {
    let (rig, mut client) = rig();
    for personality in Personality::ALL {
        let user = personality.name();
        rig.user(user);
        let Registered { mut handset, account, id, shown, uri } =
            register(&rig, &mut client, user, ("combined", personality));
        assert!(uri.starts_with("mfauth://totp/"), "{uri}");
        assert_eq!(
            (shown["state"].as_str(), shown["outcome"].as_str()),
            (Some("registered"), Some("success"))
        );
        let first = codes(&shown);
        assert_eq!(first.len(), 10);
        assert!(first.iter().all(|code| code.len() == 11), "two groups of five");
        let again = client.get(&format!("/v1/users/{user}/registrations/{id}")).expect(200).json();
        assert!(again["recovery_codes"].is_null(), "they are told once");
        let (phone, token) = (&again["push"]["device"], &again["oath"]["profile"]);
        assert_eq!(phone["pair"], token["serial"]);
        assert!(again["push"]["message_id"].as_str().is_some_and(|id| id.starts_with("REGISTER:")));
        let code = handset.phone.code(account, unix_s());
        assert!(client.verify(user, &code).accepted(), "{personality:?}: the codes work");
        assert!(client.verify(user, &code).rejected(), "once");
        let listed = client.get(&format!("/v1/users/{user}/push")).expect(200).json();
        assert_eq!(listed["items"][0]["serial"], phone["serial"]);
        assert_eq!(listed["recovery_codes_left"], 10);
        assert_eq!(rig.events(&format!("type=mfa.registered&user={user}")).len(), 1);
        assert_eq!(rig.events(&format!("type=recovery.generated&user={user}")).len(), 1);
    }
    rig.check_chain();
}

/// AT-20, COMB-04, COMB-41, COMB-42, COMB-45, A1, A14. Red when an approval without the number of the login page counts,
/// when it can be fetched twice, or when a denial does not hold the next push off.
#[test]
fn a_push_is_approved_by_the_number_or_denied() {
    let (rig, mut client) = rig();
    for personality in Personality::ALL {
        for choice in ["number", "wrong", "none", "deny"] {
            let user = format!("{}-{choice}", personality.name());
            rig.user(&user);
            let Registered { mut handset, account, .. } =
                register(&rig, &mut client, &user, ("combined", personality));
            let asked = push(&mut client, &user);
            let notice = handset.notice(account);
            assert_eq!((notice.kind.as_str(), notice.ttl_s), ("challenge", Some(120)));
            assert!(notice.text.contains(&user), "{}", notice.text);
            let right = number(&asked);
            assert!(notice.numbers.contains(&right) && notice.numbers.len() == 3);
            let other = *notice.numbers.iter().find(|number| **number != right).expect("three numbers");
            let answer = handset.answer(
                &notice,
                match choice {
                    "number" => Choice::Number(right),
                    "wrong" => Choice::Number(other),
                    "none" => Choice::Approve,
                    _ => Choice::Deny,
                },
            );
            assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
            let path = format!("/v1/challenges/{}/verify", id(&asked));
            let mut fetch = || client.post(&path, &json!({"otp": ""}));
            if choice == "number" {
                let fetched = fetch();
                assert!(fetched.accepted(), "{}", fetched.text());
                assert!(fetch().rejected(), "once");
                assert_eq!(state(&mut client, &asked), "verified");
                assert_eq!(rig.events(&format!("type=push.approved&user={user}")).len(), 1);
            } else {
                assert!(fetch().rejected());
                assert_eq!(state(&mut client, &asked), "denied", "{personality:?} {choice}");
                assert_eq!(rig.events(&format!("type=push.denied&user={user}")).len(), 1);
                let soon = client.post("/v1/challenges", &json!({"user": user, "channel": "push"}));
                assert_eq!((soon.status, soon.code().as_str()), (429, "rate-limited"), "a cool-down");
            }
            let late = handset.answer(&notice, Choice::Number(right));
            assert_eq!((late.status, late.text().as_str()), (400, REFUSED), "after the end");
            assert!(handset.messages(account).is_empty(), "nothing waits any more");
        }
    }
    rig.check_chain();
}

/// COMB-42, COMB-45, A14. Red when a person can be asked again and again, or two pushes are open at a time.
#[test]
fn nobody_is_worn_down() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let Registered { mut handset, account, .. } =
        register(&rig, &mut client, "alice", ("push", Personality::PingNew));
    let first = push(&mut client, "alice");
    let notice = handset.notice(account);
    let second = push(&mut client, "alice");
    assert_eq!(state(&mut client, &first), "superseded");
    assert_eq!(handset.answer(&notice, Choice::Number(number(&first))).status, 400);
    wait_until(PATIENCE, "the post", || (state(&mut client, &second) == "waiting").then_some(()));
    push(&mut client, "alice");
    let fourth = client.post("/v1/challenges", &json!({"user": "alice", "channel": "push"}));
    assert_eq!((fourth.status, fourth.code().as_str()), (429, "rate-limited"));
    let refused = rig.events("type=push.challenge_refused&user=alice");
    assert_eq!(refused.last().expect("an event")["reason"], "fatigue");
    rig.user("bob");
    let nobody = client.post("/v1/challenges", &json!({"user": "bob", "channel": "push"}));
    let unknown = client.post("/v1/challenges", &json!({"user": "nobody", "channel": "push"}));
    assert_eq!((nobody.status, nobody.code().as_str()), (404, "push.not_registered"));
    assert_eq!((unknown.status, unknown.body), (nobody.status, nobody.body), "alike");
}

/// COMB-02, COMB-05. Red when a kind registers more than it says, or OATH alone counts before its first code.
#[test]
fn each_half_can_be_registered_alone() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let begun = begin(&mut client, "alice", "oath");
    let uri = begun["uri"].as_str().expect("a text");
    assert!(uri.starts_with("otpauth://totp/"));
    let mut handset = Handset::new(&rig, Personality::AndroidLegacy, "alice");
    let scanned = handset.phone.scan(uri).expect("the app takes it");
    assert!(scanned.request.is_none(), "nothing is sent");
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let wrong = client.post(&format!("{path}/verify"), &json!({"otp": "000000"})).expect(200).json();
    assert_eq!(wrong["state"], "waiting");
    assert!(
        client.get("/v1/users/alice/tokens").expect(200).json()["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
    let code = handset.phone.code(scanned.account, unix_s());
    let right = client.post(&format!("{path}/verify"), &json!({"otp": code})).expect(200).json();
    assert_eq!(right["state"], "registered", "{right}");
    assert!(client.verify("alice", &code).rejected(), "the first code is used up");
    rig.user("bob");
    let bob = register(&rig, &mut client, "bob", ("push", Personality::IosLegacy));
    assert!(bob.uri.starts_with("pushauth://push/"));
    assert!(bob.shown["oath"].is_null());
    let tokens = client.get("/v1/users/bob/tokens").expect(200).json();
    let kinds: Vec<&str> =
        tokens["items"].as_array().expect("a list").iter().filter_map(|t| t["type"].as_str()).collect();
    assert_eq!(kinds, ["push"]);
}

/// AT-20, COMB-04, COMB-05: registration, recovery codes, a push to the new phone; another person falls back to
/// a code.
#[test]
fn a_new_phone_shows_itself_once_more() {
    let (rig, mut client) = rig();
    for (user, by_push) in [("alice", true), ("bob", false)] {
        rig.user(user);
        let Registered { mut handset, account, id, .. } =
            register(&rig, &mut client, user, ("combined", Personality::PingNew));
        let path = format!("/v1/users/{user}/registrations/{id}");
        let asked = client.post(&format!("{path}/push"), &json!({})).expect(201).json();
        let notice = handset.notice(account);
        if by_push {
            assert_eq!(handset.answer(&notice, Choice::Number(number(&asked))).status, 200);
        } else {
            let code = handset.phone.code(account, unix_s());
            client.post(&format!("{path}/verify"), &json!({"otp": code})).expect(200);
        }
        let shown = client.get(&path).expect(200).json();
        assert_eq!((shown["state"].as_str(), shown["outcome"].as_str()), (Some("verified"), Some("success")));
        assert_eq!(shown["push"]["challenge_id"], asked["id"]);
    }
}

/// AT-21, COMB-17, COMB-31, COMB-37, COMB-39, D-35. Red when a late reply counts, or something of the registration stays.
#[test]
fn without_a_reply_in_time_nothing_is_stored() {
    let (rig, mut client) = rig_with("[mfa]\nregistration_timeout = 10\n[push]\n");
    rig.user("alice");
    let begun_at = Instant::now();
    let begun = begin(&mut client, "alice", "combined");
    let mut handset = Handset::new(&rig, Personality::AndroidLegacy, "alice");
    let scanned = handset.phone.scan(begun["uri"].as_str().expect("a text")).expect("the app takes it");
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let shown = client.get(&format!("{path}?wait=25")).expect(200).json();
    assert!(begun_at.elapsed() >= Duration::from_secs(9), "it waited");
    assert_eq!((shown["state"].as_str(), shown["outcome"].as_str()), (Some("timed_out"), Some("timeout")));
    let late = handset.send(&scanned.request.expect("a reply"));
    assert_eq!((late.status, late.text().as_str()), (400, REFUSED));
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    for table in ["push_device", "token", "recovery_set"] {
        assert_eq!(count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(count("SELECT count(*) FROM registration WHERE prepared IS NOT NULL"), 0);
    assert_eq!(rig.events("type=mfa.registration_timed_out&user=alice").len(), 1);
    let next = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    assert_eq!(next.shown["outcome"], "success", "another attempt is free");
}

/// AT-21, COMB-06, COMB-34, COMB-40, COMB-47. Red when one of the named errors has another key or text.
#[test]
fn what_stands_in_the_way_is_named() {
    let (rig, mut client) = rig();
    let wish = json!({"kind": "combined"});
    for name in ["nobody", "%20"] {
        let refused = client.post(&format!("/v1/users/{name}/registrations"), &wish);
        assert_eq!((refused.status, refused.code().as_str()), (422, "comb.no_username"));
        assert_eq!(refused.json()["detail"], "No username found");
    }
    rig.user("alice");
    let blind = rig.app_key("blind", &["verify", "challenge", "users:read"]);
    let forbidden = rig.loopback(Some(&blind)).post("/v1/users/alice/registrations", &wish);
    assert_eq!((forbidden.status, forbidden.code().as_str()), (403, "forbidden"));
    for handle in ["0".repeat(32), "x".to_owned()] {
        let unknown = client.get(&format!("/v1/users/alice/registrations/{handle}"));
        assert_eq!((unknown.status, unknown.code().as_str()), (410, "comb.no_message_id"));
        assert_eq!(unknown.json()["detail"], "Unable to find push message ID in sharedState");
    }
    let begun = begin(&mut client, "alice", "combined");
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let other = rig.app_key("other", &SCOPES);
    assert_eq!(rig.loopback(Some(&other)).get(&path).status, 410, "another application's");
    client.delete(&path).expect(200);
    assert_eq!(client.get(&path).expect(200).json()["outcome"], "failure", "taken back");
    let registered = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    for kind in ["combined", "push", "oath"] {
        let again = client.post("/v1/users/alice/registrations", &json!({"kind": kind}));
        assert_eq!((again.status, again.code().as_str()), (409, "registration.exists"), "{kind}");
    }
    drop(registered);
    let reasons: Vec<Value> =
        rig.events("type=mfa.registration_failed").into_iter().map(|event| event["reason"].clone()).collect();
    for reason in ["no_username", "no_message_id", "cancelled", "exists"] {
        assert!(reasons.contains(&json!(reason)), "{reason}: {reasons:?}");
    }
}

/// COMB-14, COMB-15, COMB-40, COMB-43, D-34. Red when a former phone, token or code is good after the replacement, or a
/// code is taken twice.
#[test]
fn another_phone_takes_the_place_of_the_lost_one() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let mut lost = register(&rig, &mut client, "alice", ("combined", Personality::IosLegacy));
    let old = codes(&lost.shown);
    let accepted = recover(&mut client, "alice", &old[0]);
    assert!(accepted.accepted(), "{}", accepted.text());
    assert_eq!(accepted.json()["loa"], 1.5);
    assert!(recover(&mut client, "alice", &old[0]).rejected(), "each code once");
    assert!(recover(&mut client, "alice", &old[1].replace('-', " ")).accepted(), "as people type it");
    assert!(recover(&mut client, "alice", "22222-22222").rejected());
    assert!(recover(&mut client, "alice", "no code").rejected());
    let wish = json!({"kind": "combined", "replace": true});
    let begun = client.post("/v1/users/alice/registrations", &wish).expect(201).json();
    let code = lost.handset.phone.code(lost.account, unix_s());
    assert!(client.verify("alice", &code).accepted(), "good until the new one is there");
    let mut handset = Handset::new(&rig, Personality::PingNew, "alice-new");
    let (account, answer) = handset.register(begun["uri"].as_str().expect("a text"));
    assert_eq!(answer.status, 200);
    assert_eq!(
        client.post("/v1/challenges", &json!({"user": "alice", "channel": "recovery"})).code(),
        "recovery.none",
        "the old set ends with the registration, not with the reading"
    );
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let fresh = codes(&client.get(&path).expect(200).json());
    assert!(recover(&mut client, "alice", &old[2]).rejected(), "of the former set");
    assert!(recover(&mut client, "alice", &fresh[0]).accepted());
    let next = lost.handset.phone.code(lost.account, unix_s() + 30);
    assert!(client.verify("alice", &next).rejected(), "the lost phone's codes");
    let asked = push(&mut client, "alice");
    let notice = handset.notice(account);
    assert_eq!(handset.answer(&notice, Choice::Number(number(&asked))).status, 200);
    let secret = lost.handset.phone.accounts()[lost.account].push.as_ref().expect("push").secret.clone();
    let query = lost.handset.query(lost.account, &secret, tests::time::unix_ms());
    assert_eq!(lost.handset.get(&query).status, 400, "the lost phone is told nothing");
    assert_eq!(rig.events("type=recovery.used&user=alice").len(), 3);
}

/// COMB-43, COMB-47. Red when the last codes run out unnoticed.
#[test]
fn the_end_of_the_recovery_codes_is_told() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let registered = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    for code in codes(&registered.shown) {
        assert!(recover(&mut client, "alice", &code).accepted());
    }
    assert_eq!(rig.events("type=recovery.low&user=alice").len(), 3);
    assert_eq!(rig.events("type=recovery.exhausted&user=alice").len(), 1);
    let none = client.post("/v1/challenges", &json!({"user": "alice", "channel": "recovery"}));
    assert_eq!((none.status, none.code().as_str()), (404, "recovery.none"));
}

/// COMB-45, COMB-47: a push that nobody answers, and one that nothing carries.
#[test]
fn a_push_without_an_answer_ends() {
    let (rig, mut client) = rig_with("[push]\ntimeout = 30\n");
    rig.user("alice");
    rig.user("bob");
    let _alice = register(&rig, &mut client, "alice", ("push", Personality::PingNew));
    let asked = push(&mut client, "alice");
    let begun = begin(&mut client, "bob", "push");
    let mut vendor = Handset::new(&rig, Personality::AndroidLegacy, "bob");
    vendor.phone = tests::device::Phone::new(Personality::AndroidLegacy, "fcm-token-of-bob");
    let (_, answer) = vendor.register(begun["uri"].as_str().expect("a text"));
    assert_eq!(answer.status, 200, "registration works without a way to the phone");
    let unreachable = push(&mut client, "bob");
    wait_until(PATIENCE, "the push to fail", || (state(&mut client, &unreachable) == "failed").then_some(()));
    assert_eq!(rig.events("type=push.transport_failed&user=bob").len(), 1);
    wait_until(PATIENCE, "the push to expire", || (state(&mut client, &asked) == "expired").then_some(()));
    wait_until(PATIENCE, "its event", || {
        (!rig.events("type=push.expired&user=alice").is_empty()).then_some(())
    });
    assert_eq!(rig.events("type=push.sent&user=alice").len(), 1);
}

/// COMB-07 to COMB-11, COMB-16 to COMB-20, COMB-22 to COMB-28, AT-22. Red when a range or a default of the list is
/// another, or a finding has lost its place.
#[test]
fn every_parameter_is_checked_with_its_line() {
    let rig = |tables: &str| {
        let options =
            RigOptions { public_url: Some("https://otp.example.org".to_owned()), ..RigOptions::default() };
        let rig = Appliance::prepare(options.config(tables));
        let output = rig.cli(&["config", "check"]);
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    let whole = "[mfa]\nissuer = \"Example Inc\"\naccount_name_attr = \"email\"\nbgcolor = \"#032b75\"\n\
        logo_url = \"https://otp.example.org/logo.png\"\ngenerate_recovery_codes = false\nregistration_timeout = 600\n\
        otp_length = 8\nmin_secret_hex = 40\noath_algorithm = \"HOTP\"\ntotp_period = 60\n\
        policies = '{\"biometricAvailable\":{},\"deviceTampering\":{\"score\":0.8}}'\n\
        [mfa.qr_message]\nen-gb = \"Scan\"\n[push]\ntimeout = 60\ntype = \"challenge\"\npath = \"/p\"\n\
        [push.message]\nde = \"Anmeldung von {user} bei {issuer}\"\n";
    assert_eq!(rig(whole).1, Some(0), "{}", rig(whole).0);
    for (tables, key) in [
        ("[mfa]\nissuer = \"X\"\n", "mfa: CFG-COMB-1"),
        ("[push]\npoll = false\n", "push: CFG-COMB-1"),
        ("[push]\n[mfa]\nissuer = \"A:B\"\n", "mfa.issuer"),
        ("[push]\n[mfa]\nissuer = \"Zü~r?>\"\n", "mfa.issuer"),
        ("[push]\n[mfa]\nbgcolor = \"red\"\n", "mfa.bgcolor"),
        ("[push]\n[mfa]\nlogo_url = \"https://x.example/l.png?a=1&b=2\"\n", "mfa.logo_url"),
        ("[push]\n[mfa]\nregistration_timeout = 9\n", "mfa.registration_timeout"),
        ("[push]\n[mfa]\nregistration_timeout = 601\n", "mfa.registration_timeout"),
        ("[push]\n[mfa]\notp_length = 7\n", "mfa.otp_length"),
        ("[push]\n[mfa]\nmin_secret_hex = 31\n", "mfa.min_secret_hex"),
        ("[push]\n[mfa]\nmin_secret_hex = 64\n", "oath.secret_hex"),
        ("[push]\n[mfa]\noath_algorithm = \"OCRA\"\n", "mfa.oath_algorithm"),
        ("[push]\n[mfa]\ntotp_period = 9\n", "mfa.totp_period"),
        ("[push]\n[mfa]\ntotp_hash = \"MD5\"\n", "mfa.totp_hash"),
        ("[push]\n[mfa]\nhotp_checksum = true\n", "mfa.hotp_checksum"),
        ("[push]\n[mfa]\nhotp_truncation_offset = 16\n", "mfa.hotp_truncation_offset"),
        ("[push]\n[mfa]\npolicies = '{\"biometricAvailable\":true}'\n", "mfa.policies"),
        ("[push]\n[mfa]\npolicies = '{\"deviceTampering\":{\"score\":1.5}}'\n", "mfa.policies"),
        ("[push]\n[mfa.qr_message]\ne = \"x\"\n", "mfa.qr_message.e"),
        ("[push]\ntimeout = 10\n", "push.timeout"),
        ("[push]\ntype = \"sound\"\n", "push.type"),
        ("[push]\npath = \"/q\"\n", "push.path"),
        ("[push]\nunknown = 1\n", "unknown"),
    ] {
        let (text, status) = rig(tables);
        assert_eq!(status, Some(2), "{tables}: {text}");
        let found = text
            .lines()
            .find(|line| line.contains(&format!(": {key}")))
            .unwrap_or_else(|| panic!("{tables}: {text}"));
        let line: usize = found.split(':').nth(1).and_then(|n| n.parse().ok()).expect("a line");
        assert!(line > 10, "{found}");
    }
}

/// COMB-08 to COMB-10, COMB-16, COMB-20, COMB-21, COMB-26: what is configured is what the code and the records say.
#[test]
fn what_is_configured_stands_in_the_code() {
    let (rig, mut client) = rig_with(
        "[mfa]\nissuer = \"Example Inc\"\naccount_name_attr = \"email\"\nbgcolor = \"#00AA11\"\notp_length = 8\n\
         oath_algorithm = \"HOTP\"\ngenerate_recovery_codes = false\n\
         policies = '{\"deviceTampering\":{\"score\":0.8}}'\n[mfa.qr_message]\nen = \"Scan me\"\nde = \"Scanne mich\"\n\
         [push]\npath = \"/p\"\ntype = \"default\"\n",
    );
    rig.user("alice");
    rig.user("bob");
    rig.admin().put("/v1/users/alice/email", &json!({"email": "alice@example.org"})).expect(200);
    let wish = json!({"kind": "combined", "locale": "de-CH"});
    let begun = client.post("/v1/users/alice/registrations", &wish).expect(201).json();
    assert_eq!(begun["message"], "Scanne mich");
    assert!(begun["qr_svg"].as_str().is_some_and(|svg| svg.starts_with("<svg")));
    let mut handset = Handset::new(&rig, Personality::AndroidLegacy, "alice");
    let (account, answer) = handset.register(begun["uri"].as_str().expect("a text"));
    assert_eq!(answer.status, 200, "by the short path");
    let own = &handset.phone.accounts()[account];
    assert_eq!((own.issuer.as_str(), own.name.as_str()), ("Example Inc", "alice@example.org"));
    assert_eq!(own.policies.len(), 1);
    assert!(begun["uri"].as_str().is_some_and(|uri| uri.contains("b=00aa11") && uri.contains("digits=8")));
    let shown = client.get(&format!("/v1/users/alice/registrations/{}", id(&begun))).expect(200).json();
    assert!(shown["recovery_codes"].is_null(), "switched off");
    assert_eq!(shown["oath"]["profile"]["type"], "hotp");
    let code = handset.phone.code(account, unix_s());
    assert!(client.verify("alice", &code).accepted(), "the counter's first two codes are in the window");
    assert!(client.verify("alice", &code).rejected(), "the counter has moved");
    let code = handset.phone.code(account, unix_s());
    assert!(client.verify("alice", &code).accepted(), "the next one");
    let asked = push(&mut client, "alice");
    assert!(asked["number"].is_null());
    let notice = handset.notice(account);
    assert_eq!(handset.answer(&notice, Choice::Approve).status, 200);
    assert_eq!(state(&mut client, &asked), "verified");
    let begun = begin(&mut client, "bob", "push");
    let bob = handset.phone.scan(begun["uri"].as_str().expect("a text")).expect("the app takes it");
    assert_eq!(handset.phone.accounts()[bob.account].name, "bob", "without the attribute the user name");
    assert_eq!(begun["message"], "Scan me");
}

/// COMB-27, COMB-28: a phone that violates a policy says nothing, and so the registration times out.
#[test]
fn a_policy_is_judged_on_the_phone() {
    let (rig, mut client) = rig_with(
        "[mfa]\nregistration_timeout = 10\npolicies = '{\"biometricAvailable\":{},\"deviceTampering\":{\"score\":0.5}}'\n[push]\n",
    );
    rig.user("alice");
    let begun = begin(&mut client, "alice", "combined");
    let mut handset = Handset::new(&rig, Personality::PingNew, "alice");
    handset.phone.condition.biometric = false;
    handset.phone.scan(begun["uri"].as_str().expect("a text")).expect_err("a policy");
    let shown =
        client.get(&format!("/v1/users/alice/registrations/{}?wait=25", id(&begun))).expect(200).json();
    assert_eq!(shown["outcome"], "timeout");
}

/// B.5.5, COMB-45: what operators do with a phone, at the command line too.
#[test]
fn operators_list_suspend_and_revoke_phones() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let mut alice = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    let listed = rig.cli_json(&["push", "list", "alice"]);
    let serial = listed["items"][0]["serial"].as_str().expect("a serial").to_owned();
    assert_eq!(listed["items"][0]["name"], "Pixel 8");
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

/// COMB-42, COMB-45, C.9: the command line waits for the phone, and exits as the person answered; a wait that the
/// appliance's end cuts short does not hold it up.
#[test]
fn the_command_line_waits_for_the_phone() {
    let (rig, mut client) = rig_with("[push]\ntype = \"default\"\n");
    for (user, choice, exit) in [("alice", Choice::Approve, 0), ("bob", Choice::Deny, 1)] {
        rig.user(user);
        let mut registered = register(&rig, &mut client, user, ("push", Personality::AndroidLegacy));
        let output = std::thread::scope(|scope| {
            let asking =
                scope.spawn(|| rig.cli(&["--json", "push", "ask", user, "--message", "VPN from home"]));
            let notice = registered.handset.notice(registered.account);
            assert!(notice.text.ends_with("VPN from home"), "{}", notice.text);
            assert_eq!(registered.handset.answer(&notice, choice).status, 200);
            asking.join().expect("a thread")
        });
        assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Red when a request that waits for a phone holds the end up, or is cut off without an answer.
#[test]
fn whoever_waits_for_a_phone_is_answered_at_the_end() {
    let (mut rig, mut client) = rig();
    rig.user("carol");
    let begun = begin(&mut client, "carol", "push");
    let path = format!("/v1/users/carol/registrations/{}?wait=25", id(&begun));
    // Answered once, so that the connection is known; the next request waits.
    client.get(&path.replace("wait=25", "wait=0")).expect(200);
    let waiting = std::thread::spawn(move || client.send("GET", &path, None));
    std::thread::park_timeout(UNDER_WAY);
    assert!(rig.stop().success());
    // A request that had not been read yet is cut off: nothing was done.
    if let Ok(answer) = waiting.join().expect("a thread") {
        assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!(null)));
    }
    assert!(!rig.log_text().contains("connections were still open at the end"));
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

/// B.5.8, COMB-15. Red when codes that ended with the last phone come back with the next one, or are drawn for a phone
/// that is revoked.
#[test]
fn dead_recovery_codes_stay_dead() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let first = register(&rig, &mut client, "alice", ("push", Personality::PingNew));
    assert_eq!(codes(&first.shown).len(), 10);
    let phones = rig.cli_json(&["push", "list", "alice"]);
    let serial = phones["items"][0]["serial"].as_str().expect("a serial").to_owned();
    rig.cli_json(&["token", "revoke", &serial]);
    rig.token("alice", &json!({"type": "totp"}));
    let body = json!({"user": "alice", "channel": "recovery"});
    assert_eq!(client.post("/v1/challenges", &body).code(), "recovery.none");

    let begun = begin(&mut client, "alice", "push");
    let mut handset = Handset::new(&rig, Personality::PingNew, "second");
    assert_eq!(handset.register(begun["uri"].as_str().expect("a URI")).1.status, 200);
    assert_eq!(
        client.post("/v1/challenges", &body).code(),
        "recovery.none",
        "another phone brings none back"
    );
    let phones = rig.cli_json(&["push", "list", "alice"]);
    let serial = phones["items"][0]["serial"].as_str().expect("a serial").to_owned();
    rig.cli_json(&["token", "revoke", &serial]);
    let unread = client.get(&format!("/v1/users/alice/registrations/{}", id(&begun))).expect(200).json();
    assert!(unread["recovery_codes"].is_null(), "codes of a phone that is gone are not drawn");
    assert_eq!(client.post("/v1/challenges", &body).code(), "recovery.none");
}

/// COMB-34: a text that is no handle is looked up as no registration at all. Red when it finds a row.
#[test]
fn what_is_no_handle_is_nobodys_registration() {
    let (rig, mut client) = rig();
    rig.user("alice");
    begin(&mut client, "alice", "push");
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    assert_eq!(store.execute("UPDATE registration SET id = zeroblob(16)", []).expect("a write"), 1);
    let path = "/v1/users/alice/registrations/nonsense";
    let shown = client.get(path);
    assert_eq!((shown.status, shown.code().as_str()), (410, "comb.no_message_id"), "{}", shown.text());
    for answer in [client.delete(path), client.post(&format!("{path}/push"), &json!({}))] {
        assert_eq!(answer.code(), "comb.no_message_id", "{}", answer.text());
    }
    let stranger = rig.app_key("stranger", &["verify"]);
    assert_eq!(rig.loopback(Some(&stranger)).get(path).code(), "forbidden", "first of all");
    assert!(rig.events("type=store.tampered").is_empty(), "no row was looked at");
}
