//! What vouches in place of a person: an assertion that a trusted application brings, or an own token that is vetted
//! already (BIND-15, BIND-33).

use domain::canonical::Canonical;
use domain::enrol::{Activity, Check, Level, ProofKind, Refusal};
use domain::event::Event;
use domain::names::Serial;
use domain::role::Right;
use domain::token::Id;
use hsm::{HsmError, MacPurpose};

use super::bind;
use super::end::Unused;
use super::identity::Identity;
use super::notice;
use super::possession::vouched_by;
use super::request::{self, Evidence};
use super::vet::commence;
use super::view::{self, View};
use super::work::{Doing, Work, check_line};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, handle};
use crate::store::{StoreError, Writing, assertion, token, vetting};

/// Longest text of an assertion, in characters.
const TEXT_MAX: usize = 128;
/// How far the clock of who vouches may be ahead of ours, in milliseconds.
const SKEW_MS: i64 = 60_000;

/// Writes down who vouches, and that the applicant is vetted.
fn vetted(work: &mut Work<'_>, kind: ProofKind, level: Level, by: &str) -> Result<Vec<u8>, FlowError> {
    let identity = Identity::vouched(kind, by.to_owned(), &work.caller.actor.id, work.now.wall_ms);
    let sealed = identity.seal(work.app, &work.owner, &work.row.order.id)?;
    let check = Check::Proof { kind, security_features: false, vouched: Some(level) };
    let judged = work.progress().checked(&work.rules(), check);
    let doing = Doing::new("enrol.proof_checked", Activity::VetProof).about("vouched", level.name());
    work.go(doing.input(&sealed), judged)?;
    let judged = work.progress().vetted(&work.rules());
    work.go(Doing::new("enrol.vetted", Activity::VetRecord), judged)?;
    Ok(sealed)
}

/// Ends the act at an enrolment whose user may not have it any more.
fn not_eligible(mut work: Work<'_>) -> Result<View, FlowError> {
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

/// The assertion of an electronic identity, as a trusted application delivers it.
///
/// # Errors
/// [`FlowError::Forbidden`] without the right to say who somebody is; [`FlowError::Enrol`]: [`Refusal::AssertionStale`],
/// [`Refusal::AssertionUsed`] and others, which are events; [`FlowError::Invalid`].
pub fn by_assertion(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    evidence: &Evidence,
    level: Level,
) -> Result<View, FlowError> {
    caller.need(app, Right::AssertUser)?;
    check_line("issuer", &evidence.issuer, TEXT_MAX)?;
    check_line("id", &evidence.id, TEXT_MAX)?;
    let mut work = Work::open(app, caller, id)?;
    work.for_applicant("enrol.vetting")?;
    let fresh = fresh(&work, evidence)?;
    if commence(&mut work, None, None)? {
        return not_eligible(work);
    }
    let by = format!("{} {}", evidence.issuer, evidence.id);
    let sealed = vetted(&mut work, ProofKind::EidAssertion, level, &by)?;
    let enrolment = *id;
    let row = work.commit(move |w| {
        assertion::use_up(w, &fresh.mark, fresh.until, fresh.at)?;
        vetting::put_identity(w, &enrolment, &sealed, fresh.at)
    })?;
    bind::go_on(app, caller, row)
}

/// How old an assertion may be, in milliseconds.
fn max_age(app: &Appliance) -> i64 {
    i64::try_from(app.config.enrol.assertion_max_age_ms).unwrap_or(i64::MAX)
}

/// An assertion that is of now.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    mark: [u8; 32],
    until: i64,
    at: i64,
}

