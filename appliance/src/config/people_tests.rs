//! What people meet, as it is configured: defaults and ranges of the requirement lists, and every check at load.

use super::people::{Numbers, People, Requirement, SmsAuthenticator};
use super::*;

const HEAD: &str = r#"
state_dir = "/var/lib/countersign"
public_url = "https://login.example.org"

[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "countersign"
pin_file = "/etc/countersign/hsm-pin"

[[listen]]
kind = "unix"
address = "/run/countersign/api.sock"

[[modem]]
id = "m1"
port = "/dev/countersign-modem"
"#;

fn example(name: &str) -> String {
    let path = format!("{}/../docs/examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap()
}

fn people(tables: &str) -> People {
    parse(&format!("{HEAD}\n{tables}")).unwrap().people
}

/// What is found in the tables, as `key: text`, each with the line that it is on.
fn found(head: &str, tables: &str) -> Vec<String> {
    let findings = parse(&format!("{head}\n{tables}")).err().unwrap_or_default();
    let above = head.lines().count() + 1;
    findings.into_iter().map(|f| format!("{}: {}: {}", f.line.saturating_sub(above), f.key, f.text)).collect()
}

#[track_caller]
fn finds(tables: &str, line: usize, key: &str, text: &str) {
    let found = found(HEAD, tables);
    let begins = format!("{line}: {key}: ");
    let fits = found.iter().any(|finding| finding.starts_with(&begins) && finding.contains(text));
    assert!(fits, "{begins}{text} is not among {found:#?}");
}

/// One authenticator with these keys after its id and its type; its first key is on line 4.
fn authenticator(keys: &str) -> String {
    format!("[[authenticator]]\nid = \"a1\"\ntype = \"sms\"\n{keys}\n")
}

const REGISTERED: &str = "required_for_registration = \"oath\"\n";

/// MOB-31, OATH-36, SMS-36: every example that is shipped can be loaded as it is.
#[test]
fn the_examples_are_good() {
    let directory = format!("{}/../docs/examples", env!("CARGO_MANIFEST_DIR"));
    let mut loaded = 0;
    for kind in ["flows", "authenticators"] {
        for entry in std::fs::read_dir(format!("{directory}/{kind}")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(found(HEAD, &text), Vec::<String>::new(), "{}", path.display());
            loaded += 1;
        }
    }
    assert!(loaded >= 8);
}

/// SMS-06, SMS-25, SMS-26, SMS-28 to SMS-31, SMS-33, SMS-34, SMS-36: the chain of the document, all else as by
/// default.
#[test]
fn the_documents_chain_has_the_documents_defaults() {
    let people = people(&example("authenticators/sms1"));
    let expected = SmsAuthenticator {
        id: "sms1".to_owned(),
        previous: Some("password".to_owned()),
        required_for_registration: vec![Requirement::Oath],
        send_otp_as_code: false,
        otp_length: 6,
        otp_ttl_ms: 60_000,
        link_ttl_ms: 300_000,
        max_allowed_attempts: 3,
        max_challenges_sent: 3,
        allow_registration_during_login: true,
        show_info_before_registration: true,
        auto_login_after_registration: true,
        intermediate_attribute_name: None,
        attribute_trusted_loa: None,
        writable: true,
    };
    assert_eq!(people.authenticators, [expected]);
}

/// SMS-29, D-10: the document's spellings are read.
#[test]
fn the_documents_spellings_are_read() {
    let keys = "send-otp-as-code = true\nopt-length = 8\nmax-allowed-attempts = 0\nmax-challenges-sent = 100\n\
                required-authenticator-for-registration = \"iak\"\naccount-manager-id = \"local\"\n";
    let own = people(&authenticator(keys)).authenticators.remove(0);
    assert_eq!((own.otp_length, own.max_allowed_attempts, own.max_challenges_sent), (8, 0, 100));
    assert_eq!(own.required_for_registration, [Requirement::Iak]);
}

/// SMS-12: a number from an attribute cannot be registered.
#[test]
fn an_attribute_excludes_registration() {
    let keys = "send_otp_as_code = true\nintermediate_attribute_name = \"mobile\"\nrequired_for_registration = \"iak\"";
    finds(&authenticator(keys), 2, "authenticator.required_for_registration", "CFG-SMS-1");
}

/// SMS-13: a number from an attribute is no first factor.
#[test]
fn an_attribute_is_no_first_factor() {
    let keys = "send_otp_as_code = true\nintermediate_attribute_name = \"mobile\"\n\
                allow_registration_during_login = false\n";
    let text = format!("{}[[flow]]\nid = \"f\"\nsteps = [\"sms:a1\"]\n", authenticator(keys));
    finds(&text, 9, "flow.steps", "needs a factor before it");
}

/// SMS-22, SMS-27: registration names what protects it.
#[test]
fn registration_is_protected() {
    finds(
        &authenticator("send_otp_as_code = true"),
        2,
        "authenticator.required_for_registration",
        "CFG-SMS-2",
    );
}

/// SMS-23: a password alone leads to no second factor.
#[test]
fn a_password_alone_protects_nothing() {
    let keys = "send_otp_as_code = true\nrequired_for_registration = \"password\"";
    finds(&authenticator(keys), 2, "authenticator.required_for_registration", "CFG-SMS-3");
}

/// SMS-26: no page before a registration that is not offered.
#[test]
fn the_info_page_belongs_to_the_registration() {
    let keys = "send_otp_as_code = true\nallow_registration_during_login = false\nshow_info_before_registration = true";
    finds(&authenticator(keys), 6, "authenticator.show_info_before_registration", "CFG-SMS-4");
}

/// SMS-29: 4 to 10 digits, and a link has none.
#[test]
fn the_length_has_its_range_and_its_mode() {
    finds(&authenticator(&format!("{REGISTERED}otp_length = 6")), 5, "authenticator.otp_length", "CFG-SMS-5");
    for length in ["3", "11"] {
        let keys = format!("{REGISTERED}send_otp_as_code = true\notp_length = {length}");
        finds(&authenticator(&keys), 6, "authenticator.otp_length", "4");
    }
}

/// SMS-16, SMS-30, SMS-31: ranges.
#[test]
fn limits_and_lives_have_ranges() {
    for (key, value) in [
        ("otp_ttl", "\"29s\""),
        ("otp_ttl", "\"601s\""),
        ("max_allowed_attempts", "101"),
        ("max_challenges_sent", "101"),
    ] {
        let keys = format!("{REGISTERED}send_otp_as_code = true\n{key} = {value}");
        finds(&authenticator(&keys), 6, &format!("authenticator.{key}"), "");
    }
}

/// SMS-35: no authenticator without a modem.
#[test]
fn an_authenticator_needs_a_modem() {
    let head = HEAD.split("[[modem]]").next().unwrap();
    let found = found(head, &authenticator(&format!("{REGISTERED}send_otp_as_code = true")));
    assert!(found.iter().any(|finding| finding.contains("CFG-SMS-6")), "{found:?}");
}

/// SMS-02, SMS-28, D-11: a link leads somewhere.
#[test]
fn a_link_needs_an_address() {
    let head = HEAD.replace("public_url = \"https://login.example.org\"\n", "");
    let found = found(&head, &authenticator(REGISTERED));
    assert!(found.iter().any(|finding| finding.contains("CFG-SMS-7")), "{found:?}");
}

/// SMS-33: the account store is ours, or there is none.
#[test]
fn without_an_account_store_nothing_is_registered() {
    let keys = "send_otp_as_code = true\naccount_store = \"none\"";
    let own = people(&authenticator(keys)).authenticators.remove(0);
    assert!(!own.writable && !own.allow_registration_during_login);
    let keys = format!("{REGISTERED}send_otp_as_code = true\naccount_store = \"ldap\"");
    finds(&authenticator(&keys), 6, "authenticator.account_store", "local or none");
}

/// SMS-06: what is referred to is there.
#[test]
fn references_are_checked() {
    let keys = format!("{REGISTERED}send_otp_as_code = true\nprevious = \"nobody\"");
    finds(&authenticator(&keys), 2, "authenticator.previous", "nobody");
    let keys = "send_otp_as_code = true\nrequired_for_registration = \"nobody\"";
    finds(&authenticator(keys), 2, "authenticator.required_for_registration", "nobody");
    let flow = "[[flow]]\nid = \"f\"\nsteps = [\"password\", \"sms:nobody\"]\n";
    finds(flow, 3, "flow.steps", "nobody");
    let twice = authenticator(&format!("{REGISTERED}send_otp_as_code = true")).repeat(2);
    finds(&twice, 7, "authenticator.id", "twice");
}

/// SMS-06, SMS-36: an authenticator that follows another one does so in each flow.
#[test]
fn an_authenticator_follows_its_previous_one() {
    let own = authenticator(&format!("{REGISTERED}send_otp_as_code = true\nprevious = \"oath\""));
    let flow = |steps: &str| format!("{own}[[flow]]\nid = \"f\"\nsteps = [{steps}]\n");
    finds(&flow("\"password\", \"sms:a1\""), 8, "flow.steps", "oath must come before a1");
    assert_eq!(found(HEAD, &flow("\"password\", \"oath\", \"sms:a1\"")), Vec::<String>::new());
}

/// SMS-37, D-20: the back-channel stands on an authenticator that sends links.
#[test]
fn a_back_channel_needs_links() {
    let own = authenticator(&format!("{REGISTERED}send_otp_as_code = true"));
    finds(
        &format!("{own}[[backchannel]]\nid = \"b\"\nfrontchannel = \"a1\"\n"),
        8,
        "backchannel.frontchannel",
        "links",
    );
    finds("[[backchannel]]\nid = \"b\"\nfrontchannel = \"a1\"\n", 3, "backchannel.frontchannel", "no such");
}

/// OATH-09, OATH-10, OATH-18, OATH-19, OATH-51, OATH-53: defaults.
#[test]
fn authenticator_apps_have_the_documents_defaults() {
    let oath = people("").oath;
    assert!(
        oath.totp && oath.confirm_on_activation && oath.reveal_after_activation && oath.selectable_as_next
    );
    assert_eq!((oath.digits, oath.period, oath.quota_accounts()), (6, 30, 1));
    assert!(
        !oath.auto_order_letter && !oath.auto_order_letter_new_users && oath.admin_secret_formats.is_empty()
    );
    finds("[oath]\ndigits = 9\n", 2, "oath.digits", "");
    finds("[oath]\ntype = \"MOTP\"\n", 2, "oath.type", "TOTP or HOTP");
}

/// OATH-35: a counter is shown once.
#[test]
fn an_existing_counter_is_not_shown_again() {
    let text = "[oath]\ntype = \"HOTP\"\n[[selfservice]]\nid = \"s\"\noverwrite_existing = false\n\
                steps = [\"oath-activate\"]\n";
    finds(text, 6, "flow.overwrite_existing", "CFG-OATH-1");
}

/// OATH-40: each flow has an id of its own.
#[test]
fn a_flow_has_an_id_of_its_own() {
    let text = "[[selfservice]]\nid = \"s\"\nsteps = [\"oath-activate\"]\n".repeat(2);
    finds(&text, 5, "flow.id", "twice");
}

/// MOB-15, MOB-20, MOB-30: off by default, with a letter, and the login goes on; without a letter another factor must
/// come first.
#[test]
fn registration_is_off_and_needs_a_letter() {
    let own = people("").registration;
    assert!(!own.enabled && own.iak_required && !own.self_order && !own.prefill);
    let flow = |steps: &str| {
        format!("[sms.self_registration]\niak_required = false\n[[flow]]\nid = \"f\"\nsteps = [{steps}]\n")
    };
    let key = "sms.self_registration.iak_required";
    finds(&flow("\"password\", \"phone-registration\""), 2, key, "MOB-20");
    assert_eq!(found(HEAD, &flow("\"password\", \"oath\", \"phone-registration\"")), Vec::<String>::new());
}

/// MOB-34, OATH-46: validity, attempts and the gap between two letters.
#[test]
fn letters_have_the_documents_defaults_and_ranges() {
    let letters = people("").letters;
    assert_eq!((letters.sms_iak.valid_days, letters.sms_iak.max_attempts), (21, 5));
    assert_eq!((letters.delivery_gap_ms, letters.retention_days), (24 * 3_600_000, 3));
    for (key, value) in [("valid_days", "31"), ("valid_days", "0"), ("max_attempts", "11")] {
        let text = format!("[letters.sms_iak]\n{key} = {value}\n");
        finds(&text, 2, &format!("letters.sms_iak.{key}"), "");
    }
}

/// MOB-37, MOB-38: the former number is told, numbers are masked.
#[test]
fn the_former_number_is_told() {
    let notices = people("").notices;
    assert!(notices.old && !notices.new && notices.mask_for_admins);
}

/// SMS-43: messages in an hour and a day.
#[test]
fn messages_have_limits() {
    let limits = people("").sms_limits;
    assert_eq!((limits.user_hour, limits.user_day, limits.number_hour), (5, 10, 5));
}

/// MOB-11: prefixes of international numbers.
#[test]
fn number_prefixes_are_international() {
    finds("[sms.number]\nallow = [\"079\"]\n", 2, "sms.number.allow", "international");
}

/// MOB-11: what begins with 0 belongs to the configured country; lists are asked on the normalised form.
#[test]
fn numbers_are_normalised_and_listed() {
    let swiss = Numbers {
        default_country: Some("+41".to_owned()),
        allow: vec!["+41".to_owned(), "+49".to_owned()],
        deny: vec!["+41900".to_owned()],
        shared_allowed: false,
    };
    let read = |text: &str| swiss.read(text).map(|number| number.expose().to_owned());
    assert_eq!(read("079 123 45 67").as_deref(), Some("+41791234567"));
    assert_eq!(read("+49 (171) 123-4567").as_deref(), Some("+491711234567"));
    for text in ["0900 123 456", "+33 6 12 34 56 78", "79 123 45 67", "", "0", "+41 79 x"] {
        assert_eq!(read(text), None, "{text}");
    }
    assert!(Numbers::default().read("079 123 45 67").is_none());
    assert!(Numbers::default().read("+33 6 12 34 56 78").is_some());
}
