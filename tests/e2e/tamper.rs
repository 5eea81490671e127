//! What a database writer can do: rows changed past the appliance. A8, A12, A18, A22, A29, T23, T26.
//!
//! None of it gets a code accepted, sends a code elsewhere, or passes the walk along the chain of events.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tests::modem::EmulatedModem;
use tests::people::Enrolled;
use tests::{Answer, Appliance, Client, ModemOptions, PATIENCE, RigOptions, wait_until};

const NO_DELAY: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";
/// How long the change waits for the daemon's own writes.
const BUSY: Duration = Duration::from_secs(10);
/// One fewer than lock a token.
const WRONG_CODES: usize = 4;

fn database(rig: &Appliance) -> Connection {
    open(&rig.state.join("countersign.db"))
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the store");
    connection.busy_timeout(BUSY).expect("a live connection");
    connection
}

/// Runs one statement that must change `rows` rows.
#[track_caller]
fn change(store: &Connection, sql: &str, values: impl rusqlite::Params, rows: usize) {
    assert_eq!(store.execute(sql, values).expect(sql), rows, "{sql}");
}

fn tampered(rig: &Appliance) -> usize {
    rig.events("type=store.tampered").len()
}

/// The answer to a code whose row was changed: no verdict, and nothing counted.
#[track_caller]
fn unavailable(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "store-unavailable"),
        "{what}: {}",
        answer.text()
    );
}

/// T26: an answer is kept for a retry under a mark of the HSM. Red when the mark leaves out the answer: a stored
/// rejection becomes an accept with one UPDATE; or the deadline: a stored accept is given for ever.
#[test]
fn a_forged_answer_is_not_given_again() {
    let rig = Appliance::start(RigOptions::default().config(NO_DELAY));
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let store = database(&rig);

    let wrong = json!({"user": "alice", "otp": token.secret.wrong(0..40), "request_id": "wrong"});
    assert!(app.post("/v1/verify", &wrong).rejected());
    let forged = json!([token.serial, 1.5]).to_string();
    change(&store, "UPDATE request SET answer = ?1 WHERE request_id = 'wrong'", [&forged], 1);
    assert!(app.post("/v1/verify", &wrong).rejected(), "a forged accept");

    let right = json!({"user": "alice", "otp": token.secret.hotp(0), "request_id": "right"});
    assert!(app.post("/v1/verify", &right).accepted());
    assert!(app.post("/v1/verify", &right).accepted(), "unchanged it is given again");
    let raised = json!([token.serial, 3.0]).to_string();
    let before: String = store
        .query_row("SELECT answer FROM request WHERE request_id = 'right'", [], |row| row.get(0))
        .unwrap();
    change(&store, "UPDATE request SET answer = ?1 WHERE request_id = 'right'", [&raised], 1);
    assert!(app.post("/v1/verify", &right).rejected(), "with a higher level of assurance");
    change(&store, "UPDATE request SET answer = ?1 WHERE request_id = 'right'", [&before], 1);
    assert!(app.post("/v1/verify", &right).accepted(), "as it was");
    let longer = "UPDATE request SET expires_boot_ms = expires_boot_ms + 600000 WHERE request_id = 'right'";
    change(&store, longer, [], 1);
    assert!(app.post("/v1/verify", &right).rejected(), "with a longer life");
    let another = "INSERT INTO request SELECT application_id, 'other', fingerprint, ?1, expires_boot, \
                   expires_boot_ms FROM request WHERE request_id = 'right'";
    change(&store, another, [&before], 1);
    let moved = json!({"user": "alice", "otp": token.secret.hotp(0), "request_id": "other"});
    assert!(app.post("/v1/verify", &moved).rejected(), "under another id");
    assert_eq!(rig.show_token(&token.serial)["last_used"], 0);
}

