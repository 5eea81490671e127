//! What a module really does, found by trying. Its result is the assurance label.

use std::collections::BTreeMap;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::attributes;
use super::fault::{Fault, describe};
use super::keys::Role;
use super::token::Token;
use crate::HsmError;
use crate::record::KeyKind;
use crate::types::{Assurance, Hash, SignKey};

/// Length of the keys tried with, in bytes.
const PROBE_LEN: usize = 32;

/// Nothing works without these.
const REQUIRED: [(&str, MechanismType); 5] = [
    ("CKM_AES_KEY_WRAP", MechanismType::AES_KEY_WRAP),
    ("CKM_AES_GCM", MechanismType::AES_GCM),
    ("CKM_SHA_1_HMAC", MechanismType::SHA1_HMAC),
    ("CKM_SHA256_HMAC", MechanismType::SHA256_HMAC),
    ("CKM_SHA512_HMAC", MechanismType::SHA512_HMAC),
];

/// Which mechanisms the slot lists.
pub(super) fn listed(pkcs11: &Pkcs11, session: &Session) -> Result<Vec<MechanismType>, HsmError> {
    let unusable = |error| HsmError::ModuleUnusable { reason: describe(&error) };
    let slot = session.get_session_info().map_err(unusable)?.slot_id();
    pkcs11.get_mechanism_list(slot).map_err(unusable)
}

/// Those without which nothing works.
pub(super) fn required(listed: &[MechanismType]) -> Result<BTreeMap<String, bool>, HsmError> {
    let seen: BTreeMap<String, bool> =
        REQUIRED.iter().map(|(name, mechanism)| ((*name).to_owned(), listed.contains(mechanism))).collect();
    match seen.iter().find(|(_, present)| !**present) {
        Some((name, _)) => Err(HsmError::ModuleUnusable { reason: format!("it does not offer {name}") }),
        None => Ok(seen),
    }
}

/// Tries whether policy attributes are more than words.
pub(super) fn examine(token: &Token) -> Result<(Assurance, BTreeMap<String, bool>), Fault> {
    let kind = KeyKind::Secret(Hash::Sha256);
    let kek = token.working.kek;
    let born = token.generate(kind, PROBE_LEN, false)?;
    let unreadable = !attributes::readable(&token.session, born.handle)?;
    let unextractable = refuses_to_wrap(token, kek, born.handle);
    drop(born);
    let passing = token.generate(kind, PROBE_LEN, true)?;
    let blob = token.wrap(kek, passing.handle, PROBE_LEN)?;
    drop(passing);
    let unwrapped = token.unwrap(kek, kind, &blob)?;
    let stays_inside = refuses_to_wrap(token, kek, unwrapped.handle);
    drop(unwrapped);
    let canary = token.keys.newest(Role::Canary).map(|(_, key)| key);
    let canary_stays = canary.is_none_or(|key| refuses_to_wrap(token, kek, key));
    let enforced = unreadable && unextractable && stays_inside && canary_stays;
    let seen = [
        ("values-unreadable", unreadable),
        ("unextractable-refuses-wrap", unextractable && canary_stays),
        ("unwrapped-refuses-wrap", stays_inside),
        ("allowed-mechanisms", token.takes_optional()),
        ("provisioning", token.signing.has(SignKey::Host) && token.agrees()),
        ("assertions", token.signing.has(SignKey::Assertion)),
    ];
    let assurance = if enforced { Assurance::Enforced } else { Assurance::NotEnforced };
    Ok((assurance, seen.map(|(name, value)| (name.to_owned(), value)).into()))
}

fn refuses_to_wrap(token: &Token, kek: ObjectHandle, key: ObjectHandle) -> bool {
    token.session.wrap_key(&Mechanism::AesKeyWrap, kek, key).is_err()
}
