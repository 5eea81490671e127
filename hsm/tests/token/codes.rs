//! Codes are right, judged inside, and bound to record and state.

use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use hsm::{
    Compute, Enrol, Factor, Hash, HsmError, MATCH_BATCH_MAX, MacPurpose, Match, MatchKey, Matched,
    SecretSource, Tampered, record_message,
};
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::rig::{BINDING, Rig, hotp, import};

const RFC4226_SECRET: &[u8] = b"12345678901234567890";
/// RFC 4226 appendix D.
const RFC4226: [&[u8; 6]; 10] = [
    b"755224", b"287082", b"359152", b"969429", b"338314", b"254676", b"287922", b"162583", b"399871",
    b"520489",
];

#[test]
fn rfc_4226_codes_hit_their_counter_and_authenticate_its_next_state() {
    let rig = Rig::new();
    let hsm = rig.open();
    let enrolled = import(&hsm, RFC4226_SECRET, Hash::Sha1);
    let batch = RFC4226.iter().map(|code| hotp(&enrolled, *code, 10)).collect();
    for (counter, verdict) in hsm.match_codes(batch).expect("up").into_iter().enumerate() {
        let next = format!("s{}", counter + 1).into_bytes();
        let next_mac = hsm.mac(MacPurpose::State, vec![next]).expect("up")[0];
        assert_eq!(verdict, Matched::Hit { factor: counter, next_mac });
    }
    let refused = hsm.mac(MacPurpose::State, vec![b"refused".to_vec()]).expect("up")[0];
    for wrong in [b"755225".as_slice(), b"75522", b"", b"520489000000000000000000"] {
        let mut entry = hotp(&enrolled, wrong, 10);
        entry.format = vec![6];
        assert_eq!(hsm.match_codes(vec![entry]).expect("up"), [Matched::Miss { next_mac: refused }]);
    }
    let mut twice = hotp(&enrolled, RFC4226[0], 1);
    twice.factors.push(twice.factors[0].clone());
    assert!(matches!(hsm.match_codes(vec![twice]).expect("up")[..], [Matched::Hit { factor: 0, .. }]));
    let outside = hotp(&enrolled, RFC4226[9], 9);
    assert_eq!(hsm.match_codes(vec![outside]).expect("up"), [Matched::Miss { next_mac: refused }]);
}

/// RFC 6238 appendix B, at 59 s and 20000000000 s.
#[test]
fn rfc_6238_codes_hit_under_every_hash() {
    let rig = Rig::new();
    let hsm = rig.open();
    let digits: Vec<u8> = (b'1'..=b'9').chain([b'0']).cycle().take(64).collect();
    let cases = [
        (Hash::Sha1, 20, b"94287082", b"65353130"),
        (Hash::Sha256, 32, b"46119246", b"77737706"),
        (Hash::Sha512, 64, b"90693936", b"47863826"),
    ];
    for (hash, len, early, late) in cases {
        let enrolled = import(&hsm, &digits[..len], hash);
        for (step, code) in [(1u64, early), (0x27bc_86aa, late)] {
            let mut entry = hotp(&enrolled, code, 0);
            entry.factors =
                vec![Factor { messages: vec![step.to_be_bytes().to_vec()], next_state: b"n".to_vec() }];
            let verdicts = hsm.match_codes(vec![entry]).expect("up");
            assert!(matches!(verdicts[..], [Matched::Hit { factor: 0, .. }]), "{hash:?} step {step}");
        }
    }
}

/// Red when the cache is keyed without the binding, or the record's MAC without it.
#[test]
fn a_record_is_worth_nothing_in_another_row() {
    let rig = Rig::new();
    let hsm = rig.open();
    let mine = import(&hsm, RFC4226_SECRET, Hash::Sha1);
    let hit = hsm.match_codes(vec![hotp(&mine, RFC4226[0], 1)]).expect("up");
    assert!(matches!(hit[..], [Matched::Hit { .. }]), "it is in the cache now");
    let mut moved = hotp(&mine, RFC4226[0], 1);
    let MatchKey::Record { binding, .. } = &mut moved.key else { unreachable!() };
    *binding = b"token 2, user 2".to_vec();
    assert_eq!(hsm.match_codes(vec![moved]).expect("up"), [Matched::Tampered { what: Tampered::Record }]);
    for at in 0..mine.record.len() {
        let mut flipped = hotp(&mine, RFC4226[0], 1);
        let MatchKey::Record { record, .. } = &mut flipped.key else { unreachable!() };
        record[at] ^= 1;
        let verdict = hsm.match_codes(vec![flipped]).expect("up");
        assert_eq!(verdict, [Matched::Tampered { what: Tampered::Record }], "byte {at}");
    }
    let rebound = hsm.mac(MacPurpose::Record, vec![record_message(&mine.record, b"token 2, user 2")]);
    let mut moved = hotp(&mine, RFC4226[0], 1);
    moved.key = MatchKey::Record {
        record: mine.record.clone(),
        binding: b"token 2, user 2".to_vec(),
        record_mac: rebound.expect("up")[0],
    };
    assert!(
        matches!(hsm.match_codes(vec![moved]).expect("up")[..], [Matched::Hit { .. }]),
        "rebound in order"
    );
}

#[test]
fn a_state_cannot_be_set_back() {
    let rig = Rig::new();
    let hsm = rig.open();
    let enrolled = import(&hsm, RFC4226_SECRET, Hash::Sha1);
    let mut flipped = hotp(&enrolled, RFC4226[0], 1);
    flipped.state[0] ^= 1;
    let mut foreign = hotp(&enrolled, RFC4226[0], 1);
    foreign.state_mac = hsm.mac(MacPurpose::Lookup, vec![foreign.state.clone()]).expect("up")[0];
    for entry in [flipped, foreign] {
        let verdict = hsm.match_codes(vec![entry]).expect("up");
        assert_eq!(verdict, [Matched::Tampered { what: Tampered::State }]);
    }
}

