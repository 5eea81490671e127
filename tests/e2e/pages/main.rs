//! The pages for people in a real Chromium, each flow as its user meets it: without any script in the browser.
//!
//! Codes and links are read from the emulated modem's journal; first codes of apps are computed by `oathtool`.

use std::process::Command;

use tests::browser::Browser;
use tests::forms::Visitor;
use tests::time::unix_s;
use tests::{Appliance, RigOptions, Secret, letter};

mod desk;
mod email;
mod enrol;
mod enrol_phone;
mod hosted;
mod keyboard;
mod link;
mod login;
mod looks;
mod methods;
mod newcomer;
mod number;
mod oath;
mod portal;
mod push;
mod resync;
mod script;
mod shape;

/// How long an app shows a code.
const PERIOD_S: u64 = 30;
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

/// The same with letters.
fn site_with_letters(tables: &str) -> Appliance {
    let options = letter::options("delivery_gap = \"0s\"\n", &format!("{tables}{NEWCOMERS}"));
    Appliance::start(RigOptions { pages: true, public_url: None, ..options })
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

/// An authenticator app whose user is in a hurry: where a code is used up, its clock is put forward to the next one,
/// which the window and the remembered drift allow (OATH-06, OATH-07).
struct App {
    base32: String,
    used: u64,
}

impl App {
    /// With a secret as people type it.
    fn new(base32: &str) -> App {
        App { base32: base32.to_owned(), used: 0 }
    }

    fn of(secret: &Secret) -> App {
        App::new(&secret.base32())
    }

    /// The code that it shows, by `oathtool`.
    fn shows(&self) -> String {
        // The rig's own clock: oathtool's is some milliseconds behind just after a step has begun.
        let now = format!("@{}", self.step() * PERIOD_S);
        let arguments = ["--totp", "--base32", "--now", &now, &self.base32];
        let shown = Command::new("oathtool").args(arguments).output().expect("oathtool");
        assert!(shown.status.success(), "oathtool: {shown:?}");
        String::from_utf8_lossy(&shown.stdout).trim().to_owned()
    }

    /// The code that it shows, which is used up by that.
    fn code(&mut self) -> String {
        let code = self.shows();
        self.used = self.step();
        code
    }

    fn step(&self) -> u64 {
        (unix_s() / PERIOD_S).max(self.used + 1)
    }
}

/// A code of as many digits that is another one.
fn another(code: &str) -> String {
    let mut digits: Vec<char> = code.chars().collect();
    let last = digits.pop().and_then(|digit| digit.to_digit(10)).unwrap_or_default();
    digits.push(char::from_digit((last + 1) % 10, 10).unwrap_or('0'));
    digits.into_iter().collect()
}
