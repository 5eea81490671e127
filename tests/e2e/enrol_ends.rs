//! How the factors of enrolments end: by what takes their place, by their serial, with their recovery codes; and what an applicant has
//! begun before the desk goes on with it. BIND, COMB.

use std::thread;

use serde_json::{Value, json};
use tests::desk::{SCOPES, told_of};
use tests::device::{Choice, Personality};
use tests::enrolling::{Enrolling, proof};
use tests::flow::{self, Flow};
use tests::handset::{Handset, REFUSED, register};
use tests::time::unix_s;
use tests::{Appliance, RigOptions};

const PING: Personality = Personality::PingNew;
/// An app in place of the one that is there.
const CONFIG: &str = r#"
[push]
[enrol.methods]
self_asserted.enabled = true

[[selfservice]]
id = "oath-otp-replace"
label = "Replace a lost phone"
overwrite_existing = true
steps = ["oath-activate"]
"#;
const OWN_PHONE: (&str, f64, &str) = ("self_asserted", 1.5, "push");
const OWN_APP: (&str, f64, &str) = ("self_asserted", 1.5, "soft");
const AT_DESK: (&str, f64, &str) = ("on_premise", 2.0, "push");

fn rig() -> (Appliance, String) {
    let rig = Appliance::start(RigOptions { pages: true, ..RigOptions::default().config(CONFIG) });
    let more = ["tokens:write", "users:read"];
    let key = rig.app_key("portal", &[&SCOPES[..], &flow::SCOPES[..], &more[..]].concat());
    (rig, key)
}

/// A phone that is registered for an enrolment, and held by it.
fn held(rig: &Appliance, one: &mut Enrolling, queue: &str) -> (Handset, usize, String) {
    let uri = one.uri(&json!({}));
    let mut handset = Handset::new(rig, PING, queue);
    let (account, answer) = handset.register(&uri);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let shown = one.shown();
    assert_eq!(shown["push"]["state"], "pending", "{shown}");
    (handset, account, shown["push"]["serial"].as_str().expect("a serial").to_owned())
}

/// The phones of a user that are not revoked, and the state of the codes.
fn halves(rig: &Appliance, user: &str) -> (usize, Value) {
    let phones = rig.cli_json(&["push", "list", user]);
    let tokens = rig.cli_json(&["token", "list", "--user", user]);
    let items = tokens["items"].as_array().cloned().unwrap_or_default();
    let codes = items.iter().find(|item| item["type"] == "totp").expect("codes");
    (phones["items"].as_array().map_or(0, Vec::len), codes["state"].clone())
}

/// On whose word the binding of an enrolment has ended, and who that was.
#[track_caller]
fn ended_by(rig: &Appliance, one: &mut Enrolling) -> (String, String) {
    let shown = one.shown();
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("revoked"), &json!("replaced")), "{shown}");
    let events = rig.events("type=enrol.revoked");
    let mut of_it = events.iter().filter(|event| event["subject"]["enrolment"] == one.id.as_str());
    let event = of_it.next().expect("an event");
    assert!(of_it.next().is_none(), "once");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["subject"]["why"]), text(&event["actor"]["kind"]))
}

