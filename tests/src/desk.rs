//! A registration desk: registration authorities as real uids, applicants behind an application, and hardware tokens in
//! stock.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::appliance::{Appliance, RigOptions, binary, told};
use crate::http::{Answer, Client};
use crate::technician::Bench;
use crate::time::unix_s;
use crate::token::EmulatedToken;

/// The copy of the binary that everybody can run.
const BINARY: &str = "countersign-for-all";
/// What one person may do alone here.
const ALONE: &str = "[two_person]\nacts = []\n";
/// What an application of applicants may do.
pub const SCOPES: [&str; 4] = ["enrol:request", "user:assert", "verify", "challenge"];

/// The desk.
pub struct Desk {
    /// The bench with the appliance.
    pub bench: Bench,
    /// Key of the applicants' application.
    pub key: String,
}

impl Desk {
    /// A desk whose socket others can reach; none where the test is not root.
    ///
    /// # Panics
    /// When something does not start.
    pub fn open(config: &str) -> Option<Desk> {
        Desk::open_with(RigOptions::with_modem(), config)
    }

    /// The same with other options.
    ///
    /// # Panics
    /// When something does not start.
    pub fn open_with(options: RigOptions, config: &str) -> Option<Desk> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("desk: not root, nothing is tried");
            return None;
        }
        let bench = Bench::start_with(options, &format!("{ALONE}{config}"));
        let rig = &bench.rig;
        fs::set_permissions(rig.path(""), fs::Permissions::from_mode(0o711)).expect("own scratch directory");
        // The built binary may lie where others cannot go.
        fs::copy(binary(), rig.path(BINARY)).expect("room for a copy");
        fs::set_permissions(rig.path(BINARY), fs::Permissions::from_mode(0o755)).expect("own copy");
        let key = rig.app_key("portal", &SCOPES);
        Some(Desk { bench, key })
    }

    /// The appliance.
    pub fn rig(&self) -> &Appliance {
        &self.bench.rig
    }

    /// The applicants' application.
    pub fn portal(&self) -> Client {
        self.rig().loopback(Some(&self.key))
    }

    /// Makes an operator.
    #[track_caller]
    pub fn operator(&self, name: &str, uid: u32, roles: &str) {
        let added =
            self.rig().cli_json(&["operator", "add", name, "--uid", &uid.to_string(), "--role", roles]);
        assert_eq!(added["uid"], uid, "{added}");
    }

    /// A token, provisioned and in stock.
    ///
    /// # Panics
    /// When it is not provisioned.
    #[track_caller]
    pub fn stocked(&self, serial: &str) -> EmulatedToken {
        let token = self.bench.token(serial);
        let said = self.bench.provision(&token.port);
        assert!(said.provisioned(), "{}", said.told);
        token
    }

    /// Runs a command as somebody.
    ///
    /// # Panics
    /// When it does not start.
    pub fn as_uid(&self, uid: u32, arguments: &[&str]) -> Output {
        let rig = self.rig();
        let own = rig.command(&[&["--json"], arguments].concat());
        let mut command = Command::new(rig.path(BINARY));
        command.env_clear().args(own.get_args());
        command.envs(own.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = piped.uid(uid).gid(uid).spawn().expect("the binary starts");
        child.wait_with_output().expect("own child")
    }

    /// Runs a command as somebody, which must be done.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn done(&self, uid: u32, arguments: &[&str]) -> Value {
        let output = self.as_uid(uid, arguments);
        assert!(output.status.success(), "{uid} {arguments:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", told(&output)))
    }

    /// Runs a command that must end with exit 1 and say this.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn refused(&self, uid: u32, arguments: &[&str], text: &str) {
        let output = self.as_uid(uid, arguments);
        assert_eq!(output.status.code(), Some(1), "{uid} {arguments:?}: {}", told(&output));
        assert!(told(&output).contains(text), "{uid} {arguments:?}: {}", told(&output));
    }

    /// A registration authority with a hardware token of level 3: vetted by `by`, a uid, or by root as long as there is
    /// nobody else.
    ///
    /// # Panics
    /// When a step of it is refused.
    #[track_caller]
    pub fn authority(&self, name: &str, uid: u32, serial: &str, by: u32) -> EmulatedToken {
        self.operator(name, uid, "ra");
        let mut token = self.stocked(serial);
        let asked = self.done(by, &["enrol", "request", name, "--method", "on_premise", "--level", "3"]);
        let id = asked["id"].as_str().expect("a handle").to_owned();
        self.done(by, &["enrol", "preregister", &id, "--type", "hardware"]);
        self.vetted(by, &id);
        self.done(by, &["enrol", "handover", &id, serial]);
        let code = token.code(6);
        self.done(by, &["enrol", "bind", &id, &code]);
        let active = self.done(by, &["enrol", "activate", &id]);
        assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(3.0)), "{active}");
        token
    }

    /// A document is looked at, and everything is as it should be.
    #[track_caller]
    pub fn vetted(&self, by: u32, id: &str) -> Value {
        self.done(by, &["enrol", "vet", "begin", id, "--place", "Desk 3"]);
        self.done(by, &[&["enrol", "vet", "proof", id][..], &PASSPORT].concat());
        self.done(by, &["enrol", "vet", "record", id])
    }

    /// Asks for a factor through the application, with a first factor.
    #[track_caller]
    pub fn ask(&self, user: &str, method: &str, level: f64) -> String {
        let asked = self.portal().post("/v1/enrolments", &request(user, method, level)).expect(201).json();
        assert_eq!(asked["state"], "eligible", "{asked}");
        asked["id"].as_str().expect("a handle").to_owned()
    }

    /// An act at an enrolment through the application.
    #[track_caller]
    pub fn apply(&self, id: &str, act: &str, body: &Value) -> Answer {
        self.portal().post(&format!("/v1/enrolments/{id}/{act}"), body)
    }

    /// The registration code of an enrolment.
    #[track_caller]
    pub fn code(&self, id: &str) -> String {
        let made = self.apply(id, "code", &json!({})).expect(201).json();
        made["code"].as_str().expect("a code").to_owned()
    }

    /// An enrolment as root sees it.
    #[track_caller]
    pub fn show(&self, id: &str) -> Value {
        self.rig().admin().get(&format!("/v1/enrolments/{id}")).expect(200).json()
    }
}

