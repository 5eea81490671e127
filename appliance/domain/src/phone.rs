//! Phone numbers in E.164 form (ITU-T E.164: at most 15 digits after `+`).

use std::fmt;

use thiserror::Error;

/// Fewest digits of a number with its country code.
pub const DIGITS_MIN: usize = 7;
/// Most digits of a number with its country code (ITU-T E.164, 6.2.1).
pub const DIGITS_MAX: usize = 15;

/// A number in international form: `+` and digits. Its `Debug` and `Display` show the last four only.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Msisdn(String);

/// A text that is no international phone number.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PhoneError {
    /// It does not begin with `+` or `00` and a country code.
    #[error("the number must begin with + and the country code")]
    NotInternational,
    /// Something other than digits, spaces, dashes, dots, slashes and parentheses.
    #[error("the number must not contain {0:?}")]
    Character(char),
    /// Too few or too many digits.
    #[error("the number must have {DIGITS_MIN} to {DIGITS_MAX} digits, not {0}")]
    Length(usize),
}

impl Msisdn {
    /// Normalises a number as people write it (MOB-11): separators go, `00` becomes `+`.
    ///
    /// # Errors
    /// [`PhoneError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let text = text.trim();
        let rest = text.strip_prefix('+').or_else(|| text.strip_prefix("00"));
        let rest = rest.ok_or(PhoneError::NotInternational)?;
        let mut digits = String::with_capacity(DIGITS_MAX + 1);
        digits.push('+');
        for c in rest.chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '-' | '.' | '/' | '(' | ')' => {}
                other => return Err(PhoneError::Character(other)),
            }
        }
        match digits.len() - 1 {
            _ if digits.starts_with("+0") => Err(PhoneError::NotInternational),
            DIGITS_MIN..=DIGITS_MAX => Ok(Msisdn(digits)),
            count => Err(PhoneError::Length(count)),
        }
    }

    /// `+` and digits, in clear.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The form shown to people: only the last four digits (MOB-38, SMS-41).
    pub fn masked(&self) -> String {
        format!("…{}", self.last_four())
    }

    /// The same for a text message: in the GSM 7 bit alphabet (3GPP TS 23.038), which has no ellipsis, so that the
    /// message takes one part and not two.
    pub fn masked_in_sms(&self) -> String {
        format!("...{}", self.last_four())
    }

    fn last_four(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_go_and_the_country_code_stays() {
        for text in ["+41 79 000 00 01", "0041-79-000-00-01", "+41 (79) 000/00.01"] {
            assert_eq!(Msisdn::parse(text).unwrap().expose(), "+41790000001");
        }
        assert_eq!(Msisdn::parse("+41790000001").unwrap().masked(), "…0001");
        assert_eq!(Msisdn::parse("+41790000001").unwrap().masked_in_sms(), "...0001");
        assert!(!format!("{:?}", Msisdn::parse("+41790000001").unwrap()).contains("790"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Msisdn::parse("0790000001"), Err(PhoneError::NotInternational));
        assert_eq!(Msisdn::parse("+41 79x"), Err(PhoneError::Character('x')));
        assert_eq!(Msisdn::parse("+41٣90000001"), Err(PhoneError::Character('٣')));
        assert_eq!(Msisdn::parse("+123456"), Err(PhoneError::Length(6)));
        assert_eq!(Msisdn::parse("+1234567890123456"), Err(PhoneError::Length(16)));
    }
}
