//! `otpauth://` URIs: what is read can be written, and is read again as the same token.

#![no_main]

use domain::otpauth::{OtpAuth, URI_MAX, decode_base32, percent_decode, percent_encode};
use fuzz::{begin, is_control};
use libfuzzer_sys::fuzz_target;

/// The planted fault: whoever does not escape what separates parameters.
fn written(token: &OtpAuth) -> String {
    let uri = token.to_uri();
    if is_control() { uri.replace("%26", "&").replace("%20", "&") } else { uri.to_string() }
}

/// What the URI can say of a name: `:` would split its label.
fn name(text: &str) -> String {
    text.replace(':', "_")
}

fn check(uri: &str) {
    let Ok(token) = OtpAuth::parse(uri) else { return };
    assert!(uri.len() <= URI_MAX);
    let written = written(&token);
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
    let again = match OtpAuth::parse(&written) {
        Ok(again) => again,
        Err(error) => return assert!(written.len() > URI_MAX, "{error}: {written}"),
    };
    let issuer = token.issuer.as_deref().map(name).filter(|issuer| !issuer.is_empty());
    assert_eq!((again.issuer, again.account), (issuer, name(&token.account)));
    assert!(again.secret == token.secret, "another secret");
    assert_eq!((again.totp, again.algorithm, again.digits), (token.totp, token.algorithm, token.digits));
    if token.totp {
        assert_eq!(again.period, token.period);
    } else {
        assert_eq!(again.counter, token.counter);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "otpauth://totp/Example%20Inc:alice?secret=BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5&issuer=Example%20Inc&digits=6&period=30",
        "otpauth://hotp/bob?secret=mfrgg-zdf====&counter=42&algorithm=sha512&digits=8",
        "otpauth://totp/A%26B:c?secret=MFRGG&issuer=Z%C3%BCrich&algorithm=SHA256",
        "otpauth://totp/x?secret=MFRGG&secret=MFRGG",
        "%7euser%20name",
    ]
    .map(|uri| uri.as_bytes().to_vec())
    .to_vec()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(text);
    check(&format!("otpauth://totp/{text}"));
    check(&format!("otpauth://hotp/a?secret=MFRGG&{text}"));
    assert_eq!(percent_decode(&percent_encode(text)).as_deref(), Ok(text));
    if let Ok(decoded) = percent_decode(text) {
        assert!(decoded.len() <= text.len());
    }
    if let Some(secret) = decode_base32(text) {
        assert!(secret.len() <= text.len() * 5 / 8);
    }
});
