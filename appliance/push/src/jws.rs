//! JSON Web Signatures with HMAC-SHA256 (RFC 7515, compact; RFC 7518, 3.2): no other algorithm, and no key here.
//!
//! Reading goes in this order: split, have the MAC of [`Jws::signing_input`] made by whoever holds the key, and only
//! then [`Jws::open`]. What the header says never chooses what is checked.

use serde_json::Value;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::Mac;
use crate::base64::{read_url_safe, url_safe};
use crate::json::{self, Members, NotMembers};

/// Longest text that is looked at, in bytes: the largest body (D-40).
pub const JWS_MAX: usize = 8 * 1024;
/// The header that we write. Its 27 bytes are whole Base64 groups in letters that both alphabets have: iOS verifies
/// over a header that it encoded anew (C.3, a).
pub const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
/// The only algorithm.
const ALGORITHM: &str = "HS256";

/// Why a message from outside was refused. To the phone they are all alike (COMB-38); no text repeats what was sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// More bytes than a message has.
    #[error("the message is too long")]
    TooLong,
    /// Not what its place wants: JSON in UTF-8, Base64, three parts.
    #[error("the message is not well formed")]
    Syntax,
    /// A member stands there twice.
    #[error("the message has a member twice")]
    Twice,
    /// The header is not that of HMAC-SHA256, or says more.
    #[error("the header is not that of HS256")]
    Header,
    /// A member is missing.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// A member of another JSON type.
    #[error("{0} has the wrong type")]
    Type(&'static str),
    /// A member outside what it may say.
    #[error("the value of {0} is not usable")]
    Value(&'static str),
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// The response is not the challenge's.
    #[error("the response is wrong")]
    Response,
}

impl From<NotMembers> for Refused {
    fn from(why: NotMembers) -> Self {
        match why {
            NotMembers::Syntax => Refused::Syntax,
            NotMembers::Twice => Refused::Twice,
        }
    }
}

/// A message whose signature has not been checked yet: its claims cannot be asked.
#[derive(Clone)]
pub struct Jws {
    text: String,
    payload_at: usize,
    signed_len: usize,
    tag: Mac,
}

impl Jws {
    /// Splits the compact form. The header must say HS256 and nothing else of weight; its members may stand in any
    /// order (C.2).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn split(text: String) -> Result<Self, Refused> {
        if text.len() > JWS_MAX {
            return Err(Refused::TooLong);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(tag), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Syntax);
        };
        let members: Members = json::parse(&read_url_safe(header).ok_or(Refused::Syntax)?)?;
        let fits = |(name, value): (&String, &Value)| match name.as_str() {
            "alg" => value == ALGORITHM,
            "typ" => value == "JWT",
            _ => false,
        };
        if !members.0.contains_key("alg") || !members.0.iter().all(fits) {
            return Err(Refused::Header);
        }
        let tag = read_url_safe(tag).and_then(|tag| tag.as_slice().try_into().ok()).ok_or(Refused::Syntax)?;
        let (payload_at, signed_len) = (header.len() + 1, header.len() + 1 + payload.len());
        Ok(Jws { text, payload_at, signed_len, tag })
    }

    /// What the MAC must be made of.
    pub fn signing_input(&self) -> &[u8] {
        &self.text.as_bytes()[..self.signed_len]
    }

    /// The claims, if `mac` is the MAC that came with the message; compared in constant time.
    pub(crate) fn open(&self, mac: &Mac) -> Result<Claims, Refused> {
        if !bool::from(self.tag.ct_eq(mac)) {
            return Err(Refused::Signature);
        }
        let payload = read_url_safe(&self.text[self.payload_at..self.signed_len]).ok_or(Refused::Syntax)?;
        Ok(Claims(json::parse(&payload)?))
    }
}

/// The claims of a message that was signed by the right key. Members that nobody asks for do not matter.
pub(crate) struct Claims(pub(crate) Members);

impl Claims {
    /// A claim that must be there, as text.
    pub(crate) fn text(&self, name: &'static str) -> Result<&str, Refused> {
        self.optional_text(name)?.ok_or(Refused::Missing(name))
    }

