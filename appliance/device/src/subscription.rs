//! The phone's half of Web Push (RFC 8291): the keys that it gives out, and the messages that come back under them.

use std::fmt;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey, ecdh};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of the salt, the record's size and the key id's length, before the key id (RFC 8188, 2.1).
const HEAD_LEN: usize = 21;
/// An uncompressed point on P-256, in bytes.
const POINT_LEN: usize = 65;
/// The authentication tag of a record, in bytes.
const TAG_LEN: usize = 16;
/// The delimiter of the last record (RFC 8188, 2).
const LAST: u8 = 2;

/// A subscription: a key pair, and the secret that keeps the push service out.
pub struct Subscription {
    key: SecretKey,
    auth: Zeroizing<[u8; 16]>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl Subscription {
    /// A subscription from random bytes; none in one of 2^32 draws, where they are no private key.
    pub fn new(key: &[u8; 32], auth: [u8; 16]) -> Option<Self> {
        Some(Subscription { key: SecretKey::from_slice(key).ok()?, auth: Zeroizing::new(auth) })
    }

    /// The push address that the app tells: where messages go, and behind it the keys (C.11).
    pub fn address(&self, endpoint: &str) -> String {
        let point = BASE64URL_NOPAD.encode(&point(&self.key.public_key()));
        format!("{endpoint}#p256dh={point}&auth={}", BASE64URL_NOPAD.encode(&*self.auth))
    }

    /// The clear text of a message; none for one that was not encrypted for this subscription, or is not of one record.
    pub fn open(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = body.split_at_checked(HEAD_LEN)?;
        let (salt, sizes) = head.split_at_checked(16)?;
        let size = u32::from_be_bytes(sizes[..4].try_into().ok()?);
        let (sender, record) = rest.split_at_checked(usize::from(sizes[4]))?;
        if sender.len() != POINT_LEN
            || record.len() <= TAG_LEN
            || record.len() > usize::try_from(size).ok()?
        {
            return None;
        }
        let shared = ecdh::diffie_hellman(
            self.key.to_nonzero_scalar(),
            PublicKey::from_sec1_bytes(sender).ok()?.as_affine(),
        );
        let info = [b"WebPush: info\0".as_slice(), &point(&self.key.public_key()), sender].concat();
        let secret = expand::<32>(&*self.auth, shared.raw_secret_bytes(), &info);
        let key = expand::<16>(salt, &*secret, b"Content-Encoding: aes128gcm\0");
        let nonce = expand::<12>(salt, &*secret, b"Content-Encoding: nonce\0");
        let cipher = Aes128Gcm::new_from_slice(&*key).ok()?;
        let mut clear = cipher.decrypt(&(*nonce).into(), record).ok()?;
        let end = clear.iter().rposition(|byte| *byte != 0).filter(|at| clear[*at] == LAST)?;
        clear.truncate(end);
        Some(clear)
    }
}

fn point(key: &PublicKey) -> [u8; POINT_LEN] {
    key.to_sec1_point(false).as_bytes().try_into().expect("a point of P-256 has two coordinates")
}

fn expand<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut *out).expect("a few blocks at the most");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    const UA_PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
    const UA_PUBLIC: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
        AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    /// C.11: RFC 8291, appendix A. Red when a bit of the message or of a key may be another.
    #[test]
    fn the_example_of_rfc_8291_is_read() {
        let subscription = Subscription::new(&bytes(UA_PRIVATE), bytes(AUTH)).unwrap();
        let address = subscription.address("https://push.example.org/x");
        assert_eq!(address, format!("https://push.example.org/x#p256dh={UA_PUBLIC}&auth={AUTH}"));
        let body = BASE64URL_NOPAD.decode(BODY.as_bytes()).unwrap();
        assert_eq!(subscription.open(&body).unwrap(), b"When I grow up, I want to be a watermelon");
        for at in 0..body.len() {
            // The record's size is told, not sealed: only one that is too small is noticed.
            if (16..20).contains(&at) {
                continue;
            }
            let mut other = body.clone();
            other[at] ^= 1;
            assert_eq!(subscription.open(&other), None, "byte {at}");
            assert_eq!(subscription.open(&body[..at]), None);
        }
        let other = Subscription::new(&bytes(UA_PRIVATE), [0; 16]).unwrap();
        assert_eq!(other.open(&body), None);
        assert!(Subscription::new(&[0; 32], [0; 16]).is_none());
    }
}
