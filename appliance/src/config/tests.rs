use super::*;

const GOOD: &str = r#"
state_dir = "/var/lib/countersign"

[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "countersign"
pin_file = "/etc/countersign/hsm-pin"

[[listen]]
kind = "unix"
address = "/run/countersign/api.sock"
"#;

fn findings(text: &str) -> Vec<Finding> {
    parse(text).err().unwrap_or_default()
}

#[test]
fn the_shortest_configuration_has_all_defaults() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.terms, Terms::default());
    assert_eq!(config.sms_message, "%s");
    assert_eq!(config.listeners[0].address, Address::Unix("/run/countersign/api.sock".into()));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = GOOD.replace("token_label", "tokenlabel");
    let found = &findings(&text)[0];
    assert_eq!((found.line, found.key.as_str()), (6, "tokenlabel"));
}

#[test]
fn every_mistake_is_found_not_only_the_first() {
    let text =
        format!("{GOOD}\n[sms]\notp_length = 3\nmessage = \"no place\"\n[limits]\nuser_failures = 101\n");
    let keys: Vec<_> = findings(&text).into_iter().map(|f| (f.line, f.key)).collect();
    assert_eq!(
        keys,
        [
            (14, "sms.otp_length".to_owned()),
            (15, "sms.message".to_owned()),
            (17, "limits.user_failures".to_owned()),
        ]
    );
}

/// SMS-29, D-10: the document's spelling is accepted.
#[test]
fn the_documents_spelling_is_an_alias() {
    let config = parse(&format!("{GOOD}\n[sms]\nopt-length = 8\n")).unwrap();
    assert_eq!(config.terms.digits, 8);
}

#[test]
fn http_is_served_on_loopback_only() {
    let text = format!("{GOOD}\n[[listen]]\nkind = \"http\"\naddress = \"0.0.0.0:80\"\n");
    assert_eq!(findings(&text)[0].key, "listen.address");
}

#[test]
fn a_pin_comes_from_exactly_one_place() {
    let both = GOOD.replace("pin_file", "pin_credential = \"hsm-pin\"\npin_file");
    assert_eq!(findings(&both)[0].key, "hsm.pin_credential");
    let none = GOOD.replace("pin_file = \"/etc/countersign/hsm-pin\"\n", "");
    assert_eq!(findings(&none)[0].key, "hsm.pin_file");
}

/// A24: who is an operator takes two persons unless the file says otherwise; an act that is none is named.
#[test]
fn operators_are_made_by_two_persons_by_default() {
    let acts = parse(GOOD).unwrap().two_person.acts;
    assert_eq!(
        acts.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        ["operator.add", "operator.revoke", "operator.roles", "oath.view_secret"]
    );
    let text = format!("{GOOD}\n[two_person]\nacts = [\"token.assign\"]\nlife = \"2h\"\n");
    let two_person = parse(&text).unwrap().two_person;
    assert_eq!((two_person.acts.as_slice(), two_person.life_ms), ([Kind::AssignToken].as_slice(), 7_200_000));
    let found = &findings(&text.replace("token.assign", "token.asign"))[0];
    assert_eq!((found.line, found.key.as_str()), (14, "two_person.acts"));
}

/// OATH-20, OATH-48: nobody sees a secret by default; who does, and how, is named by role and form.
#[test]
fn who_sees_a_secret_is_named() {
    let oath = parse(GOOD).unwrap().people.oath;
    assert!(oath.view_secret_roles.is_empty() && oath.admin_secret_formats.is_empty());
    let table =
        "[oath.admin]\nview_secret_roles = [\"admin\", \"break-glass\"]\nsecret_formats = [\"hex\"]\n";
    let text = format!("{GOOD}\n{table}");
    let oath = parse(&text).unwrap().people.oath;
    assert_eq!(oath.view_secret_roles, ["admin", "break-glass"]);
    assert_eq!(oath.admin_secret_formats, ["hex"]);
    for (there, key) in
        [("break-glass", "oath.admin.view_secret_roles"), ("hex", "oath.admin.secret_formats")]
    {
        assert_eq!(findings(&text.replace(there, "boss"))[0].key, key);
    }
}
