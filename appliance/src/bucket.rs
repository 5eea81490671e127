//! A token bucket: so many requests at once, and so many that come back in a second. Time is given.

use std::time::Instant;

/// How much a bucket holds, and how fast it fills.
#[derive(Clone, Copy)]
pub(crate) struct Allowance {
    /// Requests at once.
    pub(crate) burst: f64,
    /// Requests that come back in a second.
    pub(crate) per_s: f64,
}

/// What is left of an allowance.
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A bucket from which nothing was taken.
    pub(crate) fn full(allowance: Allowance, now: Instant) -> Self {
        Bucket { left: allowance.burst, at: now }
    }

    fn refilled(&self, allowance: Allowance, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + passed * allowance.per_s).min(allowance.burst)
    }

    /// Whether it need not be remembered: it has filled up again.
    pub(crate) fn is_full(&self, allowance: Allowance, now: Instant) -> bool {
        self.refilled(allowance, now) >= allowance.burst
    }

    /// Takes one request; false when there is none left.
    pub(crate) fn take(&mut self, allowance: Allowance, now: Instant) -> bool {
        self.left = self.refilled(allowance, now);
        self.at = now;
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }

    /// Puts one back that was taken for nothing.
    pub(crate) fn put_back(&mut self, allowance: Allowance) {
        self.left = (self.left + 1.0).min(allowance.burst);
    }
}
