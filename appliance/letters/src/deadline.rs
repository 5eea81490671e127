//! A bound on the time that one document may take, whatever its template does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest time for one document. A letter takes some hundredths of a second.
pub(crate) const PER_DOCUMENT: Duration = Duration::from_secs(10);

/// Ends the process when a document takes too long.
pub(crate) struct Watchdog(Arc<Shared>);

struct Shared {
    watched: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Default)]
struct Watched {
    /// Counts documents, so that one is never taken for the next.
    number: u64,
    name: Option<String>,
}

impl Watchdog {
    /// Starts to watch. `expired` is told the name of the document that takes too long, and returns the code with
    /// which the process ends.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(expired: impl FnOnce(&str) -> u8 + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { watched: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("deadline".to_owned()).spawn(move || theirs.wait(expired))?;
        Ok(Watchdog(shared))
    }

    /// Watches until the guard is dropped.
    pub(crate) fn watch(&self, name: &str) -> Guard<'_> {
        self.0.set(Some(name.to_owned()));
        Guard(&self.0)
    }
}

/// A document in work.
pub(crate) struct Guard<'a>(&'a Shared);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, name: Option<String>) {
        let mut watched = self.lock();
        watched.number += 1;
        watched.name = name;
        self.changed.notify_one();
    }

    /// While it reports, the lock keeps the main thread from writing.
    fn wait(&self, expired: impl FnOnce(&str) -> u8) {
        let mut watched = self.lock();
        loop {
            watched = self
                .changed
                .wait_while(watched, |watched| watched.name.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            let number = watched.number;
            let (now, wait) = self
                .changed
                .wait_timeout_while(watched, PER_DOCUMENT, |watched| watched.number == number)
                .unwrap_or_else(PoisonError::into_inner);
            watched = now;
            if wait.timed_out()
                && let Some(name) = watched.name.as_deref()
            {
                std::process::exit(expired(name).into());
            }
        }
    }
}
