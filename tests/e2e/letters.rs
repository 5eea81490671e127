//! Activation letters: ordered, typeset, posted or handed over, and each of their ends.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tests::appliance::told;
use tests::letter::{self, ADDRESS, key_in, order_and_read_key, qr_in, text_of};
use tests::terminal::Terminal;
use tests::time::{unix_ms, unix_s};
use tests::token::letters_binary;
use tests::{Appliance, PATIENCE, wait_until};

const DAY_MS: i64 = 24 * 3_600_000;

/// Without a gap between two letters to one user.
fn rig() -> Appliance {
    Appliance::start(letter::options("delivery_gap = \"0s\"", ""))
}

fn order(rig: &Appliance, user: &str, kind: &str) -> Value {
    let body = json!({"user": user, "kind": kind, "address": ADDRESS});
    rig.admin().post("/v1/letters", &body).expect(201).json()
}

#[track_caller]
fn show(rig: &Appliance, id: &Value) -> Value {
    rig.admin().get(&format!("/v1/letters/{}", text(id))).expect(200).json()
}

#[track_caller]
fn state(rig: &Appliance, id: &Value) -> String {
    text(&show(rig, id)["state"])
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn path(letter: &Value) -> PathBuf {
    PathBuf::from(text(&letter["path"]))
}

/// Types of a user's events about letters, in order.
fn about_letters(rig: &Appliance, user: &str) -> Vec<String> {
    rig.events(&format!("user={user}&type=letter")).iter().map(|event| text(&event["type"])).collect()
}

/// Names in the directory of letters.
fn files(rig: &Appliance) -> BTreeSet<String> {
    let entries = fs::read_dir(rig.state.join("letters")).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

fn database(rig: &Appliance) -> Connection {
    Connection::open(rig.state.join("countersign.db")).expect("the store")
}

/// What qpdf and pdfinfo say of a file.
fn check_pdf(pdf: &Path) -> String {
    let checked = Command::new("qpdf").arg("--check").arg(pdf).output().expect("qpdf starts");
    assert!(checked.status.success(), "{}", told(&checked));
    let info = Command::new("pdfinfo").arg(pdf).output().expect("pdfinfo starts");
    assert!(info.status.success(), "{}", told(&info));
    String::from_utf8(info.stdout).expect("UTF-8")
}

/// MOB-02, MOB-21 to MOB-23, MOB-25: an order waits until a run typesets it: one page of A4, for the window, in the
/// user's language, with the key and the page to type it in, in a file for its owner alone.
#[test]
fn an_order_becomes_a_letter() {
    let rig = rig();
    rig.admin().post("/v1/users", &json!({"name": "zoe", "lang": "de-CH"})).expect(201);
    let ordered = order(&rig, "zoe", "sms-iak");
    assert_eq!((&ordered["state"], &ordered["path"]), (&json!("ordered"), &json!(null)));
    let run = rig.cli_json(&["letter", "run", "--kind", "sms-iak"]);
    assert_eq!(run, json!({"rendered": [ordered["id"]], "failed": 0, "held": 0}));
    let letter = show(&rig, &ordered["id"]);
    assert_eq!((&letter["state"], &letter["pages"]), (&json!("rendered"), &json!(1)));
    let pdf = path(&letter);
    assert_eq!(fs::metadata(&pdf).expect("the letter").permissions().mode() & 0o777, 0o600);
    let info = check_pdf(&pdf);
    assert!(info.contains("(A4)") && info.contains("Pages:           1"), "{info}");
    let read = text_of(&pdf);
    for wanted in ["Zoë Müller", "Gasse 1", "3000 Bern", "Example AG", letter::PUBLIC_URL, "zoe"] {
        assert!(read.contains(wanted), "{wanted} is not in\n{read}");
    }
    assert!(read.contains("Aktivierung") && !read.contains('ß') && !read.contains("1 / 1"), "{read}");
    assert_eq!(key_in(&pdf).len(), 14);
    let digest = Command::new("sha256sum").arg(&pdf).output().expect("sha256sum starts");
    let rendered = rig.events("user=zoe&type=letter.rendered").pop().expect("its event");
    assert!(told(&digest).contains(&text(&rendered["subject"]["sha256"])));
    assert_eq!(about_letters(&rig, "zoe"), ["letter.ordered", "letter.rendered"]);
    let nothing = rig.cli_json(&["letter", "run"]);
    assert_eq!(nothing, json!({"rendered": [], "failed": 0, "held": 0}));
    rig.check_chain();
}

/// MOB-27, D-05: by post needs an address; by hand needs none, and who takes it was checked by somebody.
#[test]
fn a_letter_goes_by_post_or_by_hand() {
    let rig = rig();
    rig.user("ann");
    let refused = rig.admin().post("/v1/letters", &json!({"user": "ann", "kind": "sms-iak"})).expect(409);
    assert!(refused.text().contains("letter.no_address"), "{}", refused.text());
    for address in ["", "1\n2\n3\n4\n5\n6\n7", &"x".repeat(61)] {
        let body = json!({"user": "ann", "kind": "sms-iak", "address": address});
        rig.admin().post("/v1/letters", &body).expect(400);
    }
    let ordered = rig.cli_json(&["letter", "order", "ann", "--kind", "sms-iak", "--delivery", "hand"]);
    let early = rig.cli(&["letter", "handover", ordered["id"].as_str().expect("an id")]);
    assert_eq!(early.status.code(), Some(1), "{}", told(&early));
    rig.cli_json(&["letter", "run", "sms-iak"]);
    let by = ["letter", "handover", "ann", "--kind", "sms-iak", "--by", "desk 3"];
    let handed = rig.cli_json(&by);
    assert_eq!((&handed["state"], &handed["handed_over_by"]), (&json!("delivered"), &json!("desk 3")));
    let event = rig.events("user=ann&type=letter.handed_over").pop().expect("its event");
    assert_eq!(event["subject"]["identity_checked"], "true", "{event}");
    assert!(!event.to_string().contains("desk 3"), "persons are pseudonyms in events: {event}");
    assert_eq!(rig.cli(&by).status.code(), Some(1), "once");
}

/// MOB-32, MOB-35: a new order supersedes the open letter, an operator takes one back; either way its key is dead and
/// its file goes.
#[test]
fn an_open_letter_is_replaced_or_taken_back() {
    let rig = rig();
    rig.user("ann");
    let first = letter::generate(&rig, "ann", "sms-iak");
    let second = letter::generate(&rig, "ann", "sms-iak");
    assert_ne!(first["id"], second["id"]);
    assert_ne!(key_in(&path(&first)), key_in(&path(&second)), "each letter has a key of its own");
    assert_eq!(state(&rig, &first["id"]), "superseded");
    let cancelled = rig.cli_json(&["letter", "cancel", "ann", "--kind", "sms-iak"]);
    assert_eq!((&cancelled["id"], &cancelled["state"]), (&second["id"], &json!("cancelled")));
    assert!(!path(&second).exists() && cancelled["path"].is_null());
    let again = rig.cli(&["letter", "cancel", &text(&second["id"])]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    assert!(told(&again).contains("the letter is cancelled"), "{}", told(&again));
    let ordered = order(&rig, "ann", "sms-iak");
    rig.admin().delete(&format!("/v1/letters/{}", text(&ordered["id"]))).expect(200);
    assert_eq!(rig.cli_json(&["letter", "run"])["rendered"], json!([]));
    let events = about_letters(&rig, "ann");
    let ends: Vec<_> = events.iter().filter(|name| *name != "letter.ordered").collect();
    assert_eq!(
        ends,
        [
            "letter.rendered",
            "letter.superseded",
            "letter.rendered",
            "letter.cancelled",
            "letter.file_erased",
            "letter.cancelled"
        ]
    );
}

/// MOB-23, OATH-05: `generate` typesets the order that waits, or a new one, and moves the letter where it is told.
#[test]
fn a_letter_is_typeset_at_once() {
    let rig = rig();
    rig.user("ann");
    let ordered = order(&rig, "ann", "sms-iak");
    let out = rig.path("ann.pdf");
    let told_path = out.to_str().expect("UTF-8");
    let made = rig.cli_json(&["letter", "generate", "ann", "--kind", "sms-iak", "--out", told_path]);
    assert_eq!(made, json!({"id": ordered["id"], "path": told_path, "pages": 1}));
    assert_eq!(fs::metadata(&out).expect("the letter").permissions().mode() & 0o777, 0o600);
    assert_eq!(key_in(&out).len(), 14);
    assert_eq!(files(&rig), BTreeSet::new(), "moved, not copied");
    let nowhere = rig.path("absent/ann.pdf");
    let args = ["letter", "generate", "ann", "--kind", "sms-iak", "--out", nowhere.to_str().expect("UTF-8")];
    let refused = rig.cli(&args);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    assert_eq!(about_letters(&rig, "ann"), ["letter.ordered", "letter.rendered"], "no key for nobody");
}

/// OATH-28, OATH-49, D-26, B.5.2: the QR code holds the token's secret, the same in each letter; a code from it uses
/// the letter up.
#[test]
fn a_qr_code_brings_the_secret_that_is_there() {
    let rig = rig();
    rig.user("otto");
    let none = rig.admin().post("/v1/letters", &json!({"user": "otto", "kind": "oath", "delivery": "hand"}));
    assert!(none.expect(409).text().contains("countersign oath add otto"));
    let token = rig.token("otto", &json!({"type": "totp"}));
    let first = letter::generate(&rig, "otto", "oath");
    assert_eq!(first["token"], token.serial.as_str());
    let info = check_pdf(&path(&first));
    assert!(info.contains("Pages:           1"), "{info}");
    let scratch = rig.path("");
    let uri = qr_in(&path(&first), &scratch);
    assert!(uri.starts_with("otpauth://totp/") && uri.contains(&token.secret.base32()), "another secret");
    let second = letter::generate(&rig, "otto", "oath");
    assert_eq!(qr_in(&path(&second), &scratch), uri);
    let viewed = rig.events("user=otto&type=oath.secret_viewed");
    assert_eq!(viewed.len(), 2, "each reveal is an event");
    let ordered = rig.events("user=otto&type=letter.ordered");
    assert_eq!(viewed[0]["subject"]["ordered"], ordered[0]["seq"].to_string(), "on the word of its order");
    assert!(rig.admin().verify("otto", &token.secret.totp(unix_s())).accepted());
    assert_eq!(state(&rig, &second["id"]), "consumed");
    assert_eq!(about_letters(&rig, "otto").last().map(String::as_str), Some("letter.consumed"));
}

/// D-05, B.5.2: a QR code that is to be handed over is not used up by the app that the user has already.
#[test]
fn a_qr_code_that_nobody_handed_over_waits() {
    let rig = rig();
    let token = rig.hotp_user("otto");
    let body = json!({"user": "otto", "kind": "oath", "delivery": "hand", "generate": "now"});
    let letter = rig.admin().post("/v1/letters", &body).expect(201).json();
    assert!(rig.admin().verify("otto", &token.secret.hotp(0)).accepted());
    assert_eq!(state(&rig, &letter["id"]), "rendered");
    rig.admin().post(&format!("/v1/letters/{}/handover", text(&letter["id"])), &json!({})).expect(200);
    assert!(rig.admin().verify("otto", &token.secret.hotp(1)).accepted());
    assert_eq!(state(&rig, &letter["id"]), "consumed");
    // OATH-35: a counter that is in use cannot be shared by a second app.
    assert!(rig.admin().post("/v1/letters", &body).expect(409).text().contains("counter"));
}

/// OATH-46: within the gap a user's next letter waits; the others go.
#[test]
fn two_letters_to_one_user_keep_their_distance() {
    let rig = Appliance::start(letter::options("", ""));
    for user in ["ann", "bob"] {
        rig.user(user);
        order(&rig, user, "sms-iak");
    }
    rig.token("ann", &json!({"type": "totp"}));
    order(&rig, "ann", "oath");
    let first = rig.cli_json(&["letter", "run", "--kind", "sms-iak"]);
    assert_eq!((first["rendered"].as_array().map(Vec::len), &first["held"]), (Some(2), &json!(0)));
    let held = rig.cli_json(&["letter", "run", "--kind", "oath"]);
    assert_eq!(held, json!({"rendered": [], "failed": 0, "held": 1}));
    let yesterday = i64::try_from(unix_s()).expect("now") * 1000 - DAY_MS;
    let sql = "UPDATE letter SET rendered_at = ?1 WHERE rendered_at IS NOT NULL";
    database(&rig).execute(sql, params![yesterday]).expect("the store");
    assert_eq!(rig.cli_json(&["letter", "run", "oath"])["rendered"].as_array().map(Vec::len), Some(1));
}

/// MOB-22: two runs at once make each letter once.
#[test]
fn two_runs_make_each_letter_once() {
    const LETTERS: usize = 25;
    let rig = rig();
    let mut ids = BTreeSet::new();
    for n in 0..LETTERS {
        let name = format!("user-{n}");
        rig.user(&name);
        ids.insert(text(&order(&rig, &name, "sms-iak")["id"]));
    }
    let runs: Vec<Value> = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| rig.cli_json(&["letter", "run", "sms-iak"])));
        both.map(|run| run.join().expect("a run")).into()
    });
    let made: Vec<String> =
        runs.iter().flat_map(|run| run["rendered"].as_array().expect("a list")).map(text).collect();
    assert_eq!(made.len(), LETTERS, "each once");
    assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(files(&rig), ids.iter().map(|id| format!("{id}.pdf")).collect());
    assert_eq!(rig.events("type=letter.rendered").len(), LETTERS);
}

