//! The provisioning wire of `docs/provisioning.md`, one definition for the token and its host.
//!
//! Bottom up: [`Decoder`] and [`encode_frame`] turn a byte stream into checked frames and back, [`Request`] and
//! [`Answer`] are what frames carry, [`transcript`] lays out the byte strings that are signed or hashed, and
//! [`Session`] is the host's end without its I/O: time and bytes are arguments.
//!
//! This crate holds no key, signs nothing, and never sees a one-time-password secret in the clear.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod certificate;
mod frame;
mod message;
mod octets;
mod policy;
mod serial;
mod session;
pub mod transcript;

pub use certificate::{CERTIFICATE_MAX, KeyId, MakerCertificate};
pub use frame::{Decoder, FRAME_MAX, MESSAGE_MAX, TooLong, encode_frame};
pub use message::{
    Abort, Answer, Battery, Challenge, ClockState, Commit, DecodeError, Diagnostics, Envelope, Firmware,
    Info, Install, Life, Nonce, Order, PROTOCOL, Pending, Refusal, Request, SLOTS_MAX, SlotState, Start,
    Suite, WRAPPED_MAX, Waiting, Wrapped, decode, encode,
};
pub use octets::{Digest, Nonce16, Octets, Point, Signature, Tag};
pub use policy::{Hash, Kind, POLICY_LEN, Policy, PolicyError, SECRET_MAX, SECRET_MIN};
pub use serial::{SERIAL_MAX, Serial, SerialError};
pub use session::{Busy, Call, Event, Failure, Recovery, Session, call, recovery};
