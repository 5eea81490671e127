//! What the app keeps of one account.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::Personality;
use crate::code::Secret;

/// One account of the app.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who issued it.
    pub issuer: String,
    /// Whose it is.
    pub name: String,
    /// The logo's address, as the app understood it.
    pub image: Option<String>,
    /// What must hold, in the order of their names.
    pub policies: Vec<(String, Value)>,
    /// The OATH half.
    pub code: Option<CodeKey>,
    /// The push half.
    pub push: Option<PushKey>,
}

/// The OATH half.
#[derive(Clone, Debug)]
pub struct CodeKey {
    /// The secret, and how codes are made from it.
    pub secret: Secret,
    /// The counter, for HOTP.
    pub counter: Option<u64>,
}

impl CodeKey {
    /// The next code. Legacy iOS shows the counter's first and counts then; the others count first (C.8).
    pub(crate) fn next(&mut self, personality: Personality, unix_s: u64) -> String {
        let Some(counter) = self.counter.as_mut() else { return self.secret.totp(unix_s) };
        let before = *counter;
        *counter = counter.wrapping_add(1);
        self.secret.hotp(if personality == Personality::IosLegacy { before } else { *counter })
    }
}

/// The push half.
#[derive(Clone)]
pub struct PushKey {
    /// The key of every message.
    pub secret: Zeroizing<Vec<u8>>,
    /// What the registration is computed from.
    pub challenge: Zeroizing<Vec<u8>>,
    /// Where to register.
    pub register: String,
    /// Where to answer.
    pub authenticate: String,
    /// The registration's name.
    pub message: String,
    /// What a load balancer wants back.
    pub cookie: Option<String>,
    /// The app's own id.
    pub uid: String,
}

impl PushKey {
    /// The endpoint without its query.
    pub(crate) fn base(&self) -> &str {
        self.register.split_once('?').map_or(self.register.as_str(), |(base, _)| base)
    }
}

impl fmt::Debug for PushKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushKey").field("register", &self.register).finish_non_exhaustive()
    }
}
