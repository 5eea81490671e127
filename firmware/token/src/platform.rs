//! All that a board supplies. Drivers, pins and the memory map stay behind this trait.

use embedded_storage::nor_flash::NorFlash;

use crate::screen::Frame;

/// A battery-backed count of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtc {
    /// Another number whenever the count began anew: the board draws it at random and keeps it beside the count,
    /// where it is lost with it.
    pub run: u32,
    /// Seconds since the count began.
    pub seconds: u32,
}

/// Which buttons are down at this moment, not debounced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Buttons {
    /// "Next code", also "yes".
    pub next: bool,
    /// "Menu", also "no".
    pub menu: bool,
}

/// The RNG gave no bytes, or not credible ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RngFault;

/// A board.
pub trait Platform {
    /// Flash for the token's state and nothing else: offset 0 is its first byte. At least four pages, the write
    /// size divides 16, erased bytes read 0xFF, and a unit is written once between two erasures, or once more with
    /// zeros where a write was cut.
    type Flash: NorFlash;

    /// The state's flash.
    fn flash(&mut self) -> &mut Self::Flash;

    /// A secret of this one chip, 32 bytes, not in the state's flash: a fuse, a PUF, or a page behind read-out
    /// protection. The same on every call.
    fn device_key(&mut self) -> [u8; 32];

    /// Fills `bytes` from a true RNG.
    ///
    /// # Errors
    /// [`RngFault`].
    fn random(&mut self, bytes: &mut [u8]) -> Result<(), RngFault>;

    /// Milliseconds since reset; does not run back.
    fn now_ms(&mut self) -> u64;

    /// The battery-backed count, or `None` where it stands.
    fn rtc(&mut self) -> Option<Rtc>;

    /// The buttons now.
    fn buttons(&mut self) -> Buttons;

    /// Shows `frame`, or switches the display off. Called only when something changed.
    fn show(&mut self, frame: Option<&Frame>);

    /// The next byte from the host, if one is there.
    fn uart_read(&mut self) -> Option<u8>;

    /// Sends to the host, or drops what nobody takes within a bounded time.
    fn uart_write(&mut self, bytes: &[u8]);

    /// The battery in percent, or `None` where the board cannot tell.
    fn battery_percent(&mut self) -> Option<u8>;

    /// Whether debug port and flash are closed to the outside.
    fn readout_protected(&mut self) -> bool;

    /// The most stack used since reset in bytes, or `None` where the board cannot tell.
    fn stack_used(&mut self) -> Option<u32>;

    /// Version of the image: major, minor, patch.
    fn firmware_version(&self) -> [u8; 3];

    /// SHA-256 of the image.
    fn firmware_hash(&mut self) -> [u8; 32];
}
