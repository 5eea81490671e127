//! The hash functions that OATH puts under HMAC (RFC 6238 section 1.2). Names and lengths only.

use crate::Error;

/// The hash function of a token's HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC-SHA-1: RFC 4226, and the default of RFC 6238.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, weakest hash first.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// Reads the `algorithm` parameter of an otpauth URI; upper and lower case are the same.
    ///
    /// # Errors
    /// [`Error::UnknownAlgorithm`] for any other text.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or(Error::UnknownAlgorithm)
    }

    /// The name that [`Self::parse`] reads and otpauth URIs carry: `SHA1`, `SHA256`, `SHA512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Length of the MAC in bytes, which is also the key length that RFC 6238's vectors use.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_either_case() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name()), Ok(algorithm));
            assert_eq!(Algorithm::parse(&algorithm.name().to_ascii_lowercase()), Ok(algorithm));
        }
        for name in ["", "SHA", "SHA-1", "MD5", "SHA1 ", "HmacSHA1"] {
            assert_eq!(Algorithm::parse(name), Err(Error::UnknownAlgorithm), "{name:?}");
        }
    }
}
