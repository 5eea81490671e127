//! One-time codes as an app computes them: HOTP (RFC 4226) and TOTP (RFC 6238), with arithmetic of its own.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

/// Hash of the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// How many digits an app shows: it knows no other number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digits {
    /// Six.
    Six,
    /// Eight.
    Eight,
}

/// A shared secret and how codes are made from it.
#[derive(Clone)]
pub struct Secret {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) algorithm: Algorithm,
    pub(crate) digits: Digits,
    /// Seconds of a time step; not 0.
    pub(crate) period_s: u64,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

macro_rules! mac {
    ($hash:ty, $key:expr, $message:expr) => {{
        let mac = <Hmac<$hash> as KeyInit>::new_from_slice($key).expect("HMAC takes keys of any length");
        Zeroizing::new(mac.chain_update($message).finalize().into_bytes().to_vec())
    }};
}

impl Secret {
    /// The code of a moving factor (RFC 4226, 5.3).
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn hotp(&self, factor: u64) -> String {
        let factor = factor.to_be_bytes();
        let mac = match self.algorithm {
            Algorithm::Sha1 => mac!(Sha1, &self.bytes, factor),
            Algorithm::Sha256 => mac!(Sha256, &self.bytes, factor),
            Algorithm::Sha512 => mac!(Sha512, &self.bytes, factor),
        };
        let at = usize::from(mac[mac.len() - 1] & 0xf);
        let word = u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]]);
        match self.digits {
            Digits::Six => format!("{:06}", word % 1_000_000),
            Digits::Eight => format!("{:08}", word % 100_000_000),
        }
    }

    /// The code at a Unix time in seconds (RFC 6238, 4.2).
    pub fn totp(&self, unix_s: u64) -> String {
        self.hotp(unix_s / self.period_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226 appendix D, RFC 6238 appendix B.
    #[test]
    fn the_published_codes_are_computed() {
        let seed = b"12345678901234567890";
        let secret = |algorithm, len, digits| Secret {
            bytes: Zeroizing::new(seed.iter().copied().cycle().take(len).collect()),
            algorithm,
            digits,
            period_s: 30,
        };
        let six = secret(Algorithm::Sha1, 20, Digits::Six);
        assert_eq!([six.hotp(0), six.hotp(1), six.hotp(9)], ["755224", "287082", "520489"]);
        assert_eq!(secret(Algorithm::Sha1, 20, Digits::Eight).totp(59), "94287082");
        assert_eq!(secret(Algorithm::Sha256, 32, Digits::Eight).totp(1_111_111_109), "68084774");
        assert_eq!(secret(Algorithm::Sha512, 64, Digits::Eight).totp(20_000_000_000), "47863826");
        assert!(!format!("{six:?}").contains("49"), "a secret in Debug");
    }
}
