//! The dialogue with a modem as a state machine: octets and time in, actions out. No I/O.
//!
//! 3GPP TS 27.005 4.3 (`AT+CMGS` in PDU mode). A message counts as sent when `+CMGS:` was seen, never on a
//! bare `OK`. From the PDU's first octet on, silence means *unknown*: the message may have gone out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::at::{AtError, Class, Line, Lines};
use crate::info::{Info, Registration};
use crate::init::{Config, Init, InitError, Next, Reply, Step};
use crate::pdu::Tpdu;
use crate::urc::{self, Opened, Urc};

const ESC: u8 = 0x1b;
const CTRL_Z: u8 = 0x1a;

/// From `AT+CMGS=` to the prompt.
pub const PROMPT_DEADLINE: Duration = Duration::from_secs(10);
/// From the PDU to its verdict; one vendor allows itself three minutes.
pub const VERDICT_DEADLINE: Duration = Duration::from_secs(180);
/// From a bare `OK` to the `+CMGS:` that should have come before it.
pub const BARE_OK_GRACE: Duration = Duration::from_secs(5);
/// From `+CMGS:` to its `OK`.
const FINAL_OK_GRACE: Duration = Duration::from_secs(1);
/// For `AT`.
pub const PING_DEADLINE: Duration = Duration::from_secs(5);
/// How long a modem may say "busy" while it starts.
pub const BUSY_DEADLINE: Duration = Duration::from_secs(30);
const BUSY_PAUSE: Duration = Duration::from_millis(500);
/// `+CPIN: READY` comes without `OK` from some makes.
const PIN_WITHOUT_OK: Duration = Duration::from_millis(700);

/// What the caller shall do, in order.
#[derive(PartialEq, Eq)]
pub enum Action {
    /// Write these octets to the port.
    Write(Zeroizing<Vec<u8>>),
    /// Arm the SIM latch durably before the next action; on failure call [`Dialogue::latch_failed`].
    ArmLatch,
    /// The SIM took its PIN: remove the latch.
    ClearLatch,
    /// Something happened.
    Event(Event),
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The first dialogue is over; [`Dialogue::info`] is filled.
    Ready,
    /// The modem cannot be used.
    Failed(InitError),
    /// The end of [`Dialogue::send`].
    Outcome(Outcome),
    /// The end of [`Dialogue::ping`] or [`Dialogue::probe_prompt`].
    Answered(bool),
    /// Something unasked.
    Urc(Urc),
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The network took it.
    Sent {
        /// TP-MR, to match status reports.
        reference: u8,
    },
    /// It did not go out.
    NotSent {
        /// What kind of trouble.
        class: Class,
        /// The modem's number for it.
        code: Option<u16>,
        /// The modem's words, or ours.
        text: String,
    },
    /// The PDU was written and no verdict came. Sending it again may deliver it twice.
    Unknown {
        /// What was seen instead.
        reason: &'static str,
    },
}

/// A message that is being sent.
struct Job {
    length: usize,
    hex: String,
    deadline: Instant,
}

enum State {
    Init {
        init: Box<Init>,
        step: Step,
        lines: Vec<String>,
        heard: bool,
        busy_since: Option<Instant>,
        paused: bool,
    },
    Idle,
    Ping,
    ProbePrompt,
    Resync(Job),
    Prompt(Job),
    Verdict {
        reference: Option<u8>,
        bare_ok: bool,
    },
    Failed,
}

/// One modem's dialogue.
///
/// Order of calls: after each of `new`, `send`, `ping`, `handle_*`, take all of [`Dialogue::poll_action`]; then
/// wait for octets or for [`Dialogue::poll_timeout`]. `send`, `ping` and `probe_prompt` only when idle.
pub struct Dialogue {
    state: State,
    lines: Lines,
    actions: VecDeque<Action>,
    deadline: Option<Instant>,
    echo_of: Zeroizing<String>,
    echoed: bool,
    opened: Option<Opened>,
    /// An earlier message got no verdict: its answer may still come.
    unsettled: bool,
    info: Info,
}

