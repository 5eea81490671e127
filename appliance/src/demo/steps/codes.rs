//! Steps 3 to 6: codes of the phone's app, fresh, used up, ahead and wrong.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::clock::wall_ms;
use crate::demo::stage::{Stage, expect_verdict, text};

/// Seconds that must be left of a time step: the code before it has to last for two requests.
const STEP_MARGIN_S: u64 = 8;
/// Steps or counters around now that a wrong code must keep away from.
const REACH: u64 = 20;

/// Takes the code before the current one: the appliance grants one step either way, and the current one
/// stays unused for whoever tries the demo next.
pub(super) fn totp_accepted(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let step = loop {
        let (step, left) = stage.alice()?.totp.step(now_s());
        if left >= STEP_MARGIN_S {
            break step;
        }
        stage.screen.note(&format!("The phone's code changes in {left} s; the demo waits for it."))?;
        stage.stop.pause(Duration::from_secs(left))?;
    };
    let totp = &stage.alice()?.totp;
    let (code, current) = (totp.code(step.saturating_sub(1)), totp.code(step));
    stage.screen.note(&format!(
        "Alice typed {code}; her phone has just gone on to {current}, which stays yours to try."
    ))?;
    let answer = stage.verify(&code)?;
    stage.used_totp = Some(code);
    expect_verdict(&answer, "accept")?;
    ensure!(answer.body["token"] == stage.alice()?.totp_serial.as_str(), "another token accepted it");
    Ok("accepted".to_owned())
}

pub(super) fn totp_replayed(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let code = stage.used_totp.clone().context("no code has been used")?;
    let answer = stage.verify(&code)?;
    expect_verdict(&answer, "reject")?;
    stage.rejection = Some(answer.text);
    Ok("refused; only the audit says why".to_owned())
}

pub(super) fn hotp_ahead(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let alice = stage.alice()?;
    let (first, second, third) = (alice.hotp.press(), alice.hotp.press(), alice.hotp.press());
    let serial = alice.hotp_serial.clone();
    stage.screen.note(&format!("{first} and {second} were shown and never typed; {third} comes next."))?;
    let verdict = stage.cli_json(&["verify", "--user", "alice", &third])?;
    stage.screen.answer(&verdict.to_string())?;
    ensure!(text(&verdict, "verdict")? == "accept" && verdict["token"] == serial.as_str(), "it was refused");
    Ok("accepted: the counter caught up".to_owned())
}

pub(super) fn wrong_refused(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let alice = stage.alice()?;
    let good = [alice.totp.around(now_s(), REACH), alice.hotp.around(now_s(), REACH)].concat();
    let wrong = (0..1_000_000)
        .map(|number| format!("{number:06}"))
        .find(|code| !good.contains(code))
        .context("every code is good")?;
    let answer = stage.verify(&wrong)?;
    expect_verdict(&answer, "reject")?;
    let replayed = stage.rejection.as_ref().context("there is no refusal to compare it with")?;
    ensure!(*replayed == answer.text, "a wrong code and a used one are told apart: {replayed}");
    Ok("refused, with the very bytes of step 4".to_owned())
}

fn now_s() -> u64 {
    u64::try_from(wall_ms() / 1000).unwrap_or(0)
}
