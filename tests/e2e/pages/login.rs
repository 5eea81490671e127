//! Login with a password and a code by SMS.

use tests::browser::{Browser, BrowserOptions};
use tests::forms::Visitor;
use tests::{PATIENCE, wait_until};

use super::{OTHER_PHONE, PASSWORD, PHONE, another, base, log_in, registered, site, with_phone};

const CODE: &str = r#"
[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "5m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "sms:code"]
"#;

/// No code is looked at now.
const LOCKED: &str = "login.error.locked";

const NAME_FIRST: &str = r#"
[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "5m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["username", "sms:code"]
"#;

/// SMS-02, SMS-03, SMS-14, SMS-41, SMS-42, D-59. Red when a step is left out, or a wrong answer goes on.
#[test]
fn a_password_then_a_code() {
    let rig = site(CODE);
    with_phone(&rig, "alice", PHONE);
    let browser = Browser::open(&base(&rig));
    browser.go("/ui");
    browser.at("/ui/login");
    assert!(!browser.has("[data-error]"));
    for (name, password) in [("alice", "not her password"), ("nobody", PASSWORD)] {
        browser.submit(&[("username", name), ("password", password)]);
        browser.at("/ui/login");
        assert_eq!(browser.error().as_deref(), Some("login.error.invalid"));
        assert!(browser.title().starts_with("Error: "), "{}", browser.title());
    }
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    browser.at("/ui/sms/code");
    assert!(
        browser.text("main").replace('\u{2060}', "").contains("…0001")
            && !browser.page().contains("790000001")
    );
    let code = rig.modem().await_message(PHONE, 1).code();
    browser.submit(&[("otp", &another(&code))]);
    browser.at("/ui/sms/code");
    assert_eq!(browser.error().as_deref(), Some("enter-otp.error.invalid.otp"));
    browser.submit(&[("otp", &code)]);
    browser.at("/ui/done");
    assert!(browser.text("main").contains("alice") && browser.error().is_none());
    assert_eq!(rig.modem().messages().len(), 1);
}

/// SMS-30, SMS-31, B.5.4: three wrong codes end a code, another one may be asked for; there are three in a session.
#[test]
fn attempts_and_messages_are_limited() {
    let rig = site(CODE);
    with_phone(&rig, "alice", PHONE);
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    let code = rig.modem().await_message(PHONE, 1).code();
    for expected in ["invalid.otp", "invalid.otp", "too-many-attempts"] {
        browser.submit(&[("otp", &another(&code))]);
        assert_eq!(browser.error(), Some(format!("enter-otp.error.{expected}")));
    }
    browser.submit(&[("otp", &code)]);
    assert_eq!(browser.error().as_deref(), Some("enter-otp.error.too-many-attempts"));
    browser.press("resend");
    browser.at("/ui/sms/code");
    assert!(browser.error().is_none() && browser.has(".notice"));
    let second = rig.modem().await_message(PHONE, 2).code();
    browser.press("resend");
    let third = rig.modem().await_message(PHONE, 3).code();
    browser.press("resend");
    assert_eq!(browser.error().as_deref(), Some("enter-username.error.too-many-attempts"));
    // A code that another one has replaced is none; after so many no code is looked at for a while.
    let other = if second == third { another(&third) } else { second };
    browser.submit(&[("otp", &other)]);
    assert!(browser.error().is_some_and(|key| key.ends_with(".invalid.otp") || key == LOCKED));
    let entered = || {
        browser.submit(&[("otp", &third)]);
        assert!(browser.error().is_none_or(|key| key == LOCKED));
        (browser.path() == "/ui/done").then_some(())
    };
    wait_until(PATIENCE, "the limiter lets the right code through", entered);
    assert_eq!(rig.modem().messages_to(PHONE).len(), 3);
}

/// SMS-07, SMS-08: alone it asks for a name; who does not exist and who has no number are told the same.
#[test]
fn a_name_then_a_code() {
    let rig = site(NAME_FIRST);
    with_phone(&rig, "alice", PHONE);
    registered(&rig, "bob");
    let browser = Browser::open(&base(&rig));
    browser.go("/ui/login");
    browser.at("/ui/sms/username");
    let mut answers = Vec::new();
    for name in ["nobody", "bob"] {
        browser.submit(&[("username", name)]);
        browser.at("/ui/sms/username");
        assert_eq!(browser.error().as_deref(), Some("enter-username.error.no-user-or-phonenumber"));
        let mut visitor = Visitor::new(rig.address);
        visitor.go("/ui/login").submit(&[("username", name)]);
        let csrf = visitor.csrf();
        let page = visitor.page.take().expect("a page");
        answers.push((page.status, page.head.replace(&csrf, ""), page.text().replace(&csrf, "")));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(rig.modem().messages().is_empty());
    browser.submit(&[("username", "alice")]);
    browser.at("/ui/sms/code");
    browser.submit(&[("otp", &rig.modem().await_message(PHONE, 1).code())]);
    browser.at("/ui/done");
}

/// B.5.3: the browser's back button and a form that is sent twice do nothing that was not asked for.
#[test]
fn back_and_twice_do_no_harm() {
    let rig = site(CODE);
    with_phone(&rig, "alice", PHONE);
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.at("/ui/sms/code");
    let code = rig.modem().await_message(PHONE, 1).code();
    browser.reload();
    browser.at("/ui/sms/code");
    assert_eq!(rig.modem().messages().len(), 1, "a reload sends nothing");
    browser.submit(&[("otp", &code)]);
    browser.at("/ui/done");
    // The browser may show the former page out of its memory: its form leads to where the flow is.
    browser.back();
    if browser.path() == "/ui/sms/code" {
        browser.submit(&[("otp", &code)]);
    }
    browser.await_path("/ui/done");
    // From a code back to the login page is a new beginning; nobody is logged in by it.
    log_in(&browser, "alice");
    browser.at("/ui/sms/code");
    rig.modem().await_message(PHONE, 2);
    browser.back();
    browser.await_path("/ui/login");
    browser.reload();
    browser.go("/ui/sms/code");
    browser.at("/ui/login");
    // Two connections send the same answer at once: one of them wins, both end on the same page.
    let mut first = Visitor::new(rig.address);
    let before = rig.modem().messages_to(PHONE).len();
    first.go("/ui/login").submit(&[("username", "alice"), ("password", PASSWORD)]).at("/ui/sms/code");
    let code = rig.modem().await_message(PHONE, before + 1).code();
    let (cookie, csrf) = (first.cookie.clone(), first.csrf());
    let ends: Vec<(u16, String)> = std::thread::scope(|scope| {
        let sends: Vec<_> = (0..4)
            .map(|_| {
                let (cookie, csrf, code) = (cookie.clone(), csrf.clone(), code.clone());
                let mut visitor = Visitor::new(rig.address);
                scope.spawn(move || {
                    visitor.cookie = cookie;
                    let fields = [("csrf", csrf.as_str()), ("otp", code.as_str())];
                    let answer = visitor.send("POST", "/ui/sms/code", Some(&fields));
                    (answer.status, answer.header("location").unwrap_or_default().to_owned())
                })
            })
            .collect();
        sends.into_iter().map(|send| send.join().expect("a visitor")).collect()
    });
    for end in &ends {
        assert_eq!(*end, (303, "/ui/done".to_owned()), "{ends:?}");
    }
    first.go("/ui/done").at("/ui/done");
    let reasons = rig.reasons("alice");
    assert!(!reasons.contains(&"wrong".to_owned()), "a form sent twice is no wrong code: {reasons:?}");
}

/// D-62: the browser's language, then the user's own.
#[test]
fn languages() {
    let rig = site(CODE);
    with_phone(&rig, "alice", PHONE);
    let luc = serde_json::json!({"name": "luc", "lang": "fr", "password": PASSWORD});
    rig.admin().post("/v1/users", &luc).expect(201);
    rig.phone("luc", OTHER_PHONE);
    let german = BrowserOptions { lang: "de-CH,de,en", ..BrowserOptions::default() };
    let browser = Browser::with(&base(&rig), german);
    browser.go("/ui/login");
    assert_eq!(browser.attribute("html", "lang").as_deref(), Some("de"));
    assert!(browser.text("main").contains("Passwort"), "{}", browser.page());
    browser.submit(&[("username", "luc"), ("password", PASSWORD)]);
    browser.at("/ui/sms/code");
    assert_eq!(browser.attribute("html", "lang").as_deref(), Some("fr"), "the user's own language");
    // What somebody chooses stands above both, and is no session.
    browser.click("footer a[lang=it]");
    browser.at("/ui/sms/code");
    assert_eq!(browser.attribute("html", "lang").as_deref(), Some("it"));
    browser.press("cancel");
    browser.go("/ui/login");
    assert_eq!(browser.attribute("html", "lang").as_deref(), Some("it"));
    assert_eq!(browser.count("footer a[lang]"), 3);
    let mut visitor = Visitor::new(rig.address);
    for to in ["//evil.example", "https://evil.example", "/ui/l/x", "/ui/f/x", ""] {
        let answer = visitor.send("GET", &format!("/ui/language/fr?to={to}"), None);
        assert_eq!(answer.header("location"), Some("/ui/login"), "{to}");
    }
    visitor.cookie = None;
    assert!(visitor.send("GET", "/ui/language/xx?to=/ui/self", None).header("set-cookie").is_none());
    visitor.headers = vec![("accept-language", "it;q=0.3, fr;q=0.8".to_owned())];
    assert!(visitor.go("/ui/login").text().contains("lang=\"fr\""));
    visitor.headers = vec![("accept-language", "ja".to_owned())];
    assert!(visitor.go("/ui/l/nothing").text().contains("lang=\"en\""));
}
