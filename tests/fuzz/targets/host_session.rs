//! The host's end against a device that lies: any request ends within its time, is sent no more often than named, and
//! no answer counts that is not to it.

#![no_main]

use fuzz::{begin, is_control, variant, wire};
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use link::{
    Answer, Decoder, Envelope, Event, Failure, Info, Recovery, Request, Session, decode, encode,
    encode_frame, recovery,
};

/// One request may take so long in all.
const REQUEST_MS: u64 = 75_000;
/// While nothing is heard, a request is sent at most so often.
const SENDS_MAX: usize = 4;
/// Between two sendings of a request lies at least this.
const SILENCE_MS: u64 = 1_500;

/// What the device does, and when.
#[derive(Debug, Arbitrary)]
enum Step {
    Begin(u8),
    Noise(Vec<u8>),
    /// A well-formed frame with an answer to a request `behind` the present one.
    Say {
        behind: u8,
        answer: u8,
    },
    /// Such a frame with a message of the device's own making.
    Mumble {
        message: Vec<u8>,
    },
    Pass {
        ms: u16,
    },
    Cancel,
}

/// The request under way, as it was seen from outside.
struct Asked {
    request: Request,
    sequence: Option<u32>,
    frame: Vec<u8>,
    begun_ms: u64,
    sent_ms: u64,
    sends: usize,
    unheard_sends: usize,
}

struct Bench {
    session: Session,
    now_ms: u64,
    asked: Option<Asked>,
    /// A final event was not taken yet; none may follow.
    sequence: u32,
    decoder: Decoder,
    /// Every answer that stood on the line since the request began.
    said: Vec<Envelope<Answer>>,
}

impl Bench {
    fn hear(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let Some(message) = self.decoder.handle_byte(byte) else { continue };
            if let Ok(envelope) = decode::<Answer>(message) {
                if envelope.sequence == self.sequence && matches!(envelope.body, Answer::Waiting(_)) {
                    self.asked.iter_mut().for_each(|asked| asked.unheard_sends = 0);
                }
                self.said.push(envelope);
            }
        }
        self.session.handle_bytes(bytes, self.now_ms);
        self.look();
    }

    /// The planted fault: a line that makes every answer one to the present request.
    fn say(&mut self, sequence: u32, answer: &Answer) {
        let frame = |sequence| {
            let message = encode(&Envelope { sequence, body: answer.clone() });
            encode_frame(&message).expect("an answer fits a frame").to_vec()
        };
        if is_control() {
            self.said.push(Envelope { sequence, body: answer.clone() });
            self.session.handle_bytes(&frame(self.sequence), self.now_ms);
            self.look();
        } else {
            self.hear(&frame(sequence));
        }
    }

    /// Takes what the session wants sent and what it has to tell.
    fn look(&mut self) {
        if let Some(frame) = self.session.poll_transmit().map(<[u8]>::to_vec) {
            let asked = self.asked.as_mut().expect("nothing was asked, and something was sent");
            asked.sends += 1;
            asked.unheard_sends += 1;
            assert!(asked.unheard_sends <= SENDS_MAX, "sent {} times into silence", asked.unheard_sends);
            if asked.sends == 1 {
                let mut decoder = Decoder::new();
                let message = frame.iter().find_map(|&byte| decoder.handle_byte(byte).map(<[u8]>::to_vec));
                let envelope = decode::<Request>(&message.expect("a frame")).expect("a message");
                assert_eq!(envelope.body, asked.request);
                assert!(asked.sequence.replace(envelope.sequence).is_none());
                self.sequence = envelope.sequence;
                asked.frame = frame;
            } else {
                assert_eq!(frame, asked.frame, "a repetition with other bytes");
                assert!(self.now_ms >= asked.sent_ms + SILENCE_MS, "repeated too soon");
            }
            asked.sent_ms = self.now_ms;
        }
        while let Some(event) = self.session.poll_event() {
            self.judge(event);
        }
    }

    fn judge(&mut self, event: Event) {
        let asked = self.asked.as_ref().expect("nothing was asked, and something happened");
        assert!(self.now_ms <= asked.begun_ms + REQUEST_MS, "an answer after the end");
        let said = |answer: &Answer| {
            self.said.iter().any(|said| said.sequence == self.sequence && said.body == *answer)
        };
        match event {
            Event::Waiting(waiting) => return assert!(said(&Answer::Waiting(waiting))),
            Event::Answered(answer) => {
                assert!(said(&answer), "an answer to another request: {answer:?}");
                assert!(!matches!(answer, Answer::Waiting(_) | Answer::Refused(_)));
                if let Answer::Info(info) = answer {
                    check_recovery(&info);
                }
            }
            Event::Refused(refusal) => assert!(said(&Answer::Refused(refusal)), "refused by nobody"),
            Event::Failed(Failure::Silent) => {
                assert!(!self.said.iter().any(|said| said.sequence == self.sequence), "it was heard");
            }
            Event::Failed(_) => {}
        }
        self.asked = None;
        assert_eq!(self.session.poll_timeout(), None, "the request has ended");
    }

    /// Lets time go by, and wakes the session when it asked for it.
    fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            let begun_ms = self.asked.as_ref().expect("it waits for nothing").begun_ms;
            assert!(at <= begun_ms + REQUEST_MS, "waits beyond the end of the request");
            assert!(at > self.now_ms || self.now_ms == 0 || at == self.now_ms, "time runs back");
            self.now_ms = self.now_ms.max(at);
            self.session.handle_timeout(self.now_ms);
            self.look();
        }
        self.now_ms = end;
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begin(which) => {
                let requests = wire::requests();
                let request = requests[usize::from(which) % requests.len()].clone();
                let begun = self.session.begin(&request, self.now_ms);
                assert_eq!(begun.is_ok(), self.asked.is_none(), "one request at a time");
                if begun.is_ok() {
                    self.said.clear();
                    self.asked = Some(Asked {
                        request,
                        sequence: None,
                        frame: Vec::new(),
                        begun_ms: self.now_ms,
                        sent_ms: 0,
                        sends: 0,
                        unheard_sends: 0,
                    });
                    self.look();
                }
            }
            Step::Noise(bytes) => self.hear(&bytes),
            Step::Say { behind, answer } => {
                let answers = wire::answers();
                let answer = &answers[usize::from(answer) % answers.len()];
                self.say(self.sequence.wrapping_sub(u32::from(behind % 3)), answer);
            }
            Step::Mumble { message } => {
                let Ok(frame) = encode_frame(&message) else { return };
                self.hear(&frame);
            }
            Step::Pass { ms } => self.pass(ms.into()),
            Step::Cancel => {
                self.session.cancel();
                self.asked = None;
                assert_eq!(self.session.poll_timeout(), None);
            }
        }
    }
}

