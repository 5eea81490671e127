//! The serial port: the only I/O. Drives a [`Dialogue`] with blocking reads.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serialport::{ErrorKind, SerialPort, TTYPort};
use zeroize::Zeroizing;

use crate::at::Class;
use crate::dialogue::{Action, Dialogue, Event, Outcome};
use crate::info::Info;
use crate::init::{Config, InitError};
use crate::pdu::{Number, Tpdu};
use crate::sim_latch::SimLatch;
use crate::urc::Urc;

/// Any speed does over USB; UART modems detect this one.
const BAUD: u32 = 115_200;
/// A write that takes longer goes to a modem that no longer reads.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// No read waits longer, so that a clock that jumps does no harm.
const READ_MAX: Duration = Duration::from_secs(1);
const READ_OCTETS: usize = 512;
/// Unsolicited results that nobody has taken; the oldest go first.
const URCS_MAX: usize = 1024;

/// How to reach a modem.
pub struct ModemSettings {
    /// The device, best a symlink by USB path.
    pub port: PathBuf,
    /// The SIM's PIN, if it asks for one.
    pub sim_pin: Option<Zeroizing<String>>,
    /// The service centre, if the SIM's own is wrong.
    pub smsc: Option<Number>,
    /// Where the SIM latch lies; its directory must exist.
    pub sim_latch: PathBuf,
}

/// Why a port cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// No such device.
    #[error("no device at {0}; is the modem plugged in?")]
    Missing(PathBuf),
    /// Another program holds it.
    #[error("{0} is in use by another program; stop it (often ModemManager) or let it ignore this modem")]
    Busy(PathBuf),
    /// We may not open it.
    #[error("no permission to open {0}; join the group of the device")]
    Forbidden(PathBuf),
    /// Something else, such as a path that is no terminal.
    #[error("{path} cannot be opened as a serial port")]
    Open {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: serialport::Error,
    },
}

/// Why a modem cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModemError {
    /// The port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The first dialogue.
    #[error("{error} at {port}{}", advice(.error, .latch))]
    Init {
        /// What went wrong.
        error: InitError,
        /// The port.
        port: PathBuf,
        /// The SIM latch.
        latch: PathBuf,
    },
    /// The device went away.
    #[error("the modem at {0} was unplugged")]
    Unplugged(PathBuf),
    /// It no longer answers.
    #[error("the modem at {0} no longer answers")]
    Silent(PathBuf),
}

fn advice(error: &InitError, latch: &Path) -> String {
    match error {
        InitError::PinMissing => "; set sim_pin_file for this modem".to_owned(),
        InitError::PinLatched | InitError::PinRefused(_) => {
            format!("; correct the PIN, then delete {}", latch.display())
        }
        InitError::PinAttempts(_) => "; enter the PIN in a phone, which resets the count".to_owned(),
        InitError::SimLocked(_) => "; unlock the SIM in a phone".to_owned(),
        InitError::Latch => format!("; make {} writable", latch.display()),
        InitError::NotAModem => "; is this the modem's AT port?".to_owned(),
        _ => String::new(),
    }
}

/// Why a message has no message reference.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It did not go out.
    #[error("the message was not sent: {text}")]
    NotSent {
        /// What kind of trouble.
        class: Class,
        /// The modem's number for it.
        code: Option<u16>,
        /// The modem's words, or ours.
        text: String,
    },
    /// It may have gone out: do not send it again blindly.
    #[error("it is not known whether the message was sent: {reason}")]
    Unknown {
        /// What was seen instead of a verdict.
        reason: &'static str,
    },
    /// The device went away.
    #[error("the modem was unplugged")]
    Unplugged {
        /// The PDU had been begun, so the message may have gone out.
        pdu_started: bool,
    },
}

/// An open modem. One thread owns it; each call blocks until its deadline at the latest.
pub struct Modem {
    port: TTYPort,
    path: PathBuf,
    dialogue: Dialogue,
    latch: SimLatch,
    urcs: VecDeque<Urc>,
}

/// The device went away during a read or a write.
struct Gone;

impl Modem {
    /// Opens the port for itself alone and holds the first dialogue.
    ///
    /// Takes some 30 commands; a modem that is not there is reported after about 5 seconds.
    ///
    /// # Errors
    /// `Port` and `Init`, with what the operator can do.
    pub fn open(settings: &ModemSettings) -> Result<Self, ModemError> {
        let port = open_port(&settings.port)?;
        let latch = SimLatch::new(&settings.sim_latch);
        let config = Config {
            sim_pin: settings.sim_pin.clone(),
            latched: latch.is_armed(),
            smsc: settings.smsc.clone(),
        };
        let dialogue = Dialogue::new(config, Instant::now());
        let path = settings.port.clone();
        let mut this = Self { port, path, dialogue, latch, urcs: VecDeque::new() };
        let ready = this.drive(|event| match event {
            Event::Ready => Some(Ok(())),
            Event::Failed(error) => Some(Err(error)),
            _ => None,
        });
        match ready {
            Ok(Ok(())) => Ok(this),
            Ok(Err(error)) => {
                let latch = settings.sim_latch.clone();
                Err(ModemError::Init { error, port: this.path.clone(), latch })
            }
            Err(Gone) => Err(this.unplugged()),
        }
    }

