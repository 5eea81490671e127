//! The pages of a logged-in user, and of things that are not there.

use tests::forms::Visitor;
use tests::{PATIENCE, wait_until};

use super::{Judge, with_script};
use crate::{App, base, log_in, registered, site};

const TABLES: &str = r#"
[[flow]]
id = "login"
steps = ["password"]

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
"#;

/// OATH-25, OATH-26, OATH-31, OATH-34, SMS-43, WCAG 2.1 A and AA. Red as in `logins`.
#[test]
fn settings_and_dead_ends_are_for_everybody() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let browser = with_script(&rig);
    let mut judge = Judge::new(&browser);
    log_in(&browser, "alice");
    browser.click("a.primary");
    judge.look("portal");
    browser.click("button[value=app]");
    judge.look("oath-activate");
    browser.submit(&[("otp", "000000")]);
    judge.look("oath-activate-wrong");
    let secret = browser.text("[data-secret]").replace(' ', "");
    browser.submit(&[("otp", &App::new(&secret).code())]);
    judge.look("changed");
    browser.click("a.primary");
    browser.click("button[value=again]");
    judge.look("oath-existing");
    browser.go("/ui/f/00000000000000000000000000000000");
    judge.look("expired");
    browser.go("/ui/nothing");
    judge.look("not-found");
    let mut visitor = Visitor::new(rig.address);
    let cookie = browser.cookie("countersign").map(|cookie| format!("countersign={}", cookie.value));
    let refused = || {
        while visitor.send("GET", "/ui/nothing", None).status != 429 {
            visitor.cookie.clone_from(&cookie);
        }
        browser.go(&format!("{}/ui/nothing", base(&rig)));
        (browser.error().as_deref() == Some("page.too-many-requests")).then_some(())
    };
    wait_until(PATIENCE, "too many requests", refused);
    judge.look("too-many-requests");
    judge.rule(8);
}
