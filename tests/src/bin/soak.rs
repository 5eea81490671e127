//! Long runs of the scenarios that the tests run briefly. Writes `soak/report.json` into the target directory:
//! a list of `{name, runs, violations, control_violations}`.
//!
//! `control_violations` is how often the same check caught a control that is broken on purpose: 0 there says
//! that the check proves nothing, and is a failure.

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use serde::{Deserialize, Serialize};
use tests::appliance::{target_dir, workspace};
use tests::cable::Fault;
use tests::technician::Bench;
use tests::{Appliance, RigOptions, kill, line, pull, race, steady};

/// Rounds per mechanism that `--race 1` stands for.
const RACE_ROUNDS: usize = 2_000;
/// Messages that `--modem 1` sends.
const MODEM_MESSAGES: usize = 1_000;
/// Rounds of the race's control, and kills of the ledger's.
const CONTROL_RUNS: usize = 20;
/// Kills of one appliance.
const KILLS_PER_APPLIANCE: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);

/// Run scenarios for long and write what they came to.
#[derive(Parser)]
struct Args {
    /// Rounds of 64 threads with one code, for HOTP, TOTP and SMS each; 1 stands for 2,000.
    #[arg(long, value_name = "ROUNDS")]
    race: Option<usize>,
    /// Kills of the daemon under load.
    #[arg(long, value_name = "N")]
    kill: Option<usize>,
    /// 1: a thousand messages over a faulty line.
    #[arg(long, value_name = "0|1")]
    modem: Option<u8>,
    /// Pulls the cable at every so many bytes of a token's provisioning, and lets it be silent and late there; 1 is
    /// every byte.
    #[arg(long, value_name = "STEP", value_parser = clap::value_parser!(u16).range(1..))]
    cable: Option<u16>,
    /// Minutes of fuzzing, for each target.
    #[arg(long, value_name = "MINUTES")]
    fuzz: Option<u32>,
    /// Hours of steady work, with races and kills in between.
    #[arg(long, value_name = "H")]
    hours: Option<f64>,
}

/// One line of the report.
#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    runs: usize,
    violations: usize,
    control_violations: usize,
}

fn entry(name: &str, runs: usize, violations: usize, control_violations: usize) -> Entry {
    let entry = Entry { name: name.to_owned(), runs, violations, control_violations };
    println!("{name}: {runs} runs, {violations} violations, the control's {control_violations}");
    entry
}

fn race_all(rounds: usize) -> Vec<Entry> {
    let control = race::naive(CONTROL_RUNS).several;
    let rig = Appliance::start(RigOptions::with_modem());
    [
        ("race-hotp", race::hotp(&rig, rounds)),
        ("race-totp", race::totp(&rig, rounds)),
        ("race-sms", race::sms(&rig, rounds)),
    ]
    .into_iter()
    .map(|(name, tally)| entry(name, tally.rounds, tally.violations(), control))
    .collect()
}

fn kill_all(kills: usize) -> Entry {
    let control = kill::early_answer(CONTROL_RUNS).violations.len();
    let (mut done, mut violations) = (0, 0);
    while done < kills {
        // A fresh appliance now and then: every round asks the whole ledger, which grows with each.
        let report = kill::run(KILLS_PER_APPLIANCE.min(kills - done));
        report.violations.iter().for_each(|violation| println!("  {violation}"));
        done += report.kills;
        violations += report.violations.len();
    }
    entry("kill", done, violations, control)
}

fn modem_all(messages: usize) -> Entry {
    let control = line::impatient_sender();
    let tally = line::run(messages);
    tally.violations.iter().for_each(|violation| println!("  {violation}"));
    entry("modem", tally.messages, tally.violations.len(), control)
}

