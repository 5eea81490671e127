//! What a database writer can do to users' accounts, numbers, links, questions on the phone and flows: rows changed past
//! the appliance. A22, A13, T26.
//!
//! None of it lets anybody in, raises a level of assurance, or takes back what an operator has set aside.

use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::flow::{Flow, SCOPES, example};
use tests::forms::Visitor;
use tests::{Answer, Appliance, Client, PATIENCE, RigOptions, wait_until};

const ALICE: &str = "+41791234561";
const PASSWORD: &str = "correct horse battery";
/// How long a change waits for the daemon's own writes.
const BUSY: Duration = Duration::from_secs(10);

fn rig(example_name: &str, change: impl Fn(String) -> String) -> (Appliance, String) {
    let text = change(format!("{}{MANY_MESSAGES}", example(example_name)));
    let rig = Appliance::start(RigOptions { pages: true, ..RigOptions::with_modem().config(&text) });
    rig.user("alice");
    rig.phone("alice", ALICE);
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

fn database(rig: &Appliance) -> Connection {
    let connection = Connection::open(rig.state.join("countersign.db")).expect("the store");
    connection.busy_timeout(BUSY).expect("a live connection");
    connection
}

/// Runs a statement that must change one row.
#[track_caller]
fn change(store: &Connection, sql: &str, values: impl rusqlite::Params) {
    assert_eq!(store.execute(sql, values).expect(sql), 1, "{sql}");
}

fn tampered(rig: &Appliance) -> usize {
    rig.events("type=store.tampered").len()
}

/// No answer at all: nothing was accepted and nothing counted.
#[track_caller]
fn unavailable(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "store-unavailable"),
        "{what}: {}",
        answer.text()
    );
}

/// Columns of a row as SQL that puts them back.
fn saved(store: &Connection, sql: &str) -> Vec<rusqlite::types::Value> {
    let mut statement = store.prepare(sql).expect(sql);
    let columns = statement.column_count();
    let mut rows = statement.query([]).expect(sql);
    let row = rows.next().expect(sql).expect("the row");
    (0..columns).map(|n| row.get(n).expect("a column")).collect()
}

/// One way to change an account.
const ACCOUNT_CHANGES: [(&str, &str); 12] = [
    ("state", "state = 'active'"),
    ("name", "name = 'alicia'"),
    ("password", "password_hash = NULL"),
    ("method", "active_method = 'SMS'"),
    ("next method", "next_method = 'OATH_OTP'"),
    ("skips", "skips = 1"),
    ("language", "lang = 'it'"),
    ("e-mail", "email = NULL"),
    ("person's key", "person_key = x'00'"),
    ("pseudonym", "user_ref = 'x'"),
    ("MAC", "mac = zeroblob(32)"),
    ("no MAC", "mac = NULL, state = 'active', password_hash = NULL"),
];

/// A22. Red when a column of an account is left out of its MAC, when a row without a MAC is believed, or when a code is
/// looked at before the account is: who may write to the database unlocks a user whom an operator has locked.
#[test]
fn a_changed_account_lets_nobody_in() {
    let (rig, key) = rig("flows/sms", |text| text);
    let token = rig.hotp_user("locked");
    let email = rig.cli_json(&["user", "email", "locked", "locked@example.org"]);
    assert_eq!(email["state"], "active", "{email}");
    rig.admin().put("/v1/users/locked/password", &json!({"password": PASSWORD})).expect(200);
    rig.phone("locked", "+41791234577");
    rig.cli_json(&["user", "lock", "locked"]);
    let vpn = rig.app_key("vpn", &["verify", "challenge"]);
    let mut app = rig.loopback(Some(&vpn));
    assert!(app.verify("locked", &token.secret.hotp(0)).rejected());
    let store = database(&rig);
    let columns = "state, name, password_hash, active_method, next_method, skips, lang, email, person_key, user_ref, mac";
    let before = saved(&store, &format!("SELECT {columns}, id FROM user WHERE name = 'locked'"));
    for (what, there) in ACCOUNT_CHANGES {
        let seen = tampered(&rig);
        change(&store, &format!("UPDATE user SET {there} WHERE name = 'locked'"), []);
        let name = if what == "name" { "alicia" } else { "locked" };
        unavailable(&app.verify(name, &token.secret.hotp(0)), what);
        unavailable(&app.post("/v1/challenges", &json!({"user": name, "channel": "sms"})), what);
        let mut portal = rig.loopback(Some(&key));
        unavailable(&portal.post("/v1/sessions", &json!({"user": name, "password": PASSWORD})), what);
        unavailable(&portal.post("/v1/flows", &json!({"flow": "sms-second", "user": name})), what);
        assert!(tampered(&rig) > seen, "{what}: nobody was told");
        let back = "UPDATE user SET state = ?1, name = ?2, password_hash = ?3, active_method = ?4, next_method = ?5, \
                    skips = ?6, lang = ?7, email = ?8, person_key = ?9, user_ref = ?10, mac = ?11 WHERE id = ?12";
        change(&store, back, rusqlite::params_from_iter(&before));
    }
    assert!(rig.modem().messages().is_empty());
    rig.cli_json(&["user", "unlock", "locked"]);
    assert!(app.verify("locked", &token.secret.hotp(0)).accepted(), "as it was");
    println!("tamper: {} ways to change an account", ACCOUNT_CHANGES.len());
}

