//! A hardware token from the factory to its first accepted code, through the real appliance and SoftHSM.

use tests::Appliance;
use tests::technician::Bench;
use tests::token::{EmulatedToken, make_maker};

fn provision(rig: &Appliance, token: &EmulatedToken, more: &[&str]) -> serde_json::Value {
    let port = token.port.display().to_string();
    let mut arguments = vec!["technician", "provision", "--port", &port];
    arguments.extend(more);
    rig.cli_json(&arguments)
}

/// OATH-01, D-23: the secret is made in the HSM, wrapped to the token, and its codes are accepted.
///
/// Red when the two sides do not derive the same key, when the token is known before it has proved itself, or when
/// a token in stock is accepted before it is somebody's.
#[test]
fn a_token_is_provisioned_assigned_and_accepted() {
    let Bench { rig, maker, .. } = Bench::start();
    rig.user("alice");
    let mut token = EmulatedToken::start(&rig.path(""), "one", "CST-000001", &maker);
    let made = provision(&rig, &token, &["--type", "hotp", "--digits", "8"]);
    assert_eq!(
        (made["serial"].as_str(), made["state"].as_str()),
        (Some("CST-000001"), Some("provisioned")),
        "{made}"
    );
    assert!(made["error"].is_null(), "{made}");
    let first = token.code(8);
    let mut admin = rig.admin();
    assert!(admin.verify_token("CST-000001", &first).rejected(), "in stock, nobody's");
    rig.cli_json(&["token", "assign", "CST-000001", "--user", "alice"]);
    let second = token.code(8);
    assert!(admin.verify("alice", &second).accepted());
    assert!(admin.verify("alice", &second).rejected(), "the same code again");
    let kinds: Vec<String> = rig
        .events("token=CST-000001")
        .iter()
        .filter_map(|event| event["type"].as_str().map(str::to_owned))
        .collect();
    for kind in ["device.provisioned", "device.committed", "token.assigned", "oath.verified"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is missing among {kinds:?}");
    }
    rig.check_chain();
}

/// A token of a maker who is not trusted gets no secret.
///
/// Red when the certificate is not checked against the pinned keys.
#[test]
fn a_token_of_another_maker_is_refused() {
    let Bench { rig, .. } = Bench::start();
    let stranger = rig.path("stranger.key");
    make_maker(&stranger);
    let token = EmulatedToken::start(&rig.path(""), "two", "CST-000002", &stranger);
    let port = token.port.display().to_string();
    let refused = rig.cli(&["--json", "technician", "provision", "--port", &port]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(text.contains("another maker"), "{text}");
    assert_eq!(rig.events("type=device.refused").len(), 1);
}

/// A token in use is not given another secret behind its user's back; a revoked one can come back.
///
/// Red when a station may overwrite a token that is somebody's.
#[test]
fn a_token_in_use_is_left_alone_until_it_is_revoked() {
    let Bench { rig, maker, .. } = Bench::start();
    rig.user("alice");
    let mut token = EmulatedToken::start(&rig.path(""), "three", "CST-000003", &maker);
    provision(&rig, &token, &["--type", "hotp"]);
    rig.cli_json(&["token", "assign", "CST-000003", "--user", "alice"]);
    let port = token.port.display().to_string();
    let refused = rig.cli(&["--json", "technician", "provision", "--port", &port]);
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stdout));
    let code = token.code(6);
    assert!(rig.admin().verify("alice", &code).accepted(), "its secret is as it was");
    rig.cli_json(&["token", "revoke", "CST-000003"]);
    let again = provision(&rig, &token, &["--type", "hotp"]);
    assert!(again["error"].is_null(), "{again}");
}

/// The check digit of Luhn's formula, which RFC 4226 appendix C appends.
fn check_digit(code: &str) -> u32 {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let digits = code.chars().rev().map(|digit| digit.to_digit(10).expect("a digit"));
    let sum: u32 =
        digits.enumerate().map(|(at, digit)| if at % 2 == 0 { doubled(digit) } else { digit }).sum();
    (10 - sum % 10) % 10
}

/// AT-23, COMB-24, COMB-25: a checksum digit and a fixed offset, on the token and in the verifier. Red when one side takes
/// the offset from the MAC, or when a code without its digit, or with another one, is accepted.
#[test]
fn codes_with_a_checksum_from_a_fixed_offset() {
    let Bench { rig, maker, .. } = Bench::start();
    rig.user("alice");
    let mut token = EmulatedToken::start(&rig.path(""), "four", "CST-000004", &maker);
    let port = token.port.display().to_string();
    for wrong in [
        ["--type", "totp", "--checksum", "--digits", "6"],
        ["--type", "hotp", "--truncation-offset", "16", "--checksum"],
    ] {
        let refused =
            rig.cli(&[&["--json", "technician", "provision", "--port", &port][..], &wrong].concat());
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}: {}", String::from_utf8_lossy(&refused.stdout));
    }
    let made = provision(&rig, &token, &["--type", "hotp", "--checksum", "--truncation-offset", "3"]);
    assert!(made["error"].is_null(), "{made}");
    rig.cli_json(&["token", "assign", "CST-000004", "--user", "alice"]);
    let mut admin = rig.admin();
    for _ in 0..3 {
        let code = token.code(7);
        let (digits, check) = code.split_at(6);
        assert_eq!(check, check_digit(digits).to_string(), "{code}");
        assert!(admin.verify("alice", digits).rejected(), "without its digit");
        let other = format!("{digits}{}", (check_digit(digits) + 1) % 10);
        assert!(admin.verify("alice", &other).rejected(), "with another digit");
        assert!(admin.verify("alice", &code).accepted(), "{code}");
    }
}
