//! An independent judge of codes: RFC 4226 and RFC 6238 in software, sharing nothing with the appliance.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

/// Hash of the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
            Algorithm::Sha512 => "SHA512",
        }
    }
}

/// A shared secret and how codes are made from it.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The secret's bytes.
    pub bytes: Vec<u8>,
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: u32,
    /// Seconds of a TOTP step.
    pub period: u64,
}

impl Secret {
    /// SHA-1, six digits, 30 seconds.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret { bytes: bytes.into(), algorithm: Algorithm::Sha1, digits: 6, period: 30 }
    }

    /// Reads the secret of an `otpauth://` URI with its algorithm, digits and period.
    ///
    /// # Panics
    /// When the URI has no Base32 secret.
    pub fn of_uri(uri: &str) -> Secret {
        let (_, query) = uri.split_once('?').expect("a URI with a query");
        let field = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, v)| v)
        };
        let text = field("secret").expect("a URI with a secret");
        let number = |name, default: u64| field(name).map_or(default, |text| text.parse().expect("a number"));
        Secret {
            bytes: BASE32_NOPAD.decode(text.trim_end_matches('=').as_bytes()).expect("Base32"),
            algorithm: match field("algorithm") {
                Some("SHA256") => Algorithm::Sha256,
                Some("SHA512") => Algorithm::Sha512,
                _ => Algorithm::Sha1,
            },
            digits: u32::try_from(number("digits", 6)).expect("few digits"),
            period: number("period", 30),
        }
    }

    /// The secret as people type it.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.bytes)
    }

    /// The code of a moving factor (RFC 4226, 5.3).
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn hotp(&self, factor: u64) -> String {
        let factor = factor.to_be_bytes();
        let proof = "HMAC takes keys of any length";
        let mac: Vec<u8> = match self.algorithm {
            Algorithm::Sha1 => {
                let mac = Hmac::<Sha1>::new_from_slice(&self.bytes).expect(proof);
                mac.chain_update(factor).finalize().into_bytes().to_vec()
            }
            Algorithm::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(&self.bytes).expect(proof);
                mac.chain_update(factor).finalize().into_bytes().to_vec()
            }
            Algorithm::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(&self.bytes).expect(proof);
                mac.chain_update(factor).finalize().into_bytes().to_vec()
            }
        };
        let offset = usize::from(mac[mac.len() - 1] & 0xf);
        let word = [mac[offset] & 0x7f, mac[offset + 1], mac[offset + 2], mac[offset + 3]];
        let code = u64::from(u32::from_be_bytes(word)) % 10u64.pow(self.digits);
        format!("{code:0width$}", width = usize::try_from(self.digits).expect("few digits"))
    }

    /// The code at a Unix time in seconds (RFC 6238, 4.2).
    pub fn totp(&self, unix_s: u64) -> String {
        self.hotp(unix_s / self.period)
    }

    /// A code that no factor in `factors` has.
    pub fn wrong(&self, factors: impl IntoIterator<Item = u64>) -> String {
        let right: Vec<String> = factors.into_iter().map(|factor| self.hotp(factor)).collect();
        let width = usize::try_from(self.digits).unwrap_or(6);
        (0..).map(|n| format!("{n:0width$}")).find(|code| !right.contains(code)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226 appendix D, RFC 6238 appendix B.
    #[test]
    fn the_judge_knows_the_published_codes() {
        let seed = "12345678901234567890";
        assert_eq!(Secret::new(seed).hotp(0), "755224");
        assert_eq!(Secret::new(seed).hotp(9), "520489");
        let eight = |algorithm, bytes: &[u8]| Secret { algorithm, digits: 8, ..Secret::new(bytes) };
        assert_eq!(eight(Algorithm::Sha1, seed.as_bytes()).totp(59), "94287082");
        let long: Vec<u8> = seed.bytes().cycle().take(64).collect();
        assert_eq!(eight(Algorithm::Sha256, &long[..32]).totp(1_111_111_109), "68084774");
        assert_eq!(eight(Algorithm::Sha512, &long).totp(20_000_000_000), "47863826");
    }
}
