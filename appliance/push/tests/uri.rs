//! The URIs of C.1 against their golden values, and against every trap of C.1.1.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use data_encoding::HEXLOWER;
use oath::{Algorithm, Period};
use proptest::prelude::*;
use push::label::{Account, Colour, Endpoint, Issuer, Logo, PATH};
use push::message_id::{MessageId, Purpose};
use push::policies::Policies;
use push::scan::{ScanError, Scanned, Scheme};
use push::uri::{AppDigits, AppFactor, Look, Oath, Push, UriError, mfauth, otpauth, pushauth};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("data/wire-golden.json")).unwrap()
}

fn input(name: &str) -> Vec<u8> {
    HEXLOWER.decode(golden()["inputs"][name].as_str().unwrap().as_bytes()).unwrap()
}

/// Owner of all that the golden values are made from.
struct Golden {
    issuer: Issuer,
    account: Account,
    colour: Colour,
    logo: Logo,
    endpoint: Endpoint,
    message: MessageId,
    policies: Policies,
    push_secret: [u8; 32],
    challenge: [u8; 32],
    oath_secret: Vec<u8>,
}

impl Golden {
    fn new() -> Self {
        let policies = r#"{"biometricAvailable":{},"deviceTampering":{"score":0.8}}"#;
        let id = golden()["registration_reply"]["messageId"].as_str().unwrap().to_owned();
        Golden {
            issuer: Issuer::parse("Example Inc").unwrap(),
            account: Account::of(None, "alice"),
            colour: Colour::parse("#032b75").unwrap(),
            logo: Logo::parse("https://otp.example.org/logo.png").unwrap(),
            endpoint: Endpoint::below("https://otp.example.org", PATH).unwrap(),
            message: MessageId::parse(Purpose::Register, &id).unwrap(),
            policies: Policies::parse(policies).unwrap().unwrap(),
            push_secret: input("push_secret_hex").try_into().unwrap(),
            challenge: input("reg_challenge_hex").try_into().unwrap(),
            oath_secret: input("oath_secret_hex"),
        }
    }

    fn look(&self) -> Look<'_> {
        Look {
            issuer: &self.issuer,
            account: &self.account,
            colour: Some(&self.colour),
            logo: Some(&self.logo),
        }
    }

    fn oath(&self) -> Oath<'_> {
        Oath {
            secret: &self.oath_secret,
            factor: AppFactor::Totp(Period::THIRTY),
            algorithm: Algorithm::Sha1,
            digits: AppDigits::Six,
        }
    }

    fn push(&self) -> Push<'_> {
        Push {
            secret: &self.push_secret,
            challenge: &self.challenge,
            endpoint: &self.endpoint,
            message: &self.message,
            policies: Some(&self.policies),
        }
    }
}

/// COMB-02, COMB-03, COMB-36, AT-22. Red when one byte of a URI differs from the golden one.
#[test]
fn every_golden_uri_is_written_to_the_byte() {
    let (g, golden) = (Golden::new(), golden());
    let (look, oath) = (g.look(), g.oath());
    let expect = |written: &str, name: &str| assert_eq!(written, golden[name].as_str().unwrap(), "{name}");
    let combined = mfauth(&look, &oath, &g.push()).unwrap();
    expect(&combined, "mfauth");
    assert_eq!(combined.len(), 600);
    expect(&pushauth(&look, &g.push()).unwrap(), "pushauth");
    let plain = Look { logo: None, ..look };
    expect(&otpauth(&plain, &oath).unwrap(), "otpauth_totp");
    let (bare, hotp) = (Look { colour: None, ..plain }, Oath { factor: AppFactor::Hotp(0), ..oath });
    expect(&otpauth(&bare, &hotp).unwrap(), "otpauth_hotp");
}

