//! Two banks of flash, each a snapshot with a log behind it, so that every step leaves either what was there or
//! what was asked for, wherever the power goes.
//!
//! The other bank is erased and written, then the old one is marked as retired, then erased. A snapshot whose
//! last unit was cut may read well today and badly tomorrow; it is therefore trusted only when the mark, written
//! after it, is whole, or when it is alone. A mark that was cut may read well or badly at each start too, so none
//! is acted on before it is made firm: a start that believes it writes another one whole, and one that does not
//! makes it unreadable for good, before either erases what the other would keep. A mark names its one successor, so
//! that it never speaks for another. Until the old bank is gone nothing is appended to the new one, so
//! either may be chosen. Log records carry a MAC of their place; a torn one counts for nothing, because what it
//! announces had not happened yet. The whole log is read: a torn record that reads blank does not end it.
//!
//! What the bytes mean is not known here.

use embedded_storage::nor_flash::NorFlash;
use heapless::Vec;
use subtle::ConstantTimeEq as _;

use crate::crypto::{self, Key};

/// The longest body of a snapshot.
pub(super) const BODY_MAX: usize = 1_440;

/// Everything is written in units of 16 bytes, a multiple of each supported flash's write size.
const UNIT: usize = 16;

const MAGIC: [u8; 4] = *b"CSt1";
const HEADER_LEN: usize = UNIT;
const TAG_LEN: usize = UNIT;
const SNAPSHOT_MAX: usize = HEADER_LEN + BODY_MAX + TAG_LEN;

/// Where a bank is marked as retired, one place after the other: each cut in a row at a mark spends one.
const RETIRE_UNITS: usize = 8;

/// Makes each snapshot the only one of its kind, even with the same content.
const NONCE_LEN: usize = 6;

const RECORD_BODY: usize = 12;
const RECORD_TAG: usize = 4;

const BLANK: [u8; UNIT] = [0xff; UNIT];

/// A mark's place that was written over: every flash takes zeros a second time.
const SPENT: [u8; UNIT] = [0; UNIT];

/// The flash failed, or is too small, or lost its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StorageFault;

/// What a log record says, in 12 bytes.
pub(super) type RecordBody = [u8; RECORD_BODY];

/// A snapshot's bytes.
pub(super) type Body = Vec<u8, BODY_MAX>;

/// A snapshot as read, without its body: that is the largest thing on the stack, and there is one at a time.
struct Snapshot {
    generation: u32,
    tag: [u8; TAG_LEN],
}

#[derive(Debug, Clone, Copy)]
struct Layout {
    page: u32,
    bank: u32,
    snapshot: u32,
}

impl Layout {
    fn of<F: NorFlash>(flash: &F) -> Result<Self, StorageFault> {
        let page = F::ERASE_SIZE as u32;
        let bank = flash.capacity() as u32 / 2 / page * page;
        let snapshot = ((SNAPSHOT_MAX + RETIRE_UNITS * UNIT) as u32).next_multiple_of(page);
        let fits = UNIT.is_multiple_of(F::WRITE_SIZE) && UNIT.is_multiple_of(F::READ_SIZE) && snapshot < bank;
        if fits { Ok(Self { page, bank, snapshot }) } else { Err(StorageFault) }
    }

    const fn start(&self, bank: u32) -> u32 {
        bank * self.bank
    }

    const fn retire(&self, bank: u32, unit: usize) -> u32 {
        self.start(bank) + self.snapshot - ((unit + 1) * UNIT) as u32
    }

    const fn record(&self, bank: u32, index: u32) -> u32 {
        self.start(bank) + self.snapshot + index * UNIT as u32
    }

    const fn records(&self) -> u32 {
        (self.bank - self.snapshot) / UNIT as u32
    }
}

/// The banks, and which one holds.
#[derive(Debug)]
pub(super) struct Store {
    layout: Layout,
    key: Key,
    /// For the next snapshot's nonce.
    seed: Key,
    bank: u32,
    generation: u32,
    /// Where the next record goes.
    log_end: u32,
    /// The other bank was erased since start, to the end. One that merely reads blank may have been cut.
    spare_erased: bool,
}

