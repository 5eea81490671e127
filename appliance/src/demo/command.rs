//! One command, run to its end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::service::ours;
use super::site::Site;
use super::stop::Stop;

/// Longest time a command may take: initialising the HSM is the longest.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a command left behind.
pub(super) struct Done {
    /// Exit code; none when a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Done {
    /// What it printed, if it ended with 0.
    ///
    /// # Errors
    /// What it said instead.
    pub(super) fn success(self) -> anyhow::Result<String> {
        match self.code {
            Some(0) => Ok(self.stdout),
            code => {
                let code = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                anyhow::bail!("it ended with {code}: {}", self.stderr.trim())
            }
        }
    }
}

/// Runs a command of this binary.
///
/// # Errors
/// When it cannot be started, or has not ended in time.
pub(super) fn run(site: &Site, stop: &Stop, args: &[&str]) -> anyhow::Result<Done> {
    finish(stop, ours(site)?.args(args))
}

/// Runs another program.
///
/// # Errors
/// When it cannot be started, or has not ended in time.
pub(super) fn finish(stop: &Stop, command: &mut Command) -> anyhow::Result<Done> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Two pipes, two readers: a command that fills one must not wait for the other.
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let status = stop.wait("the end of the command", DEADLINE, || Ok(child.try_wait()?));
    if status.is_err() {
        drop(child.kill());
        drop(child.wait());
    }
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok(Done { code: status?.code(), stdout: text(stdout), stderr: text(stderr) })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a broken pipe is still worth showing.
            drop(pipe.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
