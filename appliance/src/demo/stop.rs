//! SIGINT, SIGTERM and SIGHUP, and waits that they end early.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A signal has asked the demo to end.
#[derive(Debug, thiserror::Error)]
#[error("told to end")]
pub(super) struct Stopped;

/// The signals that end the demo.
pub(super) struct Stop {
    signals: Receiver<()>,
    stopped: Cell<bool>,
}

impl Stop {
    /// Catches the signals from here on.
    ///
    /// # Errors
    /// When the system gives no thread or no handler.
    pub(super) fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (sender, signals) = mpsc::channel();
        let guard = runtime.enter();
        let mut caught = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(signal)
            .into_iter()
            .collect::<io::Result<Vec<Signal>>>()?;
        drop(guard);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                let [interrupt, terminate, hangup] = &mut caught[..] else { return };
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    if sender.send(()).is_err() {
                        return;
                    }
                }
            });
        })?;
        Ok(Stop { signals, stopped: Cell::new(false) })
    }

    /// Waits, unless a signal has come or comes.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(super) fn pause(&self, time: Duration) -> Result<(), Stopped> {
        if self.stopped.get() || self.signals.recv_timeout(time).is_ok() {
            self.stopped.set(true);
            return Err(Stopped);
        }
        Ok(())
    }

    /// Looks again and again until there is something.
    ///
    /// # Errors
    /// The look's own, [`Stopped`], or `what` has not come within `deadline`.
    pub(super) fn wait<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if Instant::now() >= end {
                anyhow::bail!("{what} did not come within {} s", deadline.as_secs());
            }
            self.pause(LOOK)?;
        }
    }
}
