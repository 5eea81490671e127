//! Alice on the pages: she registers (in step 2), and logs in with her password and a code (step 9).

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;

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
    let (port, password, journal) = (stage.port, stage.password.clone(), stage.site.journal());
    let before = messages(&fs::read_to_string(&journal).unwrap_or_default()).len();
    stage.screen.note(&format!("Alice opens {}/ui/login and types name and password.", stage.api()))?;
    let mut visitor = Visitor::at(port, "/ui/login")?;
    visitor.submit(&[("username", "alice"), ("password", &password)])?;
    visitor.expect("/ui/select")?;
    stage.screen.note("She chooses a code by SMS; the page waits for it.")?;
    visitor.submit(&[("option", "SMS")])?;
    visitor.expect("/ui/sms/code")?;
    let code = stage.wait("the modem's journal", SMS_DEADLINE, || {
        let text = fs::read_to_string(&journal).unwrap_or_default();
        Ok(messages(&text).get(before).cloned())
    })?;
    stage.screen.note(&format!("Her phone shows {code}."))?;
    visitor.submit(&[("otp", &wrong(&code))])?;
    ensure!(visitor.path == "/ui/sms/code", "a wrong code was taken");
    visitor.submit(&[("otp", &code)])?;
    visitor.expect("/ui/done")?;
    Ok("logged in; a wrong code before it was refused".to_owned())
}

/// The texts to alice's phone so far.
fn messages(journal: &str) -> Vec<String> {
    let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|message| message["number"] == PHONE)
        .filter_map(|message| message["text"].as_str().map(str::to_owned))
        .collect()
}

fn wrong(code: &str) -> String {
    code.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect()
}
