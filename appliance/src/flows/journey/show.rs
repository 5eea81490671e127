//! A flow as its user may see it.

use domain::challenge::State;
use domain::flow::Choice;
use domain::journey::{At, Rule};
use domain::names::UserName;
use domain::phone::Msisdn;
use domain::registration::Kind;
use domain::token::Id;
use domain::weburl::return_origin;

use super::kept::Walk;
use super::{Asked, Offered, Outcome, View};
use crate::flows::{FlowError, users};
use crate::store::challenge;

/// What is asked; none between two steps.
pub(super) fn asked(at: &At) -> Option<Asked> {
    Some(match at {
        At::Between => return None,
        At::Username => Asked::Username,
        At::Password => Asked::Password,
        At::Select(_) => Asked::Select,
        At::Migrate { .. } => Asked::Migrate,
        At::Sms { link: false, .. } => Asked::SmsCode,
        At::Sms { link: true, .. } => Asked::SmsWait,
        At::Info { .. } => Asked::Info,
        At::Number(_) => Asked::Number,
        At::NumberVerify { .. } => Asked::NumberVerify,
        At::NoLetter => Asked::NoLetter,
        At::Oath => Asked::OathCode,
        At::OathActivate { .. } => Asked::OathActivate,
        At::OathResync => Asked::OathResync,
        At::Email { .. } => Asked::EmailCode,
        At::Push { .. } => Asked::PushWait,
        At::Recovery { .. } => Asked::RecoveryCode,
        At::MfaRegister { .. } => Asked::MfaRegister,
        At::RecoveryCodes { .. } => Asked::RecoveryCodes,
        At::Details => Asked::Details,
        At::Done => Asked::Done,
        At::Failed(_) => Asked::Failed,
    })
}

/// Keys are stored as text; whoever reads them gets the one that is built in.
fn key(text: &str) -> &'static str {
    super::KEYS.iter().copied().find(|key| *key == text).unwrap_or("flow.wrong_step")
}

fn offered(options: &[Choice]) -> Vec<Offered> {
    let of = |option: &Choice| Offered { name: option.name.clone(), label: option.label.clone() };
    options.iter().map(of).collect()
}

/// Where a sent code stands.
struct Sent {
    expires_at_ms: Option<i64>,
    delivering: bool,
    failed: bool,
    decided: bool,
}

