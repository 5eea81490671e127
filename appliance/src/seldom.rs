//! Refusals that a known caller could cause again and again: each is an event, and of many alike a few are enough.

use domain::event::Event;

use crate::appliance::Appliance;
use crate::store::{StoreError, event};

impl Appliance {
    /// Writes the event of a refusal, unless the same one, by the same actor and about the same `which`, was written just
    /// before. Apart from what strangers are refused, so that they cannot crowd it out.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub(crate) fn refuse_seldom(&self, which: &str, event: Event) -> Result<(), StoreError> {
        let (actor, reason) = (&event.actor, event.reason.as_deref().unwrap_or_default());
        let about = format!("{reason} {} {} {which}", actor.kind, actor.id);
        match self.seldom.count((event.kind, ""), &about, self.clock.now().boot_ms) {
            None => Ok(()),
            Some(0) => self.store.write(move |w| event::append(w, &event).map(drop)),
            Some(unwritten) => {
                let event = event.about("unwritten", unwritten.to_string());
                self.store.write(move |w| event::append(w, &event).map(drop))
            }
        }
    }
}
