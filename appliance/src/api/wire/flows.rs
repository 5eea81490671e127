//! The API's JSON about flows and the back-channel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A flow to begin.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFlow {
    /// Id of its definition.
    pub flow: String,
    /// The user, whose first factor the application has checked. Needs the scope `user:assert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Phone numbers that the application vouches for, by the attribute's name. Needs the scope `phone:assert`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Language tag of pages and messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Where the browser goes when the flow has ended well, with `code` and `state` in the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// Comes back unchanged beside the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A login to begin, with its first answer.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// Name of the user.
    pub user: String,
    /// The password.
    pub password: String,
    /// Id of the login flow; by default the one of the pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
}

/// An answer to what a flow asks. Which fields belong to it, the flow says.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Name of an option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// A phone number as typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// A code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// The code that the token shows after the first one, for a resynchronisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_next: Option<String>,
    /// The key of an activation letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iak: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Postal address, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<String>,
}

/// An option.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FlowOption {
    /// What an answer names.
    pub name: String,
    /// For people.
    pub label: String,
}

/// A secret for the user's app: shown while it is asked for, and at no other time.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Activation {
    /// `otpauth://` URI.
    pub otpauth_uri: String,
    /// The URI as a QR code, SVG.
    pub qr_svg: String,
    /// The secret in Base32, in groups.
    pub base32: String,
    /// Whether it is the existing secret.
    pub existing: bool,
}

/// A QR code that registers a phone: shown while it is waited for, and at no other time.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct PhoneRegistration {
    /// `combined`, `push` or `oath`.
    pub kind: String,
    /// `mfauth://`, `pushauth://` or `otpauth://` URI.
    pub uri: String,
    /// The URI as a QR code, SVG.
    pub qr_svg: String,
    /// The operator's words beside it.
    pub message: Option<String>,
}

/// How a flow ended well.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FlowResult {
    /// Who.
    pub user: String,
    /// What was shown: `password`, `assertion`, `iak`, `sms`, `otp`, `email`, `push`, `recovery`.
    pub amr: Vec<String>,
    /// Level of assurance.
    pub loa: f64,
    /// The method in use now.
    pub active_method: String,
}

/// A flow: what it asks, and where an answer goes.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// The handle: 32 hex digits.
    pub flow: String,
    /// Id of its definition.
    pub definition: String,
    /// What is asked, such as `sms-code`; `done` and `failed` are ends.
    pub step: String,
    /// Fields of the answer.
    pub fields: Vec<String>,
    /// Paths to send answers to, by action.
    pub links: BTreeMap<String, String>,
    /// What can be chosen.
    pub options: Vec<FlowOption>,
    /// Key of what went wrong with the last answer.
    pub error: Option<String>,
    /// Key of a notice.
    pub notice: Option<String>,
    /// Last digits of the number.
    pub phone_masked: Option<String>,
    /// End of the code's life, RFC 3339; null before the modem has taken the message.
    pub expires_at: Option<String>,
    /// The user, once a name was given.
    pub user: Option<String>,
    /// Language tag.
    pub lang: String,
    /// The page where a browser takes this flow over, once; null without `public_url`.
    pub page: Option<String>,
    /// What the user's app scans.
    pub activation: Option<Activation>,
    /// The number that the user is to tap on the phone; null where there is none.
    pub number: Option<u8>,
    /// What the user's phone scans.
    pub registration: Option<PhoneRegistration>,
    /// Recovery codes, in the answer to `reveal` and in no other.
    pub recovery_codes: Option<Vec<String>>,
    /// How it ended well; not where the result is fetched by a one-time code.
    pub result: Option<FlowResult>,
}

/// An answer that was wrong, as RFC 9457 describes problems. The flow goes on.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct FlowProblem {
    /// `urn:countersign:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The key of what went wrong, such as `enter-otp.error.invalid.otp`.
    pub code: String,
    /// For people, in the flow's language.
    pub detail: String,
    /// Whether another answer can be given.
    pub retry: bool,
    /// What is asked now.
    pub flow: Flow,
}

/// The one-time code that a browser brought back.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultCode {
    /// As it stood in the address.
    pub code: String,
}

/// The result behind a one-time code.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimedFlow {
    /// The handle.
    pub flow: String,
    /// Id of its definition.
    pub definition: String,
    /// How it ended.
    #[serde(flatten)]
    pub result: FlowResult,
}

/// A question to a user's phone.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// Name of the user.
    pub login_hint: String,
    /// Id of the channel; may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Words for the user, at most 40 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_message: Option<String>,
    /// Life in seconds, up to the channel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_expiry: Option<u64>,
}

/// A question on its way.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Authorized {
    /// What polls name.
    pub auth_req_id: String,
    /// Life in seconds.
    pub expires_in: u64,
    /// Least time between two polls, in seconds.
    pub interval: u64,
}

/// A poll.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// As the authorisation gave it.
    pub auth_req_id: String,
}

/// The user said yes. Told once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PhoneAnswer {
    /// Who.
    pub user: String,
    /// What was shown.
    pub amr: Vec<String>,
    /// Level of assurance.
    pub loa: f64,
}
