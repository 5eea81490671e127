//! Refusals that anybody can cause without end: each kind is an event, few of many alike, and none is left uncounted. It
//! knows no store.

use std::collections::HashMap;

use domain::event::Event;
use parking_lot::Mutex;

/// Pause between two events of one kind about one thing, in milliseconds of the boot clock.
pub(crate) const PAUSE_MS: u64 = 10_000;
/// Kinds and things that are told apart at the most; further things are one.
const APART_MAX: usize = 64;
/// How an event says how many alike were not written before it.
const UNWRITTEN: &str = "unwritten";

/// Kind and reason of a refusal, and what it is about.
type Alike = (&'static str, String, String);

#[derive(Default)]
struct Told {
    at_ms: u64,
    unwritten: u64,
    /// The last one that was not written.
    last: Option<Event>,
}

impl Told {
    fn is_pausing(&self, boot_ms: u64) -> bool {
        boot_ms.saturating_sub(self.at_ms) < PAUSE_MS
    }
}

/// The last of those alike that were not written, and how many there were.
pub(crate) struct LeftOver {
    alike: Alike,
    count: u64,
    last: Event,
}

impl LeftOver {
    /// The event that stands for all of them.
    pub(crate) fn event(&self) -> Event {
        with_count(self.last.clone(), self.count.saturating_sub(1))
    }
}

/// What was written of late.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<Alike, Told>>);

impl Refusals {
    /// The event of a refusal as it is to be written, with how many alike were not since the last one; none where this one
    /// is not to be written either, but counted.
    pub(crate) fn pass(&self, event: Event, about: &str, boot_ms: u64) -> Option<Event> {
        let mut told = self.0.lock();
        let reason = event.reason.clone().unwrap_or_default();
        let mut alike = (event.kind, reason, about.to_owned());
        if !told.contains_key(&alike) && told.len() >= APART_MAX {
            // What was counted and not told yet stays.
            told.retain(|_, last| last.unwritten > 0 || last.is_pausing(boot_ms));
            if told.len() >= APART_MAX {
                alike.2.clear();
            }
        }
        match told.get_mut(&alike) {
            Some(last) if last.is_pausing(boot_ms) => {
                last.unwritten += 1;
                last.last = Some(event);
                None
            }
            Some(last) => {
                let unwritten = std::mem::take(&mut last.unwritten);
                *last = Told { at_ms: boot_ms, ..Told::default() };
                Some(with_count(event, unwritten))
            }
            None => {
                told.insert(alike, Told { at_ms: boot_ms, ..Told::default() });
                Some(event)
            }
        }
    }

    /// Takes what was not written and is not to wait for another one alike, to be written now: with `all`, everything that
    /// was not. What comes from now on is counted anew.
    pub(crate) fn left_over(&self, boot_ms: u64, all: bool) -> Vec<LeftOver> {
        let mut told = self.0.lock();
        told.retain(|_, last| last.unwritten > 0 || last.is_pausing(boot_ms));
        let over = told.iter_mut().filter(|(_, last)| all || !last.is_pausing(boot_ms));
        over.filter_map(|(alike, told)| {
            let last = told.last.take()?;
            let count = std::mem::take(&mut told.unwritten);
            told.at_ms = boot_ms;
            Some(LeftOver { alike: alike.clone(), count, last })
        })
        .collect()
    }

    /// Gives back what could not be written: it is told later.
    pub(crate) fn put_back(&self, left: LeftOver) {
        let mut told = self.0.lock();
        let told = told.entry(left.alike).or_default();
        told.unwritten += left.count;
        told.last.get_or_insert(left.last);
    }
}

fn with_count(event: Event, unwritten: u64) -> Event {
    if unwritten == 0 { event } else { event.about(UNWRITTEN, unwritten.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::Actor;

    const LATE: (&str, &str) = ("push.answer_refused", "late");

    fn event((kind, reason): (&'static str, &'static str)) -> Event {
        Event::refused(0, kind, Actor::system("phones"), reason)
    }

    /// How many alike an event tells of: itself, and those before it.
    fn tells(event: &Event) -> u64 {
        let before = event.subject.iter().find(|(name, _)| *name == UNWRITTEN);
        1 + before.map_or(0, |(_, count)| count.parse::<u64>().expect("a number"))
    }

    fn passed(refusals: &Refusals, about: &str, boot_ms: u64) -> Option<u64> {
        refusals.pass(event(LATE), about, boot_ms).as_ref().map(tells)
    }

    /// D-40. Red when whoever repeats a refusal fills the disk with events, or a first one of a kind is not told.
    #[test]
    fn of_many_alike_few_are_written() {
        let refusals = Refusals::default();
        assert_eq!(passed(&refusals, "alice", 0), Some(1));
        assert!((0..1_000).all(|n| passed(&refusals, "alice", n).is_none()));
        assert_eq!(passed(&refusals, "bob", 5), Some(1), "about somebody else");
        let other = refusals.pass(event(("push.answer_refused", "malformed")), "alice", 5);
        assert_eq!(other.as_ref().map(tells), Some(1), "for another reason");
        assert_eq!(passed(&refusals, "alice", PAUSE_MS), Some(1_001));
        assert_eq!(passed(&refusals, "alice", PAUSE_MS + 1), None);
    }

    /// D-40. Red when things that are named without end are told apart without end.
    #[test]
    fn what_is_named_without_end_is_one_thing() {
        let refusals = Refusals::default();
        let written = (0..10_000).filter(|n| passed(&refusals, &n.to_string(), 1).is_some()).count();
        assert!(written <= APART_MAX + 1, "{written}");
        assert!(refusals.0.lock().len() <= APART_MAX + 1);
    }

    /// D-40. Red when what was counted is forgotten before it is told: since nothing alike came after it, or since others
    /// came in its place.
    #[test]
    fn every_refusal_is_told_of_in_the_end() {
        let refusals = Refusals::default();
        let (mut sent, mut told) = (0, 0);
        for round in 0..4 {
            let at = round * 3 * PAUSE_MS;
            for n in 0..1_000 {
                sent += 2;
                for _ in 0..2 {
                    told += passed(&refusals, &format!("{round} {n}"), at).unwrap_or(0);
                }
            }
        }
        let end = 100 * PAUSE_MS;
        for left in refusals.left_over(end, false) {
            told += tells(&left.event());
        }
        assert_eq!(told, sent);
        assert!(refusals.left_over(end, true).is_empty() && refusals.left_over(2 * end, false).is_empty());
        assert!(refusals.0.lock().is_empty(), "nothing is kept for nothing");
    }

    /// Red when what comes while the left-over is written is lost or told twice, when an end of the daemon loses what still
    /// pauses, or when what could not be written is forgotten.
    #[test]
    fn what_comes_meanwhile_is_told_next() {
        let refusals = Refusals::default();
        let tell = |left: &[LeftOver]| left.iter().map(|left| tells(&left.event())).sum::<u64>();
        assert_eq!(passed(&refusals, "alice", 0), Some(1));
        assert_eq!(passed(&refusals, "alice", 1), None);
        assert!(refusals.left_over(2, false).is_empty(), "it pauses");
        let left = refusals.left_over(2, true);
        assert_eq!(passed(&refusals, "alice", 3), None);
        assert_eq!((tell(&left), tell(&refusals.left_over(4, true))), (1, 1));
        for n in 5..8 {
            assert_eq!(passed(&refusals, "alice", n), None);
        }
        let over = PAUSE_MS + 5;
        let left = refusals.left_over(over, false);
        assert_eq!(
            (tell(&left), passed(&refusals, "alice", over + 1)),
            (3, None),
            "it is told by what is written now"
        );
        left.into_iter().for_each(|left| refusals.put_back(left));
        assert_eq!(tell(&refusals.left_over(2 * over, false)), 4);
    }
}
