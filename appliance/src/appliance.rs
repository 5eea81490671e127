//! What the flows work with: the store, the HSM, the clock and the locks between concurrent requests.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::event::{Actor, Event};
use domain::token::Id;
use hsm::{Enrol, Hsm, HsmError, SecretSource};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::bell::Bell;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::FlowError;
use crate::exchanges::Exchanges;
use crate::flows::notices::Budget;
use crate::refusals::Refusals;
use crate::rows::Checked;
use crate::store::{Store, StoreError, event, meta};

/// Stripes of the lock that orders requests about one user.
const STRIPES: usize = 1024;
/// Longest wait for another request about the same user.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long a changed row that is looked at again and again is no new event, in milliseconds.
const NOTED_MS: u64 = 24 * 3_600_000;
/// Such rows that are remembered; a further one is an event each time.
const NOTED_MAX: usize = 1024;
/// Length of the decoy's secret, in bytes.
const DECOY_LEN: usize = 32;
const DECOY_BINDING: &[u8] = b"countersign decoy";

/// A running appliance under one configuration: an act sees the same one from its beginning to its end.
pub struct Appliance {
    /// The checked configuration.
    pub config: Config,
    parts: Arc<Parts>,
}

impl Deref for Appliance {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// What stays when another configuration takes effect.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The HSM's child process.
    pub hsm: Hsm,
    /// The system's clocks.
    pub clock: Clock,
    /// Wakes the modems.
    pub bell: Bell,
    /// Wakes the post, which carries push messages.
    pub post: Bell,
    /// Wakes who waits for a registration or a push.
    pub news: Notify,
    /// Refusals of strangers that were written of late.
    pub(crate) refusals: Refusals,
    /// Notices that users were sent of late.
    pub(crate) notices: Budget,
    /// Provisioning exchanges under way.
    pub exchanges: Exchanges,
    /// Rows whose change outside the appliance is an event already, with the boot time of it in milliseconds.
    noted: Mutex<HashMap<(&'static str, String), u64>>,
    /// One batch of letters is typeset at a time.
    pub(crate) press: Mutex<()>,
    /// Rows whose MAC was right.
    pub(crate) checked: Checked,
    /// Refusals of known callers that were written of late.
    pub(crate) seldom: Refusals,
    /// Set once rows without a MAC have had their time.
    pub(crate) sealed: OnceLock<()>,
    /// Set once records whose MAC left the class of their token out have had their time.
    pub(crate) tokens_sealed: OnceLock<()>,
    locks: Vec<Mutex<()>>,
    decoy: OnceLock<Decoy>,
    own_key: OnceLock<Vec<u8>>,
}

/// A wrapped secret that belongs to nobody: what a code is matched against when there is nothing to match.
#[derive(Clone)]
pub struct Decoy {
    /// As the HSM gave it.
    pub record: Vec<u8>,
    /// As the HSM gave it.
    pub record_mac: [u8; 32],
    /// MAC over the decoy's state.
    pub state_mac: [u8; 32],
}

impl Decoy {
    /// The binding that the record MAC covers; its state has the same bytes.
    pub const BINDING: &'static [u8] = DECOY_BINDING;
}

impl Appliance {
    /// Puts the parts together.
    pub fn new(config: Config, store: Store, hsm: Hsm, clock: Clock) -> Self {
        let parts = Parts {
            store,
            hsm,
            clock,
            bell: Bell::default(),
            post: Bell::default(),
            news: Notify::new(),
            refusals: Refusals::default(),
            notices: Budget::default(),
            exchanges: Exchanges::default(),
            checked: Checked::default(),
            seldom: Refusals::default(),
            noted: Mutex::default(),
            sealed: OnceLock::new(),
            tokens_sealed: OnceLock::new(),
            press: Mutex::default(),
            locks: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            decoy: OnceLock::new(),
            own_key: OnceLock::new(),
        };
        Appliance { config, parts: Arc::new(parts) }
    }

    /// The same appliance under another configuration.
    pub fn under(&self, config: Config) -> Self {
        Appliance { config, parts: Arc::clone(&self.parts) }
    }

    /// Orders requests about one user, so that each sees the counters that the one before left.
    ///
    /// The conditional writes stay the only truth about what is consumed; this keeps concurrent requests
    /// from evaluating more codes than the limits allow.
    ///
    /// # Errors
    /// [`FlowError::Busy`] after [`LOCK_WAIT`].
    pub fn lock_user(&self, id: &Id) -> Result<MutexGuard<'_, ()>, FlowError> {
        self.lock(id)
    }

