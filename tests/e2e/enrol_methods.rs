//! The methods of enrolments that no desk does: the letter's key, the user's own word, an assertion, a bulk hand-over. AT-18.

use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::desk::{SCOPES, assertion, request, told_of};
use tests::flow::{self, Flow, example};
use tests::letter::{self, order_and_read_key};
use tests::mailsink::MailSink;
use tests::time::unix_s;
use tests::{Appliance, PATIENCE, RigOptions, Secret, wait_until};

const NUMBER: &str = "+41791234561";
const PASSWORD: &str = "correct horse battery";

fn enrolments(rig: &Appliance, user: &str) -> Vec<Value> {
    let list = rig.admin().get(&format!("/v1/enrolments?user={user}")).expect(200).json();
    list["items"].as_array().expect("a list").clone()
}

fn log_in(rig: &Appliance, key: &str) -> Flow {
    let mut flow = Flow::start(rig.loopback(Some(key)), &json!({"flow": "phone-registration"}));
    flow.act("password", &json!({"user": "alice", "password": PASSWORD}));
    flow
}

/// AT-18, BIND-10, BIND-25, BIND-33, D-56: the registration of a number with the key of a letter is an enrolment by the
/// method `letter`, of level 2, on the authority of who ordered the letter; another number ends it. Red when the level
/// of the number is not the engine's, or when an abandoned registration leaves an enrolment.
#[test]
fn a_letter_is_a_method_of_the_same_engine() {
    let text = format!("{}{MANY_MESSAGES}", example("flows/phone-registration"));
    let rig = Appliance::start(letter::options("delivery_gap = \"0s\"\n", &text));
    let key = rig.app_key("portal", &flow::SCOPES);
    rig.user("alice");
    let mut admin = rig.admin();
    admin.put("/v1/users/alice/password", &json!({"password": PASSWORD})).expect(200);
    admin.put("/v1/users/alice/auth-method", &json!({"active": "SMS"})).expect(200);
    let iak = order_and_read_key(&rig, "alice");
    let number = |flow: &mut Flow| {
        let before = rig.modem().messages_to(NUMBER).len();
        flow.go("number", &json!({"number": NUMBER}));
        let otp = rig.modem().await_message(NUMBER, before + 1).code();
        wait_until(PATIENCE, "the code to live", || flow.look()["expires_at"].is_string().then_some(()));
        otp
    };
    let mut given_up = log_in(&rig, &key);
    number(&mut given_up);
    given_up.wrong("cancel", &json!({}), "flow.cancelled");
    assert!(enrolments(&rig, "alice").is_empty(), "nothing before the last step");

    let mut flow = log_in(&rig, &key);
    let otp = number(&mut flow);
    flow.go("verify", &json!({"otp": otp, "iak": iak}));
    assert_eq!(flow.result()["loa"], 2.0);
    let all = enrolments(&rig, "alice");
    let one = &all[0];
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        (&one["method"], &one["state"], &one["loa"], &one["requested_by"], &one["factor"]),
        (&json!("letter"), &json!("confirmed"), &json!(2.0), &json!("applicant"), &json!("sms")),
        "{one}"
    );
    let id = one["id"].as_str().expect("a handle");
    let told = told_of(&rig, id);
    assert_eq!(told.len(), 10, "{told:?}");
    let activated = &rig.events("type=enrol.activated")[0]["subject"];
    let ordered = &rig.admin().get("/v1/letters?user=alice").expect(200).json()["items"][0]["ordered_by"];
    assert_eq!(&activated["authority"], ordered, "{activated}");
    // A code to the number is worth what the enrolment was.
    let vpn = rig.app_key("vpn", &["challenge"]);
    let mut app = rig.loopback(Some(&vpn));
    let sent = rig.modem().messages_to(NUMBER).len();
    let challenge =
        app.post("/v1/challenges", &json!({"user": "alice", "channel": "sms"})).expect(201).json();
    let otp = rig.modem().await_message(NUMBER, sent + 1).code();
    let path = format!("/v1/challenges/{}", challenge["id"].as_str().expect("a handle"));
    wait_until(PATIENCE, "the code to live", || {
        (app.get(&path).expect(200).json()["state"] == "waiting").then_some(())
    });
    let verified = app.post(&format!("{path}/verify"), &json!({"otp": otp})).expect(200).json();
    assert_eq!((&verified["verdict"], &verified["loa"]), (&json!("accept"), &json!(2.0)), "{verified}");
    // Another number in its place ends the binding.
    rig.phone("alice", "+41791234562");
    let one = &enrolments(&rig, "alice")[0];
    assert_eq!((&one["state"], &one["reason"]), (&json!("revoked"), &json!("replaced")), "{one}");
    rig.check_chain();
}

