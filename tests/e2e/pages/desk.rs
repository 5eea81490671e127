//! The registration desk: who gets in, what keeps its order, whose forms are taken, and how it is left.

use serde_json::{Value, json};
use tests::browser::Browser;
use tests::desk::Desk;
use tests::forms::Visitor;

use super::enrol::{ALICE, ANN, BOB, applicant, authority, begin, compare, desk, go_in, step};
use super::{base, registered, with_phone};

/// The reasons of the desk's own refusals so far.
fn reasons(desk: &Desk, kind: &str) -> Vec<String> {
    let events = desk.rig().events(&format!("type={kind}"));
    let refused = events.into_iter().filter(|event| event["outcome"] == "refused");
    refused.map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Somebody with the seat of a browser, who sends what no browser would.
fn copy_of(desk: &Desk, browser: &Browser) -> Visitor {
    let seat = browser.cookie("countersign-desk").expect("a seat").value;
    let mut copy = Visitor::new(desk.rig().address);
    copy.cookie = Some(format!("countersign-desk={seat}"));
    copy
}

/// BIND-35 to BIND-37: who is no registration authority gets the refusal that everybody gets, and each is an event; a
/// seat ends with the log-out, also for its copies.
#[test]
fn only_registration_authorities_get_in() {
    let Some(desk) = desk("") else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    with_phone(rig, "alice", ALICE);
    let alice = Browser::open(&base(rig));
    for path in ["/desk", "/desk/vet", "/desk/calendar", "/desk/request", "/desk/receipt/1", "/desk/vet/1"] {
        alice.go(path);
        alice.at("/desk/login");
    }
    alice.click("button.primary");
    alice.submit(&[("username", "alice"), ("password", super::PASSWORD)]);
    let code = rig.modem().await_message(ALICE, 1).code();
    alice.submit(&[("otp", &code)]);
    assert_eq!(alice.error().as_deref(), Some("desk.refused"), "{}", alice.page());
    assert_eq!(reasons(&desk, "desk.entered"), ["no_registration_authority"]);
    alice.go("/desk");
    alice.at("/desk/login");

    let ann = Browser::open(&base(rig));
    go_in(&ann, "ann", &mut of_ann);
    ann.at("/desk");
    let cookie = ann.cookie("countersign-desk").expect("a seat");
    assert!(cookie.http_only.unwrap_or_default() && cookie.path.as_deref() == Some("/desk"), "{cookie:?}");
    let entered = rig.events("type=desk.entered");
    let entered = entered.iter().find(|event| event["outcome"] == "ok").expect("an event");
    assert_eq!(
        (&entered["actor"]["id"], &entered["subject"]["loa"]),
        (&json!("ann"), &json!("3")),
        "{entered}"
    );
    let mut copy = copy_of(&desk, &ann);
    copy.go("/desk").at("/desk");
    // A result that another browser has fetched is nobody's seat.
    let mut stranger = Visitor::new(rig.address);
    stranger.go("/desk/in?code=x&state=y").at("/desk/login");
    ann.click(".desk button");
    ann.at("/desk/login");
    copy.go("/desk").at("/desk/login");
    ann.back();
    ann.go("/desk/vet");
    ann.at("/desk/login");
    assert_eq!(rig.events("type=desk.left").len(), 1);
    assert_eq!(reasons(&desk, "desk.entered"), ["no_registration_authority", "foreign_login"]);
    rig.check_chain();
}

/// BIND-35: a registration authority with a password alone does not get in.
#[test]
fn a_password_alone_opens_no_desk() {
    let options = tests::RigOptions { pages: true, ..tests::RigOptions::with_modem() };
    let tables = format!("[[flow]]\nid = \"login\"\nsteps = [\"password\"]\n{}", super::NEWCOMERS);
    let Some(desk) = Desk::open_with(options, &tables) else { return };
    let rig = desk.rig();
    registered(rig, "ann");
    desk.operator("ann", ANN, "ra");
    let ann = Browser::open(&base(rig));
    ann.go("/desk/login");
    ann.click("button.primary");
    ann.submit(&[("username", "ann"), ("password", super::PASSWORD)]);
    assert_eq!(ann.error().as_deref(), Some("desk.refused"), "{}", ann.page());
    assert_eq!(reasons(&desk, "desk.entered"), ["no_second_factor"]);
    assert!(ann.cookie("countersign-desk").is_none());
}

/// BIND-35 to BIND-37, D-54: the order of the desk cannot be changed by an address, a form or a second window; nobody
/// vets themselves, above the level of the own login, another's vetting on, or outside the own organisation. Each refusal is
/// an event. Red when a form for another step is taken, or one of another seat.
#[test]
fn the_order_is_the_servers() {
    let Some(desk) = desk("[enrol.scopes]\nbob = [\"Physics\"]\n") else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    let mut of_bob = authority(&desk, "bob", BOB, "CST-000004", ANN);
    with_phone(rig, "alice", ALICE);
    let alice = Browser::open(&base(rig));
    applicant(rig, &alice, 1);
    let mut nothing = |_: &Browser, _: &str| {};
    let id = super::enrol::ask(&alice, "on_premise:2", &mut nothing);
    alice.click("a[href^='/ui/enrol/factor']");
    alice.pick("type", "sms");
    alice.submit(&[]);
    let code = super::enrol::code(&alice, &mut nothing);
    // An enrolment of somebody else is none for an applicant.
    let others = desk.done(ANN, &["enrol", "request", "bob", "--method", "on_premise", "--level", "2"]);
    alice.go(&format!("/ui/enrol/code?e={}", others["id"].as_str().expect("a handle")));
    assert_eq!(alice.error().as_deref(), Some("page.not-found"));

    let (ann, bob) = (Browser::open(&base(rig)), Browser::open(&base(rig)));
    go_in(&bob, "bob", &mut of_bob);
    begin(&bob, &code);
    assert_eq!(bob.error().as_deref(), Some("enrol.out_of_scope"));
    bob.go(&format!("/desk/vet/{id}"));
    assert_eq!(bob.error().as_deref(), Some("page.not-found"));

    go_in(&ann, "ann", &mut of_ann);
    let own = desk.done(ANN, &["enrol", "request", "ann", "--method", "on_premise", "--level", "2"]);
    ann.go(&format!("/desk/vet/{}", own["id"].as_str().expect("a handle")));
    assert_eq!(step(&ann), "begin");
    ann.submit(&[]);
    assert_eq!(ann.error().as_deref(), Some("enrol.self_vetting"));

    begin(&ann, &code);
    let path = format!("/desk/vet/{id}");
    ann.at(&path);
    assert_eq!(step(&ann), "possession");
    let state = || desk.show(&id)["state"].clone();
    let csrf = ann.attribute("input[name=csrf]", "value").expect("a token");
    let mut copy = copy_of(&desk, &ann);
    for ahead in ["proof", "record", "hand-over", "bind", "activate", "confirm", "second", "begin", "", "x"] {
        let form = [("csrf", csrf.as_str()), ("step", ahead)];
        assert_eq!(copy.send("POST", &path, Some(&form)).status, 303, "{ahead}");
        assert_eq!(state(), json!("vetting"), "{ahead}");
    }
    for forged in ["", "0", &of_another(&desk, &bob)] {
        let form = [("csrf", forged), ("step", "possession"), ("otp", "123456")];
        assert_eq!(copy.send("POST", &path, Some(&form)).status, 403, "{forged}");
    }
    copy.headers = vec![("sec-fetch-site", "cross-site".to_owned())];
    let form = [("csrf", csrf.as_str()), ("step", "possession")];
    assert_eq!(copy.send("POST", &path, Some(&form)).status, 403);
    let own = reasons(&desk, "desk.refused");
    let count = |reason: &str| own.iter().filter(|one| *one == reason).count();
    assert_eq!((count("wrong_step"), count("foreign_form")), (10, 4), "{own:?}");
    assert!(count("enrol.out_of_scope") == 1, "{own:?}");
    // What is shown at the desk is the phone; a wrong code is shown as one.
    ann.submit(&[]);
    assert!(ann.has("input[name=challenge]"), "{}", ann.page());
    let sent = rig.modem().await_message(ALICE, 2).code();
    ann.submit(&[("otp", &super::another(&sent))]);
    assert_eq!(ann.error().as_deref(), Some("enrol.possession_failed"));
    ann.submit(&[("otp", &sent)]);
    assert_eq!(step(&ann), "proof", "{}", ann.page());
    // A question without an answer is no answer of no.
    let form = [("csrf", csrf.as_str()), ("step", "proof"), ("document", "passport"), ("compared", "yes")];
    copy.headers = Vec::new();
    assert_eq!(copy.send("POST", &path, Some(&form)).status, 422);
    assert_eq!(state(), json!("vetting"));
    ann.go(&format!("{path}/reject"));
    ann.pick("reason", "identity_doubtful");
    ann.submit(&[("remark", "says another name")]);
    ann.at(&path);
    assert_eq!((step(&ann), state()), ("ended".to_owned(), json!("rejected")));
    assert!(reasons(&desk, "enrol").iter().any(|reason| reason == "enrol.self_vetting"));
    rig.check_chain();
}

/// BIND-03, BIND-08, BIND-20, BIND-23: a request of the desk's own; the desk assigns the factor and hands a token from stock
/// over, which is shown after that.
#[test]
fn a_token_from_stock_is_handed_over() {
    let Some(desk) = desk("") else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    rig.user("carol");
    let mut token = desk.stocked("CST-000002");
    let ann = Browser::open(&base(rig));
    go_in(&ann, "ann", &mut of_ann);
    ann.go("/desk/request");
    ann.pick("way", "on_premise:3");
    ann.submit(&[("user", "nobody")]);
    assert_eq!(ann.error().as_deref(), Some("enrol.no_user"));
    ann.submit(&[("user", "carol"), ("name", "Carol Example")]);
    assert_eq!(step(&ann), "begin");
    ann.submit(&[("place", "Desk 3")]);
    compare(&ann, "security_features");
    assert_eq!(step(&ann), "source", "the level needs it: {}", ann.page());
    ann.pick("valid", "yes");
    ann.submit(&[("source", "Fedpol"), ("reference", "RIPOL-7")]);
    assert_eq!(step(&ann), "record");
    ann.submit(&[]);
    assert_eq!(step(&ann), "factor");
    ann.pick("type", "hardware");
    ann.submit(&[]);
    assert_eq!(step(&ann), "hand-over");
    ann.submit(&[("serial", "CST-000009")]);
    assert_eq!(ann.error().as_deref(), Some("enrol.not_usable"));
    ann.submit(&[("serial", "cst-000002")]);
    assert_eq!(step(&ann), "possession");
    ann.submit(&[("serial", "CST-000002"), ("otp", &token.code(6))]);
    for at in ["bind", "activate"] {
        assert_eq!(step(&ann), at);
        ann.submit(&[]);
    }
    assert_eq!(step(&ann), "done", "{}", ann.page());
    assert_eq!(rig.show_token("CST-000002")["loa"], 3.0);
    assert_eq!(reasons(&desk, "desk.refused"), ["enrol.no_user", "enrol.not_usable"]);
}

/// BIND-35: who has logged in with less than a request aims at does not vet it, whatever else that person holds. Red when
/// the level of the login is not looked at.
#[test]
fn nobody_vets_above_the_own_login() {
    let Some(desk) = desk("") else { return };
    let rig = desk.rig();
    let _of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    rig.phone("ann", ALICE);
    rig.user("carol");
    let ann = Browser::open(&base(rig));
    ann.go("/desk/login");
    ann.click("button.primary");
    ann.submit(&[("username", "ann"), ("password", super::PASSWORD)]);
    ann.click("button[value=SMS]");
    ann.submit(&[("otp", &rig.modem().await_message(ALICE, 1).code())]);
    ann.at("/desk");
    for (way, may) in [("on_premise:3", false), ("on_premise:2", true)] {
        ann.go("/desk/request");
        ann.pick("way", way);
        ann.submit(&[("user", "carol")]);
        assert_eq!(step(&ann), "begin");
        ann.submit(&[]);
        assert_eq!(ann.error().as_deref(), (!may).then_some("enrol.ra_loa_too_low"), "{way}");
        assert_eq!(step(&ann), if may { "proof" } else { "begin" }, "{way}");
    }
    assert_eq!(reasons(&desk, "desk.refused"), ["enrol.ra_loa_too_low"]);
}

/// The token of another seat's forms.
fn of_another(desk: &Desk, browser: &Browser) -> String {
    copy_of(desk, browser).go("/desk").csrf()
}

/// BIND-12, BIND-27, BIND-37, BIND-42: the organisation that an applicant types counts for nothing until an operator has said
/// the same; what an applicant withdraws is over, and the desk sees it no more.
#[test]
fn an_applicant_withdraws_and_has_a_limit() {
    let Some(desk) = desk("[enrol.eligibility]\norganisations = [\"Physics\"]\nopen_max = 1\n") else {
        return;
    };
    let rig = desk.rig();
    with_phone(rig, "alice", ALICE);
    let alice = Browser::open(&base(rig));
    applicant(rig, &alice, 1);
    let asked = |number: usize| {
        alice.go("/ui/enrol/request");
        alice.pick("way", "on_premise:2");
        alice.pick("organisation", "Physics");
        alice.submit(&[]);
        alice.at("/ui/enrol");
        assert_eq!(alice.count(".cards > li"), number, "{}", alice.page());
    };
    asked(1);
    assert!(alice.text("main").contains("Refused"), "nobody has said so: {}", alice.page());
    rig.cli_json(&["user", "organisation", "alice", "Physics"]);
    asked(2);
    asked(3);
    assert!(alice.text("main").contains("Refused"), "{}", alice.page());
    alice.press("cancel");
    alice.at("/ui/enrol");
    assert!(alice.text("main").contains("The request was withdrawn."), "{}", alice.page());
    let list = rig.admin().get("/v1/enrolments").expect(200).json();
    let states: Vec<&Value> =
        list["items"].as_array().expect("a list").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["rejected", "cancelled", "rejected"]);
}

