//! Things on a serial port that are no token.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cable::pty;

/// Between two looks at the line.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
const READ_MAX: usize = 512;
/// A linear congruential generator (Knuth's MMIX): noise that is the same each time.
const NOISE: [u64; 2] = [6_364_136_223_846_793_005, 1_442_695_040_888_963_407];

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Sends back what it gets.
    Echo,
    /// Says nothing.
    Silence,
    /// Says anything, without end.
    Noise,
}

/// One of them, until it is dropped.
pub struct Pretender {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Its port.
    pub port: PathBuf,
}

impl Pretender {
    /// Puts one on a pty at `port`.
    ///
    /// # Panics
    /// When there is no pty.
    pub fn start(port: &Path, manner: Manner) -> Pretender {
        let mut line = File::from(pty(port).expect("a pty"));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut noise = 1u64;
            while !stopped.load(Ordering::Relaxed) {
                turn(&mut line, manner, &mut noise);
            }
        });
        Pretender { stop, thread: Some(thread), port: port.to_owned() }
    }
}

/// A line that nobody has open, or whose other end is full, is left alone until the next turn.
fn turn(line: &mut File, manner: Manner, noise: &mut u64) {
    let mut polled = [PollFd::new(line, PollFlags::IN)];
    let mut bytes = [0; READ_MAX];
    let heard = match poll(&mut polled, Some(&LOOK)) {
        Ok(_) if polled[0].revents().contains(PollFlags::IN) => line.read(&mut bytes).unwrap_or(0),
        _ => 0,
    };
    let said = match manner {
        Manner::Echo => &bytes[..heard],
        Manner::Silence => &[],
        Manner::Noise => {
            for byte in &mut bytes {
                *noise = noise.wrapping_mul(NOISE[0]).wrapping_add(NOISE[1]);
                *byte = noise.to_be_bytes()[0];
            }
            &bytes[..]
        }
    };
    drop(line.write(said));
}

impl Drop for Pretender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}
