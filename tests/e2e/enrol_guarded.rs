//! What applicants and applications cannot do with an enrolment: choose who vets, fill the store, lock what is in stock, use an
//! assertion twice; and what a crash cannot. BIND.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::appliance::told;
use tests::desk::{Desk, PASSPORT, SCOPES, assertion, request, told_of};
use tests::enrolling::Enrolling;
use tests::flow::{self, Flow, example};
use tests::forms::Visitor;

use tests::letter::{self, order_and_read_key};
use tests::technician::Bench;
use tests::time::unix_s;
use tests::{Answer, Appliance, Client, PATIENCE, RigOptions, Secret, wait_until};

/// How long a change waits for the daemon's own writes.
const BUSY: Duration = Duration::from_secs(10);
const NO_DELAY: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";
const PASSWORD: &str = "correct horse battery";
const ADMIN: u32 = 47_211;
const RA: u32 = 47_212;

fn database(rig: &Appliance) -> Connection {
    let connection = Connection::open(rig.state.join("countersign.db")).expect("the store");
    connection.busy_timeout(BUSY).expect("a live connection");
    connection
}

fn start(config: &str) -> (Appliance, String) {
    let rig = Appliance::start(RigOptions::default().config(config));
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

fn post(client: &mut Client, id: &str, act: &str, body: &Value) -> Answer {
    client.post(&format!("/v1/enrolments/{id}/{act}"), body)
}

#[track_caller]
fn asked(client: &mut Client, user: &str, method: &str, level: f64) -> String {
    let asked = client.post("/v1/enrolments", &request(user, method, level)).expect(201).json();
    assert_eq!(asked["state"], "eligible", "{asked}");
    asked["id"].as_str().expect("a handle").to_owned()
}

/// A factor is chosen and shown.
#[track_caller]
fn shown(client: &mut Client, id: &str, otp: &str) {
    post(client, id, "factor", &json!({"type": "soft"})).expect(200);
    post(client, id, "possession", &json!({"otp": otp})).expect(200);
}

fn refused(rig: &Appliance, kind: &str) -> Vec<String> {
    let events = rig.events(&format!("type={kind}"));
    let refused = events.into_iter().filter(|event| event["type"] == kind && event["outcome"] == "refused");
    refused.map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[track_caller]
fn unavailable(answer: &Answer, what: &str) {
    let (status, code) = (answer.status, answer.code());
    assert_eq!((status, code.as_str()), (503, "store-unavailable"), "{what}: {}", answer.text());
}

/// BIND-12, BIND-37: what an operator has said of a user counts, whatever a request says; what was said can be taken back, is
/// under a MAC, and goes with the person.
#[test]
fn an_organisation_is_what_an_authority_has_said() {
    let (rig, key) = start("[enrol.eligibility]\norganisations = [\"Physics\"]\n");
    rig.user("alice");
    let mut portal = rig.loopback(Some(&key));
    let mut of = |organisation: &str| {
        let mut body = request("alice", "on_premise", 2.0);
        body["organisation"] = json!(organisation);
        portal.post("/v1/enrolments", &body).expect(201).json()
    };
    assert_eq!(of("Physics")["state"], "eligible", "the word of who brings a login");
    let said = rig.cli_json(&["user", "organisation", "alice", "Chemistry"]);
    assert_eq!(said, json!({"user": "alice", "organisation": "Chemistry"}));
    let other = of("Physics");
    let expected = (&json!("rejected"), &json!("Chemistry"));
    assert_eq!((&other["state"], &other["organisation"]), expected, "{other}");
    let bad = rig.admin().put("/v1/users/alice/organisation", &json!({"organisation": " "}));
    assert_eq!(bad.status, 400, "{}", bad.text());
    rig.loopback(Some(&key))
        .put("/v1/users/alice/organisation", &json!({"organisation": "Physics"}))
        .expect(403);
    rig.cli_json(&["user", "organisation", "alice", "--clear"]);
    assert_eq!(rig.cli_json(&["user", "organisation", "alice"])["organisation"], Value::Null);
    rig.cli_json(&["user", "organisation", "alice", "Physics"]);
    let store = database(&rig);
    assert_eq!(store.execute("UPDATE membership SET organisation = 'Chemistry'", []).expect("a row"), 1);
    unavailable(&rig.admin().get("/v1/users/alice/organisation"), "changed");
    assert_eq!(store.execute("UPDATE membership SET organisation = 'Physics'", []).expect("a row"), 1);
    let gone = rig.cli(&["user", "forget", "alice", "--yes"]);
    assert!(gone.status.success(), "{}", told(&gone));
    let left: i64 =
        store.query_row("SELECT count(*) FROM membership", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 0);
    rig.check_chain();
}

/// Somebody who has logged in with a password, without a browser.
fn applicant(rig: &Appliance, name: &str) -> Visitor {
    rig.user(name);
    let password = json!({"password": PASSWORD});
    rig.admin().put(&format!("/v1/users/{name}/password"), &password).expect(200);
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login").submit(&[("username", name), ("password", PASSWORD)]);
    visitor.at("/ui/done");
    visitor
}

/// BIND-12, BIND-37: an applicant does not choose who vets. Red when what is typed on the page is the organisation, or when
/// what was said once counts though it was taken back.
#[test]
fn what_an_applicant_types_is_a_claim() {
    let tables = "[enrol.scopes]\nann = [\"Physics\"]\n[[flow]]\nid = \"login\"\nsteps = [\"password\"]\n";
    let options = RigOptions { pages: true, ..RigOptions::with_modem() };
    let Some(desk) = Desk::open_with(options, tables) else { return };
    let rig = desk.rig();
    let _of_ann = desk.authority("ann", RA, "CST-000001", 0);
    let mut alice = applicant(rig, "alice");
    let mut ask = || {
        alice.go("/ui/enrol/request").submit(&[("way", "on_premise:2"), ("organisation", "Physics")]);
        alice.at("/ui/enrol");
        let list = rig.admin().get("/v1/enrolments?user=alice").expect(200).json();
        list["items"].as_array().and_then(|items| items.last()).expect("an enrolment").clone()
    };
    let begin = |id: &Value| {
        ["enrol", "vet", "begin", id.as_str().expect("a handle"), "--place", "3"].map(str::to_owned)
    };
    let refused = |id: &Value, text: &str| {
        let arguments = begin(id);
        desk.refused(RA, &arguments.each_ref().map(String::as_str), text);
    };
    let typed = ask();
    assert_eq!(typed["organisation"], Value::Null);
    refused(&typed["id"], "organisation is not one of");
    rig.cli_json(&["user", "organisation", "alice", "Chemistry"]);
    let other = ask();
    assert_eq!(other["organisation"], json!("Chemistry"));
    refused(&other["id"], "organisation is not one of");
    rig.cli_json(&["user", "organisation", "alice", "Physics"]);
    let said = ask();
    assert_eq!(said["organisation"], json!("Physics"));
    refused(&said["id"], "registration code");
    rig.cli_json(&["user", "organisation", "alice", "--clear"]);
    refused(&said["id"], "organisation is not one of");
}

/// BIND-03, BIND-34, BIND-36: what an operator asks for, for a user who comes later, is vetted with the registration code
/// and not without. Red when a name is enough at the desk, or when the code opens nothing.
#[test]
fn who_comes_later_brings_the_code() {
    let Some(desk) = Desk::open("") else { return };
    let rig = desk.rig();
    let _of_ann = desk.authority("ann", RA, "CST-000001", 0);
    desk.operator("ada", ADMIN, "admin");
    let carol = rig.hotp_user("carol");
    let ask = ["enrol", "request", "carol", "--method", "on_premise", "--level", "2"];
    let asked = desk.done(ADMIN, &ask);
    assert_eq!((&asked["requested_by"], &asked["state"]), (&json!("organisation"), &json!("eligible")));
    let id = asked["id"].as_str().expect("a handle");
    desk.done(ADMIN, &["enrol", "preregister", id, "--type", "soft"]);
    desk.refused(RA, &["enrol", "vet", "begin", id, "--place", "Desk 3"], "registration code");
    let made = desk.done(ADMIN, &["enrol", "code", id]);
    desk.refused(RA, &["enrol", "vet", "begin", id, "--place", "Desk 3"], "registration code");
    assert_eq!(desk.show(id)["state"], "code_issued");
    let code = made["code"].as_str().expect("a code");
    desk.done(RA, &["enrol", "vet", "begin", "--code", code, "--place", "Desk 3"]);
    desk.done(RA, &["enrol", "vet", "possession", id, &carol.secret.hotp(0)]);
    desk.done(RA, &[&["enrol", "vet", "proof", id][..], &PASSPORT].concat());
    desk.done(RA, &["enrol", "vet", "record", id]);
    desk.done(RA, &["enrol", "bind", id]);
    let active = desk.done(RA, &["enrol", "activate", id]);
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(2.0)), "{active}");
    rig.check_chain();
}

