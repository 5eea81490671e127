//! The one place that asks the system for the time.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::time::{BootId, Now};
use rustix::time::{ClockId, clock_gettime};

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The system's clocks, and the latest wall time ever seen.
pub struct Clock {
    boot: BootId,
    latest_ms: AtomicI64,
}

impl Clock {
    /// Reads the boot id. `seen_ms` is the latest wall time that the store has seen: steady time never
    /// falls behind it.
    ///
    /// # Errors
    /// When the kernel's boot id cannot be read.
    pub fn new(seen_ms: i64) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(BOOT_ID)?;
        let uuid = uuid::Uuid::parse_str(text.trim()).map_err(std::io::Error::other)?;
        Ok(Clock { boot: BootId(uuid.into_bytes()), latest_ms: AtomicI64::new(seen_ms) })
    }

    /// Both clocks now.
    pub fn now(&self) -> Now {
        let wall_ms = wall_ms();
        let steady_ms = self.latest_ms.fetch_max(wall_ms, Ordering::Relaxed).max(wall_ms);
        Now { wall_ms, steady_ms, boot: self.boot, boot_ms: boot_ms() }
    }
}

/// Unix milliseconds, as the system says it.
pub fn wall_ms() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

fn boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let ms = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(unix_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(unix_ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{unix_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_time_never_runs_back() {
        let far = wall_ms() + 3_600_000;
        let clock = Clock::new(far).unwrap();
        assert_eq!(clock.now().steady_ms, far);
        assert!(clock.now().wall_ms < far);
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }
}
