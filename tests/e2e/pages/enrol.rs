//! A factor is asked for, vetted at the desk and activated, all of it over the pages: applicant and registration
//! authority each in a browser of their own, without script. AT-16, AT-17.

use serde_json::json;
use tests::browser::Browser;
use tests::desk::{Desk, told_of};
use tests::token::EmulatedToken;
use tests::{Appliance, RigOptions};

use super::{App, NEWCOMERS, PASSWORD, base, log_in, registered, with_phone};

/// Uids of the registration authorities.
pub(super) const ANN: u32 = 47_201;
pub(super) const BOB: u32 = 47_202;
/// The applicant's phone.
pub(super) const ALICE: &str = "+41791234571";
/// A time that lies ahead.
const DAY: &str = "2031-03-01";

const TABLES: &str = r#"
[sms.limits]
user_hour = 50
user_day = 50
number_hour = 50

[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "10m"
max_challenges_sent = 9
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "select"]

[[flow.select.option]]
name = "TOKEN"
label = "A token"
when = "token:HW_TOKEN"
steps = ["oath"]

[[flow.select.option]]
name = "SMS"
label = "A code by SMS"
when = "token:SMS"
steps = ["sms:code"]
"#;

/// What is shown on the way.
pub(super) type See<'s> = &'s mut dyn FnMut(&Browser, &str);

/// A desk with pages; none where the test is not root.
pub(super) fn desk(more: &str) -> Option<Desk> {
    let options = RigOptions { pages: true, ..RigOptions::with_modem() };
    Desk::open_with(options, &format!("{TABLES}{NEWCOMERS}{more}"))
}

/// A registration authority with a password and a hardware token of level 3, vetted by another, or by root.
pub(super) fn authority(desk: &Desk, name: &str, uid: u32, serial: &str, by: u32) -> EmulatedToken {
    registered(desk.rig(), name);
    desk.authority(name, uid, serial, by)
}

/// Somebody with a token goes through the door of the desk.
#[track_caller]
pub(super) fn go_in(browser: &Browser, name: &str, token: &mut EmulatedToken) {
    browser.go("/desk");
    browser.at("/desk/login");
    browser.click("button.primary");
    browser.at("/ui/login");
    browser.submit(&[("username", name), ("password", PASSWORD)]);
    browser.at("/ui/oath/verify");
    browser.submit(&[("otp", &token.code(6))]);
}

/// The applicant logs in with a code by SMS, the `nth` message to the phone.
#[track_caller]
pub(super) fn applicant(rig: &Appliance, browser: &Browser, nth: usize) {
    log_in(browser, "alice");
    let code = rig.modem().await_message(ALICE, nth).code();
    browser.submit(&[("otp", &code)]);
    browser.at("/ui/done");
    browser.click("a.primary");
    browser.at("/ui/self");
}

/// Asks for a factor; the handle of the enrolment.
#[track_caller]
pub(super) fn ask(browser: &Browser, way: &str, see: See<'_>) -> String {
    browser.go("/ui/enrol");
    see(browser, "enrol-none");
    browser.click("a[href='/ui/enrol/request']");
    see(browser, "enrol-request");
    browser.pick("way", way);
    browser.submit(&[("name", "Alice Example")]);
    browser.at("/ui/enrol");
    browser.attribute("input[name=e]", "value").expect("an enrolment")
}

/// Chooses a hardware token and shows it.
#[track_caller]
pub(super) fn show_token(browser: &Browser, serial: &str, token: &mut EmulatedToken, see: See<'_>) {
    browser.click("a[href^='/ui/enrol/factor']");
    see(browser, "enrol-factor");
    browser.pick("type", "hardware");
    browser.submit(&[("product", "CST")]);
    prove(browser, serial, token, see);
}

/// Shows the chosen token.
#[track_caller]
pub(super) fn prove(browser: &Browser, serial: &str, token: &mut EmulatedToken, see: See<'_>) {
    browser.at("/ui/enrol");
    browser.click("a[href^='/ui/enrol/possession']");
    let code = token.code(6);
    browser.submit(&[("serial", serial), ("otp", &crate::another(&code))]);
    assert_eq!(browser.error().as_deref(), Some("enrol.possession_failed"));
    see(browser, "enrol-possession-wrong");
    browser.submit(&[("otp", &code)]);
    browser.at("/ui/enrol");
}

/// Gets the registration code.
#[track_caller]
pub(super) fn code(browser: &Browser, see: See<'_>) -> String {
    browser.click("a[href^='/ui/enrol/code']");
    see(browser, "enrol-code-before");
    browser.submit(&[]);
    see(browser, "enrol-code");
    let code = browser.text("[data-secret]");
    browser.click("a.primary");
    browser.at("/ui/enrol");
    assert!(!browser.page().contains(&code), "a code is shown once");
    code
}

