//! The test at start: the arithmetic against RFC 4226, the RNG against SP 800-90B section 4.4. Flash is tested by
//! opening the vault, which reads everything and checks its MACs.

use oath::{Algorithm, CodeFormat, Digits, Truncation, moving_factor};

use crate::otp;
use crate::platform::Platform;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SelfTest {
    pub(crate) vectors_ok: bool,
    pub(crate) rng_ok: bool,
}

/// Bytes that the RNG must give at start.
const SAMPLE: usize = 256;

/// SP 800-90B section 4.4.1: equal bytes in a row, for at least 4 bits of entropy per byte and a false alarm in
/// 2^30: 1 + 30/4.
const REPETITION_MAX: usize = 9;

/// SP 800-90B section 4.4.2 has a table: equal bytes among 256, for 4 bits per byte. A healthy RNG shows a byte
/// this often once in far more than 2^30 starts.
const PROPORTION_MAX: usize = 45;

/// Runs both.
#[inline(never)]
pub(crate) fn run<P: Platform>(platform: &mut P) -> SelfTest {
    let mut sample = [0; SAMPLE];
    let rng_ok = platform.random(&mut sample).is_ok() && is_healthy(&sample);
    SelfTest { vectors_ok: vectors(), rng_ok }
}

/// RFC 4226 appendix D, counters 0 and 9.
fn vectors() -> bool {
    let format = CodeFormat { digits: Digits::SIX, checksum: false, truncation: Truncation::Dynamic };
    [(0, "755224"), (9, "520489")].into_iter().all(|(counter, expected)| {
        otp::code(Algorithm::Sha1, b"12345678901234567890", &[&moving_factor(counter)], &format).as_str()
            == expected
    })
}

fn is_healthy(sample: &[u8; SAMPLE]) -> bool {
    let mut run = 1;
    for pair in sample.windows(2) {
        run = if pair[0] == pair[1] { run + 1 } else { 1 };
        if run >= REPETITION_MAX {
            return false;
        }
    }
    (0..=u8::MAX).all(|value| sample.iter().filter(|&&byte| byte == value).count() < PROPORTION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_and_biased_samples_are_found() {
        let mut sample: [u8; SAMPLE] = core::array::from_fn(|i| (i * 167) as u8);
        assert!(is_healthy(&sample));
        sample[40..49].fill(7);
        assert!(!is_healthy(&sample));
        let biased = core::array::from_fn(|i| if i % 5 == 0 { 1 } else { i as u8 });
        assert!(!is_healthy(&biased));
        assert!(!is_healthy(&[0; SAMPLE]));
    }

    #[test]
    fn vectors_hold() {
        assert!(vectors());
    }
}
