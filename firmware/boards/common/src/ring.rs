//! Bytes from an interrupt to the program, without a lock.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Holds up to `N - 1` bytes. One interrupt puts, one program takes; each writes its own end alone, so that no
/// compare-and-swap is missing on a core that has none.
#[derive(Debug)]
pub struct Ring<const N: usize> {
    bytes: [AtomicU8; N],
    /// Where the next byte is put.
    head: AtomicU32,
    /// Where the next byte is taken.
    tail: AtomicU32,
}

impl<const N: usize> Ring<N> {
    /// An empty one.
    pub const fn new() -> Self {
        Self { bytes: [const { AtomicU8::new(0) }; N], head: AtomicU32::new(0), tail: AtomicU32::new(0) }
    }

    const fn after(at: u32) -> u32 {
        if at as usize + 1 >= N { 0 } else { at + 1 }
    }

    /// From the interrupt. A byte too many is lost, and the frame's checksum tells.
    pub fn put(&self, byte: u8) {
        let head = self.head.load(Ordering::Relaxed);
        let next = Self::after(head);
        if next != self.tail.load(Ordering::Acquire) {
            self.bytes[head as usize].store(byte, Ordering::Relaxed);
            self.head.store(next, Ordering::Release);
        }
    }

    /// From the program: the oldest byte.
    pub fn take(&self) -> Option<u8> {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail == self.head.load(Ordering::Acquire) {
            return None;
        }
        let byte = self.bytes[tail as usize].load(Ordering::Relaxed);
        self.tail.store(Self::after(tail), Ordering::Release);
        Some(byte)
    }
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}
