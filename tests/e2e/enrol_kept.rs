//! What is kept of enrolments: rows changed past the appliance, a daemon that is killed between two acts, people who are
//! forgotten. AT-19, A22, T3.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value as Column;
use serde_json::{Value, json};
use tests::desk::{SCOPES, request, told_of};
use tests::people::Enrolled;
use tests::{Appliance, Client, RigOptions};

/// How long a change waits for the daemon's own writes.
const BUSY: Duration = Duration::from_secs(10);

struct Scene {
    rig: Appliance,
    key: String,
    token: Enrolled,
    counter: u64,
}

/// The acts of an enrolment of an app at the desk, by the application and by root at the console.
const ACTS: [&str; 10] = [
    "factor",
    "possession",
    "code",
    "vet",
    "show",
    "vet/proof",
    "vet/source",
    "vet/record",
    "bind",
    "activate",
];

impl Scene {
    fn start() -> Scene {
        let rig = Appliance::start(RigOptions::default());
        let key = rig.app_key("portal", &SCOPES);
        let token = rig.hotp_user("alice");
        Scene { rig, key, token, counter: 0 }
    }

    fn portal(&self) -> Client {
        self.rig.loopback(Some(&self.key))
    }

    fn ask(&self) -> String {
        let asked =
            self.portal().post("/v1/enrolments", &request("alice", "on_premise", 2.0)).expect(201).json();
        asked["id"].as_str().expect("a handle").to_owned()
    }

    fn otp(&mut self) -> String {
        self.counter += 1;
        self.token.secret.hotp(self.counter - 1)
    }

    /// One act; `code` is what the act before has given.
    #[track_caller]
    fn act(&mut self, id: &str, act: &str, code: &mut String) {
        let body = match act {
            "factor" => json!({"type": "soft"}),
            "possession" | "show" => json!({"otp": self.otp()}),
            "vet" => json!({"code": code, "place": "Desk 3"}),
            "vet/proof" => json!({
                "kind": "id_document", "document": "passport", "country": "CH", "last6": "X12345",
                "not_expired": true, "name_match": true, "photo_match": true, "remark": "Zoë Müller-Example",
            }),
            "vet/source" => json!({"source": "Fedpol", "valid": true}),
            _ => json!({}),
        };
        let path = format!("/v1/enrolments/{id}/{}", if act == "show" { "possession" } else { act });
        let by_application = matches!(act, "factor" | "possession" | "code");
        let mut client = if by_application { self.portal() } else { self.rig.admin() };
        let answer = client.post(&path, &body);
        assert!(answer.status < 300, "{act}: {}", answer.text());
        if act == "code" {
            *code = answer.json()["code"].as_str().expect("a code").to_owned();
        }
    }

    fn whole(&mut self) -> String {
        let (id, mut code) = (self.ask(), String::new());
        ACTS.iter().for_each(|act| self.act(&id, act, &mut code));
        assert_eq!(self.show(&id)["state"], "confirmed");
        id
    }

    #[track_caller]
    fn show(&self, id: &str) -> Value {
        self.rig.admin().get(&format!("/v1/enrolments/{id}")).expect(200).json()
    }

