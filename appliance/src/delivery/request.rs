//! What is sent by which way (C.11): UnifiedPush and Web Push, ntfy, and the relays to Google's and Apple's services.

use data_encoding::BASE64URL_NOPAD;
use hyper::Method;
use push::address::{AddressError, Route, Url};
use push::content::{self, Ephemeral, Keys, SALT_LEN};
use push::device::ADDRESS_MAX;
use push::envelope::{self, CLEAR_MAX, TooLarge};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Call, Message, NotCarried, Vapid, Why};
use crate::clock;
use crate::config::push_delivery::Delivery;

/// What an ntfy server takes as a message; what is longer becomes an attachment.
const NTFY_MAX: usize = 4_096;
const _: () = assert!(CLEAR_MAX <= NTFY_MAX, "every envelope fits into a message of ntfy");
/// Characters of a topic (RFC 8030, 5.4).
const TOPIC_LEN: usize = 32;
/// Digits of the shortest token of Apple's service; it is in hexadecimal, Google's is not.
const APNS_TOKEN_MIN: usize = 64;
/// Draws of a key: one in 2^32 is none.
const DRAWS: usize = 4;

/// The request for a message; none for one that the phone fetches.
///
/// # Errors
/// [`NotCarried`]: nothing was sent.
pub(super) fn call(
    settings: &Delivery,
    vapid: Option<&Vapid>,
    route: Route,
    device_id: &str,
    message: &Message,
) -> Result<Option<Call>, NotCarried> {
    let never = |why: Why| NotCarried::Never(why);
    let made = match route {
        Route::WebPush(url, Some(keys)) => {
            settings.allow.check(&url).map_err(|error| never(error.into()))?;
            return web_push(vapid, url, &keys, message).map(Some);
        }
        Route::WebPush(url, None) => settings.allow.check(&url).map_err(Why::from).and(Err(Why::NoKeys)),
        Route::NtfyUrl(url) => match &settings.ntfy {
            _ if settings.allow.check(&url).is_err() => Err(AddressError::NotAllowed.into()),
            Some(own) if own.origin() == url.origin() => ntfy(url, message),
            _ => Err(Why::NoKeys),
        },
        Route::NtfyTopic(topic) => match &settings.ntfy {
            Some(server) => below(server, &format!("/{topic}?up=1")).and_then(|url| ntfy(url, message)),
            None => Err(Why::Off("push.delivery.ntfy")),
        },
        Route::Vendor => vendor(settings, device_id, message),
        Route::Poll(_) => return Ok(None),
    };
    made.map(Some).map_err(never)
}

fn clear(message: &Message) -> Result<String, Why> {
    Ok(envelope::unified(&message.jwt, &message.id)?)
}

/// RFC 8030, 5.2 to 5.4. The topic is the message's own: tried twice, it is there once.
fn terms(message: &Message) -> Vec<(&'static str, String)> {
    let mut topic = BASE64URL_NOPAD.encode(&Sha256::digest(message.id.as_str()));
    topic.truncate(TOPIC_LEN);
    let ttl = message.ttl.as_secs().to_string();
    vec![("ttl", ttl), ("urgency", "high".to_owned()), ("topic", topic)]
}

fn post(url: Url, headers: Vec<(&'static str, String)>, body: impl Into<Vec<u8>>) -> Call {
    Call { method: Method::POST, url, headers, body: body.into() }
}

/// RFC 8291. A service that is reached without TLS is this machine's own, and is not told who sends (RFC 8292, 2).
fn web_push(vapid: Option<&Vapid>, url: Url, keys: &Keys, message: &Message) -> Result<Call, NotCarried> {
    let now = |why: Why| NotCarried::Later { why, after: None };
    let clear = clear(message).map_err(NotCarried::Never)?;
    let mut salt = [0; SALT_LEN];
    random(&mut salt).map_err(now)?;
    let body = content::web_push(clear.as_bytes(), keys, ephemeral().map_err(now)?, &salt)
        .map_err(|error: TooLarge| NotCarried::Never(error.into()))?;
    let mut headers = terms(message);
    headers.push(("content-type", "application/octet-stream".to_owned()));
    headers.push(("content-encoding", "aes128gcm".to_owned()));
    if let Some(vapid) = vapid.filter(|_| url.tls()) {
        headers.push(("authorization", vapid.authorization(&url, now_s()).map_err(now)?));
    }
    Ok(post(url, headers, body))
}

/// A server of our own reads what it passes on: the message is signed, and holds nothing secret but its text.
fn ntfy(url: Url, message: &Message) -> Result<Call, Why> {
    let mut headers = terms(message);
    headers.push(("content-type", "application/json".to_owned()));
    headers.push(("priority", "high".to_owned()));
    Ok(post(url, headers, clear(message)?))
}

/// Google's and Apple's services want the internet, and credentials that are not here: a relay of the operator's has
/// both. It gets what the service itself is told (FCM HTTP v1; APNs).
fn vendor(settings: &Delivery, token: &str, message: &Message) -> Result<Call, Why> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
    if token.is_empty() || token.len() > ADDRESS_MAX || !token.bytes().all(plain) {
        return Err(AddressError::Spelling.into());
    }
    let json = ("content-type", "application/json".to_owned());
    let ttl_s = message.ttl.as_secs();
    if token.len() >= APNS_TOKEN_MIN && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let relay = settings.apns_relay.as_ref().ok_or(Why::Off("push.delivery.apns_relay"))?;
        let body = envelope::apns(&message.jwt, &message.id, &message.alert)?;
        let ends_s = (now_s() + ttl_s).to_string();
        let headers = vec![
            json,
            ("apns-push-type", "alert".to_owned()),
            ("apns-priority", "10".to_owned()),
            ("apns-expiration", ends_s),
        ];
        return Ok(post(below(relay, &format!("/3/device/{token}"))?, headers, body));
    }
    let relay = settings.fcm_relay.as_ref().ok_or(Why::Off("push.delivery.fcm_relay"))?;
    let data: Value = serde_json::from_str(&envelope::fcm(&message.jwt, &message.id)?)
        .expect("an envelope is a JSON object");
    let android = json!({ "priority": "HIGH", "ttl": format!("{ttl_s}s") });
    let body = json!({ "message": { "token": token, "data": data, "android": android } });
    Ok(post(relay.clone(), vec![json], body.to_string()))
}

/// A place below a server's address.
fn below(server: &Url, place: &str) -> Result<Url, Why> {
    let base = server.target().trim_end_matches('/');
    Ok(Url::parse(&format!("{}{base}{place}", server.origin()))?)
}

fn now_s() -> u64 {
    u64::try_from(clock::wall_ms() / 1000).unwrap_or_default()
}

fn random(bytes: &mut [u8]) -> Result<(), Why> {
    match getrandom(&mut *bytes, GetRandomFlags::empty()) {
        Ok(filled) if filled == bytes.len() => Ok(()),
        _ => Err(Why::Random),
    }
}

fn ephemeral() -> Result<Ephemeral, Why> {
    let mut drawn = zeroize::Zeroizing::new([0; 32]);
    for _ in 0..DRAWS {
        random(&mut *drawn)?;
        if let Ok(ephemeral) = Ephemeral::new(&drawn) {
            return Ok(ephemeral);
        }
    }
    Err(Why::Random)
}
