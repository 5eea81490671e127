//! The form of a step as it comes back: the answer that it is, and what may stand in it again.

use crate::flows::journey::{Asked, Details, Input};

/// What a user has typed that may stand in the form again after an error: nothing secret.
#[derive(Clone, Default)]
pub(in crate::ui) struct Typed {
    username: Option<String>,
    number: Option<String>,
    email: Option<String>,
    address: Option<String>,
}

impl Typed {
    pub(super) fn of(&self, field: &str) -> Option<&str> {
        match field {
            "username" => self.username.as_deref(),
            "number" => self.number.as_deref(),
            "email" => self.email.as_deref(),
            "address" => self.address.as_deref(),
            _ => None,
        }
    }
}

/// What a form may hold.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(in crate::ui) struct Form {
    pub(in crate::ui) csrf: String,
    action: Option<String>,
    option: Option<String>,
    username: Option<String>,
    password: Option<String>,
    number: Option<String>,
    otp: Option<String>,
    otp_next: Option<String>,
    iak: Option<String>,
    email: Option<String>,
    address: Option<String>,
}

impl Form {
    /// What may be shown again.
    pub(in crate::ui) fn typed(&self) -> Typed {
        Typed {
            username: self.username.clone(),
            number: self.number.clone(),
            email: self.email.clone(),
            address: self.address.clone(),
        }
    }

    /// The answer that a form is, for the step it was shown with.
    pub(in crate::ui) fn input(self, asked: Asked) -> Option<Input> {
        match self.action.as_deref() {
            None => {}
            Some("resend") => return Some(Input::Resend),
            Some("register") => return Some(Input::Register),
            Some("resync") => return Some(Input::Resync),
            Some("code") => return Some(Input::CodeInstead),
            Some("recover") => return Some(Input::Recover),
            Some("reveal") => return Some(Input::Reveal),
            Some("back") => return Some(Input::Back),
            Some("skip") => return Some(Input::Skip),
            Some("order") => return Some(Input::OrderLetter),
            Some("cancel") => return Some(Input::Cancel),
            Some(_) => return None,
        }
        let secret = |text: Option<String>| zeroize::Zeroizing::new(text.unwrap_or_default());
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Some(match asked {
            Asked::Username => Input::Username(self.username.unwrap_or_default()),
            Asked::Password => Input::Password { name: self.username, password: secret(self.password) },
            Asked::Select | Asked::Migrate => Input::Choose(self.option?),
            Asked::Number => Input::Number(self.number.unwrap_or_default()),
            Asked::NumberVerify => Input::Verify {
                otp: self.otp.unwrap_or_default(),
                iak: given(self.iak).map(zeroize::Zeroizing::new),
            },
            Asked::OathActivate | Asked::MfaRegister if self.otp.is_none() => Input::Continue,
            Asked::SmsCode
            | Asked::OathCode
            | Asked::OathActivate
            | Asked::EmailCode
            | Asked::RecoveryCode
            | Asked::MfaRegister => Input::Verify { otp: self.otp.unwrap_or_default(), iak: None },
            Asked::OathResync => Input::Consecutive {
                otp: self.otp.unwrap_or_default(),
                next: self.otp_next.unwrap_or_default(),
            },
            Asked::Details => Input::Details(Details {
                name: self.username.unwrap_or_default(),
                password: secret(self.password),
                email: given(self.email),
                address: given(self.address)
                    .map(|text| text.lines().map(|line| line.trim().to_owned()).collect())
                    .unwrap_or_default(),
            }),
            Asked::SmsWait | Asked::PushWait | Asked::RecoveryCodes | Asked::Info | Asked::NoLetter => {
                Input::Continue
            }
            Asked::Done | Asked::Failed => return None,
        })
    }
}
