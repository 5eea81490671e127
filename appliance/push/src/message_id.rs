//! The name of one exchange with a phone: `REGISTER:` or `AUTHENTICATE:`, a UUID, and when it was made (COMB-37).
//!
//! The phone repeats it as it is. Whoever asks draws the UUID; it is looked up as a whole.

use std::fmt;

/// Digits of the milliseconds: from 2001 to 2286.
const MILLIS_LEN: usize = 13;
/// Characters of a UUID (RFC 9562, section 4).
const UUID_LEN: usize = 36;
/// First and last moment that [`MILLIS_LEN`] digits can say, in Unix milliseconds.
const MILLIS: std::ops::RangeInclusive<u64> = 1_000_000_000_000..=9_999_999_999_999;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A phone registers.
    Register,
    /// A person approves or denies.
    Authenticate,
}

impl Purpose {
    fn prefix(self) -> &'static str {
        match self {
            Purpose::Register => "REGISTER:",
            Purpose::Authenticate => "AUTHENTICATE:",
        }
    }
}

/// The name of one exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// A new name from 16 random bytes, of which a UUID of version 4 keeps 122 bits, at a time in Unix milliseconds.
    /// None for a time that has not 13 digits.
    pub fn new(purpose: Purpose, mut random: [u8; 16], at_ms: u64) -> Option<Self> {
        random[6] = random[6] & 0x0f | 0x40;
        random[8] = random[8] & 0x3f | 0x80;
        let hex = data_encoding::HEXLOWER.encode(&random);
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        MILLIS.contains(&at_ms).then(|| MessageId(format!("{}{a}-{b}-{c}-{d}-{e}{at_ms}", purpose.prefix())))
    }

    /// Reads a name for a purpose, as [`MessageId::new`] writes it; none for anything else.
    pub fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(purpose.prefix())?;
        let (uuid, millis) = rest.split_at_checked(UUID_LEN)?;
        let lower = uuid.bytes().all(|byte| !byte.is_ascii_uppercase());
        let digits = millis.len() == MILLIS_LEN && millis.bytes().all(|byte| byte.is_ascii_digit());
        (is_uuid(uuid) && lower && digits && !millis.starts_with('0')).then(|| MessageId(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text has the shape of a UUID, in either case.
pub(crate) fn is_uuid(text: &str) -> bool {
    let good = |(n, byte): (usize, u8)| match n {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == UUID_LEN && text.bytes().enumerate().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// COMB-37, C.1.
    #[test]
    fn a_name_is_read_back_for_its_purpose_only() {
        let random =
            [0x0b, 0x7f, 0x6c, 0x1e, 0x6a, 0x55, 0xfd, 0x0e, 0xdd, 0x0a, 0x3f, 0x2f, 0x6f, 0x3f, 0x6a, 0x01];
        let id = MessageId::new(Purpose::Register, random, 1_767_225_600_000).unwrap();
        assert_eq!(id.as_str(), "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000");
        assert_eq!(MessageId::parse(Purpose::Register, id.as_str()).as_ref(), Some(&id));
        assert_eq!(MessageId::parse(Purpose::Authenticate, id.as_str()), None);
        assert_eq!(MessageId::new(Purpose::Register, random, 10_000_000_000_000), None);
    }

    #[test]
    fn another_spelling_is_no_name() {
        let good = "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000";
        assert!(MessageId::parse(Purpose::Register, good).is_some());
        for bad in [
            "",
            "REGISTER:",
            "register:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000",
            "REGISTER:0B7F6C1E-6A55-4D0E-9D0A-3F2F6F3F6A011767225600000",
            "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a01176722560000",
            "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a010767225600000",
            "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a0117672256000000",
            "REGISTER:0b7f6c1e06a55-4d0e-9d0a-3f2f6f3f6a011767225600000",
            "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6aé1767225600000",
        ] {
            assert_eq!(MessageId::parse(Purpose::Register, bad), None, "{bad}");
        }
    }
}
