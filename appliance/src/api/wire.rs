//! The API's JSON, both ways: the command line reads and writes the same types.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

mod enrolments;
mod flows;
mod letters;
mod methods;
mod people;
mod phones;
mod provisioning;

pub use enrolments::*;
pub use flows::*;
pub use letters::*;
pub use methods::*;
pub use people::*;
pub use phones::*;
pub use provisioning::*;

/// A list with a cursor: give `next` as `after` to go on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next: Option<String>,
}

/// A user to add.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Letters, digits and `. _ - @ +`, at most 64 characters; folded to lower case.
    pub name: String,
    /// Contact phone. It never authenticates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Language tag (RFC 5646); `en` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Postal address: at most 6 lines of 1 to 60 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<String>,
    /// Local password: 8 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<Zeroizing<String>>,
    /// The method in use; `PASSWORD` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_method: Option<String>,
}

/// A user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Name.
    pub name: String,
    /// The pseudonym in events.
    pub user_ref: String,
    /// `active`, `locked` or `forgotten`.
    pub state: String,
    /// Language tag.
    pub lang: String,
    /// Last digits of the verified number; null without one.
    pub phone_masked: Option<String>,
    /// Last digits of the contact phone; null without one.
    pub contact_phone_masked: Option<String>,
    /// Consecutive wrong codes.
    pub failures: u32,
    /// RFC 3339.
    pub created_at: String,
}

/// The configuration in effect.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Activated {
    /// SHA-256 of the file's text, in hex.
    pub sha256: String,
}

/// A number that someone has verified.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifiedPhone {
    /// `+` and country code, at most 15 digits.
    pub number: String,
    /// Who verified it; the caller by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<String>,
}

/// A token to enrol. Without `secret` and `uri` the HSM makes the secret.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// `totp` or `hotp`; not with `uri`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `SHA1` (default), `SHA256` or `SHA512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// 6 (default) to 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
    /// 10 to 120 seconds; 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u16>,
    /// First HOTP counter; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// Base32, at least 128 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// An `otpauth://` URI in place of all other fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// A token just enrolled: what the user's app scans, shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct EnrolledToken {
    /// Serial.
    pub serial: String,
    /// For apps and password managers.
    pub otpauth_uri: String,
    /// The URI as a QR code (ISO/IEC 18004), SVG.
    pub qr_svg: String,
    /// The URI as a QR code for a terminal.
    pub qr_text: String,
}

/// A token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Serial.
    pub serial: String,
    /// `soft` or `hard`.
    pub class: String,
    /// `totp`, `hotp` or `ocra`; `push` for a registered phone, which has no digits.
    #[serde(rename = "type")]
    pub kind: String,
    /// Hash of the HMAC.
    pub algorithm: String,
    /// Digits of a code.
    pub digits: u8,
    /// Seconds of a time step; null unless it is TOTP.
    pub period: Option<u16>,
    /// The suite of RFC 6287; null unless it is OCRA.
    pub suite: Option<String>,
    /// `active`, `suspended`, `revoked`, ...
    pub state: String,
    /// Whether wrong codes have locked it for now.
    pub locked: bool,
    /// Wrong codes since the last accepted one.
    pub failures: u32,
    /// Last consumed counter or time step, or for OCRA the answers so far less one; null before the first.
    pub last_used: Option<i64>,
    /// Steps by which its clock is ahead.
    pub drift: i32,
    /// Level of assurance.
    pub loa: f64,
    /// RFC 3339.
    pub created_at: String,
}

/// Two consecutive codes of a token that went astray.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resync {
    /// The first code.
    pub otp1: String,
    /// The one after it.
    pub otp2: String,
}

/// A code to verify: exactly one of `user` and `token`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Any active token of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// This token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The code as typed.
    pub otp: String,
    /// At most 64 ASCII characters: the same request within 60 seconds gets the same answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The code of a challenge.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// The code as typed.
    pub otp: String,
}

