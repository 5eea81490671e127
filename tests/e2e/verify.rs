//! Verification as an application sees it.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::json;
use tests::time::{step_with_room, unix_s};
use tests::{Algorithm, Answer, Appliance, PATIENCE, RigOptions, Secret, wait_until};

/// No delay gets in the way of what is being tested.
const NO_DELAY: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";
/// Enough for the requests of one test within one time step.
const ROOM: Duration = Duration::from_secs(10);

fn patient() -> Appliance {
    Appliance::start(RigOptions::default().config(NO_DELAY))
}

/// AT-13, OATH-07, A1, A6: each counter once, and not beyond the look-ahead. Red when the watermark is not raised to
/// the accepted counter, or the window is one too wide.
#[test]
fn a_hotp_code_is_accepted_once_and_within_the_look_ahead() {
    let rig = patient();
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    for counter in [0, 1, 2, 12, 13] {
        let otp = token.secret.hotp(counter);
        assert!(app.verify("alice", &otp).accepted(), "counter {counter}");
        assert!(app.verify("alice", &otp).rejected(), "counter {counter} once more");
        assert_eq!(rig.show_token(&token.serial)["last_used"], counter);
    }
    assert!(app.verify("alice", &token.secret.hotp(24)).rejected(), "eleven ahead");
    assert!(app.verify("alice", &token.secret.hotp(12)).rejected(), "before the last");
    assert!(app.verify("alice", &token.secret.hotp(23)).accepted(), "ten ahead");
    let reasons = rig.reasons("alice");
    assert_eq!(reasons.iter().filter(|reason| *reason == "replay").count(), 5, "{reasons:?}");
}

/// AT-12, OATH-17, A2, rule 2. Red when codes and not steps are remembered.
#[test]
fn an_older_step_dies_when_a_newer_one_is_accepted() {
    let rig = patient();
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let token = rig.totp_user("alice");
    let step = step_with_room(ROOM);
    assert!(app.verify("alice", &token.secret.hotp(step + 1)).accepted(), "one step ahead");
    for offset in [0, 1] {
        assert!(app.verify("alice", &token.secret.hotp(step + offset)).rejected());
    }
    assert!(app.verify("alice", &token.secret.hotp(step - 1)).rejected());
    let bob = rig.totp_user("bob");
    for offset in [-4i64, 4] {
        let far = step.checked_add_signed(offset).unwrap();
        assert!(app.verify("bob", &bob.secret.hotp(far)).rejected(), "{offset} steps away");
    }
    assert!(app.verify("bob", &bob.secret.hotp(step - 1)).accepted());
}

