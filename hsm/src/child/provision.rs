//! A secret for a hardware token: born in the HSM, wrapped for the device and for storage, and gone. The
//! protocol is docs/provisioning.md; its names are used here.

use std::time::Instant;

use cryptoki::mechanism::ekdf::AesCbcDeriveParams;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::curve;
use super::fault::Fault;
use super::sign;
use super::token::{SessionKey, Token};
use crate::mac::record_message;
use crate::record::{KeyKind, padded_len};
use crate::types::{
    CONFIRMATION_LEN, Hash, MacPurpose, POINT_LEN, POLICY_MAX, Provision, Provisioned, SECRET_MAX, SignKey,
};
use crate::wire::Confirm;

/// The first bytes of M_1.
const LABEL: &[u8] = b"countersign provisioning 1";
/// KEK and K_c by CKM_AES_CBC_ENCRYPT_DATA.
const SUITE_CBC: u8 = 2;
/// Length of every derived key, in bytes.
const KEY_LEN: u64 = 32;

/// One half of a key agreement, of one exchange.
struct Ephemeral<'a> {
    private: SessionKey<'a>,
    point: [u8; POINT_LEN],
}

impl Token {
    pub(super) fn provision(&mut self, request: &Provision, now: Instant) -> Result<Provisioned, Fault> {
        self.expire(now)?;
        let (provisioned, confirmation) = self.exchange(request)?;
        if let Some(evicted) = self.exchanges.put(provisioned.exchange, confirmation, now) {
            self.session.destroy_object(evicted)?;
        }
        Ok(provisioned)
    }

    /// The key is taken before anything is compared: there is one attempt.
    pub(super) fn confirm(
        &mut self,
        request: &Confirm,
        now: Instant,
    ) -> Result<[u8; CONFIRMATION_LEN], Fault> {
        self.expire(now)?;
        let Some(key) = self.exchanges.take(request.exchange) else {
            return Err(Fault::Refused(
                "no such exchange is waiting for its confirmation: begin again".into(),
            ));
        };
        let key = SessionKey::new(&self.session, key);
        if request.device_message == request.host_message {
            return Err(Fault::Refused("device and host have to confirm different messages".into()));
        }
        let expected = self.confirmation(&key, &request.device_message)?;
        if !bool::from(expected.ct_eq(&request.tag)) {
            return Err(Fault::Refused(
                "the device's confirmation does not fit; the exchange is over".into(),
            ));
        }
        self.confirmation(&key, &request.host_message)
    }

    pub(super) fn abandon(&mut self, exchange: u64) -> Result<(), Fault> {
        match self.exchanges.take(exchange) {
            Some(key) => Ok(self.session.destroy_object(key)?),
            None => Ok(()),
        }
    }

