//! From ordering a challenge to its PDU in the emulated network.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tests::{Appliance, Client, ModemOptions, PATIENCE, RigOptions, wait_until};

use super::readings::Readings;
use super::stage::{PHONES, Stage, number};

/// Longest pause before a sample: samples are spread over this time, so that they do not keep step with a
/// modem that is looked after at fixed intervals.
const SPREAD: Duration = Duration::from_millis(40);

/// A network takes this long to acknowledge a message; so long a modem is busy with it.
const CYCLE: Duration = Duration::from_secs(2);
/// Messages for each modem.
const PER_MODEM: usize = 6;
/// Modems that work side by side, and the keys of what they do.
const SIDE_BY_SIDE: [(usize, &str); 3] =
    [(1, "sms_per_cycle_1"), (2, "sms_per_cycle_2"), (4, "sms_per_cycle_4")];

/// How many messages leave while one modem sends one, by number of modems.
pub(super) fn side_by_side(readings: &mut Readings) {
    for (modems, key) in SIDE_BY_SIDE {
        readings.push(key, 1, per_cycle(modems));
    }
}

fn per_cycle(modems: usize) -> f64 {
    let faults = format!("[[fault]]\non = \"AT+CMGS\"\ndo = \"late\"\narg = \"{}s\"\n", CYCLE.as_secs());
    let emulated =
        |nth| ModemOptions { faults: faults.clone(), ..ModemOptions::emulated(&format!("m{nth}")) };
    let options = RigOptions {
        modems: (1..=modems).map(emulated).collect(),
        log: "warn".to_owned(),
        ..RigOptions::default()
    };
    let appliance = Appliance::start(options);
    let mut admin = appliance.admin();
    let count = modems * PER_MODEM;
    for nth in 0..count {
        let message = json!({"to": number(nth), "text": format!("message {nth}"), "expires_s": 900});
        admin.post("/v1/messages", &message).expect(202);
    }
    let taken = || appliance.modems.iter().flat_map(|modem| modem.messages()).collect::<Vec<_>>();
    let all =
        wait_until(PATIENCE, "each message is taken", || Some(taken()).filter(|all| all.len() == count));
    let mut at: Vec<i128> = all
        .iter()
        .map(|message| message.at.parse::<jiff::Timestamp>().expect("RFC 3339").as_nanosecond())
        .collect();
    at.sort_unstable();
    // Each modem's first message begins its cycles.
    let cycles = (at[count - 1] - at[modems - 1]) as f64 / CYCLE.as_nanos() as f64;
    (count - modems) as f64 / cycles
}

/// Orders one challenge each for so many users and gives the milliseconds until each PDU was taken.
/// The next is ordered when the one before has been settled.
pub(super) fn samples(stage: &Stage, first: usize, count: usize) -> Vec<f64> {
    let mut client = stage.client();
    (0..count).map(|nth| sample(stage, &mut client, (first + nth) % PHONES, nth, count)).collect()
}

fn sample(stage: &Stage, client: &mut Client, user: usize, nth: usize, count: usize) -> f64 {
    let pause = SPREAD.mul_f64(nth as f64 / count as f64);
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
    let ordered = unix_ms();
    let order = json!({"user": stage.users[user].name, "channel": "sms"});
    let id = client.post("/v1/challenges", &order).expect(201).json()["id"]
        .as_str()
        .expect("a challenge has an id")
        .to_owned();
    let message = stage.appliance.modem().await_message(&number(user), 1);
    wait_until(PATIENCE, "the challenge waits for its code", || {
        let shown = client.get(&format!("/v1/challenges/{id}")).expect(200).json();
        (shown["state"] == "waiting").then_some(())
    });
    let taken: jiff::Timestamp = message.at.parse().expect("the journal's times are RFC 3339");
    taken.as_nanosecond() as f64 / 1e6 - ordered
}

/// Unix milliseconds and their fractions: the emulator's journal tells the wall clock.
fn unix_ms() -> f64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
