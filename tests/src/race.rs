//! The same code from many threads at once, over both listeners: who is accepted, and how often.
//!
//! A harness that never sees a double accept proves nothing unless it can see one: [`naive`] is what it must
//! catch.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Barrier, Mutex, RwLock};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::appliance::Appliance;
use crate::http::Client;
use crate::people::enrol;
use crate::scratch;
use crate::time::{PATIENCE, unix_s, wait_until};

/// Threads of a race: half on the Unix socket, half on loopback.
pub const THREADS: usize = 64;
/// "Service unavailable": nothing was accepted and nothing counted.
const BUSY: u16 = 503;

/// What the rounds of a race came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rounds run.
    pub rounds: usize,
    /// Rounds with exactly one accept.
    pub single: usize,
    /// Rounds with none.
    pub none: usize,
    /// Rounds with more than one: the violation.
    pub several: usize,
    /// Requests that got neither verdict.
    pub neither: usize,
}

/// What one thread got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// Accepted.
    Accept,
    /// Rejected.
    Reject,
    /// No verdict at all.
    Neither,
}

impl Tally {
    fn count(&mut self, fired: &[Fired]) {
        self.rounds += 1;
        self.neither += fired.iter().filter(|fired| **fired == Fired::Neither).count();
        match fired.iter().filter(|fired| **fired == Fired::Accept).count() {
            0 => self.none += 1,
            1 => self.single += 1,
            _ => self.several += 1,
        }
    }

    /// Rounds without exactly one accept, and requests without a verdict.
    pub fn violations(&self) -> usize {
        self.rounds - self.single + self.neither
    }
}

/// Runs rounds: `aim` makes what all threads fire at once, `fire` says what came of it and must not panic, or
/// the others would wait for ever. Each thread gets its own weapon, made by `arm` from its number.
///
/// # Panics
/// When `aim` does.
pub fn race<S: Send + Sync, W: Send>(
    rounds: usize,
    arm: impl Fn(usize) -> W + Sync,
    mut aim: impl FnMut(usize) -> S,
    fire: impl Fn(&mut W, &S) -> Fired + Sync,
) -> Tally {
    let gate = Barrier::new(THREADS + 1);
    let shot: RwLock<Option<S>> = RwLock::new(None);
    let results = Mutex::new(Vec::with_capacity(THREADS));
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        for n in 0..THREADS {
            let (gate, shot, results, arm, fire) = (&gate, &shot, &results, &arm, &fire);
            scope.spawn(move || {
                let mut weapon = arm(n);
                loop {
                    gate.wait();
                    let Some(shot) = &*shot.read().expect("no writer panics") else { return };
                    let fired = fire(&mut weapon, shot);
                    results.lock().expect("no holder panics").push(fired);
                    gate.wait();
                }
            });
        }
        for round in 0..rounds {
            let aimed = match catch_unwind(AssertUnwindSafe(|| aim(round))) {
                Ok(aimed) => aimed,
                Err(panic) => {
                    release(&shot, &gate);
                    resume_unwind(panic);
                }
            };
            *shot.write().expect("no reader panics") = Some(aimed);
            gate.wait();
            gate.wait();
            tally.count(&std::mem::take(&mut *results.lock().expect("no holder panics")));
        }
        release(&shot, &gate);
    });
    tally
}

/// Lets the threads end.
fn release<S>(shot: &RwLock<Option<S>>, gate: &Barrier) {
    *shot.write().expect("no reader panics") = None;
    gate.wait();
}

/// A request that all threads send.
pub struct Shot {
    path: String,
    body: Value,
}

impl Shot {
    /// "Try again", said of an act of which nothing was done, is obeyed: a slow machine lets some of 64 wait in vain.
    fn fire(&self, client: &mut Client) -> Fired {
        let begun = Instant::now();
        let answer = loop {
            match client.send("POST", &self.path, Some(self.body.to_string().as_bytes())) {
                Ok(answer) if answer.status == BUSY && begun.elapsed() < PATIENCE => {}
                answer => break answer,
            }
        };
        match answer {
            Ok(answer) if answer.accepted() => Fired::Accept,
            Ok(answer) if answer.rejected() => Fired::Reject,
            Ok(answer) => {
                eprintln!("neither verdict: {} {}", answer.status, answer.text());
                Fired::Neither
            }
            Err(error) => {
                eprintln!("no answer: {error}");
                Fired::Neither
            }
        }
    }
}

/// Rounds against an appliance.
fn race_appliance(rig: &Appliance, key: &str, rounds: usize, aim: impl FnMut(usize) -> Shot) -> Tally {
    let arm = |n: usize| if n.is_multiple_of(2) { rig.local(key) } else { rig.loopback(Some(key)) };
    race(rounds, arm, aim, |client, shot| shot.fire(client))
}

/// One HOTP token, one counter per round.
pub fn hotp(rig: &Appliance, rounds: usize) -> Tally {
    let token = rig.hotp_user("racer-hotp");
    let key = rig.app_key("race-hotp", &["verify"]);
    race_appliance(rig, &key, rounds, |round| {
        let otp = token.secret.hotp(u64::try_from(round).expect("few rounds"));
        Shot { path: "/v1/verify".to_owned(), body: json!({"user": "racer-hotp", "otp": otp}) }
    })
}

