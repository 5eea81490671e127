//! How the pages look and who can use them: WCAG 2.1 A and AA by axe-core, narrow and wide, light and dark, by keyboard.
//!
//! A picture of each page is left in `pages/` of the target directory.

use serde_json::{Value, json};
use tests::browser::{Browser, BrowserOptions, NARROW, WIDE};
use tests::forms::Visitor;
use tests::mailsink::MailSink;
use tests::time::unix_s;
use tests::{Appliance, PATIENCE, appliance, wait_until};

use super::{OTHER_PHONE, PASSWORD, PHONE, base, log_in, registered, site, with_phone};

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
required_for_registration = ["oath"]

[[authenticator]]
id = "link"
type = "sms"
link_ttl = "10m"
required_for_registration = ["oath"]

[[flow]]
id = "login"
steps = ["password", "phone-registration", "select"]

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

[[flow.select.option]]
name = "OATH_OTP"
label = "Authenticator app"
when = "token:oath"
steps = ["oath"]

[[flow.select.option]]
name = "MAIL"
label = "A code by e-mail"
when = "always"
steps = ["email"]

[[selfservice]]
id = "app"
label = "New authenticator app"
steps = ["oath-activate"]

[[selfservice]]
id = "again"
label = "The same app on another device"
conditions = ["token:oath"]
overwrite_existing = false
steps = ["oath-activate"]

[[selfservice]]
id = "number"
label = "Change the mobile number"
steps = ["phone-change:code"]
"#;
/// WebDriver's Tab.
const TAB: &str = "\u{E004}";
/// What a keyboard must reach.
const REACHABLE: &str = "a[href], button, input:not([type=hidden]), textarea";

/// Looks at each page from all sides and keeps what it finds.
struct Judge<'b> {
    browser: &'b Browser,
    findings: Vec<String>,
    seen: usize,
}

impl Judge<'_> {
    fn look(&mut self, name: &str) {
        let directory = appliance::target_dir().join("pages");
        std::fs::create_dir_all(&directory).expect("the target directory");
        for (width, scheme) in [(NARROW, "light"), (WIDE, "light"), (NARROW, "dark"), (WIDE, "dark")] {
            self.browser.width(width);
            self.browser.scheme(scheme);
            let at = format!("{name} {width} {scheme}");
            let sideways =
                "const root = document.documentElement; return root.scrollWidth > root.clientWidth";
            if self.browser.run(sideways, Vec::new()) != Value::Bool(false) {
                self.findings.push(format!("{at}: scrolls sideways"));
            }
            self.findings.extend(self.browser.axe().into_iter().map(|found| format!("{at}: {found}")));
            self.browser.picture(&directory.join(format!("{name}-{width}-{scheme}.png")));
        }
        self.announces(name);
        self.by_keyboard(name);
        self.seen += 1;
    }

    /// An error stands in the title, in a live region, and at the fields that it is about (WCAG 3.3.1).
    fn announces(&mut self, name: &str) {
        let lang = self.browser.attribute("html", "lang").unwrap_or_default();
        let mut complain = |text: String| self.findings.push(format!("{name}: {text}"));
        if lang != "en" {
            complain(format!("its language is {lang:?}"));
        }
        let (title, error) = (self.browser.title(), self.browser.error());
        if error.is_some() != title.starts_with("Error: ") {
            complain(format!("its title is {title:?} with the error {error:?}"));
        }
        if error.is_some() && self.browser.attribute("[data-error]", "role").as_deref() != Some("alert") {
            complain("the error is not announced".to_owned());
        }
        let (fields, wrong) =
            ("input:not([type=hidden])", "[aria-describedby~=error-text][aria-invalid=true]");
        if error.is_some() && self.browser.has(fields) && !self.browser.has(wrong) {
            complain("no field names the error".to_owned());
        }
    }

    /// Tab reaches everything that can be used, in the order of the page (WCAG 2.1.1, 2.4.3).
    fn by_keyboard(&mut self, name: &str) {
        let all = self.browser.count(REACHABLE);
        let index =
            format!("return [...document.querySelectorAll('{REACHABLE}')].indexOf(document.activeElement)");
        let mut reached: Vec<i64> = Vec::new();
        for _ in 0..all * 2 + 2 {
            self.browser.keys(TAB);
            let at = self.browser.run(&index, Vec::new()).as_i64().expect("a number");
            reached.push(at);
        }
        let reached: Vec<i64> = reached.into_iter().skip_while(|at| *at != 0).take(all).collect();
        let expected: Vec<i64> = (0..).take(all).collect();
        if reached != expected {
            self.findings.push(format!("{name}: Tab goes {reached:?} of {all}"));
        }
    }
}

