//! A modem that says anything, at any time: how its octets are cut does not matter, every step ends within its time,
//! no PIN goes out without its latch and no message twice or without a prompt.

#![no_main]

use std::time::{Duration, Instant};

use fuzz::{begin, is_control, portions, variant};
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use modem::at::{Line, Lines, MAX_LINE};
use modem::dialogue::{Action, BUSY_DEADLINE, Dialogue, Event, Outcome, PING_DEADLINE, PROMPT_DEADLINE};
use modem::pdu::{self, Number, SubmitOptions, Tpdu};
use modem::{Config, Urc};

/// Characters kept of a line that nobody asked for.
const NOISE_MAX: usize = 120;
/// The first dialogue asks at most so many questions, each of which may be answered "busy" for a while and then not at
/// all for the longest time that any step has.
const INIT_MAX: Duration = Duration::from_secs(64 * (30 + BUSY_DEADLINE.as_secs()));
/// How often the same is said at most, in one step.
const INSIST_MAX: u8 = 32;
const PIN: &str = "AT+CPIN=";

/// What modems say, rightly and wrongly.
const SAYINGS: [&str; 24] = [
    "\r\nOK\r\n",
    "\r\nERROR\r\n",
    "\r\n> ",
    "\r\n+CMGS: 7\r\n",
    "\r\n+CMGS: 300,\"x\"\r\n",
    "\r\n+CPIN: READY\r\n",
    "\r\n+CPIN: SIM PIN\r\n",
    "\r\n+CPIN: SIM PUK\r\n",
    "\r\n+CPINR: SIM PIN,3,3\r\n\r\nOK\r\n",
    "\r\n+CPINR: SIM PIN,2,3\r\n\r\nOK\r\n",
    "\r\n+CME ERROR: 14\r\n",
    "\r\n+CME ERROR: 10\r\n",
    "\r\n+CMS ERROR: 331\r\n",
    "\r\n+CMS ERROR: 515\r\n",
    "\r\n+CFUN: 0\r\n\r\nOK\r\n",
    "\r\n+CNMI: (0-3),(0-255),(0,2),(0,1,2),(0,1)\r\n\r\nOK\r\n",
    "\r\n+CREG: 2,1,4CA,81DE445\r\n",
    "\r\n+CEREG: 5\r\n",
    "\r\n+CDS: 26\r\n0006050C911497214365F7\r\n",
    "\r\n+CDSI: \"SR\",52\r\n",
    "\r\nRDY\r\n",
    "\r\nhuawei\r\n\r\nOK\r\n",
    "\r\n355021043287519\r\n\r\nOK\r\n",
    "AT\r\r\n",
];

#[derive(Debug, Arbitrary)]
enum Step {
    Octets(Vec<u8>),
    Say(u8),
    /// What the modem says, again and again, with a pause between.
    Insist {
        saying: u8,
        times: u8,
        pause_ms: u16,
    },
    /// Answers until the first dialogue is over.
    Answer,
    Pass {
        ms: u16,
    },
    Send {
        seconds: u8,
    },
    Ping,
    Probe,
}

/// A dialogue and what it came to.
struct Subject {
    dialogue: Dialogue,
    seen: Vec<String>,
    latched: bool,
    latch_fails: bool,
    pins: usize,
    over: bool,
    outcome: Option<Outcome>,
    answered: Option<bool>,
    pdus: usize,
}

impl Subject {
    fn new(config: Config, latch_fails: bool, now: Instant) -> Self {
        Self {
            dialogue: Dialogue::new(config, now),
            seen: Vec::new(),
            latched: false,
            latch_fails,
            pins: 0,
            over: false,
            outcome: None,
            answered: None,
            pdus: 0,
        }
    }

