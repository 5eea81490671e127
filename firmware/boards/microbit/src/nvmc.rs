//! The flash controller, for the pages above the image: one for the chip's key, sixteen for the token's state.
//!
//! The part's pages have 1 KiB, and each word may be written twice between two erasures, of which the token needs
//! one. The core stands still while the controller works.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

const READY: usize = 0x4001_e400;
const CONFIG: usize = 0x4001_e504;
const ERASE_PAGE: usize = 0x4001_e508;

/// User configuration: readout protection. Its second byte protects all of the flash when it is 0.
const RBPCONF: usize = 0x1000_1004;
const RBPCONF_ALL: u32 = 0x0000_ff00;

const PAGE: usize = 1024;
const KEY_START: usize = 0x3_bc00;
const STATE_START: usize = 0x3_c000;
const END: usize = 0x4_0000;

/// What the controller does.
#[derive(Clone, Copy)]
enum Mode {
    Read = 0,
    Write = 1,
    Erase = 2,
}

/// The pages of one purpose.
#[derive(Debug)]
pub struct Pages {
    start: usize,
    len: usize,
}

impl Pages {
    /// For the token's state. The only value of its kind: [`crate::Board`] calls this once.
    pub(crate) const fn state() -> Self {
        Self { start: STATE_START, len: END - STATE_START }
    }

    /// For the chip's key.
    pub(crate) const fn key() -> Self {
        Self { start: KEY_START, len: PAGE }
    }

    /// The address of `len` bytes at `offset`, if they lie in these pages and `unit` divides both.
    fn address(&self, offset: u32, len: usize, unit: usize) -> Result<usize, NorFlashErrorKind> {
        let offset = offset as usize;
        if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(NorFlashErrorKind::NotAligned);
        }
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(self.start + offset),
            _ => Err(NorFlashErrorKind::OutOfBounds),
        }
    }
}

impl ErrorType for Pages {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Pages {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let start = self.address(offset, bytes.len(), 1)?;
        for (at, byte) in (start..).zip(bytes) {
            // SAFETY: `at` lies in these pages, which are readable flash at any time; volatile because the
            // controller changes them behind the compiler's back.
            *byte = unsafe { core::ptr::with_exposed_provenance::<u8>(at).read_volatile() };
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.len
    }
}

impl NorFlash for Pages {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let len = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)? as usize;
        let start = self.address(from, len, PAGE)?;
        for page in (start..start + len).step_by(PAGE) {
            with(Mode::Erase, ERASE_PAGE, page as u32);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let start = self.address(offset, bytes.len(), 4)?;
        let (words, _) = bytes.as_chunks::<4>();
        for (at, word) in (start..).step_by(4).zip(words) {
            with(Mode::Write, at, u32::from_le_bytes(*word));
        }
        Ok(())
    }
}

/// Closes flash and debug port to the outside from the next power-up on, if they are not.
pub(crate) fn close_readout() {
    if !is_readout_closed() {
        with(Mode::Write, RBPCONF, !RBPCONF_ALL);
    }
}

/// Whether the user configuration closes them.
pub(crate) fn is_readout_closed() -> bool {
    read(RBPCONF) & RBPCONF_ALL == 0
}

/// One operation of the controller: `address` is a word of the pages above, of RBPCONF, or the page to erase.
// Out of line: a debugger that stops here stops before every change of the flash.
#[inline(never)]
fn with(mode: Mode, address: usize, value: u32) {
    write(CONFIG, mode as u32);
    write(address, value);
    while read(READY) == 0 {}
    write(CONFIG, Mode::Read as u32);
}

fn read(address: usize) -> u32 {
    // SAFETY: callers give aligned words of the controller or the user configuration, readable at any time.
    unsafe { core::ptr::with_exposed_provenance::<u32>(address).read_volatile() }
}

fn write(address: usize, value: u32) {
    // SAFETY: callers give aligned words of the controller, of the user configuration, or of [`Pages`], none of
    // which holds code or anything Rust has a reference to. What is erased is a page of [`Pages`].
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(value) }
}
