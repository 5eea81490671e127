//! A phone is registered by one QR code, or it is told why not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::device::{Choice, Personality};
use tests::handset::{Handset, REFUSED, Registered, begin, register};
use tests::phones::{SCOPES, id, number, rig, rig_with};
use tests::time::unix_s;

use super::codes;

/// By then a request has been read, but for the busiest machine.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// AT-20, COMB-01, COMB-03, COMB-12, COMB-29, COMB-32, COMB-33, COMB-36, COMB-39, COMB-43. Red when one personality is
/// answered in a way that it does not take, when only one half is stored, or when recovery codes are told twice.
#[test]
fn one_code_registers_both_halves_on_every_phone() {
    let (rig, mut client) = rig();
    for personality in Personality::ALL {
        let user = personality.name();
        rig.user(user);
        let Registered { mut handset, account, id, shown, uri } =
            register(&rig, &mut client, user, ("combined", personality));
        assert!(uri.starts_with("mfauth://totp/"), "{uri}");
        assert_eq!(
            (shown["state"].as_str(), shown["outcome"].as_str()),
            (Some("registered"), Some("success"))
        );
        let first = codes(&shown);
        assert_eq!(first.len(), 10);
        assert!(first.iter().all(|code| code.len() == 11), "two groups of five");
        let again = client.get(&format!("/v1/users/{user}/registrations/{id}")).expect(200).json();
        assert!(again["recovery_codes"].is_null(), "they are told once");
        let (phone, token) = (&again["push"]["device"], &again["oath"]["profile"]);
        assert_eq!(phone["pair"], token["serial"]);
        assert!(again["push"]["message_id"].as_str().is_some_and(|id| id.starts_with("REGISTER:")));
        let code = handset.phone.code(account, unix_s());
        assert!(client.verify(user, &code).accepted(), "{personality:?}: the codes work");
        assert!(client.verify(user, &code).rejected(), "once");
        let listed = client.get(&format!("/v1/users/{user}/push")).expect(200).json();
        assert_eq!(listed["items"][0]["serial"], phone["serial"]);
        assert_eq!(listed["recovery_codes_left"], 10);
        assert_eq!(rig.events(&format!("type=mfa.registered&user={user}")).len(), 1);
        assert_eq!(rig.events(&format!("type=recovery.generated&user={user}")).len(), 1);
    }
    rig.check_chain();
}

