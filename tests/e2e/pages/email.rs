//! A code by e-mail as the second factor of a registration (SMS-24, D-21).

use tests::browser::Browser;
use tests::mailsink::{Mail, MailSink};

use super::{PHONE, another, base, log_in, registered, site};

/// Wrong codes by e-mail count in the user's limiter: no delay gets in the way here.
const TABLES: &str = r#"
[limits]
delay_from = 20

[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "5m"
show_info_before_registration = false
required_for_registration = ["password", "email"]

[[flow]]
id = "login"
steps = ["password", "sms:code"]
"#;

pub(super) fn code_of(mail: &Mail) -> String {
    let runs = mail.text.split("\n\n").nth(1).unwrap_or_default().split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == 8).map(str::to_owned).next().unwrap_or_else(|| panic!("{mail:?}"))
}

/// SMS-24, D-21. Red when the mail goes elsewhere, an old code is taken, or three wrong ones are not enough.
#[test]
fn a_number_is_registered_with_a_code_by_mail() {
    let sink = MailSink::start();
    let mail = format!(
        "\n[mail]\nhost = \"127.0.0.1\"\nport = {}\nfrom = \"login@example.org\"\n",
        sink.address.port()
    );
    let rig = site(&format!("{TABLES}{mail}"));
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.at("/ui/email/code");
    let first = sink.next();
    assert_eq!(first.to, ["alice@example.org"]);
    browser.press("resend");
    browser.at("/ui/email/code");
    let code = code_of(&sink.next());
    browser.submit(&[("otp", &code_of(&first))]);
    assert_eq!(browser.error().as_deref(), Some("email.error.invalid_otp"), "replaced by the second");
    for key in ["invalid_otp", "too-many-attempts"] {
        browser.submit(&[("otp", &another(&code))]);
        assert_eq!(browser.error(), Some(format!("email.error.{key}")));
    }
    browser.submit(&[("otp", &code)]);
    assert_eq!(browser.error().as_deref(), Some("email.error.too-many-attempts"));
    browser.press("resend");
    browser.submit(&[("otp", &code_of(&sink.next()))]);
    browser.at("/ui/sms/register");
    browser.submit(&[("number", PHONE)]);
    browser.at("/ui/sms/confirm");
    browser.submit(&[("otp", &rig.modem().await_message(PHONE, 1).code())]);
    browser.at("/ui/done");
    assert!(rig.show_user("alice")["phone_masked"].as_str().expect("a phone").ends_with("0001"));
}
