//! The acts: load, ask the HSM, judge, save in one transaction, then answer.
//!
//! All of them block; the API runs them off its async threads. No transaction spans an HSM call: what is
//! saved is conditional on what was loaded.

use domain::event::{Actor, Event};
use domain::names::ApplicationName;
use domain::token::Id;
use hsm::HsmError;
use thiserror::Error;

use crate::appliance::Appliance;
use crate::store::StoreError;

pub mod applications;
pub mod bench;
pub mod challenge;
pub mod deliver;
pub mod guess;
pub mod messages;
pub mod ocra;
pub mod provision;
mod question;
pub mod resync;
pub mod tokens;
pub mod users;
pub mod verify;

/// Whoever asks for an act.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The application's row; for an operator the one named `console`.
    pub application: Id,
    /// Its name.
    pub name: ApplicationName,
    /// How events name it.
    pub actor: Actor,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// Why an act was not done. A rejected code is not among them.
#[derive(Debug, Error)]
pub enum FlowError {
    /// The HSM cannot answer.
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many requests about one user at once.
    #[error("other requests about the same user are still under way")]
    Busy,
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
    /// A value that cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// A limit says no.
    #[error("too many attempts")]
    RateLimited,
    /// Unknown user, or a user without a verified number: the same for both.
    #[error("there is no such user, or no verified phone number")]
    NoUserOrPhone,
    /// No modem is configured.
    #[error("no modem is configured")]
    NoModem,
    /// What is stored was changed by someone else.
    #[error("{what} of {which} was changed outside the appliance")]
    Tampered {
        /// Record or state.
        what: &'static str,
        /// Serial or handle.
        which: String,
    },
}

impl FlowError {
    /// Whether HSM or store could not answer just now: the same act may well succeed later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            FlowError::Hsm(error) => !matches!(error, HsmError::Refused { .. }),
            FlowError::Store(error) => !matches!(error, StoreError::Row { .. } | StoreError::Exists(_)),
            FlowError::Busy => true,
            _ => false,
        }
    }
}

impl Appliance {
    /// An event of now that went well.
    pub(crate) fn event(&self, kind: &'static str, caller: &Caller) -> Event {
        Event::ok(self.clock.now().wall_ms, kind, caller.actor.clone())
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