impl Fresh {
    /// Looks at its age.
    fn of(work: &Work<'_>, evidence: &Evidence, doing: Doing) -> Result<Self, FlowError> {
        let app = work.app;
        let at: jiff::Timestamp = evidence
            .at
            .parse()
            .map_err(|_| FlowError::Invalid("at: must be a time as RFC 3339 writes it".to_owned()))?;
        let age = work.now.wall_ms.saturating_sub(at.as_millisecond());
        let max_age = max_age(app);
        if age > max_age || age < -SKEW_MS {
            return Err(work.refuse(doing, Refusal::AssertionStale)?);
        }
        let named =
            Canonical::new("countersign assertion 1").text(&evidence.issuer).text(&evidence.id).finish();
        let macs = app.hsm.mac(MacPurpose::Lookup, vec![named])?;
        let mark = *macs.first().ok_or(HsmError::Protocol)?;
        let at = work.now.steady_ms;
        Ok(Fresh { mark, until: at.saturating_add(max_age).saturating_add(2 * SKEW_MS), at })
    }

    /// Notes that it has shown a first factor: it proves no identity any more, and can show the first factor of another
    /// request. In the act's own transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn note(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        assertion::note(writing, &self.mark, self.until, self.at)
    }
}

/// The login somewhere else by which a first factor was shown, as long as it is of now (BIND-04, BIND-06).
///
/// # Errors
/// [`FlowError::Enrol`] with [`Refusal::AssertionStale`], which is an event; when the HSM or the store cannot answer.
pub(super) fn first_factor(work: &Work<'_>, evidence: &Evidence) -> Result<Fresh, FlowError> {
    Fresh::of(work, evidence, Doing::new("enrol.requested", Activity::Request))
}

/// Whether an assertion is of now, and serves for the first time: neither for another vetting, nor as a first factor.
fn fresh(work: &Work<'_>, evidence: &Evidence) -> Result<Fresh, FlowError> {
    let app = work.app;
    let doing = || Doing::new("enrol.vetting", Activity::Vet);
    let fresh = Fresh::of(work, evidence, doing())?;
    let info = request::info(app, &work.owner, &work.row)?;
    // The mark goes once the assertion is too old; what the request says stays as long as it does.
    let own =
        info.evidence.as_ref().is_some_and(|own| own.issuer == evidence.issuer && own.id == evidence.id);
    if own || app.store.read(|c| assertion::is_used(c, &fresh.mark))? {
        return Err(work.refuse(doing(), Refusal::AssertionUsed)?);
    }
    Ok(fresh)
}

/// A code of an own token: the level that comes out is that of the token at the most.
///
/// # Errors
/// [`FlowError::NotFound`] for a token that is not the user's; [`FlowError::Enrol`] for a wrong code, and for a token
/// whose level is too low, which ends the enrolment.
pub fn by_token(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    serial: &Serial,
    otp: &str,
) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.for_applicant("enrol.vetting")?;
    if app.admit(caller, &work.owner, &work.now)?.is_err() {
        app.match_decoy("")?;
        let refused = Event::refused(work.now.wall_ms, "enrol.vetting", caller.actor.clone(), "limited");
        let about = refused.about("user_ref", &work.owner.user_ref).about("enrolment", handle(id));
        app.refuse_seldom(&work.owner.user_ref, about)?;
        return Err(FlowError::RateLimited);
    }
    if commence(&mut work, None, None)? {
        return not_eligible(work);
    }
    if !ProofKind::ExistingFactor.fits(work.row.order.method) {
        return Err(work.refuse(Doing::new("enrol.vetting", Activity::Vet), Refusal::WrongProof)?);
    }
    let (row, next, mac) = vouched_by(&work, serial, otp)?;
    let sealed = vetted(&mut work, ProofKind::ExistingFactor, Level::at_most(row.loa), row.serial.as_str())?;
    let (enrolment, at) = (*id, work.now.steady_ms);
    let saved = work.commit(move |w| {
        if !token::put_state(w, &row, &next, &mac)? {
            return Err(StoreError::Changed("the token"));
        }
        vetting::put_identity(w, &enrolment, &sealed, at)
    })?;
    bind::go_on(app, caller, saved)
}
