//! A code or a link to the phone, as a step of a flow (A.2).

use domain::challenge::State;
use domain::event::Event;
use domain::journey::{At, Evidence};
use domain::phone::Msisdn;
use domain::token::Id;

use super::acts::ATTRIBUTE_AAD;
use super::kept::Walk;
use crate::config::people::SmsAuthenticator;
use crate::flows::sending::{Sending, To, place};
use crate::flows::verify::Verdict;
use crate::flows::{FlowError, challenge as sent, phones, users};
use crate::store::user::UserRow;

/// The user is unknown or has no number: one key for both (SMS-08).
const NO_USER_OR_PHONE: &str = "enter-username.error.no-user-or-phonenumber";
/// All messages of this flow, or of this hour, have been sent (SMS-31, D-67).
const TOO_MANY_SENT: &str = "enter-username.error.too-many-attempts";
const INVALID_OTP: &str = "enter-otp.error.invalid.otp";
const TOO_MANY_TRIES: &str = "enter-otp.error.too-many-attempts";
/// No code is looked at for a while.
pub(super) const LIMITED: &str = "login.error.locked";
/// Level of assurance at the most (B.6: a phone number).
const LOA_MAX: f64 = 2.0;
/// Level of a number that an application vouches for, unless it is trusted (D-19).
const ATTRIBUTE_LOA: f64 = 1.5;

