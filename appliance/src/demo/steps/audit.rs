//! The last step: the events of all the steps before, each chained to the one before it.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::demo::stage::{Stage, text};

/// Most events of a demo.
const LIMIT: &str = "500";
/// What must be there in this order, with reasons; the modem's own events may lie between.
const EXPECTED: [(&str, &str); 28] = [
    ("application.added", ""),
    ("application.added", ""),
    ("user.registered", ""),
    ("phone.registered", ""),
    ("oath.secret_added", ""),
    ("oath.secret_added", ""),
    ("oath.verified", ""),
    ("oath.replay", "replay"),
    ("oath.verified", ""),
    ("oath.failed", "wrong"),
    ("sms.challenge_ordered", ""),
    ("sms.challenge_sent", ""),
    ("sms.verified", ""),
    // The SMS code a second time.
    ("sms.failed", "replay"),
    // On the pages.
    ("login.verified", ""),
    ("sms.challenge_ordered", ""),
    ("sms.challenge_sent", ""),
    ("sms.failed", "wrong"),
    ("sms.verified", ""),
    ("flow.done", ""),
    // By a link.
    ("login.verified", ""),
    ("sms.challenge_sent", ""),
    ("sms.link_confirmed", ""),
    ("flow.done", ""),
    // With an app.
    ("flow.begun", ""),
    ("user.registered", ""),
    ("oath.secret_added", ""),
    ("flow.done", ""),
];

/// The same for a phone that was registered with a letter.
const LETTERED: [(&str, &str); 10] = [
    ("user.added", ""),
    ("letter.ordered", ""),
    ("letter.rendered", ""),
    ("letter.handed_over", ""),
    ("phone.otp_sent", ""),
    ("sms.failed", "wrong"),
    ("iak.rejected", "wrong"),
    ("phone.possession_proven", ""),
    ("iak.accepted", ""),
    ("phone.registered", ""),
];

/// The same for a phone.
const WITH_A_PHONE: [(&str, &str); 11] = [
    ("user.added", ""),
    ("mfa.registration_started", ""),
    ("mfa.registered", ""),
    ("recovery.generated", ""),
    ("push.challenge_ordered", ""),
    ("push.sent", ""),
    ("push.approved", ""),
    ("push.fetched", ""),
    ("oath.verified", ""),
    ("recovery.used", ""),
    // The recovery code a second time.
    ("recovery.failed", "replay"),
];

/// The same for a token that was enrolled at the desk.
const AT_THE_DESK: [(&str, &str); 13] = [
    ("enrol.requested", ""),
    ("enrol.eligible", ""),
    ("enrol.factor_selected", ""),
    ("enrol.code_issued", ""),
    ("device.provisioned", ""),
    ("enrol.vetting", ""),
    ("enrol.proof_checked", ""),
    ("enrol.vetted", ""),
    ("enrol.handed_over", ""),
    ("enrol.possession_shown", ""),
    ("enrol.bound", ""),
    ("enrol.activated", ""),
    ("enrol.confirmed", ""),
];

/// Lists the events, and checks their order and their chain.
pub(super) fn in_order(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let list = stage.cli_json(&["events", "--limit", LIMIT])?;
    ensure!(list["next"].is_null(), "there are more than {LIMIT} events");
    let events = list["items"].as_array().context("the answer is no list")?;
    for event in events {
        stage.screen.answer(&row(event)?)?;
    }
    let mut rest = events.iter();
    let lettered = LETTERED.iter().filter(|_| stage.lettered);
    let enrolled = AT_THE_DESK.iter().filter(|_| stage.enrolled);
    let expected = EXPECTED.iter().chain(lettered).chain(&WITH_A_PHONE).chain(enrolled);
    for (kind, reason) in expected.copied() {
        let found =
            |event: &Value| event["type"] == kind && event["reason"].as_str().unwrap_or_default() == reason;
        if !rest.any(found) {
            bail!("{} is missing or in the wrong place", [kind, reason].join(" ").trim_end());
        }
    }
    let mut before: Option<&Value> = None;
    for event in events {
        if let Some(before) = before {
            ensure!(event["prev_hash"] == before["hash"], "event {} breaks the chain", event["seq"]);
        }
        before = Some(event);
    }
    Ok(format!("{} events in order, each with the hash of the one before", events.len()))
}

fn row(event: &Value) -> anyhow::Result<String> {
    let time = text(event, "at")?.get(11..23).unwrap_or_default();
    let reason = event["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    let outcome = format!("{}{reason}", text(event, "outcome")?);
    let actor = &event["actor"];
    let hash = text(event, "hash")?.get(..8).unwrap_or_default();
    Ok(format!(
        "{:>3}  {time}  {hash}  {:<26} {outcome:<18} {}:{}",
        event["seq"].as_i64().unwrap_or_default(),
        text(event, "type")?,
        text(actor, "kind")?,
        text(actor, "id")?,
    ))
}
