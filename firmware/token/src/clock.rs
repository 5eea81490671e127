//! Time of day from a count of seconds: set by the owner's host, trimmed by what the host finds at the next
//! setting, and lost, not guessed, when the count was interrupted.

use serde::{Deserialize, Serialize};

use crate::platform::Rtc;

/// A trim is learnt only over at least this time: a second of error in a day is 12 parts per million.
const TRIM_AFTER_S: u32 = 24 * 3600;

/// A crystal that is further off is defective or was set wrongly before; nothing is learnt from it.
const TRIM_MAX_PPM: i64 = 500;

/// 2026-01-01: no firmware is older, so no true time is.
pub(crate) const EARLIEST_UTC: i64 = 1_767_225_600;

/// 2100-01-01.
const LATEST_UTC: i64 = 4_102_444_800;

/// A moment at which the time was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setting {
    utc: i64,
    run: u32,
    seconds: u32,
    trim_ppm: i16,
}

/// Whether a host can mean this time.
pub(crate) fn is_plausible(utc: i64) -> bool {
    (EARLIEST_UTC..LATEST_UTC).contains(&utc)
}

impl Setting {
    /// The setting after a host said `utc` at count `rtc`, with what the one before teaches.
    pub(crate) fn new(before: Option<Self>, utc: i64, rtc: Rtc) -> Self {
        let trim_ppm = before.map_or(0, |before| before.learn(utc, rtc));
        Self { utc, run: rtc.run, seconds: rtc.seconds, trim_ppm }
    }

    /// Unix seconds at count `rtc`; `None` if the count was interrupted since.
    pub(crate) fn now(&self, rtc: Rtc) -> Option<i64> {
        let age = self.age(rtc)?;
        Some(self.utc + i64::from(age) + i64::from(age) * i64::from(self.trim_ppm) / 1_000_000)
    }

    /// Seconds since the setting; `None` if the count was interrupted since.
    pub(crate) fn age(&self, rtc: Rtc) -> Option<u32> {
        rtc.seconds.checked_sub(self.seconds).filter(|_| rtc.run == self.run)
    }

    /// The correction of the count's rate.
    pub(crate) const fn trim_ppm(&self) -> i16 {
        self.trim_ppm
    }

    fn learn(&self, utc: i64, rtc: Rtc) -> i16 {
        let Some(age) = self.age(rtc).filter(|&age| age >= TRIM_AFTER_S) else { return self.trim_ppm };
        let error = utc.saturating_sub(self.utc).saturating_sub(age.into());
        let ppm = error.saturating_mul(1_000_000).saturating_add(i64::from(age / 2)).div_euclid(age.into());
        if ppm.abs() <= TRIM_MAX_PPM { ppm as i16 } else { self.trim_ppm }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: i64 = 1_800_000_000;

    fn rtc(seconds: u32) -> Rtc {
        Rtc { run: 5, seconds }
    }

    #[test]
    fn an_interrupted_count_loses_the_time() {
        let setting = Setting::new(None, UTC, rtc(1_000));
        assert_eq!(setting.now(rtc(1_060)), Some(UTC + 60));
        assert_eq!(setting.now(rtc(999)), None);
        assert_eq!(setting.now(Rtc { run: 6, seconds: 1_060 }), None);
    }

    #[test]
    fn a_drift_is_learnt_over_a_day_and_then_corrected() {
        let first = Setting::new(None, UTC, rtc(0));
        let month = 30 * 86_400;
        let slow_by_100_ppm = i64::from(month) + i64::from(month) / 10_000;
        let second = Setting::new(Some(first), UTC + slow_by_100_ppm, rtc(month));
        assert_eq!(second.trim_ppm(), 100);
        assert_eq!(second.now(rtc(2 * month)), Some(UTC + 2 * slow_by_100_ppm));
        let soon = Setting::new(Some(second), UTC + slow_by_100_ppm + 70, rtc(month + 60));
        assert_eq!(soon.trim_ppm(), 100, "a minute teaches nothing");
        let absurd = Setting::new(Some(second), UTC + 3 * slow_by_100_ppm, rtc(2 * month));
        assert_eq!(absurd.trim_ppm(), 100, "nothing is learnt from a clock set wrongly");
    }

    #[test]
    fn a_new_run_keeps_the_trim() {
        let learnt = Setting { trim_ppm: -40, ..Setting::new(None, UTC, rtc(0)) };
        let again = Setting::new(Some(learnt), UTC + 9, Rtc { run: 9, seconds: 0 });
        assert_eq!(again.trim_ppm(), -40);
    }
}
