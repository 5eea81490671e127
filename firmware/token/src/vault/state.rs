//! What a snapshot holds. Secrets in it are wrapped; the snapshot's MAC binds the rest.

use heapless::Vec;
use link::{KeyId, Life, Octets, POLICY_LEN, Point, SLOTS_MAX, Serial, Signature, Tag, WRAPPED_MAX};
use serde::{Deserialize, Serialize};

use super::bank::StorageFault;

use crate::clock::Setting;

/// A secret wrapped under the data key, zero-padded as it came.
pub(super) type Sealed = Vec<u8, WRAPPED_MAX>;

/// 32 bytes wrapped.
pub(super) type SealedKey = Octets<40>;

/// The whole state, without what the log adds to it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct State {
    pub(super) life: Life,
    pub(super) identity: Option<Identity>,
    /// Q_H, pinned.
    pub(super) owner: Option<Point>,
    /// Installed secrets ever.
    pub(super) counter: u32,
    /// Counter and `tag_S` of the last commit, which is answered again.
    pub(super) committed: Option<(u32, Tag)>,
    pub(super) slots: [Option<Slot>; SLOTS_MAX],
    pub(super) pending: Option<Pending>,
    pub(super) lock: PinLock,
    pub(super) clock: Option<Setting>,
}

impl State {
    /// Reads what `Serialize` wrote: postcard puts fields one after the other. Field by field, because a whole
    /// second state would not fit on the stack.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), StorageFault> {
        let rest = &mut bytes;
        take(rest, &mut self.life)?;
        take(rest, &mut self.identity)?;
        take(rest, &mut self.owner)?;
        take(rest, &mut self.counter)?;
        take(rest, &mut self.committed)?;
        self.slots.iter_mut().try_for_each(|slot| take(rest, slot))?;
        take(rest, &mut self.pending)?;
        take(rest, &mut self.lock)?;
        take(rest, &mut self.clock)
    }
}

#[inline(never)]
fn take<'a, T: Deserialize<'a>>(rest: &mut &'a [u8], field: &mut T) -> Result<(), StorageFault> {
    let (value, after) = postcard::take_from_bytes(rest).map_err(|_| StorageFault)?;
    *field = value;
    *rest = after;
    Ok(())
}

/// Who the token is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) serial: Serial,
    /// d_A under the identity key.
    pub(super) secret: SealedKey,
    /// Q_A.
    pub(super) key: Point,
    pub(super) certificate: Option<Certificate>,
}

/// The maker certificate without what [`Identity`] holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Certificate {
    pub(super) maker: KeyId,
    pub(super) issued: u32,
    pub(super) expires: u32,
    pub(super) signature: Signature,
}

/// An active secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) policy: Octets<POLICY_LEN>,
    pub(super) secret: Sealed,
    /// The next HOTP counter.
    pub(super) next: u64,
}

/// A secret that waits for its commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) slot: u8,
    pub(super) counter: u32,
    pub(super) policy: Octets<POLICY_LEN>,
    pub(super) secret: Sealed,
    /// `tag_S`, which the commit must show.
    pub(super) tag: Tag,
    pub(super) owner: Point,
    /// The clock as the grant sets it.
    pub(super) clock: Option<Setting>,
}

/// The data key behind the PIN.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PinLock {
    pub(super) pin_set: bool,
    pub(super) salt: Octets<16>,
    /// The data key under device key and PIN.
    pub(super) data_key: SealedKey,
    /// PINs tried since the last right one.
    pub(super) failures: u8,
}
