//! Why an act was not done: what lies between store and HSM on one side and the API on the other.

use hsm::HsmError;
use thiserror::Error;

use crate::store::StoreError;

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
    /// A flow is somewhere else than the answer supposes; the text is the key of what went wrong.
    #[error("{0}")]
    Step(&'static str),
    /// The rules of enrolments say no.
    #[error("{0}")]
    Enrol(#[from] domain::enrol::Refusal),
    /// Who asks may not.
    #[error("{0}")]
    Forbidden(String),
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
    /// A phone cannot be registered, or not be asked; the key is what programs look at.
    #[error("{text}")]
    Phone {
        /// The key.
        key: &'static str,
        /// For people.
        text: &'static str,
    },
    /// Letters can be neither typeset nor written now.
    #[error("no letter was made: {0}")]
    Letters(String),
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
            FlowError::Store(error) => {
                !matches!(error, StoreError::Row { .. } | StoreError::Exists(_) | StoreError::Changed(_))
            }
            FlowError::Busy | FlowError::Letters(_) => true,
            _ => false,
        }
    }
}
