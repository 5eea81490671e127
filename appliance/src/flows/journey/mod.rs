//! The way of one user through a flow: what is asked now, and what an answer leads to.
//!
//! Pages and the API are two faces of the same acts: [`start`], [`view`], [`act`], [`claim`]. What is asked and what
//! follows is decided in [`domain::journey`]; here it is loaded, the work of a step is done, and both are saved in
//! one transaction.

use domain::flow::Purpose;
use domain::names::UserName;
use domain::phone::Msisdn;
use domain::token::Id;
use zeroize::Zeroizing;

use super::{Caller, FlowError};
use crate::appliance::Appliance;
use crate::store::{flow, link as links, sms_sent};

mod acts;
mod binding;
mod email;
mod kept;
pub mod link;
mod newcomer;
mod number;
mod oath;
mod password;
mod phone;
mod push;
mod result;
mod show;
mod sms;
mod steps;

pub(crate) use acts::PAGES;
pub use acts::{act, open_in_browser, start, start_in_browser, view};
pub(crate) use newcomer::{fits_window, is_address};
pub(crate) use password::hash;
pub use password::{PASSWORD_MAX, PASSWORD_MIN};
pub use result::{Claimed, Session, claim, log_out, self_service};

/// Life of a flow from its start, in milliseconds (B.5.3).
pub const FLOW_LIFE_MS: u64 = 15 * 60 * 1000;
/// Flows under way at once at the most, logged-in browsers included.
pub const FLOWS_MAX: usize = 100_000;
/// Those of one application; the pages that browsers come to on their own are one.
pub const FLOWS_OF_APPLICATION_MAX: usize = 20_000;

/// How a flow begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Id of its definition.
    pub definition: String,
    /// The user whose first factor the application has already checked (`user:assert`).
    pub asserted: Option<UserName>,
    /// A phone number that the application vouches for, by the attribute's name (`phone:assert`, SMS-10).
    pub attributes: Vec<(String, String)>,
    /// Language tag of the pages and messages.
    pub lang: Option<String>,
    /// Where the browser goes with the one-time code of the result.
    pub return_url: Option<String>,
    /// Given back unchanged beside the code.
    pub return_state: Option<String>,
    /// The session of a logged-in user that a self-service flow belongs to: the ended login flow and its browser.
    pub session: Option<(Id, BrowserKey)>,
}

/// What only one browser knows of its flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BrowserKey(pub [u8; 16]);

impl std::fmt::Debug for BrowserKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BrowserKey(…)")
    }
}

/// Through which door somebody acts in a flow.
pub enum Door<'a> {
    /// The application that began it.
    Application(&'a Caller),
    /// The browser that it was opened in.
    Browser(&'a BrowserKey),
}

/// What is asked of the user now. The names are the API's `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `username`: {name}.
    Username,
    /// `password`: {name, password}, or {password} once the name is known.
    Password,
    /// `select`: {option}.
    Select,
    /// `sms-code`: {otp}.
    SmsCode,
    /// `sms-wait`: nothing; the phone decides.
    SmsWait,
    /// `sms-info`: continue.
    Info,
    /// `number`: {number}.
    Number,
    /// `number-verify`: {otp} and, where a letter is required, {iak}.
    NumberVerify,
    /// `no-letter`: nobody has sent a letter yet.
    NoLetter,
    /// `oath-code`: {otp}.
    OathCode,
    /// `oath-activate`: QR code; {otp}.
    OathActivate,
    /// `oath-resync`: {otp, otp_next}.
    OathResync,
    /// `email-code`: {otp}.
    EmailCode,
    /// `push-wait`: nothing; the registered phone decides. With the number to tap, where there is one.
    PushWait,
    /// `recovery-code`: {otp}.
    RecoveryCode,
    /// `mfa-register`: QR code; the phone replies. For codes alone {otp}.
    MfaRegister,
    /// `recovery-codes`: reveal, then continue.
    RecoveryCodes,
    /// `details`: a new user's own words.
    Details,
    /// `migrate`: {option} or skip.
    Migrate,
    /// `done`.
    Done,
    /// `failed`.
    Failed,
}