/// One way to change a number that is bound.
const PHONE_CHANGES: [(&str, &str); 9] = [
    ("state", "state = 'verified'"),
    ("level", "loa = 3.0, state = 'verified'"),
    ("source", "source = 'desk'"),
    ("evidence", "evidence = '{}'"),
    ("lookup", "number_lookup = zeroblob(32)"),
    ("registered", "registered_at = 1"),
    ("number", "number = (SELECT number FROM phone JOIN user ON user.id = user_id WHERE name = 'mallory')"),
    ("MAC", "mac = zeroblob(32)"),
    ("no MAC", "mac = NULL, state = 'verified'"),
];

/// MOB-03, A13, B.5.1. Red when a column of a number is left out of its MAC: who may write to the database takes a
/// suspended number back into use, or has it count for more.
#[test]
fn a_changed_number_gets_no_code() {
    let (rig, key) = rig("flows/sms", |text| text);
    rig.user("mallory");
    rig.phone("mallory", "+41791234599");
    rig.cli_json(&["user", "phone", "suspend", "alice"]);
    let store = database(&rig);
    let of_alice = "(SELECT id FROM user WHERE name = 'alice')";
    let columns = "state, loa, source, evidence, number_lookup, registered_at, number, mac";
    let before = saved(&store, &format!("SELECT {columns} FROM phone WHERE user_id = {of_alice}"));
    let mut app = rig.loopback(Some(&key));
    for (what, there) in PHONE_CHANGES {
        let seen = tampered(&rig);
        change(&store, &format!("UPDATE phone SET {there} WHERE user_id = {of_alice}"), []);
        unavailable(&app.post("/v1/challenges", &json!({"user": "alice", "channel": "sms"})), what);
        unavailable(&app.post("/v1/flows", &json!({"flow": "sms-second", "user": "alice"})), what);
        assert!(tampered(&rig) > seen, "{what}: nobody was told");
        let back = format!(
            "UPDATE phone SET state = ?1, loa = ?2, source = ?3, evidence = ?4, number_lookup = ?5, \
             registered_at = ?6, number = ?7, mac = ?8 WHERE user_id = {of_alice}"
        );
        change(&store, &back, rusqlite::params_from_iter(&before));
    }
    assert!(rig.modem().messages().is_empty(), "nothing went out");
    rig.cli_json(&["user", "phone", "resume", "alice"]);
    let flow = Flow::of(rig.loopback(Some(&key)), "sms-second", "alice");
    flow.wants("sms-code");
    println!("tamper: {} ways to change a number", PHONE_CHANGES.len());
}

fn link_of(text: &Option<String>) -> String {
    let text = text.as_deref().expect("a whole text");
    let at = text.find("/ui/l/").unwrap_or_else(|| panic!("no link in {text}"));
    text[at..].split_whitespace().next().expect("a link").to_owned()
}

fn await_link(rig: &Appliance, flow: &mut Flow, nth: usize) -> String {
    let link = link_of(&rig.modem().await_message(ALICE, nth).text);
    wait_until(PATIENCE, "the link to live", || flow.look()["expires_at"].is_string().then_some(()));
    link
}

