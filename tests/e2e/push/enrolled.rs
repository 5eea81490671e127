//! A phone, or an app, that is only being enrolled is not there yet: it stands in nobody's way, comes to no end by others,
//! and lifts no limit. D-50.

use serde_json::{Value, json};
use tests::desk::SCOPES as DESK_SCOPES;
use tests::device::{Choice, Personality};
use tests::enrolling::Enrolling;
use tests::flow::{Flow, SCOPES as FLOW_SCOPES, example};
use tests::handset::{Handset, register};
use tests::phones::{SCOPES, database, push, rig_with};
use tests::{Appliance, Client};

const PASSWORD: &str = "correct horse battery";
const PING: Personality = Personality::PingNew;
/// An enrolment at a desk, of what the applicant sets up.
const fn at_desk(factor: &str) -> (&str, f64, &str) {
    ("on_premise", 2.0, factor)
}

/// Registers a phone, which is pending from then on.
#[track_caller]
fn held(rig: &Appliance, one: &mut Enrolling, kind: &str) -> (Handset, usize) {
    let uri = one.uri(&json!({"kind": kind}));
    let mut handset = Handset::new(rig, PING, "pending");
    let (account, answer) = handset.register(&uri);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(one.shown()["push"]["state"], "pending");
    (handset, account)
}

fn rig() -> (Appliance, Client, String) {
    let (rig, client) =
        rig_with(&format!("{}\n[enrol.eligibility]\nopen_max = 10\n", example("flows/combined")));
    let key = rig.app_key("shop", &[&FLOW_SCOPES[..], &DESK_SCOPES[..2], &SCOPES[..]].concat());
    (rig, client, key)
}

/// A login up to what follows the password.
fn login(rig: &Appliance, key: &str, user: &str) -> Flow {
    rig.admin().put(&format!("/v1/users/{user}/password"), &json!({"password": PASSWORD})).expect(200);
    let mut flow = Flow::start(rig.loopback(Some(key)), &json!({"flow": "login"}));
    flow.act("password", &json!({"user": user, "password": PASSWORD}));
    flow
}