impl Asked {
    /// The step as the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Asked::Username => "username",
            Asked::Password => "password",
            Asked::Select => "select",
            Asked::SmsCode => "sms-code",
            Asked::SmsWait => "sms-wait",
            Asked::Info => "sms-info",
            Asked::Number => "number",
            Asked::NumberVerify => "number-verify",
            Asked::NoLetter => "no-letter",
            Asked::OathCode => "oath-code",
            Asked::OathActivate => "oath-activate",
            Asked::OathResync => "oath-resync",
            Asked::EmailCode => "email-code",
            Asked::PushWait => "push-wait",
            Asked::RecoveryCode => "recovery-code",
            Asked::MfaRegister => "mfa-register",
            Asked::RecoveryCodes => "recovery-codes",
            Asked::Details => "details",
            Asked::Migrate => "migrate",
            Asked::Done => "done",
            Asked::Failed => "failed",
        }
    }
}

/// An answer.
#[derive(Debug)]
pub enum Input {
    /// The user's name.
    Username(String),
    /// Name and password.
    Password {
        /// None once it is known.
        name: Option<String>,
        /// In clear.
        password: Zeroizing<String>,
    },
    /// Name of an option.
    Choose(String),
    /// A phone number as typed.
    Number(String),
    /// A code, and the key of a letter.
    Verify {
        /// The code.
        otp: String,
        /// The key, where it is asked for.
        iak: Option<Zeroizing<String>>,
    },
    /// Two codes that a token showed one after the other (D-28).
    Consecutive {
        /// The first.
        otp: String,
        /// The one after it.
        next: String,
    },
    /// A new user's own words.
    Details(Details),
    /// Another message.
    Resend,
    /// The token's codes are refused: find its counter or clock again (D-28).
    Resync,
    /// Register or change the number now (SMS-25).
    Register,
    /// On with it: after an information page, or after the phone has decided.
    Continue,
    /// A code instead of the phone's answer (COMB-05).
    CodeInstead,
    /// A recovery code instead of what was lost (COMB-43).
    Recover,
    /// Show the recovery codes, which is possible once (COMB-13).
    Reveal,
    /// Not now (D-61).
    Skip,
    /// One screen back, where there is one (B.5.3).
    Back,
    /// A letter, for a user who has none (D-04).
    OrderLetter,
    /// Ends the flow: nothing is stored.
    Cancel,
}

/// A new user's own words.
#[derive(Debug)]
pub struct Details {
    /// Name.
    pub name: String,
    /// Password in clear.
    pub password: Zeroizing<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Postal address, one line each.
    pub address: Vec<String>,
}

/// An option that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its name.
    pub name: String,
    /// What the page shows.
    pub label: String,
}

/// A secret for the user's eyes.
pub struct Shown {
    /// `otpauth://…`.
    pub uri: Zeroizing<String>,
    /// QR code of the URI.
    pub qr_svg: Zeroizing<String>,
    /// The secret in Base32 in groups, never in hex (OATH-25).
    pub base32: Zeroizing<String>,
    /// Whether it is the existing secret (OATH-34).
    pub existing: bool,
}

/// A QR code that registers a phone, for the user's eyes.
pub struct Scan {
    /// What the phone is registered for.
    pub kind: domain::registration::Kind,
    /// `mfauth://…`, `pushauth://…` or `otpauth://…`.
    pub uri: Zeroizing<String>,
    /// QR code of the URI.
    pub qr_svg: Zeroizing<String>,
    /// The operator's words beside it (COMB-16).
    pub message: Option<String>,
}

/// How a flow ended well.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Who.
    pub user: UserName,
    /// What was shown: `password`, `sms`, `iak`, `otp`, `email`, `push`, `recovery`, `assertion`.
    pub amr: Vec<String>,
    /// Level of assurance.
    pub loa: f64,
    /// The method in use now.
    pub active_method: domain::method::Method,
}