/// BIND-42, BIND-43, OATH-44, OATH-50, COMB-40: a binding ends in the act that ends its phone or app, on the word of who did that:
/// a phone that is registered in its place, an app that the user sets up anew, an account that an operator renews or deletes.
/// Red when the appliance finds it out later, and says that it was itself.
#[test]
fn a_binding_ends_with_what_takes_its_place() {
    let (rig, key) = rig();
    let user = ("self_revocation".to_owned(), "user".to_owned());
    rig.user("alice");
    let mut phone = Enrolling::ask(&rig, &key, "alice", OWN_PHONE);
    let (mut handset, account, _) = held(&rig, &mut phone, "alice");
    assert_eq!(phone.confirmed(&mut handset, account)["state"], "confirmed");
    let mut client = rig.loopback(Some(&key));
    let anew = json!({"kind": "combined", "replace": true});
    let begun = client.post("/v1/users/alice/registrations", &anew).expect(201).json();
    let mut other = Handset::new(&rig, PING, "other");
    assert_eq!(other.register(begun["uri"].as_str().expect("a URI")).1.status, 200);
    assert_eq!(ended_by(&rig, &mut phone), user);

    let mut apps = Vec::new();
    for name in ["bob", "carol", "dave"] {
        rig.user(name);
        let mut app = Enrolling::ask(&rig, &key, name, OWN_APP);
        app.token_shown();
        assert_eq!(app.shown()["state"], "confirmed");
        apps.push(app);
    }
    let mut flow = Flow::of(rig.loopback(Some(&key)), "oath-otp-replace", "bob");
    let uri = flow.wants("oath-activate")["activation"]["otpauth_uri"].as_str().expect("a URI").to_owned();
    flow.code(&tests::Secret::of_uri(&uri).totp(unix_s()));
    assert_eq!(ended_by(&rig, &mut apps[0]), user);
    let logins = ["bob", "carol", "dave"].map(|user| {
        let login = Flow::of(rig.loopback(Some(&key)), "oath-otp-replace", user);
        login.wants("oath-activate");
        login
    });
    rig.cli_json(&["oath", "renew", "carol", "--hand", "--yes"]);
    rig.cli_json(&["oath", "delete", "dave", "--yes"]);
    let status = logins.map(|mut login| login.again().status);
    assert_eq!(status, [200, 404, 404], "what was shown by it counts no more");
    for app in &mut apps[1..] {
        let (why, kind) = ended_by(&rig, app);
        assert!(why == "authority" && kind != "system", "{why} {kind}");
    }
    rig.check_chain();
}

/// BIND-42, BIND-43: what was vetted twice ends as a whole, on one word. Red when the former binding outlives its factor until
/// the appliance finds it out.
#[test]
fn all_bindings_of_a_factor_end_at_once() {
    let (rig, key) = rig();
    rig.user("alice");
    let mut own = Enrolling::ask(&rig, &key, "alice", OWN_PHONE);
    let (mut handset, account, _) = held(&rig, &mut own, "alice");
    assert_eq!(own.confirmed(&mut handset, account)["state"], "confirmed");
    let mut vetted = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    vetted.confirmed(&mut handset, account);
    assert_eq!(vetted.begun(&rig).vetted()["loa"], 2.0);
    let mut login = Flow::of(rig.loopback(Some(&key)), "oath-otp-replace", "alice");
    vetted.at_desk(&rig).act("revoke", &json!({"reason": "lost", "by_user": true})).expect(200);
    assert_eq!(login.again().status, 404, "what was shown by it counts no more");
    for one in [&mut own, &mut vetted] {
        let shown = one.shown();
        assert_eq!((&shown["state"], &shown["reason"]), (&json!("revoked"), &json!("lost")), "{shown}");
    }
    let events = rig.events("type=enrol.revoked");
    let whys: Vec<&Value> = events.iter().map(|event| &event["subject"]["why"]).collect();
    assert_eq!(whys, ["request_complied_with"; 2]);
    assert_eq!(halves(&rig, "alice"), (0, json!("revoked")));
    rig.check_chain();
}

