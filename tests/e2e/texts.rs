//! An operator's own texts: in messages and on pages, and refused as a whole when one is wrong.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::json;
use tests::appliance::{MANY_MESSAGES, told};
use tests::flow::{Flow, SCOPES, example};
use tests::forms::Visitor;
use tests::{Appliance, RigOptions};

const ANN: &str = "+41791234561";
const BOB: &str = "+41791234562";
const SENT: &str = "authenticator_sms_enter-otp_sms_sent_message";

fn directory(rig: &Appliance) -> PathBuf {
    rig.path("messages")
}

fn write(rig: &Appliance, name: &str, text: &str) {
    fs::write(directory(rig).join(name), text).expect("own file");
}

/// An appliance whose configuration names a directory of texts, empty, and the key of an application.
fn rig() -> (Appliance, String) {
    let mut rig = Appliance::prepare(RigOptions::with_modem());
    fs::create_dir(directory(&rig)).expect("own scratch directory");
    let own = format!("[messages]\ndir = {}\n", json!(directory(&rig)));
    rig.options_mut().pages = true;
    rig.options_mut().config = format!("{}{MANY_MESSAGES}{own}", example("flows/sms"));
    rig.write_config();
    rig.serve();
    rig.await_ready();
    rig.admin().post("/v1/users", &json!({"name": "ann", "lang": "de-CH"})).expect(201);
    rig.admin().post("/v1/users", &json!({"name": "bob", "lang": "rm"})).expect(201);
    rig.phone("ann", ANN);
    rig.phone("bob", BOB);
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

/// What a user's `nth` message says, with the code as `#`.
fn message(rig: &Appliance, key: &str, user: &str, number: &str, nth: usize) -> String {
    let flow = Flow::of(rig.loopback(Some(key)), "sms-second", user);
    flow.wants("sms-code");
    let message = rig.modem().await_message(number, nth);
    message.text.clone().expect("a whole text").replace(&message.code(), "#")
}

/// SMS-17, SMS-19, D-62: the operator's text arrives on the phone in the user's language, with the code in its place; a
/// language that is not built in can be added, and has English texts where its file has none. Red when the text is
/// another language's, or the built-in one.
#[test]
fn own_texts_arrive_in_the_users_language() {
    let (rig, key) = rig();
    assert_eq!(message(&rig, &key, "ann", ANN, 1), "#");
    write(&rig, "de.ftl", &format!("# Unsere Texte\n{SENT} = Ihr Code lautet %s (zu 100%% geheim).\n"));
    write(&rig, "rm.ftl", &format!("{SENT} = Voss code: {{ $code }}\nui-continue = Vinavant\n"));
    assert_eq!(message(&rig, &key, "ann", ANN, 2), "#", "not before it is activated");
    rig.cli_json(&["config", "activate"]);
    assert_eq!(message(&rig, &key, "ann", ANN, 3), "Ihr Code lautet # (zu 100% geheim).");
    assert_eq!(message(&rig, &key, "bob", BOB, 1), "Voss code: #");
    let activated = rig.events("type=config.activated").pop().expect("its event");
    assert_eq!(activated["subject"]["messages_sha256"].as_str().map(str::len), Some(64));

    // A text without a file of its own language is the English one, also for the language that was added.
    rig.cli_json(&["sms", "test", "bob"]);
    let test = rig.modem().await_message(BOB, 2).text.expect("a whole text");
    assert!(test.starts_with("This is a test message"), "{test}");
    rig.cli_json(&["sms", "test", "ann"]);
    let test = rig.modem().await_message(ANN, 4).text.expect("a whole text");
    assert!(test.contains("Test") && !test.starts_with("This"), "{test}");

    let listed = rig.cli_json(&["messages", "check"]);
    let of = |lang: &str| listed.as_array().into_iter().flatten().find(|row| row["lang"] == lang).cloned();
    assert_eq!(of("rm"), Some(json!({"lang": "rm", "own": 2, "built_in": false})), "{listed}");
    assert_eq!(of("de"), Some(json!({"lang": "de", "own": 1, "built_in": true})), "{listed}");
    let counted = rig.cli_json(&["messages", "check", "--sms", "--lang", "rm"]);
    assert!(counted.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(|t| t["parts"] == 1)));
}

