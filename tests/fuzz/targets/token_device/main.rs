//! The device's end: a token in every stage of its life, a host that says anything in well-formed frames and out of
//! them, a person at the buttons, and a power that goes at any write.
//!
//! Flash and HSM are those of the token's own tests, written from `docs/provisioning.md`.

#![no_main]

mod board;
#[path = "../../../../firmware/token/tests/device/flash.rs"]
#[expect(dead_code, reason = "the token's own tests use the rest")]
mod flash;
#[path = "../../../../firmware/token/tests/device/hsm.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the token's own tests use the rest, and fail by panicking"
)]
mod hsm;
mod model;

use std::sync::OnceLock;

use fuzz::{begin, is_control, variant};
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use link::{
    Abort, Answer, Decoder, Envelope, Order, POLICY_LEN, Request, Serial, decode, encode, encode_frame,
};
use token::{Buttons, Token};

use crate::board::{Board, QUESTION, asks_presence, code, question};
use crate::flash::{Flash, TEARS};
use crate::hsm::{HOTP, Hsm, OCRA};
use crate::model::{Model, Secret};

const PAGES: usize = 16;
const STEP_MS: u64 = 10;
/// A wait is made of at most so many polls.
const POLLS_MAX: u64 = 64;
/// Polls within which any frame is read and answered.
const ANSWER_POLLS: usize = 40;
/// Longer than a question must have been on the display, and the press itself.
const PRESENCE_MS: u64 = 1_200;
const PRESS_MS: u64 = 100;
const HOLD_MS: u64 = 1_000;
/// Steps of one script: a run is to take milliseconds.
const STEPS_MAX: usize = 48;
/// Variants of [`Kind`].
const KINDS: u64 = 13;
/// Variants of [`Step`].
const STEPS: u64 = 10;
/// In the number of a slot: its secret is to answer questions.
const ANSWERS: u8 = 8;
/// The digits that a person types.
const TYPED: [u8; 4] = [0, 1, 2, 9];

#[derive(Debug, Arbitrary)]
enum Step {
    Octets(Vec<u8>),
    Message(Vec<u8>),
    Ask(Asked),
    /// As a host does it, with a person who agrees.
    Exchange {
        slot: u8,
        steps: u8,
    },
    Press {
        next: bool,
        long: bool,
    },
    Wait {
        ms: u16,
    },
    /// The power goes at the flash's operation `after` the present one.
    Cut {
        after: u8,
        tear: u8,
        seed: u8,
    },
    Restart,
    Clock {
        lost: bool,
        seconds: u16,
    },
    /// A person types a question, two bits for each digit, and asks for the response.
    Question {
        digits: u16,
    },
}

/// One request, good as far as the host knows, then spoilt.
#[derive(Debug, Arbitrary)]
struct Asked {
    kind: Kind,
    stranger: bool,
    slot: u8,
    /// Which byte of the body is changed, and how.
    flip: Option<(u16, u8)>,
    /// With the number of the request before.
    again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum Kind {
    Info,
    Diagnostics,
    Start,
    Install,
    Commit,
    Abort,
    Nonce,
    SetClock,
    Lock,
    Return,
    Wipe,
    Personalise,
    Certify,
}

fn good(kind: Kind, slot: u8) -> Asked {
    Asked { kind, stranger: false, slot, flip: None, again: false }
}

struct Bench {
    /// There is one but during a restart.
    token: Option<Token<Board>>,
    model: Model,
    decoder: Decoder,
    sequence: u32,
    starts: u64,
    /// The planted fault: the flash as it was, which comes back with the power.
    stale: Option<Flash>,
}

fn hosts() -> &'static [Hsm; 2] {
    static HOSTS: OnceLock<[Hsm; 2]> = OnceLock::new();
    HOSTS.get_or_init(|| [Hsm::new(1), Hsm::new(2)])
}

impl Bench {
    fn new(flash: Flash, model: Model) -> Self {
        let stale = is_control().then(|| flash.clone());
        let token = Some(Token::start(Board::new(flash, 0)));
        Self { token, model, decoder: Decoder::new(), sequence: 100, starts: 0, stale }
    }

