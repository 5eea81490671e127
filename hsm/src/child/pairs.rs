//! The long-term key pairs on the token: P-256, for ECDSA. Both halves are labelled
//! `countersign-<role>-<generation>`, CKA_ID is the generation as u32 big-endian.
//!
//! A token may lack them: it was made before they existed, or its module has no elliptic curves.

use std::collections::BTreeMap;

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::attributes::{self, Expectation};
use super::curve;
use super::fault::{Fault, objects_to_attribute};
use super::keys::LABEL_PREFIX;
use crate::types::{AttributeCheck, POINT_LEN, SignKey};

const SIGN_KEYS: [SignKey; 2] = [SignKey::Host, SignKey::Assertion];

impl SignKey {
    fn name(self) -> &'static str {
        match self {
            SignKey::Host => "host-sign",
            SignKey::Assertion => "assertion-sign",
        }
    }

    pub(super) fn label(self, generation: u32) -> String {
        format!("{LABEL_PREFIX}{}-{generation}", self.name())
    }

    fn parse(label: &str) -> Option<(SignKey, u32)> {
        let (name, generation) = label.strip_prefix(LABEL_PREFIX)?.rsplit_once('-')?;
        let key = SIGN_KEYS.into_iter().find(|key| key.name() == name)?;
        Some((key, generation.parse().ok()?))
    }
}

/// The halves that stand on a token under one label.
#[derive(Default, Clone, Copy)]
struct Halves {
    private: Option<ObjectHandle>,
    public: Option<ObjectHandle>,
}

/// A pair with both halves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) generation: u32,
    pub(super) private: ObjectHandle,
    pub(super) point: [u8; POINT_LEN],
}

/// The long-term key pairs of a token, by role and generation.
pub(super) struct Pairs {
    found: BTreeMap<(SignKey, u32), Halves>,
}

impl Pairs {
    /// Looks for them. Two halves of one kind under one label are a fault: one of them is not ours.
    pub(super) fn find(session: &Session) -> Result<Pairs, Fault> {
        let mut found: BTreeMap<_, Halves> = BTreeMap::new();
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            for handle in session.find_objects(&[Attribute::Class(class), Attribute::Token(true)])? {
                let attributes = session.get_attributes(handle, &[AttributeType::Label])?;
                let Some(Attribute::Label(label)) = attributes.first() else { continue };
                let Some(key) = str::from_utf8(label).ok().and_then(SignKey::parse) else { continue };
                let halves = found.entry(key).or_default();
                let half = match class {
                    ObjectClass::PRIVATE_KEY => &mut halves.private,
                    _ => &mut halves.public,
                };
                if half.replace(handle).is_some() {
                    let label = key.0.label(key.1);
                    return Err(Fault::Device(format!("two keys of one kind are labelled {label}")));
                }
            }
        }
        Ok(Pairs { found })
    }

    /// The newest whole pair of a role.
    pub(super) fn newest(&self, session: &Session, key: SignKey) -> Result<Option<Pair>, Fault> {
        let mut newest = None;
        for ((_, generation), halves) in self.found.range((key, 0)..=(key, u32::MAX)) {
            if let (Some(private), Some(public)) = (halves.private, halves.public) {
                newest = Some((*generation, private, public));
            }
        }
        newest
            .map(|(generation, private, public)| {
                Ok(Pair { generation, private, point: curve::point(session, public)? })
            })
            .transpose()
    }

    /// Makes a pair of each role that has no whole one, above the generations that are there: a half whose
    /// other half is lost stays for a person to judge. `false` where nothing was missing.
    pub(super) fn complete(&mut self, session: &Session) -> Result<bool, Fault> {
        let mut made = false;
        for key in SIGN_KEYS {
            let mut there = self.found.range((key, 0)..=(key, u32::MAX));
            if there.clone().any(|(_, halves)| halves.private.is_some() && halves.public.is_some()) {
                continue;
            }
            let last = there.next_back().map_or(0, |((_, generation), _)| *generation);
            let Some(generation) = last.checked_add(1) else {
                return Err(Fault::Refused(format!("{} has no further generation", key.label(last))));
            };
            self.found.insert((key, generation), generate(session, key, generation)?);
            made = true;
        }
        Ok(made)
    }

    /// Compares both halves of each pair with what they have to be.
    pub(super) fn check(&self, session: &Session) -> Result<Vec<AttributeCheck>, Fault> {
        let mut checks = Vec::new();
        for ((key, generation), halves) in &self.found {
            let label = key.label(*generation);
            let (private, public) = (format!("{label} (private)"), format!("{label} (public)"));
            match halves.private {
                Some(handle) => {
                    checks.extend(attributes::compare(session, &private, handle, &PRIVATE)?);
                    checks.push(attributes::allowed(session, &private, handle, &curve::ECDSA)?);
                    checks.push(attributes::value(session, &private, handle)?);
                }
                None => checks.push(lost(private)),
            }
            match halves.public {
                Some(handle) => checks.extend(attributes::compare(session, &public, handle, &PUBLIC)?),
                None => checks.push(lost(public)),
            }
        }
        Ok(checks)
    }
}

