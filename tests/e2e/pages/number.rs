//! A number is registered or changed during a login (SMS-05, SMS-20 to SMS-27, SMS-34).

use serde_json::json;
use tests::Appliance;
use tests::browser::Browser;

use super::{App, OTHER_PHONE, PHONE, another, base, log_in, registered, site, with_phone};

const CHANGE: &str = r#"
[sms.number]
default_country = "+41"
allow = ["+41"]
deny = ["+41900"]

[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "5m"
max_challenges_sent = 6
required_for_registration = ["oath"]

[[flow]]
id = "login"
steps = ["password", "sms:code"]
"#;

/// From the page that explains it to the page that asks for the number.
fn through_the_explanation(browser: &Browser, app: &mut App) {
    browser.at("/ui/sms/info");
    assert!(browser.error().is_none() && !browser.has("input:not([type=hidden])"));
    browser.submit(&[]);
    browser.at("/ui/oath/verify");
    browser.submit(&[("otp", &another(&app.shows()))]);
    assert_eq!(browser.error().as_deref(), Some("oath.error.invalid_otp"));
    browser.submit(&[("otp", &app.code())]);
    browser.at("/ui/sms/register");
}

fn confirm(rig: &Appliance, browser: &Browser, number: &str) {
    browser.at("/ui/sms/confirm");
    let code = rig.modem().await_message(number, 1).code();
    browser.submit(&[("otp", &another(&code))]);
    browser.at("/ui/sms/confirm");
    assert_eq!(browser.error().as_deref(), Some("confirm.error.validation.invalid.otp"));
    browser.submit(&[("otp", &code)]);
}

/// SMS-25, SMS-26, SMS-27, SMS-34, MOB-10, MOB-11, MOB-12, MOB-37. Red when the number is bound before its code, when the
/// other factor is not asked for, or a second message goes out at the end.
#[test]
fn a_number_is_changed_during_the_login() {
    let rig = site(CHANGE);
    with_phone(&rig, "alice", PHONE);
    let mut app = App::of(&rig.token("alice", &json!({"type": "totp"})).secret);
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.at("/ui/sms/code");
    browser.press("register");
    through_the_explanation(&browser, &mut app);
    for (number, key) in [
        ("79 000 00 02", "validation.invalid.phonenumber"),
        ("+33 6 12 34 56 78", "validation.invalid.phonenumber"),
        ("0900 123 456", "validation.invalid.phonenumber"),
        ("079 000 00 01", "number-already-registered"),
    ] {
        browser.submit(&[("number", number)]);
        browser.at("/ui/sms/register");
        assert_eq!(browser.error(), Some(format!("register.error.{key}")), "{number}");
    }
    browser.submit(&[("number", "079 (000) 00-02")]);
    browser.at("/ui/sms/confirm");
    browser.press("back");
    browser.at("/ui/sms/register");
    browser.submit(&[("number", "+41 79 000 00 02")]);
    browser.at("/ui/sms/confirm");
    rig.modem().await_message(OTHER_PHONE, 2);
    assert!(rig.show_user("alice")["phone_masked"].as_str().expect("a phone").ends_with("0001"));
    browser.press("resend");
    let code = rig.modem().await_message(OTHER_PHONE, 3).code();
    browser.submit(&[("otp", &another(&code))]);
    assert_eq!(browser.error().as_deref(), Some("confirm.error.validation.invalid.otp"));
    browser.submit(&[("otp", &code)]);
    browser.at("/ui/done");
    assert!(rig.show_user("alice")["phone_masked"].as_str().expect("a phone").ends_with("0002"));
    // The code of the login, then the notice of the change.
    let notice = rig.modem().await_message(PHONE, 2).text.unwrap_or_default();
    assert!(notice.contains("...0002"), "{notice}");
    assert_eq!(rig.modem().messages_to(OTHER_PHONE).len(), 3, "no second message after the registration");
    assert!(rig.events("user=alice").iter().any(|event| event["type"] == "phone.changed"));
}

/// SMS-20, SMS-22, D-04: who has no number registers one on the way; giving up leaves none behind.
#[test]
fn a_first_number_is_registered_during_the_login() {
    let rig = site(CHANGE);
    registered(&rig, "alice");
    let mut app = App::of(&rig.token("alice", &json!({"type": "totp"})).secret);
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    through_the_explanation(&browser, &mut app);
    browser.submit(&[("number", OTHER_PHONE)]);
    browser.at("/ui/sms/confirm");
    rig.modem().await_message(OTHER_PHONE, 1);
    browser.press("cancel");
    browser.at("/ui/failed");
    assert_eq!(browser.error().as_deref(), Some("flow.cancelled"));
    assert!(rig.show_user("alice")["phone_masked"].is_null());
    log_in(&browser, "alice");
    browser.submit(&[]);
    browser.submit(&[("otp", &app.code())]);
    browser.at("/ui/sms/register");
    browser.submit(&[("number", PHONE)]);
    confirm(&rig, &browser, PHONE);
    browser.at("/ui/done");
    assert_eq!(rig.modem().messages_to(PHONE).len(), 1);
    assert!(rig.events("user=alice").iter().any(|event| event["type"] == "phone.registered"));
}

/// MOB-20, SMS-20: without the right to register there is no button, and no step.
#[test]
fn without_leave_there_is_no_button() {
    let closed =
        CHANGE.replace("required_for_registration = [\"oath\"]", "allow_registration_during_login = false");
    let rig = site(&closed);
    with_phone(&rig, "alice", PHONE);
    registered(&rig, "bob");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.at("/ui/sms/code");
    assert!(!browser.has("button[value=register]"));
    log_in(&browser, "bob");
    browser.at("/ui/failed");
    assert_eq!(browser.error().as_deref(), Some("enter-username.error.no-user-or-phonenumber"));
}
