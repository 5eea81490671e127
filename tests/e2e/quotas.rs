//! How many tokens a user may have, and the number form that begins with the contact phone.

use serde_json::{Value, json};
use tests::appliance::told;
use tests::desk::Desk;
use tests::forms::Visitor;
use tests::people::enrol;
use tests::technician::{Bench, HURRIED};
use tests::token::EmulatedToken;
use tests::{Appliance, RigOptions};

/// OATH-13, D-22: a quota that the configuration sets holds for tokens, too, not for accounts alone; a revoked token
/// does not count, and the refusal is an event. Red when `token add` goes past it.
#[test]
fn the_quota_of_soft_tokens_holds_for_every_way_to_make_one() {
    let rig = Appliance::start(RigOptions::default().config("[oath]\nquota_soft = 2\n"));
    rig.user("alice");
    let mut admin = rig.admin();
    let totp = json!({"type": "totp"});
    let first = enrol(&mut admin, "alice", &totp);
    rig.cli_json(&["token", "add", "--user", "alice", "--type", "hotp"]);
    let refused = admin.post("/v1/users/alice/tokens", &totp).expect(409);
    assert!(refused.text().contains("oath.quota_soft"), "{}", refused.text());
    let refused = rig.cli(&["token", "add", "--user", "alice", "--type", "totp"]);
    assert!(refused.status.code() == Some(1) && told(&refused).contains("may have 2"), "{}", told(&refused));
    let refused = rig.cli(&["oath", "add", "alice"]);
    assert!(refused.status.code() == Some(1), "{}", told(&refused));
    assert_eq!(rig.reasons("alice"), ["quota", "quota", "already_exists"]);
    rig.change_token(&first.serial, "revoke");
    enrol(&mut admin, "alice", &totp);
}

/// D-22: hardware tokens have a quota of their own, one unless the configuration says more; soft tokens do not count.
/// A yes of a second person does not lift it. Red when `token assign` goes past it.
#[test]
fn the_quota_of_hardware_tokens_holds_at_the_assignment() {
    let bench = Bench::start();
    let rig = &bench.rig;
    rig.user("alice");
    rig.totp_user("bob");
    let tokens: Vec<EmulatedToken> = [("one", "CST-000001"), ("two", "CST-000002")]
        .map(|(name, serial)| EmulatedToken::start_with(&rig.path(""), name, serial, &bench.maker, &HURRIED))
        .into();
    for token in &tokens {
        let said = bench.provision(&token.port);
        assert!(said.provisioned(), "{}", said.told);
    }
    rig.cli_json(&["token", "assign", "CST-000001", "--user", "alice"]);
    let refused = rig.cli(&["token", "assign", "CST-000002", "--user", "alice"]);
    let said = told(&refused);
    assert!(refused.status.code() == Some(1) && said.contains("oath.quota_hard"), "{said}");
    assert_eq!(rig.reasons("alice"), ["quota"]);
    assert_eq!(rig.show_token("CST-000002")["state"], "in_stock");
    rig.cli_json(&["token", "assign", "CST-000002", "--user", "bob"]);
}

/// D-22, BIND-07: a token from stock that there is no room for is refused when it is shown, before anybody is vetted for it.
/// Red when the quota is looked at once the vetting is done.
#[test]
fn nobody_is_vetted_for_a_token_too_many() {
    let Some(desk) = Desk::open("") else { return };
    let rig = desk.rig();
    let _first = desk.authority("ann", 47_301, "CST-000001", 0);
    let mut second = desk.stocked("CST-000002");
    let id = desk.ask("ann", "on_premise", 3.0);
    desk.apply(&id, "factor", &json!({"type": "hardware"})).expect(200);
    let shown = json!({"serial": "CST-000002", "otp": second.code(6)});
    let refused = desk.apply(&id, "possession", &shown).expect(409);
    assert!(refused.text().contains("oath.quota_hard"), "{}", refused.text());
    assert_eq!(desk.show(&id)["state"], "factor_selected");
    assert_eq!(rig.reasons("ann").last().map(String::as_str), Some("quota"));
}

/// The field of the number on the page that a user with a contact phone comes to.
fn field_of_number(prefill: bool) -> String {
    let tables = format!(
        "[sms.self_registration]\nenabled = true\niak_required = false\nprefill = {prefill}\n\
         [sms.number]\nallow = [\"+41\"]\n\
         [[flow]]\nid = \"login\"\nsteps = [\"password\", \"oath\", \"phone-registration\"]\n"
    );
    let mut options = RigOptions::with_modem().config(&tables);
    options.pages = true;
    let rig = Appliance::start(options);
    let password = "correct horse battery";
    let ann = json!({"name": "ann", "phone": "+41791234561", "password": password, "active_method": "SMS"});
    rig.admin().post("/v1/users", &ann).expect(201);
    let token = rig.token("ann", &json!({"type": "hotp"}));
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login").submit(&[("username", "ann"), ("password", password)]);
    visitor.at("/ui/oath/verify").submit(&[("otp", &token.secret.hotp(0))]).at("/ui/number");
    assert_eq!(rig.show_user("ann")["phone_masked"], Value::Null, "shown, and not bound");
    let page = visitor.text();
    let (_, value) = page.split_once("name=\"number\" type=\"tel\" value=\"").expect("the field");
    value.split('"').next().unwrap_or_default().to_owned()
}

/// D-01: the form for the first number begins with the contact phone where the configuration says so, and is empty
/// otherwise. Red when the setting has no effect, or the number is bound without its code.
#[test]
fn the_form_begins_with_the_contact_phone() {
    assert_eq!(field_of_number(false), "");
    assert_eq!(field_of_number(true), "+41791234561");
}
