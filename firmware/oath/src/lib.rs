//! HOTP (RFC 4226), TOTP (RFC 6238) and OCRA (RFC 6287) arithmetic for the token, the appliance and the HSM side alike.
//!
//! An OATH code comes about in three steps, and the middle one is the caller's:
//!
//! 1. the moving factor: [`moving_factor`] of a counter, or of a [`TotpClock`] step; or the
//!    [input](ocra::Suite::input) of a question;
//! 2. its MAC under the token's key, HMAC with an [`Algorithm`], made by whoever holds the key;
//! 3. truncation to digits: [`CodeFormat::code`].
//!
//! [`hotp_candidates`] and [`totp_candidates`] say which moving factors a verifier may try.
//!
//! This crate knows no key, computes no MAC, reads no clock and keeps no state.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod code;
mod hotp;
mod mac;
pub mod ocra;
mod totp;
mod window;

pub use code::{Code, CodeFormat, Digits, Truncation};
pub use hotp::moving_factor;
pub use mac::Algorithm;
pub use totp::{Period, TotpClock};
pub use window::{LOOK_AHEAD_MAX, RESYNC_MAX, TOTP_WINDOW_MAX, hotp_candidates, totp_candidates};

/// Why a value from outside did not become one of this crate's types.
///
/// The texts complete "failed to ..., because" and never repeat the refused value: it may be a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Error {
    /// The name is none of `SHA1`, `SHA256`, `SHA512`.
    UnknownAlgorithm,
    /// The number of digits is outside 6 to 10.
    DigitsOutOfRange,
    /// The truncation offset is neither -1 nor 0 to 15.
    OffsetOutOfRange,
    /// The time step is outside 10 to 120 seconds.
    PeriodOutOfRange,
    /// The text is not 4 to 11 ASCII digits.
    NotACode,
    /// The question is not 4 to 10 decimal digits.
    QuestionOutOfRange,
    /// The text is no OCRA suite, or not one of those supported.
    UnknownSuite,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownAlgorithm => "the algorithm is none of SHA1, SHA256, SHA512",
            Self::DigitsOutOfRange => "a code has 6 to 10 digits",
            Self::OffsetOutOfRange => "a truncation offset is 0 to 15, or -1 for dynamic",
            Self::PeriodOutOfRange => "a time step is 10 to 120 seconds",
            Self::NotACode => "a code is 4 to 11 ASCII digits",
            Self::QuestionOutOfRange => "a question has 4 to 10 decimal digits",
            Self::UnknownSuite => "the OCRA suite is unknown or not supported",
        })
    }
}

impl core::error::Error for Error {}
