//! Challenge and response with a hardware token (RFC 6287): the application asks, the user types the question with two
//! buttons, the appliance accepts the response once. Real appliance, SoftHSM, the firmware on a pty.

use std::sync::Barrier;

use serde_json::{Value, json};
use tests::http::{Answer, Client};
use tests::token::{EmulatedToken, make_maker};
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

const THREADS: usize = 64;
const ALICE: &str = "CST-000001";
const BOB: &str = "CST-000002";

/// An appliance that trusts a maker, and the maker's key file.
fn bench(config: &str) -> (Appliance, std::path::PathBuf) {
    let mut rig = Appliance::prepare(RigOptions::default());
    let maker = rig.path("maker.key");
    let key = make_maker(&maker);
    rig.options_mut().config = format!("{config}[provisioning]\nmaker_keys = [\"{key}\"]\n");
    rig.write_config();
    rig.serve();
    rig.await_ready();
    (rig, maker)
}

/// Provisions a token that answers questions and gives it to a new user.
fn give(rig: &Appliance, maker: &std::path::Path, user: &str, serial: &str, more: &[&str]) -> EmulatedToken {
    rig.user(user);
    let token = EmulatedToken::start(&rig.path(""), user, serial, maker);
    let port = token.port.display().to_string();
    let made =
        rig.cli_json(&[&["technician", "provision", "--port", &port, "--type", "ocra"], more].concat());
    assert!(made["error"].is_null(), "{made}");
    rig.cli_json(&["token", "assign", serial, "--user", user]);
    token
}

fn ask(client: &mut Client, user: &str) -> (String, String) {
    let asked = client.post("/v1/challenges", &json!({"user": user, "channel": "ocra"})).expect(201).json();
    let text = |field: &str| asked[field].as_str().unwrap_or_else(|| panic!("{field}: {asked}")).to_owned();
    assert_eq!((text("state").as_str(), &asked["phone_masked"]), ("waiting", &Value::Null), "{asked}");
    assert!(text("expires_at").ends_with('Z'), "{asked}");
    (text("id"), text("question"))
}

fn answer(client: &mut Client, id: &str, otp: &str) -> Answer {
    client.post(&format!("/v1/challenges/{id}/verify"), &json!({"otp": otp}))
}

fn state(client: &mut Client, id: &str) -> Value {
    client.get(&format!("/v1/challenges/{id}")).expect(200).json()["state"].clone()
}

/// A code of as many digits that is another one.
fn wrong(code: &str) -> String {
    let last = if code.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &code[..code.len() - 1])
}

/// A26, RFC 6287 section 7.1: from the technician to the accepted response, and never a second time.
///
/// Red when token and HSM hash different bytes, when a response is taken without its challenge or for another one, or
/// when an answered challenge can be answered again.
#[test]
fn a_question_is_answered_once() {
    let (rig, maker) = bench("");
    let more = ["--algorithm", "SHA256", "--digits", "8", "--question-digits", "6"];
    let mut token = give(&rig, &maker, "alice", ALICE, &more);
    assert_eq!(rig.show_token(ALICE)["suite"], "OCRA-1:HOTP-SHA256-8:QN06");
    let shown = rig.cli(&["token", "show", ALICE]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("OCRA-1:HOTP-SHA256-8:QN06"));
    let mut app = rig.loopback(Some(&rig.app_key("vpn", &["verify", "challenge"])));
    let (first, question) = ask(&mut app, "alice");
    assert!(question.len() == 6 && question.bytes().all(|digit| digit.is_ascii_digit()), "{question}");
    let response = token.answer(&question, 8);
    for bare in [app.verify("alice", &response), app.verify_token(ALICE, &response)] {
        assert!(bare.rejected(), "without the challenge: {}", bare.text());
    }
    let accepted = answer(&mut app, &first, &response);
    assert!(accepted.accepted(), "{}", accepted.text());
    assert_eq!((&accepted.json()["token"], &accepted.json()["loa"]), (&json!(ALICE), &json!(2.0)));
    assert_eq!(state(&mut app, &first), "verified");
    assert!(answer(&mut app, &first, &response).rejected(), "the same answer again");
    let (second, other) = ask(&mut app, "alice");
    assert_ne!(question, other);
    assert!(answer(&mut app, &second, &response).rejected(), "the answer to another question");
    assert_eq!(rig.show_token(ALICE)["failures"], 1);
    let response = token.answer(&other, 8);
    assert!(answer(&mut app, &second, &response).accepted());
    let shown = rig.show_token(ALICE);
    assert_eq!((&shown["failures"], &shown["last_used"]), (&json!(0), &json!(1)), "{shown}");
    let kinds: Vec<Value> =
        rig.events(&format!("token={ALICE}")).iter().map(|event| event["type"].clone()).collect();
    for kind in ["ocra.challenge_ordered", "ocra.verified", "ocra.failed"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is missing among {kinds:?}");
    }
    rig.cli_json(&["token", "revoke", ALICE]);
    let port = token.port.display().to_string();
    let again = rig.cli_json(&["technician", "provision", "--port", &port, "--type", "ocra"]);
    assert!(again["error"].is_null(), "a token that was asked before comes back: {again}");
    rig.check_chain();
}

