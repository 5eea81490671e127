//! The emulated token as a process: attested by a maker key, found on its pty, killed and started again.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use token::link::{Call, Event, Life, Octets, Refusal, Session, Start, Suite, Waiting, call, transcript};

/// The slowest machine starts a process in this time.
const START: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Killed when dropped, which leaves its symlink.
struct Sim(Child);

impl Sim {
    fn start(dir: &Path, more: &[&str]) -> Self {
        let link = dir.join("token");
        let child = Command::new(env!("CARGO_BIN_EXE_token-sim"))
            .arg("--link")
            .arg(&link)
            .arg("--state")
            .arg(dir.join("state"))
            .arg("--maker-key")
            .arg(dir.join("maker"))
            .arg("--display")
            .arg(dir.join("display"))
            .args(more)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !link.exists() {
            assert!(began.elapsed() < START, "no line");
            sleep(PAUSE);
        }
        Self(child)
    }

    fn say(&mut self, word: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn shown(dir: &Path, wanted: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !std::fs::read_to_string(dir.join("display")).is_ok_and(|text| wanted(&text)) {
            assert!(began.elapsed() < START, "the display does not show it");
            sleep(PAUSE);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn ask<C: Call>(line: &mut File, sequence: u32, call: C) -> Result<C::Answer, Refusal> {
    let began = Instant::now();
    let now = || began.elapsed().as_millis() as u64;
    let mut session = Session::new(sequence);
    session.begin(&call.into_request(), 0).unwrap();
    let mut bytes = [0; 256];
    loop {
        if let Some(frame) = session.poll_transmit() {
            line.write_all(frame).unwrap();
        }
        match line.read(&mut bytes) {
            Ok(count) => session.handle_bytes(&bytes[..count], now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(PAUSE),
            Err(error) => panic!("{error}"),
        }
        session.handle_timeout(now());
        match session.poll_event() {
            None | Some(Event::Waiting(Waiting::Presence | Waiting::Computing)) => {}
            Some(Event::Answered(answer)) => return Ok(C::answer(answer).unwrap()),
            Some(Event::Refused(refusal)) => return Err(refusal),
            Some(Event::Failed(failure)) => panic!("{failure}"),
        }
    }
}

fn open(dir: &Path) -> File {
    // O_NONBLOCK and O_NOCTTY of Linux.
    OpenOptions::new().read(true).write(true).custom_flags(0o4000 | 0o400).open(dir.join("token")).unwrap()
}

fn maker(dir: &Path) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_token-sim"))
        .args(["make-maker", "--out"])
        .arg(dir.join("maker"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_attested_token_answers_and_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let maker_key = data_encoding::HEXLOWER.decode(maker(dir.path()).as_bytes()).unwrap();
    let mut first = None;
    for turn in 0..2 {
        let sim = Sim::start(dir.path(), &["--serial", "CST-000042"]);
        for client in 0..3 {
            let mut line = open(dir.path());
            let info = ask(&mut line, turn * 10 + client, call::GetInfo).unwrap();
            let certificate = info.certificate.unwrap();
            assert_eq!((info.life, certificate.serial.as_str()), (Life::Attested, "CST-000042"));
            let key = VerifyingKey::from_sec1_bytes(&maker_key).unwrap();
            let signature = Signature::from_slice(certificate.signature.as_slice()).unwrap();
            key.verify(&transcript::certificate(&certificate), &signature).unwrap();
            assert_eq!(*first.get_or_insert(certificate.key), certificate.key);
            drop(line);
            sleep(Duration::from_millis(50));
        }
        drop(sim);
        std::fs::remove_file(dir.path().join("token")).unwrap();
    }
}

#[test]
fn buttons_come_from_standard_input_or_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    maker(dir.path());
    let key = data_encoding::HEXLOWER.decode(maker_point().as_bytes()).unwrap();
    let start = Start {
        slot: 0,
        suite: Suite::CbcData,
        host_nonce: Octets([3; 16]),
        host_key: Octets(key.try_into().unwrap()),
    };
    let mut sim = Sim::start(dir.path(), &[]);
    let mut line = open(dir.path());
    Sim::shown(dir.path(), |text| text.starts_with("digits: \n"));
    let before = std::fs::read_to_string(dir.path().join("display")).unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&mut line, 1, start.clone()));
        Sim::shown(dir.path(), |text| text != before);
        sleep(Duration::from_millis(1_200));
        sim.say("b");
        assert_eq!(asked.join().unwrap(), Err(Refusal::Denied));
    });
    drop((sim, line));
    std::fs::remove_file(dir.path().join("token")).unwrap();
    let _sim = Sim::start(dir.path(), &["--auto-press"]);
    let challenge = ask(&mut open(dir.path()), 7, start).unwrap();
    assert_eq!(challenge.counter, 1);
}

/// The base point of P-256 (SP 800-186 section 3.2.1.3): some point of the curve.
fn maker_point() -> String {
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        .replace(' ', "")
}