/// MOB-22: two runs at once beside the appliance's own schedule make each letter once. Red when a run does not wait for
/// the press, and the write of a letter does not ask for the state that was loaded.
#[test]
fn runs_beside_the_schedule_make_each_letter_once() {
    const LETTERS: usize = 24;
    let schedule = "delivery_gap = \"0s\"\n[letters.sms_iak]\nschedule = \"1s\"\n";
    let rig = Appliance::start(letter::options(schedule, ""));
    let mut ids = BTreeSet::new();
    std::thread::scope(|scope| {
        for n in 0..LETTERS {
            let name = format!("user-{n}");
            rig.user(&name);
            ids.insert(text(&order(&rig, &name, "sms-iak")["id"]));
            if n == LETTERS / 2 {
                // The schedule is at work already.
                for _ in 0..2 {
                    scope.spawn(|| rig.cli_json(&["letter", "run", "sms-iak"]));
                }
            }
        }
    });
    let rendered = wait_until(PATIENCE, "all letters", || {
        let events = rig.events("type=letter.rendered");
        (events.len() >= LETTERS).then_some(events)
    });
    let made: Vec<String> = rendered.iter().map(|event| text(&event["subject"]["letter"])).collect();
    assert_eq!(made.len(), LETTERS, "each once");
    assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), ids);
    let named: BTreeSet<String> = ids.iter().map(|id| format!("{id}.pdf")).collect();
    wait_until(PATIENCE, "the last one to get its name", || (files(&rig) == named).then_some(()));
}