/// The row of a half that is not there.
fn lost(object: String) -> AttributeCheck {
    AttributeCheck {
        object,
        attribute: "CKA_CLASS".into(),
        expected: "present".into(),
        reported: "absent".into(),
        ok: false,
    }
}

/// What a private half has to report.
const PRIVATE: [Expectation; 13] = [
    (AttributeType::Token, "CKA_TOKEN", true),
    (AttributeType::Private, "CKA_PRIVATE", true),
    (AttributeType::Sensitive, "CKA_SENSITIVE", true),
    (AttributeType::AlwaysSensitive, "CKA_ALWAYS_SENSITIVE", true),
    (AttributeType::Extractable, "CKA_EXTRACTABLE", false),
    (AttributeType::NeverExtractable, "CKA_NEVER_EXTRACTABLE", true),
    (AttributeType::Local, "CKA_LOCAL", true),
    (AttributeType::Modifiable, "CKA_MODIFIABLE", false),
    (AttributeType::Sign, "CKA_SIGN", true),
    (AttributeType::SignRecover, "CKA_SIGN_RECOVER", false),
    (AttributeType::Decrypt, "CKA_DECRYPT", false),
    (AttributeType::Unwrap, "CKA_UNWRAP", false),
    (AttributeType::Derive, "CKA_DERIVE", false),
];

/// What a public half has to report. CKA_LOCAL shows that it was born with its private half.
const PUBLIC: [Expectation; 8] = [
    (AttributeType::Token, "CKA_TOKEN", true),
    (AttributeType::Local, "CKA_LOCAL", true),
    (AttributeType::Modifiable, "CKA_MODIFIABLE", false),
    (AttributeType::Verify, "CKA_VERIFY", true),
    (AttributeType::VerifyRecover, "CKA_VERIFY_RECOVER", false),
    (AttributeType::Encrypt, "CKA_ENCRYPT", false),
    (AttributeType::Wrap, "CKA_WRAP", false),
    (AttributeType::Derive, "CKA_DERIVE", false),
];

/// Whether a module that lists these mechanisms can make pairs and sign with them.
pub(super) fn possible(listed: &[MechanismType]) -> bool {
    listed.contains(&MechanismType::ECC_KEY_PAIR_GEN) && curve::Ecdsa::choose(listed).is_some()
}

fn generate(session: &Session, key: SignKey, generation: u32) -> Result<Halves, Fault> {
    let label = Attribute::Label(key.label(generation).into_bytes());
    let id = Attribute::Id(generation.to_be_bytes().to_vec());
    let mut public = vec![
        Attribute::KeyType(KeyType::EC),
        Attribute::EcParams(curve::PARAMS.to_vec()),
        label.clone(),
        id.clone(),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::Derive(false),
    ];
    let mut private = vec![
        Attribute::KeyType(KeyType::EC),
        label,
        id,
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::SignRecover(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ];
    let required = (public.len(), private.len());
    public.push(Attribute::Modifiable(false));
    private.extend([Attribute::Modifiable(false), Attribute::AllowedMechanisms(curve::ECDSA.to_vec())]);
    let mechanism = Mechanism::EccKeyPairGen;
    let (public, private) = match session.generate_key_pair(&mechanism, &public, &private) {
        Err(error) if objects_to_attribute(&error) => {
            session.generate_key_pair(&mechanism, &public[..required.0], &private[..required.1])?
        }
        outcome => outcome?,
    };
    Ok(Halves { private: Some(private), public: Some(public) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_role_and_generation() {
        for key in SIGN_KEYS {
            assert_eq!(SignKey::parse(&key.label(12)), Some((key, 12)));
        }
        for other in ["countersign-host-sign", "countersign-code-1", "host-sign-1", "countersign-host-sign-x"]
        {
            assert_eq!(SignKey::parse(other), None);
        }
    }
}
