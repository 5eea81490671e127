//! Initial activation keys: what an activation letter carries (D-02).
//!
//! Twelve symbols out of 31, about 59 bits: `2` to `9` and the capital letters without `I`, `O` and `U`, in three
//! groups of four. Whoever types one need not care about case, spaces and dashes.

use std::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The symbols, in their order.
pub const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKLMNPQRSTVWXYZ";
/// Symbols of a key.
pub const LEN: usize = 12;
/// Random bytes that [`Iak::draw`] wants: more than it needs in all but one of 10^18 draws.
pub const DRAW_LEN: usize = 48;
const GROUP: usize = 4;
/// Longest text that is looked at: a key with a separator after each symbol.
const TEXT_MAX: usize = 2 * LEN;

/// An activation key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Iak([u8; LEN]);

/// A text that can be no activation key. What is wrong with it is not said: whoever guesses learns nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not an activation key")]
pub struct IakError;

impl Iak {
    /// Draws a key, each symbol alike likely: a byte that would favour some symbols is passed over.
    ///
    /// # Errors
    /// [`IakError`] when too many bytes had to be passed over: draw again.
    pub fn draw(random: &[u8; DRAW_LEN]) -> Result<Self, IakError> {
        let symbols = ALPHABET.len();
        let fair = 256 / symbols * symbols;
        let mut drawn = random.iter().map(|&byte| usize::from(byte)).filter(|&byte| byte < fair);
        let mut key = Iak([0; LEN]);
        for symbol in &mut key.0 {
            *symbol = ALPHABET[drawn.next().ok_or(IakError)? % symbols];
        }
        Ok(key)
    }

    /// Reads a key as people type it.
    ///
    /// # Errors
    /// [`IakError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, IakError> {
        if text.len() > TEXT_MAX {
            return Err(IakError);
        }
        let mut key = Iak([0; LEN]);
        let mut typed = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
        for symbol in &mut key.0 {
            let byte = typed.next().ok_or(IakError)?.to_ascii_uppercase();
            *symbol = if ALPHABET.contains(&byte) { byte } else { return Err(IakError) };
        }
        if typed.next().is_some() { Err(IakError) } else { Ok(key) }
    }

    /// The twelve symbols, in clear.
    pub fn expose(&self) -> &[u8; LEN] {
        &self.0
    }

    /// As a letter shows it: three groups of four with a dash between.
    pub fn grouped(&self) -> zeroize::Zeroizing<String> {
        let mut text = String::with_capacity(LEN + LEN / GROUP);
        for (n, &symbol) in self.0.iter().enumerate() {
            if n > 0 && n % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(symbol));
        }
        text.into()
    }
}

impl fmt::Debug for Iak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iak(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// MOB-32, D-02: whatever is drawn reads back from the letter's spelling and from a careless one.
        #[test]
        fn a_key_is_read_back(random in prop::array::uniform32(0u8..248)) {
            let mut bytes = [0; DRAW_LEN];
            bytes[..32].copy_from_slice(&random);
            let key = Iak::draw(&bytes).unwrap();
            let letter = key.grouped();
            prop_assert_eq!(letter.len(), 14);
            prop_assert_eq!(&Iak::parse(&letter).unwrap(), &key);
            prop_assert_eq!(&Iak::parse(&letter.to_lowercase().replace('-', " ")).unwrap(), &key);
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,40}") {
            if let Ok(key) = Iak::parse(&text) {
                prop_assert!(key.expose().iter().all(|symbol| ALPHABET.contains(symbol)));
            }
        }
    }

    #[test]
    fn unfair_bytes_are_passed_over() {
        assert_eq!(Iak::draw(&[255; DRAW_LEN]).err(), Some(IakError));
        let mut random = [248; DRAW_LEN];
        random[DRAW_LEN - LEN..].fill(0);
        assert_eq!(&**Iak::draw(&random).unwrap().grouped(), "2222-2222-2222");
        assert!(!format!("{:?}", Iak::draw(&[7; DRAW_LEN]).unwrap()).contains('9'));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in
            ["", "2222-2222-222", "2222-2222-22222", "2222-2222-222U", "2222-2222-2221", "ÄÄÄÄ-2222-2222"]
        {
            assert_eq!(Iak::parse(text), Err(IakError), "{text}");
        }
    }
}