/// One way to point a waiting message elsewhere; `?1` is the message, `?2` the other user.
const REDIRECTIONS: [(&str, &[&str]); 5] = [
    ("number", &["UPDATE outbox SET number = (SELECT number FROM phone WHERE user_id = ?2) WHERE id = ?1"]),
    ("user", &["UPDATE outbox SET user_id = ?2 WHERE id = ?1"]),
    (
        "user and number",
        &[
            "UPDATE outbox SET user_id = ?2, number = (SELECT number FROM phone WHERE user_id = ?2) WHERE id = ?1",
        ],
    ),
    (
        "message and binding",
        &[
            "UPDATE outbox SET number = (SELECT number FROM phone WHERE user_id = ?2) WHERE id = ?1",
            "UPDATE phone SET number = (SELECT number FROM phone WHERE user_id = ?2)
             WHERE user_id = (SELECT user_id FROM outbox WHERE id = ?1)",
        ],
    ),
    (
        "message and challenge",
        &[
            "UPDATE outbox SET user_id = ?2, number = (SELECT number FROM phone WHERE user_id = ?2) WHERE id = ?1",
            "UPDATE challenge SET user_id = ?2, phone_id = (SELECT id FROM phone WHERE user_id = ?2)
             WHERE id = (SELECT challenge_id FROM outbox WHERE id = ?1)",
        ],
    ),
];

/// A12, A13: a code goes to the phone bound to whom it was ordered for, or nowhere. Red when the number is taken
/// from the message alone: another person gets the victim's code.
#[test]
fn a_redirected_message_goes_nowhere() {
    const OTHER: &str = "+41791234599";
    let scratch = tests::scratch::directory();
    let port = scratch.path().join("m1.tty");
    let options = RigOptions { modems: vec![ModemOptions::at("m1", &port)], ..RigOptions::default() };
    let rig = Appliance::start(options.config(NO_DELAY));
    let key = rig.app_key("vpn", &["challenge"]);
    let mut app = rig.loopback(Some(&key));
    rig.user("mallory");
    rig.phone("mallory", OTHER);
    let store = database(&rig);
    let id_of = |name: &str| -> Vec<u8> {
        store.query_row("SELECT id FROM user WHERE name = ?1", [name], |row| row.get(0)).unwrap()
    };
    let mallory = id_of("mallory");
    let mut messages = Vec::new();
    for (n, (what, statements)) in REDIRECTIONS.iter().enumerate() {
        let name = format!("victim{n}");
        rig.user(&name);
        rig.phone(&name, &format!("+4179123450{n}"));
        order(&mut app, &name);
        let message: Vec<u8> = store
            .query_row("SELECT id FROM outbox WHERE user_id = ?1", [id_of(&name)], |row| row.get(0))
            .unwrap();
        for statement in *statements {
            let mut prepared = store.prepare(statement).expect(statement);
            assert_eq!(prepared.execute(params![message, mallory]).expect(what), 1, "{what}");
        }
        messages.push((what, message));
    }
    rig.user("honest");
    rig.phone("honest", "+41791234588");
    order(&mut app, "honest");
    let modem = EmulatedModem::start(&rig.binary, scratch.path(), "m1", "generic", "");
    modem.await_message("+41791234588", 1);
    for (what, message) in messages {
        let state = wait_until(PATIENCE, what, || {
            let sql = "SELECT state FROM outbox WHERE id = ?1";
            let state: String = store.query_row(sql, [&message], |row| row.get(0)).unwrap();
            (state != "queued" && state != "sending").then_some(state)
        });
        assert_eq!(state, "failed", "{what}");
    }
    let taken = modem.messages();
    assert_eq!(taken.len(), 1, "only the honest one: {taken:?}");
    assert!(tampered(&rig) > 0, "nobody was told");
}

fn order(app: &mut Client, user: &str) -> String {
    let made = app.post("/v1/challenges", &json!({"user": user, "channel": "sms"})).expect(201).json();
    made["id"].as_str().expect("a handle").to_owned()
}

/// What a writer changes in a token's row, and the counter whose code it would be good for; `?1` is the serial.
const TOKEN_CHANGES: [(&str, &str, u64); 16] = [
    ("loa", "loa = 3.0", 1),
    ("digits", "digits = 8", 1),
    ("checksum", "checksum = 1", 1),
    ("truncation", "truncation = 0", 1),
    ("algorithm", "algorithm = 'SHA256'", 1),
    ("type", "type = 'totp', period = 30", 1),
    ("serial", "serial = serial || 'X'", 1),
    ("used counter", "last_factor = -1", 0),
    ("skipped counter", "last_factor = 20", 21),
    ("drift", "drift = 40", 1),
    ("failures", "failures = 0", 1),
    ("failures raised", "failures = 4", 1),
    ("lock", "lock_boot = zeroblob(16), lock_boot_ms = 1", 1),
    ("epoch", "epoch = epoch - 1", 1),
    ("state MAC", "state_mac = zeroblob(32)", 1),
    ("record MAC", "record_mac = zeroblob(32)", 1),
];