/// COMB-02, COMB-05. Red when a kind registers more than it says, or OATH alone counts before its first code.
#[test]
fn each_half_can_be_registered_alone() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let begun = begin(&mut client, "alice", "oath");
    let uri = begun["uri"].as_str().expect("a text");
    assert!(uri.starts_with("otpauth://totp/"));
    let mut handset = Handset::new(&rig, Personality::AndroidLegacy, "alice");
    let scanned = handset.phone.scan(uri).expect("the app takes it");
    assert!(scanned.request.is_none(), "nothing is sent");
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let wrong = client.post(&format!("{path}/verify"), &json!({"otp": "000000"})).expect(200).json();
    assert_eq!(wrong["state"], "waiting");
    assert!(
        client.get("/v1/users/alice/tokens").expect(200).json()["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
    let code = handset.phone.code(scanned.account, unix_s());
    let right = client.post(&format!("{path}/verify"), &json!({"otp": code})).expect(200).json();
    assert_eq!(right["state"], "registered", "{right}");
    assert!(client.verify("alice", &code).rejected(), "the first code is used up");
    rig.user("bob");
    let bob = register(&rig, &mut client, "bob", ("push", Personality::IosLegacy));
    assert!(bob.uri.starts_with("pushauth://push/"));
    assert!(bob.shown["oath"].is_null());
    let tokens = client.get("/v1/users/bob/tokens").expect(200).json();
    let kinds: Vec<&str> =
        tokens["items"].as_array().expect("a list").iter().filter_map(|t| t["type"].as_str()).collect();
    assert_eq!(kinds, ["push"]);
}

/// AT-20, COMB-04, COMB-05: registration, recovery codes, a push to the new phone; another person falls back to
/// a code.
#[test]
fn a_new_phone_shows_itself_once_more() {
    let (rig, mut client) = rig();
    for (user, by_push) in [("alice", true), ("bob", false)] {
        rig.user(user);
        let Registered { mut handset, account, id, .. } =
            register(&rig, &mut client, user, ("combined", Personality::PingNew));
        let path = format!("/v1/users/{user}/registrations/{id}");
        let asked = client.post(&format!("{path}/push"), &json!({})).expect(201).json();
        let notice = handset.notice(account);
        if by_push {
            assert_eq!(handset.answer(&notice, Choice::Number(number(&asked))).status, 200);
        } else {
            let code = handset.phone.code(account, unix_s());
            client.post(&format!("{path}/verify"), &json!({"otp": code})).expect(200);
        }
        let shown = client.get(&path).expect(200).json();
        assert_eq!((shown["state"].as_str(), shown["outcome"].as_str()), (Some("verified"), Some("success")));
        assert_eq!(shown["push"]["challenge_id"], asked["id"]);
    }
}

/// AT-21, COMB-17, COMB-31, COMB-37, COMB-39, D-35. Red when a late reply counts, or something of the registration stays.
#[test]
fn without_a_reply_in_time_nothing_is_stored() {
    let (rig, mut client) = rig_with("[mfa]\nregistration_timeout = 10\n[push]\n");
    rig.user("alice");
    let begun_at = Instant::now();
    let begun = begin(&mut client, "alice", "combined");
    let mut handset = Handset::new(&rig, Personality::AndroidLegacy, "alice");
    let scanned = handset.phone.scan(begun["uri"].as_str().expect("a text")).expect("the app takes it");
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let shown = client.get(&format!("{path}?wait=25")).expect(200).json();
    assert!(begun_at.elapsed() >= Duration::from_secs(9), "it waited");
    assert_eq!((shown["state"].as_str(), shown["outcome"].as_str()), (Some("timed_out"), Some("timeout")));
    let late = handset.send(&scanned.request.expect("a reply"));
    assert_eq!((late.status, late.text().as_str()), (400, REFUSED));
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    for table in ["push_device", "token", "recovery_set"] {
        assert_eq!(count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(count("SELECT count(*) FROM registration WHERE prepared IS NOT NULL"), 0);
    assert_eq!(rig.events("type=mfa.registration_timed_out&user=alice").len(), 1);
    let next = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    assert_eq!(next.shown["outcome"], "success", "another attempt is free");
}

/// AT-21, COMB-06, COMB-34, COMB-40, COMB-47. Red when one of the named errors has another key or text.
#[test]
fn what_stands_in_the_way_is_named() {
    let (rig, mut client) = rig();
    let wish = json!({"kind": "combined"});
    for name in ["nobody", "%20"] {
        let refused = client.post(&format!("/v1/users/{name}/registrations"), &wish);
        assert_eq!((refused.status, refused.code().as_str()), (422, "comb.no_username"));
        assert_eq!(refused.json()["detail"], "No username found");
    }
    rig.user("alice");
    let blind = rig.app_key("blind", &["verify", "challenge", "users:read"]);
    let forbidden = rig.loopback(Some(&blind)).post("/v1/users/alice/registrations", &wish);
    assert_eq!((forbidden.status, forbidden.code().as_str()), (403, "forbidden"));
    for handle in ["0".repeat(32), "x".to_owned()] {
        let unknown = client.get(&format!("/v1/users/alice/registrations/{handle}"));
        assert_eq!((unknown.status, unknown.code().as_str()), (410, "comb.no_message_id"));
        assert_eq!(unknown.json()["detail"], "Unable to find push message ID in sharedState");
    }
    let begun = begin(&mut client, "alice", "combined");
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let other = rig.app_key("other", &SCOPES);
    assert_eq!(rig.loopback(Some(&other)).get(&path).status, 410, "another application's");
    client.delete(&path).expect(200);
    assert_eq!(client.get(&path).expect(200).json()["outcome"], "failure", "taken back");
    let registered = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    for kind in ["combined", "push", "oath"] {
        let again = client.post("/v1/users/alice/registrations", &json!({"kind": kind}));
        assert_eq!((again.status, again.code().as_str()), (409, "registration.exists"), "{kind}");
    }
    drop(registered);
    let reasons: Vec<Value> =
        rig.events("type=mfa.registration_failed").into_iter().map(|event| event["reason"].clone()).collect();
    for reason in ["no_username", "no_message_id", "cancelled", "exists"] {
        assert!(reasons.contains(&json!(reason)), "{reason}: {reasons:?}");
    }
}

/// COMB-34: a text that is no handle is looked up as no registration at all. Red when it finds a row.
#[test]
fn what_is_no_handle_is_nobodys_registration() {
    let (rig, mut client) = rig();
    rig.user("alice");
    begin(&mut client, "alice", "push");
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    assert_eq!(store.execute("UPDATE registration SET id = zeroblob(16)", []).expect("a write"), 1);
    let path = "/v1/users/alice/registrations/nonsense";
    let shown = client.get(path);
    assert_eq!((shown.status, shown.code().as_str()), (410, "comb.no_message_id"), "{}", shown.text());
    for answer in [client.delete(path), client.post(&format!("{path}/push"), &json!({}))] {
        assert_eq!(answer.code(), "comb.no_message_id", "{}", answer.text());
    }
    let stranger = rig.app_key("stranger", &["verify"]);
    assert_eq!(rig.loopback(Some(&stranger)).get(path).code(), "forbidden", "first of all");
    assert!(rig.events("type=store.tampered").is_empty(), "no row was looked at");
}

/// Red when a request that waits for a phone holds the end up, or is cut off without an answer.
#[test]
fn whoever_waits_for_a_phone_is_answered_at_the_end() {
    let (mut rig, mut client) = rig();
    rig.user("carol");
    let begun = begin(&mut client, "carol", "push");
    let path = format!("/v1/users/carol/registrations/{}?wait=25", id(&begun));
    // Answered once, so that the connection is known; the next request waits.
    client.get(&path.replace("wait=25", "wait=0")).expect(200);
    let waiting = std::thread::spawn(move || client.send("GET", &path, None));
    std::thread::park_timeout(UNDER_WAY);
    assert!(rig.stop().success());
    // A request that had not been read yet is cut off: nothing was done.
    if let Ok(answer) = waiting.join().expect("a thread") {
        assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!(null)));
    }
    assert!(!rig.log_text().contains("connections were still open at the end"));
}
