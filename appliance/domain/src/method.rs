//! Authentication methods of a user (B.5.10, D-61), and what flows and their options ask about a user.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The method with which a user logs in, as the documents spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// A password and nothing else.
    #[serde(rename = "PASSWORD")]
    Password,
    /// A code or a link to the verified phone.
    #[serde(rename = "SMS")]
    Sms,
    /// A code of an authenticator app.
    #[serde(rename = "OATH_OTP")]
    OathOtp,
    /// A push message to a registered device.
    #[serde(rename = "PUSH")]
    Push,
    /// A code of a hardware token.
    #[serde(rename = "HW_TOKEN")]
    HwToken,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 5] =
        [Method::Password, Method::Sms, Method::OathOtp, Method::Push, Method::HwToken];

    /// The method as the configuration, the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Password => "PASSWORD",
            Method::Sms => "SMS",
            Method::OathOtp => "OATH_OTP",
            Method::Push => "PUSH",
            Method::HwToken => "HW_TOKEN",
        }
    }

    /// Reads what [`Method::name`] wrote, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a user has, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The method in use.
    pub active: Method,
    /// The method to move to.
    pub next: Option<Method>,
    /// Whether a local password is set.
    pub has_password: bool,
    /// Whether a number is bound and verified (MOB-03): a contact number is none.
    pub has_phone: bool,
    /// Whether an active soft OATH token exists.
    pub has_oath: bool,
    /// Whether an active hardware token exists.
    pub has_hardware: bool,
    /// Whether an e-mail address is known.
    pub has_email: bool,
    /// Whether a phone is registered that can be asked (COMB-45).
    pub has_push: bool,
    /// Whether one is registered that is set aside: it cannot be asked, and is not none.
    pub has_push_aside: bool,
    /// Whether a recovery code may stand for that one in this flow (D-36).
    pub can_recover: bool,
}

/// A yes-or-no question about a user, such as `active_method:sms` or `!token:sms` (MOB-18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Yes.
    Always,
    /// Is this the active method?
    Active(Method),
    /// Is this the method to move to?
    Next(Method),
    /// Can the user log in with this method at once?
    Token(Method),
    /// Is there a local password (MOB-14)?
    HasPassword,
    /// The opposite of another question.
    Not(Box<Condition>),
}

/// A text that is no condition.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no condition: use always, active_method:M, next_method:M, token:M or has_password, \
     with ! before it for the opposite and M one of PASSWORD, SMS, OATH_OTP, PUSH, HW_TOKEN"
)]
pub struct ConditionError(pub String);

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// [`ConditionError`] with what can be written.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let unknown = || ConditionError(text.to_owned());
        if let Some(rest) = text.strip_prefix('!') {
            // One negation: two of them say nothing.
            return match Self::parse(rest)? {
                Condition::Not(_) => Err(unknown()),
                condition => Ok(Condition::Not(Box::new(condition))),
            };
        }
        let method = |name: &str| {
            let name = if name.eq_ignore_ascii_case("oath") { "OATH_OTP" } else { name };
            Method::from_name(name).ok_or_else(unknown)
        };
        match text.split_once(':') {
            Some(("active_method", name)) => Ok(Condition::Active(method(name)?)),
            Some(("next_method", name)) => Ok(Condition::Next(method(name)?)),
            Some(("token", name)) => Ok(Condition::Token(method(name)?)),
            None if text == "always" => Ok(Condition::Always),
            None if text == "has_password" => Ok(Condition::HasPassword),
            None if text == "has_phone" => Ok(Condition::Token(Method::Sms)),
            _ => Err(unknown()),
        }
    }

    /// Answers the question.
    pub fn holds(&self, facts: &Facts) -> bool {
        match self {
            Condition::Always => true,
            Condition::Active(method) => facts.active == *method,
            Condition::Next(method) => facts.next == Some(*method),
            Condition::Token(Method::Password) | Condition::HasPassword => facts.has_password,
            Condition::Token(Method::Sms) => facts.has_phone,
            Condition::Token(Method::OathOtp) => facts.has_oath,
            Condition::Token(Method::HwToken) => facts.has_hardware,
            Condition::Token(Method::Push) => facts.has_push,
            Condition::Not(condition) => !condition.holds(facts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Facts = Facts {
        active: Method::Sms,
        next: None,
        has_password: true,
        has_phone: false,
        has_oath: false,
        has_hardware: false,
        has_email: false,
        has_push: false,
        has_push_aside: false,
        can_recover: false,
    };

    fn all_hold(conditions: &[&str], facts: &Facts) -> bool {
        conditions.iter().all(|text| Condition::parse(text).unwrap().holds(facts))
    }

    /// MOB-18: the sub-flow begins when SMS is the active method and there is no number; both negatives.
    #[test]
    fn registration_is_for_those_who_need_it() {
        let conditions = ["active_method:sms", "!token:sms"];
        assert!(all_hold(&conditions, &BARE));
        assert!(!all_hold(&conditions, &Facts { has_phone: true, ..BARE }));
        assert!(!all_hold(&conditions, &Facts { active: Method::OathOtp, ..BARE }));
    }

    /// MOB-14, MOB-17, OATH-22.
    #[test]
    fn the_other_questions() {
        assert!(!all_hold(&["has_password"], &Facts { has_password: false, ..BARE }));
        assert!(all_hold(&["!has_phone", "always"], &BARE));
        assert!(all_hold(&["token:oath"], &Facts { has_oath: true, ..BARE }));
        assert!(!all_hold(&["token:push"], &BARE));
        assert!(all_hold(&["token:push"], &Facts { has_push: true, ..BARE }));
        assert!(all_hold(&["next_method:OATH_OTP"], &Facts { next: Some(Method::OathOtp), ..BARE }));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "!", "!!always", "active_method", "active_method:fax", "token:", "Always"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
        for method in Method::ALL {
            assert_eq!(Method::from_name(&method.name().to_lowercase()), Some(method));
        }
    }
}
