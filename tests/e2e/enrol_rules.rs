//! Who asks for enrolments, how often, for how long; appointments, reminders, ends. BIND.

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::desk::{SCOPES, request, told_of};
use tests::{Appliance, Client, PATIENCE, RigOptions, wait_until};

const ALICE: &str = "+41791234561";
const AHEAD: &str = "2031-03-01T09:00:00Z";

fn start(config: &str) -> (Appliance, String) {
    let rig = Appliance::start(RigOptions::with_modem().config(config));
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

#[track_caller]
fn ask(client: &mut Client, user: &str) -> String {
    let asked = client.post("/v1/enrolments", &request(user, "on_premise", 2.0)).expect(201).json();
    asked["id"].as_str().expect("a handle").to_owned()
}

fn post(client: &mut Client, id: &str, act: &str, body: &Value) -> tests::Answer {
    client.post(&format!("/v1/enrolments/{id}/{act}"), body)
}

/// BIND-05, BIND-12, D-51: who is locked, of another organisation, or has too many requests under way is not eligible:
/// the request ends as rejected, with its reason and its event, and who asks is told in the answer (BIND-27). Red when one
/// of them is eligible, when an ended request still counts, or when asking again and again spends messages.
#[test]
fn who_is_not_eligible_is_rejected() {
    let (rig, key) = start("[enrol.eligibility]\norganisations = [\"Physics\"]\nopen_max = 1\n");
    let mut portal = rig.loopback(Some(&key));
    rig.user("alice");
    rig.phone("alice", ALICE);
    let mut of = |organisation: &str| {
        let mut body = request("alice", "on_premise", 2.0);
        body["organisation"] = json!(organisation);
        portal.post("/v1/enrolments", &body).expect(201).json()
    };
    let other = of("Chemistry");
    assert_eq!(
        (&other["state"], &other["reason"]),
        (&json!("rejected"), &json!("not_eligible.organisation")),
        "{other}"
    );
    let first = of("Physics");
    assert_eq!((&first["state"], &first["organisation"]), (&json!("eligible"), &json!("Physics")));
    assert_eq!(of("Physics")["reason"], "not_eligible.quota");
    let id = first["id"].as_str().expect("a handle").to_owned();
    post(&mut rig.loopback(Some(&key)), &id, "cancel", &json!({"reason": "not_needed"})).expect(200);
    assert_eq!(of("Physics")["state"], "eligible");
    rig.cli_json(&["user", "lock", "alice"]);
    assert_eq!(of("Physics")["reason"], "not_eligible.account");
    let rejected = rig.events("type=enrol.rejected");
    let reasons: Vec<_> = rejected.iter().map(|event| event["reason"].as_str().unwrap_or_default()).collect();
    assert_eq!(reasons, ["not_eligible.organisation", "not_eligible.quota", "not_eligible.account"]);
    rig.check_chain();
    assert!(rig.modem().messages_to(ALICE).is_empty(), "a refusal at the request costs no message");
}

/// BIND-34: a code is eight symbols without I, O, 0 and 1, is shown once, is read in upper and lower case, and finds one
/// request; whoever tries codes is held up, and the applicant is reminded. Red when guessing costs nothing.
#[test]
fn a_registration_code_finds_its_request_and_no_other() {
    let (rig, key) = start("[enrol.code]\nvalid_days = 3\nremind_after = \"1s\"\n");
    let mut portal = rig.loopback(Some(&key));
    rig.totp_user("alice");
    rig.phone("alice", ALICE);
    let id = ask(&mut portal, "alice");
    post(&mut portal, &id, "factor", &json!({"type": "soft"})).expect(200);
    let made = post(&mut portal, &id, "code", &json!({})).expect(201).json();
    let code = made["code"].as_str().expect("a code");
    assert_eq!(code.len(), 9);
    assert!(
        code.chars().all(|c| c == '-'
            || (c.is_ascii_uppercase() && c != 'I' && c != 'O')
            || ('2'..='9').contains(&c))
    );
    let until = made["valid_until"].as_str().expect("an end");
    assert!(until.ends_with("T00:00:00.000Z"), "to the end of a day: {until}");
    assert_eq!(post(&mut portal, &id, "code", &json!({})).code(), "enrol.wrong_state");
    let told = rig.modem().await_message_within(PATIENCE, ALICE, 1);
    assert!(told.text.is_some_and(|text| text.contains("registration code")), "reminded");
    assert_eq!(rig.events("type=enrol.reminded").len(), 1);

    let mut admin = rig.admin();
    for _ in 0..10 {
        let guess = admin.post("/v1/enrolments/vet", &json!({"code": "AAAA-AAAA"}));
        assert_eq!((guess.status, guess.code().as_str()), (409, "enrol.code_unknown"), "{}", guess.text());
    }
    let held_up = admin.post("/v1/enrolments/vet", &json!({"code": code}));
    assert_eq!((held_up.status, held_up.code().as_str()), (429, "rate-limited"), "{}", held_up.text());
    let refused = rig.events("type=enrol.vetting");
    assert_eq!(refused.iter().filter(|event| event["outcome"] == "refused").count(), 11, "each is an event");
    assert!(!rig.log_text().contains(code));
    rig.check_chain();
}

/// D-55: a time is offered, taken by one, moved, given back; one that is taken is nobody else's.
#[test]
fn a_time_is_taken_by_one() {
    let (rig, key) = start("");
    let (mut portal, mut admin) = (rig.loopback(Some(&key)), rig.admin());
    let offer = |admin: &mut Client, place: &str| {
        let new = json!({"starts_at": AHEAD, "minutes": 30, "place": place});
        admin.post("/v1/appointments", &new).expect(201).json()["id"].as_str().expect("a handle").to_owned()
    };
    let (one, two) = (offer(&mut admin, "Desk 1"), offer(&mut admin, "Desk 2"));
    let past = json!({"starts_at": "2020-01-01T00:00:00Z", "minutes": 30, "place": "Desk 1"});
    admin.post("/v1/appointments", &past).expect(400);
    assert_eq!(portal.post("/v1/appointments", &past).status, 403);
    let mut ids = Vec::new();
    for user in ["alice", "bob"] {
        rig.totp_user(user);
        let id = ask(&mut portal, user);
        let early = post(&mut portal, &id, "appointment", &json!({"appointment": one}));
        assert_eq!(early.code(), "enrol.wrong_state", "{}", early.text());
        post(&mut portal, &id, "factor", &json!({"type": "soft"})).expect(200);
        post(&mut portal, &id, "code", &json!({})).expect(201);
        ids.push(id);
    }
    post(&mut portal, &ids[0], "appointment", &json!({"appointment": one})).expect(200);
    post(&mut portal, &ids[1], "appointment", &json!({"appointment": one})).expect(409);
    let moved = post(&mut portal, &ids[0], "appointment", &json!({"appointment": two})).expect(200).json();
    assert_eq!(moved["appointment"]["place"], "Desk 2");
    post(&mut portal, &ids[1], "appointment", &json!({"appointment": one})).expect(200);
    let back = portal.delete(&format!("/v1/enrolments/{}/appointment", ids[1])).expect(200).json();
    assert_eq!((&back["state"], &back["appointment"]), (&json!("code_issued"), &Value::Null));
    let free = portal.get("/v1/appointments").expect(200).json();
    assert_eq!(free["items"].as_array().map(Vec::len), Some(1), "{free}");
    post(&mut portal, &ids[0], "cancel", &json!({"reason": "not_needed"})).expect(200);
    let free = portal.get("/v1/appointments").expect(200).json();
    assert_eq!(free["items"].as_array().map(Vec::len), Some(2), "{free}");
    rig.check_chain();
}

/// A whole enrolment of an app of the user's, by the application and by root.
#[track_caller]
fn bound(rig: &Appliance, key: &str, token: &tests::people::Enrolled, user: &str, first: u64) -> String {
    let (mut portal, mut admin) = (rig.loopback(Some(key)), rig.admin());
    let id = ask(&mut portal, user);
    post(&mut portal, &id, "factor", &json!({"type": "soft"})).expect(200);
    let made = post(&mut portal, &id, "code", &json!({})).expect(201).json();
    post(&mut admin, &id, "vet", &json!({"code": made["code"]})).expect(200);
    post(&mut admin, &id, "possession", &json!({"serial": token.serial, "otp": token.secret.hotp(first)}))
        .expect(200);
    let proof = json!({"kind": "id_document", "document": "passport", "country": "CHE", "last6": "1",
        "not_expired": true, "name_match": true, "photo_match": true});
    post(&mut admin, &id, "vet/proof", &proof).expect(200);
    post(&mut admin, &id, "vet/record", &json!({})).expect(200);
    post(&mut admin, &id, "bind", &json!({})).expect(200);
    post(&mut admin, &id, "activate", &json!({})).expect(200);
    id
}

/// BIND-42, BIND-43: a binding is taken back by its user, at the user's request, by an authority, and by the appliance
/// when its token has ended: each is recorded differently, and the token is revoked. A request is cancelled until it
/// takes effect, and not after. Red when the token outlives its binding.
#[test]
fn a_binding_is_taken_back_and_it_is_known_why() {
    let (rig, key) = start("");
    let mut portal = rig.loopback(Some(&key));
    let why = |id: &str| {
        let events = rig.events("type=enrol.revoked");
        let found =
            events.iter().find(|event| event["subject"]["enrolment"] == id).expect("an event").clone();
        (found["subject"]["why"].as_str().unwrap_or_default().to_owned(), found["reason"].clone())
    };
    for (n, (user, expected)) in [
        ("alice", "self_revocation"),
        ("bob", "request_complied_with"),
        ("carol", "authority"),
        ("dave", "authority"),
        ("erin", "system"),
    ]
    .into_iter()
    .enumerate()
    {
        let token = rig.hotp_user(user);
        let id = bound(&rig, &key, &token, user, 0);
        assert_eq!(post(&mut portal, &id, "cancel", &json!({"reason": "late"})).code(), "enrol.wrong_state");
        assert!(portal.verify(user, &token.secret.hotp(1)).accepted());
        match n {
            0 => {
                let body = json!({"reason": "lost", "by_user": true});
                post(&mut portal, &id, "revoke", &body).expect(200);
            }
            1 => {
                let body = json!({"reason": "lost", "by_user": true});
                let path = format!("/v1/tokens/{}/revoke", token.serial);
                rig.admin().post(&path, &body).expect(200);
            }
            2 => {
                rig.cli_json(&["enrol", "revoke", &id, "lost"]);
            }
            3 => {
                let output = rig.cli(&["oath", "delete", user, "--yes"]);
                assert!(output.status.success(), "{}", tests::appliance::told(&output));
            }
            // As a store of before has it, in which nothing but the token had ended.
            _ => {
                let store = Connection::open(rig.state.join("countersign.db")).expect("the store");
                store.busy_timeout(PATIENCE).expect("a live connection");
                let end = "UPDATE token SET lifecycle = 'revoked' WHERE serial = ?1";
                assert_eq!(store.execute(end, [&token.serial]).expect("a token"), 1);
            }
        }
        let path = format!("/v1/enrolments/{id}");
        wait_until(PATIENCE, "the binding to end", || {
            (rig.admin().get(&path).expect(200).json()["state"] == "revoked").then_some(())
        });
        assert_eq!(why(&id).0, expected, "{user}");
        assert_eq!(rig.show_token(&token.serial)["state"], "revoked", "{user}");
        if expected == "system" {
            continue;
        }
        assert!(portal.verify(user, &token.secret.hotp(2)).rejected());
        assert_eq!(post(&mut rig.admin(), &id, "revoke", &json!({})).code(), "enrol.wrong_state");
    }
    rig.check_chain();
}

/// BIND-37: an application sees and moves its own enrolments alone, names and addresses are for who may see
/// them, and bad input is refused at the edge.
#[test]
fn an_application_sees_its_own_alone() {
    let (rig, key) = start("");
    let (mut portal, mut other) =
        (rig.loopback(Some(&key)), rig.loopback(Some(&rig.app_key("other", &["enrol:request"]))));
    rig.user("alice");
    let id = ask(&mut portal, "alice");
    other.get(&format!("/v1/enrolments/{id}")).expect(404);
    post(&mut other, &id, "factor", &json!({"type": "soft"})).expect(404);
    assert!(other.get("/v1/enrolments").expect(200).json()["items"].as_array().is_some_and(Vec::is_empty));
    let own = portal.get(&format!("/v1/enrolments/{id}")).expect(200).json();
    assert_eq!((&own["name"], &own["email"]), (&json!("Alice Example"), &Value::Null), "{own}");
    let root = rig.admin().get(&format!("/v1/enrolments/{id}")).expect(200).json();
    assert_eq!(root["email"], "alice@example.org");
    let none = rig.loopback(Some(&rig.app_key("none", &["verify"]))).get("/v1/enrolments");
    assert_eq!(none.status, 403);
    portal.get(&format!("/v1/enrolments/{id}/identity")).expect(403);
    rig.loopback(Some(&key)).get("/v1/enrolments/report").expect(403);
    let counts = rig.cli_json(&["enrol", "report"]);
    assert_eq!((&counts[0]["state"], &counts[0]["count"]), (&json!("eligible"), &json!(1)), "{counts}");
    for (field, value) in [
        ("method", json!("by_post")),
        ("level", json!(2.5)),
        ("level", json!(1)),
        ("channel", json!("smoke")),
        ("factor_index", json!(0)),
        ("organisation", json!(" ")),
        ("email", json!("nobody")),
        ("name", json!("x".repeat(129))),
        ("first_factor", json!({"issuer": "i", "id": "1", "at": "today"})),
        ("unknown", json!(1)),
    ] {
        let mut body = request("alice", "on_premise", 2.0);
        body[field] = value;
        let refused = portal.post("/v1/enrolments", &body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "malformed"),
            "{field}: {}",
            refused.text()
        );
    }
    let bad = json!({"reason": "no such word!"});
    assert_eq!(post(&mut portal, &id, "cancel", &bad).status, 400);
    assert!(told_of(&rig, &id).len() >= 2);
}

