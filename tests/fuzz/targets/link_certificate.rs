//! What is signed about a device: the maker's certificate has one layout, from which all of it can be read back, and
//! a policy stays within the ranges of `docs/provisioning.md`.

#![no_main]

use fuzz::{begin, is_control, wire};
use libfuzzer_sys::fuzz_target;
use link::{
    CERTIFICATE_MAX, Envelope, Hash, Kind, MakerCertificate, POLICY_LEN, Policy, Request, SERIAL_MAX, Serial,
    decode, encode, transcript,
};

const LABEL: &[u8] = b"countersign maker certificate 1";

/// Version, sequence number 0 and the number of `Certify` stand before a certificate.
const BEFORE: [u8; 3] = [1, 0, 9];

/// Maker, serial, key, first and last day.
type Fields = (Vec<u8>, Vec<u8>, Vec<u8>, u32, u32);

/// Reads the layout back, field by field, without the crate that wrote it.
fn read_back(mut signed: &[u8]) -> Option<Fields> {
    let mut take = |len: usize| {
        let (taken, rest) = signed.split_at_checked(len)?;
        signed = rest;
        Some(taken.to_vec())
    };
    let number = |bytes: Vec<u8>| Some(u32::from_be_bytes(bytes.try_into().ok()?));
    if take(LABEL.len())? != LABEL || take(1)? != [MakerCertificate::VERSION] {
        return None;
    }
    let maker = take(8)?;
    let len = number(take(4)?)? as usize;
    let serial = take(len)?;
    let len = number(take(4)?)? as usize;
    let key = take(len)?;
    let (issued, expires) = (number(take(4)?)?, number(take(4)?)?);
    signed.is_empty().then_some((maker, serial, key, issued, expires))
}

fn check_certificate(certificate: &MakerCertificate, day: u32) {
    let MakerCertificate { maker, serial, key, issued, expires, .. } = certificate;
    let mut signed = transcript::certificate(certificate).to_vec();
    assert!(signed.len() <= transcript::CERTIFICATE_SIGNED_MAX);
    if is_control() {
        signed.truncate(signed.len() - 4);
    }
    let fields = (maker.0.to_vec(), serial.as_str().as_bytes().to_vec(), key.0.to_vec(), *issued, *expires);
    assert_eq!(read_back(&signed), Some(fields), "the signed bytes do not say all");
    assert!((1..=SERIAL_MAX).contains(&serial.as_str().len()));
    assert_eq!(Serial::parse(serial.as_str()).as_ref(), Ok(serial));
    assert_eq!(certificate.is_current(day), (*issued..=*expires).contains(&day));
    let on_wire = encode(&Envelope { sequence: 0, body: Request::Certify(certificate.clone()) });
    assert!(on_wire.len() - BEFORE.len() <= CERTIFICATE_MAX);
}

fn check_policy(bytes: &[u8; POLICY_LEN]) {
    let Ok(policy) = Policy::parse(bytes) else { return };
    assert_eq!(policy.to_bytes(), *bytes, "another spelling of {policy:?}");
    let block = if policy.hash == Hash::Sha512 { 128 } else { 64 };
    assert!((16..=block).contains(&policy.secret_len), "{policy:?}");
    assert!((6..=10).contains(&policy.digits) && (-1..=15).contains(&policy.truncation), "{policy:?}");
    match policy.kind {
        Kind::Hotp => assert!(policy.period == 0 && policy.t0 == 0, "{policy:?}"),
        Kind::Totp => assert!((10..=120).contains(&policy.period) && policy.counter0 == 0, "{policy:?}"),
        Kind::Ocra => {
            assert!(
                (4..=10).contains(&policy.period) && policy.counter0 == 0 && policy.t0 == 0,
                "{policy:?}"
            );
            assert!(policy.truncation == -1 && !policy.checksum, "{policy:?}");
        }
    }
    let padded = policy.padded_len();
    assert!([32, 64, 128].contains(&padded) && padded >= usize::from(policy.secret_len), "{policy:?}");
}

fn seeds() -> Vec<Vec<u8>> {
    let message = encode(&Envelope { sequence: 0, body: Request::Certify(wire::certificate()) });
    let policy = |fields: [(usize, u8); 6]| {
        let mut bytes = [0; POLICY_LEN];
        fields.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        bytes
    };
    // Each at an end of every range, so that one step leads out of it.
    let policies = [
        policy([(0, 1), (1, 1), (2, 6), (4, 0xff), (14, 7), (32, 16)]),
        policy([(0, 2), (1, 3), (2, 10), (4, 15), (6, 120), (32, 128)]),
        policy([(0, 2), (1, 2), (2, 6), (3, 1), (6, 10), (32, 64)]),
        policy([(0, 3), (1, 1), (2, 6), (4, 0xff), (6, 4), (32, 64)]),
        policy([(0, 3), (1, 2), (2, 10), (4, 0xff), (6, 10), (32, 20)]),
    ];
    let beside = |policy: &[u8; POLICY_LEN]| {
        let mut found = vec![policy.to_vec()];
        for (at, step) in (0..POLICY_LEN).flat_map(|at| [(at, 1), (at, u8::MAX)]) {
            let mut other = policy.to_vec();
            other[at] = other[at].wrapping_add(step);
            found.push(other);
        }
        found
    };
    [message[BEFORE.len()..].to_vec()].into_iter().chain(policies.iter().flat_map(beside)).collect()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let message = [&BEFORE, data].concat();
    if let Ok(Envelope { body: Request::Certify(certificate), .. }) = decode(&message) {
        check_certificate(&certificate, data.iter().fold(0, |day, &byte| day << 3 ^ u32::from(byte)));
    }
    if let Some(bytes) = data.first_chunk() {
        check_policy(bytes);
    }
    if let Ok(serial) = std::str::from_utf8(data).map_err(drop).and_then(|text| Serial::parse(text).map_err(drop)) {
        assert_eq!(serial.as_str().as_bytes(), data);
        assert!(data.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(byte)));
    }
});
