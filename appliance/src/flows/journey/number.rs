//! A number is registered or changed (B.5.1, B.5.3): nothing of it is stored before the last step.

use domain::challenge::{State, Wanted};
use domain::event::Event;
use domain::flow::Step;
use domain::journey::{At, Entered, Evidence, Rule};
use domain::letter::Kind;
use domain::phone::Msisdn;
use zeroize::Zeroizing;

use super::kept::Walk;
use crate::config::people::{After, Requirement, SmsAuthenticator};
use crate::flows::phones::{self, SUSPENDED};
use crate::flows::sending::{Sending, To};
use crate::flows::{FlowError, challenge as sent, enrol, handle, letters, users};
use crate::store::{challenge, event, letter, outbox, phone};

const INVALID_NUMBER: &str = "register.error.validation.invalid.phonenumber";
const NUMBER_REQUIRED: &str = "register.error.validation.phonenumber.required";
const ALREADY_REGISTERED: &str = "register.error.number-already-registered";
const TOO_MANY: &str = "register.error.too-many-attempts";
/// Code or key: which of the two is wrong is not said (D-03).
const INVALID_OTP_OR_IAK: &str = "register.error.invalid.otp-or-iak";
const INVALID_OTP: &str = "confirm.error.validation.invalid.otp";

impl Walk<'_> {
    /// Begins the registration of a first number (MOB-15 to MOB-18), or goes on where it is not offered.
    pub(super) fn begin_registration(&mut self) -> Result<(), FlowError> {
        let registration = &self.app.config.people.registration;
        if !registration.enabled {
            self.kept.journey.on();
            return Ok(());
        }
        // Without a letter another registered factor must have been shown (MOB-20).
        let shown = self.kept.journey.evidence.contains(&Evidence::Otp);
        let iak = registration.iak_required || !shown;
        let owner = self.user()?.clone();
        if iak && !enrol::letters_count(self.app) {
            self.kept.journey.on();
        } else if iak && !letters::is_usable(self.app, &owner.id, Kind::SmsIak)? {
            self.kept.journey.no_letter();
        } else {
            self.kept.journey.number_wanted(Rule::First { iak });
        }
        Ok(())
    }

    /// Asks for what a change requires, then for the number (SMS-22, SMS-27).
    pub(super) fn begin_change(&mut self, id: &str) -> Result<(), FlowError> {
        let own = self.app.config.people.authenticator(id).cloned();
        let own = own.ok_or(FlowError::NotFound("authenticator"))?;
        if !own.writable || own.required_for_registration.is_empty() {
            self.kept.journey.fail("registration.not_supported");
            return Ok(());
        }
        let missing: Vec<Step> = own
            .required_for_registration
            .iter()
            .filter_map(|requirement| self.missing(requirement))
            .collect();
        let info = own.show_info_before_registration && !self.kept.journey.informed;
        if info || !missing.is_empty() {
            self.kept.journey.change_wanted(id, missing, info);
            return Ok(());
        }
        let iak = own.required_for_registration.contains(&Requirement::Iak);
        if iak && !enrol::letters_count(self.app) {
            self.kept.journey.fail("registration.not_supported");
            return Ok(());
        }
        let owner = self.user()?.clone();
        if iak && !letters::is_usable(self.app, &owner.id, Kind::SmsIak)? {
            self.kept.journey.no_letter();
            return Ok(());
        }
        self.kept.journey.number_wanted(Rule::Change { authenticator: id.to_owned(), iak });
        Ok(())
    }

    /// The step that a requirement still needs; the key of a letter is asked for together with the code.
    fn missing(&self, requirement: &Requirement) -> Option<Step> {
        let evidence = &self.kept.journey.evidence;
        let (step, shown) = match requirement {
            Requirement::Iak => return None,
            Requirement::Password => {
                let known = evidence.contains(&Evidence::Assertion);
                (Step::Password, known || evidence.contains(&Evidence::Password))
            }
            Requirement::Oath => (Step::Oath, evidence.contains(&Evidence::Otp)),
            Requirement::Email => (Step::Email, evidence.contains(&Evidence::Email)),
            Requirement::Authenticator(id) => (Step::Sms(id.clone()), evidence.contains(&Evidence::Sms)),
        };
        (!shown).then_some(step)
    }

    fn rules(&self, rule: &Rule) -> Option<SmsAuthenticator> {
        let people = &self.app.config.people;
        match rule {
            Rule::Change { authenticator, .. } => people.authenticator(authenticator).cloned(),
            Rule::First { .. } => people.authenticators.first().cloned(),
        }
    }

    /// Takes a number and sends its code (MOB-10, MOB-12).
    pub(super) fn take_number(&mut self, rule: Rule, typed: &str) -> Result<(), FlowError> {
        if typed.trim().is_empty() {
            self.wrong(NUMBER_REQUIRED);
            return Ok(());
        }
        let Some(number) = self.app.config.people.numbers.read(typed) else {
            self.wrong(INVALID_NUMBER);
            return Ok(());
        };
        let owner = self.user()?.clone();
        let lookup = users::lookup(self.app, &number)?;
        let holders = self.app.store.read(|c| phone::holders(c, &lookup))?;
        let shared = self.app.config.people.numbers.shared_allowed;
        let own = phones::of_user(self.app, &owner.id)?;
        // Another number does not lift what an operator has set aside (B.5.1).
        if own.is_some_and(|own| own.state == SUSPENDED) {
            self.wrong(ALREADY_REGISTERED);
            return Ok(());
        }
        if holders.contains(&owner.id) || (!shared && !holders.is_empty()) {
            self.wrong(ALREADY_REGISTERED);
            return Ok(());
        }
        let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
        let aad = users::phone_aad(&owner.id);
        let entered = Entered {
            phone: self.app.new_id()?,
            number: self.app.hsm.seal(key, &aad, number.expose().as_bytes())?,
            lookup: lookup.to_vec(),
            masked: number.masked(),
        };
        self.send_number_code(&rule, entered, number)
    }

    fn send_number_code(&mut self, rule: &Rule, entered: Entered, number: Msisdn) -> Result<(), FlowError> {
        let owner = self.user()?.clone();
        let own = self.rules(rule);
        let limit = own.as_ref().map_or(self.app.config.terms.sends_max, |own| own.max_challenges_sent);
        if limit != 0 && self.kept.journey.sends >= limit {
            self.wrong(TOO_MANY);
            return Ok(());
        }
        let purpose = if matches!(rule, Rule::First { .. }) { "register" } else { "change" };
        let to = To::Given(number);
        let sending = Sending {
            owner: &owner,
            authenticator: own.as_ref(),
            purpose,
            link: false,
            to,
            binding_message: None,
        };
        match self.order(sending)? {
            Ok(challenge) => self.kept.journey.number_entered(entered, challenge),
            Err(_) => self.wrong(TOO_MANY),
        }
        Ok(())
    }

    /// Another code to the number that was entered.
    pub(super) fn resend_number(&mut self) -> Result<(), FlowError> {
        let At::NumberVerify { rule, entered, challenge } = self.kept.journey.at.clone() else {
            return Ok(());
        };
        if sent::state(self.app, &challenge)? == Some(State::Failed) {
            self.kept.journey.sends = self.kept.journey.sends.saturating_sub(1);
        }
        let number = users::open_number(self.app, self.user()?, &entered.number)?;
        self.send_number_code(&rule, entered, number)?;
        if self.kept.journey.error.is_none() {
            self.kept.notice = Some("resent".to_owned());
        }
        Ok(())
    }

    /// Takes the code and, where a letter is required, its key: both are looked at whatever the other is, each answer
    /// counts as one attempt, and one error says that something is wrong (D-03).
    pub(super) fn take_number_code(
        &mut self,
        otp: &str,
        iak: Option<Zeroizing<String>>,
    ) -> Result<(), FlowError> {
        let At::NumberVerify { rule, entered, challenge } = self.kept.journey.at.clone() else {
            return Ok(());
        };
        let owner = self.user()?.clone();
        // Guesses at once are judged one after the other, each by what the one before has left.
        let _order = self.app.lock_user(&owner.id)?;
        let invalid = if rule.wants_iak() { INVALID_OTP_OR_IAK } else { INVALID_OTP };
        let row = self.app.store.read(|c| challenge::by_id(c, &challenge))?;
        let row = row.ok_or(FlowError::NotFound("challenge"))?;
        let open = row.progress.aged(&self.now).state == State::Waiting
            && self.app.admit(&self.caller, &self.owner_now()?, &self.now)?.is_ok();
        let Wanted::SentCode { digits, .. } = row.wanted else {
            return Err(FlowError::NotFound("challenge"));
        };
        let asked = sent::ask(self.app, &row, digits, otp.trim())?;
        let next = row.progress.missed(&self.app.terms(row.authenticator.as_deref()));
        let missed_mac = sent::next_mac(self.app, &row, &next)?;
        let judged = match rule.wants_iak() {
            true => {
                let typed = iak.as_ref().map_or("", |typed| typed.as_str());
                Some(letters::judge(self.app, &owner.id, Kind::SmsIak, typed, &self.now)?)
            }
            false => None,
        };
        let key_right = judged.as_ref().is_none_or(|judged| judged.right);
        if open && asked.right && key_right {
            return self.apply(&rule, &entered, row, asked.next_mac, judged);
        }
        let at = self.now.wall_ms;
        let about =
            |event: Event| event.about("user_ref", &owner.user_ref).about("challenge", handle(&row.id));
        let reason = if key_right { "wrong" } else { "wrong_key" };
        let mut events = vec![about(Event::refused(at, "sms.failed", self.caller.actor.clone(), reason))];
        if open && next.state == State::Exhausted {
            events.push(about(self.app.event("sms.attempts_exhausted", &self.caller)));
        }
        let missed_letter = judged.filter(|judged| !judged.right).and_then(|judged| judged.missed());
        if let Some((_, next)) = &missed_letter {
            let burnt = next.progress.state == domain::letter::State::Burnt;
            events.push(about(Event::refused(at, "iak.rejected", self.caller.actor.clone(), "wrong")));
            if burnt {
                events.push(about(self.app.event("letter.burnt", &self.caller)));
            }
        }
        let (limits, application, now, id) =
            (self.app.config.limits, self.caller.application, self.now, owner.id);
        self.wrong(invalid);
        self.save(move |w| {
            // What another guess at once has moved was not judged as it is: nothing is said of it.
            if open && !challenge::put_progress(w, &row, &next, &missed_mac, at)? {
                return Ok(false);
            }
            if open {
                crate::flows::guess::count_failure(w, &limits, &id, &application, &now)?;
            }
            if let Some((loaded, next)) = &missed_letter
                && !letter::put(w, loaded, next, at)?
            {
                return Ok(false);
            }
            events.iter().try_for_each(|event| event::append(w, event).map(drop))?;
            Ok(true)
        })
    }

    /// Binds the number, consumes code and key, writes the events and the notices: one transaction (MOB-19).
    fn apply(
        &mut self,
        rule: &Rule,
        entered: &Entered,
        row: challenge::ChallengeRow,
        verified_mac: [u8; 32],
        judged: Option<letters::Judged>,
    ) -> Result<(), FlowError> {
        let (app, at) = (self.app, self.now.wall_ms);
        let owner = self.user()?.clone();
        let former = phones::of_user(app, &owner.id)?;
        let consumed = judged.and_then(letters::Judged::consumed);
        let letter = consumed.as_ref().map(|(letter, _)| letter);
        let letter_id = letter.map(|letter| handle(&letter.order.id));
        let Some(binding) = self.binding(entered, &owner, former.as_ref(), letter)? else {
            self.kept.journey.fail("registration.not_supported");
            return self.save(|_| Ok(true));
        };
        let loa = binding.row.loa;
        let about = |kind: &'static str| app.event(kind, &self.caller).about("user_ref", &owner.user_ref);
        let mut events = vec![about("phone.possession_proven").about("challenge", handle(&row.id))];
        if let Some(id) = &letter_id {
            events.push(about("iak.accepted").about("letter", id.as_str()));
        }
        events.push(about(if former.is_some() { "phone.changed" } else { "phone.registered" }));
        let notices = match &former {
            Some(former) => phones::notices(app, &owner, former, &binding.row, &self.now)?,
            None => Vec::new(),
        };
        let (own, registering) = (self.rules(rule), self.kept.journey.registering);
        let relogin =
            matches!(rule, Rule::First { .. }) && app.config.people.registration.after == After::Relogin;
        if relogin {
            self.kept.journey.restart(&self.definition);
            self.kept.notice = Some("relogin".to_owned());
        } else {
            let automatic = matches!(rule, Rule::First { .. })
                || own.is_some_and(|own| own.auto_login_after_registration && registering);
            self.kept.journey.number_applied(consumed.is_some(), automatic.then_some(loa));
            self.kept.notice = Some("registered".to_owned());
        }
        let shared = app.config.people.numbers.shared_allowed;
        let (verified, application, id) = (row.progress.verified(), self.caller.application, owner.id);
        self.save(move |w| {
            if !challenge::put_progress(w, &row, &verified, &verified_mac, at)? {
                return Ok(false);
            }
            if let Some((loaded, next)) = &consumed
                && !letter::put(w, loaded, next, at)?
            {
                return Ok(false);
            }
            if !shared && phone::is_taken(w, &binding.row.number_lookup, &id)? {
                return Ok(false);
            }
            binding.write(w)?;
            crate::flows::guess::clear_failures(w, &id, &application)?;
            notices.iter().try_for_each(|message| outbox::insert(w, message))?;
            events.iter().try_for_each(|event| event::append(w, event).map(drop))?;
            Ok(true)
        })?;
        app.bell.ring();
        Ok(())
    }

    /// Orders a letter for a user who has none (D-04), or does as if.
    pub(super) fn order_letter(&mut self) -> Result<(), FlowError> {
        if !self.app.config.people.registration.self_order {
            self.wrong("flow.wrong_step");
            return Ok(());
        }
        let owner = self.user()?.clone();
        letters::order_for(self.app, &self.caller, &owner, Kind::SmsIak, domain::letter::Delivery::Post)?;
        self.kept.notice = Some("letter-ordered".to_owned());
        Ok(())
    }
}
