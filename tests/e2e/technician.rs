//! The bench as a person meets it: a terminal, keys, tokens that are plugged in and out, and labels that a reader of
//! QR codes reads.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::appliance::told;
use tests::terminal::Terminal;
use tests::time::{PATIENCE, wait_until};
use tests::token::{EmulatedToken, binary, letters_binary, make_maker};
use tests::{Appliance, RigOptions};

/// An appliance that trusts a maker, the maker's key file, and the directory in which udev would name tokens.
struct Bench {
    rig: Appliance,
    maker: PathBuf,
    devices: PathBuf,
}

impl Bench {
    fn start() -> Bench {
        let mut rig = Appliance::prepare(RigOptions::default());
        let (maker, devices) = (rig.path("maker.key"), rig.path("devices"));
        let key = make_maker(&maker);
        rig.options_mut().config = format!("[provisioning]\nmaker_keys = [\"{key}\"]\n");
        rig.write_config();
        rig.serve();
        rig.await_ready();
        std::fs::create_dir(&devices).expect("own scratch directory");
        Bench { rig, maker, devices }
    }

    /// Plugs a token in at a board whose interface chip has this serial number.
    fn plug(&self, chip: &str, serial: &str) -> EmulatedToken {
        self.plug_of(chip, serial, &self.maker)
    }

    fn plug_of(&self, chip: &str, serial: &str, maker: &Path) -> EmulatedToken {
        let name = format!("token-{chip}");
        EmulatedToken::start_at(self.devices.join(&name), &self.rig.path(""), &name, serial, maker)
    }

    /// Takes a token out: as udev does, with its name.
    fn unplug(&self, chip: &str, token: EmulatedToken) {
        std::fs::remove_file(self.devices.join(format!("token-{chip}"))).expect("own scratch directory");
        drop(token);
    }

    fn technician(&self, arguments: &[&str]) -> Command {
        let mut command = self.rig.command(&["technician"]);
        command.args(arguments).env("COUNTERSIGN_TOKEN_SIM", binary());
        command.env("COUNTERSIGN_DEVICES", &self.devices);
        command
    }

    fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.technician(&[&["--json"], arguments].concat()).output().expect("the binary starts");
        let value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
        (output.status.code(), value)
    }

    /// A station on a terminal.
    fn station(&self, name: &str, size: (u16, u16), more: &[&str]) -> Terminal {
        let directory = self.rig.path(name);
        std::fs::create_dir(&directory).expect("own scratch directory");
        let arguments = [&["station", "--batch", "box-1", "--type", "hotp"], more].concat();
        Terminal::start(&directory, size.0, size.1, &self.technician(&arguments))
    }

    fn stock_state(&self, serial: &str) -> String {
        let (_, stock) = self.json(&["stock", "list"]);
        let items = stock.as_array().expect("a list");
        let found = items.iter().find(|item| item["serial"] == serial).expect("the token");
        found["state"].as_str().expect("a state").to_owned()
    }
}