/// OATH-44, B.5.2: with an account its letter ends, typeset or not, in the same act. Red when the letter is left to the
/// next sweep: until then a run prints a QR code that is worth nothing.
#[test]
fn an_account_that_is_deleted_takes_its_letter_along() {
    let rig = rig();
    for user in ["ann", "bob"] {
        rig.totp_user(user);
    }
    let waiting = order(&rig, "ann", "oath");
    let typeset = letter::generate(&rig, "bob", "oath");
    for (user, letter) in [("ann", waiting), ("bob", typeset)] {
        rig.cli_json(&["oath", "delete", user, "--yes"]);
        assert_eq!(state(&rig, &letter["id"]), "cancelled");
        let events = about_letters(&rig, user);
        assert_eq!(events.iter().filter(|name| *name == "letter.cancelled").count(), 1, "{events:?}");
    }
    assert_eq!(rig.cli_json(&["letter", "run", "oath"])["rendered"], json!([]));
}

/// MOB-22, A2: killed at any moment of a run, the appliance ends with each letter once, whole, and with the key that
/// its file shows; nothing else is left.
#[test]
fn a_kill_while_letters_are_made_loses_none_and_doubles_none() {
    const LETTERS: usize = 12;
    const KILLS: usize = 8;
    let mut rig = rig();
    let mut ids = BTreeSet::new();
    for n in 0..LETTERS {
        let name = format!("user-{n}");
        rig.user(&name);
        ids.insert(text(&order(&rig, &name, "sms-iak")["id"]));
    }
    for kill in 0..KILLS {
        let mut running = rig.command(&["letter", "run"]).spawn().expect("the binary starts");
        match kill {
            // In the middle of what is seen, and then at other moments.
            0 => wait_until(PATIENCE, "a letter is being written", || {
                files(&rig).iter().any(|name| name.ends_with(".new")).then_some(())
            }),
            1 => wait_until(PATIENCE, "a letter is there", || {
                files(&rig).iter().any(|name| name.ends_with(".pdf")).then_some(())
            }),
            _ => std::thread::park_timeout(Duration::from_millis(97 * u64::try_from(kill).expect("small"))),
        }
        rig.kill9();
        running.wait().expect("own child");
        rig.serve();
        rig.await_ready();
    }
    rig.cli_json(&["letter", "run"]);
    let named: BTreeSet<String> = ids.iter().map(|id| format!("{id}.pdf")).collect();
    assert_eq!(files(&rig), named, "each letter once, and nothing else");
    assert_eq!(rig.events("type=letter.rendered").len(), LETTERS);
    for id in &ids {
        let letter = show(&rig, &json!(id));
        assert_eq!(letter["state"], "rendered", "{letter}");
        check_pdf(&path(&letter));
        let mut rendered = rig.events("type=letter.rendered");
        rendered.retain(|event| event["subject"]["letter"] == id.as_str());
        let digest = Command::new("sha256sum").arg(path(&letter)).output().expect("sha256sum starts");
        assert!(
            told(&digest).contains(&text(&rendered[0]["subject"]["sha256"])),
            "another file than the store's"
        );
    }
    rig.check_chain();
}

