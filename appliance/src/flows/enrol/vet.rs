//! Somebody looks who the applicant is (B.5.6, 7 to 11; BIND-14 to BIND-19, BIND-35, BIND-36, D-54).

use domain::enrol::{Activity, Check, Level, ProofKind, Refusal, State, Vetter};
use domain::event::Event;
use domain::token::Id;

use super::end::{self, Unused};
use super::identity::{Identity, LAST_MAX};
use super::request::Looked;
use super::view::{self, View};
use super::work::{Doing, Work, check_line};
use super::{code, notice, request};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError};
use crate::store::vetting;

/// Longest name of a document, a method or a source, in characters.
const NAME_MAX: usize = 64;

/// How a vetting begins.
pub struct Beginning {
    /// The enrolment, where the caller knows it.
    pub enrolment: Option<Id>,
    /// The registration code that the applicant brings.
    pub code: Option<String>,
    /// Where, or over what.
    pub place: Option<String>,
    /// The level of what the registration authority has shown at the login, where there was one: nobody vets above it.
    pub shown: Option<Level>,
}

/// 7: the vetting begins. The code restores the context; what a desk has asked for itself needs none.
///
/// # Errors
/// [`FlowError::Enrol`]: [`Refusal::UnknownCode`], [`Refusal::SelfVetting`], [`Refusal::VetterTooLow`] and others;
/// [`FlowError::RateLimited`] after too many unknown codes.
pub fn begin(app: &Appliance, caller: &Caller, beginning: &Beginning) -> Result<View, FlowError> {
    let found = match (&beginning.code, beginning.enrolment) {
        (Some(typed), named) => {
            let id = code::waiting(app, caller, typed)?;
            if named.is_some_and(|named| named != id) {
                return Err(unknown(app, caller)?);
            }
            id
        }
        (None, Some(id)) => id,
        (None, None) => return Err(FlowError::Invalid("give the registration code".to_owned())),
    };
    let mut work = Work::open_as_it_is(app, caller, &found)?;
    let own = work.vetter("enrol.vetting")?;
    let vetter = Vetter { level: beginning.shown.map_or(own.level, |shown| shown.min(own.level)), ..own };
    let by_code = work.row.order.needs_code();
    if by_code && beginning.code.is_none() {
        return Err(work.refuse(Doing::new("enrol.vetting", Activity::Vet), Refusal::UnknownCode)?);
    }
    if commence(&mut work, Some(&vetter), beginning.place.clone())? {
        return rejected(work);
    }
    let row = work.commit(|_| Ok(()))?;
    view::of(app, caller, row)
}

fn unknown(app: &Appliance, caller: &Caller) -> Result<FlowError, FlowError> {
    let now = app.clock.now().wall_ms;
    let code = Refusal::UnknownCode.code();
    app.refuse(Event::refused(now, "enrol.vetting", caller.actor.clone(), code))?;
    Ok(Refusal::UnknownCode.into())
}

/// The vetting begins, once it is sure that the user may still have the factor (D-51). True when the user may not, and
/// the enrolment has ended.
pub(super) fn commence(
    work: &mut Work<'_>,
    vetter: Option<&Vetter>,
    place: Option<String>,
) -> Result<bool, FlowError> {
    let other_policy = work.row.order.policy != work.app.config.enrol.policy.version;
    let waits = work.progress().state.is_open() && work.progress().state < State::Vetting && !work.is_over();
    let again = waits && (other_policy || work.progress().is_stale(&work.now));
    if again && request::look_whether_eligible(work, Looked::UnderWay)? {
        return Ok(true);
    }
    let judged = work.progress().vetting(&work.rules(), vetter);
    work.go(Doing::new("enrol.vetting", Activity::Vet).place(place), judged)?;
    Ok(false)
}

/// Ends the act at an enrolment that was just refused, and tells the user (BIND-27, BIND-39).
fn rejected(mut work: Work<'_>) -> Result<View, FlowError> {
    let (app, caller) = (work.app, work.caller);
    let told = notice::of_failure(&work)?.go(&mut work)?;
    let unused = Unused::of(&work)?;
    let row = work.commit(move |w| {
        unused.write(w)?;
        told.write(w)
    })?;
    app.bell.ring();
    view::of(app, caller, row)
}

