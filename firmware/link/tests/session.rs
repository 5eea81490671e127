//! The host's session on virtual time, against a scripted line.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use link::{
    Abort, Answer, Battery, Busy, ClockState, Decoder, Envelope, Event, Failure, Firmware, Info, Life,
    Octets, Pending, Recovery, Refusal, Request, Session, Waiting, decode, encode, encode_frame, recovery,
};
use proptest::collection::vec;
use proptest::prelude::*;

const LONG_MS: u64 = 80_000;

fn sent(session: &mut Session) -> Option<Envelope<Request>> {
    let frame = session.poll_transmit()?.to_vec();
    let mut decoder = Decoder::new();
    let mut found = None;
    for byte in frame {
        if let Some(message) = decoder.handle_byte(byte) {
            found = Some(decode(message).unwrap());
        }
    }
    found
}

fn frame(sequence: u32, body: Answer) -> Vec<u8> {
    encode_frame(&encode(&Envelope { sequence, body })).unwrap().to_vec()
}

fn begun(request: &Request) -> (Session, u32) {
    let mut session = Session::new(41);
    session.begin(request, 0).unwrap();
    let sequence = sent(&mut session).unwrap().sequence;
    (session, sequence)
}

/// Runs time forward to the session's own wake-ups; how often it repeated the request, and what came of it.
fn run_out(session: &mut Session) -> (usize, Option<Event>) {
    let mut repeats = 0;
    while let Some(at) = session.poll_timeout() {
        assert!(at <= 2 * LONG_MS, "a deadline was passed");
        session.handle_timeout(at);
        repeats += usize::from(sent(session).is_some());
    }
    (repeats, session.poll_event())
}

#[test]
fn an_answer_ends_the_request_and_only_then_another_begins() {
    let (mut session, sequence) = begun(&Request::Nonce);
    assert_eq!(session.begin(&Request::Info, 1), Err(Busy));
    session.handle_bytes(&frame(sequence, Answer::Obeyed), 5);
    assert_eq!(session.begin(&Request::Info, 6), Err(Busy));
    assert_eq!(session.poll_event(), Some(Event::Answered(Answer::Obeyed)));
    assert_eq!(session.poll_timeout(), None);
    session.begin(&Request::Info, 7).unwrap();
    assert_eq!(sent(&mut session).unwrap().sequence, sequence + 1);
}

#[test]
fn silence_is_met_with_three_repeats() {
    let (mut session, _) = begun(&Request::Info);
    assert_eq!(run_out(&mut session), (3, Some(Event::Failed(Failure::Silent))));
}

#[test]
fn a_token_that_waits_for_a_person_is_waited_for_but_not_for_ever() {
    let (mut session, sequence) = begun(&Request::Abort(Abort { counter: 1 }));
    for second in 0..30 {
        let now = second * 2_000;
        session.handle_timeout(now);
        assert_eq!(sent(&mut session), None, "{now}");
        session.handle_bytes(&frame(sequence, Answer::Waiting(Waiting::Presence)), now);
        assert_eq!(session.poll_event(), Some(Event::Waiting(Waiting::Presence)));
    }
    let (_, event) = run_out(&mut session);
    assert_eq!(event, Some(Event::Failed(Failure::Lost)));
}

#[test]
fn a_token_that_computes_is_left_alone_for_a_while() {
    let (mut session, sequence) = begun(&Request::Info);
    session.handle_bytes(&frame(sequence, Answer::Waiting(Waiting::Computing)), 100);
    session.handle_timeout(14_000);
    assert_eq!(sent(&mut session), None);
    session.handle_bytes(&frame(sequence, Answer::Refused(Refusal::Slot)), 14_001);
    assert_eq!(session.poll_event(), Some(Event::Refused(Refusal::Slot)));
}

#[test]
fn late_answers_and_other_versions() {
    let (mut session, sequence) = begun(&Request::Info);
    session.handle_bytes(&frame(sequence - 1, Answer::Obeyed), 1);
    assert_eq!(session.poll_event(), None);
    let mut newer = encode(&Envelope { sequence, body: Answer::Obeyed });
    newer[0] += 1;
    session.handle_bytes(&encode_frame(&newer).unwrap(), 2);
    assert_eq!(session.poll_event(), Some(Event::Failed(Failure::Version)));
    session.handle_bytes(&frame(sequence, Answer::Obeyed), 3);
    assert_eq!(session.poll_event(), None);
}

#[test]
fn a_cancelled_request_is_over() {
    let (mut session, sequence) = begun(&Request::Info);
    session.cancel();
    session.handle_bytes(&frame(sequence, Answer::Obeyed), 1);
    assert_eq!((session.poll_event(), session.poll_timeout()), (None, None));
    session.begin(&Request::Info, 2).unwrap();
}

#[test]
fn recovery_commits_what_is_known_and_aborts_what_is_not() {
    let info = |counter, pending: Option<u32>| Info {
        firmware: Firmware { version: [0; 3], hash: Octets([0; 32]) },
        life: Life::Attested,
        certificate: None,
        owner: None,
        counter,
        pending: pending.map(|counter| Pending { slot: 0, counter }),
        slots: Default::default(),
        clock: ClockState::Lost,
        battery: Battery(255),
        pin_required: false,
    };
    for (counter, pending, held, expected) in [
        (4, None, None, Recovery::None),
        (4, Some(4), Some(4), Recovery::Commit { counter: 4 }),
        (4, Some(4), None, Recovery::Abort { counter: 4 }),
        (4, Some(4), Some(3), Recovery::Abort { counter: 4 }),
        (4, None, Some(4), Recovery::Commit { counter: 4 }),
        (5, None, Some(4), Recovery::None),
    ] {
        assert_eq!(recovery(&info(counter, pending), held), expected, "{counter} {pending:?} {held:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn no_line_panics_a_session_or_keeps_it_waiting(
        pieces in vec((vec(prop_oneof![Just(0u8), any::<u8>()], 0..80), 0u64..20_000), 0..20)
    ) {
        let (mut session, _) = begun(&Request::Info);
        let mut now = 0;
        for (bytes, pause) in pieces {
            now += pause;
            session.handle_bytes(&bytes, now);
            session.handle_timeout(now);
            let _ = session.poll_transmit();
        }
        if session.poll_timeout().is_some() {
            session.handle_timeout(now.max(LONG_MS));
        }
        prop_assert_eq!(session.poll_timeout(), None);
        prop_assert_eq!(session.poll_event(), Some(Event::Failed(Failure::Silent)));
    }

    #[test]
    fn an_answer_arrives_through_any_split_and_noise(
        cuts in vec(any::<prop::sample::Index>(), 0..6), noise in vec(1u8.., 0..30)
    ) {
        let (mut session, sequence) = begun(&Request::Info);
        let stream = [noise, frame(sequence, Answer::Obeyed)].concat();
        let mut cuts: Vec<_> = cuts.iter().map(|at| at.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            session.handle_bytes(&stream[piece[0]..piece[1]], 1);
        }
        prop_assert_eq!(session.poll_event(), Some(Event::Answered(Answer::Obeyed)));
    }
}
