//! The pages of applicants and of the registration desk, from the request to the receipt, and the page that refuses.

use tests::browser::Browser;
use tests::device::Personality;
use tests::handset::Handset;

use super::{Judge, with_script};
use crate::enrol::{ALICE, ANN, applicant, ask, authority, code, desk, go_in, schedule, show_token, vet};
use crate::with_phone;

/// BIND-02, BIND-07, BIND-11, BIND-34, BIND-36, WCAG 2.1 A and AA. Red as in `logins`.
#[test]
fn desks_are_for_everybody() {
    let Some(desk) = desk("") else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    with_phone(rig, "alice", ALICE);
    let mut token = desk.stocked("CST-000002");
    let (alice, ann) = (with_script(rig), with_script(rig));
    let (mut findings, mut seen) = (Vec::new(), 0);
    let mut see = |browser: &Browser, name: &str| {
        let mut judge = Judge::new(browser);
        judge.look(name);
        findings.append(&mut judge.findings);
        seen += judge.seen;
    };
    applicant(rig, &alice, 1);
    see(&alice, "portal-with-enrolments");
    let id = ask(&alice, "on_premise:3", &mut see);
    show_token(&alice, "CST-000002", &mut token, &mut see);
    let code = code(&alice, &mut see);
    see(&alice, "enrol-code-issued");
    ann.go("/desk/login");
    see(&ann, "desk-login");
    go_in(&ann, "ann", &mut of_ann);
    see(&ann, "desk-list");
    ann.go("/desk/request");
    see(&ann, "desk-request");
    schedule(&ann, &alice, &mut see);
    see(&alice, "enrol-scheduled");
    ann.go(&format!("/desk/vet/{id}/reject"));
    see(&ann, "desk-reject");
    vet(&ann, &code, "CST-000002", &mut token, &mut see);
    see(&ann, "desk-receipt");
    alice.go("/ui/enrol");
    see(&alice, "enrol-active");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(seen >= 20, "only {seen} pages were looked at");
}

/// BIND-07, COMB-03, COMB-42, WCAG 2.1 A and AA: the app of an applicant, before and after it has scanned, and a new number.
/// Red as in `logins`.
#[test]
fn phones_of_applicants_are_for_everybody() {
    let Some(desk) = desk("[push]\n[enrol.methods]\nself_asserted.enabled = true\n") else { return };
    let rig = desk.rig();
    with_phone(rig, "alice", ALICE);
    let alice = with_script(rig);
    let mut judge = Judge::new(&alice);
    applicant(rig, &alice, 1);
    let _id = ask(&alice, "self_asserted:1.5", &mut |_: &Browser, _: &str| {});
    alice.click("a[href^='/ui/enrol/factor']");
    alice.pick("type", "push");
    alice.submit(&[]);
    alice.click("a[href^='/ui/enrol/possession']");
    judge.look("enrol-app");
    alice.press("register");
    judge.look("enrol-app-code");
    let uri = alice.attribute("[data-uri]", "href").expect("a URI");
    let mut handset = Handset::new(rig, Personality::PingNew, "alice");
    assert_eq!(handset.register(&uri).1.status, 200);
    alice.submit(&[]);
    judge.look("enrol-app-number");
    alice.submit(&[]);
    assert_eq!(alice.error().as_deref(), Some("enrol.possession_waiting"), "{}", alice.page());
    judge.look("enrol-app-waiting");
    judge.rule(4);
}