/// MOB-33: while the store does not know a key, no letter shows it: killed there, the letter is made anew.
#[test]
fn a_letter_that_the_store_does_not_know_has_no_name() {
    let mut rig = rig();
    rig.user("ann");
    let ordered = order(&rig, "ann", "sms-iak");
    let store = database(&rig);
    store.execute_batch("BEGIN IMMEDIATE").expect("the daemon's writes wait now");
    let mut running = rig.command(&["letter", "run"]).spawn().expect("the binary starts");
    let staged = wait_until(PATIENCE, "the letter is written", || files(&rig).pop_first());
    assert!(staged.starts_with('.') && staged.ends_with(".new"), "{staged}");
    rig.kill9();
    running.wait().expect("own child");
    assert_eq!(files(&rig), BTreeSet::from([staged]), "nothing that could be printed");
    drop(store);
    rig.serve();
    rig.await_ready();
    wait_until(PATIENCE, "what was left is removed", || files(&rig).is_empty().then_some(()));
    assert_eq!(state(&rig, &ordered["id"]), "ordered");
    assert_eq!(rig.cli_json(&["letter", "run"])["rendered"], json!([ordered["id"]]));
}

/// MOB-22: a letter that the store knows gets its name, if not now then after the next start: the same one.
#[test]
fn a_letter_that_the_store_knows_gets_its_name() {
    let mut rig = rig();
    rig.user("ann");
    let ordered = order(&rig, "ann", "sms-iak");
    let named = rig.state.join("letters").join(format!("{}.pdf", text(&ordered["id"])));
    // Nothing can be renamed to a directory.
    fs::create_dir_all(&named).expect("own scratch directory");
    let refused = rig.cli(&["letter", "run"]);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    assert_eq!(state(&rig, &ordered["id"]), "rendered");
    rig.kill9();
    fs::remove_dir(&named).expect("empty");
    rig.serve();
    rig.await_ready();
    wait_until(PATIENCE, "the letter has its name", || named.is_file().then_some(()));
    let rendered = rig.events("user=ann&type=letter.rendered");
    let digest = Command::new("sha256sum").arg(&named).output().expect("sha256sum starts");
    assert_eq!(rendered.len(), 1);
    assert!(told(&digest).contains(&text(&rendered[0]["subject"]["sha256"])));
    assert_eq!(key_in(&named).len(), 14);
    assert_eq!(files(&rig).len(), 1);
}

