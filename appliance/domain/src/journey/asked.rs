//! What a flow asks, what it has to have done, and what its user has shown.

use serde::{Deserialize, Serialize};

use crate::flow::{Choice, PushRule};
use crate::method::Method;
use crate::registration::Kind;
use crate::token::Id;

/// What a user has shown (B.4.2 `amr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// The local password.
    Password,
    /// An application's word for the first factor (D-59).
    Assertion,
    /// The key of an activation letter (MOB-26).
    Iak,
    /// A code or a link on the verified phone.
    Sms,
    /// A code of an OATH token.
    Otp,
    /// A code to the e-mail address.
    Email,
    /// An approval on the registered phone.
    Push,
    /// A recovery code.
    Recovery,
}

impl Evidence {
    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Evidence::Password => "password",
            Evidence::Assertion => "assertion",
            Evidence::Iak => "iak",
            Evidence::Sms => "sms",
            Evidence::Otp => "otp",
            Evidence::Email => "email",
            Evidence::Push => "push",
            Evidence::Recovery => "recovery",
        }
    }
}

/// What a number needs before it is the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// The first number, with or without the key of a letter (MOB-20).
    First {
        /// Whether the key is asked for.
        iak: bool,
    },
    /// A number registered or changed by the rules of this authenticator (SMS-05).
    Change {
        /// Its id.
        authenticator: String,
        /// Whether the key of a letter is among what is required.
        iak: bool,
    },
}

impl Rule {
    /// Whether the key of a letter is asked for together with the code (MOB-13).
    pub fn wants_iak(&self) -> bool {
        matches!(self, Rule::First { iak: true } | Rule::Change { iak: true, .. })
    }
}

/// A number that is being registered: sealed, and nobody's yet (B.5.1 `entered`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// Row id of the binding that it will be.
    pub phone: Id,
    /// The number, sealed under the person's key.
    pub number: Vec<u8>,
    /// HMAC of the number, for lookups.
    pub lookup: Vec<u8>,
    /// Last digits.
    pub masked: String,
}

/// What is asked of the user now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum At {
    /// The next step has not begun.
    Between,
    /// A name.
    Username,
    /// A name, unless it is known, and a password.
    Password,
    /// One of the options.
    Select(Vec<Choice>),
    /// One of the options, or not now.
    Migrate {
        /// What to move to.
        options: Vec<Choice>,
        /// Whether it may be put off.
        can_skip: bool,
    },
    /// A code that was sent by SMS, or the answer on the phone.
    Sms {
        /// The authenticator.
        authenticator: String,
        /// The challenge.
        challenge: Id,
        /// Whether it carries a link.
        link: bool,
    },
    /// A page that explains the registration (SMS-26).
    Info {
        /// The authenticator whose rules it explains.
        authenticator: String,
    },
    /// A number.
    Number(Rule),
    /// The code that went to that number and, by the rule, a letter's key.
    NumberVerify {
        /// The rule.
        rule: Rule,
        /// The number.
        entered: Entered,
        /// The challenge.
        challenge: Id,
    },
    /// There is no letter yet (D-04).
    NoLetter,
    /// A code of an OATH token.
    Oath,
    /// The first code of a new authenticator app.
    OathActivate {
        /// The token.
        token: Id,
        /// Whether it is the existing secret that is shown again (OATH-34).
        existing: bool,
    },
    /// Two consecutive codes of a token (D-28).
    OathResync,
    /// A code that was sent by e-mail.
    Email {
        /// Names the code.
        nonce: Id,
        /// Wrong codes.
        attempts: u32,
        /// Codes sent.
        sends: u32,
        /// End of its life on the boot clock, in milliseconds.
        until_boot_ms: u64,
    },
    /// The answer on the registered phone.
    Push {
        /// What follows its silence.
        rule: PushRule,
        /// The challenge.
        challenge: Id,
    },
    /// A recovery code.
    Recovery {
        /// The challenge.
        challenge: Id,
    },
    /// The reply of a phone that scans a QR code, or for codes alone the first of them.
    MfaRegister {
        /// What it is registered for.
        kind: Kind,
        /// Whether it takes the place of what is there.
        replace: bool,
        /// The registration.
        registration: Id,
    },
    /// The recovery codes that came with a registration are to be kept (COMB-13).
    RecoveryCodes {
        /// The registration.
        registration: Id,
    },
    /// A new user's own words.
    Details,
    /// It ended well.
    Done,
    /// It ended with this error key.
    Failed(String),
}

/// Work that a step needs from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a code or a link, then tell [`Journey::sms_sent`].
    SendSms {
        /// The authenticator.
        authenticator: String,
    },
    /// See whether the user may register a first number, then tell [`Journey::number_wanted`],
    /// [`Journey::no_letter`] or go on.
    BeginRegistration,
    /// See what a change of the number requires, then tell [`Journey::change_wanted`].
    BeginChange {
        /// The authenticator.
        authenticator: String,
    },
    /// Make or find the secret, then tell [`Journey::activating`].
    BeginActivation {
        /// Whether a new secret replaces the existing one.
        overwrite: bool,
    },
    /// Send a code by e-mail, then tell [`Journey::email_sent`].
    SendEmail,
    /// Ask the user's phone, then tell [`Journey::pushed`].
    SendPush(PushRule),
    /// Ask for a recovery code, then tell [`Journey::recovering`].
    AskRecovery,
    /// Make the secrets and the QR code, then tell [`Journey::registering_phone`].
    BeginMfa {
        /// What the phone is registered for.
        kind: Kind,
        /// Whether it takes the place of what is there.
        replace: bool,
    },
    /// Make this the active method, and none the next.
    SetMethod(Method),
    /// Write the new user.
    Persist,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Something is asked, or the flow has ended.
    Ask,
    /// Something has to be done first.
    Do(Effect),
}
