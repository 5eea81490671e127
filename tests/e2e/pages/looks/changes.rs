//! The pages of a number that is changed, of codes by e-mail, and of a move to another method.

use serde_json::json;
use tests::mailsink::MailSink;

use super::{Judge, with_script};
use crate::{App, OTHER_PHONE, PHONE, log_in, site, with_phone};

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
required_for_registration = ["oath"]

[[flow]]
id = "login"
steps = ["password", "select", "migrate"]

[[flow.select.option]]
name = "SMS"
label = "A code by SMS"
when = "token:sms"
steps = ["sms:code"]

[[flow.select.option]]
name = "MAIL"
label = "A code by e-mail"
when = "always"
steps = ["email"]

[[flow.migrate.option]]
target = "OATH_OTP"
label = "Move to an authenticator app"
steps = ["oath-activate"]
"#;

/// SMS-24 to SMS-27, OATH-29, OATH-32, WCAG 2.1 A and AA. Red as in `logins`.
#[test]
fn changes_are_for_everybody() {
    let sink = MailSink::start();
    let port = sink.address.port();
    let mail = format!("\n[mail]\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"login@example.org\"\n");
    let rig = site(&format!("{TABLES}{mail}"));
    with_phone(&rig, "alice", PHONE);
    let mut app = App::of(&rig.token("alice", &json!({"type": "totp"})).secret);
    let browser = with_script(&rig);
    let mut judge = Judge::new(&browser);
    log_in(&browser, "alice");
    browser.click("button[value=SMS]");
    browser.press("register");
    judge.look("sms-info");
    browser.submit(&[]);
    judge.look("oath-code");
    browser.press("resync");
    judge.look("oath-resync");
    browser.submit(&[("otp", "000000"), ("otp_next", "000001")]);
    assert_eq!(browser.error().as_deref(), Some("oath.error.not-consecutive"));
    judge.look("oath-resync-wrong");
    browser.submit(&[("otp", &app.code()), ("otp_next", &app.code())]);
    judge.look("oath-resynced");
    browser.submit(&[("otp", &app.code())]);
    judge.look("number");
    browser.submit(&[("number", "12")]);
    judge.look("number-wrong");
    browser.submit(&[("number", OTHER_PHONE)]);
    let code = rig.modem().await_message(OTHER_PHONE, 1).code();
    browser.reload();
    judge.look("number-confirm");
    browser.submit(&[("otp", &code)]);
    judge.look("number-done");

    rig.admin().put("/v1/users/alice/auth-method", &json!({"next": "OATH_OTP"})).expect(200);
    log_in(&browser, "alice");
    browser.click("button[value=MAIL]");
    let mail = sink.next();
    judge.look("email-code");
    let code = crate::email::code_of(&mail);
    browser.submit(&[("otp", &crate::another(&code))]);
    assert_eq!(browser.error().as_deref(), Some("email.error.invalid_otp"));
    judge.look("email-code-wrong");
    browser.submit(&[("otp", &code)]);
    browser.at("/ui/migrate");
    judge.look("migrate");
    judge.rule(12);
}
