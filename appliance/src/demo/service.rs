//! The demo's long-lived children: the daemon and the emulated modem.
//!
//! They start through a command of their own that asks the kernel to end them with the demo, whatever ends
//! the demo.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use super::site::{SOFTHSM_CONF, Site};

/// Command with which the binary starts itself as a child of the demo.
pub(crate) const DEMO_CHILD: &str = "demo-child";
/// Longest wait for a child to end in order.
const END_DEADLINE: Duration = Duration::from_secs(20);
/// How often an ending child is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Lines of its log that are shown of a child that has ended by itself.
const TAIL: usize = 12;

/// A child that should live as long as the demo.
pub(super) struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts this binary with `args`; its output goes to `NAME.log`.
    ///
    /// # Errors
    /// When the log or the process cannot be made.
    pub(super) fn start(name: &'static str, site: &Site, args: &[&str]) -> io::Result<Self> {
        let log = site.dir().join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = ours(site)?
            .arg(DEMO_CHILD)
            .arg(std::process::id().to_string())
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A terminal's interrupt is for the demo, which ends its children in order.
            .process_group(0)
            .spawn()?;
        Ok(Service { name, child, log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// It has ended; the end of its log.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        anyhow::bail!("the {} ended by itself: {status}; its last lines:\n{}", self.name, tail(&self.log));
    }

    /// Sends SIGTERM and waits.
    ///
    /// # Errors
    /// When it did not end in order; it is killed then.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + END_DEADLINE;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    anyhow::bail!("the {} ended with {status}:\n{}", self.name, tail(&self.log))
                }
                None => std::thread::sleep(LOOK),
            }
        }
        let seconds = END_DEADLINE.as_secs();
        anyhow::bail!("the {} did not end within {seconds} s and was killed", self.name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// This binary, to be run in the demo's directory with the demo's surroundings only.
///
/// # Errors
/// When the binary's own path cannot be found.
pub(super) fn ours(site: &Site) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .current_dir(site.dir())
        .env(SOFTHSM_CONF, site.softhsm_conf())
        .env("COUNTERSIGN_SOCKET", site.socket())
        .env("COUNTERSIGN_CONFIG", site.config())
        .env_remove("COUNTERSIGN_KEY_FILE")
        .env_remove("NOTIFY_SOCKET");
    Ok(command)
}

/// Becomes another command of this binary that ends with its parent. Returns only when it cannot.
pub(crate) fn become_child(parent: u32, args: &[OsString]) -> io::Error {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return error,
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return error.into();
    }
    // The parent may have ended before the kernel was asked.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return io::Error::other("the demo has ended");
    }
    Command::new(own).args(args).exec()
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
