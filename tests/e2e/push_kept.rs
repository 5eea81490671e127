//! What holds for phones whatever the clock, the order of requests and the number of strangers: limits, recovery codes,
//! new addresses, and an event for each refusal.

use std::sync::Barrier;
use std::thread;

use rusqlite::params;
use serde_json::{Value, json};
use tests::device::encoding::{jwt, mac, standard};
use tests::device::{Choice, Personality, Request};
use tests::flow::{Flow, SCOPES as FLOW_SCOPES, example};
use tests::handset::{Handset, Registered, begin, register};
use tests::phones::{
    AUTHENTICATE, REFRESH, REGISTER, SCOPES, ask, database, push, refusals, rig, rig_with, right,
};
use tests::time::unix_ms;
use tests::{Appliance, PATIENCE, wait_until};

const PING: Personality = Personality::PingNew;
const HOUR_MS: i64 = 3_600_000;
const PASSWORD: &str = "correct horse battery";

fn last_refusal(rig: &Appliance, user: &str) -> String {
    let refused = rig.events(&format!("type=push.challenge_refused&user={user}"));
    refused.last().expect("an event")["reason"].as_str().expect("a reason").to_owned()
}

/// What is written has the time that it would have if the wall clock had been set forward by so much since, or back.
fn clock_was_set(rig: &Appliance, by_ms: i64) {
    let moved =
        "UPDATE challenge SET created_at = created_at - ?1, decided_at = decided_at - ?1 WHERE type = 'push'";
    assert!(database(rig).execute(moved, params![by_ms]).expect(moved) >= 1);
}

/// A14, D-42. Red when a wall clock that is set forward lets a person be asked again at once, or one that is set back does.
#[test]
fn a_clock_that_is_set_lifts_no_limit() {
    let (rig, mut client) = rig();
    for user in ["alice", "bob", "carol"] {
        rig.user(user);
    }
    let _alice = register(&rig, &mut client, "alice", ("push", PING));
    for _ in 0..3 {
        ask(&mut client, "alice").expect(201);
    }
    clock_was_set(&rig, HOUR_MS);
    assert_eq!(ask(&mut client, "alice").status, 429, "set forward");
    assert_eq!(last_refusal(&rig, "alice"), "fatigue");

    let mut bob = register(&rig, &mut client, "bob", ("push", PING));
    let asked = ask(&mut client, "bob").expect(201).json();
    let notice = bob.handset.notice(bob.account);
    assert_eq!(bob.handset.answer(&notice, right(&asked)).status, 200);
    clock_was_set(&rig, -HOUR_MS);
    for _ in 0..3 {
        ask(&mut client, "bob").expect(201);
    }
    assert_eq!(
        ask(&mut client, "bob").status,
        429,
        "set back: the approval is not after all that follows it"
    );
    assert_eq!(last_refusal(&rig, "bob"), "fatigue");

    let mut carol = register(&rig, &mut client, "carol", ("push", PING));
    ask(&mut client, "carol").expect(201);
    let notice = carol.handset.notice(carol.account);
    assert_eq!(carol.handset.answer(&notice, Choice::Deny).status, 200);
    clock_was_set(&rig, HOUR_MS);
    assert_eq!(ask(&mut client, "carol").status, 429, "the pause after a denial");
    assert_eq!(last_refusal(&rig, "carol"), "cool_down");
}

/// Takes a login up to its recovery codes.
fn at_the_codes(rig: &Appliance, key: &str, user: &str) -> Flow {
    rig.user(user);
    rig.admin().put(&format!("/v1/users/{user}/password"), &json!({"password": PASSWORD})).expect(200);
    let mut flow = Flow::start(rig.loopback(Some(key)), &json!({"flow": "login"}));
    flow.go("password", &json!({"user": user, "password": PASSWORD}));
    let uri = flow.wants("mfa-register")["registration"]["uri"].as_str().expect("a text").to_owned();
    let mut phone = Handset::new(rig, PING, user);
    assert_eq!(phone.register(&uri).1.status, 200);
    flow.go("continue", &json!({}));
    flow.wants("recovery-codes");
    flow
}

