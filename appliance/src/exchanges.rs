//! Provisioning exchanges under way, between the grant and the device's proof.

use std::collections::HashMap;
use std::time::Instant;

use hsm::{EXCHANGE_LIFE, EXCHANGES_MAX};
use link::transcript::Exchange;
use parking_lot::Mutex;

use crate::store::device::DeviceRow;
use crate::store::token::TokenRow;

/// Exchanges between grant and confirmation: as many and as long as the HSM keeps its half of them, and the oldest is given
/// up for a new one. They are lost with the process, and so are the HSM's: the device's
/// pending secret is then aborted.
#[derive(Default)]
pub struct Exchanges(Mutex<HashMap<u64, Open>>);

/// An exchange under way.
pub struct Open {
    /// When it began.
    pub begun: Instant,
    /// What both sides have said.
    pub exchange: Exchange,
    /// The HSM's half of the key agreement, and the policy as it went out.
    pub grant: ([u8; 65], [u8; link::POLICY_LEN]),
    /// The secret as it went out.
    pub wrapped: Vec<u8>,
    /// The token that it will be.
    pub token: TokenRow,
    /// The device that will hold it.
    pub device: DeviceRow,
}

impl Exchanges {
    /// Keeps one; the oldest makes room.
    pub fn insert(&self, id: u64, open: Open) {
        let mut exchanges = self.0.lock();
        exchanges.retain(|_, open| open.begun.elapsed() < EXCHANGE_LIFE);
        if exchanges.len() >= EXCHANGES_MAX {
            let oldest = exchanges.iter().min_by_key(|(_, open)| open.begun).map(|(id, _)| *id);
            oldest.map(|id| exchanges.remove(&id));
        }
        exchanges.insert(id, open);
    }

    /// Takes one out, unless its time is over.
    pub fn take(&self, id: u64) -> Option<Open> {
        self.0.lock().remove(&id).filter(|open| open.begun.elapsed() < EXCHANGE_LIFE)
    }
}