    /// A claim that may be missing or null.
    pub(crate) fn optional_text(&self, name: &'static str) -> Result<Option<&str>, Refused> {
        match self.0.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::Type(name)),
        }
    }

    /// Whether a claim is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.0.get(name).is_some_and(|value| !value.is_null())
    }
}

/// A message that we send, before its signature.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningInput(String);

impl SigningInput {
    /// The input for claims as JSON, under [`HEADER`].
    pub(crate) fn new(claims: &str) -> Self {
        SigningInput(format!("{}.{}", *url_safe(HEADER.as_bytes()), *url_safe(claims.as_bytes())))
    }

    /// What the MAC must be made of.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The whole message, with its MAC.
    pub fn signed(self, mac: &Mac) -> String {
        format!("{}.{}", self.0, *url_safe(mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [7; 32];

    fn signed(header: &str, claims: &str) -> Result<Claims, Refused> {
        let encode = |text: &str| url_safe(text.as_bytes()).to_string();
        Jws::split(format!("{}.{}.{}", encode(header), encode(claims), *url_safe(&MAC)))?.open(&MAC)
    }

    /// C.3 (a): the header that iOS encodes anew.
    #[test]
    fn our_header_has_27_bytes() {
        assert_eq!(HEADER.len(), 27);
        assert_eq!(*url_safe(HEADER.as_bytes()), "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9");
        assert!(crate::base64::neutral(HEADER.as_bytes()).is_some());
    }

    /// COMB-38, C.2. Red when the header can choose another algorithm, or none.
    #[test]
    fn no_header_chooses_the_algorithm() {
        for good in [HEADER, r#"{"alg":"HS256","typ":"JWT"}"#, r#"{ "alg": "HS256" }"#] {
            assert!(signed(good, "{}").is_ok(), "{good}");
        }
        for bad in [
            r#"{"typ":"JWT","alg":"none"}"#,
            r#"{"typ":"JWT","alg":"None"}"#,
            r#"{"typ":"JWT","alg":"hs256"}"#,
            r#"{"typ":"JWT","alg":"HS512"}"#,
            r#"{"typ":"JWT","alg":"RS256"}"#,
            r#"{"typ":"JWT","alg":["HS256"]}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"typ":"JWE","alg":"HS256"}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","b64":false}"#,
            r#"{"alg":"HS256","kid":"../../dev/null"}"#,
            r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#,
            "{}",
        ] {
            assert_eq!(signed(bad, "{}").err(), Some(Refused::Header), "{bad}");
        }
        let twice = signed(r#"{"alg":"none","alg":"HS256"}"#, "{}").err();
        assert_eq!(twice, Some(Refused::Twice));
    }

    /// COMB-38. Red when a message is read that has another spelling, or too many parts.
    #[test]
    fn what_is_not_the_compact_form_is_refused() {
        let good = SigningInput::new("{}").signed(&MAC);
        assert!(Jws::split(good.clone()).is_ok());
        for bad in [
            String::new(),
            "..".to_owned(),
            format!("{good}."),
            format!("{good}="),
            format!("{good}\n"),
            good.replace('.', ".."),
            good[..good.len() - 1].to_owned(),
            good.replace("eyJ0", "eyJ+"),
            "a.b.ü".to_owned(),
        ] {
            assert_eq!(Jws::split(bad.clone()).err(), Some(Refused::Syntax), "{bad}");
        }
        let long = format!("{good}{}", "A".repeat(JWS_MAX));
        assert_eq!(Jws::split(long).err(), Some(Refused::TooLong));
    }

    /// COMB-38. Red when one bit of the MAC goes unnoticed, or claims are read before it is known.
    #[test]
    fn claims_are_told_against_the_right_mac_alone() {
        let jws = Jws::split(SigningInput::new("not even JSON").signed(&MAC)).unwrap();
        for bit in 0..256 {
            let mut other = MAC;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(jws.open(&other).err(), Some(Refused::Signature));
        }
        assert_eq!(jws.open(&MAC).err(), Some(Refused::Syntax));
        assert!(jws.signing_input().starts_with(b"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."));
    }
}
