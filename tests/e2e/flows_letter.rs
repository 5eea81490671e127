//! The first number of a user, registered with the key of an activation letter, on the shipped example configuration:
//! the real typesetter, the key read from its PDF, the code from the emulated modem.

use std::path::Path;

use serde_json::{Value, json};
use tests::appliance::{MANY_MESSAGES, told};
use tests::flow::{Flow, SCOPES, example};
use tests::letter::{self, generate, key_in, order_and_read_key};
use tests::{Answer, Appliance, PATIENCE, wait_until};

const NUMBER: &str = "+41791234561";
const TYPED: &str = "079 123 45 61";
const PASSWORD: &str = "correct horse battery";
const WRONG_PAIR: &str = "register.error.invalid.otp-or-iak";
/// Letters follow each other at once.
const NO_GAP: &str = "delivery_gap = \"0s\"\n";
const LIMITS: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";

struct Rig {
    rig: Appliance,
    key: String,
}

impl Rig {
    fn start(letters: &str, change: impl Fn(String) -> String) -> Rig {
        let text = change(format!("{}{MANY_MESSAGES}{LIMITS}", example("flows/phone-registration")));
        let rig = Appliance::start(letter::options(letters, &text));
        let key = rig.app_key("portal", &SCOPES);
        let rig = Rig { rig, key };
        rig.add("alice", "SMS");
        rig
    }

    fn plain() -> Rig {
        Rig::start(NO_GAP, |text| text)
    }

    fn add(&self, name: &str, method: &str) {
        self.rig.user(name);
        let mut admin = self.rig.admin();
        admin.put(&format!("/v1/users/{name}/password"), &json!({"password": PASSWORD})).expect(200);
        admin.put(&format!("/v1/users/{name}/auth-method"), &json!({"active": method})).expect(200);
    }

    /// Name and password, and what is asked then.
    #[track_caller]
    fn log_in(&self, name: &str) -> Flow {
        let begin = json!({"flow": "phone-registration"});
        let mut flow = Flow::start(self.rig.loopback(Some(&self.key)), &begin);
        flow.wants("password");
        flow.act("password", &json!({"user": name, "password": PASSWORD}));
        flow
    }

    /// The number, and the code that it gets.
    #[track_caller]
    fn number(&self, flow: &mut Flow) -> String {
        flow.wants("number");
        let before = self.rig.modem().messages_to(NUMBER).len();
        flow.go("number", &json!({"number": TYPED}));
        self.code(flow, before + 1)
    }

    #[track_caller]
    fn code(&self, flow: &mut Flow, nth: usize) -> String {
        let otp = self.rig.modem().await_message(NUMBER, nth).code();
        wait_until(PATIENCE, "the code to live", || flow.look()["expires_at"].is_string().then_some(()));
        otp
    }

    fn masked(&self, name: &str) -> Value {
        self.rig.show_user(name)["phone_masked"].clone()
    }

