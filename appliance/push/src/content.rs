//! Encrypted content of one record (RFC 8188, `aes128gcm`), and the keys for it that a Web Push subscription gives
//! (RFC 8291). A service that passes a message on sees its length alone.

use std::fmt;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use hkdf::Hkdf;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey, ecdh};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::base64::read_url_safe;
use crate::envelope::{CLEAR_MAX, TooLarge};

/// An uncompressed point on P-256, in bytes (SEC 1).
pub const POINT_LEN: usize = 65;
/// The salt, in bytes.
pub const SALT_LEN: usize = 16;
/// The secret that keeps the push service out, in bytes (RFC 8291, 3.2).
pub const AUTH_LEN: usize = 16;
/// The size of a record: the only one that every push service takes (RFC 8291, 4).
const RECORD_SIZE: u32 = 4_096;
/// The delimiter of the last record (RFC 8188, 2).
const LAST: u8 = 2;

/// Keys that are none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a point on P-256, uncompressed.
    #[error("the subscription's key is no point on P-256")]
    Point,
    /// Not as many bytes as it must have.
    #[error("the subscription's secret has not {AUTH_LEN} bytes")]
    Auth,
    /// Random bytes that are no private key; draw again.
    #[error("the random bytes are no private key on P-256")]
    Random,
}

/// What a subscription is encrypted to (RFC 8291, 3).
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    point: PublicKey,
    auth: Zeroizing<[u8; AUTH_LEN]>,
}

impl Keys {
    /// Reads `p256dh` and `auth` in URL-safe Base64 without padding.
    ///
    /// # Errors
    /// [`KeyError::Point`] and [`KeyError::Auth`].
    pub fn parse(p256dh: &str, auth: &str) -> Result<Self, KeyError> {
        let point = read_url_safe(p256dh).filter(|point| point.len() == POINT_LEN).ok_or(KeyError::Point)?;
        let point = PublicKey::from_sec1_bytes(&point).map_err(|_| KeyError::Point)?;
        let auth =
            read_url_safe(auth).and_then(|auth| auth.as_slice().try_into().ok()).ok_or(KeyError::Auth)?;
        Ok(Keys { point, auth: Zeroizing::new(auth) })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Our half of the key agreement: for one message.
pub struct Ephemeral(SecretKey);

impl Ephemeral {
    /// Makes it from 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError::Random`] in one of 2^32 draws: draw again.
    pub fn new(random: &[u8; 32]) -> Result<Self, KeyError> {
        SecretKey::from_slice(random).map(Ephemeral).map_err(|_| KeyError::Random)
    }

    fn point(&self) -> [u8; POINT_LEN] {
        point(&self.0.public_key())
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

/// The body of a Web Push message (RFC 8291). Each message has its own key and salt.
///
/// # Errors
/// [`TooLarge`] for more clear text than one record takes.
pub fn web_push(
    clear: &[u8],
    keys: &Keys,
    ephemeral: Ephemeral,
    salt: &[u8; SALT_LEN],
) -> Result<Vec<u8>, TooLarge> {
    if clear.len() > CLEAR_MAX {
        return Err(TooLarge(clear.len()));
    }
    let own = ephemeral.point();
    let shared = ecdh::diffie_hellman(ephemeral.0.to_nonzero_scalar(), keys.point.as_affine());
    let info = [b"WebPush: info\0".as_slice(), &point(&keys.point), &own].concat();
    let secret: Zeroizing<[u8; 32]> = expand(&*keys.auth, shared.raw_secret_bytes(), &info);
    Ok(encrypted(clear, &*secret, salt, &own))
}

/// One record that is the last (RFC 8188, 2): header, then what is encrypted.
fn encrypted(clear: &[u8], secret: &[u8], salt: &[u8; SALT_LEN], key_id: &[u8]) -> Vec<u8> {
    let key: Zeroizing<[u8; 16]> = expand(salt, secret, b"Content-Encoding: aes128gcm\0");
    let nonce: Zeroizing<[u8; 12]> = expand(salt, secret, b"Content-Encoding: nonce\0");
    let cipher = Aes128Gcm::new_from_slice(&*key).expect("16 bytes are a key");
    let mut record = Zeroizing::new(Vec::with_capacity(clear.len() + 1));
    record.extend_from_slice(clear);
    record.push(LAST);
    let sealed = cipher.encrypt(&(*nonce).into(), record.as_slice()).expect("a record is far below 64 GiB");
    let id_len = u8::try_from(key_id.len()).expect("a key id is a point, or shorter");
    [salt.as_slice(), &RECORD_SIZE.to_be_bytes(), &[id_len], key_id, &sealed].concat()
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    const UA_PUBLIC: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const AS_PRIVATE: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
    const SALT: &str = "DGv6ra1nlYgDCS1FRnbzlw";
    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
        AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    /// C.11: RFC 8291, appendix A.
    #[test]
    fn the_example_of_rfc_8291() {
        let keys = Keys::parse(UA_PUBLIC, AUTH).unwrap();
        let ephemeral = Ephemeral::new(&bytes(AS_PRIVATE)).unwrap();
        let clear = b"When I grow up, I want to be a watermelon";
        assert_eq!(BASE64URL_NOPAD.encode(&web_push(clear, &keys, ephemeral, &bytes(SALT)).unwrap()), BODY);
    }

    /// RFC 8188, 3.1: a key that is given, and no key id.
    #[test]
    fn the_example_of_rfc_8188() {
        let key: [u8; 16] = bytes("yqdlZ-tYemfogSmv7Ws5PQ");
        let body = encrypted(b"I am the walrus", &key, &bytes("I1BsxtFttlv3u_Oo94xnmw"), b"");
        let expected = "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg";
        assert_eq!(BASE64URL_NOPAD.encode(&body), expected);
    }

    /// C.3 (d). Red when a body is made that a push service need not take: 4096 bytes at the most.
    #[test]
    fn the_largest_message_fills_a_body() {
        let keys = Keys::parse(UA_PUBLIC, AUTH).unwrap();
        let ephemeral = || Ephemeral::new(&[1; 32]).unwrap();
        let largest = web_push(&[b'x'; CLEAR_MAX], &keys, ephemeral(), &[0; SALT_LEN]).unwrap();
        assert_eq!(largest.len(), RECORD_SIZE as usize);
        let more = web_push(&[b'x'; CLEAR_MAX + 1], &keys, ephemeral(), &[0; SALT_LEN]);
        assert_eq!(more, Err(TooLarge(CLEAR_MAX + 1)));
    }

    /// Red when a key is taken that is no point: whoever gives one learns the others' secrets.
    #[test]
    fn what_is_no_key_is_refused() {
        let off_curve = UA_PUBLIC.replacen("BCVx", "BCVy", 1);
        for bad in ["", "BCVx", &off_curve, &UA_PUBLIC[..86], &BASE64URL_NOPAD.encode(&[0; 65]), "AA"] {
            assert_eq!(Keys::parse(bad, AUTH).err(), Some(KeyError::Point), "{bad}");
        }
        for bad in ["", "BTBZ", "BTBZMqHH6r4Tts7J_aSIgg=="] {
            assert_eq!(Keys::parse(UA_PUBLIC, bad).err(), Some(KeyError::Auth), "{bad}");
        }
        for bad in [[0; 32], [0xff; 32]] {
            assert_eq!(Ephemeral::new(&bad).err(), Some(KeyError::Random));
        }
        assert!(!format!("{:?}", Keys::parse(UA_PUBLIC, AUTH).unwrap()).contains("auth"));
    }
}
