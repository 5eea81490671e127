//! The daemon is killed under load, again and again; a ledger outside remembers what it had answered.

use tests::kill;

const KILLS: usize = 20;

/// A1, A4, A9, T3, rules 1 and 3. Red when an answer leaves before its commit (`commit_group` answers
/// first), when `synchronous` is off together with an early answer, when a failure is counted after the answer,
/// when a message is sent before `sending` is durable, or when `sending` is queued again at the start.
#[test]
fn nothing_acknowledged_is_undone_by_kill_9() {
    let report = kill::run(KILLS);
    println!("kill: {report:?}");
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
    assert_eq!(report.kills, KILLS);
    assert!(report.acknowledged > 10 * KILLS, "hardly any load: {report:?}");
    assert!(report.challenges > KILLS, "hardly any challenges: {report:?}");
}

/// The ledger sees a double accept where there is one.
#[test]
fn the_ledger_catches_a_store_that_answers_before_it_commits() {
    let audit = kill::early_answer(KILLS);
    println!("kill control: {} of {} codes accepted twice", audit.violations.len(), audit.acknowledged);
    assert!(!audit.violations.is_empty(), "the control was not caught: {audit:?}");
}
