//! The flash controller, for pages of the second bank: one for the chip's key, four for the token's state.
//!
//! A page has 8 KiB, a unit 16 bytes with an error correction of its own, and is written once between two erasures.
//! The image lies in the first bank, from which the core reads on meanwhile. The instruction cache stays off, as it
//! is after reset, so that what is read is what is there.

use core::sync::atomic::{AtomicBool, Ordering};

use common::read_out;
use cortex_m::asm;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use stm32_metapac::FLASH;
use stm32_metapac::flash::regs::{Nscr, Nssr};

const KEYS: [u32; 2] = [0x4567_0123, 0xcdef_89ab];

/// The second bank of a part with 2 MiB.
const BANK_2: usize = 0x0810_0000;
const PAGE: usize = 8 * 1024;
const UNIT: usize = 16;
const KEY_PAGE: usize = 0;
const STATE_PAGE: usize = 1;
/// The token rewrites half of its pages at a time; two with 16 KiB hold some five hundred steps of a counter.
const STATE_PAGES: usize = 4;

/// Data sheet: a page is erased in 3.4 ms, a unit written in 0.2 ms, at most.
const WAIT_MS: u32 = 50;

/// The last unit read was not what was once written: its error correction gave up. Set by the interrupt.
static IS_TORN: AtomicBool = AtomicBool::new(false);

/// The pages of one purpose.
#[derive(Debug)]
pub struct Pages {
    first: usize,
    count: usize,
}

impl Pages {
    /// For the token's state. The only value of its kind: [`crate::Board`] calls this once.
    pub(crate) const fn state() -> Self {
        Self { first: STATE_PAGE, count: STATE_PAGES }
    }

    /// For the chip's key.
    pub(crate) const fn key() -> Self {
        Self { first: KEY_PAGE, count: 1 }
    }

    /// The address of `len` bytes at `offset`, if they lie in these pages and `unit` divides both.
    fn address(&self, offset: u32, len: usize, unit: usize) -> Result<usize, NorFlashErrorKind> {
        let offset = offset as usize;
        if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(NorFlashErrorKind::NotAligned);
        }
        match offset.checked_add(len) {
            Some(end) if end <= self.count * PAGE => Ok(BANK_2 + self.first * PAGE + offset),
            _ => Err(NorFlashErrorKind::OutOfBounds),
        }
    }
}

impl ErrorType for Pages {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Pages {
    const READ_SIZE: usize = UNIT;

    /// A unit that a power cut left half written reads as zeros: neither blank, nor what somebody wrote.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let start = self.address(offset, bytes.len(), UNIT)?;
        for (at, unit) in (start..).step_by(UNIT).zip(bytes.chunks_exact_mut(UNIT)) {
            IS_TORN.store(false, Ordering::Relaxed);
            for (at, word) in (at..).step_by(4).zip(unit.chunks_exact_mut(4)) {
                // SAFETY: `at` is an aligned word of these pages, which are readable flash at any time; volatile
                // because the controller changes them behind the compiler's back.
                let value = unsafe { core::ptr::with_exposed_provenance::<u32>(at).read_volatile() };
                word.copy_from_slice(&value.to_le_bytes());
            }
            // The interrupt of a failed correction comes before this is done.
            asm::dsb();
            asm::isb();
            if IS_TORN.load(Ordering::Relaxed) {
                unit.fill(0);
            }
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.count * PAGE
    }
}

impl NorFlash for Pages {
    const WRITE_SIZE: usize = UNIT;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let len = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)? as usize;
        let start = self.address(from, len, PAGE)?;
        for page in (start..start + len).step_by(PAGE) {
            operate(|| {
                FLASH.nscr().modify(|w| {
                    w.set_per(true);
                    w.set_bker(true);
                    w.set_pnb(((page - BANK_2) / PAGE) as u8);
                });
                FLASH.nscr().modify(|w| w.set_strt(true));
            })?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let start = self.address(offset, bytes.len(), UNIT)?;
        for (at, unit) in (start..).step_by(UNIT).zip(bytes.chunks_exact(UNIT)) {
            let (words, _) = unit.as_chunks::<4>();
            operate(|| {
                FLASH.nscr().modify(|w| w.set_pg(true));
                for (at, word) in (at..).step_by(4).zip(words) {
                    let value = u32::from_le_bytes(*word);
                    // SAFETY: `at` is an aligned word of these pages, which hold no code and nothing that Rust has
                    // a reference to; the controller is unlocked for writing and takes four words as one unit.
                    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(at).write_volatile(value) };
                }
            })?;
        }
        Ok(())
    }
}

/// One operation of the controller, which is locked before and after it.
fn operate(begin: impl FnOnce()) -> Result<(), NorFlashErrorKind> {
    // With the banks swapped the page's number would mean a page of the image.
    if read_out::is_swapped(FLASH.optr().read().0) || !crate::timer::wait_for(WAIT_MS, is_idle) {
        return Err(NorFlashErrorKind::Other);
    }
    clear_errors();
    if FLASH.nscr().read().lock() {
        KEYS.iter().for_each(|&key| FLASH.nskeyr().write_value(key));
    }
    begin();
    asm::dsb();
    let is_done = crate::timer::wait_for(WAIT_MS, is_idle);
    let status = FLASH.nssr().read();
    // Ends the mode and locks.
    let mut locked = Nscr(0);
    locked.set_lock(true);
    locked.set_optlock(true);
    FLASH.nscr().write_value(locked);
    let has_failed = has_error(status);
    clear_errors();
    if is_done && !has_failed { Ok(()) } else { Err(NorFlashErrorKind::Other) }
}

fn is_idle() -> bool {
    let status = FLASH.nssr().read();
    !status.bsy() && !status.wdw()
}

fn has_error(status: Nssr) -> bool {
    status.operr()
        || status.progerr()
        || status.wrperr()
        || status.pgaerr()
        || status.sizerr()
        || status.pgserr()
}

/// Errors are cleared by writing 1: what is read is what is written.
fn clear_errors() {
    let status = FLASH.nssr().read();
    FLASH.nssr().write_value(status);
}

/// From the non-maskable interrupt: whether a unit of the second bank could not be corrected, which
/// [`ReadNorFlash::read`] then says. In the first bank that is the image.
pub(crate) fn handle_torn_unit() -> bool {
    let status = FLASH.eccr().read();
    let is_ours = status.eccd() && status.bk_ecc() && !status.sysf_ecc();
    // Cleared by writing 1.
    FLASH.eccr().write_value(status);
    if is_ours {
        IS_TORN.store(true, Ordering::Relaxed);
    }
    is_ours
}

/// Whether the option bytes close flash and debug port for good.
pub(crate) fn is_read_out_closed() -> bool {
    read_out::is_closed(FLASH.optr().read().0, FLASH.nssr().read().0)
}
