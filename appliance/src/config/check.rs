//! What a well-formed file may still get wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use domain::approval::Kind;
use domain::challenge::Terms;
use domain::limit::Limits;
use domain::names::ApplicationName;
use domain::sentcode::{SENT_DIGITS_MAX, SENT_DIGITS_MIN};
use domain::time::SHORT_TERM_MAX_MS;
use domain::verify::Window;
use toml::Spanned;

use super::check_people::{self, SoftOathTable, Tables};
use super::file::{self, File, line_of};
use super::people::Notices;
use super::people_file;
use super::{
    Address, Config, Finding, HsmSection, Listener, Messages, ModemSection, Provisioning, TwoPerson,
    enrolment,
};
use super::{push, push_delivery};
use crate::texts::{self, Catalog, parts};

const ISSUER: &str = "Countersign";
const ISSUER_MAX: usize = 64;
/// Leaves room for the rest of a text message with a link, in three parts.
const PUBLIC_URL_MAX: usize = 200;
const HSM_DEADLINE_MS: u64 = 2_000;
const HSM_DEADLINE_RANGE_MS: std::ops::RangeInclusive<u64> = 100..=30_000;
const QUESTION_TTL_RANGE_MS: std::ops::RangeInclusive<u64> = 10_000..=600_000;
const OTP_TTL_RANGE_MS: std::ops::RangeInclusive<u64> = 30_000..=600_000;
const PAIR_LOCK_RANGE_MS: std::ops::RangeInclusive<u64> = 60_000..=30 * 24 * 3_600_000;
const APPROVAL_LIFE_RANGE_MS: std::ops::RangeInclusive<u64> = 1_000..=7 * 24 * 3_600_000;
const SESSION_LIMIT_MAX: u32 = 100;
/// NIST SP 800-63B: no more than 100 consecutive failures.
const USER_FAILURES_MAX: u32 = 100;

/// Collects findings while the values are taken over.
pub(super) struct Checker<'t> {
    text: &'t str,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    pub(super) fn find<T>(&mut self, at: &Spanned<T>, key: &str, text: impl Into<String>) {
        self.put(at.span().start, key, text);
    }

    /// A finding at a byte offset.
    pub(super) fn put(&mut self, offset: usize, key: &str, text: impl Into<String>) {
        let line = line_of(self.text, offset);
        self.findings.push(Finding { file: None, line, key: key.to_owned(), text: text.into() });
    }

    pub(super) fn number<T: PartialOrd + Copy + std::fmt::Display>(
        &mut self,
        value: Option<Spanned<T>>,
        key: &str,
        range: std::ops::RangeInclusive<T>,
        default: T,
    ) -> T {
        let Some(value) = value else { return default };
        if !range.contains(value.get_ref()) {
            let text = format!("{} is outside {} to {}", value.get_ref(), range.start(), range.end());
            self.find(&value, key, text);
        }
        *value.get_ref()
    }

    pub(super) fn milliseconds(
        &mut self,
        value: Option<Spanned<String>>,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(value) = value else { return default };
        let ms = value.get_ref().parse::<jiff::SignedDuration>().ok().map(|d| d.as_millis());
        match ms.and_then(|ms| u64::try_from(ms).ok()) {
            Some(ms) if range.contains(&ms) => ms,
            Some(_) => {
                let text = format!("must be {} s to {} s", range.start() / 1000, range.end() / 1000);
                self.find(&value, key, text);
                default
            }
            None => {
                self.find(&value, key, "is no duration; write it as 60s, 15m or 24h");
                default
            }
        }
    }

    pub(super) fn absolute(&mut self, path: &Spanned<PathBuf>, key: &str) {
        if !path.get_ref().is_absolute() {
            self.find(path, key, "must be an absolute path");
        }
    }
}