/// MOB-33: a key is on its paper and nowhere else: not in the store, the log, the events or an answer.
#[test]
fn a_key_is_on_its_paper_and_nowhere_else() {
    let mut options = letter::options("", "");
    options.log = "trace".to_owned();
    let mut rig = Appliance::start(options);
    rig.user("ann");
    let key = order_and_read_key(&rig, "ann");
    let listed = rig.admin().get("/v1/letters?user=ann").expect(200).text();
    let events = rig.admin().get("/v1/events").expect(200).text();
    let directory = rig.state.clone();
    rig.stop();
    let canaries = [key.clone(), key.replace('-', "")];
    let mut places =
        vec![("the list".to_owned(), listed.into_bytes()), ("the events".to_owned(), events.into_bytes())];
    places.push(("the log".to_owned(), fs::read(&rig.log).expect("own log")));
    for file in fs::read_dir(directory).expect("the state directory") {
        let path = file.expect("a file").path();
        if path.is_file() {
            places.push((path.display().to_string(), fs::read(&path).expect("own file")));
        }
    }
    for (place, bytes) in &places {
        for canary in &canaries {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "the key is in {place}");
        }
    }
    assert!(places.iter().any(|(place, _)| place.ends_with("countersign.db")));
}

/// D-06: a file that was kept long enough is erased, and one whose letter has ended; the letter stays in the list.
#[test]
fn files_are_kept_as_long_as_they_are_needed() {
    let mut rig = Appliance::start(letter::options("delivery_gap = \"0s\"\nretention_days = 2", ""));
    for user in ["old", "new", "ended"] {
        rig.user(user);
    }
    let [old, new, ended] = ["old", "new", "ended"].map(|user| letter::generate(&rig, user, "sms-iak"));
    // Superseded by an order that nobody typesets yet.
    order(&rig, "ended", "sms-iak");
    rig.stop();
    let before = i64::try_from(unix_s()).expect("now") * 1000 - 2 * DAY_MS;
    let id = data_encoding::HEXLOWER.decode(text(&old["id"]).as_bytes()).expect("hex");
    let sql = "UPDATE letter SET rendered_at = ?1 WHERE id = ?2";
    database(&rig).execute(sql, params![before, id]).expect("the store");
    rig.serve();
    rig.await_ready();
    wait_until(PATIENCE, "the files are erased", || {
        (!path(&old).exists() && !path(&ended).exists()).then_some(())
    });
    wait_until(PATIENCE, "the store knows", || show(&rig, &old["id"])["path"].is_null().then_some(()));
    assert!(path(&new).exists());
    assert_eq!(state(&rig, &old["id"]), "rendered", "its key works on");
    assert_eq!(about_letters(&rig, "old").last().map(String::as_str), Some("letter.file_erased"));
}