impl Store {
    /// Finds the state that holds, and removes what an interrupted step left of another. `true`: there is one.
    /// Without any, both banks are erased. `body` is a buffer. `random` must not have been given before.
    #[inline(never)]
    pub(super) fn open<F: NorFlash>(
        flash: &mut F,
        key: Key,
        random: &[u8],
        body: &mut Body,
    ) -> Result<(Self, bool), StorageFault> {
        let layout = Layout::of(flash)?;
        let seed = crypto::hmac(&key, &[b"seed", random]);
        let mut store = Self { layout, key, seed, bank: 0, generation: 0, log_end: 0, spare_erased: false };
        let first = store.read_snapshot(flash, 0, body)?.map(|found| (found.generation, found.tag));
        let second = store.read_snapshot(flash, 1, body)?.map(|found| (found.generation, found.tag));
        let chosen = match (first, second) {
            (None, None) => None,
            (Some(_), None) => Some(0),
            (None, Some(_)) => Some(1),
            (Some(first), Some(second)) => {
                let (older, newer, tag) = if first.0 < second.0 { (0, 1, second.1) } else { (1, 0, first.1) };
                if store.is_retired(flash, older, &tag)? {
                    store.retire(flash, older, &tag)?;
                    Some(newer)
                } else {
                    store.keep(flash, older)?;
                    Some(older)
                }
            }
        };
        let Some(bank) = chosen else {
            store.erase(flash, 0)?;
            store.erase(flash, 1)?;
            store.bank = 1;
            store.spare_erased = true;
            return Ok((store, false));
        };
        store.bank = bank;
        let Snapshot { generation, .. } = store.read_snapshot(flash, bank, body)?.ok_or(StorageFault)?;
        store.generation = generation;
        if !store.is_blank(flash, 1 - bank)? {
            store.erase(flash, 1 - bank)?;
            store.spare_erased = true;
        }
        Ok((store, true))
    }

    /// The snapshot that holds.
    pub(super) fn read<F: NorFlash>(&self, flash: &mut F, body: &mut Body) -> Result<(), StorageFault> {
        self.read_snapshot(flash, self.bank, body)?.map(|_| ()).ok_or(StorageFault)
    }

