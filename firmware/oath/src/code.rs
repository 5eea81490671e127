//! Truncation: from a MAC to the digits that a person types (RFC 4226 section 5.3 and 5.4), with the
//! checksum digit and the fixed offset of the RFC's reference implementation (appendix C).

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::Error;

/// Ten digits and the checksum digit.
const CODE_LEN_MAX: usize = 11;
const CODE_LEN_MIN: usize = 4;

/// The shortest MAC in use, SHA-1's; every offset of 4 bits plus the 4 bytes it points at lies within.
const MAC_LEN_MIN: usize = 20;

/// Highest fixed truncation offset.
const OFFSET_MAX: u8 = 15;

/// How many digits a code has, without the checksum digit: 6 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digits(u8);

impl Digits {
    /// Six digits, the least that RFC 4226 allows and what most tokens show.
    pub const SIX: Self = Self(6);

    /// A length of `n` digits.
    ///
    /// # Errors
    /// [`Error::DigitsOutOfRange`] outside 6 to 10. The truncated value has 31 bits, so the tenth digit is
    /// 0, 1 or 2 and adds little.
    pub const fn new(n: u8) -> Result<Self, Error> {
        match n {
            6..=10 => Ok(Self(n)),
            _ => Err(Error::DigitsOutOfRange),
        }
    }

    /// The number of digits.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Where in the MAC the four bytes of the code are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truncation {
    /// At the offset that the low 4 bits of the MAC's last byte name (RFC 4226 section 5.3).
    Dynamic,
    /// At this offset, 0 to 15 (the `truncationOffset` of RFC 4226 appendix C; COMB-25). As there, a number
    /// that is not such an offset means [`Self::Dynamic`]; [`Self::from_offset`] refuses it instead.
    Fixed(u8),
}

impl Truncation {
    /// Reads the setting of COMB-25: -1 is dynamic, 0 to 15 is fixed.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] for any other number.
    pub fn from_offset(offset: i64) -> Result<Self, Error> {
        match u8::try_from(offset) {
            Ok(fixed @ 0..=OFFSET_MAX) => Ok(Self::Fixed(fixed)),
            _ if offset == -1 => Ok(Self::Dynamic),
            _ => Err(Error::OffsetOutOfRange),
        }
    }

    /// The 31-bit number at the offset; its sign bit is masked as in RFC 4226 section 5.3.
    fn truncate(self, mac: &[u8]) -> u32 {
        assert!(mac.len() >= MAC_LEN_MIN, "a MAC has at least 20 bytes");
        let offset = match self {
            Self::Fixed(offset @ 0..=OFFSET_MAX) => offset,
            Self::Fixed(_) | Self::Dynamic => mac[mac.len() - 1] & 0x0f,
        };
        let at = usize::from(offset);
        u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]])
    }
}

/// How a token turns a MAC into a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeFormat {
    /// Digits taken from the MAC.
    pub digits: Digits,
    /// Whether a checksum digit follows them (COMB-24).
    pub checksum: bool,
    /// Where in the MAC they are taken.
    pub truncation: Truncation,
}

impl CodeFormat {
    /// The code that `mac` stands for, leading zeros included.
    ///
    /// `mac` is the whole HMAC of the [moving factor](crate::moving_factor), as long as
    /// [`Algorithm::digest_len`](crate::Algorithm::digest_len) says.
    ///
    /// # Panics
    /// If `mac` has fewer than 20 bytes, which no [`Algorithm`](crate::Algorithm) gives.
    pub fn code(&self, mac: &[u8]) -> Code {
        let digits = usize::from(self.digits.get());
        let mut code = Code { ascii: [0; CODE_LEN_MAX], len: self.len() as u8 };
        let mut rest = self.truncation.truncate(mac);
        for place in code.ascii[..digits].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if self.checksum {
            code.ascii[digits] = b'0' + checksum(&code.ascii[..digits]);
        }
        code
    }

    /// Length of the code in characters: the digits, and one more with a checksum.
    #[expect(clippy::len_without_is_empty, reason = "a code is never empty")]
    pub const fn len(&self) -> usize {
        self.digits.get() as usize + self.checksum as usize
    }
}

/// The credit-card checksum of RFC 4226 appendix C over ASCII digits: every second digit from the right, the
/// last included, is doubled and its own digits added up.
fn checksum(ascii: &[u8]) -> u8 {
    let sum: u8 = ascii
        .iter()
        .rev()
        .zip([true, false].into_iter().cycle())
        .map(|(&place, doubled)| match (place - b'0', doubled) {
            (digit, false) => digit,
            (digit @ 0..=4, true) => digit * 2,
            (digit, true) => digit * 2 - 9,
        })
        .sum();
    (10 - sum % 10) % 10
}

/// A code as a token shows it and a person types it: ASCII digits, leading zeros included.
///
/// It is a secret until it is spent: `Debug` shows its length only, it is compared by [`Code::ct_eq`], and it
/// is wiped when dropped.
#[derive(Clone)]
pub struct Code {
    /// Zero after the first `len` places, so that codes of different lengths differ here too.
    ascii: [u8; CODE_LEN_MAX],
    len: u8,
}