/// Who may answer what: not another user's token, not another application, not after too many wrong responses, not
/// after a newer question, and not after the end of its life. Every rejection is the same bytes.
///
/// Red when a challenge is looked up by its handle alone, or a question outlives its state.
#[test]
fn only_the_asked_token_answers_and_only_in_time() {
    let limits = "[limits]\ndelay_from = 20\npair_failures = 50\ntoken_failures = 4\n[oath]\nchallenge_ttl = \"45s\"\n";
    let (rig, maker) = bench(limits);
    let mut alice = give(&rig, &maker, "alice", ALICE, &["--question-digits", "4"]);
    let mut bob = give(&rig, &maker, "bob", BOB, &["--question-digits", "4"]);
    let mut app = rig.loopback(Some(&rig.app_key("vpn", &["challenge"])));
    let mut other_app = rig.loopback(Some(&rig.app_key("mail", &["challenge"])));

    let (of_alice, question) = ask(&mut app, "alice");
    let bobs = bob.answer(&question, 6);
    assert!(answer(&mut app, &of_alice, &bobs).rejected(), "another user's token");
    let right = alice.answer(&question, 6);
    assert!(answer(&mut other_app, &of_alice, &right).rejected(), "another application");
    let (of_bob, _) = ask(&mut app, "bob");
    assert!(answer(&mut app, &of_bob, &right).rejected(), "another user's challenge");
    assert!(answer(&mut app, &of_alice, "12 456").rejected(), "no code");
    assert!(answer(&mut app, &"0".repeat(32), &right).rejected(), "nobody's challenge");
    assert!(answer(&mut app, &of_alice, &right).accepted());

    let (old, question) = ask(&mut app, "alice");
    let response = alice.answer(&question, 6);
    let (exhausted, question) = ask(&mut app, "alice");
    assert!(answer(&mut app, &old, &response).rejected(), "a newer question took its place");
    assert_eq!(state(&mut app, &old), "superseded");
    let response = alice.answer(&question, 6);
    for _ in 0..3 {
        assert!(answer(&mut app, &exhausted, &wrong(&response)).rejected());
    }
    assert_eq!(state(&mut app, &exhausted), "exhausted");
    assert!(answer(&mut app, &exhausted, &response).rejected(), "after three wrong responses");

    let (expired, question) = ask(&mut app, "alice");
    wait_until(PATIENCE, "the end of the question's life", || {
        (state(&mut app, &expired) == "expired").then_some(())
    });
    assert!(answer(&mut app, &expired, &alice.answer(&question, 6)).rejected(), "after its time");

    let (fourth, _) = ask(&mut app, "alice");
    assert!(answer(&mut app, &fourth, "000000").rejected());
    assert_eq!(rig.show_token(ALICE)["locked"], true, "the fourth wrong response in a row locks the token");
    let locked = app.post("/v1/challenges", &json!({"user": "alice", "channel": "ocra"})).expect(429);
    assert_eq!(locked.code(), "rate-limited");

    rig.user("carol");
    let nobody = |user: &str| rig.admin().post("/v1/challenges", &json!({"user": user, "channel": "ocra"}));
    assert_eq!(nobody("carol").expect(404).body, nobody("mallory").body, "who exists is not told");
    app.post(&format!("/v1/challenges/{of_bob}/resend"), &json!({})).expect(409);
    app.post("/v1/challenges", &json!({"user": "bob", "channel": "pigeon"})).expect(400);
    rig.check_chain();
}

