//! Board support for a token on an STM32U575xI or STM32U585xI, whose read-out protection can be made to hold.
//!
//! The part is used with TrustZone off (TZEN = 0). The registers' use follows RM0456; no real board has run this yet.
//! `docs/boards.md` says how the factory closes the part.
//!
//! Pins: USART1 on PA9 (out) and PA10 (in); the display's SPI1 on PA5 (clock) and PA7 (data), PA4 (chip select) and
//! PB0 (commands or picture); buttons on PB6 (next) and PB7 (menu); a 32 kHz crystal and a cell at VBAT for the clock.

#![no_std]

mod buttons;
mod clocks;
mod display;
mod flash;
mod image;
mod interrupts;
mod key;
mod platform;
mod rng;
mod rtc;
mod stack;
pub mod system;
mod timer;
mod uart;

pub use platform::Board;
