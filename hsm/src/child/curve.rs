//! NIST P-256 in PKCS#11: its parameters, its points and ECDSA over it (FIPS 186-4, SEC 1).

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use sha2::{Digest, Sha256};

use super::fault::{Fault, describe, objects_to_attribute};
use super::token::SessionKey;
use crate::types::{POINT_LEN, SIGNATURE_LEN};

/// CKA_EC_PARAMS: the object identifier 1.2.840.10045.3.1.7 (prime256v1) in DER.
pub(super) const PARAMS: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// What the keys may sign and be verified with.
pub(super) const ECDSA: [MechanismType; 2] = [MechanismType::ECDSA, MechanismType::ECDSA_SHA256];
/// First byte of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 0x04;
/// DER OCTET STRING of an uncompressed point: tag and length.
const OCTET_STRING: [u8; 2] = [0x04, POINT_LEN as u8];

/// Where the message of a signature is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ecdsa {
    /// In the HSM: CKM_ECDSA_SHA256.
    Hashing,
    /// Here: CKM_ECDSA takes the digest.
    Digest,
}

impl Ecdsa {
    /// What a module that lists these mechanisms can do.
    pub(super) fn choose(listed: &[MechanismType]) -> Option<Ecdsa> {
        if listed.contains(&MechanismType::ECDSA_SHA256) {
            Some(Ecdsa::Hashing)
        } else {
            listed.contains(&MechanismType::ECDSA).then_some(Ecdsa::Digest)
        }
    }

    /// r and s, 32 bytes each.
    pub(super) fn sign(
        self,
        session: &Session,
        key: ObjectHandle,
        message: &[u8],
    ) -> Result<[u8; SIGNATURE_LEN], Fault> {
        let signature = match self {
            Ecdsa::Hashing => session.sign(&Mechanism::EcdsaSha256, key, message)?,
            Ecdsa::Digest => session.sign(&Mechanism::Ecdsa, key, &Sha256::digest(message))?,
        };
        let len = signature.len();
        signature.try_into().map_err(|_| Fault::Device(format!("CKM_ECDSA gave {len} bytes")))
    }

    /// Whether the owner of `public` has signed the message. A point that the module does not take has
    /// signed nothing.
    pub(super) fn verify(
        self,
        session: &Session,
        public: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<bool, Fault> {
        let Some(key) = import(session, public)? else { return Ok(false) };
        let outcome = match self {
            Ecdsa::Hashing => session.verify(&Mechanism::EcdsaSha256, key.handle, message, signature),
            Ecdsa::Digest => {
                session.verify(&Mechanism::Ecdsa, key.handle, &Sha256::digest(message), signature)
            }
        };
        match outcome {
            Ok(()) => Ok(true),
            Err(Error::Pkcs11(RvError::SignatureInvalid | RvError::SignatureLenRange, _)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// A session public key for verifying; `None` where the bytes are no uncompressed point.
fn import<'a>(session: &'a Session, public: &[u8; POINT_LEN]) -> Result<Option<SessionKey<'a>>, Fault> {
    if public[0] != UNCOMPRESSED {
        return Ok(None);
    }
    let create = |point: Vec<u8>| {
        session.create_object(&[
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(PARAMS.to_vec()),
            Attribute::EcPoint(point),
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Verify(true),
        ])
    };
    let made = match create([&OCTET_STRING, public.as_slice()].concat()) {
        Err(error) if objects_to_attribute(&error) => create(public.to_vec()),
        outcome => outcome,
    };
    // What modules say of a point off the curve ranges up to a device error: the canary decides whose it is.
    made.map(|handle| Some(SessionKey::new(session, handle)))
        .map_err(|error| Fault::Suspect(describe(&error)))
}

/// The point of a public key: CKA_EC_POINT, which some modules wrap in a DER OCTET STRING and some do not.
pub(super) fn point(session: &Session, public: ObjectHandle) -> Result<[u8; POINT_LEN], Fault> {
    let attributes = session.get_attributes(public, &[AttributeType::EcPoint])?;
    let Some(Attribute::EcPoint(bytes)) = attributes.first() else {
        return Err(Fault::Device("a public key has no CKA_EC_POINT".into()));
    };
    parse(bytes).ok_or_else(|| Fault::Device("CKA_EC_POINT is not an uncompressed point of P-256".into()))
}

fn parse(bytes: &[u8]) -> Option<[u8; POINT_LEN]> {
    let raw = match bytes.strip_prefix(&OCTET_STRING) {
        Some(raw) if raw.len() == POINT_LEN => raw,
        _ => bytes,
    };
    <[u8; POINT_LEN]>::try_from(raw).ok().filter(|point| point[0] == UNCOMPRESSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_wrapped_or_not() {
        let mut point = [7; POINT_LEN];
        point[0] = UNCOMPRESSED;
        let mut like_der = point;
        like_der[1] = OCTET_STRING[1];
        for point in [point, like_der] {
            assert_eq!(parse(&point), Some(point));
            assert_eq!(parse(&[&OCTET_STRING, point.as_slice()].concat()), Some(point));
        }
        let mut compressed = point;
        compressed[0] = 2;
        for bytes in [&[], &point[1..], &compressed, [point, point].as_flattened()] {
            assert_eq!(parse(bytes), None);
        }
    }

    #[test]
    fn hashing_in_the_hsm_is_preferred() {
        assert_eq!(Ecdsa::choose(&ECDSA), Some(Ecdsa::Hashing));
        assert_eq!(Ecdsa::choose(&ECDSA[..1]), Some(Ecdsa::Digest));
        assert_eq!(Ecdsa::choose(&[]), None);
    }
}
