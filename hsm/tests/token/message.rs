//! Messages are authenticated under their own kind of record, and under no other.

use hmac::{Hmac, KeyInit, Mac};
use hsm::{
    AUTHENTICATE_MAX, Authenticate, Authenticated, Hash, Hsm, HsmError, MESSAGE_KEY_LEN, MESSAGE_MAX,
    MacPurpose, MatchKey, MessageKey, record_message,
};
use sha2::Sha256;

use crate::rig::{BINDING, Rig, hotp, import};

fn ask(key: &MessageKey, messages: &[&[u8]]) -> Authenticate {
    Authenticate {
        record: key.record.clone(),
        binding: BINDING.into(),
        record_mac: key.record_mac,
        messages: messages.iter().map(|message| message.to_vec()).collect(),
    }
}

fn software(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn made(hsm: &Hsm) -> MessageKey {
    hsm.enrol_message_key(BINDING.into()).expect("up")
}

/// RFC 4231, cases 1 to 4, 6 and 7, whose keys are 4 to 131 bytes: the judge of the next test. A key of the HSM has
/// 32 bytes, none of which anyone chooses.
#[test]
fn the_judge_computes_the_vectors_of_rfc_4231() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    };
    let counting: Vec<u8> = (1..=25).collect();
    let larger =
        b"This is a test using a larger than block-size key and a larger than block-size data. The key \
        needs to be hashed before being used by the HMAC algorithm.";
    let cases: [(&[u8], &[u8], &str); 6] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (&[0xaa; 131], larger, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ];
    for (key, message, expected) in cases {
        assert_eq!(software(key, message).as_slice(), hex(expected));
    }
}

/// RFC 2104, RFC 7518 section 3.2; COMB-38. Red when the token signs anything beside the message.
#[test]
fn each_message_bears_the_hmac_of_the_secret_that_was_handed_out() {
    let rig = Rig::new();
    let hsm = rig.open();
    let key = made(&hsm);
    assert_eq!(key.secret.len(), MESSAGE_KEY_LEN);
    let longest = vec![7; MESSAGE_MAX];
    let messages: [&[u8]; AUTHENTICATE_MAX] = [b"", b"eyJ0.eyJj", &[0; 32], &longest];
    let Authenticated::Macs(macs) = hsm.authenticate(ask(&key, &messages)).expect("up") else {
        panic!("tampered")
    };
    assert_eq!(macs, messages.map(|message| software(&key.secret, message)));
    assert_ne!(made(&hsm).secret, key.secret, "one secret each");
    drop(hsm);
    let Authenticated::Macs(again) = rig.open().authenticate(ask(&key, &[b"later"])).expect("up") else {
        panic!("tampered")
    };
    assert_eq!(again, [software(&key.secret, b"later")], "unwrapped by another child");
}

#[test]
fn a_message_record_is_worth_nothing_in_another_row() {
    let rig = Rig::new();
    let hsm = rig.open();
    let key = made(&hsm);
    assert!(matches!(hsm.authenticate(ask(&key, &[b"m"])), Ok(Authenticated::Macs(_))), "in the cache");
    let mut moved = ask(&key, &[b"m"]);
    moved.binding = b"token 2, user 2".to_vec();
    assert!(matches!(hsm.authenticate(moved), Ok(Authenticated::Tampered)));
    for at in 0..key.record.len() {
        let mut flipped = ask(&key, &[b"m"]);
        flipped.record[at] ^= 1;
        assert!(matches!(hsm.authenticate(flipped), Ok(Authenticated::Tampered)), "byte {at}");
    }
}

/// Red when a secret of one kind can be used as the other: with the MAC it has, and after its kind was rewritten and
/// the record authenticated anew.
#[test]
fn a_codes_secret_signs_nothing_and_a_message_secret_makes_no_code() {
    let rig = Rig::new();
    let hsm = rig.open();
    let oath = import(&hsm, &[7; 32], Hash::Sha256);
    let as_message = Authenticate {
        record: oath.record.clone(),
        binding: BINDING.into(),
        record_mac: oath.record_mac,
        messages: vec![b"m".to_vec()],
    };
    assert!(matches!(hsm.authenticate(as_message), Err(HsmError::Refused { .. })), "cached as a code's");
    let key = made(&hsm);
    let mut as_code = hotp(&oath, b"000000", 1);
    as_code.key =
        MatchKey::Record { record: key.record.clone(), binding: BINDING.into(), record_mac: key.record_mac };
    assert!(matches!(hsm.match_codes(vec![as_code]), Err(HsmError::Refused { .. })), "cached as a message's");
    assert!(matches!(hsm.open(&key.record, b"", &[0; 40]), Err(HsmError::Refused { .. })), "no person's key");
    let moved = hsm.mac(MacPurpose::Record, vec![record_message(&oath.record, b"another")]).expect("up")[0];
    let fresh = Authenticate {
        record: oath.record,
        binding: b"another".into(),
        record_mac: moved,
        messages: vec![b"m".to_vec()],
    };
    assert!(matches!(hsm.authenticate(fresh), Err(HsmError::Refused { .. })), "not cached");
    assert!(hsm.info().is_ok(), "a refused request costs nobody the token");
}

#[test]
fn messages_too_many_or_too_long_are_refused() {
    let rig = Rig::new();
    let hsm = rig.open();
    let key = made(&hsm);
    let long = vec![7; MESSAGE_MAX + 1];
    let many = vec![b"m".as_slice(); AUTHENTICATE_MAX + 1];
    for request in [ask(&key, &[&long]), ask(&key, &many)] {
        assert!(matches!(hsm.authenticate(request), Err(HsmError::Refused { .. })));
    }
}
