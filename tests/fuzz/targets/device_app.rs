//! What the simulated phone reads (C.1, C.3): a QR code's text, a push, what carries it. Whatever an app takes, the appliance
//! reads its answer to; whatever another key signed, no app takes.

#![no_main]

use device::encoding::{inner, mac, verified};
use device::{Choice, Delivered, Personality, Phone, Subscription};
use fuzz::{begin, is_control, with_options};
use libfuzzer_sys::fuzz_target;
use push::reply::{Answer, AuthenticationReply, RegistrationReply};

const OTHER_KEY: [u8; 32] = [8; 32];
const AUTHENTICATE: &str = "AUTHENTICATE:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000";
const URI: &str = "mfauth://totp/A%20B:c?a=aHR0cHM6Ly9hLmV4YW1wbGUvcD9fYWN0aW9uPWF1dGhlbnRpY2F0ZQ&b=032b75&r=aHR0cHM6Ly9hLmV4YW1wbGUvcD9fYWN0aW9uPXJlZ2lzdGVy&s=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&c=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&l=YW1sYmNvb2tpZT0wMQ&m=REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000&issuer=QSBC&digits=6&period=30&secret=BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5";

fn mac32(key: &[u8], message: &[u8]) -> push::Mac {
    mac(key, message).try_into().expect("HMAC-SHA256 has 32 bytes")
}

fn scan(personality: Personality, uri: &str) {
    let mut phone = Phone::new(personality, "poll:1");
    let Ok(scanned) = phone.scan(uri) else { return };
    let account = phone.accounts()[scanned.account].clone();
    if account.code.is_some() {
        let digits = phone.code(scanned.account, u64::MAX).len();
        assert!(digits == 6 || digits == 8, "{digits} digits");
    }
    assert_eq!(scanned.request.is_some(), account.push.is_some());
    let (Some(request), Some(key)) = (scanned.request, account.push) else { return };
    // The name is the appliance's: another one is nobody's.
    let Ok(reply) = RegistrationReply::parse(request.body.as_bytes()) else { return };
    let signature = mac32(&key.secret, reply.signing_input());
    let said =
        reply.open(&signature, &mac32(&key.secret, &key.challenge)).expect("its own key and challenge");
    assert_eq!((said.device.address.as_str(), said.mechanism.as_str()), ("poll:1", key.uid.as_str()));
    phone.answered(scanned.account, 200, uri);
}

/// A push around claims. The planted fault: whoever forges one has the account's key.
fn pushed(phone: &Phone, claims: &str, forged: bool) -> String {
    let own = &phone.accounts()[0].push.as_ref().expect("push").secret;
    let key: &[u8] = if forged && !is_control() { &OTHER_KEY } else { own };
    let encode = |text: &str| push::base64::url_safe(text.as_bytes()).to_string();
    let input = format!("{}.{}", encode(push::jws::HEADER), encode(claims));
    let tag = push::base64::url_safe(&mac32(key, input.as_bytes())).to_string();
    format!("{input}.{tag}")
}

fn receive(personality: Personality, claims: &str, forged: bool) {
    let mut phone = Phone::new(personality, "poll:1");
    phone.scan(URI).expect("the golden code");
    let key = phone.accounts()[0].push.clone().expect("push");
    let jwt = pushed(&phone, &claims.replace("UID", &key.uid), forged);
    let Ok(notice) = phone.receive(AUTHENTICATE, &jwt) else { return };
    assert!(!forged, "taken under another key");
    let text = verified(personality, &key.secret, &jwt).expect("it was taken");
    let told: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let challenge = told.and_then(|claims| inner(claims.get("c")?.as_str()?));
    for (choice, expected) in [
        (Choice::Approve, Answer::Approved(None)),
        (Choice::Deny, Answer::Denied),
        (Choice::Number(42), Answer::Approved(Some(42))),
    ] {
        let request = phone.respond(&notice, choice);
        let reply =
            AuthenticationReply::parse(request.body.as_bytes()).expect("a body that the appliance reads");
        let signature = mac32(&key.secret, reply.signing_input());
        // Ping reads claims without JSON: what it takes for the challenge may be another text than JSON's.
        if let (Some(challenge), false) = (&challenge, personality == Personality::PingNew) {
            assert_eq!(reply.open(&signature, &mac32(&key.secret, challenge)), Ok(expected));
        }
        assert!(reply.open(&mac32(&OTHER_KEY, reply.signing_input()), &[0; 32]).is_err());
    }
}

fn carried(bytes: &[u8]) {
    let subscription = Subscription::new(&[7; 32], [9; 16]).expect("a private key");
    assert!(subscription.open(bytes).is_none(), "nobody encrypted it for this subscription");
    if let Ok(envelope) = serde_json::from_slice(bytes) {
        for personality in Personality::ALL {
            let Some(delivered) = Delivered::read(personality, &envelope) else { continue };
            let mut phone = Phone::new(personality, "poll:1");
            phone.scan(URI).expect("the golden code");
            let taken = phone.receive(&delivered.message_id, &delivered.jwt);
            let key = phone.accounts()[0].push.as_ref().expect("push").secret.clone();
            assert!(taken.is_err() || verified(personality, &key, &delivered.jwt).is_some());
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let pushauth = URI.replacen("mfauth://totp", "pushauth://push", 1);
    let hotp = "otpauth://hotp/A:b?secret=BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5&issuer=A&digits=8&counter=18446744073709551615";
    vec![
        with_options(0, URI.as_bytes()),
        with_options(0, pushauth.as_bytes()),
        with_options(0, hotp.as_bytes()),
        with_options(1, br#"{"c":"AAAA","l":"YQ==","u":"UID","m":"Hello","k":"default","t":"120"}"#),
        with_options(
            1,
            br#"{"c":"AAAA","l":"YQ==","u":"UID","m":"Hello","k":"challenge","t":"120","n":"17,42,86"}"#,
        ),
        with_options(2, br#"{"messageId":"AUTHENTICATE:x","message":"a.b.c","data":"a.b.c"}"#),
        with_options(2, &[0; 120]),
    ]
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Some((&option, rest)) = data.split_first() else { return };
    if option % 3 == 2 {
        return carried(rest);
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    for personality in Personality::ALL {
        if option % 3 == 0 {
            scan(personality, text);
        } else {
            receive(personality, text, false);
            receive(personality, text, true);
        }
    }
});
