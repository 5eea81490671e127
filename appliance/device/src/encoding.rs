//! Base64 and JWT as the SDKs do them, with their differences (C.1.1, C.3).

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::Personality;

/// HMAC-SHA256.
///
/// # Panics
/// Never: HMAC takes keys of any length.
pub fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// The standard alphabet, padded.
pub fn standard(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Android's decoder: letters that are not of its alphabet are passed over, and what is left is decoded, whatever it
/// is then. None when nothing can be made of it.
pub fn android(text: &str, url_safe: bool) -> Option<Vec<u8>> {
    let own = |byte: &u8| byte.is_ascii_alphanumeric() || if url_safe { b"-_" } else { b"+/" }.contains(byte);
    let kept: Vec<u8> = text
        .bytes()
        .filter(own)
        .map(|b| {
            if b == b'-' {
                b'+'
            } else if b == b'_' {
                b'/'
            } else {
                b
            }
        })
        .collect();
    lenient(&kept)
}

/// iOS's decoder: one alphabet, padded anew, and nothing else.
pub fn ios(text: &str, url_safe: bool) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    if !url_safe {
        return bare.bytes().all(|b| b != b'-' && b != b'_').then(|| lenient(bare.as_bytes()))?;
    }
    BASE64URL_NOPAD.decode(bare.as_bytes()).ok()
}

/// The standard alphabet without padding; bits behind the last byte do not matter.
fn lenient(text: &[u8]) -> Option<Vec<u8>> {
    let mut specification = data_encoding::Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    specification.check_trailing_bits = false;
    specification.encoding().ok()?.decode(text).ok()
}

/// Ping's SDKs decode what looks like Base64, and take the rest as it is.
pub fn if_it_looks_so(text: &str) -> Vec<u8> {
    let looks = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        && text.trim_end_matches('=').len() % 4 != 1;
    let decoded = || lenient(text.trim_end_matches('=').as_bytes());
    looks.then(decoded).flatten().unwrap_or_else(|| text.as_bytes().to_vec())
}

/// A signed message. The members of the header stand in the order of the SDK.
pub fn jwt(personality: Personality, key: &[u8], claims: &[(&'static str, Value)]) -> String {
    let header = match personality {
        Personality::AndroidLegacy => r#"{"typ":"JWT","alg":"HS256"}"#,
        Personality::IosLegacy | Personality::PingNew => r#"{"alg":"HS256","typ":"JWT"}"#,
    };
    let members: Vec<String> = claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let claims = format!("{{{}}}", members.join(","));
    let input = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(claims.as_bytes())
    );
    format!("{input}.{}", BASE64URL_NOPAD.encode(&mac(key, input.as_bytes())))
}

/// The claims of a message that this key signed, as text; none if it did not. iOS verifies over a header that it
/// encoded anew, in the standard alphabet and padded (C.3, a).
pub fn verified(personality: Personality, key: &[u8], jwt: &str) -> Option<String> {
    let mut parts = jwt.split('.');
    let (header, claims, tag, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let header = if personality == Personality::IosLegacy {
        BASE64.encode(&BASE64URL_NOPAD.decode(header.as_bytes()).ok()?)
    } else {
        header.to_owned()
    };
    let expected = mac(key, format!("{header}.{claims}").as_bytes());
    let given = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
    let text = String::from_utf8(BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()?;
    (given == expected).then_some(text)
}

/// The standard alphabet, padded or not, as every SDK reads it inside a message.
pub fn inner(text: &str) -> Option<Vec<u8>> {
    BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
}
