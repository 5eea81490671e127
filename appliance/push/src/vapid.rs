//! Who sends a Web Push message (RFC 8292): a token that the push service checks. It is signed in the HSM, with ES256.

use serde::Serialize;
use thiserror::Error;

use crate::address::Url;
use crate::base64::url_safe;
use crate::content::POINT_LEN;

/// How long a token is good, in seconds: half of what RFC 8292 allows, so that clocks may differ.
pub const LIFE_S: u64 = 12 * 60 * 60;
/// Longest contact, in bytes.
pub const CONTACT_MAX: usize = 200;
const HEADER: &str = r#"{"typ":"JWT","alg":"ES256"}"#;

/// Not a way to reach whoever runs the appliance.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be a mailto: or https:// address of graphic ASCII")]
pub struct ContactError;

/// How the push service can reach whoever runs the appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact(String);

impl Contact {
    /// Checks an address.
    ///
    /// # Errors
    /// [`ContactError`].
    pub fn parse(text: &str) -> Result<Self, ContactError> {
        let graphic = text.len() <= CONTACT_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        let mail = text.strip_prefix("mailto:").is_some_and(|address| address.contains('@'));
        let web = text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty());
        if graphic && (mail || web) { Ok(Contact(text.to_owned())) } else { Err(ContactError) }
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    sub: &'a str,
}

/// A token before its signature.
pub struct Token(String);

impl Token {
    /// A token for one push service, from `now_s` (Unix seconds) on for [`LIFE_S`] seconds.
    pub fn new(service: &Url, contact: &Contact, now_s: u64) -> Self {
        let claims = Claims { aud: &service.origin(), exp: now_s.saturating_add(LIFE_S), sub: &contact.0 };
        let claims = serde_json::to_string(&claims).expect("strings and a number under names are JSON");
        Token(format!("{}.{}", *url_safe(HEADER.as_bytes()), *url_safe(claims.as_bytes())))
    }

    /// What is to be signed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The value of `Authorization`, with the signature (r and s, RFC 7518, 3.4) and the key that verifies it.
    pub fn authorization(&self, signature: &[u8; 64], key: &[u8; POINT_LEN]) -> String {
        format!("vapid t={}.{}, k={}", self.0, *url_safe(signature), *url_safe(key))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;
    use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};

    use super::*;

    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1\
        MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0";
    const SIGNATURE: &str =
        "i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA";
    const KEY: &str =
        "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

    /// C.11: the example of RFC 8292, 2.4, whose signature is another's: it fits what we would have signed.
    #[test]
    fn the_example_of_rfc_8292() {
        let service = Url::parse("https://push.example.net/p/1").unwrap();
        let contact = Contact::parse("mailto:push@example.com").unwrap();
        let token = Token::new(&service, &contact, 1_453_523_768 - LIFE_S);
        assert_eq!(token.as_bytes(), TOKEN.as_bytes());
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        let (signature, key) = (decode(SIGNATURE), decode(KEY));
        let verifier = VerifyingKey::from_sec1_bytes(&key).unwrap();
        verifier.verify(token.as_bytes(), &Signature::from_slice(&signature).unwrap()).unwrap();
        let header = token.authorization(&signature.try_into().unwrap(), &key.try_into().unwrap());
        assert_eq!(header, format!("vapid t={TOKEN}.{SIGNATURE}, k={KEY}"));
    }

    /// RFC 8292, 2: the origin with a port that is not the usual one, and a contact.
    #[test]
    fn the_audience_is_the_origin() {
        for (url, origin) in [
            ("https://push.example.net:443/x?y", "https://push.example.net"),
            ("https://push.example.net:8443/x", "https://push.example.net:8443"),
            ("https://[::1]:8443/x", "https://[::1]:8443"),
        ] {
            assert_eq!(Url::parse(url).unwrap().origin(), origin);
        }
        for bad in
            ["", "push@example.com", "mailto:", "mailto:a b@c", "https://", "http://example.com", "https://é"]
        {
            assert_eq!(Contact::parse(bad), Err(ContactError), "{bad}");
        }
    }
}
