//! Comparing what a module says of a key with what the key has to be.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use super::fault::Fault;
use crate::types::AttributeCheck;

/// An attribute, its name, and what it has to be.
pub(super) type Expectation = (AttributeType, &'static str, bool);

/// One row for each expectation.
pub(super) fn compare(
    session: &Session,
    object: &str,
    key: ObjectHandle,
    expectations: &[Expectation],
) -> Result<Vec<AttributeCheck>, Fault> {
    let row = |(attribute, name, expected): &Expectation| {
        let reported = session.get_attributes(key, &[*attribute])?.first().and_then(boolean);
        Ok(AttributeCheck {
            object: object.into(),
            attribute: (*name).into(),
            expected: expected.to_string(),
            reported: reported.map_or("absent".into(), |value| value.to_string()),
            ok: reported == Some(*expected),
        })
    };
    expectations.iter().map(row).collect()
}

/// CKA_ALLOWED_MECHANISMS, which a module need not know.
pub(super) fn allowed(
    session: &Session,
    object: &str,
    key: ObjectHandle,
    expected: &[MechanismType],
) -> Result<AttributeCheck, Fault> {
    let named = |mechanisms: &[MechanismType]| {
        let mut names: Vec<String> = mechanisms.iter().map(ToString::to_string).collect();
        names.sort();
        names.join(" ")
    };
    let attributes = session.get_attributes(key, &[AttributeType::AllowedMechanisms])?;
    let expected = named(expected);
    let (reported, ok) = match attributes.first() {
        Some(Attribute::AllowedMechanisms(allowed)) => {
            let reported = named(allowed);
            let ok = reported == expected;
            (reported, ok)
        }
        _ => ("absent".into(), true),
    };
    Ok(AttributeCheck {
        object: object.into(),
        attribute: "CKA_ALLOWED_MECHANISMS".into(),
        expected,
        reported,
        ok,
    })
}

/// CKA_VALUE, which nobody may read.
pub(super) fn value(session: &Session, object: &str, key: ObjectHandle) -> Result<AttributeCheck, Fault> {
    let readable = readable(session, key)?;
    Ok(AttributeCheck {
        object: object.into(),
        attribute: "CKA_VALUE".into(),
        expected: "unreadable".into(),
        reported: if readable { "readable" } else { "unreadable" }.into(),
        ok: !readable,
    })
}

/// Whether the module would give CKA_VALUE away.
pub(super) fn readable(session: &Session, key: ObjectHandle) -> Result<bool, Fault> {
    let info = session.get_attribute_info(key, &[AttributeType::Value])?;
    Ok(info.iter().any(|info| matches!(info, AttributeInfo::Available(_))))
}

fn boolean(attribute: &Attribute) -> Option<bool> {
    match attribute {
        Attribute::Token(value)
        | Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::AlwaysSensitive(value)
        | Attribute::Extractable(value)
        | Attribute::NeverExtractable(value)
        | Attribute::Local(value)
        | Attribute::Modifiable(value)
        | Attribute::Wrap(value)
        | Attribute::Unwrap(value)
        | Attribute::Sign(value)
        | Attribute::SignRecover(value)
        | Attribute::Verify(value)
        | Attribute::VerifyRecover(value)
        | Attribute::Encrypt(value)
        | Attribute::Decrypt(value)
        | Attribute::Derive(value) => Some(*value),
        _ => None,
    }
}
