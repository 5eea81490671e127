//! Signatures that others verify, and tokens that have no keys for them.

use hsm::{Hash, HsmError, Matched, SIGNED_MAX, SignKey, Status};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};

use crate::device::{point, private_key};
use crate::rig::{Rig, hotp, import};

const KEYS: [(SignKey, &str); 2] =
    [(SignKey::Host, "countersign-host-sign-1"), (SignKey::Assertion, "countersign-assertion-sign-1")];
/// SubjectPublicKeyInfo of a P-256 key, up to its point (RFC 5480).
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

#[test]
fn a_signature_is_es256() {
    let rig = Rig::new();
    let hsm = rig.open();
    let publics = KEYS.map(|(key, _)| hsm.public_key(key).expect("a new token"));
    assert_ne!(publics[0], publics[1]);
    for ((key, _), public) in KEYS.into_iter().zip(&publics) {
        let verifying = VerifyingKey::from_sec1_bytes(public).expect("on the curve");
        for message in [b"".as_slice(), b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0", &vec![7; SIGNED_MAX]] {
            let signature = hsm.sign(key, message).expect("up");
            let parsed = Signature::from_slice(&signature).expect("r and s");
            assert!(verifying.verify(message, &parsed).is_ok());
            assert!(hsm.verify_signature(public, message, &signature).expect("up"));
        }
    }
    let long = vec![7; SIGNED_MAX + 1];
    assert!(matches!(hsm.sign(SignKey::Host, &long), Err(HsmError::Refused { .. })));
    drop(hsm);
    let hsm = rig.open();
    assert_eq!(KEYS.map(|(key, _)| hsm.public_key(key).expect("up")), publics, "after a restart");
}

#[test]
fn only_the_owners_signature_over_the_message_is_taken() {
    let rig = Rig::new();
    let hsm = rig.open();
    let key = private_key(&hsm);
    let signature: Signature = SigningKey::from(&key).sign(b"message");
    let (public, signature) = (point(&key), signature.to_bytes().into());
    assert!(hsm.verify_signature(&public, b"message", &signature).expect("up"));
    let other = point(&private_key(&hsm));
    let mut flipped = signature;
    flipped[63] ^= 1;
    for (public, message, signature) in [
        (&other, b"message".as_slice(), &signature),
        (&public, b"massage", &signature),
        (&public, b"message", &flipped),
        (&public, b"message", &[0; 64]),
        (&public, b"message", &[0xff; 64]),
    ] {
        assert!(!hsm.verify_signature(public, message, signature).expect("up"));
    }
    let mut off_curve = public;
    off_curve[64] ^= 1;
    let mut compressed = public;
    compressed[0] = 2;
    let pid = hsm.child_pid();
    for public in [off_curve, compressed, [0; 65], [4; 65], [0xff; 65]] {
        let outcome = hsm.verify_signature(&public, b"message", &signature);
        assert!(matches!(outcome, Ok(false) | Err(HsmError::Refused { .. })), "{outcome:?}");
    }
    assert!(hsm.verify_signature(&point(&key), b"message", &signature).expect("up"));
    assert_eq!(hsm.child_pid(), pid, "a bad request costs nobody the child");
}

fn capabilities(status: Status) -> [bool; 2] {
    let Status::Up { info } = status else { panic!("{status:?}") };
    ["provisioning", "assertions"].map(|name| info.capabilities[name])
}

#[test]
fn a_token_from_before_these_keys_opens_and_gets_them() {
    let rig = Rig::new();
    for (_, label) in KEYS {
        rig.delete("privkey", label);
        rig.delete("pubkey", label);
    }
    let hsm = rig.open();
    assert_eq!(capabilities(hsm.status()), [false, false]);
    for (key, _) in KEYS {
        for outcome in [hsm.sign(key, b"x").map(drop), hsm.public_key(key).map(drop)] {
            let Err(HsmError::Refused { reason }) = outcome else { panic!("{outcome:?}") };
            assert!(reason.contains("`countersign hsm init`"), "{reason}");
        }
    }
    assert!(hsm.check().expect("up").iter().all(|check| check.ok));
    let enrolled = import(&hsm, b"12345678901234567890", Hash::Sha1);
    drop(hsm);
    rig.initialise().expect("keys were missing");
    assert!(matches!(rig.initialise(), Err(HsmError::Refused { .. })), "nothing is missing now");
    let hsm = rig.open();
    assert_eq!(capabilities(hsm.status()), [true, true]);
    for (key, _) in KEYS {
        assert!(hsm.sign(key, b"x").is_ok());
    }
    let verdicts = hsm.match_codes(vec![hotp(&enrolled, b"755224", 1)]).expect("up");
    assert!(matches!(verdicts[..], [Matched::Hit { .. }]), "the other keys are the same");
}

#[test]
fn a_half_without_the_other_is_reported_and_replaced_beside_it() {
    let rig = Rig::new();
    let (_, label) = KEYS[0];
    rig.delete("pubkey", label);
    let hsm = rig.open();
    assert_eq!(capabilities(hsm.status()), [false, true]);
    let wrong: Vec<_> = hsm.check().expect("up").into_iter().filter(|check| !check.ok).collect();
    assert!(matches!(&wrong[..], [row] if row.object == format!("{label} (public)")), "{wrong:?}");
    drop(hsm);
    rig.initialise().expect("a pair was missing");
    let (_, objects) = rig.tool(&["--list-objects", "--type", "privkey"]);
    assert!(objects.contains("countersign-host-sign-1") && objects.contains("countersign-host-sign-2"));
    assert_eq!(capabilities(rig.open().status()), [true, true]);
}

/// Red when the public half is believed without a signature.
#[test]
fn a_strangers_public_half_stops_the_start() {
    let rig = Rig::new();
    let stranger = point(&private_key(&rig.open()));
    let (_, label) = KEYS[0];
    rig.delete("pubkey", label);
    let file = rig.path("stranger.der");
    std::fs::write(&file, [SPKI.as_slice(), &stranger].concat()).expect("scratch");
    let file = file.display().to_string();
    let (planted, _) = rig.tool(&["--write-object", &file, "--type", "pubkey", "--label", label]);
    assert!(planted);
    let HsmError::Unavailable { reason } = rig.refusal() else { panic!("another refusal") };
    assert!(reason.contains("do not belong together"), "{reason}");
}
