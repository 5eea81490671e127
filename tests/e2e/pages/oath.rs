//! Authenticator apps: enrolment in the self-service, and logins by them (A.3).

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tests::browser::Browser;
use tests::{Appliance, appliance};

use super::{App, PHONE, another, base, log_in, registered, site, with_phone};

const TABLES: &str = r#"
[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "5m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "select", "migrate"]

[[flow.select.option]]
name = "SMS"
label = "A code by SMS"
when = "token:sms"
steps = ["sms:code"]

[[flow.select.option]]
name = "OATH_OTP"
label = "Authenticator app"
when = "token:oath"
steps = ["oath"]

[[flow.migrate.option]]
target = "OATH_OTP"
label = "Move to an authenticator app"
steps = ["oath-activate"]

[[selfservice]]
id = "oath-otp-activation"
label = "New authenticator app"
steps = ["oath-activate"]

[[selfservice]]
id = "oath-otp-additional"
label = "The same app on another device"
conditions = ["token:oath"]
overwrite_existing = false
steps = ["oath-activate"]
"#;

/// The Base32 text of the page.
fn shown_secret(browser: &Browser) -> String {
    browser.text("[data-secret]").replace(' ', "")
}

/// What a camera reads from the page.
fn scanned(browser: &Browser, name: &str) -> String {
    let picture: PathBuf = appliance::target_dir().join(format!("pages/scan-{name}.png"));
    std::fs::create_dir_all(picture.parent().expect("it is in a directory")).expect("the target directory");
    browser.picture(&picture);
    let read = Command::new("zbarimg").args(["--quiet", "--raw"]).arg(&picture).output().expect("zbarimg");
    String::from_utf8_lossy(&read.stdout).trim().to_owned()
}

fn log_in_by_sms(rig: &Appliance, browser: &Browser, nth: usize) {
    log_in(browser, "alice");
    if browser.path() == "/ui/select" {
        browser.click("button[value=SMS]");
    }
    browser.at("/ui/sms/code");
    browser.submit(&[("otp", &rig.modem().await_message(PHONE, nth).code())]);
    browser.at("/ui/done");
    browser.click("a.primary");
    browser.at("/ui/self");
}

fn choose(browser: &Browser, flow: &str) {
    browser.click(&format!("button[name=flow][value=\"{flow}\"]"));
    browser.at("/ui/oath/activate");
}

/// OATH-21, OATH-22, OATH-25, OATH-26, OATH-31, OATH-33, OATH-34, OATH-40, OATH-53. Red when a secret is active before its first
/// code, when the new one leaves the old one alive, or the page shows hexadecimal digits.
#[test]
fn an_app_is_enrolled_shown_again_and_replaced() {
    let rig = site(TABLES);
    with_phone(&rig, "alice", PHONE);
    let browser = Browser::open(&base(&rig));
    log_in_by_sms(&rig, &browser, 1);
    assert!(!browser.has("button[value=oath-otp-additional]"), "there is nothing to show again");
    choose(&browser, "oath-otp-activation");
    let first = shown_secret(&browser);
    let uri = scanned(&browser, "first");
    assert!(uri.starts_with("otpauth://totp/") && uri.contains(&format!("secret={first}")), "{uri}");
    let bytes = data_encoding::BASE32_NOPAD.decode(first.as_bytes()).expect("Base32");
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    assert!(!browser.page().to_lowercase().contains(&hex));
    // Not active yet: the API knows no token.
    let mut app = App::new(&first);
    assert!(rig.admin().verify("alice", &app.shows()).rejected());
    browser.submit(&[("otp", &another(&app.shows()))]);
    browser.at("/ui/oath/activate");
    assert_eq!(browser.error().as_deref(), Some("oath.error.invalid_otp"));
    assert_eq!(shown_secret(&browser), first, "the same secret after a wrong code");
    browser.submit(&[("otp", &app.code())]);
    browser.at("/ui/done");

    // Both factors are offered from now on.
    log_in(&browser, "alice");
    browser.at("/ui/select");
    assert_eq!(browser.count("button[name=option]"), 2);
    browser.click("button[value=OATH_OTP]");
    browser.at("/ui/oath/verify");
    browser.submit(&[("otp", &app.code())]);
    browser.at("/ui/done");
    browser.click("a.primary");

    choose(&browser, "oath-otp-additional");
    assert_eq!(shown_secret(&browser), first, "the existing secret");
    assert!(browser.has(".notice"));
    browser.submit(&[("otp", &app.code())]);
    browser.at("/ui/done");

    log_in_by_sms(&rig, &browser, 2);
    choose(&browser, "oath-otp-activation");
    let second = shown_secret(&browser);
    assert_ne!(second, first);
    browser.press("cancel");
    browser.at("/ui/failed");
    assert!(rig.admin().verify("alice", &app.code()).accepted(), "giving up changes nothing");
    log_in_by_sms(&rig, &browser, 3);
    choose(&browser, "oath-otp-activation");
    let mut third = App::new(&shown_secret(&browser));
    browser.submit(&[("otp", &third.code())]);
    browser.at("/ui/done");
    assert!(rig.admin().verify("alice", &app.code()).rejected(), "the former app has ended");
    assert!(rig.admin().verify("alice", &third.code()).accepted());
}

/// OATH-21: a single option needs no question; none at all ends the login.
#[test]
fn a_single_option_needs_no_question() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.at("/ui/failed");
    assert_eq!(browser.error().as_deref(), Some("flow.no_option"));
    let secret = rig.token("alice", &json!({"type": "totp"})).secret;
    log_in(&browser, "alice");
    browser.at("/ui/oath/verify");
    browser.submit(&[("otp", &App::of(&secret).code())]);
    browser.at("/ui/done");
}

/// OATH-29, OATH-32. Red when the method moves before the app has shown its code, or when it is put off.
#[test]
fn a_user_is_moved_to_an_app() {
    let rig = site(TABLES);
    with_phone(&rig, "alice", PHONE);
    rig.admin().put("/v1/users/alice/auth-method", &json!({"next": "OATH_OTP"})).expect(200);
    let methods = || rig.admin().get("/v1/users/alice/methods").expect(200).json();
    let before = methods();
    let browser = Browser::open(&base(&rig));
    let to_the_offer = |nth: usize| {
        log_in(&browser, "alice");
        browser.at("/ui/sms/code");
        browser.submit(&[("otp", &rig.modem().await_message(PHONE, nth).code())]);
        browser.at("/ui/migrate");
    };
    to_the_offer(1);
    browser.press("skip");
    browser.at("/ui/done");
    assert_eq!(methods(), before);
    to_the_offer(2);
    browser.click("button[value=OATH_OTP]");
    browser.at("/ui/oath/activate");
    let secret = shown_secret(&browser);
    let mut app = App::new(&secret);
    browser.submit(&[("otp", &another(&app.shows()))]);
    assert_eq!(methods(), before);
    browser.submit(&[("otp", &app.code())]);
    browser.at("/ui/done");
    let after = methods();
    assert_eq!((&after["active"], &after["next"]), (&json!("OATH_OTP"), &json!(null)), "{after}");
}
