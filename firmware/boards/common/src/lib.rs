//! What a board does without registers: the same on every board, and tested without one.
//!
//! Must not know a register, an address or a pin.

#![no_std]

pub mod calendar;
pub mod read_out;
pub mod ring;
pub mod ssd1306;

/// A decimal number below 256: a part of a version, as cargo gives it.
///
/// # Panics
/// While the image is compiled, when it is none.
pub const fn version_part(text: &str) -> u8 {
    let bytes = text.as_bytes();
    let (mut value, mut at) = (0, 0);
    while at < bytes.len() {
        value = value * 10 + (bytes[at] - b'0');
        at += 1;
    }
    value
}