/// A22, A8, rule 8 of the records: policy, owner and level of assurance stand under the record's MAC, counter,
/// failures and lifecycle under the state's. Red when one of these columns is left out of its MAC, or when the
/// answer to a changed row is a verdict and counts as a wrong code.
#[test]
fn a_changed_token_accepts_nothing_and_counts_nothing() {
    let rig = Appliance::start(RigOptions::default().config(NO_DELAY));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let store = database(&rig);
    for (n, (what, columns, counter)) in TOKEN_CHANGES.iter().enumerate() {
        let name = format!("user{n}");
        let token = rig.hotp_user(&name);
        assert!(app.verify(&name, &token.secret.hotp(0)).accepted());
        assert!(app.verify(&name, &token.secret.wrong(0..40)).rejected());
        let before = tampered(&rig);
        change(&store, &format!("UPDATE token SET {columns} WHERE serial = ?1"), [&token.serial], 1);
        for otp in codes(&token, *counter) {
            unavailable(&app.verify(&name, &otp), what);
        }
        assert_eq!(rig.show_user(&name)["failures"], 1, "{what}: counted");
        assert!(tampered(&rig) > before, "{what}: nobody was told");
    }
    println!("tamper: {} columns of a token", TOKEN_CHANGES.len());
}

/// The code with six digits and the one with eight, and a wrong one.
fn codes(token: &Enrolled, counter: u64) -> [String; 3] {
    let mut long = token.secret.clone();
    long.digits = 8;
    [token.secret.hotp(counter), long.hotp(counter), token.secret.wrong(0..40)]
}

/// OATH-17: the same for the step of a TOTP token. Red when the period is not under the record's MAC.
#[test]
fn a_changed_period_or_step_accepts_nothing() {
    let rig = Appliance::start(RigOptions::default().config(NO_DELAY));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let store = database(&rig);
    for (n, columns) in ["period = 60", "t0 = 30", "last_factor = -1"].into_iter().enumerate() {
        let name = format!("user{n}");
        let token = rig.totp_user(&name);
        let now = tests::time::unix_s();
        let otp = token.secret.totp(now);
        assert!(app.verify(&name, &otp).accepted(), "{columns}");
        change(&store, &format!("UPDATE token SET {columns} WHERE serial = ?1"), [&token.serial], 1);
        let mut slow = token.secret.clone();
        slow.period = 60;
        for otp in [otp, token.secret.totp(now + 30), slow.totp(now)] {
            unavailable(&app.verify(&name, &otp), columns);
        }
        assert_eq!(rig.show_user(&name)["failures"], 0, "{columns}: counted");
    }
}