/// A fresh user with a fresh TOTP token per round.
pub fn totp(rig: &Appliance, rounds: usize) -> Tally {
    let key = rig.app_key("race-totp", &["verify"]);
    let mut admin = rig.admin();
    race_appliance(rig, &key, rounds, |round| {
        let name = format!("racer-totp-{round}");
        admin.post("/v1/users", &json!({"name": name})).expect(201);
        let token = enrol(&mut admin, &name, &json!({"type": "totp"}));
        let otp = token.secret.totp(unix_s());
        Shot { path: "/v1/verify".to_owned(), body: json!({"user": name, "otp": otp}) }
    })
}

/// One challenge per round; its code comes from the modem's journal.
///
/// # Panics
/// When the appliance has no emulated modem.
pub fn sms(rig: &Appliance, rounds: usize) -> Tally {
    const NUMBER: &str = "+41791110001";
    rig.user("racer-sms");
    rig.phone("racer-sms", NUMBER);
    let key = rig.app_key("race-sms", &["challenge"]);
    let mut app = rig.local(&key);
    race_appliance(rig, &key, rounds, |round| {
        let order = json!({"user": "racer-sms", "channel": "sms"});
        let id = app.post("/v1/challenges", &order).expect(201).json()["id"].as_str().map(str::to_owned);
        let id = id.expect("a handle");
        let otp = rig.modem().await_message(NUMBER, round + 1).code();
        wait_until(PATIENCE, "the challenge waits", || {
            let state = app.get(&format!("/v1/challenges/{id}")).expect(200).json()["state"].clone();
            (state == "waiting").then_some(())
        });
        Shot { path: format!("/v1/challenges/{id}/verify"), body: json!({"otp": otp}) }
    })
}

/// What lies between reading a counter and writing it: the HSM compares the code.
const HSM_CALL: Duration = Duration::from_millis(1);

/// The control: consume as read, check and write in three steps over SQLite. Two threads may both read the old
/// counter before either writes.
///
/// # Panics
/// When SQLite fails.
pub fn naive(rounds: usize) -> Tally {
    let scratch = scratch::directory();
    let file = scratch.path().join("naive.db");
    open(&file)
        .execute_batch("CREATE TABLE token (last INTEGER NOT NULL); INSERT INTO token VALUES (-1);")
        .expect("a new file");
    let aim = |round: usize| i64::try_from(round).expect("few rounds");
    race(
        rounds,
        |_| open(&file),
        aim,
        |connection, counter| {
            let read = "SELECT last FROM token";
            match connection.query_row(read, [], |row| row.get::<_, i64>(0)) {
                Ok(last) if last >= *counter => Fired::Reject,
                Ok(_) => {
                    std::thread::park_timeout(HSM_CALL);
                    match connection.execute("UPDATE token SET last = ?1", params![counter]) {
                        Ok(_) => Fired::Accept,
                        Err(_) => Fired::Neither,
                    }
                }
                Err(_) => Fired::Neither,
            }
        },
    )
}

fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("own scratch directory");
    connection.busy_timeout(PATIENCE).expect("a setting");
    connection.pragma_update(None, "journal_mode", "WAL").expect("a setting");
    connection
}

/// What many wrong codes at once came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    /// Requests sent.
    pub sent: usize,
    /// Codes that the appliance compared, by its events.
    pub evaluated: usize,
    /// The user's failures, as stored.
    pub counted: usize,
    /// Requests answered with an accept: any is a violation.
    pub accepted: usize,
    /// Requests without a verdict.
    pub neither: usize,
}

/// Sends wrong codes for one user from all threads, each over its own connection; the user has two tokens, so
/// that no token's own lock ends it before the user's limits do.
///
/// # Panics
/// When a request is not answered.
pub fn wrong_codes(rig: &Appliance, name: &str, per_thread: usize) -> Storm {
    let tokens = [rig.hotp_user(name), rig.token(name, &json!({"type": "hotp"}))];
    let key = rig.app_key(&format!("storm-{name}"), &["verify"]);
    let wrong = tokens[0].secret.wrong(0..50);
    let wrong = if (0..50).any(|n| tokens[1].secret.hotp(n) == wrong) { "999999".to_owned() } else { wrong };
    let arm = |n: usize| if n.is_multiple_of(2) { rig.local(&key) } else { rig.loopback(Some(&key)) };
    let shot = Shot { path: "/v1/verify".to_owned(), body: json!({"user": name, "otp": wrong}) };
    let tally = race(per_thread, arm, |_| (), |client, ()| shot.fire(client));
    let reasons = rig.reasons(name);
    let user = rig.show_user(name);
    Storm {
        sent: THREADS * per_thread,
        evaluated: reasons.iter().filter(|reason| *reason == "wrong").count(),
        counted: usize::try_from(user["failures"].as_u64().expect("a count")).expect("a small count"),
        accepted: tally.single + tally.several,
        neither: tally.neither,
    }
}
