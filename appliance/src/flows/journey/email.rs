//! A code by e-mail: a factor for registrations alone (SMS-24, D-21).

use domain::event::Event;
use domain::journey::{At, Evidence};
use domain::sentcode;
use domain::token::Id;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::kept::Walk;
use crate::flows::guess::count_failure;
use crate::flows::{FlowError, users};
use crate::mail;
use crate::store::event;

/// Digits of a code.
const DIGITS: u8 = 8;
/// Life of a code, in milliseconds.
const TTL_MS: u64 = 10 * 60 * 1000;
/// Wrong codes for one code.
const ATTEMPTS_MAX: u32 = 3;
/// Codes of one flow.
const SENDS_MAX: u32 = 3;
/// Level of assurance (D-21).
const LOA: f64 = 1.0;
const INVALID_OTP: &str = "email.error.invalid_otp";
const NO_ADDRESS: &str = "email.error.no-address";
const TOO_MANY: &str = "email.error.too-many-attempts";

impl Walk<'_> {
    fn email_code(&self, nonce: &Id) -> Result<Zeroizing<Vec<u8>>, FlowError> {
        Ok(self.app.hsm.compute(hsm::Compute {
            format: sentcode::sent_format(DIGITS),
            messages: sentcode::sent_messages(nonce, 0),
        })?)
    }

    /// Sends a code to the user's address, or says why not.
    pub(super) fn send_email(&mut self) -> Result<(), FlowError> {
        let owner = self.user()?.clone();
        let before = match self.kept.journey.at {
            At::Email { sends, .. } => sends,
            _ => 0,
        };
        if before >= SENDS_MAX {
            self.wrong(TOO_MANY);
            return Ok(());
        }
        let (Some(relay), Some(key), Some(sealed)) =
            (&self.app.config.people.mail, &owner.person_key, &owner.email)
        else {
            self.kept.journey.fail(NO_ADDRESS);
            return Ok(());
        };
        let address = self.app.hsm.open(key, &users::email_aad(&owner.id), sealed)?;
        let address = std::str::from_utf8(&address).map_err(|_| FlowError::NotFound("address"))?;
        let nonce: Id = self.app.random()?;
        let code = self.email_code(&nonce)?;
        let code = Zeroizing::new(String::from_utf8_lossy(&code).into_owned());
        let minutes = (TTL_MS / 60_000).to_string();
        let texts = &self.app.config.texts;
        let subject = texts.text(&self.kept.lang, "email-subject", &[]);
        let values = [("code", code.as_str()), ("minutes", minutes.as_str())];
        let body = Zeroizing::new(texts.text(&self.kept.lang, "email-body", &values));
        let sent = mail::send(relay, address, &subject, &body);
        let at = self.now.wall_ms;
        let event = match &sent {
            Ok(()) => Event::ok(at, "email.sent", self.caller.actor.clone()),
            Err(error) => Event::failed(at, "email.failed", self.caller.actor.clone(), error.to_string()),
        };
        let event = event.about("user_ref", &owner.user_ref);
        self.app.store.write(move |w| event::append(w, &event).map(drop))?;
        if sent.is_err() {
            self.kept.journey.fail("sms.send_failed");
            return Ok(());
        }
        let until_boot_ms = self.now.deadline_in(TTL_MS).boot_ms;
        self.kept.journey.at =
            At::Email { nonce, attempts: 0, sends: before.saturating_add(1), until_boot_ms };
        Ok(())
    }

    /// Takes the code.
    pub(super) fn take_email_code(&mut self, otp: &str) -> Result<(), FlowError> {
        let At::Email { nonce, attempts, sends, until_boot_ms } = self.kept.journey.at else { return Ok(()) };
        let owner = self.user()?.clone();
        let code = self.email_code(&nonce)?;
        let right: bool = code.as_slice().ct_eq(otp.trim().as_bytes()).into();
        let in_time = self.now.boot_ms < until_boot_ms;
        let at = self.now.wall_ms;
        // Guesses count at the user: a new flow brings no new ones.
        let _order = self.app.lock_user(&owner.id)?;
        let admitted = self.app.admit(&self.caller, &self.owner_now()?, &self.now)?.is_ok();
        if right && in_time && admitted && attempts < ATTEMPTS_MAX {
            let event = self.app.event("email.verified", &self.caller).about("user_ref", &owner.user_ref);
            self.shown(Evidence::Email, LOA);
            return self.save(move |w| event::append(w, &event).map(|_| true));
        }
        let event = Event::refused(at, "email.rejected", self.caller.actor.clone(), "wrong")
            .about("user_ref", &owner.user_ref);
        let attempts = attempts.saturating_add(1);
        self.kept.journey.at = At::Email { nonce, attempts, sends, until_boot_ms };
        self.wrong(if attempts >= ATTEMPTS_MAX { TOO_MANY } else { INVALID_OTP });
        let (limits, application, now) = (self.app.config.limits, self.caller.application, self.now);
        self.save(move |w| {
            if admitted {
                count_failure(w, &limits, &owner.id, &application, &now)?;
            }
            event::append(w, &event).map(|_| true)
        })
    }
}