/// AT-18, BIND-03, BIND-06, BIND-13, BIND-33, BIND-40: the user's own word and a first factor make 1.5, an assertion no
/// more than its own level, and a method that is off is refused.
#[test]
fn nobody_looks_and_little_is_worth() {
    let config = "[enrol.methods]\nself_asserted.enabled = true\nremote_assertion.enabled = true\n";
    let rig = Appliance::start(RigOptions::default().config(config));
    let key = rig.app_key("portal", &SCOPES);
    let mut portal = rig.loopback(Some(&key));
    rig.user("alice");
    let mut ask = |method: &str, level: f64| {
        let asked = portal.post("/v1/enrolments", &request("alice", method, level)).expect(201).json();
        let id = asked["id"].as_str().expect("a handle").to_owned();
        portal.post(&format!("/v1/enrolments/{id}/factor"), &json!({"type": "soft"})).expect(200);
        id
    };
    let id = ask("self_asserted", 1.5);
    let other = ask("remote_assertion", 2.0);
    let mut portal = rig.loopback(Some(&key));
    let made = portal.post(&format!("/v1/enrolments/{id}/token"), &json!({})).expect(201).json();
    let (secret, now) = (Secret::of_uri(made["otpauth_uri"].as_str().expect("a URI")), unix_s());
    let shown = json!({"otp": secret.totp(now - 30)});
    let active = portal.post(&format!("/v1/enrolments/{id}/possession"), &shown).expect(200).json();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(1.5)), "{active}");
    assert_eq!(
        active["done"].as_array().map(|done| done.iter().any(|one| one == "I_VET_PROOF")),
        Some(false)
    );

    let shown = json!({"otp": secret.totp(now)});
    portal.post(&format!("/v1/enrolments/{other}/possession"), &shown).expect(200);
    let path = format!("/v1/enrolments/{other}/vet/assertion");
    let weak = rig.app_key("weak", &["enrol:request"]);
    let refused = rig.loopback(Some(&weak)).post(&path, &assertion("7", unix_s(), 3.0));
    assert_eq!(refused.code(), "forbidden", "{}", refused.text());
    let active = portal.post(&path, &assertion("7", unix_s(), 3.0)).expect(200).json();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(2.0)), "{active}");
    assert!(portal.verify("alice", &secret.totp(now + 30)).json()["loa"] == 2.0);

    let off = portal.post("/v1/enrolments", &request("alice", "video", 2.0));
    assert_eq!((off.status, off.code().as_str()), (409, "enrol.method_disabled"), "{}", off.text());
    let refused = rig.events("type=enrol.requested");
    assert!(refused.iter().any(|event| event["reason"] == "enrol.method_disabled"), "{refused:?}");
    rig.check_chain();
}

/// BIND-09, BIND-10, BIND-23, BIND-33: a number is shown by a code for this purpose alone, before the vetting and at the
/// desk, and gets its level by it; the desk is root's, as long as there is nobody else (D-54).
#[test]
fn a_number_is_vetted_at_the_desk() {
    let rig = Appliance::start(RigOptions::with_modem().config(MANY_MESSAGES));
    let mut admin = rig.admin();
    rig.user("alice");
    rig.phone("alice", NUMBER);
    let new = json!({"user": "alice", "method": "on_premise", "level": 2});
    let asked = admin.post("/v1/enrolments", &new).expect(201).json();
    assert_eq!((&asked["channel"], &asked["requested_by"]), (&json!("desk"), &json!("desk")), "{asked}");
    let id = asked["id"].as_str().expect("a handle").to_owned();
    let path = |act: &str| format!("/v1/enrolments/{id}/{act}");
    admin.post(&path("factor"), &json!({"type": "sms"})).expect(200);
    admin.post(&path("vet"), &json!({"place": "console"})).expect(200);
    let sent = admin.post(&path("possession/send"), &json!({})).expect(202).json();
    let challenge = sent["challenge"].as_str().expect("a challenge").to_owned();
    let otp = rig.modem().await_message(NUMBER, 1).code();
    let wrong = json!({"challenge": "0".repeat(32), "otp": otp});
    admin.post(&path("possession"), &wrong).expect(404);
    let shown = json!({"challenge": challenge, "otp": otp});
    wait_until(PATIENCE, "the code to live", || {
        (admin.post(&path("possession"), &shown).status == 200).then_some(())
    });
    let proof = json!({
        "kind": "id_document", "document": "identity_card", "country": "CH", "last6": "A12345", "not_expired": true,
        "name_match": true, "photo_match": true,
    });
    admin.post(&path("vet/proof"), &proof).expect(200);
    admin.post(&path("vet/record"), &json!({})).expect(200);
    admin.post(&path("bind"), &json!({})).expect(200);
    let active = admin.post(&path("activate"), &json!({})).expect(200).json();
    assert_eq!(
        (&active["state"], &active["loa"], &active["phone"]),
        (&json!("confirmed"), &json!(2.0), &json!(true))
    );
    let confirmed = &rig.events("type=enrol.confirmed")[0]["subject"];
    assert_eq!(confirmed["channel"], "page", "not by the new factor itself (D-64)");
    let shown = rig.events("type=enrol.possession_shown");
    assert!(shown.iter().any(|event| event["subject"]["purpose"] == "possession_bind"), "{shown:?}");
    rig.check_chain();
}

