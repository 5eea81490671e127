//! Milliseconds since reset, from the core's SysTick. Flash is erased in the other bank, so no tick is late by more
//! than an interrupt.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

use crate::clocks;

const TICK_HERTZ: u32 = 1_000;

static MILLISECONDS: AtomicU32 = AtomicU32::new(0);

/// The time, wider than the interrupt counts it.
#[derive(Debug)]
pub(crate) struct Timer {
    last: u32,
    wraps: u32,
}

impl Timer {
    /// Starts the tick of 1 kHz.
    pub(crate) fn start(mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(clocks::HERTZ / TICK_HERTZ - 1);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        Self { last: 0, wraps: 0 }
    }

    /// Milliseconds since the start. To be called at least once in 49 days.
    pub(crate) fn now_ms(&mut self) -> u64 {
        let now = milliseconds();
        self.wraps += u32::from(now < self.last);
        self.last = now;
        u64::from(self.wraps) << 32 | u64::from(now)
    }
}

/// Milliseconds since the start, modulo 2^32.
pub(crate) fn milliseconds() -> u32 {
    MILLISECONDS.load(Ordering::Relaxed)
}

/// Waits until `is_done` or for `limit_ms`, and says which.
pub(crate) fn wait_for(limit_ms: u32, mut is_done: impl FnMut() -> bool) -> bool {
    let since = milliseconds();
    loop {
        if is_done() {
            return true;
        }
        if milliseconds().wrapping_sub(since) > limit_ms {
            return false;
        }
    }
}

#[exception]
fn SysTick() {
    // The interrupt alone writes it.
    MILLISECONDS.store(milliseconds().wrapping_add(1), Ordering::Relaxed);
}