impl Code {
    /// Reads what a person typed: exactly 4 to 11 ASCII digits, no spaces and no other script's digits.
    ///
    /// # Errors
    /// [`Error::NotACode`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let typed = text.as_bytes();
        if !(CODE_LEN_MIN..=CODE_LEN_MAX).contains(&typed.len()) || !typed.iter().all(u8::is_ascii_digit) {
            return Err(Error::NotACode);
        }
        let mut code = Self { ascii: [0; CODE_LEN_MAX], len: typed.len() as u8 };
        code.ascii[..typed.len()].copy_from_slice(typed);
        Ok(code)
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("ASCII digits are UTF-8")
    }

    /// The digits as ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.ascii[..usize::from(self.len)]
    }

    /// Whether both are the same code, in a time that does not depend on either.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.ascii.ct_eq(&other.ascii).into()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({} digits)", self.len)
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.ascii.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;

    const SIX: CodeFormat =
        CodeFormat { digits: Digits::SIX, checksum: false, truncation: Truncation::Dynamic };

    /// The MAC of RFC 4226 section 5.4.
    const EXAMPLE: [u8; 20] = [
        0x1f, 0x86, 0x98, 0x69, 0x0e, 0x02, 0xca, 0x16, 0x61, 0x85, 0x50, 0xef, 0x7f, 0x19, 0xda, 0x8e, 0x94,
        0x5b, 0x55, 0x5a,
    ];

    #[test]
    fn example_of_rfc_4226_section_5_4() {
        for (digits, expected) in
            [(6, "872921"), (7, "7872921"), (8, "57872921"), (9, "357872921"), (10, "1357872921")]
        {
            let format = CodeFormat { digits: Digits::new(digits).unwrap(), ..SIX };
            assert_eq!(format.code(&EXAMPLE).as_str(), expected);
            assert_eq!(format.len(), expected.len());
        }
    }

    #[test]
    fn fixed_offset_is_used_up_to_15_and_dynamic_after() {
        let at = |offset| CodeFormat { truncation: Truncation::Fixed(offset), ..SIX };
        let number = |bytes: [u8; 4]| format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000);
        assert_eq!(at(0).code(&EXAMPLE).as_str(), number([0x1f, 0x86, 0x98, 0x69]));
        assert_eq!(at(15).code(&EXAMPLE).as_str(), number([0x8e, 0x94, 0x5b, 0x55]));
        for offset in [16, 60, u8::MAX] {
            assert_eq!(at(offset).code(&EXAMPLE).as_str(), "872921", "{offset}");
            assert_eq!(at(offset).code(&[0x5a; 64]).as_str(), SIX.code(&[0x5a; 64]).as_str(), "{offset}");
        }
    }

    #[test]
    fn offset_setting_is_minus_1_to_15() {
        assert_eq!(Truncation::from_offset(-1), Ok(Truncation::Dynamic));
        assert_eq!(Truncation::from_offset(0), Ok(Truncation::Fixed(0)));
        assert_eq!(Truncation::from_offset(15), Ok(Truncation::Fixed(15)));
        for offset in [i64::MIN, -2, 16, 255, 256, i64::MAX] {
            assert_eq!(Truncation::from_offset(offset), Err(Error::OffsetOutOfRange), "{offset}");
        }
    }

    #[test]
    fn digits_are_6_to_10() {
        for n in 0..=u8::MAX {
            assert_eq!(Digits::new(n).is_ok(), (6..=10).contains(&n), "{n}");
        }
    }

    #[test]
    fn ten_digits_and_checksum_fill_a_code() {
        let format = CodeFormat { digits: Digits::new(10).unwrap(), checksum: true, ..SIX };
        let code = format.code(&EXAMPLE);
        assert_eq!(code.as_bytes().len(), CODE_LEN_MAX);
        assert!(Code::parse(code.as_str()).unwrap().ct_eq(&code));
    }

    #[test]
    #[should_panic(expected = "at least 20 bytes")]
    fn a_short_mac_is_a_fault() {
        let _ = SIX.code(&EXAMPLE[..19]);
    }

    #[test]
    fn only_4_to_11_ascii_digits_are_a_code() {
        for text in ["0000", "123456", "00000000000"] {
            assert_eq!(Code::parse(text).unwrap().as_str(), text);
        }
        for text in
            ["", "123", "000000000000", "12345 ", " 12345", "12345\n", "12a456", "-12345", "+12345", "١٢٣٤٥٦"]
        {
            assert_eq!(Code::parse(text).err(), Some(Error::NotACode), "{text:?}");
        }
    }

    #[test]
    fn equal_only_with_every_digit_and_the_same_length() {
        let code = |text| Code::parse(text).unwrap();
        assert!(code("123456").ct_eq(&code("123456")));
        for other in ["123457", "023456", "12345", "1234560", "01234560"] {
            assert!(!code("123456").ct_eq(&code(other)), "{other}");
        }
    }

    #[test]
    fn debug_hides_the_digits() {
        assert_eq!(format!("{:?}", Code::parse("314159").unwrap()), "Code(6 digits)");
    }

    proptest! {
        #[test]
        fn parse_accepts_exactly_its_pattern(text in "\\PC{0,13}|[0-9]{0,13}") {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(Code::parse(&text).is_ok(), plain && (4..=11).contains(&text.len()));
        }

        #[test]
        fn checksum_notices_one_wrong_digit(digits in "[0-9]{6,10}", at: prop::sample::Index, by in 1u8..10) {
            let mut wrong = digits.clone().into_bytes();
            let at = at.index(wrong.len());
            wrong[at] = b'0' + (wrong[at] - b'0' + by) % 10;
            prop_assert_ne!(checksum(digits.as_bytes()), checksum(&wrong), "{}", String::from_utf8_lossy(&wrong));
        }
    }
}