/// BIND-21, BIND-22, BIND-27, BIND-34, D-50, D-64: an app gets a token of its own, which is good only once the binding takes
/// effect, and gone with an enrolment that does not get there; the registration code and the notices go by mail. Red when
/// a pending token's code is accepted, or when it outlives its enrolment.
#[test]
fn an_app_is_good_once_it_is_bound() {
    let sink = MailSink::start();
    let mail = format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {}\nfrom = \"login@example.org\"\n",
        sink.address.port()
    );
    let rig = Appliance::start(RigOptions::default().config(&mail));
    let key = rig.app_key("portal", &SCOPES);
    let (mut portal, mut admin) = (rig.loopback(Some(&key)), rig.admin());
    rig.user("alice");
    rig.cli_json(&["user", "email", "alice", "alice@example.org"]);
    let begin = |portal: &mut tests::Client| {
        let asked = portal.post("/v1/enrolments", &request("alice", "on_premise", 2.0)).expect(201).json();
        let id = asked["id"].as_str().expect("a handle").to_owned();
        portal.post(&format!("/v1/enrolments/{id}/factor"), &json!({"type": "soft"})).expect(200);
        let made = portal.post(&format!("/v1/enrolments/{id}/token"), &json!({})).expect(201).json();
        let secret = Secret::of_uri(made["otpauth_uri"].as_str().expect("a URI"));
        let again = portal.post(&format!("/v1/enrolments/{id}/token"), &json!({}));
        assert_eq!(again.code(), "enrol.token_mismatch", "{}", again.text());
        (id, made["serial"].as_str().expect("a serial").to_owned(), secret)
    };
    let (id, serial, _) = begin(&mut portal);
    assert_eq!(rig.show_token(&serial)["state"], "pending");
    portal.post(&format!("/v1/enrolments/{id}/cancel"), &json!({"reason": "not_needed"})).expect(200);
    assert_eq!(rig.show_token(&serial)["state"], "revoked");

    let (id, serial, secret) = begin(&mut portal);
    let path = |act: &str| format!("/v1/enrolments/{id}/{act}");
    let now = unix_s();
    portal.post(&path("possession"), &json!({"otp": secret.totp(now)})).expect(200);
    let made = portal.post(&path("code"), &json!({"mail": true})).expect(201).json();
    let code = made["code"].as_str().expect("a code");
    assert_eq!(made["mailed"], true);
    assert!(sink.next().text.contains(code));
    assert!(portal.verify_token(&serial, &secret.totp(now + 30)).rejected(), "not before");
    admin.post(&path("vet"), &json!({"code": code})).expect(200);
    let proof = json!({
        "kind": "id_document", "document": "passport", "country": "CH", "last6": "1", "not_expired": true,
        "name_match": true, "photo_match": true,
    });
    let early = admin.post(&path("vet/proof"), &proof);
    assert_eq!(early.status, 200, "it was shown before: {}", early.text());
    admin.post(&path("vet/record"), &json!({})).expect(200);
    admin.post(&path("bind"), &json!({})).expect(200);
    assert!(portal.verify_token(&serial, &secret.totp(now + 30)).rejected(), "not before");
    let active = admin.post(&path("activate"), &json!({})).expect(200).json();
    assert_eq!((&active["state"], &active["token"]), (&json!("confirmed"), &json!(serial)), "{active}");
    assert!(sink.next().text.contains("new factor"));
    assert_eq!(rig.events("type=enrol.confirmed")[0]["subject"]["channel"], "email");
    assert!(portal.verify_token(&serial, &secret.totp(now + 30)).accepted());
    rig.check_chain();
}
