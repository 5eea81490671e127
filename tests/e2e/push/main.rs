//! Phones: registered by one QR code, asked by a push, replaced by a recovery code; the simulated app in three
//! personalities against the real daemon.

mod asked;
mod carried;
mod configured;
mod enrolled;
mod operated;
mod recovered;
mod registered;
mod shown;
mod told;

use serde_json::{Value, json};
use tests::phones::id;
use tests::{Answer, Client};

fn codes(shown: &Value) -> Vec<String> {
    let codes = shown["recovery_codes"].as_array().expect("recovery codes");
    codes.iter().map(|code| code.as_str().expect("a text").to_owned()).collect()
}

fn recover(client: &mut Client, user: &str, code: &str) -> Answer {
    let asked =
        client.post("/v1/challenges", &json!({"user": user, "channel": "recovery"})).expect(201).json();
    client.post(&format!("/v1/challenges/{}/verify", id(&asked)), &json!({"otp": code}))
}