    fn database(&self) -> Connection {
        let connection = Connection::open(self.rig.state.join("countersign.db")).expect("the store");
        connection.busy_timeout(BUSY).expect("a live connection");
        connection
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Column>> {
        let store = self.database();
        let mut statement = store.prepare(sql).expect(sql);
        let width = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| (0..width).map(|n| row.get(n)).collect();
        statement.query_map([], read).expect(sql).collect::<Result<_, _>>().expect(sql)
    }
}

const KEPT: [&str; 3] =
    ["SELECT * FROM enrolment", "SELECT * FROM enrolment_step", "SELECT * FROM vetting_identity"];

/// BIND-39, T3: a daemon that is killed after each act goes on where it was, with all of the act and nothing of the
/// next. Red when an act answers before it is on disk, or when a step is kept without its event.
#[test]
fn a_killed_daemon_goes_on_where_it_was() {
    let mut scene = Scene::start();
    let (id, mut code) = (scene.ask(), String::new());
    for act in ACTS {
        scene.act(&id, act, &mut code);
        let before: Vec<_> = KEPT.map(|sql| scene.rows(sql)).into();
        scene.rig.kill9();
        scene.rig.serve();
        scene.rig.await_ready();
        let after: Vec<_> = KEPT.map(|sql| scene.rows(sql)).into();
        assert_eq!(before, after, "killed after {act}");
        let told = told_of(&scene.rig, &id).len();
        let steps = scene.rig.admin().get(&format!("/v1/enrolments/{id}/activities")).expect(200).json();
        assert_eq!(steps["items"].as_array().map(Vec::len), Some(told), "after {act}");
    }
    assert_eq!(scene.show(&id)["state"], "confirmed");
    scene.rig.check_chain();
}

/// Ways to change an enrolment past the appliance.
const CHANGES: [(&str, &str); 14] = [
    ("enrolment", "state = 'vetted'"),
    ("enrolment", "done = 131071"),
    ("enrolment", "target = '1.5'"),
    ("enrolment", "method = 'self_asserted'"),
    ("enrolment", "user_id = (SELECT id FROM user WHERE name = 'mallory')"),
    ("enrolment", "organisation = 'Physics'"),
    ("enrolment", "application_id = zeroblob(16)"),
    ("enrolment", "requested_by = 'desk'"),
    ("enrolment", "item = randomblob(16)"),
    ("enrolment", "vetter = NULL"),
    ("enrolment", "code_until = code_until + 86400000"),
    ("enrolment", "security_features = 1"),
    ("enrolment", "reason = 'x'"),
    ("enrolment", "mac = zeroblob(32)"),
];

/// A22, BIND-41. Red when a column of an enrolment is left out of its MAC: who may write to the database makes somebody
/// vetted, gives the factor to somebody else, or raises what it is worth.
#[test]
fn a_changed_enrolment_is_refused() {
    let mut scene = Scene::start();
    scene.rig.user("mallory");
    let (id, mut code) = (scene.ask(), String::new());
    ACTS[..6].iter().for_each(|act| scene.act(&id, act, &mut code));
    let store = scene.database();
    let columns = "state, done, target, method, user_id, organisation, application_id, requested_by, item, vetter, \
                   code_until, security_features, reason, mac";
    let before = scene.rows(&format!("SELECT {columns} FROM enrolment")).remove(0);
    let mut admin = scene.rig.admin();
    for (table, there) in CHANGES {
        let seen = scene.rig.events("type=store.tampered").len();
        assert_eq!(store.execute(&format!("UPDATE {table} SET {there}"), []).expect(there), 1, "{there}");
        for (method, path) in [("POST", "/vet/record"), ("GET", ""), ("POST", "/cancel")] {
            let body = json!({"reason": "no"});
            let body = if path == "/cancel" { body } else { json!({}) };
            let answer = admin.request(
                method,
                &format!("/v1/enrolments/{id}{path}"),
                (method == "POST").then_some(&body),
            );
            let code = answer.code();
            assert_eq!(
                (answer.status, code.as_str()),
                (503, "store-unavailable"),
                "{there}: {}",
                answer.text()
            );
        }
        assert!(scene.rig.events("type=store.tampered").len() > seen, "{there}: nobody was told");
        let back: Vec<String> =
            columns.split(", ").zip(1..).map(|(column, n)| format!("{} = ?{n}", column.trim())).collect();
        let back = format!("UPDATE enrolment SET {}", back.join(", "));
        assert_eq!(store.execute(&back, rusqlite::params_from_iter(&before)).expect(there), 1);
    }
    let steps = format!("/v1/enrolments/{id}/activities");
    admin.get(&steps).expect(200);
    for there in [
        "UPDATE enrolment_step SET actor_id = 'mallory' WHERE nth = 5",
        "UPDATE enrolment_step SET result = 'ok', at = at - 1 WHERE nth = 2",
        "UPDATE enrolment_step SET place = 'nowhere' WHERE nth = 6",
        "DELETE FROM enrolment_step WHERE nth = 3",
    ] {
        store.execute_batch(&format!("SAVEPOINT one; {there}; RELEASE one")).expect(there);
        assert_eq!(admin.get(&steps).status, 503, "{there}");
    }
    // What was vetted is somebody else's no more than it is readable.
    store.execute("UPDATE vetting_identity SET record = randomblob(length(record))", []).expect("a record");
    let proof = json!({"method": "face_to_face", "passed": true});
    assert_eq!(admin.post(&format!("/v1/enrolments/{id}/vet/liveness"), &proof).status, 503);
    println!("tamper: {} ways to change an enrolment", CHANGES.len());
}

/// A22, BIND-35: who may write to the database makes no registration authority of the right level out of one of a
/// lower: the level stands in the binding of the record.
#[test]
fn a_raised_level_vouches_for_nothing() {
    let mut scene = Scene::start();
    let id = scene.whole();
    let token = &scene.token;
    let changed = scene.database().execute("UPDATE token SET loa = 3.0", []).expect("the token");
    assert_eq!(changed, 1);
    let answer = scene.portal().verify("alice", &token.secret.hotp(scene.counter));
    assert_eq!(answer.status, 503, "{}", answer.text());
    let revoked = scene.rig.admin().post(&format!("/v1/enrolments/{id}/revoke"), &json!({"reason": "lost"}));
    assert_eq!(revoked.status, 200, "what ends it needs no level: {}", revoked.text());
}

/// AT-19, BIND-18, BIND-37, BIND-38, D-48: the record of an identity is read by who may, erased by itself, and gone with
/// its person; the chain of events stays whole, and names a pseudonym that stands for nobody. Red when a name, a number
/// of a document or a sealed record outlives its person.
#[test]
fn a_person_is_forgotten_and_the_chain_stays() {
    let mut scene = Scene::start();
    let id = scene.whole();
    let mut admin = scene.rig.admin();
    let record = admin.get(&format!("/v1/enrolments/{id}/identity")).expect(200).json();
    assert_eq!((&record["last6"], &record["country"]), (&json!("X12345"), &json!("CH")), "{record}");
    assert_eq!(scene.rig.events("type=enrol.identity_read").len(), 1, "that it was read is an event");
    let steps = scene.rig.admin().get(&format!("/v1/enrolments/{id}/activities")).expect(200).text();
    assert!(steps.contains("Müller-Example") && !steps.contains("X12345"), "{steps}");
    let events = scene.rig.events("");
    let user_ref = scene.rig.show_user("alice")["user_ref"].as_str().expect("a pseudonym").to_owned();

    // The record alone.
    admin.delete(&format!("/v1/enrolments/{id}/identity")).expect(204);
    admin.get(&format!("/v1/enrolments/{id}/identity")).expect(404);
    assert_eq!(scene.show(&id)["state"], "confirmed", "the binding stays");
    assert!(scene.portal().verify("alice", &scene.otp()).accepted());

    // The person, with another enrolment under way.
    let (open, mut code) = (scene.ask(), String::new());
    ACTS[..6].iter().for_each(|act| scene.act(&open, act, &mut code));
    admin.delete(&format!("/v1/enrolments/{open}/identity")).expect(409);
    let forgotten = scene.rig.cli_json(&["user", "forget", "alice", "--yes"]);
    assert_eq!(forgotten["user_ref"], json!(user_ref));
    admin.get("/v1/users/alice").expect(404);
    assert!(scene.portal().verify("alice", &scene.otp()).rejected());
    assert_eq!(scene.show(&id)["state"], "revoked");
    assert_eq!(scene.show(&open)["state"], "cancelled");
    let shown = scene.show(&open);
    assert!(!shown.to_string().contains("alice") && !shown.to_string().contains("Alice"), "{shown}");
    assert!(scene.rows("SELECT * FROM vetting_identity").is_empty());
    let steps = scene.rig.admin().get(&format!("/v1/enrolments/{open}/activities")).expect(200).text();
    assert!(!steps.contains("Müller-Example"), "{steps}");

    let after = scene.rig.events("");
    assert_eq!(&after[..events.len()], &events[..], "what happened stays");
    assert!(after.iter().any(|event| event["type"] == "user.forgotten"));
    scene.rig.check_chain();
    // Somebody else may have the name; nothing of the former one is theirs.
    scene.rig.user("alice");
    assert!(scene.rig.events("user=alice").iter().all(|event| event["type"] == "user.added"));
    scene.rig.user("zoe");
    scene.rig.stop();
    let file = std::fs::read(scene.rig.state.join("countersign.db")).expect("the store");
    let holds = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    assert!(holds(b"zoe") && !holds(b"X12345") && !holds(b"Example"), "nothing is left in the file");
}