impl Walk<'_> {
    pub(super) fn view(&mut self) -> Result<View, FlowError> {
        let mut view = self.bare()?;
        self.show_phone(&mut view)?;
        view.codes = self.codes.take();
        Ok(view)
    }

    /// What a registered phone, or the registration of one, adds.
    fn show_phone(&self, view: &mut View) -> Result<(), FlowError> {
        view.can_recover =
            self.definition.recovery_codes && matches!(self.kept.journey.at, At::Push { .. } | At::Oath);
        match &self.kept.journey.at {
            At::Push { rule, challenge } => {
                let asked = self.asked_phone(*rule, challenge)?;
                view.number = asked.number;
                view.expires_at_ms = asked.expires_at_ms;
                view.delivering = asked.delivering;
                view.decided = asked.decided;
                view.can_code = asked.can_code;
                view.can_resend = asked.decided;
            }
            At::MfaRegister { kind, registration, .. } => {
                let progress = self.registering(*kind, registration)?;
                view.expires_at_ms = progress.expires_at_ms;
                view.decided = progress.decided;
                view.can_resend = progress.decided;
                view.wants_first_code = *kind == Kind::Oath && !progress.decided;
                view.scan = progress.scan;
            }
            At::RecoveryCodes { registration } => {
                let (first, again) = self.can_show_codes(registration)?;
                view.can_reveal = self.codes.is_none() && first;
                view.can_reveal_again = self.codes.is_none() && again;
            }
            _ => {}
        }
        Ok(())
    }

    /// What every step shows.
    fn blank(&self, asked: Asked) -> View {
        let journey = &self.kept.journey;
        View {
            flow: self.row.id,
            definition: self.definition.id.clone(),
            purpose: self.definition.purpose,
            asked,
            wants_iak: false,
            options: Vec::new(),
            error: journey.error.as_deref().map(key),
            notice: self.kept.notice.as_deref().map(key),
            phone_masked: None,
            expires_at_ms: None,
            delivering: false,
            can_resend: false,
            can_register: false,
            can_resync: false,
            unconfirmed: false,
            can_skip: false,
            can_back: false,
            can_order: false,
            changing: false,
            prefill: None,
            decided: false,
            portal: self.is_session(),
            return_origin: self.kept.return_url.as_deref().and_then(return_origin).map(str::to_owned),
            shown: None,
            scan: None,
            number: None,
            can_code: false,
            can_recover: false,
            can_reveal: false,
            can_reveal_again: false,
            codes: None,
            wants_first_code: false,
            user: journey.name.as_deref().and_then(|name| UserName::parse(name).ok()),
            lang: self.kept.lang.clone(),
            outcome: None,
            redirect: self.kept.redirect.clone(),
        }
    }

    fn bare(&self) -> Result<View, FlowError> {
        let at = &self.kept.journey.at;
        let mut view = self.blank(asked(at).ok_or(FlowError::Busy)?);
        match at {
            At::Select(options) => view.options = offered(options),
            At::Migrate { options, can_skip } => {
                view.options = offered(options);
                view.can_skip = *can_skip;
            }
            At::Sms { authenticator, challenge, .. } => {
                self.show_sent(&mut view, challenge)?;
                view.phone_masked = self.masked_for(authenticator)?;
                view.can_register = self.may_register(authenticator);
            }
            At::Number(rule) => {
                view.changing = matches!(rule, Rule::Change { .. });
                view.prefill = self.prefill(rule)?;
            }
            At::NumberVerify { rule, entered, challenge } => {
                self.show_sent(&mut view, challenge)?;
                view.changing = matches!(rule, Rule::Change { .. });
                view.wants_iak = rule.wants_iak();
                view.phone_masked = Some(entered.masked.clone());
                view.can_back = true;
            }
            At::NoLetter => view.can_order = self.app.config.people.registration.self_order,
            At::OathActivate { token, existing } => {
                view.shown = self.shown_secret(token, *existing)?;
                view.unconfirmed = !self.confirms();
            }
            At::Oath => view.can_resync = true,
            At::Email { .. } => view.can_resend = true,
            At::Failed(text) => view.error = Some(key(text)),
            At::Done => view.outcome = self.outcome(),
            _ => {}
        }
        Ok(view)
    }

    /// The contact number that the form begins with: where the configuration says so, for a user who has shown
    /// something, and if it may be registered. Code and key are asked for like for any other (D-01).
    fn prefill(&self, rule: &Rule) -> Result<Option<Msisdn>, FlowError> {
        let people = &self.app.config.people;
        let Some(owner) = &self.owner else { return Ok(None) };
        let known = !self.kept.journey.evidence.is_empty();
        if !people.registration.prefill || !known || !matches!(rule, Rule::First { .. }) {
            return Ok(None);
        }
        let contact = users::contact(self.app, owner)?;
        Ok(contact.and_then(|number| people.numbers.read(number.expose())))
    }

    fn outcome(&self) -> Option<Outcome> {
        let journey = &self.kept.journey;
        let owner = self.owner.as_ref()?;
        Some(Outcome {
            user: owner.name.clone(),
            amr: journey.evidence.iter().map(|evidence| evidence.name().to_owned()).collect(),
            loa: journey.loa,
            active_method: owner.active_method,
        })
    }

    fn show_sent(&self, view: &mut View, challenge: &Id) -> Result<(), FlowError> {
        let sent = self.sent(challenge)?;
        view.expires_at_ms = sent.expires_at_ms;
        view.delivering = sent.delivering;
        view.decided = sent.decided;
        view.can_resend = true;
        if sent.failed && view.error.is_none() {
            view.error = Some("sms.send_failed");
        }
        Ok(())
    }

    fn sent(&self, id: &Id) -> Result<Sent, FlowError> {
        let found = self.app.store.read(|c| challenge::by_id(c, id))?;
        let progress = found.map(|row| row.progress.aged(&self.now));
        let state = progress.map(|progress| progress.state);
        let expires = progress.and_then(|progress| progress.expires);
        Ok(Sent {
            expires_at_ms: expires
                .filter(|_| state == Some(State::Waiting))
                .and_then(|end| end.wall_ms(&self.now)),
            delivering: state == Some(State::Delivering),
            failed: state == Some(State::Failed),
            decided: state.is_none_or(State::is_final),
        })
    }
}
