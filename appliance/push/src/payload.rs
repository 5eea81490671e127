//! The push message (C.3): a JWT whose claims are all strings, because some phones take nothing else.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::Serialize;
use thiserror::Error;

use crate::base64::standard;
use crate::device::MechanismUid;
use crate::json::{self, Members};
use crate::jws::SigningInput;
use crate::message_text::MessageText;
use crate::numbers::Numbers;
use crate::uri::COOKIE;

/// How long a push may be answered, in seconds (COMB-41).
pub const TTL_S: RangeInclusive<u32> = 30..=600;
/// Longest text of our own for the app, in bytes (C.3).
pub const CUSTOM_MAX: usize = 3_072;
/// Longest name of a browser that is repeated, in characters.
pub const USER_AGENT_MAX: usize = 256;

/// What the person is to do (COMB-42).
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    /// Approve or deny.
    Default,
    /// Tap the number that the login page shows.
    Challenge(&'a Numbers),
    /// Approve with a finger or a face.
    Biometric,
}

/// Where the login came from, for the person to judge.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The browser's address.
    pub remote_ip: Option<IpAddr>,
    /// The browser's name for itself; cut, and freed of control characters.
    pub user_agent: Option<&'a str>,
}

/// One push.
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    /// What the answer must be computed from.
    pub challenge: &'a [u8; 32],
    /// The app's own id for its account.
    pub mechanism: &'a MechanismUid,
    /// What it says.
    pub text: &'a MessageText,
    /// What is to be done.
    pub kind: Kind<'a>,
    /// How long it may be answered, in seconds, within [`TTL_S`].
    pub ttl_s: u32,
    /// When it was made, in Unix milliseconds.
    pub at_ms: u64,
    /// Where the login came from.
    pub context: Option<Context<'a>>,
    /// A JSON object for the app, at most [`CUSTOM_MAX`] bytes.
    pub custom: Option<&'a str>,
}

/// Why there is no message for what was asked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PayloadError {
    /// A life outside [`TTL_S`].
    #[error("a push lives {} to {} seconds", TTL_S.start(), TTL_S.end())]
    Ttl,
    /// The text for the app is no JSON object, or too long.
    #[error("what is sent for the app must be a JSON object of at most {CUSTOM_MAX} bytes")]
    Custom,
}

/// The claims in the order in which they are written.
#[derive(Serialize)]
struct Claims<'a> {
    c: String,
    l: String,
    u: &'a str,
    m: &'a str,
    k: &'static str,
    t: String,
    i: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<&'a str>,
}

/// The claim `x`, itself JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextClaim {
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl Context<'_> {
    fn claim(&self) -> String {
        let plain = |text: &str| -> String {
            text.chars().filter(|c| !c.is_control()).take(USER_AGENT_MAX).collect()
        };
        let claim = ContextClaim {
            remote_ip: self.remote_ip.map(|address| address.to_string()),
            user_agent: self.user_agent.map(plain),
        };
        serde_json::to_string(&claim).expect("strings under names are JSON")
    }
}

impl Payload<'_> {
    /// What is to be signed with the phone's key.
    ///
    /// # Errors
    /// [`PayloadError`] for terms that no phone takes.
    pub fn signing_input(&self) -> Result<SigningInput, PayloadError> {
        if !TTL_S.contains(&self.ttl_s) {
            return Err(PayloadError::Ttl);
        }
        let plain = |text: &str| {
            text.len() <= CUSTOM_MAX && json::parse(text.as_bytes()).is_ok_and(|_: Members| true)
        };
        if !self.custom.is_none_or(plain) {
            return Err(PayloadError::Custom);
        }
        let claims = Claims {
            c: standard(self.challenge),
            l: standard(COOKIE),
            u: self.mechanism.as_str(),
            m: self.text.as_str(),
            k: match self.kind {
                Kind::Default => "default",
                Kind::Challenge(_) => "challenge",
                Kind::Biometric => "biometric",
            },
            t: self.ttl_s.to_string(),
            i: self.at_ms.to_string(),
            n: match self.kind {
                Kind::Challenge(numbers) => Some(numbers.claim()),
                Kind::Default | Kind::Biometric => None,
            },
            x: self.context.map(|context| context.claim()),
            p: self.custom,
        };
        Ok(SigningInput::new(&serde_json::to_string(&claims).expect("strings under names are JSON")))
    }
}
