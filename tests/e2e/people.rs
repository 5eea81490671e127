//! What administrators do with users: passwords, methods, numbers, OATH accounts, messages, at the command line and over
//! the API. MOB-04, MOB-16, MOB-29, MOB-36, MOB-38, OATH-03 to OATH-50, SMS-45, B.5.1, B.5.10.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::appliance::told;
use tests::terminal::Terminal;
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

const NUMBER: &str = "+41791234501";
const CONTACT: &str = "+41791234502";
const PASSWORD: &str = "correct horse battery";
const ANOTHER: &str = "nine lives of a cat";
/// How long a change past the appliance waits for the daemon's own writes.
const BUSY: Duration = Duration::from_secs(10);
/// Root sees secrets alone: what a machine without other operators has to configure.
const VIEWERS: &str = "[two_person]\nacts = []\n[oath.admin]\nsecret_formats = [\"qr\", \"hex\", \"base32\"]\n\
                       view_secret_roles = [\"break-glass\"]\n";

fn rig(config: &str) -> Appliance {
    Appliance::start(RigOptions::default().config(config))
}

/// Runs a command that must end with this exit code and say this.
#[track_caller]
fn ends(output: &Output, exit: i32, text: &str) {
    assert_eq!(output.status.code(), Some(exit), "{}", told(output));
    assert!(told(output).contains(text), "{text:?} is missing: {}", told(output));
}

fn methods(rig: &Appliance, user: &str) -> Value {
    rig.cli_json(&["sms", "token", "show", user])
}

fn database(rig: &Appliance) -> Connection {
    let connection = Connection::open(rig.state.join("countersign.db")).expect("the store");
    connection.busy_timeout(BUSY).expect("a live connection");
    connection
}

