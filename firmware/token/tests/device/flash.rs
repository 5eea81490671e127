//! NOR flash whose power goes at a chosen operation.
//!
//! The operation at the cut is torn: its bits are anywhere between before and after, all or none included, and,
//! until the place is erased or written again, they read differently after each start. Writing a unit twice without an erasure
//! is a fault of the program, unless the first write was torn.

use std::vec;
use std::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// The power is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PowerCut;

impl NorFlashError for PowerCut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// How much of the cut operation happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tear {
    Nothing,
    Everything,
    /// After each start another part of its bits, or none, or all.
    Some,
}

pub(crate) const TEARS: [Tear; 3] = [Tear::Nothing, Tear::Everything, Tear::Some];

pub(crate) const PAGE: usize = 1024;

#[derive(Clone)]
struct Torn {
    at: usize,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Torn {
    /// What is still torn around a place that was written or erased.
    fn without(self, from: usize, to: usize) -> impl Iterator<Item = Self> {
        let len = self.after.len();
        let (left, right) = (from.saturating_sub(self.at).min(len), to.saturating_sub(self.at).min(len));
        let ranges = [0..left, right.max(left)..len].into_iter().filter(|range| !range.is_empty());
        ranges.map(move |range| Self {
            at: self.at + range.start,
            before: self.before[range.clone()].to_vec(),
            after: self.after[range].to_vec(),
        })
    }
}

#[derive(Clone)]
pub(crate) struct Flash {
    bytes: Vec<u8>,
    torn: Vec<Torn>,
    /// Writes and erasures so far.
    pub(crate) operations: u64,
    pub(crate) erasures: Vec<u32>,
    cut: Option<(u64, Tear)>,
    dead: bool,
    noise: u64,
}

impl Flash {
    /// As from the fab.
    pub(crate) fn blank(pages: usize) -> Self {
        Self {
            bytes: vec![0xff; pages * PAGE],
            torn: Vec::new(),
            operations: 0,
            erasures: vec![0; pages],
            cut: None,
            dead: false,
            noise: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Cuts the power at the operation that brings the count to `operation`.
    pub(crate) fn cut_at(&mut self, operation: u64, tear: Tear, seed: u64) {
        self.cut = Some((operation, tear));
        self.noise ^= (seed + 1).wrapping_mul(0xd134_2543_de82_ef95);
    }

    /// Power again; what was torn reads as it likes.
    pub(crate) fn power_on(&mut self) {
        self.dead = false;
        self.cut = None;
        for torn in self.torn.clone() {
            let how = self.random() % 4;
            for (at, (before, after)) in torn.before.iter().zip(&torn.after).enumerate() {
                let mask = match how {
                    0 => 0x00,
                    1 => 0xff,
                    _ => self.random(),
                };
                self.bytes[torn.at + at] = (before & mask) | (after & !mask);
            }
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(crate) fn image(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn contains(&self, needle: &[u8]) -> bool {
        self.bytes.windows(needle.len()).any(|window| window[0] == needle[0] && window == needle)
    }

    /// Changes one bit, as somebody with a probe would.
    pub(crate) fn flip(&mut self, at: usize) {
        self.bytes[at] ^= 1;
    }

    fn random(&mut self) -> u8 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        (self.noise >> 32) as u8
    }

    fn change(&mut self, at: usize, after: Vec<u8>) -> Result<(), PowerCut> {
        if self.dead {
            return Err(PowerCut);
        }
        self.operations += 1;
        let end = at + after.len();
        let before = self.bytes[at..end].to_vec();
        let tear = self.cut.filter(|&(operation, _)| operation == self.operations).map(|(_, tear)| tear);
        self.dead = tear.is_some();
        if tear != Some(Tear::Nothing) {
            self.torn = self.torn.drain(..).flat_map(|torn| torn.without(at, end)).collect();
        }
        match tear {
            Some(Tear::Nothing) => {}
            Some(Tear::Some) => self.torn.push(Torn { at, before, after }),
            Some(Tear::Everything) | None => self.bytes[at..end].copy_from_slice(&after),
        }
        if self.dead { Err(PowerCut) } else { Ok(()) }
    }
}

impl ErrorType for Flash {
    type Error = PowerCut;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
        if self.dead {
            return Err(PowerCut);
        }
        let at = offset as usize;
        bytes.copy_from_slice(&self.bytes[at..at + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
        assert!((from as usize).is_multiple_of(PAGE) && (to as usize).is_multiple_of(PAGE));
        for page in from as usize / PAGE..to as usize / PAGE {
            self.erasures[page] += u32::from(!self.dead);
            self.change(page * PAGE, vec![0xff; PAGE])?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        let at = offset as usize;
        assert!(at.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        let held = &self.bytes[at..at + bytes.len()];
        let was_torn =
            self.torn.iter().any(|torn| torn.at < at + bytes.len() && at < torn.at + torn.after.len());
        assert!(self.dead || was_torn || held.iter().all(|&byte| byte == 0xff), "written twice at {at:#x}");
        let after = held.iter().zip(bytes).map(|(held, byte)| held & byte).collect();
        self.change(at, after)
    }
}
