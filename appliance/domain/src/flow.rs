//! What a flow asks of a user, step by step, as the configuration defines it (B.5.3, B.5.10, OATH-21, OATH-32).
//!
//! A definition never changes while it is in use; the way of one user through it is kept apart from it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::method::{Condition, Method};
use crate::registration::Kind;

/// Steps of a definition at the most, those of its options included.
pub const STEPS_MAX: usize = 64;
/// Options of a selection at the most.
pub const OPTIONS_MAX: usize = 16;
/// Longest id of a flow, an authenticator or an option, in characters.
pub const ID_MAX: usize = 64;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Asks for the user's name alone (SMS-07).
    Username,
    /// Asks for name and password (MOB-09).
    Password,
    /// A code or a link to the user's phone, by the authenticator of this id (SMS-01).
    Sms(String),
    /// Registers the first number, with the key of an activation letter (MOB-08).
    PhoneRegistration,
    /// Registers or changes the number as this authenticator wants it (SMS-05).
    PhoneChange(String),
    /// A code of an authenticator app or a hardware token (OATH-52).
    Oath,
    /// Enrols an authenticator app (OATH-31).
    OathActivate {
        /// Whether a new secret replaces the existing one (OATH-33), or that one is shown again (OATH-34).
        overwrite_existing: bool,
    },
    /// Two consecutive codes of a token whose counter or clock has run away (RFC 4226 section 7.4, D-28).
    OathResync,
    /// A code to the user's e-mail address (SMS-24).
    Email,
    /// The user's phone is asked (COMB-45).
    Push(PushRule),
    /// A recovery code in place of a phone or an app that was lost (COMB-43).
    Recovery,
    /// Registers a phone for push, for OATH, or for both by one QR code (COMB-01, COMB-02).
    MfaRegister {
        /// What it is registered for.
        kind: Kind,
        /// Whether it takes the place of what is there (D-34).
        replace: bool,
    },
    /// The user chooses among the options whose condition holds (OATH-21); a single one is taken at once.
    Select(Vec<Choice>),
    /// Offers to move to another method (OATH-32).
    Migrate {
        /// What to move to.
        options: Vec<Choice>,
        /// How often it may be put off.
        max_skips: u32,
    },
    /// A new user's name, password, address (OATH-39, D-58).
    Details,
    /// Makes this the user's active method (OATH-39).
    SetMethod(Method),
    /// Writes everything that the flow gathered about a new user, in one transaction (OATH-39).
    Persist,
}

/// What a push step does where the phone does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRule {
    /// Asks for a code of the user's app or token when the phone stays silent, or at once when there is none (COMB-05).
    pub else_oath: bool,
    /// Goes on without it for a user without a phone (COMB-45).
    pub optional: bool,
}

/// An option of a selection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Its name in forms and in the API, such as `OATH_OTP`.
    pub name: String,
    /// What the page shows.
    pub label: String,
    /// When it is offered: all must hold.
    pub when: Vec<Condition>,
    /// What follows when it is chosen.
    pub steps: Vec<Step>,
    /// The method that the user has afterwards (OATH-32).
    pub target: Option<Method>,
}

/// What a flow is for: who may start it, and what its end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Logs a user in, for an application or for the self-service pages.
    Login,
    /// A logged-in user changes something (OATH-40).
    SelfService,
    /// A new user registers (OATH-39).
    SelfRegistration,
}

/// A flow as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its id, one of its kind.
    pub id: String,
    /// What the page shows.
    pub label: String,
    /// What it is for.
    pub purpose: Purpose,
    /// All must hold for it to be offered.
    pub conditions: Vec<Condition>,
    /// Whether a recovery code may stand for a push or a code of an app (COMB-43).
    pub recovery_codes: bool,
    /// The steps in their order.
    pub steps: Vec<Step>,
}

/// What is shown at the least on the way through some steps.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    /// Factors of any kind.
    factors: usize,
    /// Of those, what counts as a second one: a code, or a phone that was asked.
    second: usize,
}

impl Shown {
    fn of(steps: &[Step]) -> Self {
        let shown = |factors, second| Shown { factors, second };
        steps.iter().fold(Shown::default(), |sum, step| {
            let next = match step {
                Step::Password | Step::Email => shown(1, 0),
                Step::Sms(_) | Step::Oath => shown(1, 1),
                Step::Push(rule) if !rule.optional => shown(1, 1),
                Step::Select(options) => options
                    .iter()
                    .map(|option| Shown::of(&option.steps))
                    .reduce(|a, b| shown(a.factors.min(b.factors), a.second.min(b.second)))
                    .unwrap_or_default(),
                _ => Shown::default(),
            };
            shown(sum.factors + next.factors, sum.second + next.second)
        })
    }
}

impl Definition {
    /// Whether everybody who comes to its end has shown two factors, a code or a phone among them.
    pub fn asks_second_factor(&self) -> bool {
        let Shown { factors, second } = Shown::of(&self.steps);
        factors > 1 && second > 0
    }
}

/// A text that is no step.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no step: use username, password, sms:ID, phone-registration, phone-change:ID, oath, \
     oath-activate, oath-resync, email, push, recovery, mfa-register:combined|push|oath, select, migrate, details, \
     set-method:M or persist"
)]
pub struct StepError(pub String);

/// What [`Step::parse`] cannot see in the step's own text.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The options for `select`.
    pub select: Vec<Choice>,
    /// The options for `migrate`.
    pub migrate: Vec<Choice>,
    /// How often a migration may be put off (D-61).
    pub max_skips: u32,
    /// For `oath-activate`.
    pub overwrite_existing: bool,
    /// For `push`.
    pub push: PushRule,
    /// For `mfa-register`.
    pub replace: bool,
}

