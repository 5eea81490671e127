//! An emulated GSM modem on a pty, with faults on request: for development, demonstrations and tests.
//!
//! Foreign programs (gammu, smstools, ModemManager) take it for a modem; it sends nothing anywhere.

mod commands;
mod machine;
mod persona;
mod pty;
mod record;
mod script;
mod sim;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::info::Family;
use machine::{Machine, Output};
use pty::Device;
use record::{Journal, Side, Transcript};

pub use script::{Script, ScriptError};
pub use sim::Sim;

/// How long after a message its status report comes, unless told otherwise.
pub const REPORT_DELAY: Duration = Duration::from_millis(500);
/// How soon a stop is noticed.
const STOP_POLL: Duration = Duration::from_millis(50);

/// What to emulate.
pub struct EmulatorSettings {
    /// The symlink that clients open.
    pub link: PathBuf,
    /// Whose quirks.
    pub profile: Family,
    /// What goes wrong, and when.
    pub script: Script,
    /// One JSON line per message, on disk before the message is acknowledged.
    pub journal: Option<PathBuf>,
    /// Each line of the dialogue.
    pub transcript: Option<PathBuf>,
    /// The SIM.
    pub sim: Sim,
    /// From a message to its status report.
    pub report_delay: Duration,
    /// The time in RFC 3339, UTC (`...Z`), for the journal and for status reports.
    pub now: fn() -> String,
}

/// Why the emulator stops.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// A file or the pty.
    #[error("emulated modem: {what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> EmulatorError {
    move |source| EmulatorError::Io { what, source }
}

/// An emulated modem. Its symlink exists from [`Emulator::open`] until it is dropped.
pub struct Emulator {
    machine: Machine,
    device: Device,
    back_at: Option<Instant>,
    journal: Option<Journal>,
    transcript: Option<Transcript>,
    now: fn() -> String,
}

impl Emulator {
    /// Opens files and pty.
    ///
    /// # Errors
    /// A file that cannot be written; a link path that is something else than a symlink.
    pub fn open(settings: EmulatorSettings) -> Result<Self, EmulatorError> {
        let journal = settings.journal.as_deref().map(Journal::open).transpose();
        let transcript = settings.transcript.as_deref().map(Transcript::open).transpose();
        let EmulatorSettings { link, profile, script, sim, report_delay, now, .. } = settings;
        Ok(Self {
            machine: Machine::new(persona::of(profile), script, sim, report_delay, now),
            device: Device::plug(&link).map_err(failed("the symlink cannot be made"))?,
            back_at: None,
            journal: journal.map_err(failed("the journal cannot be opened"))?,
            transcript: transcript.map_err(failed("the transcript cannot be opened"))?,
            now,
        })
    }

    /// Answers clients until `stop` is set.
    ///
    /// # Errors
    /// Those of pty, journal and transcript.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), EmulatorError> {
        while !stop.load(Ordering::Relaxed) {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), EmulatorError> {
        let now = Instant::now();
        if let Some(back_at) = self.back_at {
            if now < back_at {
                std::thread::sleep(STOP_POLL.min(back_at - now));
                return Ok(());
            }
            self.back_at = None;
            self.device.replug().map_err(failed("the symlink cannot be made"))?;
            self.machine.restart(now);
        }
        while let Some(output) = self.machine.poll_output(Instant::now()) {
            self.perform(output)?;
            if self.back_at.is_some() {
                return Ok(());
            }
        }
        let due = self.machine.poll_timeout().map(|at| at.saturating_duration_since(now));
        let at_most = due.map_or(STOP_POLL, |due| due.min(STOP_POLL));
        let octets = self.device.read(now, at_most).map_err(failed("the pty failed"))?;
        if !octets.is_empty() {
            self.transcribe(Side::Client, &octets)?;
            self.machine.handle_bytes(Instant::now(), &octets);
        }
        Ok(())
    }

    fn perform(&mut self, output: Output) -> Result<(), EmulatorError> {
        match output {
            Output::Say(octets) => {
                self.transcribe(Side::Modem, &octets)?;
                self.device.write(&octets).map_err(failed("the pty failed"))
            }
            Output::Take(taken) => match &mut self.journal {
                Some(journal) => {
                    journal.write((self.now)(), &taken).map_err(failed("the journal cannot be written"))
                }
                None => Ok(()),
            },
            Output::Unplug(period) => {
                self.device.unplug();
                self.back_at = Some(Instant::now() + period);
                Ok(())
            }
        }
    }

    fn transcribe(&mut self, side: Side, octets: &[u8]) -> Result<(), EmulatorError> {
        // A single octet from the modem is echo, which would repeat each command.
        match &mut self.transcript {
            Some(transcript) if !(matches!(side, Side::Modem) && octets.len() == 1) => {
                transcript.write(side, octets).map_err(failed("the transcript cannot be written"))
            }
            _ => Ok(()),
        }
    }
}
