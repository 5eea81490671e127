//! One code, 64 threads: exactly one accept.

use tests::appliance::MANY_MESSAGES;
use tests::race::{self, Tally};
use tests::{Appliance, RigOptions};

const ROUNDS: usize = 200;
const CONTROL_ROUNDS: usize = 20;

fn exactly_one(what: &str, tally: &Tally) {
    println!("race {what}: {} rounds x {} threads, {} accepts", tally.rounds, race::THREADS, tally.single);
    assert_eq!(tally.violations(), 0, "{what}: {tally:?}");
}

/// AT-12, OATH-16, A1, T1, rule 1. Red when `token::consume` is not conditional on the state that was loaded and the lock of
/// the user is gone, or when the answer leaves before the write.
#[test]
fn one_hotp_code_is_accepted_once() {
    let rig = Appliance::start(RigOptions::default());
    exactly_one("hotp", &race::hotp(&rig, ROUNDS));
    rig.check_chain();
}

/// AT-12, OATH-16, OATH-17, A1, T1, rule 2. Red as above; also when the watermark is kept per code and not per step.
#[test]
fn one_totp_code_is_accepted_once() {
    let rig = Appliance::start(RigOptions::default());
    exactly_one("totp", &race::totp(&rig, ROUNDS));
}

/// SMS-14, A1, T1. Red when `challenge::put_progress` is not conditional and the lock of the user is gone.
#[test]
fn one_sent_code_is_accepted_once() {
    let rig = Appliance::start(RigOptions::with_modem().config(MANY_MESSAGES));
    exactly_one("sms", &race::sms(&rig, ROUNDS));
}

/// The harness sees a double accept where there is one.
#[test]
fn the_race_catches_a_store_that_reads_checks_and_writes() {
    let found = race::naive(CONTROL_ROUNDS);
    println!("race control: {} of {} rounds had several accepts", found.several, found.rounds);
    assert!(found.several > 0, "the control was not caught: {found:?}");
}

/// A8, T2, rule 3: 1,024 wrong codes at once; as many are compared as the growing delay allows, and the stored
/// counter is that number. Red when the limiter is asked before the lock of the user is taken, or when a
/// failure is counted by writing back a number that was read.
#[test]
fn wrong_codes_at_once_are_counted_exactly() {
    let rig =
        Appliance::start(RigOptions::default().config("[limits]\ndelay_from = 20\npair_failures = 50\n"));
    let storm = race::wrong_codes(&rig, "stormed", 16);
    println!("race wrong codes: {storm:?}");
    assert_eq!((storm.accepted, storm.neither), (0, 0));
    assert_eq!(storm.evaluated, storm.counted, "the counter is not exact");
    // Twenty at once, then one for each delay of 1, 2, 4, 8 ... seconds that passed meanwhile.
    assert!((20..30).contains(&storm.evaluated), "{storm:?}");

    let rig = Appliance::start(RigOptions::default());
    let storm = race::wrong_codes(&rig, "stormed", 4);
    println!("race wrong codes, default limits: {storm:?}");
    assert_eq!((storm.accepted, storm.neither), (0, 0));
    assert_eq!(storm.evaluated, storm.counted, "the counter is not exact");
    assert!((3..=10).contains(&storm.evaluated), "{storm:?}");
}