/// COMB-36. Red when the reader sees something else than what was put in.
#[test]
fn what_is_written_is_read_back() {
    let g = Golden::new();
    let hotp = Oath { factor: AppFactor::Hotp(7), digits: AppDigits::Eight, ..g.oath() };
    let sha256 = Oath { algorithm: Algorithm::Sha256, ..g.oath() };
    for (uri, scheme, oath) in [
        (mfauth(&g.look(), &hotp, &g.push()).unwrap(), Scheme::MfAuth, Some(hotp)),
        (mfauth(&g.look(), &sha256, &g.push()).unwrap(), Scheme::MfAuth, Some(sha256)),
        (pushauth(&g.look(), &g.push()).unwrap(), Scheme::PushAuth, None),
        (otpauth(&g.look(), &hotp).unwrap(), Scheme::OtpAuth, Some(hotp)),
    ] {
        let read = Scanned::parse(&uri).unwrap();
        assert_eq!(
            (read.scheme, read.issuer.as_str(), read.account.as_str()),
            (scheme, "Example Inc", "alice")
        );
        assert_eq!(read.colour.as_deref(), Some("032b75"));
        assert_eq!(read.image.as_deref(), Some("https://otp.example.org/logo.png"));
        assert_eq!(read.oath.is_some(), oath.is_some());
        if let (Some(read), Some(oath)) = (&read.oath, oath) {
            assert_eq!(
                (read.factor, read.algorithm, read.digits),
                (oath.factor, oath.algorithm, oath.digits)
            );
            assert_eq!(read.secret.as_slice(), oath.secret);
        }
        if let Some(push) = &read.push {
            assert_eq!((*push.secret, push.challenge), (g.push_secret, g.challenge));
            assert_eq!((push.register.as_str(), &push.message), (g.endpoint.register().as_str(), &g.message));
            assert_eq!(push.policies.as_deref(), Some(g.policies.json()));
        }
        assert_eq!(read.push.is_some(), scheme != Scheme::OtpAuth);
    }
}

fn replaced(name: &str, from: &str, to: &str) -> Result<Scheme, ScanError> {
    let uri = golden()[name].as_str().unwrap().to_owned();
    assert!(uri.contains(from), "{from} is not in {name}");
    Scanned::parse(&uri.replacen(from, to, 1)).map(|read| read.scheme)
}

/// C.1.1 (1): issuer, policies, cookie and the logo of `pushauth` stand in no alphabet that some phone reads otherwise;
/// `a`, `r`, `s`, `c` are URL-safe. Red when the reader takes what the alphabets disagree about.
#[test]
fn trap_1_alphabets() {
    let value = |name| Err(ScanError::Value(name));
    assert_eq!(replaced("pushauth", "image=aHR0cHM6", "image=aHR0-HM6"), value("image"));
    assert_eq!(replaced("mfauth", "policies=eyJi", "policies=eyI_"), value("policies"));
    assert_eq!(replaced("mfauth", "l=YW1s", "l=YW1_"), value("l"));
    assert_eq!(replaced("mfauth", "s=32WHir57K63F_gVC", "s=32WHir57K63F%2FgVC"), value("s"));
    assert_eq!(replaced("mfauth", "s=32WHir57K63F_gVC", "s=32WHir57K63F/gVC"), value("s"));
    assert!(replaced("mfauth", "s=32WHir57K63F_gVC", "s=32WHir57K63F-gVC").is_ok());
}

/// C.1.1 (2): the label has one colon, and the issuer of the parameter.
#[test]
fn trap_2_labels() {
    for to in
        ["Example%20Inc", "Example%20Inc:al:ice", "Example%20Inc:al%3Aice", "Other:alice", "Example%20Inc:"]
    {
        assert_eq!(replaced("mfauth", "Example%20Inc:alice", to), Err(ScanError::Label), "{to}");
    }
    let g = Golden::new();
    let account = Account::of(Some("DOM:alice"), "alice");
    let uri = otpauth(&Look { account: &account, ..g.look() }, &g.oath()).unwrap();
    assert!(uri.contains("/Example%20Inc:DOM_alice?"), "{}", *uri);
}

/// C.1.1 (3): nothing in the logo's address splits the query; only web addresses.
#[test]
fn trap_3_logos() {
    for to in ["image=ftp://otp.example.org/logo.png", "image=https://otp.example.org/%26.png"] {
        let outcome = replaced("mfauth", "image=https://otp.example.org/logo.png", to);
        assert_eq!(outcome, Err(ScanError::Value("image")), "{to}");
    }
    let split = replaced("mfauth", "/logo.png", "/logo.png&x=1");
    assert_eq!(split, Err(ScanError::Surplus("x".to_owned())));
}

