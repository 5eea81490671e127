//! The cable between a station and a token: a pty for the station's end, the token's own line at the other, and
//! the faults that cables have. It knows bytes and where frames begin, not what they say.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::time::PATIENCE;
use crate::token::Turn;

/// Longest wait for bytes before the cable looks whether it is still wanted.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
const READ_MAX: usize = 512;

/// Whose bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The station's.
    Host,
    /// The token's.
    Token,
}

/// Before which of a side's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// This one, from 0.
    Octet(usize),
    /// The first of this frame, from 0.
    Frame(usize),
}

/// What happens there, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The cable is pulled out: both ends hang up.
    Pull,
    /// So many bytes are lost; `usize::MAX`: silence in this direction from here on.
    Lose(usize),
    /// What comes is delivered only when the station speaks again.
    Late,
    /// Everything stops until [`Cable::release`].
    Hold,
}

/// A fault, whose bytes meet it, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// Whose bytes meet it.
    pub side: Side,
    /// Where.
    pub at: At,
    /// What happens.
    pub fault: Fault,
}

/// The bytes that passed, by side.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What the station sent.
    pub host: Vec<u8>,
    /// What the token sent.
    pub token: Vec<u8>,
}

/// A cable in use; gone when dropped.
pub struct Cable {
    /// The station's end.
    pub port: PathBuf,
    token: Option<Turn>,
    stop: Arc<AtomicBool>,
    held: Receiver<()>,
    release: Sender<()>,
    relay: Option<JoinHandle<Trace>>,
}

impl Cable {
    /// Plugs a cable into a token's line; it serves one station, once.
    ///
    /// # Panics
    /// When the lines cannot be opened.
    pub fn plug(token: &Path, port: &Path, with: Option<Break>) -> Cable {
        let turn = Turn::begin(token);
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let token_line = rustix::fs::open(turn.line(), flags, Mode::empty()).expect("the token's line");
        let station_line = pty(port).expect("a pty");
        let stop = Arc::new(AtomicBool::new(false));
        let (tell_held, held) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let relay = Relay {
            ends: [File::from(station_line), File::from(token_line)],
            flows: [Flow::default(), Flow::default()],
            with,
            backlog: None,
            stop: Arc::clone(&stop),
            held: tell_held,
            released,
        };
        let relay = std::thread::spawn(move || relay.run());
        Cable { port: port.to_owned(), token: Some(turn), stop, held, release, relay: Some(relay) }
    }

    /// Waits until the fault holds everything.
    ///
    /// # Panics
    /// When it does not.
    pub fn await_hold(&self) {
        self.held.recv_timeout(PATIENCE).expect("the dialogue comes to where it is held");
    }

    /// Waits so long for the fault to hold everything; false when it did not come to that.
    pub fn holds_within(&self, wait: Duration) -> bool {
        self.held.recv_timeout(wait).is_ok()
    }

    /// Lets everything pass from here on.
    pub fn release(&self) {
        if self.release.send(()).is_err() {
            // The relay has ended, and holds nothing.
        }
    }

    /// Takes the cable away and waits until the token's line is ready for the next one.
    ///
    /// # Panics
    /// When the token does not notice.
    pub fn unplug(mut self) -> Trace {
        let trace = self.end();
        self.token.take().into_iter().for_each(Turn::end);
        trace
    }

    fn end(&mut self) -> Trace {
        self.stop.store(true, Ordering::Relaxed);
        self.release();
        let trace = self.relay.take().map(|relay| relay.join().expect("the cable's thread"));
        // A test may have removed it already.
        drop(fs::remove_file(&self.port));
        trace.unwrap_or_default()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        if self.relay.is_some() {
            self.end();
        }
    }
}

/// A raw pty whose other end is at `symlink`.
pub(crate) fn pty(symlink: &Path) -> io::Result<OwnedFd> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let mut attributes = tcgetattr(&controller)?;
    attributes.make_raw();
    tcsetattr(&controller, OptionalActions::Now, &attributes)?;
    fcntl_setfl(&controller, OFlags::NONBLOCK)?;
    let name = ptsname(&controller, Vec::new())?;
    if fs::symlink_metadata(symlink).is_ok() {
        fs::remove_file(symlink)?;
    }
    std::os::unix::fs::symlink(name.to_string_lossy().as_ref(), symlink)?;
    Ok(controller)
}

