//! A box of tokens at the bench: several at once, a stranger among them, a cut and going on, an edited list.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tests::Appliance;
use tests::appliance::told;
use tests::technician::Bench;
use tests::time::{PATIENCE, wait_until};
use tests::token::{EmulatedToken, binary, make_maker};

fn station(rig: &Appliance, maker: &Path, more: &[&str]) -> std::process::Command {
    let mut command = rig.command(&["--json", "technician", "station", "--batch", "box-1"]);
    command
        .args(more)
        .arg("--maker-key")
        .arg(maker)
        .env("COUNTERSIGN_TOKEN_SIM", binary())
        .stdin(Stdio::null());
    command
}

fn run(rig: &Appliance, maker: &Path, more: &[&str]) -> (Output, Value) {
    let output = station(rig, maker, more).output().expect("the binary starts");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    (output, report)
}

fn states(report: &Value) -> Vec<(&str, &str)> {
    let items = report["items"].as_array().expect("a list");
    let mut states: Vec<_> = items
        .iter()
        .map(|item| (item["serial"].as_str().expect("a serial"), item["state"].as_str().expect("a state")))
        .collect();
    states.sort_unstable();
    states
}

fn texts(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The bench: three tokens of the batch are provisioned and proved, one of another maker is named with the reason.
///
/// Red when a stranger stops the others, when a token counts as done without its code, or when a proved code opens
/// a login later.
#[test]
fn a_box_is_worked_and_a_stranger_is_named() {
    let Bench { rig, maker, .. } = Bench::start();
    let other = rig.path("other.key");
    make_maker(&other);
    let stranger = EmulatedToken::start(&rig.path(""), "stranger", "XYZ-000009", &other);
    let port = texts(&stranger.port);
    let more = ["--emulator", "3", "--port", &port, "--type", "hotp", "--digits", "8"];
    let (output, report) = run(&rig, &maker, &more);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let wanted =
        [("BOX-1-0001", "done"), ("BOX-1-0002", "done"), ("BOX-1-0003", "done"), ("XYZ-000009", "failed")];
    assert_eq!(states(&report), wanted, "{}", told(&output));
    let items = report["items"].as_array().expect("a list");
    let error = items.iter().find_map(|item| item["error"].as_str()).expect("a reason");
    assert!(error.contains("another maker"), "{error}");
    assert_eq!(rig.events("type=device.proved").len(), 3);
    assert!(rig.events("type=oath.verified").is_empty(), "nobody was logged in");
    let stock = rig.cli_json(&["technician", "stock", "--batch", "box-1"]);
    let in_stock = |item: &Value| item["state"] == "in_stock" && item["batch"] == "box-1";
    assert!(stock.as_array().is_some_and(|items| items.len() == 3 && items.iter().all(in_stock)), "{stock}");
    let info = rig.cli_json(&["technician", "firmware", "info", "--port", &port]);
    assert_eq!(info["hash"].as_str().map(str::len), Some(64), "{info}");
    rig.check_chain();
}

/// A code is taken once, and only from a token in stock.
///
/// Red when the bench may consume codes of a token that is somebody's, or when a proved code is fresh again.
#[test]
fn only_a_token_in_stock_is_proved_and_each_code_once() {
    let Bench { rig, maker, .. } = Bench::start();
    rig.user("alice");
    let mut token = EmulatedToken::start(&rig.path(""), "one", "CST-000001", &maker);
    rig.cli_json(&["technician", "provision", "--port", &texts(&token.port), "--type", "hotp"]);
    let mut admin = rig.admin();
    let mut prove = |otp: &str| {
        let body = serde_json::json!({ "otp": otp });
        admin
            .send("POST", "/v1/provisioning/devices/CST-000001/proof", Some(body.to_string().as_bytes()))
            .expect("an answer")
    };
    let first = token.code(6);
    assert_eq!(prove("nonsense").json()["proved"], false);
    assert_eq!(prove(&first).json()["proved"], true);
    assert_eq!(prove(&first).json()["proved"], false);
    rig.cli_json(&["token", "assign", "CST-000001", "--user", "alice"]);
    assert!(rig.admin().verify("alice", &first).rejected(), "it was consumed at the bench");
    let second = token.code(6);
    assert_eq!(prove(&second).status, 409);
    assert!(rig.admin().verify("alice", &second).accepted(), "the bench did not consume it");
}

/// A station that is killed goes on with what is left; a list that was edited is refused.
///
/// Red when a done token is worked again, a cut one is left, or the signature is not checked.
#[test]
fn a_cut_batch_goes_on_and_an_edited_one_does_not() {
    let Bench { rig, maker, .. } = Bench::start();
    let state = texts(&rig.path("box.json"));
    let more = ["--emulator", "1", "--count", "3", "--type", "hotp", "--state", &state];
    let mut cut =
        station(&rig, &maker, &more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let read =
        || std::fs::read_to_string(&state).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let begun = || {
        let known = read()?;
        let items = known["items"].as_array()?.clone();
        (items.len() == 2 && items[0]["state"] == "done").then_some(items)
    };
    let before = wait_until(PATIENCE, "the second token in work", begun);
    cut.kill().and_then(|()| cut.wait()).expect("own child");
    assert_eq!(before[1]["state"], "working");
    let (output, report) = run(&rig, &maker, &more);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let wanted = [("BOX-1-0001", "done"), ("BOX-1-0002", "done"), ("BOX-1-0003", "done")];
    assert_eq!(states(&report), wanted);
    assert_eq!(report["items"][0], before[0], "what was done is as it was");
    assert_eq!(std::fs::metadata(&state).expect("the file").permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&state).expect("the file");
    std::fs::write(&state, text.replacen("BOX-1-0003", "BOX-1-0009", 1)).expect("own file");
    let refused = station(&rig, &maker, &more).output().expect("the binary starts");
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("was edited"), "{}", told(&refused));
}

/// Labels are written for who may read them only; without the typesetter the batch is done all the same.
///
/// Red when labels decide over a batch, or lie open.
#[test]
fn labels_are_private_and_never_in_the_way() {
    let Bench { rig, maker, .. } = Bench::start();
    let helper = rig.path("typesetter");
    // It stands in for the typesetter, which is built apart: the job that it gets is what it prints.
    std::fs::write(&helper, "#!/bin/sh\nexec /bin/cat\n").expect("own scratch directory");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("own file");
    let labels = rig.path("labels.pdf");
    let more = ["--emulator", "1", "--labels", &texts(&labels)];
    let output = station(&rig, &maker, &more).env("COUNTERSIGN_LETTERS", &helper).output().expect("starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let job: Value = serde_json::from_slice(&std::fs::read(&labels).expect("labels")).expect("the job");
    assert_eq!(job["labels"][0]["serial"], "BOX-1-0001");
    assert_eq!(std::fs::metadata(&labels).expect("labels").permissions().mode() & 0o777, 0o600);
    let again = rig.path("none.pdf");
    let more = ["--emulator", "1", "--labels", &texts(&again)];
    let output =
        station(&rig, &maker, &more).env("COUNTERSIGN_LETTERS", rig.path("absent")).output().expect("starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("no labels") && !again.exists(), "{}", told(&output));
}