fn asked(serial: &str) -> String {
    format!("Code on the display of {serial}")
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The bench, by keyboard: a token is recognised when it is plugged in, a wrong code is asked for again, the third one
/// revokes the secret, and `r` works the same token anew.
///
/// Red when a wrong code counts as right, when a token whose display is wrong stays in stock, when a token that was
/// taken out cannot be followed by the next, or when the terminal is left in another state.
#[test]
fn a_person_works_tokens_by_keyboard() {
    let bench = Bench::start();
    let screen = bench.station("screen", (80, 24), &[]);
    screen.await_text("No code is asked for.");
    let mut token = bench.plug("9900000031324e45", "CST-000001");
    screen.await_text(&asked("CST-000001"));
    let right = token.code(6);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    screen.keys(&[wrong, "Enter"]);
    screen.await_text("wrong code");
    screen.keys(&[&right, "Enter"]);
    screen.await_text("1 done");
    screen.await_text("done; take it out");
    bench.unplug("9900000031324e45", token);
    screen.await_text("taken out");
    let mut token = bench.plug("9900000031324e46", "CST-000002");
    screen.await_text(&asked("CST-000002"));
    for judged in 1..=3 {
        screen.await_text(&asked("CST-000002"));
        screen.keys(&["000000", "Enter"]);
        let events = || bench.rig.events("type=device.proved&token=CST-000002").len();
        wait_until(PATIENCE, "the code is judged", || (events() == judged).then_some(()));
    }
    screen.await_text("! CST-000002  its display shows other codes than it should");
    assert_eq!(bench.stock_state("CST-000002"), "revoked");
    screen.keys(&["r"]);
    screen.await_text(&asked("CST-000002"));
    screen.keys(&[&token.code(6), "Enter"]);
    let shown = screen.await_text("2 done");
    assert!(!shown.contains("Failed ("), "it is done:\n{shown}");
    screen.keys(&["q"]);
    screen.await_text("End the station?");
    screen.keys(&["n"]);
    screen.await_text("No code is asked for.");
    screen.keys(&["q", "y"]);
    let ended = screen.await_end();
    assert!(
        ended.status == 0 && ended.settings_restored && ended.screen_left,
        "{ended:?}\n{}",
        screen.text()
    );
    assert!(screen.text().contains("2 done, 0 failed"), "{}", screen.text());
    assert_eq!(bench.stock_state("CST-000002"), "in_stock");
    bench.rig.check_chain();
}

/// A station that is told to end leaves terminal and batch file as they should be, and the next one goes on.
///
/// Red when the terminal stays raw or on the alternate screen, when the token in work counts as failed or done, or
/// when the next station leaves it out.
#[test]
fn sigterm_restores_the_terminal_and_the_batch_goes_on() {
    let bench = Bench::start();
    let state = text_of(&bench.rig.path("box.json"));
    let mut token = bench.plug("1", "CST-000001");
    for (name, signal) in [("first", Signal::TERM), ("second", Signal::INT), ("third", Signal::HUP)] {
        let screen = bench.station(name, (80, 24), &["--state", &state]);
        screen.await_text(&asked("CST-000001"));
        screen.signal(signal);
        let ended = screen.await_end();
        assert!(ended.settings_restored && ended.screen_left, "{signal:?}: {ended:?}");
        let file: Value = serde_json::from_slice(&std::fs::read(&state).expect("the file")).expect("JSON");
        assert_eq!(file["items"][0]["state"], "working", "{file}");
    }
    let screen = bench.station("last", (80, 24), &["--state", &state, "--count", "1"]);
    screen.await_text(&asked("CST-000001"));
    screen.keys(&[&token.code(6), "Enter"]);
    assert_eq!(screen.await_end().status, 0, "{}", screen.text());
}

/// A terminal that is closed ends its station: nothing of it runs on.
///
/// Red when the station goes on reading from a terminal that is gone.
#[test]
fn a_station_ends_with_its_terminal() {
    let bench = Bench::start();
    let _token = bench.plug("1", "CST-000001");
    let screen = bench.station("screen", (80, 24), &[]);
    screen.await_text(&asked("CST-000001"));
    let pid = screen.pid();
    drop(screen);
    wait_until(PATIENCE, "the station ends", || (!Path::new("/proc").join(&pid).exists()).then_some(()));
}

/// The daemon goes away between two steps: the token is named with the reason, and the same one is simply tried again.
///
/// Red when the station ends, or the token is known as done, or cannot be worked again.
#[test]
fn a_daemon_that_is_away_is_named_and_the_token_tried_again() {
    let mut bench = Bench::start();
    let mut token = bench.plug("1", "CST-000001");
    let screen = bench.station("screen", (100, 24), &[]);
    screen.await_text(&asked("CST-000001"));
    let code = token.code(6);
    bench.rig.stop();
    screen.keys(&[&code, "Enter"]);
    screen.await_text("! CST-000001  no daemon answers");
    bench.rig.restart();
    screen.keys(&["r"]);
    screen.await_text(&asked("CST-000001"));
    screen.keys(&[&token.code(6), "Enter"]);
    screen.await_text("1 done");
    screen.keys(&["q", "y"]);
    assert_eq!(screen.await_end().status, 0, "{}", screen.text());
}

/// The screen at three sizes, and without colours.
///
/// Red when a small terminal hides the question or the keys, or when a state is told by colour alone.
#[test]
fn the_screen_fits_small_terminals_and_needs_no_colour() {
    let bench = Bench::start();
    let stranger = bench.rig.path("stranger.key");
    make_maker(&stranger);
    let _one = bench.plug("0039003A3038510E34333935", "CST-LONG-00000000000001");
    let _other = bench.plug_of("2", "XYZ-000009", &stranger);
    let coloured = bench.station("coloured", (60, 20), &[]);
    for size in [(60, 20), (120, 40), (80, 24)] {
        coloured.resize(size.0, size.1);
        let shown = coloured.await_that("everything is shown", |shown| {
            let lines = shown.lines().count();
            lines <= usize::from(size.1)
                && [asked("CST-LONG-00000000000001").as_str(), "q end", "Failed (1)", "! XYZ-000009", "box-1"]
                    .iter()
                    .all(|wanted| shown.contains(wanted))
        });
        assert!(shown.contains("34333935"), "the end of a long name tells it apart:\n{shown}");
    }
    let has_colour = |text: &str| text.contains("[38;5;") || text.contains(";38;5;");
    assert!(has_colour(&coloured.coloured()), "{:?}", coloured.coloured());
    coloured.keys(&["q", "y"]);
    coloured.await_end();
    let directory = bench.rig.path("plain");
    std::fs::create_dir(&directory).expect("own scratch directory");
    let mut command = bench.technician(&["station", "--batch", "box-2"]);
    command.env("NO_COLOR", "1");
    let plain = Terminal::start(&directory, 80, 24, &command);
    let shown = plain.await_that("both are shown", |shown| {
        shown.contains("Failed (1)") && shown.contains(&asked("CST-LONG-00000000000001"))
    });
    assert!(shown.lines().any(|line| line.contains(" ? ") && line.contains("CST-LONG")), "{shown}");
    assert!(shown.lines().any(|line| line.contains(" ! ") && line.contains("XYZ-000009")), "{shown}");
    assert!(!has_colour(&plain.coloured()), "{:?}", plain.coloured());
}

/// Two stations, one token: the second says that the port is in use, and touches nothing.
///
/// Red when two stations talk to one token.
#[test]
fn a_port_has_one_station() {
    let bench = Bench::start();
    let mut token = bench.plug("1", "CST-000001");
    let first = bench.station("first", (80, 24), &["--count", "1"]);
    first.await_text(&asked("CST-000001"));
    let second = bench.station("second", (100, 24), &[]);
    second.await_text("is in use by another station");
    let (_, listed) = bench.json(&["list"]);
    assert!(listed[0]["error"].as_str().is_some_and(|text| text.contains("in use")), "{listed}");
    second.keys(&["q", "y"]);
    second.await_end();
    first.keys(&[&token.code(6), "Enter"]);
    assert_eq!(first.await_end().status, 0, "{}", first.text());
}

/// Facts, 23: tokens are found where udev names them, and one that is alone needs no `--port`.
///
/// Red when a command picks one of several tokens by itself, or a listed token lacks what `identify` tells.
#[test]
fn a_token_that_is_alone_needs_no_port() {
    let bench = Bench::start();
    let none = bench.technician(&["identify"]).output().expect("the binary starts");
    assert_eq!(none.status.code(), Some(2));
    assert!(told(&none).contains("no token is plugged in"), "{}", told(&none));
    let _one = bench.plug("1", "CST-000001");
    let (status, identified) = bench.json(&["identify"]);
    assert_eq!((status, identified["serial"].as_str()), (Some(0), Some("CST-000001")), "{identified}");
    let _two = bench.plug("2", "CST-000002");
    let several = bench.technician(&["identify"]).output().expect("the binary starts");
    assert_eq!(several.status.code(), Some(2));
    for wanted in ["several tokens", "token-1", "token-2", "--port"] {
        assert!(told(&several).contains(wanted), "{}", told(&several));
    }
    let (_, listed) = bench.json(&["list"]);
    let serials: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|one| one["serial"].as_str()).collect();
    assert_eq!(serials, ["CST-000001", "CST-000002"]);
    assert_eq!((&listed[0]["state"], &listed[0]["error"]), (&json!("attested"), &Value::Null), "{listed}");
}

