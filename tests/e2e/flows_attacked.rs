//! Flows under attack over the API and the pages: what one user shows used by another, handles read from events, guesses
//! spread over flows, and flows without end.

use std::sync::Barrier;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::flow::{Flow, SCOPES, example};
use tests::forms::Visitor;
use tests::mailsink::MailSink;
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

const ALICE: &str = "+41791234561";
const MALLORY: &str = "+41791234562";
const PASSWORD: &str = "correct horse battery";
const OTHER_PASSWORD: &str = "another horse battery";
/// The name first, then the phone, then the password.
const PASSWORD_LAST: &str = r#"
[[flow]]
id = "password-last"
steps = ["username", "sms:sms1", "password"]
"#;

fn start(text: &str) -> (Appliance, String) {
    let options = RigOptions::with_modem().config(text);
    let rig = Appliance::start(RigOptions { pages: true, ..options });
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

fn with_password(rig: &Appliance, name: &str, password: &str) {
    rig.user(name);
    rig.admin().put(&format!("/v1/users/{name}/password"), &json!({"password": password})).expect(200);
}

fn begin(rig: &Appliance, key: &str, body: &Value) -> Flow {
    Flow::start(rig.loopback(Some(key)), body)
}

/// B.4.2, A8: a wrong password after another factor asks for the password again, not for another name. Red when the
/// name is forgotten: mallory shows an own phone, then alice's password, and is alice with two factors.
#[test]
fn what_one_user_has_shown_serves_no_other() {
    let (rig, key) = start(&format!("{}{MANY_MESSAGES}{PASSWORD_LAST}", example("flows/sms")));
    with_password(&rig, "alice", PASSWORD);
    with_password(&rig, "mallory", OTHER_PASSWORD);
    rig.phone("alice", ALICE);
    rig.phone("mallory", MALLORY);
    let mut flow = begin(&rig, &key, &json!({"flow": "password-last"}));
    flow.go("username", &json!({"user": "mallory"}));
    let otp = rig.modem().await_message(MALLORY, 1).code();
    wait_until(PATIENCE, "the code to live", || flow.look()["expires_at"].is_string().then_some(()));
    flow.code(&otp);
    flow.wants("password");
    let alices = json!({"user": "alice", "password": PASSWORD});
    for _ in 0..2 {
        flow.wrong("password", &alices, "login.error.invalid");
        flow.wants("password");
    }
    flow.go("password", &json!({"user": "alice", "password": OTHER_PASSWORD}));
    assert_eq!(
        (&flow.result()["user"], &flow.result()["amr"]),
        (&json!("mallory"), &json!(["sms", "password"]))
    );
}

/// B.4.12: a flow's handle opens it to the first browser that comes. Red when an event carries it: whoever reads events
/// gets into logins, and sees secrets that are being enrolled.
#[test]
fn events_open_no_flow() {
    let (rig, key) = start(&format!("{}{MANY_MESSAGES}", example("flows/oath")));
    with_password(&rig, "alice", PASSWORD);
    let mut cancelled = begin(&rig, &key, &json!({"flow": "oath-otp-replace", "user": "alice"}));
    let handles = [cancelled.id().to_owned(), {
        let mut app = rig.loopback(Some(&key));
        let body = json!({"flow": "login", "return_url": "https://shop.example.org/"});
        let begun = app.post("/v1/flows", &body).expect(201).json();
        let handle = begun["flow"].as_str().expect("a handle").to_owned();
        let path = format!("/v1/flows/{handle}/password");
        app.post(&path, &json!({"user": "alice", "password": PASSWORD})).expect(200);
        handle
    }];
    cancelled.wrong("cancel", &json!({}), "flow.cancelled");
    let events = rig.events("");
    for kind in ["flow.begun", "flow.done", "flow.cancelled"] {
        assert!(events.iter().any(|event| event["type"] == kind), "{kind}");
    }
    for event in events {
        let text = event.to_string();
        assert!(!handles.iter().any(|handle| text.contains(handle)), "{text}");
    }
}

/// OATH-25, OATH-26: a secret on the user's screen is for the user's eyes. Red when the application that began the flow
/// reads it while a browser has it.
#[test]
fn an_application_does_not_see_the_secret_in_a_browser() {
    let (rig, key) = start(&format!("{}{MANY_MESSAGES}", example("flows/oath")));
    with_password(&rig, "alice", PASSWORD);
    let mut flow = begin(&rig, &key, &json!({"flow": "oath-otp-replace", "user": "alice"}));
    assert!(flow.look()["activation"].is_object(), "its own page shows it");
    let mut visitor = Visitor::new(rig.address);
    visitor.go(&format!("/ui/f/{}", flow.id()));
    assert!(visitor.text().contains("<svg"), "{}", visitor.text());
    assert_eq!(flow.look()["step"], "oath-activate");
    assert!(flow.now["activation"].is_null(), "{}", flow.now);
}

fn code_of(mail: &str) -> String {
    let runs = mail.split("\n\n").nth(1).unwrap_or_default().split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == 8).map(str::to_owned).next().unwrap_or_else(|| panic!("{mail}"))
}