/// A flow as its user may see it.
pub struct View {
    /// Its handle.
    pub flow: Id,
    /// Id of its definition.
    pub definition: String,
    /// What the flow is for.
    pub purpose: Purpose,
    /// What is asked.
    pub asked: Asked,
    /// Whether the key of a letter is asked for on this screen.
    pub wants_iak: bool,
    /// What can be chosen.
    pub options: Vec<Offered>,
    /// Key of what went wrong with the last answer, as the documents spell it (SMS-40).
    pub error: Option<&'static str>,
    /// Key of a notice, such as that a message is on its way.
    pub notice: Option<&'static str>,
    /// Last digits of the number.
    pub phone_masked: Option<String>,
    /// End of the code's life in Unix milliseconds; none before the modem has it.
    pub expires_at_ms: Option<i64>,
    /// Whether the message is still on its way to the modem.
    pub delivering: bool,
    /// Whether another message may be asked for.
    pub can_resend: bool,
    /// Whether the number may be registered or changed now (SMS-25).
    pub can_register: bool,
    /// Whether a token whose codes are refused may be found again now (D-28).
    pub can_resync: bool,
    /// Whether an app is activated without its first code (OATH-53).
    pub unconfirmed: bool,
    /// Whether the step may be put off (D-61).
    pub can_skip: bool,
    /// Whether one screen back is possible.
    pub can_back: bool,
    /// Whether the user may order a letter (D-04).
    pub can_order: bool,
    /// Whether a number is being changed rather than registered for the first time.
    pub changing: bool,
    /// The contact number, where the form for the first number begins with it (D-01).
    pub prefill: Option<Msisdn>,
    /// Whether the phone has decided about a link.
    pub decided: bool,
    /// Whether the self-service is open to this browser now.
    pub portal: bool,
    /// The secret, on the activation page.
    pub shown: Option<Shown>,
    /// The QR code that registers a phone.
    pub scan: Option<Scan>,
    /// The number to tap on the phone (COMB-42).
    pub number: Option<u8>,
    /// Whether the page offers a code instead of the phone's answer (COMB-05).
    pub can_code: bool,
    /// Whether a recovery code may be given instead (COMB-43).
    pub can_recover: bool,
    /// Whether the first code of a new app is asked for, rather than a phone's reply.
    pub wants_first_code: bool,
    /// Whether the recovery codes can still be shown.
    pub can_reveal: bool,
    /// Whether new ones can be shown in place of those that were.
    pub can_reveal_again: bool,
    /// The recovery codes, in the answer that hands them out and in no other.
    pub codes: Option<Vec<Zeroizing<String>>>,
    /// The user's name, once it is known.
    pub user: Option<UserName>,
    /// Language tag.
    pub lang: String,
    /// How it ended well.
    pub outcome: Option<Outcome>,
    /// Origin of the application's address to return to.
    pub return_origin: Option<String>,
    /// Where the browser goes now, with the one-time code of the result.
    pub redirect: Option<String>,
}

/// Removes flows and links whose time is over, and what no limit on messages asks for any more.
///
/// # Errors
/// When the store cannot answer.
pub fn sweep(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now();
    while app.store.write(move |w| flow::sweep(w, &now))? > 0 {}
    while app.store.write(move |w| links::sweep(w, &now))? > 0 {}
    Ok(app.store.write(move |w| sms_sent::sweep(w, now.wall_ms))?)
}

/// Every key that a view may carry: those of the documents (SMS-40) without `authenticator.sms.`, then ours.
pub const KEYS: &[&str] = &[
    "enter-username.error.no-user-or-phonenumber",
    "enter-username.error.too-many-attempts",
    "enter-username.validation.error.username.required",
    "enter-otp.error.invalid.otp",
    "enter-otp.error.too-many-attempts",
    "enter-otp.validation.error.otp.required",
    "link-wait.error.restart",
    "link-wait.error.authentication.failed",
    "verify.error.too-many-attempts",
    "register.error.validation.invalid.phonenumber",
    "register.error.validation.phonenumber.required",
    "register.error.number-already-registered",
    "register.error.too-many-attempts",
    "register.error.restart",
    "register.error.user.mismatch",
    "register.error.invalid.otp-or-iak",
    "confirm.error.validation.invalid.otp",
    "confirm.error.session.expired",
    "confirm.error.too-many-attempts",
    "confirm.error.user.mismatch",
    "sms.send_failed",
    "sms.rate_limited",
    "login.error.invalid",
    "login.error.locked",
    "oath.error.invalid_otp",
    "oath.error.already-exists",
    "oath.error.not-consecutive",
    "oath.error.not-revealable",
    "email.error.invalid_otp",
    "email.error.no-address",
    "email.error.too-many-attempts",
    "details.error.name",
    "details.error.password",
    "details.error.email",
    "details.error.address",
    "flow.no_option",
    "flow.no_user",
    "flow.wrong_step",
    "flow.cancelled",
    "flow.missing_attribute",
    "flow.attribute_requires_previous_factor",
    "registration.not_supported",
    "registration.exists",
    "registration.loa",
    "registration.quota",
    "registration.refused",
    "registration.failed",
    "registration.superseded",
    "registration.timed_out",
    "push.not_registered",
    "push.rate_limited",
    "push.denied",
    "push.expired",
    "push.transport_failed",
    "push.superseded",
    "recovery.none",
    "recovery.error.invalid",
    "recovery.error.too-many-attempts",
    "recovery.error.read",
    "recovered",
    "registered",
    "relogin",
    "resent",
    "resynced",
    "letter-ordered",
];
