//! Waiting for events with a deadline, and the wall clock.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Long enough for a loaded machine; no test waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between the first looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Longest pause between two looks.
const LOOK_LATER: Duration = Duration::from_millis(50);
/// A pause is this part of the wait so far: what takes long is looked at more rarely, since each look may be a request
/// to a daemon or a browser.
const PAUSE_PART: u32 = 50;

/// Looks until there is something, at most until the deadline.
///
/// # Panics
/// When there is still nothing; `what` says what was waited for.
pub fn wait_until<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < deadline, "still not after {deadline:?}: {what}");
        std::thread::park_timeout((begun.elapsed() / PAUSE_PART).clamp(LOOK_AGAIN, LOOK_LATER));
    }
}

/// Unix time in milliseconds.
pub fn unix_ms() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let ms = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
    u64::try_from(ms).expect("after 1970")
}

/// Unix time in seconds.
pub fn unix_s() -> u64 {
    unix_ms() / 1000
}

/// The present step of 30 seconds, once at least `room` of it is left: so that a test that needs several
/// requests within one step does not straddle two.
///
/// # Panics
/// When `room` is more than a step has.
pub fn step_with_room(room: Duration) -> u64 {
    const STEP_MS: u64 = 30_000;
    let room = u64::try_from(room.as_millis()).expect("less than a step");
    assert!(room < STEP_MS, "no step has that much room");
    wait_until(PATIENCE, "the next time step", || {
        let now = unix_ms();
        (STEP_MS - now % STEP_MS >= room).then_some(now / STEP_MS)
    })
}
