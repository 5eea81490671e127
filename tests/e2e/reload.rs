//! The configuration is read again while the daemon runs: whole, or not at all.

use std::fs;
use std::process::Command;

use serde_json::json;
use tests::appliance::{MANY_MESSAGES, told};
use tests::flow::{Flow, SCOPES, example};
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

const ALICE: &str = "+41791234561";

fn length_of_a_code(rig: &Appliance, key: &str, nth: usize) -> usize {
    let flow = Flow::of(rig.loopback(Some(key)), "sms-second", "alice");
    flow.wants("sms-code");
    rig.modem().await_message(ALICE, nth).code().len()
}

fn rewrite(rig: &Appliance, from: &str, to: &str) {
    let text = fs::read_to_string(&rig.config).expect("the configuration");
    assert!(text.contains(from), "{from} is not in the configuration");
    fs::write(&rig.config, text.replace(from, to)).expect("own file");
}

/// OATH-23: what a good file says is in effect after `config activate` and after SIGHUP; a bad file, and one that takes
/// a restart, change nothing and say why. Red when a fault in the file takes anything with it.
#[test]
fn another_configuration_takes_effect_whole_or_not_at_all() {
    let rig = Appliance::start(
        RigOptions::with_modem().config(&format!("{}{MANY_MESSAGES}", example("flows/sms"))),
    );
    rig.user("alice");
    rig.phone("alice", ALICE);
    let key = rig.app_key("portal", &SCOPES);
    assert_eq!(length_of_a_code(&rig, &key, 1), 6);

    rewrite(&rig, "otp_length = 6 ", "otp_length = 8 ");
    assert_eq!(length_of_a_code(&rig, &key, 2), 6, "not before it is activated");
    let done = rig.cli_json(&["config", "activate"]);
    assert_eq!(done["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(length_of_a_code(&rig, &key, 3), 8);

    rewrite(&rig, "otp_length = 8 ", "otp_length = 80 ");
    let refused = rig.cli(&["config", "activate"]);
    let said = told(&refused);
    assert!(!refused.status.success() && said.contains("authenticator.otp_length"), "{said}");
    assert_eq!(length_of_a_code(&rig, &key, 4), 8, "the former one stays");

    rewrite(&rig, "otp_length = 80 ", "otp_length = 10 ");
    let sent = Command::new("kill").args(["-HUP", &rig.pid().to_string()]).status().expect("kill");
    assert!(sent.success());
    wait_until(PATIENCE, "the event", || (rig.events("type=config.activated").len() == 2).then_some(()));
    assert_eq!(length_of_a_code(&rig, &key, 5), 10);

    rewrite(&rig, "id = \"m1\"", "id = \"m2\"");
    let refused = rig.cli(&["config", "activate"]);
    let said = told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("[[modem]]") && said.contains("restart"), "{said}");
    assert_eq!(rig.events("type=config.refused").len(), 2);
    let stranger = rig.app_key("stranger", &["users:read"]);
    rig.loopback(Some(&stranger)).post("/v1/config/activate", &json!({})).expect(403);
}