fn other_than(otp: &str) -> String {
    let last = otp.as_bytes()[otp.len() - 1] - b'0';
    format!("{}{}", &otp[..otp.len() - 1], (last + 1) % 10)
}

/// SMS-24, A8: wrong codes count at the user, whichever flow they are typed in. Red when a code by e-mail has attempts
/// of its flow alone, or the right password, which the guesser has, forgets them.
#[test]
fn a_new_flow_brings_no_new_guesses() {
    let sink = MailSink::start();
    let port = format!("port = {}\n", sink.address.port());
    let text = example("flows/email").replace("port = 25\n", &port);
    let (rig, key) = start(&format!("{text}{MANY_MESSAGES}[limits]\ndelay_from = 20\npair_failures = 5\n"));
    rig.admin().post("/v1/users", &json!({"name": "alice", "email": "alice@example.org"})).expect(201);
    rig.admin().put("/v1/users/alice/password", &json!({"password": PASSWORD})).expect(200);
    let login = || {
        let mut flow = begin(&rig, &key, &json!({"flow": "login"}));
        flow.act("password", &json!({"user": "alice", "password": PASSWORD}));
        if flow.step() == "sms-info" {
            flow.go("continue", &json!({}));
        }
        flow.wants("email-code");
        flow
    };
    let mut flow = login();
    let code = code_of(&sink.next().text);
    for key in ["email.error.invalid_otp", "email.error.invalid_otp", "email.error.too-many-attempts"] {
        flow.wrong("verify", &json!({"otp": other_than(&code)}), key);
    }
    let mut flow = login();
    let code = code_of(&sink.next().text);
    for _ in 0..2 {
        flow.wrong("verify", &json!({"otp": other_than(&code)}), "email.error.invalid_otp");
    }
    flow.act("verify", &json!({"otp": code}));
    assert_eq!(flow.step(), "email-code", "five wrong ones lock, also for the right one: {}", flow.now);
    let mut flow = begin(&rig, &key, &json!({"flow": "login"}));
    flow.wrong("password", &json!({"user": "alice", "password": PASSWORD}), "login.error.invalid");
}

