//! The cable pulled out, silent or late at byte after byte of a provisioning, through the real appliance and the
//! real station; and what token and appliance hold afterwards, and after the same command again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ::token::link::Life;

use crate::cable::{At, Break, Cable, Fault, Side};
use crate::technician::{BRISK, Bench, HURRIED, Holds, Known, Said, judge};
use crate::token::EmulatedToken;
use crate::wire;

/// Dialogues at once: much of each is waiting for a finger.
pub const MANY: usize = 24;
/// Dialogues at once where a station waits for lost bytes, many seconds: half of the exchanges that an appliance keeps,
/// since in the time of one each of the others may end and begin again.
pub const MOST: usize = 32;

/// What the faults came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Faults.
    pub runs: usize,
    /// Found as before, with a released secret, provisioned.
    pub found: [usize; 3],
    /// Everything that should not be.
    pub violations: Vec<String>,
}

/// A token that is new, or one that had a secret before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Its first secret.
    First,
    /// Its second.
    Again,
}

/// How many bytes each side sends in one dialogue without faults.
///
/// # Panics
/// When that dialogue fails.
pub fn lengths(bench: &Bench) -> [usize; 2] {
    let token = bench.token("LEN-000001");
    let cable = Cable::plug(&token.port, &bench.rig.path("length.cable"), None);
    let said = bench.provision_over(&cable);
    assert!(said.provisioned(), "{}", said.told);
    let trace = cable.unplug();
    [trace.host.len(), trace.token.len()]
}

/// The faults of a kind at every so many bytes of both sides.
pub fn every(lengths: [usize; 2], step: usize, fault: Fault) -> Vec<Break> {
    let side = |side: Side, length: usize| {
        (0..length).step_by(step).map(move |at| Break { side, at: At::Octet(at), fault })
    };
    side(Side::Host, lengths[0]).chain(side(Side::Token, lengths[1])).collect()
}

/// Has each fault happen to a token of its own, so many at once.
///
/// # Panics
/// When a process of the rig does not start.
pub fn run(bench: &Bench, breaks: &[Break], story: Story, at_once: usize) -> Report {
    let next = AtomicUsize::new(0);
    let reports: Vec<Report> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.min(breaks.len()))
            .map(|_| {
                scope.spawn(|| {
                    let mut report = Report::default();
                    while let Some(with) = breaks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        one(bench, *with, story, &mut report);
                    }
                    report
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    let mut whole = Report::default();
    for report in reports {
        whole.runs += report.runs;
        whole.found.iter_mut().zip(report.found).for_each(|(sum, found)| *sum += found);
        whole.violations.extend(report.violations);
    }
    whole
}

fn one(bench: &Bench, with: Break, story: Story, report: &mut Report) {
    report.runs += 1;
    let Break { side, at: At::Octet(at), fault } = with else { return };
    let kind = match fault {
        Fault::Pull => "P".to_owned(),
        Fault::Lose(usize::MAX) => "S".to_owned(),
        Fault::Lose(count) => format!("L{count}"),
        Fault::Late => "D".to_owned(),
        Fault::Hold => "H".to_owned(),
    };
    let serial = format!("{kind}-{}-{at:06}", if side == Side::Host { "HOST" } else { "TOKEN" });
    let pace = if with.fault == Fault::Pull { HURRIED } else { BRISK };
    let mut token = bench.token_with(&serial, &serial, &pace);
    match tried(bench, &serial, &mut token, with, story) {
        Ok(holds) => report.found[holds as usize] += 1,
        Err(violation) => report.violations.push(format!("{serial}: {violation}")),
    }
}

fn tried(
    bench: &Bench,
    serial: &str,
    token: &mut EmulatedToken,
    with: Break,
    story: Story,
) -> Result<Holds, String> {
    if story == Story::Again {
        let said = bench.provision(&token.port);
        if !said.provisioned() {
            return Err(format!("before: {}", said.told));
        }
    }
    let cable = Cable::plug(&token.port, &bench.rig.path(&format!("{serial}.cable")), Some(with));
    let cut = bench.provision_over(&cable);
    cable.unplug();
    let holds = bench.agree(token, serial)?;
    match (with.fault, cut.exit) {
        (_, Some(0)) if !cut.provisioned() || holds != Holds::Active => {
            return Err(format!("exit 0, but {holds:?}: {}", cut.told));
        }
        // The byte was the last, or the station repeated what was lost.
        (_, Some(0)) => {}
        (Fault::Pull, Some(3)) if cut.error().contains("unplugged") => {}
        (Fault::Lose(_) | Fault::Late, Some(1)) if cut.error().contains("answer") => {}
        _ => return Err(format!("the fault is not named: {}", cut.told)),
    }
    let again = if cut.exit == Some(0) { cut } else { bench.provision(&token.port) };
    settled(bench, serial, token, &again)?;
    bench.prove(token, serial)?;
    Ok(holds)
}

fn settled(bench: &Bench, serial: &str, token: &EmulatedToken, said: &Said) -> Result<(), String> {
    if !said.provisioned() {
        return Err(format!("the same command again: {}", said.told));
    }
    let (info, known) = (wire::info(&token.port), bench.known(serial));
    let known = known.ok_or("the appliance does not know it")?;
    let whole = !known.held
        && known.counter == info.counter
        && known.lifecycle.as_deref() == Some("in_stock")
        && info.pending.is_none()
        && info.life == Life::Provisioned;
    if whole { Ok(()) } else { Err(format!("after the same command again: {info:?} and {known:?}")) }
}

/// The control: an appliance that does not know what its token holds, before the same judge.
///
/// # Panics
/// When the rig does not start.
pub fn forgetful_appliance() -> usize {
    let bench = Bench::start();
    let token = bench.token("CTL-000001");
    let said = bench.provision(&token.port);
    assert!(said.provisioned(), "{}", said.told);
    let (info, known) = (wire::info(&token.port), bench.known("CTL-000001"));
    assert_eq!(judge(&info, known.as_ref()), Ok(Holds::Active));
    let later = known.map(|known| Known { counter: known.counter + 1, ..known });
    [judge(&info, None), judge(&info, later.as_ref())].iter().filter(|verdict| verdict.is_err()).count()
}