/// D-50, COMB-35, COMB-39, COMB-40. Red when the step of a login that registers a phone goes on without one since an
/// enrolment holds another, when that one ends by it, or when both are good in the end.
#[test]
fn a_phone_that_is_being_enrolled_is_not_there_yet() {
    let (rig, mut client, key) = rig();
    let mut admin = rig.admin();
    rig.user("alice");
    let mut one = Enrolling::ask(&rig, &key, "alice", at_desk("push"));
    let (mut pending, account) = held(&rig, &mut one, "combined");

    let mut flow = login(&rig, &key, "alice");
    let uri = flow.wants("mfa-register")["registration"]["uri"].as_str().expect("a URI").to_owned();
    let mut own = Handset::new(&rig, PING, "own");
    assert_eq!(own.register(&uri).1.status, 200);
    flow.go("continue", &json!({}));
    flow.wants("recovery-codes");
    assert_eq!(one.shown()["push"]["state"], "pending", "it comes to no end by it");
    let states: Vec<Value> = client.get("/v1/users/alice/push").expect(200).json()["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|phone| phone["state"].clone())
        .collect();
    assert_eq!(states, ["pending", "active"]);

    one.confirmed(&mut pending, account);
    let mut desk = one.begun(&rig);
    desk.proved();
    let beside = desk.act("activate", &json!({}));
    assert_eq!((beside.status, beside.code().as_str()), (409, "registration.exists"), "{}", beside.text());
    for token in client.get("/v1/users/alice/tokens").expect(200).json()["items"].as_array().expect("a list")
    {
        if token["state"] == "active" {
            let serial = token["serial"].as_str().expect("a serial");
            admin.post(&format!("/v1/tokens/{serial}/revoke"), &json!({})).expect(200);
        }
    }
    let active = desk.act("activate", &json!({})).expect(200).json();
    assert_eq!(
        (&active["state"], &active["push"]["state"]),
        (&json!("confirmed"), &json!("active")),
        "{active}"
    );
    rig.check_chain();
}

/// D-50, OATH-13, OATH-44. Red when the codes of an app that is being enrolled are ended as an account of the user, or the
/// user is told to end them.
#[test]
fn an_app_that_is_being_enrolled_is_no_account_yet() {
    let (rig, _, key) = rig();
    rig.user("alice");
    let mut one = Enrolling::ask(&rig, &key, "alice", at_desk("soft"));
    let made = one.act("token", &json!({})).expect(201).json();
    let serial = made["serial"].as_str().expect("a serial");
    for act in [&["oath", "delete", "alice", "--yes"][..], &["oath", "resync", "alice", "111111", "222222"]] {
        let output = rig.cli(act);
        let told = tests::appliance::told(&output);
        assert!(output.status.code() == Some(1) && told.contains("OATH account"), "{act:?}: {told}");
    }
    let full = tests::appliance::told(&rig.cli(&["oath", "add", "alice"]));
    assert!(full.contains("cancel the enrolment"), "{full}");
    assert_eq!(rig.show_token(serial)["state"], "pending");
}

/// B.5.5, COMB-30. Red when who has as many tokens as there may be is not told what to do, or when those that are being
/// enrolled take no place.
#[test]
fn whoever_has_no_room_is_told_what_to_do() {
    let (rig, mut client, key) = rig();
    rig.user("alice");
    for _ in 0..8 {
        Enrolling::ask(&rig, &key, "alice", at_desk("soft")).act("token", &json!({})).expect(201);
    }
    let refused = client.post("/v1/users/alice/registrations", &json!({"kind": "combined"}));
    assert_eq!((refused.status, refused.code().as_str()), (409, "registration.quota"), "{}", refused.text());
    assert!(refused.text().contains("token revoke"), "{}", refused.text());
    let flow = login(&rig, &key, "alice");
    assert_eq!(flow.wants("failed")["error"], "registration.quota", "{}", flow.now);
    let failed = rig.events("type=mfa.registration_failed&user=alice");
    assert!(failed.iter().all(|event| event["reason"] == "quota"), "{failed:?}");
}

/// D-42, A14, D-50. Red when an approval on a phone that is being enrolled lets the phone in use be asked again and again,
/// or its denials be forgotten.
#[test]
fn an_approval_on_another_phone_lifts_no_limit() {
    let (rig, mut client, key) = rig();
    rig.user("alice");
    let mut one = Enrolling::ask(&rig, &key, "alice", at_desk("push"));
    let (mut pending, account) = held(&rig, &mut one, "push");
    let mut alice = register(&rig, &mut client, "alice", ("push", PING));
    let paused = || {
        let over = "UPDATE challenge SET denied_boot_ms = denied_boot_ms - 61000";
        database(&rig).execute(over, []).expect(over);
    };
    for nth in 1..=2 {
        push(&mut client, "alice");
        let notice = alice.handset.notice(alice.account);
        assert_eq!(alice.handset.answer(&notice, Choice::Deny).status, 200);
        paused();
        one.answered(&mut pending, account, Choice::Number);
        assert_eq!(rig.events("type=push.denied_repeatedly&user=alice").len(), nth - 1);
    }
    push(&mut client, "alice");
    let fourth = client.post("/v1/challenges", &json!({"user": "alice", "channel": "push"}));
    assert_eq!(fourth.status, 429, "{}", fourth.text());
    let notice = alice.handset.notice(alice.account);
    assert_eq!(alice.handset.answer(&notice, Choice::Deny).status, 200);
    one.answered(&mut pending, account, Choice::Number);
    let still = client.post("/v1/challenges", &json!({"user": "alice", "channel": "push"}));
    assert_eq!(still.status, 429, "{}", still.text());
}

/// D-34, B.6. Red when a phone that was begun to be registered with a password alone is good beside what came since and
/// counts for more.
#[test]
fn what_came_since_the_code_was_shown_counts_too() {
    let (rig, _, key) = rig();
    rig.user("alice");
    let flow = login(&rig, &key, "alice");
    let uri = flow.wants("mfa-register")["registration"]["uri"].as_str().expect("a URI").to_owned();
    rig.phone("alice", "+41791234561");
    let mut handset = Handset::new(&rig, PING, "alice");
    assert_eq!(handset.register(&uri).1.status, 400);
    let failed = rig.events("type=mfa.registration_failed&user=alice");
    assert_eq!(failed.last().expect("an event")["reason"], "loa", "{failed:?}");
    rig.user("bob");
    let mut flow = login(&rig, &key, "bob");
    let uri = flow.wants("mfa-register")["registration"]["uri"].as_str().expect("a URI").to_owned();
    assert_eq!(Handset::new(&rig, PING, "bob").register(&uri).1.status, 200);
    flow.go("continue", &json!({}));
    flow.wants("recovery-codes");
}
