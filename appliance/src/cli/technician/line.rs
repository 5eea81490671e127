//! One token on one serial line: the only I/O of the link's host end.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use link::{Call, Event, Request, Session, Waiting};
use serialport::TTYPort;

use super::super::output::Failure;

/// Speed of the token's UART.
const BAUD: u32 = 115_200;
/// Longest read without a look at the clock.
const READ_MAX: Duration = Duration::from_millis(50);
const READ_OCTETS: usize = 512;

/// An open line to a token.
pub(super) struct Line {
    port: TTYPort,
    path: PathBuf,
    session: Session,
    begun: Instant,
    cut: Option<Arc<AtomicBool>>,
}

/// What came of a request when nothing went wrong with the line.
pub(super) type Said<T> = Result<T, String>;

impl Line {
    /// Opens a port for this process alone.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.to_string_lossy();
        let port = serialport::new(name, BAUD).timeout(READ_MAX).open_native().map_err(|error| {
            let text = match error.kind {
                serialport::ErrorKind::NoDevice if path.exists() => "is in use by another station".to_owned(),
                serialport::ErrorKind::Io(ErrorKind::NotFound) | serialport::ErrorKind::NoDevice => {
                    "there is no such port; is the token plugged in?".to_owned()
                }
                _ => error.to_string(),
            };
            Failure::unavailable(format!("{}: {text}", path.display()))
        })?;
        let mut first = [0; 4];
        rustix::rand::getrandom(&mut first, rustix::rand::GetRandomFlags::empty()).map_err(Failure::fault)?;
        let session = Session::new(u32::from_be_bytes(first));
        Ok(Line { port, path: path.to_owned(), session, begun: Instant::now(), cut: None })
    }

    /// The same; a request under way is given up once the flag is set, as if the cable were pulled.
    pub(super) fn open_until(path: &Path, cut: &Arc<AtomicBool>) -> Result<Self, Failure> {
        Ok(Line { cut: Some(Arc::clone(cut)), ..Self::open(path)? })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Asks and waits for the answer; `tell` hears what a person has to do meanwhile.
    pub(super) fn call<C: Call>(&mut self, call: C, tell: &dyn Fn(&str)) -> Result<Said<C::Answer>, Failure> {
        match self.ask(&call.into_request(), tell)? {
            Err(text) => Ok(Err(text)),
            Ok(answer) => match C::answer(answer) {
                Some(answer) => Ok(Ok(answer)),
                None => Ok(Err(link::Failure::Unexpected.to_string())),
            },
        }
    }

    /// Sends a request and waits for whatever answers it.
    pub(super) fn ask(
        &mut self,
        request: &Request,
        tell: &dyn Fn(&str),
    ) -> Result<Said<link::Answer>, Failure> {
        let now = self.now_ms();
        self.session.begin(request, now).map_err(|_| Failure::fault("a request was still under way"))?;
        let mut buffer = [0; READ_OCTETS];
        let mut told = false;
        loop {
            if self.cut.as_ref().is_some_and(|cut| cut.load(Ordering::Relaxed)) {
                return Err(Failure::unavailable("the station was told to end"));
            }
            if let Some(frame) = self.session.poll_transmit() {
                let frame = frame.to_vec();
                self.port.write_all(&frame).map_err(|_| self.unplugged())?;
            }
            match self.port.read(&mut buffer) {
                Ok(0) => return Err(self.unplugged()),
                Ok(read) => {
                    let now = self.now_ms();
                    self.session.handle_bytes(&buffer[..read], now);
                }
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(self.unplugged()),
            }
            let now = self.now_ms();
            self.session.handle_timeout(now);
            match self.session.poll_event() {
                None => {}
                Some(Event::Waiting(Waiting::Presence)) if !told => {
                    told = true;
                    tell("press the button on the token");
                }
                Some(Event::Waiting(_)) => {}
                Some(Event::Answered(answer)) => return Ok(Ok(answer)),
                Some(Event::Refused(refusal)) => return Ok(Err(refusal.to_string())),
                Some(Event::Failed(failure)) => return Ok(Err(failure.to_string())),
            }
        }
    }

    fn unplugged(&self) -> Failure {
        Failure::unavailable(format!(
            "{}: the token was unplugged; plug it in and run the same command again",
            self.path.display()
        ))
    }
}
