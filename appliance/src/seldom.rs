//! Refusals that anybody could cause again and again: each is an event, and one in a while is enough.

use std::collections::HashMap;

use domain::event::Event;
use parking_lot::Mutex;

use crate::appliance::Appliance;
use crate::store::{StoreError, event};

/// How long the same refusal is no new event, in milliseconds.
const PAUSE_MS: u64 = 60_000;
/// Refusals that are remembered; a further one is an event each time.
const KEPT_MAX: usize = 4096;

/// Refusals of the last [`PAUSE_MS`], with the boot time of their event in milliseconds.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<String, u64>>);

impl Refusals {
    /// Whether it was not seen in the last [`PAUSE_MS`]; it is from now on.
    fn is_new(&self, refusal: String, now: u64) -> bool {
        let mut seen = self.0.lock();
        if seen.get(&refusal).is_some_and(|at| now.saturating_sub(*at) < PAUSE_MS) {
            return false;
        }
        if seen.len() >= KEPT_MAX {
            seen.retain(|_, at| now.saturating_sub(*at) < PAUSE_MS);
        }
        if seen.len() < KEPT_MAX {
            seen.insert(refusal, now);
        }
        true
    }
}

impl Appliance {
    /// Writes the event of a refusal, unless the same one, by the same actor and about the same `which`, was written just
    /// before.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub(crate) fn refuse_seldom(&self, which: &str, event: Event) -> Result<(), StoreError> {
        let (actor, reason) = (&event.actor, event.reason.as_deref().unwrap_or_default());
        let refusal = format!("{} {reason} {} {} {which}", event.kind, actor.kind, actor.id);
        if !self.refusals.is_new(refusal, self.clock.now().boot_ms) {
            return Ok(());
        }
        self.store.write(move |w| event::append(w, &event).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_new_once_in_a_while() {
        let refusals = Refusals::default();
        let new = |what: &str, now| refusals.is_new(what.to_owned(), now);
        assert!(new("a", 0));
        assert!(!new("a", PAUSE_MS - 1));
        assert!(new("b", PAUSE_MS - 1));
        assert!(new("a", PAUSE_MS));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let refusals = Refusals::default();
        for n in 0..=KEPT_MAX {
            assert!(refusals.is_new(n.to_string(), 0));
        }
        assert!(refusals.is_new(KEPT_MAX.to_string(), 0), "beyond it each is new");
        assert!(refusals.0.lock().len() <= KEPT_MAX);
        assert!(refusals.is_new("later".to_owned(), PAUSE_MS));
        assert_eq!(refusals.0.lock().len(), 1, "what is over is forgotten");
    }
}
