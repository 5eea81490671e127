//! A phone is asked, and answers or does not.

use serde_json::json;
use tests::device::{Choice, Personality};
use tests::handset::{Handset, REFUSED, Registered, begin, register};
use tests::phones::{database, id, number, push, rig, rig_with, state};
use tests::{Appliance, PATIENCE, wait_until};

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

/// Pushes that are open for long, as many as are looked at in one round, and more: copies of one, of somebody who comes
/// first.
fn crowd(rig: &Appliance, user: &str) {
    let store = database(rig);
    let columns: Vec<String> = store
        .prepare("SELECT name FROM pragma_table_info('challenge')")
        .expect("a pragma")
        .query_map([], |row| row.get(0))
        .expect("a pragma")
        .collect::<Result<_, _>>()
        .expect("names");
    let copied = columns.iter().map(|name| match name.as_str() {
        "id" => "randomblob(16)".to_owned(),
        "user_id" => format!("(SELECT id FROM user WHERE name = '{user}')"),
        "message_id" => "NULL".to_owned(),
        "expires_boot_ms" => "expires_boot_ms + 3600000".to_owned(),
        name => name.to_owned(),
    });
    let copied: Vec<String> = copied.collect();
    let sql = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
         INSERT INTO challenge ({}) SELECT {} FROM n, (SELECT * FROM challenge WHERE type = 'push' LIMIT 1)",
        columns.join(", "),
        copied.join(", "),
    );
    assert_eq!(store.execute(&sql, []).expect("copies"), 300);
}

/// COMB-45, COMB-47: a push that nobody answers, and one that nothing carries. Red when those that are open keep one that
/// is over from its end.
#[test]
fn a_push_without_an_answer_ends() {
    let (rig, mut client) = rig_with("[push]\ntimeout = 30\n");
    rig.user("crowd");
    rig.user("alice");
    rig.user("bob");
    let _alice = register(&rig, &mut client, "alice", ("push", Personality::PingNew));
    let asked = push(&mut client, "alice");
    crowd(&rig, "crowd");
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
