//! A number that nobody has yet as the factor of an enrolment: sealed beside it until the binding takes effect.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::desk::{PASSPORT, SCOPES, request, told_of};
use tests::{Answer, Appliance, Client, PATIENCE, RigOptions, wait_until};

const NUMBER: &str = "+41791234561";
const OTHER: &str = "+41791234562";
const METHODS: &str = "[enrol.methods]\nself_asserted.enabled = true\n";

fn rig(config: &str) -> Appliance {
    let rig = Appliance::start(RigOptions::with_modem().config(config));
    rig.user("alice");
    rig
}

/// The desk of root, as long as there is nobody else (D-54).
struct Desk {
    client: Client,
    id: String,
}

impl Desk {
    #[track_caller]
    fn begin(rig: &Appliance, user: &str) -> Desk {
        let mut client = rig.admin();
        let new = json!({"user": user, "method": "on_premise", "level": 2});
        let asked = client.post("/v1/enrolments", &new).expect(201).json();
        let mut desk = Desk { client, id: asked["id"].as_str().expect("a handle").to_owned() };
        desk.act("factor", &json!({"type": "sms"})).expect(200);
        desk.act("vet", &json!({"place": "Desk 3"})).expect(200);
        desk
    }

    #[track_caller]
    fn act(&mut self, act: &str, body: &Value) -> Answer {
        self.client.post(&format!("/v1/enrolments/{}/{act}", self.id), body)
    }

    #[track_caller]
    fn shown(&mut self) -> Value {
        self.client.get(&format!("/v1/enrolments/{}", self.id)).expect(200).json()
    }

    /// Sends a code to a number, or to the one that is there, and types it back.
    #[track_caller]
    fn prove(&mut self, rig: &Appliance, to: &str, body: &Value) {
        let before = rig.modem().messages_to(to).len();
        let sent = self.act("possession/send", body).expect(202).json();
        assert!(
            to.ends_with(sent["phone_masked"].as_str().expect("digits").trim_start_matches('…')),
            "{sent}"
        );
        let otp = rig.modem().await_message(to, before + 1).code();
        let shown = json!({"challenge": sent["challenge"], "otp": otp});
        wait_until(PATIENCE, "the code to live", || {
            (self.act("possession", &shown).status == 200).then_some(())
        });
    }

    /// The rest of the way, up to the binding.
    #[track_caller]
    fn bound(&mut self, rig: &Appliance) {
        let proof = [&["enrol", "vet", "proof", &self.id][..], &PASSPORT].concat();
        rig.cli_json(&proof);
        self.act("vet/record", &json!({})).expect(200);
        self.act("bind", &json!({})).expect(200);
    }
}

#[track_caller]
fn number_of(rig: &Appliance, user: &str) -> Value {
    rig.show_user(user)["phone_masked"].clone()
}

/// How many numbers are kept beside enrolments.
fn kept(rig: &Appliance) -> i64 {
    let store = Connection::open(rig.state.join("countersign.db")).expect("the store");
    store.busy_timeout(Duration::from_secs(10)).expect("a live connection");
    store.query_row("SELECT count(*) FROM enrolment_number", [], |row| row.get(0)).expect("a count")
}