/// D-38: a result is fetched once. Red when two requests at once both get it.
#[test]
fn of_many_claims_at_once_one_gets_the_result() {
    const THREADS: usize = 8;
    let text = example("flows/sms").replace("[\"username\", \"sms:sms1\"]", "[\"password\"]");
    let (rig, key) = start(&text);
    with_password(&rig, "alice", PASSWORD);
    let body = json!({"flow": "sms-alone", "return_url": "https://shop.example.org/", "state": "s"});
    let mut app = rig.loopback(Some(&key));
    let begun = app.post("/v1/flows", &body).expect(201).json();
    let mut visitor = Visitor::new(rig.address);
    visitor.go(&format!("/ui/f/{}", begun["flow"].as_str().expect("a handle")));
    visitor.submit(&[("username", "alice"), ("password", PASSWORD)]);
    let sent = visitor.page.as_ref().and_then(|page| page.header("location").map(str::to_owned));
    let sent = sent.unwrap_or_else(|| panic!("{}", visitor.text()));
    let code = sent.split("code=").nth(1).and_then(|rest| rest.split('&').next()).expect("a code");
    let barrier = Barrier::new(THREADS);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let one = || {
            let mut app = rig.loopback(Some(&key));
            barrier.wait();
            app.post("/v1/flows/result", &json!({"code": code})).status
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
}

/// As many flows as one application may have.
const FLOWS_OF_APPLICATION: u32 = 20_000;

/// Fills the store with flows of the portal that are at a step.
fn fill(rig: &Appliance, asked: &str) {
    let store = Connection::open(rig.state.join("countersign.db")).expect("the store");
    store.busy_timeout(Duration::from_secs(20)).expect("a live connection");
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO flow (id, application_id, definition, asked, data, epoch, created_at, expires_boot, expires_boot_ms)
        SELECT randomblob(16), former.application_id, former.definition, ?2, x'00', 1, i, former.expires_boot,
            former.expires_boot_ms
        FROM n, (SELECT * FROM flow LIMIT 1) AS former";
    store.execute("DELETE FROM flow WHERE id NOT IN (SELECT id FROM flow LIMIT 1)", []).expect("the store");
    let filled = store.execute(sql, params![FLOWS_OF_APPLICATION - 1, asked]).expect("the store");
    assert_eq!(u32::try_from(filled).ok(), Some(FLOWS_OF_APPLICATION - 1));
    store.execute("UPDATE flow SET asked = ?1", [asked]).expect("the store");
}

fn flows(rig: &Appliance) -> u32 {
    let store = Connection::open(rig.state.join("countersign.db")).expect("the store");
    store.query_row("SELECT count(*) FROM flow", [], |row| row.get(0)).expect("the store")
}

/// D-67: flows are bounded for each application and over all. Red when flows in which nobody has shown anything keep
/// others from logging in, when one application's keep another's out, or when the limit says nothing.
#[test]
fn flows_without_end_lock_nobody_out() {
    let (rig, key) = start(&example("flows/sms"));
    with_password(&rig, "alice", PASSWORD);
    let other = rig.app_key("other", &SCOPES);
    let new = json!({"flow": "sms-second"});
    begin(&rig, &key, &new).wants("password");
    fill(&rig, "password");
    for _ in 0..3 {
        begin(&rig, &key, &new).wants("password");
    }
    assert_eq!(flows(&rig), FLOWS_OF_APPLICATION, "the oldest gave way");
    fill(&rig, "sms-code");
    let refused = rig.loopback(Some(&key)).post("/v1/flows", &new);
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate-limited"), "{}", refused.text());
    let limited = rig.events("type=flow.limited");
    assert_eq!(limited.len(), 1);
    assert_eq!(limited[0]["subject"]["limit"], "application");
    begin(&rig, &other, &new).wants("password");
}

/// D-13: rows of links go with their challenges. Red when the sweep leaves them.
#[test]
fn links_are_forgotten_with_their_challenges() {
    let mut options =
        RigOptions::with_modem().config(&format!("{}{MANY_MESSAGES}", example("flows/sms-link")));
    options.pages = true;
    let mut rig = Appliance::start(options);
    rig.user("alice");
    rig.phone("alice", ALICE);
    let key = rig.app_key("portal", &SCOPES);
    let links = |rig: &Appliance| -> i64 {
        let store = Connection::open(rig.state.join("countersign.db")).expect("the store");
        store.query_row("SELECT count(*) FROM link", [], |row| row.get(0)).expect("the store")
    };
    for nth in 1..=3 {
        Flow::of(rig.loopback(Some(&key)), "sms-link", "alice").wants("sms-wait");
        rig.modem().await_message(ALICE, nth);
    }
    assert_eq!(links(&rig), 3);
    // The sweep comes with the start.
    rig.restart();
    wait_until(PATIENCE, "the superseded ones to go", || (links(&rig) == 1).then_some(()));
}
