//! The parameters of combined registration (COMB-07 to COMB-28): defaults, ranges, and what they must not say together.
//!
//! Plain values come in, as a file has them; checked ones go out, or every fault with its key. No file is read here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use oath::{Algorithm, Period, Truncation};

use crate::label::{Colour, Endpoint, Issuer, Logo};
use crate::message_text::MessageText;
use crate::payload::TTL_S;
use crate::policies::Policies;
use crate::texts::{self, Texts};
use crate::uri::{AppDigits, AppFactor};

/// How long the phone's reply is waited for, in seconds (COMB-17).
pub const TIMEOUT_S: RangeInclusive<u32> = 10..=600;
/// Digits of a code (COMB-18).
pub const OTP_LENGTH: RangeInclusive<u8> = 6..=8;
/// Bounds of the shortest secret that is let pass, in hexadecimal digits (COMB-19).
pub const MIN_SECRET_HEX: RangeInclusive<u32> = 32..=128;
/// Most hexadecimal digits of a secret that a URI carries.
pub const SECRET_HEX_MAX: u32 = 128;
/// Longest name of an attribute, in bytes.
const ATTRIBUTE_MAX: usize = 64;

/// The settings as they are written. Every field has the document's default.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `mfa.issuer` (COMB-08); none is the appliance's name (D-63).
    pub issuer: Option<String>,
    /// `mfa.account_name_attr` (COMB-09).
    pub account_name_attr: String,
    /// `mfa.bgcolor` (COMB-10).
    pub bgcolor: String,
    /// `mfa.logo_url` (COMB-11).
    pub logo_url: Option<String>,
    /// `mfa.generate_recovery_codes` (COMB-12).
    pub generate_recovery_codes: bool,
    /// `mfa.qr_message.<locale>` (COMB-16).
    pub qr_message: BTreeMap<String, String>,
    /// `mfa.registration_timeout`, in seconds (COMB-17).
    pub registration_timeout: u32,
    /// `mfa.otp_length` (COMB-18).
    pub otp_length: u8,
    /// `mfa.min_secret_hex` (COMB-19).
    pub min_secret_hex: u32,
    /// `oath.secret_hex`: digits of the secrets that are made (D-33).
    pub secret_hex: u32,
    /// `mfa.oath_algorithm`: `TOTP` or `HOTP` (COMB-20).
    pub oath_algorithm: String,
    /// `mfa.totp_period`, in seconds (COMB-22).
    pub totp_period: u16,
    /// `mfa.totp_hash` (COMB-23).
    pub totp_hash: String,
    /// `mfa.hotp_checksum` (COMB-24).
    pub hotp_checksum: bool,
    /// `mfa.hotp_truncation_offset` (COMB-25).
    pub hotp_truncation_offset: i64,
    /// `mfa.force_nonstandard`: lets pass what no app can be told (D-32).
    pub force_nonstandard: bool,
    /// `mfa.policies` (COMB-26).
    pub policies: Option<String>,
    /// `push.timeout`, in seconds (COMB-41).
    pub push_timeout: u32,
    /// `push.type`: `default`, `challenge` or `biometric` (COMB-42, D-42).
    pub push_type: String,
    /// `push.message.<locale>` (COMB-41).
    pub push_message: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            issuer: None,
            account_name_attr: "username".to_owned(),
            bgcolor: "032b75".to_owned(),
            logo_url: None,
            generate_recovery_codes: true,
            qr_message: BTreeMap::new(),
            registration_timeout: 60,
            otp_length: 6,
            min_secret_hex: 32,
            secret_hex: 40,
            oath_algorithm: "TOTP".to_owned(),
            totp_period: 30,
            totp_hash: "SHA1".to_owned(),
            hotp_checksum: false,
            hotp_truncation_offset: -1,
            force_nonstandard: false,
            policies: None,
            push_timeout: 120,
            push_type: "challenge".to_owned(),
            push_message: BTreeMap::new(),
        }
    }
}

/// What the settings need of the rest of the file.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The appliance's configured name.
    pub name: &'a str,
    /// `public_url`, where phones reach it.
    pub public_url: Option<&'a str>,
    /// The path of the endpoint: [`crate::label::PATH`] or [`crate::label::SHORT_PATH`].
    pub path: &'a str,
    /// Configured ways to deliver a push (COMB-07, D-39).
    pub transports: usize,
}

/// What is wrong with a setting, or questionable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key in the file.
    pub key: String,
    /// Why, for whoever wrote it.
    pub reason: String,
}

/// What a push asks for (COMB-42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushType {
    /// Approve or deny.
    Default,
    /// Tap the right number.
    Challenge,
    /// A finger or a face.
    Biometric,
}

