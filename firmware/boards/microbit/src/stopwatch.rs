//! How long something takes, from TIMER0, which counts the core's own clock.

use crate::register::Register;

const BITS_32: u32 = 3;
const PRESCALER_16_MHZ: u32 = 0;

/// A running count of 1/16 microseconds.
#[derive(Debug)]
pub struct Stopwatch(());

impl Stopwatch {
    /// Starts from 0. There is one timer: a second start begins the first one's count anew.
    pub fn start() -> Self {
        Register::StopwatchBitMode.write(BITS_32);
        Register::StopwatchPrescaler.write(PRESCALER_16_MHZ);
        Register::StopwatchClear.write(1);
        Register::StopwatchStart.write(1);
        Self(())
    }

    /// Ticks since the start, modulo 2^32: four and a half minutes.
    pub fn ticks(&self) -> u32 {
        Register::StopwatchCapture0.write(1);
        Register::StopwatchCc0.read()
    }
}
