//! Digits as they are chosen with two buttons: a PIN or a question.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::pin::{PIN_MAX, PIN_MIN};

/// The most digits of all: a question's.
const ENTRY_MAX: usize = 10;

/// Digits taken so far, and the one that is being chosen.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Entry {
    digits: [u8; ENTRY_MAX],
    len: u8,
    current: u8,
    least: u8,
    most: u8,
}

impl Entry {
    /// For a PIN.
    pub(crate) const fn pin() -> Self {
        Self::of(PIN_MIN as u8, PIN_MAX as u8)
    }

    /// For a question of `digits` digits, at most ten.
    pub(crate) const fn question(digits: u8) -> Self {
        Self::of(digits, digits)
    }

    const fn of(least: u8, most: u8) -> Self {
        Self { digits: [0; ENTRY_MAX], len: 0, current: 0, least, most }
    }

    /// The next digit in place of the chosen one.
    pub(crate) fn advance(&mut self) {
        self.current = (self.current + 1) % 10;
    }

    /// Takes the chosen digit; `false` if there is no room for more.
    pub(crate) fn accept(&mut self) -> bool {
        if !self.has_room() {
            return false;
        }
        let Some(place) = self.digits.get_mut(usize::from(self.len)) else { return false };
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
                self.digits[usize::from(len)] = 0;
                true
            }
            None => false,
        }
    }

    /// Whether it is long enough.
    pub(crate) const fn is_complete(&self) -> bool {
        self.len >= self.least
    }

    /// Whether a digit can follow.
    pub(crate) const fn has_room(&self) -> bool {
        self.len < self.most
    }

    /// The digits in ASCII.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.digits[..self.len()]
    }

    /// How many digits were taken.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The digit that is being chosen.
    pub(crate) const fn current(&self) -> u8 {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_chosen_taken_and_dropped() {
        let mut entry = Entry::pin();
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

    #[test]
    fn a_question_has_all_its_digits_and_no_more() {
        let mut entry = Entry::question(10);
        for _ in 0..10 {
            assert!(!entry.is_complete() && entry.accept());
        }
        assert!(entry.is_complete() && !entry.accept() && entry.expose() == b"0000000000");
    }
}
