//! The maker certificate: the maker's word that a serial and an attestation key belong together.

use serde::{Deserialize, Serialize};

use crate::octets::{Octets, Point, Signature};
use crate::serial::Serial;
use crate::transcript;

/// The longest certificate on the wire, in bytes.
pub const CERTIFICATE_MAX: usize = 1 + 8 + 1 + crate::serial::SERIAL_MAX + 65 + 5 + 5 + 64;

/// Names a maker key: the first 8 bytes of the SHA-256 of its point.
pub type KeyId = Octets<8>;

/// What the factory writes into a token. The signature is the maker key's over
/// [`transcript::certificate`]; this crate lays the bytes out and whoever pins the maker key checks them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakerCertificate {
    /// Which maker key signed.
    pub maker: KeyId,
    /// The token's serial.
    pub serial: Serial,
    /// The attestation key Q_A.
    pub key: Point,
    /// The first day of validity, counted from 1970-01-01.
    pub issued: u32,
    /// The last day of validity, counted from 1970-01-01.
    pub expires: u32,
    /// ECDSA with SHA-256.
    pub signature: Signature,
}

impl MakerCertificate {
    /// The layout that is signed.
    pub const VERSION: u8 = 1;

    /// The id of a maker key.
    pub fn key_id(maker_key: &Point) -> KeyId {
        let digest = transcript::fingerprint(maker_key);
        Octets(core::array::from_fn(|i| digest.0[i]))
    }

    /// Whether `day`, counted from 1970-01-01, lies within the validity.
    #[must_use]
    pub const fn is_current(&self, day: u32) -> bool {
        self.issued <= day && day <= self.expires
    }
}