    /// The same for a name that nobody has.
    ///
    /// # Errors
    /// [`FlowError::Busy`] after [`LOCK_WAIT`].
    pub fn lock_name(&self, name: &str) -> Result<MutexGuard<'_, ()>, FlowError> {
        self.lock(name.to_lowercase())
    }

    fn lock(&self, key: impl Hash) -> Result<MutexGuard<'_, ()>, FlowError> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % STRIPES as u64).expect("below STRIPES");
        self.locks[stripe].try_lock_for(LOCK_WAIT).ok_or(FlowError::Busy)
    }

    /// The decoy, made once for the life of the store.
    ///
    /// # Errors
    /// When the HSM or the store cannot answer.
    pub fn decoy(&self) -> Result<Decoy, FlowError> {
        if let Some(decoy) = self.decoy.get() {
            return Ok(decoy.clone());
        }
        let stored = match self.store.read(|c| meta::get(c, "decoy"))? {
            Some(stored) => stored,
            None => {
                let enrolled = self.hsm.enrol(Enrol {
                    source: SecretSource::Generate { len: DECOY_LEN },
                    hash: hsm::Hash::Sha1,
                    binding: DECOY_BINDING.to_vec(),
                    state: DECOY_BINDING.to_vec(),
                    reveal: false,
                })?;
                let bytes = [&enrolled.record_mac[..], &enrolled.state_mac, &enrolled.record].concat();
                self.store.write(move |w| meta::get_or_insert(w, "decoy", &bytes))?
            }
        };
        let fault = || StoreError::Row { table: "meta", column: "value", row: "decoy".to_owned() };
        let (record_mac, rest) = stored.split_first_chunk().ok_or_else(fault)?;
        let (state_mac, record) = rest.split_first_chunk().ok_or_else(fault)?;
        let decoy = Decoy { record: record.to_vec(), record_mac: *record_mac, state_mac: *state_mac };
        Ok(self.decoy.get_or_init(|| decoy).clone())
    }

    /// The appliance's own person key: seals what belongs to no user.
    ///
    /// # Errors
    /// When the HSM or the store cannot answer.
    pub fn own_key(&self) -> Result<Vec<u8>, FlowError> {
        if let Some(key) = self.own_key.get() {
            return Ok(key.clone());
        }
        let key = match self.store.read(|c| meta::get(c, "own_key"))? {
            Some(key) => key,
            None => {
                let key = self.hsm.new_person_key()?;
                self.store.write(move |w| meta::get_or_insert(w, "own_key", &key))?
            }
        };
        Ok(self.own_key.get_or_init(|| key).clone())
    }

    /// Writes the event of a row that was changed outside the appliance, if that is what the error says.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub fn note_tampering(&self, error: &FlowError, actor: &Actor) -> Result<(), StoreError> {
        let FlowError::Tampered { what, which } = error else { return Ok(()) };
        tracing::error!(what, which, "changed outside the appliance");
        let event = Event::failed(self.clock.now().wall_ms, "store.tampered", actor.clone(), *what)
            .about("row", which.as_str());
        self.store.write(move |w| event::append(w, &event).map(drop))
    }

    /// The same for what is looked at again and again: one event a day for a row, and one after a start.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub fn note_tampering_daily(&self, error: &FlowError, actor: &Actor) -> Result<(), StoreError> {
        let FlowError::Tampered { what, which } = error else { return Ok(()) };
        let now = self.clock.now().boot_ms;
        let row = (*what, which.clone());
        {
            let mut noted = self.noted.lock();
            noted.retain(|_, at| now.saturating_sub(*at) < NOTED_MS);
            if noted.contains_key(&row) {
                return Ok(());
            }
        }
        self.note_tampering(error, actor)?;
        let mut noted = self.noted.lock();
        if noted.len() < NOTED_MAX {
            noted.insert(row, now);
        }
        Ok(())
    }

    /// A new row id: UUIDv7, its random part from the HSM.
    ///
    /// # Errors
    /// When the HSM cannot answer.
    pub fn new_id(&self) -> Result<Id, HsmError> {
        let random = self.random::<10>()?;
        let millis = u64::try_from(self.clock.now().steady_ms).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes())
    }

    /// Random bytes from the HSM.
    ///
    /// # Errors
    /// When the HSM cannot answer.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], HsmError> {
        let bytes = self.hsm.random(N)?;
        bytes.as_slice().try_into().map_err(|_| HsmError::Protocol)
    }
}
