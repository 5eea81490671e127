//! The pages with the keyboard alone: Tab, typing, Enter. Without script, without a pointer.

use serde_json::json;
use tests::browser::Browser;
use tests::{PATIENCE, wait_until};

use super::enrol::{ANN, authority, desk, go_in, step};
use super::{App, PASSWORD, PHONE, base, registered, site};

const TABLES: &str = r#"
[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "5m"
required_for_registration = ["oath"]

[[flow]]
id = "login"
steps = ["password", "select"]

[[flow.select.option]]
name = "OATH_OTP"
label = "Authenticator app"
when = "token:oath"
steps = ["oath"]

[[flow.select.option]]
name = "SMS"
label = "A code by SMS"
when = "always"
steps = ["sms:code"]
"#;
/// WebDriver's keys.
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const SPACE: &str = " ";
/// Stops on a page at the most.
const STOPS_MAX: usize = 40;

/// Presses Tab until what has the focus begins like this.
#[track_caller]
fn tab_to(browser: &Browser, wanted: &str) {
    let mut met = Vec::new();
    while met.len() < STOPS_MAX {
        let focused = browser.focused();
        if focused.starts_with(wanted) {
            return;
        }
        met.push(focused);
        browser.keys(TAB);
    }
    panic!("{wanted} is not reached on {}: {met:?}", browser.path());
}

/// The focus is at this field from the start: nothing but typing is needed. A browser gives it with the first frame,
/// which may come after the page has loaded.
#[track_caller]
fn type_into(browser: &Browser, field: &str, text: &str) {
    let what = format!("the focus on {} at {field}", browser.path());
    wait_until(PATIENCE, &what, || browser.focused().starts_with(field).then_some(()));
    browser.keys(text);
}

/// WCAG 2.1, 2.1.1, 2.1.2, 2.4.1, 2.4.3, 2.4.7: a login and the registration of a number. Red when the focus is lost
/// or trapped, a button cannot be reached, the focus is not seen, or the way past the header is missing.
#[test]
fn a_login_and_a_registration_without_a_pointer() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let mut app = App::of(&rig.token("alice", &json!({"type": "totp"})).secret);
    let browser = Browser::open(&base(&rig));
    browser.go("/ui/login");
    type_into(&browser, "input username", "alice");
    browser.keys(TAB);
    type_into(&browser, "input password", "not her password");
    browser.keys(ENTER);
    browser.await_error("login.error.invalid");
    // After an error the first field has the focus again.
    type_into(&browser, "input username", "alice");
    browser.keys(&format!("{TAB}{PASSWORD}{ENTER}"));
    browser.await_path("/ui/select");
    tab_to(&browser, "a");
    assert!(browser.focused().ends_with("#content"), "the first stop leads past the header");
    browser.keys(ENTER);
    tab_to(&browser, "button option SMS");
    browser.shifted(TAB);
    assert!(browser.focused().starts_with("button option OATH_OTP"), "{}", browser.focused());
    browser.keys(TAB);
    let ring = "const style = getComputedStyle(document.activeElement); \
                return style.outlineStyle + ' ' + style.outlineWidth";
    assert_eq!(browser.run(ring, Vec::new()), "solid 3px", "the focus is seen");
    browser.keys(ENTER);
    browser.await_path("/ui/sms/info");
    tab_to(&browser, "button");
    browser.keys(ENTER);
    browser.await_path("/ui/oath/verify");
    type_into(&browser, "input otp", &app.code());
    browser.keys(ENTER);
    browser.await_path("/ui/sms/register");
    type_into(&browser, "input number", PHONE);
    browser.keys(ENTER);
    browser.await_path("/ui/sms/confirm");
    let code = rig.modem().await_message(PHONE, 1).code();
    type_into(&browser, "input otp", &super::another(&code));
    browser.keys(ENTER);
    browser.await_error("confirm.error.validation.invalid.otp");
    tab_to(&browser, "button action resend");
    browser.keys(ENTER);
    let code = rig.modem().await_message(PHONE, 2).code();
    browser.await_no_error();
    type_into(&browser, "input otp", &code);
    browser.keys(ENTER);
    browser.await_path("/ui/done");
    assert!(rig.show_user("alice")["phone_masked"].as_str().expect("a phone").ends_with("0001"));
}

/// BIND-36, WCAG 2.1, 2.1.1, 2.1.2, 2.4.7: a request of the desk's own, and the comparison with a document. Red when an
/// answer cannot be chosen, or when the focus on it is not seen.
#[test]
fn a_document_is_compared_without_a_pointer() {
    let Some(desk) = desk("") else { return };
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    desk.rig().user("carol");
    let browser = Browser::open(&base(desk.rig()));
    go_in(&browser, "ann", &mut of_ann);
    browser.go("/desk/request");
    tab_to(&browser, "input user");
    browser.keys(&format!("carol{TAB}{SPACE}{TAB}{TAB}Carol Example{ENTER}"));
    browser.await_element("[data-step=begin]");
    tab_to(&browser, "input place");
    browser.keys(&format!("Desk 3{ENTER}"));
    browser.await_element("[data-step=proof]");
    tab_to(&browser, "input document");
    let ring = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.run(ring, Vec::new()), "solid", "the focus is seen");
    browser.keys(&format!("{SPACE}{TAB}CH{TAB}X12345"));
    for question in ["not_expired", "name_match", "photo_match", "security_features"] {
        tab_to(&browser, &format!("input {question}"));
        browser.keys(SPACE);
    }
    tab_to(&browser, "input compared");
    browser.keys(SPACE);
    browser.keys(&format!("{TAB}{ENTER}"));
    browser.await_element("[data-step=record]");
    assert_eq!(step(&browser), "record");
}