/// A3, rule 2, fact 7: one spelling per code. Red when anything is trimmed, folded or parsed as a number.
#[test]
fn a_code_has_one_spelling() {
    let rig = patient();
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let otp = token.secret.hotp(0);
    let (first, rest) = otp.split_at(3);
    let wide: String = otp.chars().filter_map(|c| char::from_u32(c as u32 - 0x30 + 0xff10)).collect();
    let arabic: String = otp.chars().filter_map(|c| char::from_u32(c as u32 - 0x30 + 0x0660)).collect();
    let spellings = [
        format!(" {otp}"),
        format!("{otp} "),
        format!("{first} {rest}"),
        format!("{otp}\t"),
        format!("{otp}\u{0}"),
        format!("\u{0}{otp}"),
        format!("{otp}\n"),
        format!("{otp}\r\n"),
        format!("+{otp}"),
        format!("-{otp}"),
        format!("{otp}.0"),
        format!("0x{otp}"),
        format!("{otp}\u{200b}"),
        format!("\u{feff}{otp}"),
        format!("{first}-{rest}"),
        wide,
        arabic,
        String::new(),
        "0".repeat(6) + otp.as_str(),
    ];
    for spelling in &spellings {
        let answer = app.verify("alice", spelling);
        assert!(answer.rejected(), "{spelling:?}: {}", answer.text());
    }
    let reasons = rig.reasons("alice");
    assert_eq!(reasons.len(), spellings.len());
    assert!(reasons.iter().all(|reason| reason == "malformed"), "{reasons:?}");
    let bodies = [
        format!(r#"{{"user":"alice","otp":{otp}}}"#),
        format!(r#"{{"user":"alice","otp":["{otp}"]}}"#),
        format!(r#"{{"user":"alice","otp":"000000","otp":"{otp}"}}"#),
        format!(r#"{{"user":"alice","user":"alice","otp":"{otp}"}}"#),
        format!("\u{feff}{{\"user\":\"alice\",\"otp\":\"{otp}\"}}"),
        format!(r#"{{"user":"alice","otp":"{otp}"}} x"#),
        format!(r#"{{"user":"alice","otp":"{otp}","pin":"1"}}"#),
        format!(r#"{{"user":"alice","token":"{}","otp":"{otp}"}}"#, token.serial),
        format!(r#"{{"otp":"{otp}"}}"#),
        format!(r#"{{"user":"alice","otp":"{otp}""#),
    ];
    for body in &bodies {
        let answer = app.send("POST", "/v1/verify", Some(body.as_bytes())).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{body}: {}", answer.text());
    }
    let row = rig.show_token(&token.serial);
    assert_eq!((&row["last_used"], &row["failures"]), (&json!(null), &json!(0)), "a counter moved");
    assert_eq!(rig.show_user("alice")["failures"], 0, "a counter moved");
    // Digits only, but one too many: a guess, and none that is right.
    assert!(app.verify("alice", &format!("0{otp}")).rejected());
    assert_eq!(rig.show_token(&token.serial)["last_used"], json!(null));
    assert!(app.verify("alice", &otp).accepted(), "the code itself was not consumed");
    println!("verify: {} spellings, {} bodies", spellings.len(), bodies.len());
}

/// T26, fact 9. Red when the stored answer is not tied to application, target and code.
#[test]
fn a_repeated_request_gets_the_stored_verdict() {
    let rig = patient();
    let token = rig.hotp_user("alice");
    let bob = rig.hotp_user("bob");
    let keys = [rig.app_key("vpn", &["verify"]), rig.app_key("mail", &["verify"])];
    let [mut app, mut other] = keys.map(|key| rig.loopback(Some(&key)));
    let ask = |user: &str, otp: &str, id: &str| json!({"user": user, "otp": otp, "request_id": id});
    let first = ask("alice", &token.secret.hotp(0), "r-1");
    let accepted = app.post("/v1/verify", &first);
    assert!(accepted.accepted());
    assert_eq!(app.post("/v1/verify", &first), accepted, "the same request");
    assert_eq!(rig.show_token(&token.serial)["last_used"], 0);
    assert!(app.post("/v1/verify", &ask("alice", &token.secret.hotp(1), "r-1")).rejected(), "another code");
    assert!(app.post("/v1/verify", &ask("bob", &bob.secret.hotp(0), "r-1")).rejected(), "another user");
    assert!(app.verify("alice", &token.secret.hotp(0)).rejected(), "no id");
    assert!(app.post("/v1/verify", &ask("alice", &token.secret.hotp(0), "r-2")).rejected(), "another id");
    assert!(other.post("/v1/verify", &first).rejected(), "another application");
    assert!(app.verify("alice", &token.secret.hotp(1)).accepted(), "a refused retry consumed nothing");
    assert!(app.verify("bob", &bob.secret.hotp(0)).accepted(), "a refused retry consumed nothing");
    let wrong = ask("alice", &token.secret.wrong(0..40), "r-3");
    for _ in 0..3 {
        assert!(app.post("/v1/verify", &wrong).rejected());
    }
    assert_eq!(rig.show_token(&token.serial)["failures"], 1, "a retry is not another guess");
    for id in ["", &"x".repeat(65), "ü"] {
        assert_eq!(app.post("/v1/verify", &ask("alice", "123456", id)).status, 400, "{id:?}");
    }
    // Kept over a crash too: the answer that got lost may have been the one before it.
    let mut rig = rig;
    rig.kill9();
    rig.restart();
    assert_eq!(app.post("/v1/verify", &first), accepted);
}

/// AT-13, OATH-52, A8, A10, decision 18. Red when failures are kept per user where the token's are meant, or the lock does not
/// end by itself.
#[test]
fn five_wrong_codes_lock_a_token_and_not_its_siblings() {
    let rig = Appliance::start(RigOptions::default().config(&format!("{NO_DELAY}token_lock = \"3s\"\n")));
    let token = rig.hotp_user("alice");
    let sibling = rig.token("alice", &json!({"type": "hotp"}));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let wrong = token.secret.wrong(0..40);
    for n in 1..=5 {
        assert_eq!(rig.show_token(&token.serial)["locked"], false, "before failure {n}");
        assert!(app.verify_token(&token.serial, &wrong).rejected());
    }
    let row = rig.show_token(&token.serial);
    assert_eq!((&row["locked"], &row["failures"]), (&json!(true), &json!(5)));
    assert!(app.verify_token(&token.serial, &token.secret.hotp(0)).rejected(), "right, but locked");
    assert_eq!(rig.reasons("alice").last().unwrap(), "locked");
    assert_eq!(rig.show_user("alice")["failures"], 5, "what is not compared is not counted");
    assert!(app.verify_token(&sibling.serial, &sibling.secret.hotp(0)).accepted(), "the sibling");
    assert!(app.verify("alice", &sibling.secret.hotp(1)).accepted(), "the sibling, by the user's name");
    wait_until(PATIENCE, "the lock ends", || {
        (rig.show_token(&token.serial)["locked"] == false).then_some(())
    });
    assert!(app.verify_token(&token.serial, &token.secret.hotp(0)).accepted(), "nothing was consumed");
}

/// A8, A10, decision 18: a growing delay for one application, none for another. Red when the delay is kept per
/// user, or when an attempt during it counts or is compared.
#[test]
fn wrong_codes_delay_one_application_and_not_another() {
    let rig = Appliance::start(RigOptions::default());
    let token = rig.hotp_user("alice");
    let keys = [rig.app_key("vpn", &["verify"]), rig.app_key("mail", &["verify"])];
    let [mut app, mut other] = keys.map(|key| rig.loopback(Some(&key)));
    let wrong = token.secret.wrong(0..40);
    for _ in 0..3 {
        assert!(app.verify("alice", &wrong).rejected());
    }
    for _ in 0..20 {
        assert!(app.verify("alice", &wrong).rejected());
    }
    assert_eq!(rig.show_user("alice")["failures"], 3, "what is not compared is not counted");
    assert_eq!(rig.reasons("alice").last().unwrap(), "limited");
    assert!(other.verify("alice", &token.secret.hotp(0)).accepted(), "another application");
    let begun = std::time::Instant::now();
    wait_until(PATIENCE, "the delay passes", || {
        app.verify("alice", &token.secret.hotp(1)).accepted().then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(3), "one second was due");
}

/// A8, decision 18: ten failures lock user and application, `user_failures` lock the user everywhere; both are
/// ended by an operator, and neither by a restart (A9). Red when a counter is kept in memory.
#[test]
fn failures_lock_the_pair_then_the_user_over_a_restart() {
    let limits = "[limits]\ndelay_from = 20\npair_failures = 10\ntoken_failures = 20\nuser_failures = 15\n";
    let mut rig = Appliance::start(RigOptions::default().config(limits));
    let token = rig.hotp_user("alice");
    let keys = ["vpn", "mail"].map(|name| rig.app_key(name, &["verify"]));
    let [mut app, mut other] = [rig.loopback(Some(&keys[0])), rig.loopback(Some(&keys[1]))];
    let wrong = token.secret.wrong(0..40);
    for _ in 0..10 {
        assert!(app.verify("alice", &wrong).rejected());
    }
    rig.kill9();
    rig.restart();
    assert!(app.verify("alice", &token.secret.hotp(0)).rejected(), "the pair is locked");
    assert_eq!(rig.reasons("alice").last().unwrap(), "locked");
    for _ in 0..5 {
        assert!(other.verify("alice", &wrong).rejected());
    }
    assert!(other.verify("alice", &token.secret.hotp(0)).rejected(), "the user is locked");
    assert_eq!(rig.show_user("alice")["failures"], 15);
    rig.unlock_user("alice");
    assert!(app.verify("alice", &token.secret.hotp(0)).accepted());
    assert!(other.verify("alice", &token.secret.hotp(1)).accepted());
    assert_eq!(rig.show_user("alice")["failures"], 0);
}

/// A21, rule 6: every class of rejection is the same bytes, headers included. Red when one path adds a
/// header, another status or another field.
#[test]
fn every_rejection_is_the_same_bytes() {
    let rig =
        Appliance::start(RigOptions::default().config("[limits]\ndelay_from = 2\npair_failures = 50\n"));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let token = |name: &str| rig.hotp_user(name);
    rig.user("tokenless");
    let (locked, revoked, wrong, replay, limited) =
        (token("locked"), token("revoked"), token("wrong"), token("replay"), token("limited"));
    let suspended = token("suspended");
    rig.change_token(&revoked.serial, "revoke");
    rig.change_token(&suspended.serial, "suspend");
    let lockers =
        [rig.app_key("a1", &["verify"]), rig.app_key("a2", &["verify"]), rig.app_key("a3", &["verify"])];
    for n in 0..5 {
        let mut locker = rig.local(&lockers[n / 2]);
        assert!(locker.verify_token(&locked.serial, &locked.secret.wrong(0..40)).rejected());
    }
    assert_eq!(rig.show_token(&locked.serial)["locked"], true);
    for _ in 0..2 {
        assert!(app.verify("limited", &limited.secret.wrong(0..40)).rejected());
    }
    assert!(app.verify("replay", &replay.secret.hotp(0)).accepted());
    let classes = [
        ("unknown_user", app.verify("nobody", "123456")),
        ("unknown_user", app.verify("no such name!", "123456")),
        ("no_token", app.verify("tokenless", "123456")),
        ("no_token", app.verify_token("CST00000000", "123456")),
        ("locked", app.verify("locked", &locked.secret.hotp(0))),
        ("revoked", app.verify("revoked", &revoked.secret.hotp(0))),
        ("revoked", app.verify("suspended", &suspended.secret.hotp(0))),
        ("limited", app.verify("limited", &limited.secret.hotp(0))),
        ("replay", app.verify("replay", &replay.secret.hotp(0))),
        ("wrong", app.verify("wrong", &wrong.secret.wrong(0..40))),
        ("malformed", app.verify("wrong", "12 456")),
    ];
    let events = rig.events("type=oath");
    let tail = &events[events.len() - classes.len()..];
    for ((class, answer), event) in classes.iter().zip(tail) {
        assert_eq!(*answer, classes[0].1, "{class}");
        assert_eq!(event["reason"], *class);
    }
    assert!(classes[0].1.rejected());
    println!("verify: {} classes of rejection, {} bytes of head", classes.len(), classes[0].1.head.len());
}

/// OATH-01, OATH-09, RFC 6238: every hash, every length, another period, against the judge's own arithmetic; and a secret
/// given from outside.
#[test]
fn every_algorithm_length_and_period_is_verified() {
    let rig = Appliance::start(RigOptions::default());
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let mut checked = 0;
    for (algorithm, length) in [(Algorithm::Sha1, 20), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)] {
        for digits in 6..=8u32 {
            let name = format!("user-{}-{digits}", algorithm.name()).to_lowercase();
            rig.user(&name);
            let bytes: Vec<u8> = (0..length).map(|n| n * 3 + u8::try_from(digits).unwrap()).collect();
            let own = Secret { algorithm, digits, ..Secret::new(bytes) };
            for (kind, period) in [("hotp", 30), ("totp", 30), ("totp", 60)] {
                let mut fields = json!({"type": kind, "algorithm": algorithm.name(), "digits": digits});
                if kind == "totp" {
                    fields["period"] = json!(period);
                } else {
                    fields["secret"] = json!(own.base32());
                }
                let token = rig.token(&name, &fields);
                assert_eq!((token.secret.algorithm, token.secret.digits), (algorithm, digits));
                let otp = if kind == "hotp" { own.hotp(0) } else { token.secret.totp(unix_s()) };
                assert_eq!(otp.len(), usize::try_from(digits).unwrap());
                assert!(app.verify_token(&token.serial, &otp).accepted(), "{name} {kind} {period}");
                assert!(app.verify_token(&token.serial, &otp).rejected(), "{name} {kind} {period} again");
                checked += 1;
            }
        }
    }
    println!("verify: {checked} kinds of token");
}

/// B.5.5: revoked and suspended tokens accept nothing; a resumed one goes on where it was.
#[test]
fn a_suspended_token_rests_and_a_revoked_one_is_gone() {
    let rig = patient();
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    assert!(app.verify("alice", &token.secret.hotp(0)).accepted());
    rig.change_token(&token.serial, "suspend");
    assert!(app.verify("alice", &token.secret.hotp(1)).rejected());
    rig.change_token(&token.serial, "resume");
    assert!(app.verify("alice", &token.secret.hotp(0)).rejected(), "still used up");
    assert!(app.verify("alice", &token.secret.hotp(1)).accepted());
    rig.change_token(&token.serial, "revoke");
    assert!(app.verify("alice", &token.secret.hotp(2)).rejected());
    let path = format!("/v1/tokens/{}/resume", token.serial);
    let refused: Answer = rig.admin().post(&path, &json!({}));
    assert_eq!((refused.status, refused.code().as_str()), (409, "conflict"));
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

/// The command line with `oathtool` as a judge that is not ours: accepted once, then exit 1; 3 without a daemon.
#[test]
fn oathtool_and_the_command_line_agree() {
    let mut rig = Appliance::start(RigOptions::default());
    rig.cli_json(&["user", "add", "alice"]);
    let added = rig.cli_json(&["token", "add", "--user", "alice", "--type", "totp"]);
    let secret = Secret::of_uri(added["otpauth_uri"].as_str().unwrap());
    let output = Command::new("oathtool").args(["--totp", "-b", &secret.base32()]).output().unwrap();
    assert!(output.status.success(), "oathtool failed");
    let line = String::from_utf8(output.stdout).unwrap();
    let accepted = rig.cli_with_input(&["verify", "--user", "alice", "-"], &line);
    assert_eq!(code(accepted.status), Some(0), "{}", tests::appliance::told(&accepted));
    let replayed = rig.cli_with_input(&["verify", "--user", "alice", "-"], &line);
    assert_eq!(code(replayed.status), Some(1), "{}", tests::appliance::told(&replayed));
    let spaced = format!(" {line}");
    assert_eq!(code(rig.cli_with_input(&["verify", "--user", "alice", "-"], &spaced).status), Some(1));
    assert_eq!(code(rig.cli(&["verify", "--user", "alice"]).status), Some(2), "usage");
    assert_eq!(code(rig.stop()), Some(0), "a stop in order");
    assert_eq!(code(rig.cli(&["verify", "--user", "alice", "123456"]).status), Some(3), "no daemon");
}
