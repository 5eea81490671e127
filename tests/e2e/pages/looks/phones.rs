//! The pages of a registered phone: its registration, its codes, the question to it, and what stands for it.

use tests::device::{Choice, Personality};
use tests::handset::Handset;

use super::super::push::site;
use super::super::{log_in, registered};
use super::{Judge, with_script};

/// COMB-01, COMB-05, COMB-13, COMB-43.
#[test]
fn phones() {
    let rig = site("registration_timeout = 600");
    registered(&rig, "alice");
    let browser = with_script(&rig);
    let mut judge = Judge::new(&browser);
    log_in(&browser, "alice");
    browser.await_path("/ui/mfa/register");
    judge.look("mfa-register");
    let uri = browser.attribute("[data-uri]", "href").expect("a URI");
    let mut handset = Handset::new(&rig, Personality::PingNew, "handset");
    let (account, _) = handset.register(&uri);
    browser.await_path("/ui/recovery");
    judge.look("recovery-codes");
    browser.press("reveal");
    browser.await_element(".codes");
    judge.look("recovery-codes-shown");
    let codes = browser.text(".codes code");
    browser.click("button.primary");
    browser.await_path("/ui/push/wait");
    browser.await_element("button[value=code]");
    judge.look("push-wait");
    browser.press("recover");
    browser.await_path("/ui/recovery/verify");
    judge.look("recovery-verify");
    browser.submit(&[("otp", "0000000000")]);
    browser.await_error("recovery.error.invalid");
    judge.look("recovery-verify-error");
    browser.submit(&[("otp", &codes)]);
    browser.await_path("/ui/done");
    judge.look("recovered");

    log_in(&browser, "alice");
    browser.await_path("/ui/push/wait");
    let notice = handset.notice(account);
    assert_eq!(handset.answer(&notice, Choice::Deny).status, 200);
    browser.await_path("/ui/failed");
    judge.look("push-denied");
    judge.rule(8);
}

/// COMB-17, COMB-31: the picture's time is over.
#[test]
fn nobody_scanned() {
    let rig = site("registration_timeout = 10");
    registered(&rig, "alice");
    let browser = with_script(&rig);
    let mut judge = Judge::new(&browser);
    log_in(&browser, "alice");
    browser.await_error("registration.timed_out");
    judge.look("mfa-register-over");
    judge.rule(1);
}
