//! A token's line in the hands of whoever holds the cable: any request, any bytes, no manners.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::time::wait_until;
use crate::token::Turn;
use ::token::link::{
    Answer, Call, Decoder, Envelope, Event, Info, Refusal, Request, Session, call, decode, encode,
    encode_frame,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

/// Longest wait for bytes without a look at the clock.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// Longest wait for an answer to raw bytes.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
const READ_MAX: usize = 512;
/// `EIO`: the other end of the line is closed.
const GONE: i32 = 5;

/// An open line.
pub struct Wire {
    port: PathBuf,
    line: File,
    turn: Turn,
    session: Session,
    begun: Instant,
}

impl Wire {
    /// Opens a token's line, beside whoever else has it open.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn open(port: &Path) -> Wire {
        let (turn, line) = open(port);
        let session = Session::new(first_sequence());
        Wire { port: port.to_owned(), line, turn, session, begun: Instant::now() }
    }

    /// Sends bytes. A line that the former client has just left may be about to go: then it is the next one's turn.
    fn write(&mut self, bytes: &[u8]) {
        wait_until(ANSWER_DEADLINE, "a line that takes bytes", || match self.line.write_all(bytes) {
            Ok(()) => Some(()),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(GONE), "the token's line: {error}");
                (self.turn, self.line) = open(&self.port);
                None
            }
        });
    }

    /// Leaves, where nobody else has the line open, and waits until it is there for the next client.
    pub fn leave(self) {
        drop(self.line);
        self.turn.end();
    }

    /// Asks as a station does, with all its patience.
    ///
    /// # Errors
    /// The token's refusal.
    ///
    /// # Panics
    /// When the token does not answer, or to another question.
    pub fn call<C: Call>(&mut self, call: C) -> Result<C::Answer, Refusal> {
        let answer = self.ask(&call.into_request())?;
        Ok(C::answer(answer).expect("an answer to this question"))
    }

    /// The same for a request in one piece.
    ///
    /// # Errors
    /// The token's refusal.
    ///
    /// # Panics
    /// When the token does not answer.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let now = |begun: Instant| u64::try_from(begun.elapsed().as_millis()).expect("short");
        self.session.begin(request, now(self.begun)).expect("one request at a time");
        loop {
            if let Some(frame) = self.session.poll_transmit() {
                let frame = frame.to_vec();
                self.write(&frame);
            }
            let bytes = self.read();
            self.session.handle_bytes(&bytes, now(self.begun));
            self.session.handle_timeout(now(self.begun));
            match self.session.poll_event() {
                None | Some(Event::Waiting(_)) => {}
                Some(Event::Answered(answer)) => return Ok(answer),
                Some(Event::Refused(refusal)) => return Err(refusal),
                Some(Event::Failed(failure)) => panic!("{failure}"),
            }
        }
    }

    /// Sends bytes as they are and returns the final answer to the sequence number that they bear.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn replay(&mut self, frame: &[u8], sequence: u32) -> Answer {
        self.write(frame);
        let begun = Instant::now();
        let mut decoder = Decoder::new();
        loop {
            for byte in self.read() {
                let Some(message) = decoder.handle_byte(byte) else { continue };
                match decode::<Answer>(message) {
                    Ok(Envelope { body: Answer::Waiting(_), .. }) => {}
                    Ok(Envelope { sequence: of, body }) if of == sequence => return body,
                    _ => {}
                }
            }
            assert!(begun.elapsed() < ANSWER_DEADLINE, "the token does not answer");
        }
    }

    fn read(&mut self) -> Vec<u8> {
        let mut polled = [PollFd::new(&self.line, PollFlags::IN)];
        poll(&mut polled, Some(&LOOK)).expect("poll(2)");
        let mut bytes = vec![0; READ_MAX];
        match self.line.read(&mut bytes) {
            Ok(count) => bytes.truncate(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => bytes.clear(),
            Err(error) if error.raw_os_error() == Some(GONE) => {
                (self.turn, self.line) = open(&self.port);
                bytes.clear();
            }
            Err(error) => panic!("the token's line: {error}"),
        }
        bytes
    }
}

fn open(port: &Path) -> (Turn, File) {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let turn = Turn::begin(port);
    let line = rustix::fs::open(turn.line(), flags, Mode::empty()).expect("the token's line");
    (turn, File::from(line))
}

/// So that an answer which an earlier client left is not taken for one of this.
fn first_sequence() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).expect("32 bits")
}

/// What a token says about itself.
///
/// # Panics
/// When it does not.
pub fn info(port: &Path) -> Info {
    let mut wire = Wire::open(port);
    let info = wire.call(call::GetInfo).expect("a token tells who it is");
    wire.leave();
    info
}

/// A request with its sequence number, and the frame it came in.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The frame's bytes, delimiters included.
    pub frame: Vec<u8>,
    /// Its number.
    pub sequence: u32,
    /// What it asks.
    pub request: Request,
}

/// The requests in what a station sent.
pub fn requests(sent: &[u8]) -> Vec<Recorded> {
    messages(sent)
        .into_iter()
        .filter_map(|message| {
            let Envelope { sequence, body } = decode::<Request>(&message).ok()?;
            Some(Recorded { frame: frame(&message), sequence, request: body })
        })
        .collect()
}

/// The answers in what a token sent.
pub fn answers(sent: &[u8]) -> Vec<Answer> {
    messages(sent).iter().filter_map(|message| Some(decode::<Answer>(message).ok()?.body)).collect()
}

fn messages(sent: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new();
    sent.iter().filter_map(|byte| decoder.handle_byte(*byte).map(<[u8]>::to_vec)).collect()
}

/// The frame of a message.
///
/// # Panics
/// When it is too long for one.
pub fn frame(message: &[u8]) -> Vec<u8> {
    encode_frame(message).expect("a message of the link").to_vec()
}

/// The message of a request.
pub fn message(sequence: u32, request: &Request) -> Vec<u8> {
    encode(&Envelope { sequence, body: request }).to_vec()
}