fn codes_of(shown: &Value) -> Vec<String> {
    let codes = shown["recovery_codes"].as_array().cloned().unwrap_or_default();
    codes.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn recovers(rig: &Appliance, key: &str, user: &str, code: &str) -> bool {
    let mut client = rig.loopback(Some(key));
    let wish = json!({"user": user, "channel": "recovery"});
    let asked = client.post("/v1/challenges", &wish).expect(201).json();
    let path = format!("/v1/challenges/{}/verify", asked["id"].as_str().expect("a handle"));
    client.post(&path, &json!({"otp": code})).accepted()
}

fn flows() -> (Appliance, String) {
    let (rig, _) = rig_with(&example("flows/combined"));
    let key = rig.app_key("shop", &FLOW_SCOPES);
    (rig, key)
}

/// COMB-12, COMB-13, COMB-14. Red when a button that is pressed twice loses the codes: both answers without them, or codes
/// in one that the other has made worthless. Whoever has none is told what to do.
#[test]
fn of_requests_at_once_one_shows_the_codes() {
    let (rig, key) = flows();
    for round in 0..6 {
        let user = format!("alice-{round}");
        let flow = at_the_codes(&rig, &key, &user);
        let path = format!("/v1/flows/{}/reveal", flow.id());
        let barrier = Barrier::new(4);
        let answers: Vec<tests::Answer> = thread::scope(|scope| {
            let one = || {
                barrier.wait();
                rig.loopback(Some(&key)).post(&path, &json!({}))
            };
            let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().expect("a thread")).collect()
        });
        let told: Vec<String> =
            answers.iter().map(|answer| format!("{} {}", answer.status, answer.text())).collect();
        let with_codes: Vec<Vec<String>> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .map(|answer| codes_of(&answer.json()))
            .filter(|codes| !codes.is_empty())
            .collect();
        assert_eq!(with_codes.len(), 1, "{told:#?}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.code(), "recovery.error.read", "{told:#?}");
            assert_eq!(answer.json()["flow"]["step"], "recovery-codes", "{told:#?}");
        }
        assert_eq!(rig.events(&format!("type=recovery.generated&user={user}")).len(), 1);
        assert!(recovers(&rig, &key, &user, &with_codes[0][0]), "what is shown is good");
    }
}

/// COMB-13, COMB-14, COMB-15. Red when an answer that got lost takes the codes with it, when the same codes are shown
/// twice, or when those that were shown first are good after others were.
#[test]
fn codes_of_a_lost_answer_give_way_to_new_ones() {
    let (rig, key) = flows();
    let mut flow = at_the_codes(&rig, &key, "alice");
    let first = codes_of(&flow.act("reveal", &json!({})).expect(200).json());
    assert_eq!(first.len(), 10);
    let twice = flow.wrong("reveal", &json!({}), "recovery.error.read");
    assert!(twice.json()["flow"]["links"]["reveal"].is_string(), "{}", twice.text());
    assert!(recovers(&rig, &key, "alice", &first[0]), "the second press changes nothing");
    let fresh = wait_until(PATIENCE, "new codes", || {
        let answer = flow.act("reveal", &json!({}));
        (answer.status == 200).then(|| codes_of(&answer.json()))
    });
    assert_eq!(fresh.len(), 10);
    assert!(first.iter().all(|code| !fresh.contains(code)), "no code is shown twice");
    assert!(!recovers(&rig, &key, "alice", &first[1]), "those before are worth nothing");
    assert!(recovers(&rig, &key, "alice", &fresh[0]));
    assert_eq!(rig.events("type=recovery.generated&user=alice").len(), 2);
    let again = wait_until(PATIENCE, "the last new codes", || {
        let answer = flow.act("reveal", &json!({}));
        (answer.status == 200).then(|| codes_of(&answer.json()))
    });
    assert!(recovers(&rig, &key, "alice", &again[0]));
    assert!(flow.look()["links"]["reveal"].is_null(), "not without end");
    flow.go("continue", &json!({}));
    flow.wants("push-wait");
}

fn refresh(registered: &mut Registered, address: &str) -> Request {
    registered.handset.phone.refresh(registered.account, address)
}

/// C.5, D-41. Red when any message that was seen before says an address again: the reply to the QR code, a new address that
/// changed nothing when it came, or one that many others came after.
#[test]
fn no_recorded_message_says_an_address_again() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let begun = begin(&mut client, "alice", "push");
    let mut handset = Handset::new(&rig, PING, "alice-0");
    let scanned = handset.phone.scan(begun["uri"].as_str().expect("a text")).expect("taken");
    let reply = scanned.request.expect("a reply");
    assert_eq!(handset.send(&reply).status, 200);
    let account = scanned.account;
    let unchanged = handset.phone.refresh(account, "poll:alice-0");
    assert_eq!(handset.send(&unchanged).status, 200, "it says what is known");
    let mut seen = vec![unchanged.clone()];
    for n in 1..=17 {
        let new = handset.phone.refresh(account, &format!("poll:alice-{n}"));
        assert_eq!(handset.send(&new).status, 200, "{n}");
        seen.push(new);
    }
    let body: Value = serde_json::from_str(&reply.body).expect("JSON");
    let refresh_body: Value = serde_json::from_str(&unchanged.body).expect("JSON");
    let recorded = json!({"mechanismUid": refresh_body["mechanismUid"], "jwt": body["jwt"]});
    let recorded = Request { body: recorded.to_string(), ..unchanged };
    let taken = rig.events("type=push.device_refreshed&user=alice").len();
    assert_eq!(taken, 17);
    assert_eq!(handset.send(&recorded).status, 400, "the registration's own reply");
    wait_until(PATIENCE, "the limit on one phone", || (handset.send(&seen[0]).status == 400).then_some(()));
    assert_eq!(handset.send(&seen[1]).status, 400);
    assert_eq!(rig.events("type=push.device_refreshed&user=alice").len(), taken, "nothing has changed");
}