/// BIND-42, B.5.5: a phone that is revoked by its serial takes the codes along that came with it, held or bound. Red when they
/// stay, pending for ever or at a level that nothing vouches for any more.
#[test]
fn both_halves_end_by_the_serial() {
    let (rig, key) = rig();
    let revoked = (0, json!("revoked"));
    rig.user("alice");
    let mut waiting = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let (.., serial) = held(&rig, &mut waiting, "alice");
    assert_eq!(halves(&rig, "alice"), (1, json!("pending")));
    rig.cli_json(&["token", "revoke", &serial]);
    assert_eq!(halves(&rig, "alice"), revoked);

    rig.user("bob");
    let mut own = Enrolling::ask(&rig, &key, "bob", OWN_PHONE);
    let (mut handset, account, serial) = held(&rig, &mut own, "bob");
    assert_eq!(own.confirmed(&mut handset, account)["state"], "confirmed");
    rig.cli_json(&["token", "revoke", &serial]);
    assert_eq!(halves(&rig, "bob"), revoked);
    assert!(own.client.verify("bob", &handset.phone.code(account, unix_s())).rejected());

    // What no enrolment has registered is two things.
    rig.user("carol");
    let mut client = rig.loopback(Some(&key));
    register(&rig, &mut client, "carol", ("combined", PING));
    let serial = rig.cli_json(&["push", "list", "carol"])["items"][0]["serial"].clone();
    rig.cli_json(&["token", "revoke", serial.as_str().expect("a serial")]);
    assert_eq!(halves(&rig, "carol"), (0, json!("active")));
    rig.check_chain();
}

/// BIND-09, BIND-23, BIND-36, D-50: what an applicant has begun stays good when the desk begins: the phone that answers then is
/// held, and bound once it was shown at the desk, which no answer from before does. A code that the desk shows takes the
/// place of the applicant's. Red when the phone is lost, when it is bound without being shown there, or when two codes are good.
#[test]
fn a_code_from_before_the_desk_stays_good() {
    let (rig, key) = rig();
    rig.user("alice");
    let mut alice = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let uri = alice.uri(&json!({}));
    let mut desk = alice.begun(&rig);
    let mut handset = Handset::new(&rig, PING, "alice");
    let (account, answer) = handset.register(&uri);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let shown = desk.shown();
    assert_eq!((&shown["state"], &shown["push"]["state"]), (&json!("vetting"), &json!("pending")), "{shown}");
    assert_eq!(desk.act("vet/proof", &proof()).code(), "enrol.missing_activity", "not shown yet");
    assert_eq!(desk.act("phone", &json!({})).code(), "enrol.token_mismatch", "there is one");
    let alone = alice.act("possession/send", &json!({}));
    assert_eq!(alone.status, 403, "the applicant shows nothing at the desk: {}", alone.text());
    desk.confirmed(&mut handset, account);
    let active = desk.vetted();
    assert_eq!(
        (&active["state"], &active["loa"], &active["push"]["state"]),
        (&json!("confirmed"), &json!(2.0), &json!("active")),
        "{active}"
    );
    let code = alice.client.verify("alice", &handset.phone.code(account, unix_s())).expect(200).json();
    assert_eq!((&code["verdict"], &code["loa"]), (&json!("accept"), &json!(2.0)), "both halves: {code}");

    rig.user("bob");
    let mut bob = Enrolling::ask(&rig, &key, "bob", AT_DESK);
    let before = bob.uri(&json!({}));
    let mut desk = bob.begun(&rig);
    let now = desk.uri(&json!({}));
    let mut handset = Handset::new(&rig, PING, "bob");
    let (_, answer) = handset.register(&before);
    assert_eq!((answer.status, answer.text().as_str()), (400, REFUSED), "the desk's is the one");
    assert_eq!(desk.shown()["push"], Value::Null);
    let mut handset = Handset::new(&rig, PING, "bob-again");
    let (account, answer) = handset.register(&now);
    assert_eq!(answer.status, 200, "{}", answer.text());
    desk.confirmed(&mut handset, account);
    assert_eq!(desk.vetted()["state"], "confirmed");

    // What was asked and answered before shows nothing at the desk.
    rig.user("carol");
    let mut carol = Enrolling::ask(&rig, &key, "carol", AT_DESK);
    let (mut handset, account, _) = held(&rig, &mut carol, "carol");
    let early = carol.answered(&mut handset, account, Choice::Number);
    let mut desk = carol.begun(&rig);
    for one in [&mut carol, &mut desk] {
        let late = one.act("possession", &json!({"challenge": early}));
        assert!([403, 404].contains(&late.status), "{}", late.text());
    }
    assert_eq!(desk.act("vet/proof", &proof()).code(), "enrol.missing_activity");
    let told = told_of(&rig, &carol.id);
    assert!(!told.iter().any(|kind| kind == "enrol.possession_shown"), "{told:?}");
    rig.check_chain();
}

