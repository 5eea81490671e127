//! JSON objects from outside, read strictly (RFC 8259): a member that is there twice is refused, not chosen from.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// The members of one object by name; `Members<Members>` is strict one level deeper.
pub(crate) struct Members<T = Value>(pub(crate) BTreeMap<String, T>);

/// What a duplicate member is reported with; [`parse`] looks for it.
const TWICE: &str = "the same member twice";

/// Why bytes are no object of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotMembers {
    /// Not one JSON object in UTF-8, and nothing behind it.
    Syntax,
    /// A member stands there twice.
    Twice,
}

/// Reads one object.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Members<T>, NotMembers> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.to_string().starts_with(TWICE) { NotMembers::Twice } else { NotMembers::Syntax }
    })
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for Object<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom(TWICE));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// COMB-38. Red when the last of two members wins, as in most parsers.
    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        assert_eq!(parse::<Value>(br#"{"a":1,"b":{"c":2}}"#).unwrap().0.len(), 2);
        assert_eq!(parse::<Value>(br#"{"a":1,"a":1}"#).err(), Some(NotMembers::Twice));
        assert_eq!(parse::<Value>(br#"{"a":1,"\u0061":2}"#).err(), Some(NotMembers::Twice));
        for bad in [
            &b"[]"[..],
            b"{",
            b"{}{}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"\"the same member twice\"",
            b"",
        ] {
            assert_eq!(parse::<Value>(bad).err(), Some(NotMembers::Syntax), "{bad:?}");
        }
    }
}
