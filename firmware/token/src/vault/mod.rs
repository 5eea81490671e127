//! The token's memory: identity, owner, slots, counters, PIN. Each call is on flash before it returns, and a cut
//! inside it leaves what was there or what was asked for.
//!
//! Secrets rest wrapped under a random data key (AES-256, RFC 3394), the data key under one from device key and
//! PIN. Snapshots and log carry MACs under the device key, so flash written from outside is not taken for ours;
//! a whole older copy written back by somebody with the chip in hand cannot be told, which read-out protection
//! has to prevent.
//!
//! Why not a crate for key-value pairs in flash: a HOTP counter that goes back after a cut makes a used code valid
//! again, and an erased secret must be gone from the flash, not only from sight. `sequential-storage` 8.0.2 leaves
//! deleted values in place until their page is needed, and can lose an acknowledged item after a torn header (its
//! issue 136, open when this was written). `ekv` 1.0 erases a page for each transaction, which a counter that moves
//! with every code would wear out. So there are two banks here, each a snapshot with a log of fixed records:
//! `bank` says what holds at which moment, and the tests cut the power at every operation, in pairs and in threes.

mod bank;
mod state;
#[cfg(test)]
mod tests;

use embedded_storage::nor_flash::NorFlash;
use link::{
    Commit, Kind, Life, MakerCertificate, Octets, Point, Policy, Refusal, SECRET_MAX, SLOTS_MAX, Serial,
    SlotState, Tag,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::clock::Setting;
use crate::crypto::{self, Key, WRAP_OVERHEAD};
use crate::life::{self, Step};
pub(crate) use bank::StorageFault;
use bank::{Body, RecordBody, Store};
use state::{Certificate, Identity, Pending, PinLock, Sealed, SealedKey, Slot, State};

/// The wrong PINs after which secrets are erased.
pub(crate) const PIN_TRIES: u8 = 8;

/// About a second on the slowest board. What protects a short PIN is the count of tries and read-out protection.
const PIN_ITERATIONS: u32 = 1_000;

const RECORD_COUNTER: u8 = 1;
const RECORD_PIN_TRIED: u8 = 2;
const RECORD_PIN_RIGHT: u8 = 3;

impl From<StorageFault> for Refusal {
    fn from(StorageFault: StorageFault) -> Self {
        Self::Storage
    }
}

/// Random bytes for a new data key, and to tell starts apart.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(crate) struct Fresh {
    /// The data key.
    pub(crate) key: [u8; 32],
    /// The PIN's salt.
    pub(crate) salt: [u8; 16],
}

/// A secret out of its wrapping.
pub(crate) struct Secret {
    padded: Zeroizing<[u8; SECRET_MAX]>,
    /// Without its padding.
    len: usize,
}

impl Secret {
    /// The bytes that go under the HMAC.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.padded[..self.len]
    }
}

/// What an exchange leaves to be kept until its commit.
pub(crate) struct Installed<'a> {
    pub(crate) slot: u8,
    pub(crate) counter: u32,
    pub(crate) policy: &'a Policy,
    /// With its zero padding.
    pub(crate) padded: &'a [u8],
    pub(crate) tag: Tag,
    pub(crate) owner: Point,
    pub(crate) clock: Option<Setting>,
}

/// What a PIN was worth.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PinVerdict {
    Right,
    Wrong,
    /// It was the last try: the secrets are gone.
    Wiped,
}

/// The token's memory.
pub(crate) struct Vault {
    store: Store,
    state: State,
    device_key: Key,
    /// The data key, while unlocked.
    data_key: Option<Key>,
    /// A step failed midway: RAM and flash may differ until the next start.
    faulty: bool,
}

impl Vault {
    /// Reads the state into `place`, finishes what was interrupted, and begins a new one on blank flash.
    ///
    /// # Errors
    /// [`StorageFault`]; what is then in `place` is not to be used.
    #[inline(never)]
    pub(crate) fn open<F: NorFlash>(
        place: &mut Option<Self>,
        flash: &mut F,
        device_key: [u8; 32],
        fresh: &Fresh,
    ) -> Result<(), StorageFault> {
        let device_key = Zeroizing::new(device_key);
        let (store, found) = open_store(flash, &device_key, &fresh.salt)?;
        Self::put(place, store, device_key).begin(flash, fresh, found)
    }

