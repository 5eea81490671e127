//! NOR flash in a file. Every operation reaches the file before it returns, so that a kill is a power cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use rustix::rand::{GetRandomFlags, getrandom};

/// As on the reference board.
const PAGE: usize = 1024;
const PAGES: usize = 16;

/// Before the flash, the file holds what other parts of a chip do.
const CHIP_LEN: usize = 64;
const MAGIC: &[u8; 8] = b"CSSIM001";

/// The file.
pub(crate) struct Flash {
    file: File,
    image: Vec<u8>,
    chip: [u8; CHIP_LEN],
}

impl Flash {
    /// Opens the file, or makes a new chip in it with a device key of its own. `now` is when it is made, in Unix
    /// seconds.
    pub(crate) fn open(path: &Path, now: u64) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another emulated token uses this state"));
        }
        let mut flash = Self { file, image: vec![0xff; PAGE * PAGES], chip: [0; CHIP_LEN] };
        match flash.file.metadata()?.len() as usize {
            0 => {
                flash.chip[..8].copy_from_slice(MAGIC);
                random(&mut flash.chip[8..40])?;
                flash.file.write_all_at(&flash.image, CHIP_LEN as u64)?;
                flash.restart_rtc(now)?;
            }
            len if len == CHIP_LEN + PAGE * PAGES => {
                flash.file.read_exact_at(&mut flash.chip, 0)?;
                flash.file.read_exact_at(&mut flash.image, CHIP_LEN as u64)?;
            }
            _ => return Err(not_ours()),
        }
        if flash.chip.starts_with(MAGIC) { Ok(flash) } else { Err(not_ours()) }
    }

    /// The chip's own key.
    pub(crate) fn device_key(&self) -> [u8; 32] {
        core::array::from_fn(|i| self.chip[8 + i])
    }

    /// Number of the run of the battery-backed count, and the Unix second it began at.
    pub(crate) fn rtc(&self) -> (u32, u64) {
        let run = u32::from_be_bytes(core::array::from_fn(|i| self.chip[40 + i]));
        (run, u64::from_be_bytes(core::array::from_fn(|i| self.chip[44 + i])))
    }

    /// The battery was changed: the count begins anew.
    pub(crate) fn restart_rtc(&mut self, now: u64) -> io::Result<()> {
        random(&mut self.chip[40..44])?;
        self.chip[44..52].copy_from_slice(&now.to_be_bytes());
        self.file.write_all_at(&self.chip, 0)
    }
}

fn not_ours() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this file is not the state of an emulated token")
}

/// Random bytes of the kernel.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(())
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let at = offset as usize;
        let held = self.image.get(at..at + bytes.len()).ok_or(NorFlashErrorKind::OutOfBounds)?;
        bytes.copy_from_slice(held);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.image.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let range = from as usize..to as usize;
        self.image.get_mut(range.clone()).ok_or(NorFlashErrorKind::OutOfBounds)?.fill(0xff);
        self.file
            .write_all_at(&self.image[range], (CHIP_LEN + from as usize) as u64)
            .map_err(|_| NorFlashErrorKind::Other)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let at = offset as usize;
        let held = self.image.get_mut(at..at + bytes.len()).ok_or(NorFlashErrorKind::OutOfBounds)?;
        held.iter_mut().zip(bytes).for_each(|(held, byte)| *held &= byte);
        self.file
            .write_all_at(&self.image[at..at + bytes.len()], (CHIP_LEN + at) as u64)
            .map_err(|_| NorFlashErrorKind::Other)
    }
}
