//! A phone is registered at the first login, asked at the next, silent, lost and replaced: each as its user meets it.

use serde_json::json;
use tests::browser::{Browser, BrowserOptions};
use tests::device::{Choice, Notice, Personality};
use tests::flow::example;
use tests::handset::Handset;
use tests::time::{unix_ms, unix_s};
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

use super::{App, NEWCOMERS, base, log_in, registered};

/// The shipped example.
fn tables() -> String {
    format!("{}\n{NEWCOMERS}", example("flows/combined"))
}

pub(super) fn site(more: &str) -> Appliance {
    let mut text = tables();
    if !more.is_empty() {
        let (key, _) = more.split_once(" =").expect("a key");
        let heading = if key == "timeout" { "[push]" } else { "[mfa]" };
        text = text.replacen(heading, &format!("{heading}\n{more}"), 1);
    }
    Appliance::start(RigOptions { pages: true, ..RigOptions::default() }.config(&text))
}

/// The recovery codes on the page.
fn codes(browser: &Browser) -> Vec<String> {
    let text = browser.text(".codes");
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Scans what the page shows; the page goes on to the recovery codes, which are shown once and kept.
fn register(rig: &Appliance, browser: &Browser, personality: Personality) -> (Handset, usize, Vec<String>) {
    browser.await_path("/ui/mfa/register");
    let uri = browser.attribute("[data-uri]", "href").expect("a URI");
    let mut handset = Handset::new(rig, personality, "handset");
    let (account, answer) = handset.register(&uri);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    browser.await_path("/ui/recovery");
    assert!(!browser.has(".codes"), "not before they are asked for");
    browser.press("reveal");
    browser.at("/ui/recovery");
    let codes = codes(browser);
    assert_eq!(codes.len(), 10, "{codes:?}");
    (handset, account, codes)
}

/// The number that the page shows, among those on the phone.
fn right(browser: &Browser, notice: &Notice) -> u8 {
    let number: u8 = browser.text("[data-number]").trim().parse().expect("a number");
    assert!(notice.numbers.contains(&number), "{number} among {:?}", notice.numbers);
    number
}

fn approve(browser: &Browser, handset: &mut Handset, account: usize) {
    browser.await_path("/ui/push/wait");
    let notice = handset.notice(account);
    let number = right(browser, &notice);
    assert_eq!(handset.answer(&notice, Choice::Number(number)).status, 200);
    browser.await_path("/ui/done");
}

/// COMB-01, COMB-03, COMB-04, COMB-13, COMB-35, AT-20: registration at the first login, codes shown once, possession
/// shown by the push; the next login asks the phone at once. Red when codes are shown again, or a login goes on
/// without the phone.
#[test]
fn the_first_login_registers_and_the_next_one_asks() {
    let rig = site("");
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    let (mut handset, account, kept) = register(&rig, &browser, Personality::PingNew);
    browser.reload();
    browser.go("/ui/recovery");
    assert!(!browser.has(".codes") && !browser.page().contains(&kept[0]), "shown once");
    assert!(browser.has("button[value=reveal]"), "new ones, for who has not got these");
    browser.submit(&[]);
    approve(&browser, &mut handset, account);
    assert!(browser.text("main").contains("alice"));

    let next = Browser::open(&base(&rig));
    log_in(&next, "alice");
    approve(&next, &mut handset, account);
    let reasons: Vec<String> =
        rig.events("type=push.approved").iter().map(|event| event["outcome"].to_string()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    rig.check_chain();
}

/// COMB-42, COMB-45, D-42: a wrong number and a no end the login.
#[test]
fn a_no_ends_the_login() {
    let rig = site("");
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    let (mut handset, account, _) = register(&rig, &browser, Personality::AndroidLegacy);
    browser.submit(&[]);
    browser.await_path("/ui/push/wait");
    let notice = handset.notice(account);
    let wrong = notice.numbers.iter().copied().find(|number| *number != right(&browser, &notice));
    assert_eq!(handset.answer(&notice, Choice::Number(wrong.expect("three numbers"))).status, 200);
    browser.await_path("/ui/failed");
    assert_eq!(browser.error().as_deref(), Some("push.denied"));
    // D-42: nobody is asked again just after a no; a code of the app is the way that is left.
    log_in(&browser, "alice");
    browser.at("/ui/oath/verify");
    assert!(browser.has(".notice"));
    browser.submit(&[("otp", &handset.phone.code(account, unix_s()))]);
    browser.at("/ui/done");
}

/// COMB-05, COMB-15, COMB-43, COMB-44, D-34, D-36: a silent phone leads to a code, a lost one to a recovery code; then another phone
/// takes its place, and the codes of the former set are worth nothing.
#[test]
fn a_lost_phone_is_replaced() {
    let rig = site("");
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    let (mut first, account, kept) = register(&rig, &browser, Personality::IosLegacy);
    browser.submit(&[]);
    approve(&browser, &mut first, account);

    log_in(&browser, "alice");
    browser.at("/ui/push/wait");
    browser.await_element("button[value=code]");
    browser.press("code");
    browser.at("/ui/oath/verify");
    browser.press("recover");
    browser.at("/ui/recovery/verify");
    browser.submit(&[("otp", "0000000000")]);
    assert_eq!(browser.error().as_deref(), Some("recovery.error.invalid"));
    browser.submit(&[("otp", &kept[0])]);
    browser.await_path("/ui/done");
    assert!(browser.has(".notice"), "asked to register another phone");

    browser.go("/ui/self");
    browser.click("button[value=replace-phone]");
    let (mut second, other, fresh) = register(&rig, &browser, Personality::PingNew);
    browser.submit(&[]);
    browser.await_path("/ui/done");
    let next = Browser::open(&base(&rig));
    log_in(&next, "alice");
    next.at("/ui/push/wait");
    let secret = first.phone.accounts()[account].push.as_ref().expect("push").secret.clone();
    let query = first.query(account, &secret, unix_ms());
    assert_eq!(first.get(&query).status, 400, "the former phone is nobody's");
    next.await_element("button[value=recover]");
    next.press("recover");
    next.at("/ui/recovery/verify");
    for dead in [&kept[0], &kept[1]] {
        next.submit(&[("otp", dead)]);
        assert_eq!(next.error().as_deref(), Some("recovery.error.invalid"));
    }
    next.submit(&[("otp", &fresh[0])]);
    next.await_path("/ui/done");
    let again = Browser::open(&base(&rig));
    log_in(&again, "alice");
    approve(&again, &mut second, other);
}

/// COMB-17, COMB-31, D-35: nobody scans. Nothing is stored, the page says what to do, and another picture may be had.
#[test]
fn nobody_scans() {
    let rig = site("registration_timeout = 10");
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.await_path("/ui/mfa/register");
    let uri = browser.attribute("[data-uri]", "href").expect("a URI");
    browser.await_error("registration.timed_out");
    assert!(!browser.has(".qr"), "a picture that is worth nothing is not shown");
    let mut late = Handset::new(&rig, Personality::PingNew, "late");
    assert_eq!(late.register(&uri).1.status, 400);
    let phones = rig.cli_json(&["push", "list", "alice"]);
    assert_eq!(phones["items"].as_array().map(Vec::len), Some(0), "{phones}");
    browser.press("resend");
    let (mut handset, account, _) = register(&rig, &browser, Personality::PingNew);
    browser.submit(&[]);
    approve(&browser, &mut handset, account);
}

/// SMS-38 for phones: with script the page stays the same document until the phone has decided, and offers a code from
/// the tenth second.
#[test]
fn with_script_the_page_waits_without_a_reload() {
    let rig = site("");
    registered(&rig, "alice");
    let options = BrowserOptions { script: true, ..BrowserOptions::default() };
    let browser = Browser::with(&base(&rig), options);
    log_in(&browser, "alice");
    let (mut handset, account, _) = register(&rig, &browser, Personality::PingNew);
    browser.click("button.primary");
    browser.await_path("/ui/push/wait");
    browser.mark();
    wait_until(PATIENCE, "a code instead", || browser.has("button[value=code]").then_some(()));
    assert!(browser.is_marked(), "the same document");
    approve(&browser, &mut handset, account);
}

/// D-34, A17. Red when a password alone adds a phone to an account that has another factor.
#[test]
fn a_password_alone_adds_no_phone_to_a_token() {
    let rig = site("");
    registered(&rig, "alice");
    let token = rig.token("alice", &json!({"type": "totp"}));
    let browser = Browser::open(&base(&rig));
    log_in(&browser, "alice");
    browser.at("/ui/oath/verify");
    assert!(!browser.has(".qr"));
    let mut app = App::of(&token.secret);
    browser.submit(&[("otp", &app.code())]);
    // An app that is there is what would be registered twice (COMB-40): the login goes on without it.
    browser.at("/ui/done");
    assert!(rig.events("type=mfa.registration_started").is_empty());
}
