//! Many messages over a modem whose line fails in every way it can: none is lost, none is sent twice.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::appliance::{Appliance, ModemOptions, RigOptions, binary};
use crate::modem::EmulatedModem;
use crate::scratch;
use crate::time::wait_until;

/// Messages whose fate is awaited together.
const BATCH: usize = 50;
/// Longest wait for a batch: some faults cost a time-out of the modem.
const BATCH_DEADLINE: Duration = Duration::from_secs(900);
/// One message in so many meets a fault.
const FAULT_EVERY: usize = 10;

/// What the messages came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Messages handed in.
    pub messages: usize,
    /// Acknowledged, and taken once.
    pub sent: usize,
    /// Of unknown fate, and taken at most once.
    pub unknown: usize,
    /// Lost, or taken more often than once.
    pub violations: Vec<String>,
}

/// One fault in [`FAULT_EVERY`] messages, each kind in its turn.
fn faults(messages: usize) -> String {
    let kinds = [
        ("error", "+CMS ERROR: 42"),
        ("split", ""),
        ("urc", "+CREG: 1"),
        ("garbage", ""),
        ("unplug", "300ms"),
        ("error", "+CMS ERROR: 500"),
        ("late", "2s"),
        ("error", "+CME ERROR: 515"),
    ];
    let mut script = String::new();
    for (n, (kind, argument)) in (1..=messages / FAULT_EVERY).zip(kinds.iter().cycle()) {
        let nth = n * FAULT_EVERY;
        let argument = Value::from(*argument);
        write!(script, "[[fault]]\non = \"AT+CMGS\"\nnth = {nth}\ndo = \"{kind}\"\narg = {argument}\n\n")
            .expect("a string takes all");
    }
    script
}

/// Sends so many messages through an appliance.
///
/// # Panics
/// When a batch is not settled in time.
pub fn run(messages: usize) -> Tally {
    let modem = ModemOptions { faults: faults(messages), ..ModemOptions::emulated("m1") };
    let rig = Appliance::start(RigOptions { modems: vec![modem], ..RigOptions::default() });
    let mut admin = rig.admin();
    let mut tally = Tally::default();
    let numbers: Vec<usize> = (0..messages).collect();
    for batch in numbers.chunks(BATCH) {
        let ids: Vec<(usize, String)> = batch
            .iter()
            .map(|n| {
                let message = json!({"to": "+41791234567", "text": text_of(*n), "expires_s": 900});
                let queued = admin.post("/v1/messages", &message).expect(202).json();
                (*n, queued["id"].as_str().expect("a handle").to_owned())
            })
            .collect();
        for (n, id) in ids {
            let path = format!("/v1/messages/{id}");
            let settled = wait_until(BATCH_DEADLINE, "the message is settled", || {
                let state = admin.get(&path).expect(200).json()["state"].as_str().map(str::to_owned);
                state.filter(|state| state != "queued" && state != "sending")
            });
            tally.messages += 1;
            let taken = rig.modem().messages().iter().filter(|m| m.text == Some(text_of(n))).count();
            match (settled.as_str(), taken) {
                ("sent" | "delivered", 1) => tally.sent += 1,
                ("unknown", 0 | 1) => tally.unknown += 1,
                (state, taken) => tally.violations.push(format!("message {n}: {state}, taken {taken} times")),
            }
        }
    }
    tally
}

fn text_of(n: usize) -> String {
    format!("message number {n}.")
}

/// The control: a sender that takes silence for failure and sends again. Returns how many of its messages were
/// taken more than once.
///
/// # Panics
/// When the emulated modem does not start.
pub fn impatient_sender() -> usize {
    let scratch = scratch::directory();
    let script = "[[fault]]\non = \"AT+CMGS\"\nnth = 1\ndo = \"drop\"\n";
    let modem = EmulatedModem::start(&binary(), scratch.path(), "m1", "generic", script);
    for _ in 0..2 {
        let mut command = Command::new(binary());
        command.args([
            "modem",
            "send",
            "--to",
            "+41791234567",
            "--text",
            "once",
            "--timeout",
            "2s",
            "--port",
        ]);
        let sent = command.arg(&modem.port).output().expect("the binary starts");
        if sent.status.success() {
            break;
        }
    }
    usize::from(modem.messages().len() > 1)
}
