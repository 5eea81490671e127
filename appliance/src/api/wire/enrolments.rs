//! The API's JSON about enrolments. Activities have both names of the documents (BIND-30).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A factor to ask for.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnrolment {
    /// Name of the user.
    pub user: String,
    /// How the user is to be vetted: `on_premise`, `video`, `letter`, `remote_assertion`, `self_vet`, `self_asserted`
    /// or `bulk_issue`.
    pub method: String,
    /// The level of assurance that is aimed at; the lowest of the method by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// Which factor of the user's it will be; 2 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor_index: Option<u8>,
    /// How the request came in: `federated`, `email`, `local_login` or `api`; that of a desk is always `desk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whose registration authorities may vet. It counts where no operator has said which organisation the user belongs to,
    /// and who asks is an operator who works for all, or brings a login somewhere else; else it is a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The name of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The login somewhere else by which the user has shown the first factor, not older than `enrol.assertion.max_age`;
    /// needs the scope `user:assert`. It proves no identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_factor: Option<Assertion>,
}

/// A login, or an electronic identity, that somebody else vouches for.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Who vouches.
    pub issuer: String,
    /// Its id there.
    pub id: String,
    /// When it was made: RFC 3339.
    pub at: String,
}

/// An enrolment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Enrolment {
    /// Its handle.
    pub id: String,
    /// Name of the user.
    pub user: String,
    /// Which factor of the user's it will be.
    pub factor_index: u8,
    /// How the request came in.
    pub channel: String,
    /// `applicant`, `application`, `desk` or `organisation`.
    pub requested_by: String,
    /// Whose registration authorities may vet; null for all of them.
    pub organisation: Option<String>,
    /// How the user is vetted.
    pub method: String,
    /// The level of assurance that is aimed at.
    pub target: f64,
    /// Version of the policy at the request.
    pub policy: String,
    /// `requested`, `eligible`, `factor_selected`, `possession_proven`, `code_issued`, `scheduled`, `vetting`, `vetted`,
    /// `bound`, `active`, `confirmed`, `rejected`, `expired`, `cancelled` or `revoked`.
    pub state: String,
    /// Activities that are done, by their long names.
    pub done: Vec<String>,
    /// What is to be bound: `sms`, `soft`, `push` or `hardware`.
    pub factor: Option<String>,
    /// Serial of the token that was shown or handed over.
    pub token: Option<String>,
    /// Whether a number is to be bound.
    pub phone: bool,
    /// Last digits of a number that is kept until it is bound.
    #[serde(default)]
    pub phone_masked: Option<String>,
    /// The phone with the app that is to be bound.
    #[serde(default)]
    pub push: Option<EnrolledPhone>,
    /// When the user was found eligible: RFC 3339.
    pub eligible_at: Option<String>,
    /// End of the registration code: RFC 3339.
    pub code_valid_until: Option<String>,
    /// When and where it is done.
    pub appointment: Option<Appointment>,
    /// Who vets.
    pub vetter: Option<String>,
    /// Who has confirmed the vetting.
    pub second_vetter: Option<String>,
    /// The level of assurance that came out; null before it takes effect.
    pub loa: Option<f64>,
    /// Version of the rule by which it came out.
    pub loa_rule: Option<u32>,
    /// Why it ended.
    pub reason: Option<String>,
    /// The name of the person, for who vets.
    pub name: Option<String>,
    /// E-mail address, for who may see how applicants are reached.
    pub email: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// A phone with the app, of an enrolment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EnrolledPhone {
    /// Its serial.
    pub serial: String,
    /// What it calls itself; null for who may not see how the applicant is reached, and once it is revoked.
    pub name: Option<String>,
    /// `pending` until the binding takes effect, `active`, `suspended` or `revoked`.
    pub state: String,
}

/// A step of an enrolment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentStep {
    /// Which of its steps, from 1.
    pub nth: u32,
    /// The activity by its long name; null for an end.
    pub activity: Option<String>,
    /// The activity by its short name.
    pub short_id: Option<String>,
    /// Name of its event.
    pub event: String,
    /// Number of its event.
    pub event_seq: i64,
    /// RFC 3339.
    pub at: String,
    /// `operator`, `application`, `user` or `system`.
    pub actor_kind: String,
    /// Who did it.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// Where, or over what.
    pub place: Option<String>,
    /// `ok`, or a reason.
    pub result: String,
    /// SHA-256 of what went in, in hex.
    pub digest: String,
    /// Words of who did it, for who vets.
    pub remark: Option<String>,
}

/// What is to be bound.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorChoice {
    /// `sms`, `soft`, `push` or `hardware`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
}

/// The factor is shown: by a code of a token, by a code that was sent, or by the answer on the phone with the app.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Possession {
    /// The code; empty for what was answered on the phone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub otp: String,
    /// Serial of the token; the one from before, or the user's only one, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// For a code that was sent, or a phone that was asked: what `possession/send` gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
}

/// A token that an app has yet to show.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// Its serial.
    pub serial: String,
    /// What the app scans; shown once.
    pub otpauth_uri: String,
    /// The enrolment.
    pub enrolment: Enrolment,
}

/// To which number a code is to go.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PossessionOrder {
    /// A number that is not bound yet; the one from before, or the user's, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// A code, or a question, is on its way to the user's phone.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct PossessionSent {
    /// What the code is given back with, or the answer is asked for with.
    pub challenge: String,
    /// The number that is to be selected on a phone with the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
    /// Last digits of the number that a code goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_masked: Option<String>,
}

