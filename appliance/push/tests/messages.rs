//! Replies and pushes of C.2 to C.5 against their golden values and the published vectors of C.10.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::net::IpAddr;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use push::Mac;
use push::base64::standard;
use push::device::{ADDRESS_MAX, MechanismUid, Service, System};
use push::envelope::{self, CLEAR_MAX, TooLarge};
use push::jws::{HEADER, Refused};
use push::message_id::{MessageId, Purpose};
use push::message_text::MessageText;
use push::numbers::Numbers;
use push::payload::{CUSTOM_MAX, Context, Kind, Payload, PayloadError};
use push::reply::{Answer, AuthenticationReply, BODY_MAX, Refresh, RegistrationReply};
use serde_json::{Value, json};
use sha2::Sha256;

const UID: &str = "759ACE9D-C64B-43E6-981D-97F7B54C3B01";
const REGISTER: &str = "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000";
const AUTHENTICATE: &str = "AUTHENTICATE:3f0c6f5e-0d5f-4a3b-8f5a-2b7f3f9d1c021767225700000";

fn golden() -> Value {
    serde_json::from_str(include_str!("data/wire-golden.json")).unwrap()
}

fn input(name: &str) -> [u8; 32] {
    HEXLOWER.decode(golden()["inputs"][name].as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
}

/// What the HSM does.
fn mac(key: &[u8], message: &[u8]) -> Mac {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().into()
}

fn key() -> [u8; 32] {
    input("push_secret_hex")
}

fn jwt(claims: &Value) -> String {
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let input = format!("{}.{}", encode(HEADER), encode(&claims.to_string()));
    format!("{input}.{}", BASE64URL_NOPAD.encode(&mac(&key(), input.as_bytes())))
}

fn body(id: &str, claims: &Value) -> Vec<u8> {
    json!({ "messageId": id, "jwt": jwt(claims) }).to_string().into_bytes()
}

fn registration_claims() -> Value {
    json!({
        "response": standard(&mac(&key(), &input("reg_challenge_hex"))),
        "mechanismUid": UID,
        "deviceId": "poll:1",
        "deviceName": "Pixel 8",
        "deviceType": "android",
        "communicationType": "gcm",
    })
}

fn register(body: &[u8]) -> Result<push::reply::Registered, Refused> {
    let reply = RegistrationReply::parse(body)?;
    reply.open(&mac(&key(), reply.signing_input()), &mac(&key(), &input("reg_challenge_hex")))
}

fn answer(body: &[u8]) -> Result<Answer, Refused> {
    let reply = AuthenticationReply::parse(body)?;
    reply.open(&mac(&key(), reply.signing_input()), &mac(&key(), &input("auth_challenge_hex")))
}

/// As iOS sends it: the claims name the phone too.
fn refresh_body(claims: &Value) -> Vec<u8> {
    json!({ "mechanismUid": UID, "jwt": jwt(claims) }).to_string().into_bytes()
}

fn refresh(body: &[u8]) -> Result<push::device::Device, Refused> {
    let message = Refresh::parse(body)?;
    message.open(&mac(&key(), message.signing_input()))
}

/// COMB-36, COMB-38, AT-22: C.2's golden reply.
#[test]
fn the_golden_registration_reply_is_read() {
    let body = golden()["registration_reply"].to_string();
    let reply = RegistrationReply::parse(body.as_bytes()).unwrap();
    assert_eq!(reply.message().as_str(), REGISTER);
    let registered = register(body.as_bytes()).unwrap();
    assert_eq!(registered.mechanism.as_str(), UID);
    assert_eq!(registered.device.address, "https://ntfy.example.org/upAbCdEfGh1234?up=1");
    assert_eq!(registered.device.name, "Pixel 8");
    assert_eq!((registered.device.system, registered.device.service), (System::Android, Service::Gcm));
}

/// COMB-38. Red when a reply counts that another key signed, or that answers another challenge.
#[test]
fn signature_and_response_are_both_needed() {
    let body = golden()["registration_reply"].to_string();
    let reply = RegistrationReply::parse(body.as_bytes()).unwrap();
    let (signature, response) =
        (mac(&key(), reply.signing_input()), mac(&key(), &input("reg_challenge_hex")));
    assert!(reply.open(&signature, &response).is_ok());
    let other = mac(&[1; 32], reply.signing_input());
    assert_eq!(reply.open(&other, &response), Err(Refused::Signature));
    assert_eq!(reply.open(&other, &other), Err(Refused::Signature));
    assert_eq!(reply.open(&signature, &mac(&key(), b"another")), Err(Refused::Response));
}

/// COMB-36, C.4: approve, deny and a number; the response is the same in all three.
#[test]
fn the_golden_answers_are_told_apart() {
    for (name, expected) in [
        ("approve", Answer::Approved(None)),
        ("deny", Answer::Denied),
        ("challenge_42", Answer::Approved(Some(42))),
    ] {
        let body = golden()["auth_reply"][name].to_string();
        assert_eq!(AuthenticationReply::parse(body.as_bytes()).unwrap().message().as_str(), AUTHENTICATE);
        assert_eq!(answer(body.as_bytes()), Ok(expected), "{name}");
    }
    // The denial's claims under the approval's signature.
    let of = |name: &str| golden()["auth_reply"][name]["jwt"].as_str().unwrap().to_owned();
    let (deny, approve) = (of("deny"), of("approve"));
    let mixed = format!("{}.{}", deny.rsplit_once('.').unwrap().0, approve.rsplit_once('.').unwrap().1);
    let body = json!({ "messageId": AUTHENTICATE, "jwt": mixed }).to_string();
    assert_eq!(answer(body.as_bytes()), Err(Refused::Signature));
}

/// C.4. Red when a denial of another shape counts as approval, or a number is read leniently.
#[test]
fn a_denial_is_anything_but_null() {
    let response = standard(&mac(&key(), &input("auth_challenge_hex")));
    let with = |extra: Value| {
        let mut claims = json!({ "response": response });
        claims.as_object_mut().unwrap().append(&mut extra.as_object().unwrap().clone());
        answer(&body(AUTHENTICATE, &claims))
    };
    for deny in [json!(true), json!(false), json!("false"), json!(0), json!([]), json!({})] {
        assert_eq!(with(json!({ "deny": deny, "challengeResponse": "42" })), Ok(Answer::Denied));
    }
    assert_eq!(with(json!({ "deny": null, "challengeResponse": null })), Ok(Answer::Approved(None)));
    for number in ["4", "042", "+4", "09", " 42", "4２", "100", ""] {
        assert_eq!(with(json!({ "challengeResponse": number })), Err(Refused::Value("challengeResponse")));
    }
    assert_eq!(with(json!({ "challengeResponse": 42 })), Err(Refused::Type("challengeResponse")));
    assert_eq!(answer(&body(AUTHENTICATE, &json!({}))), Err(Refused::Missing("response")));
}

/// COMB-36, C.5: a new address; the same message has the same fingerprint in any body.
#[test]
fn the_golden_refresh_is_read() {
    let golden_body = golden()["refresh"].to_string();
    let device = refresh(golden_body.as_bytes()).unwrap();
    assert_eq!((device.address.as_str(), device.name.as_str()), ("poll:1", "Pixel 8"));
    let message = Refresh::parse(golden_body.as_bytes()).unwrap();
    assert_eq!(message.mechanism().as_str(), UID);
    let nameless = json!({ "jwt": golden()["refresh"]["jwt"], "mechanismUid": UID }).to_string();
    assert_eq!(Refresh::parse(nameless.as_bytes()).unwrap().fingerprint(), message.fingerprint());
    assert_eq!(message.open(&[0; 32]), Err(Refused::Signature));
    let mut claims = registration_claims();
    claims.as_object_mut().unwrap().remove("response");
    assert!(refresh(&refresh_body(&claims)).is_ok());
    claims["mechanismUid"] = json!("00000000-0000-0000-0000-000000000000");
    assert_eq!(refresh(&refresh_body(&claims)), Err(Refused::Value("mechanismUid")));
}

/// COMB-38, D-40. Red when a body is read that is too large, ambiguous, or of other types.
#[test]
fn bodies_are_read_strictly() {
    let good = String::from_utf8(body(REGISTER, &registration_claims())).unwrap();
    assert!(register(good.as_bytes()).is_ok());
    let jwt = jwt(&registration_claims());
    let large = format!("{good}{}", " ".repeat(BODY_MAX));
    for (bad, why) in [
        ("", Refused::Syntax),
        ("null", Refused::Syntax),
        ("[]", Refused::Syntax),
        (&large, Refused::TooLong),
        (&good.replacen('{', "{\"jwt\":\"a.b.c\",", 1), Refused::Twice),
        (&good.replacen("messageId", "messageid", 1), Refused::Missing("messageId")),
        (&good.replacen("REGISTER:", "AUTHENTICATE:", 1), Refused::Value("messageId")),
        (&json!({ "messageId": 1, "jwt": jwt }).to_string(), Refused::Type("messageId")),
        (&json!({ "messageId": REGISTER }).to_string(), Refused::Missing("jwt")),
        (&json!({ "messageId": REGISTER, "jwt": null }).to_string(), Refused::Type("jwt")),
        (&json!({ "messageId": REGISTER, "jwt": "a.b" }).to_string(), Refused::Syntax),
        (&format!("\u{feff}{good}"), Refused::Syntax),
        (&format!("{good}{good}"), Refused::Syntax),
    ] {
        assert_eq!(RegistrationReply::parse(bad.as_bytes()).err(), Some(why), "{bad:.80}");
    }
    let latin1 = [b"{\"messageId\":\"\xe9\",\"jwt\":\"\"}".as_slice()].concat();
    assert_eq!(RegistrationReply::parse(&latin1).err(), Some(Refused::Syntax));
}

/// COMB-38, C.2. Red when a claim is taken in another type, empty, too long, or twice.
#[test]
fn claims_are_read_strictly() {
    let long = "x".repeat(ADDRESS_MAX + 1);
    for (name, value, why) in [
        ("response", json!("AA=="), Refused::Value("response")),
        ("response", json!(standard(&[0; 32])), Refused::Response),
        ("response", json!(["a"]), Refused::Type("response")),
        ("mechanismUid", json!("alice"), Refused::Value("mechanismUid")),
        ("mechanismUid", json!(null), Refused::Missing("mechanismUid")),
        ("deviceId", json!(""), Refused::Value("deviceId")),
        ("deviceId", json!(long), Refused::Value("deviceId")),
        ("deviceId", json!("https://a b/"), Refused::Value("deviceId")),
        ("deviceId", json!(1), Refused::Type("deviceId")),
        ("deviceName", json!("a\u{1b}[2J"), Refused::Value("deviceName")),
        ("deviceName", json!("x".repeat(129)), Refused::Value("deviceName")),
        ("deviceType", json!("Android"), Refused::Value("deviceType")),
        ("communicationType", json!("fcm"), Refused::Value("communicationType")),
    ] {
        let mut claims = registration_claims();
        claims[name] = value;
        assert_eq!(register(&body(REGISTER, &claims)), Err(why), "{claims}");
    }
    let mut claims = registration_claims();
    claims.as_object_mut().unwrap().remove("deviceType");
    assert_eq!(register(&body(REGISTER, &claims)), Err(Refused::Missing("deviceType")));
    claims = registration_claims();
    claims["later"] = json!({ "members": ["that", "we", "do not know"] });
    assert!(register(&body(REGISTER, &claims)).is_ok());
}

fn payload<'a>(
    challenge: &'a [u8; 32],
    mechanism: &'a MechanismUid,
    text: &'a MessageText,
    kind: Kind<'a>,
) -> Payload<'a> {
    let at_ms = 1_767_225_700_000;
    Payload { challenge, mechanism, text, kind, ttl_s: 120, at_ms, context: None, custom: None }
}

