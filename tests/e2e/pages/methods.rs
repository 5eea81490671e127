//! The other methods of vetting over the pages: a video call that a second person confirms, a token for somebody who is
//! known, and an own token that vouches for the next factor. AT-18, BIND-33.

use serde_json::json;
use tests::browser::Browser;
use tests::desk::Desk;
use tests::token::EmulatedToken;

use super::enrol::{
    ALICE, ANN, BOB, See, applicant, ask, authority, begin, code, compare, desk, go_in, schedule, show_token,
    step,
};
use super::{App, base, with_phone};

/// What the methods are switched on by.
pub(super) const METHODS: &str =
    "[enrol.methods]\nvideo.enabled = true\nself_vet.enabled = true\nbulk_issue.enabled = true\n";

/// What a registration authority sees over a camera; the answer to whether the face is alive.
#[track_caller]
fn look_at(browser: &Browser, alive: &str, see: See<'_>) {
    assert_eq!(step(browser), "liveness", "{}", browser.page());
    see(browser, "desk-liveness");
    browser.pick("method", "live_video");
    browser.pick("passed", alive);
    browser.submit(&[]);
}

/// From the request to the record: who applies at the one browser, who vets at the other.
#[track_caller]
fn on_screen(
    alice: &Browser,
    ann: &Browser,
    (serial, token): (&str, &mut EmulatedToken),
    (alive, see): (&str, See<'_>),
) -> String {
    let id = ask(alice, "video:3", see);
    show_token(alice, serial, token, see);
    let code = code(alice, see);
    begin(ann, &code);
    assert_eq!(ann.error().as_deref(), Some("enrol.no_appointment"), "it is asked for");
    schedule(ann, alice, see);
    begin(ann, &code);
    compare(ann, "");
    look_at(ann, alive, see);
    id
}

/// A hardware token at level 3 over a video call: one registration authority vets, the other one confirms.
#[track_caller]
pub(super) fn by_video(
    alice: &Browser,
    (ann, bob): (&Browser, &Browser),
    token: (&str, &mut EmulatedToken),
    see: See<'_>,
) -> String {
    let id = on_screen(alice, ann, token, ("yes", see));
    assert_eq!(step(ann), "source", "{}", ann.page());
    see(ann, "desk-source");
    ann.pick("valid", "yes");
    ann.submit(&[("source", "Fedpol"), ("reference", "RIPOL-7")]);
    for at in ["record", "bind"] {
        assert_eq!(step(ann), at, "{}", ann.page());
        ann.submit(&[]);
    }
    assert_eq!(step(ann), "await-second", "{}", ann.page());
    see(ann, "desk-await-second");
    bob.go(&format!("/desk/vet/{id}"));
    assert_eq!(step(bob), "second", "{}", bob.page());
    see(bob, "desk-second");
    bob.submit(&[]);
    ann.reload();
    assert_eq!(step(ann), "activate", "{}", ann.page());
    ann.submit(&[]);
    assert_eq!(step(ann), "done", "{}", ann.page());
    id
}

/// A token from stock for carol, whom the registration authority knows.
#[track_caller]
pub(super) fn in_bulk(ann: &Browser, serial: &str, see: See<'_>) {
    ann.go("/desk/request");
    ann.pick("way", "bulk_issue:2");
    ann.submit(&[("user", "carol"), ("name", "Carol Example")]);
    assert_eq!(step(ann), "begin", "{}", ann.page());
    see(ann, "desk-begin");
    ann.submit(&[]);
    assert_eq!(step(ann), "proof", "{}", ann.page());
    see(ann, "desk-proof-known");
    assert!(!ann.has("input[name=document]"), "no document is looked at");
    ann.pick("name_match", "yes");
    ann.pick("compared", "yes");
    ann.submit(&[]);
    for at in ["record", "factor", "hand-over", "bind", "activate"] {
        assert_eq!(step(ann), at, "{}", ann.page());
        match at {
            "factor" => {
                see(ann, "desk-factor");
                assert!(ann.has("input[name=type][checked]"), "what is the only choice is chosen");
                ann.submit(&[]);
            }
            "hand-over" => {
                see(ann, "desk-hand-over");
                ann.submit(&[("serial", serial)]);
            }
            _ => ann.submit(&[]),
        }
    }
    assert_eq!(step(ann), "done", "{}", ann.page());
}

/// An app, for which alice's vetted token vouches.
#[track_caller]
pub(super) fn by_own_token(
    alice: &Browser,
    (serial, token): (&str, &mut EmulatedToken),
    see: See<'_>,
) -> App {
    ask(alice, "self_vet:2", see);
    alice.click("a[href^='/ui/enrol/factor']");
    alice.pick("type", "soft");
    alice.submit(&[]);
    alice.click("a[href^='/ui/enrol/possession']");
    alice.press("make");
    see(alice, "enrol-app-made");
    let mut app = App::new(&alice.text("[data-secret]").replace(' ', ""));
    alice.submit(&[("otp", &app.code())]);
    alice.at("/ui/enrol");
    see(alice, "enrol-to-vouch");
    alice.click("a[href^='/ui/enrol/vouch']");
    see(alice, "enrol-vouch");
    let code = token.code(6);
    alice.submit(&[("serial", serial), ("otp", &crate::another(&code))]);
    assert!(alice.error().is_some(), "{}", alice.page());
    see(alice, "enrol-vouch-wrong");
    alice.submit(&[("serial", &serial.to_lowercase()), ("otp", &code)]);
    alice.at("/ui/enrol");
    app
}

/// The newest enrolment of somebody.
fn newest(desk: &Desk, user: &str) -> serde_json::Value {
    let list = desk.rig().admin().get(&format!("/v1/enrolments?user={user}")).expect(200).json();
    list["items"].as_array().and_then(|items| items.last()).expect("an enrolment").clone()
}

/// AT-18, BIND-07, BIND-16, BIND-17, BIND-18, BIND-33, B.6: over a camera it takes an appointment, a living face, the issuer and a
/// second person for level 3; the token then vouches for an app at level 2. Red when one of them is left out, when the
/// same person confirms, or when a face that is not alive is taken.
#[test]
fn a_video_call_takes_a_second_person_and_vouches_for_more() {
    let Some(desk) = desk(METHODS) else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    let mut of_bob = authority(&desk, "bob", BOB, "CST-000004", ANN);
    with_phone(rig, "alice", ALICE);
    let (mut token, mut spare) = (desk.stocked("CST-000002"), desk.stocked("CST-000003"));
    let [alice, ann, bob] = [(); 3].map(|()| Browser::open(&base(rig)));
    let mut nothing = |_: &Browser, _: &str| {};
    applicant(rig, &alice, 1);
    go_in(&ann, "ann", &mut of_ann);
    go_in(&bob, "bob", &mut of_bob);
    let id = on_screen(&alice, &ann, ("CST-000003", &mut spare), ("no", &mut nothing));
    assert_eq!((step(&ann), &desk.show(&id)["state"]), ("ended".to_owned(), &json!("rejected")));

    let id = by_video(&alice, (&ann, &bob), ("CST-000002", &mut token), &mut nothing);
    let shown = desk.show(&id);
    assert_eq!(
        (&shown["state"], &shown["loa"], &shown["vetter"], &shown["second_vetter"]),
        (&json!("confirmed"), &json!(3.0), &json!("ann"), &json!("bob")),
        "{shown}"
    );
    let mut app = by_own_token(&alice, ("CST-000002", &mut token), &mut nothing);
    assert!(alice.text("main").contains("You can log in with this factor now."), "{}", alice.page());
    let vouched = newest(&desk, "alice");
    assert_eq!(
        (&vouched["method"], &vouched["state"], &vouched["loa"]),
        (&json!("self_vet"), &json!("confirmed"), &json!(2.0)),
        "{vouched}"
    );
    let verified = desk.portal().verify("alice", &app.code()).expect(200).json();
    assert_eq!((&verified["verdict"], &verified["loa"]), (&json!("accept"), &json!(2.0)), "{verified}");
    rig.check_chain();
}

/// BIND-20, BIND-33: who is known gets a token from stock without a document, at level 2.
#[test]
fn a_known_person_gets_a_token_from_stock() {
    let Some(desk) = desk(METHODS) else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    rig.user("carol");
    let _token = desk.stocked("CST-000002");
    let ann = Browser::open(&base(rig));
    go_in(&ann, "ann", &mut of_ann);
    in_bulk(&ann, "CST-000002", &mut |_: &Browser, _: &str| {});
    assert_eq!(rig.show_token("CST-000002")["loa"], 2.0);
    let shown = newest(&desk, "carol");
    assert_eq!((&shown["method"], &shown["state"]), (&json!("bulk_issue"), &json!("confirmed")), "{shown}");
    rig.check_chain();
}
