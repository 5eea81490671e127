//! Judging codes: the hot path. Codes are made here, compared here and forgotten here.

use cryptoki::object::ObjectHandle;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::keys::Role;
use super::token::Token;
use crate::mac::record_message;
use crate::record::{KeyKind, Record};
use crate::types::{
    CODE_MAX, Compute, FACTORS_MAX, Hash, MATCH_BATCH_MAX, MESSAGES_MAX, MacPurpose, Match, MatchKey,
    Matched, Tampered,
};

/// A rendered code and its length.
struct Code {
    bytes: Zeroizing<[u8; CODE_MAX]>,
    len: usize,
}

impl Token {
    pub(super) fn match_codes(&mut self, batch: &[Match]) -> Result<Vec<Matched>, Fault> {
        if batch.len() > MATCH_BATCH_MAX {
            return Err(Fault::Refused(format!(
                "{} candidates are more than {MATCH_BATCH_MAX}",
                batch.len()
            )));
        }
        if let Some(entry) = batch.iter().find(|entry| entry.factors.len() > FACTORS_MAX) {
            return Err(Fault::Refused(format!(
                "{} factors are more than {FACTORS_MAX}",
                entry.factors.len()
            )));
        }
        batch.iter().map(|entry| self.judge(entry)).collect()
    }

    pub(super) fn compute(&self, compute: &Compute) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let code = self.code(self.working.code, Hash::Sha256, &compute.format, &compute.messages)?;
        match code {
            Some(code) => Ok(Zeroizing::new(code.bytes[..code.len].to_vec())),
            None => Err(Fault::Refused(format!("none of {} messages gives a code", compute.messages.len()))),
        }
    }

    /// Every factor is computed, whether or not one before it was the one: time tells nothing.
    fn judge(&mut self, entry: &Match) -> Result<Matched, Fault> {
        let (key, hash) = match &entry.key {
            MatchKey::SentCode => (self.working.code, Hash::Sha256),
            MatchKey::Record { record, binding, record_mac } => {
                match self.secret(record, binding, record_mac)? {
                    Some(secret) => secret,
                    None => return Ok(Matched::Tampered { what: Tampered::Record }),
                }
            }
        };
        if !self.mac_fits(MacPurpose::State, &entry.state, &entry.state_mac)? {
            return Ok(Matched::Tampered { what: Tampered::State });
        }
        let mut hit = None;
        for (index, factor) in entry.factors.iter().enumerate() {
            let code = self.code(key, hash, &entry.format, &factor.messages)?;
            let equal = code.is_some_and(|code| code.is(&entry.candidate));
            if equal && hit.is_none() {
                hit = Some(index);
            }
        }
        Ok(match hit {
            Some(factor) => Matched::Hit {
                factor,
                next_mac: self.mac(MacPurpose::State, &entry.factors[factor].next_state)?,
            },
            None => Matched::Miss { next_mac: self.mac(MacPurpose::State, &entry.refusal)? },
        })
    }

    /// The first code that the messages give under a key, if any.
    fn code(
        &self,
        key: ObjectHandle,
        hash: Hash,
        format: &[u8],
        messages: &[Vec<u8>],
    ) -> Result<Option<Code>, Fault> {
        if messages.len() > MESSAGES_MAX {
            return Err(Fault::Refused(format!("{} messages are more than {MESSAGES_MAX}", messages.len())));
        }
        for message in messages {
            let mac = self.hmac(hash, key, message)?;
            let mut bytes = Zeroizing::new([0; CODE_MAX]);
            match (self.render)(format, &mac, &mut bytes) {
                Some(len) if (1..=CODE_MAX).contains(&len) => {
                    bytes[len..].fill(0);
                    return Ok(Some(Code { bytes, len }));
                }
                Some(_) | None => {}
            }
        }
        Ok(None)
    }

    /// The handle of an enrolled secret, or `None` where record and binding do not bear this MAC.
    fn secret(
        &mut self,
        record: &[u8],
        binding: &[u8],
        record_mac: &[u8; 32],
    ) -> Result<Option<(ObjectHandle, Hash)>, Fault> {
        let name = cache_name(record, binding, record_mac);
        let cached = self.cache.get(&name);
        if cached.is_none()
            && !self.mac_fits(MacPurpose::Record, &record_message(record, binding), record_mac)?
        {
            return Ok(None);
        }
        let decoded = Record::decode(record);
        let Some(Record { kek_id, kind: kind @ KeyKind::Secret(hash), blob, .. }) = decoded else {
            return Err(Fault::Refused("not the record of a secret".into()));
        };
        if let Some(handle) = cached {
            return Ok(Some((handle, hash)));
        }
        let Some(kek) = self.keys.get(Role::UseKek, kek_id) else {
            return Err(Fault::Refused(format!("the token has no use-KEK of generation {kek_id}")));
        };
        let handle = self.unwrap(kek, kind, &blob)?.keep();
        self.cache.put(&self.session, name, handle)?;
        Ok(Some((handle, hash)))
    }
}

impl Code {
    /// In constant time for candidates of one length.
    fn is(&self, candidate: &[u8]) -> bool {
        let mut padded = Zeroizing::new([0; CODE_MAX]);
        let fits = candidate.len().min(CODE_MAX);
        padded[..fits].copy_from_slice(&candidate[..fits]);
        let same: Choice = self.bytes.ct_eq(&*padded) & self.len.ct_eq(&candidate.len());
        same.into()
    }
}

/// Under what an unwrapped secret is kept: all that its MAC was checked over, and the MAC. Without the
/// binding, a record moved to another row would be found here and escape the check.
pub(super) fn cache_name(record: &[u8], binding: &[u8], record_mac: &[u8; 32]) -> Vec<u8> {
    let mut name = record_mac.to_vec();
    name.extend(record_message(record, binding));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_equals_itself_only() {
        let mut bytes = Zeroizing::new([0; CODE_MAX]);
        bytes[..6].copy_from_slice(b"755224");
        let code = Code { bytes, len: 6 };
        assert!(code.is(b"755224"));
        for other in [b"755225".as_slice(), b"75522", b"755224\0", b"", &[b'7'; 40]] {
            assert!(!code.is(other));
        }
    }
}
