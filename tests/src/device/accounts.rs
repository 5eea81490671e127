//! What the app keeps of one account.

use serde_json::Value;

use super::Personality;
use crate::judge::Secret;

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
    pub(super) fn next(&mut self, personality: Personality, unix_s: u64) -> String {
        let Some(counter) = self.counter.as_mut() else { return self.secret.totp(unix_s) };
        *counter += 1;
        let shown = if personality == Personality::IosLegacy { *counter - 1 } else { *counter };
        self.secret.hotp(shown)
    }
}

/// The push half.
#[derive(Clone, Debug)]
pub struct PushKey {
    /// The key of every message.
    pub secret: Vec<u8>,
    /// What the registration is computed from.
    pub challenge: Vec<u8>,
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
    pub(super) fn base(&self) -> &str {
        self.register.split_once('?').map_or(self.register.as_str(), |(base, _)| base)
    }
}
