//! A child process that ends with its owner.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::time::wait_until;

/// A child that is killed, by its pid, when dropped.
pub struct Owned {
    child: Child,
}

impl Owned {
    /// Starts a command; both its outputs are appended to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Owned {
        let out = OpenOptions::new().create(true).append(true).open(log).expect("own scratch directory");
        let err = out.try_clone().expect("a descriptor");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        Owned { child: child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")) }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When the kernel does not know it.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("own child")
    }

    /// Asks it to end and waits for it.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        if let Some(status) = self.ended() {
            return status;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::TERM).expect("own child, not yet reaped");
        wait_until(deadline, "the process ends", || self.ended())
    }

    /// Ends it at once, as a crash would, and waits until it is gone.
    ///
    /// # Panics
    /// When the kernel does not know it.
    pub fn kill9(&mut self) {
        self.child.kill().expect("own child");
        self.child.wait().expect("own child");
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended on its own; then both calls have nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