/// C.5, D-41: a second phone of its own. Red when an address that was said before the last one is taken in another order.
#[test]
fn recorded_addresses_are_refused_in_any_order() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let mut alice = register(&rig, &mut client, "alice", ("push", Personality::IosLegacy));
    let seen: Vec<Request> = ["poll:alice", "poll:alice-1", "poll:alice-2"]
        .iter()
        .map(|address| {
            let request = refresh(&mut alice, address);
            assert_eq!(alice.handset.send(&request).status, 200, "{address}");
            request
        })
        .collect();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0]] {
        for n in order {
            assert_eq!(alice.handset.send(&seen[n]).status, 400, "{order:?}");
        }
    }
    assert_eq!(rig.events("type=push.device_refreshed&user=alice").len(), 2);
    let asked = ask(&mut client, "alice").expect(201).json();
    let notice = alice.handset.notice(alice.account);
    assert_eq!(alice.handset.answer(&notice, right(&asked)).status, 200, "it goes on");
}

fn reasons(rig: &Appliance, kind: &str) -> Vec<String> {
    let events = rig.events(&format!("type={kind}"));
    events.iter().map(|event| event["reason"].as_str().expect("a reason").to_owned()).collect()
}

fn post(rig: &Appliance, path: &str, body: &str) -> u16 {
    rig.loopback(None).send("POST", path, Some(body.as_bytes())).expect("an answer").status
}

