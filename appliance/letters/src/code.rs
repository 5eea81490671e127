//! The codes that a letter carries, in the form in which people copy them.

use zeroize::Zeroizing;

use crate::job::FieldError;

/// Characters of an initial activation key: nothing that reads as another one.
pub(crate) const IAK_ALPHABET: &str = "23456789ABCDEFGHJKLMNPQRSTVWXYZ";
const IAK_LENGTH: usize = 12;
/// Characters of Base32 (RFC 4648) without padding.
const BASE32_ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// 80 to 640 bits.
const BASE32_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;
/// Characters that a person copies at a time.
const GROUP: usize = 4;

/// A code in groups of four. It is a secret.
pub(crate) struct Code(Zeroizing<String>);

impl Code {
    /// An initial activation key, raw or in groups: `XXXX-XXXX-XXXX`.
    pub(crate) fn iak(text: &str) -> Result<Self, FieldError> {
        let raw = without_marks(text);
        if raw.len() != IAK_LENGTH || !raw.chars().all(|c| IAK_ALPHABET.contains(c)) {
            return Err(FieldError::Iak);
        }
        Ok(Code(grouped(&raw, '-')))
    }

    /// The key of a token, raw or in groups: `XXXX XXXX ...`.
    pub(crate) fn base32(text: &str) -> Result<Self, FieldError> {
        let raw = without_marks(text);
        if !BASE32_LENGTHS.contains(&raw.len()) || !raw.chars().all(|c| BASE32_ALPHABET.contains(c)) {
            return Err(FieldError::Base32);
        }
        Ok(Code(grouped(&raw, ' ')))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn without_marks(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.chars().filter(|c| !matches!(c, ' ' | '-')).collect())
}

fn grouped(raw: &str, mark: char) -> Zeroizing<String> {
    // As long as it can get, so that no shorter copy stays behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(2 * raw.len()));
    for (index, c) in raw.chars().enumerate() {
        if index > 0 && index % GROUP == 0 {
            text.push(mark);
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_form_on_paper() {
        for text in ["ABCDEFGH2345", "ABCD-EFGH-2345", "ABCD EFGH 2345"] {
            assert_eq!(Code::iak(text).unwrap().as_str(), "ABCD-EFGH-2345");
        }
        for text in
            ["", "ABCD-EFGH-234", "ABCD-EFGH-23456", "ABCD-EFGH-234U", "abcd-efgh-2345", "ABCD\nEFGH2345"]
        {
            assert_eq!(Code::iak(text).err(), Some(FieldError::Iak), "{text:?}");
        }
        assert_eq!(Code::base32("JBSWY3DPEHPK3PXPAB").unwrap().as_str(), "JBSW Y3DP EHPK 3PXP AB");
        for text in ["", "JBSWY3DPEHPK3PX", "JBSWY3DPEHPK3PX1", "JBSWY3DPEHPK3PXP====", &"A".repeat(129)] {
            assert_eq!(Code::base32(text).err(), Some(FieldError::Base32), "{text:?}");
        }
    }
}
