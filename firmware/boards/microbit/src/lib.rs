//! Board support for the BBC micro:bit v1, as far as its self-test needs it.
//!
//! The part's readout protection is known to be broken, so it is the emulated reference, not a product.
//! Register addresses are those of the nRF51 Series Reference Manual 3.0. Only QEMU's model has run this code.

#![no_std]

mod register;
pub mod stack;
pub mod system;
pub mod uart;
