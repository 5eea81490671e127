//! Milliseconds since reset, from TIMER1, because QEMU does not model the low-power RTCs.
//!
//! The timer runs free at 1 MHz over 16 bits and the interrupt adds up differences: it may be late by up to 65 ms,
//! as it is while a page of flash is erased, without losing any.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::register::Register;

/// TIMER1's bit in the NVIC, and its number.
pub(crate) const IRQ: i16 = 9;
const PRESCALER_1_MHZ: u32 = 4;
const COMPARE0_INTERRUPTS: u32 = 1 << 16;
const TICK_US: u32 = 1_000;
const COUNT_MASK: u32 = 0xffff;

// Written by the interrupt alone, so that no compare-and-swap is missing, which this core has not.
static MILLISECONDS: AtomicU32 = AtomicU32::new(0);
static MICROSECONDS: AtomicU32 = AtomicU32::new(0);
static COUNTED: AtomicU32 = AtomicU32::new(0);

/// The time, wider than the interrupt counts it.
#[derive(Debug)]
pub(crate) struct Timer {
    last: u32,
    wraps: u32,
}

impl Timer {
    /// Starts the timer and its tick of 1 kHz.
    pub(crate) fn start() -> Self {
        Register::TimerBitMode.write(0);
        Register::TimerPrescaler.write(PRESCALER_1_MHZ);
        Register::TimerCc0.write(TICK_US);
        Register::TimerIntenSet.write(COMPARE0_INTERRUPTS);
        Register::NvicEnable.write(1 << IRQ);
        Register::TimerStart.write(1);
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

/// The tick.
pub(crate) fn handle_interrupt() {
    Register::TimerCompare0.write(0);
    Register::TimerCapture1.write(1);
    let count = Register::TimerCc1.read() & COUNT_MASK;
    let passed = count.wrapping_sub(COUNTED.load(Ordering::Relaxed)) & COUNT_MASK;
    COUNTED.store(count, Ordering::Relaxed);
    let microseconds = MICROSECONDS.load(Ordering::Relaxed) + passed;
    MICROSECONDS.store(microseconds % TICK_US, Ordering::Relaxed);
    let milliseconds = milliseconds().wrapping_add(microseconds / TICK_US);
    MILLISECONDS.store(milliseconds, Ordering::Relaxed);
    Register::TimerCc0.write(count.wrapping_add(TICK_US) & COUNT_MASK);
}
