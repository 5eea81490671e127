//! SIGINT, SIGTERM and SIGHUP at the station: noted, so that terminal and batch file are left as they should be.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::super::EXIT_UNAVAILABLE;

/// Longest time from a signal to the end: a request to the daemon may be under way.
const END_MAX: Duration = Duration::from_secs(45);

/// Notes the signals from here on, for as long as the process lives.
///
/// # Errors
/// When the system gives no thread or no handler.
pub(super) fn note(came: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(guard);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            came.store(true, Ordering::Relaxed);
            // The batch file is whole at any moment; whatever still holds the station up does not hold it for ever.
            tokio::time::sleep(END_MAX).await;
            std::process::exit(i32::from(EXIT_UNAVAILABLE));
        });
    })?;
    Ok(())
}
