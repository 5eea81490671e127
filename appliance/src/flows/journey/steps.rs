//! Which answer belongs to which step, and the work between two steps.

use domain::event::Event;
use domain::journey::{At, Effect, Evidence, Next};
use domain::method::Method;
use domain::names::UserName;
use domain::registration::Kind;
use domain::token::Id;

use super::Input;
use super::kept::Walk;
use crate::appliance::Appliance;
use crate::flows::{FlowError, users};
use crate::store::flow::FlowRow;
use crate::store::{event, flow, user};

/// This is not what is asked now (MOB-08).
const WRONG_STEP: &str = "flow.wrong_step";
/// No number can be registered here (SMS-20).
const NOT_SUPPORTED: &str = "registration.not_supported";

impl Walk<'_> {
    /// Writes a flow that has just begun.
    /// It takes the place of the session that it goes on from.
    pub(super) fn insert(
        app: &Appliance,
        row: FlowRow,
        kept: &super::kept::Kept,
        session: Option<Id>,
    ) -> Result<(), FlowError> {
        let row = super::kept::sealed(app, row, kept)?;
        let actor = domain::event::Actor::system("flows");
        let begun = Event::ok(app.clock.now().wall_ms, "flow.begun", actor)
            .about("flow", super::kept::mark(&row.id))
            .about("definition", row.definition.as_str());
        Ok(app.store.write(move |w| {
            if let Some(session) = session {
                flow::remove(w, &session)?;
            }
            flow::insert(w, &row)?;
            event::append(w, &begun).map(drop)
        })?)
    }

    /// Does what has to be done until something is asked, and saves.
    pub(super) fn go_on(&mut self) -> Result<(), FlowError> {
        loop {
            let facts = self.facts()?;
            if let Some(owner) = &self.owner {
                self.kept.journey.skips = self.kept.journey.skips.max(owner.skips);
            }
            match self.kept.journey.next(facts.as_ref()) {
                Next::Do(effect) => self.perform(effect)?,
                Next::Ask => break,
            }
        }
        if self.kept.journey.at == At::Done && self.kept.redirect.is_none() {
            return self.finish();
        }
        self.save_only()
    }

    fn perform(&mut self, effect: Effect) -> Result<(), FlowError> {
        match effect {
            Effect::SendSms { authenticator } => self.send_sms(&authenticator),
            Effect::BeginRegistration => self.begin_registration(),
            Effect::BeginChange { authenticator } => self.begin_change(&authenticator),
            Effect::BeginActivation { overwrite } => self.begin_activation(overwrite),
            Effect::SendEmail => self.send_email(),
            Effect::SendPush(rule) => self.send_push(rule),
            Effect::AskRecovery => self.ask_recovery(),
            Effect::BeginMfa { kind, replace } => self.begin_mfa(kind, replace),
            Effect::SetMethod(method) => self.set_method(method),
            Effect::Persist => self.persist(),
        }
    }

    /// Takes an answer to what is asked.
    pub(super) fn answer(&mut self, input: Input) -> Result<(), FlowError> {
        let at = self.kept.journey.at.clone();
        let phone = matches!(
            at,
            At::Push { .. } | At::Recovery { .. } | At::MfaRegister { .. } | At::RecoveryCodes { .. }
        );
        if phone || matches!(input, Input::Recover) {
            return self.answer_phone(at, input);
        }
        match (at, input) {
            (At::Username, Input::Username(name)) => self.take_username(&name),
            (At::Password, Input::Password { name, password }) => {
                self.take_password(name.as_deref(), &password)
            }
            (At::Select(_) | At::Migrate { .. }, Input::Choose(name)) => {
                if !self.kept.journey.choose(&name) {
                    self.wrong("flow.wrong_step");
                }
                Ok(())
            }
            (At::Migrate { .. }, Input::Skip) => self.put_off(),
            (At::Sms { link: false, challenge, .. }, Input::Verify { otp, .. }) => {
                self.take_sms_code(&challenge, &otp)
            }
            (At::Sms { link: true, challenge, .. }, Input::Continue) => self.take_sms_link(&challenge),
            (At::Sms { authenticator, challenge, .. }, Input::Resend) => {
                self.resend_sms(&authenticator, &challenge)
            }
            (At::Sms { authenticator, .. }, Input::Register) if self.may_register(&authenticator) => {
                self.kept.journey.register();
                Ok(())
            }
            (At::Info { .. }, Input::Continue) => {
                self.kept.journey.on();
                Ok(())
            }
            (At::Number(rule), Input::Number(number)) => self.take_number(rule, &number),
            (At::NumberVerify { .. }, Input::Verify { otp, iak }) => self.take_number_code(&otp, iak),
            (At::NumberVerify { .. }, Input::Resend) => self.resend_number(),
            (At::NumberVerify { .. }, Input::Back) => {
                self.kept.journey.back();
                Ok(())
            }
            (At::NoLetter, Input::OrderLetter) => self.order_letter(),
            // A letter may have come meanwhile.
            (At::NoLetter, Input::Continue) => self.begin_registration(),
            (At::Oath, Input::Verify { otp, .. }) => self.take_oath_code(&otp),
            (At::Oath, Input::Resync) => {
                self.kept.journey.resync();
                Ok(())
            }
            (At::OathResync, Input::Consecutive { otp, next }) => self.take_consecutive(&otp, &next),
            (At::OathActivate { token, existing }, Input::Continue) if !self.confirms() => {
                self.activate_unseen(token, existing)
            }
            (At::OathActivate { token, existing }, Input::Verify { otp, .. }) => {
                self.take_activation_code(token, existing, &otp)
            }
            (At::Email { .. }, Input::Verify { otp, .. }) => self.take_email_code(&otp),
            (At::Email { .. }, Input::Resend) => self.send_email(),
            (At::Details, Input::Details(details)) => self.take_details(details),
            (At::Sms { .. }, Input::Register) => Err(FlowError::Step(NOT_SUPPORTED)),
            _ => Err(FlowError::Step(WRONG_STEP)),
        }
    }

    /// Takes an answer where a registered phone, or what stands for it, is asked for.
    fn answer_phone(&mut self, at: At, input: Input) -> Result<(), FlowError> {
        match (at, input) {
            (At::Push { rule, challenge }, Input::Continue) => self.take_push(rule, &challenge),
            (At::Push { rule, challenge }, Input::Resend) => self.push_again(rule, &challenge),
            (At::Push { .. }, Input::CodeInstead) if self.kept.journey.code_instead() => Ok(()),
            (At::Push { .. } | At::Oath, Input::Recover)
                if self.definition.recovery_codes && self.kept.journey.recover() =>
            {
                Ok(())
            }
            (At::Recovery { challenge }, Input::Verify { otp, .. }) => self.take_recovery(&challenge, &otp),
            (At::MfaRegister { registration, .. }, Input::Continue) => self.take_registration(&registration),
            (At::MfaRegister { kind: Kind::Oath, registration, .. }, Input::Verify { otp, .. }) => {
                self.take_first_code(&registration, &otp)
            }
            (At::MfaRegister { kind, replace, registration }, Input::Resend) => {
                self.begin_mfa_again(kind, replace, &registration)
            }
            (At::RecoveryCodes { registration }, Input::Reveal) => self.reveal_codes(&registration),
            (At::RecoveryCodes { .. }, Input::Continue) => {
                self.kept.journey.on();
                Ok(())
            }
            _ => Err(FlowError::Step(WRONG_STEP)),
        }
    }

    /// The same step once more, with an error.
    pub(super) fn wrong(&mut self, key: &str) {
        self.kept.journey.error = Some(key.to_owned());
    }

    /// Stands for the user's name (SMS-07). Nobody learns here whether there is such a user: the next step does what
    /// it would do for one.
    fn take_username(&mut self, typed: &str) -> Result<(), FlowError> {
        if typed.trim().is_empty() {
            self.wrong("enter-username.validation.error.username.required");
            return Ok(());
        }
        self.name(typed)?;
        self.kept.journey.on();
        Ok(())
    }

    /// Looks a name up and keeps it.
    pub(super) fn name(&mut self, typed: &str) -> Result<(), FlowError> {
        let name = UserName::parse(typed.trim()).ok();
        let found = match &name {
            Some(name) => self.app.store.read(|c| user::by_name(c, name))?,
            None => None,
        };
        self.owner = users::checked(self.app, typed.trim(), found)?;
        self.owner = self.owner.take().filter(|owner| owner.state == "active");
        self.kept.journey.user = self.owner.as_ref().map(|owner| owner.id);
        self.kept.journey.name = Some(name.map_or_else(String::new, |name| name.to_string()));
        Ok(())
    }

    /// Puts the move to the next method off; the user's next flow remembers it (D-61).
    fn put_off(&mut self) -> Result<(), FlowError> {
        if !self.kept.journey.skip() {
            return Err(FlowError::Step(WRONG_STEP));
        }
        let loaded = self.user()?.clone();
        let change = user::Change { skips: Some(self.kept.journey.skips), ..user::Change::default() };
        users::check_account(self.app, &loaded)?;
        let next = users::sealed(self.app, change.applied(&loaded))?;
        self.owner = Some(next.clone());
        self.save(move |w| user::put_account(w, &loaded, &next))
    }

    /// Makes a method the active one (OATH-32, B.5.10).
    fn set_method(&mut self, method: Method) -> Result<(), FlowError> {
        let owner = self.user()?.clone();
        let next = user::Change {
            active_method: Some(method),
            next_method: (owner.next_method == Some(method)).then_some(None),
            skips: Some(0),
            ..user::Change::default()
        };
        let event = self
            .app
            .event("user.method_set", &self.caller)
            .about("user_ref", &owner.user_ref)
            .about("method", method.name());
        users::change_account(self.app, &owner, &next, event)?;
        self.owner = Some(users::find(self.app, &owner.name)?);
        Ok(())
    }

    /// An application's word, or nothing: level of what was shown.
    pub(super) fn shown(&mut self, evidence: Evidence, loa: f64) {
        // Not before: another language than the browser's would say that there is such a user.
        if let Some(owner) = &self.owner
            && let Some(lang) = self.app.config.texts.serving(&owner.lang)
        {
            lang.clone_into(&mut self.kept.lang);
        }
        self.kept.journey.shown(evidence, loa);
    }
}
