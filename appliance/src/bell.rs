//! A bell between those who have work and those who look for it.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Wakes whoever looks for work.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<u64>,
    heard: Condvar,
}

impl Bell {
    /// There is work.
    pub fn ring(&self) {
        *self.rung.lock() += 1;
        self.heard.notify_all();
    }

    /// How often it has rung.
    pub fn count(&self) -> u64 {
        *self.rung.lock()
    }

    /// Waits until the bell has rung since `seen`, or the time is over; returns the count to wait from next.
    pub fn wait(&self, seen: u64, at_most: Duration) -> u64 {
        let mut rung = self.rung.lock();
        if *rung == seen {
            self.heard.wait_for(&mut rung, at_most);
        }
        *rung
    }
}
