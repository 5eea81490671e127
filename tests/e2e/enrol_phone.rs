//! A phone with the app as the factor of an enrolment: registered for it, asked, and good once it is bound. AT-20.

use serde_json::json;
use tests::desk::{SCOPES, told_of};
use tests::device::{Choice, Personality};
use tests::enrolling::{Enrolling, proof};
use tests::handset::{Handset, REFUSED, register};
use tests::time::unix_s;
use tests::{Appliance, RigOptions};

const METHODS: &str = "[push]\n[enrol.methods]\nself_asserted.enabled = true\n";
const AT_DESK: (&str, f64, &str) = ("on_premise", 2.0, "push");

fn rig() -> (Appliance, String) {
    let rig = Appliance::start(RigOptions { pages: true, ..RigOptions::default().config(METHODS) });
    let key = rig.app_key("portal", &[&SCOPES[..], &["tokens:write", "users:read"]].concat());
    (rig, key)
}

/// BIND-08 to BIND-10, BIND-21 to BIND-24, COMB-03, D-50, AT-20: a phone is registered for an enrolment, shows itself by the
/// number, and is vetted at the desk; neither half is good before the end, and both are gone with the binding. Red when the
/// phone is asked for a login before, when its approval serves a login, or when one half stays.
#[test]
fn a_phone_is_good_once_it_is_bound() {
    let (rig, key) = rig();
    let mut admin = rig.admin();
    rig.user("alice");
    let mut one = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let mut app = rig.loopback(Some(&key));
    let none = one.act("possession/send", &json!({}));
    assert_eq!((none.status, none.code().as_str()), (404, "push.not_registered"), "{}", none.text());
    let uri = one.uri(&json!({}));
    assert!(uri.starts_with("mfauth://totp/"), "push and codes: {uri}");
    let mut handset = Handset::new(&rig, Personality::PingNew, "alice");
    let (account, answer) = handset.register(&uri);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let shown = one.shown();
    assert_eq!((&shown["push"]["state"], &shown["phone"]), (&json!("pending"), &json!(false)), "{shown}");
    let serial = shown["push"]["serial"].as_str().expect("a serial").to_owned();
    let again = one.act("phone", &json!({}));
    assert_eq!(again.code(), "enrol.token_mismatch", "{}", again.text());
    let login = json!({"user": "alice", "channel": "push"});
    let refused = app.post("/v1/challenges", &login);
    assert_eq!(refused.code(), "push.not_registered", "pending: {}", refused.text());
    assert!(app.verify("alice", &handset.phone.code(account, unix_s())).rejected(), "nor are its codes good");
    for change in ["suspend", "resume"] {
        admin.post(&format!("/v1/tokens/{serial}/{change}"), &json!({})).expect(409);
    }

    let challenge = one.answered(&mut handset, account, Choice::Number);
    let fetched = app.post(&format!("/v1/challenges/{challenge}/verify"), &json!({"otp": ""}));
    assert!(fetched.rejected(), "an approval for an enrolment is no login: {}", fetched.text());
    let shown = one.act("possession", &json!({"challenge": challenge})).expect(200).json();
    assert_eq!(shown["state"], "possession_proven", "{shown}");
    let replayed = one.act("possession", &json!({"challenge": challenge}));
    assert_eq!(replayed.code(), "enrol.possession_failed", "once: {}", replayed.text());

    let mut desk = one.begun(&rig);
    desk.proved();
    assert_eq!(app.post("/v1/challenges", &login).code(), "push.not_registered", "not before");
    let active = desk.act("activate", &json!({})).expect(200).json();
    assert_eq!(
        (&active["state"], &active["loa"], &active["push"]["state"], &active["push"]["serial"]),
        (&json!("confirmed"), &json!(2.0), &json!("active"), &json!(serial)),
        "{active}"
    );
    let happened = told_of(&rig, &one.id);
    assert!(happened.contains(&"enrol.phone_registered".to_owned()), "{happened:?}");
    let code = app.verify("alice", &handset.phone.code(account, unix_s())).expect(200).json();
    assert_eq!((&code["verdict"], &code["loa"]), (&json!("accept"), &json!(2.0)), "{code}");
    let asked = app.post("/v1/challenges", &login).expect(201).json();
    let notice = handset.notice(account);
    let number = u8::try_from(asked["number"].as_u64().expect("a number")).expect("two digits");
    handset.answer(&notice, Choice::Number(number));
    let path = format!("/v1/challenges/{}/verify", asked["id"].as_str().expect("a handle"));
    let logged_in = app.post(&path, &json!({"otp": ""})).expect(200).json();
    assert_eq!((&logged_in["verdict"], &logged_in["loa"]), (&json!("accept"), &json!(2.0)), "{logged_in}");

    let ended = admin.post(&format!("/v1/enrolments/{}/revoke", one.id), &json!({"reason": "lost"}));
    assert_eq!(ended.expect(200).json()["push"]["state"], "revoked");
    assert!(app.verify("alice", &handset.phone.code(account, unix_s() + 30)).rejected(), "both halves end");
    assert_eq!(app.post("/v1/challenges", &login).code(), "push.not_registered");
    rig.check_chain();
}

