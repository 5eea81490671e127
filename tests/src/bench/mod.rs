//! Interleaved rounds of short measures, and a report of their medians.
//!
//! Times of one machine say little about another; what is kept in view is the ratio between measures that
//! were taken within the same seconds.

mod board;
mod disk;
mod http;
mod measures;
mod million;
mod page;
mod provision;
mod raw;
mod readings;
mod report;
mod sms;
mod stage;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use tests::appliance::target_dir;

use measures::{ROUNDS, STEPS, Subjects};
use readings::Readings;
use report::Report;

/// The bar's line: it is drawn on a terminal only.
const BAR: &str = "{bar:40} {pos}/{len} {msg} ({eta} left)";

/// Measures and writes the report.
pub(crate) fn main() -> ExitCode {
    if raw::asked_for() {
        return raw::serve();
    }
    let directory = target_dir().join("bench");
    let load_before = report::load_average();
    let readings = measure(&state_in(&directory));
    let report = Report::new(&readings, load_before);
    print!("{}", report.table());
    for (name, text) in [("report.json", report.json()), ("report.html", page::page(&report))] {
        let path = directory.join(name);
        if let Err(error) = fs::write(&path, text) {
            eprintln!("bench: {} cannot be written: {error}", path.display());
            return ExitCode::FAILURE;
        }
        println!("{}", path.display());
    }
    ExitCode::SUCCESS
}

/// An empty directory for the stores, beside the report: on a disk, where durable means durable.
fn state_in(directory: &Path) -> PathBuf {
    let state = directory.join("state");
    if state.exists() {
        fs::remove_dir_all(&state).expect("the former run's own directory");
    }
    fs::create_dir_all(&state).expect("the target directory can be written");
    state
}

fn measure(state: &Path) -> Readings {
    let turns: usize = STEPS.iter().map(|step| step.clients.len() * if step.once { 1 } else { ROUNDS }).sum();
    let length = u64::try_from(turns).expect("few measures");
    let bar = ProgressBar::new(length)
        .with_style(ProgressStyle::with_template(BAR).expect("a good template"))
        .with_message("starting the appliance");
    bar.tick();
    let mut subjects = Subjects::start(state);
    let mut readings = Readings::default();
    for round in 0..ROUNDS {
        for step in STEPS.iter().filter(|step| !step.once || round + 1 == ROUNDS) {
            for &clients in step.clients {
                bar.set_message(step.name());
                subjects.take(step, clients, &mut readings);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    readings
}