/// COMB-34, COMB-47, D-40. Red when something that a phone is refused leaves no event.
#[test]
fn each_refusal_of_a_phone_is_an_event() {
    let (rig, mut client) = rig();
    for user in ["alice", "bob"] {
        rig.user(user);
    }
    for path in [REGISTER, AUTHENTICATE, REFRESH] {
        assert_eq!(post(&rig, path, "{"), 400);
    }
    let query = "/json/push/poll?mechanismUid=x&timestamp=1&signature=y";
    assert_eq!(rig.loopback(None).get(query).status, 400);
    let unknown = "AUTHENTICATE:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000";
    let claims = [("response", json!(standard(&mac(&[7; 32], &[0; 32]))))];
    let body = json!({"messageId": unknown, "jwt": jwt(PING, &[7; 32], &claims)}).to_string();
    assert_eq!(post(&rig, AUTHENTICATE, &body), 400);

    let mut alice = register(&rig, &mut client, "alice", ("push", PING));
    let asked = ask(&mut client, "alice").expect(201).json();
    let notice = alice.handset.notice(alice.account);
    let foreign = alice.handset.query(alice.account, &[1; 32], unix_ms());
    assert_eq!(alice.handset.get(&foreign).status, 400);
    let key = alice.handset.phone.accounts()[alice.account].push.as_ref().expect("push").secret.clone();
    let old = alice.handset.query(alice.account, &key, unix_ms() - 120_000);
    assert_eq!(alice.handset.get(&old).status, 400);
    let serial =
        rig.cli_json(&["push", "list", "alice"])["items"][0]["serial"].as_str().expect("one").to_owned();
    rig.cli_json(&["token", "suspend", &serial]);
    assert_eq!(alice.handset.answer(&notice, right(&asked)).status, 400);
    let fetch = alice.handset.query(alice.account, &key, unix_ms());
    assert_eq!(alice.handset.get(&fetch).status, 400);
    let new = refresh(&mut alice, "poll:alice-2");
    assert_eq!(alice.handset.send(&new).status, 400);
    rig.cli_json(&["token", "resume", &serial]);
    assert_eq!(alice.handset.answer(&notice, right(&asked)).status, 200);
    assert_eq!(alice.handset.answer(&notice, right(&asked)).status, 400);
    assert_eq!(alice.handset.send(&new).status, 200);
    assert_eq!(alice.handset.send(&new).status, 400);

    let begun = begin(&mut client, "bob", "oath");
    let path = format!("/v1/users/bob/registrations/{}/verify", begun["id"].as_str().expect("a handle"));
    client.post(&path, &json!({"otp": "x"})).expect(200);

    for (kind, expected) in [
        ("mfa.reply_refused", vec!["malformed"]),
        ("push.answer_refused", vec!["malformed", "unknown", "set_aside", "late"]),
        ("push.refresh_refused", vec!["malformed", "set_aside", "replay"]),
        ("push.poll_refused", vec!["malformed", "time", "set_aside"]),
        ("push.bad_signature", vec!["poll"]),
        ("oath.failed", vec!["malformed"]),
    ] {
        assert_eq!(reasons(&rig, kind), expected, "{kind}");
    }
    let late = rig.events("type=push.answer_refused&user=alice");
    assert!(late.iter().all(|event| event["subject"]["phone"] == serial.as_str()), "{late:?}");
}

/// D-40, A10. Red when whoever sends without end writes an event each time, or is not seen at all.
#[test]
fn a_flood_of_refusals_is_few_events() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let mut alice = register(&rig, &mut client, "alice", ("push", PING));
    let mut stranger = rig.loopback(None);
    for _ in 0..300 {
        stranger.send("POST", AUTHENTICATE, Some(b"{")).expect("an answer");
    }
    let new = refresh(&mut alice, "poll:alice-2");
    for _ in 0..60 {
        alice.handset.send(&new);
    }
    let malformed = rig.events("type=push.answer_refused");
    assert!((1..20).contains(&malformed.len()), "{}", malformed.len());
    let kinds = reasons(&rig, "push.refresh_refused");
    assert!(kinds.contains(&"replay".to_owned()) && kinds.contains(&"limited".to_owned()), "{kinds:?}");
    assert!(kinds.len() < 20, "{kinds:?}");
    rig.check_chain();
}

