//! The board, and a host that drives the token on it.

use std::collections::VecDeque;

use link::{Call, Event, Failure, Refusal, Session, Waiting};
use token::screen::{Frame, SEGMENTS, digit_area, segment_area};
use token::{Buttons, Platform, RngFault, Rtc, Token};

use crate::flash::Flash;

/// One step of virtual time.
const STEP_MS: u64 = 10;

pub(crate) struct Board {
    pub(crate) flash: Flash,
    pub(crate) now_ms: u64,
    pub(crate) rtc: Option<Rtc>,
    pub(crate) buttons: Buttons,
    pub(crate) readout_protected: bool,
    pub(crate) shown: Option<Frame>,
    pub(crate) serial_number: u8,
    from_host: VecDeque<u8>,
    to_host: Vec<u8>,
    noise: u64,
}

impl Board {
    pub(crate) fn new(flash: Flash, serial_number: u8, seed: u64) -> Self {
        Self {
            flash,
            now_ms: 0,
            rtc: Some(Rtc { run: 1, seconds: 1_000 }),
            buttons: Buttons::default(),
            readout_protected: true,
            shown: None,
            serial_number,
            from_host: VecDeque::new(),
            to_host: Vec::new(),
            noise: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }
}

impl Platform for Board {
    type Flash = Flash;

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn device_key(&mut self) -> [u8; 32] {
        [self.serial_number; 32]
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), RngFault> {
        for byte in bytes {
            self.noise ^= self.noise << 13;
            self.noise ^= self.noise >> 7;
            self.noise ^= self.noise << 17;
            *byte = (self.noise >> 24) as u8;
        }
        Ok(())
    }

    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }

    fn rtc(&mut self) -> Option<Rtc> {
        self.rtc
    }

    fn buttons(&mut self) -> Buttons {
        self.buttons
    }

    fn show(&mut self, frame: Option<&Frame>) {
        self.shown = frame.cloned();
    }

    fn uart_read(&mut self) -> Option<u8> {
        self.from_host.pop_front()
    }

    fn uart_write(&mut self, bytes: &[u8]) {
        self.to_host.extend_from_slice(bytes);
    }

    fn battery_percent(&mut self) -> Option<u8> {
        Some(80)
    }

    fn readout_protected(&mut self) -> bool {
        self.readout_protected
    }

    fn stack_used(&mut self) -> Option<u32> {
        None
    }

    fn firmware_version(&self) -> [u8; 3] {
        [0, 1, 0]
    }

    fn firmware_hash(&mut self) -> [u8; 32] {
        [7; 32]
    }
}

/// Why a call gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Refused(Refusal),
    Failed(Failure),
    Unplugged,
}

/// What a person does when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Person {
    Yes,
    No,
    Away,
}

/// A host and a person, with the token between them.
pub(crate) struct Bench {
    pub(crate) token: Token<Board>,
    pub(crate) person: Person,
    /// Bytes, both ways together, until the cable is pulled.
    pub(crate) cable: Option<usize>,
    pub(crate) carried: usize,
    pub(crate) trace: Vec<u8>,
    session: Session,
}

impl Bench {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            token: Token::start(board),
            person: Person::Yes,
            cable: None,
            carried: 0,
            trace: Vec::new(),
            session: Session::new(1),
        }
    }

    /// Power off and on.
    pub(crate) fn restart(self) -> Self {
        let mut board = self.token.into_platform();
        board.flash.power_on();
        board.now_ms = 0;
        board.buttons = Buttons::default();
        board.from_host.clear();
        board.to_host.clear();
        board.noise ^= 0x5555;
        Self { person: self.person, ..Self::new(board) }
    }

    pub(crate) fn board(&mut self) -> &mut Board {
        self.token.platform_mut()
    }

    pub(crate) fn step(&mut self) {
        self.board().now_ms += STEP_MS;
        self.token.poll();
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        (0..ms / STEP_MS).for_each(|_| self.step());
    }

    pub(crate) fn press(&mut self, next: bool, ms: u64) {
        self.board().buttons = Buttons { next, menu: !next };
        self.wait(ms);
        self.board().buttons = Buttons::default();
        self.wait(100);
    }

    pub(crate) fn call<C: Call>(&mut self, call: C) -> Result<C::Answer, NoAnswer> {
        let now = self.board().now_ms;
        self.session.cancel();
        self.session.begin(&call.into_request(), now).unwrap();
        let mut asked = None;
        loop {
            let now = self.board().now_ms;
            if let Some(bytes) = self.session.poll_transmit().map(<[u8]>::to_vec) {
                let bytes = self.carry(bytes);
                self.board().from_host.extend(bytes);
            }
            let pressed = asked.is_some_and(|since| (1_200..1_300).contains(&(now - since)));
            self.board().buttons = Buttons {
                next: pressed && self.person == Person::Yes,
                menu: pressed && self.person == Person::No,
            };
            self.step();
            let bytes = std::mem::take(&mut self.board().to_host);
            let bytes = self.carry(bytes);
            self.session.handle_bytes(&bytes, now);
            self.session.handle_timeout(now);
            match self.session.poll_event() {
                None => {}
                Some(Event::Waiting(Waiting::Presence)) => asked = asked.or(Some(now)),
                Some(Event::Waiting(Waiting::Computing)) => {}
                Some(Event::Answered(answer)) => return Ok(C::answer(answer).unwrap()),
                Some(Event::Refused(refusal)) => return Err(NoAnswer::Refused(refusal)),
                Some(Event::Failed(failure)) => return Err(NoAnswer::Failed(failure)),
            }
            if self.cable.is_some_and(|limit| self.carried >= limit) {
                self.board().buttons = Buttons::default();
                return Err(NoAnswer::Unplugged);
            }
            if self.board().flash.is_dead() {
                return Err(NoAnswer::Unplugged);
            }
        }
    }

    fn carry(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if let Some(limit) = self.cable {
            bytes.truncate(limit.saturating_sub(self.carried));
        }
        self.carried += bytes.len();
        self.trace.extend_from_slice(&bytes);
        bytes
    }

    /// Presses "next" and reads the code off the display.
    pub(crate) fn code(&mut self) -> Option<String> {
        self.press(true, 100);
        self.read()
    }

    /// The code on the display.
    pub(crate) fn read(&mut self) -> Option<String> {
        self.wait(300);
        let frame = self.board().shown.clone()?;
        (0..6).map(|index| read_digit(&frame, index)).collect()
    }
}

fn read_digit(frame: &Frame, index: usize) -> Option<char> {
    let area = digit_area(index, 6);
    let lit = (0..7).fold(0, |lit, segment| {
        let part = segment_area(area, segment);
        lit | u8::from(frame.pixel(part.x + part.width / 2, part.y + part.height / 2)) << segment
    });
    let digit = SEGMENTS.iter().position(|&segments| segments == lit)?;
    char::from_digit(digit as u32, 10)
}
