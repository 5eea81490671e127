//! Keys behind PKCS#11 v2.40. This library knows keys and bytes, not users, tokens or codes.
//!
//! A child process is the only one to load the vendor's library and to read the PIN ([`child::run`]). The
//! daemon starts and supervises it through [`Hsm`], and speaks with it over a socket pair. A call that
//! hangs in the vendor's code ends with the child; no handle outlives it.
//!
//! Secrets rest outside the HSM as records, wrapped under a key inside it (RFC 3394), and are unwrapped,
//! not extractable, for use. A record and its mutable state each carry a MAC under another key of the HSM,
//! so that whoever can write the database can neither swap records nor set back states.
//!
//! A hardware token gets its secret from the HSM too, under a key that only the two can derive
//! (docs/provisioning.md), and long-term key pairs sign what is said to tokens and to other services.

pub mod child;
mod client;
mod error;
mod latch;
mod launch;
mod link;
mod mac;
mod pin;
mod record;
mod supervisor;
mod types;
mod wire;

pub use client::{Hsm, initialise};
pub use error::HsmError;
pub use latch::unlatch;
pub use mac::record_message;
pub use types::{
    AUTHENTICATE_MAX, Assurance, AttributeCheck, Authenticate, Authenticated, CODE_MAX, CONFIRMATION_LEN,
    Compute, EXCHANGE_LIFE, EXCHANGES_MAX, Enrol, Enrolled, FACTORS_MAX, Factor, Hash, HsmSettings, Info,
    InitSpec, Launcher, MAC_BATCH_MAX, MATCH_BATCH_MAX, MESSAGE_KEY_LEN, MESSAGE_MAX, MESSAGES_MAX,
    MacPurpose, Match, MatchKey, Matched, MessageKey, POINT_LEN, POLICY_MAX, PinSource, Provision,
    Provisioned, RANDOM_MAX, Render, SEAL_MAX, SECRET_MAX, SECRET_MIN, SIGNATURE_LEN, SIGNED_MAX,
    SecretSource, SignKey, Status, Tampered,
};