/// BIND-09, BIND-21, BIND-24, MOB-03, D-50: at the desk a number that nobody has gets a code, and is the user's once the
/// binding takes effect, at its level; another one than was shown is a mismatch. Red when the number is there before, when its
/// code serves a login, or when it stays beside the enrolment.
#[test]
fn a_new_number_is_bound_at_the_desk() {
    let rig = rig(MANY_MESSAGES);
    rig.user("bob");
    rig.phone("bob", OTHER);
    let mut desk = Desk::begin(&rig, "alice");
    let none = desk.act("possession/send", &json!({}));
    assert_eq!((none.status, none.code().as_str()), (404, "no-user-or-phonenumber"), "{}", none.text());
    for taken in [OTHER, "nonsense"] {
        let refused = desk.act("possession/send", &json!({"number": taken}));
        assert_eq!(refused.code(), "enrol.number_not_usable", "{taken}: {}", refused.text());
    }
    let id = desk.id.clone();
    let sent = rig.cli_json(&["enrol", "send", &id, "--number", NUMBER]);
    let otp = rig.modem().await_message(NUMBER, 1).code();
    let challenge = sent["challenge"].as_str().expect("a handle");
    wait_until(PATIENCE, "the code to live", || {
        let found = desk.client.get(&format!("/v1/challenges/{challenge}")).expect(200).json();
        assert_eq!(found["phone_masked"], "", "{found}");
        (found["state"] == "waiting").then_some(())
    });
    let login = desk.client.post(&format!("/v1/challenges/{challenge}/verify"), &json!({"otp": otp}));
    assert!(login.rejected(), "a code for an enrolment is no login: {}", login.text());
    desk.client.post(&format!("/v1/challenges/{challenge}/resend"), &json!({})).expect(409);
    let shown = rig.cli_json(&["enrol", "vet", "possession", &id, &otp, "--challenge", challenge]);
    assert_eq!((&shown["phone"], &shown["phone_masked"]), (&json!(true), &json!("…4561")), "{shown}");
    assert_eq!((number_of(&rig, "alice"), kept(&rig)), (Value::Null, 1), "nothing before the end");
    let another = desk.act("possession/send", &json!({"number": "+41791234563"}));
    assert_eq!(another.code(), "enrol.token_mismatch", "{}", another.text());
    desk.prove(&rig, NUMBER, &json!({}));
    desk.bound(&rig);
    assert_eq!(number_of(&rig, "alice"), Value::Null, "nothing before the end");
    let active = desk.act("activate", &json!({})).expect(200).json();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(2.0)), "{active}");
    assert_eq!(rig.events("type=phone.registered&user=alice").len(), 1);
    assert_eq!(rig.events("type=phone.possession_proven&user=alice").len(), 2);
    assert_eq!(kept(&rig), 0, "it is where it belongs");

    let vpn = rig.app_key("vpn", &["challenge"]);
    let mut app = rig.loopback(Some(&vpn));
    let before = rig.modem().messages_to(NUMBER).len();
    let asked = app.post("/v1/challenges", &json!({"user": "alice", "channel": "sms"})).expect(201).json();
    let otp = rig.modem().await_message(NUMBER, before + 1).code();
    let path = format!("/v1/challenges/{}", asked["id"].as_str().expect("a handle"));
    wait_until(PATIENCE, "the code to live", || {
        (app.get(&path).expect(200).json()["state"] == "waiting").then_some(())
    });
    let verified = app.post(&format!("{path}/verify"), &json!({"otp": otp})).expect(200).json();
    assert_eq!((&verified["verdict"], &verified["loa"]), (&json!("accept"), &json!(2.0)), "{verified}");
    let revoked = desk.act("revoke", &json!({"reason": "lost"})).expect(200).json();
    assert_eq!((&revoked["state"], number_of(&rig, "alice")), (&json!("revoked"), Value::Null), "{revoked}");
    rig.check_chain();
}

/// BIND-24, D-52, AT-17: a number that was changed between the proof at the desk and the activation was never shown, whether
/// the bound one was, or a new one. Red when the binding takes effect with it.
#[test]
fn a_number_changed_after_the_proof_is_a_mismatch() {
    let rig = rig(MANY_MESSAGES);
    rig.user("bob");
    rig.phone("alice", NUMBER);
    let mut bound = Desk::begin(&rig, "alice");
    bound.prove(&rig, NUMBER, &json!({}));
    let mut new = Desk::begin(&rig, "bob");
    new.prove(&rig, OTHER, &json!({"number": OTHER}));
    for (desk, user, swapped) in [(&mut bound, "alice", "+41791234563"), (&mut new, "bob", "+41791234564")] {
        desk.bound(&rig);
        rig.phone(user, swapped);
        let refused = desk.act("activate", &json!({}));
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (409, "enrol.token_mismatch"),
            "{user}: {}",
            refused.text()
        );
        assert_eq!(desk.shown()["state"], "bound");
        let masked = number_of(&rig, user);
        assert!(masked.to_string().contains(&swapped[9..]), "{user}: {masked}");
        let happened = told_of(&rig, &desk.id);
        let last = happened.last().map(String::as_str);
        assert_eq!(last, Some("enrol.token_mismatch enrol.token_mismatch"), "{happened:?}");
    }
    rig.check_chain();
}

