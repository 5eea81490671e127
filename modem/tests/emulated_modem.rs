//! Our port against our emulated modem, over a real pty.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use modem::emulator::{Emulator, EmulatorSettings, Script, Sim};
use modem::pdu::{self, Number, SubmitOptions, Tpdu};
use modem::{Class, Family, InitError, Modem, ModemError, ModemSettings, PortError, SendError, Urc};
use serde_json::Value;
use tempfile::TempDir;
use zeroize::Zeroizing;

const LONG: Duration = Duration::from_secs(20);

/// An emulated modem in a thread, in a directory of its own.
struct Rig {
    directory: TempDir,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new(profile: Family, script: &str, sim: Sim) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = EmulatorSettings {
            link: directory.path().join("modem"),
            profile,
            script: Script::parse(script).expect("a script"),
            journal: Some(directory.path().join("journal")),
            transcript: Some(directory.path().join("transcript")),
            sim,
            report_delay: Duration::from_millis(100),
            now: || "2026-11-21T20:00:00Z".to_owned(),
        };
        let mut emulator = Emulator::open(settings).expect("a pty");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || emulator.run(&stopped).expect("the emulator runs"));
        Self { directory, stop, thread: Some(thread) }
    }

    fn plain(script: &str) -> Self {
        Self::new(Family::Generic, script, Sim::default())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn settings(&self, pin: Option<&str>) -> ModemSettings {
        ModemSettings {
            port: self.path("modem"),
            sim_pin: pin.map(|pin| Zeroizing::new(pin.to_owned())),
            smsc: None,
            sim_latch: self.path("latch"),
        }
    }

    fn open(&self) -> Modem {
        Modem::open(&self.settings(None)).expect("a modem")
    }

    fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("journal")).expect("a journal");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn transcript(&self) -> String {
        fs::read_to_string(self.path("transcript")).expect("a transcript")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn tpdus(text: &str, report: bool) -> Vec<Tpdu> {
    let number = Number::parse("+41791234567").expect("a number");
    pdu::submit(&number, text, &SubmitOptions { report, reference: 7, ..SubmitOptions::default() })
        .expect("encodable")
}

fn send(modem: &mut Modem, text: &str) -> Result<u8, SendError> {
    modem.send(&tpdus(text, false)[0], Instant::now() + LONG)
}

#[test]
fn every_family_sends() {
    for (profile, prompt, ds) in [
        (Family::Generic, "\r\n> ", Some(1)),
        (Family::Huawei, "\r\n> ", Some(1)),
        (Family::Simcom, "\r\n>\r\n", Some(2)),
        (Family::Quectel, "\r\n> ", Some(1)),
    ] {
        let rig = Rig::new(profile, "", Sim::default());
        let mut modem = rig.open();
        assert_eq!(send(&mut modem, "Code 123456"), Ok(1), "{}", profile.name());
        let info = modem.info();
        assert_eq!((info.profile, info.prompt.as_deref(), info.cnmi_ds), (profile, Some(prompt), ds));
        assert!(info.iccid.is_some() && info.imei.is_some(), "{info:?}");
        assert_eq!(rig.journal()[0]["text"], "Code 123456");
        assert_eq!(rig.journal()[0]["number"], "+41791234567");
    }
}

#[test]
fn parts_and_their_report() {
    let rig = Rig::plain("");
    let mut modem = rig.open();
    let text = "x".repeat(152) + "€ and more";
    for (tpdu, reference) in tpdus(&text, true).iter().zip(1..) {
        assert_eq!(modem.send(tpdu, Instant::now() + LONG), Ok(reference));
    }
    let journal = rig.journal();
    let joined: String = journal.iter().filter_map(|entry| entry["text"].as_str()).collect();
    assert_eq!(joined, text);
    assert_eq!(journal[1]["concat"], serde_json::json!({"reference": 7, "part": 2, "parts": 2}));

    let mut reported = Vec::new();
    let until = Instant::now() + LONG;
    while reported.len() < 2 && Instant::now() < until {
        for urc in modem.idle(Duration::from_secs(1)).expect("plugged in") {
            if let Urc::StatusReport(Ok(message), _) = urc {
                assert_eq!(message.status, Some(0));
                reported.push(message.message_reference.expect("TP-MR"));
            }
        }
    }
    reported.sort_unstable();
    assert_eq!(reported, [1, 2]);
}

/// From `send` to the modem's acknowledgement no pause of our own is waited: the emulator answers at once, and whatever
/// else the machine does only adds. Red when the dialogue sleeps: then no send is ever quick.
#[test]
fn an_idle_modem_takes_a_pdu_without_a_pause() {
    const QUICK: Duration = Duration::from_millis(100);
    const SENDS: usize = 50;
    let rig = Rig::plain("");
    let mut modem = rig.open();
    send(&mut modem, "warm").expect("sent");
    modem.idle(Duration::from_millis(50)).expect("plugged in");
    let is_quick = (0..SENDS).any(|_| {
        let begun = Instant::now();
        send(&mut modem, "Code 123456").expect("sent");
        begun.elapsed() < QUICK
    });
    assert!(is_quick, "none of {SENDS} sends took less than {QUICK:?}");
}

#[test]
fn a_second_open_is_refused_and_a_later_one_is_not() {
    let rig = Rig::plain("");
    for _ in 0..3 {
        let first = rig.open();
        let second = Modem::open(&rig.settings(None)).map(|_| ());
        assert!(matches!(second, Err(ModemError::Port(PortError::Busy(_)))), "{second:?}");
        drop(first);
        send(&mut rig.open(), "again").expect("sent");
    }
    assert_eq!(rig.journal().len(), 3);
}

#[test]
fn a_missing_port_and_a_file() {
    let rig = Rig::plain("");
    let open = |port: &Path| {
        let settings = ModemSettings { port: port.to_owned(), ..rig.settings(None) };
        Modem::open(&settings).map(|_| ()).expect_err("no modem there")
    };
    let missing = open(&rig.path("nowhere"));
    assert!(matches!(missing, ModemError::Port(PortError::Missing(_))), "{missing:?}");
    fs::write(rig.path("file"), "").expect("a file");
    let file = open(&rig.path("file"));
    assert!(matches!(file, ModemError::Port(PortError::Open { .. })), "{file:?}");
}

#[test]
fn faults_have_the_outcome_they_should() {
    for (fault, taken, expected) in [
        ("do = \"error\"\narg = \"331\"", 0, Some((Class::Temporary, Some(331)))),
        ("do = \"error\"\narg = \"28\"", 0, Some((Class::Permanent, Some(28)))),
        ("do = \"hang\"", 0, None),
        ("do = \"drop\"", 1, None),
        ("do = \"late\"\narg = \"10s\"", 1, None),
    ] {
        let rig = Rig::plain(&format!("[[fault]]\non = \"AT+CMGS\"\n{fault}\n"));
        let mut modem = rig.open();
        let sent = modem.send(&tpdus("Code", false)[0], Instant::now() + Duration::from_millis(700));
        match (sent, expected) {
            (Err(SendError::NotSent { class, code, .. }), Some(expected)) => {
                assert_eq!((class, code), expected)
            }
            (Err(SendError::Unknown { .. }), None) => {}
            (other, _) => panic!("{fault}: {other:?}"),
        }
        assert_eq!(rig.journal().len(), taken, "{fault}");
    }
}

#[test]
fn faults_that_do_no_harm() {
    for fault in [
        "on = \"AT+CMGS\"\ndo = \"urc\"\narg = \"+CREG: 5\"",
        "on = \"AT+CMGS\"\ndo = \"garbage\"",
        "on = \"AT+CMGS\"\ndo = \"split\"",
        "on = \"AT+CMGS\"\ndo = \"late\"\narg = \"700ms\"",
        "on = \"prompt\"\ndo = \"split\"",
        "on = \"prompt\"\ndo = \"urc\"",
    ] {
        let rig = Rig::plain(&format!("[[fault]]\n{fault}\n"));
        assert_eq!(send(&mut rig.open(), "Code"), Ok(1), "{fault}");
        assert_eq!(rig.journal().len(), 1, "{fault}");
    }
}

#[test]
fn unplugged_while_sending_and_while_idle() {
    let script = "[[fault]]\non = \"AT+CMGS\"\nnth = 1\ndo = \"unplug\"\narg = \"300ms\"\n\
                  [[fault]]\non = \"prompt\"\nnth = 2\ndo = \"unplug\"\narg = \"300ms\"\n";
    let rig = Rig::plain(script);
    for pdu_started in [true, false] {
        let mut modem = rig.open();
        assert_eq!(send(&mut modem, "Code"), Err(SendError::Unplugged { pdu_started }));
        let idle = modem.idle(LONG);
        assert!(matches!(idle, Err(ModemError::Unplugged(_))), "{pdu_started} {idle:?}");
        let back = Instant::now() + LONG;
        while !rig.path("modem").exists() && Instant::now() < back {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let mut modem = rig.open();
    assert_eq!(send(&mut modem, "Code"), Ok(1), "what was unplugged did not go out");
}

#[test]
fn a_modem_that_hangs_from_the_start() {
    let rig = Rig::plain("[[fault]]\non = \"AT\"\ndo = \"hang\"\n");
    let error = Modem::open(&rig.settings(None)).map(|_| ()).expect_err("it hangs");
    assert!(
        matches!(error, ModemError::Init { error: InitError::NotAModem | InitError::Silent, .. }),
        "{error:?}"
    );
}

#[test]
fn a_good_pin_unlocks_and_leaves_no_latch() {
    for profile in Family::ALL {
        let rig = Rig::new(profile, "", Sim::with_pin("4711".to_owned(), 3));
        let mut modem = Modem::open(&rig.settings(Some("4711"))).expect("unlocked");
        assert_eq!(send(&mut modem, "Code"), Ok(1), "{}", profile.name());
        assert!(!rig.path("latch").exists());
        assert!(!rig.transcript().contains("4711"), "the transcript masks the PIN");
    }
}

#[test]
fn a_wrong_pin_costs_one_attempt_across_restarts() {
    let rig = Rig::new(Family::Generic, "", Sim::with_pin("1234".to_owned(), 3));
    let refused = |pin| match Modem::open(&rig.settings(pin)).map(|_| ()) {
        Err(ModemError::Init { error, .. }) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(Some("0000")), InitError::PinRefused(_)));
    let latch = fs::read_to_string(rig.path("latch")).expect("a latch");
    assert!(!latch.contains("0000"), "{latch}");
    assert_eq!(refused(Some("0000")), InitError::PinLatched);
    assert_eq!(refused(Some("1234")), InitError::PinLatched);
    assert_eq!(refused(None), InitError::PinMissing);
    assert_eq!(rig.transcript().matches("+CPIN=").count(), 1);

    fs::remove_file(rig.path("latch")).expect("the operator's act");
    assert_eq!(refused(Some("1234")), InitError::PinAttempts(2), "two are left, which is too few");
    assert_eq!(rig.transcript().matches("+CPIN=").count(), 1);
}

#[test]
fn probing_the_prompt_sends_nothing() {
    let rig = Rig::new(Family::Simcom, "", Sim::default());
    let mut modem = rig.open();
    modem.probe_prompt().expect("a prompt");
    assert_eq!(modem.info().prompt.as_deref(), Some("\r\n>\r\n"));
    assert_eq!(send(&mut modem, "Code"), Ok(1));
    assert_eq!(rig.journal().len(), 1);
}

#[test]
fn the_symlink_goes_with_the_emulator() {
    let rig = Rig::plain("");
    let link = rig.path("modem");
    assert!(link.is_symlink());
    rig.stop.store(true, Ordering::Relaxed);
    let until = Instant::now() + LONG;
    while link.is_symlink() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!link.is_symlink());
}