/// A document, as little of it as is kept.
pub struct Document {
    /// Its type, such as `passport`.
    pub kind: String,
    /// Who issued it: ISO 3166.
    pub country: String,
    /// The last characters of its number.
    pub last6: String,
}

/// What was compared with the claim.
pub struct Proof {
    /// What it was.
    pub kind: ProofKind,
    /// Which document, where it was one.
    pub document: Option<Document>,
    /// It is not expired.
    pub not_expired: bool,
    /// The name is the user's.
    pub name_match: bool,
    /// The photo is the person's.
    pub photo_match: bool,
    /// The security features were checked.
    pub security_features: bool,
    /// The chip was read.
    pub electronic_read: Option<bool>,
    /// Words of who did it.
    pub remark: Option<String>,
}

impl Proof {
    fn check(&self) -> Result<(), FlowError> {
        if self.kind == ProofKind::IdDocument && self.document.is_none() {
            let text = "document: give type, country and the last characters of the number";
            return Err(FlowError::Invalid(text.to_owned()));
        }
        let Some(document) = &self.document else { return Ok(()) };
        check_line("document.type", &document.kind, NAME_MAX)?;
        let is_code = document.country.len() == 2 || document.country.len() == 3;
        if !is_code || !document.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(FlowError::Invalid("document.country: must be an ISO 3166 code".to_owned()));
        }
        let last = &document.last6;
        if !(1..=LAST_MAX).contains(&last.len()) || !last.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(FlowError::Invalid(format!(
                "document.last6: must be the last {LAST_MAX} letters and digits of the number, no more"
            )));
        }
        Ok(())
    }

    /// Why it proves nothing; none when it does. That a document is not expired is seen on it; that it is neither lost
    /// nor stolen is for its source to say (BIND-19).
    fn fails(&self) -> Option<&'static str> {
        let documents = self.kind == ProofKind::IdDocument;
        [
            (documents && !self.not_expired, "document_expired"),
            (!self.name_match, "name_mismatch"),
            (documents && !self.photo_match, "photo_mismatch"),
        ]
        .into_iter()
        .find_map(|(fails, reason)| fails.then_some(reason))
    }
}

/// What one check adds to the record, and whether it went well.
struct Checked {
    check: Check,
    event: &'static str,
    reason: Option<&'static str>,
    remark: Option<String>,
}

/// 8 to 10: a check. One that fails ends the enrolment: the record is unused, and the user is told.
fn check(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    checked: Checked,
    note: impl FnOnce(&mut Identity),
) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.same_vetter(checked.event)?;
    let mut identity = Identity::load(app, &work.owner, id)?.unwrap_or_default();
    note(&mut identity);
    identity.vetter = Some(caller.actor.id.clone());
    identity.at = work.now.wall_ms;
    let sealed = identity.seal(app, &work.owner, id)?;
    let judged = work.progress().checked(&work.rules(), checked.check);
    let result = checked.reason.unwrap_or("ok");
    let doing = Doing::new(checked.event, checked.check.activity())
        .about("result", result)
        .input(&sealed)
        .remark(checked.remark);
    let at = work.now.steady_ms;
    let enrolment = *id;
    if checked.reason.is_none() || judged.is_err() {
        work.go(doing, judged)?;
        let row = work.commit(move |w| vetting::put_identity(w, &enrolment, &sealed, at))?;
        return view::of(app, caller, row);
    }
    let still = work.progress();
    work.go(doing, Ok(still))?;
    end::reject_with(&mut work, result)?;
    let told = notice::of_failure(&work)?.go(&mut work)?;
    let unused = Unused::of(&work)?;
    let row = work.commit(move |w| {
        vetting::put_identity(w, &enrolment, &sealed, at)?;
        unused.write(w)?;
        told.write(w)
    })?;
    app.bell.ring();
    view::of(app, caller, row)
}

