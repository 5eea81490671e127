//! The host's end of the link without its I/O: one request at a time, repeated until it is answered, refused
//! or out of time.
//!
//! Call [`Session::begin`], then in a loop: write what [`Session::poll_transmit`] gives, hand every byte read to
//! [`Session::handle_bytes`], look at [`Session::poll_event`], and call [`Session::handle_timeout`] at
//! [`Session::poll_timeout`]. Times are milliseconds on any clock that does not run back. Repeating is safe: a
//! token answers a repeated request with the answer it gave.

use core::fmt;

use heapless::Vec;

use crate::certificate::MakerCertificate;
use crate::frame::{Decoder, FRAME_MAX, encode_frame};
use crate::message::{
    Abort, Answer, Challenge, Commit, DecodeError, Diagnostics, Envelope, Info, Install, Nonce, Order,
    Refusal, Request, Start, Waiting, decode, encode,
};
use crate::octets::{Point, Signature, Tag};
use crate::serial::Serial;

/// How long a silent token is waited for before the request is repeated.
const SILENCE_MS: u64 = 1_500;

/// How long a token that says it computes may be silent: about twice what the slowest board needs.
const COMPUTING_MS: u64 = 15_000;

/// How long a token that waits for a button may be silent; it says so again every two seconds.
const PRESENCE_SILENCE_MS: u64 = 5_000;

/// How often a request is sent at most while nothing is heard.
const SENDS_MAX: u8 = 4;

/// How long one request may take in all: a person has half a minute, and the token computes.
const REQUEST_MS: u64 = 75_000;

/// Another request is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Why a request has ended without the token's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was heard at all: no token, or one that is not ours.
    Silent,
    /// The token was heard and then no more: the request may have been carried out. Ask for [`Info`].
    Lost,
    /// The other end speaks another protocol version.
    Version,
    /// The answer is not one to this request.
    Unexpected,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "the token does not answer",
            Self::Lost => "the token stopped answering",
            Self::Version => "the token speaks another protocol version",
            Self::Unexpected => "the token's answer is to another question",
        })
    }
}

impl core::error::Error for Failure {}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to box the larger one on")]
pub enum Event {
    /// It goes on; show a person what it waits for. Comes again when the token repeats it.
    Waiting(Waiting),
    /// The answer. The request has ended.
    Answered(Answer),
    /// No. The request has ended.
    Refused(Refusal),
    /// Without an answer. The request has ended.
    Failed(Failure),
}

/// A request that knows the type of its answer.
pub trait Call {
    /// What the token answers.
    type Answer;

    /// The request to [`Session::begin`] with.
    fn into_request(self) -> Request;

    /// The answer, if it is one to this request; otherwise the station reports [`Failure::Unexpected`].
    fn answer(answer: Answer) -> Option<Self::Answer>;
}

/// The calls without a message type of their own.
pub mod call {
    use super::{MakerCertificate, Order, Serial, Signature};

    /// [`Request::Info`](crate::Request::Info).
    #[derive(Debug, Clone, Copy)]
    pub struct GetInfo;

    /// [`Request::Nonce`](crate::Request::Nonce).
    #[derive(Debug, Clone, Copy)]
    pub struct GetNonce;

    /// [`Request::Diagnostics`](crate::Request::Diagnostics).
    #[derive(Debug, Clone, Copy)]
    pub struct GetDiagnostics;

    /// [`Request::Order`](crate::Request::Order).
    #[derive(Debug, Clone, Copy)]
    pub struct Obey {
        /// What to do.
        pub order: Order,
        /// The host key's word for it.
        pub signature: Signature,
    }

    /// [`Request::Personalise`](crate::Request::Personalise).
    #[derive(Debug, Clone)]
    pub struct Personalise(
        /// The serial to take.
        pub Serial,
    );

    /// [`Request::Certify`](crate::Request::Certify).
    #[derive(Debug, Clone)]
    pub struct Certify(
        /// The certificate to keep.
        pub MakerCertificate,
    );
}

macro_rules! calls {
    ($($call:ty => $answer:ty, |$this:pat_param| $request:expr, $pattern:pat => $value:expr;)*) => {$(
        impl Call for $call {
            type Answer = $answer;

            fn into_request(self) -> Request {
                let $this = self;
                $request
            }

            fn answer(answer: Answer) -> Option<Self::Answer> {
                match answer {
                    $pattern => Some($value),
                    _ => None,
                }
            }
        }
    )*};
}

calls! {
    call::GetInfo => Info, |_| Request::Info, Answer::Info(info) => info;
    Start => Challenge, |start| Request::Start(start), Answer::Challenge(challenge) => challenge;
    Install => Tag, |install| Request::Install(install), Answer::Installed { tag } => tag;
    Commit => u32, |commit| Request::Commit(commit), Answer::Committed { counter } => counter;
    Abort => u32, |abort| Request::Abort(abort), Answer::Aborted { counter } => counter;
    call::GetNonce => Nonce, |_| Request::Nonce, Answer::Nonce(nonce) => nonce;
    call::Obey => (), |call::Obey { order, signature }| Request::Order { order, signature }, Answer::Obeyed => ();
    call::GetDiagnostics => Diagnostics, |_| Request::Diagnostics, Answer::Diagnostics(found) => found;
    call::Personalise => Point, |call::Personalise(serial)| Request::Personalise { serial },
        Answer::Personalised { key } => key;
    call::Certify => (), |call::Certify(certificate)| Request::Certify(certificate), Answer::Certified => ();
}