fn approve(rig: &Appliance, link: &str) -> Answer {
    Visitor::new(rig.address).send("POST", link, Some(&[("action", "approve")]))
}

/// SMS-39, D-13. Red when the row of a link, or the state of a challenge, is believed: who may write to the database
/// makes a link of his own for another's challenge, or says that the phone has approved.
#[test]
fn a_forged_approval_is_none() {
    let (rig, key) = rig("flows/sms-link", |text| text);
    rig.user("mallory");
    rig.phone("mallory", "+41791234599");
    let store = database(&rig);
    let open = || Flow::of(rig.loopback(Some(&key)), "sms-link", "alice");

    let mut flow = open();
    let link = await_link(&rig, &mut flow, 1);
    // A link whose token is known to whoever writes the row.
    let own = "A".repeat(22);
    let hash =
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(own.as_bytes())).to_vec();
    let forged = "INSERT INTO link (token_hash, challenge_id, send_number) SELECT ?1, challenge_id, send_number FROM link";
    change(&store, forged, [&hash]);
    let forged = format!("/ui/l/{own}");
    let shown = rig.loopback(None).get(&forged);
    assert_eq!(shown.status, 503, "{}", shown.text());
    assert_eq!(approve(&rig, &forged).status, 503);
    flow.go("continue", &json!({}));
    flow.wants("sms-wait");

    change(&store, "UPDATE challenge SET state = 'verified' WHERE state = 'waiting'", []);
    unavailable(&flow.act("continue", &json!({})), "the state");
    change(&store, "UPDATE challenge SET state = 'waiting' WHERE state = 'verified'", []);
    assert_eq!(approve(&rig, &link).status, 200, "as it was");
    flow.go("continue", &json!({}));
    assert_eq!(flow.result()["amr"], json!(["assertion", "sms"]));
    assert!(tampered(&rig) >= 3, "nobody was told");

    // The link of mallory's own phone, pointed to alice's challenge.
    let mut flow = open();
    await_link(&rig, &mut flow, 2);
    let mut other = Flow::of(rig.loopback(Some(&key)), "sms-link", "mallory");
    let link = link_of(&rig.modem().await_message("+41791234599", 1).text);
    wait_until(PATIENCE, "the link to live", || other.look()["expires_at"].is_string().then_some(()));
    let moved = "UPDATE link SET challenge_id = (SELECT c.id FROM challenge c JOIN user u ON u.id = c.user_id
                     WHERE u.name = 'alice' AND c.state = 'waiting')
                 WHERE challenge_id = (SELECT c.id FROM challenge c JOIN user u ON u.id = c.user_id
                     WHERE u.name = 'mallory')";
    change(&store, moved, []);
    assert_eq!(approve(&rig, &link).status, 503);
    flow.go("continue", &json!({}));
    flow.wants("sms-wait");
}

fn poll(client: &mut Client, id: &str) -> Answer {
    client.post("/v1/backchannel/token", &json!({"auth_req_id": id}))
}

