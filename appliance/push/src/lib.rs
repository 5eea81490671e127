//! Combined registration and push: what a phone and the appliance tell each other.
//!
//! The QR code that a phone scans ([`uri`]), what it answers ([`reply`]), what it is asked later ([`payload`]), and
//! the settings of all that. Pure: time and randomness are arguments, and so is every MAC, because the secrets are in
//! the HSM. A message says which bytes it wants a MAC of ([`jws`]), and tells its claims only against the right one.
//! The wire is the one that the open ForgeRock and Ping authenticator SDKs speak.

#![forbid(unsafe_code)]

pub mod address;
pub mod base64;
pub mod content;
pub mod device;
pub mod envelope;
pub mod jws;
pub mod label;
pub mod message_id;
pub mod message_text;
pub mod numbers;
pub mod payload;
pub mod policies;
pub mod reply;
pub mod scan;
pub mod settings;
pub mod texts;
pub mod uri;
pub mod vapid;

mod json;

/// An HMAC-SHA256 (RFC 2104), made by whoever holds the key.
pub type Mac = [u8; 32];