impl Walk<'_> {
    fn authenticator(&self, id: &str) -> Result<SmsAuthenticator, FlowError> {
        self.app.config.people.authenticator(id).cloned().ok_or(FlowError::NotFound("authenticator"))
    }

    /// Sends a code or a link, or says why not.
    pub(super) fn send_sms(&mut self, id: &str) -> Result<(), FlowError> {
        let own = self.authenticator(id)?;
        if own.max_challenges_sent != 0 && self.kept.journey.sends >= own.max_challenges_sent {
            return self.stop_sms(TOO_MANY_SENT, "sms.challenges_exhausted");
        }
        let Some(owner) = self.owner.clone() else {
            self.app.match_decoy("")?;
            return self.stop_sms(NO_USER_OR_PHONE, "sms.no_user_or_phone");
        };
        let to = match self.number_for(&own, &owner)? {
            Ok(to) => to,
            Err(key)
                if key == NO_USER_OR_PHONE
                    && !self.kept.journey.evidence.is_empty()
                    && self.may_register(id) =>
            {
                // A user without a number may register one here (SMS-25). Who has shown nothing yet is told what an
                // unknown user is told (SMS-08).
                self.kept.journey.registering = true;
                return self.begin_change(id);
            }
            Err(key) => {
                self.app.match_decoy("")?;
                return self.stop_sms(key, "sms.no_user_or_phone");
            }
        };
        let link = !own.send_otp_as_code;
        let sending = Sending {
            owner: &owner,
            authenticator: Some(&own),
            purpose: "login",
            link,
            to,
            binding_message: None,
        };
        match self.order(sending)? {
            Ok(challenge) => {
                self.kept.journey.sms_sent(id, challenge, link);
                Ok(())
            }
            Err(key) => self.stop_sms(key, "sms.challenge_refused"),
        }
    }

    /// The number that a code goes to, or the key of what is missing.
    fn number_for(
        &self,
        own: &SmsAuthenticator,
        owner: &UserRow,
    ) -> Result<Result<To, &'static str>, FlowError> {
        if let Some(name) = &own.intermediate_attribute_name {
            if self.kept.journey.evidence.is_empty() {
                return Ok(Err("flow.attribute_requires_previous_factor"));
            }
            let found = self.kept.journey.attributes.iter().find(|(given, _)| given == name);
            let Some((_, sealed)) = found else { return Ok(Err("flow.missing_attribute")) };
            let number = self.app.hsm.open(&self.app.own_key()?, ATTRIBUTE_AAD, sealed)?;
            let number = std::str::from_utf8(&number).ok().and_then(|text| Msisdn::parse(text).ok());
            return Ok(number.map(To::Given).ok_or("flow.missing_attribute"));
        }
        let bound = phones::of_user(self.app, &owner.id)?;
        let bound = bound.filter(|bound| bound.state == phones::VERIFIED);
        Ok(bound.map(To::Bound).ok_or(NO_USER_OR_PHONE))
    }

    /// A message cannot be sent: where the name was asked for it is asked for again, elsewhere the flow ends.
    fn stop_sms(&mut self, key: &'static str, kind: &'static str) -> Result<(), FlowError> {
        self.note_refused(key, kind)?;
        if self.kept.journey.evidence.is_empty() && key == NO_USER_OR_PHONE {
            let sends = self.kept.journey.sends;
            self.kept.journey.restart(&self.definition);
            self.kept.journey.sends = sends;
            self.owner = None;
            self.wrong(key);
            return Ok(());
        }
        self.kept.journey.fail(key);
        Ok(())
    }

    fn note_refused(&self, key: &'static str, kind: &'static str) -> Result<(), FlowError> {
        let event = Event::refused(self.now.wall_ms, kind, self.caller.actor.clone(), key);
        self.app.refuse(match &self.owner {
            Some(owner) => event.about("user_ref", &owner.user_ref),
            None => event,
        })
    }

    /// Sends a code or a link, within the limits beyond a session (SMS-43).
    pub(super) fn order(&self, sending: Sending<'_>) -> Result<Result<Id, &'static str>, FlowError> {
        let _order = self.app.lock_user(&sending.owner.id)?;
        let placed = place(self.app, &self.caller, &self.now, sending)?;
        Ok(placed.map(|row| row.id).ok_or(TOO_MANY_SENT))
    }

    /// Takes a code.
    pub(super) fn take_sms_code(&mut self, id: &Id, otp: &str) -> Result<(), FlowError> {
        if otp.trim().is_empty() {
            self.wrong("enter-otp.validation.error.otp.required");
            return Ok(());
        }
        let limited = self.is_limited()?;
        match sent::verify(self.app, &self.caller, id, otp.trim())? {
            Verdict::Accept { .. } => {
                let loa = self.loa_of(id)?;
                self.shown(Evidence::Sms, loa);
            }
            Verdict::Reject => {
                let exhausted = sent::state(self.app, id)? == Some(State::Exhausted);
                self.wrong(match (exhausted, limited) {
                    (true, _) => TOO_MANY_TRIES,
                    (false, true) => LIMITED,
                    (false, false) => INVALID_OTP,
                });
            }
        }
        Ok(())
    }

    /// Whether the limiter looks at no code of this user now: whoever has shown another factor already is told so,
    /// since the right code is refused too.
    pub(super) fn is_limited(&self) -> Result<bool, FlowError> {
        let Some(owner) = self.owner.as_ref().filter(|_| !self.kept.journey.evidence.is_empty()) else {
            return Ok(false);
        };
        Ok(self.app.admit(&self.caller, owner, &self.now)?.is_err())
    }

    /// Sees what the phone has decided.
    pub(super) fn take_sms_link(&mut self, id: &Id) -> Result<(), FlowError> {
        let found = sent::checked(self.app, id)?;
        match found.map(|row| row.progress.aged(&self.now).state) {
            Some(State::Verified) => {
                let loa = self.loa_of(id)?;
                self.shown(Evidence::Sms, loa);
            }
            Some(State::Delivering | State::Waiting) => {}
            Some(State::Denied) => self.kept.journey.fail("link-wait.error.authentication.failed"),
            _ => self.wrong("link-wait.error.restart"),
        }
        Ok(())
    }

    /// Another message. One that the modem could not send does not count (D-12).
    pub(super) fn resend_sms(&mut self, authenticator: &str, id: &Id) -> Result<(), FlowError> {
        let at = self.kept.journey.at.clone();
        if sent::state(self.app, id)? == Some(State::Failed) {
            self.kept.journey.sends = self.kept.journey.sends.saturating_sub(1);
        }
        let own = self.authenticator(authenticator)?;
        if own.max_challenges_sent != 0 && self.kept.journey.sends >= own.max_challenges_sent {
            // The code that was sent stays good (B.5.4).
            self.kept.journey.at = at;
            self.note_refused(TOO_MANY_SENT, "sms.challenges_exhausted")?;
            self.wrong(TOO_MANY_SENT);
            return Ok(());
        }
        self.send_sms(authenticator)?;
        if matches!(self.kept.journey.at, At::Sms { .. }) {
            self.kept.notice = Some("resent".to_owned());
        }
        Ok(())
    }

    /// Level of assurance of a code to the number of this challenge.
    fn loa_of(&self, id: &Id) -> Result<f64, FlowError> {
        let owner = self.user()?;
        let row = sent::checked(self.app, id)?.ok_or(FlowError::NotFound("challenge"))?;
        let bound = phones::of_user(self.app, &owner.id)?;
        if row.wanted.phone().is_none() {
            let own = row.authenticator.as_deref().and_then(|id| self.app.config.people.authenticator(id));
            return Ok(own.and_then(|own| own.attribute_trusted_loa).unwrap_or(ATTRIBUTE_LOA).min(LOA_MAX));
        }
        Ok(bound.map_or(1.0, |bound| bound.loa.min(LOA_MAX)))
    }

    /// Whether the number may be registered or changed at this step (SMS-20, SMS-22, SMS-25).
    pub(super) fn may_register(&self, id: &str) -> bool {
        self.owner.is_some()
            && self.app.config.people.authenticator(id).is_some_and(|own| {
                own.writable
                    && own.allow_registration_during_login
                    && own.intermediate_attribute_name.is_none()
                    && !own.required_for_registration.is_empty()
            })
    }

    /// Last digits of the number that a code of this authenticator goes to.
    pub(super) fn masked_for(&self, id: &str) -> Result<Option<String>, FlowError> {
        let (own, owner) = (self.authenticator(id)?, self.user()?);
        Ok(match self.number_for(&own, owner)? {
            Ok(To::Bound(bound)) => Some(users::open_number(self.app, owner, &bound.number)?.masked()),
            Ok(To::Given(number)) => Some(number.masked()),
            Err(_) => None,
        })
    }
}
