//! The pages of a login by code, by link and by a name alone, and of their errors.

use serde_json::json;

use super::{Judge, with_script};
use crate::{PASSWORD, PHONE, base, log_in, site, with_phone};

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

[[authenticator]]
id = "link"
type = "sms"
link_ttl = "10m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "select"]

[[flow.select.option]]
name = "SMS"
label = "A code by SMS"
when = "token:sms"
steps = ["sms:code"]

[[flow.select.option]]
name = "LINK"
label = "A link by SMS, approved on the phone"
when = "token:sms"
steps = ["sms:link"]

[[flow]]
id = "name-first"
steps = ["username", "sms:code"]
"#;

/// Opens a flow that an application begins.
fn begun(judge: &Judge<'_>, rig: &tests::Appliance, flow: &str) {
    let key = rig.app_key(flow, &["challenge"]);
    let begin = json!({"flow": flow, "return_url": "https://app.example.org/"});
    let begun = rig.loopback(Some(&key)).post("/v1/flows", &begin).expect(201).json();
    judge.browser.go(begun["page"].as_str().expect("a page"));
}

/// SMS-38, SMS-40, SMS-42, WCAG 2.1 A and AA, 1.4.10, 2.1.1, 2.4.2, 3.1.1, 3.3.1. Red when a colour is too pale, a
/// field loses its label, an error its field, or a page scrolls sideways.
#[test]
fn logins_are_for_everybody() {
    let rig = site(TABLES);
    with_phone(&rig, "alice", PHONE);
    let browser = with_script(&rig);
    let mut judge = Judge::new(&browser);
    browser.go("/ui/login");
    judge.look("login");
    browser.submit(&[("username", "alice"), ("password", "not her password")]);
    judge.look("login-wrong");
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    judge.look("select");
    browser.click("button[value=SMS]");
    let code = rig.modem().await_message(PHONE, 1).code();
    browser.reload();
    judge.look("sms-code");
    browser.submit(&[("otp", &crate::another(&code))]);
    judge.look("sms-code-wrong");
    browser.press("resend");
    judge.look("sms-code-resent");
    browser.press("cancel");
    judge.look("cancelled");
    by_link(&rig, &mut judge);
    begun(&judge, &rig, "name-first");
    browser.at("/ui/sms/username");
    judge.look("sms-username");
    browser.submit(&[("username", "nobody")]);
    assert_eq!(browser.error().as_deref(), Some("enter-username.error.no-user-or-phonenumber"));
    judge.look("sms-username-wrong");
    judge.rule(16);
}

fn by_link(rig: &tests::Appliance, judge: &mut Judge<'_>) {
    let browser = judge.browser;
    let link = |nth: usize| {
        log_in(browser, "alice");
        browser.click("button[value=LINK]");
        let message = rig.modem().await_message(PHONE, nth).text.unwrap_or_default();
        let (_, token) = message.split_once("/ui/l/").expect("a link");
        browser.at("/ui/sms/wait");
        assert!(message.contains(&base(rig)));
        format!("/ui/l/{}", token.trim())
    };
    let approved = link(3);
    judge.look("sms-wait");
    browser.go(&approved);
    judge.look("link");
    browser.press("approve");
    judge.look("link-approved");
    browser.go(&approved);
    judge.look("link-used");
    browser.go("/ui/sms/wait");
    browser.await_path("/ui/done");
    judge.look("done");
    let rejected = link(4);
    browser.go(&rejected);
    browser.press("reject");
    judge.look("link-rejected");
    browser.go("/ui/sms/wait");
    browser.await_path("/ui/failed");
    judge.look("login-rejected");
}
