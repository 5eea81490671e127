//! A judge that is not ours: http_ece opens what Web Push encrypts, OpenSSL in Node.js verifies who sent it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use appliance::delivery::Signer;
use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use crate::server::Seen;

/// A signer as the HSM would be, and its public key.
pub(crate) fn signer() -> (Signer, [u8; 65]) {
    let key = SigningKey::from_slice(&[5; 32]).unwrap();
    let public: [u8; 65] = key.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap();
    let sign = move |bytes: &[u8]| {
        let signature: Signature = key.sign(bytes);
        Some(signature.to_bytes().into())
    };
    (Signer { key: public, sign: Box::new(sign) }, public)
}

fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("appliance/ lies in the workspace");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

/// What the judge says of a request: `clear`, `claims`, `verified`.
pub(crate) fn ask(private: &[u8; 32], auth: &[u8; 16], key: &[u8; 65], seen: &Seen, audience: &str) -> Value {
    let library = target_dir().join("webpush/ece.js");
    assert!(library.exists(), "{} is missing: scripts/webpush.sh fetches it", library.display());
    let question = json!({
        "library": library,
        "private": BASE64URL_NOPAD.encode(private),
        "auth": BASE64URL_NOPAD.encode(auth),
        "key": BASE64URL_NOPAD.encode(key),
        "body": BASE64URL_NOPAD.encode(&seen.body),
        "authorization": seen.header("authorization"),
        "audience": audience,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/delivery/judge.cjs");
    let mut judge = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node in PATH");
    judge.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let said = judge.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");
    serde_json::from_slice(&said.stdout).unwrap()
}