/// Settings that hold together.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Who issues.
    pub issuer: Issuer,
    /// The attribute that is shown; none is the user name (COMB-09).
    pub account_attribute: Option<String>,
    /// The colour behind the logo.
    pub colour: Colour,
    /// The logo.
    pub logo: Option<Logo>,
    /// Where phones answer.
    pub endpoint: Endpoint,
    /// Whether recovery codes are made.
    pub recovery_codes: bool,
    /// Instructions beside the QR code.
    pub qr_messages: Texts,
    /// How long the reply is waited for, in milliseconds.
    pub timeout_ms: u64,
    /// Digits of a code.
    pub digits: AppDigits,
    /// Bytes of a new secret.
    pub secret_len: usize,
    /// What codes move with; a counter begins at 0.
    pub factor: AppFactor,
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// Whether HOTP codes end in a checksum digit.
    pub checksum: bool,
    /// Where in the MAC an HOTP code is taken.
    pub truncation: Truncation,
    /// What phones must satisfy.
    pub policies: Option<Policies>,
    /// How long a push may be answered, in seconds.
    pub push_ttl_s: u32,
    /// What a push asks for.
    pub push_type: PushType,
    /// What a push says, by locale.
    pub push_messages: Texts,
    /// What holds, but may surprise.
    pub warnings: Vec<Finding>,
}

/// Findings as they are made.
#[derive(Default)]
struct Findings {
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Findings {
    fn fault(&mut self, key: &str, reason: impl ToString) {
        self.faults.push(Finding { key: key.to_owned(), reason: reason.to_string() });
    }

    fn warn(&mut self, key: &str, reason: impl ToString) {
        self.warnings.push(Finding { key: key.to_owned(), reason: reason.to_string() });
    }

    /// The value, or a fault at its key.
    fn take<T, E: ToString>(&mut self, key: &str, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.fault(key, error)).ok()
    }

    fn within<T: PartialOrd + std::fmt::Display>(&mut self, key: &str, value: &T, range: &RangeInclusive<T>) {
        if !range.contains(value) {
            self.fault(key, format!("must be {} to {}", range.start(), range.end()));
        }
    }
}

/// The OATH half, checked.
struct Codes {
    digits: Option<AppDigits>,
    factor: Option<AppFactor>,
    algorithm: Algorithm,
    truncation: Option<Truncation>,
}

impl Settings {
    /// Checks everything, each setting alone and against the others.
    ///
    /// # Errors
    /// Every fault, not only the first.
    pub fn check(&self, around: &Around<'_>) -> Result<Checked, Vec<Finding>> {
        let mut f = Findings::default();
        if around.transports == 0 {
            f.fault("push", "CFG-COMB-1: push registration needs at least one transport");
        }
        let issuer = Issuer::parse(self.issuer.as_deref().unwrap_or(around.name));
        let issuer = f.take("mfa.issuer", issuer);
        let colour = f.take("mfa.bgcolor", Colour::parse(&self.bgcolor));
        let logo = self.logo_url.as_deref().map(Logo::parse).transpose();
        let logo = f.take("mfa.logo_url", logo);
        let endpoint = match around.public_url {
            Some(url) => f.take("public_url", Endpoint::below(url, around.path)),
            None => f.take("public_url", Err("is needed: the QR code tells phones where to answer")),
        };
        let attribute = &self.account_name_attr;
        if attribute.is_empty() || attribute.len() > ATTRIBUTE_MAX || attribute.contains(char::is_control) {
            f.fault("mfa.account_name_attr", "must be the name of an attribute, or username");
        }
        f.within("mfa.registration_timeout", &self.registration_timeout, &TIMEOUT_S);
        f.within("push.timeout", &self.push_timeout, &TTL_S);
        self.secrets(&mut f);
        let codes = self.codes(&mut f);
        let policies = self.policies.as_deref().map_or(Ok(None), Policies::parse);
        let policies = f.take("mfa.policies", policies);
        if let Some(Some(policies)) = &policies {
            for name in policies.unknown() {
                f.warn("mfa.policies", format!("{name} counts only in apps that know it"));
            }
        }
        let push_type = self.push_type(&mut f);
        let qr_messages = messages(&mut f, "mfa.qr_message", &self.qr_message, texts::check);
        let in_push =
            |text: &str| MessageText::fill(text, "user", "issuer").map(drop).map_err(|e| e.to_string());
        let push_messages = messages(&mut f, "push.message", &self.push_message, in_push);
        let complete = (|| {
            Some(Checked {
                issuer: issuer?,
                account_attribute: (attribute != "username").then(|| attribute.clone()),
                colour: colour?,
                logo: logo?,
                endpoint: endpoint?,
                recovery_codes: self.generate_recovery_codes,
                qr_messages,
                timeout_ms: u64::from(self.registration_timeout) * 1000,
                digits: codes.digits?,
                secret_len: self.secret_hex as usize / 2,
                factor: codes.factor?,
                algorithm: codes.algorithm,
                checksum: self.hotp_checksum,
                truncation: codes.truncation?,
                policies: policies?,
                push_ttl_s: self.push_timeout,
                push_type: push_type?,
                push_messages,
                warnings: std::mem::take(&mut f.warnings),
            })
        })();
        match complete {
            Some(checked) if f.faults.is_empty() => Ok(checked),
            _ => Err(f.faults),
        }
    }

