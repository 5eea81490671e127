//! Dora's phone: registered by one QR code for pushes and for codes, asked by a push, replaced by a recovery code
//! (COMB-01 to COMB-05, COMB-12 to COMB-15).

use std::time::Duration;

use anyhow::{Context, ensure};
use device::{Choice, Notice, Personality, Phone, Request};
use serde_json::{Value, json};

use crate::clock::wall_ms;
use crate::demo::http;
use crate::demo::stage::{Stage, expect_verdict, text};

/// Longest wait for what the appliance does by itself.
const DEADLINE: Duration = Duration::from_secs(30);
/// Characters of the QR code's text that are shown.
const SHOWN_MAX: usize = 60;
/// How the phone is reached: it fetches.
const ADDRESS: &str = "poll:dora";

/// The phone in dora's hand.
pub(in crate::demo) struct Dora {
    app: Phone,
    account: usize,
    recovery: Vec<String>,
}

/// Registers the phone; its recovery codes are shown once.
pub(super) fn register(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    stage.cli_json(&["user", "add", "dora"])?;
    let begun = stage.cli_json(&["push", "register", "dora", "--no-wait"])?;
    let (id, uri) = (text(&begun, "id")?.to_owned(), text(&begun, "uri")?.to_owned());
    let start: String = uri.chars().take(SHOWN_MAX).collect();
    stage.screen.note(&format!("She scans one QR code, which says {start}..."))?;
    let mut app = Phone::new(Personality::PingNew, ADDRESS);
    let scanned = app.scan(&uri).context("her app does not take the code")?;
    let request = scanned.request.context("the code has nothing for pushes")?;
    let (status, body) = send(stage, &request)?;
    ensure!(app.answered(scanned.account, status, &body), "the appliance does not take her phone: {status}");
    let shown = stage.cli_json(&["push", "registration", "dora", &id])?;
    ensure!(shown["outcome"] == "success", "the registration is {}", shown["state"]);
    let codes = shown["recovery_codes"].as_array().context("there are no recovery codes")?;
    let recovery: Vec<String> = codes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    stage.screen.answer(&recovery.join("  "))?;
    let again = stage.cli_json(&["push", "registration", "dora", &id])?;
    ensure!(again["recovery_codes"].is_null(), "recovery codes were shown twice");
    stage.screen.note("They are not shown a second time.")?;
    let found = format!("push and codes on one phone, {} recovery codes", recovery.len());
    stage.dora = Some(Dora { app, account: scanned.account, recovery });
    Ok(found)
}

/// Asks the phone: dora taps the number of the login's page. Then its code is typed, as if no push had come.
pub(super) fn ask(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let mut dora = stage.dora.take().context("dora has no phone")?;
    let done = asked(stage, &mut dora);
    stage.dora = Some(dora);
    done
}

fn asked(stage: &mut Stage<'_>, dora: &mut Dora) -> anyhow::Result<String> {
    let order = json!({"user": "dora", "channel": "push"}).to_string();
    let asked = stage.post("/v1/challenges", "/v1/challenges", &order)?;
    ensure!(asked.status == 201, "no push was ordered");
    let id = text(&asked.body, "id")?.to_owned();
    let number = asked.body["number"].as_u64().and_then(|number| u8::try_from(number).ok());
    let number = number.context("the login has no number")?;
    let notice = notice(stage, dora)?;
    let numbers: Vec<String> = notice.numbers.iter().map(u8::to_string).collect();
    let told = format!("Her phone shows: {} ({}). She taps {number}.", notice.text, numbers.join(" "));
    stage.screen.note(&told)?;
    let (status, _) = send(stage, &dora.app.respond(&notice, Choice::Number(number)))?;
    ensure!(status == 200, "the appliance does not take her answer: {status}");
    let path = format!("/v1/challenges/{id}/verify");
    let fetched = stage.post(&path, &path, r#"{"otp":""}"#)?;
    expect_verdict(&fetched, "accept")?;

    let code = dora.app.code(dora.account, u64::try_from(wall_ms() / 1000)?);
    stage.screen.note(&format!("Without a network her phone still shows a code: {code}."))?;
    let body = json!({"user": "dora", "otp": code}).to_string();
    expect_verdict(&stage.post("/v1/verify", "/v1/verify", &body)?, "accept")?;
    Ok(format!("approved with {number}, and the code accepted"))
}

/// The phone is lost: one of its recovery codes is good, once.
pub(super) fn recover(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let code = stage.dora.as_ref().and_then(|dora| dora.recovery.first().cloned());
    let code = code.context("dora has no recovery codes")?;
    for verdict in ["accept", "reject"] {
        let order = json!({"user": "dora", "channel": "recovery"}).to_string();
        let asked = stage.post("/v1/challenges", "/v1/challenges", &order)?;
        ensure!(asked.status == 201, "no recovery code is asked for");
        let path = format!("/v1/challenges/{}/verify", text(&asked.body, "id")?);
        let answer = stage.post(&path, &path, &json!({ "otp": code }).to_string())?;
        expect_verdict(&answer, verdict)?;
    }
    let left = stage.cli_json(&["push", "list", "dora"])?["recovery_codes_left"].clone();
    ensure!(left == 9, "{left} recovery codes are left");
    Ok("a recovery code is accepted, then refused; 9 are left".to_owned())
}

/// Sends what the app sends, to the address that it was told.
fn send(stage: &mut Stage<'_>, request: &Request) -> anyhow::Result<(u16, String)> {
    let path = path_of(stage, &request.url)?;
    let answer = http::request(stage.port, &path, None, Some(&request.body))?;
    Ok((answer.status, answer.text))
}

/// The push, once the phone can fetch it.
fn notice(stage: &mut Stage<'_>, dora: &Dora) -> anyhow::Result<Notice> {
    let port = stage.port;
    let unix_ms = u64::try_from(wall_ms())?;
    let path = path_of(stage, &dora.app.poll(dora.account, unix_ms))?;
    let message = stage.wait("a push", DEADLINE, || {
        let answer = http::request(port, &path, None, None)?;
        ensure!(answer.status == 200, "her phone is told nothing: {}", answer.status);
        Ok(answer.body["messages"].as_array().and_then(|messages| messages.last().cloned()))
    })?;
    let (id, jwt) = (text(&message, "messageId")?, text(&message, "message")?);
    dora.app.receive(id, jwt).context("her app does not take the push")
}

fn path_of(stage: &Stage<'_>, url: &str) -> anyhow::Result<String> {
    url.strip_prefix(&stage.api())
        .map(str::to_owned)
        .with_context(|| format!("her app goes elsewhere: {url}"))
}