/// B.5.1, BIND-24, MOB-37, SMS-43: another number takes the place of the one that is there, which is told; a message costs what
/// it costs everywhere; a number goes with an enrolment that ends before. Red when the limits of messages are left out.
#[test]
fn another_number_takes_the_place_of_the_first() {
    let rig = rig("[sms.limits]\nnumber_hour = 2\n");
    rig.phone("alice", OTHER);
    let mut given_up = Desk::begin(&rig, "alice");
    given_up.prove(&rig, NUMBER, &json!({"number": NUMBER}));
    assert_eq!(given_up.shown()["phone_masked"], "…4561");
    given_up.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    assert_eq!((given_up.shown()["phone_masked"].clone(), kept(&rig)), (Value::Null, 0));

    let mut desk = Desk::begin(&rig, "alice");
    desk.prove(&rig, NUMBER, &json!({"number": NUMBER}));
    let limited = desk.act("possession/send", &json!({}));
    assert_eq!((limited.status, limited.code().as_str()), (429, "rate-limited"), "{}", limited.text());
    desk.bound(&rig);
    let active = desk.act("activate", &json!({})).expect(200).json();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(2.0)), "{active}");
    assert!(number_of(&rig, "alice").to_string().contains("4561"));
    let changed = rig.events("type=phone.changed&user=alice");
    assert_eq!(changed[0]["subject"]["enrolment"], desk.id.as_str(), "{changed:?}");
    rig.modem().await_message(OTHER, 1);
    rig.check_chain();
}

/// BIND-33, BIND-40, MOB-20: who has no number registers one by the own word, at level 1.5; who has one does not get around it
/// by that. Red when a number that counts for more is replaced by the first factor alone.
#[test]
fn nobody_gets_around_a_number_by_the_own_word() {
    let rig = rig(&format!("{METHODS}\n{MANY_MESSAGES}"));
    rig.user("bob");
    rig.phone("bob", OTHER);
    let key = rig.app_key("portal", &SCOPES);
    let asked = |user: &str| {
        let mut client = rig.loopback(Some(&key));
        let asked = client.post("/v1/enrolments", &request(user, "self_asserted", 1.5)).expect(201).json();
        (Desk { client, id: asked["id"].as_str().expect("a handle").to_owned() }, asked["reason"].clone())
    };
    let ask = |user: &str| {
        let (mut one, reason) = asked(user);
        assert_eq!(reason, Value::Null);
        one.act("factor", &json!({"type": "sms"})).expect(200);
        one
    };
    // Begun before there is a number.
    let mut early = ask("alice");
    rig.user("carol");
    let mut before = ask("carol");
    rig.phone("carol", "+41791234564");
    let refused = before.act("possession/send", &json!({"number": "+41791234563"}));
    assert_eq!(refused.code(), "enrol.number_not_usable", "{}", refused.text());
    assert_eq!(asked("bob").1, "not_eligible.stronger_factor");
    let mut own = ask("alice");
    own.prove(&rig, NUMBER, &json!({"number": NUMBER}));
    let active = own.shown();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(1.5)), "{active}");
    assert!(number_of(&rig, "alice").to_string().contains("4561"));
    let again = early.act("possession/send", &json!({"number": "+41791234563"}));
    assert_eq!(again.code(), "enrol.number_not_usable", "a change is no first one: {}", again.text());
    assert_eq!(asked("alice").1, "not_eligible.stronger_factor");
    rig.check_chain();
}

/// BIND-42, BIND-43: the binding of a number ends in the act by which another one takes its place at the desk, and in that by
/// which an operator removes it, on the word of who did it. Red when the appliance finds it out later, and says that it was
/// itself.
#[test]
fn a_binding_ends_with_its_number() {
    let rig = rig(MANY_MESSAGES);
    let mut desks = Vec::new();
    for number in [NUMBER, OTHER] {
        let mut desk = Desk::begin(&rig, "alice");
        desk.prove(&rig, number, &json!({"number": number}));
        desk.bound(&rig);
        desk.act("activate", &json!({})).expect(200);
        desks.push(desk);
    }
    assert_eq!(desks[1].shown()["state"], "confirmed");
    rig.cli_json(&["user", "phone", "remove", "alice"]);
    let events = rig.events("type=enrol.revoked");
    for (desk, why) in desks.iter_mut().zip(["request_complied_with", "authority"]) {
        let shown = desk.shown();
        assert_eq!((&shown["state"], &shown["reason"]), (&json!("revoked"), &json!("replaced")), "{shown}");
        let of_it = events.iter().find(|event| event["subject"]["enrolment"] == desk.id.as_str());
        assert_eq!(of_it.expect("an event")["subject"]["why"], why);
    }
    rig.check_chain();
}