impl Step {
    /// Reads a step. `set-auth-method` and `oath-activation` are read too.
    ///
    /// # Errors
    /// [`StepError`] with what can be written.
    pub fn parse(text: &str, around: &Around) -> Result<Self, StepError> {
        let unknown = || StepError(text.to_owned());
        let step = match text.split_once(':') {
            Some(("sms", id)) => Step::Sms(checked_id(id).ok_or_else(unknown)?),
            Some(("phone-change", id)) => Step::PhoneChange(checked_id(id).ok_or_else(unknown)?),
            Some(("set-method" | "set-auth-method", name)) => {
                Step::SetMethod(Method::from_name(name).ok_or_else(unknown)?)
            }
            Some(("mfa-register", kind)) => Step::MfaRegister {
                kind: Kind::from_name(kind).ok_or_else(unknown)?,
                replace: around.replace,
            },
            Some(_) => return Err(unknown()),
            None => match text {
                "username" => Step::Username,
                "password" => Step::Password,
                "phone-registration" => Step::PhoneRegistration,
                "oath" => Step::Oath,
                "oath-activate" | "oath-activation" => {
                    Step::OathActivate { overwrite_existing: around.overwrite_existing }
                }
                "oath-resync" => Step::OathResync,
                "email" => Step::Email,
                "push" => Step::Push(around.push),
                "recovery" => Step::Recovery,
                "mfa-register" => Step::MfaRegister { kind: Kind::Combined, replace: around.replace },
                "select" => Step::Select(around.select.clone()),
                "migrate" => Step::Migrate { options: around.migrate.clone(), max_skips: around.max_skips },
                "details" => Step::Details,
                "persist" => Step::Persist,
                _ => return Err(unknown()),
            },
        };
        Ok(step)
    }

    /// Ids of the SMS authenticators that this step uses, those of its options included.
    pub fn authenticators(&self) -> Vec<&str> {
        match self {
            Step::Sms(id) | Step::PhoneChange(id) => vec![id],
            Step::Select(options) | Step::Migrate { options, .. } => {
                options.iter().flat_map(|option| &option.steps).flat_map(Step::authenticators).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// An id: ASCII letters, digits, `_`, `-` and `.`, at most [`ID_MAX`].
pub fn checked_id(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= ID_MAX;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (fits && text.bytes().all(allowed)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        let around = Around { overwrite_existing: true, ..Around::default() };
        assert_eq!(Step::parse("sms:sms1", &around), Ok(Step::Sms("sms1".to_owned())));
        assert_eq!(Step::parse("set-method:OATH_OTP", &around), Ok(Step::SetMethod(Method::OathOtp)));
        let activate = Step::OathActivate { overwrite_existing: true };
        assert_eq!(Step::parse("oath-activation", &around), Ok(activate));
        let push = Around { push: PushRule { else_oath: true, optional: false }, ..Around::default() };
        assert_eq!(Step::parse("push", &push), Ok(Step::Push(push.push)));
        for (text, kind) in [("mfa-register", Kind::Combined), ("mfa-register:push", Kind::Push)] {
            assert_eq!(Step::parse(text, &push), Ok(Step::MfaRegister { kind, replace: false }));
        }
        for text in ["", "sms", "sms:", "sms:a b", "fax", "password:x", "set-method:fax", "mfa-register:fax"]
        {
            assert!(Step::parse(text, &around).is_err(), "{text}");
        }
    }

    /// BIND-35: a second factor is asked for when each way through the steps asks for one.
    #[test]
    fn a_second_factor_is_asked_on_each_way() {
        let option = |steps: Vec<Step>| Choice {
            name: String::new(),
            label: String::new(),
            when: vec![Condition::Always],
            steps,
            target: None,
        };
        let push = |optional| Step::Push(PushRule { else_oath: false, optional });
        let (both, one) = (
            Step::Select(vec![option(vec![Step::Oath]), option(vec![Step::Sms("a".to_owned())])]),
            Step::Select(vec![option(vec![Step::Oath]), option(vec![Step::Email])]),
        );
        for (steps, asks) in [
            (vec![Step::Password], false),
            (vec![Step::Password, Step::Oath], true),
            (vec![Step::Username, Step::Oath], false),
            (vec![Step::Password, Step::Email], false),
            (vec![Step::Password, push(true)], false),
            (vec![Step::Password, push(false)], true),
            (vec![Step::Password, both], true),
            (vec![Step::Password, one], false),
            (vec![Step::Password, Step::Select(Vec::new())], false),
        ] {
            let definition = Definition {
                id: "a".to_owned(),
                label: String::new(),
                purpose: Purpose::Login,
                conditions: Vec::new(),
                recovery_codes: false,
                steps,
            };
            assert_eq!(definition.asks_second_factor(), asks, "{:?}", definition.steps);
        }
    }

    /// SMS-36: a reference to an authenticator is found wherever it stands.
    #[test]
    fn authenticators_inside_options_are_found() {
        let option = |id: &str| Choice {
            name: id.to_owned(),
            label: String::new(),
            when: vec![Condition::Always],
            steps: vec![Step::Password, Step::Sms(id.to_owned())],
            target: None,
        };
        let step = Step::Select(vec![option("a"), option("b")]);
        assert_eq!(step.authenticators(), ["a", "b"]);
    }
}
