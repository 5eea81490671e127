//! Codes by SMS, end to end: from the order through an emulated modem to the verdict.

use std::time::Duration;

use serde_json::{Value, json};
use tests::modem::EmulatedModem;
use tests::{Answer, Appliance, Client, ModemOptions, PATIENCE, RigOptions, wait_until};

const NO_DELAY: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";
const ALICE: &str = "+41791234561";
const BOB: &str = "+41791234562";

/// Alice and bob with a phone each, and an application that may order codes.
fn rig(options: RigOptions) -> (Appliance, Client) {
    let rig = Appliance::start(options);
    for (name, number) in [("alice", ALICE), ("bob", BOB)] {
        rig.user(name);
        rig.phone(name, number);
    }
    let key = rig.app_key("vpn", &["challenge"]);
    let client = rig.loopback(Some(&key));
    (rig, client)
}

fn patient() -> (Appliance, Client) {
    rig(RigOptions::with_modem().config(NO_DELAY))
}

fn faulty(script: &str) -> RigOptions {
    let modem = ModemOptions { faults: script.to_owned(), ..ModemOptions::emulated("m1") };
    RigOptions { modems: vec![modem], ..RigOptions::default() }.config(NO_DELAY)
}

fn order(app: &mut Client, user: &str) -> String {
    let made = app.post("/v1/challenges", &json!({"user": user, "channel": "sms"})).expect(201).json();
    made["id"].as_str().expect("a handle").to_owned()
}

fn show(app: &mut Client, id: &str) -> Value {
    app.get(&format!("/v1/challenges/{id}")).expect(200).json()
}

fn answer(app: &mut Client, id: &str, otp: &str) -> Answer {
    app.post(&format!("/v1/challenges/{id}/verify"), &json!({"otp": otp}))
}

fn await_state(app: &mut Client, id: &str, state: &str) -> Value {
    wait_until(PATIENCE, &format!("the challenge to be {state}"), || {
        let shown = show(app, id);
        (shown["state"] == state).then_some(shown)
    })
}

/// Another code of the same length.
fn other_than(otp: &str) -> String {
    let last = otp.as_bytes()[otp.len() - 1] - b'0';
    format!("{}{}", &otp[..otp.len() - 1], (last + 1) % 10)
}

/// SMS-14, SMS-16, A12, decision 21: the code in the journal is accepted once, and its life begins with the
/// modem's acknowledgement. Red when `expires_at` is set at the order, or a code is taken before it was sent.
#[test]
fn a_sent_code_lives_from_the_acknowledgement_and_is_accepted_once() {
    let (rig, mut app) = rig(faulty("[[fault]]\non = \"AT+CMGS\"\ndo = \"late\"\narg = \"1s\"\n"));
    let id = order(&mut app, "alice");
    let otp = rig.modem().await_message(ALICE, 1).code();
    let before = show(&mut app, &id);
    assert_eq!((&before["state"], &before["expires_at"]), (&json!("delivering"), &json!(null)));
    assert!(answer(&mut app, &id, &otp).rejected(), "before the acknowledgement");
    let after = await_state(&mut app, &id, "waiting");
    assert!(after["expires_at"].is_string(), "{after}");
    assert!(!after["phone_masked"].as_str().unwrap().contains("1234561"), "{after}");
    let accepted = answer(&mut app, &id, &otp);
    assert!(accepted.accepted(), "{}", accepted.text());
    assert!(answer(&mut app, &id, &otp).rejected(), "once");
    assert_eq!(show(&mut app, &id)["state"], "verified");
    assert_eq!(rig.modem().messages_to(ALICE).len(), 1);
    assert_eq!(rig.reasons("alice").last().unwrap(), "replay");
}

/// SMS-30, SMS-31, SMS-32, A12. Red when attempts are kept over a resend, a former code stays alive, or there is
/// no end to resending.
#[test]
fn three_wrong_codes_exhaust_and_a_resend_kills_the_old_code() {
    let (rig, mut app) = patient();
    let id = order(&mut app, "alice");
    let first = rig.modem().await_message(ALICE, 1).code();
    await_state(&mut app, &id, "waiting");
    for _ in 0..3 {
        assert!(answer(&mut app, &id, &other_than(&first)).rejected());
    }
    assert_eq!(show(&mut app, &id)["state"], "exhausted");
    assert!(answer(&mut app, &id, &first).rejected(), "the right code is too late");
    let resend = format!("/v1/challenges/{id}/resend");
    app.post(&resend, &json!({})).expect(200);
    let second = rig.modem().await_message(ALICE, 2).code();
    await_state(&mut app, &id, "waiting");
    app.post(&resend, &json!({})).expect(200);
    let third = rig.modem().await_message(ALICE, 3).code();
    await_state(&mut app, &id, "waiting");
    if second != third {
        assert!(answer(&mut app, &id, &second).rejected(), "an old code");
    }
    let refused = app.post(&resend, &json!({}));
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate-limited"), "a fourth code");
    assert!(answer(&mut app, &id, &third).accepted());
}