    // Apart from its caller: the copy that it moves into its place is off the stack before the state is read.
    #[inline(never)]
    fn put(place: &mut Option<Self>, store: Store, device_key: Key) -> &mut Self {
        place.insert(Self { store, state: factory_state(), device_key, data_key: None, faulty: false })
    }

    #[inline(never)]
    fn begin<F: NorFlash>(&mut self, flash: &mut F, fresh: &Fresh, found: bool) -> Result<(), StorageFault> {
        if found {
            self.read(flash)?;
        } else {
            self.rekey(fresh);
            self.save(flash)?;
        }
        self.replay(flash)?;
        if self.state.lock.failures >= PIN_TRIES {
            self.erase_secrets(flash, fresh)?;
        }
        if !self.state.lock.pin_set {
            self.data_key = self.unwrap_data_key(&[]);
        }
        Ok(())
    }

    /// The state as flash has it, without its log.
    #[inline(never)]
    fn read<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), StorageFault> {
        let mut body = Body::new();
        self.store.read(flash, &mut body)?;
        self.state.read(&body)
    }

    pub(crate) fn life(&self) -> Life {
        self.state.life
    }

    pub(crate) fn serial(&self) -> Option<&Serial> {
        self.state.identity.as_ref().map(|identity| &identity.serial)
    }

    pub(crate) fn certificate(&self) -> Option<MakerCertificate> {
        let identity = self.state.identity.as_ref()?;
        let Certificate { maker, issued, expires, signature } = identity.certificate.clone()?;
        let Identity { serial, key, .. } = identity.clone();
        Some(MakerCertificate { maker, serial, key, issued, expires, signature })
    }

    pub(crate) fn owner(&self) -> Option<&Point> {
        self.state.owner.as_ref()
    }

    pub(crate) fn counter(&self) -> u32 {
        self.state.counter
    }

    pub(crate) fn pending(&self) -> Option<link::Pending> {
        self.state
            .pending
            .as_ref()
            .map(|pending| link::Pending { slot: pending.slot, counter: pending.counter })
    }

    pub(crate) fn slots(&self) -> [SlotState; SLOTS_MAX] {
        core::array::from_fn(|slot| match self.policy(slot).map(|policy| policy.kind) {
            None => SlotState::Empty,
            Some(Kind::Hotp) => SlotState::Hotp,
            Some(Kind::Totp) => SlotState::Totp,
            Some(Kind::Ocra) => SlotState::Ocra,
        })
    }

    pub(crate) fn clock(&self) -> Option<Setting> {
        self.state.clock
    }

    pub(crate) fn generation(&self) -> u32 {
        self.store.generation()
    }

    /// Whether secrets can be used now.
    pub(crate) fn is_unlocked(&self) -> bool {
        self.data_key.is_some()
    }

    pub(crate) fn has_pin(&self) -> bool {
        self.state.lock.pin_set
    }

    /// PINs tried since the last right one.
    pub(crate) fn pin_failures(&self) -> u8 {
        self.state.lock.failures
    }

    /// What the slot's secret is for; `None` if it is empty.
    pub(crate) fn policy(&self, slot: usize) -> Option<Policy> {
        let slot = self.state.slots.get(slot)?.as_ref()?;
        Policy::parse(&slot.policy.0).ok()
    }

    /// The slot's secret; `None` if it is empty or a PIN is missing.
    pub(crate) fn secret(&self, slot: usize) -> Option<Secret> {
        let len = usize::from(self.policy(slot)?.secret_len);
        let sealed = &self.state.slots.get(slot)?.as_ref()?.secret;
        let mut padded = Zeroizing::new([0; SECRET_MAX]);
        let out = padded.get_mut(..sealed.len().checked_sub(WRAP_OVERHEAD)?)?;
        crypto::unwrap(self.data_key.as_ref()?, sealed, out)?;
        Some(Secret { padded, len })
    }

    /// Spends the next HOTP counter of `slot`: on flash before it is given.
    ///
    /// # Errors
    /// [`Refusal::Slot`] if the slot is no HOTP slot or its counter is exhausted, [`Refusal::Storage`].
    pub(crate) fn burn<F: NorFlash>(&mut self, flash: &mut F, slot: usize) -> Result<u64, Refusal> {
        let is_hotp = self.policy(slot).is_some_and(|policy| policy.kind == Kind::Hotp);
        let held = self.state.slots.get_mut(slot).and_then(Option::as_mut).filter(|_| is_hotp);
        let held = held.ok_or(Refusal::Slot)?;
        let counter = held.next;
        held.next = counter.checked_add(1).ok_or(Refusal::Slot)?;
        let next = held.next;
        self.log(flash, RECORD_COUNTER, slot as u8, next)?;
        Ok(counter)
    }

    /// Takes a serial and an attestation key, in the factory.
    pub(crate) fn personalise<F: NorFlash>(
        &mut self,
        flash: &mut F,
        serial: Serial,
        secret: &Key,
        key: Point,
    ) -> Result<(), Refusal> {
        if self.state.life != Life::Factory {
            return Err(Refusal::Life);
        }
        let mut sealed = [0; 40];
        crypto::wrap(&self.identity_key(), &secret[..], &mut sealed).ok_or(Refusal::Storage)?;
        self.state.identity = Some(Identity { serial, secret: Octets(sealed), key, certificate: None });
        Ok(self.save(flash)?)
    }

    /// Keeps the maker's certificate for this serial and key.
    pub(crate) fn certify<F: NorFlash>(
        &mut self,
        flash: &mut F,
        certificate: MakerCertificate,
    ) -> Result<(), Refusal> {
        let life = life::after(self.state.life, Step::Certify)?;
        let MakerCertificate { maker, serial, key, issued, expires, signature } = certificate;
        let identity = self.state.identity.as_mut().ok_or(Refusal::Certificate)?;
        if identity.serial != serial || identity.key != key {
            return Err(Refusal::Certificate);
        }
        identity.certificate = Some(Certificate { maker, issued, expires, signature });
        self.state.life = life;
        Ok(self.save(flash)?)
    }

    /// The attestation key d_A; `None` before the factory made one.
    pub(crate) fn attestation_key(&self) -> Option<Key> {
        let sealed = self.state.identity.as_ref()?.secret;
        let mut key = Zeroizing::new([0; 32]);
        crypto::unwrap(&self.identity_key(), sealed.as_slice(), &mut key[..])?;
        Some(key)
    }

    /// Keeps a secret as pending and burns its provisioning counter, in one step.
    pub(crate) fn install<F: NorFlash>(
        &mut self,
        flash: &mut F,
        installed: &Installed<'_>,
    ) -> Result<(), Refusal> {
        let data_key = self.data_key.as_ref().ok_or(Refusal::Pin)?;
        let mut secret = Sealed::new();
        secret.resize(installed.padded.len() + WRAP_OVERHEAD, 0).map_err(|_| Refusal::Policy)?;
        crypto::wrap(data_key, installed.padded, &mut secret).ok_or(Refusal::Policy)?;
        self.state.pending = Some(Pending {
            slot: installed.slot,
            counter: installed.counter,
            policy: Octets(installed.policy.to_bytes()),
            secret,
            tag: installed.tag,
            owner: installed.owner,
            clock: installed.clock,
        });
        self.state.counter = installed.counter;
        Ok(self.save(flash)?)
    }

    /// Makes the pending secret the active one and erases the former; again the same answer for the last one.
    pub(crate) fn commit<F: NorFlash>(&mut self, flash: &mut F, commit: &Commit) -> Result<(), Refusal> {
        let same = |tag: &Tag| bool::from(tag.as_slice().ct_eq(commit.tag.as_slice()));
        let Some(pending) = self.state.pending.as_ref().filter(|pending| pending.counter == commit.counter)
        else {
            return match &self.state.committed {
                Some((counter, tag)) if *counter == commit.counter && same(tag) => Ok(()),
                _ => Err(Refusal::Counter),
            };
        };
        if !same(&pending.tag) {
            return Err(Refusal::Tag);
        }
        let life = life::after(self.state.life, Step::Provision)?;
        let policy = Policy::parse(&pending.policy.0).map_err(|_| Refusal::Policy)?;
        let Some(pending) = self.state.pending.take() else { return Err(Refusal::Counter) };
        let slot = self.state.slots.get_mut(usize::from(pending.slot)).ok_or(Refusal::Slot)?;
        *slot = Some(Slot { policy: pending.policy, secret: pending.secret, next: policy.counter0 });
        self.state.owner = Some(pending.owner);
        self.state.committed = Some((pending.counter, pending.tag));
        self.state.clock = pending.clock.or(self.state.clock);
        self.state.life = life;
        Ok(self.save(flash)?)
    }

    /// Erases the pending secret.
    pub(crate) fn abort<F: NorFlash>(&mut self, flash: &mut F, counter: u32) -> Result<(), Refusal> {
        match &self.state.pending {
            Some(pending) if pending.counter == counter => {
                self.state.pending = None;
                Ok(self.save(flash)?)
            }
            // Already aborted, or cut before it was installed; a committed secret is not given up this way.
            None if self.state.committed.as_ref().is_none_or(|(committed, _)| *committed != counter) => {
                Ok(())
            }
            _ => Err(Refusal::Counter),
        }
    }

    /// Closes the token for further secrets.
    pub(crate) fn lock<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Refusal> {
        self.state.life = life::after(self.state.life, Step::Lock)?;
        Ok(self.save(flash)?)
    }

    /// Erases secrets and PIN; the owner stays.
    pub(crate) fn give_back<F: NorFlash>(&mut self, flash: &mut F, fresh: &Fresh) -> Result<(), Refusal> {
        life::after(self.state.life, Step::Return)?;
        Ok(self.erase_secrets(flash, fresh)?)
    }

    /// Erases everything of the owner.
    pub(crate) fn wipe<F: NorFlash>(&mut self, flash: &mut F, fresh: &Fresh) -> Result<(), Refusal> {
        self.state.life = life::after(self.state.life, Step::Wipe)?;
        self.state.owner = None;
        self.state.committed = None;
        self.forget_secrets(fresh);
        Ok(self.save(flash)?)
    }

    /// Sets the clock.
    pub(crate) fn set_clock<F: NorFlash>(&mut self, flash: &mut F, setting: Setting) -> Result<(), Refusal> {
        self.state.clock = Some(setting);
        Ok(self.save(flash)?)
    }

    /// Tries a PIN. The try is on flash before the PIN is looked at.
    pub(crate) fn try_pin<F: NorFlash>(
        &mut self,
        flash: &mut F,
        pin: &[u8],
        fresh: &Fresh,
    ) -> Result<PinVerdict, Refusal> {
        self.state.lock.failures = self.state.lock.failures.saturating_add(1);
        self.log(flash, RECORD_PIN_TRIED, 0, 0)?;
        if let Some(key) = self.unwrap_data_key(pin) {
            self.state.lock.failures = 0;
            self.log(flash, RECORD_PIN_RIGHT, 0, 0)?;
            self.data_key = Some(key);
            return Ok(PinVerdict::Right);
        }
        if self.state.lock.failures < PIN_TRIES {
            return Ok(PinVerdict::Wrong);
        }
        self.erase_secrets(flash, fresh)?;
        Ok(PinVerdict::Wiped)
    }

    /// Sets a PIN, or removes it with an empty one. The token must be unlocked.
    pub(crate) fn set_pin<F: NorFlash>(
        &mut self,
        flash: &mut F,
        pin: &[u8],
        salt: [u8; 16],
    ) -> Result<(), Refusal> {
        let key = self.data_key.clone().ok_or(Refusal::Pin)?;
        self.seal_data_key(&key, pin, salt);
        Ok(self.save(flash)?)
    }

    /// Forgets the data key until the PIN is entered again; nothing without a PIN.
    pub(crate) fn relock(&mut self) {
        if self.state.lock.pin_set {
            self.data_key = None;
        }
    }

    #[inline(never)]
    fn erase_secrets<F: NorFlash>(&mut self, flash: &mut F, fresh: &Fresh) -> Result<(), StorageFault> {
        if let Ok(life) = life::after(self.state.life, Step::Return) {
            self.state.life = life;
        }
        self.forget_secrets(fresh);
        self.save(flash)
    }

    fn forget_secrets(&mut self, fresh: &Fresh) {
        self.state.slots = Default::default();
        self.state.pending = None;
        self.rekey(fresh);
    }

    /// A new data key without a PIN.
    #[inline(never)]
    fn rekey(&mut self, fresh: &Fresh) {
        let key = Zeroizing::new(fresh.key);
        self.seal_data_key(&key, &[], fresh.salt);
        self.data_key = Some(key);
    }

    fn seal_data_key(&mut self, key: &Key, pin: &[u8], salt: [u8; 16]) {
        let mut sealed = [0; 40];
        crypto::wrap(&self.pin_key(pin, &salt), &key[..], &mut sealed)
            .expect("40 bytes hold 32 wrapped ones");
        self.state.lock =
            PinLock { pin_set: !pin.is_empty(), salt: Octets(salt), data_key: Octets(sealed), failures: 0 };
    }

    fn unwrap_data_key(&self, pin: &[u8]) -> Option<Key> {
        let PinLock { salt, data_key, .. } = &self.state.lock;
        let mut key = Zeroizing::new([0; 32]);
        crypto::unwrap(&self.pin_key(pin, &salt.0), data_key.as_slice(), &mut key[..])?;
        Some(key)
    }

    /// The device key enters as the salt, so that no PIN can be tried elsewhere.
    fn pin_key(&self, pin: &[u8], salt: &[u8; 16]) -> Key {
        let salt = crypto::hmac(&self.device_key, &[b"countersign vault pin", salt]);
        crypto::stretch(pin, &salt, if pin.is_empty() { 1 } else { PIN_ITERATIONS })
    }

    fn identity_key(&self) -> Key {
        crypto::hmac(&self.device_key, &[b"countersign vault identity"])
    }

    /// Appends what changed, or writes it all anew when the log is full.
    fn log<F: NorFlash>(
        &mut self,
        flash: &mut F,
        kind: u8,
        slot: u8,
        value: u64,
    ) -> Result<(), StorageFault> {
        let mut record: RecordBody = [0; 12];
        record[..2].copy_from_slice(&[kind, slot]);
        record[4..].copy_from_slice(&value.to_be_bytes());
        if self.faulty {
            return Err(StorageFault);
        }
        match self.store.append(flash, &record) {
            Ok(true) => Ok(()),
            Ok(false) => self.save(flash),
            Err(fault) => {
                self.faulty = true;
                Err(fault)
            }
        }
    }

    #[inline(never)]
    fn save<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), StorageFault> {
        if core::mem::replace(&mut self.faulty, true) {
            return Err(StorageFault);
        }
        let mut body = Body::new();
        body.resize(bank::BODY_MAX, 0).map_err(|_| StorageFault)?;
        let len = postcard::to_slice(&self.state, &mut body).map_err(|_| StorageFault)?.len();
        body.truncate(len);
        self.store.replace(flash, &mut body)?;
        self.faulty = false;
        Ok(())
    }

    #[inline(never)]
    fn replay<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), StorageFault> {
        let Self { store, state, .. } = self;
        store.replay(flash, |record| {
            let value = record[4..].iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
            match record[0] {
                RECORD_COUNTER => {
                    if let Some(Some(slot)) = state.slots.get_mut(usize::from(record[1])) {
                        slot.next = slot.next.max(value);
                    }
                }
                RECORD_PIN_TRIED => state.lock.failures = state.lock.failures.saturating_add(1),
                RECORD_PIN_RIGHT => state.lock.failures = 0,
                _ => {}
            }
        })
    }
}

// Apart from its caller: the buffer goes before the state is there.
#[inline(never)]
fn open_store<F: NorFlash>(
    flash: &mut F,
    device_key: &Key,
    random: &[u8],
) -> Result<(Store, bool), StorageFault> {
    let mut body = Body::new();
    let key = crypto::hmac(device_key, &[b"countersign vault mac"]);
    Store::open(flash, key, random, &mut body)
}

/// A token that no factory has seen.
#[inline(never)]
fn factory_state() -> State {
    State {
        life: Life::Factory,
        identity: None,
        owner: None,
        counter: 0,
        committed: None,
        slots: Default::default(),
        pending: None,
        lock: PinLock {
            pin_set: false,
            salt: Octets([0; 16]),
            data_key: SealedKey::from([0; 40]),
            failures: 0,
        },
        clock: None,
    }
}
