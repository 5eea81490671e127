//! The phone: an authenticator app with push, as three SDKs behave (C.7).
//!
//! Written from the description of the wire (C.1 to C.5, C.8, C.11) and sharing nothing with the appliance: each
//! personality splits, decodes and signs in its own way, also where that is a fault of its own. Pure: what the app would
//! send comes out as a [`Request`], what it receives goes in as bytes; time and randomness are arguments.

#![forbid(unsafe_code)]

mod accounts;
mod code;
pub mod encoding;
mod envelope;
mod notice;
mod poll;
mod scan;
mod subscription;

pub use accounts::{Account, CodeKey, PushKey};
pub use code::Secret;
pub use envelope::Delivered;
pub use notice::{Choice, Notice};
pub use subscription::Subscription;

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

use encoding::{jwt, mac, standard};

/// Which SDK the phone runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// ForgeRock's SDK for Android, before Ping's.
    AndroidLegacy,
    /// ForgeRock's SDK for iOS, before Ping's.
    IosLegacy,
    /// Ping's SDKs.
    PingNew,
}

impl Personality {
    /// All three.
    pub const ALL: [Personality; 3] =
        [Personality::AndroidLegacy, Personality::IosLegacy, Personality::PingNew];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Personality::AndroidLegacy => "android-legacy",
            Personality::IosLegacy => "ios-legacy",
            Personality::PingNew => "ping-new",
        }
    }

    /// Reads what [`Personality::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|personality| personality.name() == name)
    }

    fn is_ios(self) -> bool {
        self == Personality::IosLegacy
    }
}

/// Why the app does nothing, or falls over.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// A URI, or a message, that the SDK does not take.
    #[error("the app does not take it: {0}")]
    NotUsable(String),
    /// The SDK throws where it should not: the app is gone.
    #[error("the app falls over: {0}")]
    Crash(String),
    /// The account is there already (C.1.3).
    #[error("the app has this account already")]
    Duplicate,
    /// A policy is violated: the app sends nothing (C.1.4).
    #[error("the phone does not satisfy the policy {0}")]
    Policy(String),
    /// A message that this phone's key did not sign.
    #[error("the message is not signed with this account's key")]
    Signature,
    /// A message for an account that is not there.
    #[error("the message is for another account")]
    Unknown,
}

/// What the app sends. Opaque in `Debug` but for its place: a signed answer is worth as much as the person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to, by POST.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The phone's own state, which policies judge.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Whether a biometric sensor is in use.
    pub biometric: bool,
    /// How rooted it looks, from 0 to 1.
    pub tampering: f64,
}

/// A phone with an authenticator app.
pub struct Phone {
    personality: Personality,
    /// The push address that it tells.
    address: String,
    /// What policies judge.
    pub condition: Condition,
    accounts: Vec<Account>,
}

/// What a scan led to.
#[derive(Debug)]
pub struct Scanned {
    /// Which account.
    pub account: usize,
    /// What the app sends; nothing for codes alone.
    pub request: Option<Request>,
}

impl Phone {
    /// A new phone without accounts, which can be reached at a push address.
    pub fn new(personality: Personality, address: &str) -> Phone {
        let condition = Condition { biometric: true, tampering: 0.0 };
        Phone { personality, address: address.to_owned(), condition, accounts: Vec::new() }
    }

    /// Its accounts, in the order of their registration.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Scans a QR code's text: checks policies, keeps the account and says what to send.
    ///
    /// # Errors
    /// [`Refusal`]; the phone has no new account.
    pub fn scan(&mut self, uri: &str) -> Result<Scanned, Refusal> {
        let account = scan::scan(self.personality, uri)?;
        self.judge(&account)?;
        let same = |own: &&Account| own.issuer == account.issuer && own.name == account.name;
        let taken = |own: &Account| {
            (own.code.is_some() && account.code.is_some()) || (own.push.is_some() && account.push.is_some())
        };
        if self.accounts.iter().filter(same).any(taken) {
            return Err(Refusal::Duplicate);
        }
        if account.push.is_some() && self.address.is_empty() && self.personality == Personality::AndroidLegacy
        {
            return Err(Refusal::NotUsable("no device token".to_owned()));
        }
        let request = account.push.as_ref().map(|push| self.registration(push));
        self.accounts.push(account);
        Ok(Scanned { account: self.accounts.len() - 1, request })
    }