/// 8: the claim is compared with a proof.
///
/// # Errors
/// [`FlowError::Enrol`] before the factor that the applicant has was shown, and for a proof that this method does not
/// take; [`FlowError::Invalid`].
pub fn proof(app: &Appliance, caller: &Caller, id: &Id, proof: Proof) -> Result<View, FlowError> {
    proof.check()?;
    let checked = Checked {
        check: Check::Proof { kind: proof.kind, security_features: proof.security_features, vouched: None },
        event: "enrol.proof_checked",
        reason: proof.fails(),
        remark: proof.remark.clone(),
    };
    check(app, caller, id, checked, |identity| {
        identity.proof = Some(proof.kind.name().to_owned());
        if let Some(document) = proof.document {
            identity.document = Some(document.kind);
            identity.country = Some(document.country);
            identity.last6 = Some(document.last6);
            identity.not_expired = Some(proof.not_expired);
            identity.photo_match = Some(proof.photo_match);
        }
        identity.name_match = Some(proof.name_match);
        identity.security_features = Some(proof.security_features);
        identity.electronic_read = proof.electronic_read;
    })
}

/// 9: the face is seen alive.
///
/// # Errors
/// As [`proof`].
pub fn liveness(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    method: &str,
    passed: bool,
) -> Result<View, FlowError> {
    check_line("method", method, NAME_MAX)?;
    let checked = Checked {
        check: Check::Liveness,
        event: "enrol.liveness_checked",
        reason: (!passed).then_some("not_alive"),
        remark: None,
    };
    check(app, caller, id, checked, |identity| {
        let result = if passed { "passed" } else { "failed" };
        identity.liveness = Some((method.to_owned(), result.to_owned()));
    })
}

/// 10: who issued the proof is asked.
///
/// # Errors
/// As [`proof`].
pub fn source(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    name: &str,
    reference: Option<&str>,
    valid: bool,
) -> Result<View, FlowError> {
    check_line("source", name, NAME_MAX)?;
    reference.map_or(Ok(()), |reference| check_line("reference", reference, NAME_MAX))?;
    let checked = Checked {
        check: Check::Source,
        event: "enrol.source_checked",
        reason: (!valid).then_some("document_retired"),
        remark: None,
    };
    check(app, caller, id, checked, |identity| {
        let result = if valid { "valid" } else { "retired" };
        identity.source = Some((name.to_owned(), result.to_owned(), reference.map(str::to_owned)));
    })
}

/// 11: what was checked is written down.
///
/// # Errors
/// [`FlowError::Enrol`] before everything is done that the policy asks for.
pub fn record(app: &Appliance, caller: &Caller, id: &Id, remark: Option<String>) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.same_vetter("enrol.vetted")?;
    let judged = work.progress().vetted(&work.rules());
    work.go(Doing::new("enrol.vetted", Activity::VetRecord).remark(remark), judged)?;
    let row = work.commit(|_| Ok(()))?;
    view::of(app, caller, row)
}

/// Another registration authority confirms the vetting (D-54).
///
/// # Errors
/// [`FlowError::Enrol`] for who has vetted, for the applicant, and below the level.
pub fn second(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    let vetter = work.vetter("enrol.seconded")?;
    let judged = work.progress().seconded(&work.rules(), &vetter);
    work.go(Doing::new("enrol.seconded", Activity::VetRecord), judged)?;
    let mut identity = Identity::load(app, &work.owner, id)?.unwrap_or_default();
    identity.second = Some(caller.actor.id.clone());
    let sealed = identity.seal(app, &work.owner, id)?;
    let (enrolment, at) = (*id, work.now.steady_ms);
    let row = work.commit(move |w| vetting::put_identity(w, &enrolment, &sealed, at))?;
    view::of(app, caller, row)
}

/// D-52: the registration authority has seen that it is another token: it is shown and vetted anew.
///
/// # Errors
/// [`FlowError::Enrol`] outside a vetting.
pub fn again(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.same_vetter("enrol.begun_anew")?;
    let judged = work.progress().begun_anew(&work.now);
    work.go(Doing::new("enrol.begun_anew", Activity::Vet), judged)?;
    work.row.code_mac = None;
    let unused = Unused::of(&work)?;
    let enrolment = *id;
    let row = work.commit(move |w| {
        vetting::erase_identity(w, &enrolment)?;
        unused.write(w)
    })?;
    view::of(app, caller, row)
}
