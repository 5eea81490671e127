//! One table of limits, asked on every path that takes a code.
//!
//! Three tiers, each with its own counter: the token (a short lock, its siblings untouched), the pair of
//! user and application (a growing delay, then a lock), the user (an absolute cap, then an administrator).
//! An attempt that a limit refuses is not evaluated and counts nowhere.

use crate::time::{Deadline, Now, SHORT_TERM_MAX_MS};

/// The limits and their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wrong codes at one token before it locks.
    pub token_failures: u32,
    /// How long a token stays locked, in milliseconds (at most 15 minutes: boot clock).
    pub token_lock_ms: u64,
    /// Wrong codes of one user at one application before each further try has to wait.
    pub delay_from: u32,
    /// Wrong codes of one user at one application before that pair locks.
    pub pair_failures: u32,
    /// How long the pair stays locked, in milliseconds (wall time that never runs back).
    pub pair_lock_ms: i64,
    /// Consecutive wrong codes of a user over everything; then an administrator unlocks.
    pub user_failures: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            token_failures: 5,
            token_lock_ms: SHORT_TERM_MAX_MS,
            delay_from: 3,
            pair_failures: 10,
            pair_lock_ms: 24 * 60 * 60 * 1000,
            user_failures: 100,
        }
    }
}

/// Longest growing delay, in milliseconds.
pub const DELAY_MAX_MS: u64 = SHORT_TERM_MAX_MS;

/// What the store holds about a user at an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Wrong codes of this user at this application since its last accepted one.
    pub pair_failures: u32,
    /// No try before this moment.
    pub not_before: Option<Deadline>,
    /// Locked until this steady wall time in milliseconds.
    pub locked_until_ms: Option<i64>,
    /// Wrong codes of this user anywhere since the last accepted one.
    pub user_failures: u32,
}

/// Whether a code may be evaluated at all.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Evaluate it.
    Admitted,
    /// The growing delay has not passed.
    Limited,
    /// The pair or the user is locked.
    Locked,
}

/// Decides whether this user's code may be evaluated now.
pub fn admit(limits: &Limits, counters: &Counters, now: &Now) -> Admission {
    if counters.user_failures >= limits.user_failures {
        return Admission::Locked;
    }
    if counters.locked_until_ms.is_some_and(|until| now.steady_ms < until) {
        return Admission::Locked;
    }
    if counters.not_before.is_some_and(|at| !at.passed(now)) {
        return Admission::Limited;
    }
    Admission::Admitted
}

/// What a pair's counter of `failures` (this one included) brings with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consequence {
    /// No try before this moment.
    pub not_before: Option<Deadline>,
    /// Locked until this steady wall time in milliseconds.
    pub locked_until_ms: Option<i64>,
}

/// The consequence of the pair's n-th failure: from [`Limits::delay_from`] on 1 s, 2 s, 4 s ..., then a lock.
pub fn consequence(limits: &Limits, failures: u32, now: &Now) -> Consequence {
    if failures >= limits.pair_failures {
        let until = now.steady_ms.saturating_add(limits.pair_lock_ms);
        return Consequence { not_before: None, locked_until_ms: Some(until) };
    }
    match failures.checked_sub(limits.delay_from) {
        None => Consequence::default(),
        Some(beyond) => {
            let delay = 1000u64.checked_shl(beyond).unwrap_or(DELAY_MAX_MS).min(DELAY_MAX_MS);
            Consequence { not_before: Some(now.deadline_in(delay)), locked_until_ms: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::BootId;

    fn at(ms: u64) -> Now {
        let wall = 1_700_000_000_000 + i64::try_from(ms).unwrap();
        Now { wall_ms: wall, steady_ms: wall, boot: BootId([1; 16]), boot_ms: ms }
    }

    #[test]
    fn the_delay_grows_and_ends_in_a_lock() {
        let limits = Limits::default();
        assert_eq!(consequence(&limits, 2, &at(0)), Consequence::default());
        let waits: Vec<_> = (3..10)
            .map(|n| consequence(&limits, n, &at(0)).not_before.unwrap().remaining_ms(&at(0)))
            .collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000]);
        let lock = consequence(&limits, 10, &at(0));
        let counters = Counters { locked_until_ms: lock.locked_until_ms, ..Counters::default() };
        assert_eq!(admit(&limits, &counters, &at(0)), Admission::Locked);
        let day = 24 * 60 * 60 * 1000;
        assert_eq!(admit(&limits, &counters, &at(day - 1)), Admission::Locked);
        assert_eq!(admit(&limits, &counters, &at(day)), Admission::Admitted);
    }

    #[test]
    fn the_absolute_cap_holds_whatever_the_clock_says() {
        let counters = Counters { user_failures: 100, ..Counters::default() };
        assert_eq!(admit(&Limits::default(), &counters, &at(u64::from(u32::MAX))), Admission::Locked);
    }

    #[test]
    fn a_delay_is_asked_before_it_has_passed() {
        let counters = Counters { not_before: Some(at(0).deadline_in(1_000)), ..Counters::default() };
        assert_eq!(admit(&Limits::default(), &counters, &at(999)), Admission::Limited);
        assert_eq!(admit(&Limits::default(), &counters, &at(1_000)), Admission::Admitted);
    }
}
