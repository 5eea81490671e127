//! Emma gets a hardware token at a registration desk: from her request to the level of assurance (BIND-01 to BIND-30).

use anyhow::{Context, ensure};
use serde_json::json;

use crate::cli::technician::emulator::{self, EmulatedToken, Works};
use crate::clock::{rfc3339, wall_ms};
use crate::demo::stage::{Stage, expect_verdict, text};

/// The token in stock.
const SERIAL: &str = "CST-000101";
/// Digits of its codes.
const DIGITS: usize = 6;
/// What the registration authority confirms of emma's document.
const PASSPORT: [&str; 10] = [
    "--document",
    "passport",
    "--country",
    "CH",
    "--last6",
    "X12345",
    "--not-expired",
    "--name-match",
    "--photo-match",
    "--security-features",
];

/// A request that waits for its applicant at the desk.
pub(in crate::demo) struct Applicant {
    id: String,
    code: String,
}

/// Emma asks for a token, through a portal where she has logged in, and gets her registration code.
pub(super) fn request(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    if emulator::program().is_none() {
        return Ok("left out: token-sim, which is the token here, is not installed".to_owned());
    }
    stage.cli_json(&["user", "add", "emma"])?;
    let wish = json!({
        "user": "emma", "method": "on_premise", "level": 3, "channel": "federated", "name": "Emma Example",
        "first_factor": {"issuer": "https://idp.example.org", "id": "_a75adf55", "at": rfc3339(wall_ms())},
    });
    let asked = stage.post("/v1/enrolments", "/v1/enrolments", &wish.to_string())?;
    ensure!(asked.status == 201, "her request was not taken");
    let id = text(&asked.body, "id")?.to_owned();
    stage.screen.command(&format!("export ENROLMENT={id}"))?;
    let path = |act: &str| (format!("/v1/enrolments/{id}/{act}"), format!("/v1/enrolments/$ENROLMENT/{act}"));
    let (factor, shown) = path("factor");
    let chosen = stage.post(&factor, &shown, r#"{"type":"hardware"}"#)?;
    ensure!(chosen.status == 200, "her choice was not taken");
    let (order, shown) = path("code");
    let made = stage.post(&order, &shown, "{}")?;
    ensure!(made.status == 201, "there is no registration code");
    let code = text(&made.body, "code")?.to_owned();
    let found = format!("requested at level 3; the registration code is {code}");
    stage.applicant = Some(Applicant { id, code });
    Ok(found)
}

/// At the desk: code, document, hand-over, binding, activation. The token is good from then on.
pub(super) fn vet(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let Some(Applicant { id, code }) = stage.applicant.take() else {
        return Ok("left out: there is no request".to_owned());
    };
    let mut token = stocked(stage)?;
    stage.screen.note("Emma comes to the desk with her code and her passport.")?;
    stage.cli_json(&["enrol", "vet", "begin", "--code", &code, "--place", "Desk 1"])?;
    stage.cli_json(&[&["enrol", "vet", "proof", &id][..], &PASSPORT].concat())?;
    stage.cli_json(&["enrol", "vet", "record", &id])?;
    stage.cli_json(&["enrol", "handover", &id, SERIAL])?;
    let shown = press(&mut token)?;
    stage.screen.note(&format!("She presses the token's button: it shows {shown}."))?;
    stage.cli_json(&["enrol", "bind", &id, &shown])?;
    let active = stage.cli_json(&["enrol", "activate", &id])?;
    ensure!(active["loa"] == 3.0, "the level is {}", active["loa"]);
    let told = stage.cli(&["enrol", "show", &id])?.success()?;
    stage.screen.answer(told.trim_end())?;
    let body = json!({"user": "emma", "otp": press(&mut token)?}).to_string();
    let verified = stage.post("/v1/verify", "/v1/verify", &body)?;
    expect_verdict(&verified, "accept")?;
    ensure!(verified.body["loa"] == 3.0, "the code counts as {}", verified.body["loa"]);
    stage.enrolled = true;
    Ok(format!("{SERIAL} is emma's, at level 3"))
}

/// A token of the demo's maker, provisioned and in stock.
fn stocked(stage: &mut Stage<'_>) -> anyhow::Result<EmulatedToken> {
    stage.screen.note(&format!("The bench provisions an emulated token, {SERIAL}, for the stock."))?;
    let works = Works::prepare(&stage.site.maker_key(), Some(&stage.site.bench()));
    let works = works.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let token = works.start(SERIAL).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let port = token.port.to_str().context("the path of its port is no text")?.to_owned();
    stage.cli_json(&["technician", "provision", "--port", &port, "--type", "hotp"])?;
    Ok(token)
}

fn press(token: &mut EmulatedToken) -> anyhow::Result<String> {
    token.code(DIGITS).map_err(|why| anyhow::anyhow!(why))
}