/// A page is in the language that the browser asks for, also in one that the operator has added.
#[test]
fn a_page_speaks_an_added_language() {
    let (rig, _) = rig();
    write(&rig, "rm.ftl", "username-intro = Scrivai voss num.\n");
    rig.cli_json(&["config", "activate"]);
    let mut visitor = Visitor::new(rig.address);
    visitor.headers.push(("accept-language", "rm, de;q=0.5".to_owned()));
    let page = visitor.go("/ui/nowhere").text();
    assert!(page.contains("<html lang=\"rm\"") && page.contains("There is no such page."), "{page}");
}

/// SMS-18, CFG-MSG-1, SMS-45, OATH-23: a file with a fault is refused at the check and at the activation, by file, line
/// and key, and everything stays as it was; a daemon does not start with it. Red when a part of it is taken, or a text
/// without a place for the code passes.
#[test]
fn a_bad_file_changes_nothing() {
    let (mut rig, key) = rig();
    write(&rig, "de.ftl", &format!("{SENT} = Code: %s\n"));
    rig.cli_json(&["config", "activate"]);
    let good = "ui-continue = Avanti\n";
    write(&rig, "it.ftl", good);
    let long = format!("{SENT} = {} %s\n", "x".repeat(600));
    for (text, place, says) in [
        (format!("\n{SENT} = Ihr Code\n"), format!("de.ftl:2: {SENT}"), "CFG-MSG-1"),
        (format!("{SENT} = %s und %s\n"), format!("de.ftl:1: {SENT}"), "CFG-MSG-1"),
        ("ui-continu = Weiter\n".to_owned(), "de.ftl:1: ui-continu:".to_owned(), "CFG-MSG-1"),
        (format!("ui-back Zurück\n{SENT} = %s\n"), "de.ftl:1: ui-back:".to_owned(), "CFG-MSG-1"),
        (long, format!("de.ftl:1: {SENT}"), "takes 4 text messages"),
    ] {
        write(&rig, "de.ftl", &text);
        for command in [&["config", "check"][..], &["messages", "check"], &["messages", "check", "--sms"]] {
            let refused = rig.cli(command);
            let said = told(&refused);
            assert_eq!(refused.status.code(), Some(2), "{command:?}: {said}");
            assert!(said.contains(&place) && said.contains(says), "{command:?}: {place} {says}: {said}");
        }
        let refused = rig.cli(&["config", "activate"]);
        let said = told(&refused);
        assert!(!refused.status.success() && said.contains(&place), "{said}");
    }
    assert_eq!(rig.events("type=config.refused").len(), 5);
    let found: serde_json::Value =
        serde_json::from_slice(&rig.cli(&["--json", "config", "check"]).stdout).expect("JSON");
    let finding = &found["findings"][0];
    assert!(finding["file"].as_str().is_some_and(|file| file.ends_with("de.ftl")), "{found}");
    assert_eq!(message(&rig, &key, "ann", ANN, 1), "Code: #", "the former one stays");
    rig.stop();
    let refused = rig.cli(&["serve"]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
}

/// What is no catalogue of a language is a fault and not left out: a misspelt name would go unnoticed.
#[test]
fn every_file_is_a_catalogue() {
    let (rig, _) = rig();
    let ends = |says: &str| {
        let refused = rig.cli(&["config", "check"]);
        let said = told(&refused);
        assert!(refused.status.code() == Some(2) && said.contains(says), "{says}: {said}");
    };
    let remove = |name: &str| fs::remove_file(directory(&rig).join(name)).expect("own file");
    for (name, text, says) in [
        ("de.toml", "ui-back = x\n".to_owned(), "messages.dir: "),
        ("in the wrong place.ftl", "ui-back = x\n".to_owned(), "no language tag"),
        ("de.ftl", "# x\n".repeat(70_000), "larger than 262144 bytes"),
    ] {
        write(&rig, name, &text);
        ends(says);
        remove(name);
    }
    write(&rig, "de-CH.ftl", "ui-back = x\n");
    write(&rig, "de_ch.ftl", "ui-back = y\n");
    ends("there is another file for de-CH");
    remove("de_ch.ftl");
    fs::write(directory(&rig).join("fr.ftl"), b"ui-back = \xff\n").expect("own file");
    ends("fr.ftl:1: : cannot be read");
    remove("fr.ftl");
    symlink("/dev/null", directory(&rig).join("it.ftl")).expect("own directory");
    ends("it is no file");
    remove("it.ftl");
    write(&rig, ".swp", "what an editor keeps");
    assert!(rig.cli(&["config", "check"]).status.success());
    fs::remove_dir_all(directory(&rig)).expect("own directory");
    ends("messages.dir: ");
}