/// MOB-22, OATH-45: with a schedule letters are made without anybody asking, with the configured names, where they are
/// to be put.
#[test]
fn a_schedule_makes_letters() {
    let spool = tests::scratch::directory();
    let letters = format!(
        "delivery_gap = \"0s\"\noutput_dir = {}\n[letters.sms_iak]\nschedule = \"1s\"\nfile_prefix = \"iak-\"\n\
         file_suffix = \"-a4\"",
        Value::from(spool.path().display().to_string())
    );
    let mut rig = Appliance::start(letter::options(&letters, ""));
    rig.user("ann");
    let ordered = order(&rig, "ann", "sms-iak");
    wait_until(PATIENCE, "the schedule", || (state(&rig, &ordered["id"]) == "rendered").then_some(()));
    let named = spool.path().join(format!("iak-{}-a4.pdf", text(&ordered["id"])));
    wait_until(PATIENCE, "the file", || named.is_file().then_some(()));
    let event = rig.events("user=ann&type=letter.rendered").pop().expect("its event");
    assert_eq!((&event["actor"]["kind"], &event["actor"]["id"]), (&json!("system"), &json!("scheduler")));
    assert_eq!(rig.stop().code(), Some(0));
}

/// B.5.2: three renderings that fail give a letter up; the others of its batch are made.
#[test]
fn a_letter_that_cannot_be_typeset_is_given_up() {
    let rig = rig();
    rig.user("ann");
    rig.user("bob");
    // No font has it.
    let body = json!({"user": "ann", "kind": "sms-iak", "address": "漢\nGasse 1"});
    let bad = rig.admin().post("/v1/letters", &body).expect(201).json();
    let good = order(&rig, "bob", "sms-iak");
    for run in 1..=3 {
        let done = rig.cli(&["--json", "letter", "run"]);
        assert_eq!(done.status.code(), Some(1), "{}", told(&done));
        let expected = if run < 3 { "ordered" } else { "failed" };
        assert_eq!(state(&rig, &bad["id"]), expected, "after {run}");
    }
    assert_eq!(state(&rig, &good["id"]), "rendered");
    let failed = rig.events("user=ann&type=letter.failed").pop().expect("its event");
    assert!(
        text(&failed["reason"]).contains("recipient[0]") && !failed.to_string().contains('漢'),
        "{failed}"
    );
}

/// A letter that somebody changed in the store is made by nobody; the others are. It is one event, however often it is
/// looked at. Red when each run writes another one.
#[test]
fn a_letter_changed_outside_is_not_made() {
    let rig = rig();
    let [bad, good] = ["ann", "bob"].map(|user| {
        rig.user(user);
        order(&rig, user, "sms-iak")
    });
    let id = data_encoding::HEXLOWER.decode(text(&bad["id"]).as_bytes()).expect("hex");
    let sql =
        "UPDATE letter SET user_id = (SELECT id FROM user WHERE name = 'bob'), kind = 'oath' WHERE id = ?1";
    database(&rig).execute(sql, params![id]).expect("the store");
    assert_eq!(rig.cli(&["letter", "run"]).status.code(), Some(1));
    assert_eq!(
        (state(&rig, &bad["id"]), state(&rig, &good["id"])),
        ("ordered".to_owned(), "rendered".to_owned())
    );
    for _ in 0..2 {
        assert_eq!(rig.cli(&["letter", "run"]).status.code(), Some(1), "it is still there");
    }
    let noted = rig.events("type=store.tampered");
    assert_eq!(noted.len(), 1, "not at each run: {noted:?}");
    assert_eq!(noted[0]["subject"]["row"], bad["id"]);
}

/// MOB-22: who watches a run sees at once that it goes on, and then how far it is; the bar is gone at the end, and the
/// terminal as it was. Red when nothing is shown before the first batch is done.
#[test]
fn a_run_shows_how_far_it_is() {
    let rig = rig();
    for n in 0..25 {
        let name = format!("user{n}");
        rig.user(&name);
        order(&rig, &name, "sms-iak");
    }
    let directory = rig.path("terminal");
    fs::create_dir(&directory).expect("own scratch directory");
    let mut command = rig.command(&["letter", "run", "sms-iak"]);
    command.env("TERM", "xterm-256color");
    let terminal = Terminal::start(&directory, 80, 20, &command);
    let bar =
        |shown: &str, far: &str| shown.lines().any(|line| line.contains("sms-iak") && line.contains(far));
    terminal.await_that("a sign before the first batch", |shown| bar(shown, "0/0"));
    terminal.await_that("the first batch", |shown| bar(shown, "10/25"));
    let ended = terminal.await_end();
    let shown = terminal.text();
    assert!(ended.status == 0 && ended.settings_restored, "{ended:?}: {shown}");
    assert!(shown.contains("25 typeset, 0 failed") && !shown.contains("/25"), "{shown}");
}

