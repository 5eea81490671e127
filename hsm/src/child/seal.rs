//! Sealing data under keys of persons: AES-256-GCM (NIST SP 800-38D) in the HSM. Whoever destroys the record
//! of a person's key has made everything under it unreadable, in backups too.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::keys::Role;
use super::token::Token;
use crate::record::{KeyKind, Record};
use crate::types::SEAL_MAX;

const KEY_LEN: usize = 32;
const IV_LEN: usize = 12;
const TAG_LEN: usize = 16;

impl Token {
    pub(super) fn new_person_key(&self) -> Result<Vec<u8>, Fault> {
        let key = self.generate(KeyKind::Person, KEY_LEN, true)?;
        let blob = self.wrap(self.working.data_kek, key.handle, KEY_LEN)?;
        let record =
            Record { kek_id: self.working.data_kek_generation, kind: KeyKind::Person, true_len: 32, blob };
        Ok(record.encode())
    }

    /// IV, ciphertext, tag.
    pub(super) fn seal(&mut self, person_key: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Fault> {
        if plaintext.len() > SEAL_MAX {
            return Err(Fault::Refused(format!("{} bytes are more than {SEAL_MAX}", plaintext.len())));
        }
        let key = self.person_key(person_key)?;
        let mut iv = self.random(IV_LEN)?;
        let mut sealed = iv.to_vec();
        let mechanism = gcm(&mut iv, aad)?;
        sealed.extend(self.session.encrypt(&mechanism, key, plaintext)?);
        Ok(sealed)
    }

    pub(super) fn open(
        &mut self,
        person_key: &[u8],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        if sealed.len() < IV_LEN + TAG_LEN {
            return Err(Fault::Refused("sealed data is cut".into()));
        }
        let key = self.person_key(person_key)?;
        let (iv, ciphertext) = sealed.split_at(IV_LEN);
        let mut iv = iv.to_vec();
        let mechanism = gcm(&mut iv, aad)?;
        Ok(Zeroizing::new(self.session.decrypt(&mechanism, key, ciphertext)?))
    }

    fn person_key(&mut self, record: &[u8]) -> Result<ObjectHandle, Fault> {
        if let Some(handle) = self.cache.get(record) {
            return Ok(handle);
        }
        let Some(Record { kek_id, kind: KeyKind::Person, blob, .. }) = Record::decode(record) else {
            return Err(Fault::Refused("not the record of a person's key".into()));
        };
        let Some(kek) = self.keys.get(Role::DataKek, kek_id) else {
            return Err(Fault::Refused(format!("the token has no data KEK of generation {kek_id}")));
        };
        let handle = self.unwrap(kek, KeyKind::Person, &blob)?.keep();
        self.cache.put(&self.session, record.to_vec(), handle)?;
        Ok(handle)
    }
}

fn gcm<'a>(iv: &'a mut [u8], aad: &'a [u8]) -> Result<Mechanism<'a>, Fault> {
    Ok(Mechanism::AesGcm(GcmParams::new(iv, aad, (8 * TAG_LEN as u64).into())?))
}