#[test]
fn a_revealed_secret_of_20_bytes_makes_the_codes_that_match() {
    let rig = Rig::new();
    let hsm = rig.open();
    for (len, reveal) in [(20, true), (32, true), (20, false), (32, false), (128, true)] {
        let enrol = Enrol {
            source: SecretSource::Generate { len },
            hash: Hash::Sha1,
            binding: BINDING.into(),
            state: b"s0".into(),
            reveal,
        };
        let enrolled = hsm.enrol(enrol).expect("a good length");
        let Some(secret) = &enrolled.secret else {
            assert!(!reveal);
            continue;
        };
        assert!(reveal);
        assert_eq!(secret.len(), len);
        let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(secret).expect("any length");
        mac.update(&3u64.to_be_bytes());
        let mac = mac.finalize().into_bytes();
        let offset = usize::from(mac[19] & 0xf);
        let word = u32::from_be_bytes(mac[offset..offset + 4].try_into().expect("4 bytes")) & 0x7fff_ffff;
        let code = format!("{:06}", word % 1_000_000);
        let verdicts = hsm.match_codes(vec![hotp(&enrolled, code.as_bytes(), 10)]).expect("up");
        assert!(matches!(verdicts[..], [Matched::Hit { factor: 3, .. }]), "{len} bytes");
    }
}

#[test]
fn secrets_too_short_or_too_long_are_refused() {
    let rig = Rig::new();
    let hsm = rig.open();
    let sources = [
        SecretSource::Import(Zeroizing::new(vec![7; 10])),
        SecretSource::Import(Zeroizing::new(vec![7; 129])),
        SecretSource::Generate { len: 15 },
    ];
    for source in sources {
        let enrol = Enrol { source, hash: Hash::Sha1, binding: Vec::new(), state: Vec::new(), reveal: false };
        assert!(matches!(hsm.enrol(enrol), Err(HsmError::Refused { .. })));
    }
    let longest = import(&hsm, &[7; 128], Hash::Sha1);
    assert!(hsm.match_codes(vec![hotp(&longest, b"000000", 1)]).is_ok());
}

#[test]
fn a_sent_code_is_the_first_that_renders_and_matches_inside() {
    let rig = Rig::new();
    let hsm = rig.open();
    let messages: Vec<Vec<u8>> = (0..32u8).map(|block| vec![b'c', block]).collect();
    let picky = vec![8, 1];
    let code = hsm.compute(Compute { format: picky.clone(), messages: messages.clone() }).expect("up");
    assert_eq!(code.len(), 8);
    let state_mac = hsm.mac(MacPurpose::State, vec![b"sent".to_vec()]).expect("up")[0];
    let entry = |candidate: &[u8]| Match {
        key: MatchKey::SentCode,
        state: b"sent".to_vec(),
        state_mac,
        format: picky.clone(),
        candidate: candidate.to_vec(),
        factors: vec![Factor { messages: messages.clone(), next_state: b"used".to_vec() }],
        refusal: b"tried".to_vec(),
    };
    let verdicts = hsm.match_codes(vec![entry(&code), entry(b"x")]).expect("up");
    assert!(matches!(verdicts[..], [Matched::Hit { factor: 0, .. }, Matched::Miss { .. }]));
    let none = hsm.compute(Compute { format: picky, messages: Vec::new() });
    assert!(matches!(none, Err(HsmError::Refused { .. })));
}

#[test]
fn eight_callers_at_once_each_get_their_own_answers() {
    const CALLERS: usize = 8;
    const CALLS: usize = 500;
    let rig = Rig::new();
    let hsm = rig.open();
    let enrolled = import(&hsm, RFC4226_SECRET, Hash::Sha1);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (hsm, enrolled) = (hsm.clone(), &enrolled);
            scope.spawn(move || {
                for call in 0..CALLS {
                    let counter = (caller + call) % 3;
                    let verdicts = hsm.match_codes(vec![hotp(enrolled, RFC4226[counter], 3)]).expect("up");
                    assert!(matches!(verdicts[..], [Matched::Hit { factor, .. }] if factor == counter));
                }
            });
        }
    });
    let rate = (CALLERS * CALLS) as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} match_codes/s of one candidate and 3 factors, {CALLERS} callers");
    let begun = Instant::now();
    for _ in 0..CALLS {
        let batch = (0..MATCH_BATCH_MAX).map(|n| hotp(&enrolled, RFC4226[n % 3], 3)).collect();
        assert_eq!(hsm.match_codes(batch).expect("up").len(), MATCH_BATCH_MAX);
    }
    let rate = (CALLS * MATCH_BATCH_MAX) as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} candidates/s in full batches, 1 caller");
    let matches = hsm.operations().into_iter().find(|(name, _)| *name == "match").map(|(_, count)| count);
    assert_eq!(matches, Some((CALLERS * CALLS + CALLS) as u64));
}

#[test]
fn a_batch_that_is_too_long_is_refused() {
    let rig = Rig::new();
    let hsm = rig.open();
    let enrolled = import(&hsm, RFC4226_SECRET, Hash::Sha1);
    let batch = (0..=MATCH_BATCH_MAX).map(|_| hotp(&enrolled, RFC4226[0], 1)).collect();
    assert!(matches!(hsm.match_codes(batch), Err(HsmError::Refused { .. })));
    let wide = hotp(&enrolled, RFC4226[0], 1025);
    assert!(matches!(hsm.match_codes(vec![wide]), Err(HsmError::Refused { .. })));
    assert!(hsm.info().is_ok(), "a refused request costs nobody the token");
}
