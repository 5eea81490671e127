//! An appliance with phones, and the application that registers and asks them.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::appliance::{Appliance, RigOptions};
use crate::device::Choice;
use crate::http::{Answer, Client};
use crate::time::PATIENCE;

/// The scopes of that application.
pub const SCOPES: [&str; 5] = ["tokens:write", "challenge", "verify", "users:read", "users:write"];
/// Where a phone replies to a QR code.
pub const REGISTER: &str = "/json/push/sns/message?_action=register";
/// Where it answers a push.
pub const AUTHENTICATE: &str = "/json/push/sns/message?_action=authenticate";
/// Where it says a new address.
pub const REFRESH: &str = "/json/push/sns/message?_action=refresh";

/// An appliance with these tables in its configuration, and the application.
pub fn rig_with(config: &str) -> (Appliance, Client) {
    with(RigOptions::default().config(config))
}

/// An appliance with `[push]`, and the application.
pub fn rig() -> (Appliance, Client) {
    rig_with("[push]\n")
}

/// An appliance of these options, with pages, and the application.
pub fn with(options: RigOptions) -> (Appliance, Client) {
    let rig = Appliance::start(RigOptions { pages: true, ..options });
    let key = rig.app_key("portal", &SCOPES);
    let client = rig.loopback(Some(&key));
    (rig, client)
}

/// Asks a user's phone, whether it can be asked or not.
#[track_caller]
pub fn ask(client: &mut Client, user: &str) -> Answer {
    client.post("/v1/challenges", &json!({"user": user, "channel": "push"}))
}

/// Asks a user's phone.
///
/// # Panics
/// When it is not asked.
#[track_caller]
pub fn push(client: &mut Client, user: &str) -> Value {
    ask(client, user).expect(201).json()
}

/// The handle of what the API shows.
///
/// # Panics
/// When it has none.
#[track_caller]
pub fn id(of: &Value) -> &str {
    of["id"].as_str().expect("a handle")
}

/// Where a challenge stands.
///
/// # Panics
/// When it is not told.
#[track_caller]
pub fn state(client: &mut Client, challenge: &Value) -> String {
    let shown = client.get(&format!("/v1/challenges/{}", id(challenge))).expect(200).json();
    shown["state"].as_str().expect("a state").to_owned()
}

/// The number to select on the phone.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn number(of: &Value) -> u8 {
    u8::try_from(of["number"].as_u64().expect("a number")).expect("two digits")
}

/// The right answer to a push.
#[track_caller]
pub fn right(challenge: &Value) -> Choice {
    Choice::Number(number(challenge))
}

/// The appliance's store, for who may write to it past the appliance.
///
/// # Panics
/// When it cannot be opened.
pub fn database(rig: &Appliance) -> Connection {
    let connection = Connection::open(rig.state.join("countersign.db")).expect("the store");
    connection.busy_timeout(PATIENCE).expect("a live connection");
    connection
}

/// Refusals that events of a kind tell of: those that were written, and those that were not.
///
/// # Panics
/// When a count is none.
pub fn refusals(rig: &Appliance, kind: &str) -> u64 {
    let before = |event: &Value| match event["subject"]["unwritten"].as_str() {
        Some(count) => count.parse::<u64>().expect("a number"),
        None => 0,
    };
    rig.events(&format!("type={kind}")).iter().map(|event| 1 + before(event)).sum()
}
