//! Time steps of RFC 6238 section 4. The time is an argument, in Unix seconds (UTC, without leap seconds).

use crate::Error;

/// A time step X in whole seconds, 10 to 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u16);

impl Period {
    /// 30 seconds, the default of RFC 6238.
    pub const THIRTY: Self = Self(30);

    /// A time step of `seconds`.
    ///
    /// # Errors
    /// [`Error::PeriodOutOfRange`] outside 10 to 120.
    pub const fn new(seconds: u16) -> Result<Self, Error> {
        match seconds {
            10..=120 => Ok(Self(seconds)),
            _ => Err(Error::PeriodOutOfRange),
        }
    }

    /// The time step in seconds.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Turns Unix time into time steps: T = floor((time - T0) / X).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TotpClock {
    /// T0 in Unix seconds, the beginning of step 0; the RFC's default is 0.
    pub t0: i64,
    /// X, the length of a step.
    pub period: Period,
}

impl TotpClock {
    /// The step that `unix_seconds` lies in, or `None` before `t0`.
    pub const fn step(&self, unix_seconds: i64) -> Option<u64> {
        match self.since_t0(unix_seconds) {
            Some(elapsed) => Some(elapsed / self.period.0 as u64),
            None => None,
        }
    }

    /// The first Unix second of `step`; `i64::MAX` for a step that begins later than that.
    pub const fn step_start(&self, step: u64) -> i64 {
        self.t0.saturating_add_unsigned(step.saturating_mul(self.period.0 as u64))
    }

    /// Seconds until the next step begins, 1 to the period, or `None` before `t0`.
    pub const fn remaining(&self, unix_seconds: i64) -> Option<u16> {
        match self.since_t0(unix_seconds) {
            Some(elapsed) => Some(self.period.0 - (elapsed % self.period.0 as u64) as u16),
            None => None,
        }
    }

    const fn since_t0(&self, unix_seconds: i64) -> Option<u64> {
        if unix_seconds < self.t0 { None } else { Some(unix_seconds.abs_diff(self.t0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEFAULT: TotpClock = TotpClock { t0: 0, period: Period::THIRTY };

    #[test]
    fn period_is_10_to_120_seconds() {
        for (seconds, accepted) in [(0, false), (9, false), (10, true), (120, true), (121, false)] {
            assert_eq!(Period::new(seconds).is_ok(), accepted, "{seconds} s");
        }
    }

    #[test]
    fn step_changes_on_its_boundary() {
        for (time, step, remaining) in [(0, 0, 30), (29, 0, 1), (30, 1, 30), (59, 1, 1), (60, 2, 30)] {
            assert_eq!(DEFAULT.step(time), Some(step), "{time}");
            assert_eq!(DEFAULT.remaining(time), Some(remaining), "{time}");
        }
    }

    #[test]
    fn before_t0_there_is_no_step() {
        let clock = TotpClock { t0: 1_000, ..DEFAULT };
        assert_eq!(clock.step(999), None);
        assert_eq!(clock.remaining(999), None);
        assert_eq!(clock.step(1_000), Some(0));
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let clock = TotpClock { t0: i64::MIN, period: Period::THIRTY };
        assert_eq!(clock.step(i64::MAX), Some(u64::MAX / 30));
        assert_eq!(clock.step_start(u64::MAX), i64::MAX);
        assert_eq!(DEFAULT.step_start(u64::MAX), i64::MAX);
    }

    proptest! {
        #[test]
        fn a_step_holds_its_time(t0 in -1_000_000_000i64..1_000_000_000, after in 0u32.., x in 10u16..=120) {
            let clock = TotpClock { t0, period: Period::new(x).unwrap() };
            let time = t0 + i64::from(after);
            let step = clock.step(time).unwrap();
            let remaining = i64::from(clock.remaining(time).unwrap());
            prop_assert!(clock.step_start(step) <= time);
            prop_assert_eq!(time + remaining, clock.step_start(step + 1));
            prop_assert!((1..=i64::from(x)).contains(&remaining));
        }
    }
}