/// Two devices that say the same serial, both with the maker's word: the second is refused and nothing of the first
/// changes. A stock that is taken in, assigned and returned by the station's own commands.
///
/// Red when a copy of a serial takes the place of a token in stock.
#[test]
fn a_serial_is_one_device() {
    let bench = Bench::start();
    bench.rig.user("alice");
    let mut token = bench.plug("1", "CST-000001");
    let (status, made) = bench.json(&["stock", "in", "--type", "hotp"]);
    assert_eq!((status, made["state"].as_str()), (Some(0), Some("provisioned")), "{made}");
    let copy = bench.plug("2", "CST-000001");
    let (status, refused) = bench.json(&["provision", "--port", &text_of(&copy.port)]);
    assert_eq!(status, Some(1), "{refused}");
    assert!(
        refused["error"]
            .as_str()
            .is_some_and(|text| text.contains("another device with the serial CST-000001")),
        "{refused}"
    );
    bench.json(&["stock", "assign", "CST-000001", "--user", "alice"]);
    assert!(bench.rig.admin().verify("alice", &token.code(6)).accepted(), "its secret is as it was");
    bench.json(&["stock", "return", "CST-000001"]);
    assert!(bench.rig.admin().verify("alice", &token.code(6)).rejected(), "it is nobody's");
    let (status, again) = bench.json(&["stock", "in", "--type", "hotp", "--port", &text_of(&token.port)]);
    assert_eq!(status, Some(0), "{again}");
}