/// No secret is committed but the one that is held, and nothing pending is left alone.
fn check_recovery(info: &Info) {
    for held in [None, Some(info.counter), info.pending.map(|pending| pending.counter), Some(0)] {
        match recovery(info, held) {
            Recovery::Commit { counter } => assert_eq!(Some(counter), held),
            Recovery::Abort { counter } => {
                assert_eq!(info.pending.map(|pending| pending.counter), Some(counter));
                assert_ne!(held, Some(counter));
            }
            Recovery::None => assert_eq!(info.pending, None),
        }
    }
}

/// Every answer to every request, in time, late, twice and to another number.
fn seeds() -> Vec<Vec<u8>> {
    let step = |index, fields: &[u8]| [&variant(index, 6)[..], fields].concat();
    let say = |behind, answer| step(2, &[behind, answer]);
    let pass = |ms: u16| step(4, &ms.to_le_bytes());
    let tail = vec![0; 8];
    (0..wire::answers().len() as u8)
        .flat_map(|answer| {
            let begin = step(0, &[answer]);
            [
                [step(5, &[]), begin.clone(), say(0, answer), tail.clone()].concat(),
                [step(5, &[]), begin.clone(), say(1, answer), pass(1_500), say(0, answer), tail.clone()]
                    .concat(),
                [say(0, 11), pass(14_000), say(0, 10), pass(60_000), say(0, answer), tail.clone()].concat(),
                [say(0, answer), say(0, answer), begin, say(0, answer), tail.clone()].concat(),
            ]
        })
        .map(|script| [&7u32.to_le_bytes()[..], &script].concat())
        .collect()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let mut input = Unstructured::new(data);
    let first = u32::arbitrary(&mut input).unwrap_or(u32::MAX);
    let mut bench = Bench {
        session: Session::new(first),
        now_ms: 0,
        asked: None,
        sequence: first,
        decoder: Decoder::new(),
        said: Vec::new(),
    };
    bench.take(Step::Begin(0));
    while !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        bench.take(step);
    }
    bench.pass(REQUEST_MS);
    assert!(bench.asked.is_none(), "a request without an end");
});
