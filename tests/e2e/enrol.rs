//! Enrolments at a registration desk, from end to end: registration authorities as real uids, hardware tokens that were
//! provisioned here, an application for the applicants. AT-16, AT-17.

use serde_json::{Value, json};
use tests::desk::{Desk, PASSPORT, request, told_of};
use tests::token::EmulatedToken;

const ANN: u32 = 47_101;
const BOB: u32 = 47_102;
const EVE: u32 = 47_103;
const ALICE: &str = "+41791234571";

fn kinds(text: &[&str]) -> Vec<String> {
    text.iter().map(|kind| (*kind).to_owned()).collect()
}

/// A time that lies ahead.
const AHEAD: &str = "2031-03-01T09:00:00Z";

/// AT-16, BIND-01, BIND-03, BIND-04, BIND-05, BIND-09, BIND-10, BIND-12 to BIND-14, BIND-15 to BIND-23, BIND-25, BIND-26,
/// BIND-28, BIND-29, BIND-30, BIND-34, BIND-35, BIND-41, BIND-44: our hardware token at level 3, in all fifteen transitions,
/// each with its event and its step. Red when an act is taken out of its turn, when a step is no event, or when the token
/// is good before the end.
#[test]
fn a_hardware_token_is_enrolled_at_the_desk() {
    let Some(desk) = Desk::open("") else { return };
    let rig = desk.rig();
    let _of_ann = desk.authority("ann", ANN, "CST-000001", 0);
    let bootstrap = rig.events("type=enrol.activated");
    assert!(bootstrap[0]["subject"]["bootstrap"].is_string(), "{bootstrap:?}");
    rig.user("alice");
    rig.phone("alice", ALICE);
    let mut token = desk.stocked("CST-000002");
    let (id, code) = applied(&desk, &mut token);
    vetted(&desk, &mut token, &id, &code);
    let notice = rig.modem().await_message(ALICE, 1);
    assert!(notice.text.is_some_and(|text| text.contains("new factor")), "told over another channel");
    remembered(&desk, &id);
    rig.check_chain();
}

/// 1 to 6: asked for, chosen, shown, with a code and an appointment.
fn applied(desk: &Desk, token: &mut EmulatedToken) -> (String, String) {
    let rig = desk.rig();
    let bare = json!({"user": "alice", "method": "on_premise", "level": 3});
    let refused = desk.portal().post("/v1/enrolments", &bare);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "enrol.no_first_factor"),
        "{}",
        refused.text()
    );
    let id = desk.ask("alice", "on_premise", 3.0);
    desk.apply(&id, "factor", &json!({"type": "sms"})).expect(409);
    desk.apply(&id, "factor", &json!({"type": "hardware", "product": "CST"})).expect(200);
    let shown = json!({"serial": "CST-000002", "otp": token.code(6)});
    assert_eq!(desk.apply(&id, "possession", &shown).expect(200).json()["state"], "possession_proven");
    let again = desk.apply(&id, "possession", &shown);
    assert_eq!(again.code(), "enrol.possession_failed", "a code is good once: {}", again.text());
    let stock = rig.cli_json(&["technician", "stock"]);
    assert!(stock.to_string().contains("issued"), "{stock}");
    assert!(!rig.cli(&["token", "assign", "CST-000002", "--user", "alice"]).status.success(), "it is held");

    let code = desk.code(&id);
    let offered = desk.done(ANN, &["enrol", "times", "--offer", AHEAD, "--place", "Desk 3"]);
    let time = offered["items"][0]["id"].as_str().expect("a time").to_owned();
    let booked = desk.apply(&id, "appointment", &json!({"appointment": time})).expect(200).json();
    assert_eq!((&booked["state"], &booked["appointment"]["place"]), (&json!("scheduled"), &json!("Desk 3")));
    (id, code)
}

