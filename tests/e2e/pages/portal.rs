//! The self-service of a logged-in user, and its end (OATH-31, OATH-40, B.4.2).

use serde_json::json;
use tests::browser::Browser;
use tests::forms::Visitor;

use super::{PASSWORD, base, log_in, registered, site, with_phone};

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
    let mut thief = Visitor::new(rig.address);
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

/// OATH-31, B.4.2: a login counts for what was shown in it, and so it ends with a factor that is taken away, without a word
/// from the browser; one of somebody else goes on. Red when a thief with phone and password stays logged in after it was
/// reported.
#[test]
fn a_login_ends_with_a_factor_that_is_taken_away() {
    let rig = site(TABLES);
    with_phone(&rig, "alice", "+41791110001");
    with_phone(&rig, "bob", "+41791110002");
    let logged_in = |name| {
        let mut visitor = Visitor::new(rig.address);
        visitor.go("/ui/login").submit(&[("username", name), ("password", PASSWORD)]).at("/ui/done");
        visitor
    };
    let mut bob = logged_in("bob");
    let token = rig.token("alice", &json!({"type": "totp"})).serial;
    let mut admin = rig.admin();
    let phone = |change: &str| (format!("/v1/users/alice/phone{change}"), json!({}));
    let acts = [
        ("POST", phone("/suspend"), true),
        ("POST", phone("/resume"), false),
        ("DELETE", phone(""), true),
        ("POST", (format!("/v1/tokens/{token}/suspend"), json!({})), true),
        ("POST", (format!("/v1/tokens/{token}/resume"), json!({})), false),
        ("POST", (format!("/v1/tokens/{token}/unlock"), json!({})), false),
        ("POST", (format!("/v1/tokens/{token}/revoke"), json!({})), true),
    ];
    for (method, (path, body), ends) in acts {
        let mut alice = logged_in("alice");
        alice.go("/ui/self").at("/ui/self");
        let done = if method == "DELETE" { admin.delete(&path) } else { admin.post(&path, &body) };
        done.expect(200);
        alice.go("/ui/self").at(if ends { "/ui/login" } else { "/ui/self" });
    }
    bob.go("/ui/self").at("/ui/self");
}