/// C.1.1 (4): what a strict reader of URIs refuses is not written, whatever the names are.
#[test]
fn trap_4_characters() {
    let g = Golden::new();
    for name in ["a b", "{x}", "a|b", "\"q\"", "x^2", "Zürich", "a\\b", "<a>", "a`b"] {
        let (issuer, account) = (Issuer::parse("Küche").unwrap(), Account::of(Some(name), "alice"));
        let uri =
            mfauth(&Look { issuer: &issuer, account: &account, ..g.look() }, &g.oath(), &g.push()).unwrap();
        assert!(uri.bytes().all(|b| b.is_ascii_graphic() && !b"{}|\"^\\<>`".contains(&b)), "{}", *uri);
        assert_eq!(Scanned::parse(&uri).unwrap().account, name);
    }
    for bad in [" ", "{", "|", "\"", "^", "ü", "#"] {
        assert_eq!(replaced("otpauth_totp", "alice", bad), Err(ScanError::Character), "{bad}");
    }
}

/// C.1.1 (5), D-31, COMB-18, COMB-22, COMB-23: six or eight digits, a period, three hashes.
#[test]
fn trap_5_parameters_of_codes() {
    for (from, to, name) in [
        ("digits=6", "digits=7", "digits"),
        ("digits=6", "digits=10", "digits"),
        ("period=30", "period=0", "period"),
        ("period=30", "period=-30", "period"),
        ("period=30", "algorithm=MD5&period=30", "algorithm"),
        ("period=30", "algorithm=sha256&period=30", "algorithm"),
        ("period=30", "algorithm=SHA1&period=30", "algorithm"),
        ("secret=BZDM", "secret=bzdm", "secret"),
        ("secret=BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5", "secret=BZDMDZWJ", "secret"),
    ] {
        assert_eq!(replaced("mfauth", from, to), Err(ScanError::Value(name)), "{to}");
    }
    assert!(replaced("mfauth", "period=30", "algorithm=SHA512&period=30").is_ok());
    assert_eq!([6, 7, 8, 9].map(AppDigits::new).map(|digits| digits.is_some()), [true, false, true, false]);
}

/// C.1.1 (6): no padding anywhere.
#[test]
fn trap_6_padding() {
    let g = Golden::new();
    let uri = mfauth(&g.look(), &g.oath(), &g.push()).unwrap();
    assert!(uri.split('&').all(|pair| !pair.ends_with('=')), "{}", *uri);
    assert_eq!(
        replaced("mfauth", "issuer=RXhhbXBsZSBJbmM", "issuer=RXhhbXBsZSBJbmM="),
        Err(ScanError::Value("issuer"))
    );
}

/// C.1.1 (7): what phones decode is never sent in the clear, and so `demo` does not become garbage.
#[test]
fn trap_7_plain_text_that_looks_like_base64() {
    let g = Golden::new();
    let issuer = Issuer::parse("demo").unwrap();
    let look = Look { issuer: &issuer, ..g.look() };
    for uri in [mfauth(&look, &g.oath(), &g.push()).unwrap(), pushauth(&look, &g.push()).unwrap()] {
        assert!(uri.contains("&issuer=ZGVtbw"), "{}", *uri);
    }
    let plain = replaced("mfauth", "issuer=RXhhbXBsZSBJbmM", "issuer=Example%20Inc");
    assert_eq!(plain, Err(ScanError::Value("issuer")));
}

/// C.1.2: one base and two actions. Red when a phone that drops the query of `r` would answer elsewhere.
#[test]
fn endpoints_have_one_base() {
    let encode = |url: &str| push::base64::url_safe(url.as_bytes()).to_string();
    let (r, a) = (
        encode("https://otp.example.org/json/push/sns/message?_action=register"),
        encode("https://otp.example.org/json/push/sns/message?_action=authenticate"),
    );
    for (from, to, name) in [
        (&r, "https://otp.example.org/json/push/sns/message?_action=register&realm=a", "r"),
        (&r, "https://otp.example.org/json/push/sns/message?realm=a&_action=register", "r"),
        (&a, "https://otp.example.net/json/push/sns/message?_action=authenticate", "a"),
    ] {
        assert_eq!(replaced("mfauth", from, &encode(to)), Err(ScanError::Value(name)), "{to}");
    }
}

