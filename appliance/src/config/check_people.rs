//! What a well-formed file may still get wrong about registrations, letters, app tokens and pages. The codes (`CFG-...`)
//! are the requirements'.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use domain::colour::{Colour, READABLE};
use domain::flow::{Definition, Purpose, Step, checked_id};
use domain::role::{BREAK_GLASS, Role};
use toml::Spanned;

use super::check::Checker;
use super::check_authenticators::{self, LINK_TTL_MS};
use super::check_flows;
use super::people::{
    After, BackChannel, LetterKind, Letters, Mail, Notices, Numbers, PAGE, Pages, People, SelfRegistration,
    SmsAuthenticator, SmsLimits, SoftOath,
};
use super::people_file as file;

const SMS_LIMIT: RangeInclusive<u32> = 1..=1_000_000;
const GAP_MS: RangeInclusive<u64> = 0..=30 * 24 * 3_600_000;
const SCHEDULE_MS: RangeInclusive<u64> = 1_000..=30 * 24 * 3_600_000;
const POLL_MS: RangeInclusive<u64> = 1_000..=60_000;
const PERIOD: RangeInclusive<u16> = 10..=120;
/// As many tokens as a code is compared with.
const QUOTA: RangeInclusive<u32> = 1..=8;
const SMTP_PORT: u16 = 25;
const BACKCHANNEL_TTL_MS: u64 = 120_000;
const BACKCHANNEL_INTERVAL_MS: u64 = 5_000;

/// The tables that this file checks.
pub(super) struct Tables {
    pub(super) authenticators: Vec<file::Authenticator>,
    pub(super) flows: Vec<file::Flow>,
    pub(super) selfservice: Vec<file::Flow>,
    pub(super) registration: file::SelfRegistration,
    pub(super) number: file::Number,
    pub(super) sms_limits: file::SmsLimits,
    pub(super) notices: Notices,
    pub(super) letters: file::Letters,
    pub(super) oath: SoftOathTable,
    pub(super) backchannels: Vec<file::BackChannel>,
    pub(super) mail: Option<file::Mail>,
    pub(super) pages: file::Pages,
    pub(super) public_url: Option<Spanned<String>>,
    pub(super) has_modem: bool,
    /// Whether `[push]` is there.
    pub(super) has_push: bool,
}

/// Keys of `[oath]` about authenticator apps.
#[derive(Default)]
pub(super) struct SoftOathTable {
    pub(super) kind: Option<Spanned<String>>,
    pub(super) algorithm: Option<Spanned<String>>,
    pub(super) digits: Option<Spanned<u8>>,
    pub(super) period: Option<Spanned<u16>>,
    pub(super) quota_soft: Option<Spanned<u32>>,
    pub(super) quota_hard: Option<Spanned<u32>>,
    pub(super) confirm_on_activation: Option<bool>,
    pub(super) reveal_after_activation: Option<bool>,
    pub(super) replace_immediately: Option<bool>,
    pub(super) auto_order_letter: Option<bool>,
    pub(super) auto_order_letter_new_users: Option<bool>,
    pub(super) admin: file::OathAdmin,
}

pub(super) fn check(c: &mut Checker<'_>, tables: Tables) -> People {
    let public_url = tables.public_url.as_ref().map(|url| url.get_ref().trim_end_matches('/').to_owned());
    let around = check_authenticators::Around { has_url: public_url.is_some(), has_modem: tables.has_modem };
    let authenticators = check_authenticators::all(c, tables.authenticators, around);
    let oath = oath(c, tables.oath);
    let mut flows = Vec::new();
    let login = tables.flows.into_iter().map(|table| (table, Purpose::Login));
    let own = tables.selfservice.into_iter().map(|table| (table, Purpose::SelfService));
    let mut flow_ids = BTreeSet::new();
    for (table, purpose) in login.chain(own) {
        if !flow_ids.insert(table.id.get_ref().clone()) {
            c.find(&table.id, "flow.id", "is used twice");
        }
        flows.extend(check_flows::flow(c, table, purpose, (&authenticators, &oath, tables.has_push)));
    }
    let registration = registration(c, tables.registration, &flows);
    let backchannels =
        tables.backchannels.into_iter().filter_map(|table| backchannel(c, table, &authenticators)).collect();
    let pages = pages(c, tables.pages, public_url, &flows);
    People {
        registration,
        numbers: numbers(c, tables.number),
        sms_limits: sms_limits(c, tables.sms_limits),
        notices: tables.notices,
        letters: letters(c, tables.letters),
        mail: tables.mail.and_then(|table| mail(c, table)),
        authenticators,
        flows,
        oath,
        backchannels,
        pages,
    }
}

