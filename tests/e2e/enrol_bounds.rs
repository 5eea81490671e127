//! What the own word is worth in an enrolment: that of an applicant with the first factor alone, of an application that brings an
//! assertion, and of a registration authority who works for some organisations. BIND.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};
use tests::appliance::told;
use tests::desk::{Desk, SCOPES, assertion, login, request, told_of};
use tests::enrolling::Enrolling;
use tests::forms::Visitor;
use tests::time::unix_s;
use tests::{Appliance, Client, RigOptions};

const METHODS: &str = "[enrol.methods]\nself_asserted.enabled = true\nremote_assertion.enabled = true\nself_vet.enabled = true\n";
const OWN_WORD: (&str, f64, &str) = ("self_asserted", 1.5, "soft");
const PASSWORD: &str = "correct horse battery";
const STRONGER: &str = "not_eligible.stronger_factor";
const ANN: u32 = 47_221;
const BEN: u32 = 47_222;
const CYD: u32 = 47_223;
const DAN: u32 = 47_224;
const ELI: u32 = 47_225;

fn start(config: &str) -> (Appliance, String) {
    let rig = Appliance::start(RigOptions::default().config(&format!("{METHODS}{config}")));
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

fn own_word(client: &mut Client, user: &str) -> Value {
    client.post("/v1/enrolments", &request(user, "self_asserted", 1.5)).expect(201).json()
}

fn refused(rig: &Appliance, kind: &str) -> Vec<String> {
    let events = rig.events(&format!("type={kind}"));
    let refused = events.into_iter().filter(|event| event["type"] == kind && event["outcome"] == "refused");
    refused.map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

/// BIND-12, BIND-33, D-34: who has shown the first factor alone adds no factor by the own word to what is there, in use or set
/// aside; who has nothing goes on as before. Red when a password is enough for a way around a token, a number or a phone.
#[test]
fn a_first_factor_alone_adds_nothing_to_what_is_there() {
    let (rig, key) = start("");
    let mut portal = rig.loopback(Some(&key));
    let app = rig.hotp_user("alice");
    let aside = rig.totp_user("bob");
    rig.change_token(&aside.serial, "suspend");
    rig.user("carol");
    rig.phone("carol", "+41791234561");
    for user in ["alice", "bob", "carol"] {
        let asked = own_word(&mut portal, user);
        assert_eq!((&asked["state"], &asked["reason"]), (&json!("rejected"), &json!(STRONGER)), "{asked}");
        let told = told_of(&rig, asked["id"].as_str().expect("a handle"));
        assert_eq!(told, ["enrol.requested", "enrol.rejected"], "{user}");
    }
    let rejected = rig.events("type=enrol.rejected");
    assert!(rejected.len() == 3 && rejected.iter().all(|event| event["reason"] == STRONGER), "{rejected:?}");
    rig.change_token(&app.serial, "revoke");
    assert_eq!(own_word(&mut portal, "alice")["state"], "eligible", "what has ended counts for nothing");
    // At the desk somebody looks.
    let desk = portal.post("/v1/enrolments", &request("carol", "on_premise", 2.0)).expect(201).json();
    assert_eq!(desk["state"], "eligible", "{desk}");
    rig.user("dave");
    let mut own = Enrolling::ask(&rig, &key, "dave", OWN_WORD);
    // A token that is only being enrolled is nobody's factor yet.
    own.token();
    assert_eq!(own_word(&mut portal, "dave")["state"], "eligible");
    rig.check_chain();
}

/// BIND-21, BIND-33, BIND-39: what the user has got since the request counts when the binding takes effect. Red when who has
/// begun early gets around a factor that came later.
#[test]
fn who_begins_early_gets_around_nothing() {
    let (rig, key) = start("");
    rig.user("alice");
    let mut own = Enrolling::ask(&rig, &key, "alice", OWN_WORD);
    let (serial, secret) = own.token();
    rig.phone("alice", "+41791234561");
    let late = own.act("possession", &json!({"otp": secret.totp(unix_s())}));
    assert_eq!((late.status, late.code().as_str()), (403, "enrol.stronger_factor"), "{}", late.text());
    let ended = own.shown();
    assert_eq!(
        (&ended["state"], &ended["reason"]),
        (&json!("rejected"), &json!("stronger_factor")),
        "{ended}"
    );
    assert_eq!(rig.show_token(&serial)["state"], "revoked");
    assert!(own.client.verify("alice", &secret.totp(unix_s() + 30)).rejected());
    assert_eq!(refused(&rig, "enrol.activated"), ["enrol.stronger_factor"]);
    // Another one of the own word goes on: it is what is bound that does not stand in its own way.
    rig.user("bob");
    let mut own = Enrolling::ask(&rig, &key, "bob", OWN_WORD);
    own.token_shown();
    assert_eq!(own.shown()["state"], "confirmed");
    rig.check_chain();
}

/// On the pages of who has logged in: asks for an app by the own word.
fn asked_here(rig: &Appliance, visitor: &mut Visitor) -> Value {
    visitor.go("/ui/enrol/request").submit(&[("way", "self_asserted:1.5")]);
    visitor.at("/ui/enrol");
    let list = rig.admin().get("/v1/enrolments?user=alice").expect(200).json();
    list["items"].as_array().and_then(|items| items.last()).expect("an enrolment").clone()
}

/// BIND-02, BIND-33: on the pages a login counts for what was shown there, and the page says what to do. Red when a password
/// opens what the token closes, or when who has shown the token is held to the password.
#[test]
fn a_login_counts_for_what_it_has_shown() {
    let flows = "[[flow]]\nid = \"login\"\nsteps = [\"password\"]\n";
    let options = RigOptions { pages: true, ..RigOptions::default().config(&format!("{METHODS}{flows}")) };
    let mut rig = Appliance::start(options);
    let token = rig.hotp_user("alice");
    rig.admin().put("/v1/users/alice/password", &json!({"password": PASSWORD})).expect(200);
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login").submit(&[("username", "alice"), ("password", PASSWORD)]);
    visitor.at("/ui/done");
    assert_eq!(asked_here(&rig, &mut visitor)["reason"], STRONGER);
    let page = visitor.text();
    assert!(page.contains("You have a factor that counts for more"), "{page}");

    let both = flows.replace("steps = [\"password\"]", "steps = [\"password\", \"oath\"]");
    let options = RigOptions { pages: true, ..RigOptions::default().config(&format!("{METHODS}{both}")) };
    rig.options_mut().config = options.config;
    rig.write_config();
    rig.restart();
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login").submit(&[("username", "alice"), ("password", PASSWORD)]);
    visitor.submit(&[("otp", &token.secret.hotp(0))]);
    visitor.at("/ui/done");
    assert_eq!(asked_here(&rig, &mut visitor)["state"], "eligible");
    // What came since counts for more than that login.
    rig.phone("alice", "+41791234561");
    assert_eq!(asked_here(&rig, &mut visitor)["reason"], STRONGER);
    rig.check_chain();
}

/// Signs in on the pages with a password, and with a code where there is one.
fn logged_in(rig: &Appliance, otp: Option<&str>) -> Visitor {
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login").submit(&[("username", "alice"), ("password", PASSWORD)]);
    if let Some(otp) = otp {
        visitor.submit(&[("otp", otp)]);
    }
    visitor.at("/ui/done");
    visitor
}

/// BIND-09, BIND-12, BIND-33, D-34: what was begun by who has shown the token is not gone on with by who knows the password,
/// whatever the method. Red when the factor of somebody else gets into an enrolment that waits for its own.
#[test]
fn who_begins_with_more_goes_on_with_no_less() {
    let config = |steps: &str| format!("{METHODS}[[flow]]\nid = \"login\"\nsteps = {steps}\n");
    let (alone, both) = (config("[\"password\"]"), config("[\"password\", \"oath\"]"));
    let options = RigOptions { pages: true, ..RigOptions::default().config(&both) };
    let mut rig = Appliance::start(options);
    let token = rig.hotp_user("alice");
    rig.admin().put("/v1/users/alice/password", &json!({"password": PASSWORD})).expect(200);
    let mut visitor = logged_in(&rig, Some(&token.secret.hotp(0)));
    let mut begun = Vec::new();
    for way in ["self_asserted:1.5", "on_premise:2", "on_premise:2"] {
        visitor.go("/ui/enrol/request").submit(&[("way", way)]);
        let listed = rig.admin().get("/v1/enrolments?user=alice").expect(200).json();
        let one = listed["items"].as_array().and_then(|items| items.last()).expect("an enrolment").clone();
        let id = one["id"].as_str().expect("a handle").to_owned();
        visitor.go(&format!("/ui/enrol/factor?e={id}")).submit(&[("e", &id), ("type", "soft")]);
        begun.push(id);
    }
    let makes = |rig: &Appliance, visitor: &mut Visitor, id: &str| {
        visitor.go(&format!("/ui/enrol/possession?e={id}")).submit(&[("e", id), ("action", "make")]);
        let shown = rig.admin().get(&format!("/v1/enrolments/{id}")).expect(200).json();
        assert_eq!(shown["state"], "factor_selected", "{shown}");
        shown["token"].is_string()
    };

    let set = |rig: &mut Appliance, config: &str| {
        rig.options_mut().config = RigOptions::default().config(config).config;
        rig.write_config();
        rig.restart();
    };
    set(&mut rig, &alone);
    let lost = begun.pop().expect("three of them");
    let mut thief = logged_in(&rig, None);
    for id in &begun {
        assert!(!makes(&rig, &mut thief, id), "{id}");
        let page = thief.text();
        assert!(page.contains("You have a factor that counts for more"), "{page}");
        // What is the user's already is no way around it either.
        let own = [("e", id.as_str()), ("serial", &token.serial), ("otp", &token.secret.hotp(1))];
        thief.go(&format!("/ui/enrol/possession?e={id}")).submit(&own);
        assert!(thief.text().contains("You have a factor that counts for more"), "{}", thief.text());
    }
    assert_eq!(refused(&rig, "enrol.token_made"), ["enrol.stronger_factor"; 2]);
    assert_eq!(refused(&rig, "enrol.possession_proven"), ["enrol.stronger_factor"; 2]);

    set(&mut rig, &both);
    let mut visitor = logged_in(&rig, Some(&token.secret.hotp(1)));
    assert!(begun.iter().all(|id| makes(&rig, &mut visitor, id)), "who has logged in as before goes on");
    // Once the token is gone there is no more to show than the password.
    rig.change_token(&token.serial, "revoke");
    set(&mut rig, &alone);
    assert!(makes(&rig, &mut logged_in(&rig, None), &lost));
    rig.check_chain();
}

/// BIND-04, BIND-06, BIND-15: the login that shows a first factor is of now, and proves no identity besides. Red when it is taken
/// from long ago, or when one assertion serves for both.
#[test]
fn a_first_factor_is_of_now_and_proves_nothing_else() {
    let (rig, key) = start("[enrol.assertion]\nmax_age = \"5m\"\n");
    let mut portal = rig.loopback(Some(&key));
    let now = unix_s();
    let mut ids = Vec::new();
    for user in ["alice", "bob"] {
        let token = rig.hotp_user(user);
        let mut new = request(user, "remote_assertion", 2.0);
        for at in [now - 3600, now + 3600] {
            new["first_factor"] = login("login-1", at);
            let stale = portal.post("/v1/enrolments", &new);
            assert_eq!(
                (stale.status, stale.code().as_str()),
                (409, "enrol.assertion_stale"),
                "{}",
                stale.text()
            );
        }
        // One login may ask for several factors.
        new["first_factor"] = login("login-1", now);
        let asked = portal.post("/v1/enrolments", &new).expect(201).json();
        let id = asked["id"].as_str().expect("a handle").to_owned();
        let mut one = Enrolling { client: rig.loopback(Some(&key)), id };
        one.act("factor", &json!({"type": "soft"})).expect(200);
        one.act("possession", &json!({"otp": token.secret.hotp(0)})).expect(200);
        ids.push(one);
    }
    assert_eq!(refused(&rig, "enrol.requested"), ["enrol.assertion_stale"; 2], "few of many alike");
    let mut same = login("login-1", now);
    same["level"] = json!(2.0);
    for one in &mut ids {
        let used = one.act("vet/assertion", &same);
        assert_eq!(used.code(), "enrol.assertion_used", "{}", used.text());
    }
    // The same login of somebody else's request, too.
    let mut other = request("alice", "remote_assertion", 2.0);
    other["first_factor"] = login("login-2", now);
    portal.post("/v1/enrolments", &other).expect(201);
    let mut foreign = login("login-2", now);
    foreign["level"] = json!(2.0);
    assert_eq!(ids[1].act("vet/assertion", &foreign).code(), "enrol.assertion_used");
    ids[0].act("vet/assertion", &assertion("login-1", now, 2.0)).expect(200);
    rig.check_chain();
}

/// BIND-15, D-47: a code that is tried where no token can vouch is refused before it is looked at: it is neither used up nor
/// counted. Red when it costs the token or the user anything.
#[test]
fn a_code_that_cannot_vouch_costs_nothing() {
    let (rig, key) = start("[enrol.eligibility]\nopen_max = 9\n");
    let token = rig.hotp_user("alice");
    let second = rig.token("alice", &json!({"type": "hotp"}));
    for (method, level, code) in
        [("remote_assertion", 2.0, "enrol.wrong_proof"), ("on_premise", 2.0, "enrol.wrong_state")]
    {
        let mut one = Enrolling::ask(&rig, &key, "alice", (method, level, "soft"));
        let shown =
            json!({"serial": second.serial, "otp": second.secret.hotp(u64::from(method == "on_premise"))});
        one.act("possession", &shown).expect(200);
        for otp in [token.secret.wrong(0..40), token.secret.hotp(0)] {
            let tried = one.act("vet/token", &json!({"serial": token.serial, "otp": otp}));
            assert_eq!((tried.status, tried.code().as_str()), (409, code), "{method}: {}", tried.text());
        }
        one.act("cancel", &json!({"reason": "not_needed"})).expect(200);
    }
    assert_eq!(rig.show_token(&token.serial)["failures"], 0);
    assert_eq!(rig.show_user("alice")["failures"], 0);
    assert!(rig.loopback(Some(&key)).verify("alice", &token.secret.hotp(0)).accepted(), "it was not used up");
    rig.check_chain();
}

fn for_desk<'a>(user: &'a str, organisation: &'a str) -> [&'a str; 9] {
    ["enrol", "request", user, "--method", "on_premise", "--level", "2", "--organisation", organisation]
}

/// BIND-12, BIND-37, B.2: who works for some organisations makes nobody a member by the own word, neither by the request nor
/// by what is said as an administrator, and vets no operator who reaches further. Red when the registration authority of one
/// organisation gets at somebody whom nobody else has put there.
#[test]
fn nobody_makes_the_own_applicants() {
    let bounds = "[enrol.scopes]\nben = [\"Physics\"]\n";
    let Some(desk) = Desk::open(bounds) else { return };
    let rig = desk.rig();
    let ra = |name: &str, uid: u32| {
        let uid = uid.to_string();
        desk.done(0, &["operator", "add", name, "--uid", &uid, "--role", "ra", "--scope", "Physics"]);
    };
    ra("ann", ANN);
    ra("cyd", CYD);
    desk.operator("ben", BEN, "admin");
    desk.done(0, &["role", "grant", "ben", "ra", "--scope", "Physics"]);
    desk.operator("dan", DAN, "auditor");
    for user in ["alice", "bob"] {
        rig.user(user);
    }
    const OUT: &str = "enrol.out_of_scope";
    desk.refused(ANN, &for_desk("alice", "Physics"), OUT);
    desk.refused(BEN, &for_desk("alice", "Physics"), OUT);
    // Said by the same person, it is the own word still; for another one it is an authority's.
    desk.done(BEN, &["user", "organisation", "alice", "Physics"]);
    desk.refused(BEN, &for_desk("alice", "Physics"), OUT);
    let asked = desk.done(ANN, &for_desk("alice", "Physics"));
    assert_eq!((&asked["state"], &asked["organisation"]), (&json!("eligible"), &json!("Physics")), "{asked}");
    let id = asked["id"].as_str().expect("a handle");
    desk.refused(BEN, &["enrol", "preregister", id, "--type", "soft"], OUT);
    desk.refused(BEN, &["enrol", "vet", "begin", id, "--place", "3"], OUT);
    desk.done(ANN, &["enrol", "preregister", id, "--type", "soft"]);
    // Root, and who works for all, say it by their request.
    assert_eq!(desk.done(0, &for_desk("bob", "Physics"))["organisation"], "Physics");
    // What was said by who worked for all is the own word once it is for some.
    desk.operator("eli", ELI, "auditor");
    desk.done(0, &["role", "grant", "eli", "ra"]);
    rig.user("eric");
    let asked = desk.done(ELI, &for_desk("eric", "Physics"));
    let id = asked["id"].as_str().expect("a handle");
    desk.done(0, &["role", "revoke", "eli", "ra"]);
    desk.done(0, &["role", "grant", "eli", "ra", "--scope", "Physics"]);
    desk.refused(ELI, &["enrol", "vet", "begin", id, "--place", "3"], OUT);
    desk.refused(ANN, &["enrol", "vet", "begin", id, "--place", "3"], "enrol.ra_loa_too_low");
    // Members, but more than that.
    for name in ["dan", "cyd"] {
        desk.done(0, &["user", "organisation", name, "Physics"]);
    }
    desk.refused(ANN, &for_desk("dan", "Physics"), OUT);
    desk.done(ANN, &for_desk("cyd", "Physics"));
    assert_eq!(refused(rig, "enrol.requested"), [OUT; 4]);
    rig.check_chain();
}

/// Posts a request over the local socket.
const POST: &str = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
body = sys.argv[2].encode()
head = "POST /v1/enrolments HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
s.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
print(s.makefile().read())
"#;

/// BIND-04, BIND-06, BIND-35: who vets says at the desk who somebody is, and of nobody that they have logged in somewhere else: that
/// takes an application that may. Red when a registration authority of no level at all makes factors by it.
#[test]
fn who_vets_brings_nobodys_login() {
    let Some(desk) = Desk::open(METHODS) else { return };
    let rig = desk.rig();
    desk.operator("ann", ANN, "ra");
    rig.user("alice");
    let new = request("alice", "self_asserted", 1.5).to_string();
    let mut post = Command::new("python3");
    post.args(["-c", POST]).arg(&rig.socket).arg(new).uid(ANN).gid(ANN);
    let answer = told(&post.output().expect("python3"));
    assert!(answer.contains("403") && answer.contains("forbidden"), "{answer}");
    assert_eq!(rig.admin().get("/v1/enrolments?user=alice").expect(200).json()["items"], json!([]));
}

/// B.5.6 row 4, BIND-09, BIND-35: what is shown before the vetting is the applicant's to show. Red when a registration
/// authority of no level at all puts the own factor into an enrolment that waits, and it takes effect, or is vetted by others.
#[test]
fn an_authority_shows_nothing_in_the_applicants_place() {
    let Some(desk) = Desk::open(METHODS) else { return };
    let rig = desk.rig();
    desk.operator("ann", ANN, "ra");
    for user in ["alice", "bob", "carol"] {
        rig.user(user);
    }
    let own = desk.ask("alice", "self_asserted", 1.5);
    let waits = desk.ask("bob", "on_premise", 2.0);
    let asked = desk.done(ANN, &["enrol", "request", "carol", "--method", "on_premise", "--level", "2"]);
    let desks = asked["id"].as_str().expect("a handle").to_owned();
    const NOT_HERS: &str = "enrol.wrong_actor";
    for id in [&own, &waits, &desks] {
        desk.done(ANN, &["enrol", "preregister", id, "--type", "soft"]);
        for act in [&["enrol", "token", id][..], &["enrol", "phone", id], &["enrol", "send", id]] {
            desk.refused(ANN, act, NOT_HERS);
        }
        desk.refused(ANN, &["enrol", "preregister", id, "123456"], NOT_HERS);
        let still = desk.show(id);
        assert_eq!((&still["state"], &still["token"]), (&json!("factor_selected"), &Value::Null), "{still}");
    }
    for (kind, count) in
        [("enrol.token_made", 3), ("enrol.phone_registered", 3), ("enrol.possession_proven", 6)]
    {
        assert_eq!(refused(rig, kind), vec![NOT_HERS; count], "{kind}");
    }
    let mut alice = Enrolling { client: desk.portal(), id: own };
    alice.token_shown();
    assert_eq!(alice.shown()["state"], "confirmed");
    rig.check_chain();
}

/// BIND-37, B.2: the bounds of the configuration hold for who is an administrator too, whichever of the roles is asked. Red when
/// the other role opens what the bounds close.
#[test]
fn bounds_hold_whatever_else_somebody_is() {
    let Some(desk) = Desk::open("[enrol.scopes]\nben = [\"Physics\"]\n") else { return };
    let rig = desk.rig();
    desk.operator("ben", BEN, "admin");
    desk.done(0, &["role", "grant", "ben", "ra"]);
    for (user, organisation) in [("alice", "Chemistry"), ("bob", "Physics")] {
        rig.user(user);
        desk.done(0, &["user", "organisation", user, organisation]);
    }
    rig.user("carl");
    let id = |asked: Value| asked["id"].as_str().expect("a handle").to_owned();
    let [chemistry, physics] = ["alice", "bob"].map(|user| id(desk.done(0, &for_desk(user, "Physics"))));
    desk.refused(BEN, &for_desk("alice", "Chemistry"), "enrol.out_of_scope");
    desk.refused(BEN, &["enrol", "show", &chemistry], "not-found");
    desk.refused(BEN, &["enrol", "preregister", &chemistry, "--type", "soft"], "enrol.out_of_scope");
    desk.refused(BEN, &["enrol", "vet", "begin", &chemistry, "--place", "3"], "enrol.out_of_scope");
    desk.refused(BEN, &["enrol", "cancel", &chemistry], "enrol.out_of_scope");
    desk.refused(BEN, &["user", "organisation", "alice", "Physics"], "own organisations");
    desk.refused(BEN, &["user", "organisation", "carl", "Chemistry"], "own organisations");
    desk.refused(BEN, &["enrol", "report"], "belongs to none of them");
    let listed = desk.done(BEN, &["enrol", "list"]);
    let items = listed["items"].as_array().expect("a list");
    assert!(items.len() == 1 && items[0]["id"] == physics.as_str(), "{listed}");
    desk.done(BEN, &["enrol", "preregister", &physics, "--type", "soft"]);
    rig.check_chain();
}

/// BIND-12, BIND-37: what an operator says now counts, and not what was written at the request: for who sees, who acts for the
/// applicant, who vets, who reads what was vetted, who revokes, and whose times are offered. Red when one of them goes by
/// what is stored.
#[test]
fn what_is_said_now_counts_everywhere() {
    let Some(desk) = Desk::open("") else { return };
    let rig = desk.rig();
    let uid = ANN.to_string();
    desk.done(0, &["operator", "add", "ann", "--uid", &uid, "--role", "raa", "--scope", "Physics"]);
    let token = rig.hotp_user("alice");
    desk.done(0, &["user", "organisation", "alice", "Physics"]);
    let offer =
        json!({"starts_at": "2031-03-01T09:00:00Z", "minutes": 30, "place": "3", "organisation": "Physics"});
    let offered = rig.admin().post("/v1/appointments", &offer).expect(201).json();
    let time = offered["id"].as_str().expect("a time").to_owned();
    let mut open = Enrolling::ask(rig, &desk.key, "alice", ("on_premise", 2.0, "soft"));
    let code = desk.code(&open.id);
    let mut bound = Enrolling::ask(rig, &desk.key, "alice", ("on_premise", 2.0, "soft"));
    bound.act("possession", &json!({"otp": token.secret.hotp(0)})).expect(200);
    assert_eq!(bound.begun(rig).vetted()["state"], "confirmed");
    let count = || desk.done(ANN, &["enrol", "list"])["items"].as_array().map_or(0, Vec::len);
    let reads = |id: &str| desk.done(ANN, &["enrol", "show", id]);
    reads(&open.id);
    reads(&bound.id);
    desk.done(ANN, &["enrol", "identity", &bound.id]);
    assert_eq!(count(), 2);

    desk.done(0, &["user", "organisation", "alice", "Chemistry"]);
    for id in [&open.id, &bound.id] {
        desk.refused(ANN, &["enrol", "show", id], "not-found");
    }
    desk.refused(ANN, &["enrol", "identity", &bound.id], "not-found");
    assert_eq!(count(), 0);
    for act in [
        &["enrol", "cancel", &open.id][..],
        &["enrol", "vet", "begin", "--code", &code, "--place", "3"],
        &["enrol", "reject", &open.id, "doubtful"],
        &["enrol", "revoke", &bound.id, "lost"],
        &["token", "revoke", &token.serial],
    ] {
        desk.refused(ANN, act, "enrol.out_of_scope");
    }
    assert_eq!(open.act("appointment", &json!({"appointment": time})).status, 409, "a time of Physics");

    desk.done(0, &["user", "organisation", "alice", "Physics"]);
    assert_eq!(count(), 2);
    open.act("appointment", &json!({"appointment": time})).expect(200);
    desk.done(ANN, &["enrol", "revoke", &bound.id, "lost"]);
    rig.check_chain();
}