    /// How many snapshots were ever written.
    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }

    /// Hands over every valid record of the log, oldest first, and finds its end.
    pub(super) fn replay<F: NorFlash>(
        &mut self,
        flash: &mut F,
        mut each: impl FnMut(RecordBody),
    ) -> Result<(), StorageFault> {
        self.log_end = 0;
        for index in 0..self.layout.records() {
            let unit = read_unit(flash, self.layout.record(self.bank, index))?;
            if unit == BLANK {
                continue;
            }
            self.log_end = index + 1;
            let mut body = [0; RECORD_BODY];
            body.copy_from_slice(&unit[..RECORD_BODY]);
            if bool::from(self.record_tag(index, &body).ct_eq(&unit[RECORD_BODY..])) {
                each(body);
            }
        }
        Ok(())
    }

    /// Appends a record and reads it back. `false`: the log is full, write a snapshot.
    pub(super) fn append<F: NorFlash>(
        &mut self,
        flash: &mut F,
        body: &RecordBody,
    ) -> Result<bool, StorageFault> {
        if self.log_end >= self.layout.records() {
            return Ok(false);
        }
        let mut unit = [0; UNIT];
        unit[..RECORD_BODY].copy_from_slice(body);
        unit[RECORD_BODY..].copy_from_slice(&self.record_tag(self.log_end, body));
        let at = self.layout.record(self.bank, self.log_end);
        self.log_end += 1;
        write_unit(flash, at, &unit)?;
        Ok(true)
    }

    /// Replaces snapshot and log by `body`, and reads it back there. When this returns, nothing of the former is in
    /// the flash.
    #[inline(never)]
    pub(super) fn replace<F: NorFlash>(
        &mut self,
        flash: &mut F,
        body: &mut Body,
    ) -> Result<(), StorageFault> {
        let (old, new) = (self.bank, 1 - self.bank);
        if !self.spare_erased {
            self.erase(flash, new)?;
        }
        self.spare_erased = false;
        self.write_snapshot(flash, new, self.generation.checked_add(1).ok_or(StorageFault)?, body)?;
        let Snapshot { generation, tag, .. } = self.read_snapshot(flash, new, body)?.ok_or(StorageFault)?;
        self.retire(flash, old, &tag)?;
        self.bank = new;
        self.generation = generation;
        self.log_end = 0;
        self.erase(flash, old)?;
        self.spare_erased = true;
        Ok(())
    }

    fn write_snapshot<F: NorFlash>(
        &mut self,
        flash: &mut F,
        bank: u32,
        generation: u32,
        body: &Body,
    ) -> Result<(), StorageFault> {
        let start = self.layout.start(bank);
        self.seed = crypto::hmac(&self.key, &[b"seed", &self.seed[..]]);
        let header = header(generation, body.len(), core::array::from_fn(|i| self.seed[i]));
        let mut at = start;
        write_unit(flash, at, &header)?;
        for chunk in body.chunks(UNIT) {
            let mut unit = [0; UNIT];
            unit[..chunk.len()].copy_from_slice(chunk);
            at += UNIT as u32;
            write_unit(flash, at, &unit)?;
        }
        write_unit(flash, at + UNIT as u32, &self.snapshot_tag(&header, body))
    }

    /// The bank's snapshot, if it is whole; its body in `body`.
    #[inline(never)]
    fn read_snapshot<F: NorFlash>(
        &self,
        flash: &mut F,
        bank: u32,
        body: &mut Body,
    ) -> Result<Option<Snapshot>, StorageFault> {
        let start = self.layout.start(bank);
        let found = read_unit(flash, start)?;
        let generation = u32::from_be_bytes([found[4], found[5], found[6], found[7]]);
        let len = usize::from(u16::from_be_bytes([found[8], found[9]]));
        let nonce = core::array::from_fn(|i| found[10 + i]);
        if len > BODY_MAX || found != header(generation, len, nonce) {
            return Ok(None);
        }
        body.clear();
        let padded = len.next_multiple_of(UNIT);
        body.resize(padded, 0).map_err(|_| StorageFault)?;
        flash.read(start + HEADER_LEN as u32, body).map_err(|_| StorageFault)?;
        body.truncate(len);
        let tag = read_unit(flash, start + (HEADER_LEN + padded) as u32)?;
        let whole = bool::from(self.snapshot_tag(&found, body).ct_eq(&tag));
        Ok(whole.then_some(Snapshot { generation, tag }))
    }

    /// Whether `bank` was retired in favour of the snapshot with `tag`.
    fn is_retired<F: NorFlash>(
        &self,
        flash: &mut F,
        bank: u32,
        tag: &[u8; TAG_LEN],
    ) -> Result<bool, StorageFault> {
        let mark = self.retire_mark(tag);
        for unit in 0..RETIRE_UNITS {
            if read_unit(flash, self.layout.retire(bank, unit))? == mark {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Marks `bank` in the first place that takes a mark, whatever earlier marks say. Goes without where cuts have
    /// spent every place: what is lost if the power then goes in the erasure is less than a token that stops here.
    fn retire<F: NorFlash>(&self, flash: &mut F, bank: u32, tag: &[u8; TAG_LEN]) -> Result<(), StorageFault> {
        let mark = self.retire_mark(tag);
        let mut result = Ok(());
        for unit in 0..RETIRE_UNITS {
            let at = self.layout.retire(bank, unit);
            if read_unit(flash, at)? == BLANK {
                result = write_unit(flash, at, &mark);
                if result.is_ok() {
                    break;
                }
            }
        }
        result
    }

    /// Makes every mark of `bank` that was cut unreadable, the one included that reads blank: marks are written in
    /// turn, so it can only be the first that does.
    fn keep<F: NorFlash>(&self, flash: &mut F, bank: u32) -> Result<(), StorageFault> {
        for unit in 0..RETIRE_UNITS {
            let at = self.layout.retire(bank, unit);
            let found = read_unit(flash, at)?;
            if found != SPENT {
                flash.write(at, &SPENT).map_err(|_| StorageFault)?;
            }
            if found == BLANK {
                break;
            }
        }
        Ok(())
    }

    fn is_blank<F: NorFlash>(&self, flash: &mut F, bank: u32) -> Result<bool, StorageFault> {
        for at in (0..self.layout.bank).step_by(UNIT) {
            if read_unit(flash, self.layout.start(bank) + at)? != BLANK {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn erase<F: NorFlash>(&self, flash: &mut F, bank: u32) -> Result<(), StorageFault> {
        let start = self.layout.start(bank);
        for page in (start..start + self.layout.bank).step_by(self.layout.page as usize) {
            flash.erase(page, page + self.layout.page).map_err(|_| StorageFault)?;
        }
        Ok(())
    }

    fn snapshot_tag(&self, header: &[u8; UNIT], body: &[u8]) -> [u8; TAG_LEN] {
        let mac = crypto::hmac(&self.key, &[b"snapshot", header, body]);
        core::array::from_fn(|i| mac[i])
    }

    fn retire_mark(&self, tag: &[u8; TAG_LEN]) -> [u8; UNIT] {
        let mac = crypto::hmac(&self.key, &[b"retired for", tag]);
        core::array::from_fn(|i| mac[i])
    }

    fn record_tag(&self, index: u32, body: &RecordBody) -> [u8; RECORD_TAG] {
        let mac =
            crypto::hmac(&self.key, &[b"record", &self.generation.to_be_bytes(), &index.to_be_bytes(), body]);
        core::array::from_fn(|i| mac[i])
    }
}

fn header(generation: u32, len: usize, nonce: [u8; NONCE_LEN]) -> [u8; UNIT] {
    let mut header = [0; UNIT];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&generation.to_be_bytes());
    header[8..10].copy_from_slice(&(len as u16).to_be_bytes());
    header[10..].copy_from_slice(&nonce);
    header
}

fn read_unit<F: NorFlash>(flash: &mut F, at: u32) -> Result<[u8; UNIT], StorageFault> {
    let mut unit = [0; UNIT];
    flash.read(at, &mut unit).map_err(|_| StorageFault)?;
    Ok(unit)
}

/// Writes a unit and reads it back: a worn cell must not look like a kept promise.
fn write_unit<F: NorFlash>(flash: &mut F, at: u32, unit: &[u8; UNIT]) -> Result<(), StorageFault> {
    flash.write(at, unit).map_err(|_| StorageFault)?;
    if read_unit(flash, at)? == *unit { Ok(()) } else { Err(StorageFault) }
}
