//! The whole token on a board in memory and virtual time: a host on the other end of its line, an HSM in software
//! that follows the specification with bytes of its own making, and a person at its buttons.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

mod board;
mod buttons;
#[expect(dead_code, reason = "the tests of the vault use the rest")]
mod flash;
mod hsm;
mod provisioning;
