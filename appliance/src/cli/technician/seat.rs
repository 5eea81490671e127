//! One port of a station, in a thread of its own: token after token through the same steps.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
/// Codes of one token at the most, the malformed and the used ones included. The appliance counts the wrong ones, and
/// revokes at fewer.
const CODES_MAX: usize = 8;

/// What a port tells the station.
pub(super) enum News {
    /// It waits for something to be plugged in or out.
    Idle { seat: usize, serial: Option<String>, text: String },
    /// What is done with a token now.
    Says { seat: usize, serial: String, text: String },
    /// It needs a code from the display of a token; again when the one before was wrong.
    Wants { seat: usize, serial: String, again: bool, answer: Sender<Typed> },
    /// It is done with a token.
    Settled { seat: usize, serial: String, error: Option<String> },
    /// The station ends before the token was through.
    Left { seat: usize, serial: String },
    /// It has ended; by a fault of ours or not.
    Closed { seat: usize, faulty: bool },
}

/// What a person answers to a token's code being asked for.
pub(super) enum Typed {
    /// The code.
    Code(String),
    /// There will be none.
    Skip,
}

/// How a token leaves a port.
enum End {
    Done,
    Failed(String),
    /// Neither: the station ended.
    Left,
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
    /// Whether to leave even what is under way.
    pub(super) cut: Arc<AtomicBool>,
}

impl Shared<'_> {
    /// Whether the station takes no more tokens.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.was_cut()
    }

    /// Whether the station leaves everything as it is.
    pub(super) fn was_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Where tokens are plugged in.
pub(super) enum Place {
    /// A serial port, for as long as the station runs.
    Port(PathBuf),
    /// One that udev has named, for as long as it is there.
    Named(PathBuf),
    /// None: they are emulated.
    Emulated,
}

/// One port.
pub(super) struct Seat<'a> {
    number: usize,
    shared: &'a Shared<'a>,
    client: Client<'a>,
    news: Sender<News>,
    /// Set to have a failed token worked again where it is.
    again: Arc<AtomicBool>,
}

/// Tells the station that the port has ended, in whatever way.
struct Closing {
    number: usize,
    news: Sender<News>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        // A station that is gone needs no news.
        drop(self.news.send(News::Closed { seat: self.number, faulty: std::thread::panicking() }));
    }
}

/// Works at a port until there is nothing more to do, or the station stops.
pub(super) fn run(
    number: usize,
    shared: &Shared<'_>,
    place: &Place,
    again: Arc<AtomicBool>,
    news: Sender<News>,
) -> Result<(), Failure> {
    let _closing = Closing { number, news: news.clone() };
    let seat = Seat { number, shared, client: Client::new(shared.global)?, news, again };
    match place {
        Place::Port(path) => {
            seat.plugged(path, false);
            Ok(())
        }
        Place::Named(path) => {
            seat.plugged(path, true);
            Ok(())
        }
        Place::Emulated => seat.emulated(),
    }
}