    /// Whether the module can agree on keys as suite 2 has it, listed or not.
    pub(super) fn agrees(&self) -> bool {
        let derived = |ephemeral: &Ephemeral<'_>| {
            let shared = self.agree(ephemeral, &ephemeral.point)?;
            self.kek(&shared, &[0; 32])?;
            self.confirmation_key(&shared, &[0; 32]).map(drop)
        };
        self.ephemeral().and_then(|ephemeral| derived(&ephemeral)).is_ok()
    }

    /// Everything but the confirmation key is destroyed on return.
    fn exchange(&self, request: &Provision) -> Result<(Provisioned, ObjectHandle), Fault> {
        let (ecdsa, host) = self.signing.get(SignKey::Host)?;
        admit(request, &host.point)?;
        if !ecdsa.verify(&self.session, &request.attestation, &request.signed, &request.signature)? {
            return Err(Fault::Refused("the device's signature does not fit its attestation key".into()));
        }
        let ephemeral = self.ephemeral()?;
        let context = context(&request.signed, &ephemeral.point, &request.policy);
        let shared = self.agree(&ephemeral, &request.device_ephemeral)?;
        let kek = self.kek(&shared, &context)?;
        let confirmation = self.confirmation_key(&shared, &context)?;
        let len = request.secret_len;
        let secret = self.generate(KeyKind::Secret(request.hash), len, true)?;
        let wrapped = self.wrap(kek.handle, secret.handle, len)?;
        let (record, _) = self.record(KeyKind::Secret(request.hash), &secret, len, len)?;
        drop(secret);
        let record_mac = self.mac(MacPurpose::Record, &record_message(&record, &request.binding))?;
        let state_mac = self.mac(MacPurpose::State, &request.state)?;
        let mut exchange = [0; 8];
        self.session.generate_random_slice(&mut exchange)?;
        let provisioned = Provisioned {
            exchange: u64::from_le_bytes(exchange),
            host_ephemeral: ephemeral.point,
            wrapped,
            record,
            record_mac,
            state_mac,
        };
        Ok((provisioned, confirmation.keep()))
    }

    fn ephemeral(&self) -> Result<Ephemeral<'_>, Fault> {
        let public = [
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(curve::PARAMS.to_vec()),
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Verify(false),
        ];
        let private = [
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Derive(true),
            Attribute::Sign(false),
        ];
        let (public, private) =
            self.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
        let public = SessionKey::new(&self.session, public);
        let private = SessionKey::new(&self.session, private);
        Ok(Ephemeral { point: curve::point(&self.session, public.handle)?, private })
    }

    /// Z: the x-coordinate of the shared point, good for nothing but derivation.
    fn agree(&self, own: &Ephemeral<'_>, theirs: &[u8; POINT_LEN]) -> Result<SessionKey<'_>, Fault> {
        let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), theirs));
        self.derive(
            &mechanism,
            &own.private,
            KeyType::AES,
            AttributeType::Derive,
            MechanismType::AES_CBC_ENCRYPT_DATA,
        )
    }

    fn kek(&self, shared: &SessionKey<'_>, context: &[u8; 32]) -> Result<SessionKey<'_>, Fault> {
        let data = labelled(b"kek", context);
        self.derive(
            &Mechanism::AesCbcEncryptData(AesCbcDeriveParams::new([0; 16], &data)),
            shared,
            KeyType::AES,
            AttributeType::Wrap,
            MechanismType::AES_KEY_WRAP,
        )
    }

    /// K_c.
    fn confirmation_key(&self, shared: &SessionKey<'_>, context: &[u8; 32]) -> Result<SessionKey<'_>, Fault> {
        let data = labelled(b"confirm", context);
        self.derive(
            &Mechanism::AesCbcEncryptData(AesCbcDeriveParams::new([0; 16], &data)),
            shared,
            KeyType::GENERIC_SECRET,
            AttributeType::Sign,
            MechanismType::SHA256_HMAC,
        )
    }

    /// A session key that can be used in one way and not taken out.
    fn derive(
        &self,
        mechanism: &Mechanism<'_>,
        base: &SessionKey<'_>,
        key_type: KeyType,
        usage: AttributeType,
        allowed: MechanismType,
    ) -> Result<SessionKey<'_>, Fault> {
        let template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(key_type),
            Attribute::ValueLen(KEY_LEN.into()),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Derive(usage == AttributeType::Derive),
            Attribute::Wrap(usage == AttributeType::Wrap),
            Attribute::Sign(usage == AttributeType::Sign),
            Attribute::Verify(false),
            Attribute::Unwrap(false),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
        ];
        self.with_optional(template, allowed, |template| {
            self.session.derive_key(mechanism, base.handle, template)
        })
    }

    fn confirmation(&self, key: &SessionKey<'_>, message: &[u8]) -> Result<[u8; CONFIRMATION_LEN], Fault> {
        sign::bounded(message)?;
        let mac = self.hmac(Hash::Sha256, key.handle, message)?;
        mac.first_chunk()
            .copied()
            .ok_or_else(|| Fault::Device(format!("CKM_SHA256_HMAC gave {} bytes", mac.len())))
    }

    fn expire(&mut self, now: Instant) -> Result<(), Fault> {
        for key in self.exchanges.expire(now) {
            self.session.destroy_object(key)?;
        }
        Ok(())
    }
}

/// Refuses a request that is not for what the device signed, or cannot be served.
fn admit(request: &Provision, host: &[u8; POINT_LEN]) -> Result<(), Fault> {
    sign::bounded(&request.signed)?;
    let refused = |reason: &str| Err(Fault::Refused(reason.into()));
    let (suite, len) = (request.suite, request.secret_len);
    if suite != SUITE_CBC {
        return Err(Fault::Refused(format!("suite {suite} of the key agreement is not known")));
    }
    if request.policy.len() > POLICY_MAX {
        return Err(Fault::Refused(format!("a policy is at most {POLICY_MAX} bytes long")));
    }
    if len > SECRET_MAX || padded_len(request.hash, len) != len {
        return Err(Fault::Refused(format!(
            "a secret of {len} bytes cannot stay in the HSM: SHA-1 and SHA-256 take 32 or 64, SHA-512 64 or 128"
        )));
    }
    if !request.signed.starts_with(&[LABEL, &[suite]].concat()) {
        return refused("what the device signed is not for this suite");
    }
    let mut keys = Vec::with_capacity(2 * (4 + POINT_LEN));
    for point in [host, &request.device_ephemeral] {
        append(&mut keys, point);
    }
    if !request.signed.ends_with(&keys) {
        return refused("what the device signed is not for this host key and this ephemeral key");
    }
    Ok(())
}

/// ctx: what both sides have to agree on for the same keys to come out.
fn context(signed: &[u8], host_ephemeral: &[u8; POINT_LEN], policy: &[u8]) -> [u8; 32] {
    let mut transcript = signed.to_vec();
    append(&mut transcript, host_ephemeral);
    append(&mut transcript, policy);
    Sha256::digest(&transcript).into()
}

fn labelled(label: &[u8], context: &[u8; 32]) -> [u8; 32] {
    Sha256::digest([label, context].concat()).into()
}

/// Adds L(field).
fn append(to: &mut Vec<u8>, field: &[u8]) {
    let len = u32::try_from(field.len()).expect("fields are bounded");
    to.extend_from_slice(&len.to_be_bytes());
    to.extend_from_slice(field);
}
