//! What phones send: the registration reply (C.2), the answer to a push (C.4) and a new push address (C.5).
//!
//! A body is read up to its signature; the claims come out when the caller has had the MACs made (COMB-38).

use std::fmt;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Mac;
use crate::base64::read_standard_32;
use crate::device::{Device, MechanismUid};
use crate::json::{self, Members};
use crate::jws::{Claims, Jws, Refused};
use crate::message_id::{MessageId, Purpose};
use crate::numbers::NUMBERS;

/// Largest body, in bytes (D-40).
pub const BODY_MAX: usize = 8 * 1024;
/// Longest user name in a body, in bytes; it is not used.
const USER_NAME_MAX: usize = 512;

struct Body(Members);

impl Body {
    fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > BODY_MAX {
            return Err(Refused::TooLong);
        }
        Ok(Body(json::parse(bytes)?))
    }

    fn text(&mut self, name: &'static str) -> Result<String, Refused> {
        match self.0.0.remove(name) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Refused::Type(name)),
            None => Err(Refused::Missing(name)),
        }
    }

    fn message(&mut self, purpose: Purpose) -> Result<MessageId, Refused> {
        MessageId::parse(purpose, &self.text("messageId")?).ok_or(Refused::Value("messageId"))
    }

    fn jws(&mut self) -> Result<Jws, Refused> {
        Jws::split(self.text("jwt")?)
    }
}

fn fingerprint(signing_input: &[u8]) -> [u8; 32] {
    Sha256::digest(signing_input).into()
}

/// Whether the claim `response` is the challenge's MAC; compared in constant time.
fn check_response(claims: &Claims, expected: &Mac) -> Result<(), Refused> {
    let response = read_standard_32(claims.text("response")?).ok_or(Refused::Value("response"))?;
    if response.ct_eq(expected).into() { Ok(()) } else { Err(Refused::Response) }
}

/// A phone that scanned the QR code (C.2).
pub struct RegistrationReply {
    message: MessageId,
    jws: Jws,
}

/// What a registered phone is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// SHA-256 of what was signed, as in [`Refresh::fingerprint`]: it says an address too.
    pub fingerprint: [u8; 32],
    /// The id that later messages name it by.
    pub mechanism: MechanismUid,
    /// How it is reached.
    pub device: Device,
}

impl RegistrationReply {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refused`]; the answer is the same for each.
    pub fn parse(body: &[u8]) -> Result<Self, Refused> {
        let mut body = Body::parse(body)?;
        Ok(RegistrationReply { message: body.message(Purpose::Register)?, jws: body.jws()? })
    }

    /// Which registration it belongs to, by which its secret is found.
    pub fn message(&self) -> &MessageId {
        &self.message
    }

    /// What the first MAC must be made of; the second is the registration's challenge's.
    pub fn signing_input(&self) -> &[u8] {
        self.jws.signing_input()
    }

    /// What the phone says, against the MACs of [`Self::signing_input`] and of the challenge, in this order.
    ///
    /// # Errors
    /// [`Refused::Signature`] before anything else.
    pub fn open(&self, signature: &Mac, response: &Mac) -> Result<Registered, Refused> {
        let claims = self.jws.open(signature)?;
        check_response(&claims, response)?;
        let mechanism = MechanismUid::parse(claims.text("mechanismUid")?);
        Ok(Registered {
            fingerprint: fingerprint(self.signing_input()),
            mechanism: mechanism.ok_or(Refused::Value("mechanismUid"))?,
            device: Device::of(&claims)?,
        })
    }
}

/// A person's answer to a push (C.4).
pub struct AuthenticationReply {
    message: MessageId,
    jws: Jws,
}

/// What the person chose. The MAC over the challenge is the same for both: only signed claims tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// No.
    Denied,
    /// Yes; with the number that was tapped, where there was one.
    Approved(Option<u8>),
}

impl AuthenticationReply {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refused`]; the answer is the same for each.
    pub fn parse(body: &[u8]) -> Result<Self, Refused> {
        let mut body = Body::parse(body)?;
        Ok(AuthenticationReply { message: body.message(Purpose::Authenticate)?, jws: body.jws()? })
    }

    /// Which push it answers, by which its secret is found.
    pub fn message(&self) -> &MessageId {
        &self.message
    }

    /// What the first MAC must be made of; the second is the push's challenge's.
    pub fn signing_input(&self) -> &[u8] {
        self.jws.signing_input()
    }

    /// The answer, against the MACs of [`Self::signing_input`] and of the challenge, in this order. Any `deny` but
    /// null is a denial, whatever stands beside it.
    ///
    /// # Errors
    /// [`Refused::Signature`] before anything else.
    pub fn open(&self, signature: &Mac, response: &Mac) -> Result<Answer, Refused> {
        let claims = self.jws.open(signature)?;
        check_response(&claims, response)?;
        if claims.has("deny") {
            return Ok(Answer::Denied);
        }
        let number = claims.optional_text("challengeResponse")?.map(|text| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|number| digits && NUMBERS.contains(number));
            number.ok_or(Refused::Value("challengeResponse"))
        });
        Ok(Answer::Approved(number.transpose()?))
    }
}

/// A new push address (C.5). It has neither challenge nor nonce, so that the same one can come again: the caller keeps
/// [`Self::fingerprint`] of those it took.
pub struct Refresh {
    mechanism: MechanismUid,
    jws: Jws,
}

impl Refresh {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refused`]; the answer is the same for each.
    pub fn parse(body: &[u8]) -> Result<Self, Refused> {
        let mut body = Body::parse(body)?;
        let mechanism = MechanismUid::parse(&body.text("mechanismUid")?);
        match body.0.0.get("username") {
            None | Some(Value::Null) => {}
            Some(Value::String(name)) if name.len() <= USER_NAME_MAX => {}
            Some(Value::String(_)) => return Err(Refused::Value("username")),
            Some(_) => return Err(Refused::Type("username")),
        }
        Ok(Refresh { mechanism: mechanism.ok_or(Refused::Value("mechanismUid"))?, jws: body.jws()? })
    }

    /// Which phone it claims to be, by which its secret is found.
    pub fn mechanism(&self) -> &MechanismUid {
        &self.mechanism
    }

    /// What the MAC must be made of.
    pub fn signing_input(&self) -> &[u8] {
        self.jws.signing_input()
    }

    /// SHA-256 of what is signed: the same for the same message, in whatever body it comes.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(self.signing_input())
    }

    /// How the phone is reached now, against the MAC of [`Self::signing_input`]. Where the claims name a phone (iOS),
    /// it is the body's. What answers a challenge is no refresh: a registration's reply says an address, too.
    ///
    /// # Errors
    /// [`Refused::Signature`] before anything else.
    pub fn open(&self, signature: &Mac) -> Result<Device, Refused> {
        let claims = self.jws.open(signature)?;
        if claims.has("response") {
            return Err(Refused::Value("response"));
        }
        match claims.optional_text("mechanismUid")? {
            Some(own) if own != self.mechanism.as_str() => Err(Refused::Value("mechanismUid")),
            _ => Device::of(&claims),
        }
    }
}

/// Opaque in `Debug`: a signed answer is worth as much as the person's.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque!(RegistrationReply, AuthenticationReply, Refresh);