/// A passport that is as it should be, at the command line.
pub const PASSPORT: [&str; 10] = [
    "--document",
    "passport",
    "--country",
    "CH",
    "--last6",
    "X12345",
    "--not-expired",
    "--name-match",
    "--photo-match",
    "--security-features",
];

/// A request with a first factor that a federated login has shown just now.
pub fn request(user: &str, method: &str, level: f64) -> Value {
    json!({
        "user": user, "method": method, "level": level, "channel": "federated", "name": "Alice Example",
        "email": "alice@example.org", "first_factor": login("_a75adf55", unix_s()),
    })
}

/// A federated login, made at this Unix second.
pub fn login(id: &str, at: u64) -> Value {
    json!({"issuer": "https://idp.example.org", "id": id, "at": rfc3339(at)})
}

fn rfc3339(at: u64) -> String {
    jiff::Timestamp::from_second(i64::try_from(at).expect("a time")).expect("a time").to_string()
}

/// The assertion of an electronic identity, made at this Unix second.
///
/// # Panics
/// Outside the times that RFC 3339 writes.
pub fn assertion(id: &str, at: u64, level: f64) -> Value {
    json!({"issuer": "https://eid.example.org", "id": id, "at": rfc3339(at), "level": level})
}

/// The names of events about an enrolment, in order; refused ones with their reason.
pub fn told_of(rig: &Appliance, id: &str) -> Vec<String> {
    let events = rig.events("type=enrol").into_iter().filter(|event| event["subject"]["enrolment"] == id);
    let named = events.map(|event| {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        if event["outcome"] == "ok" {
            kind
        } else {
            format!("{kind} {}", event["reason"].as_str().unwrap_or_default())
        }
    });
    named.collect()
}