    fn look(&mut self) {
        while let Some(action) = self.dialogue.poll_action() {
            self.seen.push(format!("{action:?}"));
            match action {
                Action::Write(octets) if octets.starts_with(PIN.as_bytes()) => {
                    self.pins += 1;
                    assert!(self.latched, "a PIN goes out and no latch is armed");
                    assert_eq!(self.pins, 1, "a PIN goes out again");
                }
                Action::Write(octets) => self.pdus += usize::from(octets.ends_with(&[0x1a])),
                Action::ArmLatch if self.latch_fails => self.dialogue.latch_failed(),
                Action::ArmLatch => self.latched = true,
                Action::ClearLatch => assert_eq!(self.pins, 1, "a latch is removed that nothing armed"),
                Action::Event(event) => self.note(event),
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Ready | Event::Failed(_) => {
                assert!(!self.over, "the first dialogue ends twice");
                self.over = true;
            }
            Event::Outcome(outcome) => assert_eq!(self.outcome.replace(outcome), None, "two outcomes"),
            Event::Answered(answer) => assert_eq!(self.answered.replace(answer), None, "two answers"),
            Event::Urc(Urc::Other(text) | Urc::Restarted(text)) => {
                assert!(text.chars().count() <= NOISE_MAX && !text.is_empty());
            }
            Event::Urc(_) => {}
        }
    }
}

/// The same dialogue twice: what the modem says comes to one at once, to the other in portions.
struct Bench {
    whole: Subject,
    cut: Subject,
    seed: u8,
    now: Instant,
    /// Since when the first dialogue runs.
    begun: Instant,
    /// By when what was asked has to end.
    until: Option<Instant>,
    /// A verdict was said since the last message was begun.
    verdict_said: bool,
    /// What a prompt begins with was said at any time: one may be left from before.
    prompt_said: bool,
}

impl Bench {
    fn say(&mut self, octets: &[u8]) {
        self.prompt_said |= octets.contains(&b'>');
        self.verdict_said |= octets.windows(3).any(|at| at == b"+CM");
        self.whole.dialogue.handle_bytes(self.now, octets);
        self.whole.look();
        // A latch that fails ends the dialogue where its action is taken, which is another place for each cut.
        let portions: Vec<_> = match self.whole.latch_fails {
            true => vec![octets],
            false => portions(octets, self.seed).collect(),
        };
        for portion in portions {
            // The planted fault: a reader that loses what begins with a line's end.
            if !(is_control() && portion.starts_with(b"\r")) {
                self.cut.dialogue.handle_bytes(self.now, portion);
                self.cut.look();
            }
        }
        self.settle();
    }

    /// Both saw the same, and nothing lasts too long.
    fn settle(&mut self) {
        assert_eq!(self.whole.seen, self.cut.seen, "cuts matter");
        assert_eq!(self.whole.dialogue.info().prompt, self.cut.dialogue.info().prompt);
        self.whole.seen.clear();
        self.cut.seen.clear();
        let waits = self.whole.dialogue.poll_timeout();
        assert_eq!(waits, self.cut.dialogue.poll_timeout());
        assert!(waits.is_some() || self.whole.over, "the first dialogue waits for nothing");
        if !self.whole.over {
            assert!(self.now <= self.begun + INIT_MAX, "the first dialogue has no end");
        }
        if let Some(outcome) = self.whole.outcome.take() {
            if matches!(outcome, Outcome::Sent { .. }) {
                assert!(self.verdict_said, "sent, and the modem has not said so");
            }
            assert_eq!(self.cut.outcome.take(), Some(outcome));
            self.until = None;
        }
        if let Some(answer) = self.whole.answered.take() {
            assert_eq!(self.cut.answered.take(), Some(answer));
            self.until = None;
        }
        assert!(self.until.is_none_or(|until| self.now <= until), "what was asked lasts longer than it may");
        assert!(self.whole.pdus <= 1, "a message goes out twice");
        assert!(self.whole.pdus == 0 || self.prompt_said, "a message goes out without a prompt");
    }

    fn is_busy(&self) -> bool {
        self.until.is_some()
    }

    fn pass(&mut self, period: Duration) {
        let end = self.now + period;
        while let Some(at) = self.whole.dialogue.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            for subject in [&mut self.whole, &mut self.cut] {
                subject.dialogue.handle_timeout(self.now);
                subject.look();
            }
            self.settle();
        }
        self.now = end;
    }

    fn ask(&mut self, limit: Duration, ask: impl Fn(&mut Dialogue, Instant)) {
        if !self.whole.dialogue.is_idle() || self.is_busy() {
            return;
        }
        self.verdict_said = false;
        self.until = Some(self.now + limit);
        for subject in [&mut self.whole, &mut self.cut] {
            subject.pdus = 0;
            ask(&mut subject.dialogue, self.now);
            subject.look();
        }
        self.settle();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Octets(octets) => self.say(&octets),
            Step::Say(saying) => self.say(SAYINGS[usize::from(saying) % SAYINGS.len()].as_bytes()),
            Step::Insist { saying, times, pause_ms } => {
                for _ in 0..times % INSIST_MAX {
                    self.pass(Duration::from_millis(u64::from(pause_ms % 2_048)));
                    self.say(SAYINGS[usize::from(saying) % SAYINGS.len()].as_bytes());
                }
            }
            Step::Answer => {
                for _ in 0..64 {
                    if self.whole.over {
                        break;
                    }
                    self.pass(Duration::from_millis(150));
                    self.say(b"\r\nOK\r\n");
                }
            }
            Step::Pass { ms } => self.pass(Duration::from_millis(ms.into())),
            Step::Send { seconds } => {
                let limit = Duration::from_secs(seconds.into());
                let tpdu = tpdu();
                self.ask(limit, |dialogue, now| dialogue.send(now, &tpdu, now + limit));
            }
            Step::Ping => self.ask(PING_DEADLINE, Dialogue::ping),
            Step::Probe => self.ask(PROMPT_DEADLINE, Dialogue::probe_prompt),
        }
    }
}

