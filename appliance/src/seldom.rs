//! Refusals that a caller could cause again and again: each is an event, of many alike a few are enough, and what was not
//! written is told in the end.

use domain::event::Event;

use crate::appliance::Appliance;
use crate::error::FlowError;
use crate::store::{StoreError, event};

impl Appliance {
    /// Writes the event of a refusal, unless the same one, by the same actor and about the same `which`, was written just
    /// before. Apart from what strangers are refused, so that they cannot crowd it out.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub(crate) fn refuse_seldom(&self, which: &str, event: Event) -> Result<(), StoreError> {
        let about = format!("{} {} {which}", event.actor.kind, event.actor.id);
        match self.seldom.pass(event, &about, self.clock.now().boot_ms) {
            None => Ok(()),
            Some(event) => self.store.write(move |w| event::append(w, &event).map(drop)),
        }
    }

    /// As [`Appliance::refuse_seldom`], for what strangers are refused about `which`.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub(crate) fn refuse_stranger(&self, which: &str, event: Event) -> Result<(), StoreError> {
        match self.refusals.pass(event, which, self.clock.now().boot_ms) {
            None => Ok(()),
            Some(event) => self.store.write(move |w| event::append(w, &event).map(drop)),
        }
    }

    /// Writes what was counted and not told, where nothing alike came after it; with `all` without waiting for that.
    ///
    /// # Errors
    /// When the store cannot answer: what is not written then is not forgotten.
    pub(crate) fn tell_refusals(&self, all: bool) -> Result<(), FlowError> {
        let boot_ms = self.clock.now().boot_ms;
        for refusals in [&self.refusals, &self.seldom] {
            let mut left = refusals.left_over(boot_ms, all).into_iter();
            while let Some(one) = left.next() {
                if let Err(error) = self.refuse(one.event()) {
                    std::iter::once(one).chain(left).for_each(|one| refusals.put_back(one));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