/// SMS-37, B.5.9: the answer is told once. Red when a column of the request is left out of its MAC: an approval is told
/// again, later, or to another application.
#[test]
fn a_changed_question_tells_nothing() {
    let (rig, key) = rig("flows/sms-link", |text| text.replace("interval = \"5s\"", "interval = \"1s\""));
    let thief = rig.app_key("thief", &SCOPES);
    let (mut app, mut thief) = (rig.loopback(Some(&key)), rig.loopback(Some(&thief)));
    let store = database(&rig);
    let body = json!({"login_hint": "alice", "binding_message": "Till 4", "requested_expiry": 60});
    let mut ask = |nth: usize| -> (String, Vec<u8>) {
        let asked = app.post("/v1/backchannel/authorize", &body).expect(202).json();
        let link = link_of(&rig.modem().await_message(ALICE, nth).text);
        wait_until(PATIENCE, "the link to live", || {
            rig.loopback(None).get(&link).text().contains("Till 4").then_some(())
        });
        assert_eq!(approve(&rig, &link).status, 200);
        let id = asked["auth_req_id"].as_str().expect("a handle").to_owned();
        let handle = data_encoding::HEXLOWER.decode(id.as_bytes()).expect("a handle");
        (id, handle)
    };
    let (first, first_handle) = ask(1);
    let (second, second_handle) = ask(2);
    let mut app = rig.loopback(Some(&key));
    let before = saved(
        &store,
        "SELECT challenge_id, expires_boot_ms, channel, mac FROM backchannel ORDER BY created_at",
    );
    for (what, there) in [
        ("challenge", "challenge_id = (SELECT challenge_id FROM backchannel WHERE id <> ?1 LIMIT 1)"),
        ("life", "expires_boot_ms = expires_boot_ms + 600000"),
        ("channel", "channel = 'other'"),
        ("MAC", "mac = zeroblob(32)"),
    ] {
        change(&store, &format!("UPDATE backchannel SET {there} WHERE id = ?1"), [&first_handle]);
        unavailable(&poll(&mut app, &first), what);
        let back = "UPDATE backchannel SET challenge_id = ?1, expires_boot_ms = ?2, channel = ?3, mac = ?4 WHERE id = ?5";
        let values: Vec<rusqlite::types::Value> =
            before.iter().cloned().chain([first_handle.clone().into()]).collect();
        change(&store, back, rusqlite::params_from_iter(values));
    }
    assert_eq!(poll(&mut app, &first).expect(200).json()["user"], "alice", "as it was");
    let taken = "UPDATE backchannel SET taken = 0, polled_boot_ms = NULL WHERE id = ?1";
    change(&store, taken, [&first_handle]);
    unavailable(&poll(&mut app, &first), "told twice");
    let given = "UPDATE backchannel SET application_id = (SELECT id FROM application WHERE name = 'thief') WHERE id = ?1";
    change(&store, given, [&second_handle]);
    unavailable(&poll(&mut thief, &second), "another application");
    assert!(tampered(&rig) >= 6, "nobody was told");
}

/// B.4.2, D-38. Red when the column that finds the flow of a one-time code decides whose result it is, or a flow's
/// definition is not under its seal: with one UPDATE a code of one's own brings another's result.
#[test]
fn a_flow_is_what_its_seal_says() {
    const RETURN: &str = "https://shop.example.org/back";
    let (rig, key) = rig("flows/sms", |text| {
        text.replace("steps = [\"username\", \"sms:sms1\"]", "steps = [\"password\"]")
    });
    for name in ["alice", "mallory"] {
        if name == "mallory" {
            rig.user(name);
        }
        rig.admin().put(&format!("/v1/users/{name}/password"), &json!({"password": PASSWORD})).expect(200);
    }
    let store = database(&rig);
    let begin = |user: &str| -> Value {
        let body = json!({"flow": "sms-alone", "return_url": RETURN});
        let mut app = rig.loopback(Some(&key));
        let begun = app.post("/v1/flows", &body).expect(201).json();
        let path = format!("/v1/flows/{}/password", begun["flow"].as_str().unwrap());
        app.post(&path, &json!({"user": user, "password": PASSWORD})).expect(200).json()
    };
    let victim = begin("alice");
    assert_eq!(victim["step"], "done");
    let known = "B".repeat(43);
    let hash =
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(known.as_bytes())).to_vec();
    let id = data_encoding::HEXLOWER.decode(victim["flow"].as_str().unwrap().as_bytes()).unwrap();
    change(&store, "UPDATE flow SET code_hash = ?1 WHERE id = ?2", params![hash, id]);
    let mut app = rig.loopback(Some(&key));
    unavailable(&app.post("/v1/flows/result", &json!({"code": known})), "the code");

    let weak = begin("mallory");
    let id = data_encoding::HEXLOWER.decode(weak["flow"].as_str().unwrap().as_bytes()).unwrap();
    let path = format!("/v1/flows/{}", weak["flow"].as_str().unwrap());
    for (what, there) in [
        ("definition", "definition = 'sms-second'"),
        ("application", "application_id = (SELECT id FROM application WHERE name = 'console')"),
        ("epoch", "epoch = epoch + 1"),
    ] {
        let before = saved(
            &store,
            "SELECT definition, application_id, epoch FROM flow ORDER BY created_at DESC LIMIT 1",
        );
        change(&store, &format!("UPDATE flow SET {there} WHERE id = ?1"), [&id]);
        let shown = app.get(&path);
        assert!(shown.status >= 400, "{what}: {}", shown.text());
        let back = "UPDATE flow SET definition = ?1, application_id = ?2, epoch = ?3 WHERE id = ?4";
        let values: Vec<rusqlite::types::Value> = before.into_iter().chain([id.clone().into()]).collect();
        change(&store, back, rusqlite::params_from_iter(values));
    }
    app.get(&path).expect(200);
    assert!(tampered(&rig) >= 3, "nobody was told");
}

