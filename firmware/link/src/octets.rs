//! Byte strings of fixed length, written without a length on the wire.

use core::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Exactly `N` bytes. All that the link carries in this form is public or wrapped, so `Debug` shows it in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Octets<const N: usize>(pub [u8; N]);

/// A P-256 point in the uncompressed form of SEC 1 section 2.3.3: 0x04, x, y.
pub type Point = Octets<65>;
/// An ECDSA P-256 signature with SHA-256: r, then s, 32 bytes each.
pub type Signature = Octets<64>;
/// A nonce of either side.
pub type Nonce16 = Octets<16>;
/// A key-confirmation tag: the first 16 bytes of an HMAC-SHA-256.
pub type Tag = Octets<16>;
/// A SHA-256 digest.
pub type Digest = Octets<32>;

impl<const N: usize> Octets<N> {
    /// The bytes as a slice.
    pub const fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> From<[u8; N]> for Octets<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> fmt::Debug for Octets<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> Serialize for Octets<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(N)?;
        for byte in &self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

impl<'de, const N: usize> Deserialize<'de> for Octets<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Exactly<const N: usize>;

        impl<'de, const N: usize> Visitor<'de> for Exactly<N> {
            type Value = Octets<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut bytes = [0; N];
                for (at, byte) in bytes.iter_mut().enumerate() {
                    *byte = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self))?;
                }
                Ok(Octets(bytes))
            }
        }

        deserializer.deserialize_tuple(N, Exactly)
    }
}
