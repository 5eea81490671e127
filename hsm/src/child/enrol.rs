//! A secret becomes a record: made or taken, padded, wrapped, tried, and gone.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::matching;
use super::token::{SessionKey, Token};
use crate::mac::record_message;
use crate::record::{KeyKind, Record, padded_len};
use crate::types::{Enrol, Enrolled, Hash, MacPurpose, SECRET_MAX, SECRET_MIN, SecretSource};

/// What a new key has to authenticate before its record leaves.
pub(super) const TRIAL: &[u8] = b"countersign.trial";

impl Token {
    /// Extractable only between birth and wrapping; what is kept was unwrapped from the record itself.
    pub(super) fn enrol(&mut self, enrol: &Enrol) -> Result<Enrolled, Fault> {
        let kind = KeyKind::Secret(enrol.hash);
        let true_len = match &enrol.source {
            SecretSource::Generate { len } => *len,
            SecretSource::Import(secret) => secret.len(),
        };
        if !(SECRET_MIN..=SECRET_MAX).contains(&true_len) {
            return Err(Fault::Refused(format!(
                "a secret of {true_len} bytes is not within {SECRET_MIN} to {SECRET_MAX} bytes"
            )));
        }
        let secret = match &enrol.source {
            SecretSource::Import(secret) => Some(secret.clone()),
            SecretSource::Generate { len } if enrol.reveal || padded_len(enrol.hash, *len) != *len => {
                Some(self.random(*len)?)
            }
            SecretSource::Generate { .. } => None,
        };
        let hmac_key = secret.as_ref().map(|secret| hmac_key(enrol.hash, secret));
        let len = hmac_key.as_ref().map_or(true_len, |key| key.len());
        let passing = match &hmac_key {
            Some(key) => self.create(kind, key)?,
            None => self.generate(kind, len, true)?,
        };
        if let Some(secret) = &secret {
            let expected = self.hmac(enrol.hash, passing.handle, TRIAL)?;
            if !bool::from(software_hmac(enrol.hash, secret, TRIAL).ct_eq(&expected)) {
                return Err(Fault::Device("a key computes another HMAC than its secret".into()));
            }
        }
        let (record, kept) = self.record(kind, &passing, len, true_len)?;
        let record_mac = self.mac(MacPurpose::Record, &record_message(&record, &enrol.binding))?;
        let state_mac = self.mac(MacPurpose::State, &enrol.state)?;
        let handle = kept.keep();
        drop(passing);
        let name = matching::cache_name(&record, &enrol.binding, &record_mac);
        self.cache.put(&self.session, name, handle)?;
        Ok(Enrolled { record, record_mac, state_mac, secret: secret.filter(|_| enrol.reveal) })
    }

    /// The record of an extractable key of `len` bytes, and the key as the record gives it back.
    pub(super) fn record(
        &self,
        kind: KeyKind,
        passing: &SessionKey<'_>,
        len: usize,
        true_len: usize,
    ) -> Result<(Vec<u8>, SessionKey<'_>), Fault> {
        let (kek_id, kek) = (self.working.kek_generation, self.working.kek);
        let hash = match kind {
            KeyKind::Secret(hash) => hash,
            KeyKind::Message | KeyKind::Person => Hash::Sha256,
        };
        let blob = self.wrap(kek, passing.handle, len)?;
        let kept = self.unwrap(kek, kind, &blob)?;
        let expected = self.hmac(hash, passing.handle, TRIAL)?;
        if !bool::from(self.hmac(hash, kept.handle, TRIAL)?.ct_eq(&expected)) {
            return Err(Fault::Device("a wrapped key computes another HMAC than its secret".into()));
        }
        let true_len = u16::try_from(true_len).expect("SECRET_MAX fits in 16 bits");
        Ok((Record { kek_id, kind, true_len, blob }.encode(), kept))
    }
}

/// The key that HMAC makes of a secret (RFC 2104 section 2), as far as padding goes: hashed when longer than
/// a block, then filled with zero bytes.
fn hmac_key(hash: Hash, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(SECRET_MAX));
    match hash {
        Hash::Sha1 if secret.len() > 64 => key.extend_from_slice(&Sha1::digest(secret)),
        Hash::Sha256 if secret.len() > 64 => key.extend_from_slice(&Sha256::digest(secret)),
        Hash::Sha1 | Hash::Sha256 | Hash::Sha512 => key.extend_from_slice(secret),
    }
    let padded = padded_len(hash, key.len());
    key.resize(padded, 0);
    key
}

pub(super) fn software_hmac(hash: Hash, secret: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    fn over<M: Mac + KeyInit>(secret: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(message);
        Zeroizing::new(mac.finalize().into_bytes().to_vec())
    }
    match hash {
        Hash::Sha1 => over::<Hmac<Sha1>>(secret, message),
        Hash::Sha256 => over::<Hmac<Sha256>>(secret, message),
        Hash::Sha512 => over::<Hmac<Sha512>>(secret, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_key_gives_the_same_hmac() {
        for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
            for len in [16, 20, 32, 33, 64, 65, 127, 128] {
                let secret: Vec<u8> = (0..len).collect();
                let key = hmac_key(hash, &secret);
                assert_eq!(
                    software_hmac(hash, &secret, b"message"),
                    software_hmac(hash, &key, b"message"),
                    "{hash:?}, {len} bytes"
                );
                assert_eq!(key.len() % 8, 0);
            }
        }
    }
}
