//! Every call to the module, as pkcs11-spy writes it down.

use serde_json::json;
use tests::appliance::SOFTHSM;
use tests::{Appliance, RigOptions};

/// Passes every call on and writes it down.
const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";

/// An appliance whose module is the spy, and what that has written so far.
fn spied() -> (Appliance, impl Fn() -> String) {
    let mut rig = Appliance::prepare(RigOptions { module: SPY.into(), ..RigOptions::default() });
    let log = rig.path("spy.log");
    rig.options_mut().hsm_env = vec![
        ("PKCS11SPY".to_owned(), SOFTHSM.to_owned()),
        ("PKCS11SPY_OUTPUT".to_owned(), log.display().to_string()),
    ];
    rig.write_config();
    rig.restart();
    (rig, move || std::fs::read_to_string(&log).unwrap_or_default())
}

fn calls(log: &str, function: &str) -> usize {
    log.lines().filter(|line| line.trim_end().ends_with(&format!(": {function}"))).count()
}

/// How often C_GetAttributeValue gave a value out; a refusal has the length -1, a question the length 0.
fn values_returned(log: &str) -> usize {
    let mut function = "";
    let mut returned = 0;
    for line in log.lines() {
        if let Some((number, name)) = line.split_once(": ")
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            function = name;
        }
        let length = line.trim_start().strip_prefix("CKA_VALUE ").and_then(|rest| rest.rsplit_once('/'));
        if let (true, Some((_, length))) = (function == "C_GetAttributeValue", length) {
            returned += usize::from(length.trim().parse::<i64>().is_ok_and(|length| length > 0));
        }
    }
    returned
}

/// A19, rule 7: verification happens inside the HSM, and no secret value is ever read out of it.
///
/// Red when a code is computed outside (no C_Sign is added), or when any code path asks for CKA_VALUE of a
/// secret while verifying.
#[test]
fn a_verification_signs_in_the_hsm_and_reads_no_value() {
    let (rig, log) = spied();
    let alice = rig.hotp_user("alice");
    let bob = rig.token("alice", &json!({"type": "totp"}));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let before = log();
    let rounds: u64 = 20;
    for counter in 0..rounds {
        let answer = app.verify_token(&alice.serial, &alice.secret.hotp(counter));
        assert!(answer.accepted(), "{}", answer.text());
    }
    assert!(app.verify_token(&bob.serial, "000000").rejected());
    let after = log();
    let signs = calls(&after, "C_Sign") - calls(&before, "C_Sign");
    assert!(signs >= usize::try_from(rounds).unwrap(), "only {signs} C_Sign for {rounds} verifications");
    assert!(before.contains("CKA_VALUE "), "the spy writes attributes down");
    assert!(!after[before.len()..].contains("CKA_VALUE "), "a value was asked for while verifying");
    assert_eq!(values_returned(&after), 0);
    assert_eq!(calls(&after, "C_Login"), 1, "one login serves");
    println!("spy: {rounds} verifications, {signs} C_Sign, 0 CKA_VALUE");
}
