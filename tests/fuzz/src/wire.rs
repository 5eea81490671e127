//! One message of every kind on the provisioning wire: what the targets of the link begin with.

use link::{
    Abort, Answer, Battery, Challenge, ClockState, Commit, Diagnostics, Envelope, Firmware, Info, Install,
    Life, MakerCertificate, Nonce, Octets, Order, POLICY_LEN, Pending, Refusal, Request, Serial, SlotState,
    Start, Suite, WRAPPED_MAX, Waiting, encode,
};

/// The sequence number of every message: two bytes on the wire.
pub const SEQUENCE: u32 = 300;

/// A certificate whose signature is nobody's.
///
/// # Panics
/// Never: the serial is one.
pub fn certificate() -> MakerCertificate {
    MakerCertificate {
        maker: Octets([3; 8]),
        serial: Serial::parse("CST-000017").expect("a serial"),
        key: Octets([4; 65]),
        issued: 20_000,
        expires: 23_650,
        signature: Octets([5; 64]),
    }
}

/// Every kind of request.
pub fn requests() -> Vec<Request> {
    let (host_key, signature) = (Octets([4; 65]), Octets([9; 64]));
    let wrapped = std::iter::repeat_n(7, WRAPPED_MAX).collect();
    vec![
        Request::Info,
        Request::Start(Start { slot: 1, suite: Suite::CbcData, host_nonce: Octets([1; 16]), host_key }),
        Request::Install(Install {
            host_ephemeral: host_key,
            policy: Octets([1; POLICY_LEN]),
            wrapped,
            signature,
        }),
        Request::Commit(Commit { counter: 1, tag: Octets([2; 16]) }),
        Request::Abort(Abort { counter: 300 }),
        Request::Nonce,
        Request::Order { order: Order::SetClock { utc: 1_800_000_000 }, signature },
        Request::Order { order: Order::Lock, signature },
        Request::Diagnostics,
        Request::Personalise { serial: certificate().serial },
        Request::Certify(certificate()),
    ]
}

/// Every kind of answer.
pub fn answers() -> Vec<Answer> {
    let signature = Octets([9; 64]);
    let info = Info {
        firmware: Firmware { version: [0, 1, 0], hash: Octets([7; 32]) },
        life: Life::Provisioned,
        certificate: Some(certificate()),
        owner: Some(Octets([8; 32])),
        counter: 4,
        pending: Some(Pending { slot: 2, counter: 4 }),
        slots: [SlotState::Hotp, SlotState::Totp, SlotState::Ocra, SlotState::Empty].into_iter().collect(),
        clock: ClockState::Set { utc: 1_800_000_000, trim_ppm: -20, age: 77 },
        battery: Battery(80),
        pin_required: true,
    };
    let challenge = Challenge {
        device_nonce: Octets([1; 16]),
        counter: 5,
        slot: 1,
        device_ephemeral: Octets([4; 65]),
        signature,
    };
    let diagnostics = Diagnostics {
        stack_used: 6_000,
        flash_generation: 12,
        frames_dropped: 3,
        vectors_ok: true,
        flash_ok: true,
        rng_ok: true,
        readout_protected: false,
    };
    vec![
        Answer::Info(info),
        Answer::Challenge(challenge),
        Answer::Installed { tag: Octets([2; 16]) },
        Answer::Committed { counter: 5 },
        Answer::Aborted { counter: 5 },
        Answer::Nonce(Nonce { challenge: Octets([6; 16]) }),
        Answer::Obeyed,
        Answer::Diagnostics(diagnostics),
        Answer::Personalised { key: Octets([4; 65]) },
        Answer::Certified,
        Answer::Waiting(Waiting::Presence),
        Answer::Waiting(Waiting::Computing),
        Answer::Refused(Refusal::Counter),
    ]
}

/// Every kind of message as bytes, requests first.
pub fn messages() -> Vec<Vec<u8>> {
    let requests = requests().into_iter().map(|body| encode(&Envelope { sequence: SEQUENCE, body }).to_vec());
    let answers = answers().into_iter().map(|body| encode(&Envelope { sequence: SEQUENCE, body }).to_vec());
    requests.chain(answers).collect()
}