/// At the desk, who brings a code.
#[track_caller]
pub(super) fn begin(browser: &Browser, code: &str) {
    browser.go("/desk/vet");
    browser.submit(&[("code", code), ("place", "Desk 3")]);
}

/// The step that the desk's page is at.
pub(super) fn step(browser: &Browser) -> String {
    browser.attribute("[data-step]", "data-step").unwrap_or_default()
}

/// A passport is compared; `no` is the question that is answered with no.
#[track_caller]
pub(super) fn compare(browser: &Browser, no: &str) {
    assert_eq!(step(browser), "proof", "{}", browser.page());
    browser.pick("document", "passport");
    for question in ["not_expired", "name_match", "photo_match", "security_features"] {
        browser.pick(question, if question == no { "no" } else { "yes" });
    }
    browser.pick("compared", "yes");
    browser.submit(&[("country", "ch"), ("last6", "x12345"), ("remark", "An accent\nis missing")]);
}

/// The desk's other half of the way: from the code to the receipt.
#[track_caller]
pub(super) fn vet(browser: &Browser, code: &str, serial: &str, token: &mut EmulatedToken, see: See<'_>) {
    begin(browser, "AAAA-AAAA");
    assert_eq!(browser.error().as_deref(), Some("enrol.code_unknown"));
    see(browser, "desk-code-unknown");
    begin(browser, &code.to_lowercase());
    assert_eq!(step(browser), "possession");
    see(browser, "desk-possession");
    browser.submit(&[("serial", serial), ("otp", &token.code(6))]);
    see(browser, "desk-proof");
    compare(browser, "");
    assert_eq!(step(browser), "record", "{}", browser.page());
    see(browser, "desk-record");
    browser.submit(&[]);
    assert_eq!(step(browser), "bind");
    see(browser, "desk-bind");
    browser.submit(&[]);
    assert_eq!(step(browser), "activate");
    see(browser, "desk-activate");
    browser.submit(&[]);
    assert_eq!(step(browser), "done", "{}", browser.page());
    see(browser, "desk-done");
    browser.click("a[href^='/desk/receipt']");
}

/// The desk offers a time, and the applicant takes it.
#[track_caller]
pub(super) fn schedule(desk: &Browser, applicant: &Browser, see: See<'_>) {
    desk.go("/desk/calendar");
    for (field, value) in [("day", DAY), ("time", "09:30")] {
        let fill = format!("document.querySelector('[name={field}]').value = '{value}'");
        desk.run(&fill, Vec::new());
    }
    desk.submit(&[("place", "Desk 3")]);
    desk.at("/desk/calendar");
    see(desk, "desk-calendar");
    applicant.go("/ui/enrol");
    applicant.click("a[href^='/ui/enrol/appointment']");
    see(applicant, "enrol-appointment");
    let slot = applicant.attribute("input[name=slot]", "value").expect("a free time");
    applicant.pick("slot", &slot);
    applicant.submit(&[]);
    applicant.at("/ui/enrol");
    assert!(applicant.page().contains(&format!("{DAY} 09:30")), "{}", applicant.page());
}

/// AT-16, BIND-02, BIND-07, BIND-11, BIND-20, BIND-27, BIND-34 to BIND-37: our hardware token at level 3 over the pages, in the
/// order of the desk, to the receipt. Red when a page leaves a step out, or tells the receipt a secret.
#[test]
fn a_token_is_enrolled_over_the_pages() {
    let Some(desk) = desk("") else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    with_phone(rig, "alice", ALICE);
    let mut token = desk.stocked("CST-000002");
    let (alice, ann) = (Browser::open(&base(rig)), Browser::open(&base(rig)));
    let mut nothing = |_: &Browser, _: &str| {};
    applicant(rig, &alice, 1);
    alice.click("a[href='/ui/enrol']");
    let id = ask(&alice, "on_premise:3", &mut nothing);
    show_token(&alice, "CST-000002", &mut token, &mut nothing);
    let code = code(&alice, &mut nothing);
    go_in(&ann, "ann", &mut of_ann);
    ann.at("/desk");
    assert!(ann.text("main").contains("alice"), "{}", ann.page());
    schedule(&ann, &alice, &mut nothing);
    vet(&ann, &code, "CST-000002", &mut token, &mut nothing);

    ann.at(&format!("/desk/receipt/{id}"));
    let receipt = ann.text("main");
    for part in [&id[..], "alice", "CST-000002", "ann", "level 3", "Activated"] {
        assert!(receipt.contains(part), "no {part} in {receipt}");
    }
    for part in ["X12345", "x12345", "accent", &code] {
        assert!(!ann.page().contains(part), "{part} in {receipt}");
    }
    let shown = desk.show(&id);
    assert_eq!((&shown["state"], &shown["loa"]), (&json!("confirmed"), &json!(3.0)), "{shown}");
    let notice = rig.modem().await_message(ALICE, 2);
    assert!(notice.text.is_some_and(|text| text.contains("new factor")), "told over another channel");
    alice.go("/ui/enrol");
    assert!(alice.text("main").contains("You can log in with this factor now."), "{}", alice.page());
    let happened = told_of(rig, &id);
    let last: Vec<&str> = happened.iter().map(String::as_str).filter(|kind| !kind.contains(' ')).collect();
    assert_eq!(last.len(), 13, "{happened:?}");
    let events = rig.events("type=enrol.requested");
    let asked = events.iter().find(|event| event["subject"]["enrolment"] == id.as_str()).expect("an event");
    assert_eq!(
        (&asked["subject"]["requested_by"], &asked["subject"]["channel"], &asked["subject"]["first_factor"]),
        (&json!("applicant"), &json!("local_login"), &json!("login")),
        "{asked}"
    );
    rig.check_chain();
}

