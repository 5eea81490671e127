//! Users from a CSV file: all of it is checked before anybody is added, and a number in it never authenticates.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};
use tests::appliance::told;
use tests::terminal::Terminal;
use tests::{Appliance, RigOptions};

const FILE: &str = "name,lang,email,line1,org,line2,line3,phone\n\
                    ann,de-CH,ann@example.org,Ann Beispiel,Example AG,Gasse 1,3000 Bern,+41 79 123 45 61\n\
                    bob,fr,,,,,,\n";

fn import(rig: &Appliance, text: &[u8], more: &[&str]) -> Output {
    fs::write(rig.path("users.csv"), text).expect("own file");
    let path = rig.path("users.csv").display().to_string();
    rig.cli(&[&["--json", "user", "import", &path], more].concat())
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(output)))
}

fn users(rig: &Appliance) -> usize {
    rig.admin().get("/v1/users").expect(200).json()["items"].as_array().expect("a list").len()
}

/// MOB-40, MOB-04, D-01: a directory's users are added once, with a warning that its numbers get no codes, and none
/// does; a second import of the file adds nobody. Red when a number of the file is bound, or the warning is missing.
#[test]
fn a_directory_is_imported_and_its_numbers_get_no_codes() {
    let rig = Appliance::start(RigOptions::with_modem());
    let dry = import(&rig, FILE.as_bytes(), &["--dry-run"]);
    assert!(dry.status.success(), "{}", told(&dry));
    assert_eq!((&report(&dry)["added"], users(&rig)), (&json!(2), 0), "nothing is changed");
    let done = import(&rig, FILE.as_bytes(), &[]);
    assert!(done.status.success(), "{}", told(&done));
    let told = report(&done);
    assert_eq!((&told["added"], &told["present"], &told["left"]), (&json!(2), &json!(0), &json!(0)));
    let warned = String::from_utf8_lossy(&done.stderr).into_owned();
    for text in [told["warnings"][0].as_str().expect("a warning"), &warned] {
        assert!(text.contains("never get codes") && text.contains("not known that it belongs"), "{text}");
    }
    let ann = rig.show_user("ann");
    assert_eq!((&ann["lang"], &ann["phone_masked"]), (&json!("de-CH"), &Value::Null));
    assert!(ann["contact_phone_masked"].as_str().is_some_and(|masked| masked.ends_with("4561")));
    let shown = told_by(&rig, &["user", "show", "ann"]);
    assert!(shown.contains("gets no codes") && shown.contains("address   yes"), "{shown}");
    assert!(!told_by(&rig, &["user", "show", "bob"]).contains("gets no codes"));
    for (path, body) in [
        ("/v1/users/ann/phone/test", json!({})),
        ("/v1/challenges", json!({"user": "ann", "channel": "sms"})),
    ] {
        assert_eq!(rig.admin().post(path, &body).code(), "no-user-or-phonenumber", "{path}");
    }
    assert!(rig.modem().messages().is_empty());

    let more = format!("{FILE}cyd,it,,,,,,\n");
    let again = report(&import(&rig, more.as_bytes(), &[]));
    assert_eq!((&again["added"], &again["present"]), (&json!(1), &json!(2)), "{again}");
    assert_eq!((users(&rig), rig.events("type=user.added").len()), (3, 3));
    let quiet = import(&rig, b"name\ndan\n", &[]);
    assert!(report(&quiet)["warnings"] == json!([]) && quiet.stderr.is_empty(), "no numbers, no warning");
}

fn told_by(rig: &Appliance, arguments: &[&str]) -> String {
    told(&rig.cli(arguments))
}

/// One fault anywhere, and nobody is added; each fault has its line and its column. Red when the good lines of a bad
/// file are taken.
#[test]
fn a_bad_file_adds_nobody() {
    let rig = Appliance::start(RigOptions::default());
    let text = "name,lang,phone\nann,de,+41791234561\nb b,de,\nann,de,\ncyd,d!,079\n";
    let refused = import(&rig, text.as_bytes(), &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    let faults: Vec<(u64, u64)> = report(&refused)["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| (fault["line"].as_u64().expect("a line"), fault["column"].as_u64().expect("a column")))
        .collect();
    assert_eq!(faults, [(3, 1), (4, 1), (5, 3), (5, 2)]);
    let human = rig.cli(&["user", "import", &rig.path("users.csv").display().to_string()]);
    let said = told(&human);
    assert!(said.contains("users.csv:5:2: lang:") && said.contains("nobody was added"), "{said}");
    assert!(!said.contains("079"), "no number is repeated: {said}");
    for (text, more, says) in [
        (&b"uid\n7\n"[..], &[][..], "no column that is known"),
        (b"name;lang\nann;de\n", &[], "--separator"),
        (b"", &[], "no column name"),
        (b"name\n", &["--separator", "ab"], "one character"),
        (&vec![b'x'; 9 << 20], &[], "larger than 8 MiB"),
    ] {
        let refused = import(&rig, text, more);
        assert!(refused.status.code() == Some(2) && told(&refused).contains(says), "{}", told(&refused));
    }
    let missing = rig.cli(&["user", "import", "/nonexistent.csv"]);
    assert_eq!(missing.status.code(), Some(2), "{}", told(&missing));
    assert_eq!(users(&rig), 0);
    let done = import(&rig, b"name;uid\nann;7\n", &["--separator", ";", "--ignore", "uid"]);
    assert!(done.status.success() && users(&rig) == 1, "{}", told(&done));
}

/// Whoever may not write users imports none, and a daemon that is away is told apart from a bad file.
#[test]
fn an_import_needs_its_right_and_its_daemon() {
    let mut rig = Appliance::start(RigOptions::default());
    let key = rig.app_key("reader", &["users:read"]);
    fs::write(rig.path("key"), key).expect("own file");
    let key_file = rig.path("key").display().to_string();
    let refused = import(&rig, b"name\nann\n", &["--key-file", &key_file]);
    assert_eq!((refused.status.code(), users(&rig)), (Some(1), 0), "{}", told(&refused));
    rig.stop();
    let away = import(&rig, b"name\nann\nbob\n", &[]);
    assert_eq!(away.status.code(), Some(3), "{}", told(&away));
    assert!(told(&away).contains("\"left\": 2"), "{}", told(&away));
}

/// Who watches sees how far it is; the terminal is left as it was.
#[test]
fn an_import_shows_how_far_it_is() {
    let rig = Appliance::start(RigOptions::default());
    let names: String = (0..400).map(|n| format!("user{n}\n")).collect();
    fs::write(rig.path("users.csv"), format!("name\n{names}")).expect("own file");
    let directory = rig.path("terminal");
    fs::create_dir(&directory).expect("own scratch directory");
    let path = rig.path("users.csv").display().to_string();
    let mut command = rig.command(&["user", "import", &path]);
    command.env("TERM", "xterm-256color");
    let terminal = Terminal::start(&directory, 90, 20, &command);
    let shown = terminal.await_that("a bar", |shown| shown.contains("users") && shown.contains("/400"));
    assert!(!shown.contains("400/400"), "{shown}");
    let ended = terminal.await_end();
    let shown = terminal.text();
    assert!(ended.status == 0 && ended.settings_restored, "{ended:?}: {shown}");
    assert!(shown.contains("400 added, 0 there already") && !shown.contains("/400"), "{shown}");
}
