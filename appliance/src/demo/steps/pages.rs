//! People on the pages: alice registers (in step 2), logs in with a code and with a link; carol registers with an
//! authenticator app.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::clock::wall_ms;
use crate::demo::authenticator::Authenticator;
use crate::demo::stage::{PHONE, Stage};
use crate::demo::visitor::Visitor;

/// Longest wait for the modem to take the message.
const SMS_DEADLINE: Duration = Duration::from_secs(30);

/// Registers alice with a password of her own; her second factor will be her phone.
pub(super) fn register(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (port, password) = (stage.port, stage.password.clone());
    stage
        .screen
        .note(&format!("Alice registers on {}/ui/register, with the password {password}", stage.api()))?;
    let mut visitor = Visitor::at(port, "/ui/register")?;
    visitor.submit(&[("username", "alice"), ("password", &password)])?;
    visitor.expect("/ui/select")?;
    visitor.submit(&[("option", "SMS")])?;
    visitor.expect("/ui/done")
}

/// Logs alice in as a browser would, with the code that the modem was given.
pub(super) fn log_in(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let (port, password) = (stage.port, stage.password.clone());
    let before = texts_to(stage, PHONE).len();
    stage.screen.note(&format!("Alice opens {}/ui/login and types name and password.", stage.api()))?;
    let mut visitor = Visitor::at(port, "/ui/login")?;
    visitor.submit(&[("username", "alice"), ("password", &password)])?;
    visitor.expect("/ui/select")?;
    stage.screen.note("She chooses a code by SMS; the page waits for it.")?;
    visitor.submit(&[("option", "SMS")])?;
    visitor.expect("/ui/sms/code")?;
    let code = next_code(stage, &mut visitor, PHONE, before)?;
    stage.screen.note(&format!("Her phone shows {code}."))?;
    visitor.submit(&[("otp", &wrong(&code))])?;
    ensure!(visitor.path == "/ui/sms/code", "a wrong code was taken");
    visitor.submit(&[("otp", &code)])?;
    visitor.expect("/ui/done")?;
    Ok("logged in; a wrong code before it was refused".to_owned())
}

/// Logs alice in once more: her phone gets a link, its page asks, and the browser that waits goes on.
pub(super) fn log_in_by_link(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let (port, password) = (stage.port, stage.password.clone());
    let before = texts_to(stage, PHONE).len();
    let mut browser = Visitor::at(port, "/ui/login")?;
    browser.submit(&[("username", "alice"), ("password", &password)])?;
    browser.submit(&[("option", "LINK")])?;
    browser.expect("/ui/sms/wait")?;
    let text = next_text(stage, PHONE, before)?;
    let link =
        text.split_whitespace().find(|word| word.contains("/ui/l/")).context("the text has no link")?;
    stage.screen.note(&format!("Her phone shows {link}; opening it decides nothing."))?;
    let path = &link[link.find("/ui/l/").unwrap_or_default()..];
    let mut phone = Visitor::at(port, path)?;
    browser.reload()?;
    browser.expect("/ui/sms/wait")?;
    stage.screen.note("She presses Approve there.")?;
    phone.press(&[("action", "approve")])?;
    ensure!(phone.error().is_none(), "the link was not taken");
    stage.wait("the browser to go on", SMS_DEADLINE, || {
        browser.reload()?;
        Ok((browser.path != "/ui/sms/wait").then_some(()))
    })?;
    browser.expect("/ui/done")?;
    let mut again = Visitor::at(port, path)?;
    again.press(&[("action", "approve")])?;
    ensure!(again.error().is_some(), "the link worked twice");
    Ok("logged in by the link, which works no second time".to_owned())
}

/// Registers carol, whose second factor is an authenticator app: its first code writes user and token together.
pub(super) fn enrol_app(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let (port, password) = (stage.port, stage.password.clone());
    stage.screen.note(&format!("Carol registers on {}/ui/register and chooses an app.", stage.api()))?;
    let mut browser = Visitor::at(port, "/ui/register")?;
    browser.submit(&[("username", "carol"), ("password", &password)])?;
    browser.submit(&[("option", "OATH_OTP")])?;
    browser.expect("/ui/oath/activate")?;
    let secret = browser.secret()?;
    stage.screen.note(&format!("The page shows a QR code, and to be typed: {}", secret.trim()))?;
    let app = Authenticator::typed(&secret).context("no authenticator app would take this secret")?;
    let (step, _) = app.step(u64::try_from(wall_ms() / 1000)?);
    browser.submit(&[("otp", &wrong(&app.code(step)))])?;
    browser.expect("/ui/oath/activate")?;
    browser.submit(&[("otp", &app.code(step))])?;
    browser.expect("/ui/done")?;
    Ok("carol's app is active since its first code".to_owned())
}

/// The code in the next text to a number, after so many. Its life has begun: the modem's word has come.
pub(super) fn next_code(
    stage: &mut Stage<'_>,
    browser: &mut Visitor,
    number: &str,
    before: usize,
) -> anyhow::Result<String> {
    let code = next_text(stage, number, before)?;
    stage.wait("the modem's word", SMS_DEADLINE, || {
        browser.reload()?;
        Ok((!browser.is_delivering()).then_some(()))
    })?;
    Ok(code)
}

/// The next text to a number, after so many.
fn next_text(stage: &mut Stage<'_>, number: &str, before: usize) -> anyhow::Result<String> {
    let journal = stage.site.journal();
    stage.wait("the modem's journal", SMS_DEADLINE, || {
        let text = fs::read_to_string(&journal).unwrap_or_default();
        Ok(messages(&text, number).get(before).cloned())
    })
}

/// The texts to a number so far.
pub(super) fn texts_to(stage: &Stage<'_>, number: &str) -> Vec<String> {
    messages(&fs::read_to_string(stage.site.journal()).unwrap_or_default(), number)
}

fn messages(journal: &str, number: &str) -> Vec<String> {
    let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|message| message["number"] == number)
        .filter_map(|message| message["text"].as_str().map(str::to_owned))
        .collect()
}

/// Another code.
pub(super) fn wrong(code: &str) -> String {
    code.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect()
}
