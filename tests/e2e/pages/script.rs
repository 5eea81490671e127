//! What a script adds to the pages: a page that waits moves on by itself and says how long a code is good for.
//!
//! Without script the same pages work: see `link` and `login`.

use serde_json::Value;
use tests::browser::{Browser, BrowserOptions};
use tests::{Appliance, PATIENCE, wait_until};

use super::{PHONE, base, log_in, registered, site, with_phone};

const TABLES: &str = r#"
[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "30s"
allow_registration_during_login = false

[[authenticator]]
id = "link"
type = "sms"
link_ttl = "5m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "select"]

[[flow.select.option]]
name = "LINK"
label = "A link"
when = "token:sms"
steps = ["sms:link"]

[[flow.select.option]]
name = "CODE"
label = "A code"
when = "token:sms"
steps = ["sms:code"]

[[flow.select.option]]
name = "NONE"
label = "Password only"
when = "!token:sms"
steps = []

[[selfservice]]
id = "app"
label = "New authenticator app"
steps = ["oath-activate"]
"#;

fn scripted(rig: &Appliance) -> Browser {
    Browser::with(&base(rig), BrowserOptions { script: true, ..BrowserOptions::default() })
}

/// SMS-38: the page in front of the user stays the same document, refusing nothing to who reads it, until the phone
/// has decided; then the browser goes on once. Red when the page reloads meanwhile, or never goes on.
#[test]
fn a_waiting_page_moves_on_without_a_reload() {
    let rig = site(TABLES);
    with_phone(&rig, "alice", PHONE);
    let browser = scripted(&rig);
    log_in(&browser, "alice");
    browser.click("button[value=LINK]");
    browser.at("/ui/sms/wait");
    browser.mark();
    let message = rig.modem().await_message(PHONE, 1).text.unwrap_or_default();
    let (_, token) = message.split_once("/ui/l/").expect("a link");
    let asked = "return performance.getEntriesByType('resource').some(entry => entry.name.includes('hold'))";
    let looked = || {
        // It is held for half a minute; a second document would not be marked.
        assert!(browser.is_marked(), "the page was replaced");
        (browser.run(asked, Vec::new()) == Value::Bool(true) || browser.has("[data-left]")).then_some(())
    };
    wait_until(PATIENCE, "the page asks for itself", looked);
    assert!(browser.is_marked());
    let mut phone = tests::forms::Visitor::new(rig.address);
    let answer = phone.send("POST", &format!("/ui/l/{}", token.trim()), Some(&[("action", "approve")]));
    assert_eq!(answer.status, 200);
    browser.await_path("/ui/done");
    assert!(!browser.is_marked() && browser.error().is_none());
}

/// The life of a code is counted down, and its end is told where nobody has to look for it.
#[test]
fn the_life_of_a_code_is_counted_down() {
    let rig = site(TABLES);
    with_phone(&rig, "alice", PHONE);
    let browser = scripted(&rig);
    log_in(&browser, "alice");
    browser.click("button[value=CODE]");
    browser.at("/ui/sms/code");
    browser.mark();
    rig.modem().await_message(PHONE, 1);
    wait_until(PATIENCE, "the modem has taken the message", || browser.has("[data-left]").then_some(()));
    let first = browser.text("[role=timer]");
    wait_until(PATIENCE, "the next second", || (browser.text("[role=timer]") != first).then_some(()));
    assert!(first.starts_with("0:"), "{first}");
    let over = || {
        let notice = "p[role=status][data-over]";
        browser.has(notice).then(|| browser.text(notice))
    };
    let told = wait_until(PATIENCE, "the end of the code's life", over);
    assert_eq!(told, "The code is no longer valid. Please ask for a new one.");
    assert!(browser.is_marked(), "all of it on one page");
}

/// OATH-26: the key of an app is copied without its gaps, and without script there is no button that does nothing.
#[test]
fn a_key_is_copied_where_that_works() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    for script in [true, false] {
        let browser = Browser::with(&base(&rig), BrowserOptions { script, ..BrowserOptions::default() });
        log_in(&browser, "alice");
        browser.click("a.primary");
        browser.click("button[value=app]");
        browser.at("/ui/oath/activate");
        assert_eq!(browser.has("[data-copy]:not([hidden])"), script);
        if script {
            browser.run(
                "navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }",
                Vec::new(),
            );
            browser.run("document.querySelector('[data-copy]').click()", Vec::new());
            let key = browser.text("[data-secret]").replace(' ', "");
            assert_eq!(browser.run("return copied", Vec::new()), Value::String(key));
            let told = || (browser.text("[data-copy]") == "Copied").then_some(());
            wait_until(PATIENCE, "the button says so", told);
        }
    }
}

/// Who wants no motion sees none (`prefers-reduced-motion`, WCAG 2.1, 2.3.3).
#[test]
fn nothing_moves_for_who_wants_no_motion() {
    let rig = site(TABLES);
    with_phone(&rig, "alice", PHONE);
    let browser = scripted(&rig);
    log_in(&browser, "alice");
    browser.click("button[value=LINK]");
    browser.at("/ui/sms/wait");
    let moving = "return document.getAnimations().length";
    for (wish, moves) in [("no-preference", true), ("reduce", false)] {
        browser.prefer("prefers-reduced-motion", wish);
        let count = browser.run(moving, Vec::new()).as_u64().expect("a number");
        assert_eq!(count > 0, moves, "{wish}: {count}");
    }
}

/// What the other tests of pages rest on: a browser without script runs none, and what is put into a field at once ends where
/// typing would.
#[test]
fn a_browser_without_script_runs_none() {
    const PAGE: &str = "data:text/html,<title>still</title><script>document.title = 'ran'</script>\
        <input name=short maxlength=3>";
    for (script, title) in [(false, "still"), (true, "ran")] {
        let browser = Browser::with("", BrowserOptions { script, ..BrowserOptions::default() });
        browser.go(PAGE);
        assert_eq!(browser.title(), title);
        browser.fill("short", "abcdef");
        assert_eq!(browser.run("return document.querySelector('input').value", Vec::new()), "abc");
    }
}
