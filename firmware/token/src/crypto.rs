//! The token's cryptography in the shapes it needs: P-256 (FIPS 186-5, SP 800-56A), AES-256 (FIPS 197), key wrap
//! (RFC 3394), HMAC (RFC 2104), PBKDF2 (RFC 8018).
//!
//! The functions stay out of line: inlined into one caller, their frames would add up on a small stack.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use aes_kw::KwAes256;
use hmac::{Hmac, Mac as _};
use link::{Octets, Point, Signature};
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{AffinePoint, PublicKey, SecretKey};
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 secret bytes.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// What RFC 3394 adds.
pub(crate) const WRAP_OVERHEAD: usize = 8;

/// Whether `signature` is `key`'s over the message with this SHA-256 digest.
#[inline(never)]
pub(crate) fn verify(key: &Point, digest: &[u8; 32], signature: &Signature) -> bool {
    let Some(key) = public(key) else { return false };
    let Ok(signature) = p256::ecdsa::Signature::from_slice(signature.as_slice()) else { return false };
    VerifyingKey::from(key).verify_prehash(digest, &signature).is_ok()
}

/// Signs a SHA-256 digest; deterministic (RFC 6979). `None` if `secret` is not a scalar of the group.
#[inline(never)]
pub(crate) fn sign(secret: &Key, digest: &[u8; 32]) -> Option<Signature> {
    let key = SigningKey::from_slice(&secret[..]).ok()?;
    let signature: p256::ecdsa::Signature = key.sign_prehash(digest).ok()?;
    Some(Octets(signature.to_bytes().into()))
}

/// The public point of `secret`; `None` if it is not a scalar of the group: draw another.
#[inline(never)]
pub(crate) fn public_key(secret: &Key) -> Option<Point> {
    let secret = SecretKey::from_slice(&secret[..]).ok()?;
    let point = secret.public_key().to_sec1_point(false);
    point.as_bytes().try_into().ok().map(Octets)
}

/// Whether `point` is an uncompressed point of the curve.
pub(crate) fn is_point(point: &Point) -> bool {
    public(point).is_some()
}

/// From the uncompressed form only: the code that computes a missing y needs stack and image.
#[inline(never)]
fn public(point: &Point) -> Option<PublicKey> {
    let (form, coordinates) = point.0.split_first_chunk::<1>()?;
    let (x, y) = coordinates.split_first_chunk::<32>()?;
    let y: &[u8; 32] = y.try_into().ok()?;
    let point = AffinePoint::from_coordinates(x.into(), y.into()).into_option()?;
    PublicKey::from_affine(point).ok().filter(|_| *form == [4])
}

/// The x-coordinate of ECDH; `None` if `peer` is not a point of the curve.
#[inline(never)]
pub(crate) fn agree(secret: &Key, peer: &Point) -> Option<Key> {
    let secret = SecretKey::from_slice(&secret[..]).ok()?;
    let peer = public(peer)?;
    let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
    Some(Zeroizing::new((*shared.raw_secret_bytes()).into()))
}

/// AES-256-CBC of two blocks with IV 0 and without padding.
#[inline(never)]
pub(crate) fn cbc_two_blocks(key: &Key, plain: &[u8; 32]) -> Key {
    let cipher = aes::Aes256::new((&**key).into());
    let mut out = Zeroizing::new(*plain);
    let (first, second) = out.split_at_mut(16);
    encrypt_block(&cipher, first);
    second.iter_mut().zip(first).for_each(|(byte, before)| *byte ^= *before);
    encrypt_block(&cipher, second);
    out
}

fn encrypt_block(cipher: &aes::Aes256, block: &mut [u8]) {
    let block: &mut [u8; 16] = block.try_into().expect("half of 32 bytes");
    cipher.encrypt_block(block.into());
}

/// Wraps `plain` into `out`, which is 8 bytes longer; `None` if it is not, or no multiple of 8 bytes.
#[inline(never)]
pub(crate) fn wrap(key: &Key, plain: &[u8], out: &mut [u8]) -> Option<()> {
    KwAes256::new((&**key).into()).wrap_key(plain, out).ok().map(|_| ())
}

/// Unwraps `wrapped` into `out`, which is 8 bytes shorter; `None` if its integrity check fails.
#[inline(never)]
pub(crate) fn unwrap(key: &Key, wrapped: &[u8], out: &mut [u8]) -> Option<()> {
    KwAes256::new((&**key).into()).unwrap_key(wrapped, out).ok().map(|_| ())
}