pub(super) fn check(text: &str, mut file: File) -> Result<Config, Vec<Finding>> {
    let mut c = Checker { text, findings: Vec::new() };
    c.absolute(&file.state_dir, "state_dir");
    public_url(&mut c, file.public_url.as_ref());
    let has_modem = !file.modem.is_empty();
    let idle_keys = idle_keys(&file.hsm);
    let issuer = issuer(&mut c, file.issuer.take());
    let has_push = file.push.is_some();
    let (push, delivery) = phones(&mut c, &mut file, &issuer);
    let hsm = hsm(&mut c, file.hsm);
    if file.listen.is_empty() {
        c.find(&file.state_dir, "listen", "there is no [[listen]]: nobody could speak to the daemon");
    }
    let listeners = file.listen.into_iter().filter_map(|listen| listener(&mut c, listen)).collect();
    let modems = modems(&mut c, file.modem);
    let limits = limits(&mut c, file.limits);
    let (window, questions, soft) = oath(&mut c, file.oath);
    let notices = notices(&file.sms);
    let Parts { terms, sms_message, registration, number, sms_limits } = sms(&mut c, file.sms);
    let people = check_people::check(
        &mut c,
        Tables {
            authenticators: file.authenticator,
            flows: file.flow,
            selfservice: file.selfservice,
            registration,
            number,
            sms_limits,
            notices,
            letters: file.letters,
            oath: soft,
            backchannels: file.backchannel,
            mail: file.mail,
            pages: file.pages,
            public_url: file.public_url,
            has_modem,
            has_push,
        },
    );
    let provisioning = provisioning(&mut c, file.provisioning);
    let two_person = two_person(&mut c, file.two_person);
    let messages = messages(&mut c, file.messages);
    let enrol = enrolment::check(&mut c, file.enrol, &people.flows);
    match (c.findings.is_empty(), hsm) {
        (true, Some(hsm)) => Ok(Config {
            state_dir: file.state_dir.into_inner(),
            issuer,
            hsm,
            listeners,
            modems,
            limits,
            window,
            terms,
            questions,
            sms_message,
            privacyidea_verbose: file.compat.privacyidea.verbose,
            provisioning,
            two_person,
            people,
            push,
            delivery,
            messages,
            enrol,
            texts: Catalog::default(),
            idle_keys,
        }),
        _ => {
            c.findings.sort_by_key(|finding| finding.line);
            Err(c.findings)
        }
    }
}

/// Keys that are read and not acted on yet.
fn idle_keys(hsm: &file::Hsm) -> Vec<&'static str> {
    let keys = [("hsm.sandbox", hsm.sandbox.is_some()), ("hsm.paths_rw", !hsm.paths_rw.is_empty())];
    keys.into_iter().filter(|(_, there)| *there).map(|(key, _)| key).collect()
}

/// `[mfa]`, `[push]` and the ways to phones.
fn phones(
    c: &mut Checker<'_>,
    file: &mut File,
    issuer: &str,
) -> (Option<push::Push>, push_delivery::Delivery) {
    let ways = file.push.as_mut().map(|push| std::mem::take(&mut push.as_mut().delivery)).unwrap_or_default();
    let delivery = push_delivery::check(c, ways);
    let rest = push::Rest {
        name: issuer,
        public_url: file.public_url.as_ref().map(|url| url.get_ref().as_str()),
        secret_hex: file.oath.secret_hex.take(),
        transports: delivery.transports(),
    };
    (push::check(c, file.mfa.take(), file.push.take(), rest), delivery)
}

fn public_url(c: &mut Checker<'_>, url: Option<&Spanned<String>>) {
    let Some(url) = url else { return };
    let text = url.get_ref();
    if !(text.starts_with("https://") || text.starts_with("http://")) {
        c.find(url, "public_url", "must begin with https:// or http://");
    }
    if text.len() > PUBLIC_URL_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        c.find(
            url,
            "public_url",
            format!("must be at most {PUBLIC_URL_MAX} ASCII characters: it is sent by SMS"),
        );
    }
}

/// `:` would split the label of a URI in the wrong place (C.1.1).
fn issuer(c: &mut Checker<'_>, issuer: Option<Spanned<String>>) -> String {
    let Some(issuer) = issuer else { return ISSUER.to_owned() };
    let text = issuer.get_ref();
    if text.is_empty() || text.chars().count() > ISSUER_MAX || text.contains(':') {
        c.find(&issuer, "issuer", format!("must be 1 to {ISSUER_MAX} characters without ':'"));
    }
    issuer.into_inner()
}

fn hsm(c: &mut Checker<'_>, section: file::Hsm) -> Option<HsmSection> {
    c.absolute(&section.module, "hsm.module");
    for path in &section.paths_rw {
        c.absolute(path, "hsm.paths_rw");
    }
    if let Some(sandbox) = &section.sandbox
        && !["local", "unix", "network"].contains(&sandbox.get_ref().as_str())
    {
        c.find(sandbox, "hsm.sandbox", "must be local, unix or network");
    }
    let deadline_ms =
        c.milliseconds(section.deadline, "hsm.deadline", HSM_DEADLINE_RANGE_MS, HSM_DEADLINE_MS);
    let pin = match (section.pin_file, section.pin_credential) {
        (Some(file), None) => {
            c.absolute(&file, "hsm.pin_file");
            hsm::PinSource::File(file.into_inner())
        }
        (None, Some(name)) => hsm::PinSource::Credential(name.into_inner()),
        (Some(_), Some(name)) => {
            c.find(&name, "hsm.pin_credential", "give either pin_file or pin_credential, not both");
            return None;
        }
        (None, None) => {
            c.find(&section.module, "hsm.pin_file", "is missing; give pin_file or pin_credential");
            return None;
        }
    };
    Some(HsmSection {
        module: section.module.into_inner(),
        token_label: section.token_label.into_inner(),
        pin,
        env: section.env,
        deadline_ms,
    })
}