/// BIND-30, B.7: an operator's policy asks for more, and takes effect for enrolments that are under
/// way; one that asks for less keeps the daemon from starting, with file, line and key.
#[test]
fn a_policy_of_ones_own_asks_for_more() {
    let mut rig = Appliance::prepare(RigOptions::default());
    let policy = rig.path("enrol.toml");
    let shipped = rig.cli(&["enrol", "policy", "show"]);
    let shipped = String::from_utf8(shipped.stdout).expect("TOML");
    let begin = shipped.find("[[column]]\nmethod = \"on_premise\"\nlevel = 2").expect("the column");
    let column = &shipped[begin..begin + shipped[begin..].find("\n\n#").expect("the next one")];
    let stricter = column.replace("I_VET_SOURCE = \"optional\"", "I_VET_SOURCE = \"mandatory\"");
    std::fs::write(&policy, format!("version = \"own\"\n{stricter}\n")).expect("own scratch directory");
    rig.options_mut().config = format!("[enrol]\npolicy = {}\n", json!(policy.display().to_string()));
    rig.write_config();
    rig.serve();
    rig.await_ready();
    let token = rig.hotp_user("alice");
    let mut admin = rig.admin();
    let new = json!({"user": "alice", "method": "on_premise", "level": 2});
    let asked = admin.post("/v1/enrolments", &new).expect(201).json();
    assert_eq!(asked["policy"], "own");
    let id = asked["id"].as_str().expect("a handle").to_owned();
    post(&mut admin, &id, "factor", &json!({"type": "soft"})).expect(200);
    post(&mut admin, &id, "vet", &json!({})).expect(200);
    post(&mut admin, &id, "possession", &json!({"otp": token.secret.hotp(0)})).expect(200);
    let proof = json!({"kind": "id_document", "document": "passport", "country": "CH", "last6": "1",
        "not_expired": true, "name_match": true, "photo_match": true});
    post(&mut admin, &id, "vet/proof", &proof).expect(200);
    assert_eq!(post(&mut admin, &id, "vet/record", &json!({})).code(), "enrol.missing_activity");
    post(&mut admin, &id, "vet/source", &json!({"source": "Fedpol", "valid": true})).expect(200);
    post(&mut admin, &id, "vet/record", &json!({})).expect(200);

    let milder = column.replace("I_VET_RECORD = \"mandatory\"", "I_VET_RECORD = \"optional\"");
    std::fs::write(&policy, format!("version = \"own\"\n{milder}\n")).expect("own scratch directory");
    let checked = rig.cli(&["config", "check"]);
    let said = tests::appliance::told(&checked);
    assert_eq!(checked.status.code(), Some(2), "{said}");
    assert!(said.contains("enrol.toml:3: column on_premise 2: CFG-ENROL-1"), "{said}");
}