/// COMB-47, D-40. Red when whoever forges the messages of phones writes an event each time, or when one of them is counted
/// nowhere: since nothing came after it, or since the daemon ended.
#[test]
fn forged_messages_are_few_events_and_all_are_counted() {
    const TRIES: u64 = 12;
    let (mut rig, mut client) = rig();
    for user in ["alice", "bob"] {
        rig.user(user);
    }
    let begun = begin(&mut client, "bob", "push");
    let mut bob = Handset::new(&rig, PING, "bob");
    let scanned = bob.phone.scan(begun["uri"].as_str().expect("a text")).expect("taken");
    let message = bob.phone.accounts()[scanned.account].push.as_ref().expect("push").message.clone();
    let mut alice = register(&rig, &mut client, "alice", ("push", PING));
    push(&mut client, "alice");
    let notice = alice.handset.notice(alice.account);
    let uid = alice.handset.phone.accounts()[alice.account].push.as_ref().expect("push").uid.clone();
    let forged = jwt(PING, &[7; 32], &[("response", json!("x"))]);
    let bodies = [
        (REGISTER, json!({"messageId": message, "jwt": forged}).to_string()),
        (AUTHENTICATE, json!({"messageId": notice.message_id, "jwt": forged}).to_string()),
        (REFRESH, json!({"mechanismUid": uid, "jwt": forged}).to_string()),
    ];
    let sent = TRIES * 3;
    for _ in 0..TRIES {
        for (path, body) in &bodies {
            assert_eq!(post(&rig, path, body), 400);
        }
    }
    let written = rig.events("type=push.bad_signature");
    assert!((3..=9).contains(&written.len()), "{written:?}");
    wait_until(PATIENCE, "the rest of them", || (refusals(&rig, "push.bad_signature") == sent).then_some(()));
    for (path, body) in bodies.iter().take(2) {
        assert_eq!(post(&rig, path, body), 400);
    }
    rig.stop();
    rig.serve();
    rig.await_ready();
    assert_eq!(refusals(&rig, "push.bad_signature"), sent + 2, "the end of the daemon tells the rest");
    rig.check_chain();
}