/// Without a typesetter, or without a directory, nothing is lost and nothing counts; the answer says what to do.
#[test]
fn without_a_typesetter_letters_wait() {
    let mut rig = rig();
    rig.user("ann");
    let ordered = order(&rig, "ann", "sms-iak");
    let helper = rig.path("absent");
    let config = rig.options_mut().config.clone();
    let letters =
        format!("[letters]\nhelper = {}\ndelivery_gap = \"0s\"\n", Value::from(helper.display().to_string()));
    rig.options_mut().config = letters;
    rig.write_config();
    rig.restart();
    let refused = rig.cli(&["letter", "run"]);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    assert!(told(&refused).contains("letters.helper"), "{}", told(&refused));
    assert_eq!(show(&rig, &ordered["id"])["renders_failed"], 0);
    rig.options_mut().config = config.clone();
    rig.options_mut().public_url = None;
    rig.write_config();
    rig.restart();
    let refused = rig.cli(&["letter", "run"]);
    assert!(told(&refused).contains("public_url"), "{}", told(&refused));
    rig.options_mut().public_url = Some(letter::PUBLIC_URL.to_owned());
    rig.options_mut().config =
        config.replace("[letters]", "[letters]\noutput_dir = \"/nonexistent/letters\"");
    rig.write_config();
    rig.restart();
    let refused = rig.cli(&["letter", "run"]);
    assert!(told(&refused).contains("letters.output_dir"), "{}", told(&refused));
    assert_eq!(state(&rig, &ordered["id"]), "ordered");
}

/// B.2, MOB-24: who may order may not typeset; who may nothing may nothing.
#[test]
fn letters_need_their_rights() {
    let rig = rig();
    rig.user("ann");
    let orders = rig.app_key("portal", &["letters:order"]);
    let verifies = rig.app_key("vpn", &["verify"]);
    let body = json!({"user": "ann", "kind": "sms-iak", "address": ADDRESS});
    let mut portal = rig.loopback(Some(&orders));
    let ordered = portal.post("/v1/letters", &body).expect(201).json();
    assert_eq!(ordered["ordered_by"], "portal");
    portal.get("/v1/letters?user=ann&state=ordered").expect(200);
    let mut now = body.clone();
    now["generate"] = json!("now");
    portal.post("/v1/letters", &now).expect(403);
    portal.post("/v1/letters/run", &json!({"kind": "sms-iak"})).expect(403);
    let id = text(&ordered["id"]);
    let mut vpn = rig.loopback(Some(&verifies));
    vpn.post("/v1/letters", &body).expect(403);
    vpn.get("/v1/letters").expect(403);
    vpn.delete(&format!("/v1/letters/{id}")).expect(403);
    vpn.post(&format!("/v1/letters/{id}/handover"), &json!({})).expect(403);
    assert_eq!(portal.delete(&format!("/v1/letters/{id}")).expect(200).json()["state"], "cancelled");
    for bad in [json!({"user": "ann", "kind": "x"}), json!({"user": "ann", "kind": "oath", "delivery": "x"})]
    {
        portal.post("/v1/letters", &bad).expect(400);
    }
    portal.get("/v1/letters?state=x").expect(400);
    portal.get("/v1/letters/00000000000000000000000000000000").expect(404);
}

/// The list goes by user, kind and state, page by page.
#[test]
fn letters_are_listed() {
    let rig = rig();
    let mut ids = Vec::new();
    for n in 0..5 {
        let name = format!("user-{n}");
        rig.user(&name);
        ids.push(text(&order(&rig, &name, "sms-iak")["id"]));
    }
    rig.admin().delete(&format!("/v1/letters/{}", ids[2])).expect(200);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = rig.admin().get(&format!("/v1/letters?state=ordered&limit=2{after}")).expect(200).json();
        seen.extend(page["items"].as_array().expect("a list").iter().map(|letter| text(&letter["id"])));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [&ids[0], &ids[1], &ids[3], &ids[4]].map(Clone::clone));
    let one = rig.cli_json(&["letter", "list", "--user", "user-2", "--kind", "sms-iak"]);
    assert_eq!(one["items"][0]["id"], ids[2].as_str());
    assert_eq!(rig.cli_json(&["letter", "list", "--kind", "oath"])["items"], json!([]));
}

/// OATH-51: with a new token, and for a new user, where the configuration says so.
#[test]
fn a_letter_is_ordered_by_itself() {
    let rig = Appliance::start(letter::options("", "[oath]\nauto_order_letter = true\n"));
    rig.totp_user("otto");
    let listed = rig.cli_json(&["letter", "list", "--user", "otto"]);
    let letter = &listed["items"][0];
    assert_eq!(
        (&letter["kind"], &letter["state"], &letter["delivery"]),
        (&json!("oath"), &json!("ordered"), &json!("hand"))
    );
    drop(rig);
    let rig = Appliance::start(letter::options("", "[oath]\nauto_order_letter_new_users = true\n"));
    rig.user("nora");
    let listed = rig.cli_json(&["letter", "list", "--user", "nora"]);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    let tokens = rig.admin().get("/v1/users/nora/tokens").expect(200).json();
    assert_eq!(tokens["items"][0]["serial"], listed["items"][0]["token"]);
}

