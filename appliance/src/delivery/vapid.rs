//! Who sends (RFC 8292): tokens for push services, signed by whoever holds the key, which is the HSM.

use std::collections::HashMap;

use parking_lot::Mutex;
use push::address::Url;
use push::content::POINT_LEN;
use push::vapid::{Contact, LIFE_S, Token};

use super::Why;

/// Push services whose tokens are kept.
const SERVICES_MAX: usize = 64;
/// A token is used for half of its life, in seconds.
const USE_S: u64 = LIFE_S / 2;

/// ES256 over these bytes: r and s (RFC 7518, 3.4); none when it cannot be made now.
pub type Sign = dyn Fn(&[u8]) -> Option<[u8; 64]> + Send + Sync;

/// Whoever holds the key of the tokens.
pub struct Signer {
    /// The public key, uncompressed.
    pub key: [u8; POINT_LEN],
    /// How it signs.
    pub sign: Box<Sign>,
}

/// Tokens for push services, each kept as long as it is good: the HSM signs one in six hours, not one per push.
pub struct Vapid {
    signer: Signer,
    contact: Contact,
    kept: Mutex<HashMap<String, (String, u64)>>,
}

impl Vapid {
    pub(super) fn new(signer: Signer, contact: Contact) -> Self {
        Vapid { signer, contact, kept: Mutex::new(HashMap::new()) }
    }

    /// The value of `Authorization` for a push service, at a Unix time in seconds.
    pub(super) fn authorization(&self, service: &Url, now_s: u64) -> Result<String, Why> {
        let origin = service.origin();
        if let Some((kept, made_s)) = self.kept.lock().get(&origin)
            && (*made_s..*made_s + USE_S).contains(&now_s)
        {
            return Ok(kept.clone());
        }
        let token = Token::new(service, &self.contact, now_s);
        let signature = (self.signer.sign)(token.as_bytes()).ok_or(Why::Unsigned)?;
        let made = token.authorization(&signature, &self.signer.key);
        let mut kept = self.kept.lock();
        if kept.len() >= SERVICES_MAX {
            kept.clear();
        }
        kept.insert(origin, (made.clone(), now_s));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// RFC 8292. Red when the HSM signs for each push, or a token is used that its service no longer takes.
    #[test]
    fn a_token_is_signed_once_per_service_and_six_hours() {
        let signed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&signed);
        let sign = move |_: &[u8]| Some([u8::try_from(count.fetch_add(1, Ordering::Relaxed)).ok()?; 64]);
        let signer = Signer { key: [4; POINT_LEN], sign: Box::new(sign) };
        let vapid = Vapid::new(signer, Contact::parse("mailto:otp@example.org").unwrap());
        let at = |url: &str, now_s| vapid.authorization(&Url::parse(url).unwrap(), now_s).unwrap();
        let first = at("https://push.example.org/a", 1_000_000);
        assert_eq!(first, at("https://push.example.org/b", 1_000_000 + USE_S - 1));
        assert_eq!(signed.load(Ordering::Relaxed), 1);
        assert_ne!(first, at("https://push.example.org:8443/a", 1_000_000));
        assert_ne!(first, at("https://push.example.org/a", 1_000_000 + USE_S));
        // A clock that ran back.
        assert_ne!(first, at("https://push.example.org/a", 999_999));
        assert_eq!(signed.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn nothing_goes_out_unsigned() {
        let signer = Signer { key: [4; POINT_LEN], sign: Box::new(|_| None) };
        let vapid = Vapid::new(signer, Contact::parse("mailto:otp@example.org").unwrap());
        let service = Url::parse("https://push.example.org/").unwrap();
        assert_eq!(vapid.authorization(&service, 1), Err(Why::Unsigned));
    }
}
