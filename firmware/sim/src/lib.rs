//! The token's own logic on a developer's machine: flash in a file, the serial line on a pty, buttons from
//! standard input, the display as text. Its secrets are as safe as the file, which is not at all.

#![forbid(unsafe_code)]

mod board;
mod bridge;
mod display;
mod factory;
mod flash;
mod pty;
mod run;

pub use bridge::{BridgeOptions, bridge};
pub use display::{read_digits, render};
pub use factory::{certify, make_maker};
pub use run::{Options, run};
