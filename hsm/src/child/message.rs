//! Secrets that authenticate messages: HMAC-SHA256 over what a peer sends and is sent (RFC 2104). Their records are of
//! their own kind, so that none of them ever makes a code, and no code's secret ever signs.

use cryptoki::object::ObjectHandle;
use subtle::ConstantTimeEq;

use super::enrol::{TRIAL, software_hmac};
use super::fault::Fault;
use super::keys::Role;
use super::matching;
use super::token::Token;
use crate::mac::record_message;
use crate::record::{KeyKind, Record};
use crate::types::{
    AUTHENTICATE_MAX, Authenticate, Authenticated, Hash, MESSAGE_KEY_LEN, MESSAGE_MAX, MacPurpose, MessageKey,
};

impl Token {
    pub(super) fn enrol_message_key(&mut self, binding: &[u8]) -> Result<MessageKey, Fault> {
        let secret = self.random(MESSAGE_KEY_LEN)?;
        let passing = self.create(KeyKind::Message, &secret)?;
        let expected = self.hmac(Hash::Sha256, passing.handle, TRIAL)?;
        if !bool::from(software_hmac(Hash::Sha256, &secret, TRIAL).ct_eq(&expected)) {
            return Err(Fault::Device("a key computes another HMAC than its secret".into()));
        }
        let (record, kept) = self.record(KeyKind::Message, &passing, MESSAGE_KEY_LEN, MESSAGE_KEY_LEN)?;
        let record_mac = self.mac(MacPurpose::Record, &record_message(&record, binding))?;
        let handle = kept.keep();
        drop(passing);
        let name = matching::cache_name(&record, binding, &record_mac);
        self.cache.put(&self.session, name, handle)?;
        Ok(MessageKey { record, record_mac, secret })
    }

    pub(super) fn authenticate(&mut self, request: &Authenticate) -> Result<Authenticated, Fault> {
        let Authenticate { messages, .. } = request;
        if messages.len() > AUTHENTICATE_MAX || messages.iter().any(|message| message.len() > MESSAGE_MAX) {
            return Err(Fault::Refused(format!(
                "messages are at most {AUTHENTICATE_MAX}, of at most {MESSAGE_MAX} bytes"
            )));
        }
        let Some(key) = self.message_key(request)? else { return Ok(Authenticated::Tampered) };
        let mac = |message: &Vec<u8>| {
            let mac = self.hmac(Hash::Sha256, key, message)?;
            mac.as_slice()
                .try_into()
                .map_err(|_| Fault::Device(format!("CKM_SHA256_HMAC gave {} bytes", mac.len())))
        };
        messages.iter().map(mac).collect::<Result<_, _>>().map(Authenticated::Macs)
    }

    /// The handle, or `None` where record and binding do not bear this MAC.
    fn message_key(&mut self, request: &Authenticate) -> Result<Option<ObjectHandle>, Fault> {
        let Authenticate { record, binding, record_mac, .. } = request;
        let name = matching::cache_name(record, binding, record_mac);
        let cached = self.cache.get(&name);
        if cached.is_none()
            && !self.mac_fits(MacPurpose::Record, &record_message(record, binding), record_mac)?
        {
            return Ok(None);
        }
        // The kind is looked at before the cache is: a code's secret may be in it under the same name.
        let Some(Record { kek_id, kind: KeyKind::Message, blob, .. }) = Record::decode(record) else {
            return Err(Fault::Refused("not the record of a secret that authenticates messages".into()));
        };
        if cached.is_some() {
            return Ok(cached);
        }
        let Some(kek) = self.keys.get(Role::UseKek, kek_id) else {
            return Err(Fault::Refused(format!("the token has no use-KEK of generation {kek_id}")));
        };
        let handle = self.unwrap(kek, KeyKind::Message, &blob)?.keep();
        self.cache.put(&self.session, name, handle)?;
        Ok(Some(handle))
    }
}