/// SMS-16, A12. Red when the deadline is not asked at the verification.
#[test]
fn a_code_expires() {
    let config = format!("{NO_DELAY}[sms]\notp_ttl = \"30s\"\n");
    let (rig, mut app) = rig(RigOptions::with_modem().config(&config));
    let id = order(&mut app, "alice");
    let otp = rig.modem().await_message(ALICE, 1).code();
    await_state(&mut app, &id, "expired");
    assert!(answer(&mut app, &id, &otp).rejected());
    assert_eq!(show(&mut app, &id)["state"], "expired");
}

/// A12, A26: bound to application, user and challenge; a newer challenge takes the older one's place, a
/// cancelled one is over. Red when the look-up of a challenge leaves the application out.
#[test]
fn a_challenge_belongs_to_its_application_and_user() {
    let (rig, mut app) = patient();
    let other_key = rig.app_key("mail", &["challenge"]);
    let mut other = rig.loopback(Some(&other_key));
    let id = order(&mut app, "alice");
    let otp = rig.modem().await_message(ALICE, 1).code();
    await_state(&mut app, &id, "waiting");
    for (method, path) in
        [("GET", format!("/v1/challenges/{id}")), ("DELETE", format!("/v1/challenges/{id}"))]
    {
        assert_eq!(other.request(method, &path, None).code(), "not-found");
    }
    assert_eq!(other.post(&format!("/v1/challenges/{id}/resend"), &json!({})).code(), "not-found");
    assert!(answer(&mut other, &id, &otp).rejected(), "another application");
    let bobs = order(&mut app, "bob");
    let bobs_otp = rig.modem().await_message(BOB, 1).code();
    await_state(&mut app, &bobs, "waiting");
    if otp != bobs_otp {
        assert!(answer(&mut app, &bobs, &otp).rejected(), "alice's code at bob's challenge");
    }
    let unknown = answer(&mut app, &"0".repeat(32), &otp);
    assert!(unknown.rejected() && answer(&mut app, "no-handle", &otp) == unknown);
    assert_eq!(show(&mut app, &id)["state"], "waiting", "nothing of this consumed it");

    let newer = order(&mut app, "alice");
    assert_eq!(show(&mut app, &id)["state"], "superseded");
    assert!(answer(&mut app, &id, &otp).rejected(), "superseded");
    let newer_otp = rig.modem().await_message(ALICE, 2).code();
    await_state(&mut app, &newer, "waiting");
    assert_eq!(app.delete(&format!("/v1/challenges/{newer}")).expect(200).json()["state"], "cancelled");
    assert!(answer(&mut app, &newer, &newer_otp).rejected(), "cancelled");
    assert!(answer(&mut app, &bobs, &bobs_otp).accepted());
}

/// Decision 24, T3: killed between the modem's taking and its acknowledgement. Red when `sending` is not
/// durable before the PDU, or goes back to the queue at the start.
#[test]
fn a_message_of_unknown_fate_is_not_sent_again() {
    // The first message is taken, and its acknowledgement never comes.
    let script = "[[fault]]\non = \"AT+CMGS\"\nnth = 1\ndo = \"drop\"\n";
    let (mut rig, mut app) = rig(faulty(script));
    let id = order(&mut app, "alice");
    let otp = rig.modem().await_message(ALICE, 1).code();
    assert_eq!(show(&mut app, &id)["state"], "delivering");
    rig.kill9();
    rig.restart();
    await_state(&mut app, &id, "failed");
    assert!(rig.events("type=sms.send_unknown").len() == 1, "one message of unknown fate");
    assert!(answer(&mut app, &id, &otp).rejected(), "its challenge has failed");
    let bobs = order(&mut app, "bob");
    await_state(&mut app, &bobs, "waiting");
    assert_eq!(rig.modem().messages_to(ALICE).len(), 1, "sent again");
    app.post(&format!("/v1/challenges/{id}/resend"), &json!({})).expect(200);
    let second = rig.modem().await_message(ALICE, 2).code();
    await_state(&mut app, &id, "waiting");
    assert!(answer(&mut app, &id, &second).accepted(), "a new code is another message");
    assert_eq!(rig.modem().messages_to(ALICE).len(), 2);
}

