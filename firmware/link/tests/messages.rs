//! Every message comes back as it was sent, fits its bound, and no bytes do more than fail to decode.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use link::{
    Abort, Answer, Battery, Challenge, ClockState, Commit, DecodeError, Diagnostics, Envelope, Firmware,
    Info, Install, Life, MESSAGE_MAX, MakerCertificate, Nonce, Octets, Order, PROTOCOL, Pending, Refusal,
    Request, SLOTS_MAX, Serial, SlotState, Start, Suite, WRAPPED_MAX, Waiting, decode, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn octets<const N: usize>() -> impl Strategy<Value = Octets<N>> {
    vec(any::<u8>(), N).prop_map(|bytes| Octets(bytes.try_into().unwrap()))
}

fn serial() -> impl Strategy<Value = Serial> {
    "[A-Z0-9_-]{1,24}".prop_map(|text| Serial::parse(&text).unwrap())
}

fn certificate() -> impl Strategy<Value = MakerCertificate> {
    (octets(), serial(), octets(), any::<u32>(), any::<u32>(), octets()).prop_map(
        |(maker, serial, key, issued, expires, signature)| MakerCertificate {
            maker,
            serial,
            key,
            issued,
            expires,
            signature,
        },
    )
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        any::<i64>().prop_map(|utc| Order::SetClock { utc }),
        Just(Order::Lock),
        Just(Order::Return),
        Just(Order::Wipe),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let suite = prop_oneof![Just(Suite::Hkdf), Just(Suite::CbcData)];
    let start = (any::<u8>(), suite, octets(), octets()).prop_map(|(slot, suite, host_nonce, host_key)| {
        Request::Start(Start { slot, suite, host_nonce, host_key })
    });
    let install = (octets(), octets(), vec(any::<u8>(), 0..=WRAPPED_MAX), octets()).prop_map(
        |(host_ephemeral, policy, wrapped, signature)| {
            let wrapped = wrapped.iter().copied().collect();
            Request::Install(Install { host_ephemeral, policy, wrapped, signature })
        },
    );
    prop_oneof![
        Just(Request::Info),
        start,
        install,
        (any::<u32>(), octets()).prop_map(|(counter, tag)| Request::Commit(Commit { counter, tag })),
        any::<u32>().prop_map(|counter| Request::Abort(Abort { counter })),
        Just(Request::Nonce),
        (order(), octets()).prop_map(|(order, signature)| Request::Order { order, signature }),
        Just(Request::Diagnostics),
        serial().prop_map(|serial| Request::Personalise { serial }),
        certificate().prop_map(Request::Certify),
    ]
}

fn info() -> impl Strategy<Value = Info> {
    let life = prop_oneof![
        Just(Life::Factory),
        Just(Life::Attested),
        Just(Life::Provisioned),
        Just(Life::Locked),
        Just(Life::Returned),
        Just(Life::Wiped),
    ];
    let slot = prop_oneof![
        Just(SlotState::Empty),
        Just(SlotState::Hotp),
        Just(SlotState::Totp),
        Just(SlotState::Ocra)
    ];
    let pending = (any::<u8>(), any::<u32>()).prop_map(|(slot, counter)| Pending { slot, counter });
    let clock = prop_oneof![
        Just(ClockState::Lost),
        (any::<i64>(), any::<i16>(), any::<u32>()).prop_map(|(utc, trim_ppm, age)| ClockState::Set {
            utc,
            trim_ppm,
            age
        }),
    ];
    let image = (any::<[u8; 3]>(), octets()).prop_map(|(version, hash)| Firmware { version, hash });
    let slots = vec(slot, 0..=SLOTS_MAX);
    let optional =
        (proptest::option::of(certificate()), proptest::option::of(octets()), proptest::option::of(pending));
    (image, life, optional, any::<u32>(), slots, clock, any::<(u8, bool)>()).prop_map(
        |(firmware, life, (certificate, owner, pending), counter, slots, clock, (battery, pin_required))| {
            Info {
                firmware,
                life,
                certificate,
                owner,
                counter,
                pending,
                slots: slots.into_iter().collect(),
                clock,
                battery: Battery(battery),
                pin_required,
            }
        },
    )
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop::sample::select(vec![
        Refusal::Version,
        Refusal::Malformed,
        Refusal::Life,
        Refusal::Slot,
        Refusal::Suite,
        Refusal::Host,
        Refusal::NoPresence,
        Refusal::Denied,
        Refusal::Pin,
        Refusal::NoExchange,
        Refusal::Signature,
        Refusal::Point,
        Refusal::Policy,
        Refusal::Wrapping,
        Refusal::PendingExists,
        Refusal::Counter,
        Refusal::Tag,
        Refusal::Time,
        Refusal::ReadoutOpen,
        Refusal::SelfTest,
        Refusal::Storage,
        Refusal::Certificate,
    ])
}

