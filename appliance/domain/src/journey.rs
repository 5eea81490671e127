//! The way of one user through a flow (B.5.3, B.5.10): what is asked, and what follows an answer.
//!
//! Pure: whoever drives it calls [`Journey::next`] until something is [asked](Next::Ask), does what
//! [`Next::Do`] says and tells the outcome. Nothing about the user changes before the step that applies it: what is
//! gathered on the way lives here alone (MOB-19).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

pub use self::asked::{At, Effect, Entered, Evidence, Next, Rule};
use crate::enrol::Level;
use crate::flow::{Choice, Definition, PushRule, Step};
use crate::method::{Facts, Method};
use crate::registration::Kind;
use crate::token::Id;

mod asked;

/// A flow under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// Steps still to come.
    pub ahead: VecDeque<Step>,
    /// What is asked now.
    pub at: At,
    /// Who; none before a name is known, and none for a name that nobody has.
    pub user: Option<Id>,
    /// The name, once one was given.
    pub name: Option<String>,
    /// What the user has shown.
    pub evidence: Vec<Evidence>,
    /// Level of assurance reached.
    pub loa: f64,
    /// Messages sent in this flow (SMS-31).
    pub sends: u32,
    /// Whether the registration of a number has been begun from an SMS step, to be followed by that step.
    pub registering: bool,
    /// Whether the page that explains a registration was shown.
    pub informed: bool,
    /// How often the migration was put off before, and here.
    pub skips: u32,
    /// What the application vouches for: name and sealed value of each attribute (SMS-10).
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Whether the user does not exist before [`Effect::Persist`].
    pub newcomer: bool,
    /// The active method to write with the new user.
    pub method: Option<Method>,
    /// Token that was activated on the way.
    pub activated: Option<Id>,
    /// Key of what went wrong with the last answer.
    pub error: Option<String>,
}

/// Error key of a selection without any option.
pub const NO_OPTION: &str = "flow.no_option";
/// Error key of a push to a user without a registered phone (COMB-45).
pub const NO_PHONE: &str = "push.not_registered";
/// Error key of a step that needs a user when there is none.
pub const NO_USER: &str = "flow.no_user";

impl Journey {
    /// At the beginning of a definition.
    pub fn start(definition: &Definition) -> Self {
        Journey {
            ahead: definition.steps.iter().cloned().collect(),
            at: At::Between,
            user: None,
            name: None,
            evidence: Vec::new(),
            loa: 1.0,
            sends: 0,
            registering: false,
            informed: false,
            skips: 0,
            attributes: Vec::new(),
            newcomer: false,
            method: None,
            activated: None,
            error: None,
        }
    }

