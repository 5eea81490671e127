//! Recovery codes (COMB-12 to COMB-15, COMB-43, D-36; states: B.5.8): a set per user, each code good once, for whoever
//! lost the phone.
//!
//! Ten symbols out of 57, about 58 bits: digits and letters of both cases without `0`, `O`, `1`, `l` and `I`. Only a
//! one-way mark of each is kept; making it is the HSM's.

use std::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The symbols, in their order.
pub const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Codes of a set.
pub const CODES: usize = 10;
/// Symbols of a code.
pub const LEN: usize = 10;
/// As many codes left, or fewer, and the user is told (COMB-43).
pub const WARN_AT: usize = 3;
/// Random bytes that [`RecoveryCode::draw`] wants: more than it needs in all but one of 10^15 draws.
pub const DRAW_LEN: usize = 32;
const GROUP: usize = 5;
/// Longest text that is looked at: a code with a separator after each symbol.
const TEXT_MAX: usize = 2 * LEN;

/// A recovery code.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryCode([u8; LEN]);

/// A text that can be no recovery code, or random bytes that make none. What is wrong is not said.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a recovery code")]
pub struct NotACode;

impl RecoveryCode {
    /// Draws a code, each symbol alike likely: a byte that would favour some symbols is passed over.
    ///
    /// # Errors
    /// [`NotACode`] when too many bytes had to be passed over: draw again.
    pub fn draw(random: &[u8; DRAW_LEN]) -> Result<Self, NotACode> {
        let symbols = ALPHABET.len();
        let fair = 256 / symbols * symbols;
        let mut drawn = random.iter().map(|&byte| usize::from(byte)).filter(|&byte| byte < fair);
        let mut code = RecoveryCode([0; LEN]);
        for symbol in &mut code.0 {
            *symbol = ALPHABET[drawn.next().ok_or(NotACode)? % symbols];
        }
        Ok(code)
    }

    /// Reads a code as people type it: spaces and dashes do not matter, case does.
    ///
    /// # Errors
    /// [`NotACode`] when it is none.
    pub fn parse(text: &str) -> Result<Self, NotACode> {
        if text.len() > TEXT_MAX {
            return Err(NotACode);
        }
        let mut code = RecoveryCode([0; LEN]);
        let mut typed = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
        for symbol in &mut code.0 {
            let byte = typed.next().ok_or(NotACode)?;
            *symbol = if ALPHABET.contains(&byte) { byte } else { return Err(NotACode) };
        }
        if typed.next().is_some() { Err(NotACode) } else { Ok(code) }
    }

    /// The ten symbols, in clear.
    pub fn expose(&self) -> &[u8; LEN] {
        &self.0
    }

    /// As it is shown: two groups of five with a dash between.
    pub fn grouped(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(LEN + 1));
        for (n, &symbol) in self.0.iter().enumerate() {
            if n > 0 && n % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(symbol));
        }
        text
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// Where a set stands. The last two are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Codes are left.
    Active,
    /// Every code was used.
    Exhausted,
    /// A newer set took its place, or the user's last push or OATH token was revoked.
    Superseded,
}

/// A set: which of its codes were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverySet {
    used: [bool; CODES],
    superseded: bool,
}

/// What using a code comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Used {
    /// It counts; so many are left.
    Accepted {
        /// Codes that can still be used.
        left: usize,
    },
    /// It was used before.
    Again,
    /// The set is no longer good.
    Dead,
}

impl Used {
    /// Whether the user is to be told that codes run out.
    pub fn warns(self) -> bool {
        matches!(self, Used::Accepted { left } if left <= WARN_AT)
    }
}

impl RecoverySet {
    /// A new set; the former one is [superseded](Self::superseded) in the same transaction (COMB-14).
    pub fn new() -> Self {
        RecoverySet { used: [false; CODES], superseded: false }
    }

    /// A set as it was stored.
    pub fn restore(used: [bool; CODES], superseded: bool) -> Self {
        RecoverySet { used, superseded }
    }

    /// Which codes were used.
    pub fn used(&self) -> &[bool; CODES] {
        &self.used
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match (self.superseded, self.left()) {
            (true, _) => State::Superseded,
            (false, 0) => State::Exhausted,
            (false, _) => State::Active,
        }
    }

    /// The set as it is stored: a digit per code, `1` for a used one.
    pub fn marks(&self) -> String {
        self.used.iter().map(|used| if *used { '1' } else { '0' }).collect()
    }

