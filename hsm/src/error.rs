//! The one error of this library. Its variants say whose fault it is: the operator's, the device's or the
//! caller's. It travels over the wire between child and client.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why the HSM did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HsmError {
    /// The PKCS#11 library is not there.
    #[error("no PKCS#11 module at {}", path.display())]
    ModuleMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The PKCS#11 library is there and does not load, does not initialise or lacks what is needed.
    #[error("PKCS#11 module cannot be used: {reason}")]
    ModuleUnusable {
        /// What failed.
        reason: String,
    },
    /// No token has the configured label.
    #[error("no token labelled {label:?}; present: {}", listed(available))]
    TokenMissing {
        /// The configured label.
        label: String,
        /// Labels of the tokens that are present.
        available: Vec<String>,
    },
    /// The token has no user PIN or lacks our long-term keys.
    #[error("token does not hold the keys it needs")]
    NotInitialised,
    /// The PIN file is missing, open to others or not a PIN.
    #[error("PIN file refused: {0}")]
    PinFile(String),
    /// The token refused the PIN, just now. It will not be tried again.
    #[error("token refused the PIN")]
    PinIncorrect,
    /// The PIN was refused earlier, its last trial has no known end, or the token is short of trials.
    #[error("login is latched by {}", path.display())]
    PinLatched {
        /// The latch; the file says why.
        path: PathBuf,
    },
    /// The child is not running, ended, or met a device fault.
    #[error("HSM unavailable: {reason}")]
    Unavailable {
        /// What is known.
        reason: String,
    },
    /// No answer in time.
    #[error("HSM did not answer in time")]
    Deadline,
    /// The request cannot be served as it is; the HSM itself is well.
    #[error("HSM request refused: {reason}")]
    Refused {
        /// What is wrong with it.
        reason: String,
    },
    /// The other end of the wire said something this end does not understand.
    #[error("HSM child speaks another protocol")]
    Protocol,
}

impl HsmError {
    /// What an operator can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            HsmError::ModuleMissing { .. } => "install the HSM's PKCS#11 library or correct its path",
            HsmError::ModuleUnusable { .. } => {
                "check the module's own configuration and the environment given to it"
            }
            HsmError::TokenMissing { .. } => "correct the token label, or run `countersign hsm init`",
            HsmError::NotInitialised => "run `countersign hsm init`",
            HsmError::PinFile(_) => "correct the PIN file as the message says",
            HsmError::PinIncorrect | HsmError::PinLatched { .. } => {
                "make sure that the PIN file is right, then run `countersign hsm unlatch` and restart: \
                 it allows exactly one more try"
            }
            HsmError::Unavailable { .. } | HsmError::Deadline => {
                "check the device and its connection; the child is restarted by itself"
            }
            HsmError::Refused { .. } => "correct the request",
            HsmError::Protocol => "restart the daemon: its HSM child is of another version",
        }
    }

    /// A fault after which nothing may log in again without a person.
    pub(crate) fn is_pin_fault(&self) -> bool {
        matches!(self, HsmError::PinIncorrect | HsmError::PinLatched { .. })
    }

    pub(crate) fn refused(reason: impl Into<String>) -> HsmError {
        HsmError::Refused { reason: reason.into() }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> HsmError {
        HsmError::Unavailable { reason: reason.into() }
    }
}

fn listed(labels: &[String]) -> String {
    if labels.is_empty() { "none".into() } else { labels.join(", ") }
}