    /// COMB-19, D-33.
    fn secrets(&self, f: &mut Findings) {
        f.within("mfa.min_secret_hex", &self.min_secret_hex, &MIN_SECRET_HEX);
        if !self.secret_hex.is_multiple_of(2) || self.secret_hex > SECRET_HEX_MAX {
            f.fault("oath.secret_hex", format!("must be even, and at most {SECRET_HEX_MAX}"));
        }
        if self.secret_hex < self.min_secret_hex {
            let least = self.min_secret_hex;
            f.fault("oath.secret_hex", format!("must not be less than mfa.min_secret_hex, which is {least}"));
        }
    }

    /// COMB-18, COMB-20 to COMB-25.
    fn codes(&self, f: &mut Findings) -> Codes {
        f.within("mfa.otp_length", &self.otp_length, &OTP_LENGTH);
        let digits = AppDigits::new(self.otp_length);
        if digits.is_none() && OTP_LENGTH.contains(&self.otp_length) {
            f.fault("mfa.otp_length", "must be 6 or 8: apps know no other length (hardware tokens do)");
        }
        let period = f.take("mfa.totp_period", Period::new(self.totp_period));
        let hash = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == self.totp_hash);
        if hash.is_none() {
            f.fault("mfa.totp_hash", "must be SHA1, SHA256 or SHA512");
        }
        let truncation =
            f.take("mfa.hotp_truncation_offset", Truncation::from_offset(self.hotp_truncation_offset));
        let totp = match self.oath_algorithm.as_str() {
            "TOTP" => Some(true),
            "HOTP" => Some(false),
            _ => {
                f.fault("mfa.oath_algorithm", "must be TOTP or HOTP");
                None
            }
        };
        if totp == Some(true) && hash.is_some_and(|hash| hash != Algorithm::Sha1) {
            f.warn("mfa.totp_hash", "most authenticator apps compute with SHA1 whatever the QR code says");
        }
        if totp == Some(false) && self.totp_hash != "SHA1" {
            f.warn("mfa.totp_hash", "has no effect: HOTP in apps is SHA1");
        }
        let nonstandard = [
            ("mfa.hotp_checksum", self.hotp_checksum),
            ("mfa.hotp_truncation_offset", self.hotp_truncation_offset != -1),
        ];
        for (key, _) in nonstandard.into_iter().filter(|(_, set)| *set) {
            match (self.force_nonstandard, totp) {
                (false, _) => f.fault(key, "no app can be told; force_nonstandard = true if yours know"),
                (true, Some(true)) => f.warn(key, "has no effect: it is for HOTP"),
                (true, _) => f.warn(key, "apps that were not told show other codes"),
            }
        }
        Codes {
            digits,
            factor: match totp {
                Some(true) => period.map(AppFactor::Totp),
                Some(false) => Some(AppFactor::Hotp(0)),
                None => None,
            },
            algorithm: hash.filter(|_| totp == Some(true)).unwrap_or(Algorithm::Sha1),
            truncation,
        }
    }

    fn push_type(&self, f: &mut Findings) -> Option<PushType> {
        match self.push_type.as_str() {
            "challenge" => Some(PushType::Challenge),
            "default" | "biometric" => {
                f.warn("push.type", "without a number, a person can approve a login that is not theirs");
                Some(if self.push_type == "default" { PushType::Default } else { PushType::Biometric })
            }
            _ => {
                f.fault("push.type", "must be default, challenge or biometric");
                None
            }
        }
    }
}

fn messages(
    f: &mut Findings,
    key: &str,
    texts: &BTreeMap<String, String>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Texts {
    let mut messages = Texts::default();
    for (locale, text) in texts {
        let key = format!("{key}.{locale}");
        if let Err(reason) = check(text) {
            f.fault(&key, reason);
        } else if let Err(error) = messages.add(locale, text) {
            f.fault(&key, error);
        }
    }
    messages
}
