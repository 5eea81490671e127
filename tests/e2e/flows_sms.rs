//! The SMS authenticator as a step of flows, and a number that is changed, on the shipped example configurations.

use std::time::Duration;

use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::flow::{Flow, SCOPES, example};
use tests::forms::Visitor;
use tests::{Appliance, Client, PATIENCE, RigOptions, wait_until};

const ALICE: &str = "+41791234561";
const NEW: &str = "+41791234569";
const NO_USER: &str = "enter-username.error.no-user-or-phonenumber";
const INVALID: &str = "enter-otp.error.invalid.otp";

fn rig(example_name: &str, more: &str) -> (Appliance, String) {
    let mut options = RigOptions::with_modem().config(&format!("{}{more}", example(example_name)));
    options.pages = true;
    let rig = Appliance::start(options);
    rig.user("alice");
    // Another language than a stranger's: it must not tell the two apart.
    rig.admin().post("/v1/users", &json!({"name": "bob", "lang": "de"})).expect(201);
    rig.phone("alice", ALICE);
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

fn client(rig: &Appliance, key: &str) -> Client {
    rig.loopback(Some(key))
}

/// The code of the n-th message, once the modem has taken it.
fn code(rig: &Appliance, flow: &mut Flow, number: &str, nth: usize) -> String {
    let otp = rig.modem().await_message(number, nth).code();
    wait_until(PATIENCE, "the code to live", || flow.look()["expires_at"].is_string().then_some(()));
    otp
}

fn other_than(otp: &str) -> String {
    let last = otp.as_bytes()[otp.len() - 1] - b'0';
    format!("{}{}", &otp[..otp.len() - 1], (last + 1) % 10)
}

fn without_handle(answer: &tests::Answer) -> Value {
    let mut body = answer.json();
    body["flow"]["flow"] = Value::Null;
    body["flow"]["links"] = Value::Null;
    body["flow"]["page"] = Value::Null;
    body
}

/// AT-06, SMS-01, SMS-07, SMS-08, SMS-14: alone, the authenticator asks for the name; an unknown user and a user without a
/// number are told the same, in the same bytes. Red when `stop_sms` tells them apart.
#[test]
fn alone_it_asks_for_the_name_and_says_nothing_of_who_exists() {
    let (rig, key) = rig("flows/sms", "");
    let begin = || Flow::start(client(&rig, &key), &json!({"flow": "sms-alone"}));
    let mut flow = begin();
    flow.wants("username");
    flow.wrong("username", &json!({"user": " "}), "enter-username.validation.error.username.required");
    flow.go("username", &json!({"user": "alice"}));
    let asked = flow.wants("sms-code");
    assert!(
        asked["phone_masked"]
            .as_str()
            .is_some_and(|masked| masked.ends_with("4561") && !masked.contains("79123"))
    );
    let otp = code(&rig, &mut flow, ALICE, 1);
    flow.code(&otp);
    assert_eq!((&flow.result()["user"], &flow.result()["amr"]), (&json!("alice"), &json!(["sms"])));
    let told: Vec<(u16, Value)> = ["bob", "nobody"]
        .map(|name| {
            let mut flow = begin();
            let answer = flow.wrong("username", &json!({"user": name}), NO_USER);
            (answer.status, without_handle(&answer))
        })
        .to_vec();
    assert_eq!(told[0], told[1]);
    assert_eq!(rig.modem().messages().len(), 1, "nothing was sent to either");
}

/// AT-05, MOB-03, MOB-04: a contact number is none. Red when `contact_phone` is asked for a code.
#[test]
fn a_number_from_the_directory_gets_no_code() {
    let (rig, key) = rig("flows/sms", "");
    rig.admin().post("/v1/users", &json!({"name": "carol", "phone": "+41791234563"})).expect(201);
    let mut flow = Flow::start(client(&rig, &key), &json!({"flow": "sms-alone"}));
    flow.wrong("username", &json!({"user": "carol"}), NO_USER);
    assert!(rig.modem().messages().is_empty());
}

/// AT-06, SMS-01, SMS-09: as a second factor the name comes from the factor before.
#[test]
fn as_a_second_factor_it_knows_the_user() {
    let (rig, key) = rig("flows/sms", "");
    let mut flow = Flow::of(client(&rig, &key), "sms-second", "alice");
    flow.wants("sms-code");
    let otp = code(&rig, &mut flow, ALICE, 1);
    flow.code(&otp);
    assert_eq!(flow.result()["amr"], json!(["assertion", "sms"]));
    assert_eq!(flow.result()["loa"], 2.0);
}

/// AT-06, SMS-10 to SMS-13, D-19: the number comes from an attribute, of an application that may vouch for it; a
/// missing one ends the flow, and nothing is stored. Red when the attribute's right is not asked for.
#[test]
fn a_number_can_come_with_the_flow() {
    let (rig, key) = rig("flows/sms", "");
    let body = json!({"flow": "sms-attribute", "user": "bob", "attributes": {"mobile": NEW}});
    let mut flow = Flow::start(client(&rig, &key), &body);
    flow.wants("sms-code");
    assert!(!flow.now["links"].as_object().unwrap().contains_key("register"), "{}", flow.now);
    let otp = code(&rig, &mut flow, NEW, 1);
    flow.code(&otp);
    assert_eq!(flow.result()["loa"], 1.5, "nobody has checked whose number that is");
    assert_eq!(rig.show_user("bob")["phone_masked"], Value::Null);

    let missing = Flow::of(client(&rig, &key), "sms-attribute", "bob");
    assert_eq!((missing.last.status, missing.last.code().as_str()), (422, "flow.missing_attribute"));
    missing.wants("failed");
    let timid = rig.app_key("timid", &["challenge", "user:assert"]);
    client(&rig, &timid).post("/v1/flows", &body).expect(403);
    let stranger = rig.app_key("stranger", &["challenge"]);
    client(&rig, &stranger).post("/v1/flows", &json!({"flow": "sms-second", "user": "alice"})).expect(403);
    assert_eq!(rig.modem().messages().len(), 1);
}

/// AT-07, SMS-30 to SMS-32, D-16, D-67: three wrong codes kill a code, three codes are all there are. Red when a
/// resend does not count, or attempts outlive a resend.
#[test]
fn attempts_and_codes_of_a_flow_are_limited() {
    let more = "[limits]\ndelay_from = 20\npair_failures = 50\n";
    let (rig, key) = rig("flows/sms", &format!("{more}{MANY_MESSAGES}"));
    let mut flow = Flow::of(client(&rig, &key), "sms-second", "alice");
    let first = code(&rig, &mut flow, ALICE, 1);
    flow.wrong("verify", &json!({"otp": ""}), "enter-otp.validation.error.otp.required");
    for _ in 0..2 {
        flow.wrong("verify", &json!({"otp": other_than(&first)}), INVALID);
    }
    let spent =
        flow.wrong("verify", &json!({"otp": other_than(&first)}), "enter-otp.error.too-many-attempts");
    assert_eq!(spent.status, 429);
    flow.wrong("verify", &json!({"otp": first}), "enter-otp.error.too-many-attempts");
    flow.go("resend", &json!({}));
    assert_eq!(flow.now["notice"], "resent");
    let second = code(&rig, &mut flow, ALICE, 2);
    flow.wrong("verify", &json!({"otp": other_than(&second)}), INVALID);
    flow.go("resend", &json!({}));
    let third = code(&rig, &mut flow, ALICE, 3);
    flow.wrong("resend", &json!({}), "enter-username.error.too-many-attempts");
    flow.code(&third);
    flow.result();
}

/// AT-07, SMS-43, D-15: a new flow is no way around the limits on messages to a user. Red when `place` does not ask
/// `is_within_limits`.
#[test]
fn new_flows_do_not_evade_the_limits_on_messages() {
    let (rig, key) = rig("flows/sms", "[sms.limits]\nuser_hour = 3\n");
    for nth in 1..=3 {
        let flow = Flow::of(client(&rig, &key), "sms-second", "alice");
        flow.wants("sms-code");
        rig.modem().await_message(ALICE, nth);
    }
    let refused = Flow::of(client(&rig, &key), "sms-second", "alice");
    assert_eq!(refused.last.code(), "enter-username.error.too-many-attempts");
    assert_eq!(refused.last.status, 429);
    let order = client(&rig, &key).post("/v1/challenges", &json!({"user": "alice", "channel": "sms"}));
    assert_eq!((order.status, order.code().as_str()), (429, "rate-limited"));
    assert_eq!(rig.modem().messages_to(ALICE).len(), 3);
    let limited = rig.events("type=sms.rate_limited");
    assert_eq!(limited.len(), 2, "{limited:?}");
    assert_eq!(limited[0]["subject"]["limit"], "user_hour");
}

/// AT-08, SMS-15, SMS-16, SMS-29: lengths of 4 and 10, and the life begins with the modem's word.
#[test]
fn the_length_and_the_life_of_a_code_are_settings() {
    for length in [4, 10] {
        let text = example("flows/sms").replace("otp_length = 6 ", &format!("otp_length = {length} "));
        let rig = Appliance::start(RigOptions::with_modem().config(&text));
        rig.user("alice");
        rig.phone("alice", ALICE);
        let key = rig.app_key("portal", &SCOPES);
        let mut flow = Flow::of(client(&rig, &key), "sms-second", "alice");
        let otp = code(&rig, &mut flow, ALICE, 1);
        assert_eq!(otp.len(), length);
        let end: jiff::Timestamp = flow.now["expires_at"].as_str().unwrap().parse().unwrap();
        let left = end.as_second() - i64::try_from(tests::time::unix_s()).expect("after 1970");
        assert!((50..=61).contains(&left), "{left} s are left of 60");
        flow.code(&otp);
        flow.result();
    }
}

fn link_of(text: &Option<String>) -> String {
    let text = text.as_deref().expect("a whole text");
    let at = text.find("/ui/l/").unwrap_or_else(|| panic!("no link in {text}"));
    text[at..].split_whitespace().next().expect("a link").to_owned()
}

/// Presses a button of the link's page.
fn decide(rig: &Appliance, link: &str, action: &str) -> tests::Answer {
    Visitor::new(rig.address).send("POST", link, Some(&[("action", action)]))
}

/// AT-09, SMS-04, SMS-38, SMS-39, D-13: opening a link decides nothing, a button does, once; the browser that waits
/// goes on, and the phone gets no session. Red when a GET approves, or a link works twice.
#[test]
fn a_link_is_opened_and_then_decided_once() {
    let (rig, key) = rig("flows/sms-link", MANY_MESSAGES);
    let mut flow = Flow::of(client(&rig, &key), "sms-link", "alice");
    flow.wants("sms-wait");
    let link = link_of(&rig.modem().await_message(ALICE, 1).text);
    assert!(link.len() >= "/ui/l/".len() + 22, "128 bits: {link}");
    wait_until(PATIENCE, "the link to live", || flow.look()["expires_at"].is_string().then_some(()));
    let opened = rig.loopback(None).get(&link);
    assert_eq!(opened.status, 200);
    assert!(opened.header("set-cookie").is_none(), "the phone gets no session");
    flow.go("continue", &json!({}));
    flow.wants("sms-wait");
    // Another message ends the former link: it is no longer good, and nothing is wrong with it.
    flow.go("resend", &json!({}));
    let (former, link) = (link, link_of(&rig.modem().await_message(ALICE, 2).text));
    wait_until(PATIENCE, "the link to live", || flow.look()["expires_at"].is_string().then_some(()));
    let late = decide(&rig, &former, "approve");
    assert!(late.status < 500 && late.text().contains("data-error"), "{}", late.text());
    assert_eq!(decide(&rig, &link, "approve").status, 200);
    flow.go("continue", &json!({}));
    assert_eq!(flow.result()["amr"], json!(["assertion", "sms"]));
    let again = decide(&rig, &link, "approve");
    assert!(again.text().contains("data-error"), "{}", again.text());

    let mut flow = Flow::of(client(&rig, &key), "sms-link", "alice");
    let link = link_of(&rig.modem().await_message(ALICE, 3).text);
    wait_until(PATIENCE, "the link to live", || flow.look()["expires_at"].is_string().then_some(()));
    assert_eq!(decide(&rig, &link, "reject").status, 200);
    let answer = flow.act("continue", &json!({}));
    assert_eq!(answer.code(), "link-wait.error.authentication.failed");
    flow.wants("failed");
    let kinds: Vec<String> = rig
        .events("user=alice")
        .iter()
        .filter_map(|event| {
            event["type"].as_str().filter(|kind| kind.starts_with("sms.link")).map(str::to_owned)
        })
        .collect();
    assert_eq!(kinds, ["sms.link_confirmed", "sms.link_rejected"]);
}

fn poll(client: &mut Client, id: &str) -> String {
    let answer = client.post("/v1/backchannel/token", &json!({"auth_req_id": id}));
    if answer.status != 200 {
        return answer.code();
    }
    answer.json()["user"].as_str().expect("the user's name").to_owned()
}

/// AT-09, SMS-37, D-20: the back-channel asks the phone and the application polls: pending, slow_down, the answer
/// once; denied; expired; and only for who asked.
#[test]
fn the_back_channel_asks_the_phone() {
    let text = example("flows/sms-link").replace("interval = \"5s\"", "interval = \"1s\"");
    let mut options = RigOptions::with_modem().config(&format!("{text}{MANY_MESSAGES}"));
    options.pages = true;
    let rig = Appliance::start(options);
    rig.user("alice");
    rig.user("bob");
    rig.phone("alice", ALICE);
    let key = rig.app_key("till", &SCOPES);
    let mut app = client(&rig, &key);
    let ask = |app: &mut Client, expiry: u64| -> String {
        let body = json!({"login_hint": "alice", "binding_message": "Till 4: 25 francs", "requested_expiry": expiry});
        let asked = app.post("/v1/backchannel/authorize", &body).expect(202).json();
        assert_eq!(asked["interval"], 1);
        asked["auth_req_id"].as_str().unwrap().to_owned()
    };
    let pause = || std::thread::sleep(Duration::from_millis(1_100));

    let id = ask(&mut app, 60);
    let link = link_of(&rig.modem().await_message(ALICE, 1).text);
    assert_eq!(poll(&mut app, &id), "authorization_pending");
    assert_eq!(poll(&mut app, &id), "slow_down");
    let page = wait_until(PATIENCE, "the link to live", || {
        let page = rig.loopback(None).get(&link);
        page.text().contains("Till 4: 25 francs").then_some(page)
    });
    assert!(page.text().contains("alice"));
    assert_eq!(decide(&rig, &link, "approve").status, 200);
    let other = rig.app_key("other", &SCOPES);
    assert_eq!(poll(&mut client(&rig, &other), &id), "not-found");
    pause();
    assert_eq!(poll(&mut app, &id), "alice");
    pause();
    assert_eq!(poll(&mut app, &id), "expired_token", "the answer is told once");

    let id = ask(&mut app, 60);
    let link = link_of(&rig.modem().await_message(ALICE, 2).text);
    wait_until(PATIENCE, "the link to live", || {
        rig.loopback(None).get(&link).text().contains("Till 4").then_some(())
    });
    assert_eq!(decide(&rig, &link, "reject").status, 200);
    assert_eq!(poll(&mut app, &id), "access_denied");

    let id = ask(&mut app, 1);
    rig.modem().await_message(ALICE, 3);
    pause();
    assert_eq!(poll(&mut app, &id), "expired_token");

    let unknown = app.post("/v1/backchannel/authorize", &json!({"login_hint": "bob"}));
    assert_eq!(unknown.code(), "no-user-or-phonenumber");
    let long = json!({"login_hint": "alice", "binding_message": "x".repeat(41)});
    assert_eq!(app.post("/v1/backchannel/authorize", &long).code(), "malformed");
    let timid = rig.app_key("timid", &["challenge"]);
    let refused = client(&rig, &timid).post("/v1/backchannel/authorize", &json!({"login_hint": "alice"}));
    assert_eq!(refused.status, 403);
}

/// AT-10, SMS-21, SMS-22, SMS-25 to SMS-27, SMS-34, MOB-37: the number is changed during the login: page, factor,
/// number, code; logged in without another message; the former number is told. Red when the factor is not asked
/// for, or the notice is left out.
#[test]
fn a_number_is_changed_during_the_login() {
    let (rig, key) = rig("flows/phone-change", MANY_MESSAGES);
    let token = rig.token("alice", &json!({"type": "hotp"}));
    let mut flow = Flow::of(client(&rig, &key), "login", "alice");
    flow.wants("sms-code");
    rig.modem().await_message(ALICE, 1);
    flow.go("register", &json!({}));
    flow.wants("sms-info");
    flow.go("continue", &json!({}));
    flow.wants("oath-code");
    flow.wrong("verify", &json!({"otp": token.secret.wrong(0..20)}), "oath.error.invalid_otp");
    flow.code(&token.secret.hotp(0));
    flow.wants("number");
    flow.wrong("number", &json!({"number": ""}), "register.error.validation.phonenumber.required");
    flow.wrong("number", &json!({"number": "079"}), "register.error.validation.invalid.phonenumber");
    flow.wrong("number", &json!({"number": ALICE}), "register.error.number-already-registered");
    flow.go("number", &json!({"number": NEW}));
    flow.wants("number-verify");
    assert_eq!(flow.now["fields"], json!(["otp"]));
    let otp = code(&rig, &mut flow, NEW, 1);
    flow.wrong("verify", &json!({"otp": other_than(&otp)}), "confirm.error.validation.invalid.otp");
    assert!(rig.show_user("alice")["phone_masked"].as_str().unwrap().ends_with("4561"), "nothing yet");
    flow.code(&otp);
    flow.result();
    assert!(rig.show_user("alice")["phone_masked"].as_str().unwrap().ends_with("4569"));
    let notice = rig.modem().await_message(ALICE, 2).text.expect("a whole text");
    assert!(notice.contains("4569") && !notice.contains(NEW), "{notice}");
    assert_eq!(rig.modem().messages_to(NEW).len(), 1, "automatic login, and no notice to the new number");
    let changed = rig.events("type=phone.changed");
    assert_eq!(changed.len(), 1);
}

/// AT-10, SMS-08, D-08: another user's number is refused with the key of a number that is registered already, and a
/// user without a second factor cannot begin.
#[test]
fn a_change_needs_its_factor_and_a_free_number() {
    let (rig, key) = rig("flows/phone-change", MANY_MESSAGES);
    rig.phone("bob", NEW);
    let token = rig.token("alice", &json!({"type": "hotp"}));
    let mut flow = Flow::of(client(&rig, &key), "login", "alice");
    flow.go("register", &json!({}));
    flow.go("continue", &json!({}));
    flow.wrong("number", &json!({"number": NEW}), "flow.wrong_step");
    flow.code(&token.secret.hotp(0));
    flow.wrong("number", &json!({"number": NEW}), "register.error.number-already-registered");
    flow.wrong("cancel", &json!({}), "flow.cancelled");
    flow.wants("failed");
    assert!(rig.show_user("alice")["phone_masked"].as_str().unwrap().ends_with("4561"));
}

/// SMS-20, MOB-08: an authenticator that only authenticates offers no registration, and says so.
#[test]
fn without_registration_there_is_no_button() {
    let text = example("flows/sms").replacen(
        "required_for_registration = \"iak\"",
        "allow_registration_during_login = false",
        1,
    );
    let rig = Appliance::start(RigOptions::with_modem().config(&text));
    rig.user("alice");
    rig.phone("alice", ALICE);
    let key = rig.app_key("portal", &SCOPES);
    let mut flow = Flow::of(client(&rig, &key), "sms-second", "alice");
    assert!(!flow.now["links"].as_object().unwrap().contains_key("register"));
    let refused = flow.wrong("register", &json!({}), "registration.not_supported");
    assert_eq!(refused.status, 409);
    let refused = flow.wrong("number", &json!({"number": NEW}), "flow.wrong_step");
    assert_eq!(refused.status, 409);
}

/// SMS-05, OATH-40: a logged-in user changes the number in a self-service flow, and an application cannot begin one
/// for a user whom nobody has seen.
#[test]
fn a_self_service_flow_needs_a_login() {
    let (rig, key) = rig("flows/phone-change", MANY_MESSAGES);
    let refused = client(&rig, &key).post("/v1/flows", &json!({"flow": "phone-change"}));
    assert_eq!(refused.status, 409, "{}", refused.text());
    let token = rig.token("alice", &json!({"type": "hotp"}));
    let mut flow = Flow::of(client(&rig, &key), "phone-change", "alice");
    flow.wants("sms-info");
    flow.go("continue", &json!({}));
    flow.code(&token.secret.hotp(0));
    flow.go("number", &json!({"number": NEW}));
    let otp = code(&rig, &mut flow, NEW, 1);
    flow.code(&otp);
    flow.wants("done");
    assert!(rig.show_user("alice")["phone_masked"].as_str().unwrap().ends_with("4569"));
}
