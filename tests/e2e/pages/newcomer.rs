//! A new user registers (OATH-30, OATH-39, D-58).

use tests::browser::Browser;

use super::{App, PASSWORD, base, log_in, site};

const TABLES: &str = r#"
[[flow]]
id = "login"
steps = ["password", "oath"]

[[flow]]
id = "with-app"
purpose = "self-registration"
steps = ["details", "select", "persist"]

[[flow.select.option]]
name = "OATH_OTP_ACTIVATION"
label = "Authenticator app"
when = "always"
steps = ["oath-activate", "set-method:OATH_OTP"]
"#;

/// OATH-30, OATH-39, OATH-53, D-58. Red when a user is written before the last step.
#[test]
fn a_new_user_registers_with_an_app() {
    let rig = site(TABLES);
    rig.user("taken");
    let browser = Browser::open(&base(&rig));
    browser.go("/ui/register");
    browser.at("/ui/register");
    for (name, password, email, key) in [
        ("a b", PASSWORD, "", "details.error.name"),
        ("taken", PASSWORD, "", "details.error.name"),
        ("carol", "short", "", "details.error.password"),
        ("carol", PASSWORD, "carol@nowhere", "details.error.email"),
    ] {
        browser.submit(&[("username", name), ("password", password), ("email", email)]);
        browser.at("/ui/register");
        assert_eq!(browser.error().as_deref(), Some(key), "{name} {email}");
    }
    let address = "Carol Example\nExample Street 1\n8000 Zurich";
    let details =
        [("username", "carol"), ("password", PASSWORD), ("email", "carol@example.org"), ("address", address)];
    browser.submit(&details);
    browser.at("/ui/oath/activate");
    assert_eq!(rig.admin().get("/v1/users/carol").status, 404, "nothing is stored yet");
    browser.press("cancel");
    browser.at("/ui/failed");
    assert_eq!(rig.admin().get("/v1/users/carol").status, 404);
    browser.go("/ui/register");
    browser.submit(&details);
    let secret = browser.text("[data-secret]").replace(' ', "");
    let mut app = App::new(&secret);
    let code = app.code();
    browser.submit(&[("otp", &code)]);
    browser.at("/ui/done");
    rig.show_user("carol");
    assert!(rig.admin().verify("carol", &code).rejected(), "the first code is used up");
    log_in(&browser, "carol");
    browser.at("/ui/oath/verify");
    browser.submit(&[("otp", &app.code())]);
    browser.at("/ui/done");
}