/// B.5.8, COMB-15, BIND-42: recovery codes end with the last phone, also where that ends with its enrolment, and what is only
/// being enrolled keeps none alive. Red when they outlive what they stood for.
#[test]
fn recovery_codes_end_with_a_phone_that_ends_with_its_enrolment() {
    let (rig, key) = rig();
    rig.user("alice");
    let mut client = rig.loopback(Some(&key));
    let registered = register(&rig, &mut client, "alice", ("push", PING));
    let (mut handset, account) = (registered.handset, registered.account);
    assert!(registered.shown["recovery_codes"].is_array(), "{}", registered.shown);
    let wish = json!({"user": "alice", "channel": "recovery"});
    client.post("/v1/challenges", &wish).expect(201);
    let mut one = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    one.confirmed(&mut handset, account);
    let active = one.begun(&rig).vetted();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(2.0)), "{active}");
    // Held for another enrolment, and good for nothing yet.
    let mut pending = Enrolling::ask(&rig, &key, "alice", ("on_premise", 2.0, "soft"));
    let (serial, _) = pending.token();
    assert_eq!(rig.events("type=recovery.ended&user=alice").len(), 0);
    one.at_desk(&rig).act("revoke", &json!({"reason": "lost"})).expect(200);
    assert_eq!(rig.events("type=recovery.ended&user=alice").len(), 1);
    assert_eq!(client.post("/v1/challenges", &wish).code(), "recovery.none");
    assert_eq!(rig.show_token(&serial)["state"], "pending");
    pending.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    assert_eq!(rig.events("type=recovery.ended&user=alice").len(), 1, "once");
    rig.check_chain();
}

/// BIND-09, BIND-10, D-42: what was confirmed on the phone for one enrolment counts for that one alone. Red when it shows the phone
/// for the next one of the same person.
#[test]
fn an_answer_counts_for_its_own_enrolment() {
    let (rig, key) = rig();
    rig.user("alice");
    let mut client = rig.loopback(Some(&key));
    let registered = register(&rig, &mut client, "alice", ("push", PING));
    let (mut handset, account) = (registered.handset, registered.account);
    let mut former = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let challenge = former.answered(&mut handset, account, Choice::Number);
    former.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    let mut next = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let taken = next.act("possession", &json!({"challenge": challenge}));
    assert_eq!((taken.status, taken.code().as_str()), (404, "not-found"), "{}", taken.text());
    assert_eq!(next.shown()["state"], "factor_selected");
    assert_eq!(rig.events("type=push.fetched&user=alice").len(), 0);
    next.confirmed(&mut handset, account);
    assert_eq!(next.shown()["state"], "possession_proven");
    rig.check_chain();
}

/// BIND-09: who waits for the phone of an enrolment is told at once, and so is who waits for one that is over. Red when a
/// request answers before there is anything to tell, and has to be made again and again.
#[test]
fn a_request_waits_for_the_phone() {
    let (rig, key) = rig();
    rig.user("alice");
    let mut one = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let path = format!("/v1/enrolments/{}?wait=20", one.id);
    let uri = one.uri(&json!({}));
    let mut handset = Handset::new(&rig, PING, "alice");
    let mut waiting = rig.loopback(Some(&key));
    let held = thread::scope(|scope| {
        let answer = scope.spawn(|| waiting.get(&path).expect(200).json());
        assert_eq!(handset.register(&uri).1.status, 200);
        answer.join().expect("an answer")
    });
    assert_eq!(held["push"]["state"], "pending", "{held}");
    rig.user("bob");
    let mut other = Enrolling::ask(&rig, &key, "bob", AT_DESK);
    let path = format!("/v1/enrolments/{}?wait=20", other.id);
    other.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    assert_eq!(other.client.get(&path).expect(200).json()["state"], "cancelled");
    rig.loopback(Some(&key)).get(&format!("{path}&more=1")).expect(400);
}