fn answer() -> impl Strategy<Value = Answer> {
    let challenge = (octets(), any::<u32>(), any::<u8>(), octets(), octets()).prop_map(
        |(device_nonce, counter, slot, device_ephemeral, signature)| {
            Answer::Challenge(Challenge { device_nonce, counter, slot, device_ephemeral, signature })
        },
    );
    let diagnostics = any::<(u32, u32, u32, bool, bool, bool, bool)>().prop_map(
        |(stack_used, flash_generation, frames_dropped, vectors_ok, flash_ok, rng_ok, readout_protected)| {
            Answer::Diagnostics(Diagnostics {
                stack_used,
                flash_generation,
                frames_dropped,
                vectors_ok,
                flash_ok,
                rng_ok,
                readout_protected,
            })
        },
    );
    prop_oneof![
        info().prop_map(Answer::Info),
        challenge,
        octets().prop_map(|tag| Answer::Installed { tag }),
        any::<u32>().prop_map(|counter| Answer::Committed { counter }),
        any::<u32>().prop_map(|counter| Answer::Aborted { counter }),
        octets().prop_map(|challenge| Answer::Nonce(Nonce { challenge })),
        Just(Answer::Obeyed),
        diagnostics,
        octets().prop_map(|key| Answer::Personalised { key }),
        Just(Answer::Certified),
        Just(Answer::Waiting(Waiting::Presence)),
        Just(Answer::Waiting(Waiting::Computing)),
        refusal().prop_map(Answer::Refused),
    ]
}

#[test]
fn another_version_is_told_from_noise() {
    let mut bytes = encode(&Envelope { sequence: 77, body: Request::Info });
    bytes[0] = PROTOCOL + 1;
    bytes.extend_from_slice(b"whatever the next version says").unwrap();
    assert_eq!(decode::<Request>(&bytes), Err(DecodeError::Version { sequence: 77 }));
    assert_eq!(decode::<Request>(&[]), Err(DecodeError::Header));
    assert_eq!(decode::<Request>(&[PROTOCOL, 0xff, 0xff]), Err(DecodeError::Header));
    assert_eq!(decode::<Request>(&[PROTOCOL, 5, 200]), Err(DecodeError::Body { sequence: 5 }));
}

/// `docs/provisioning.md`, "Messages": a number has one spelling, or a request that was answered is another one.
#[test]
fn a_number_with_more_bytes_than_it_needs_is_refused() {
    assert!(decode::<Request>(&[PROTOCOL, 5, 0]).is_ok());
    assert_eq!(decode::<Request>(&[PROTOCOL, 0x85, 0, 0]), Err(DecodeError::Body { sequence: 5 }));
    assert_eq!(decode::<Request>(&[PROTOCOL, 5, 0x80, 0]), Err(DecodeError::Body { sequence: 5 }));
    assert_eq!(decode::<Request>(&[PROTOCOL, 5, 4, 0x81, 0x80, 0]), Err(DecodeError::Body { sequence: 5 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn requests_round_trip(sequence: u32, body in request()) {
        let envelope = Envelope { sequence, body };
        prop_assert_eq!(decode(&encode(&envelope)), Ok(envelope));
    }

    #[test]
    fn answers_round_trip(sequence: u32, body in answer()) {
        let envelope = Envelope { sequence, body };
        prop_assert_eq!(decode(&encode(&envelope)), Ok(envelope));
    }

    #[test]
    fn a_cut_or_lengthened_message_is_none(body in request(), at: prop::sample::Index, more in 1u8..) {
        let bytes = encode(&Envelope { sequence: 1, body });
        prop_assert!(decode::<Request>(&bytes[..at.index(bytes.len())]).is_err());
        let longer = [&bytes[..], &[more]].concat();
        prop_assert!(decode::<Request>(&longer).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn any_bytes_decode_or_fail_and_what_decodes_is_written_back(
        kind in 0u8..14, bytes in vec(any::<u8>(), 0..MESSAGE_MAX)
    ) {
        let message = [&[PROTOCOL, 0, kind][..], &bytes[..bytes.len().min(MESSAGE_MAX - 3)]].concat();
        for len in [message.len(), message.len().min(90)] {
            if let Ok(envelope) = decode::<Request>(&message[..len]) {
                prop_assert_eq!(decode(&encode(&envelope)), Ok(envelope));
            }
            if let Ok(envelope) = decode::<Answer>(&message[..len]) {
                prop_assert_eq!(decode(&encode(&envelope)), Ok(envelope));
            }
        }
    }
}
