//! Recovery codes, and the phone that takes the place of a lost one.

use serde_json::json;
use tests::device::{Choice, Personality};
use tests::handset::{Handset, begin, register};
use tests::phones::{id, number, push, rig};
use tests::time::unix_s;

use super::{codes, recover};

/// COMB-14, COMB-15, COMB-40, COMB-43, D-34. Red when a former phone, token or code is good after the replacement, or a
/// code is taken twice.
#[test]
fn another_phone_takes_the_place_of_the_lost_one() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let mut lost = register(&rig, &mut client, "alice", ("combined", Personality::IosLegacy));
    let old = codes(&lost.shown);
    let accepted = recover(&mut client, "alice", &old[0]);
    assert!(accepted.accepted(), "{}", accepted.text());
    assert_eq!(accepted.json()["loa"], 1.5);
    assert!(recover(&mut client, "alice", &old[0]).rejected(), "each code once");
    assert!(recover(&mut client, "alice", &old[1].replace('-', " ")).accepted(), "as people type it");
    assert!(recover(&mut client, "alice", "22222-22222").rejected());
    assert!(recover(&mut client, "alice", "no code").rejected());
    let wish = json!({"kind": "combined", "replace": true});
    let begun = client.post("/v1/users/alice/registrations", &wish).expect(201).json();
    let code = lost.handset.phone.code(lost.account, unix_s());
    assert!(client.verify("alice", &code).accepted(), "good until the new one is there");
    let mut handset = Handset::new(&rig, Personality::PingNew, "alice-new");
    let (account, answer) = handset.register(begun["uri"].as_str().expect("a text"));
    assert_eq!(answer.status, 200);
    assert_eq!(
        client.post("/v1/challenges", &json!({"user": "alice", "channel": "recovery"})).code(),
        "recovery.none",
        "the old set ends with the registration, not with the reading"
    );
    let path = format!("/v1/users/alice/registrations/{}", id(&begun));
    let fresh = codes(&client.get(&path).expect(200).json());
    assert!(recover(&mut client, "alice", &old[2]).rejected(), "of the former set");
    assert!(recover(&mut client, "alice", &fresh[0]).accepted());
    let next = lost.handset.phone.code(lost.account, unix_s() + 30);
    assert!(client.verify("alice", &next).rejected(), "the lost phone's codes");
    let asked = push(&mut client, "alice");
    let notice = handset.notice(account);
    assert_eq!(handset.answer(&notice, Choice::Number(number(&asked))).status, 200);
    let secret = lost.handset.phone.accounts()[lost.account].push.as_ref().expect("push").secret.clone();
    let query = lost.handset.query(lost.account, &secret, tests::time::unix_ms());
    assert_eq!(lost.handset.get(&query).status, 400, "the lost phone is told nothing");
    assert_eq!(rig.events("type=recovery.used&user=alice").len(), 3);
}

/// COMB-43, COMB-47. Red when the last codes run out unnoticed.
#[test]
fn the_end_of_the_recovery_codes_is_told() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let registered = register(&rig, &mut client, "alice", ("combined", Personality::PingNew));
    for code in codes(&registered.shown) {
        assert!(recover(&mut client, "alice", &code).accepted());
    }
    assert_eq!(rig.events("type=recovery.low&user=alice").len(), 3);
    assert_eq!(rig.events("type=recovery.exhausted&user=alice").len(), 1);
    let none = client.post("/v1/challenges", &json!({"user": "alice", "channel": "recovery"}));
    assert_eq!((none.status, none.code().as_str()), (404, "recovery.none"));
}

/// B.5.8, COMB-15. Red when codes that ended with the last phone come back with the next one, or are drawn for a phone
/// that is revoked.
#[test]
fn dead_recovery_codes_stay_dead() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let first = register(&rig, &mut client, "alice", ("push", Personality::PingNew));
    assert_eq!(codes(&first.shown).len(), 10);
    let phones = rig.cli_json(&["push", "list", "alice"]);
    let serial = phones["items"][0]["serial"].as_str().expect("a serial").to_owned();
    rig.cli_json(&["token", "revoke", &serial]);
    rig.token("alice", &json!({"type": "totp"}));
    let body = json!({"user": "alice", "channel": "recovery"});
    assert_eq!(client.post("/v1/challenges", &body).code(), "recovery.none");

    let begun = begin(&mut client, "alice", "push");
    let mut handset = Handset::new(&rig, Personality::PingNew, "second");
    assert_eq!(handset.register(begun["uri"].as_str().expect("a URI")).1.status, 200);
    assert_eq!(
        client.post("/v1/challenges", &body).code(),
        "recovery.none",
        "another phone brings none back"
    );
    let phones = rig.cli_json(&["push", "list", "alice"]);
    let serial = phones["items"][0]["serial"].as_str().expect("a serial").to_owned();
    rig.cli_json(&["token", "revoke", &serial]);
    let unread = client.get(&format!("/v1/users/alice/registrations/{}", id(&begun))).expect(200).json();
    assert!(unread["recovery_codes"].is_null(), "codes of a phone that is gone are not drawn");
    assert_eq!(client.post("/v1/challenges", &body).code(), "recovery.none");
}
