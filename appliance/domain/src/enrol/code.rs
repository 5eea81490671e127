//! Registration codes: what an applicant brings to the vetting (BIND-34, D-54).
//!
//! Eight symbols out of 32, 40 bits: capital letters without `I` and `O`, and the digits `2` to `9`. Case does not
//! matter, nor do spaces and dashes. A code finds a request again; it authenticates nobody.

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The symbols, in their order: each stands for five bits.
pub(super) const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Symbols of a code.
pub(super) const LEN: usize = 8;
/// Random bytes that make a code: five bits for each symbol.
pub const DRAW_LEN: usize = 5;
/// Longest text that is looked at: a code with a separator after each symbol.
const TEXT_MAX: usize = 2 * LEN;

/// A registration code.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct EnrolCode([u8; LEN]);

/// A text that can be no registration code.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a registration code")]
pub struct EnrolCodeError;

impl EnrolCode {
    /// Makes a code of 40 random bits, each code alike likely.
    pub fn draw(random: [u8; DRAW_LEN]) -> Self {
        let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let mut code = EnrolCode([0; LEN]);
        for (place, symbol) in code.0.iter_mut().enumerate() {
            let shift = 5 * (LEN - 1 - place);
            *symbol = ALPHABET[usize::try_from(bits >> shift & 31).expect("five bits")];
        }
        code
    }

    /// Reads a code as people type it.
    ///
    /// # Errors
    /// [`EnrolCodeError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, EnrolCodeError> {
        if text.len() > TEXT_MAX {
            return Err(EnrolCodeError);
        }
        let mut code = EnrolCode([0; LEN]);
        let mut typed = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
        for symbol in &mut code.0 {
            let byte = typed.next().ok_or(EnrolCodeError)?.to_ascii_uppercase();
            *symbol = if ALPHABET.contains(&byte) { byte } else { return Err(EnrolCodeError) };
        }
        if typed.next().is_some() { Err(EnrolCodeError) } else { Ok(code) }
    }

    /// The eight symbols, in clear.
    pub fn expose(&self) -> &[u8; LEN] {
        &self.0
    }

    /// As people read it: two groups of four with a dash between.
    pub fn grouped(&self) -> Zeroizing<String> {
        let mut text = String::with_capacity(LEN + 1);
        for (place, symbol) in self.0.iter().enumerate() {
            if place == LEN / 2 {
                text.push('-');
            }
            text.push(char::from(*symbol));
        }
        Zeroizing::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// BIND-34: whatever is drawn reads back from its groups and from a careless spelling; no two draws are alike.
        #[test]
        fn a_code_is_read_back(random: [u8; DRAW_LEN], other: [u8; DRAW_LEN]) {
            let code = EnrolCode::draw(random);
            let grouped = code.grouped();
            prop_assert!(EnrolCode::parse(&grouped) == Ok(code.clone()));
            let careless = grouped.to_lowercase().replace('-', " ");
            prop_assert!(EnrolCode::parse(&careless) == Ok(code.clone()));
            prop_assert_eq!(EnrolCode::draw(other) == code, random == other);
        }

        #[test]
        fn any_text_is_a_code_or_refused(text in "\\PC{0,24}") {
            if let Ok(code) = EnrolCode::parse(&text) {
                prop_assert!(code.expose().iter().all(|symbol| ALPHABET.contains(symbol)));
            }
        }
    }

    /// BIND-34: 32 different symbols, none of which is taken for another.
    #[test]
    fn the_alphabet_is_unambiguous() {
        assert!(!ALPHABET.iter().any(|symbol| b"IO01".contains(symbol)));
        assert!(ALPHABET.iter().enumerate().all(|(place, symbol)| !ALPHABET[..place].contains(symbol)));
        for text in ["", "ABCD-EFG", "ABCD-EFGH-J", "ABCD-EFG1", "ABCD-EFGÄ", "A-B-C-D-E-F-G-H- "] {
            assert!(EnrolCode::parse(text).is_err(), "{text}");
        }
    }
}