    fn kinds(&self, name: &str) -> Vec<String> {
        let events = self.rig.events(&format!("user={name}"));
        events.iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn cli(&self, arguments: &[&str]) -> Value {
        let output = self.rig.cli(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

fn both(otp: &str, iak: &str) -> Value {
    json!({"otp": otp, "iak": iak})
}

fn other_than(otp: &str) -> String {
    let last = otp.as_bytes()[otp.len() - 1] - b'0';
    format!("{}{}", &otp[..otp.len() - 1], (last + 1) % 10)
}

/// A key that is well formed and nobody's.
const NO_KEY: &str = "AAAA-BBBB-CCCC";

/// AT-01, MOB-01 to MOB-13, MOB-19, MOB-21, MOB-22, MOB-26, MOB-30: ordered, typeset by the run, typed in lower case
/// without dashes: the number is the user's, the key is used up, and each step is an event. Red when anything of it
/// is stored before the last step.
#[test]
fn a_letter_makes_a_number_the_users_own() {
    let rig = Rig::plain();
    let lines = ["--line", "Zoë Müller", "--line", "Gasse 1", "--line", "3000 Bern"];
    rig.cli(&[&["user", "address", "alice"][..], &lines].concat());
    rig.cli(&["letter", "order", "--kind", "sms-iak", "alice"]);
    assert!(rig.log_in("alice").wants("no-letter")["links"].get("order-letter").is_none());
    rig.cli(&["letter", "run", "--kind", "sms-iak"]);
    let letters = rig.rig.admin().get("/v1/letters?user=alice&kind=sms-iak").expect(200).json();
    let path = letters["items"][0]["path"].as_str().expect("a path").to_owned();
    let key = key_in(Path::new(&path));

    let mut flow = rig.log_in("alice");
    let otp = rig.number(&mut flow);
    let asked = flow.wants("number-verify");
    assert_eq!(asked["fields"], json!(["otp", "iak"]), "one screen (MOB-13)");
    assert_eq!(rig.masked("alice"), Value::Null, "nothing before the last step");
    flow.go("verify", &both(&otp, &key.replace('-', "").to_lowercase()));
    let result = flow.result();
    assert_eq!(result["amr"], json!(["password", "iak", "sms"]));
    assert_eq!(result["loa"], 2.0);
    assert!(rig.masked("alice").as_str().unwrap().ends_with("4561"));
    let kinds = rig.kinds("alice");
    let mut expected =
        ["letter.ordered", "letter.rendered", "phone.possession_proven", "iak.accepted", "phone.registered"]
            .into_iter()
            .peekable();
    for kind in &kinds {
        expected.next_if(|next| next == kind);
    }
    assert_eq!(expected.next(), None, "in this order: {kinds:?}");
    let letter = &rig.rig.admin().get("/v1/letters?user=alice").expect(200).json()["items"][0];
    assert_eq!(letter["state"], "consumed");

    // From now on the same flow sends a code, and the key opens nothing any more.
    let mut flow = rig.log_in("alice");
    flow.wants("sms-code");
    let otp = rig.code(&mut flow, 2);
    flow.code(&otp);
    assert_eq!(flow.result()["amr"], json!(["password", "sms"]));
    rig.rig.check_chain();
}

/// AT-02, MOB-06, MOB-23, MOB-25, MOB-30: typeset at once in the user's language, handed over, and with
/// `after = "relogin"` the user logs in once more.
#[test]
fn a_letter_is_handed_over_and_the_user_logs_in_again() {
    let rig = Rig::start(NO_GAP, |text| text.replace("after = \"continue\" ", "after = \"relogin\" "));
    let added = json!({"name": "bruno", "lang": "de"});
    rig.rig.admin().post("/v1/users", &added).expect(201);
    let mut admin = rig.rig.admin();
    admin.put("/v1/users/bruno/password", &json!({"password": PASSWORD})).expect(200);
    admin.put("/v1/users/bruno/auth-method", &json!({"active": "SMS"})).expect(200);
    let made = rig.cli(&["letter", "generate", "--kind", "sms-iak", "--delivery", "hand", "bruno"]);
    let (id, path) = (made["id"].as_str().unwrap(), made["path"].as_str().unwrap());
    assert_eq!(made["pages"], 1);
    let text = letter::text_of(Path::new(path));
    assert!(text.contains("Aktivierung"), "{text}");
    rig.cli(&["letter", "handover", id]);
    let mut flow = rig.log_in("bruno");
    let otp = rig.number(&mut flow);
    flow.go("verify", &both(&otp, &key_in(Path::new(path))));
    flow.wants("password");
    assert_eq!(flow.now["notice"], "relogin");
    assert!(rig.masked("bruno").is_string());
    let kinds = rig.kinds("bruno");
    assert!(kinds.iter().any(|kind| kind == "letter.handed_over"), "{kinds:?}");
}

/// What a wrong answer says, without what differs in each flow.
fn said(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    for field in ["flow", "links", "page", "expires_at"] {
        body["flow"][field] = Value::Null;
    }
    (answer.status, body)
}

/// AT-03, MOB-07, MOB-34, D-03: whichever half is wrong, the answer is the same in each byte, and nothing is used up.
/// Red when the two are told apart, or a wrong key does not count on the letter.
#[test]
fn it_is_not_said_which_half_is_wrong() {
    let rig = Rig::plain();
    let key = order_and_read_key(&rig.rig, "alice");
    let mut flow = rig.log_in("alice");
    let otp = rig.number(&mut flow);
    let bad_code = said(&flow.wrong("verify", &both(&other_than(&otp), &key), WRONG_PAIR));
    let bad_key = said(&flow.wrong("verify", &both(&otp, NO_KEY), WRONG_PAIR));
    assert_eq!(bad_code, bad_key);
    flow.go("verify", &both(&otp, &key));
    flow.result();
    let rejected = rig.kinds("alice").iter().filter(|kind| *kind == "iak.rejected").count();
    assert_eq!(rejected, 1, "only the wrong key counts on the letter");
}

/// AT-03, MOB-32 to MOB-35: a key that is superseded, cancelled or burnt opens nothing, with the same answer.
#[test]
fn only_the_key_of_the_open_letter_works() {
    let rig = Rig::start("delivery_gap = \"0s\"\n[letters.sms_iak]\nmax_attempts = 1\n", |text| text);
    let superseded = order_and_read_key(&rig.rig, "alice");
    let burnt = order_and_read_key(&rig.rig, "alice");
    let mut flow = rig.log_in("alice");
    let otp = rig.number(&mut flow);
    flow.wrong("verify", &both(&otp, &superseded), WRONG_PAIR);
    let after = flow.act("verify", &both(&otp, &burnt));
    assert_eq!(after.code(), WRONG_PAIR, "burnt by the one wrong key: {}", after.text());
    assert!(rig.kinds("alice").iter().any(|kind| kind == "letter.burnt"));
    rig.log_in("alice").wants("no-letter");

    let letter = generate(&rig.rig, "alice", "sms-iak");
    let mut flow = rig.log_in("alice");
    let otp = rig.number(&mut flow);
    let key = key_in(Path::new(letter["path"].as_str().unwrap()));
    rig.cli(&["letter", "cancel", letter["id"].as_str().unwrap()]);
    flow.wrong("verify", &both(&otp, &key), WRONG_PAIR);
    assert_eq!(rig.masked("alice"), Value::Null);
}

/// AT-03, MOB-14 to MOB-18: who has no password, another method or a number already is not asked to register one, and
/// where it is switched off nobody is.
#[test]
fn it_is_offered_to_whom_it_is_for() {
    let rig = Rig::plain();
    rig.add("carla", "PASSWORD");
    let flow = rig.log_in("carla");
    assert_eq!(flow.last.code(), "flow.no_option", "another method");
    rig.rig.user("dario");
    let flow = rig.log_in("dario");
    assert_eq!(flow.last.code(), "login.error.invalid", "no password");
    rig.rig.phone("alice", NUMBER);
    let flow = rig.log_in("alice");
    flow.wants("sms-code");

    let off = Rig::start(NO_GAP, |text| text.replace("enabled = true ", "enabled = false "));
    order_and_read_key(&off.rig, "alice");
    let flow = off.log_in("alice");
    // Without a number the authenticator's own registration is what is left, and it explains itself first.
    assert_ne!(flow.step(), "number", "{}", flow.now);
}

/// MOB-27, MOB-34: a letter by post needs an address.
#[test]
fn a_letter_by_post_needs_an_address() {
    let rig = Rig::plain();
    let body = json!({"user": "alice", "kind": "sms-iak", "delivery": "post"});
    let refused = rig.rig.admin().post("/v1/letters", &body).expect(409);
    assert!(refused.text().contains("letter.no_address"), "{}", refused.text());
}

/// AT-04, MOB-19: whoever gives up, and a daemon that is killed between code and key, leave no number, and the letter
/// is good. Red when the code or the key is used up on the way.
#[test]
fn giving_up_leaves_nothing_behind() {
    let mut rig = Rig::plain();
    let key = order_and_read_key(&rig.rig, "alice");
    let mut flow = rig.log_in("alice");
    rig.number(&mut flow);
    flow.wrong("cancel", &json!({}), "flow.cancelled");
    assert_eq!(rig.masked("alice"), Value::Null);

    let mut flow = rig.log_in("alice");
    rig.number(&mut flow);
    rig.rig.kill9();
    rig.rig.serve();
    rig.rig.await_ready();
    assert_eq!(rig.masked("alice"), Value::Null);
    let letter = &rig.rig.admin().get("/v1/letters?user=alice").expect(200).json()["items"][0];
    assert_eq!(letter["state"], "rendered");

    let mut flow = rig.log_in("alice");
    let otp = rig.number(&mut flow);
    flow.go("verify", &both(&otp, &key));
    flow.result();
}

/// B.5.3: one screen back, another number; the step before the number is out of reach (MOB-08).
#[test]
fn steps_come_in_their_order() {
    let rig = Rig::plain();
    let key = order_and_read_key(&rig.rig, "alice");
    let mut flow = rig.log_in("alice");
    flow.wrong("verify", &both("123456", &key), "flow.wrong_step");
    let otp = rig.number(&mut flow);
    flow.wrong("number", &json!({"number": TYPED}), "flow.wrong_step");
    flow.go("back", &json!({}));
    let second = rig.number(&mut flow);
    if second != otp {
        flow.wrong("verify", &both(&otp, &key), WRONG_PAIR);
    }
    flow.go("verify", &both(&second, &key));
    flow.result();
}