fn with_script(rig: &Appliance) -> Browser {
    Browser::with(&base(rig), BrowserOptions { script: true, ..BrowserOptions::default() })
}

fn choose(browser: &Browser, option: &str) {
    log_in(browser, "alice");
    browser.at("/ui/select");
    browser.click(&format!("button[value={option}]"));
}

/// The pages of a login by code, and of those that lead there.
fn logins(rig: &Appliance, judge: &mut Judge<'_>) {
    let browser = judge.browser;
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
    browser.submit(&[("otp", &super::another(&code))]);
    judge.look("sms-code-wrong");
    browser.press("resend");
    judge.look("sms-code-resent");
    browser.press("cancel");
    judge.look("cancelled");
    choose(browser, "LINK");
    let message = rig.modem().await_message(PHONE, 3).text.unwrap_or_default();
    let (_, token) = message.split_once("/ui/l/").expect("a link");
    let link = format!("/ui/l/{}", token.trim());
    browser.at("/ui/sms/wait");
    judge.look("sms-wait");
    browser.go(&link);
    judge.look("link");
    browser.press("approve");
    judge.look("link-approved");
    browser.go(&link);
    judge.look("link-used");
    browser.go("/ui/sms/wait");
    browser.await_path("/ui/done");
    judge.look("done");
}

/// The pages of a number that is changed, and of e-mail.
fn changes(rig: &Appliance, judge: &mut Judge<'_>, sink: &MailSink) {
    let browser = judge.browser;
    let secret = rig.token("alice", &json!({"type": "totp"})).secret;
    choose(browser, "SMS");
    browser.press("register");
    judge.look("sms-info");
    browser.submit(&[]);
    judge.look("oath-code");
    browser.submit(&[("otp", &secret.totp(unix_s()))]);
    judge.look("number");
    browser.submit(&[("number", "12")]);
    judge.look("number-wrong");
    browser.submit(&[("number", OTHER_PHONE)]);
    let code = rig.modem().await_message(OTHER_PHONE, 1).code();
    browser.reload();
    judge.look("number-confirm");
    browser.submit(&[("otp", &code)]);
    judge.look("number-done");
    choose(browser, "MAIL");
    sink.next();
    judge.look("email-code");
}

/// The pages of a logged-in user, of a new one, and of things that are not there.
fn the_rest(rig: &Appliance, judge: &mut Judge<'_>) {
    let browser = judge.browser;
    choose(browser, "SMS");
    browser.submit(&[("otp", &rig.modem().await_message(OTHER_PHONE, 2).code())]);
    browser.click("a.primary");
    judge.look("portal");
    browser.click("button[value=app]");
    judge.look("oath-activate");
    browser.submit(&[("otp", "000000")]);
    judge.look("oath-activate-wrong");
    browser.press("cancel");
    browser.click("a.primary");
    browser.click("button[value=again]");
    judge.look("oath-existing");
    registered(rig, "bob");
    log_in(browser, "bob");
    browser.at("/ui/number/letter");
    judge.look("no-letter");
    browser.go("/ui/register");
    judge.look("register");
    browser.submit(&[("username", "carol"), ("password", "short")]);
    judge.look("register-wrong");
    browser.go("/ui/f/00000000000000000000000000000000");
    judge.look("expired");
    browser.go("/ui/nothing");
    judge.look("not-found");
}

/// WCAG 2.1 A and AA, 1.4.10 (320 pixels), 2.1.1, 2.4.2, 3.1.1, 3.3.1. Red when a colour is too pale, a field loses its
/// label, or a page scrolls sideways.
#[test]
fn every_page_is_for_everybody() {
    let sink = MailSink::start();
    let port = sink.address.port();
    let mail = format!("\n[mail]\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"login@example.org\"\n");
    let rig = site(&format!("{TABLES}{mail}"));
    with_phone(&rig, "alice", PHONE);
    let browser = with_script(&rig);
    let mut judge = Judge { browser: &browser, findings: Vec::new(), seen: 0 };
    logins(&rig, &mut judge);
    changes(&rig, &mut judge, &sink);
    the_rest(&rig, &mut judge);
    let mut visitor = Visitor::new(rig.address);
    let cookie = browser.cookie("countersign").map(|cookie| format!("countersign={}", cookie.value));
    let refused = || {
        while visitor.send("GET", "/ui/nothing", None).status != 429 {
            visitor.cookie.clone_from(&cookie);
        }
        browser.go("/ui/nothing");
        (browser.error().as_deref() == Some("page.too-many-requests")).then_some(())
    };
    wait_until(PATIENCE, "too many requests", refused);
    judge.look("too-many-requests");
    assert!(judge.findings.is_empty(), "{}", judge.findings.join("\n"));
    println!("pages: {} looked at, from four sides each", judge.seen);
}