/// The request under way.
#[derive(Debug)]
struct Pending {
    /// Its frame is to be written.
    unsent: bool,
    sends: u8,
    heard: bool,
    repeat_at: u64,
    ends_at: u64,
}

/// The host's end; see the module's text for the order of calls.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    frame: Vec<u8, FRAME_MAX>,
    sequence: u32,
    pending: Option<Pending>,
    event: Option<Event>,
}

impl Session {
    /// A session whose requests count up from `first_sequence`, which should be random: an answer that an earlier
    /// session left on the line is then not taken for one of this.
    pub const fn new(first_sequence: u32) -> Self {
        Self {
            decoder: Decoder::new(),
            frame: Vec::new(),
            sequence: first_sequence,
            pending: None,
            event: None,
        }
    }

    /// Begins a request.
    ///
    /// # Errors
    /// [`Busy`] until the last one's final [`Event`] was taken, or [`Self::cancel`].
    pub fn begin(&mut self, request: &Request, now_ms: u64) -> Result<(), Busy> {
        if self.pending.is_some() || self.event.is_some() {
            return Err(Busy);
        }
        self.sequence = self.sequence.wrapping_add(1);
        let message = encode(&Envelope { sequence: self.sequence, body: request });
        self.frame = encode_frame(&message).expect("a message is at most MESSAGE_MAX bytes");
        self.pending = Some(Pending {
            unsent: true,
            sends: 0,
            heard: false,
            repeat_at: now_ms.saturating_add(SILENCE_MS),
            ends_at: now_ms.saturating_add(REQUEST_MS),
        });
        Ok(())
    }

    /// Gives up the request under way; its late answer will be dropped. It may have been carried out.
    pub fn cancel(&mut self) {
        self.pending = None;
        self.event = None;
    }

    /// The bytes to write now, all of them, once.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        let pending = self.pending.as_mut().filter(|pending| pending.unsent)?;
        pending.unsent = false;
        pending.sends += 1;
        Some(&self.frame)
    }

    /// Takes what was read, in any pieces.
    pub fn handle_bytes(&mut self, bytes: &[u8], now_ms: u64) {
        for &byte in bytes {
            let Some(message) = self.decoder.handle_byte(byte) else { continue };
            let decoded = decode::<Answer>(message);
            self.handle_answer(decoded, now_ms);
        }
    }

    /// Takes the time: repeats or ends a request that was not answered.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let Some(pending) = self.pending.as_mut() else { return };
        let over = now_ms >= pending.ends_at || (now_ms >= pending.repeat_at && pending.sends >= SENDS_MAX);
        if over {
            let failure = if pending.heard { Failure::Lost } else { Failure::Silent };
            self.finish(Event::Failed(failure));
        } else if now_ms >= pending.repeat_at {
            pending.unsent = true;
            pending.repeat_at = now_ms.saturating_add(SILENCE_MS);
        }
    }

    /// When to call [`Self::handle_timeout`] if nothing else happens.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.repeat_at.min(pending.ends_at))
    }

    /// What happened, each once.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// Frames dropped as noise so far.
    pub const fn dropped(&self) -> u32 {
        self.decoder.dropped()
    }

    fn handle_answer(&mut self, decoded: Result<Envelope<Answer>, DecodeError>, now_ms: u64) {
        let Some(pending) = self.pending.as_mut() else { return };
        let (sequence, answer) = match decoded {
            Ok(Envelope { sequence, body }) => (sequence, Ok(body)),
            Err(DecodeError::Version { sequence }) => (sequence, Err(Failure::Version)),
            Err(DecodeError::Body { sequence }) => (sequence, Err(Failure::Unexpected)),
            Err(DecodeError::Header) => return,
        };
        if sequence != self.sequence {
            return;
        }
        pending.heard = true;
        match answer {
            Ok(Answer::Waiting(waiting)) => {
                let silence = match waiting {
                    Waiting::Presence => PRESENCE_SILENCE_MS,
                    Waiting::Computing => COMPUTING_MS,
                };
                pending.sends = 0;
                pending.repeat_at = now_ms.saturating_add(silence);
                self.event = Some(Event::Waiting(waiting));
            }
            Ok(Answer::Refused(refusal)) => self.finish(Event::Refused(refusal)),
            Ok(answer) => self.finish(Event::Answered(answer)),
            Err(failure) => self.finish(Event::Failed(failure)),
        }
    }

    fn finish(&mut self, event: Event) {
        self.pending = None;
        self.event = Some(event);
    }
}

/// What to do with a token that may hold the rest of an interrupted exchange.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing is left over.
    None,
    /// Send the commit of the tag that is held for this counter; it is answered again if it was done already.
    Commit {
        /// The exchange's counter.
        counter: u32,
    },
    /// The pending secret is nobody's: abort it.
    Abort {
        /// The exchange's counter.
        counter: u32,
    },
}

/// Judges what a token says, where `held` is the counter for which a `tag_S` is stored and not known to have
/// been committed.
pub fn recovery(info: &Info, held: Option<u32>) -> Recovery {
    match (info.pending, held) {
        (Some(pending), Some(counter)) if pending.counter == counter => Recovery::Commit { counter },
        (Some(pending), _) => Recovery::Abort { counter: pending.counter },
        (None, Some(counter)) if counter == info.counter => Recovery::Commit { counter },
        (None, _) => Recovery::None,
    }
}
