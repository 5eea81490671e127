//! The appliance under load, its state on a disk, and the people on it.

use std::collections::VecDeque;
use std::path::Path;
use std::thread;

use serde_json::json;
use tempfile::TempDir;
use tests::appliance::{PIN, SO_PIN};
use tests::{Appliance, Client, RigOptions, Secret, people, scratch};

/// Users with a HOTP token each: fewer than the secrets that the HSM child keeps unwrapped.
pub(super) const USERS: usize = 1024;
/// Those of them who also have a phone: one per SMS of a run.
pub(super) const PHONES: usize = 100;
/// Codes of each user that are computed before a measure.
const CODES_AHEAD: usize = 32;
/// Connections over which users are added.
const ENROLLING: usize = 16;

/// An appliance with users, an application's key and an idle modem.
pub(super) struct Stage {
    pub(super) appliance: Appliance,
    pub(super) users: Vec<User>,
    key: String,
}

/// A user with one HOTP token, and the requests that verify its next codes.
pub(super) struct User {
    pub(super) name: String,
    secret: Secret,
    counter: u64,
    ahead: VecDeque<Vec<u8>>,
    /// The request whose code was consumed last.
    pub(super) consumed: Vec<u8>,
}

impl User {
    fn next_request(&mut self) -> Vec<u8> {
        let otp = self.secret.hotp(self.counter);
        self.counter += 1;
        json!({"user": self.name, "otp": otp}).to_string().into_bytes()
    }

    /// Computes codes, so that a measure need not.
    pub(super) fn look_ahead(&mut self) {
        while self.ahead.len() < CODES_AHEAD {
            let request = self.next_request();
            self.ahead.push_back(request);
        }
    }

    /// Whether the code consumed last is, by chance, also one of the next: then it is fresh again.
    pub(super) fn would_repeat(&mut self) -> bool {
        self.look_ahead();
        self.ahead.contains(&self.consumed)
    }

    /// The request with the next code.
    pub(super) fn request(&mut self) -> Vec<u8> {
        match self.ahead.pop_front() {
            Some(request) => request,
            None => self.next_request(),
        }
    }
}

/// The phone of a user.
pub(super) fn number(nth: usize) -> String {
    format!("+4179{:07}", 1_000_000 + nth)
}

impl Stage {
    /// Starts the appliance with its state in a directory and adds everyone.
    pub(super) fn start(state: &Path) -> Stage {
        let options = RigOptions {
            state_dir: Some(state.join("appliance")),
            log: "warn".to_owned(),
            ..RigOptions::with_modem()
        };
        let appliance = Appliance::start(options);
        let key = appliance.app_key("bench", &["verify", "challenge"]);
        let users = thread::scope(|scope| {
            let share = USERS.div_ceil(ENROLLING);
            let firsts = (0..USERS).step_by(share);
            let adding: Vec<_> = firsts
                .map(|first| (first, appliance.admin()))
                .map(|(first, admin)| scope.spawn(move || add(admin, first..USERS.min(first + share))))
                .collect();
            adding.into_iter().flat_map(|thread| thread.join().expect("each user is added")).collect()
        });
        Stage { appliance, users, key }
    }

    /// The application, over loopback.
    pub(super) fn client(&self) -> Client {
        self.appliance.loopback(Some(&self.key))
    }
}

fn add(mut admin: Client, range: std::ops::Range<usize>) -> Vec<User> {
    range
        .map(|nth| {
            let name = format!("user-{nth}");
            admin.post("/v1/users", &json!({"name": name})).expect(201);
            let secret = people::enrol(&mut admin, &name, &json!({"type": "hotp"})).secret;
            if nth < PHONES {
                admin.put(&format!("/v1/users/{name}/phone"), &json!({"number": number(nth)})).expect(200);
            }
            User { name, secret, counter: 0, ahead: VecDeque::new(), consumed: Vec::new() }
        })
        .collect()
}

/// A directory for a SoftHSM token that is yet to be made: configuration and PINs.
pub(super) fn token_directory() -> TempDir {
    let directory = scratch::directory();
    let path = directory.path();
    std::fs::create_dir(path.join("tokens")).expect("own scratch directory");
    let tokens = path.join("tokens").display().to_string();
    let conf = format!("directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n");
    std::fs::write(path.join("softhsm2.conf"), conf).expect("own scratch directory");
    scratch::secret_file(&path.join("pin"), PIN);
    scratch::secret_file(&path.join("so-pin"), SO_PIN);
    directory
}
