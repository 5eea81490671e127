//! The pages for people in a real Chromium, each flow as its user meets it: without any script in the browser.
//!
//! Codes and links are read from the emulated modem's journal; first codes of apps are computed by `oathtool`.

use std::process::Command;

use tests::browser::Browser;
use tests::forms::Visitor;
use tests::time::unix_s;
use tests::{Appliance, RigOptions};

mod email;
mod hosted;
mod link;
mod login;
mod looks;
mod newcomer;
mod number;
mod oath;
mod portal;
mod shape;

/// A password that is long enough.
const PASSWORD: &str = "correct horse 4711";
/// Nobody's number.
const PHONE: &str = "+41790000001";
/// Another one.
const OTHER_PHONE: &str = "+41790000002";
/// How new users come to their password in these tests.
const NEWCOMERS: &str = r#"
[[flow]]
id = "register"
purpose = "self-registration"
steps = ["details", "set-method:SMS", "persist"]
"#;

/// An appliance with pages, a modem and a self-registration beside these tables.
fn site(tables: &str) -> Appliance {
    let options = RigOptions { pages: true, ..RigOptions::with_modem() };
    Appliance::start(options.config(&format!("{tables}{NEWCOMERS}")))
}

fn base(rig: &Appliance) -> String {
    format!("http://{}", rig.address)
}

/// A user with a password, who registered over plain HTTP.
fn registered(rig: &Appliance, name: &str) {
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/register").at("/ui/register");
    visitor.submit(&[("username", name), ("password", PASSWORD), ("email", &format!("{name}@example.org"))]);
    visitor.at("/ui/done");
}

/// A user with a password and a verified phone.
fn with_phone(rig: &Appliance, name: &str, number: &str) {
    registered(rig, name);
    rig.phone(name, number);
}

/// At the login page, name and password.
#[track_caller]
fn log_in(browser: &Browser, name: &str) {
    browser.go("/ui/login");
    browser.at("/ui/login");
    browser.submit(&[("username", name), ("password", PASSWORD)]);
}

/// The code that an app shows now for a secret as people type it.
fn app_code(base32: &str) -> String {
    // The rig's own clock: oathtool's is some milliseconds behind just after a step has begun.
    let now = format!("@{}", unix_s());
    let arguments = ["--totp", "--base32", "--now", &now, base32];
    let shown = Command::new("oathtool").args(arguments).output().expect("oathtool");
    assert!(shown.status.success(), "oathtool: {shown:?}");
    String::from_utf8_lossy(&shown.stdout).trim().to_owned()
}

/// A code of as many digits that is another one.
fn another(code: &str) -> String {
    let mut digits: Vec<char> = code.chars().collect();
    let last = digits.pop().and_then(|digit| digit.to_digit(10)).unwrap_or_default();
    digits.push(char::from_digit((last + 1) % 10, 10).unwrap_or('0'));
    digits.into_iter().collect()
}