/// BIND-27, BIND-39, BIND-42, BIND-43, COMB-45, D-42, D-50: a no on the phone shows nothing; with an enrolment that ends
/// before, its phone is gone, and so is a registration that still waited; a phone that is revoked ends its binding. Red when
/// a phone outlives its enrolment, or a binding its phone.
#[test]
fn a_phone_goes_with_its_enrolment() {
    let (rig, key) = rig();
    rig.user("alice");
    let mut one = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let uri = one.uri(&json!({"kind": "push"}));
    assert!(uri.starts_with("pushauth://"), "{uri}");
    let mut handset = Handset::new(&rig, Personality::AndroidLegacy, "alice");
    let (account, _) = handset.register(&uri);
    let challenge = one.answered(&mut handset, account, |_| Choice::Deny);
    let denied = one.act("possession", &json!({"challenge": challenge}));
    assert_eq!(denied.code(), "enrol.possession_failed", "{}", denied.text());
    let held_off = one.act("possession/send", &json!({}));
    assert_eq!(held_off.status, 429, "a cool-down: {}", held_off.text());
    one.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    assert_eq!(one.shown()["push"]["state"], "revoked");

    let mut late = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let made = rig.cli_json(&["enrol", "phone", &late.id, "--kind", "combined", "--no-wait"]);
    let uri = made["registration"]["uri"].as_str().expect("a URI").to_owned();
    late.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    let mut other = Handset::new(&rig, Personality::PingNew, "late");
    let (_, answer) = other.register(&uri);
    assert_eq!((answer.status, answer.text().as_str()), (400, REFUSED), "nobody waits for it");
    let listed = late.client.get("/v1/users/alice/push").expect(200).json();
    assert_eq!(listed["items"], json!([]), "{listed}");
    let failed = rig.events("type=mfa.registration_failed&user=alice");
    assert!(failed.iter().any(|event| event["reason"] == "enrolment"), "{failed:?}");

    rig.user("bob");
    let mut own = Enrolling::ask(&rig, &key, "bob", ("self_asserted", 1.5, "push"));
    let uri = own.uri(&json!({"kind": "push"}));
    let mut handset = Handset::new(&rig, Personality::IosLegacy, "bob");
    let (account, _) = handset.register(&uri);
    let challenge = own.answered(&mut handset, account, Choice::Number);
    let active = own.act("possession", &json!({"challenge": challenge})).expect(200).json();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(1.5)), "{active}");
    rig.change_token(active["push"]["serial"].as_str().expect("a serial"), "revoke");
    let ended = own.shown();
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("revoked"), &json!("replaced")), "{ended}");
    rig.check_chain();
}

/// BIND-09, BIND-24, BIND-28, COMB-40: a phone that is there is shown as it is, and gets the level of its vetting; another
/// one is not registered beside it. Red when its level stays, or when it is set aside with an enrolment that is cancelled.
#[test]
fn a_phone_that_is_there_is_vetted() {
    let (rig, key) = rig();
    rig.user("alice");
    let mut client = rig.loopback(Some(&key));
    let registered = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    let (mut handset, account) = (registered.handset, registered.account);
    let mut given_up = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    let twice = given_up.act("phone", &json!({}));
    assert_eq!(twice.code(), "registration.exists", "{}", twice.text());
    let challenge = given_up.answered(&mut handset, account, Choice::Number);
    given_up.act("possession", &json!({"challenge": challenge})).expect(200);
    let mut one = Enrolling::ask(&rig, &key, "alice", AT_DESK);
    one.act("possession/send", &json!({})).expect(409);
    given_up.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    assert_eq!(given_up.shown()["push"]["state"], "active", "it was there before");

    // At the desk the phone is asked by who vets.
    let mut desk = one.begun(&rig);
    let early = desk.act("vet/proof", &proof());
    assert_eq!(
        early.code(),
        "enrol.missing_activity",
        "what the applicant has is shown first: {}",
        early.text()
    );
    let challenge = desk.answered(&mut handset, account, Choice::Number);
    let foreign = one.act("possession", &json!({"challenge": challenge}));
    assert!(foreign.status >= 400, "the applicant shows nothing at the desk: {}", foreign.text());
    desk.act("possession", &json!({"challenge": challenge})).expect(200);
    let active = desk.vetted();
    assert_eq!((&active["loa"], &active["push"]["state"]), (&json!(2.0), &json!("active")), "{active}");
    let listed = client.get("/v1/users/alice/push").expect(200).json();
    assert_eq!(listed["items"][0]["loa"], 2.0, "{listed}");
    rig.check_chain();
}
