//! Step 1: keys in the HSM; then modem and daemon come up, and the HSM says what it guards.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::demo::http;
use crate::demo::service::Service;
use crate::demo::site::{SOFTHSM_CONF, Site, TOKEN_LABEL};
use crate::demo::stage::{Stage, shown, text};

/// Longest wait for the emulated modem's port.
const MODEM_DEADLINE: Duration = Duration::from_secs(20);
/// Longest wait for the daemon.
const DAEMON_DEADLINE: Duration = Duration::from_secs(30);
/// Ports to try: between taking and using one, another process may take it.
const PORT_TRIES: u32 = 5;

const EMULATE: [&str; 8] =
    ["modem", "emulate", "--link", "modem", "--journal", "modem.jsonl", "--transcript", "modem.transcript"];
const SERVE: [&str; 3] = ["serve", "--config", "countersign.toml"];

/// Initialises the HSM, starts modem and daemon, and asks for every attribute of every key.
pub(super) fn initialise(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let dir = stage.site.dir().display().to_string();
    stage.screen.command(&format!("cd {dir}"))?;
    stage.screen.command(&format!("export {SOFTHSM_CONF}=$PWD/softhsm2.conf"))?;
    let module = stage.site.module();
    let init = ["hsm", "init", "--module", module, "--token-label", TOKEN_LABEL];
    let pins = ["--so-pin-file", "so-pin", "--pin-file", "pin"];
    stage.screen.command(&format!("{} \\\n{}", shown("countersign", &init), pins.join(" ")))?;
    let made = stage.run_json(&[&init[..], &pins].concat())?;
    ensure!(made["assurance"] == "enforced", "the HSM does not enforce the attributes of its keys");
    start_modem(stage)?;
    start_daemon(stage)?;
    let info = stage.cli_json(&["hsm", "info"])?;
    let (manufacturer, assurance) = (text(&info, "manufacturer")?, text(&info, "assurance")?);
    let capabilities = info["capabilities"].as_object().context("the answer has no capabilities")?;
    let there = capabilities.iter().filter(|(_, there)| **there == true).count();
    stage.screen.answer(&format!(
        "{}, key generation {}, attributes {assurance}, {there} of {} capabilities there",
        manufacturer.trim(),
        info["kek_generation"],
        capabilities.len()
    ))?;
    check(stage)
}

fn check(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let checks = stage.cli_json(&["hsm", "check"])?;
    let checks = checks.as_array().context("the answer is no list")?;
    let objects: BTreeSet<&str> = checks.iter().filter_map(|check| check["object"].as_str()).collect();
    for object in &objects {
        let of_object: Vec<&Value> = checks.iter().filter(|check| check["object"] == **object).collect();
        let good = of_object.iter().filter(|check| check["ok"] == true).count();
        let reported = |attribute: &str| {
            let found = of_object.iter().find(|check| check["attribute"] == attribute);
            found.and_then(|check| check["reported"].as_str()).unwrap_or("not reported")
        };
        stage.screen.answer(&format!(
            "{object:<24} {good:>2} of {} attributes right; extractable {}, value {}",
            of_object.len(),
            reported("CKA_EXTRACTABLE"),
            reported("CKA_VALUE"),
        ))?;
    }
    ensure!(!checks.is_empty() && checks.iter().all(|check| check["ok"] == true), "an attribute is wrong");
    Ok(format!("{} keys made in the HSM, all {} attributes as they should be", objects.len(), checks.len()))
}

fn start_modem(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let [modem, emulate, link, name, rest @ ..] = EMULATE;
    let line = shown("countersign", &[modem, emulate, link, name]);
    stage.screen.command(&format!("{line} \\\n{} &", rest.join(" ")))?;
    stage.modem = Some(Service::start("modem", stage.site, &EMULATE)?);
    let port = stage.site.modem();
    stage.wait("the emulated modem's port", MODEM_DEADLINE, || Ok(port.exists().then_some(())))
}

fn start_daemon(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.screen.command(&format!("{} &", shown("countersign", &SERVE)))?;
    for _ in 0..PORT_TRIES {
        let port = stage.site.configure()?;
        stage.daemon = Some(Service::start("daemon", stage.site, &SERVE)?);
        stage.port = port;
        let ready = stage.wait("the daemon's readiness", DAEMON_DEADLINE, || {
            let answer = http::request(port, "/readyz", None, None).ok();
            Ok(answer.filter(|answer| answer.status == 200 && answer.body["ready"] == true).map(drop))
        });
        match ready {
            Ok(()) => {
                let api = stage.api();
                return Ok(stage
                    .screen
                    .command(&format!("export COUNTERSIGN_SOCKET=$PWD/api.sock API={api}"))?);
            }
            Err(error) if error.is::<crate::demo::stop::Stopped>() => return Err(error),
            Err(error) => {
                let ended = stage.daemon.take().is_some_and(|mut daemon| daemon.check().is_err());
                if !(ended && Site::is_taken(port)) {
                    return Err(error);
                }
            }
        }
    }
    bail!("{PORT_TRIES} times another process took the daemon's port first")
}
