//! For which organisations somebody is a registration authority: roles that were given for some, and the bounds that the
//! configuration sets (BIND-37, B.2).

use serde_json::{Value, json};
use tests::appliance::told;
use tests::desk::{Desk, request};

const ANN: u32 = 47_201;
const BOB: u32 = 47_202;
const CYD: u32 = 47_203;
const EVE: u32 = 47_204;
const SAM: u32 = 47_205;

/// Asks for a factor for a member of an organisation; gives the handle and the registration code.
#[track_caller]
fn asked(desk: &Desk, user: &str, organisation: &str) -> (String, String) {
    let mut wish = request(user, "on_premise", 2.0);
    wish["organisation"] = json!(organisation);
    let asked = desk.portal().post("/v1/enrolments", &wish).expect(201).json();
    let id = asked["id"].as_str().expect("a handle").to_owned();
    desk.apply(&id, "factor", &json!({"type": "soft"})).expect(200);
    let code = desk.code(&id);
    (id, code)
}

/// Who has which role, as `role list` says it: operator, role, scope, bounds.
#[track_caller]
fn roles(desk: &Desk, name: &str) -> Vec<(String, Value, Value)> {
    let list = desk.rig().cli_json(&["role", "list", name]);
    let items = list["items"].as_array().expect("a list").iter();
    items
        .map(|held| {
            assert_eq!(held["operator"], name);
            (
                held["role"].as_str().unwrap_or_default().to_owned(),
                held["scope"].clone(),
                held["bounds"].clone(),
            )
        })
        .collect()
}

/// BIND-37, B.2: a registration authority for one organisation sees and vets nobody of another, not even after the
/// configuration names more; what it names less counts. Red when the store's word, or the file's, is not asked, or when a
/// refusal is no event.
#[test]
fn a_role_reaches_as_far_as_it_was_given() {
    let Some(desk) = Desk::open("[enrol.scopes]\neve = [\"Physics\"]\nbob = [\"Physics\", \"Chemistry\"]\n")
    else {
        return;
    };
    let rig = desk.rig();
    for (name, uid) in [("ann", ANN), ("bob", BOB), ("eve", EVE)] {
        desk.operator(name, uid, "auditor");
        rig.phone(name, &format!("+4179123{}", uid - 40_000));
    }
    for user in ["alice", "carl"] {
        rig.user(user);
    }
    let given = desk.done(0, &["role", "grant", "ann", "ra", "--scope", "Physics", "--scope", "Arts, Music"]);
    assert_eq!(given["scopes"], json!({"ra": ["Arts, Music", "Physics"]}), "{given}");
    desk.done(0, &["role", "grant", "bob", "ra", "--scope", "Physics"]);
    desk.done(0, &["role", "grant", "eve", "ra"]);
    assert_eq!(
        roles(&desk, "bob"),
        [
            ("auditor".to_owned(), Value::Null, json!(["Chemistry", "Physics"])),
            ("ra".to_owned(), json!(["Physics"]), json!(["Chemistry", "Physics"])),
        ]
    );
    let (physics, physics_code) = asked(&desk, "alice", "Physics");
    let (chemistry, chemistry_code) = asked(&desk, "carl", "Chemistry");
    for (who, what) in [(ANN, "not given"), (BOB, "given for less than the bounds"), (EVE, "out of bounds")] {
        let begin = ["enrol", "vet", "begin", "--code", &chemistry_code];
        let output = desk.as_uid(who, &begin);
        assert!(told(&output).contains("enrol.out_of_scope"), "{what}: {}", told(&output));
    }
    // An auditor reads everything that the bounds let through, whatever the other role was given for.
    desk.done(ANN, &["enrol", "show", &chemistry]);
    desk.refused(EVE, &["enrol", "show", &chemistry], "not-found");
    desk.done(0, &["role", "revoke", "ann", "auditor"]);
    desk.refused(ANN, &["enrol", "show", &chemistry], "not-found");
    desk.refused(ANN, &["enrol", "times", "--offer", "2031-03-01T09:00:00Z", "--place", "x"], "forbidden");
    desk.done(ANN, &["enrol", "show", &physics]);
    desk.done(ANN, &["enrol", "vet", "begin", "--code", &physics_code]);
    let refused = rig.events("type=enrol");
    let out: Vec<&Value> = refused.iter().filter(|event| event["reason"] == "enrol.out_of_scope").collect();
    assert_eq!(out.len(), 3, "{out:?}");
    rig.check_chain();
}

