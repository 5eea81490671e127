//! The self-service of a logged-in user, and its end (OATH-31, OATH-40, B.4.2).

use tests::browser::Browser;

use super::{base, log_in, registered, site};

const TABLES: &str = r#"
[[flow]]
id = "login"
steps = ["password"]

[[selfservice]]
id = "app"
label = "New authenticator app"
steps = ["oath-activate"]

[[selfservice]]
id = "hidden"
label = "For users with an app"
conditions = ["token:oath"]
steps = ["oath-activate"]
"#;

/// OATH-40. Red when a stranger sees the portal, or a closed one opens again with the browser's back button.
#[test]
fn only_who_is_logged_in_sees_it_until_the_end() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    browser.go("/ui/self");
    browser.at("/ui/login");
    log_in(&browser, "alice");
    browser.at("/ui/done");
    let session = browser.cookie("countersign").expect("a session").value;
    browser.click("a.primary");
    browser.at("/ui/self");
    assert!(browser.text("main").contains("alice"));
    assert!(browser.has("button[value=app]") && !browser.has("button[value=hidden]"));
    browser.press("log-out");
    browser.at("/ui/login");
    browser.back();
    browser.await_path("/ui/login");
    browser.go("/ui/self");
    browser.at("/ui/login");
    // A copy of the cookie is worth nothing any more.
    let mut thief = tests::forms::Visitor::new(rig.address);
    thief.cookie = Some(format!("countersign={session}"));
    thief.go("/ui/self");
    assert!(!thief.text().contains("alice"), "{}", thief.text());
    assert!(rig.events("user=alice").iter().any(|event| event["type"] == "login.ended"));
}

/// OATH-31, OATH-40: after a change the user is still logged in, and gets back to the portal.
#[test]
fn the_portal_is_there_after_a_change() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.click("a.primary");
    browser.click("button[value=app]");
    browser.at("/ui/oath/activate");
    let secret = browser.text("[data-secret]").replace(' ', "");
    browser.submit(&[("otp", &super::App::new(&secret).code())]);
    browser.at("/ui/done");
    browser.click("a.primary");
    browser.at("/ui/self");
    assert!(browser.has("button[value=hidden]"), "{}", browser.page());
    browser.click("button[value=app]");
    browser.press("cancel");
    browser.at("/ui/failed");
    browser.click("a.primary");
    browser.at("/ui/self");
}