fn cable_all(step: usize) -> Vec<Entry> {
    let control = pull::forgetful_appliance();
    let stories = [
        ("cable-pulled", Fault::Pull, pull::Story::First, pull::MANY),
        ("cable-pulled-again", Fault::Pull, pull::Story::Again, pull::MANY),
        ("cable-lost", Fault::Lose(1), pull::Story::First, pull::MOST),
        ("cable-late", Fault::Late, pull::Story::First, pull::MOST),
        ("cable-silent", Fault::Lose(usize::MAX), pull::Story::First, pull::MOST),
    ];
    let told = stories.into_iter().map(|(name, fault, story, at_once)| {
        // An appliance each: the serials are the same.
        let bench = Bench::start();
        let breaks = pull::every(pull::lengths(&bench), step, fault);
        let report = pull::run(&bench, &breaks, story, at_once);
        report.violations.iter().for_each(|violation| println!("  {violation}"));
        entry(name, report.runs, report.violations.len(), control)
    });
    told.collect()
}

/// Every target of `tests/fuzz` for so many minutes, and their controls. The script builds them, prints what it finds
/// and writes what they came to; where it wrote nothing, nothing was fuzzed.
fn fuzz_all(minutes: u32) -> Vec<Entry> {
    let report = target_dir().join("fuzz/report.json");
    let ended = Command::new(workspace().join("scripts/fuzz.sh"))
        .arg("soak")
        .arg(target_dir())
        .arg(minutes.to_string())
        .status()
        .expect("scripts/fuzz.sh starts");
    let entries: Vec<Entry> = fs::read(&report)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_else(|| panic!("{} was not written: {ended}", report.display()));
    entries.into_iter().map(|e| entry(&e.name, e.runs, e.violations, e.control_violations)).collect()
}

/// Steady work, and the short forms of the others until the time is over.
fn hours(time: Duration) -> Vec<Entry> {
    /// Kills and rounds of one turn.
    const TURN: usize = 100;
    let control = steady::growth_is_seen();
    std::thread::scope(|scope| {
        let steady = scope.spawn(|| steady::run(time));
        let begun = Instant::now();
        let mut entries: Vec<Entry> = Vec::new();
        while begun.elapsed() < time {
            let mut turn = race_all(TURN);
            turn.push(kill_all(TURN));
            for new in turn {
                match entries.iter_mut().find(|entry| entry.name == new.name) {
                    Some(entry) => {
                        entry.runs += new.runs;
                        entry.violations += new.violations;
                        entry.control_violations += new.control_violations;
                    }
                    None => entries.push(new),
                }
            }
        }
        let tally = steady.join().expect("the steady work ends");
        tally.violations.iter().for_each(|violation| println!("  {violation}"));
        entries.push(entry("steady", tally.verifications, tally.violations.len(), control));
        entries
    })
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut entries = Vec::new();
    if let Some(rounds) = args.race {
        entries.extend(race_all(if rounds == 1 { RACE_ROUNDS } else { rounds }));
    }
    if let Some(kills) = args.kill {
        entries.push(kill_all(kills));
    }
    if args.modem == Some(1) {
        entries.push(modem_all(MODEM_MESSAGES));
    }
    if let Some(step) = args.cable {
        entries.extend(cable_all(step.into()));
    }
    if let Some(minutes) = args.fuzz {
        entries.extend(fuzz_all(minutes));
    }
    if let Some(time) = args.hours {
        for mut new in hours(HOUR.mul_f64(time)) {
            new.name = format!("hours-{}", new.name);
            entries.push(new);
        }
    }
    if entries.is_empty() {
        eprintln!("nothing was asked for: give --race, --kill, --modem 1, --cable, --fuzz or --hours");
        return ExitCode::from(2);
    }
    let directory = target_dir().join("soak");
    let report = directory.join("report.json");
    let text = serde_json::to_string_pretty(&entries).expect("the report is JSON");
    if let Err(error) = fs::create_dir_all(&directory).and_then(|()| fs::write(&report, text + "\n")) {
        eprintln!("{}: {error}", report.display());
        return ExitCode::from(4);
    }
    println!("{}", report.display());
    let good = entries.iter().all(|entry| entry.violations == 0 && entry.control_violations > 0);
    ExitCode::from(u8::from(!good))
}