/// 42 is right; 17 and 86 stand beside it.
fn numbers() -> Numbers {
    let mut random = [u8::MAX; 32];
    random[..3].copy_from_slice(&[32, 76, 7]);
    Numbers::draw(&random).unwrap()
}

/// COMB-36, COMB-41, COMB-42, AT-22. Red when a byte of a push differs from the golden one.
#[test]
fn the_golden_pushes_are_written_to_the_byte() {
    let (challenge, mechanism) = (input("auth_challenge_hex"), MechanismUid::parse(UID).unwrap());
    let (text, numbers) = (MessageText::parse("Login to Example Inc").unwrap(), numbers());
    let context = Context { remote_ip: Some(IpAddr::from([192, 0, 2, 10])), user_agent: Some("Mozilla/5.0") };
    for (name, kind, context) in [
        ("default", Kind::Default, None),
        ("challenge", Kind::Challenge(&numbers), Some(context)),
        ("biometric", Kind::Biometric, None),
    ] {
        let push = Payload { context, ..payload(&challenge, &mechanism, &text, kind) };
        let input = push.signing_input().unwrap();
        let signature = mac(&key(), input.as_bytes());
        let jwt = input.signed(&signature);
        assert_eq!(jwt, golden()["push_payload"][name]["jwt"].as_str().unwrap(), "{name}");
        let claims = BASE64URL_NOPAD.decode(jwt.split('.').nth(1).unwrap().as_bytes()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims, golden()["push_payload"][name]["claims"]);
        assert!(claims.as_object().unwrap().values().all(Value::is_string), "{claims}");
    }
}

