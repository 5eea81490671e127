//! A token whose clock or counter has run away is found again by its user (RFC 4226 section 7.4, D-28).

use serde_json::json;
use tests::Appliance;
use tests::browser::Browser;
use tests::time::unix_s;

use super::{PERIOD_S, base, log_in, registered, site};

const TABLES: &str = r#"
[limits]
delay_from = 20
pair_failures = 50
token_failures = 20

[[flow]]
id = "login"
steps = ["password", "oath"]

[[flow]]
id = "password-only"
steps = ["password"]

[[selfservice]]
id = "resync"
label = "My codes are not accepted"
conditions = ["token:oath"]
steps = ["oath-resync"]
"#;

fn reasons(rig: &Appliance) -> Vec<(String, String)> {
    let text = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = rig.events("type=oath.resync");
    events.iter().map(|event| (text(event, "outcome"), text(event, "reason"))).collect()
}

/// A7, D-28: an app whose clock is half an hour wrong is refused, then found again by two codes, which log nobody in.
/// Red when one code, two equal ones, two with a gap, or two in the wrong order are enough, when the codes can be used
/// again, or when they stand for the code that was asked for.
#[test]
fn two_consecutive_codes_find_the_clock() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let secret = rig.token("alice", &json!({"type": "totp"})).secret;
    let step = unix_s() / PERIOD_S + 60;
    let code = |ahead: u64| secret.totp((step + ahead) * PERIOD_S);
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.at("/ui/oath/verify");
    browser.submit(&[("otp", &code(0))]);
    assert_eq!(browser.error().as_deref(), Some("oath.error.invalid_otp"));
    browser.press("resync");
    browser.at("/ui/oath/resync");
    for (first, next) in
        [(code(0), String::new()), (code(0), code(0)), (code(0), code(2)), (code(1), code(0))]
    {
        // A browser sends no empty field that has to be filled.
        let next = if next.is_empty() { "0".to_owned() } else { next };
        browser.submit(&[("otp", &first), ("otp_next", &next)]);
        browser.at("/ui/oath/resync");
        assert_eq!(browser.error().as_deref(), Some("oath.error.not-consecutive"), "{first} {next}");
    }
    browser.submit(&[("otp", &code(0)), ("otp_next", &code(1))]);
    browser.at("/ui/oath/verify");
    assert!(browser.error().is_none() && browser.has(".notice"), "{}", browser.page());
    browser.submit(&[("otp", &code(1))]);
    assert_eq!(browser.error().as_deref(), Some("oath.error.invalid_otp"), "used up");
    browser.submit(&[("otp", &code(2))]);
    browser.at("/ui/done");
    let mut expected = vec![("refused".to_owned(), "wrong".to_owned()); 4];
    expected.push(("ok".to_owned(), String::new()));
    assert_eq!(reasons(&rig), expected);
}

/// A7, OATH-40: the same in the self-service, for a counter, among several tokens; wrong pairs count as wrong codes.
/// Red when guessing here is not limited.
#[test]
fn the_self_service_finds_a_counter_among_several_tokens() {
    let tables = TABLES.replace("\"password\", \"oath\"", "\"password\"").replace("= 50", "= 6");
    let rig = site(&tables);
    registered(&rig, "alice");
    rig.token("alice", &json!({"type": "totp"}));
    let counting = rig.token("alice", &json!({"type": "hotp"}));
    let browser = Browser::open(&base(&rig));
    let to_the_page = || {
        log_in(&browser, "alice");
        browser.click("a.primary");
        browser.click("button[value=resync]");
        browser.at("/ui/oath/resync");
    };
    to_the_page();
    let pair = |n: u64| [counting.secret.hotp(n), counting.secret.hotp(n + 1)];
    let submit = |[first, next]: [String; 2]| browser.submit(&[("otp", &first), ("otp_next", &next)]);
    submit(pair(95));
    browser.at("/ui/done");
    assert!(browser.has(".notice"));
    assert!(rig.admin().verify("alice", &counting.secret.hotp(96)).rejected(), "used up");
    assert!(rig.admin().verify("alice", &counting.secret.hotp(97)).accepted());

    to_the_page();
    for _ in 0..6 {
        submit(pair(3));
        assert_eq!(browser.error().as_deref(), Some("oath.error.not-consecutive"));
    }
    submit(pair(150));
    assert_eq!(browser.error().as_deref(), Some("login.error.locked"), "right, but not looked at");
    assert_eq!(reasons(&rig).last(), Some(&("refused".to_owned(), "limited".to_owned())));
    rig.unlock_user("alice");
    submit(pair(150));
    browser.at("/ui/done");
}
