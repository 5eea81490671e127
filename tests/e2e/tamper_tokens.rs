//! The class of a token, and tokens of a former schema: rows changed past the appliance. A22, B.6.

use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::json;
use tests::desk::{SCOPES, request};
use tests::{Answer, Appliance, RigOptions, vault};

/// How long a change waits for the daemon's own writes.
const BUSY: Duration = Duration::from_secs(10);
const NO_DELAY: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";
const ANSWERER: &str = "the_vault_answers";
/// Prefix and purpose of the MAC over a record.
const RECORD_MAC: &[u8] = b"countersign.mac\x01";

/// Not a test: the process that opens SoftHSM for the tests here.
#[test]
#[ignore = "asked by the other tests, in a process of its own"]
fn the_vault_answers() {
    vault::answer();
}

fn database(rig: &Appliance) -> Connection {
    let connection = Connection::open(rig.state.join("countersign.db")).expect("the store");
    connection.busy_timeout(BUSY).expect("a live connection");
    connection
}

fn start() -> (Appliance, String) {
    let rig = Appliance::start(RigOptions::default().config(NO_DELAY));
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

#[track_caller]
fn unavailable(answer: &Answer, what: &str) {
    let (status, code) = (answer.status, answer.code());
    assert_eq!((status, code.as_str()), (503, "store-unavailable"), "{what}: {}", answer.text());
}

/// A22, B.6: the class of a token decides the highest level. Red when it is left out of the token's MAC: who may write to
/// the database makes a hardware token of an app's.
#[test]
fn a_changed_class_makes_no_hardware_token() {
    let (rig, key) = start();
    let token = rig.hotp_user("alice");
    let mut portal = rig.loopback(Some(&key));
    let asked = portal.post("/v1/enrolments", &request("alice", "on_premise", 3.0)).expect(201).json();
    let path = |act: &str| format!("/v1/enrolments/{}/{act}", asked["id"].as_str().expect("a handle"));
    let store = database(&rig);
    let class = |class: &str| {
        let changed =
            store.execute("UPDATE token SET class = ?1 WHERE serial = ?2", params![class, token.serial]);
        assert_eq!(changed.expect("a token"), 1);
    };
    class("hard");
    portal.post(&path("factor"), &json!({"type": "hardware"})).expect(200);
    let shown = json!({"serial": token.serial, "otp": token.secret.hotp(0)});
    unavailable(&portal.post(&path("possession"), &shown), "shown");
    unavailable(&portal.verify("alice", &token.secret.hotp(0)), "verified");
    assert!(rig.events("type=store.tampered").len() >= 2, "nobody was told");
    class("soft");
    assert!(portal.verify("alice", &token.secret.hotp(0)).accepted(), "as it was");
}

/// A byte string with its length before it, as the bytes under a MAC have it.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("short");
    [&len.to_be_bytes()[..], bytes].concat()
}

/// The MAC that schema 0008 had over the record of an HOTP token of six digits: without the class.
fn former_mac(rig: &Appliance, store: &Connection, serial: &str) -> Vec<u8> {
    let sql = "SELECT id, user_id, record, loa FROM token WHERE serial = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let (id, user, record, loa): (Vec<u8>, Vec<u8>, Vec<u8>, f64) =
        store.query_row(sql, [serial], read).expect("the token");
    let ints = |all: &[i64]| all.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    let binding = [
        prefixed(b"countersign token binding 1"),
        prefixed(&id),
        prefixed(serial.as_bytes()),
        vec![1],
        prefixed(&user),
        prefixed(b"hotp"),
        prefixed(b"SHA1"),
        // Digits, checksum, dynamic truncation, no period, no beginning.
        ints(&[6, 0, -1, 0, 0]),
        prefixed(&loa.to_be_bytes()),
    ]
    .concat();
    let len = u32::try_from(record.len()).expect("short").to_le_bytes();
    vault::mac(rig, ANSWERER, &[RECORD_MAC, &len, &record, &binding].concat())
}

/// A22: tokens of a former schema are carried over, once. Red when they are lost, when one whose former MAC does not fit
/// is sealed, or when a later start takes a former MAC for good.
#[test]
fn tokens_of_a_former_schema_are_carried_over() {
    let (mut rig, key) = start();
    let tokens = ["alice", "bob"].map(|name| rig.hotp_user(name));
    rig.stop();
    let store = database(&rig);
    let put = |serial: &str, mac: &[u8]| {
        let changed =
            store.execute("UPDATE token SET record_mac = ?1 WHERE serial = ?2", params![mac, serial]);
        assert_eq!(changed.expect("a token"), 1);
    };
    let former = tokens.each_ref().map(|token| former_mac(&rig, &store, &token.serial));
    put(&tokens[0].serial, &former[0]);
    // The one of another token does not fit.
    put(&tokens[1].serial, &former[0]);
    store
        .execute_batch(
            "DROP TRIGGER event_is_never_deleted;
             DELETE FROM event WHERE type = 'store.tokens_sealed';
             CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
                 BEGIN SELECT RAISE(ABORT, 'events are final'); END;",
        )
        .expect("the events of before");
    rig.serve();
    rig.await_ready();
    let sealed = rig.events("type=store.tokens_sealed");
    assert_eq!((sealed.len(), &sealed[0]["subject"]["tokens"]), (1, &json!("1")), "{sealed:?}");
    let mut portal = rig.loopback(Some(&key));
    assert!(portal.verify("alice", &tokens[0].secret.hotp(0)).accepted());
    unavailable(&portal.verify("bob", &tokens[1].secret.hotp(0)), "another's MAC");
    rig.stop();
    put(&tokens[0].serial, &former[0]);
    rig.serve();
    rig.await_ready();
    unavailable(&rig.loopback(Some(&key)).verify("alice", &tokens[0].secret.hotp(1)), "not sealed again");
    assert_eq!(rig.events("type=store.tokens_sealed").len(), 1);
}