/// COMB-04. Red when a push that shows possession once more and the registration that waits for it are two writes: of
/// several at once one is sent, and is nobody's.
#[test]
fn a_push_for_a_registration_is_its_own_from_the_start() {
    let (rig, _) = rig();
    let key = rig.app_key("vpn", &SCOPES);
    let mut client = rig.loopback(Some(&key));
    for round in 0..4 {
        let user = format!("alice-{round}");
        rig.user(&user);
        let Registered { mut handset, account, id, .. } = register(&rig, &mut client, &user, ("push", PING));
        let path = format!("/v1/users/{user}/registrations/{id}");
        let (barrier, push) = (Barrier::new(6), format!("{path}/push"));
        let statuses: Vec<u16> = thread::scope(|scope| {
            let one = || {
                let mut own = rig.loopback(Some(&key));
                barrier.wait();
                own.post(&push, &json!({})).status
            };
            let all: Vec<_> = (0..6).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().expect("a thread")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 3, "{statuses:?}");
        let shown = client.get(&path).expect(200).json();
        let challenge = shown["push"]["challenge_id"].as_str().expect("a challenge").to_owned();
        let asked = client.get(&format!("/v1/challenges/{challenge}")).expect(200).json();
        assert!(["delivering", "waiting"].contains(&asked["state"].as_str().expect("a state")), "{asked}");
        let notice = handset.notice(account);
        let number = database(&rig)
            .query_row("SELECT number FROM challenge WHERE lower(hex(id)) = ?1", params![challenge], |row| {
                row.get::<_, u8>(0)
            })
            .expect("a number");
        assert_eq!(handset.answer(&notice, Choice::Number(number)).status, 200);
        assert_eq!(client.get(&path).expect(200).json()["state"], "verified");
    }
}

fn superseded(rig: &Appliance) -> i64 {
    let sql = "SELECT count(*) FROM recovery_set WHERE superseded = 1";
    database(rig).query_row(sql, [], |row| row.get(0)).expect(sql)
}

/// B.5.8, COMB-15. Red when recovery codes that ended with the last phone or OATH account are still good in the store, where
/// only a comparison of times tells that they are not.
#[test]
fn codes_end_with_the_last_phone_or_account() {
    let (rig, mut client) = rig();
    let listed = |user: &str, kind: &str| {
        let tokens = rig.cli_json(&["token", "list", "--user", user]);
        let items = tokens["items"].as_array().cloned().unwrap_or_default();
        let found = items.iter().find(|item| item["type"] == kind).expect("one of the kind");
        found["serial"].as_str().expect("a serial").to_owned()
    };
    for user in ["alice", "bob"] {
        rig.user(user);
        register(&rig, &mut client, user, ("combined", PING));
    }
    let wish = |user: &str| json!({"user": user, "channel": "recovery"});
    rig.cli_json(&["token", "revoke", &listed("alice", "push")]);
    assert_eq!(superseded(&rig), 0, "the codes of the app are there");
    client.post("/v1/challenges", &wish("alice")).expect(201);
    rig.cli_json(&["token", "revoke", &listed("alice", "totp")]);
    assert_eq!(superseded(&rig), 1, "nothing is left to recover");
    assert_eq!(client.post("/v1/challenges", &wish("alice")).code(), "recovery.none");

    rig.cli_json(&["oath", "delete", "bob", "--yes"]);
    assert_eq!(superseded(&rig), 1, "the phone is there");
    rig.cli_json(&["token", "revoke", &listed("bob", "push")]);
    assert_eq!(superseded(&rig), 2);
    for user in ["alice", "bob"] {
        assert_eq!(rig.events(&format!("type=recovery.ended&user={user}")).len(), 1);
    }
    rig.token("bob", &json!({"type": "totp"}));
    assert_eq!(
        client.post("/v1/challenges", &wish("bob")).code(),
        "recovery.none",
        "nothing brings them back"
    );
    rig.check_chain();
}

/// B.5.8. Red when a store of the former schema brings codes back that had ended without saying so.
#[test]
fn codes_that_ended_before_stay_ended() {
    let (mut rig, mut client) = rig();
    rig.user("alice");
    register(&rig, &mut client, "alice", ("push", PING));
    let serial =
        rig.cli_json(&["push", "list", "alice"])["items"][0]["serial"].as_str().expect("one").to_owned();
    let keep = "CREATE TABLE kept AS SELECT * FROM recovery_set";
    database(&rig).execute_batch(keep).expect(keep);
    rig.cli_json(&["token", "revoke", &serial]);
    rig.stop();
    // As the former schema left it: the phone has ended, its codes have not.
    let former = "DELETE FROM recovery_set; INSERT INTO recovery_set SELECT * FROM kept; DROP TABLE kept;
        DELETE FROM meta WHERE key = 'recovery_former_ended'";
    database(&rig).execute_batch(former).expect(former);
    rig.serve();
    rig.await_ready();
    wait_until(PATIENCE, "the end of the codes", || (superseded(&rig) == 1).then_some(()));
    rig.token("alice", &json!({"type": "totp"}));
    let mut client = rig.loopback(Some(&rig.app_key("vpn", &SCOPES)));
    let asked = client.post("/v1/challenges", &json!({"user": "alice", "channel": "recovery"}));
    assert_eq!(asked.code(), "recovery.none");
}