/// BIND-07, BIND-33: an app is set up on the way; where nobody looks, its first code activates it, at level 1.5. Red when its
/// codes are good before, or when its key is shown twice.
#[test]
fn an_app_is_set_up_on_the_way() {
    let Some(desk) = desk("[enrol.methods]\nself_asserted.enabled = true\n") else { return };
    let rig = desk.rig();
    with_phone(rig, "alice", ALICE);
    let alice = Browser::open(&base(rig));
    let mut nothing = |_: &Browser, _: &str| {};
    applicant(rig, &alice, 1);
    ask(&alice, "self_asserted:1.5", &mut nothing);
    alice.click("a[href^='/ui/enrol/factor']");
    alice.pick("type", "soft");
    alice.submit(&[]);
    alice.click("a[href^='/ui/enrol/possession']");
    alice.press("make");
    let key = alice.text("[data-secret]").replace(' ', "");
    let mut app = App::new(&key);
    assert!(alice.has(".qr svg"), "{}", alice.page());
    assert!(desk.portal().verify("alice", &app.shows()).rejected(), "nothing is good before the end");
    let code = app.code();
    alice.submit(&[("otp", &crate::another(&code))]);
    assert_eq!(alice.error().as_deref(), Some("enrol.possession_failed"));
    assert!(!alice.page().contains(&key) && !alice.has("[data-secret]"), "a key is shown once");
    alice.submit(&[("otp", &code)]);
    alice.at("/ui/enrol");
    assert!(alice.text("main").contains("You can log in with this factor now."), "{}", alice.page());
    let verified = desk.portal().verify("alice", &app.code()).expect(200).json();
    assert_eq!((&verified["verdict"], &verified["loa"]), (&json!("accept"), &json!(1.5)), "{verified}");
}

/// AT-17, BIND-24, BIND-27, BIND-39: at the desk another token than the one that was shown is refused; with the
/// registration authority's word it begins anew; a photo of somebody else ends it, and the applicant reads so.
#[test]
fn another_token_and_another_face_activate_nothing() {
    let Some(desk) = desk("") else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    with_phone(rig, "alice", ALICE);
    let (mut first, mut other) = (desk.stocked("CST-000002"), desk.stocked("CST-000003"));
    let (alice, ann) = (Browser::open(&base(rig)), Browser::open(&base(rig)));
    let mut nothing = |_: &Browser, _: &str| {};
    applicant(rig, &alice, 1);
    let id = ask(&alice, "on_premise:3", &mut nothing);
    show_token(&alice, "CST-000002", &mut first, &mut nothing);
    let registration = code(&alice, &mut nothing);
    go_in(&ann, "ann", &mut of_ann);
    begin(&ann, &registration);
    ann.submit(&[("serial", "CST-000003"), ("otp", &other.code(6))]);
    assert_eq!(ann.error().as_deref(), Some("enrol.token_mismatch"), "{}", ann.page());
    assert_eq!(rig.events("type=enrol.token_mismatch").len(), 1);
    ann.press("again");
    assert_eq!(
        (step(&ann), desk.show(&id)["state"].clone()),
        ("arrange".to_owned(), json!("factor_selected"))
    );

    alice.go("/ui/enrol");
    prove(&alice, "CST-000003", &mut other, &mut nothing);
    let registration = code(&alice, &mut nothing);
    begin(&ann, &registration);
    ann.submit(&[("serial", "CST-000003"), ("otp", &other.code(6))]);
    compare(&ann, "photo_match");
    assert_eq!(step(&ann), "ended", "{}", ann.page());
    assert!(ann.text("main").contains("photo_mismatch"));
    let notice = rig.modem().await_message(ALICE, 2);
    assert!(notice.text.is_some_and(|text| text.contains("refused")), "the applicant is told");
    alice.reload();
    assert!(alice.text("main").contains("The request was refused."), "{}", alice.page());
    for serial in ["CST-000002", "CST-000003"] {
        assert_eq!(rig.show_token(serial)["state"], "in_stock");
    }
    ann.go(&format!("/desk/receipt/{id}"));
    ann.at(&format!("/desk/vet/{id}"));
    rig.check_chain();
}