    /// Reads what [`RecoverySet::marks`] wrote.
    pub fn from_marks(marks: &str, superseded: bool) -> Option<Self> {
        let read = |byte| match byte {
            b'0' => Some(false),
            b'1' => Some(true),
            _ => None,
        };
        let used: Option<Vec<bool>> = marks.bytes().map(read).collect();
        Some(RecoverySet { used: used?.try_into().ok()?, superseded })
    }

    /// Codes not used yet.
    pub fn left(&self) -> usize {
        self.used.iter().filter(|used| !**used).count()
    }

    /// Uses the code at `index`, which the HSM found by its mark. An index beyond the set is no code of it.
    pub fn spent(mut self, index: usize) -> (Self, Used) {
        match (self.superseded, self.used.get_mut(index)) {
            (true, _) | (_, None) => (self, Used::Dead),
            (false, Some(true)) => (self, Used::Again),
            (false, Some(used)) => {
                *used = true;
                (self, Used::Accepted { left: self.left() })
            }
        }
    }

    /// The set is no longer good (COMB-15).
    pub fn superseded(self) -> Self {
        RecoverySet { superseded: true, ..self }
    }
}

impl Default for RecoverySet {
    fn default() -> Self {
        RecoverySet::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// COMB-43: whatever is drawn reads back as it is shown, and with other separators.
        #[test]
        fn a_code_is_read_back(random in prop::array::uniform32(0u8..228)) {
            let code = RecoveryCode::draw(&random).unwrap();
            let shown = code.grouped();
            prop_assert_eq!(shown.len(), LEN + 1);
            prop_assert!(shown.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)));
            prop_assert_eq!(&RecoveryCode::parse(&shown).unwrap(), &code);
            prop_assert_eq!(&RecoveryCode::parse(&shown.replace('-', " ")).unwrap(), &code);
        }
    }

    /// COMB-43, D-36. Red when a symbol is easily taken for another, twice in the alphabet, or favoured.
    #[test]
    fn every_symbol_is_plain_and_alike_likely() {
        let mut seen = [0u32; 128];
        for byte in 0..=u8::MAX {
            let mut random = [255; DRAW_LEN];
            random[0] = byte;
            random[1..LEN].fill(0);
            random[LEN] = 0;
            let code = RecoveryCode::draw(&random).unwrap();
            if byte < 228 {
                seen[usize::from(code.expose()[0])] += 1;
            }
        }
        assert!(b"0O1lI".iter().all(|byte| seen[usize::from(*byte)] == 0));
        assert_eq!(seen.iter().filter(|n| **n == 4).count(), 57);
        assert_eq!(RecoveryCode::draw(&[228; DRAW_LEN]).err(), Some(NotACode));
        assert!(!format!("{:?}", RecoveryCode::draw(&[7; DRAW_LEN]).unwrap()).contains('9'));
    }

    /// COMB-43: case matters, length too.
    #[test]
    fn what_is_no_code_is_refused() {
        let good = RecoveryCode::parse("abcde-FGHJK").unwrap();
        assert_ne!(RecoveryCode::parse("ABCDE-FGHJK").unwrap(), good);
        for bad in
            ["", "abcde-FGHJ", "abcde-FGHJKL", "abcde-FGHJ0", "abcde-FGHJl", "ábcd-FGHJK", "abcde\tFGHJK"]
        {
            assert_eq!(RecoveryCode::parse(bad), Err(NotACode), "{bad}");
        }
        assert_eq!(RecoveryCode::parse(&format!("abcdeFGHJK{}", "-".repeat(20))), Err(NotACode));
    }

    /// B.5.8, COMB-43. Red when a code counts twice, or nobody is warned.
    #[test]
    fn each_code_counts_once_and_the_last_ones_warn() {
        let mut set = RecoverySet::new();
        for index in 0..CODES {
            assert_eq!(set.state(), State::Active);
            let (next, used) = set.spent(index);
            assert_eq!(used, Used::Accepted { left: CODES - 1 - index });
            assert_eq!(used.warns(), CODES - 1 - index <= 3);
            assert_eq!(next.spent(index), (next, Used::Again));
            set = next;
        }
        assert_eq!(set.state(), State::Exhausted);
        assert_eq!(set.superseded().state(), State::Superseded);
        assert_eq!(set.spent(CODES), (set, Used::Dead));
        assert_eq!(RecoverySet::restore(*set.used(), false), set);
    }

    /// B.5.8, COMB-15. Red when a code of an old set counts.
    #[test]
    fn a_superseded_set_is_dead() {
        let old = RecoverySet::new().spent(3).0.superseded();
        for index in 0..=CODES {
            assert_eq!(old.spent(index), (old, Used::Dead));
        }
        assert!(!old.spent(0).1.warns());
        assert_eq!(old.state(), State::Superseded);
    }
}
