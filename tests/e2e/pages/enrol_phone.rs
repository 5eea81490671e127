//! Phones as the factors of enrolments, over the pages: the app is set up and asked, a new number is given at the desk.

use serde_json::json;
use tests::browser::Browser;
use tests::device::{Choice, Personality};
use tests::handset::Handset;

use super::enrol::{ALICE, ANN, applicant, ask, authority, begin, code, compare, desk, go_in, step};
use super::{base, with_phone};

/// Nobody's number before.
const NUMBER: &str = "+41791234577";

/// BIND-07, BIND-09, COMB-03, COMB-42, D-50: an applicant sets up the app on a phone and confirms there; where nobody looks, that
/// activates it. Red when the page goes on without the phone, or shows twice what it scans.
#[test]
fn an_applicant_sets_up_the_app_on_a_phone() {
    let Some(desk) = desk("[push]\n[enrol.methods]\nself_asserted.enabled = true\n") else { return };
    let rig = desk.rig();
    with_phone(rig, "alice", ALICE);
    let alice = Browser::open(&base(rig));
    let mut nothing = |_: &Browser, _: &str| {};
    applicant(rig, &alice, 1);
    let id = ask(&alice, "self_asserted:1.5", &mut nothing);
    alice.click("a[href^='/ui/enrol/factor']");
    alice.pick("type", "push");
    alice.submit(&[]);
    alice.click("a[href^='/ui/enrol/possession']");
    alice.submit(&[]);
    assert_eq!(alice.error().as_deref(), Some("enrol.no_app"), "{}", alice.page());
    alice.press("register");
    let uri = alice.attribute("[data-uri]", "href").expect("a URI");
    let mut handset = Handset::new(rig, Personality::PingNew, "alice");
    let (account, answer) = handset.register(&uri);
    assert_eq!(answer.status, 200, "{}", answer.text());
    alice.submit(&[]);
    assert!(!alice.has("[data-uri]"), "shown once");
    let number: u8 = alice.text("[data-number]").trim().parse().expect("a number");
    alice.submit(&[]);
    assert_eq!(alice.error().as_deref(), Some("enrol.possession_waiting"), "{}", alice.page());
    assert_eq!(alice.text("[data-number]").trim(), number.to_string(), "it is still to be selected");
    let notice = handset.notice(account);
    assert_eq!(handset.answer(&notice, Choice::Number(number)).status, 200);
    alice.submit(&[]);
    alice.at("/ui/enrol");
    assert!(alice.text("main").contains("You can log in with this factor now."), "{}", alice.page());
    let shown = desk.show(&id);
    assert_eq!(
        (&shown["state"], &shown["push"]["state"]),
        (&json!("confirmed"), &json!("active")),
        "{shown}"
    );
    assert!(alice.text("main").contains(shown["push"]["serial"].as_str().expect("a serial")));
    rig.check_chain();
}

/// BIND-09, BIND-24, BIND-36: at the desk a new number is given, a code goes there and is typed back, and the number is the
/// applicant's with the activation. Red when the desk goes on without the code.
#[test]
fn a_new_number_is_given_at_the_desk() {
    let Some(desk) = desk("") else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    with_phone(rig, "alice", ALICE);
    let (alice, ann) = (Browser::open(&base(rig)), Browser::open(&base(rig)));
    let mut nothing = |_: &Browser, _: &str| {};
    applicant(rig, &alice, 1);
    let id = ask(&alice, "on_premise:2", &mut nothing);
    alice.click("a[href^='/ui/enrol/factor']");
    alice.pick("type", "sms");
    alice.submit(&[]);
    let registration = code(&alice, &mut nothing);
    go_in(&ann, "ann", &mut of_ann);
    begin(&ann, &registration);
    assert_eq!(step(&ann), "possession");
    ann.submit(&[("number", "12")]);
    assert_eq!(ann.error().as_deref(), Some("enrol.number_not_usable"), "{}", ann.page());
    ann.submit(&[("number", NUMBER)]);
    assert!(ann.text(".notice").contains("4577"), "{}", ann.page());
    let otp = rig.modem().await_message(NUMBER, 1).code();
    ann.submit(&[("otp", &crate::another(&otp))]);
    assert_eq!(ann.error().as_deref(), Some("enrol.possession_failed"), "{}", ann.page());
    ann.submit(&[("otp", &otp)]);
    compare(&ann, "");
    for now in ["record", "bind", "activate"] {
        assert_eq!(step(&ann), now, "{}", ann.page());
        ann.submit(&[]);
    }
    assert_eq!(step(&ann), "done", "{}", ann.page());
    let shown = desk.show(&id);
    assert_eq!((&shown["state"], &shown["loa"]), (&json!("confirmed"), &json!(2.0)), "{shown}");
    assert!(rig.show_user("alice").to_string().contains("4577"));
    rig.check_chain();
}
