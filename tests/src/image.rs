//! A board's image, read from the ELF file that the linker wrote (ELF-32, System V ABI).

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::appliance::target_dir;

const LOAD: u32 = 1;
const SYMBOLS: u32 = 2;
const FUNCTION: u8 = 2;
const SYMBOL_LEN: usize = 16;

/// An image.
pub struct Image(Vec<u8>);

/// Where an image of the micro:bit is, once `make images` has built it.
pub fn path(name: &str) -> PathBuf {
    target_dir().join("firmware/microbit/thumbv6m-none-eabi/release").join(name)
}

impl Image {
    /// Reads a file.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(path: &Path) -> Image {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}: make images", path.display()));
        assert!(bytes.starts_with(b"\x7fELF\x01\x01"), "{} is no ELF-32 file", path.display());
        Image(bytes)
    }

    /// SHA-256 of what lies in flash, in hex: what the token tells about itself.
    pub fn sha256(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.flash()))
    }

    /// What lies in flash, from its first byte.
    fn flash(&self) -> Vec<u8> {
        let mut flash = Vec::new();
        let (table, size, count) = (self.word(28), self.half(42), self.half(44));
        for header in (0..count).map(|n| table + n * size) {
            let (from, to, len) = (self.word(header + 4), self.word(header + 12), self.word(header + 16));
            if self.word(header) == LOAD as usize && len > 0 {
                flash.resize(flash.len().max(to + len), 0);
                flash[to..to + len].copy_from_slice(&self.0[from..from + len]);
            }
        }
        flash
    }

    /// The address of the symbol with the shortest name that contains `part`.
    ///
    /// # Panics
    /// When there is none.
    pub fn symbol(&self, part: &str) -> u32 {
        let (table, size, count) = (self.word(32), self.half(46), self.half(48));
        let mut sections = (0..count).map(|n| table + n * size);
        let symbols = sections.find(|&s| self.word(s + 4) == SYMBOLS as usize).expect("symbols");
        let names = self.word(table + self.word(symbols + 24) * size + 16);
        let (from, len) = (self.word(symbols + 16), self.word(symbols + 20));
        let found = (from..from + len).step_by(SYMBOL_LEN).filter_map(|symbol| {
            let name = self.0[names + self.word(symbol)..].split(|&byte| byte == 0).next()?;
            let name = std::str::from_utf8(name).ok()?;
            // The lowest bit of a function's address says that it is Thumb code.
            let is_function = self.0[symbol + 12] & 0xf == FUNCTION;
            let address = self.word(symbol + 4) & !usize::from(is_function);
            name.contains(part).then_some((name.len(), address))
        });
        let (_, address) = found.min().unwrap_or_else(|| panic!("no symbol has {part} in its name"));
        u32::try_from(address).expect("a word")
    }

    fn word(&self, at: usize) -> usize {
        let bytes = self.0[at..at + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_le_bytes(bytes)).expect("as wide")
    }

    fn half(&self, at: usize) -> usize {
        usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]))
    }
}