impl Dialogue {
    /// Begins the first dialogue.
    pub fn new(config: Config, now: Instant) -> Self {
        let mut this = Self {
            state: State::Failed,
            lines: Lines::default(),
            actions: VecDeque::new(),
            deadline: None,
            echo_of: Zeroizing::default(),
            echoed: false,
            opened: None,
            unsettled: false,
            info: Info::default(),
        };
        // ESC leaves a prompt that an earlier session may have left behind.
        this.write(vec![ESC, b'\r']);
        let init = Box::new(Init::new(config));
        this.begin_step(now, init, Step::Flush, None);
        this
    }

    /// The next action; `None` when all are taken.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Dialogue::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is known about the modem.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Is it free for `send` and `ping`?
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Was a PDU begun that has no verdict yet?
    pub fn pdu_started(&self) -> bool {
        matches!(self.state, State::Verdict { .. })
    }

    /// Sends one message; ends with an [`Event::Outcome`], at the latest at `deadline`.
    ///
    /// # Panics
    /// When not idle.
    pub fn send(&mut self, now: Instant, tpdu: &Tpdu, deadline: Instant) {
        assert!(self.is_idle(), "a modem sends one message at a time");
        // The octet 00 leaves the service centre address to the SIM.
        let job = Job { length: tpdu.cmgs_len(), hex: format!("00{}", tpdu.hex()), deadline };
        if deadline <= now {
            self.not_sent(Class::Temporary, None, "its deadline passed before it was begun");
        } else if self.unsettled {
            self.command("AT");
            self.deadline = Some(deadline.min(now + PING_DEADLINE));
            self.state = State::Resync(job);
        } else {
            self.ask_prompt(now, job);
        }
    }

    /// Asks whether the modem still answers; ends with [`Event::Answered`].
    ///
    /// # Panics
    /// When not idle.
    pub fn ping(&mut self, now: Instant) {
        assert!(self.is_idle(), "a modem takes one command at a time");
        self.command("AT");
        self.deadline = Some(now + PING_DEADLINE);
        self.state = State::Ping;
    }

    /// Asks for a prompt and leaves it with ESC, to learn its shape; ends with [`Event::Answered`].
    ///
    /// # Panics
    /// When not idle.
    pub fn probe_prompt(&mut self, now: Instant) {
        const SHORTEST_SUBMIT: usize = 8;
        assert!(self.is_idle(), "a modem takes one command at a time");
        self.command(&format!("AT+CMGS={SHORTEST_SUBMIT}"));
        self.deadline = Some(now + PROMPT_DEADLINE);
        self.state = State::ProbePrompt;
    }

    /// The latch could not be written: the PIN that waits behind it must not be sent.
    pub fn latch_failed(&mut self) {
        self.actions.clear();
        self.fail(InitError::Latch);
    }

    /// Takes octets from the port.
    pub fn handle_bytes(&mut self, now: Instant, octets: &[u8]) {
        self.lines.push(octets);
        loop {
            let expect_prompt = matches!(self.state, State::Prompt(_) | State::ProbePrompt);
            let Some(line) = self.lines.take(expect_prompt) else { break };
            self.handle_line(now, line);
        }
        self.info.prompt = self.lines.prompt().map(str::to_owned);
    }