/// `accept` or `reject`. A rejection has no other field, whatever its reason.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// The code was fresh and is used up.
    Accept {
        /// Serial of the token.
        token: String,
        /// Level of assurance.
        loa: f64,
    },
    /// Anything else.
    Reject,
}

/// A challenge to order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChallenge {
    /// Whom to ask.
    pub user: String,
    /// `sms`; `ocra` for a question that the user types into a token; `push` for a registered phone; `recovery` for a
    /// recovery code.
    pub channel: String,
    /// With `sms`: the authenticator whose terms hold; it sends a code or a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<String>,
    /// With `sms` and `push`: words for the user on the page of a link or on the phone, at most 40 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_message: Option<String>,
    /// With `ocra`: this token; by default the user's first that is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// With `push`: the address of the user's browser, for the user to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// With `push`: the browser's name for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// A challenge.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// 32 hex digits.
    pub id: String,
    /// `delivering`, `waiting`, `verified`, `denied`, `expired`, `exhausted`, `superseded`, `failed` or
    /// `cancelled`.
    pub state: String,
    /// End of the code's or the question's life, RFC 3339; null before the modem has taken the message.
    pub expires_at: Option<String>,
    /// Last digits of the number; null for a question.
    pub phone_masked: Option<String>,
    /// What the user types into the token; only with the channel `ocra`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What the login page shows and the user taps on the phone; only with the channel `push`, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
}

/// A text to send.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// `+` and country code.
    pub to: String,
    /// At most 201 characters.
    pub text: String,
    /// Seconds after which it is dropped unsent: 1 to 900, 300 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

/// A message on its way.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// 32 hex digits.
    pub id: String,
    /// `queued`, `sending`, `sent`, `delivered`, `failed`, `expired` or `unknown`.
    pub state: String,
    /// Parts it was split into; 0 before it was sent.
    pub parts: u32,
    /// The modem that has or had it.
    pub modem: Option<String>,
    /// RFC 3339: when the modem took it, or when it was queued.
    pub at: String,
    /// Why it failed.
    pub error: Option<String>,
}

/// An application to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApplication {
    /// ASCII letters, digits and `. _ -`.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// An application just added: its key, shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ApplicationKey {
    /// Name.
    pub name: String,
    /// For the Authorization header.
    pub key: String,
}

/// An application.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Application {
    /// Name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; null while its key is good.
    pub revoked_at: Option<String>,
}

/// Who acted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// `application`, `operator`, `user` or `system`.
    pub kind: String,
    /// Its name.
    pub id: String,
    /// The role it used.
    pub role: String,
}

/// An event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Place in the chain, from 1.
    pub seq: i64,
    /// RFC 3339.
    pub at: String,
    /// Dotted name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who acted.
    pub actor: Actor,
    /// What it concerned.
    #[schema(value_type = Object)]
    pub subject: serde_json::Value,
    /// `ok`, `refused` or `failed`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// SHA-256 of the event before, hex.
    pub prev_hash: String,
    /// SHA-256 of this event and the one before, hex.
    pub hash: String,
}

/// What the HSM says about itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct HsmInfo {
    /// The vendor's library.
    pub module: String,
    /// As the token reports it.
    pub manufacturer: String,
    /// Label of the token.
    pub token_label: String,
    /// `enforced`, `not-enforced` or `unlocked`, as the self-test found.
    pub assurance: String,
    /// Generation of the key-encryption key.
    pub kek_generation: u32,
    /// What the self-test found.
    pub capabilities: std::collections::BTreeMap<String, bool>,
}

/// One attribute of one long-term key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AttributeCheck {
    /// Label of the key.
    pub object: String,
    /// PKCS#11 attribute.
    pub attribute: String,
    /// What it should be.
    pub expected: String,
    /// What the HSM reports.
    pub reported: String,
    /// Whether it is.
    pub ok: bool,
}

/// Whether the appliance can do its work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether all parts below are up.
    pub ready: bool,
    /// `up`, or what is wrong.
    pub hsm: String,
    /// `up`, or what is wrong.
    pub store: String,
}

/// Who gets a token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Name of the user.
    pub user: String,
}
