//! From ordering a challenge to its PDU in the emulated network.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tests::{Client, PATIENCE, wait_until};

use super::stage::{PHONES, Stage, number};

/// Longest pause before a sample: samples are spread over this time, so that they do not keep step with a
/// modem that is looked after at fixed intervals.
const SPREAD: Duration = Duration::from_millis(40);

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