    fn token(&mut self) -> &mut Token<Board> {
        self.token.as_mut().expect("there is one but during a restart")
    }

    fn board(&mut self) -> &mut Board {
        self.token().platform_mut()
    }

    fn step(&mut self, ms: u64) {
        self.board().now_ms += ms;
        self.token().poll();
        let board = self.board();
        let (said, shown) = (std::mem::take(&mut board.to_host), std::mem::take(&mut board.shown));
        for byte in said {
            let Some(message) = self.decoder.handle_byte(byte) else { continue };
            let Envelope { sequence, body } = decode::<Answer>(message).expect("a token speaks the protocol");
            self.model.heard(sequence, body);
        }
        for frame in shown.into_iter().filter(|frame| !frame.as_ref().is_some_and(asks_presence)) {
            if let Some(typed) = frame.as_ref().and_then(question) {
                self.model.typed(typed);
            }
            self.model.seen(frame.as_ref().and_then(code));
        }
    }

    fn wait(&mut self, ms: u64) {
        let step = STEP_MS.max(ms / POLLS_MAX);
        (0..ms / step).for_each(|_| self.step(step));
    }

    fn press(&mut self, next: bool, ms: u64) {
        if next && ms == PRESS_MS {
            self.model.agreed();
        }
        self.board().buttons = Buttons { next, menu: !next };
        self.wait(ms);
        self.board().buttons = Buttons::default();
        self.wait(PRESS_MS);
    }

    fn question(&mut self, digits: u16) {
        self.press(true, PRESS_MS);
        for place in 0..QUESTION {
            let digit = TYPED[usize::from(digits >> (2 * place) & 3)];
            (0..digit).for_each(|_| self.press(true, PRESS_MS));
            self.press(false, PRESS_MS);
        }
        self.press(false, HOLD_MS);
    }

    fn send(&mut self, message: &[u8]) {
        let Ok(frame) = encode_frame(message) else { return };
        if let Ok(Envelope { sequence, body }) = decode::<Request>(message) {
            self.model.sent(sequence, &body);
        }
        self.board().from_host.extend(&frame);
        (0..ANSWER_POLLS).for_each(|_| self.step(1));
    }

    fn order(&mut self, host: &Hsm, order: Order) -> Option<Request> {
        let (label, utc) = match order {
            Order::SetClock { utc } => ("countersign clock 1", Some(utc)),
            Order::Lock => ("countersign lock 1", None),
            Order::Return => ("countersign return 1", None),
            Order::Wipe => ("countersign wipe 1", None),
        };
        let challenge = self.model.nonce?;
        Some(Request::Order { order, signature: host.order(label, &self.model.serial, &challenge, utc) })
    }

    fn request(&mut self, asked: &Asked) -> Option<Request> {
        let host = &hosts()[usize::from(asked.stranger)];
        let last = self.model.secrets.iter().rev().find(|secret| secret.delivered);
        Some(match asked.kind {
            Kind::Info => Request::Info,
            Kind::Diagnostics => Request::Diagnostics,
            Kind::Nonce => Request::Nonce,
            Kind::Start => Request::Start(host.start(asked.slot % ANSWERS % 5, self.sequence as u8)),
            Kind::Install => {
                let policy = if asked.slot & ANSWERS == 0 { HOTP } else { OCRA };
                match asked.stranger {
                    false => Request::Install(self.model.grant(hosts(), policy)?.install.clone()),
                    true => self.forged(policy)?,
                }
            }
            Kind::Commit => last?.commit(),
            Kind::Abort => Request::Abort(Abort { counter: last.map_or(1, Secret::counter) }),
            Kind::SetClock => self.order(host, Order::SetClock { utc: hsm::UTC + i64::from(asked.slot) })?,
            Kind::Lock => self.order(host, Order::Lock)?,
            Kind::Return => self.order(host, Order::Return)?,
            Kind::Wipe => self.order(host, Order::Wipe)?,
            Kind::Personalise => Request::Personalise { serial: Serial::parse(&self.model.serial).ok()? },
            Kind::Certify => {
                let key = self.model.attestation_key?;
                Request::Certify(Hsm::new(200).certify(&self.model.serial, key))
            }
        })
    }