fn registration(
    c: &mut Checker<'_>,
    table: file::SelfRegistration,
    flows: &[Definition],
) -> SelfRegistration {
    let d = SelfRegistration::default();
    let after = match table.after.as_ref().map(|after| after.get_ref().as_str()) {
        None | Some("continue") => After::Continue,
        Some("relogin") => After::Relogin,
        Some(_) => {
            if let Some(after) = &table.after {
                c.find(after, "sms.self_registration.after", "must be continue or relogin");
            }
            After::Continue
        }
    };
    let iak_required = table.iak_required.as_ref().map_or(d.iak_required, |required| *required.get_ref());
    if let (false, Some(at)) = (iak_required, &table.iak_required) {
        let unprotected = flows.iter().any(|flow| {
            let place = |wanted: fn(&Step) -> bool| flow.steps.iter().position(wanted);
            let (register, oath) = (
                place(|step| matches!(step, Step::PhoneRegistration)),
                place(|step| matches!(step, Step::Oath)),
            );
            register.is_some_and(|register| oath.is_none_or(|oath| oath > register))
        });
        if unprotected {
            let text = "without a letter, oath must come before phone-registration in each flow (MOB-20)";
            c.find(at, "sms.self_registration.iak_required", text);
        }
    }
    SelfRegistration {
        enabled: table.enabled.unwrap_or(d.enabled),
        iak_required,
        after,
        prefill: table.prefill.unwrap_or(d.prefill),
        self_order: table.self_order.unwrap_or(d.self_order),
    }
}