/// Stops the appliance and starts it so many days later: steady time is at least that of the last event. The chain does
/// not hold any more.
fn days_later(rig: &mut Appliance, days: i64) {
    rig.stop();
    let at = i64::try_from(unix_ms()).expect("now") + days * DAY_MS;
    let sql = "INSERT INTO event SELECT seq + 1, ?1, type, actor_kind, actor_id, actor_role, subject, outcome, reason,
                   hash, hash FROM event ORDER BY seq DESC LIMIT 1";
    database(rig).execute(sql, params![at]).expect("the store");
    rig.serve();
    rig.await_ready();
}

/// MOB-34, MOB-39: after its days a letter is ended by the appliance, with an event, and its file goes. An order that nobody
/// typeset has no such time.
#[test]
fn a_letter_expires() {
    let mut rig =
        Appliance::start(letter::options("retention_days = 365\n[letters.sms_iak]\nvalid_days = 5", ""));
    rig.user("ann");
    rig.user("bob");
    let letter = letter::generate(&rig, "ann", "sms-iak");
    let ordered = order(&rig, "bob", "sms-iak");
    days_later(&mut rig, 4);
    assert_eq!(state(&rig, &letter["id"]), "rendered");
    days_later(&mut rig, 5);
    assert_eq!(state(&rig, &letter["id"]), "expired");
    wait_until(PATIENCE, "its event", || rig.events("user=ann&type=letter.expired").pop());
    wait_until(PATIENCE, "the file goes", || (!path(&letter).exists()).then_some(()));
    assert_eq!(state(&rig, &ordered["id"]), "ordered");
    rig.admin().delete(&format!("/v1/letters/{}", text(&letter["id"]))).expect(409);
}

/// A token that is revoked ends its QR code. Nobody but the appliance says how long a letter is valid: that is under a
/// MAC.
#[test]
fn a_token_ends_its_letter_and_nobody_outside_does() {
    let mut rig = rig();
    let token = rig.totp_user("otto");
    let qr = letter::generate(&rig, "otto", "oath");
    rig.change_token(&token.serial, "revoke");
    rig.restart();
    wait_until(PATIENCE, "its end", || (state(&rig, &qr["id"]) == "cancelled").then_some(()));
    wait_until(PATIENCE, "the file goes", || (!path(&qr).exists()).then_some(()));
    rig.user("ann");
    let letter = letter::generate(&rig, "ann", "sms-iak");
    rig.stop();
    // Nobody but the appliance can say how long a letter is valid: the state is under a MAC.
    let id = data_encoding::HEXLOWER.decode(text(&letter["id"]).as_bytes()).expect("hex");
    database(&rig)
        .execute("UPDATE letter SET valid_until = 1 WHERE id = ?1", params![&id])
        .expect("the store");
    rig.serve();
    rig.await_ready();
    let noted = wait_until(PATIENCE, "its event", || rig.events("type=store.tampered").pop());
    assert_eq!(noted["subject"]["row"], letter["id"]);
    database(&rig)
        .execute("UPDATE letter SET valid_until = 9e15 WHERE id = ?1", params![id])
        .expect("the store");
    rig.admin().delete(&format!("/v1/letters/{}", text(&letter["id"]))).expect(503);
}

/// OATH-47, MOB-25: templates are checked by the typesetter; one without the risk note is a finding, and exit 1.
#[test]
fn templates_are_checked() {
    let rig = rig();
    let directory = rig.path("templates");
    fs::create_dir(&directory).expect("own scratch directory");
    let dir = directory.to_str().expect("UTF-8");
    let good = rig.cli(&["letter", "template", "check", dir]);
    assert_eq!(good.status.code(), Some(0), "{}", told(&good));
    let shipped = Command::new(letters_binary()).args(["--show", "oath_de.typ"]).output().expect("starts");
    let shipped = String::from_utf8(shipped.stdout).expect("UTF-8");
    let without: Vec<&str> = shipped.lines().filter(|line| !line.starts_with("#risk-note")).collect();
    assert_eq!(without.len() + 1, shipped.lines().count());
    fs::write(directory.join("oath_de.typ"), without.join("\n")).expect("own scratch directory");
    let bad = rig.cli(&["letter", "template", "check", dir]);
    assert_eq!(bad.status.code(), Some(1), "{}", told(&bad));
    assert!(told(&bad).contains("oath_de.typ") && told(&bad).contains("risk-note"), "{}", told(&bad));
    let absent = rig.cli(&["letter", "template", "check", &format!("{dir}/absent")]);
    assert_eq!(absent.status.code(), Some(2), "{}", told(&absent));
}