fn tpdu() -> Tpdu {
    let number = Number::parse("+41791234567").expect("a number");
    pdu::submit(&number, "123456", &SubmitOptions::default()).expect("encodable").remove(0)
}

fn config(options: u8) -> Config {
    let sim_pin = (options & 1 != 0).then(|| "1234".to_owned().into());
    let smsc = (options & 2 != 0).then(|| Number::parse("+41790000000").expect("a number"));
    Config { sim_pin, latched: options & 4 != 0, smsc }
}

/// Lines do not depend on the cuts, and are no longer than a line may be.
fn check_lines(octets: &[u8], seed: u8) {
    let (mut whole, mut cut) = (Lines::default(), Lines::default());
    whole.push(octets);
    let expected: Vec<_> = std::iter::from_fn(|| whole.take(seed & 1 == 0)).collect();
    let mut got = Vec::new();
    for portion in portions(octets, seed) {
        cut.push(portion);
        got.extend(std::iter::from_fn(|| cut.take(seed & 1 == 0)));
    }
    assert_eq!(got, expected);
    assert_eq!(whole.prompt(), cut.prompt());
    for line in expected {
        if let Line::Text(text) = line {
            assert!(!text.is_empty() && text.len() <= 3 * MAX_LINE && text.trim() == text);
        }
    }
}

/// A script of [`Step`]s as `arbitrary` reads them: variant, then fields.
fn script(options: u8, steps: &[(u64, &[u8])]) -> Vec<u8> {
    let steps = steps.iter().flat_map(|(index, fields)| [&variant(*index, 8)[..], fields].concat());
    [options, 5].into_iter().chain(steps).chain([0; 8]).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    const READY: u8 = 0x20;
    const SAY: u64 = 1;
    const INSIST: u64 = 2;
    const PASS: u64 = 4;
    const SEND: u64 = 5;
    let said = SAYINGS.iter().map(|saying| [&[8, 3], saying.as_bytes(), &[0; 4]].concat());
    let (half_second, minute) = (500u16.to_le_bytes(), 60_000u16.to_le_bytes());
    let insist = |saying| [saying, 31, half_second[0], half_second[1]];
    // Every saying again and again: before the first dialogue is over, for a prompt, for a verdict.
    let insisted = (0..SAYINGS.len() as u8).flat_map(|saying| {
        let insist = insist(saying);
        [
            script(1, &[(INSIST, &insist)]),
            script(READY, &[(SEND, &[8]), (INSIST, &insist), (PASS, &minute)]),
            script(READY, &[(SEND, &[8]), (SAY, &[2]), (INSIST, &insist), (PASS, &minute)]),
            script(READY, &[(6, &[]), (INSIST, &insist)]),
            script(
                READY,
                &[(7, &[]), (INSIST, &insist), (SEND, &[60]), (SAY, &[0]), (SAY, &[2]), (SAY, &[3])],
            ),
        ]
    });
    let pin = script(1, &[(PASS, &half_second), (SAY, &[0]), (SAY, &[0]), (SAY, &[0]), (INSIST, &insist(6))]);
    said.chain(insisted).chain([pin]).collect()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let &[options, seed, ref rest @ ..] = data else { return };
    if options & 8 != 0 {
        check_lines(rest, seed);
    }
    let now = Instant::now();
    let subject = || Subject::new(config(options), options & 0x10 != 0, now);
    let mut bench = Bench {
        whole: subject(),
        cut: subject(),
        seed,
        now,
        begun: now,
        until: None,
        verdict_said: false,
        prompt_said: false,
    };
    bench.whole.look();
    bench.cut.look();
    let mut input = Unstructured::new(rest);
    if options & 0x20 != 0 {
        bench.take(Step::Answer);
    }
    while !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        bench.take(step);
    }
    bench.pass(INIT_MAX);
    assert!(bench.whole.over && bench.until.is_none(), "it does not come to an end");
});