    /// Whether nothing can change it any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.at, At::Done | At::Failed(_))
    }

    /// Goes on to the next thing to ask or to do. `facts` are the user's, where one is known.
    pub fn next(&mut self, facts: Option<&Facts>) -> Next {
        while self.at == At::Between {
            let Some(step) = self.ahead.pop_front() else {
                self.at = At::Done;
                break;
            };
            if let Some(next) = self.enter(step, facts) {
                return next;
            }
        }
        Next::Ask
    }

    fn enter(&mut self, step: Step, facts: Option<&Facts>) -> Option<Next> {
        let shown = |evidence| self.evidence.contains(&evidence);
        match step {
            Step::Username if self.name.is_none() => self.at = At::Username,
            Step::Username => {}
            // An application's word for the first factor is as good as the password (D-59).
            Step::Password if shown(Evidence::Password) || shown(Evidence::Assertion) => {}
            Step::Password => self.at = At::Password,
            Step::Details => self.at = At::Details,
            Step::Persist => return Some(Next::Do(Effect::Persist)),
            Step::SetMethod(method) => {
                self.method = Some(method);
                return (!self.newcomer).then_some(Next::Do(Effect::SetMethod(method)));
            }
            // A new user has no secret that could be shown again (OATH-37).
            Step::OathActivate { .. } if self.newcomer => {
                return Some(Next::Do(Effect::BeginActivation { overwrite: true }));
            }
            Step::Select(options) if self.newcomer => self.select_new(options),
            // The phone was shown a moment ago (D-07): no second message.
            Step::Sms(_) if shown(Evidence::Sms) => {}
            Step::Sms(authenticator) => return Some(Next::Do(Effect::SendSms { authenticator })),
            other => match facts {
                None => self.fail(NO_USER),
                Some(facts) => return self.enter_known(other, facts),
            },
        }
        None
    }

    /// The steps that only a known user can take.
    fn enter_known(&mut self, step: Step, facts: &Facts) -> Option<Next> {
        match step {
            Step::PhoneRegistration if facts.active == Method::Sms && !facts.has_phone => {
                return Some(Next::Do(Effect::BeginRegistration));
            }
            Step::PhoneChange(authenticator) => {
                return Some(Next::Do(Effect::BeginChange { authenticator }));
            }
            Step::Oath if self.evidence.contains(&Evidence::Otp) => {}
            Step::Oath => self.at = At::Oath,
            Step::Push(_) if self.evidence.contains(&Evidence::Push) => {}
            Step::Push(rule) if facts.has_push => return Some(Next::Do(Effect::SendPush(rule))),
            Step::Push(PushRule { else_oath: true, .. }) if facts.has_oath || facts.has_hardware => {
                self.first([Step::Oath]);
            }
            // One that is set aside is not none: whoever found it has no easier way in.
            Step::Push(PushRule { optional: true, .. }) if !facts.has_push_aside => {}
            Step::Push(_) if facts.can_recover => self.first([Step::Recovery]),
            Step::Push(_) => self.fail(NO_PHONE),
            Step::Recovery if self.evidence.contains(&Evidence::Recovery) => {}
            Step::Recovery => return Some(Next::Do(Effect::AskRecovery)),
            // Who has a code to show shows it first: a password alone adds no second phone to what is there.
            Step::MfaRegister { .. } if !facts.has_push && self.has_unshown_code(facts) => {
                self.first([Step::Oath, step]);
            }
            Step::MfaRegister { kind, replace } => {
                return Some(Next::Do(Effect::BeginMfa { kind, replace }));
            }
            Step::OathActivate { overwrite_existing } => {
                return Some(Next::Do(Effect::BeginActivation { overwrite: overwrite_existing }));
            }
            Step::OathResync => self.at = At::OathResync,
            Step::Email if self.evidence.contains(&Evidence::Email) => {}
            Step::Email => return Some(Next::Do(Effect::SendEmail)),
            Step::Select(options) => self.select(options, facts),
            Step::Migrate { options, max_skips } => {
                let wanted = |option: &Choice| {
                    option.target.is_some_and(|target| facts.next == Some(target) && facts.active != target)
                        && option.when.iter().all(|condition| condition.holds(facts))
                };
                let options: Vec<Choice> = options.into_iter().filter(wanted).collect();
                if !options.is_empty() {
                    self.at = At::Migrate { options, can_skip: self.skips < max_skips };
                }
            }
            _ => {}
        }
        None
    }

    fn has_unshown_code(&self, facts: &Facts) -> bool {
        (facts.has_oath || facts.has_hardware) && !self.has_second_factor()
    }

    fn has_second_factor(&self) -> bool {
        let second = [Evidence::Sms, Evidence::Otp, Evidence::Push, Evidence::Recovery];
        self.evidence.iter().any(|shown| second.contains(shown))
    }

    /// Level of what was shown, once there is more to it than the first factor. A recovery code stands for what was lost,
    /// whatever that counted for (D-34).
    pub fn second_factor(&self) -> Option<Level> {
        let recovered = self.evidence.contains(&Evidence::Recovery);
        let level = if recovered { Level::Three } else { Level::at_most(self.loa) };
        self.has_second_factor().then_some(level)
    }

    /// Offers what holds; a single option needs no question (OATH-21).
    fn select(&mut self, options: Vec<Choice>, facts: &Facts) {
        let holds = |option: &Choice| option.when.iter().all(|condition| condition.holds(facts));
        self.offer(options.into_iter().filter(holds).collect());
    }

    /// A new user has nothing that a condition could ask for: only what is always offered is (OATH-39).
    fn select_new(&mut self, options: Vec<Choice>) {
        let always = |option: &Choice| {
            option.when.iter().all(|condition| *condition == crate::method::Condition::Always)
        };
        self.offer(options.into_iter().filter(always).collect());
    }

    fn offer(&mut self, mut options: Vec<Choice>) {
        match options.len() {
            0 => self.fail(NO_OPTION),
            1 => {
                let only = options.remove(0);
                self.take(only);
            }
            _ => self.at = At::Select(options),
        }
    }

    fn take(&mut self, option: Choice) {
        let target = option.target.map(Step::SetMethod);
        self.first(option.steps.into_iter().chain(target));
    }

    /// Puts steps before all that is still to come.
    fn first(&mut self, steps: impl IntoIterator<Item = Step>) {
        let mut ahead: VecDeque<Step> = steps.into_iter().collect();
        ahead.append(&mut self.ahead);
        self.ahead = ahead;
        self.at = At::Between;
    }

    /// Takes the option of this name. False when it is not offered.
    pub fn choose(&mut self, name: &str) -> bool {
        let (At::Select(options) | At::Migrate { options, .. }) = &self.at else { return false };
        match options.iter().find(|option| option.name == name).cloned() {
            Some(option) => {
                self.take(option);
                true
            }
            None => false,
        }
    }

    /// Puts a migration off (D-61). False when that is not possible.
    pub fn skip(&mut self) -> bool {
        let skippable = matches!(self.at, At::Migrate { can_skip: true, .. });
        if skippable {
            self.skips = self.skips.saturating_add(1);
            self.at = At::Between;
        }
        skippable
    }

    /// Something was shown: on to the next step.
    pub fn shown(&mut self, evidence: Evidence, loa: f64) {
        if !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
        self.loa = self.loa.max(loa);
        self.at = At::Between;
    }

    /// What is asked now is answered, and shows nothing: on to the next step.
    pub fn on(&mut self) {
        self.at = At::Between;
    }

    /// A message is on its way.
    pub fn sms_sent(&mut self, authenticator: &str, challenge: Id, link: bool) {
        self.sends = self.sends.saturating_add(1);
        self.at = At::Sms { authenticator: authenticator.to_owned(), challenge, link };
    }

    /// Asks for a number.
    pub fn number_wanted(&mut self, rule: Rule) {
        self.at = At::Number(rule);
    }

    /// There is no letter yet.
    pub fn no_letter(&mut self) {
        self.at = At::NoLetter;
    }

    /// Asks for what a change requires, explains it first where `info` says so, then asks for the number.
    pub fn change_wanted(&mut self, authenticator: &str, required: Vec<Step>, info: bool) {
        let number = Step::PhoneChange(authenticator.to_owned());
        self.first(required.into_iter().chain([number]));
        if info {
            self.informed = true;
            self.at = At::Info { authenticator: authenticator.to_owned() };
        }
    }

    /// The user wants to register or change the number instead of the code that is asked for (SMS-25). The step
    /// comes again afterwards. False where there is no such step.
    pub fn register(&mut self) -> bool {
        let At::Sms { authenticator, .. } = &self.at else { return false };
        let authenticator = authenticator.clone();
        self.registering = true;
        self.first([Step::PhoneChange(authenticator.clone()), Step::Sms(authenticator)]);
        true
    }

    /// The user's codes are refused: two of them say where the token stands, then the step comes again (RFC 4226
    /// section 7.4). False where no such code is asked for.
    pub fn resync(&mut self) -> bool {
        let asked = self.at == At::Oath;
        if asked {
            self.first([Step::OathResync, Step::Oath]);
        }
        asked
    }

    /// The phone is being asked.
    pub fn pushed(&mut self, rule: PushRule, challenge: Id) {
        self.at = At::Push { rule, challenge };
    }

    /// The phone does not answer, or is not at hand: a code instead (COMB-05). False where the flow has no such way.
    pub fn code_instead(&mut self) -> bool {
        let way = matches!(self.at, At::Push { rule: PushRule { else_oath: true, .. }, .. });
        if way {
            self.first([Step::Oath]);
        }
        way
    }

    /// No push can be made: a code instead, before all that is still to come. False where the rule has no such way.
    pub fn ask_code_instead(&mut self, rule: PushRule) -> bool {
        if rule.else_oath {
            self.first([Step::Oath]);
        }
        rule.else_oath
    }

    /// Phone and app are lost: a recovery code instead (COMB-15, COMB-43). False where nothing of theirs is asked for.
    pub fn recover(&mut self) -> bool {
        let lost = matches!(self.at, At::Push { .. } | At::Oath);
        if lost {
            self.first([Step::Recovery]);
        }
        lost
    }

    /// A recovery code is asked for.
    pub fn recovering(&mut self, challenge: Id) {
        self.at = At::Recovery { challenge };
    }

    /// A QR code is ready to be scanned.
    pub fn registering_phone(&mut self, kind: Kind, replace: bool, registration: Id) {
        self.at = At::MfaRegister { kind, replace, registration };
    }

    /// The phone is registered: on, past the recovery codes where there are any.
    pub fn phone_registered(&mut self, registration: Id, codes: bool) {
        self.at = if codes { At::RecoveryCodes { registration } } else { At::Between };
    }

    /// The number's code is on its way.
    pub fn number_entered(&mut self, entered: Entered, challenge: Id) {
        let rule = match &self.at {
            At::Number(rule) | At::NumberVerify { rule, .. } => rule.clone(),
            _ => return,
        };
        self.sends = self.sends.saturating_add(1);
        self.at = At::NumberVerify { rule, entered, challenge };
    }

    /// Back to the number (B.5.3). False where there is none.
    pub fn back(&mut self) -> bool {
        match &self.at {
            At::NumberVerify { rule, .. } => {
                self.at = At::Number(rule.clone());
                true
            }
            _ => false,
        }
    }

    /// The number is the user's. With `login` it counts as shown: no second message (SMS-34, D-07).
    pub fn number_applied(&mut self, iak: bool, login: Option<f64>) {
        if iak {
            self.shown(Evidence::Iak, 1.0);
        }
        if let Some(loa) = login {
            self.shown(Evidence::Sms, loa);
        }
        self.registering = false;
        self.at = At::Between;
    }

    /// The login begins anew (MOB-30): nothing that was shown counts.
    pub fn restart(&mut self, definition: &Definition) {
        *self = Journey { sends: self.sends, ..Journey::start(definition) };
    }

    /// A secret is ready to be scanned.
    pub fn activating(&mut self, token: Id, existing: bool) {
        self.at = At::OathActivate { token, existing };
    }

    /// The app showed that it has the secret.
    pub fn activation_done(&mut self, token: Id) {
        self.activated = Some(token);
        self.at = At::Between;
    }

    /// Ends the flow. Nothing of it is stored.
    pub fn fail(&mut self, key: &str) {
        self.ahead.clear();
        self.at = At::Failed(key.to_owned());
    }
}

#[cfg(test)]
mod tests;