/// A robot reads one JSON line for each thing that happens to a token.
///
/// Red when a line lacks what the manual says it has, or a token ends without a line.
#[test]
fn a_robot_reads_lines() {
    let bench = Bench::start();
    let mut command =
        bench.technician(&["--json", "station", "--emulator", "2", "--count", "2", "--batch", "b"]);
    let output = command.arg("--maker-key").arg(&bench.maker).stdin(Stdio::null()).output().expect("starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let lines: Vec<Value> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for line in &lines {
        assert!(
            ["at", "event", "port", "serial", "text"].iter().all(|key| line.get(key).is_some()),
            "{line}"
        );
    }
    for serial in ["B-0001", "B-0002"] {
        let done = lines.iter().filter(|line| line["event"] == "done" && line["serial"] == serial).count();
        assert_eq!(done, 1, "{serial}: {}", told(&output));
    }
}

/// Labels by the real typesetter: what a person reads and what a scanner reads is the serial.
///
/// Red when a label says one serial and its code another, or a token of the batch has none.
#[test]
fn labels_say_and_encode_the_serial() {
    let bench = Bench::start();
    let labels = bench.rig.path("labels.pdf");
    let mut command =
        bench.technician(&["station", "--emulator", "2", "--count", "3", "--batch", "box-1", "--labels"]);
    command.arg(&labels).arg("--maker-key").arg(&bench.maker).env("COUNTERSIGN_LETTERS", letters_binary());
    let output = command.stdin(Stdio::null()).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let judge = |program: &str, arguments: &[&str]| {
        let judged =
            Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        assert!(judged.status.success(), "{program}: {}", told(&judged));
        String::from_utf8_lossy(&judged.stdout).into_owned()
    };
    let (pdf, picture) = (text_of(&labels), text_of(&bench.rig.path("label")));
    let info = judge("pdfinfo", &[&pdf]);
    assert!(info.lines().any(|line| line.starts_with("Pages:") && line.ends_with(" 1")), "{info}");
    let read: String = judge("pdftotext", &["-layout", &pdf, "-"]);
    judge("pdftoppm", &["-r", "200", "-png", "-singlefile", &pdf, &picture]);
    let mut codes: Vec<String> = judge("zbarimg", &["--quiet", "--raw", &format!("{picture}.png")])
        .lines()
        .map(str::to_owned)
        .collect();
    codes.sort();
    assert_eq!(codes, ["BOX-1-0001", "BOX-1-0002", "BOX-1-0003"]);
    for serial in &codes {
        assert!(read.contains(serial.as_str()), "{serial} is not printed: {read}");
    }
    assert!(read.contains("box-1") && read.contains("TOTP SHA1, 6 digits"), "{read}");
}