/// A18, A8: wrong codes and locks are not forgotten, and a revoked token stays so, whatever a row says. Red when
/// the lifecycle, the failures or the lock are not under the state's MAC.
#[test]
fn failures_locks_and_revocation_cannot_be_taken_back() {
    let rig = Appliance::start(RigOptions::default().config(NO_DELAY));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let store = database(&rig);
    let token = rig.hotp_user("guessed");
    for _ in 0..WRONG_CODES {
        assert!(app.verify("guessed", &token.secret.wrong(0..40)).rejected());
    }
    change(&store, "UPDATE token SET failures = 0 WHERE serial = ?1", [&token.serial], 1);
    unavailable(&app.verify("guessed", &token.secret.wrong(0..40)), "another guess");
    unavailable(&app.verify("guessed", &token.secret.hotp(0)), "the right one");
    assert_eq!(rig.show_user("guessed")["failures"], WRONG_CODES);

    let token = rig.hotp_user("locked");
    for _ in 0..5 {
        assert!(app.verify("locked", &token.secret.wrong(0..40)).rejected());
    }
    let unlocked = "UPDATE token SET failures = 0, lock_boot = NULL, lock_boot_ms = NULL WHERE serial = ?1";
    change(&store, unlocked, [&token.serial], 1);
    unavailable(&app.verify("locked", &token.secret.hotp(0)), "the lock");

    let token = rig.hotp_user("revoked");
    let (record, living): (Vec<u8>, String) = store
        .query_row("SELECT record, lifecycle FROM token WHERE serial = ?1", [&token.serial], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    rig.change_token(&token.serial, "revoke");
    change(&store, "UPDATE token SET lifecycle = ?2 WHERE serial = ?1", [&token.serial, &living], 1);
    assert!(app.verify("revoked", &token.secret.hotp(0)).rejected(), "its secret is gone");
    change(&store, "UPDATE token SET record = ?2 WHERE serial = ?1", params![token.serial, record], 1);
    unavailable(&app.verify("revoked", &token.secret.hotp(0)), "the lifecycle");
    unavailable(&app.verify_token(&token.serial, &token.secret.hotp(0)), "the lifecycle, by serial");

    let token = rig.hotp_user("suspended");
    rig.change_token(&token.serial, "suspend");
    change(&store, "UPDATE token SET lifecycle = 'active' WHERE serial = ?1", [&token.serial], 1);
    unavailable(&app.verify("suspended", &token.secret.hotp(0)), "the lifecycle");
}

/// A22: a secret belongs to one token of one user. Red when the record's MAC leaves out token or user: who may
/// write to the database logs in as anybody with an own token.
#[test]
fn a_secret_does_not_move_to_another_user_or_token() {
    let rig = Appliance::start(RigOptions::default().config(NO_DELAY));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let store = database(&rig);
    let [alice, mallory] = ["alice", "mallory"].map(|name| rig.hotp_user(name));
    let stored = [&alice, &mallory].map(|token| -> (Vec<u8>, Vec<u8>) {
        let sql = "SELECT record, record_mac FROM token WHERE serial = ?1";
        store.query_row(sql, [&token.serial], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    });
    let put = |token: &Enrolled, (record, mac): &(Vec<u8>, Vec<u8>)| {
        let sql = "UPDATE token SET record = ?2, record_mac = ?3 WHERE serial = ?1";
        change(&store, sql, params![token.serial, record, mac], 1);
    };
    put(&alice, &stored[1]);
    put(&mallory, &stored[0]);
    for (name, token) in [("alice", &mallory), ("alice", &alice), ("mallory", &alice)] {
        unavailable(&app.verify(name, &token.secret.hotp(0)), name);
    }
    unavailable(&app.verify_token(&alice.serial, &mallory.secret.hotp(0)), "by serial");
    put(&alice, &stored[0]);
    put(&mallory, &stored[1]);
    assert!(app.verify("alice", &alice.secret.hotp(0)).accepted(), "as it was");
    let given = "UPDATE token SET user_id = (SELECT id FROM user WHERE name = 'alice') WHERE serial = ?1";
    change(&store, given, [&mallory.serial], 1);
    let seen = tampered(&rig);
    assert!(!app.verify("alice", &mallory.secret.hotp(0)).accepted(), "a token of hers now");
    unavailable(&app.verify_token(&mallory.serial, &mallory.secret.hotp(0)), "by serial");
    assert!(tampered(&rig) > seen, "nobody was told");
    assert!(app.verify("alice", &alice.secret.hotp(1)).accepted(), "her own goes on");
    assert!(!app.verify("mallory", &mallory.secret.hotp(0)).accepted(), "and has none");
}

/// One way to change a challenge; `?1` is its handle.
const CHALLENGE_CHANGES: [(&str, &str); 9] = [
    ("attempts", "attempts = 0"),
    ("expiry", "expires_boot_ms = expires_boot_ms + 600000"),
    ("user", "user_id = (SELECT id FROM user WHERE name = 'mallory')"),
    (
        "phone",
        "phone_id = (SELECT p.id FROM phone p JOIN user u ON u.id = p.user_id WHERE u.name = 'mallory')",
    ),
    ("no phone", "phone_id = NULL"),
    ("digits", "digits = 8"),
    ("send number", "send_number = 2"),
    ("MAC", "state_mac = zeroblob(32)"),
    ("never expires", "expires_boot = NULL, expires_boot_ms = NULL"),
];

/// A12: a sent code is good for one challenge, application, phone, life and few tries. Red when one of these
/// columns is left out of the challenge's MAC.
#[test]
fn a_changed_challenge_accepts_nothing() {
    let rig = Appliance::start(RigOptions::with_modem().config(NO_DELAY));
    let keys = ["vpn", "mail"].map(|name| rig.app_key(name, &["challenge"]));
    let [mut app, mut other] = keys.map(|key| rig.loopback(Some(&key)));
    let store = database(&rig);
    rig.user("mallory");
    rig.phone("mallory", "+41791234599");
    let mut sent = 0;
    let mut order_one = |app: &mut Client, name: &str| {
        let number = format!("+417912345{sent:02}");
        sent += 1;
        rig.user(name);
        rig.phone(name, &number);
        let id = order(app, name);
        let otp = rig.modem().await_message(&number, 1).code();
        await_waiting(app, &id);
        (id, otp)
    };
    let set = |id: &str, columns: &str| {
        let handle = data_encoding::HEXLOWER.decode(id.as_bytes()).expect("a handle");
        change(&store, &format!("UPDATE challenge SET {columns} WHERE id = ?1"), [handle], 1);
    };
    for (n, (what, columns)) in CHALLENGE_CHANGES.iter().enumerate() {
        let name = format!("user{n}");
        let (id, otp) = order_one(&mut app, &name);
        assert!(answer(&mut app, &id, &other_than(&otp)).rejected());
        set(&id, columns);
        let changed = answer(&mut app, &id, &otp);
        assert!(!changed.accepted(), "{what}: {}", changed.text());
        let failures = rig.show_user(&name)["failures"].clone();
        assert_eq!(failures, 1, "{what}: counted");
    }
    let (id, otp) = order_one(&mut app, "moved");
    set(&id, "application_id = (SELECT id FROM application WHERE name = 'mail')");
    unavailable(&answer(&mut other, &id, &otp), "the application");
    let (id, otp) = order_one(&mut app, "used");
    assert!(answer(&mut app, &id, &otp).accepted());
    set(&id, "state = 'waiting', decided_at = NULL");
    unavailable(&answer(&mut app, &id, &otp), "the state");
    let (id, otp) = order_one(&mut app, "exhausted");
    for _ in 0..3 {
        assert!(answer(&mut app, &id, &other_than(&otp)).rejected());
    }
    set(&id, "state = 'waiting', attempts = 0");
    unavailable(&answer(&mut app, &id, &otp), "the attempts");
    let (id, otp) = order_one(&mut app, "renewed");
    order(&mut app, "renewed");
    set(&id, "state = 'waiting'");
    unavailable(&answer(&mut app, &id, &otp), "the newer one's place");
    assert!(tampered(&rig) >= 4, "nobody was told");
    println!("tamper: {} ways to change a challenge", CHALLENGE_CHANGES.len() + 4);
}

fn answer(app: &mut Client, id: &str, otp: &str) -> Answer {
    app.post(&format!("/v1/challenges/{id}/verify"), &json!({"otp": otp}))
}

fn await_waiting(app: &mut Client, id: &str) {
    wait_until(PATIENCE, "the code was sent", || {
        let shown = app.get(&format!("/v1/challenges/{id}")).expect(200).json();
        (shown["state"] == "waiting").then_some(())
    });
}

/// Another code of the same length.
fn other_than(otp: &str) -> String {
    let (head, last) = otp.split_at(otp.len() - 1);
    let digit: u32 = last.parse().expect("a digit");
    format!("{head}{}", (digit + 1) % 10)
}

/// Where the walk must stop.
#[derive(Clone, Copy)]
enum Stop {
    /// So many places after the one in the middle.
    After(i64),
    /// At this very place.
    At(i64),
}

/// A row in front of the chain, a copy of the one at `?1`.
macro_rules! inserted {
    ($seq:literal) => {
        concat!(
            "INSERT INTO event SELECT ",
            $seq,
            ", at, type, actor_kind, actor_id, actor_role, subject, outcome, reason, zeroblob(32), hash
             FROM event WHERE seq = ?1"
        )
    };
}

/// What a writer does to the chain, and where the walk must stop; `?1` is a place in the middle.
const CHAIN_CHANGES: [(&str, &str, Stop); 18] = [
    ("time", "UPDATE event SET at = at + 1 WHERE seq = ?1", Stop::After(0)),
    ("type", "UPDATE event SET type = type || '.x' WHERE seq = ?1", Stop::After(0)),
    ("actor", "UPDATE event SET actor_id = actor_id || 'x' WHERE seq = ?1", Stop::After(0)),
    ("role", "UPDATE event SET actor_role = actor_role || 'x' WHERE seq = ?1", Stop::After(0)),
    ("subject", "UPDATE event SET subject = '{}' WHERE seq = ?1", Stop::After(0)),
    ("outcome", "UPDATE event SET outcome = outcome || 'x' WHERE seq = ?1", Stop::After(0)),
    ("reason", "UPDATE event SET reason = coalesce(reason, '') || 'x' WHERE seq = ?1", Stop::After(0)),
    ("former hash", "UPDATE event SET prev_hash = zeroblob(32) WHERE seq = ?1", Stop::After(0)),
    ("hash", "UPDATE event SET hash = zeroblob(32) WHERE seq = ?1", Stop::After(0)),
    ("short hash", "UPDATE event SET hash = substr(hash, 1, 31) WHERE seq = ?1", Stop::After(0)),
    ("short former hash", "UPDATE event SET prev_hash = x'' WHERE seq = ?1", Stop::After(0)),
    ("no text", "UPDATE event SET type = CAST(x'ff' AS TEXT) WHERE seq = ?1", Stop::After(0)),
    ("deleted", "DELETE FROM event WHERE seq = ?1", Stop::After(1)),
    ("deleted in front", "DELETE FROM event WHERE seq < ?1", Stop::After(0)),
    ("moved", "UPDATE event SET seq = 1000000 WHERE seq = ?1", Stop::After(1)),
    ("zero", inserted!("0"), Stop::At(0)),
    ("negative", inserted!("-7"), Stop::At(-7)),
    ("lowest", inserted!("-9223372036854775808"), Stop::At(i64::MIN)),
];

/// T23, A29: any change before the end of the chain is found and named, offline. Red when the walk begins at the
/// first number and not below it, trusts a stored hash, or ends with a fault at a row that does not parse.
#[test]
fn a_changed_chain_is_broken_at_the_first_change() {
    let mut rig = Appliance::start(RigOptions::default());
    for n in 0..6 {
        let name = format!("user{n}");
        let token = rig.hotp_user(&name);
        assert!(rig.admin().verify(&name, &token.secret.hotp(0)).accepted());
        assert!(rig.admin().verify(&name, &token.secret.hotp(0)).rejected());
    }
    let events = rig.check_chain();
    assert!(rig.stop().success());
    let untouched = rig.path("untouched.db");
    fs::copy(rig.state.join("countersign.db"), &untouched).unwrap();
    let (code, walked) = audit(&rig, &untouched);
    assert_eq!((code, &walked["intact"]), (Some(0), &json!(true)), "{walked}");
    assert!(walked["seq"].as_u64() >= u64::try_from(events).ok(), "{walked}");
    let middle = i64::try_from(events / 2).unwrap();
    let copy = rig.path("changed.db");
    for (what, sql, stop) in CHAIN_CHANGES {
        fs::copy(&untouched, &copy).unwrap();
        let store = open(&copy);
        store
            .execute_batch("DROP TRIGGER event_is_never_changed; DROP TRIGGER event_is_never_deleted;")
            .unwrap();
        assert!(store.execute(sql, [middle]).expect(what) > 0, "{what}");
        store.close().expect("no statement is left");
        let expected = match stop {
            Stop::After(places) => middle + places,
            Stop::At(place) => place,
        };
        let (code, walked) = audit(&rig, &copy);
        assert_eq!((code, &walked["intact"]), (Some(1), &json!(false)), "{what}: {walked}");
        assert_eq!(walked["first_bad"], expected, "{what}: {walked}");
    }
    println!("tamper: {} changes of a chain of {events} events", CHAIN_CHANGES.len());
}

fn audit(rig: &Appliance, file: &Path) -> (Option<i32>, Value) {
    let output = rig.cli(&["--json", "audit", "verify", "--db", file.to_str().expect("own path")]);
    let shown = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", tests::appliance::told(&output)));
    (output.status.code(), shown)
}