/// 7 to 15: at the desk, in its order.
fn vetted(desk: &Desk, token: &mut EmulatedToken, id: &str, code: &str) {
    let typed = code.to_lowercase();
    desk.refused(ANN, &["enrol", "vet", "begin", id], "enrol.code_unknown");
    desk.refused(ANN, &["enrol", "vet", "begin", "--code", "AAAA-AAAA"], "enrol.code_unknown");
    desk.done(ANN, &["enrol", "vet", "begin", "--code", &typed, "--place", "Desk 3"]);
    let proof = [&["enrol", "vet", "proof", id][..], &PASSPORT].concat();
    desk.refused(ANN, &proof, "enrol.missing_activity");
    desk.refused(ANN, &["enrol", "activate", id], "enrol.wrong_state");
    let at_desk = token.code(6);
    desk.done(ANN, &["enrol", "vet", "possession", id, &at_desk]);
    desk.refused(ANN, &["enrol", "vet", "record", id], "enrol.missing_activity");
    desk.done(ANN, &[&proof[..], &["--remark", "spelling of the name differs by an accent"]].concat());
    desk.done(ANN, &["enrol", "vet", "liveness", id, "face_to_face"]);
    desk.done(ANN, &["enrol", "vet", "source", id, "Fedpol", "--reference", "RIPOL-7"]);
    desk.done(ANN, &["enrol", "vet", "record", id]);
    desk.done(ANN, &["enrol", "handover", id, "CST-000002"]);
    desk.refused(ANN, &["enrol", "activate", id], "enrol.wrong_state");
    desk.done(ANN, &["enrol", "bind", id]);
    assert!(desk.portal().verify("alice", &token.code(6)).rejected(), "nothing is good before the end");
    let active = desk.done(ANN, &["enrol", "activate", id]);
    assert_eq!(
        (&active["state"], &active["loa"], &active["loa_rule"], &active["token"]),
        (&json!("confirmed"), &json!(3.0), &json!(1), &json!("CST-000002")),
        "{active}"
    );
    let verified = desk.portal().verify("alice", &token.code(6)).expect(200).json();
    assert_eq!((&verified["verdict"], &verified["loa"]), (&json!("accept"), &json!(3.0)), "{verified}");
}