/// B.2: who works for some organisations revokes what was bound for them, and nothing else. Red when a token that belongs
/// to no organisation, or to another one, is ended.
#[test]
fn tokens_of_others_are_not_revoked() {
    let Some(desk) = Desk::open("") else { return };
    let rig = desk.rig();
    desk.done(
        0,
        &["operator", "add", "ann", "--uid", &ANN.to_string(), "--role", "ra", "--scope", "Physics"],
    );
    desk.operator("bob", BOB, "ra");
    let [one, other] = ["carol", "carl"].map(|name| rig.totp_user(name).serial);
    desk.refused(ANN, &["token", "revoke", &one], "belongs to none of them");
    assert_eq!(rig.show_token(&one)["state"], "active");
    desk.done(BOB, &["token", "revoke", &other]);
    let refused = rig.events("type=api.forbidden");
    assert_eq!(refused[0]["reason"], "tokens:revoke", "{refused:?}");
}

/// B.2: who appoints for some organisations appoints for no other, takes nobody's role elsewhere, and widens none. Red when
/// one of them does, or when a role is widened by what was left out.
#[test]
fn an_appointer_stays_within_the_own_scope() {
    let Some(desk) = Desk::open("[enrol.scopes]\nsam = [\"Physics\"]\n") else { return };
    let rig = desk.rig();
    let uid = CYD.to_string();
    desk.done(0, &["operator", "add", "cyd", "--uid", &uid, "--role", "raa", "--scope", "A", "--scope", "B"]);
    desk.operator("sam", SAM, "sraa");
    for (name, uid) in [("ann", ANN), ("bob", BOB)] {
        desk.operator(name, uid, "auditor");
    }
    let grant = |name: &'static str, scope: &'static [&'static str]| {
        let named = scope.iter().flat_map(|one| ["--scope", one]);
        ["role", "grant", name, "ra"].into_iter().chain(named).collect::<Vec<_>>()
    };
    for (who, scope) in [(CYD, &[][..]), (CYD, &["C"]), (CYD, &["A", "C"]), (SAM, &[]), (SAM, &["A"])] {
        desk.refused(who, &grant("ann", scope), "for these organisations only");
    }
    let as_usual = ["operator", "add", "dan", "--uid", "47299", "--role", "ra"];
    desk.refused(CYD, &as_usual, "for these organisations only: A, B");
    desk.done(CYD, &grant("ann", &["A"]));
    desk.done(SAM, &grant("bob", &["Physics"]));
    // Another one's: neither taken, nor replaced.
    desk.refused(CYD, &["role", "revoke", "bob", "ra"], "for these organisations only");
    desk.refused(CYD, &grant("bob", &["A"]), "for these organisations only");
    desk.refused(CYD, &["operator", "revoke", "bob"], "forbidden");
    desk.done(CYD, &grant("ann", &["B", "A"]));
    desk.refused(CYD, &grant("ann", &["A", "B"]), "has the role ra already, for A, B");
    desk.refused(0, &grant("ann", &[]), "take the role to give it for all");
    desk.done(CYD, &["role", "revoke", "ann", "ra"]);
    assert_eq!(roles(&desk, "ann").len(), 1);
    for (role, text) in [("admin", "only ra and raa"), ("sraa", "only ra and raa")] {
        let output = desk.as_uid(0, &["role", "grant", "ann", role, "--scope", "A"]);
        assert!(output.status.code() == Some(2) && told(&output).contains(text), "{}", told(&output));
    }
    let events = rig.events("type=operator.role_given");
    let told: Vec<&str> = events.iter().filter_map(|event| event["subject"]["scope"].as_str()).collect();
    assert_eq!(told, ["A", "Physics", "A, B"]);
    rig.check_chain();
}

/// BIND-37, T24: where it takes two persons, the second one sees the organisations, and gives for no others than the own.
/// Red when they are lost on the way.
#[test]
fn two_persons_give_a_role_for_some_organisations() {
    let Some(mut desk) = Desk::open("") else { return };
    for (name, uid) in [("ann", ANN), ("bob", BOB)] {
        desk.operator(name, uid, "admin");
    }
    let uid = CYD.to_string();
    desk.done(0, &["operator", "add", "cyd", "--uid", &uid, "--role", "raa", "--scope", "B"]);
    desk.operator("eve", EVE, "auditor");
    desk.bench.trust("[two_person]\nacts = [\"operator.roles\"]\n");
    desk.rig().cli_json(&["config", "activate"]);
    let waits = desk.as_uid(ANN, &["role", "grant", "eve", "ra", "--scope", "A"]);
    assert!(told(&waits).contains("waiting"), "{}", told(&waits));
    let list = desk.done(BOB, &["approval", "list"]);
    let act = &list["items"][0];
    assert_eq!(act["arguments"], json!({"operator": "eve", "role": "ra", "given": true, "scope": ["A"]}));
    let id = act["approval"].as_str().expect("a handle").to_owned();
    desk.refused(CYD, &["approve", &id], "for these organisations only: B");
    desk.done(BOB, &["approve", &id]);
    assert_eq!(roles(&desk, "eve")[1], ("ra".to_owned(), json!(["A"]), Value::Null));
    desk.rig().check_chain();
}
