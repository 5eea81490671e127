//! What is wrong, missing, full or malicious: the appliance says so, and stays up.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::appliance::{PIN, SOFTHSM, told};
use tests::http::{Endpoint, read_answer};
use tests::{Answer, Appliance, ModemOptions, PATIENCE, RigOptions, scratch, wait_until};

const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
/// As the appliance promises for headers, and a margin for a loaded machine.
const HEADERS_CUT: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_secs(5);

fn unavailable(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (503, code), "{}", answer.text());
    assert!(answer.header("retry-after").is_some(), "{}", answer.head);
}

fn metric(rig: &Appliance, line: &str) -> bool {
    rig.loopback(None).get("/metrics").expect(200).text().lines().any(|found| found == line)
}

/// Rule 5, T7, HSM-21. Red when a wrong PIN is tried again by anything but a person's word, a restart included.
#[test]
fn a_wrong_pin_is_tried_once_and_latched() {
    let mut rig = Appliance::start(RigOptions::default());
    let token = rig.hotp_user("alice");
    rig.stop();
    let log = rig.path("spy.log");
    rig.options_mut().module = SPY.into();
    rig.options_mut().hsm_env = vec![
        ("PKCS11SPY".to_owned(), SOFTHSM.to_owned()),
        ("PKCS11SPY_OUTPUT".to_owned(), log.display().to_string()),
    ];
    rig.write_config();
    let logins = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter(|line| line.trim_end().ends_with(": C_Login")).count()
    };
    scratch::secret_file(&rig.path("pin"), "00000000");
    for start in 0..3 {
        rig.serve();
        rig.await_listening();
        let mut admin = rig.admin();
        unavailable(&admin.verify("alice", &token.secret.hotp(0)), "hsm-pin-latched");
        unavailable(&admin.verify("nobody", "123456"), "hsm-pin-latched");
        assert_eq!(admin.get("/readyz").status, 503);
        assert!(metric(&rig, "countersign_hsm_up 0"));
        assert_eq!(logins(), 1, "start {start}");
        if start == 1 {
            scratch::secret_file(&rig.path("pin"), PIN);
        }
        rig.stop();
    }
    assert!(!rig.log_text().contains("00000000"), "the PIN is in the log");
    rig.cli_json(&["hsm", "unlatch"]);
    rig.restart();
    assert_eq!(logins(), 2);
    assert!(rig.admin().verify("alice", &token.secret.hotp(0)).accepted(), "nothing was consumed");
    assert_eq!(rig.show_user("alice")["failures"], 0, "nothing was counted");
}

/// A22, rule 4: the daemon says what is missing and serves everything that needs no HSM.
#[test]
fn a_missing_module_and_a_wrong_label_are_named() {
    let mut rig = Appliance::prepare(RigOptions::default());
    for (module, label, named) in [
        ("/nonexistent/module.so", "countersign-rig", "/nonexistent/module.so"),
        (SOFTHSM, "another-token", "another-token"),
        ("/etc/hostname", "countersign-rig", "/etc/hostname"),
    ] {
        rig.options_mut().module = module.into();
        rig.options_mut().token_label = label.to_owned();
        rig.write_config();
        rig.serve();
        rig.await_listening();
        let readiness = rig.loopback(None).get("/readyz").expect(503).json();
        assert!(readiness["hsm"].as_str().unwrap().contains(named), "{readiness}");
        unavailable(&rig.admin().verify("alice", "123456"), "hsm-unavailable");
        assert!(rig.stop().success());
    }
}

/// A tmpfs of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where mounting is not allowed.
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir(at).expect("own scratch directory");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs"]).arg(at);
        command.output().is_ok_and(|output| output.status.success()).then(|| SmallDisk(at.to_owned()))
    }

    /// Takes all space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).expect("the disk is not full yet");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that is still ending may hold it.
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