    /// What the app makes of the answer to its registration. Without success there is no push; the codes stay (D-35).
    pub fn answered(&mut self, account: usize, status: u16, body: &str) -> bool {
        let object = || matches!(serde_json::from_str(body), Ok(Value::Object(_)));
        let good = match self.personality {
            Personality::AndroidLegacy => status == 200,
            Personality::IosLegacy => (200..=302).contains(&status) && (body.is_empty() || object()),
            Personality::PingNew => (200..300).contains(&status),
        };
        if !good {
            self.accounts[account].push = None;
        }
        good
    }

    /// Takes up an account where it was left, after a scan that is not the first: whether its registration had success,
    /// and how far its codes were counted.
    pub fn resume(&mut self, account: usize, registered: bool, counter: Option<u64>) {
        let account = &mut self.accounts[account];
        if !registered {
            account.push = None;
        }
        if let Some(code) = account.code.as_mut().filter(|code| code.counter.is_some()) {
            code.counter = counter.or(code.counter);
        }
    }

    /// Deletes an account from the app.
    pub fn delete(&mut self, account: usize) {
        self.accounts.remove(account);
    }

    /// The next code of an account at a Unix time in seconds.
    ///
    /// # Panics
    /// When the account has no codes.
    pub fn code(&mut self, account: usize, unix_s: u64) -> String {
        let personality = self.personality;
        self.accounts[account].code.as_mut().expect("an account with codes").next(personality, unix_s)
    }

    /// What the app sends when its push address changes (C.5).
    ///
    /// # Panics
    /// When the account has no push.
    pub fn refresh(&mut self, account: usize, address: &str) -> Request {
        self.address = address.to_owned();
        let account = &self.accounts[account];
        let push = account.push.as_ref().expect("an account with push");
        let mut claims = self.device();
        if self.personality.is_ios() {
            claims.push(("mechanismUid", json!(push.uid)));
        }
        let body = json!({
            "mechanismUid": push.uid,
            "username": account.name,
            "jwt": jwt(self.personality, &push.secret, &claims),
        });
        self.post(format!("{}?_action=refresh", push.base()), push, body)
    }

    fn registration(&self, push: &PushKey) -> Request {
        let response = standard(&mac(&push.secret, &push.challenge));
        let mut claims = vec![("response", json!(response)), ("mechanismUid", json!(push.uid))];
        claims.extend(self.device());
        let body = json!({ "messageId": push.message, "jwt": jwt(self.personality, &push.secret, &claims) });
        self.post(push.register.clone(), push, body)
    }

    fn device(&self) -> Vec<(&'static str, Value)> {
        let (name, system, service) = match self.personality.is_ios() {
            true => ("Alice’s iPhone", "ios", "apns"),
            false => ("Pixel 8", "android", "gcm"),
        };
        vec![
            ("deviceId", json!(self.address)),
            ("deviceName", json!(name)),
            ("deviceType", json!(system)),
            ("communicationType", json!(service)),
        ]
    }

    fn post(&self, url: String, push: &PushKey, body: Value) -> Request {
        let mut headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("Accept-API-Version", "resource=1.0, protocol=1.0".to_owned()),
        ];
        if let Some(cookie) = &push.cookie {
            headers.push((if self.personality.is_ios() { "Set-Cookie" } else { "Cookie" }, cookie.clone()));
        }
        Request { url, headers, body: body.to_string() }
    }

    /// C.1.4: policies are judged before anything is sent.
    fn judge(&self, account: &Account) -> Result<(), Refusal> {
        for (name, parameters) in &account.policies {
            let Value::Object(parameters) = parameters else {
                return Err(Refusal::Crash(format!("the policy {name} is no object")));
            };
            let violated = match name.as_str() {
                "biometricAvailable" => !self.condition.biometric,
                "deviceTampering" => {
                    let threshold = parameters.get("score").and_then(Value::as_f64).unwrap_or(1.0);
                    self.condition.tampering >= threshold
                }
                _ => false,
            };
            if violated {
                return Err(Refusal::Policy(name.clone()));
            }
        }
        Ok(())
    }
}

/// The UUID that an app chooses: here a digest, so that a run can be repeated. iOS writes it in capitals.
fn uid_of(personality: Personality, challenge: &[u8]) -> String {
    let hex = data_encoding::HEXLOWER.encode(&Sha256::digest(challenge)[..16]);
    let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    if personality.is_ios() { uuid.to_uppercase() } else { uuid }
}
