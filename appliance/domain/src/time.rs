//! Time as the rules see it: wall time for TOTP and for long terms, the boot clock for short ones.
//!
//! A short deadline runs on `CLOCK_BOOTTIME` and names the boot it was made in. Under another boot id
//! it counts as passed: a machine that restarted cannot tell how long it was away.

/// Identity of one boot of the kernel (`/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Unix time in milliseconds, as the system says it; TOTP steps come from here.
    pub wall_ms: i64,
    /// Unix time in milliseconds that never runs back; terms above [`SHORT_TERM_MAX_MS`] run on it.
    pub steady_ms: i64,
    /// The boot that `boot_ms` belongs to.
    pub boot: BootId,
    /// Milliseconds since that boot, suspend included.
    pub boot_ms: u64,
}

impl Now {
    /// Wall time in whole seconds, rounded down.
    pub fn unix_seconds(&self) -> i64 {
        self.wall_ms.div_euclid(1000)
    }

    /// The deadline that lies `ms` milliseconds ahead on the boot clock.
    pub fn deadline_in(&self, ms: u64) -> Deadline {
        Deadline { boot: self.boot, boot_ms: self.boot_ms.saturating_add(ms) }
    }
}

/// Longest term that may run on the boot clock: 15 minutes.
pub const SHORT_TERM_MAX_MS: u64 = 15 * 60 * 1000;

/// A moment on the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The boot in which it was set.
    pub boot: BootId,
    /// Milliseconds since that boot.
    pub boot_ms: u64,
}

impl Deadline {
    /// Whether the deadline lies behind; under another boot id it always does.
    pub fn passed(&self, now: &Now) -> bool {
        self.boot != now.boot || now.boot_ms >= self.boot_ms
    }

    /// Milliseconds left, 0 once passed.
    pub fn remaining_ms(&self, now: &Now) -> u64 {
        if self.passed(now) { 0 } else { self.boot_ms - now.boot_ms }
    }

    /// The same moment in Unix milliseconds, for people; `None` once another boot has begun.
    pub fn wall_ms(&self, now: &Now) -> Option<i64> {
        let ahead = i64::try_from(self.boot_ms).ok()? - i64::try_from(now.boot_ms).ok()?;
        (self.boot == now.boot).then(|| now.wall_ms.saturating_add(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(boot: u8, boot_ms: u64) -> Now {
        Now { wall_ms: 1_000_000, steady_ms: 1_000_000, boot: BootId([boot; 16]), boot_ms }
    }

    #[test]
    fn a_deadline_of_another_boot_has_passed() {
        let deadline = now(1, 5_000).deadline_in(60_000);
        assert!(!deadline.passed(&now(1, 64_999)));
        assert!(deadline.passed(&now(1, 65_000)));
        assert!(deadline.passed(&now(2, 5_001)));
        assert_eq!(deadline.remaining_ms(&now(1, 5_000)), 60_000);
        assert_eq!(deadline.wall_ms(&now(1, 5_000)), Some(1_060_000));
        assert_eq!(deadline.wall_ms(&now(2, 5_000)), None);
    }
}