    /// A grant for the open exchange by somebody who is not the host that opened it, and is good but for its signature.
    fn forged(&self, policy: [u8; POLICY_LEN]) -> Option<Request> {
        let said = self.model.said()?;
        let forger = hosts().iter().find(|host| host.public() != said.start.host_key)?;
        Some(Request::Install(forger.grant(&said, policy).install))
    }

    fn ask(&mut self, asked: &Asked) {
        if !asked.again {
            self.sequence = (self.sequence + 1) % 0x80;
        }
        let Some(body) = self.request(asked) else { return };
        let mut message = encode(&Envelope { sequence: self.sequence, body }).to_vec();
        if let Some((at, change)) = asked.flip {
            let at = usize::from(at) % message.len();
            message[at] ^= change;
        }
        self.send(&message);
    }

    /// Asks, and agrees where a person is asked.
    fn agree(&mut self, kind: Kind, slot: u8) {
        self.ask(&good(kind, slot));
        if self.token().awaits_presence() {
            self.wait(PRESENCE_MS);
            self.press(true, PRESS_MS);
        }
    }

    /// Power off and on.
    fn restart(&mut self) {
        let Some(token) = self.token.take() else { return };
        let board = token.into_platform();
        let mut flash = self.stale.clone().unwrap_or(board.flash);
        flash.power_on();
        self.starts += 1;
        let mut started = Board::new(flash, self.starts);
        started.rtc = board.rtc;
        self.token = Some(Token::start(started));
        self.model.restarted();
        self.decoder.reset();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Octets(octets) => {
                // Bytes that happen to be a request are one.
                let mut decoder = Decoder::new();
                for message in octets.iter().filter_map(|&byte| decoder.handle_byte(byte).map(<[u8]>::to_vec))
                {
                    if let Ok(Envelope { sequence, body }) = decode::<Request>(&message) {
                        self.model.sent(sequence, &body);
                    }
                }
                self.board().from_host.extend(&octets);
                self.wait(100);
                // Nothing is asked while a button is down.
                (0..ANSWER_POLLS).for_each(|_| self.step(1));
            }
            Step::Message(message) => self.send(&message),
            Step::Ask(asked) => self.ask(&asked),
            Step::Exchange { slot, steps } => {
                let kinds = [Kind::Start, Kind::Install, Kind::Commit];
                kinds
                    .into_iter()
                    .take(usize::from(steps % 4))
                    .for_each(|kind| self.agree(kind, slot & (ANSWERS | 3)));
            }
            Step::Press { next, long } => self.press(next, if long { HOLD_MS } else { PRESS_MS }),
            Step::Wait { ms } => self.wait(ms.into()),
            Step::Cut { after, tear, seed } => {
                let flash = &mut self.board().flash;
                let operation = flash.operations + 1 + u64::from(after);
                flash.cut_at(operation, TEARS[usize::from(tear) % TEARS.len()], seed.into());
            }
            Step::Restart => self.restart(),
            Step::Clock { lost, seconds } => {
                let rtc = &mut self.board().rtc;
                rtc.run += u32::from(lost);
                rtc.seconds = rtc.seconds.saturating_add(seconds.into());
            }
            Step::Question { digits } => self.question(digits),
        }
        if self.board().flash.is_dead() {
            self.restart();
        }
    }
}

/// A token's flash in each stage of its life, with what is known of it.
fn stages() -> &'static [(Flash, Model)] {
    static STAGES: OnceLock<Vec<(Flash, Model)>> = OnceLock::new();
    STAGES.get_or_init(|| {
        let certified: &[Kind] = &[Kind::Personalise, Kind::Certify];
        let pending = [certified, &[Kind::Start, Kind::Install]].concat();
        let provisioned = [&pending[..], &[Kind::Commit]].concat();
        let ordered = |kind| [&provisioned[..], &[Kind::Nonce, kind]].concat();
        let lives = [
            (vec![], 0),
            (certified.to_vec(), 0),
            (pending.clone(), 0),
            (provisioned.clone(), 0),
            (ordered(Kind::Lock), 0),
            (ordered(Kind::Return), 0),
            (ordered(Kind::Wipe), 0),
            (provisioned.clone(), ANSWERS),
        ];
        let live = |(kinds, slot): &(Vec<Kind>, u8)| {
            let mut bench = Bench::new(Flash::blank(PAGES), Model::new());
            kinds.iter().for_each(|&kind| bench.agree(kind, *slot));
            bench.ask(&good(Kind::Info, 0));
            bench.model.restarted();
            let flash = bench.token.take().expect("a token").into_platform().flash;
            (flash, bench.model)
        };
        lives.iter().map(live).collect()
    })
}

