//! The pages of people who begin: a first number with the key of a letter, a new account.

use tests::letter::order_and_read_key;

use super::{Judge, with_script};
use crate::{PHONE, log_in, registered, site_with_letters};

const TABLES: &str = r#"
[sms.self_registration]
enabled = true
self_order = true

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
required_for_registration = "iak"

[[flow]]
id = "login"
steps = ["password", "phone-registration", "sms:code"]
"#;

/// MOB-13, MOB-28, MOB-34, OATH-39, WCAG 2.1 A and AA. Red as in `logins`, or when the error does not name both
/// fields that it may be about.
#[test]
fn beginnings_are_for_everybody() {
    let rig = site_with_letters(TABLES);
    registered(&rig, "bob");
    let browser = with_script(&rig);
    let mut judge = Judge::new(&browser);
    log_in(&browser, "bob");
    browser.at("/ui/number/letter");
    judge.look("no-letter");
    let key = order_and_read_key(&rig, "bob");
    browser.submit(&[]);
    browser.at("/ui/number");
    judge.look("first-number");
    browser.submit(&[("number", PHONE)]);
    browser.at("/ui/number/verify");
    let code = rig.modem().await_message(PHONE, 1).code();
    browser.reload();
    judge.look("first-number-verify");
    browser.submit(&[("otp", &code), ("iak", "AAAA-BBBB-CCCC")]);
    assert_eq!(browser.error().as_deref(), Some("register.error.invalid.otp-or-iak"));
    assert_eq!(browser.count("[aria-invalid=true][aria-describedby~=error-text]"), 2);
    judge.look("first-number-verify-wrong");
    browser.press("resend");
    let code = rig.modem().await_message(PHONE, 2).code();
    browser.submit(&[("otp", &code), ("iak", &key.to_lowercase())]);
    judge.look("first-number-done");
    browser.go("/ui/register");
    judge.look("register");
    browser.submit(&[("username", "carol"), ("password", "short")]);
    judge.look("register-wrong");
    judge.rule(7);
}