fn listener(c: &mut Checker<'_>, listen: file::Listen) -> Option<Listener> {
    for path in [&listen.cert, &listen.key, &listen.client_ca].into_iter().flatten() {
        c.find(path, "listen", "cert, key and client_ca belong to kind = \"tls\"");
    }
    let application = match &listen.application {
        None => None,
        Some(name) => match ApplicationName::parse(name.get_ref()) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                c.find(name, "listen.application", error.to_string());
                None
            }
        },
    };
    let address = match listen.kind.get_ref().as_str() {
        "unix" => {
            let path = PathBuf::from(listen.address.get_ref());
            if !path.is_absolute() {
                c.find(&listen.address, "listen.address", "must be an absolute path");
            }
            Address::Unix(path)
        }
        "http" => match listen.address.get_ref().parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Address::Http(address),
            Ok(_) => {
                c.find(
                    &listen.address,
                    "listen.address",
                    "http is served on loopback only, such as 127.0.0.1:8080",
                );
                return None;
            }
            Err(_) => {
                c.find(
                    &listen.address,
                    "listen.address",
                    "must be an address and a port, such as 127.0.0.1:8080",
                );
                return None;
            }
        },
        "tls" => {
            c.find(&listen.kind, "listen.kind", "tls is not served by this version; use unix or http");
            return None;
        }
        _ => {
            c.find(&listen.kind, "listen.kind", "must be unix or http");
            return None;
        }
    };
    let phones_only = match listen.purpose.as_ref().map(|purpose| purpose.get_ref().as_str()) {
        None | Some("all") => false,
        Some("phones") => true,
        Some(_) => {
            if let Some(purpose) = &listen.purpose {
                c.find(purpose, "listen.purpose", "must be all or phones");
            }
            false
        }
    };
    if phones_only && application.is_some() {
        c.find(&listen.address, "listen.application", "phones are no application: leave it out");
    }
    Some(Listener { address, application, phones_only })
}

fn provisioning(c: &mut Checker<'_>, table: file::Provisioning) -> Provisioning {
    let mut maker_keys = Vec::new();
    for key in &table.maker_keys {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(key.get_ref().as_bytes()).ok();
        match bytes.and_then(|bytes| <[u8; 65]>::try_from(bytes).ok()).filter(|bytes| bytes[0] == 4) {
            Some(bytes) => maker_keys.push(bytes),
            None => c.find(key, "provisioning.maker_keys", "must be 65 bytes of hex that begin with 04"),
        }
    }
    for serial in &table.revoked_serials {
        if let Err(error) = link::Serial::parse(serial.get_ref()) {
            c.find(serial, "provisioning.revoked_serials", error.to_string());
        }
    }
    let revoked_serials = table.revoked_serials.into_iter().map(Spanned::into_inner).collect();
    Provisioning { maker_keys, revoked_serials }
}

fn two_person(c: &mut Checker<'_>, table: file::TwoPerson) -> TwoPerson {
    let d = TwoPerson::default();
    let life_ms = u64::try_from(d.life_ms).unwrap_or_default();
    let life_ms = c.milliseconds(table.life, "two_person.life", APPROVAL_LIFE_RANGE_MS, life_ms);
    let acts = match table.acts {
        None => d.acts,
        Some(names) => names
            .iter()
            .filter_map(|name| {
                let kind = Kind::from_name(name.get_ref());
                if kind.is_none() {
                    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                    let text = format!("{:?} is no such act; there are {}", name.get_ref(), known.join(", "));
                    c.find(name, "two_person.acts", text);
                }
                kind
            })
            .collect(),
    };
    TwoPerson { acts, life_ms: i64::try_from(life_ms).unwrap_or(d.life_ms) }
}

fn notices(table: &file::Sms) -> Notices {
    let d = Notices::default();
    Notices {
        old: table.notify_old_on_change.unwrap_or(d.old),
        new: table.notify_new_on_change.unwrap_or(d.new),
        mask_for_admins: table.mask_for_admins.unwrap_or(d.mask_for_admins),
    }
}

fn messages(c: &mut Checker<'_>, table: file::Messages) -> Messages {
    if let Some(dir) = &table.dir {
        c.absolute(dir, "messages.dir");
    }
    Messages { dir: table.dir.map(Spanned::into_inner), sha256: None }
}

