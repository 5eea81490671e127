//! Refusals that anybody can cause without end: each kind is an event, few of many alike. It knows no events.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Pause between two events of one kind about one thing, in milliseconds of the boot clock.
pub(crate) const PAUSE_MS: u64 = 10_000;
/// Kinds and things that are told apart at the most; further things are one.
const APART_MAX: usize = 64;

/// Kind and reason of a refusal, and what it is about.
type Alike = (&'static str, &'static str, String);

#[derive(Default)]
struct Told {
    at_ms: u64,
    unwritten: u64,
}

/// What was written of late.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<Alike, Told>>);

impl Refusals {
    /// Counts a refusal. It is to be written unless there is none: with how many alike were not, since the last one.
    pub(crate) fn count(
        &self,
        (kind, reason): (&'static str, &'static str),
        about: &str,
        boot_ms: u64,
    ) -> Option<u64> {
        let mut told = self.0.lock();
        let mut alike = (kind, reason, about.to_owned());
        if !told.contains_key(&alike) && told.len() >= APART_MAX {
            told.retain(|_, last| boot_ms.saturating_sub(last.at_ms) < PAUSE_MS);
            if told.len() >= APART_MAX {
                alike.2.clear();
            }
        }
        match told.get_mut(&alike) {
            Some(last) if boot_ms.saturating_sub(last.at_ms) < PAUSE_MS => {
                last.unwritten += 1;
                None
            }
            Some(last) => {
                let unwritten = std::mem::take(&mut last.unwritten);
                last.at_ms = boot_ms;
                Some(unwritten)
            }
            None => {
                told.insert(alike, Told { at_ms: boot_ms, unwritten: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: (&str, &str) = ("push.answer_refused", "late");

    /// D-40. Red when whoever repeats a refusal fills the disk with events, or a first one of a kind is not told.
    #[test]
    fn of_many_alike_few_are_written() {
        let refusals = Refusals::default();
        assert_eq!(refusals.count(LATE, "alice", 0), Some(0));
        assert!((0..1_000).all(|n| refusals.count(LATE, "alice", n).is_none()));
        assert_eq!(refusals.count(LATE, "bob", 5), Some(0), "about somebody else");
        assert_eq!(
            refusals.count(("push.answer_refused", "malformed"), "alice", 5),
            Some(0),
            "for another reason"
        );
        assert_eq!(refusals.count(LATE, "alice", PAUSE_MS), Some(1_000));
        assert_eq!(refusals.count(LATE, "alice", PAUSE_MS + 1), None);
    }

    /// D-40. Red when things that are named without end are told apart without end.
    #[test]
    fn what_is_named_without_end_is_one_thing() {
        let refusals = Refusals::default();
        let written = (0..10_000).filter(|n| refusals.count(LATE, &n.to_string(), 1).is_some()).count();
        assert!(written <= APART_MAX + 1, "{written}");
        assert!(refusals.0.lock().len() <= APART_MAX + 1);
    }
}