    /// Call when [`Dialogue::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Init { init, step, busy_since, paused: true, .. } => {
                self.begin_step(now, init, step, busy_since);
            }
            State::Init { init, step: Step::Pin, lines, .. } if !lines.is_empty() => {
                self.end_step(now, init, Step::Pin, Reply { lines, result: Ok(()) });
            }
            State::Init { init, step, heard, .. } => {
                let next = init.after_silence(step, heard);
                self.go_on(now, init, next);
            }
            State::Ping => {
                self.unsettled = true;
                self.finish(Event::Answered(false));
            }
            State::ProbePrompt => {
                self.write(vec![ESC]);
                self.unsettled = true;
                self.finish(Event::Answered(false));
            }
            State::Resync(_) => self.not_sent(Class::Modem, None, "the modem does not answer"),
            State::Prompt(_) => {
                self.write(vec![ESC]);
                self.unsettled = true;
                self.not_sent(Class::Modem, None, "the modem gave no prompt");
            }
            State::Verdict { reference: Some(reference), .. } => self.sent(reference),
            State::Verdict { bare_ok, .. } => {
                self.unsettled = true;
                let reason = if bare_ok { "OK without +CMGS" } else { "no answer after the PDU" };
                self.finish(Event::Outcome(Outcome::Unknown { reason }));
            }
            State::Idle => self.deadline = None,
            State::Failed => (self.state, self.deadline) = (State::Failed, None),
        }
    }

    fn handle_line(&mut self, now: Instant, line: Line) {
        if let State::Init { heard, .. } = &mut self.state {
            *heard = true;
        }
        match line {
            Line::Text(text) => self.handle_text(now, text),
            Line::Prompt => self.handle_prompt(now),
            Line::Ok => self.handle_final(now, Ok(())),
            Line::Error(error) => self.handle_final(now, Err(error)),
        }
    }

    fn handle_text(&mut self, now: Instant, text: String) {
        if text == *self.echo_of {
            self.echoed = true;
            return;
        }
        if let Some(urc) = self.opened.take().and_then(|opened| opened.close(&text)) {
            return self.event(Event::Urc(urc));
        }
        self.opened = Opened::by(&text);
        if self.opened.is_some() {
            return;
        }
        let acknowledged = text.strip_prefix("+CMGS:").or_else(|| text.strip_prefix("+CMSS:"));
        match &mut self.state {
            State::Init { step, lines, paused: false, .. } if Init::claims(*step, &text) => {
                lines.push(text);
                if *step == Step::Pin {
                    self.end_within(now, PIN_WITHOUT_OK);
                }
            }
            State::Verdict { reference, bare_ok } if acknowledged.is_some() => {
                *reference = acknowledged.map(message_reference);
                let grace = if *bare_ok { Duration::ZERO } else { FINAL_OK_GRACE };
                self.end_within(now, grace);
            }
            _ => self.handle_unasked(&text, acknowledged),
        }
    }

    fn handle_unasked(&mut self, text: &str, acknowledged: Option<&str>) {
        let urc = match acknowledged {
            Some(rest) => Urc::LateSent { reference: message_reference(rest) },
            None => urc::parse(text),
        };
        if let Urc::Registration { stat, .. } = urc {
            // The other domains may still be registered; a full answer comes with the next first dialogue.
            let known = self.info.registration;
            self.info.registration =
                Some(Registration(stat).better(known.filter(|_| stat != 1 && stat != 5)));
        }
        let restarted = matches!(urc, Urc::Restarted(_));
        self.event(Event::Urc(urc));
        if restarted && self.pdu_started() {
            self.finish(Event::Outcome(Outcome::Unknown { reason: "the modem restarted after the PDU" }));
        }
    }

    fn handle_prompt(&mut self, now: Instant) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Prompt(job) => {
                let mut octets = job.hex.clone().into_bytes();
                octets.push(CTRL_Z);
                self.write(octets);
                self.echo_of = Zeroizing::new(job.hex);
                self.deadline = Some(job.deadline.min(now + VERDICT_DEADLINE));
                self.state = State::Verdict { reference: None, bare_ok: false };
            }
            State::ProbePrompt => {
                self.write(vec![ESC]);
                self.unsettled = true;
                self.finish(Event::Answered(true));
            }
            other => self.state = other,
        }
    }

    fn handle_final(&mut self, now: Instant, result: Result<(), AtError>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Init { init, step, lines, busy_since, paused: false, .. } => {
                let busy_since = busy_since.unwrap_or(now);
                let busy = result.as_ref().is_err_and(AtError::is_busy);
                if busy && step != Step::EnterPin && now < busy_since + BUSY_DEADLINE {
                    self.deadline = Some(now + BUSY_PAUSE);
                    let (lines, busy_since) = (Vec::new(), Some(busy_since));
                    self.state = State::Init { init, step, lines, heard: true, busy_since, paused: true };
                } else {
                    self.end_step(now, init, step, Reply { lines, result });
                }
            }
            State::Ping => {
                self.unsettled = false;
                self.finish(Event::Answered(true));
            }
            State::ProbePrompt if result.is_err() => self.finish(Event::Answered(false)),
            State::Resync(job) => {
                self.unsettled = false;
                self.ask_prompt(now, job);
            }
            State::Prompt(job) => match result {
                Err(error) => self.refused(error),
                // A late OK of something earlier; the prompt is still to come.
                Ok(()) => self.state = State::Prompt(job),
            },
            State::Verdict { reference: Some(reference), .. } => self.sent(reference),
            State::Verdict { reference: None, .. } => match result {
                Err(error) => self.refused(error),
                Ok(()) => {
                    self.end_within(now, BARE_OK_GRACE);
                    self.state = State::Verdict { reference: None, bare_ok: true };
                }
            },
            other => self.state = other,
        }
    }

    fn ask_prompt(&mut self, now: Instant, job: Job) {
        self.command(&format!("AT+CMGS={}", job.length));
        self.deadline = Some(job.deadline.min(now + PROMPT_DEADLINE));
        self.state = State::Prompt(job);
    }

    fn begin_step(&mut self, now: Instant, init: Box<Init>, step: Step, busy_since: Option<Instant>) {
        if step == Step::EnterPin {
            self.actions.push_back(Action::ArmLatch);
        }
        if let Some(command) = init.command(step) {
            self.command(&command);
        }
        self.deadline = Some(now + Init::deadline(step));
        self.state = State::Init { init, step, lines: Vec::new(), heard: false, busy_since, paused: false };
    }

    fn end_step(&mut self, now: Instant, mut init: Box<Init>, step: Step, reply: Reply) {
        if step == Step::EnterPin && reply.result.is_ok() {
            self.actions.push_back(Action::ClearLatch);
        }
        let next = init.after(step, &reply);
        self.go_on(now, init, next);
    }

    fn go_on(&mut self, now: Instant, mut init: Box<Init>, next: Next) {
        match next {
            Next::Step(step) => {
                // Echo counts as found before ATE0.
                if step == Step::EchoOff {
                    init.info.echo = self.echoed;
                }
                self.begin_step(now, init, step, None);
            }
            Next::Ready => {
                self.info = init.info;
                self.finish(Event::Ready);
            }
            Next::Failed(error) => self.fail(error),
        }
    }

    /// Brings the end of a wait nearer, never farther: a modem that repeats itself is not waited for any longer.
    fn end_within(&mut self, now: Instant, period: Duration) {
        let end = now + period;
        self.deadline = Some(self.deadline.map_or(end, |deadline| deadline.min(end)));
    }

    fn refused(&mut self, error: AtError) {
        self.not_sent(error.class(), error.code, &error.text);
    }

    fn not_sent(&mut self, class: Class, code: Option<u16>, text: &str) {
        self.finish(Event::Outcome(Outcome::NotSent { class, code, text: text.to_owned() }));
    }

    fn sent(&mut self, reference: u8) {
        self.finish(Event::Outcome(Outcome::Sent { reference }));
    }

    fn finish(&mut self, event: Event) {
        (self.state, self.deadline) = (State::Idle, None);
        self.event(event);
    }

    fn fail(&mut self, error: InitError) {
        (self.state, self.deadline) = (State::Failed, None);
        self.event(Event::Failed(error));
    }

    fn event(&mut self, event: Event) {
        self.actions.push_back(Action::Event(event));
    }

    fn command(&mut self, command: &str) {
        self.echo_of = Zeroizing::new(command.to_owned());
        let mut octets = Vec::with_capacity(command.len() + 1);
        octets.extend_from_slice(command.as_bytes());
        octets.push(b'\r');
        self.write(octets);
    }

    fn write(&mut self, octets: Vec<u8>) {
        self.actions.push_back(Action::Write(Zeroizing::new(octets)));
    }
}

impl std::fmt::Debug for Action {
    /// Shows no octets of a PIN.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Write(octets) if octets.starts_with(b"AT+CPIN=") => f.write_str("Write(AT+CPIN=...)"),
            Self::Write(octets) => write!(f, "Write({})", octets.escape_ascii()),
            Self::ArmLatch => f.write_str("ArmLatch"),
            Self::ClearLatch => f.write_str("ClearLatch"),
            Self::Event(event) => f.debug_tuple("Event").field(event).finish(),
        }
    }
}

/// `+CMGS: <mr>[,<scts>]`; a number out of range becomes 0, since the message did go out.
fn message_reference(rest: &str) -> u8 {
    rest.split(',').next().and_then(|first| first.trim().parse().ok()).unwrap_or(0)
}