/// A1: one response, 64 connections: exactly one accept.
///
/// Red when the challenge is not consumed by a conditional write and the lock of the user is gone.
#[test]
fn one_response_is_accepted_once() {
    let (rig, maker) = bench("");
    let mut token = give(&rig, &maker, "alice", ALICE, &["--question-digits", "4"]);
    let key = rig.app_key("vpn", &["challenge"]);
    let (id, question) = ask(&mut rig.loopback(Some(&key)), "alice");
    let response = token.answer(&question, 6);
    let barrier = Barrier::new(THREADS);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let one = || {
            let mut client = rig.loopback(Some(&key));
            barrier.wait();
            answer(&mut client, &id, &response)
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    let (accepted, rejected) =
        (answers.iter().filter(|a| a.accepted()).count(), answers.iter().filter(|a| a.rejected()).count());
    assert_eq!((accepted, rejected), (1, THREADS - 1));
    rig.check_chain();
}

/// A store from before this kind of token is brought up to date with its rows.
///
/// Red when the table of tokens is written anew without a column, an index or what refers to it.
#[test]
fn an_older_store_keeps_its_tokens() {
    let mut rig = Appliance::prepare(RigOptions::default());
    let database = rig.state.join("countersign.db");
    let older = rusqlite::Connection::open(&database).expect("own scratch directory");
    older
        .execute_batch(concat!(
            include_str!("../../appliance/src/store/schema/0001_appliance.sql"),
            include_str!("../../appliance/src/store/schema/0002_provisioning.sql"),
            "PRAGMA user_version = 2;
             INSERT INTO token (id, serial, class, type, algorithm, digits, checksum, truncation, period, t0,
                 record, record_mac, fingerprint, last_factor, drift, failures, lifecycle, epoch, state_mac, loa,
                 created_at)
             VALUES (zeroblob(16), 'CST-7', 'hard', 'totp', 'SHA256', 8, 0, -1, 60, 0, x'01', zeroblob(32),
                 zeroblob(32), 41, 3, 2, 'in_stock', 9, zeroblob(32), 1.0, 1000);
             INSERT INTO device (serial, attestation_key, maker, firmware, counter, token_id, updated_at)
             VALUES ('CST-7', zeroblob(65), zeroblob(8), '1.0.0', 1, zeroblob(16), 1000);",
        ))
        .expect("the schema of before");
    drop(older);
    rig.serve();
    rig.await_ready();
    let token = rig.show_token("CST-7");
    for (field, value) in [
        ("type", json!("totp")),
        ("digits", json!(8)),
        ("period", json!(60)),
        ("suite", json!(null)),
        ("last_used", json!(41)),
        ("drift", json!(3)),
        ("failures", json!(2)),
    ] {
        assert_eq!(token[field], value, "{field}: {token}");
    }
    rig.stop();
    let now = rusqlite::Connection::open(&database).expect("the store");
    let count = |sql: &str| now.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_list('device') WHERE \"table\" = 'token'"), 1);
    assert_eq!(count("SELECT count(*) FROM pragma_index_list('token') WHERE name LIKE 'token_%'"), 3);
}
