//! Board support for the BBC micro:bit v1.
//!
//! The part's readout protection is known to be broken, so it is the emulated reference, not a product.
//! Register addresses are those of the nRF51 Series Reference Manual 3.0. Only QEMU's model has run this code.

#![no_std]

mod buttons;
mod image;
mod interrupts;
mod nvmc;
mod platform;
mod register;
mod rng;
mod ssd1306;
pub mod stack;
pub mod stopwatch;
pub mod system;
mod timer;
pub mod uart;

pub use platform::Board;
