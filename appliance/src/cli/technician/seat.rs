//! One port of a station, in a thread of its own: token after token through the same steps.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use parking_lot::Mutex;

use super::super::Global;
use super::super::client::{Client, segment};
use super::super::output::Failure;
use super::batch::{Batch, Claim};
use super::emulator::{EmulatedToken, Works};
use super::line::Line;
use super::work::{self, Wanted};
use crate::api::wire;

/// How often a port is looked at for another token.
const LOOK: Duration = Duration::from_millis(400);
/// Codes that may be wrong before the token has failed.
const TRIES: usize = 3;

/// What a port tells the station.
pub(super) enum News {
    /// What is going on there.
    Says { seat: usize, serial: Option<String>, text: String },
    /// It needs a code from the display of a token; again when the one before was wrong.
    Wants { seat: usize, serial: String, again: bool, code: Sender<String> },
    /// It is done with a token.
    Settled { seat: usize, serial: String, error: Option<String> },
    /// It has ended.
    Closed { seat: usize },
}

/// What all ports share.
pub(super) struct Shared<'a> {
    /// For each port's own connection to the daemon.
    pub(super) global: &'a Global,
    /// The batch.
    pub(super) batch: Mutex<Batch>,
    /// What tokens shall become.
    pub(super) wanted: Wanted,
    /// Tokens to emulate, and where.
    pub(super) works: Option<Works>,
    /// Serials that are still to be emulated.
    pub(super) queue: Mutex<VecDeque<String>>,
    /// Whether to take no more tokens.
    pub(super) stop: AtomicBool,
}

impl Shared<'_> {
    /// Whether the station takes no more tokens.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Where tokens are plugged in.
pub(super) enum Place {
    /// A serial port.
    Port(PathBuf),
    /// None: they are emulated.
    Emulated,
}

/// One port.
pub(super) struct Seat<'a> {
    number: usize,
    shared: &'a Shared<'a>,
    client: Client<'a>,
    news: Sender<News>,
}

/// Works at a port until there is nothing more to do, or the station stops.
pub(super) fn run(
    number: usize,
    shared: &Shared<'_>,
    place: &Place,
    news: Sender<News>,
) -> Result<(), Failure> {
    let seat = Seat { number, shared, client: Client::new(shared.global)?, news };
    let done = match place {
        Place::Port(path) => {
            seat.plugged(path);
            Ok(())
        }
        Place::Emulated => seat.emulated(),
    };
    seat.send(News::Closed { seat: number });
    done
}