    /// What is known about the modem.
    pub fn info(&self) -> &Info {
        self.dialogue.info()
    }

    /// Sends one TPDU; the answer is TP-MR. Returns at `deadline` at the latest.
    ///
    /// # Errors
    /// [`SendError`]; after `Unknown` and `Unplugged { pdu_started: true }` the message must not be sent again.
    pub fn send(&mut self, tpdu: &Tpdu, deadline: Instant) -> Result<u8, SendError> {
        self.dialogue.send(Instant::now(), tpdu, deadline);
        let outcome = self.drive(|event| match event {
            Event::Outcome(outcome) => Some(outcome),
            _ => None,
        });
        match outcome {
            Ok(Outcome::Sent { reference }) => Ok(reference),
            Ok(Outcome::NotSent { class, code, text }) => Err(SendError::NotSent { class, code, text }),
            Ok(Outcome::Unknown { reason }) => Err(SendError::Unknown { reason }),
            Err(Gone) => Err(SendError::Unplugged { pdu_started: self.dialogue.pdu_started() }),
        }
    }

    /// Listens for up to `period` and gives what the modem said unasked, also since the last call.
    ///
    /// Returns early once there is something. A caller that waits for work too should keep `period` short:
    /// nothing is sent meanwhile.
    ///
    /// # Errors
    /// `Unplugged`.
    pub fn idle(&mut self, period: Duration) -> Result<Vec<Urc>, ModemError> {
        let until = Instant::now() + period;
        self.perform(|_| None::<()>).map_err(|Gone| self.unplugged())?;
        while self.urcs.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.read(left).map_err(|Gone| self.unplugged())?;
            self.perform(|_| None::<()>).map_err(|Gone| self.unplugged())?;
        }
        Ok(self.urcs.drain(..).collect())
    }

    /// Does the modem still answer?
    ///
    /// # Errors
    /// `Silent` and `Unplugged`.
    pub fn ping(&mut self) -> Result<(), ModemError> {
        self.dialogue.ping(Instant::now());
        if self.answered()? { Ok(()) } else { Err(ModemError::Silent(self.path.clone())) }
    }

    /// Learns the shape of the prompt without sending; [`Info::prompt`] has it afterwards.
    ///
    /// # Errors
    /// `Silent` and `Unplugged`.
    pub fn probe_prompt(&mut self) -> Result<(), ModemError> {
        self.dialogue.probe_prompt(Instant::now());
        self.answered()?;
        self.ping()
    }

    fn answered(&mut self) -> Result<bool, ModemError> {
        let answered = self.drive(|event| match event {
            Event::Answered(answered) => Some(answered),
            _ => None,
        });
        answered.map_err(|Gone| self.unplugged())
    }

    fn unplugged(&self) -> ModemError {
        ModemError::Unplugged(self.path.clone())
    }

    /// Performs actions and reads until `wanted` picks an event; the dialogue's deadlines bound it.
    fn drive<T>(&mut self, wanted: impl Fn(Event) -> Option<T> + Copy) -> Result<T, Gone> {
        loop {
            if let Some(found) = self.perform(wanted)? {
                return Ok(found);
            }
            let now = Instant::now();
            let left = self.dialogue.poll_timeout().map_or(READ_MAX, |at| at.saturating_duration_since(now));
            if left.is_zero() {
                self.dialogue.handle_timeout(now);
            } else {
                self.read(left)?;
            }
        }
    }

    fn perform<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> Result<Option<T>, Gone> {
        while let Some(action) = self.dialogue.poll_action() {
            match action {
                Action::Write(octets) => self.write(&octets)?,
                Action::ArmLatch if self.latch.arm().is_err() => self.dialogue.latch_failed(),
                Action::ArmLatch => {}
                // A latch that stays although the SIM took its PIN only asks the operator to look.
                Action::ClearLatch => drop(self.latch.clear()),
                Action::Event(Event::Urc(urc)) => {
                    self.urcs.push_back(urc);
                    let excess = self.urcs.len().saturating_sub(URCS_MAX);
                    self.urcs.drain(..excess);
                }
                Action::Event(event) => {
                    if let Some(found) = wanted(event) {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Gone> {
        self.port.set_timeout(WRITE_DEADLINE).map_err(|_| Gone)?;
        self.port.write_all(octets).map_err(|_| Gone)
    }

    fn read(&mut self, at_most: Duration) -> Result<(), Gone> {
        let mut octets = [0; READ_OCTETS];
        self.port.set_timeout(at_most.min(READ_MAX)).map_err(|_| Gone)?;
        match self.port.read(&mut octets) {
            Ok(0) => Err(Gone),
            Ok(count) => {
                self.dialogue.handle_bytes(Instant::now(), &octets[..count]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(_) => Err(Gone),
        }
    }
}

fn open_port(path: &Path) -> Result<TTYPort, PortError> {
    let text = path.to_str().ok_or_else(|| PortError::Missing(path.to_owned()))?;
    TTYPort::open(&serialport::new(text, BAUD)).map_err(|error| match error.kind() {
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => PortError::Forbidden(path.to_owned()),
        ErrorKind::NoDevice | ErrorKind::Io(_) if !path.exists() => PortError::Missing(path.to_owned()),
        ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy) => {
            PortError::Busy(path.to_owned())
        }
        _ => PortError::Open { path: path.to_owned(), source: error },
    })
}