/// Each transition is an event and a step, with one digest.
fn remembered(desk: &Desk, id: &str) {
    let rig = desk.rig();
    let happened: Vec<String> = told_of(rig, id).into_iter().filter(|kind| !kind.contains(' ')).collect();
    let expected = kinds(&[
        "enrol.requested",
        "enrol.eligible",
        "enrol.factor_selected",
        "enrol.possession_proven",
        "enrol.code_issued",
        "enrol.scheduled",
        "enrol.vetting",
        "enrol.possession_shown",
        "enrol.proof_checked",
        "enrol.liveness_checked",
        "enrol.source_checked",
        "enrol.vetted",
        "enrol.handed_over",
        "enrol.bound",
        "enrol.activated",
        "enrol.confirmed",
    ]);
    assert_eq!(happened, expected);
    let whole = desk.done(ANN, &["enrol", "show", id]);
    let steps = whole["activities"].as_array().expect("steps");
    assert_eq!(
        steps.iter().map(|step| step["event"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
        expected
    );
    let events = rig.events("");
    for step in steps {
        let event = events.iter().find(|event| event["seq"] == step["event_seq"]).expect("its event");
        assert_eq!(
            (&event["type"], &event["subject"]["digest"]),
            (&step["event"], &step["digest"]),
            "{step}"
        );
    }
    let proof = &steps[8];
    assert_eq!((&proof["activity"], &proof["short_id"]), (&json!("I_VET_PROOF"), &json!("Ident.UVet.CkClm")));
    assert_eq!((&proof["actor"], &proof["role"]), (&json!("ann"), &json!("ra")), "{proof}");
    assert!(proof["remark"].as_str().is_some_and(|words| words.contains("accent")), "{proof}");
    assert_eq!(steps[6]["place"], "Desk 3");
}

/// BIND-35, BIND-37, D-54: nobody vets above the own level, nor themselves, nor another's vetting on; root only as long
/// as there is nobody. Red when one of them can, or when a refusal is no event.
#[test]
fn who_may_not_vet_does_not() {
    let Some(desk) = Desk::open("[enrol.scopes]\neve = [\"Physics\"]\n") else { return };
    let rig = desk.rig();
    desk.operator("ann", ANN, "ra");
    desk.operator("bob", BOB, "ra");
    desk.operator("eve", EVE, "ra");
    rig.phone("ann", "+41791234581");
    rig.phone("eve", "+41791234583");
    rig.user("alice");
    let own = rig.totp_user("carol");
    let _ = own;
    let id = desk.ask("alice", "on_premise", 2.0);
    desk.apply(&id, "factor", &json!({"type": "soft"})).expect(200);
    let code = desk.code(&id);
    let begin = ["enrol", "vet", "begin", "--code", &code];
    desk.refused(BOB, &begin, "enrol.ra_loa_too_low");
    desk.refused(EVE, &begin, "enrol.out_of_scope");
    desk.refused(0, &begin, "forbidden");
    desk.done(ANN, &begin);
    desk.refused(ANN, &["enrol", "vet", "begin", "--code", &code], "enrol.code_unknown");
    rig.phone("bob", "+41791234582");
    desk.refused(BOB, &["enrol", "vet", "liveness", &id, "face_to_face"], "enrol.wrong_actor");
    // A level that somebody has written into the store counts for nothing (A22).
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let raised = store.execute("UPDATE phone SET loa = 3.0 WHERE loa = 2.0", []).expect("the numbers");
    assert_eq!(raised, 3);
    let output = desk.as_uid(BOB, &["enrol", "vet", "liveness", &id, "face_to_face"]);
    assert_eq!(output.status.code(), Some(3), "{}", tests::appliance::told(&output));
    store.execute("UPDATE phone SET loa = 2.0", []).expect("the numbers");
    let asked = desk.done(ANN, &["enrol", "request", "ann", "--method", "on_premise", "--level", "2"]);
    let of_ann = asked["id"].as_str().expect("a handle");
    desk.refused(ANN, &["enrol", "vet", "begin", of_ann], "enrol.self_vetting");
    desk.refused(0, &["enrol", "vet", "begin", of_ann], "forbidden");
    for other in ["bob", "eve"] {
        desk.done(0, &["operator", "revoke", other]);
    }
    desk.done(0, &["enrol", "vet", "begin", of_ann]);
    let key = rig.app_key("all", &["admin"]);
    let answer = rig.loopback(Some(&key)).post(&format!("/v1/enrolments/{of_ann}/vet"), &json!({}));
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{}", answer.text());
    let refused = told_of(rig, &id);
    for reason in ["enrol.ra_loa_too_low", "enrol.out_of_scope", "enrol.wrong_actor"] {
        assert!(refused.iter().any(|event| event.ends_with(reason)), "{reason}: {refused:?}");
    }
    rig.check_chain();
}

/// AT-17, BIND-24, BIND-27, BIND-39: another token than the one that was shown before is refused, and a proof that fails
/// ends the enrolment: the applicant is told, nothing is active, and what was vetted is unused. Red when the mismatch
/// is no event, or when a refused enrolment leaves a token behind.
#[test]
fn another_token_and_a_failed_proof_activate_nothing() {
    let Some(desk) = Desk::open("") else { return };
    let rig = desk.rig();
    desk.operator("ann", ANN, "ra");
    rig.phone("ann", "+41791234581");
    rig.user("alice");
    rig.phone("alice", ALICE);
    let (mut first, mut other) = (desk.stocked("CST-000002"), desk.stocked("CST-000003"));
    let id = desk.ask("alice", "on_premise", 2.0);
    desk.apply(&id, "factor", &json!({"type": "hardware"})).expect(200);
    let shown = json!({"serial": "CST-000002", "otp": first.code(6)});
    desk.apply(&id, "possession", &shown).expect(200);
    let code = desk.code(&id);
    desk.done(ANN, &["enrol", "vet", "begin", "--code", &code]);
    let wrong = other.code(6);
    let present = ["enrol", "vet", "possession", &id, &wrong, "--serial", "CST-000003"];
    desk.refused(ANN, &present, "enrol.token_mismatch");
    let mismatch = rig.events("type=enrol.token_mismatch");
    assert_eq!((mismatch.len(), &mismatch[0]["subject"]["token"]), (1, &json!("CST-000003")), "{mismatch:?}");
    assert_eq!(mismatch[0]["outcome"], "refused");

    // With the registration authority's word it begins anew, and the other token is the one.
    assert_eq!(desk.done(ANN, &["enrol", "vet", "again", &id])["state"], "factor_selected");
    let shown = json!({"serial": "CST-000003", "otp": other.code(6)});
    desk.apply(&id, "possession", &shown).expect(200);
    let code = desk.code(&id);
    desk.done(ANN, &["enrol", "vet", "begin", "--code", &code]);
    let at_desk = other.code(6);
    desk.done(ANN, &["enrol", "vet", "possession", &id, &at_desk]);
    let mut proof = [&["enrol", "vet", "proof", &id][..], &PASSPORT].concat();
    proof.retain(|argument| *argument != "--name-match");
    let rejected = desk.done(ANN, &proof);
    assert_eq!((&rejected["state"], &rejected["reason"]), (&json!("rejected"), &json!("name_mismatch")));
    let notice = rig.modem().await_message(ALICE, 1);
    assert!(notice.text.is_some_and(|text| text.contains("refused")), "the applicant is told");
    desk.refused(ANN, &["enrol", "bind", &id], "enrol.wrong_state");
    for (serial, token) in [("CST-000002", &mut first), ("CST-000003", &mut other)] {
        assert_eq!(rig.show_token(serial)["state"], "in_stock");
        assert!(desk.portal().verify("alice", &token.code(6)).rejected());
    }
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let unused: i64 = store
        .query_row("SELECT count(*) FROM vetting_identity WHERE unused_at IS NOT NULL", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(unused, 1, "what was vetted is unused");
    let told: Vec<Value> = rig.events("type=enrol.failure_told");
    assert_eq!((told.len(), &told[0]["subject"]["channel"]), (1, &json!("sms")));
    assert!(told_of(rig, &id).iter().any(|kind| kind == "enrol.rejected"));
    rig.cli_json(&["token", "assign", "CST-000002", "--user", "alice"]);
    rig.check_chain();
}

/// AT-18, BIND-17, BIND-19, D-53: without its source, or its security features, a document is worth a level less, and
/// what comes out below the aim takes no effect. An own token of a level vouches for no more than that (BIND-15).
#[test]
fn a_source_that_was_not_asked_lowers_the_level() {
    let config = "[oath]\nquota_hard = 2\n[enrol.methods]\nself_vet.enabled = true\n";
    let Some(desk) = Desk::open(config) else { return };
    let rig = desk.rig();
    let _of_ann = desk.authority("ann", ANN, "CST-000001", 0);
    rig.user("alice");
    let mut token = desk.stocked("CST-000002");
    let asked = desk.done(ANN, &["enrol", "request", "alice", "--method", "on_premise", "--level", "3"]);
    let id = asked["id"].as_str().expect("a handle").to_owned();
    desk.done(ANN, &["enrol", "preregister", &id, "--type", "hardware"]);
    desk.done(ANN, &["enrol", "vet", "begin", &id]);
    let mut proof = [&["enrol", "vet", "proof", &id][..], &PASSPORT].concat();
    proof.retain(|argument| *argument != "--security-features");
    desk.done(ANN, &proof);
    desk.done(ANN, &["enrol", "vet", "record", &id]);
    desk.done(ANN, &["enrol", "handover", &id, "CST-000002"]);
    let code = token.code(6);
    desk.done(ANN, &["enrol", "bind", &id, &code]);
    desk.refused(ANN, &["enrol", "activate", &id], "enrol.loa_too_low");
    let ended = desk.show(&id);
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("rejected"), &json!("loa_too_low")), "{ended}");
    assert_eq!(rig.show_token("CST-000002")["state"], "in_stock");

    // At level 2 the same is enough; then the token vouches for an app.
    rig.cli_json(&["token", "assign", "CST-000002", "--user", "alice"]);
    let app = rig.token("alice", &json!({"type": "hotp"}));
    let id = desk.ask("alice", "self_vet", 2.0);
    desk.apply(&id, "factor", &json!({"type": "soft"})).expect(200);
    let shown = json!({"serial": app.serial, "otp": app.secret.hotp(0)});
    desk.apply(&id, "possession", &shown).expect(200);
    let itself = json!({"serial": app.serial, "otp": app.secret.hotp(1)});
    desk.apply(&id, "vet/token", &itself).expect(404);
    let vouched = json!({"serial": "CST-000002", "otp": token.code(6)});
    let active = desk.apply(&id, "vet/token", &vouched).expect(200).json();
    assert_eq!((&active["state"], &active["loa"]), (&json!("confirmed"), &json!(2.0)), "{active}");
    let verified = desk.portal().verify_token(&app.serial, &app.secret.hotp(2)).expect(200).json();
    assert_eq!(verified["loa"], 2.0, "{verified}");
    let three = desk.portal().post("/v1/enrolments", &request("alice", "self_vet", 1.5));
    assert_eq!(three.status, 400, "{}", three.text());
    rig.check_chain();
}

/// BIND-16, BIND-31, BIND-33, D-54: by video an appointment and a living face are asked for, and at level 3 a second
/// registration authority, who is not the first. Red when one of them is enough.
#[test]
fn a_video_takes_two_persons() {
    let Some(desk) = Desk::open("[enrol.methods]\nvideo.enabled = true\n") else { return };
    let rig = desk.rig();
    let _of_ann = desk.authority("ann", ANN, "CST-000001", 0);
    let _of_bob = desk.authority("bob", BOB, "CST-000003", ANN);
    rig.user("alice");
    let mut token = desk.stocked("CST-000002");
    let id = desk.ask("alice", "video", 3.0);
    desk.apply(&id, "factor", &json!({"type": "hardware"})).expect(200);
    assert_eq!(
        desk.apply(&id, "code", &json!({})).code(),
        "enrol.missing_activity",
        "the token is shown before"
    );
    let shown = json!({"serial": "CST-000002", "otp": token.code(6)});
    desk.apply(&id, "possession", &shown).expect(200);
    let code = desk.code(&id);
    let begin = ["enrol", "vet", "begin", "--code", &code, "--place", "https://video.example.org/7"];
    desk.refused(ANN, &begin, "enrol.missing_activity");
    let place = "https://video.example.org/7";
    let offered = desk.done(ANN, &["enrol", "times", "--offer", AHEAD, "--place", place]);
    let time = offered["items"][0]["id"].as_str().expect("a time").to_owned();
    desk.apply(&id, "appointment", &json!({"appointment": time})).expect(200);
    desk.done(ANN, &begin);
    let at_desk = token.code(6);
    desk.done(ANN, &["enrol", "vet", "possession", &id, &at_desk]);
    desk.done(ANN, &[&["enrol", "vet", "proof", &id][..], &PASSPORT].concat());
    desk.done(ANN, &["enrol", "vet", "source", &id, "Fedpol"]);
    desk.refused(ANN, &["enrol", "vet", "record", &id], "enrol.missing_activity");
    desk.done(ANN, &["enrol", "vet", "liveness", &id, "turned_head"]);
    desk.done(ANN, &["enrol", "vet", "record", &id]);
    desk.done(ANN, &["enrol", "bind", &id]);
    desk.refused(ANN, &["enrol", "activate", &id], "enrol.second_person");
    desk.refused(ANN, &["enrol", "vet", "second", &id], "enrol.second_person");
    desk.done(BOB, &["enrol", "vet", "second", &id]);
    let active = desk.done(ANN, &["enrol", "activate", &id]);
    assert_eq!(
        (&active["loa"], &active["vetter"], &active["second_vetter"]),
        (&json!(3.0), &json!("ann"), &json!("bob")),
        "{active}"
    );
    rig.check_chain();
}

/// BIND-08, BIND-20, BIND-33: an organisation hands a token to a person whom it knows; the desk chooses it. Red when the
/// token is bound without having been handed over.
#[test]
fn an_organisation_hands_tokens_out() {
    let Some(desk) = Desk::open("[enrol.methods]\nbulk_issue.enabled = true\n") else { return };
    let rig = desk.rig();
    desk.operator("ann", ANN, "ra");
    rig.phone("ann", "+41791234581");
    rig.user("alice");
    let mut token = desk.stocked("CST-000002");
    let asked = desk.done(ANN, &["enrol", "request", "alice", "--method", "bulk_issue"]);
    let id = asked["id"].as_str().expect("a handle").to_owned();
    desk.done(ANN, &["enrol", "preregister", &id, "--type", "hardware"]);
    let selected = &rig.events("type=enrol.factor_selected")[0]["subject"];
    assert_eq!(selected["selected_by"], "registration_authority", "{selected}");
    desk.done(ANN, &["enrol", "vet", "begin", &id]);
    desk.refused(
        ANN,
        &[&["enrol", "vet", "proof", &id, "--kind", "eid_assertion"][..]].concat(),
        "enrol.wrong_proof",
    );
    desk.done(ANN, &["enrol", "vet", "proof", &id, "--kind", "known_person", "--name-match"]);
    desk.done(ANN, &["enrol", "vet", "record", &id]);
    desk.refused(ANN, &["enrol", "bind", &id], "enrol.missing_activity");
    desk.done(ANN, &["enrol", "handover", &id, "CST-000002"]);
    let stock = rig.cli_json(&["technician", "stock"]);
    assert!(stock.to_string().contains("issued"), "{stock}");
    desk.done(ANN, &["enrol", "bind", &id]);
    let active = desk.done(ANN, &["enrol", "activate", &id]);
    assert_eq!(active["loa"], 2.0, "{active}");
    assert!(desk.portal().verify("alice", &token.code(6)).accepted());
    rig.check_chain();
}
