//! How long a PIN is, and how long the next try must wait.

/// The fewest digits of a PIN.
pub(crate) const PIN_MIN: usize = 4;

/// The most digits of a PIN.
pub(crate) const PIN_MAX: usize = 8;

/// The wait after the first wrong PIN; each further one doubles it.
const DELAY_MS: u64 = 1_000;

/// The longest wait, a quarter of an hour.
const DELAY_MAX_MS: u64 = 900_000;

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
}
