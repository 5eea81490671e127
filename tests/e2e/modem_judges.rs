//! Foreign judges of our SMS: gammu as a client of the emulated modem, tshark as a decoder of our PDUs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::Value;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

/// The real binary: `COUNTERSIGN_BIN`, else the release build of this workspace.
fn countersign() -> Command {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/countersign");
    let binary = env::var_os("COUNTERSIGN_BIN").map_or(built, PathBuf::from);
    assert!(binary.exists(), "{} is missing: build it, or set COUNTERSIGN_BIN", binary.display());
    Command::new(binary)
}

/// An emulated modem as a process of its own; SIGTERM ends it.
struct Emulated {
    directory: TempDir,
    process: Child,
}

impl Emulated {
    fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let process = countersign()
            .args(["modem", "emulate", "--link"])
            .arg(directory.path().join("modem"))
            .arg("--journal")
            .arg(directory.path().join("journal"))
            .args(options)
            .spawn()
            .expect("the emulator starts");
        let this = Self { directory, process };
        let until = Instant::now() + DEADLINE;
        while !this.link().exists() {
            assert!(Instant::now() < until, "no symlink");
            std::thread::sleep(Duration::from_millis(10));
        }
        this
    }

    fn link(&self) -> PathBuf {
        self.directory.path().join("modem")
    }

    fn gammu(&self, arguments: &[&str]) -> Output {
        let configuration = self.directory.path().join("gammurc");
        let text = format!("[gammu]\ndevice={}\nconnection=at115200\n", self.link().display());
        fs::write(&configuration, text).expect("a configuration");
        Command::new("timeout")
            .args(["60", "gammu", "-c"])
            .arg(&configuration)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("gammu runs")
    }

    fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("journal")).expect("a journal");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn terminate(&mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn gammu_identifies_the_emulated_modem() {
    for (profile, manufacturer) in [("generic", "Countersign"), ("huawei", "Huawei"), ("quectel", "Quectel")]
    {
        let modem = Emulated::start(&["--profile", profile]);
        let output = modem.gammu(&["--identify"]);
        let text = text_of(&output);
        assert!(output.status.success(), "{profile}: {text}");
        assert!(text.to_lowercase().contains(&manufacturer.to_lowercase()), "{profile}: {text}");
    }
}

#[test]
fn gammu_sends_and_the_journal_has_it() {
    let mut modem = Emulated::start(&[]);
    for (text, options) in [("Hello from gammu", &["-report"][..]), ("Grüezi 😀", &["-unicode"])] {
        let arguments = [&["sendsms", "TEXT", "+15551234567", "-text", text], options].concat();
        let output = modem.gammu(&arguments);
        assert!(output.status.success(), "{}", text_of(&output));
    }
    let journal = modem.journal();
    assert_eq!(journal[0]["text"], "Hello from gammu");
    assert_eq!(journal[0]["number"], "+15551234567");
    assert_eq!(journal[1]["text"], "Grüezi 😀");
    assert_eq!((&journal[0]["reference"], &journal[1]["reference"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(modem.terminate(), Some(0));
    assert!(!modem.link().is_symlink(), "the symlink goes with it");
}

#[test]
fn gammu_sends_a_long_text_in_parts() {
    let modem = Emulated::start(&[]);
    let text = "0123456789".repeat(20);
    let output = modem.gammu(&["sendsms", "TEXT", "+15551234567", "-autolen", "400", "-text", &text]);
    assert!(output.status.success(), "{}", text_of(&output));
    let journal = modem.journal();
    let joined: String = journal.iter().filter_map(|entry| entry["text"].as_str()).collect();
    assert_eq!(joined, text);
    assert_eq!(journal[1]["concat"]["part"], 2);
}

#[test]
fn the_binary_sends_through_the_port() {
    let modem = Emulated::start(&["--profile", "simcom"]);
    let output = countersign()
        .args(["modem", "send", "--to", "+41791234567", "--text", "Code 123456", "--port"])
        .arg(modem.link())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", text_of(&output));
    assert_eq!(modem.journal()[0]["text"], "Code 123456");
    let missing = countersign().args(["modem", "probe", "/nonexistent/modem"]).output().expect("it runs");
    assert_eq!(missing.status.code(), Some(3), "{}", text_of(&missing));
}

/// The TPDUs that `modem pdu` prints.
fn pdus(arguments: &[&str]) -> Vec<String> {
    let output = countersign().args(["modem", "pdu"]).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", text_of(&output));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// What tshark reads in each SMS-SUBMIT: number, DCS, class, SRR, VPF, part, parts, text.
fn tshark(tpdus: &[String]) -> Vec<Vec<String>> {
    const FIELDS: &[&str] = &[
        "gsm_sms.tp-da",
        "gsm_sms.tp-dcs",
        "gsm_sms.dcs.message_class",
        "gsm_sms.tp-srr",
        "gsm_sms.tp-vpf",
        "gsm_sms.udh.mm.msg_part",
        "gsm_sms.udh.mm.msg_parts",
        "gsm_sms.sms_text",
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let (text, capture) = (directory.path().join("in.txt"), directory.path().join("out.pcapng"));
    let mut file = fs::File::create(&text).expect("a file");
    for tpdu in tpdus {
        writeln!(file, "I {tpdu}").expect("written");
    }
    drop(file);
    let converted = Command::new("text2pcap")
        .args(["-q", "-D", "-r", r"^(?<dir>[IO])\s(?<data>[0-9a-fA-F]+)$", "-l", "147"])
        .args([&text, &capture])
        .stdout(Stdio::null())
        .status();
    assert!(converted.expect("text2pcap runs").success());
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&capture).args(["-o", "gsm_sms.reassemble:FALSE", "-o"]);
    command.arg(r#"uat:user_dlts:"User 0 (DLT=147)","gsm_sms","0","","0","""#);
    command.args(["-T", "fields", "-E", "separator=|"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = command.output().expect("tshark runs");
    assert!(output.status.success(), "{}", text_of(&output));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

#[test]
fn tshark_reads_our_default_alphabet() {
    let read =
        tshark(&pdus(&["--to", "+41791234567", "--text", "Grüezi €", "--validity", "10m", "--report"]));
    assert_eq!(read.len(), 1);
    assert_eq!((read[0][0].as_str(), read[0][7].as_str()), ("41791234567", "Grüezi €"));
    assert!(["1", "True"].contains(&read[0][3].as_str()), "a report is asked for: {read:?}");
    assert_eq!(read[0][4], "2", "a relative validity period");
}

#[test]
fn tshark_reads_our_parts() {
    let long = "x".repeat(152) + "€" + &"y".repeat(170);
    let emoji = "я".repeat(66) + "😀" + &"ю".repeat(80);
    for (text, parts) in [(long, 3), (emoji, 3)] {
        let read = tshark(&pdus(&["--to", "+41791234567", "--text", &text]));
        let joined: String = read.iter().map(|fields| fields[7].as_str()).collect();
        assert_eq!(joined, text);
        let numbers: Vec<_> = read.iter().map(|fields| (fields[5].clone(), fields[6].clone())).collect();
        let expected: Vec<_> = (1..=parts).map(|part| (part.to_string(), parts.to_string())).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn tshark_reads_our_flash() {
    for (text, alphabet) in [("Code 123456", "gsm7"), ("Код 123456", "ucs2")] {
        let read = tshark(&pdus(&["--to", "12345", "--text", text, "--flash", "--alphabet", alphabet]));
        assert_eq!((read[0][0].as_str(), read[0][7].as_str()), ("12345", text));
        assert!(["0", "0x00"].contains(&read[0][2].as_str()), "class 0: {read:?}");
    }
}