/// BIND-12: how often somebody asks in a day has a limit, whatever came of it; a desk can still ask. Red when rows grow for
/// ever, or the events of the refusal do.
#[test]
fn asking_again_and_again_fills_nothing() {
    let (rig, key) = start("[enrol.eligibility]\nday_max = 3\n");
    rig.user("alice");
    rig.user("bob");
    let mut portal = rig.loopback(Some(&key));
    for _ in 0..3 {
        let id = asked(&mut portal, "alice", "on_premise", 2.0);
        post(&mut portal, &id, "cancel", &json!({"reason": "not_needed"})).expect(200);
    }
    for _ in 0..5 {
        let limited = portal.post("/v1/enrolments", &request("alice", "on_premise", 2.0));
        assert_eq!((limited.status, limited.code().as_str()), (429, "rate-limited"), "{}", limited.text());
    }
    assert_eq!(refused(&rig, "enrol.requested"), ["limited"]);
    // Acts out of their turn are free of charge, and no more than counted.
    let id = asked(&mut portal, "bob", "on_premise", 2.0);
    for _ in 0..5 {
        assert_eq!(post(&mut portal, &id, "token", &json!({})).code(), "enrol.wrong_state");
        assert_eq!(
            portal.post("/v1/enrolments", &request("bob", "self_vet", 2.0)).code(),
            "enrol.method_disabled"
        );
    }
    assert_eq!(refused(&rig, "enrol.token_made"), ["enrol.wrong_state"]);
    assert_eq!(refused(&rig, "enrol.requested"), ["limited", "enrol.method_disabled"]);
    let desk = json!({"user": "alice", "method": "on_premise", "level": 2});
    rig.admin().post("/v1/enrolments", &desk).expect(201);
    let rows: i64 =
        database(&rig).query_row("SELECT count(*) FROM enrolment", [], |row| row.get(0)).expect("a count");
    assert_eq!(rows, 5);
}

