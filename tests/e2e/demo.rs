//! `countersign demo`: what it promises to people, and to programs that read its `demo.json`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::appliance::{binary, told};
use tests::forms::Visitor;
use tests::http::Endpoint;
use tests::process::Owned;
use tests::time::unix_s;
use tests::{Client, Secret, scratch, wait_until};

/// Longest time from the start to a demo that is up, on a machine that does much else.
const UP: Duration = Duration::from_secs(120);
/// Longest time for its end.
const END: Duration = Duration::from_secs(60);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("demo").args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    demo(arguments).stdin(Stdio::null()).output().expect("the binary starts")
}

/// Processes whose command line names this directory, the demo's own children among them.
fn processes_of(state: &Path) -> Vec<String> {
    let name = state.to_str().expect("a scratch path is text");
    let of = |pid: &PathBuf| {
        let about = ["cmdline", "environ"].map(|file| fs::read(pid.join(file)).unwrap_or_default());
        String::from_utf8_lossy(&about.concat()).replace('\0', " ")
    };
    let all = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    all.filter(|pid| *pid != Path::new("/proc").join(std::process::id().to_string()))
        .map(|pid| of(&pid))
        .filter(|text| text.contains(name))
        .collect()
}

/// A demo that stays, in a directory of its own.
struct Staying {
    demo: Owned,
    state: PathBuf,
    json: Value,
    _scratch: tempfile::TempDir,
}

impl Staying {
    fn start() -> Staying {
        let scratch = scratch::directory();
        let state = scratch.path().join("state");
        let log = scratch.path().join("demo.log");
        let mut demo = Owned::start(demo(&[]).arg("--state").arg(&state), &log);
        let text = wait_until(UP, "demo.json", || {
            assert!(demo.ended().is_none(), "it ended: {}", fs::read_to_string(&log).unwrap_or_default());
            fs::read_to_string(state.join("demo.json")).ok()
        });
        // It appears whole, or not at all.
        let json = serde_json::from_str(&text).expect("demo.json is JSON");
        Staying { demo, state, json, _scratch: scratch }
    }

    fn text(&self, pointer: &str) -> &str {
        let found = self.json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("demo.json has no {pointer}: {}", self.json))
    }

    fn pid(&self, field: &str) -> PathBuf {
        let pid = self.json[field].as_u64().unwrap_or_else(|| panic!("demo.json has no {field}"));
        Path::new("/proc").join(pid.to_string())
    }

    fn secret(&self, field: &str) -> Secret {
        Secret::of_uri(&format!("?secret={}", self.text(&format!("/users/alice/{field}"))))
    }

    fn client(&self, key: &str) -> Client {
        let address = self.text("/api").strip_prefix("http://").expect("plain HTTP");
        Client::new(Endpoint::Tcp(address.parse().expect("an address")), Some(self.text(key)))
    }
}

#[test]
fn every_step_holds_and_nothing_stays() {
    let done = run(&["--exit"]);
    assert_eq!(done.status.code(), Some(0), "{}", told(&done));
    let stdout = String::from_utf8(done.stdout).expect("UTF-8");
    let state =
        Path::new(stdout.lines().next().and_then(|line| line.strip_prefix("state: ")).expect(&stdout));
    assert!(state.is_absolute() && !state.exists());
    assert_eq!(stdout.matches('✓').count(), 19, "eighteen steps and the whole: {stdout}");
    assert!(!stdout.contains("left out"), "letter and token are part of it: {stdout}");
    assert!(!stdout.contains('\x1b'), "colours are for terminals");
    assert_eq!(processes_of(state), Vec::<String>::new());
}

#[test]
fn json_is_one_document() {
    let done = run(&["--exit", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", told(&done));
    let report: Value = serde_json::from_slice(&done.stdout).expect("one JSON document");
    assert_eq!(report["held"], true);
    assert_eq!(report["steps"].as_array().map(Vec::len), Some(18));
}

#[test]
fn programs_use_it_and_sigterm_ends_all_of_it() {
    let mut staying = Staying::start();
    let state = staying.state.clone();
    let mode = |path: &Path| fs::metadata(path).expect("the demo made it").permissions().mode() & 0o7777;
    assert_eq!([mode(&state), mode(&state.join("demo.json"))], [0o700, 0o600]);
    for pointer in
        ["/socket", "/modem", "/modem_journal", "/config", "/state", "/hsm/module", "/hsm/pin_file"]
    {
        assert!(Path::new(staying.text(pointer)).exists(), "{pointer}");
    }
    assert!(Path::new(staying.text("/hsm/env/SOFTHSM2_CONF")).exists());
    assert_eq!(staying.text("/state"), state.to_str().expect("text"));
    assert!(state.join("countersign.db").exists());
    assert!(
        staying.text("/ui").starts_with("http://127.0.0.1:") && !staying.text("/hsm/token_label").is_empty()
    );
    assert!(staying.pid("pid").exists() && staying.pid("hsm_pid").exists());

    let mut app = staying.client("/app_key");
    let code = staying.secret("totp_secret").totp(unix_s());
    let answer = app.verify("alice", &code);
    assert!(answer.accepted(), "the code of this moment is still fresh: {}", answer.text());
    assert!(app.verify("alice", &code).rejected());
    let hotp = staying.secret("hotp_secret").hotp(5);
    assert!(app.verify_token(staying.text("/users/alice/hotp_serial"), &hotp).accepted());
    let journal = PathBuf::from(staying.text("/modem_journal"));
    let before = tests::modem::read_journal(&journal).len();
    app.post("/v1/challenges", &json!({ "user": "alice", "channel": "sms" })).expect(201);
    wait_until(END, "the last SMS", || {
        (tests::modem::read_journal(&journal).len() == before + 1).then_some(())
    });
    let address = staying.text("/ui").strip_prefix("http://").expect("plain HTTP");
    let mut visitor = Visitor::new(address.parse().expect("an address"));
    visitor.go("/ui/login").at("/ui/login");
    visitor.submit(&[("username", "alice"), ("password", staying.text("/users/alice/password"))]);
    visitor.at("/ui/select").submit(&[("option", "LINK")]).at("/ui/sms/wait");
    let mut admin = staying.client("/admin_key");
    admin.post("/v1/users", &json!({ "name": "dave" })).expect(201);

    let (daemon, hsm) = (staying.pid("pid"), staying.pid("hsm_pid"));
    let socket = PathBuf::from(staying.text("/socket"));
    assert_eq!(staying.demo.terminate(END).code(), Some(0));
    assert!(!daemon.exists() && !hsm.exists() && !socket.exists());
    assert_eq!(processes_of(&state), Vec::<String>::new());
    assert!(state.is_dir(), "a directory that was asked for stays");
}

#[test]
fn a_killed_demo_takes_its_children_along() {
    let mut staying = Staying::start();
    staying.demo.kill9();
    wait_until(END, "the end of the children", || processes_of(&staying.state).is_empty().then_some(()));
    // What it left behind is a demo's directory, and so may be used again.
    let again = demo(&["--exit", "--state"]).arg(&staying.state).output().expect("the binary starts");
    assert_eq!(again.status.code(), Some(0), "{}", told(&again));
}

#[test]
fn a_directory_with_other_things_is_left_alone() {
    let scratch = scratch::directory();
    fs::write(scratch.path().join("letter"), "mine").expect("own scratch directory");
    let refused = demo(&["--exit", "--state"]).arg(scratch.path()).output().expect("the binary starts");
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no demo made it"));
    assert_eq!(fs::read_dir(scratch.path()).expect("own scratch directory").count(), 1);
}
