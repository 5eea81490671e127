//! The number challenge (COMB-42, C.3): three numbers on the phone, one of them on the login page.
//!
//! Tapping the right one shows that the person sees that page; tapping another is a denial.

use std::ops::RangeInclusive;

use thiserror::Error;

/// What is shown: two digits, the first of them not 0.
pub const NUMBERS: RangeInclusive<u8> = 10..=99;
/// How many.
pub const COUNT: usize = 3;
/// Random bytes that [`Numbers::draw`] wants: more than it needs in all but one of 10^13 draws.
pub const DRAW_LEN: usize = 32;
/// Numbers that can be shown.
const RANGE: u8 = 90;

/// Three different numbers, and which of them is right.
#[derive(Clone, PartialEq, Eq)]
pub struct Numbers {
    /// In rising order: the place says nothing.
    shown: [u8; COUNT],
    right: u8,
}

/// Too many bytes had to be passed over: draw again.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the random bytes hold too few fair numbers")]
pub struct TooFew;

impl Numbers {
    /// Draws three different numbers, every set and every right one of it alike likely: the first that is drawn is the
    /// right one. A byte that would favour some numbers is passed over, and so is a number that is there already.
    ///
    /// # Errors
    /// [`TooFew`] when the bytes do not suffice.
    pub fn draw(random: &[u8; DRAW_LEN]) -> Result<Self, TooFew> {
        let fair = u8::MAX / RANGE * RANGE;
        let mut drawn = Vec::with_capacity(COUNT);
        for number in random.iter().filter(|&&byte| byte < fair).map(|byte| NUMBERS.start() + byte % RANGE) {
            if drawn.len() < COUNT && !drawn.contains(&number) {
                drawn.push(number);
            }
        }
        let mut shown: [u8; COUNT] = drawn.try_into().map_err(|_| TooFew)?;
        let right = shown[0];
        shown.sort_unstable();
        Ok(Numbers { shown, right })
    }

    /// What the phone shows.
    pub fn shown(&self) -> [u8; COUNT] {
        self.shown
    }

    /// What the login page shows.
    pub fn right(&self) -> u8 {
        self.right
    }

    /// The claim `n`.
    pub(crate) fn claim(&self) -> String {
        self.shown.map(|number| number.to_string()).join(",")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn draw(first: [u8; 6]) -> Result<Numbers, TooFew> {
        let mut random = [u8::MAX; DRAW_LEN];
        random[..6].copy_from_slice(&first);
        Numbers::draw(&random)
    }

    /// COMB-42, C.3. Red when two numbers are equal, the order tells which is right, or a byte is used that is unfair.
    #[test]
    fn three_numbers_differ_and_stand_in_order() {
        let numbers = draw([255, 32, 122, 7, 76, 0]).unwrap();
        assert_eq!(
            (numbers.right(), numbers.shown(), numbers.claim().as_str()),
            (42, [17, 42, 86], "17,42,86")
        );
        assert_eq!(draw([180, 181, 0, 89, 255, 1]).unwrap().shown(), [10, 11, 99]);
        assert_eq!(draw([5, 95, 5, 95, 6, 6]).err(), Some(TooFew));
    }

    /// A14. Red when one number is right more often than another.
    #[test]
    fn no_number_is_favoured() {
        let mut numbers = BTreeMap::new();
        let mut random = [0; DRAW_LEN];
        for (n, byte) in random.iter_mut().enumerate() {
            *byte = 70 + u8::try_from(n).unwrap();
        }
        for a in 0..=u8::MAX {
            for b in 0..=u8::MAX {
                random[..2].copy_from_slice(&[a, b]);
                *numbers.entry(Numbers::draw(&random).unwrap().right()).or_insert(0u32) += 1;
            }
        }
        let (least, most) = (numbers.values().min().unwrap(), numbers.values().max().unwrap());
        assert_eq!(numbers.len(), usize::from(RANGE));
        // Both first bytes are passed over in 76² of 256² draws; the third is always the same.
        assert_eq!(most - least, 76 * 76);
    }

    /// A14. Red when the place on the phone tells which number is right.
    #[test]
    fn no_place_is_favoured() {
        let mut places = [0u32; COUNT];
        for (a, b, c) in (0..90)
            .step_by(3)
            .flat_map(|a| (0..90).step_by(3).flat_map(move |b| (0..90).step_by(3).map(move |c| (a, b, c))))
        {
            if a != b && b != c && a != c {
                let drawn = draw([a, b, c, 0, 1, 2]).unwrap();
                places[drawn.shown().iter().position(|n| *n == drawn.right()).unwrap()] += 1;
            }
        }
        assert_eq!(places, [30 * 29 * 28 / 3; COUNT]);
    }
}