fn numbers(c: &mut Checker<'_>, table: file::Number) -> Numbers {
    let is_prefix = |text: &str| {
        text.strip_prefix('+').is_some_and(|rest| {
            (1..=15).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let mut prefixes = |texts: Vec<Spanned<String>>, key: &str| -> Vec<String> {
        for text in &texts {
            if !is_prefix(text.get_ref()) {
                c.find(text, key, "must be the beginning of an international number, such as +41");
            }
        }
        texts.into_iter().map(Spanned::into_inner).collect()
    };
    let allow = prefixes(table.allow, "sms.number.allow");
    let deny = prefixes(table.deny, "sms.number.deny");
    let country = prefixes(table.default_country.into_iter().collect(), "sms.number.default_country");
    Numbers {
        default_country: country.into_iter().next(),
        allow,
        deny,
        shared_allowed: table.shared_allowed.unwrap_or(false),
    }
}

fn sms_limits(c: &mut Checker<'_>, table: file::SmsLimits) -> SmsLimits {
    let d = SmsLimits::default();
    let mut limit = |value, key: &str, default| c.number(value, key, SMS_LIMIT, default);
    SmsLimits {
        user_hour: limit(table.user_hour, "sms.limits.user_hour", d.user_hour),
        user_day: limit(table.user_day, "sms.limits.user_day", d.user_day),
        number_hour: limit(table.number_hour, "sms.limits.number_hour", d.number_hour),
        application_hour: limit(table.application_hour, "sms.limits.application_hour", d.application_hour),
        modem_day: limit(table.modem_day, "sms.limits.modem_day", d.modem_day),
    }
}

fn letter_kind(c: &mut Checker<'_>, table: file::LetterKind, name: &str) -> LetterKind {
    let d = LetterKind::default();
    let key = |last: &str| format!("letters.{name}.{last}");
    for part in [&table.file_prefix, &table.file_suffix].into_iter().flatten() {
        if !part.get_ref().is_empty() && checked_id(part.get_ref()).is_none() {
            c.find(part, &key("file_prefix"), "must be ASCII letters, digits, _, - and .");
        }
    }
    LetterKind {
        valid_days: c.number(table.valid_days, &key("valid_days"), 1..=30, d.valid_days),
        max_attempts: c.number(table.max_attempts, &key("max_attempts"), 1..=10, d.max_attempts),
        every_ms: table.schedule.map(|schedule| {
            c.milliseconds(Some(schedule), &key("schedule"), SCHEDULE_MS, *SCHEDULE_MS.end())
        }),
        file_prefix: table.file_prefix.map(Spanned::into_inner).unwrap_or_default(),
        file_suffix: table.file_suffix.map(Spanned::into_inner).unwrap_or_default(),
    }
}

fn letters(c: &mut Checker<'_>, table: file::Letters) -> Letters {
    let d = Letters::default();
    for (path, key) in [
        (&table.helper, "letters.helper"),
        (&table.output_dir, "letters.output_dir"),
        (&table.template_dir, "letters.template_dir"),
    ] {
        if let Some(path) = path {
            c.absolute(path, key);
        }
    }
    if let Some(window) = &table.window
        && !["left", "right"].contains(&window.get_ref().as_str())
    {
        c.find(window, "letters.window", "must be left or right");
    }
    if let Some(lang) = &table.default_lang
        && crate::texts::built_in(lang.get_ref()).is_none()
    {
        c.find(lang, "letters.default_lang", "must be one of en, de, fr, it");
    }
    Letters {
        helper: table.helper.map(Spanned::into_inner),
        output_dir: table.output_dir.map(Spanned::into_inner),
        template_dir: table.template_dir.map(Spanned::into_inner),
        default_lang: table.default_lang.map_or(d.default_lang, Spanned::into_inner),
        window: table.window.map_or(d.window, Spanned::into_inner),
        sender: table.sender.unwrap_or_default(),
        return_line: table.return_line.unwrap_or_default(),
        contact: table.contact.unwrap_or_default(),
        delivery_gap_ms: c.milliseconds(
            table.delivery_gap,
            "letters.delivery_gap",
            GAP_MS,
            d.delivery_gap_ms,
        ),
        retention_days: c.number(table.retention_days, "letters.retention_days", 1..=365, d.retention_days),
        sms_iak: letter_kind(c, table.sms_iak, "sms_iak"),
        oath: letter_kind(c, table.oath, "oath"),
    }
}

fn oath(c: &mut Checker<'_>, table: SoftOathTable) -> SoftOath {
    let d = SoftOath::default();
    let totp = match table.kind.as_ref().map(|kind| kind.get_ref().to_ascii_uppercase()) {
        None => d.totp,
        Some(kind) if kind == "TOTP" => true,
        Some(kind) if kind == "HOTP" => false,
        Some(_) => {
            if let Some(kind) = &table.kind {
                c.find(kind, "oath.type", "must be TOTP or HOTP");
            }
            d.totp
        }
    };
    let algorithm = match &table.algorithm {
        None => d.algorithm,
        Some(name) => oath::Algorithm::parse(name.get_ref()).unwrap_or_else(|_| {
            c.find(name, "oath.algorithm", "must be SHA1, SHA256 or SHA512");
            d.algorithm
        }),
    };
    for format in &table.admin.secret_formats {
        if !["qr", "hex", "base32"].contains(&format.get_ref().as_str()) {
            c.find(format, "oath.admin.secret_formats", "must be qr, hex or base32");
        }
    }
    for role in &table.admin.view_secret_roles {
        if role.get_ref() != BREAK_GLASS && Role::from_name(role.get_ref()).is_none() {
            c.find(
                role,
                "oath.admin.view_secret_roles",
                "must be the name of a role, or break-glass for root",
            );
        }
    }
    SoftOath {
        totp,
        algorithm,
        digits: c.number(table.digits, "oath.digits", 6..=8, d.digits),
        period: c.number(table.period, "oath.period", PERIOD, d.period),
        quota_soft: table.quota_soft.map(|quota| c.number(Some(quota), "oath.quota_soft", QUOTA, 1)),
        quota_hard: c.number(table.quota_hard, "oath.quota_hard", QUOTA, d.quota_hard),
        confirm_on_activation: table.confirm_on_activation.unwrap_or(d.confirm_on_activation),
        reveal_after_activation: table.reveal_after_activation.unwrap_or(d.reveal_after_activation),
        replace_immediately: table.replace_immediately.unwrap_or(d.replace_immediately),
        admin_secret_formats: table.admin.secret_formats.into_iter().map(Spanned::into_inner).collect(),
        view_secret_roles: table.admin.view_secret_roles.into_iter().map(Spanned::into_inner).collect(),
        selectable_as_next: table.admin.selectable_as_next.unwrap_or(d.selectable_as_next),
        auto_order_letter: table.auto_order_letter.unwrap_or(d.auto_order_letter),
        auto_order_letter_new_users: table
            .auto_order_letter_new_users
            .unwrap_or(d.auto_order_letter_new_users),
    }
}

fn backchannel(
    c: &mut Checker<'_>,
    table: file::BackChannel,
    authenticators: &[SmsAuthenticator],
) -> Option<BackChannel> {
    let front = authenticators.iter().find(|own| own.id == *table.frontchannel.get_ref());
    match front {
        None => c.find(&table.frontchannel, "backchannel.frontchannel", "there is no such authenticator"),
        Some(own) if own.send_otp_as_code => {
            let text =
                "a code cannot come back here: the authenticator must send links (send_otp_as_code = false)";
            c.find(&table.frontchannel, "backchannel.frontchannel", text);
        }
        Some(_) => {}
    }
    let ttl_ms = c.milliseconds(table.ttl, "backchannel.ttl", LINK_TTL_MS, BACKCHANNEL_TTL_MS);
    let interval_ms =
        c.milliseconds(table.interval, "backchannel.interval", POLL_MS, BACKCHANNEL_INTERVAL_MS);
    front.map(|own| BackChannel {
        id: table.id.into_inner(),
        frontchannel: own.id.clone(),
        ttl_ms,
        interval_ms,
    })
}

fn mail(c: &mut Checker<'_>, table: file::Mail) -> Option<Mail> {
    if !crate::flows::journey::is_address(table.from.get_ref()) {
        c.find(&table.from, "mail.from", "must be an e-mail address");
        return None;
    }
    Some(Mail { host: table.host, port: table.port.unwrap_or(SMTP_PORT), from: table.from.into_inner() })
}

/// A colour in which text can be read on the pages, and white text on it.
fn readable(c: &mut Checker<'_>, accent: &Spanned<String>) -> Option<Colour> {
    let Some(colour) = Colour::parse(accent.get_ref()) else {
        c.find(accent, "pages.accent", "must be a colour such as #1f4e79");
        return None;
    };
    let contrast = colour.contrast(PAGE);
    if contrast < READABLE {
        let text = format!(
            "is too light: its contrast with the page is {contrast:.2}, and text needs {READABLE} (WCAG 2.1 AA); \
             take a darker one"
        );
        c.find(accent, "pages.accent", text);
    }
    Some(colour)
}

fn pages(c: &mut Checker<'_>, table: file::Pages, public_url: Option<String>, flows: &[Definition]) -> Pages {
    let d = Pages::default();
    if let Some(logo) = &table.logo {
        c.absolute(logo, "pages.logo");
    }
    let accent = table.accent.and_then(|accent| readable(c, &accent)).unwrap_or(d.accent);
    let login = |id: &str| flows.iter().any(|flow| flow.id == id && flow.purpose == Purpose::Login);
    if let Some(flow) = &table.login_flow
        && !login(flow.get_ref())
    {
        c.find(flow, "pages.login_flow", "there is no login flow of this id");
    }
    let first = flows.iter().find(|flow| flow.purpose == Purpose::Login).map(|flow| flow.id.clone());
    Pages {
        public_url,
        logo: table.logo.map(Spanned::into_inner),
        accent,
        login_flow: table.login_flow.map(Spanned::into_inner).or(first),
    }
}
