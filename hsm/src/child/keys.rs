//! The long-term symmetric keys on the token: what each may do, how they are named, found, made and checked.
//!
//! CKA_LABEL is `countersign-<role>-<generation>`, CKA_ID the generation as u32 big-endian.

use std::collections::BTreeMap;

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::attributes::{self, Expectation};
use super::fault::{Fault, objects_to_attribute};
use crate::types::AttributeCheck;

/// Length of each of them, in bytes.
const KEY_LEN: u64 = 32;
pub(super) const LABEL_PREFIX: &str = "countersign-";

/// What a long-term key is for. Each has one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Wraps shared secrets.
    UseKek,
    /// Wraps the keys that seal data.
    DataKek,
    /// Authenticates records and states.
    RowMac,
    /// Makes the codes that are sent.
    Code,
    /// Shows that the token still computes.
    Canary,
}

const ROLES: [Role; 5] = [Role::UseKek, Role::DataKek, Role::RowMac, Role::Code, Role::Canary];

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::UseKek => "use-kek",
            Role::DataKek => "data-kek",
            Role::RowMac => "row-mac",
            Role::Code => "code",
            Role::Canary => "canary",
        }
    }

    fn wraps(self) -> bool {
        matches!(self, Role::UseKek | Role::DataKek)
    }

    /// The only mechanism the key is for.
    fn mechanism(self) -> MechanismType {
        if self.wraps() { MechanismType::AES_KEY_WRAP } else { MechanismType::SHA256_HMAC }
    }

    fn label(self, generation: u32) -> String {
        format!("{LABEL_PREFIX}{}-{generation}", self.name())
    }

    fn parse(label: &str) -> Option<(Role, u32)> {
        let (name, generation) = label.strip_prefix(LABEL_PREFIX)?.rsplit_once('-')?;
        let role = ROLES.into_iter().find(|role| role.name() == name)?;
        Some((role, generation.parse().ok()?))
    }
}

/// The long-term keys of a token, by role and generation.
pub(super) struct Keys {
    found: BTreeMap<(Role, u32), ObjectHandle>,
}

impl Keys {
    /// Looks for them. Two objects under one label are a fault: one of them is not ours.
    pub(super) fn find(session: &Session) -> Result<Keys, Fault> {
        let mut found = BTreeMap::new();
        let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
        for handle in session.find_objects(&template)? {
            let attributes = session.get_attributes(handle, &[AttributeType::Label])?;
            let Some(Attribute::Label(label)) = attributes.first() else { continue };
            let Some(key) = str::from_utf8(label).ok().and_then(Role::parse) else { continue };
            if found.insert(key, handle).is_some() {
                let label = key.0.label(key.1);
                return Err(Fault::Device(format!("two objects on the token are labelled {label}")));
            }
        }
        Ok(Keys { found })
    }

    /// The newest key of a role, with its generation.
    pub(super) fn newest(&self, role: Role) -> Option<(u32, ObjectHandle)> {
        let mut of_role = self.found.range((role, 0)..=(role, u32::MAX));
        of_role.next_back().map(|((_, generation), handle)| (*generation, *handle))
    }

    /// The key of a role and generation.
    pub(super) fn get(&self, role: Role, generation: u32) -> Option<ObjectHandle> {
        self.found.get(&(role, generation)).copied()
    }

    /// Makes a first generation of each role that has none; `false` where nothing was missing.
    pub(super) fn complete(&mut self, session: &Session) -> Result<bool, Fault> {
        let mut made = false;
        for role in ROLES {
            if self.newest(role).is_none() {
                self.found.insert((role, 1), generate(session, role, 1)?);
                made = true;
            }
        }
        Ok(made)
    }

    /// Compares each key with what it has to be.
    pub(super) fn check(&self, session: &Session) -> Result<Vec<AttributeCheck>, Fault> {
        let mut checks = Vec::new();
        for ((role, generation), handle) in &self.found {
            let object = role.label(*generation);
            checks.extend(attributes::compare(session, &object, *handle, &expectations(*role))?);
            checks.push(attributes::allowed(session, &object, *handle, &[role.mechanism()])?);
            checks.push(attributes::value(session, &object, *handle)?);
        }
        Ok(checks)
    }
}

/// What every long-term key has to report. CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE and CKA_LOCAL show
/// that the key was born in this token.
fn expectations(role: Role) -> [Expectation; 15] {
    [
        (AttributeType::Token, "CKA_TOKEN", true),
        (AttributeType::Private, "CKA_PRIVATE", true),
        (AttributeType::Sensitive, "CKA_SENSITIVE", true),
        (AttributeType::AlwaysSensitive, "CKA_ALWAYS_SENSITIVE", true),
        (AttributeType::Extractable, "CKA_EXTRACTABLE", false),
        (AttributeType::NeverExtractable, "CKA_NEVER_EXTRACTABLE", true),
        (AttributeType::Local, "CKA_LOCAL", true),
        (AttributeType::Modifiable, "CKA_MODIFIABLE", false),
        (AttributeType::Wrap, "CKA_WRAP", role.wraps()),
        (AttributeType::Unwrap, "CKA_UNWRAP", role.wraps()),
        (AttributeType::Sign, "CKA_SIGN", !role.wraps()),
        (AttributeType::Verify, "CKA_VERIFY", false),
        (AttributeType::Encrypt, "CKA_ENCRYPT", false),
        (AttributeType::Decrypt, "CKA_DECRYPT", false),
        (AttributeType::Derive, "CKA_DERIVE", false),
    ]
}

fn generate(session: &Session, role: Role, generation: u32) -> Result<ObjectHandle, Fault> {
    let (mechanism, key_type) = if role.wraps() {
        (Mechanism::AesKeyGen, KeyType::AES)
    } else {
        (Mechanism::GenericSecretKeyGen, KeyType::GENERIC_SECRET)
    };
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(key_type),
        Attribute::ValueLen(KEY_LEN.into()),
        Attribute::Label(role.label(generation).into_bytes()),
        Attribute::Id(generation.to_be_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Wrap(role.wraps()),
        Attribute::Unwrap(role.wraps()),
        Attribute::Sign(!role.wraps()),
        Attribute::Verify(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Derive(false),
    ];
    let required = template.len();
    template.extend([Attribute::Modifiable(false), Attribute::AllowedMechanisms(vec![role.mechanism()])]);
    match session.generate_key(&mechanism, &template) {
        Err(error) if objects_to_attribute(&error) => {
            Ok(session.generate_key(&mechanism, &template[..required])?)
        }
        outcome => Ok(outcome?),
    }
}
