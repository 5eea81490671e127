//! The rules: users, tokens, codes, limits, challenges, letters of the law.
//!
//! Pure: no clock, no store, no HSM, no network. Time arrives as [`time::Now`], and what is decided
//! leaves as values. The Cargo.toml of this crate gives it nothing to do I/O with.

pub mod approval;
pub mod canonical;
pub mod challenge;
pub mod colour;
pub mod enrol;
pub mod event;
pub mod flow;
pub mod iak;
pub mod journey;
pub mod letter;
pub mod limit;
pub mod method;
pub mod names;
pub mod otpauth;
pub mod outbox;
pub mod phone;
pub mod push;
pub mod recovery;
pub mod registration;
pub mod role;
pub mod scope;
pub mod sentcode;
pub mod time;
pub mod token;
pub mod verify;
pub mod weburl;
