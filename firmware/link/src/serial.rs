//! A token's serial number, as engraved, signed by the maker and bound into every exchange.

use core::fmt;

use heapless::String;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest serial, in characters.
pub const SERIAL_MAX: usize = 24;

/// 1 to [`SERIAL_MAX`] upper-case ASCII letters, digits, `-` or `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Serial(String<SERIAL_MAX>);

/// The text is not a serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialError;

impl fmt::Display for SerialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a serial is 1 to 24 upper-case letters, digits, - or _")
    }
}

impl core::error::Error for SerialError {}

impl Serial {
    /// Checks a serial. Nothing is folded: its bytes are signed.
    ///
    /// # Errors
    /// [`SerialError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, SerialError> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(SerialError);
        }
        String::try_from(text).map(Self).map_err(|_| SerialError)
    }

    /// The serial as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::<SERIAL_MAX>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_alphabet_and_length() {
        for text in ["A", "CST-000001", "ABCDEFGHIJKLMNOPQRSTUVWX"] {
            assert_eq!(Serial::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "cst-1", "A B", "A\n", "Ä", "ABCDEFGHIJKLMNOPQRSTUVWXY"] {
            assert_eq!(Serial::parse(text), Err(SerialError), "{text:?}");
        }
    }
}