/// C.3 (c). Red when text is escaped that a phone would not undo.
#[test]
fn texts_are_sent_as_they_are() {
    let (challenge, mechanism) = (input("auth_challenge_hex"), MechanismUid::parse(UID).unwrap());
    let text = MessageText::parse("Anmeldung bei Zürich/Küche – d’accord").unwrap();
    let context = Context { remote_ip: None, user_agent: Some("a\u{0}b\r\n\u{7f}") };
    let push = Payload { context: Some(context), ..payload(&challenge, &mechanism, &text, Kind::Default) };
    let input = push.signing_input().unwrap();
    let claims = BASE64URL_NOPAD.decode(input.as_bytes().split(|b| *b == b'.').nth(1).unwrap()).unwrap();
    let claims = String::from_utf8(claims).unwrap();
    assert!(claims.contains(text.as_str()) && !claims.contains("\\u") && !claims.contains("\\/"), "{claims}");
    assert!(claims.contains(r#""x":"{\"userAgent\":\"ab\"}""#), "{claims}");
}

/// C.5, D-41. Red when a reply to a QR code, which says an address too, passes for a new address later.
#[test]
fn what_answers_a_challenge_is_no_refresh() {
    let claims = registration_claims();
    assert!(register(&body(REGISTER, &claims)).is_ok());
    let mut without = claims.clone();
    without.as_object_mut().unwrap().remove("response");
    assert!(refresh(&refresh_body(&without)).is_ok());
    assert_eq!(refresh(&refresh_body(&claims)), Err(Refused::Value("response")));
    without["response"] = json!(null);
    assert!(refresh(&refresh_body(&without)).is_ok(), "null is not there");
}

/// C.3. Red when a push is made that lives for ever, or carries what is no object.
#[test]
fn a_push_has_terms() {
    let (challenge, mechanism) = (input("auth_challenge_hex"), MechanismUid::parse(UID).unwrap());
    let text = MessageText::parse("Login").unwrap();
    let push = payload(&challenge, &mechanism, &text, Kind::Default);
    for (ttl_s, good) in [(29, false), (30, true), (600, true), (601, false)] {
        assert_eq!(Payload { ttl_s, ..push }.signing_input().err(), (!good).then_some(PayloadError::Ttl));
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(CUSTOM_MAX));
    for (custom, good) in
        [("{}", true), ("{\"a\":[1]}", true), ("[]", false), ("{", false), (long.as_str(), false)]
    {
        let outcome = Payload { custom: Some(custom), ..push }.signing_input().err();
        assert_eq!(outcome, (!good).then_some(PayloadError::Custom), "{custom:.20}");
    }
}

/// C.3, (d). Red when a key is missing that a host app looks for, or a message is made that no transport takes.
#[test]
fn envelopes_have_the_keys_of_both_systems() {
    let id = MessageId::parse(Purpose::Authenticate, AUTHENTICATE).unwrap();
    let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    assert_eq!(
        read(envelope::fcm("a.b.c", &id).unwrap()),
        json!({ "message": "a.b.c", "messageId": AUTHENTICATE })
    );
    let both = read(envelope::unified("a.b.c", &id).unwrap());
    assert_eq!(both, json!({ "message": "a.b.c", "messageId": AUTHENTICATE, "data": "a.b.c" }));
    let alert = MessageText::parse("Login").unwrap();
    let aps = &read(envelope::apns("a.b.c", &id, &alert).unwrap())["aps"];
    assert_eq!(
        (&aps["messageId"], &aps["data"], &aps["alert"]),
        (&json!(AUTHENTICATE), &json!("a.b.c"), &json!("Login"))
    );
    assert_eq!((&aps["content-available"], &aps["mutable-content"]), (&json!(1), &json!(1)));
    assert_eq!(aps["interruption-level"], json!("time-sensitive"));
    let frame = envelope::fcm("", &id).unwrap().len();
    assert_eq!(envelope::fcm(&"x".repeat(CLEAR_MAX - frame), &id).unwrap().len(), CLEAR_MAX);
    assert_eq!(envelope::fcm(&"x".repeat(CLEAR_MAX - frame + 1), &id), Err(TooLarge(CLEAR_MAX + 1)));
    assert!(envelope::unified(&"x".repeat(CLEAR_MAX / 2), &id).is_err());
}

/// C.10: what the SDKs' own tests compute.
#[test]
fn published_responses_are_computed_alike() {
    let standard_key = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
    let url_key = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    for (key, challenge, response) in [
        (
            standard_key("b3uYLkQ7dRPjBaIzV0t/aijoXRgMq+NP5AwVAvRfa/E="),
            standard_key("9giiBAdUHjqpo0XE4YdZ7pRlv0hrQYwDz8Z1wwLLbkg="),
            "Df02AwA3Ra+sTGkL5+QvkEtN3eLdZiFmL5nxAV1m0k8=",
        ),
        (
            url_key("MTNi6Sv-gnFI5M7zU1H8qZWamLQoxnKXdQlHNOCsAGs"),
            url_key("1H7p3KSlvLliUxuJiEq0vRhAdbihL2pigWdFIa-pmgw"),
            "UWRDpPOLnRmvlOL35wrOo/FOWn/yQQbdDQRk6pSdyeg=",
        ),
        (vec![0; 32], vec![], "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0="),
    ] {
        assert_eq!(standard(&mac(&key, &challenge)), response);
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,\"a-z.0-9]{0,120}") {
        for body in [bytes.as_slice(), text.as_bytes()] {
            let _unused = (register(body).is_ok(), answer(body).is_ok(), refresh(body).is_ok());
        }
    }

    #[test]
    fn whatever_is_signed_is_read_back(address in "[!-~]{1,80}", name in "[^\\p{Cc}]{0,40}", ios: bool) {
        let mut claims = registration_claims();
        claims["deviceId"] = json!(address);
        claims["deviceName"] = json!(name);
        claims["deviceType"] = json!(if ios { "ios" } else { "android" });
        let registered = register(&body(REGISTER, &claims)).unwrap();
        prop_assert_eq!((registered.device.address, registered.device.name), (address, name));
        prop_assert_eq!(registered.device.system == System::Ios, ios);
    }
}
