//! What a well-formed `[[authenticator]]` may still get wrong. The codes (`CFG-SMS-...`) are the requirements'.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use domain::flow::checked_id;
use domain::sentcode::{SENT_DIGITS_MAX, SENT_DIGITS_MIN};
use toml::Spanned;

use super::check::Checker;
use super::people::{Requirement, SmsAuthenticator};
use super::people_file as file;

const CODE_TTL_MS: RangeInclusive<u64> = 30_000..=600_000;
pub(super) const LINK_TTL_MS: RangeInclusive<u64> = 30_000..=600_000;
const SESSION_LIMIT: RangeInclusive<u32> = 0..=100;

/// What an authenticator needs of the rest of the file.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) has_url: bool,
    pub(super) has_modem: bool,
}

/// What several keys of one table come to.
struct Mode {
    code: bool,
    writable: bool,
    allow: bool,
}

/// Every authenticator, each checked alone and against the others.
pub(super) fn all(
    c: &mut Checker<'_>,
    tables: Vec<file::Authenticator>,
    around: Around,
) -> Vec<SmsAuthenticator> {
    let mut ids = BTreeSet::new();
    let mut authenticators = Vec::new();
    for table in tables {
        let at = table.id.clone();
        let own = authenticator(c, table, around);
        if !ids.insert(own.id.clone()) {
            c.find(&at, "authenticator.id", "is used twice");
        }
        authenticators.push((at, own));
    }
    references(c, &authenticators);
    authenticators.into_iter().map(|(_, own)| own).collect()
}

/// What the table says together, and what becomes of it.
fn together(
    c: &mut Checker<'_>,
    table: &file::Authenticator,
    required: &[Requirement],
    around: Around,
) -> Mode {
    let d = SmsAuthenticator::default();
    if table.kind.get_ref() != "sms" {
        c.find(&table.kind, "authenticator.type", "must be sms");
    }
    if checked_id(table.id.get_ref()).is_none() {
        c.find(&table.id, "authenticator.id", "must be ASCII letters, digits, _, - and .");
    }
    let code = table.send_otp_as_code.unwrap_or(d.send_otp_as_code);
    let attribute = table.intermediate_attribute_name.is_some();
    let writable = table.account_store.as_ref().is_none_or(|store| store.get_ref() == "local");
    if let Some(store) = &table.account_store
        && !["local", "none"].contains(&store.get_ref().as_str())
    {
        c.find(store, "authenticator.account_store", "must be local or none");
    }
    if let (false, Some(length)) = (code, &table.otp_length) {
        let text = "CFG-SMS-5: a length can be set only with send_otp_as_code = true";
        c.find(length, "authenticator.otp_length", text);
    }
    if !code && !around.has_url {
        let text = "CFG-SMS-7: a link needs public_url; or set send_otp_as_code = true";
        c.find(&table.id, "authenticator.send_otp_as_code", text);
    }
    if !around.has_modem {
        c.find(&table.id, "authenticator", "CFG-SMS-6: an SMS authenticator needs a [[modem]]");
    }
    let allowed = table.allow_registration_during_login.as_ref().map(|allow| *allow.get_ref());
    let allow = allowed.unwrap_or(d.allow_registration_during_login) && writable && !attribute;
    if allow && required.is_empty() {
        let text = "CFG-SMS-2: registration needs required_for_registration; or set \
                    allow_registration_during_login = false";
        c.find(&table.id, "authenticator.required_for_registration", text);
    }
    if !required.is_empty() && required.iter().all(|requirement| *requirement == Requirement::Password) {
        let text = "CFG-SMS-3: a password alone must not lead to a second factor; add iak, oath, email or another \
                    authenticator";
        c.find(&table.id, "authenticator.required_for_registration", text);
    }
    if let (Some(true), Some(info)) = (
        table.show_info_before_registration.as_ref().map(|info| *info.get_ref()),
        &table.show_info_before_registration,
    ) && allowed == Some(false)
    {
        let text = "CFG-SMS-4: can be set only with allow_registration_during_login = true";
        c.find(info, "authenticator.show_info_before_registration", text);
    }
    if let Some(loa) = &table.attribute_trusted_loa
        && !(1.0..=2.0).contains(loa.get_ref())
    {
        c.find(loa, "authenticator.attribute_trusted_loa", "must be 1 to 2");
    }
    Mode { code, writable, allow }
}