/// Every file of the state directory, and the log, in one.
fn everything_stored(rig: &Appliance) -> Vec<u8> {
    let files = fs::read_dir(&rig.state).expect("the state directory");
    let paths = files.map(|file| file.expect("a file").path()).filter(|path| path.is_file());
    paths.chain([rig.log.clone()]).flat_map(|path| fs::read(path).expect("own file")).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// One call adds a user with all that a script knows; a password is in no log and no file, and only its hash is kept.
/// Red when it is logged, stored as it is, or taken as an argument.
#[test]
fn a_password_is_set_and_kept_nowhere() {
    let rig = Appliance::start(RigOptions { log: "trace".to_owned(), ..RigOptions::default() });
    let all = json!({"name": "alice", "lang": "de-CH", "email": "alice@example.org", "password": PASSWORD,
        "address": ["Alice Example", "Gasse 1", "3000 Bern"], "active_method": "SMS"});
    rig.admin().post("/v1/users", &all).expect(201);
    let shown = methods(&rig, "alice");
    for key in ["password", "email", "address"] {
        assert_eq!(shown[key], true, "{key}: {shown}");
    }
    assert_eq!((&shown["active"], &shown["phone"]), (&json!("SMS"), &Value::Null));

    ends(&rig.cli_with_input(&["user", "password", "alice", "-"], &format!("{ANOTHER}\n")), 0, "alice");
    ends(&rig.cli_with_input(&["user", "password", "alice", "-"], "short\n"), 2, "8 to 256");
    ends(&rig.cli(&["user", "password", "alice", ANOTHER]), 2, "possible values: -");
    let hash: String = database(&rig)
        .query_row("SELECT password_hash FROM user WHERE name = 'alice'", [], |row| row.get(0))
        .expect("the row");
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    let stored = everything_stored(&rig);
    for text in [PASSWORD, ANOTHER, "alice@example.org", "3000 Bern"] {
        assert!(!holds(&stored, text), "{text}");
    }
    assert!(holds(&stored, "alice"), "the search finds what is there");

    rig.cli_json(&["user", "password", "alice", "--clear"]);
    rig.cli_json(&["user", "email", "alice", "--clear"]);
    rig.cli_json(&["user", "address", "alice", "--clear"]);
    let shown = methods(&rig, "alice");
    assert_eq!([&shown["password"], &shown["email"], &shown["address"]], [&json!(false); 3], "{shown}");
    rig.cli_json(&["user", "address", "alice", "--line", "Alice", "--line", "Bern"]);
    ends(&rig.cli_with_input(&["user", "address", "alice"], "1\n2\n3\n4\n5\n6\n7\n"), 2, "at most 6 lines");
    ends(&rig.cli(&["user", "email", "alice", "nobody"]), 2, "no e-mail address");
    assert_eq!(rig.cli_json(&["user", "lang", "alice", "fr"])["lang"], "fr");
    let kinds: Vec<String> = rig
        .events("type=user&user=alice")
        .iter()
        .map(|event| event["type"].as_str().unwrap_or_default().to_owned())
        .collect();
    for kind in ["added", "password_set", "password_removed", "email_removed", "address_set", "lang_set"] {
        assert!(kinds.contains(&format!("user.{kind}")), "{kind}: {kinds:?}");
    }
    rig.check_chain();
}

/// At the terminal a password is asked for twice and never shown. Red when the terminal echoes it, stays without echo,
/// or two different ones are taken.
#[test]
fn a_terminal_does_not_show_a_password() {
    let rig = rig("");
    rig.user("alice");
    for (n, again, status) in [(0, PASSWORD, 0), (1, ANOTHER, 2)] {
        let directory = rig.path(&format!("terminal{n}"));
        fs::create_dir(&directory).expect("own scratch directory");
        let terminal = Terminal::start(&directory, 100, 30, &rig.command(&["user", "password", "alice"]));
        terminal.await_text("New password of alice:");
        terminal.keys(&[&format!("{PASSWORD}x"), "BSpace", "Enter"]);
        terminal.await_text("The same again:");
        terminal.keys(&[again, "Enter"]);
        let ended = terminal.await_end();
        assert_eq!(ended.status, status, "{}", terminal.text());
        assert!(ended.settings_restored);
        assert!(!terminal.text().contains(&PASSWORD[..8]), "{}", terminal.text());
    }
    let directory = rig.path("given-up");
    fs::create_dir(&directory).expect("own scratch directory");
    let terminal = Terminal::start(&directory, 100, 30, &rig.command(&["user", "password", "alice"]));
    terminal.await_text("New password of alice:");
    terminal.keys(&["C-c"]);
    let ended = terminal.await_end();
    assert!(ended.status == 2 && ended.settings_restored, "{ended:?}: {}", terminal.text());
    assert_eq!(rig.events("type=user.password_set").len(), 1);
}

/// MOB-04, MOB-36, MOB-38, B.5.1: a contact phone gets nothing; only a verified number does, while it is neither set
/// aside nor removed. Red when the contact phone, or a number that is set aside, gets a text.
#[test]
fn only_a_verified_number_gets_texts() {
    let rig = Appliance::start(RigOptions::with_modem());
    let key = rig.app_key("vpn", &["challenge"]);
    let order =
        || rig.loopback(Some(&key)).post("/v1/challenges", &json!({"user": "alice", "channel": "sms"}));
    rig.cli_json(&["user", "add", "alice", "--phone", CONTACT, "--method", "SMS"]);
    let none = |output: &Output| ends(output, 1, "no-user-or-phonenumber");
    none(&rig.cli(&["sms", "test", "alice"]));
    order().expect(404);

    rig.cli_json(&["user", "phone", "set", "alice", NUMBER, "--verified-by", "bob"]);
    rig.cli_json(&["sms", "test", "alice"]);
    rig.modem().await_message(NUMBER, 1);
    let shown = rig.cli_json(&["user", "phone", "show", "alice"]);
    assert_eq!((&shown["masked"], &shown["number"]), (&json!("…4501"), &Value::Null), "{shown}");
    assert_eq!((&shown["state"], &shown["source"]), (&json!("verified"), &json!("operator")));
    let id = order().expect(201).json()["id"].as_str().expect("a handle").to_owned();
    let otp = rig.modem().await_message(NUMBER, 2).code();

    rig.cli_json(&["user", "phone", "suspend", "alice"]);
    ends(&rig.cli(&["user", "phone", "suspend", "alice"]), 1, "suspended already");
    none(&rig.cli(&["sms", "test", "alice"]));
    order().expect(404);
    let answer = rig.loopback(Some(&key)).post(&format!("/v1/challenges/{id}/verify"), &json!({"otp": otp}));
    assert!(answer.rejected(), "a code on its way to a number that is set aside");
    assert_eq!(methods(&rig, "alice")["phone"]["state"], "suspended");
    rig.cli_json(&["user", "phone", "resume", "alice"]);
    rig.cli_json(&["sms", "test", "alice"]);
    rig.modem().await_message(NUMBER, 3);

    rig.cli_json(&["user", "phone", "remove", "alice"]);
    none(&rig.cli(&["sms", "test", "alice"]));
    none(&rig.cli(&["user", "phone", "remove", "alice"]));
    order().expect(404);
    assert_eq!(methods(&rig, "alice")["phone"], Value::Null);
    // What the number got while it was bound stays to be seen, and another one can be bound.
    rig.loopback(Some(&key)).get(&format!("/v1/challenges/{id}")).expect(200);
    rig.cli_json(&["user", "phone", "set", "alice", NUMBER, "--verified-by", "bob"]);
    assert_eq!(rig.modem().messages_to(CONTACT).len(), 0, "MOB-04");
    assert_eq!(rig.modem().messages_to(NUMBER).len(), 3);
    for kind in ["phone.suspended", "phone.resumed", "phone.removed"] {
        assert!(rig.events(&format!("type={kind}")).iter().any(|event| event["outcome"] == "ok"), "{kind}");
    }
    let text = serde_json::to_string(&rig.events("")).expect("JSON");
    assert!(!text.contains(&NUMBER[1..]) && !text.contains(&CONTACT[1..]), "no number in an event");
}

/// MOB-29: the method, whether there is a number, and where the letter stands, at the command line and over the API.
/// Red when a letter or a number is left out, or more than the number's last digits is shown.
#[test]
fn an_operator_sees_what_a_user_can_log_in_with() {
    let rig = rig("");
    rig.cli_json(&["user", "add", "alice", "--method", "SMS"]);
    let before = methods(&rig, "alice");
    assert_eq!((&before["phone"], &before["letters"]), (&Value::Null, &json!([])), "{before}");
    let hand = ["letter", "order", "--kind", "sms-iak", "--delivery", "hand", "alice"];
    let ordered = rig.cli_json(&hand);
    rig.phone("alice", NUMBER);
    let shown = methods(&rig, "alice");
    assert_eq!((&shown["active"], &shown["phone"]["masked"]), (&json!("SMS"), &json!("…4501")));
    let letter = &shown["letters"][0];
    assert_eq!((&letter["id"], &letter["kind"]), (&ordered["id"], &json!("sms-iak")), "{shown}");
    assert_eq!(letter["state"], "ordered");
    assert_eq!(rig.admin().get("/v1/users/alice/methods").expect(200).json(), shown);
    let printed = rig.cli(&["sms", "token", "show", "alice"]);
    let printed = String::from_utf8(printed.stdout).expect("UTF-8");
    for text in ["SMS", "4501", "sms-iak", "ordered"] {
        assert!(printed.contains(text), "{text} is missing: {printed}");
    }
    assert!(!printed.contains(NUMBER), "{printed}");
}

/// MOB-38: whole numbers for operators who may change them, once the configuration says so; for nobody else.
#[test]
fn numbers_are_whole_only_where_the_configuration_says_so() {
    let rig = rig("[sms]\nmask_for_admins = false\n");
    rig.user("alice");
    rig.phone("alice", NUMBER);
    assert_eq!(methods(&rig, "alice")["phone"]["number"], NUMBER);
    let key = rig.app_key("desk", &["users:read", "users:write"]);
    let answer = rig.loopback(Some(&key)).get("/v1/users/alice/methods").expect(200);
    assert!(!answer.text().contains(&NUMBER[1..]), "{}", answer.text());
}

/// MOB-16, B.5.10, OATH-19, D-61. Red when the next method may be the one in use, stays after the move, or is OATH_OTP
/// where operators may not choose it.
#[test]
fn methods_are_set_by_operators() {
    let mut rig = rig("");
    rig.user("alice");
    let set = rig.cli_json(&["user", "method", "set", "alice", "sms"]);
    assert_eq!((&set["active"], &set["next"]), (&json!("SMS"), &Value::Null));
    assert_eq!(rig.cli_json(&["user", "method", "next", "alice", "OATH_OTP"])["next"], "OATH_OTP");
    ends(&rig.cli(&["user", "method", "next", "alice", "SMS"]), 2, "must be another");
    ends(
        &rig.cli(&["user", "method", "set", "alice", "FAX"]),
        2,
        "there are PASSWORD, SMS, OATH_OTP, PUSH, HW_TOKEN",
    );
    let moved = rig.cli_json(&["user", "method", "alice", "--active", "OATH_OTP"]);
    assert_eq!(
        (&moved["active"], &moved["next"]),
        (&json!("OATH_OTP"), &Value::Null),
        "who has arrived stays"
    );
    let both = json!({"active": "SMS", "next": "OATH_OTP"});
    rig.admin().put("/v1/users/alice/auth-method", &both).expect(200);
    assert_eq!(rig.cli_json(&["user", "method", "next", "alice", "none"])["next"], Value::Null);
    rig.admin().put("/v1/users/alice/auth-method", &both).expect(200);
    let cleared = rig.admin().put("/v1/users/alice/auth-method", &json!({"next": null})).expect(200).json();
    assert_eq!((&cleared["active"], &cleared["next"]), (&json!("SMS"), &Value::Null));
    assert_eq!(rig.cli_json(&["user", "method", "alice"])["active"], "SMS");
    rig.admin().put("/v1/users/alice/auth-method", &json!({})).expect(400);

    rig.options_mut().config = "[oath.admin]\nselectable_as_next = false\n".to_owned();
    rig.write_config();
    rig.restart();
    ends(&rig.cli(&["user", "method", "next", "alice", "OATH_OTP"]), 1, "selectable_as_next");
    let refused =
        rig.events("type=user.method_set").into_iter().filter(|event| event["outcome"] == "refused");
    assert_eq!(refused.map(|event| event["reason"].clone()).collect::<Vec<_>>(), ["not_selectable"]);
    rig.cli_json(&["user", "method", "set", "alice", "OATH_OTP"]);
}

/// A user whom an operator has locked gets nowhere until unlocked, and no write past the appliance unlocks one.
#[test]
fn a_locked_user_gets_nowhere() {
    let rig = rig("");
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    assert!(app.verify("alice", &token.secret.hotp(0)).accepted());
    assert_eq!(rig.cli_json(&["user", "lock", "alice"])["state"], "locked");
    ends(&rig.cli(&["user", "lock", "alice"]), 1, "locked already");
    assert!(app.verify("alice", &token.secret.hotp(1)).rejected());
    assert_eq!(rig.cli_json(&["user", "unlock", "alice"])["state"], "active");
    assert!(app.verify("alice", &token.secret.hotp(2)).accepted());
}

/// What a writer changes in an account; after each, the way back.
const ACCOUNT_CHANGES: [(&str, &str); 5] = [
    ("active_method = 'PASSWORD'", "active_method = 'SMS'"),
    ("next_method = 'PUSH'", "next_method = NULL"),
    ("state = 'active'", "state = 'locked'"),
    ("mac = NULL", ""),
    ("mac = zeroblob(32)", ""),
];

/// A22: what decides how a user logs in stands under a MAC. Red when a column is left out of it.
#[test]
fn an_edited_account_is_a_fault_that_names_it() {
    let rig = rig("");
    rig.user("alice");
    rig.cli_with_input(&["user", "password", "alice", "-"], PASSWORD);
    rig.cli_json(&["user", "method", "set", "alice", "SMS"]);
    rig.cli_json(&["user", "lock", "alice"]);
    let store = database(&rig);
    let read = |column: &str| -> Vec<u8> {
        let sql = format!("SELECT CAST({column} AS BLOB) FROM user WHERE name = 'alice'");
        store.query_row(&sql, [], |row| row.get(0)).expect("the row")
    };
    let (mac, hash) = (read("mac"), String::from_utf8(read("password_hash")).expect("text"));
    let another = format!("password_hash = '{}'", hash.replace("m=19456", "m=8"));
    let back = format!("password_hash = '{hash}'");
    let changes = ACCOUNT_CHANGES.into_iter().chain([(another.as_str(), back.as_str())]);
    for (n, (there, back)) in changes.enumerate() {
        let run = |sql: &str| assert_eq!(store.execute(sql, []).expect(sql), 1, "{sql}");
        run(&format!("UPDATE user SET {there} WHERE name = 'alice'"));
        let output = rig.cli(&["user", "method", "next", "alice", "HW_TOKEN"]);
        ends(&output, 3, "the account of alice was changed outside the appliance");
        if !back.is_empty() {
            run(&format!("UPDATE user SET {back} WHERE name = 'alice'"));
        }
        let restored = "UPDATE user SET mac = ?1 WHERE name = 'alice'";
        assert_eq!(store.execute(restored, [&mac]).expect("the row"), 1);
        assert_eq!(rig.events("type=store.tampered").len(), n + 1, "{there}");
    }
    rig.cli_json(&["user", "method", "next", "alice", "HW_TOKEN"]);
}

/// OATH-03, OATH-13, OATH-24, OATH-27, OATH-43, OATH-44, OATH-50: an account is made unseen, there is one, a new secret ends the
/// old one, and what is deleted is gone. Red when a second one is made, or an old app goes on.
#[test]
fn an_account_is_made_renewed_and_ended() {
    let rig = rig(VIEWERS);
    rig.user("alice");
    let made = rig.cli(&["--json", "oath", "add", "alice"]);
    ends(&made, 0, "CST");
    assert!(!told(&made).contains("otpauth") && !told(&made).contains("secret"), "{}", told(&made));
    ends(&rig.cli(&["oath", "add", "alice"]), 1, "oath.already_exists");
    let answer = rig.admin().post("/v1/users/alice/oath", &json!({})).expect(409);
    assert_eq!(answer.code(), "conflict");
    let first = code(&secret(&rig, "alice", "base32"), &["-b"]);
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    assert!(app.verify("alice", &first).accepted());

    ends(&rig.cli(&["oath", "renew", "alice", "--yes"]), 1, "letter.no_address");
    ends(&rig.cli(&["oath", "add", "alice", "--letter"]), 1, "letter.no_address");
    rig.cli_json(&["user", "address", "alice", "--line", "Alice", "--line", "3000 Bern"]);
    ends(&rig.cli_with_input(&["oath", "renew", "alice"], "no\n"), 1, "nothing was changed");
    let old = secret(&rig, "alice", "hex");
    let renewed = rig.cli_json(&["oath", "renew", "alice", "--yes"]);
    assert_eq!(renewed["ended"].as_array().map(Vec::len), Some(1), "{renewed}");
    let kinds: Vec<String> = rig
        .events("")
        .iter()
        .rev()
        .take(3)
        .rev()
        .filter_map(|e| e["type"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(kinds, ["oath.deleted", "oath.secret_added", "letter.ordered"], "one transaction");
    assert_eq!(
        (&renewed["letter"]["kind"], &renewed["letter"]["state"]),
        (&json!("oath"), &json!("ordered"))
    );
    let new = secret(&rig, "alice", "hex");
    assert_ne!(old, new);
    assert!(app.verify("alice", &code(&old, &[])).rejected(), "the old app goes on");
    assert!(app.verify("alice", &code(&new, &[])).accepted());
    let shown = rig.cli_json(&["oath", "show", "alice"]);
    assert_eq!((&shown["quota"], &shown["accounts"][0]["revealable"]), (&json!(1), &json!(true)), "{shown}");
    assert_eq!(shown["letter"]["state"], "ordered");

    ends(&rig.cli_with_input(&["oath", "delete", "alice"], "no\n"), 1, "nothing was changed");
    ends(&rig.cli_with_input(&["oath", "delete", "alice"], "yes\n"), 0, "ended CST");
    ends(&rig.cli(&["oath", "delete", "alice", "--yes"]), 1, "there is no such OATH account");
    ends(&rig.cli(&["oath", "show-secret", "alice"]), 1, "there is no such OATH account");
    let left: i64 = database(&rig)
        .query_row("SELECT count(*) FROM token WHERE record IS NOT NULL OR reveal IS NOT NULL", [], |row| {
            row.get(0)
        })
        .expect("a count");
    assert_eq!(left, 0, "secrets are erased");
    let count = |kind: &str, outcome: &str| {
        rig.events(&format!("type={kind}&user=alice"))
            .iter()
            .filter(|event| event["outcome"] == outcome)
            .count()
    };
    assert_eq!((count("oath.secret_added", "ok"), count("oath.deleted", "ok")), (2, 2));
    assert_eq!((count("oath.secret_added", "refused"), count("oath.deleted", "refused")), (2, 1));
    assert_eq!(count("letter.ordered", "refused"), 2);
    rig.check_chain();
}

fn secret(rig: &Appliance, user: &str, format: &str) -> String {
    let shown = rig.cli_json(&["oath", "show-secret", user, "--format", format]);
    shown["secret"].as_str().expect("a secret").to_owned()
}

/// The code of this moment, by a judge that is not ours.
fn code(secret: &str, form: &[&str]) -> String {
    let output =
        Command::new("oathtool").arg("--totp").args(form).arg(secret).output().expect("scripts/setup.sh");
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// OATH-04, OATH-20, OATH-48: nobody sees a secret by default, root and an application that may everything included;
/// who is named sees it in the listed forms, and each time is an event. Red when one of the three is not looked at.
#[test]
fn a_secret_is_seen_by_whom_the_configuration_names() {
    let mut rig = rig("");
    rig.user("alice");
    rig.cli_json(&["oath", "add", "alice"]);
    let key = rig.app_key("portal", &["admin"]);
    ends(&rig.cli(&["oath", "show-secret", "alice"]), 1, "oath:view_secret");
    let mut configure = |config: &str| {
        rig.options_mut().config = config.to_owned();
        rig.write_config();
        rig.restart();
    };
    configure(&VIEWERS.replace("\"hex\", ", ""));
    ends(&rig.cli(&["oath", "show-secret", "alice", "--format", "hex"]), 1, "not shown as hex");
    let answer = rig.loopback(Some(&key)).get("/v1/users/alice/oath/secret?format=base32");
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{}", answer.text());
    assert_eq!(rig.admin().get("/v1/users/alice/oath/secret?format=svg").expect(400).code(), "malformed");
    let answer = rig.admin().get("/v1/users/alice/oath/secret?format=base32").expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let base32 = answer.json()["secret"].as_str().expect("a secret").to_owned();

    let drawn = rig.cli(&["oath", "show-secret", "alice"]);
    let read = scanned(&rig, &String::from_utf8_lossy(&drawn.stdout));
    assert!(read.starts_with("otpauth://totp/") && read.contains(&format!("secret={base32}&")), "{read}");
    ends(&rig.cli_with_input(&["oath", "uri-check", "-"], &read), 0, "every usual app takes it");

    let seen = rig.events("type=oath.secret_viewed_by_admin");
    let told: Vec<(&str, &str)> = seen
        .iter()
        .map(|event| {
            (event["outcome"].as_str().unwrap_or(""), event["subject"]["format"].as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(told, [("refused", ""), ("ok", "base32"), ("ok", "qr")]);
    assert_eq!(rig.events("type=api.forbidden").len(), 2);
    assert!(!holds(&everything_stored(&rig), &base32));
}

/// What a camera reads from half blocks on a dark terminal.
fn scanned(rig: &Appliance, drawn: &str) -> String {
    const SCALE: usize = 8;
    let rows: Vec<Vec<(u8, u8)>> = drawn
        .lines()
        .map(|line| {
            let halves = |c: char| match c {
                '█' => (255, 255),
                '▀' => (255, 0),
                '▄' => (0, 255),
                _ => (0, 0),
            };
            line.chars().map(halves).collect()
        })
        .collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or_default();
    let mut pixels = Vec::new();
    for row in &rows {
        for half in [0, 1] {
            let line: Vec<u8> = (0..width)
                .map(|at| row.get(at).copied().unwrap_or_default())
                .flat_map(|(upper, lower)| [if half == 0 { upper } else { lower }; SCALE])
                .collect();
            (0..SCALE).for_each(|_| pixels.extend_from_slice(&line));
        }
    }
    let mut picture = format!("P5 {} {} 255\n", width * SCALE, rows.len() * 2 * SCALE).into_bytes();
    picture.extend(pixels);
    let path = rig.path("code.pgm");
    fs::write(&path, picture).expect("own scratch directory");
    let read =
        Command::new("zbarimg").args(["-q", "--raw", "-Sdisable", "-Sqrcode.enable"]).arg(path).output();
    let read = read.expect("scripts/setup.sh");
    assert!(read.status.success(), "{}", told(&read));
    String::from_utf8_lossy(&read.stdout).trim().to_owned()
}

/// OATH-51: with an account, and with a new user, a letter is ordered where the configuration says so.
#[test]
fn letters_are_ordered_by_themselves_where_configured() {
    let rig = rig("[oath]\nauto_order_letter = true\nauto_order_letter_new_users = true\n");
    let lines = json!({"name": "alice", "address": ["Alice", "3000 Bern"]});
    rig.admin().post("/v1/users", &lines).expect(201);
    let shown = rig.cli_json(&["oath", "show", "alice"]);
    assert_eq!(
        (&shown["letter"]["state"], &shown["letter"]["delivery"]),
        (&json!("ordered"), &json!("post"))
    );
    assert_eq!(shown["accounts"].as_array().map(Vec::len), Some(1));
    rig.user("bob");
    let shown = rig.cli_json(&["oath", "show", "bob"]);
    assert_eq!(shown["letter"]["delivery"], "hand", "without an address it is handed over: {shown}");
    rig.cli_json(&["oath", "delete", "bob", "--yes"]);
    rig.cli_json(&["user", "address", "bob", "--line", "Bob"]);
    assert_eq!(rig.cli_json(&["oath", "add", "bob"])["letter"]["delivery"], "post");
}

/// D-28: an account that went astray is found from two codes.
#[test]
fn an_account_is_found_again() {
    let rig = rig("");
    let token = rig.hotp_user("alice");
    let codes = [token.secret.hotp(40), token.secret.hotp(41)];
    let found = rig.cli_json(&["oath", "resync", "alice", &codes[0], &codes[1]]);
    assert_eq!(found["serial"], token.serial);
    let key = rig.app_key("vpn", &["verify"]);
    assert!(rig.loopback(Some(&key)).verify("alice", &token.secret.hotp(42)).accepted());
}

/// OATH-11: what every usual app takes, and why another one is not.
#[test]
fn uris_are_checked() {
    let rig = Appliance::prepare(RigOptions::default());
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let check = |uri: &str, exit: i32, text: &str| ends(&rig.cli(&["oath", "uri-check", uri]), exit, text);
    check(&format!("otpauth://totp/Bank:alice?secret={secret}&issuer=Bank"), 0, "every usual app");
    let rows = [
        (format!("otpauth://totp/a?secret={secret}&algorithm=SHA256"), "algorithm SHA256"),
        (format!("otpauth://totp/a?secret={secret}&digits=8"), "digits 8"),
        (format!("otpauth://totp/a?secret={secret}&period=60"), "period 60"),
        (format!("otpauth://totp/a?secret={secret}&image=x"), "image is no standard parameter"),
        ("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ".to_owned(), "80 bits"),
        (format!("otpauth://totp/a?secret={}", secret.to_lowercase()), "capitals"),
        (format!("otpauth://hotp/a?secret={secret}"), "counter"),
        ("https://example.org/".to_owned(), "must begin with otpauth://"),
    ];
    for (uri, reason) in &rows {
        check(uri, 1, reason);
    }
}

/// SMS-45, SMS-18, D-65: parts of each text message in each language; a code alone is one part. Red when a text that
/// takes four parts passes.
#[test]
fn text_messages_are_counted() {
    let rig = Appliance::prepare(RigOptions::default());
    let text = fs::read_to_string(&rig.config).expect("own file");
    let write = |message: &str| {
        let tables =
            format!("public_url = \"https://login.example.org\"\n{text}\n[sms]\nmessage = \"{message}\"\n");
        fs::write(&rig.config, tables).expect("own file");
    };
    write("Your code is %s");
    let counted = rig.cli_json(&["messages", "check", "--sms"]);
    let counted = counted.as_array().expect("a list");
    assert_eq!(counted.len(), 9 * 4, "nine texts in four languages");
    let of = |key: &str| counted.iter().filter(|text| text["key"] == key).collect::<Vec<_>>();
    assert!(
        of("enter-otp.sms.sent.message").iter().all(|text| text["parts"] == 1 && text["alphabet"] == "gsm7")
    );
    assert!(of("link-wait.sms.sent.message").iter().all(|text| text["parts"].as_u64() <= Some(3)));
    let german = rig.cli_json(&["messages", "check", "--sms", "--lang", "de-CH"]);
    assert!(
        german.as_array().is_some_and(|list| list.len() == 9 && list.iter().all(|text| text["lang"] == "de"))
    );
    write(&format!("{} %s", "x".repeat(155)));
    ends(&rig.cli(&["messages", "check", "--sms", "--lang", "en"]), 0, "sms.message in en: 2 parts");
    write(&format!("{} %s", "x".repeat(600)));
    for command in [&["messages", "check", "--sms"][..], &["messages", "check"], &["config", "check"]] {
        ends(&rig.cli(command), 2, "sms.message: takes 4 text messages");
    }
    write("Your code is %s");
    ends(&rig.cli(&["config", "check"]), 0, "no findings");
    ends(&rig.cli(&["messages", "check", "--sms", "--lang", "ja"]), 2, "there are en, de, fr, it");
}

/// `events --follow --json` gives a line for each event, also for those that come later, and nothing else.
#[test]
fn events_are_followed() {
    let rig = rig("");
    rig.user("alice");
    let mut command = rig.command(&["--json", "events", "--follow", "--type", "user", "--limit", "1"]);
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe was asked for")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    assert_eq!(next()["type"], "user.added");
    rig.cli_json(&["user", "lang", "alice", "it"]);
    rig.cli_json(&["user", "lock", "alice"]);
    assert_eq!(
        (next()["type"].as_str(), next()["type"].as_str()),
        (Some("user.lang_set"), Some("user.locked"))
    );
    child.kill().expect("own child");
    child.wait().expect("own child");
    wait_until(PATIENCE, "the daemon is well", || {
        rig.admin().send("GET", "/readyz", None).is_ok_and(|answer| answer.status == 200).then_some(())
    });
}