impl Seat<'_> {
    /// A station that is gone needs no news.
    fn send(&self, news: News) {
        drop(self.news.send(news));
    }

    fn say(&self, serial: &str, text: impl Into<String>) {
        self.send(News::Says { seat: self.number, serial: serial.to_owned(), text: text.into() });
    }

    fn idle(&self, serial: Option<&str>, text: impl Into<String>) {
        self.send(News::Idle { seat: self.number, serial: serial.map(str::to_owned), text: text.into() });
    }

    /// One line for as long as it holds: no other station comes between two steps.
    fn plugged(&self, path: &Path, named: bool) {
        // The token that was worked last and is still there; empty for one without a serial.
        let mut last: Option<String> = None;
        let mut open: Option<Line> = None;
        while !self.shared.stopped() {
            if let Err(failure) = self.look(path, named, &mut open, &mut last) {
                (open, last) = (None, None);
                if named && !path.exists() {
                    break;
                }
                self.idle(None, failure.to_string());
            }
            std::thread::sleep(LOOK);
            if self.again.swap(false, Ordering::Relaxed) {
                last = None;
            }
        }
    }

    fn look(
        &self,
        path: &Path,
        named: bool,
        open: &mut Option<Line>,
        last: &mut Option<String>,
    ) -> Result<(), Failure> {
        let line = match open {
            Some(line) => line,
            None => open.insert(Line::open_until(path, &self.shared.cut)?),
        };
        let found = work::identify_on(line)?;
        if found.firmware.is_empty() {
            *last = None;
            let another = "no token answers: this is another device, or a board without the token's image";
            self.idle(None, if named { another } else { "plug in a token" });
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
            self.say(&serial, "plugging in an emulated token");
            let mut token = works.start(&serial)?;
            let mut line = Line::open_until(&token.port, &self.shared.cut)?;
            self.work(&mut line, &serial, Some(&mut token));
        }
        Ok(())
    }

    fn work(&self, line: &mut Line, serial: &str, token: Option<&mut EmulatedToken>) {
        if serial.is_empty() {
            return self.idle(None, "the token has no serial yet: it has not left the factory; take it out");
        }
        let claim = self.shared.batch.lock().claim(serial);
        match claim {
            Claim::Work => {}
            Claim::Done => return self.idle(Some(serial), "is done already; take it out"),
            Claim::Elsewhere => return self.idle(Some(serial), "is being worked at another port"),
        }
        self.save();
        let end = match self.steps(line, serial, token) {
            Ok(end) => end,
            Err(_) if self.shared.was_cut() => End::Left,
            Err(failure) => End::Failed(failure.to_string()),
        };
        let (seat, owned) = (self.number, serial.to_owned());
        let error = match end {
            // Its line in the file says that it was begun, which is what the next station has to know.
            End::Left => return self.send(News::Left { seat, serial: owned }),
            End::Done => None,
            End::Failed(text) => Some(text),
        };
        self.shared.batch.lock().settle(serial, error.as_deref());
        self.save();
        self.send(News::Settled { seat, serial: owned, error });
    }

    /// Writes the batch file. When it cannot be signed now, the next change writes it all; a token that the file
    /// does not know as done is simply worked again.
    fn save(&self) {
        let saved = self.shared.batch.lock().save(&self.client);
        if let Err(failure) = saved {
            self.idle(None, format!("the batch file was not written: {failure}"));
        }
    }

    fn steps(
        &self,
        line: &mut Line,
        serial: &str,
        token: Option<&mut EmulatedToken>,
    ) -> Result<End, Failure> {
        self.say(serial, "checking its maker");
        if let Some(error) = work::attest_on(&self.client, line)?.error {
            return Ok(End::Failed(error));
        }
        self.say(serial, "provisioning");
        let tell = |text: &str| self.say(serial, text);
        let made = work::provision_on(&self.client, line, &self.shared.wanted, &tell)?;
        if let Some(error) = made.error {
            return Ok(End::Failed(error));
        }
        if made.serial.as_deref() != Some(serial) {
            return Ok(End::Failed("another token was plugged in meanwhile".to_owned()));
        }
        self.prove(serial, token)
    }

    fn prove(&self, serial: &str, mut token: Option<&mut EmulatedToken>) -> Result<End, Failure> {
        let path = format!("/v1/provisioning/devices/{}/proof", segment(serial));
        for attempt in 0..CODES_MAX {
            let code = match &mut token {
                Some(token) => token.code(usize::from(self.shared.wanted.digits.unwrap_or(6))),
                None => match self.typed(serial, attempt > 0) {
                    Ok(Typed::Code(otp)) => Ok(otp),
                    Ok(Typed::Skip) => return Ok(End::Failed("skipped by the technician".to_owned())),
                    Err(end) => return Ok(end),
                },
            };
            let otp = match code {
                Ok(otp) => otp,
                Err(text) => return Ok(End::Failed(text)),
            };
            let proved: wire::Proved = match self.client.post(&path, &wire::DisplayedCode { otp }) {
                Ok(proved) => proved,
                Err(refusal) => {
                    return refusal.unless_unavailable().map(|text| match text {
                        Ok(end) => end,
                        Err(text) => End::Failed(text),
                    });
                }
            };
            if proved.proved {
                return Ok(End::Done);
            }
            if proved.revoked {
                let text = "its display shows other codes than it should; its secret is revoked";
                return Ok(End::Failed(text.to_owned()));
            }
        }
        Ok(End::Failed("no code from its display was right".to_owned()))
    }

    /// What a person types for the token, or how it ends without.
    fn typed(&self, serial: &str, again: bool) -> Result<Typed, End> {
        let (answer, typed) = mpsc::channel();
        self.send(News::Wants { seat: self.number, serial: serial.to_owned(), again, answer });
        loop {
            match typed.recv_timeout(LOOK) {
                Ok(typed) => return Ok(typed),
                Err(_) if self.shared.stopped() => return Err(End::Left),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(End::Failed("nobody typed a code from its display".to_owned()));
                }
            }
        }
    }
}
