//! A station at emulated tokens: how long one takes, step by step, and how many go through one port and through four.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use tests::token::{binary, make_maker};
use tests::{Appliance, RigOptions};

use super::readings::Readings;

/// Tokens that go through one port, and through each of several.
const TOKENS: usize = 8;
/// Ports of the larger station.
const PORTS: usize = 4;

/// The steps, by what the station says when each begins; the last one ends when the token is done.
const STEPS: [(&str, &str); 4] = [
    ("checking its maker", "provision_attest_s"),
    ("provisioning", "provision_challenge_s"),
    ("press the button on the token", "provision_press_s"),
    ("installing the wrapped secret", "provision_install_s"),
];

/// A line of the station.
#[derive(Deserialize)]
struct Line {
    at: jiff::Timestamp,
    event: String,
    serial: Option<String>,
    text: String,
}

/// An appliance and the maker whom it trusts.
pub(super) struct Bench {
    appliance: Appliance,
    maker: PathBuf,
}

impl Bench {
    pub(super) fn start() -> Bench {
        let mut appliance =
            Appliance::prepare(RigOptions { log: "warn".to_owned(), ..RigOptions::default() });
        let maker = appliance.path("maker.key");
        let key = make_maker(&maker);
        appliance.options_mut().config = format!("[provisioning]\nmaker_keys = [\"{key}\"]\n");
        appliance.write_config();
        appliance.serve();
        appliance.await_ready();
        Bench { appliance, maker }
    }

    /// Takes every figure.
    pub(super) fn take(&self, readings: &mut Readings) {
        let alone = self.station(1, TOKENS);
        for token in by_token(&alone).values() {
            let began =
                |step: usize| token.iter().find(|line| line.text == STEPS[step].0).map(|line| line.at);
            let done = token.iter().find(|line| line.event == "done").map(|line| line.at);
            let seconds = |from: Option<jiff::Timestamp>, to: Option<jiff::Timestamp>| {
                let (from, to) = (from.expect("each step is said"), to.expect("each token is done"));
                (to.as_nanosecond() - from.as_nanosecond()) as f64 / 1e9
            };
            readings.push("provision_s", 1, seconds(began(0), done));
            for (step, (_, key)) in STEPS.iter().enumerate() {
                let end = if step + 1 < STEPS.len() { began(step + 1) } else { done };
                readings.push(key, 1, seconds(began(step), end));
            }
        }
        readings.push("tokens_per_min_1_port", 1, per_minute(&alone, 1));
        readings.push("tokens_per_min_4_ports", 1, per_minute(&self.station(PORTS, TOKENS * PORTS), PORTS));
    }

    /// What a station of so many ports says of so many tokens.
    fn station(&self, ports: usize, tokens: usize) -> Vec<Line> {
        let mut command =
            self.appliance.command(&["--json", "technician", "station", "--type", "hotp", "--batch"]);
        command.arg(format!("ports-{ports}")).arg("--maker-key").arg(&self.maker);
        command.args(["--emulator", &ports.to_string(), "--count", &tokens.to_string()]);
        let worked = command.env("COUNTERSIGN_TOKEN_SIM", binary()).stdin(Stdio::null()).output();
        let worked = worked.expect("the binary starts");
        let said = String::from_utf8_lossy(&worked.stderr).into_owned();
        assert!(worked.status.success(), "the station: {said}");
        said.lines().map(|line| serde_json::from_str(line).expect("a line of the station")).collect()
    }
}

fn by_token(lines: &[Line]) -> BTreeMap<&str, Vec<&Line>> {
    let mut tokens: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        if let Some(serial) = &line.serial {
            tokens.entry(serial).or_default().push(line);
        }
    }
    tokens
}

/// From the first token that was done on each port to the last: what a long batch comes to.
fn per_minute(lines: &[Line], ports: usize) -> f64 {
    let mut done: Vec<i128> =
        lines.iter().filter(|line| line.event == "done").map(|line| line.at.as_nanosecond()).collect();
    done.sort_unstable();
    let (first, last) = (done[ports - 1], done[done.len() - 1]);
    (done.len() - ports) as f64 / ((last - first) as f64 / 60e9)
}