/// HMAC-SHA-256 of the parts, one after the other.
#[inline(never)]
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Key {
    let mut mac =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// One block of PBKDF2-HMAC-SHA-256.
#[inline(never)]
pub(crate) fn stretch(password: &[u8], salt: &[u8; 32], iterations: u32) -> Key {
    let keyed =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(password).expect("HMAC takes a key of any length");
    let mac = |parts: &[&[u8]]| -> Key {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        Zeroizing::new(mac.finalize().into_bytes().into())
    };
    let mut round = mac(&[salt, &1u32.to_be_bytes()]);
    let mut key = round.clone();
    for _ in 1..iterations {
        round = mac(&[&round[..]]);
        key.iter_mut().zip(round.iter()).for_each(|(key, round)| *key ^= round);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7914 section 11, its first PBKDF2-HMAC-SHA-256 vector; the salt is shorter there, so the second
    /// function is checked against the first by its definition.
    #[test]
    fn stretching_is_pbkdf2() {
        let salt = [7; 32];
        let first = hmac_of(b"passwd", &[&salt[..], &[0, 0, 0, 1]].concat());
        let second = hmac_of(b"passwd", &first);
        assert_eq!(*stretch(b"passwd", &salt, 1), first);
        let both: [u8; 32] = core::array::from_fn(|i| first[i] ^ second[i]);
        assert_eq!(*stretch(b"passwd", &salt, 2), both);
    }

    fn hmac_of(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// RFC 3394 section 4.6: 256 bits of key data under a 256-bit key.
    #[test]
    fn wrapping_is_rfc_3394() {
        let kek = Zeroizing::new(core::array::from_fn(|i| i as u8));
        let data: [u8; 32] = core::array::from_fn(|i| if i < 16 { (i as u8) * 0x11 } else { i as u8 - 16 });
        let expected = [
            0x28, 0xc9, 0xf4, 0x04, 0xc4, 0xb8, 0x10, 0xf4, 0xcb, 0xcc, 0xb3, 0x5c, 0xfb, 0x87, 0xf8, 0x26,
            0x3f, 0x57, 0x86, 0xe2, 0xd8, 0x0e, 0xd3, 0x26, 0xcb, 0xc7, 0xf0, 0xe7, 0x1a, 0x99, 0xf4, 0x3b,
            0xfb, 0x98, 0x8b, 0x9b, 0x7a, 0x02, 0xdd, 0x21,
        ];
        let mut wrapped = [0; 40];
        wrap(&kek, &data, &mut wrapped).unwrap();
        assert_eq!(wrapped, expected);
        let mut plain = [0; 32];
        unwrap(&kek, &wrapped, &mut plain).unwrap();
        assert_eq!(plain, data);
        wrapped[3] ^= 1;
        assert_eq!(unwrap(&kek, &wrapped, &mut plain), None);
    }

    /// SP 800-38A F.2.5 has another IV; with IV 0 the first block is ECB's (F.1.5), the second chains on it.
    #[test]
    fn cbc_is_sp_800_38a() {
        let key = Zeroizing::new([
            0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
            0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
        ]);
        let block =
            [0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a];
        let ecb =
            [0xf3, 0xee, 0xd1, 0xbd, 0xb5, 0xd2, 0xa0, 0x3c, 0x06, 0x4b, 0x5a, 0x7e, 0x3d, 0xb1, 0x81, 0xf8];
        let mut plain = [0; 32];
        plain[..16].copy_from_slice(&block);
        for i in 0..16 {
            plain[16 + i] = block[i] ^ ecb[i];
        }
        let out = cbc_two_blocks(&key, &plain);
        assert_eq!(out[..16], ecb);
        assert_eq!(out[16..], ecb);
    }

    #[test]
    fn both_ends_agree_and_a_point_off_the_curve_is_refused() {
        let (a, b) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        let (public_a, public_b) = (public_key(&a).unwrap(), public_key(&b).unwrap());
        assert_eq!(*agree(&a, &public_b).unwrap(), *agree(&b, &public_a).unwrap());
        let mut off = public_a;
        off.0[64] ^= 1;
        assert!(!is_point(&off) && agree(&b, &off).is_none());
        let signature = sign(&a, &[9; 32]).unwrap();
        assert!(verify(&public_a, &[9; 32], &signature));
        assert!(!verify(&public_a, &[8; 32], &signature));
        assert!(!verify(&public_b, &[9; 32], &signature));
        assert_eq!(public_key(&Zeroizing::new([0; 32])), None);
        assert_eq!(public_key(&Zeroizing::new([0xff; 32])), None);
    }
}