/// One direction.
#[derive(Default)]
struct Flow {
    octets: usize,
    frames: usize,
    inside: bool,
    lose: usize,
    trace: Vec<u8>,
}

struct Relay {
    /// The station's and the token's.
    ends: [File; 2],
    flows: [Flow; 2],
    with: Option<Break>,
    /// Bytes that come late, and whose.
    backlog: Option<(Side, Vec<u8>)>,
    stop: Arc<AtomicBool>,
    held: Sender<()>,
    released: Receiver<()>,
}

/// An end hung up, or the cable was pulled.
struct Over;

impl Relay {
    fn run(mut self) -> Trace {
        while !self.stop.load(Ordering::Relaxed) && self.turn().is_ok() {}
        let [host, token] = self.flows.map(|flow| flow.trace);
        Trace { host, token }
    }

    fn turn(&mut self) -> Result<(), Over> {
        let mut polled = self.ends.each_ref().map(|end| PollFd::new(end, PollFlags::IN));
        poll(&mut polled, Some(&LOOK)).map_err(|_| Over)?;
        let seen = polled.map(|end| end.revents());
        for (side, seen) in [Side::Host, Side::Token].into_iter().zip(seen) {
            if seen.contains(PollFlags::IN) {
                let mut bytes = vec![0; READ_MAX];
                let count = match self.ends[side as usize].read(&mut bytes) {
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Err(_) => return Err(Over),
                };
                self.pass(side, &bytes[..count])?;
            } else if seen.intersects(PollFlags::HUP | PollFlags::ERR) {
                return Err(Over);
            }
        }
        Ok(())
    }

    fn pass(&mut self, side: Side, bytes: &[u8]) -> Result<(), Over> {
        if side == Side::Host
            && let Some((whose, late)) = self.backlog.take()
        {
            self.deliver(whose, &late);
        }
        let mut out = Vec::new();
        for &byte in bytes {
            if self.is_broken(side, byte) {
                match self.with.take().map(|with| with.fault) {
                    Some(Fault::Pull) => {
                        self.deliver(side, &out);
                        return Err(Over);
                    }
                    Some(Fault::Lose(count)) => self.flows[side as usize].lose = count,
                    Some(Fault::Late) => {
                        self.deliver(side, &out);
                        out.clear();
                        self.backlog = Some((side, Vec::new()));
                    }
                    Some(Fault::Hold) => {
                        self.deliver(side, &out);
                        out.clear();
                        // Whoever dropped the other ends of these wants no more of this cable.
                        self.held.send(()).map_err(|_| Over)?;
                        self.released.recv().map_err(|_| Over)?;
                    }
                    None => {}
                }
            }
            self.count(side, byte, &mut out);
        }
        match &mut self.backlog {
            Some((whose, late)) if *whose == side => late.append(&mut out),
            _ => self.deliver(side, &out),
        }
        Ok(())
    }

    fn is_broken(&self, side: Side, byte: u8) -> bool {
        let flow = &self.flows[side as usize];
        self.with.is_some_and(|with| {
            with.side == side
                && match with.at {
                    At::Octet(at) => flow.octets == at,
                    At::Frame(at) => flow.frames == at && !flow.inside && byte != 0,
                }
        })
    }

    fn count(&mut self, side: Side, byte: u8, out: &mut Vec<u8>) {
        let flow = &mut self.flows[side as usize];
        flow.octets += 1;
        flow.frames += usize::from(byte != 0 && !flow.inside);
        flow.inside = byte != 0;
        if flow.lose > 0 {
            flow.lose -= 1;
        } else {
            out.push(byte);
        }
    }

    /// What the other end does not take is lost, as on a wire.
    fn deliver(&mut self, side: Side, bytes: &[u8]) {
        self.flows[side as usize].trace.extend_from_slice(bytes);
        drop(self.ends[1 - side as usize].write_all(bytes));
    }
}