/// Makes the store one of schema 0005: without the MACs that came with the next one.
fn to_former_schema(rig: &Appliance) {
    database(rig)
        .execute_batch(
            "ALTER TABLE operator DROP COLUMN scopes; DROP TABLE mfa_logo;
             DROP INDEX challenge_message; DROP INDEX challenge_push; DROP TABLE push_message;
             ALTER TABLE challenge DROP COLUMN device_id; ALTER TABLE challenge DROP COLUMN set_id;
             ALTER TABLE challenge DROP COLUMN message_id; ALTER TABLE challenge DROP COLUMN message;
             ALTER TABLE challenge DROP COLUMN nonce; ALTER TABLE challenge DROP COLUMN number;
             ALTER TABLE challenge DROP COLUMN asked_boot; ALTER TABLE challenge DROP COLUMN asked_boot_ms;
             ALTER TABLE challenge DROP COLUMN denied_boot_ms;
             DROP TABLE registration; DROP TABLE push_device; DROP TABLE recovery_set;
             DROP TABLE membership; DROP TABLE assertion_used;
             DROP INDEX user_unsealed; DROP INDEX phone_unsealed; DROP INDEX flow_application;
             ALTER TABLE user DROP COLUMN mac;
             ALTER TABLE phone DROP COLUMN mac;
             DROP TABLE backchannel;
             CREATE TABLE backchannel (id BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
             DROP TRIGGER event_is_never_deleted;
             DROP TABLE enrolment_miss; DROP TABLE appointment; DROP TABLE vetting_identity;
             DROP TABLE enrolment_number; DROP TABLE enrolment_step; DROP TABLE enrolment;
             DELETE FROM event WHERE type = 'store.sealed';
             CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
                 BEGIN SELECT RAISE(ABORT, 'events are final'); END;
             PRAGMA user_version = 5;",
        )
        .expect("the schema of before");
}

/// Rows of a former schema are sealed once. Red when they are lost, when they are sealed although their former MAC does
/// not fit, or when a later start seals what was changed since.
#[test]
fn rows_of_a_former_schema_are_sealed_once() {
    let (mut rig, key) = rig("flows/sms", |text| text);
    let token = rig.hotp_user("locked");
    rig.cli_json(&["user", "lock", "locked"]);
    rig.stop();
    to_former_schema(&rig);
    // A plain user of before had no MAC at all; a locked one had, and this one is no such MAC.
    let store = database(&rig);
    change(&store, "UPDATE user SET account_mac = NULL WHERE name = 'alice'", []);
    change(&store, "UPDATE user SET account_mac = NULL WHERE name = 'locked'", []);
    drop(store);
    rig.serve();
    rig.await_ready();
    let sealed = rig.events("type=store.sealed");
    assert_eq!(sealed.len(), 1, "{sealed:?}");
    assert_eq!((&sealed[0]["subject"]["users"], &sealed[0]["subject"]["phones"]), (&json!("1"), &json!("1")));
    let flow = Flow::of(rig.loopback(Some(&key)), "sms-second", "alice");
    flow.wants("sms-code");
    let vpn = rig.app_key("vpn", &["verify"]);
    unavailable(
        &rig.loopback(Some(&vpn)).verify("locked", &token.secret.hotp(0)),
        "a MAC that was taken away",
    );

    rig.stop();
    let store = database(&rig);
    change(&store, "UPDATE user SET mac = NULL WHERE name = 'alice'", []);
    drop(store);
    rig.serve();
    rig.await_ready();
    let refused = rig.loopback(Some(&key)).post("/v1/flows", &json!({"flow": "sms-second", "user": "alice"}));
    unavailable(&refused, "not sealed again");
    assert_eq!(rig.events("type=store.sealed").len(), 1);
}
