//! The cable between station and token, pulled at byte after byte of a provisioning, silent, or lossy.
//! What docs/provisioning.md says: a token is as before, or provisioned and known; the same command again provisions it.

use tests::cable::Fault;
use tests::pull::{self, Report, Story};
use tests::technician::Bench;

/// Between two pulls at a new token, in bytes. `make soak CABLE=1` pulls at each.
const STEP: usize = 3;
/// Between two pulls at a token that had a secret before.
const STEP_AGAIN: usize = 11;
/// Between two losses and delays.
const STEP_LOSS: usize = 61;
/// Between two silences: each costs half a minute of a station's patience.
const STEP_SILENCE: usize = 97;
/// Bytes lost in a row: more than one frame's end and the next one's beginning.
const GAP: usize = 40;

fn check(name: &str, report: &Report) {
    assert!(report.violations.is_empty(), "{name}: {:#?}", report.violations);
    let [before, released, active] = report.found;
    println!("{name}: {} faults, as before {before}, released {released}, provisioned {active}", report.runs);
}

/// Red when the appliance forgets a token that may hold its secret, when a station clears what was released, or when
/// a cut is not finished or cleared by the same command.
#[test]
fn a_pulled_cable_leaves_a_token_as_before_or_known() {
    assert_eq!(pull::forgetful_appliance(), 2, "the judge sees an appliance that does not know");
    let bench = Bench::start();
    let breaks = pull::every(pull::lengths(&bench), STEP, Fault::Pull);
    let report = pull::run(&bench, &breaks, Story::First, pull::MANY);
    check("pulled", &report);
    assert!(report.found.iter().all(|found| *found > 0), "each end of a cut was met: {:?}", report.found);
    bench.rig.check_chain();
}

/// As above; red when a cut exchange harms the secret that a token had before.
#[test]
fn a_pulled_cable_leaves_a_former_secret_or_a_new_one() {
    let bench = Bench::start();
    let breaks = pull::every(pull::lengths(&bench), STEP_AGAIN, Fault::Pull);
    check("pulled again", &pull::run(&bench, &breaks, Story::Again, pull::MANY));
}

/// Red when a lost byte is not made good by a repeated request, a late answer is taken for another's, or a station
/// hangs on a silent line or calls it done.
#[test]
fn lost_and_late_bytes_are_made_good_and_silence_is_named() {
    let bench = Bench::start();
    let lengths = pull::lengths(&bench);
    let kinds = [(Fault::Lose(1), STEP_LOSS), (Fault::Lose(GAP), STEP_LOSS), (Fault::Late, STEP_LOSS)];
    let silence = (Fault::Lose(usize::MAX), STEP_SILENCE);
    let breaks: Vec<_> = kinds
        .into_iter()
        .chain([silence])
        .flat_map(|(fault, step)| pull::every(lengths, step, fault))
        .collect();
    check("lost, late, silent", &pull::run(&bench, &breaks, Story::First, pull::MOST));
}
