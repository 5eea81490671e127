//! The paths that privacyIDEA's plugins speak: each plugin's own reading of real answers, rejections that are
//! the same bytes, and a code by SMS from the order to the accept.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};
use tests::appliance::{Appliance, MANY_MESSAGES, RigOptions};
use tests::http::{Answer, Endpoint, read_answer};

const PHONE: &str = "+41791234567";
const FORM: &str = "application/x-www-form-urlencoded";
const BOUNDARY: &str = "------------------------d74496d66958873e";

type Fields<'a> = [(&'a str, &'a str)];

/// What a plugin makes of an answer.
#[derive(Debug, PartialEq)]
enum Seen {
    Accept,
    Reject,
    Challenge(String),
    Error(i64),
}

/// A plugin: its agent, how it writes a request, and how it reads an answer.
struct Plugin {
    agent: &'static str,
    write: fn(&Fields<'_>) -> (String, String),
    read: fn(&Answer) -> Seen,
}

const PLUGINS: [Plugin; 6] = [
    Plugin { agent: "PAM/1.1.0", write: form, read: pam },
    Plugin { agent: "FreeRADIUS", write: form_twice, read: freeradius },
    Plugin { agent: "privacyIDEA-Keycloak/1.4.1", write: form, read: java },
    Plugin { agent: "simpleSAMLphp", write: multipart, read: php },
    Plugin { agent: "PrivacyIDEA-ADFS/1.3.0", write: form, read: adfs },
    Plugin { agent: "privacyidea-cp/3.6.0", write: form, read: credential_provider },
];

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

fn pairs(fields: &Fields<'_>) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

fn form(fields: &Fields<'_>) -> (String, String) {
    (FORM.to_owned(), pairs(fields))
}

fn form_twice(fields: &Fields<'_>) -> (String, String) {
    let once: Vec<_> = fields.iter().map(|(name, value)| (*name, encoded(value))).collect();
    form(&once.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

fn multipart(fields: &Fields<'_>) -> (String, String) {
    let part = |(name, value): &(&str, &str)| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts: String = fields.iter().map(part).collect();
    (format!("multipart/form-data; boundary={BOUNDARY}"), format!("{parts}--{BOUNDARY}--\r\n"))
}

#[track_caller]
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} must be a string in {value}"))
}

fn error(body: &Value) -> Option<Seen> {
    let error = body["result"].get("error")?;
    text(error, "message");
    Some(Seen::Error(error["code"].as_i64().expect("an integer")))
}

fn pam(answer: &Answer) -> Seen {
    let body = answer.json();
    if let Some(error) = error(&body) {
        return error;
    }
    text(&body["detail"], "message");
    if body["result"]["value"].as_bool().expect("a boolean, or the module gives up") {
        return Seen::Accept;
    }
    // It goes on asking for as long as there is one.
    match body["detail"].get("transaction_id") {
        None => Seen::Reject,
        Some(id) => {
            let challenges = body["detail"]["multi_challenge"].as_array().expect("a list");
            assert!(challenges.iter().all(|one| !text(one, "type").is_empty()));
            Seen::Challenge(id.as_str().expect("a string").to_owned())
        }
    }
}

fn freeradius(answer: &Answer) -> Seen {
    let body = answer.json();
    if !(200..300).contains(&answer.status) {
        return error(&body).expect("an error with a status of one");
    }
    assert_eq!(body["result"]["status"], true);
    text(&body["detail"], "message");
    match (body["result"]["value"].as_bool(), body["detail"].get("transaction_id")) {
        (Some(true), _) => Seen::Accept,
        (Some(false), None) => Seen::Reject,
        (Some(false), Some(state)) => {
            let state = state.as_str().expect("a string").to_owned();
            assert!(state.len() <= 253, "a State attribute holds no more");
            Seen::Challenge(state)
        }
        (None, _) => panic!("no value: {body}"),
    }
}

/// Reads a list of challenges of which each has all these fields.
fn challenges(body: &Value, fields: &[&str]) -> Option<String> {
    let detail = &body["detail"];
    let list = detail.get("multi_challenge")?.as_array().expect("a list");
    for one in list {
        fields.iter().for_each(|name| assert!(!text(one, name).is_empty()));
        assert_eq!(one["transaction_id"], detail["transaction_id"]);
    }
    list.first().map(|one| text(one, "transaction_id").to_owned())
}

const FIVE: [&str; 5] = ["client_mode", "message", "serial", "transaction_id", "type"];

fn java(answer: &Answer) -> Seen {
    let body = answer.json();
    if let Some(error) = error(&body) {
        return error;
    }
    assert!(body["time"].is_number() && body["result"]["status"] == true);
    match (text(&body["result"], "authentication"), challenges(&body, &FIVE)) {
        ("ACCEPT", None) => Seen::Accept,
        ("CHALLENGE", Some(id)) => {
            assert_eq!(text(&body["detail"], "preferred_client_mode"), "interactive");
            assert!(body["detail"]["messages"][0].is_string());
            Seen::Challenge(id)
        }
        ("REJECT", None) => Seen::Reject,
        other => panic!("{other:?}"),
    }
}

fn php(answer: &Answer) -> Seen {
    let body = answer.json();
    if body["result"].get("value").is_none() {
        return error(&body).expect("a value or an error");
    }
    match challenges(&body, &["transaction_id", "message", "serial", "type"]) {
        Some(id) => Seen::Challenge(id),
        None if body["result"]["value"] == true => Seen::Accept,
        None => Seen::Reject,
    }
}

fn adfs(answer: &Answer) -> Seen {
    let body = answer.json();
    if let Some(error) = error(&body) {
        return error;
    }
    match challenges(&body, &FIVE) {
        Some(id) => {
            for name in ["type", "serial", "message", "preferred_client_mode"] {
                text(&body["detail"], name);
            }
            Seen::Challenge(id)
        }
        None if body["result"]["value"] == true && body["result"]["authentication"] == "ACCEPT" => {
            Seen::Accept
        }
        None => Seen::Reject,
    }
}

fn credential_provider(answer: &Answer) -> Seen {
    let body = answer.json();
    if let Some(error) = error(&body) {
        return error;
    }
    text(&body["detail"], "message");
    assert!(body.get("auth_items").is_none(), "no codes leave for later");
    match challenges(&body, &FIVE) {
        Some(id) => Seen::Challenge(id),
        None if body["result"]["value"] == true => Seen::Accept,
        None => Seen::Reject,
    }
}

/// Sends one request over a connection of its own.
fn send(to: SocketAddr, method: &str, path: &str, headers: &Fields<'_>, body: &str) -> Answer {
    let mut message =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| message.push_str(&format!("{name}: {value}\r\n")));
    message.push_str("\r\n");
    message.push_str(body);
    let mut stream = Endpoint::Tcp(to).connect().expect("the daemon listens");
    stream.write_all(message.as_bytes()).expect("the daemon reads");
    read_answer(&mut BufReader::new(stream)).expect("an answer")
}

/// An application on an appliance: where it connects and what it shows.
struct Door {
    at: SocketAddr,
    key: String,
}

impl Door {
    fn of(appliance: &Appliance) -> Door {
        let key = appliance.app_key("plugin", &["verify", "challenge"]);
        Door { at: appliance.address, key: format!("Bearer {key}") }
    }

