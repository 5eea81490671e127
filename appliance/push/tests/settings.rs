//! COMB-07 to COMB-28: defaults, bounds, and what settings must not say together.

use oath::{Algorithm, Period, Truncation};
use push::label::PATH;
use push::settings::{Around, Checked, Finding, PushType, Settings};
use push::uri::{AppDigits, AppFactor};

const AROUND: Around<'static> =
    Around { name: "Example Inc", public_url: Some("https://otp.example.org"), path: PATH, transports: 1 };

fn changed(change: impl FnOnce(&mut Settings)) -> Result<Checked, Vec<Finding>> {
    let mut settings = Settings::default();
    change(&mut settings);
    settings.check(&AROUND)
}

type Change = fn(&mut Settings);

/// A key, changes that pass, and changes that do not.
const BOUNDS: [(&str, &[Change], &[Change]); 16] = [
    (
        "mfa.issuer",
        &[|s| s.issuer = Some("A".into())],
        &[
            |s| s.issuer = Some("A:B".into()),
            |s| s.issuer = Some("Is?".into()),
            |s| s.issuer = Some(String::new()),
        ],
    ),
    ("mfa.account_name_attr", &[|s| s.account_name_attr = "mail".into()], &[|s| s.account_name_attr.clear()]),
    ("mfa.bgcolor", &[|s| s.bgcolor = "#ABCDEF".into()], &[|s| s.bgcolor = "blue".into()]),
    (
        "mfa.logo_url",
        &[|s| s.logo_url = Some("https://a.example/l.png".into())],
        &[|s| s.logo_url = Some("https://a.example/l.png?x".into()), |s| s.logo_url = Some("l.png".into())],
    ),
    (
        "mfa.registration_timeout",
        &[|s| s.registration_timeout = 10, |s| s.registration_timeout = 600],
        &[|s| s.registration_timeout = 9, |s| s.registration_timeout = 601],
    ),
    (
        "mfa.otp_length",
        &[|s| s.otp_length = 8],
        &[|s| s.otp_length = 5, |s| s.otp_length = 7, |s| s.otp_length = 9],
    ),
    ("mfa.min_secret_hex", &[|s| s.min_secret_hex = 40], &[|s| s.min_secret_hex = 31]),
    (
        "oath.secret_hex",
        &[|s| s.secret_hex = 32, |s| s.secret_hex = 128],
        &[|s| s.secret_hex = 30, |s| s.secret_hex = 41, |s| s.secret_hex = 130, |s| s.min_secret_hex = 42],
    ),
    ("mfa.oath_algorithm", &[|s| s.oath_algorithm = "HOTP".into()], &[|s| s.oath_algorithm = "totp".into()]),
    (
        "mfa.totp_period",
        &[|s| s.totp_period = 10, |s| s.totp_period = 120],
        &[|s| s.totp_period = 9, |s| s.totp_period = 121],
    ),
    ("mfa.totp_hash", &[|s| s.totp_hash = "SHA512".into()], &[|s| s.totp_hash = "MD5".into()]),
    (
        "mfa.hotp_truncation_offset",
        &[|s| s.hotp_truncation_offset = -1],
        &[
            |s| (s.hotp_truncation_offset, s.force_nonstandard) = (16, true),
            |s| (s.hotp_truncation_offset, s.force_nonstandard) = (-2, true),
        ],
    ),
    (
        "mfa.policies",
        &[|s| s.policies = Some("{}".into())],
        &[
            |s| s.policies = Some("[]".into()),
            |s| s.policies = Some(r#"{"biometricAvailable":true}"#.into()),
            |s| s.policies = Some(r#"{"deviceTampering":{"score":2}}"#.into()),
        ],
    ),
    ("push.timeout", &[|s| s.push_timeout = 30], &[|s| s.push_timeout = 29, |s| s.push_timeout = 601]),
    ("push.type", &[|s| s.push_type = "biometric".into()], &[|s| s.push_type = "none".into()]),
    (
        "push.message.en",
        &[|s| drop(s.push_message.insert("en".into(), "Login of {user}".into()))],
        &[
            |s| drop(s.push_message.insert("en".into(), "say \"yes\"".into())),
            |s| drop(s.push_message.insert("en".into(), "123".into())),
        ],
    ),
];

/// The keys at fault.
fn faults(outcome: Result<Checked, Vec<Finding>>) -> Vec<String> {
    let found = outcome.err().unwrap_or_default();
    assert!(found.iter().all(|finding| !finding.reason.is_empty()));
    found.into_iter().map(|finding| finding.key).collect()
}

/// The keys that are questionable.
fn warnings(outcome: Result<Checked, Vec<Finding>>) -> Vec<String> {
    outcome
        .map(|checked| checked.warnings)
        .expect("no fault")
        .into_iter()
        .map(|finding| finding.key)
        .collect()
}

/// COMB-08 to COMB-12, COMB-16 to COMB-20, COMB-22 to COMB-25, COMB-41, COMB-42, D-63: the documents' defaults hold
/// together, without a word.
#[test]
fn the_defaults_are_the_documents() {
    let checked = Settings::default().check(&AROUND).expect("defaults");
    assert_eq!(checked.issuer.as_str(), "Example Inc");
    assert_eq!(checked.account_attribute, None);
    assert_eq!(checked.colour.as_str(), "032b75");
    assert!(checked.recovery_codes && checked.logo.is_none() && checked.policies.is_none());
    assert_eq!((checked.timeout_ms, checked.digits, checked.secret_len), (60_000, AppDigits::Six, 20));
    assert_eq!((checked.factor, checked.algorithm), (AppFactor::Totp(Period::THIRTY), Algorithm::Sha1));
    assert_eq!((checked.checksum, checked.truncation), (false, Truncation::Dynamic));
    assert_eq!((checked.push_ttl_s, checked.push_type), (120, PushType::Challenge));
    assert_eq!(checked.qr_messages.get("en", "en"), None);
    assert_eq!(checked.warnings, []);
}

/// COMB-07 to COMB-12, COMB-16 to COMB-20, COMB-22 to COMB-28, COMB-41, COMB-42, AT-22. Red when a value outside its
/// bounds passes, or one inside does not.
#[test]
fn each_setting_has_its_bounds() {
    for (key, good, bad) in BOUNDS {
        for change in good {
            assert_eq!(faults(changed(change)), Vec::<String>::new(), "{key}");
        }
        for (n, change) in bad.iter().enumerate() {
            assert_eq!(faults(changed(change)), [key], "{key} {n}");
        }
    }
}

/// COMB-16: each text is checked under its own key.
#[test]
fn qr_messages_are_checked_one_by_one() {
    let outcome = changed(|s| {
        s.qr_message =
            [("en-gb", "Scan"), ("e", "x"), ("de", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    });
    assert_eq!(faults(outcome), ["mfa.qr_message.de", "mfa.qr_message.e"]);
    let checked =
        changed(|s| drop(s.qr_message.insert("en-gb".to_owned(), "Scan".to_owned()))).expect("good");
    assert_eq!(checked.qr_messages.get("en-GB", "de"), Some("Scan"));
}

/// COMB-07, C.1.2, D-39. Red when push can be registered that nothing delivers, or phones are sent nowhere.
#[test]
fn the_rest_of_the_file_must_fit() {
    let check = |around: Around<'_>| Settings::default().check(&around);
    let found = check(Around { transports: 0, ..AROUND }).expect_err("no transport");
    assert!(found[0].reason.starts_with("CFG-COMB-1"), "{found:?}");
    assert_eq!(faults(check(Around { public_url: None, ..AROUND })), ["public_url"]);
    assert_eq!(
        faults(check(Around { public_url: Some("http://otp.example.org"), ..AROUND })),
        ["public_url"]
    );
    assert_eq!(faults(check(Around { name: "A:B", ..AROUND })), ["mfa.issuer"]);
    let all = check(Around { name: "", public_url: None, transports: 0, ..AROUND });
    assert_eq!(faults(all).len(), 3);
}

/// COMB-24, COMB-25, D-32. Red when codes are configured that no app can be told, without a word.
#[test]
fn what_apps_cannot_be_told_must_be_forced() {
    let hotp = |s: &mut Settings| s.oath_algorithm = "HOTP".to_owned();
    let checksum = changed(|s| (hotp(s), s.hotp_checksum = true).0);
    assert_eq!(faults(checksum), ["mfa.hotp_checksum"]);
    let offset = changed(|s| (hotp(s), s.hotp_truncation_offset = 0).0);
    assert_eq!(faults(offset), ["mfa.hotp_truncation_offset"]);
    let force = |s: &mut Settings| {
        (s.hotp_checksum, s.hotp_truncation_offset, s.force_nonstandard) = (true, 3, true);
    };
    let forced = changed(|s| (hotp(s), force(s)).0).expect("forced");
    assert_eq!((forced.checksum, forced.truncation), (true, Truncation::Fixed(3)));
    assert_eq!(warnings(Ok(forced)), ["mfa.hotp_checksum", "mfa.hotp_truncation_offset"]);
    assert_eq!(warnings(changed(force)), ["mfa.hotp_checksum", "mfa.hotp_truncation_offset"]);
}

/// COMB-23, C.1.4, COMB-42. Red when an operator is not told what generic apps and people do.
#[test]
fn what_may_surprise_is_told() {
    assert_eq!(warnings(changed(|s| s.totp_hash = "SHA256".to_owned())), ["mfa.totp_hash"]);
    let hotp = changed(|s| (s.oath_algorithm, s.totp_hash) = ("HOTP".to_owned(), "SHA256".to_owned()));
    assert_eq!(hotp.as_ref().map(|c| c.algorithm), Ok(Algorithm::Sha1));
    assert_eq!(warnings(hotp), ["mfa.totp_hash"]);
    assert_eq!(warnings(changed(|s| s.policies = Some(r#"{"own":{}}"#.to_owned()))), ["mfa.policies"]);
    assert_eq!(warnings(changed(|s| s.push_type = "default".to_owned())), ["push.type"]);
}