/// SMS-08, A21, MOB-03, MOB-04, A13, decision 16: an unknown user, one without a phone and one whose phone nobody
/// verified look the same, and no SMS leaves. Red when a contact phone is taken for a verified one.
#[test]
fn without_a_verified_phone_there_is_no_sms_and_no_difference() {
    let (rig, mut app) = patient();
    rig.user("phoneless");
    let contact = "+41791234569";
    rig.admin().post("/v1/users", &json!({"name": "contact", "phone": contact})).expect(201);
    let order_of =
        |app: &mut Client, user: &str| app.post("/v1/challenges", &json!({"user": user, "channel": "sms"}));
    let unknown = order_of(&mut app, "nobody");
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "no-user-or-phonenumber"));
    assert_eq!(order_of(&mut app, "phoneless"), unknown);
    assert_eq!(order_of(&mut app, "contact"), unknown);
    assert_eq!(order_of(&mut app, "no such name!"), unknown);
    let id = order(&mut app, "alice");
    await_state(&mut app, &id, "waiting");
    assert_eq!(rig.modem().messages_to(contact).len(), 0);
    assert_eq!(rig.modem().messages().len(), 1);
}

/// A12: what is too late is dropped and stays so once a modem is there. Red when neither claim nor sweep
/// asks for the deadline.
#[test]
fn an_overdue_message_is_never_sent() {
    let scratch = tests::scratch::directory();
    let port = scratch.path().join("m1.tty");
    let options = RigOptions { modems: vec![ModemOptions::at("m1", &port)], ..RigOptions::default() };
    let rig = Appliance::start(options);
    let mut admin = rig.admin();
    let send = |admin: &mut Client, text: &str, seconds: u64| {
        let message = json!({"to": ALICE, "text": text, "expires_s": seconds});
        admin.post("/v1/messages", &message).expect(202).json()["id"].as_str().unwrap().to_owned()
    };
    let late = send(&mut admin, "late", 1);
    let timely = send(&mut admin, "in time", 300);
    let state = |admin: &mut Client, id: &str| {
        admin.get(&format!("/v1/messages/{id}")).expect(200).json()["state"].clone()
    };
    wait_until(PATIENCE, "the message expires", || (state(&mut admin, &late) == "expired").then_some(()));
    let modem = EmulatedModem::start(&rig.binary, scratch.path(), "m1", "generic", "");
    wait_until(PATIENCE, "the other one is sent", || {
        ["sent", "delivered"].iter().any(|sent| state(&mut admin, &timely) == *sent).then_some(())
    });
    let texts: Vec<_> = modem.messages().into_iter().filter_map(|message| message.text).collect();
    assert_eq!(texts, ["in time"]);
    assert_eq!(state(&mut admin, &late), "expired");
}

/// Faults on the way cost time, not messages, and none is sent twice. Red when an error is taken
/// for a success, or a lost acknowledgement for an error.
#[test]
fn faults_on_the_line_lose_and_double_nothing() {
    let script = r#"
        [[fault]]
        on = "AT+CMGS"
        nth = 2
        do = "error"
        arg = "+CMS ERROR: 42"
        [[fault]]
        on = "AT+CMGS"
        nth = 4
        do = "urc"
        arg = "+CREG: 1"
        [[fault]]
        on = "AT+CMGS"
        nth = 5
        do = "split"
        [[fault]]
        on = "AT+CMGS"
        nth = 7
        do = "unplug"
        arg = "300ms"
    "#;
    let (rig, _) = rig(faulty(script));
    let mut admin = rig.admin();
    let ids: Vec<String> = (0..10)
        .map(|n| {
            let message = json!({"to": ALICE, "text": format!("number {n}")});
            admin.post("/v1/messages", &message).expect(202).json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let mut unknown = 0;
    for (n, id) in ids.iter().enumerate() {
        let settled = wait_until(Duration::from_secs(90), "the message is settled", || {
            let row = admin.get(&format!("/v1/messages/{id}")).expect(200).json();
            (row["state"] != "queued" && row["state"] != "sending").then_some(row)
        });
        let text = format!("number {n}");
        let taken = rig.modem().messages().iter().filter(|m| m.text.as_ref() == Some(&text)).count();
        match settled["state"].as_str().unwrap() {
            "sent" | "delivered" => assert_eq!(taken, 1, "{settled}"),
            "unknown" => {
                unknown += 1;
                assert!(taken <= 1, "{settled}");
            }
            other => panic!("{other}: {settled}"),
        }
    }
    assert!(unknown <= 1, "only the unplugged one may be unknown");
    println!("sms: {} messages over a faulty line, {unknown} of unknown fate", ids.len());
}