impl Seat<'_> {
    /// A station that is gone needs no news.
    fn send(&self, news: News) {
        drop(self.news.send(news));
    }

    fn say(&self, serial: Option<&str>, text: impl Into<String>) {
        self.send(News::Says { seat: self.number, serial: serial.map(str::to_owned), text: text.into() });
    }

    /// One line for as long as it holds: no other station comes between two steps.
    fn plugged(&self, path: &Path) {
        // The token that was worked last and is still there; empty for one without a serial.
        let mut last: Option<String> = None;
        let mut open: Option<Line> = None;
        while !self.shared.stopped() {
            if let Err(failure) = self.look(path, &mut open, &mut last) {
                (open, last) = (None, None);
                self.say(None, failure.to_string());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&self, path: &Path, open: &mut Option<Line>, last: &mut Option<String>) -> Result<(), Failure> {
        let line = match open {
            Some(line) => line,
            None => open.insert(Line::open(path)?),
        };
        let found = work::identify_on(line)?;
        if found.firmware.is_empty() {
            *last = None;
            self.say(None, "plug in a token");
            return Ok(());
        }
        let serial = found.serial.unwrap_or_default();
        if last.as_ref() != Some(&serial) {
            self.work(line, &serial, None);
            *last = Some(serial);
        }
        Ok(())
    }

    fn emulated(&self) -> Result<(), Failure> {
        let works =
            self.shared.works.as_ref().ok_or_else(|| Failure::fault("nothing was prepared to emulate"))?;
        while !self.shared.stopped() {
            let Some(serial) = self.shared.queue.lock().pop_front() else { break };
            self.say(Some(&serial), "plugging in an emulated token");
            let mut token = works.start(&serial)?;
            let mut line = Line::open(&token.port)?;
            self.work(&mut line, &serial, Some(&mut token));
        }
        Ok(())
    }

    fn work(&self, line: &mut Line, serial: &str, token: Option<&mut EmulatedToken>) {
        if serial.is_empty() {
            let text = "the token has no serial yet: it has not left the factory";
            self.say(None, format!("{text}; take it out, plug in the next"));
            return;
        }
        let claim = self.shared.batch.lock().claim(serial);
        match claim {
            Claim::Work => {}
            Claim::Done => return self.say(Some(serial), "is done already; take it out, plug in the next"),
            Claim::Elsewhere => return self.say(Some(serial), "is being worked at another port"),
        }
        self.save();
        let error = match self.steps(line, serial, token) {
            Ok(Ok(())) => None,
            Ok(Err(text)) => Some(text),
            Err(failure) => Some(failure.to_string()),
        };
        self.shared.batch.lock().settle(serial, error.as_deref());
        self.save();
        self.send(News::Settled { seat: self.number, serial: serial.to_owned(), error });
    }

    /// Writes the batch file. When it cannot be signed now, the next change writes it all; a token that the file
    /// does not know as done is simply worked again.
    fn save(&self) {
        let saved = self.shared.batch.lock().save(&self.client);
        if let Err(failure) = saved {
            self.say(None, format!("the batch file was not written: {failure}"));
        }
    }

    fn steps(
        &self,
        line: &mut Line,
        serial: &str,
        token: Option<&mut EmulatedToken>,
    ) -> Result<Result<(), String>, Failure> {
        self.say(Some(serial), "checking its maker");
        if let Some(error) = work::attest_on(&self.client, line)?.error {
            return Ok(Err(error));
        }
        self.say(Some(serial), "provisioning");
        let tell = |text: &str| self.say(Some(serial), text);
        let made = work::provision_on(&self.client, line, &self.shared.wanted, &tell)?;
        if let Some(error) = made.error {
            return Ok(Err(error));
        }
        if made.serial.as_deref() != Some(serial) {
            return Ok(Err("another token was plugged in meanwhile".to_owned()));
        }
        self.prove(serial, token)
    }

    fn prove(
        &self,
        serial: &str,
        mut token: Option<&mut EmulatedToken>,
    ) -> Result<Result<(), String>, Failure> {
        let path = format!("/v1/provisioning/devices/{}/proof", segment(serial));
        for attempt in 0..TRIES {
            let code = match &mut token {
                Some(token) => token.code(usize::from(self.shared.wanted.digits.unwrap_or(6))),
                None => self.typed(serial, attempt > 0),
            };
            let otp = match code {
                Ok(otp) => otp,
                Err(text) => return Ok(Err(text)),
            };
            let proved: wire::Proved = match self.client.post(&path, &wire::DisplayedCode { otp }) {
                Ok(proved) => proved,
                Err(refusal) => return refusal.unless_unavailable(),
            };
            if proved.proved {
                return Ok(Ok(()));
            }
        }
        Ok(Err("its display shows other codes than it should".to_owned()))
    }

    /// The code that a person reads from the display and types.
    fn typed(&self, serial: &str, again: bool) -> Result<String, String> {
        let (code, typed) = mpsc::channel();
        self.send(News::Wants { seat: self.number, serial: serial.to_owned(), again, code });
        loop {
            match typed.recv_timeout(LOOK) {
                Ok(code) => return Ok(code),
                Err(RecvTimeoutError::Timeout) if !self.shared.stopped() => {}
                Err(_) => return Err("nobody typed a code from its display".to_owned()),
            }
        }
    }
}