fn authenticator(c: &mut Checker<'_>, mut table: file::Authenticator, around: Around) -> SmsAuthenticator {
    let d = SmsAuthenticator::default();
    let attribute = table.intermediate_attribute_name.is_some();
    let required = requirements(c, table.required_for_registration.take(), &table.id, attribute);
    let Mode { code, writable, allow } = together(c, &table, &required, around);
    SmsAuthenticator {
        previous: table.previous.map(Spanned::into_inner),
        required_for_registration: required,
        send_otp_as_code: code,
        otp_length: c.number(
            table.otp_length,
            "authenticator.otp_length",
            SENT_DIGITS_MIN..=SENT_DIGITS_MAX,
            d.otp_length,
        ),
        otp_ttl_ms: c.milliseconds(table.otp_ttl, "authenticator.otp_ttl", CODE_TTL_MS, d.otp_ttl_ms),
        link_ttl_ms: c.milliseconds(table.link_ttl, "authenticator.link_ttl", LINK_TTL_MS, d.link_ttl_ms),
        max_allowed_attempts: c.number(
            table.max_allowed_attempts,
            "authenticator.max_allowed_attempts",
            SESSION_LIMIT,
            d.max_allowed_attempts,
        ),
        max_challenges_sent: c.number(
            table.max_challenges_sent,
            "authenticator.max_challenges_sent",
            SESSION_LIMIT,
            d.max_challenges_sent,
        ),
        allow_registration_during_login: allow,
        show_info_before_registration: table
            .show_info_before_registration
            .map_or(d.show_info_before_registration, Spanned::into_inner),
        auto_login_after_registration: table
            .auto_login_after_registration
            .unwrap_or(d.auto_login_after_registration),
        intermediate_attribute_name: table.intermediate_attribute_name.map(Spanned::into_inner),
        attribute_trusted_loa: table.attribute_trusted_loa.map(Spanned::into_inner),
        writable,
        id: table.id.into_inner(),
    }
}

fn requirements(
    c: &mut Checker<'_>,
    table: Option<Spanned<file::OneOrMore>>,
    at: &Spanned<String>,
    attribute: bool,
) -> Vec<Requirement> {
    let texts = file::OneOrMore::texts(table);
    if attribute && !texts.is_empty() {
        let text = "CFG-SMS-1: with intermediate_attribute_name no number can be registered";
        c.find(at, "authenticator.required_for_registration", text);
    }
    texts
        .into_iter()
        .map(|text| match text.get_ref().as_str() {
            "iak" => Requirement::Iak,
            "email" => Requirement::Email,
            "password" => Requirement::Password,
            "oath" => Requirement::Oath,
            id => Requirement::Authenticator(id.to_owned()),
        })
        .collect()
}

/// What one authenticator says of another must be there.
fn references(c: &mut Checker<'_>, authenticators: &[(Spanned<String>, SmsAuthenticator)]) {
    let known = |id: &str| {
        ["password", "oath", "email"].contains(&id) || authenticators.iter().any(|(_, own)| own.id == id)
    };
    for (at, own) in authenticators {
        if let Some(previous) = &own.previous
            && !known(previous)
        {
            c.find(at, "authenticator.previous", format!("there is no authenticator {previous}"));
        }
        for requirement in &own.required_for_registration {
            if let Requirement::Authenticator(id) = requirement
                && (!known(id) || *id == own.id)
            {
                let text = format!("there is no other authenticator {id}");
                c.find(at, "authenticator.required_for_registration", text);
            }
        }
    }
}
