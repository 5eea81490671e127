//! What phones send (C.2, C.4, C.5): what is taken is signed by the key, and says the same in any spelling of its body.

#![no_main]

use fuzz::{begin, is_control, with_options};
use hmac::{Hmac, KeyInit as _, Mac as _};
use libfuzzer_sys::fuzz_target;
use push::reply::{Answer, AuthenticationReply, BODY_MAX, Refresh, RegistrationReply};
use sha2::Sha256;

const KEY: [u8; 32] = [7; 32];
const OTHER_KEY: [u8; 32] = [8; 32];
const CHALLENGE: [u8; 32] = [9; 32];

fn mac_under(key: &[u8], message: &[u8]) -> push::Mac {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

fn mac(message: &[u8]) -> push::Mac {
    mac_under(&KEY, message)
}

/// The MAC that the message is held against. The planted fault: whoever uses the sender's key for the account's.
fn judged(signing_input: &[u8], forged: bool) -> push::Mac {
    if forged && !is_control() { mac_under(&OTHER_KEY, signing_input) } else { mac(signing_input) }
}

/// A body around claims, signed by the key.
fn signed(kind: &str, id: &str, claims: &str) -> Vec<u8> {
    let encode = |text: &str| push::base64::url_safe(text.as_bytes()).to_string();
    let input = format!("{}.{}", encode(push::jws::HEADER), encode(claims));
    let jwt = format!("{input}.{}", *push::base64::url_safe(&mac(input.as_bytes())));
    format!("{{\"{kind}\":\"{id}\",\"jwt\":\"{jwt}\"}}").into_bytes()
}

const REGISTER: &str = "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000";
const AUTHENTICATE: &str = "AUTHENTICATE:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000";
const UID: &str = "759ACE9D-C64B-43E6-981D-97F7B54C3B01";

fn check(body: &[u8], forged: bool) {
    let response = mac(&CHALLENGE);
    if let Ok(reply) = RegistrationReply::parse(body) {
        assert!(body.len() <= BODY_MAX);
        if let Ok(said) = reply.open(&judged(reply.signing_input(), forged), &response) {
            assert!(!forged, "taken under another key");
            assert!(!said.device.address.is_empty() && said.device.address.is_ascii());
            assert!(!said.device.name.contains(char::is_control));
        }
    }
    if let Ok(reply) = AuthenticationReply::parse(body)
        && let Ok(said) = reply.open(&judged(reply.signing_input(), forged), &response)
    {
        assert!(!forged, "taken under another key");
        if let Answer::Approved(Some(number)) = said {
            assert!((10..=99).contains(&number));
        }
    }
    if let Ok(refresh) = Refresh::parse(body)
        && refresh.open(&judged(refresh.signing_input(), forged)).is_ok()
    {
        assert!(!forged, "taken under another key");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let response = push::base64::standard(&mac(&CHALLENGE));
    let device =
        r#""deviceId":"poll:1","deviceName":"Pixel 8","deviceType":"android","communicationType":"gcm""#;
    let registration = format!(r#"{{"response":"{response}","mechanismUid":"{UID}",{device}}}"#);
    vec![
        with_options(0, registration.as_bytes()),
        with_options(1, format!(r#"{{"response":"{response}","challengeResponse":"42"}}"#).as_bytes()),
        with_options(1, format!(r#"{{"response":"{response}","deny":true}}"#).as_bytes()),
        with_options(2, format!("{{{device}}}").as_bytes()),
        with_options(3, &signed("messageId", REGISTER, &registration)),
    ]
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Some((&option, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return check(rest, true) };
    let body = match option % 4 {
        0 => signed("messageId", REGISTER, text),
        1 => signed("messageId", AUTHENTICATE, text),
        2 => signed("mechanismUid", UID, text),
        _ => rest.to_vec(),
    };
    check(&body, false);
    check(&body, true);
});