    fn post(&self, path: &str, agent: &str, written: (String, String)) -> Answer {
        let headers = [("user-agent", agent), ("content-type", &written.0), ("authorization", &self.key)];
        send(self.at, "POST", path, &headers, &written.1)
    }

    fn check(&self, fields: &Fields<'_>) -> Answer {
        self.post("/validate/check", "curl", form(fields))
    }

    fn ask(&self, plugin: &Plugin, fields: &Fields<'_>) -> Seen {
        (plugin.read)(&self.post("/validate/check", plugin.agent, (plugin.write)(fields)))
    }

    /// Orders a code and gives the transaction.
    fn order(&self, user: &str) -> String {
        let ordered = self.check(&[("user", user), ("pass", "")]).expect(200).json();
        text(&ordered["detail"], "transaction_id").to_owned()
    }

    /// What anybody is told about a transaction: twice, for there are two paths.
    fn poll(&self, transaction: &str) -> (String, Value) {
        let path = "/validate/polltransaction";
        let by_query =
            send(self.at, "GET", &format!("{path}?transaction_id={transaction}&"), &[], "").expect(200);
        let by_path = send(self.at, "GET", &format!("{path}/{transaction}"), &[], "").expect(200);
        assert_eq!(same(&by_query), same(&by_path));
        let body = by_path.json();
        (text(&body["detail"], "challenge_status").to_owned(), body["result"]["value"].clone())
    }
}

/// An answer's bytes without what the clock put there.
fn same(answer: &Answer) -> String {
    let body = answer.text();
    let (before, rest) = body.split_once("\"time\":").expect("the time");
    let (_, after) = rest.split_once(',').expect("more after the time");
    format!("{}\n{before}{after}", answer.head)
}

/// Waits until the modem has taken the code of an order, and gives it.
fn sent_code(appliance: &Appliance, nth: usize, door: &Door, transaction: &str) -> String {
    let code = appliance.modem().await_message(PHONE, nth).code();
    let number: u128 = transaction.parse().expect("a decimal number");
    let path = format!("/v1/challenges/{number:032x}");
    let headers = [("authorization", door.key.as_str())];
    tests::wait_until(tests::PATIENCE, "the code is alive", || {
        let state = send(door.at, "GET", &path, &headers, "").expect(200).json();
        (state["state"] == "waiting").then_some(())
    });
    code
}

#[test]
fn every_plugin_finds_what_it_reads() {
    let appliance = Appliance::start(RigOptions::with_modem().config(MANY_MESSAGES));
    let door = Door::of(&appliance);
    let user = "anna+x@example.org";
    let token = appliance.hotp_user(user);
    appliance.phone(user, PHONE);
    let wrong = token.secret.wrong(0..60);
    for (n, plugin) in PLUGINS.iter().enumerate() {
        let agent = plugin.agent;
        let asked =
            |name: &str, pass: &str| door.ask(plugin, &[("user", name), ("realm", ""), ("pass", pass)]);
        assert_eq!(asked(user, &wrong), Seen::Reject, "{agent}");
        assert_eq!(asked(user, &token.secret.hotp(n as u64)), Seen::Accept, "{agent}");
        assert_eq!(asked("nobody", &wrong), Seen::Reject, "{agent}");
        assert_eq!(door.ask(plugin, &[("pass", &wrong)]), Seen::Error(905), "{agent}");

        let Seen::Challenge(id) = asked(user, "") else { panic!("{agent}: no challenge") };
        assert_eq!(door.poll(&id), ("pending".to_owned(), json!(false)));
        let code = sent_code(&appliance, n + 1, &door, &id);
        // RADIUS says state.
        let name = if agent == "FreeRADIUS" { "state" } else { "transaction_id" };
        let answered = |pass: &str| door.ask(plugin, &[("user", user), ("pass", pass), (name, &id)]);
        let other = if code == "000000" { "111111" } else { "000000" };
        assert_eq!(answered(other), Seen::Reject, "{agent}");
        assert_eq!(answered(&code), Seen::Accept, "{agent}");
        assert_eq!(door.poll(&id), ("accept".to_owned(), json!(true)));
        assert_eq!(answered(&code), Seen::Reject, "{agent}: twice");
    }
}

#[test]
fn an_accepted_code_is_told_with_its_token() {
    let appliance = Appliance::start(RigOptions::default());
    let door = Door::of(&appliance);
    let token = appliance.hotp_user("alice");
    let other = appliance.hotp_user("bob");
    let by_name =
        door.check(&[("user", "alice"), ("pass", &token.secret.hotp(0)), ("nonce", "n1")]).expect(200).json();
    assert_eq!(by_name["detail"]["serial"], token.serial);
    assert_eq!(by_name["detail"]["type"], "hotp");
    assert_eq!(by_name["detail"]["otplen"], 6);
    assert_eq!(by_name["result"], json!({"authentication": "ACCEPT", "status": true, "value": true}));
    assert_eq!((&by_name["id"], &by_name["nonce"]), (&json!(2), &json!("n1")));

    let path = format!("/validate/check?serial={}&pass={}", token.serial, token.secret.hotp(1));
    let by_serial = send(door.at, "GET", &path, &[("pi-authorization", &door.key)], "").expect(200).json();
    assert_eq!(by_serial["result"]["value"], true);

    let accepted = |fields: &Fields<'_>| door.check(fields).expect(200).json()["result"]["value"] == true;
    let code = token.secret.hotp(2);
    // What else is said must hold: of the type, and of the serial together with the user.
    assert!(!accepted(&[("user", "alice"), ("type", "totp"), ("pass", &code)]));
    assert!(!accepted(&[("user", "bob"), ("serial", &token.serial), ("pass", &code)]));
    assert!(!accepted(&[("user", "alice"), ("serial", &other.serial), ("pass", &code)]));
    assert!(accepted(&[("user", "alice"), ("serial", &token.serial), ("type", "hotp"), ("pass", &code)]));

    let json = json!({"user": "alice", "pass": token.secret.hotp(3)}).to_string();
    let by_json = door.post("/validate/check", "x", ("application/json".to_owned(), json));
    assert_eq!(by_json.expect(200).json()["result"]["value"], true);

    let radius =
        |pass: &str| door.post("/validate/radiuscheck", "x", form(&[("user", "alice"), ("pass", pass)]));
    let good = radius(&token.secret.hotp(4));
    let bad = radius(&token.secret.hotp(4));
    assert_eq!((good.status, bad.status), (204, 400));
    assert!(good.body.is_empty() && bad.body.is_empty());
}

#[test]
fn every_rejection_is_the_same_bytes() {
    let appliance = Appliance::start(RigOptions::with_modem().config(MANY_MESSAGES));
    let door = Door::of(&appliance);
    let alice = appliance.hotp_user("alice");
    let revoked = appliance.hotp_user("rita");
    let suspended = appliance.hotp_user("sue");
    let locked = appliance.hotp_user("leo");
    appliance.user("nora");
    appliance.user("paul");
    appliance.phone("paul", PHONE);
    appliance.change_token(&revoked.serial, "revoke");
    appliance.change_token(&suspended.serial, "suspend");
    let (good, wrong) = (alice.secret.hotp(0), alice.secret.wrong(0..20));
    door.check(&[("user", "alice"), ("pass", &good)]).expect(200);
    let paul = door.order("paul");
    let code = sent_code(&appliance, 1, &door, &paul);
    let miss = if code == "000000" { "111111" } else { "000000" };
    let unlike = locked.secret.wrong(0..20);
    for _ in 0..6 {
        door.check(&[("serial", &locked.serial), ("pass", &unlike)]).expect(200);
    }

    let classes: [(&str, &Fields<'_>); 17] = [
        ("unknown user", &[("user", "nobody"), ("pass", &wrong)]),
        ("no name at all", &[("user", "a b\u{1}"), ("pass", &wrong)]),
        ("other realm", &[("user", "alice"), ("realm", "elsewhere"), ("pass", &wrong)]),
        ("no token", &[("user", "nora"), ("pass", &wrong)]),
        ("unknown serial", &[("serial", "CSHXXXXXXXX"), ("pass", &wrong)]),
        ("replay", &[("user", "alice"), ("pass", &good)]),
        ("revoked", &[("user", "rita"), ("pass", &revoked.secret.hotp(0))]),
        ("suspended", &[("user", "sue"), ("pass", &suspended.secret.hotp(0))]),
        ("locked or limited", &[("user", "leo"), ("pass", &locked.secret.hotp(0))]),
        ("no code", &[("user", "alice"), ("pass", "12345x")]),
        ("too long", &[("user", "alice"), ("pass", "1234567890123456")]),
        ("empty, unknown user", &[("user", "nobody"), ("pass", "")]),
        ("empty, no phone", &[("user", "nora")]),
        ("unknown transaction", &[("user", "paul"), ("pass", &code), ("transaction_id", "12345")]),
        ("no transaction", &[("user", "paul"), ("pass", &code), ("state", "xyz")]),
        ("wrong answer", &[("user", "paul"), ("pass", miss), ("transaction_id", &paul)]),
        ("empty answer", &[("user", "paul"), ("pass", ""), ("transaction_id", &paul)]),
    ];
    // What the modem reports late is no rejection.
    let refused = || appliance.events("").iter().filter(|event| event["outcome"] == "refused").count();
    let events = refused();
    let expected = same(&door.check(&[("user", "alice"), ("pass", &wrong)]));
    assert!(expected.starts_with("HTTP/1.1 200") && expected.contains("REJECT"));
    assert!(!expected.contains("serial") && !expected.contains("transaction"));
    for (class, fields) in classes {
        assert_eq!(same(&door.check(fields)), expected, "{class}");
    }
    // Somebody else's challenge, with its code: as if there were none, and it stays good for whom it was made.
    let stolen = [("user", "alice"), ("pass", code.as_str()), ("transaction_id", paul.as_str())];
    assert_eq!(same(&door.check(&stolen)), expected);
    assert_eq!(refused(), events + 2 + classes.len(), "each leaves one event");
    let own = [("user", "paul"), ("pass", code.as_str()), ("transaction_id", paul.as_str())];
    assert_eq!(door.check(&own).json()["result"]["value"], true);
}

#[test]
fn a_challenge_is_triggered_with_a_key_or_behind_a_named_listener() {
    let named = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let listener = format!("[[listen]]\nkind = \"http\"\naddress = \"{named}\"\napplication = \"sso\"\n");
    let appliance =
        Appliance::start(RigOptions::with_modem().config(&format!("{listener}\n{MANY_MESSAGES}")));
    let door = Door::of(&appliance);
    let token = appliance.hotp_user("alice");
    appliance.phone("alice", PHONE);
    appliance.user("nora");
    let path = "/validate/triggerchallenge";
    let (of_type, body) = form(&[("user", "alice")]);
    let trigger = |at, body: &str, headers: &Fields<'_>| {
        send(at, "POST", path, &[&[("content-type", of_type.as_str())], headers].concat(), body)
    };
    let bare = door.key.strip_prefix("Bearer ").expect("a key");
    for headers in [&[][..], &[("authorization", "Bearer csk_no")], &[("authorization", "Basic eDp5")]] {
        let refused = trigger(door.at, &body, headers).expect(401);
        assert_eq!(java(&refused), Seen::Error(4033));
        assert!(refused.json()["detail"].is_null() && refused.json()["result"]["status"] == false);
    }
    assert_eq!(
        java(&send(door.at, "POST", "/validate/check", &[("content-type", &of_type)], &body)),
        Seen::Error(4033)
    );

    let by_serial = pairs(&[("serial", &token.serial)]);
    let good: [(SocketAddr, &str, &Fields<'_>); 5] = [
        (door.at, &body, &[("authorization", &door.key)]),
        (door.at, &body, &[("authorization", bare)]),
        (door.at, &by_serial, &[("pi-authorization", bare)]),
        (door.at, &body, &[("pi-authorization", &door.key), ("authorization", "Basic eDp5")]),
        (named, &body, &[]),
    ];
    for (at, body, headers) in good {
        let triggered = trigger(at, body, headers).expect(200);
        assert!(
            matches!(java(&triggered), Seen::Challenge(_)) && matches!(adfs(&triggered), Seen::Challenge(_))
        );
        assert_eq!(triggered.json()["result"]["value"], 1);
    }
    let none = |body: &str| same(&trigger(door.at, body, &[("authorization", &door.key)]).expect(200));
    let unknown = none("user=nobody");
    assert!(unknown.contains("\"value\":0") && unknown.contains("\"multi_challenge\":[]"));
    assert_eq!(none("user=nora"), unknown);
    assert_eq!(none("user=alice&type=push"), unknown);
    assert_eq!(java(&trigger(door.at, "", &[("authorization", &door.key)])), Seen::Error(905));

    let id = door.order("alice");
    let number: u128 = id.parse().expect("a decimal number");
    let cancel = format!("/v1/challenges/{number:032x}");
    send(door.at, "DELETE", &cancel, &[("authorization", &door.key)], "").expect(200);
    assert_eq!(door.poll(&id), ("cancelled".to_owned(), json!(false)));
    assert_eq!(door.poll("4711"), ("pending".to_owned(), json!(false)));

    let narrow = Door { at: door.at, key: appliance.app_key("narrow", &["verify"]) };
    assert_eq!(pam(&narrow.check(&[("user", "alice"), ("pass", &token.secret.hotp(0))])), Seen::Accept);
    let ordered = narrow.check(&[("user", "alice"), ("pass", "")]);
    assert_eq!((ordered.status, pam(&ordered)), (403, Seen::Error(303)));
}

#[test]
fn a_request_that_is_none_is_refused_in_the_envelope() {
    let appliance = Appliance::start(RigOptions::default());
    let door = Door::of(&appliance);
    let plain =
        |of_type: &str, body: &str| door.post("/validate/check", "x", (of_type.to_owned(), body.to_owned()));
    for (of_type, body, status) in [
        (FORM, "user=a&user=b&pass=1", 400),
        (FORM, "user=&pass=123456", 400),
        ("application/json", "{\"user\":\"a\",\"pass\":123456}", 400),
        ("application/json", "{", 400),
        ("multipart/form-data; boundary=x", "user=a", 400),
        (FORM, &"x".repeat(16 * 1024 + 1), 413),
    ] {
        let refused = plain(of_type, body).expect(status);
        assert_eq!(pam(&refused), Seen::Error(905), "{body:.40}");
        assert_eq!(refused.json()["id"], 1);
    }
    // Without a modem an empty code is a code like any other.
    assert_eq!(pam(&door.check(&[("user", "nobody"), ("pass", "")])), Seen::Reject);
}

#[test]
fn talkative_rejections_say_what_plugins_know() {
    let appliance =
        Appliance::start(RigOptions::with_modem().config("[compat.privacyidea]\nverbose = true\n"));
    let door = Door::of(&appliance);
    let token = appliance.hotp_user("alice");
    appliance.user("nora");
    let code = token.secret.hotp(0);
    door.check(&[("user", "alice"), ("pass", &code)]).expect(200);
    let unknown = door.check(&[("user", "nobody"), ("pass", "123456")]);
    assert_eq!((unknown.status, freeradius(&unknown)), (400, Seen::Error(904)));
    let unknown = door.check(&[("user", "nobody"), ("pass", "")]);
    assert_eq!((unknown.status, freeradius(&unknown)), (400, Seen::Error(904)));
    let message = |fields: &Fields<'_>| {
        let answer = door.check(fields).expect(200);
        assert_eq!(pam(&answer), Seen::Reject);
        text(&answer.json()["detail"], "message").to_owned()
    };
    assert_eq!(message(&[("user", "alice"), ("pass", &code)]), "wrong otp value. previous otp used again");
    assert_eq!(message(&[("user", "alice"), ("pass", &token.secret.wrong(0..20))]), "wrong otp value");
    assert_eq!(message(&[("user", "nora"), ("pass", "123456")]), "The user has no tokens assigned");
    let late = [("user", "alice"), ("pass", "123456"), ("transaction_id", "1")];
    assert_eq!(message(&late), "Response did not match the challenge.");
    appliance.change_token(&token.serial, "suspend");
    assert_eq!(message(&[("user", "alice"), ("pass", "123456")]), "Token is disabled");
}

#[test]
fn without_its_hsm_it_neither_accepts_nor_counts() {
    let mut appliance = Appliance::start(RigOptions::default());
    let door = Door::of(&appliance);
    let token = appliance.hotp_user("alice");
    let code = token.secret.hotp(0);
    appliance.stop();
    let label = std::mem::replace(&mut appliance.options_mut().token_label, "nowhere".to_owned());
    appliance.write_config();
    appliance.serve();
    appliance.await_listening();
    for fields in [[("user", "alice"), ("pass", code.as_str())], [("user", "nobody"), ("pass", "123456")]] {
        let down = door.check(&fields).expect(503);
        assert_eq!(pam(&down), Seen::Error(707));
        assert!(down.header("retry-after").is_some() && down.json()["result"]["status"] == false);
    }
    let radius = door.post("/validate/radiuscheck", "x", form(&[("user", "alice"), ("pass", &code)]));
    assert_eq!((radius.status, radius.header("retry-after").is_some()), (503, true));
    appliance.options_mut().token_label = label;
    appliance.write_config();
    appliance.restart();
    assert_eq!(appliance.show_token(&token.serial)["failures"], 0);
    assert_eq!(pam(&door.check(&[("user", "alice"), ("pass", &code)])), Seen::Accept);
}