/// A script of [`Step`]s as `arbitrary` reads them: variant, then fields.
fn script(stage: u8, steps: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let steps = steps.iter().flat_map(|(index, fields)| [&variant(*index, STEPS)[..], fields].concat());
    [stage].into_iter().chain(steps).chain([0; 8]).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let kind = |kind: u64| variant(kind, KINDS);
    let asked = |number| (2, [&kind(number)[..], &[0, 1, 0, 0]].concat());
    let spoilt = |number, at: u16| (2, [&kind(number)[..], &[0, 1, 1], &at.to_le_bytes(), &[1, 0]].concat());
    let exchange = |steps| (3, vec![1, steps]);
    let press = |next: bool, long: bool| (4, vec![u8::from(next), u8::from(long)]);
    let wait = |ms: u16| (5, ms.to_le_bytes().to_vec());
    let cut = |after, tear| (6, vec![after, tear, 3]);
    let question = |digits: u16| (9, digits.to_le_bytes().to_vec());
    let (restart, yes) = ((7, vec![]), press(true, false));
    let mut seeds = Vec::new();
    for stage in 0..8 {
        for number in 0..KINDS {
            let again = [asked(6), asked(number), wait(1_200), yes.clone(), asked(number), yes.clone()];
            seeds.push(script(stage, &again));
        }
        seeds.push(script(
            stage,
            &[yes.clone(), restart.clone(), yes.clone(), yes.clone(), exchange(3), yes.clone()],
        ));
        seeds.push(script(stage, &[exchange(1), spoilt(3, 70), exchange(1), spoilt(3, 200), asked(0)]));
        seeds.push(script(stage, &[exchange(2), spoilt(4, 9), asked(0), asked(4), yes.clone()]));
        let answers = (3, vec![ANSWERS | 1, 3]);
        seeds.push(script(
            stage,
            &[question(0), question(0x1b1b), question(0xffff), answers, restart.clone(), question(1)],
        ));
        let forged = (2, [&kind(3)[..], &[1, 1, 0, 0]].concat());
        seeds.push(script(stage, &[exchange(1), forged, asked(0)]));
        // A code is on the display when the secret goes.
        let back = [yes.clone(), asked(6), asked(9), wait(1_200), yes.clone(), wait(2_000)];
        seeds.push(script(stage, &back));
        for (after, tear) in [(0, 2), (1, 0), (5, 1), (30, 2)] {
            seeds.push(script(
                stage,
                &[cut(after, tear), exchange(3), yes.clone(), restart.clone(), yes.clone()],
            ));
        }
    }
    // A PIN of four zeros, set and then missed.
    let digits = vec![press(false, false); 4];
    let pin = [digits, vec![press(false, true)]].concat();
    let menu = vec![press(false, false), press(true, false), press(false, false)];
    seeds.push(script(
        3,
        &[menu, pin.clone(), pin.clone(), vec![restart, yes.clone()], pin, vec![yes]].concat(),
    ));
    seeds
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Some((&stage, script)) = data.split_first() else { return };
    let stages = stages();
    let (flash, model) = stages[usize::from(stage) % stages.len()].clone();
    let mut bench = Bench::new(flash, model);
    bench.step(STEP_MS);
    let mut input = Unstructured::new(script);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        bench.take(step);
    }
    // Whatever happened, it starts, opens its vault and says who it is.
    bench.restart();
    let told = bench.model.told_times();
    bench.ask(&good(Kind::Info, 0));
    assert!(bench.model.told_times() > told, "the vault does not open any more");
});