/// BIND-32: the manual describes each method that there is, by the document's template. Red when one is added and not
/// described.
#[test]
fn the_manual_describes_each_method() {
    let text =
        std::fs::read_to_string(tests::appliance::workspace().join("docs/enrolment.md")).expect("the manual");
    for method in
        ["on_premise", "video", "letter", "remote_assertion", "self_vet", "self_asserted", "bulk_issue"]
    {
        let begin =
            text.find(&format!("### {method}\n")).unwrap_or_else(|| panic!("{method} is not described"));
        let section = text[begin + 4..].split("\n#").next().unwrap_or_default();
        for part in ["Description", "Input", "Output", "Advantages", "Drawbacks"] {
            assert!(section.contains(&format!("- {part}: ")), "{method}: {part}");
        }
    }
    assert_eq!(text.matches("- Drawbacks: ").count(), 7);
}

/// BIND-16, BIND-19, BIND-39: each check that fails ends the enrolment with its own reason: what is seen on a document is its
/// proof's, what its issuer says is the source's; and a factor that cannot be shown after the vetting ends it too. Red when
/// an enrolment goes on after any of them.
#[test]
fn each_check_that_fails_ends_it() {
    let (rig, key) = start("[limits]\ndelay_from = 20\ntoken_failures = 3\n");
    let (mut portal, mut admin) = (rig.loopback(Some(&key)), rig.admin());
    let good = json!({"kind": "id_document", "document": "passport", "country": "CH", "last6": "1",
        "not_expired": true, "name_match": true, "photo_match": true});
    let but = |field: &str| {
        let mut proof = good.clone();
        proof[field] = json!(false);
        proof
    };
    let cases = [
        ("vet/proof", but("not_expired"), "document_expired"),
        ("vet/proof", but("photo_match"), "photo_mismatch"),
        ("vet/source", json!({"source": "Fedpol", "valid": false}), "document_retired"),
        ("vet/liveness", json!({"method": "turned_head", "passed": false}), "not_alive"),
        ("possession", json!({"otp": "000000"}), "possession_failed"),
    ];
    for (n, (act, body, reason)) in cases.iter().enumerate() {
        let user = format!("user{n}");
        let token = rig.hotp_user(&user);
        let id = ask(&mut portal, &user);
        post(&mut portal, &id, "factor", &json!({"type": "soft"})).expect(200);
        post(&mut portal, &id, "possession", &json!({"otp": token.secret.hotp(0)})).expect(200);
        let made = post(&mut portal, &id, "code", &json!({})).expect(201).json();
        post(&mut admin, &id, "vet", &json!({"code": made["code"]})).expect(200);
        let early = post(&mut admin, &id, "vet/source", &json!({"source": "Fedpol", "valid": true}));
        assert_eq!(early.code(), "enrol.missing_activity", "the proof comes first: {}", early.text());
        if *act != "vet/proof" {
            post(&mut admin, &id, "vet/proof", &good).expect(200);
        }
        if *act == "possession" {
            post(&mut admin, &id, "vet/record", &json!({})).expect(200);
            for _ in 0..3 {
                assert_eq!(post(&mut admin, &id, act, body).code(), "enrol.possession_failed");
            }
        } else {
            post(&mut admin, &id, act, body).expect(200);
        }
        let ended = admin.get(&format!("/v1/enrolments/{id}")).expect(200).json();
        assert_eq!((&ended["state"], &ended["reason"]), (&json!("rejected"), &json!(reason)), "{ended}");
        assert_eq!(post(&mut admin, &id, "bind", &json!({})).code(), "enrol.wrong_state");
    }
    let told = rig.events("type=enrol.failure_told");
    assert_eq!(told.len(), cases.len(), "each is told");
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    assert_eq!(count("SELECT count(*) FROM vetting_identity WHERE unused_at IS NULL"), 0);
    assert_eq!(count("SELECT count(*) FROM vetting_identity"), 5);
    rig.check_chain();
}