/// BIND-36, BIND-37: what is open is listed as far as it is for who sits there, however much else there is, and goes on where
/// the page ends. Red when the list is cut before it is filtered, or ends with its first page.
#[test]
fn nothing_open_is_hidden_by_what_else_there_is() {
    let tables = "[enrol.scopes]\nbob = [\"Physics\"]\n[enrol.eligibility]\nopen_max = 20\n";
    let Some(desk) = desk(tables) else { return };
    let rig = desk.rig();
    let mut of_bob = authority(&desk, "bob", BOB, "CST-000004", 0);
    let mut admin = rig.admin();
    let mut ask = |users: std::ops::Range<usize>, organisation: &str| {
        for n in users {
            let name = format!("{organisation}-{n}").to_lowercase();
            rig.user(&name);
            let new = json!({"user": name, "method": "on_premise", "level": 2, "organisation": organisation});
            for _ in 0..20 {
                admin.post("/v1/enrolments", &new).expect(201);
            }
        }
    };
    ask(0..6, "Chemistry");
    ask(0..1, "Physics");
    let bob = Browser::open(&base(rig));
    go_in(&bob, "bob", &mut of_bob);
    assert_eq!(bob.count(".cards > li"), 20, "{}", bob.page());
    assert!(!bob.has("a[href^='/desk?after=']"), "{}", bob.page());
    ask(1..6, "Physics");
    bob.go("/desk");
    assert_eq!(bob.count(".cards > li"), 100);
    assert!(bob.text(".cards > li").contains("physics-5"), "the newest first: {}", bob.page());
    bob.click("a[href^='/desk?after=']");
    assert_eq!(bob.count(".cards > li"), 20, "{}", bob.page());
    assert!(!bob.page().contains("chemistry-"), "another organisation's");
}

/// BIND-35: the desk has a login of its own, where the configuration names one. Red when the login of the pages is taken.
#[test]
fn the_desk_has_a_login_of_its_own() {
    let options = tests::RigOptions { pages: true, ..tests::RigOptions::with_modem() };
    let tables = format!(
        "[pages]\nlogin_flow = \"plain\"\n[enrol.desk]\nlogin_flow = \"two\"\n\
         [[flow]]\nid = \"plain\"\nsteps = [\"password\"]\n\
         [[flow]]\nid = \"two\"\nsteps = [\"password\", \"oath\"]\n{}",
        super::NEWCOMERS
    );
    let Some(desk) = Desk::open_with(options, &tables) else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    let ann = Browser::open(&base(rig));
    go_in(&ann, "ann", &mut of_ann);
    ann.at("/desk");
}
