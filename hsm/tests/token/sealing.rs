//! Sealed data opens under its own key and context only.

use hsm::{Hash, HsmError, SEAL_MAX};

use crate::rig::{Rig, import};

#[test]
fn sealed_data_opens_under_its_key_and_context_only() {
    let rig = Rig::new();
    let hsm = rig.open();
    let key = hsm.new_person_key().expect("up");
    let other = hsm.new_person_key().expect("up");
    for plaintext in [b"".as_slice(), b"+49 151 00000000", &vec![7; SEAL_MAX]] {
        let sealed = hsm.seal(&key, b"phone", plaintext).expect("up");
        assert_eq!(sealed.len(), 12 + plaintext.len() + 16);
        assert_eq!(&**hsm.open(&key, b"phone", &sealed).expect("intact"), plaintext);
    }
    let sealed = hsm.seal(&key, b"phone", b"+49 151 00000000").expect("up");
    assert_ne!(sealed, hsm.seal(&key, b"phone", b"+49 151 00000000").expect("up"), "one IV each");
    let mut flipped = sealed.clone();
    flipped[20] ^= 1;
    let secret = import(&hsm, b"12345678901234567890", Hash::Sha1).record;
    let attempts: [(&[u8], &[u8], &[u8]); 6] = [
        (&key, b"mail", &sealed),
        (&other, b"phone", &sealed),
        (&key, b"phone", &flipped),
        (&key, b"phone", &sealed[..20]),
        (&secret, b"phone", &sealed),
        (b"", b"phone", &sealed),
    ];
    for (key, aad, sealed) in attempts {
        assert!(matches!(hsm.open(key, aad, sealed), Err(HsmError::Refused { .. })));
    }
    let pid = hsm.child_pid();
    assert!(hsm.info().is_ok());
    assert_eq!(hsm.child_pid(), pid, "a bad request costs nobody the child");
}

#[test]
fn a_damaged_person_key_is_the_requests_fault() {
    let rig = Rig::new();
    let hsm = rig.open();
    let mut key = hsm.new_person_key().expect("up");
    *key.last_mut().expect("a blob") ^= 1;
    assert!(matches!(hsm.seal(&key, b"", b"x"), Err(HsmError::Refused { .. })));
    assert!(hsm.info().is_ok());
}

#[test]
fn random_bytes_are_as_many_as_asked() {
    let rig = Rig::new();
    let hsm = rig.open();
    assert_eq!(hsm.random(40).expect("up").len(), 40);
    assert_ne!(hsm.random(32).expect("up"), hsm.random(32).expect("up"));
    assert!(matches!(hsm.random(4097), Err(HsmError::Refused { .. })));
}