/// A22, T6, rule 4. Red when an accept is answered although its commit failed, or the daemon does not recover.
#[test]
fn a_full_disk_accepts_nothing_and_recovers() {
    let scratch = scratch::directory();
    let Some(disk) = SmallDisk::mount(&scratch.path().join("disk")) else {
        println!("badinput: full disk skipped, a file system cannot be mounted here");
        return;
    };
    let state = disk.0.join("state");
    let rig = Appliance::start(RigOptions { state_dir: Some(state), ..RigOptions::default() });
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    assert!(app.verify("alice", &token.secret.hotp(0)).accepted());
    let filler = disk.fill();
    let (mut refused, mut slowest, mut next) = (0, Duration::ZERO, 1);
    // What the log already has room for may still be accepted, durably; soon nothing is.
    wait_until(PATIENCE, "the disk is full for the store", || {
        let answer = app.verify("alice", &token.secret.hotp(next));
        next += u64::from(answer.accepted());
        (answer.status == 503).then_some(())
    });
    for _ in 0..50 {
        let begun = Instant::now();
        let answer = app.verify("alice", &token.secret.hotp(next));
        slowest = slowest.max(begun.elapsed());
        unavailable(&answer, "store-unavailable");
        refused += 1;
    }
    fs::remove_file(filler).unwrap();
    let begun = Instant::now();
    wait_until(Duration::from_secs(5), "the store recovers", || {
        app.verify("alice", &token.secret.hotp(next)).accepted().then_some(())
    });
    let recovery = begun.elapsed();
    assert!(app.verify("alice", &token.secret.hotp(next)).rejected(), "once");
    assert_eq!(rig.show_user("alice")["failures"], 0, "nothing was counted");
    rig.check_chain();
    println!("badinput: full disk, {refused} refused, slowest {slowest:?}, back after {recovery:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// MOD-04: a port that someone else holds, one that does not answer, one that is no terminal and one that is not
/// there; the daemon verifies all the same.
#[test]
fn ports_without_a_usable_modem_do_not_stop_the_daemon() {
    let first = Appliance::start(RigOptions::with_modem());
    wait_until(PATIENCE, "the modem", || {
        metric(&first, "countersign_modem_up{modem=\"m1\"} 1").then_some(())
    });
    let missing = first.path("missing");
    let ports: [(&str, &Path); 4] = [
        ("busy", &first.modem().port),
        ("silent", Path::new("/dev/ptmx")),
        ("null", Path::new("/dev/null")),
        ("missing", &missing),
    ];
    let modems = ports.iter().map(|(id, port)| ModemOptions::at(id, port)).collect();
    let rig = Appliance::start(RigOptions { modems, ..RigOptions::default() });
    let token = rig.hotp_user("alice");
    wait_until(PATIENCE, "each port to be tried", || {
        let down = rig.events("type=modem.down");
        let tried = |id: &str| down.iter().any(|event| event["actor"]["id"] == id);
        ports.iter().all(|(id, _)| tried(id)).then_some(())
    });
    for (id, _) in ports {
        assert!(metric(&rig, &format!("countersign_modem_up{{modem=\"{id}\"}} 0")), "{id}");
    }
    let busy =
        rig.events("type=modem.down").into_iter().find(|event| event["actor"]["id"] == "busy").unwrap();
    assert!(busy["reason"].as_str().unwrap().contains("in use"), "{busy}");
    assert!(rig.admin().verify("alice", &token.secret.hotp(0)).accepted());
    assert!(metric(&first, "countersign_modem_up{modem=\"m1\"} 1"), "the holder keeps its modem");
    assert_eq!(first.events("type=modem.down").len(), 0);
}

/// Facts, "Command line": each finding as `file:line: key: text`, exit 2, and no daemon on a bad file.
#[test]
fn a_bad_configuration_is_named_line_by_line() {
    let mut rig = Appliance::prepare(RigOptions::default());
    let good = fs::read_to_string(&rig.config).unwrap();
    let cases = [
        (format!("{good}\n[limits]\ntoken_failure = 5\n"), "token_failure"),
        (format!("{good}\n[limits]\ntoken_failures = 500\n"), "limits.token_failures"),
        (format!("{good}\n[limits]\ntoken_lock = \"soon\"\n"), "limits.token_lock"),
        (format!("{good}\n[[listen]]\nkind = \"http\"\naddress = \"0.0.0.0:80\"\n"), "listen.address"),
        (format!("{good}\n[sms]\nmessage = \"no place\"\n"), "sms.message"),
    ];
    for (text, key) in cases {
        fs::write(&rig.config, &text).unwrap();
        let line = text.lines().count();
        let checked = rig.cli(&["config", "check", rig.config.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(checked.status.code(), Some(2), "{}", told(&checked));
        let expected = format!("{}:{line}: {key}: ", rig.config.display());
        assert!(said.starts_with(&expected), "{said} does not begin with {expected}");
        rig.serve();
        assert_eq!(rig.await_end().code(), Some(2));
        assert!(rig.log_text().contains(&expected), "{}", rig.log_text());
    }
    let missing = rig.cli(&["config", "check", "/nonexistent.toml"]);
    assert_eq!(missing.status.code(), Some(2), "{}", told(&missing));
}

/// A34, T16, fact 7: bodies that are no requests.
#[test]
fn bodies_are_bounded_and_strict() {
    let rig = Appliance::start(RigOptions::default());
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\"x\"",
        b"{\"user\":1}",
        b"\xff\xfe",
        b"{\"user\":\"\xc3\x28\"}",
        b"NaN",
    ];
    for body in bodies {
        let answer = app.send("POST", "/v1/verify", Some(body)).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{body:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let deep = [vec![b'['; 8000], vec![b']'; 8000]].concat();
    assert_eq!(app.send("POST", "/v1/verify", Some(&deep)).unwrap().status, 400, "nesting");
    let frame = r#"{"user":"alice","otp":""}"#.len();
    let padded = |size: usize| format!(r#"{{"user":"alice","otp":"{}"}}"#, "x".repeat(size - frame));
    let answer = app.send("POST", "/v1/verify", Some(padded(16 * 1024).as_bytes())).unwrap();
    assert!(answer.rejected(), "16 KiB are read: {}", answer.text());
    let answer = app.send("POST", "/v1/verify", Some(padded(16 * 1024 + 1).as_bytes())).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (413, "too-large"));
    let endless = app.send("POST", "/v1/verify", Some(&vec![b' '; 1 << 20]));
    assert!(endless.is_err() || endless.is_ok_and(|answer| answer.status == 413), "a mebibyte");
    let mut app = rig.loopback(Some(&key));
    assert_eq!(app.get("/v1/nothing").code(), "not-found");
    assert_eq!(app.get("/v1/verify").status, 405);
    assert_eq!(app.get("/healthz").status, 200, "the daemon is well");
}

/// A list that silently ignored a filter would say too much. Red when a parameter that nobody knows is passed over.
#[test]
fn a_filter_that_is_none_is_refused() {
    let rig = Appliance::start(RigOptions::default());
    let mut admin = rig.admin();
    for list in
        ["events?kind=sms.sent", "users?name=x", "tokens?owner=x", "letters?users=x", "enrolments?who=x"]
    {
        let answer = admin.get(&format!("/v1/{list}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{list}");
        assert!(answer.text().contains("unknown field"), "{list}: {}", answer.text());
    }
}

/// A34, T16: whoever dawdles over the headers is cut off; others are served meanwhile.
#[test]
fn slow_headers_are_cut_off() {
    let rig = Appliance::start(RigOptions::default());
    let slow: Vec<_> = [Endpoint::Tcp(rig.address), Endpoint::Unix(rig.socket.clone())]
        .into_iter()
        .flat_map(|endpoint| std::iter::repeat_n(endpoint, 50))
        .map(|endpoint| {
            let mut stream = endpoint.connect().unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(rig.loopback(None).get("/healthz").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(1), "others wait");
    for mut stream in slow {
        let mut rest = Vec::new();
        // Cut off with or without a last word.
        drop(stream.read_to_end(&mut rest));
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
    }
    let took = begun.elapsed();
    println!("badinput: 100 slow connections cut off after {took:?}");
    assert!(took < HEADERS_CUT + MARGIN, "{took:?}");
}

/// ASVS 4.1, A32: no key, a wrong key, an ended key, a key without the scope; a denial is an event.
#[test]
fn a_key_is_needed_and_its_scope_too() {
    let rig = Appliance::start(RigOptions::default());
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let body = json!({"user": "alice", "otp": token.secret.hotp(0)});
    for wrong in [None, Some("csk_wrong"), Some(""), Some(&key[..key.len() - 1])] {
        let answer = rig.loopback(wrong).post("/v1/verify", &body);
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorised"), "{wrong:?}");
    }
    let mut app = rig.loopback(Some(&key));
    let denied = [
        app.post("/v1/users", &json!({"name": "mallory"})),
        app.post("/v1/users/alice/tokens", &json!({"type": "totp"})),
        app.put("/v1/users/alice/phone", &json!({"number": "+41791234567"})),
        app.post("/v1/challenges", &json!({"user": "alice", "channel": "sms"})),
        app.post("/v1/applications", &json!({"name": "mallory", "scopes": ["admin"]})),
        app.post(&format!("/v1/tokens/{}/revoke", token.serial), &json!({})),
        app.post("/v1/messages", &json!({"to": "+41791234567", "text": "x"})),
        app.get("/v1/events"),
        app.get("/v1/users/alice"),
        app.get("/v1/hsm"),
    ];
    for answer in &denied {
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{}", answer.text());
    }
    assert_eq!(rig.events("type=api.forbidden").len(), denied.len(), "each denial is an event");
    assert!(app.post("/v1/verify", &body).accepted(), "what it may, it may");
    rig.admin().delete("/v1/applications/vpn").expect(204);
    assert_eq!(app.verify("alice", &token.secret.hotp(1)).status, 401, "at once");
}

/// One daemon per state directory. Red when the lock is taken late or not at all.
#[test]
fn a_second_daemon_on_one_state_directory_is_refused() {
    let first = Appliance::start(RigOptions::default());
    let mut second =
        Appliance::prepare(RigOptions { state_dir: Some(first.state.clone()), ..RigOptions::default() });
    second.serve();
    assert_eq!(second.await_end().code(), Some(3));
    let said = second.log_text();
    assert!(said.contains("another countersign daemon uses this state directory"), "{said}");
    assert_eq!(first.loopback(None).get("/readyz").status, 200);
}

/// An answer to a pipelined or broken request never belongs to another: what follows bad bytes is not read.
#[test]
fn bytes_that_are_no_http_end_the_connection() {
    let rig = Appliance::start(RigOptions::default());
    let broken: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"\r\n\r\n\0\0\0\0 garbage\r\n\r\n",
    ];
    for bytes in broken {
        let mut stream = Endpoint::Tcp(rig.address).connect().unwrap();
        stream.write_all(bytes).unwrap();
        let mut reader = std::io::BufReader::new(stream);
        if let Ok(answer) = read_answer(&mut reader) {
            assert_eq!(answer.status, 400, "{bytes:?}");
        }
        let mut rest = Vec::new();
        drop(reader.read_to_end(&mut rest));
        assert!(rest.is_empty(), "more than one answer to {bytes:?}");
    }
    assert_eq!(rig.loopback(None).get("/healthz").status, 200);
}
