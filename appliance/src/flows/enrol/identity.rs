//! What was vetted (B.4.9, D-48): a note of success with the least about a document, sealed under the person's key and
//! apart from the events. No picture, no whole number of a document, no date of birth.

use domain::enrol::ProofKind;
use domain::token::Id;
use hsm::HsmError;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::appliance::Appliance;
use crate::flows::{FlowError, handle};
use crate::store::user::UserRow;
use crate::store::vetting;

/// Characters of a document's number that are kept.
pub(super) const LAST_MAX: usize = 6;

/// What the seal covers besides the record.
fn aad(enrolment: &Id) -> Vec<u8> {
    [b"countersign vetting identity 1".as_slice(), enrolment].concat()
}

/// The record of one vetting.
#[derive(Clone, Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Identity {
    /// What the claim was compared with.
    pub proof: Option<String>,
    /// Type of the document, such as `passport`.
    pub document: Option<String>,
    /// Who issued it: ISO 3166.
    pub country: Option<String>,
    /// The last characters of its number.
    pub last6: Option<String>,
    /// It is not expired.
    pub not_expired: Option<bool>,
    /// The name on it is the user's.
    pub name_match: Option<bool>,
    /// The photo on it is the person's.
    pub photo_match: Option<bool>,
    /// Its security features were checked.
    pub security_features: Option<bool>,
    /// Its chip was read.
    pub electronic_read: Option<bool>,
    /// How the face was seen alive, and what came of it.
    pub liveness: Option<(String, String)>,
    /// Who was asked about the proof, what the answer was, and under which reference.
    pub source: Option<(String, String, Option<String>)>,
    /// What else vouches: a letter, an assertion, a token.
    pub vouched_by: Option<String>,
    /// Where, or over what.
    pub place: Option<String>,
    /// Who vetted.
    pub vetter: Option<String>,
    /// Who confirmed it.
    pub second: Option<String>,
    /// Unix milliseconds.
    pub at: i64,
}

impl Identity {
    /// Of somebody for whom a letter, an assertion or a token vouches.
    pub(super) fn vouched(proof: ProofKind, by: String, vetter: &str, at: i64) -> Self {
        let mut identity = Identity::default();
        identity.at = at;
        identity.proof = Some(proof.name().to_owned());
        identity.vouched_by = Some(by);
        identity.vetter = Some(vetter.to_owned());
        identity
    }

    /// Puts it under the person's key.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] once the user is forgotten; when the HSM cannot answer.
    pub(super) fn seal(
        &self,
        app: &Appliance,
        owner: &UserRow,
        enrolment: &Id,
    ) -> Result<Vec<u8>, FlowError> {
        let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
        let json = Zeroizing::new(serde_json::to_vec(self).expect("texts and numbers are JSON"));
        Ok(app.hsm.seal(key, &aad(enrolment), &json)?)
    }

    /// The record of an enrolment; none before there is one, and after it was erased.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; when the HSM cannot answer.
    pub(super) fn load(app: &Appliance, owner: &UserRow, enrolment: &Id) -> Result<Option<Self>, FlowError> {
        let sealed = app.store.read(|c| vetting::identity(c, enrolment))?;
        let (Some(sealed), Some(key)) = (sealed, &owner.person_key) else { return Ok(None) };
        let tampered = || FlowError::Tampered { what: "the record of the vetting", which: handle(enrolment) };
        let json = app.hsm.open(key, &aad(enrolment), &sealed).map_err(|error| match error {
            HsmError::Refused { .. } => tampered(),
            other => other.into(),
        })?;
        serde_json::from_slice(&json).map(Some).map_err(|_| tampered())
    }
}
