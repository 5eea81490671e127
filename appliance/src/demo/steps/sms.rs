//! Steps 7 and 8: a code that the appliance sends, seen at the modem, and typed by alice.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::demo::http;
use crate::demo::stage::{Arrived, PHONE, Stage, expect_verdict, text};

/// Longest wait for the modem to take the message.
const SMS_DEADLINE: Duration = Duration::from_secs(30);

/// Orders a challenge and shows what went over the modem's port.
pub(super) fn ordered(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let order = r#"{"user":"alice","channel":"sms"}"#;
    let answer = stage.post("/v1/challenges", "/v1/challenges", order)?;
    ensure!(answer.status == 201, "the challenge was not ordered");
    let challenge = text(&answer.body, "id")?.to_owned();
    until_waiting(stage, &challenge)?;

    let transcript = stage.site.transcript();
    let dialogue = stage.wait("the modem's dialogue", SMS_DEADLINE, || {
        Ok(fs::read_to_string(&transcript).ok().as_deref().and_then(sending))
    })?;
    stage.screen.note("The dialogue at the modem's port, -> to the modem, <- from it:")?;
    stage.screen.answer(&dialogue.join("\n"))?;
    let pdu = dialogue.get(2).and_then(|line| line.strip_prefix("-> ")).context("no PDU was sent")?;
    let message = stage.cli_json(&["modem", "decode", pdu])?;
    let (number, code) = (text(&message, "number")?, text(&message, "text")?);
    stage.screen.answer(&format!(
        "{} to {number} in {}: {code:?}",
        text(&message, "kind")?,
        text(&message, "alphabet")?
    ))?;
    ensure!(number == PHONE, "it went to another number");
    let journal = stage.site.journal();
    let noted = stage.wait("the modem's journal", SMS_DEADLINE, || {
        let text = fs::read_to_string(&journal).unwrap_or_default();
        Ok(text.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok()))
    })?;
    ensure!(noted["text"] == code, "the emulator read another text");
    let code = code.to_owned();
    ensure!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "the text is no code");
    let found = format!("the modem took one SMS to {PHONE}; the code is {code}");
    stage.arrived = Some(Arrived { challenge, code });
    Ok(found)
}

/// A code's life begins when the modem has taken the message.
fn until_waiting(stage: &mut Stage<'_>, challenge: &str) -> anyhow::Result<()> {
    let (port, path) = (stage.port, format!("/v1/challenges/{challenge}"));
    let key = stage.keys.as_ref().context("there is no application key")?.app.clone();
    stage.wait("the modem's acknowledgement", SMS_DEADLINE, || {
        let answer = http::request(port, &path, Some(&key), None)?;
        Ok((answer.body["state"] == "waiting").then_some(()))
    })
}

/// The last AT+CMGS of a transcript, from the command to its result.
fn sending(transcript: &str) -> Option<Vec<String>> {
    let lines: Vec<&str> = transcript.lines().collect();
    let start = lines.iter().rposition(|line| line.starts_with("-> AT+CMGS="))?;
    let end = start + lines[start..].iter().position(|line| *line == "<- OK")?;
    Some(lines[start..=end].iter().map(|line| (*line).to_owned()).collect())
}

/// Types the code twice.
pub(super) fn verified(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let arrived = stage.arrived.as_ref().context("no code has arrived")?;
    let path = format!("/v1/challenges/{}/verify", arrived.challenge);
    let body = format!(r#"{{"otp":"{}"}}"#, arrived.code);
    stage.screen.command(&format!("export ID={}", arrived.challenge))?;
    let shown = "/v1/challenges/$ID/verify";
    let first = stage.post(&path, shown, &body)?;
    expect_verdict(&first, "accept")?;
    let second = stage.post(&path, shown, &body)?;
    expect_verdict(&second, "reject")?;
    Ok("accepted, then refused".to_owned())
}
