//! `[mfa]` and `[push]`: what phones are registered with and asked (COMB-07 to COMB-28, COMB-41, COMB-42). What the values
//! may be is `push::settings`'s; here each finding gets its line.

use std::collections::BTreeMap;

use push::label::{PATH, SHORT_PATH};
use push::settings::{Around, Checked, Settings};
use serde::Deserialize;
use toml::Spanned;

use super::check::Checker;
use super::push_delivery;
use super::push_notice::{self, Notices};

/// What phones are registered with and asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// What holds for registrations and pushes.
    pub settings: Checked,
    /// Whether a phone may fetch its messages (`push.poll`).
    pub poll: bool,
    /// Whether a phone may say a new address (`push.refresh`, D-41).
    pub refresh: bool,
    /// How users are told of what was done (`push.notice`).
    pub notice: Notices,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MfaTable {
    issuer: Option<Spanned<String>>,
    account_name_attr: Option<Spanned<String>>,
    bgcolor: Option<Spanned<String>>,
    logo_url: Option<Spanned<String>>,
    generate_recovery_codes: Option<bool>,
    #[serde(default)]
    qr_message: BTreeMap<String, Spanned<String>>,
    registration_timeout: Option<Spanned<u32>>,
    otp_length: Option<Spanned<u8>>,
    min_secret_hex: Option<Spanned<u32>>,
    oath_algorithm: Option<Spanned<String>>,
    totp_period: Option<Spanned<u16>>,
    totp_hash: Option<Spanned<String>>,
    hotp_checksum: Option<Spanned<bool>>,
    hotp_truncation_offset: Option<Spanned<i64>>,
    force_nonstandard: Option<bool>,
    policies: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushTable {
    timeout: Option<Spanned<u32>>,
    #[serde(rename = "type")]
    kind: Option<Spanned<String>>,
    #[serde(default)]
    message: BTreeMap<String, Spanned<String>>,
    poll: Option<bool>,
    refresh: Option<bool>,
    path: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) delivery: push_delivery::Table,
    #[serde(default)]
    notice: push_notice::Table,
}

/// What the tables need of the rest of the file.
pub(super) struct Rest<'a> {
    /// The appliance's name.
    pub(super) name: &'a str,
    /// Where phones reach it.
    pub(super) public_url: Option<&'a str>,
    /// `oath.secret_hex`.
    pub(super) secret_hex: Option<Spanned<u32>>,
    /// Ways to phones that are switched on, beside the one that phones fetch.
    pub(super) transports: usize,
}

/// Values as they are taken over, each with its place.
struct Taking {
    settings: Settings,
    places: BTreeMap<String, usize>,
}

impl Taking {
    fn place<T>(&mut self, key: &str, value: Option<Spanned<T>>) -> Option<T> {
        value.map(|value| {
            self.places.insert(key.to_owned(), value.span().start);
            value.into_inner()
        })
    }

    fn texts(&mut self, key: &str, texts: BTreeMap<String, Spanned<String>>) -> BTreeMap<String, String> {
        let take = |(locale, text)| {
            let taken = self.place(&format!("{key}.{locale}"), Some(text)).unwrap_or_default();
            (locale, taken)
        };
        texts.into_iter().map(take).collect()
    }

    fn mfa(&mut self, table: MfaTable) {
        let d = Settings::default();
        self.settings = Settings {
            issuer: self.place("mfa.issuer", table.issuer),
            account_name_attr: self
                .place("mfa.account_name_attr", table.account_name_attr)
                .unwrap_or(d.account_name_attr),
            bgcolor: self.place("mfa.bgcolor", table.bgcolor).unwrap_or(d.bgcolor),
            logo_url: self.place("mfa.logo_url", table.logo_url),
            generate_recovery_codes: table.generate_recovery_codes.unwrap_or(d.generate_recovery_codes),
            qr_message: self.texts("mfa.qr_message", table.qr_message),
            registration_timeout: self
                .place("mfa.registration_timeout", table.registration_timeout)
                .unwrap_or(d.registration_timeout),
            otp_length: self.place("mfa.otp_length", table.otp_length).unwrap_or(d.otp_length),
            min_secret_hex: self
                .place("mfa.min_secret_hex", table.min_secret_hex)
                .unwrap_or(d.min_secret_hex),
            oath_algorithm: self
                .place("mfa.oath_algorithm", table.oath_algorithm)
                .unwrap_or(d.oath_algorithm),
            totp_period: self.place("mfa.totp_period", table.totp_period).unwrap_or(d.totp_period),
            totp_hash: self.place("mfa.totp_hash", table.totp_hash).unwrap_or(d.totp_hash),
            hotp_checksum: self.place("mfa.hotp_checksum", table.hotp_checksum).unwrap_or(d.hotp_checksum),
            hotp_truncation_offset: self
                .place("mfa.hotp_truncation_offset", table.hotp_truncation_offset)
                .unwrap_or(d.hotp_truncation_offset),
            force_nonstandard: table.force_nonstandard.unwrap_or(d.force_nonstandard),
            policies: self.place("mfa.policies", table.policies),
            ..std::mem::take(&mut self.settings)
        };
    }
}

/// Checks both tables; none without `[push]`.
pub(super) fn check(
    c: &mut Checker<'_>,
    mfa: Option<Spanned<MfaTable>>,
    push: Option<Spanned<PushTable>>,
    rest: Rest<'_>,
) -> Option<Push> {
    let Some(push) = push else {
        if let Some(mfa) = &mfa {
            c.find(mfa, "mfa", "CFG-COMB-1: phones are registered by push too: add [push]");
        }
        return None;
    };
    let at = push.span().start;
    let mut taking = Taking { settings: Settings::default(), places: BTreeMap::new() };
    if let Some(mfa) = mfa {
        taking.mfa(mfa.into_inner());
    }
    let table = push.into_inner();
    if let Some(hex) = taking.place("oath.secret_hex", rest.secret_hex) {
        taking.settings.secret_hex = hex;
    }
    if let Some(timeout) = taking.place("push.timeout", table.timeout) {
        taking.settings.push_timeout = timeout;
    }
    if let Some(kind) = taking.place("push.type", table.kind) {
        taking.settings.push_type = kind;
    }
    taking.settings.push_message = taking.texts("push.message", table.message);
    let notice = push_notice::check(c, table.notice);
    let (poll, refresh) = (table.poll.unwrap_or(true), table.refresh.unwrap_or(true));
    let path = match table.path.as_ref().map(|path| path.get_ref().as_str()) {
        None | Some(PATH) => PATH,
        Some(SHORT_PATH) => SHORT_PATH,
        Some(_) => {
            if let Some(path) = &table.path {
                c.find(path, "push.path", format!("must be {PATH} or {SHORT_PATH}"));
            }
            PATH
        }
    };
    let around = Around {
        name: rest.name,
        public_url: rest.public_url,
        path,
        transports: rest.transports + usize::from(poll),
    };
    match taking.settings.check(&around) {
        Ok(settings) => Some(Push { settings, poll, refresh, notice }),
        Err(faults) => {
            for fault in faults {
                let place = taking.places.get(&fault.key).copied().unwrap_or(at);
                c.put(place, &fault.key, fault.reason);
            }
            None
        }
    }
}

impl Push {
    /// What holds, but may surprise: keys with reasons.
    pub fn warnings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.warnings.iter().map(|warning| (warning.key.as_str(), warning.reason.as_str()))
    }
}