fn modems(c: &mut Checker<'_>, sections: Vec<file::Modem>) -> Vec<ModemSection> {
    let mut seen = BTreeSet::new();
    let mut modems = Vec::new();
    for section in sections {
        if !seen.insert(section.id.get_ref().clone()) {
            c.find(&section.id, "modem.id", "is used twice");
        }
        if let Some(smsc) = &section.smsc
            && modem::pdu::Number::parse(smsc.get_ref()).is_err()
        {
            c.find(smsc, "modem.smsc", "must be a number such as +41794999000");
        }
        modems.push(ModemSection {
            id: section.id.into_inner(),
            port: section.port,
            sim_pin_file: section.sim_pin_file,
            smsc: section.smsc.map(Spanned::into_inner),
        });
    }
    modems
}

fn limits(c: &mut Checker<'_>, table: file::LimitsTable) -> Limits {
    let d = Limits::default();
    let pair_lock = u64::try_from(d.pair_lock_ms).unwrap_or_default();
    Limits {
        token_failures: c.number(table.token_failures, "limits.token_failures", 1..=20, d.token_failures),
        token_lock_ms: c.milliseconds(
            table.token_lock,
            "limits.token_lock",
            1_000..=SHORT_TERM_MAX_MS,
            d.token_lock_ms,
        ),
        delay_from: c.number(table.delay_from, "limits.delay_from", 1..=20, d.delay_from),
        pair_failures: c.number(table.pair_failures, "limits.pair_failures", 1..=50, d.pair_failures),
        pair_lock_ms: i64::try_from(c.milliseconds(
            table.pair_lock,
            "limits.pair_lock",
            PAIR_LOCK_RANGE_MS,
            pair_lock,
        ))
        .unwrap_or(d.pair_lock_ms),
        user_failures: c.number(
            table.user_failures,
            "limits.user_failures",
            1..=USER_FAILURES_MAX,
            d.user_failures,
        ),
    }
}

fn oath(c: &mut Checker<'_>, table: file::Oath) -> (Window, Terms, SoftOathTable) {
    let (d, q) = (Window::default(), Terms::of_questions());
    let ttl_ms = c.milliseconds(table.challenge_ttl, "oath.challenge_ttl", QUESTION_TTL_RANGE_MS, q.ttl_ms);
    let soft = SoftOathTable {
        kind: table.kind,
        algorithm: table.algorithm,
        digits: table.digits,
        period: table.period,
        quota_soft: table.quota_soft,
        quota_hard: table.quota_hard,
        confirm_on_activation: table.confirm_on_activation,
        reveal_after_activation: table.reveal_after_activation,
        replace_immediately: table.replace_immediately,
        auto_order_letter: table.auto_order_letter,
        auto_order_letter_new_users: table.auto_order_letter_new_users,
        admin: table.admin,
    };
    let window = Window {
        look_ahead: c.number(table.hotp_window, "oath.hotp_window", 1..=100, d.look_ahead),
        steps: c.number(table.totp_window, "oath.totp_window", 0..=10, d.steps),
        drift_max: c.number(table.drift_max, "oath.drift_max", 0..=20, d.drift_max),
        auto_adjust: table.auto_adjust.unwrap_or(d.auto_adjust),
    };
    (window, Terms { ttl_ms, ..q }, soft)
}

/// What stands in `[sms]`.
struct Parts {
    terms: Terms,
    sms_message: String,
    registration: people_file::SelfRegistration,
    number: people_file::Number,
    sms_limits: people_file::SmsLimits,
}

fn sms(c: &mut Checker<'_>, table: file::Sms) -> Parts {
    let d = Terms::default();
    let terms = Terms {
        digits: c.number(table.otp_length, "sms.otp_length", SENT_DIGITS_MIN..=SENT_DIGITS_MAX, d.digits),
        ttl_ms: c.milliseconds(table.otp_ttl, "sms.otp_ttl", OTP_TTL_RANGE_MS, d.ttl_ms),
        attempts_max: c.number(
            table.max_allowed_attempts,
            "sms.max_allowed_attempts",
            0..=SESSION_LIMIT_MAX,
            d.attempts_max,
        ),
        sends_max: c.number(
            table.max_challenges_sent,
            "sms.max_challenges_sent",
            0..=SESSION_LIMIT_MAX,
            d.sends_max,
        ),
        ..d
    };
    if let Some(message) = &table.message {
        let text = message.get_ref();
        if let Some(fault) = texts::template_fault(text) {
            c.find(message, "sms.message", fault);
        } else if let Some(fault) = parts::too_long(&parts::general(text, terms.digits)) {
            c.find(message, "sms.message", fault);
        }
    }
    Parts {
        terms,
        sms_message: table.message.map_or_else(|| "%s".to_owned(), Spanned::into_inner),
        registration: table.self_registration,
        number: table.number,
        sms_limits: table.limits,
    }
}