/// BIND-37: a page is full of what is for who asks, and goes on after it. Red when it is cut before it is filtered.
#[test]
fn a_page_holds_what_is_ones_own() {
    let (rig, key) = start("[enrol.eligibility]\nopen_max = 20\n");
    rig.user("alice");
    let (mut portal, mut other) = (
        rig.loopback(Some(&key)),
        rig.loopback(Some(&rig.app_key("other", &["enrol:request", "user:assert"]))),
    );
    let mut own = Vec::new();
    for n in 0..7 {
        let client = if n % 3 == 2 { &mut portal } else { &mut other };
        let id = asked(client, "alice", "on_premise", 2.0);
        if n % 3 == 2 {
            own.push(id);
        }
    }
    own.push(asked(&mut portal, "alice", "on_premise", 2.0));
    let mut seen = Vec::new();
    let mut path = "/v1/enrolments?limit=2".to_owned();
    for full in [2, 1] {
        let page = portal.get(&path).expect(200).json();
        let items = page["items"].as_array().expect("a list");
        assert_eq!(items.len(), full, "{page}");
        seen.extend(items.iter().map(|one| one["id"].as_str().expect("a handle").to_owned()));
        path = format!("/v1/enrolments?limit=2&after={}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!(seen, own);
}

/// An applicant's own list begins with what is open, and goes on after the page. Red when the newest is cut off.
#[test]
fn an_applicants_list_begins_with_what_is_open() {
    let tables = "[enrol.eligibility]\nopen_max = 20\nday_max = 1000\n[[flow]]\nid = \"login\"\nsteps = [\"password\"]\n";
    let rig = Appliance::start(RigOptions { pages: true, ..RigOptions::default().config(tables) });
    let mut alice = applicant(&rig, "alice");
    let mut admin = rig.admin();
    let desk = json!({"user": "alice", "method": "on_premise", "level": 2});
    let open = admin.post("/v1/enrolments", &desk).expect(201).json();
    for _ in 0..60 {
        let over = admin.post("/v1/enrolments", &desk).expect(201).json();
        let id = over["id"].as_str().expect("a handle");
        post(&mut admin, id, "cancel", &json!({"reason": "not_needed"})).expect(200);
    }
    alice.go("/ui/enrol");
    let (page, id) = (alice.text(), open["id"].as_str().expect("a handle"));
    assert_eq!(page.matches("<li>\n<h2>").count(), 50, "{page}");
    assert!(page.contains(id), "the open one is there: {page}");
    let (_, rest) = page.split_once("/ui/enrol?after=").expect("a way on");
    let place = rest.split('"').next().expect("an end").to_owned();
    let further = alice.go(&format!("/ui/enrol?after={place}")).text();
    assert!(!further.contains("?after=") && !further.contains(id), "{further}");
}

/// BIND-12, BIND-33: a method that is off is off: no key is ordered, none is asked for, none counts; and a request for it
/// has the limit of all requests. Red when `letter.enabled = false` changes nothing.
#[test]
fn a_letter_that_is_off_registers_nothing() {
    let text = example("flows/phone-registration");
    let mut rig = Appliance::start(letter::options("delivery_gap = \"0s\"\n", &text));
    let key = rig.app_key("portal", &flow::SCOPES);
    rig.user("alice");
    rig.admin().put("/v1/users/alice/password", &json!({"password": PASSWORD})).expect(200);
    order_and_read_key(&rig, "alice");
    let config = letter::options(
        "delivery_gap = \"0s\"\n",
        &format!("{text}[enrol.methods]\nletter.enabled = false\n"),
    );
    rig.options_mut().config = config.config;
    rig.write_config();
    rig.restart();
    let order = json!({"user": "alice", "kind": "sms-iak", "delivery": "hand"});
    let ordered = rig.admin().post("/v1/letters", &order);
    assert!(ordered.status == 409 && ordered.text().contains("letter.disabled"), "{}", ordered.text());
    assert_eq!(refused(&rig, "letter.ordered"), ["method_disabled"]);
    let mut flow = Flow::start(rig.loopback(Some(&key)), &json!({"flow": "phone-registration"}));
    flow.act("password", &json!({"user": "alice", "password": PASSWORD}));
    // Nobody without a number comes further: none is asked for.
    assert_eq!((flow.step(), &flow.now["error"]), ("failed", &json!("flow.no_option")), "{}", flow.now);
}

/// BIND-12: a request by letter counts as any other. Red when it goes past the quota.
#[test]
fn a_request_by_letter_has_the_quota_of_all() {
    let (rig, key) = start("");
    rig.user("alice");
    let mut portal = rig.loopback(Some(&key));
    let mut ask = || portal.post("/v1/enrolments", &request("alice", "letter", 2.0)).expect(201).json();
    for _ in 0..3 {
        assert_eq!(ask()["state"], "eligible");
    }
    assert_eq!(ask()["reason"], "not_eligible.quota");
}

/// BIND-09, D-50: a token in stock is nobody's to lock. Red when an applicant's wrong codes count at it.
#[test]
fn an_applicant_locks_nothing_in_stock() {
    let bench = Bench::start_with(RigOptions::default(), NO_DELAY);
    let rig = &bench.rig;
    let key = rig.app_key("portal", &SCOPES);
    let mut portal = rig.loopback(Some(&key));
    let mut token = bench.token("CST-000001");
    let said = bench.provision(&token.port);
    assert!(said.provisioned(), "{}", said.told);
    rig.user("mallory");
    rig.user("alice");
    let right = token.code(6);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let id = asked(&mut portal, "mallory", "on_premise", 3.0);
    post(&mut portal, &id, "factor", &json!({"type": "hardware"})).expect(200);
    for _ in 0..8 {
        let shown = json!({"serial": "CST-000001", "otp": wrong});
        let missed = post(&mut portal, &id, "possession", &shown);
        assert_eq!(missed.code(), "enrol.possession_failed", "{}", missed.text());
    }
    let stock = rig.show_token("CST-000001");
    assert_eq!((&stock["failures"], &stock["state"]), (&json!(0), &json!("in_stock")), "{stock}");
    let id = asked(&mut portal, "alice", "on_premise", 3.0);
    post(&mut portal, &id, "factor", &json!({"type": "hardware"})).expect(200);
    post(&mut portal, &id, "possession", &json!({"serial": "CST-000001", "otp": right})).expect(200);
}

/// A8, BIND-09: who is past the password alone cannot guess for ever by showing a factor of their own making now and then. Red when
/// a token that is not bound yet makes the user's wrong codes undone.
#[test]
fn what_is_only_being_enrolled_undoes_no_wrong_codes() {
    let (rig, key) = start(&format!("{NO_DELAY}[oath]\nquota_soft = 2\n"));
    let token = rig.hotp_user("alice");
    let mut portal = rig.loopback(Some(&key));
    let failures = || rig.show_user("alice")["failures"].clone();
    for _ in 0..4 {
        assert!(portal.verify("alice", &token.secret.wrong(0..40)).rejected());
    }
    assert_eq!(failures(), 4);
    let id = asked(&mut portal, "alice", "on_premise", 2.0);
    post(&mut portal, &id, "factor", &json!({"type": "soft"})).expect(200);
    let made = post(&mut portal, &id, "token", &json!({})).expect(201).json();
    let secret = Secret::of_uri(made["otpauth_uri"].as_str().expect("a URI"));
    post(&mut portal, &id, "possession", &json!({"otp": secret.totp(unix_s())})).expect(200);
    assert_eq!(failures(), 4);
    assert!(portal.verify("alice", &token.secret.hotp(0)).accepted());
    assert_eq!(failures(), 0, "the own factor does");
}

/// What somebody else has written first is not overlooked: nothing is said of a code that was judged by what is no more,
/// and it counts at its user. Red when the lost write passes for one.
#[test]
fn a_lost_write_says_nothing_of_the_code() {
    let (rig, key) = start(NO_DELAY);
    let token = rig.hotp_user("alice");
    let mut portal = rig.loopback(Some(&key));
    let id = asked(&mut portal, "alice", "on_premise", 2.0);
    post(&mut portal, &id, "factor", &json!({"type": "soft"})).expect(200);
    let store = database(&rig);
    let lose = "CREATE TRIGGER lost BEFORE UPDATE ON token BEGIN SELECT RAISE(IGNORE); END";
    store.execute_batch(lose).expect("a trigger");
    let shown = json!({"otp": token.secret.wrong(0..40)});
    let lost = post(&mut portal, &id, "possession", &shown);
    assert_eq!((lost.status, lost.code().as_str()), (409, "conflict"), "{}", lost.text());
    store.execute_batch("DROP TRIGGER lost").expect("no trigger");
    let failures: i64 = store
        .query_row("SELECT failures FROM user WHERE name = 'alice'", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(failures, 1);
    assert_eq!(post(&mut portal, &id, "possession", &shown).code(), "enrol.possession_failed");
}

/// Brings an enrolment to where one more commit of the appliance's own is missing, and kills the daemon there.
fn stranded(rig: &mut Appliance, complete: impl FnOnce(&Appliance)) {
    let stop = "CREATE TRIGGER crash BEFORE UPDATE ON enrolment WHEN NEW.state = 'active'
                    BEGIN SELECT RAISE(ABORT, 'the power is gone'); END";
    database(rig).execute_batch(stop).expect("a trigger");
    complete(rig);
    rig.kill9();
    database(rig).execute_batch("DROP TRIGGER crash").expect("no trigger");
    rig.serve();
    rig.await_ready();
}

fn settles(rig: &Appliance, id: &str, state: &str) {
    wait_until(PATIENCE, state, || {
        let now = rig.admin().get(&format!("/v1/enrolments/{id}")).expect(200).json();
        (now["state"] == state).then_some(())
    });
}

/// BIND-25, BIND-39, T3: a daemon that is killed between the last that was missing and the activation goes on with it, for
/// each method that no person activates; what cannot take effect any more ends. Red when it stays vetted for ever.
#[test]
fn what_a_crash_has_left_complete_takes_effect() {
    let methods = "[enrol.methods]\nself_asserted.enabled = true\nremote_assertion.enabled = true\nself_vet.enabled = true\n";
    let (mut rig, key) = start(methods);
    let token = rig.hotp_user("alice");
    rig.user("bob");
    let mut own = Enrolling::ask(&rig, &key, "bob", ("self_asserted", 1.5, "soft"));
    let (serial, secret) = own.token();
    stranded(&mut rig, |_| {
        assert!(own.act("possession", &json!({"otp": secret.totp(unix_s())})).status >= 500);
    });
    settles(&rig, &own.id, "confirmed");
    assert_eq!(
        (&rig.show_token(&serial)["loa"], &rig.show_token(&serial)["state"]),
        (&json!(1.5), &json!("active"))
    );

    let mut portal = rig.loopback(Some(&key));
    let brought = asked(&mut portal, "alice", "remote_assertion", 2.0);
    shown(&mut portal, &brought, &token.secret.hotp(0));
    stranded(&mut rig, |rig| {
        let done =
            post(&mut rig.loopback(Some(&key)), &brought, "vet/assertion", &assertion("1", unix_s(), 2.0));
        assert!(done.status >= 500, "{}", done.text());
    });
    settles(&rig, &brought, "confirmed");
    assert_eq!(rig.show_token(&token.serial)["loa"], 2.0);

    let second = rig.token("alice", &json!({"type": "hotp"}));
    let mut portal = rig.loopback(Some(&key));
    let vetted = asked(&mut portal, "alice", "self_vet", 2.0);
    post(&mut portal, &vetted, "factor", &json!({"type": "soft"})).expect(200);
    let body = json!({"serial": second.serial, "otp": second.secret.hotp(0)});
    post(&mut portal, &vetted, "possession", &body).expect(200);
    stranded(&mut rig, |rig| {
        let by = json!({"serial": token.serial, "otp": token.secret.hotp(1)});
        assert!(post(&mut rig.loopback(Some(&key)), &vetted, "vet/token", &by).status >= 500);
    });
    settles(&rig, &vetted, "confirmed");
    assert_eq!(rig.show_token(&second.serial)["loa"], 2.0);

    let third = rig.token("alice", &json!({"type": "hotp"}));
    let mut portal = rig.loopback(Some(&key));
    let lost = asked(&mut portal, "alice", "remote_assertion", 2.0);
    post(&mut portal, &lost, "factor", &json!({"type": "soft"})).expect(200);
    let body = json!({"serial": third.serial, "otp": third.secret.hotp(0)});
    post(&mut portal, &lost, "possession", &body).expect(200);
    stranded(&mut rig, |rig| {
        let done =
            post(&mut rig.loopback(Some(&key)), &lost, "vet/assertion", &assertion("2", unix_s(), 2.0));
        assert!(done.status >= 500, "{}", done.text());
        rig.change_token(&third.serial, "suspend");
    });
    settles(&rig, &lost, "rejected");
    let ended = rig.admin().get(&format!("/v1/enrolments/{lost}")).expect(200).json();
    assert_eq!(ended["reason"], "activation_failed", "{ended}");
    assert_eq!(told_of(&rig, &lost).last().map(String::as_str), Some("enrol.failure_told"));
    rig.check_chain();
}

/// BIND-37, BIND-44: who asks for what is not theirs learns nothing, and it is an event, once in a while.
#[test]
fn what_is_not_ones_own_is_an_event() {
    let (rig, key) = start("[enrol.methods]\nself_vet.enabled = true\n[limits]\npair_failures = 3\n");
    let (token, second) = (rig.hotp_user("alice"), rig.token("alice", &json!({"type": "hotp"})));
    let mut portal = rig.loopback(Some(&key));
    let mut other = rig.loopback(Some(&rig.app_key("other", &["enrol:request", "user:assert"])));
    let id = asked(&mut portal, "alice", "self_vet", 2.0);
    let nothing = other.get(&format!("/v1/enrolments/{}", "0".repeat(32))).expect(404);
    for _ in 0..4 {
        let hidden = other.get(&format!("/v1/enrolments/{id}")).expect(404);
        assert_eq!(hidden.text(), nothing.text());
        post(&mut other, &id, "vet/assertion", &assertion("1", unix_s(), 2.0)).expect(404);
    }
    assert_eq!(refused(&rig, "enrol.shown"), ["enrol.not_theirs"]);
    assert_eq!(refused(&rig, "enrol.vetting"), ["enrol.not_theirs"]);
    shown_by(&mut portal, &id, &second.serial, &second.secret.hotp(0));
    for _ in 0..3 {
        let by = json!({"serial": token.serial, "otp": token.secret.wrong(0..40)});
        post(&mut portal, &id, "vet/token", &by);
    }
    for _ in 0..3 {
        let by = json!({"serial": token.serial, "otp": token.secret.hotp(0)});
        post(&mut portal, &id, "vet/token", &by).expect(429);
    }
    assert_eq!(refused(&rig, "enrol.vetting"), ["enrol.not_theirs", "limited"]);
}

#[track_caller]
fn shown_by(client: &mut Client, id: &str, serial: &str, otp: &str) {
    post(client, id, "factor", &json!({"type": "soft"})).expect(200);
    post(client, id, "possession", &json!({"serial": serial, "otp": otp})).expect(200);
}

/// BIND-07: the name of a product goes into an event, and so is one. Red when anything is taken.
#[test]
fn a_product_is_a_name() {
    let (rig, key) = start("");
    rig.user("alice");
    let mut portal = rig.loopback(Some(&key));
    let id = asked(&mut portal, "alice", "on_premise", 2.0);
    for bad in ["", "a\u{1b}[31mb", "\u{202e}x", "<b>x</b>", "Zoë", &"x".repeat(65)] {
        let refused = post(&mut portal, &id, "factor", &json!({"type": "soft", "product": bad}));
        assert_eq!((refused.status, refused.code().as_str()), (400, "malformed"), "{bad:?}");
    }
    let good = json!({"type": "soft", "product": "Google Authenticator"});
    post(&mut portal, &id, "factor", &good).expect(200);
    let event = &rig.events("type=enrol.factor_selected")[0];
    assert_eq!(event["subject"]["product"], "Google Authenticator");
}

/// BIND-15: an assertion vouches while it is fresh, and once. Red when its time is not looked at, or when it vouches for a
/// second enrolment.
#[test]
fn an_assertion_vouches_once_and_while_it_is_fresh() {
    let config = "[enrol.methods]\nremote_assertion.enabled = true\n[enrol.assertion]\nmax_age = \"5m\"\n";
    let (rig, key) = start(config);
    let mut portal = rig.loopback(Some(&key));
    let (mut ids, now) = (Vec::new(), unix_s());
    for user in ["alice", "bob"] {
        let token = rig.hotp_user(user);
        let id = asked(&mut portal, user, "remote_assertion", 2.0);
        shown(&mut portal, &id, &token.secret.hotp(0));
        ids.push(id);
    }
    for at in [now - 3600, now + 3600] {
        let stale = post(&mut portal, &ids[0], "vet/assertion", &assertion("1", at, 2.0));
        assert_eq!(stale.code(), "enrol.assertion_stale", "{}", stale.text());
    }
    let mut today = assertion("1", now, 2.0);
    today["at"] = json!("today");
    assert_eq!(post(&mut portal, &ids[0], "vet/assertion", &today).code(), "malformed");
    post(&mut portal, &ids[0], "vet/assertion", &assertion("1", now, 2.0)).expect(200);
    let used = post(&mut portal, &ids[1], "vet/assertion", &assertion("1", now, 2.0));
    assert_eq!(used.code(), "enrol.assertion_used", "{}", used.text());
    let reasons = ["enrol.assertion_stale", "enrol.assertion_used"];
    assert_eq!(refused(&rig, "enrol.vetting"), reasons);
    post(&mut portal, &ids[1], "vet/assertion", &assertion("2", now, 2.0)).expect(200);
    rig.check_chain();
}