/// A phone to register for an enrolment.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentPhone {
    /// `combined` or `push`; push and codes by default, and push alone for who has the codes of an app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Language of the text beside the QR code; the user's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// A phone of an enrolment is waited for.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RegisteringPhone {
    /// The registration, with its QR code: shown once.
    pub registration: super::BegunRegistration,
    /// The enrolment; it has `push` once the phone has answered.
    pub enrolment: Enrolment,
}

/// How a registration code reaches its applicant.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeOrder {
    /// By mail too, to the user's own address.
    #[serde(default)]
    pub mail: bool,
}

/// A registration code; it is shown once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RegistrationCode {
    /// The code, in two groups of four.
    pub code: String,
    /// Its end: RFC 3339.
    pub valid_until: Option<String>,
    /// Whether it went by mail.
    pub mailed: bool,
    /// The enrolment.
    pub enrolment: Enrolment,
}

/// A time to offer.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAppointment {
    /// RFC 3339.
    pub starts_at: String,
    /// How long it takes.
    pub minutes: u32,
    /// Where, or the address of a video call.
    pub place: String,
    /// For whose applicants; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
}

/// A time that is offered, or taken.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Appointment {
    /// Its handle.
    pub id: String,
    /// RFC 3339.
    pub starts_at: String,
    /// How long it takes.
    pub minutes: u32,
    /// Where, or the address of a video call.
    pub place: String,
    /// For whose applicants; null for all.
    pub organisation: Option<String>,
    /// Who offers it.
    pub offered_by: String,
    /// The enrolment that has taken it.
    pub enrolment: Option<String>,
}

/// A time to take.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Booking {
    /// The appointment's handle.
    pub appointment: String,
}

/// A vetting begins.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VettingStart {
    /// The registration code that the applicant brings; in upper or lower case. Not needed for what a desk has asked
    /// for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Where, or over what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// What a claim was compared with. A `false` ends the enrolment.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VetProof {
    /// `id_document`, `eid_assertion` or `known_person`.
    pub kind: String,
    /// Type of the document, such as `passport`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Who issued it: ISO 3166.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The last characters of its number, at most 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last6: Option<String>,
    /// It is not expired; that it is neither lost nor stolen is for its source to say.
    #[serde(default)]
    pub not_expired: bool,
    /// The name is the user's.
    #[serde(default)]
    pub name_match: bool,
    /// The photo is the person's.
    #[serde(default)]
    pub photo_match: bool,
    /// Its security features were checked.
    #[serde(default)]
    pub security_features: bool,
    /// Its chip was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub electronic_read: Option<bool>,
    /// Words, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// How the face was seen alive. `passed` being false ends the enrolment.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VetLiveness {
    /// How, such as `face_to_face`.
    pub method: String,
    /// What came of it.
    pub passed: bool,
}

/// Who issued the proof was asked. `valid` being false ends the enrolment.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VetSource {
    /// Who was asked.
    pub source: String,
    /// Under which reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Neither lost, stolen nor retired.
    pub valid: bool,
}

/// Words of who does a step.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Remark {
    /// At most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// The assertion of an electronic identity.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VetAssertion {
    /// Who vouches.
    pub issuer: String,
    /// Its id there.
    pub id: String,
    /// When it was made: RFC 3339.
    pub at: String,
    /// Level of assurance of the assertion.
    pub level: f64,
}

/// A code of a token that is vetted already.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VetToken {
    /// Serial of the token.
    pub serial: String,
    /// Its code.
    pub otp: String,
}

/// A token that is handed over.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenHandOver {
    /// Its serial.
    pub serial: String,
}

/// Why an enrolment ends.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentEnd {
    /// A word of `a-z`, `0-9`, `_` and `.`, at most 64.
    pub reason: String,
    /// Words, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Why a binding is taken back.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// A word of `a-z`, `0-9`, `_` and `.`, at most 64; `revoked` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the user wants it: through an application the user's own act, at a desk a request that is complied with.
    #[serde(default)]
    pub by_user: bool,
}

/// What was vetted. It is erased when it is not needed any more.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VettedIdentity {
    /// What the claim was compared with.
    pub proof: Option<String>,
    /// Type of the document.
    pub document: Option<String>,
    /// Who issued it.
    pub country: Option<String>,
    /// The last characters of its number.
    pub last6: Option<String>,
    /// It is not expired.
    pub not_expired: Option<bool>,
    /// The name is the user's.
    pub name_match: Option<bool>,
    /// The photo is the person's.
    pub photo_match: Option<bool>,
    /// Its security features were checked.
    pub security_features: Option<bool>,
    /// Its chip was read.
    pub electronic_read: Option<bool>,
    /// How the face was seen alive.
    pub liveness: Option<String>,
    /// Who was asked about the proof.
    pub source: Option<String>,
    /// What else vouches: a letter, an assertion, a token.
    pub vouched_by: Option<String>,
    /// Who vetted.
    pub vetter: Option<String>,
    /// Who confirmed it.
    pub second: Option<String>,
    /// RFC 3339.
    pub at: String,
}

/// How many enrolments there are of a kind.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentCount {
    /// How users are vetted.
    pub method: String,
    /// Where they stand.
    pub state: String,
    /// The level of assurance that came out.
    pub loa: Option<String>,
    /// How many.
    pub count: u64,
}

/// A person who is forgotten.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Forgotten {
    /// The pseudonym in events; it stands for nobody now.
    pub user_ref: String,
}
