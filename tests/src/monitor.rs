//! QEMU's monitor (QMP): stops, starts and resets the emulated core.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The monitor of one board; its clones are the same one.
#[derive(Clone)]
pub struct Monitor {
    socket: Arc<Mutex<BufReader<UnixStream>>>,
    is_dead: Arc<AtomicBool>,
}

impl Monitor {
    /// On QEMU's socket.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn new(socket: UnixStream) -> Monitor {
        let mut socket = BufReader::new(socket);
        await_line(&mut socket, "\"QMP\"");
        let socket = Arc::new(Mutex::new(socket));
        let monitor = Monitor { socket, is_dead: Arc::default() };
        monitor.tell("qmp_capabilities");
        monitor
    }

    /// Lets the core run.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn go(&self) {
        self.tell("cont");
    }

    /// Resets the board, as its reset button does.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn reset(&self) {
        self.tell("system_reset");
    }

    /// Stops the core for good: what flash holds now is all that is left.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn cut(&self) {
        self.tell("stop");
        self.is_dead.store(true, Ordering::Release);
    }

    /// Whether the power was cut.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }

    fn tell(&self, command: &str) {
        let mut socket = self.socket.lock().expect("not poisoned");
        writeln!(socket.get_mut(), "{{\"execute\": \"{command}\"}}").expect("QEMU listens");
        await_line(&mut socket, "\"return\"");
    }
}

/// Reads past events up to a line with `mark` in it.
fn await_line(socket: &mut BufReader<UnixStream>, mark: &str) {
    let mut line = String::new();
    while !line.contains(mark) {
        line.clear();
        let count = socket.read_line(&mut line).expect("QEMU answers");
        assert!(count > 0 && !line.contains("\"error\""), "{line}");
    }
}
