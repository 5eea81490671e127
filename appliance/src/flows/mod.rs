//! The acts: load, ask the HSM, judge, save in one transaction, then answer.
//!
//! All of them block; the API runs them off its async threads. No transaction spans an HSM call: what is
//! saved is conditional on what was loaded.

use std::sync::Arc;

use domain::approval::Party;
use domain::enrol::Level;
use domain::event::{Actor, Event};
use domain::names::ApplicationName;
use domain::role::{BREAK_GLASS, Right, Rights, Role};
use domain::scope::Scopes;
use domain::token::Id;

use crate::appliance::Appliance;
pub use crate::error::FlowError;
use crate::store::event;

pub mod accounts;
pub mod applications;
pub mod approvals;
pub mod backchannel;
pub mod bench;
pub mod challenge;
pub mod deliver;
pub mod desk;
pub mod enrol;
pub mod former;
mod former_tokens;
pub mod guess;
pub mod journey;
pub mod letters;
pub mod messages;
pub mod methods;
pub(crate) mod notices;
pub mod oath;
pub mod ocra;
pub mod operators;
pub mod organisation;
pub mod phones;
pub mod provision;
pub mod push;
mod question;
pub mod resync;
mod sending;
pub mod tokens;
pub mod users;
pub mod verify;

/// Kind of an actor who is a person.
pub const OPERATOR: &str = "operator";

/// Whoever asks for an act.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The application's row; for an operator the one named `console`.
    pub application: Id,
    /// Its name.
    pub name: ApplicationName,
    /// How events name it.
    pub actor: Actor,
    /// An operator's roles.
    pub roles: Vec<Role>,
    /// For which organisations each of them was given.
    pub scopes: Scopes,
    /// What it may do.
    pub rights: Rights,
    /// Level of what a user has shown at the login besides the first factor; none for that one alone, and for others.
    pub shown: Option<Level>,
    /// On whose word an act of two persons is done.
    pub warrant: Warrant,
}

/// On whose word an act is done.
#[derive(Clone, Debug)]
pub enum Warrant {
    /// The caller's own.
    Own,
    /// Root's alone, as long as there are not two who could watch each other.
    Bootstrap,
    /// Two persons'.
    Granted(Arc<approvals::Grant>),
}

impl Caller {
    /// Somebody who acts for themselves in an application's flow: without any right.
    pub(crate) fn without_rights(application: Id, name: ApplicationName, actor: Actor) -> Self {
        let (roles, scopes) = (Vec::new(), Scopes::default());
        let (rights, warrant) = (Rights::default(), Warrant::Own);
        Caller { application, name, actor, roles, scopes, rights, shown: None, warrant }
    }

    /// As one of two persons.
    pub fn party(&self) -> Party {
        Party { name: self.actor.id.clone(), role: self.actor.role.clone() }
    }

    /// Whether it is root, or whoever the daemon runs as.
    pub fn is_break_glass(&self) -> bool {
        self.actor.kind == OPERATOR && self.actor.role == BREAK_GLASS
    }

    /// Checks a right.
    ///
    /// # Errors
    /// [`FlowError::Forbidden`]; the refusal is an event.
    pub fn need(&self, app: &Appliance, right: Right) -> Result<(), FlowError> {
        if self.rights.has(right) {
            return Ok(());
        }
        Err(self.forbidden(app, right.name(), format!("this needs the right {}", right.name()))?)
    }

    /// Writes the event of a refusal, and gives the refusal.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub fn forbidden(
        &self,
        app: &Appliance,
        reason: &str,
        text: impl Into<String>,
    ) -> Result<FlowError, FlowError> {
        app.refuse(Event::refused(app.clock.now().wall_ms, "api.forbidden", self.actor.clone(), reason))?;
        Ok(FlowError::Forbidden(text.into()))
    }
}

impl Appliance {
    /// An event of now that went well.
    pub(crate) fn event(&self, kind: &'static str, caller: &Caller) -> Event {
        let event = Event::ok(self.clock.now().wall_ms, kind, caller.actor.clone());
        match &caller.warrant {
            Warrant::Own => event,
            Warrant::Bootstrap => event.about("bootstrap", "fewer than two administrators"),
            Warrant::Granted(grant) => {
                event.about("approval", grant.handle()).about("requested_by", grant.requested_by())
            }
        }
    }

    /// Writes an event by itself.
    pub(crate) fn refuse(&self, event: Event) -> Result<(), FlowError> {
        Ok(self.store.write(move |w| event::append(w, &event).map(drop))?)
    }
}

/// A handle as it is seen outside: 32 hex digits.
pub fn handle(id: &Id) -> String {
    data_encoding::HEXLOWER.encode(id)
}

/// Reads a handle, as hex or as a decimal number.
pub fn parse_handle(text: &str) -> Option<Id> {
    if text.len() == 32
        && let Ok(bytes) = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes())
    {
        return bytes.try_into().ok();
    }
    let is_number = (1..=39).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number: u128 = if is_number { text.parse().ok()? } else { return None };
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_in_both_spellings() {
        let id: Id = *b"0123456789abcdef";
        assert_eq!(parse_handle(&handle(&id)), Some(id));
        assert_eq!(parse_handle(&u128::from_be_bytes(id).to_string()), Some(id));
        for text in ["", "xyz", "-1", "+1", &"9".repeat(40), &"f".repeat(33)] {
            assert_eq!(parse_handle(text), None);
        }
    }
}
