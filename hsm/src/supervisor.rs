//! Keeps a child running: opens the token, hands the line to callers, and after a fault starts the next
//! child. After a PIN fault it starts none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::HsmError;
use crate::launch::Running;
use crate::link::Link;
use crate::types::{HsmSettings, Info, Launcher, PinSource, Status};
use crate::wire::{Attach, PinPath, Request, Response};

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A child that served this long was well: the next is started after [`BACKOFF_MIN`] again.
const STEADY: Duration = Duration::from_secs(10);

/// What callers and the supervisor share.
pub(crate) struct Shared {
    launcher: Launcher,
    settings: HsmSettings,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: Phase,
    /// Whether the first attempt to open the token has ended.
    tried: bool,
    stopping: bool,
    ended: bool,
}

enum Phase {
    Up { info: Info, link: Arc<Link> },
    Down(HsmError),
}

impl Shared {
    pub(crate) fn new(launcher: Launcher, settings: HsmSettings) -> Shared {
        let phase = Phase::Down(HsmError::unavailable("the token is being opened"));
        let state = State { phase, tried: false, stopping: false, ended: false };
        Shared { launcher, settings, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.settings.deadline
    }

    pub(crate) fn status(&self) -> Status {
        match &self.state.lock().phase {
            Phase::Up { info, .. } => Status::Up { info: info.clone() },
            Phase::Down(error) => Status::Down { error: error.clone() },
        }
    }

    /// The line of the serving child, or why there is none.
    pub(crate) fn link(&self) -> Result<Arc<Link>, HsmError> {
        match &self.state.lock().phase {
            Phase::Up { link, .. } => Ok(Arc::clone(link)),
            Phase::Down(error) => Err(error.clone()),
        }
    }

    /// Waits until the first attempt to open the token has ended, or the deadline.
    pub(crate) fn await_first(&self) {
        let mut state = self.state.lock();
        let until = Instant::now() + self.settings.deadline;
        while !state.tried && !self.changed.wait_until(&mut state, until).timed_out() {}
    }

    /// Ends the child and the supervisor: gives them `grace` to end in order, then cuts the line.
    pub(crate) fn stop(&self, grace: Duration) {
        let mut state = self.state.lock();
        state.stopping = true;
        if let Phase::Up { link, .. } = &state.phase {
            link.finish();
        }
        self.changed.notify_all();
        let until = Instant::now() + grace;
        while !state.ended && !self.changed.wait_until(&mut state, until).timed_out() {}
        if let Phase::Up { link, .. } = &state.phase {
            link.condemn(HsmError::unavailable("stopped"));
        }
    }

    /// The supervisor's thread.
    pub(crate) fn supervise(&self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let begun = Instant::now();
            let error = match self.open() {
                Ok((running, info, link)) => self.serve(running, info, &link),
                Err(error) => error,
            };
            let latched = error.is_pin_fault();
            if self.down(error) || latched {
                break;
            }
            if begun.elapsed() >= STEADY {
                backoff = BACKOFF_MIN;
            }
            if self.stopped_within(backoff) {
                break;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    fn open(&self) -> Result<(Running, Info, Arc<Link>), HsmError> {
        let settings = &self.settings;
        let attach = Request::Attach(Attach {
            module: settings.module.clone(),
            token_label: settings.token_label.clone(),
            pin: pin_path(&settings.pin)?,
            latch: settings.latch.clone(),
        });
        let running = Running::start(&self.launcher, &settings.env)?;
        let Response::Info(info) = running.exchange(&attach, settings.deadline)? else {
            return Err(HsmError::Protocol);
        };
        let link = Link::new(running.socket(), running.pid(), settings.deadline)
            .map_err(|error| HsmError::unavailable(format!("HSM child: {error}")))?;
        Ok((running, info, Arc::new(link)))
    }

    fn serve(&self, running: Running, info: Info, link: &Arc<Link>) -> HsmError {
        {
            let mut state = self.state.lock();
            if state.stopping {
                return HsmError::unavailable("stopped");
            }
            state.phase = Phase::Up { info, link: Arc::clone(link) };
            state.tried = true;
            self.changed.notify_all();
        }
        let error = link.drive();
        self.down(error.clone());
        link.close();
        if matches!(error, HsmError::Deadline) {
            drop(running);
        } else {
            running.stop();
        }
        error
    }

    /// Notes that there is no line. `true`: there is not to be another.
    fn down(&self, error: HsmError) -> bool {
        let mut state = self.state.lock();
        state.phase = Phase::Down(error);
        state.tried = true;
        self.changed.notify_all();
        state.stopping
    }

    fn stopped_within(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        let until = Instant::now() + pause;
        while !state.stopping && !self.changed.wait_until(&mut state, until).timed_out() {}
        state.stopping
    }
}

fn pin_path(source: &PinSource) -> Result<PinPath, HsmError> {
    match source {
        PinSource::File(path) => Ok(PinPath { path: path.clone(), credential: false }),
        PinSource::Credential(name) if name.is_empty() || name.contains('/') || name == ".." => {
            Err(HsmError::PinFile(format!("{name:?} is not the name of a credential")))
        }
        PinSource::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(dir) => Ok(PinPath { path: PathBuf::from(dir).join(name), credential: true }),
            None => Err(HsmError::PinFile(format!(
                "credential {name:?}: $CREDENTIALS_DIRECTORY is not set; add LoadCredential= to the unit"
            ))),
        },
    }
}
