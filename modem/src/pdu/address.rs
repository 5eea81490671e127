//! Telephone numbers: checked input, address fields, service centre addresses.
//!
//! 3GPP TS 23.040 9.1.2.3 (semi-octets) and 9.1.2.5 (address fields), TS 24.011 8.2.5.1 (SMSC).

use super::national::Language;
use super::reader::Reader;
use super::{PduError, gsm7};

/// Digits of an E.164 number, without the plus.
pub const E164_DIGITS_MAX: usize = 15;
/// Semi-octets of an address value (TS 23.040 9.1.2.5: 10 octets).
pub const ADDRESS_DIGITS_MAX: usize = 20;
/// Octets of a service centre address: type of address and 10 octets of digits.
const SMSC_OCTETS_MAX: usize = 11;

const INTERNATIONAL: u8 = 0x91;
const UNKNOWN: u8 = 0x81;
const ALPHANUMERIC: u8 = 5;
const SEMI_OCTETS: &[u8; 15] = b"0123456789*#abc";

/// A number that can be dialled: `+` and an E.164 number, or the digits of a short code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(String);

/// Why a text is not a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// No digit.
    #[error("number without digits")]
    Empty,
    /// A character that is neither a digit nor a leading plus.
    #[error("{0:?} is not a digit (write + and digits, without spaces)")]
    NotADigit(char),
    /// More digits than the standard allows.
    #[error("more than {0} digits")]
    TooLong(usize),
    /// No country code begins with 0.
    #[error("an international number has no 0 after the plus")]
    LeadingZero,
}

impl Number {
    /// Checks a number.
    ///
    /// # Errors
    /// Anything but an optional plus and digits; more digits than fit.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let international = digits.len() != text.len();
        let limit = if international { E164_DIGITS_MAX } else { ADDRESS_DIGITS_MAX };
        if let Some(other) = digits.chars().find(|c| !c.is_ascii_digit()) {
            return Err(NumberError::NotADigit(other));
        }
        match digits.len() {
            0 => Err(NumberError::Empty),
            n if n > limit => Err(NumberError::TooLong(limit)),
            _ if international && digits.starts_with('0') => Err(NumberError::LeadingZero),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Type-of-address: 145 (`+`) or 129, as `AT+CSCA` and address fields use it.
    pub fn type_of_address(&self) -> u8 {
        if self.0.starts_with('+') { INTERNATIONAL } else { UNKNOWN }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address field as it stands in a TPDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    type_of_address: u8,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Digits(String),
    Septets(Vec<u8>),
}

impl From<&Number> for Address {
    fn from(number: &Number) -> Self {
        let digits = number.0.trim_start_matches('+').to_owned();
        Self { type_of_address: number.type_of_address(), value: Value::Digits(digits) }
    }
}

impl std::fmt::Display for Address {
    /// `+` and digits, digits, or the letters of an alphanumeric address; empty where there is none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Value::Digits(digits) => {
                let plus = self.type_of_address == INTERNATIONAL && !digits.is_empty();
                write!(f, "{}{digits}", if plus { "+" } else { "" })
            }
            Value::Septets(septets) => {
                f.write_str(&gsm7::decode(septets, Language::Default, Language::Default))
            }
        }
    }
}

impl Address {
    /// The address as text; `None` where the field is empty.
    pub fn text(&self) -> Option<String> {
        Some(self.to_string()).filter(|text| !text.is_empty())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match &self.value {
            Value::Digits(digits) => {
                out.push(octet_count(digits.len()));
                out.push(self.type_of_address);
                push_digits(digits, out);
            }
            Value::Septets(septets) => {
                out.push(octet_count((septets.len() * 7).div_ceil(4)));
                out.push(self.type_of_address);
                out.extend(gsm7::pack(septets, 0));
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, PduError> {
        let semi_octets = usize::from(reader.octet("address length")?);
        if semi_octets > ADDRESS_DIGITS_MAX {
            return Err(PduError::AddressLength { semi_octets });
        }
        let type_of_address = reader.octet("type of address")?;
        let octets = reader.take(semi_octets.div_ceil(2), "address")?;
        let value = if (type_of_address >> 4) & 7 == ALPHANUMERIC {
            Value::Septets(gsm7::unpack(octets, 0, semi_octets * 4 / 7))
        } else {
            Value::Digits(digits(octets))
        };
        Ok(Self { type_of_address, value })
    }
}

/// The service centre address that precedes a TPDU in `AT+CMGR`, `+CDS` and `AT+CMGS`.
pub(super) fn decode_smsc(reader: &mut Reader<'_>) -> Result<Option<Address>, PduError> {
    let octets = usize::from(reader.octet("SMSC length")?);
    if octets > SMSC_OCTETS_MAX {
        return Err(PduError::AddressLength { semi_octets: octets * 2 });
    }
    if octets == 0 {
        return Ok(None);
    }
    let type_of_address = reader.octet("SMSC type of address")?;
    let value = reader.take(octets - 1, "SMSC")?;
    Ok(Some(Address { type_of_address, value: Value::Digits(digits(value)) }))
}

/// An odd number of digits ends with the filler 0b1111 (9.1.2.3). Senders exist that put the last digit
/// there and count one less; it is read as the digit it is.
fn digits(octets: &[u8]) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet & 0x0f, octet >> 4])
        .filter_map(|semi_octet| SEMI_OCTETS.get(usize::from(semi_octet)))
        .map(|&digit| char::from(digit))
        .collect()
}

fn push_digits(digits: &str, out: &mut Vec<u8>) {
    let semi_octet = |digit: &u8| {
        SEMI_OCTETS.iter().position(|known| known == digit).and_then(|p| u8::try_from(p).ok()).unwrap_or(0x0f)
    };
    for pair in digits.as_bytes().chunks(2) {
        let high = pair.get(1).map_or(0x0f, semi_octet);
        out.push(high << 4 | pair.first().map_or(0x0f, semi_octet));
    }
}

fn octet_count(count: usize) -> u8 {
    u8::try_from(count).expect("an address has at most 20 semi-octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_refused_by_reason() {
        for (text, error) in [
            ("", NumberError::Empty),
            ("+", NumberError::Empty),
            ("+0441234", NumberError::LeadingZero),
            ("+41 79", NumberError::NotADigit(' ')),
            ("4+1", NumberError::NotADigit('+')),
            ("+1234567890123456", NumberError::TooLong(15)),
            ("123456789012345678901", NumberError::TooLong(20)),
        ] {
            assert_eq!(Number::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn short_code_has_no_plus_on_the_wire() {
        let mut out = Vec::new();
        Address::from(&Number::parse("12345").expect("a short code")).encode(&mut out);
        assert_eq!(out, [0x05, 0x81, 0x21, 0x43, 0xf5]);
    }
}
