//! The PIN as it is typed, and how long the next try must wait.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The fewest digits of a PIN.
pub(crate) const PIN_MIN: usize = 4;

/// The most digits of a PIN.
pub(crate) const PIN_MAX: usize = 8;

/// The wait after the first wrong PIN; each further one doubles it.
const DELAY_MS: u64 = 1_000;

/// The longest wait, a quarter of an hour.
const DELAY_MAX_MS: u64 = 900_000;

/// Digits entered so far, and the one that is being chosen.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Entry {
    digits: [u8; PIN_MAX],
    len: usize,
    current: u8,
}

impl Entry {
    /// The next digit in place of the chosen one.
    pub(crate) fn advance(&mut self) {
        self.current = (self.current + 1) % 10;
    }

    /// Takes the chosen digit; `false` if there is no room for more.
    pub(crate) fn accept(&mut self) -> bool {
        let Some(place) = self.digits.get_mut(self.len) else { return false };
        *place = b'0' + self.current;
        self.len += 1;
        self.current = 0;
        true
    }

    /// Drops the last digit; `false` if there was none.
    pub(crate) fn back(&mut self) -> bool {
        self.current = 0;
        match self.len.checked_sub(1) {
            Some(len) => {
                self.len = len;
                self.digits[len] = 0;
                true
            }
            None => false,
        }
    }

    /// Whether it is long enough.
    pub(crate) fn is_complete(&self) -> bool {
        self.len >= PIN_MIN
    }

    /// The digits in ASCII.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    /// How many digits were taken.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The digit that is being chosen.
    pub(crate) const fn current(&self) -> u8 {
        self.current
    }
}

/// How long after start, or after the last try, a PIN is not looked at. It begins anew at start, so that a reset
/// does not shorten it.
pub(crate) fn delay_ms(failures: u8) -> u64 {
    match failures {
        0 => 0,
        more => DELAY_MS.saturating_mul(1 << (more - 1).min(20)).min(DELAY_MAX_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_bound() {
        assert_eq!([0, 1, 2, 3, 7].map(delay_ms), [0, 1_000, 2_000, 4_000, 64_000]);
        assert_eq!(delay_ms(u8::MAX), DELAY_MAX_MS);
    }

    #[test]
    fn digits_are_chosen_taken_and_dropped() {
        let mut entry = Entry::default();
        for digit in [3, 0, 9, 1] {
            assert!(!entry.is_complete());
            (0..digit + 10).for_each(|_| entry.advance());
            assert!(entry.accept());
        }
        assert!(entry.is_complete() && entry.expose() == b"3091");
        assert!(entry.back() && entry.expose() == b"309");
        (0..5).for_each(|_| assert!(entry.accept()));
        assert!(!entry.accept() && entry.len() == PIN_MAX);
        (0..PIN_MAX).for_each(|_| assert!(entry.back()));
        assert!(!entry.back());
    }
}
