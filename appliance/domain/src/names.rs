//! Names that come from outside, made into types once.

use std::fmt;

use thiserror::Error;

/// Longest user name, in characters.
pub const USER_NAME_MAX: usize = 64;
/// Longest token serial, in characters.
pub const SERIAL_MAX: usize = 40;
/// Longest application name, in characters.
pub const APPLICATION_NAME_MAX: usize = 64;
/// Longest request id, in characters.
pub const REQUEST_ID_MAX: usize = 64;

/// A text that is no name of the wanted kind.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// More characters than allowed.
    #[error("{what} is longer than {max} characters")]
    TooLong {
        /// What was being named.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A character outside the allowed set.
    #[error("{what} must not contain {found:?}")]
    Character {
        /// What was being named.
        what: &'static str,
        /// The first character that is not allowed.
        found: char,
    },
}

fn checked(
    what: &'static str,
    text: &str,
    max: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<String, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty(what));
    }
    if text.chars().count() > max {
        return Err(NameError::TooLong { what, max });
    }
    match text.chars().find(|&c| !allowed(c)) {
        Some(found) => Err(NameError::Character { what, found }),
        None => Ok(text.to_owned()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A user's name: letters, digits and `. _ - @ +` and `\`, folded to lower case.
    UserName
}

impl UserName {
    /// Folds and checks a name.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than [`USER_NAME_MAX`] or holds another character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_alphanumeric() || "._-@+\\".contains(c);
        checked("the user name", &text.to_lowercase(), USER_NAME_MAX, allowed).map(UserName)
    }
}

name! {
    /// A token's serial: ASCII letters, digits, `-` and `_`, folded to upper case.
    Serial
}

impl Serial {
    /// Folds and checks a serial.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than [`SERIAL_MAX`] or holds another character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        checked("the serial", &text.to_ascii_uppercase(), SERIAL_MAX, allowed).map(Serial)
    }

    /// A serial for a soft token from 5 random bytes: `CS` and the type's letter, then Base32.
    pub fn soft(letter: char, random: [u8; 5]) -> Self {
        Serial(format!("CS{letter}{}", data_encoding::BASE32_NOPAD.encode(&random)))
    }
}

name! {
    /// The name of a client application.
    ApplicationName
}

impl ApplicationName {
    /// Checks a name: ASCII letters, digits and `. _ -`.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than [`APPLICATION_NAME_MAX`] or holds another character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        checked("the application name", text, APPLICATION_NAME_MAX, allowed).map(ApplicationName)
    }
}

name! {
    /// An application's own id of one verification, for a retry after a lost answer.
    RequestId
}

impl RequestId {
    /// Checks an id: printable ASCII.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than [`REQUEST_ID_MAX`] or holds another character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        checked("the request id", text, REQUEST_ID_MAX, |c| c.is_ascii_graphic()).map(RequestId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_spelling() {
        assert_eq!(UserName::parse("Alice"), UserName::parse("alice"));
        assert_eq!(Serial::parse("cst-1").unwrap().as_str(), "CST-1");
        assert_eq!(UserName::parse(""), Err(NameError::Empty("the user name")));
        assert!(UserName::parse("a b").is_err());
        assert!(UserName::parse("a\0").is_err());
        assert!(UserName::parse(&"x".repeat(65)).is_err());
        assert!(RequestId::parse("grün").is_err());
    }

    #[test]
    fn a_soft_serial_parses_as_a_serial() {
        let serial = Serial::soft('T', [1, 2, 3, 4, 5]);
        assert_eq!(Serial::parse(serial.as_str()), Ok(serial));
    }
}