/// COMB-19, D-30, D-33. Red when a URI is made that no app computes with, or no camera sees.
#[test]
fn what_no_app_could_use_is_refused() {
    let g = Golden::new();
    let written = |oath: &Oath<'_>| otpauth(&g.look(), oath).map(drop);
    let hotp = Oath { factor: AppFactor::Hotp(0), algorithm: Algorithm::Sha256, ..g.oath() };
    assert_eq!(written(&hotp), Err(UriError::HotpHash));
    assert_eq!(written(&Oath { secret: &[1; 15], ..g.oath() }), Err(UriError::Secret));
    assert_eq!(written(&Oath { secret: &[1; 65], ..g.oath() }), Err(UriError::Secret));
    let long = Account::of(Some(&"日".repeat(64)), "alice");
    let endpoint = Endpoint::below(&format!("https://otp.example.org/{}", "x".repeat(140)), PATH).unwrap();
    let policies = Policies::parse(&format!(r#"{{"{}":{{}}}}"#, "x".repeat(480))).unwrap().unwrap();
    let push = Push { endpoint: &endpoint, policies: Some(&policies), ..g.push() };
    let outcome = mfauth(&Look { account: &long, ..g.look() }, &g.oath(), &push).map(drop);
    assert_eq!(outcome, Err(UriError::TooLong));
}

/// C.1, C.1.3. Red when a parameter is missing, twice, or in the wrong URI.
#[test]
fn each_uri_has_its_own_parameters() {
    for name in ["a", "r", "s", "c", "m", "issuer", "digits", "period", "secret"] {
        let golden = golden();
        let (head, query) = golden["mfauth"].as_str().unwrap().split_once('?').unwrap();
        let without: Vec<_> =
            query.split('&').filter(|pair| pair.split_once('=').unwrap().0 != name).collect();
        let outcome = Scanned::parse(&format!("{head}?{}", without.join("&"))).err();
        assert_eq!(outcome, Some(ScanError::Missing(name)));
    }
    let surplus = |name: &str| Err(ScanError::Surplus(name.to_owned()));
    assert_eq!(replaced("pushauth", "?a=", "?secret=MFRGG&a="), surplus("secret"));
    assert_eq!(replaced("otpauth_hotp", "?secret=", "?period=30&secret="), surplus("period"));
    assert_eq!(replaced("mfauth", "&b=032b75", "&b=032b75&b=032b75"), surplus("b"));
    assert_eq!(replaced("mfauth", "mfauth://totp", "mfauth://push"), Err(ScanError::Kind));
}

proptest! {
    #[test]
    fn every_name_comes_back(issuer in "\\PC{1,20}", account in "\\PC{1,80}", push_key: [u8; 32], oath_key: [u8; 20]) {
        let g = Golden::new();
        let Ok(issuer) = Issuer::parse(&issuer) else { return Ok(()) };
        let account = Account::of(Some(&account), "alice");
        let look = Look { issuer: &issuer, account: &account, ..g.look() };
        let push = Push { secret: &push_key, ..g.push() };
        let uri = mfauth(&look, &Oath { secret: &oath_key, ..g.oath() }, &push).unwrap();
        let read = Scanned::parse(&uri).unwrap();
        prop_assert_eq!(read.issuer, issuer.as_str());
        prop_assert_eq!(read.account, account.as_str());
        prop_assert!(read.oath.is_some_and(|oath| oath.secret.as_slice() == oath_key));
        prop_assert!(read.push.is_some_and(|push| *push.secret == push_key));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~é]{0,200}") {
        let _unused = Scanned::parse(&text);
        let _unused = Scanned::parse(&format!("mfauth://totp/{text}"));
    }
}
