//! The record: a wrapped key with what is needed to unwrap it. All integers little-endian:
//! `version u8 | kek_id u32 | wrap_alg u8 | key_type u8 | hash u8 | true_len u16 | blob`.

use crate::types::Hash;

const VERSION: u8 = 1;
const HEADER: usize = 10;
/// RFC 3394 adds one block of 64 bits to what it wraps.
pub(crate) const KW_OVERHEAD: usize = 8;
/// CKM_AES_KEY_WRAP over a key padded to a multiple of 8 bytes.
const WRAP_KW: u8 = 1;
/// The longest blob: 128 bytes of key, wrapped.
const BLOB_MAX: usize = 128 + KW_OVERHEAD;

/// What the wrapped key is, and so which KEK wraps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// A shared secret for HMAC with this hash; under the use-KEK.
    Secret(Hash),
    /// AES-256 for sealing; under the data KEK.
    Person,
    /// A shared secret that authenticates messages by HMAC-SHA256; under the use-KEK. It makes no codes.
    Message,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// CKA_ID of the KEK.
    pub(crate) kek_id: u32,
    pub(crate) kind: KeyKind,
    /// Length of the secret before padding, in bytes.
    pub(crate) true_len: u16,
    pub(crate) blob: Vec<u8>,
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (key_type, hash) = match self.kind {
            KeyKind::Secret(Hash::Sha1) => (1, 1),
            KeyKind::Secret(Hash::Sha256) => (1, 2),
            KeyKind::Secret(Hash::Sha512) => (1, 3),
            KeyKind::Person => (2, 0),
            KeyKind::Message => (3, 2),
        };
        let mut bytes = Vec::with_capacity(HEADER + self.blob.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.kek_id.to_le_bytes());
        bytes.extend_from_slice(&[WRAP_KW, key_type, hash]);
        bytes.extend_from_slice(&self.true_len.to_le_bytes());
        bytes.extend_from_slice(&self.blob);
        bytes
    }

    /// `None` for anything that [`Record::encode`] does not produce.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
        let (header, blob) = bytes.split_first_chunk::<HEADER>()?;
        let [VERSION, k0, k1, k2, k3, WRAP_KW, key_type, hash, l0, l1] = *header else { return None };
        let kind = match (key_type, hash) {
            (1, 1) => KeyKind::Secret(Hash::Sha1),
            (1, 2) => KeyKind::Secret(Hash::Sha256),
            (1, 3) => KeyKind::Secret(Hash::Sha512),
            (2, 0) => KeyKind::Person,
            (3, 2) => KeyKind::Message,
            _ => return None,
        };
        let whole = blob.len() % 8 == 0 && (3 * KW_OVERHEAD..=BLOB_MAX).contains(&blob.len());
        whole.then(|| Record {
            kek_id: u32::from_le_bytes([k0, k1, k2, k3]),
            kind,
            true_len: u16::from_le_bytes([l0, l1]),
            blob: blob.to_vec(),
        })
    }
}

/// Length of an HMAC key with zero bytes added (RFC 2104 section 2: equal MACs): 32 or 64 bytes for SHA-1
/// and SHA-256, 64 or 128 for SHA-512. It hides the length and is a multiple of 8. `len` is at most a block.
pub(crate) fn padded_len(hash: Hash, len: usize) -> usize {
    let (short, block) = match hash {
        Hash::Sha1 | Hash::Sha256 => (32, 64),
        Hash::Sha512 => (64, 128),
    };
    if len <= short { short } else { block }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_that_can_be_built_comes_back() {
        let kinds = [Hash::Sha1, Hash::Sha256, Hash::Sha512].map(KeyKind::Secret);
        for kind in kinds.into_iter().chain([KeyKind::Person, KeyKind::Message]) {
            for len in [40, 72, 136] {
                let record = Record { kek_id: 0x0102_0304, kind, true_len: 20, blob: vec![7; len] };
                assert_eq!(Record::decode(&record.encode()), Some(record));
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Record { kek_id: 1, kind: KeyKind::Person, true_len: 32, blob: vec![7; 40] }.encode();
        assert!(Record::decode(&good[..good.len() - 1]).is_none(), "cut");
        assert!(Record::decode(&[]).is_none(), "empty");
        for (at, value) in [(0, 2), (5, 2), (6, 3), (7, 1)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(Record::decode(&bad).is_none(), "byte {at}");
        }
    }

    #[test]
    fn padding_reaches_the_next_size_that_every_module_takes() {
        let cases = [
            (Hash::Sha1, 16, 32),
            (Hash::Sha1, 20, 32),
            (Hash::Sha256, 32, 32),
            (Hash::Sha256, 33, 64),
            (Hash::Sha512, 20, 64),
            (Hash::Sha512, 65, 128),
        ];
        for (hash, len, padded) in cases {
            assert_eq!(padded_len(hash, len), padded);
        }
    }
}
