//! Who may do what at an enrolment: applicants through their applications, registration authorities within their
//! organisations and up to their own level (BIND-35, BIND-37, D-54).

use domain::enrol::{Level, Method, Refusal, Requester, Vetter};
use domain::event::Event;
use domain::names::UserName;
use domain::role::Right;
use domain::scope::Scope;
use domain::token::{Id, Lifecycle};
use hsm::MacPurpose;

use super::work::{Doing, Work};
use super::{applicant, request};
use crate::appliance::Appliance;
use crate::flows::push::check_device;
use crate::flows::{Caller, FlowError, OPERATOR, handle, operators, organisation, phones};
use crate::store::enrolment::EnrolmentRow;
use crate::store::token::{self, TokenRow};
use crate::store::{push_device, vetting};

/// Who root is as a vetter: no user.
const NOBODY: Id = [0; 16];
/// Why somebody does not see an enrolment.
const NOT_THEIRS: &str = "enrol.not_theirs";

/// Level of a user's tokens, number and phones in use: what a registration authority may vouch for (BIND-35).
///
/// # Errors
/// [`FlowError::Tampered`] for a row that was changed outside the appliance; when HSM or store cannot answer.
pub(super) fn level_of(app: &Appliance, user: &Id) -> Result<Level, FlowError> {
    let tokens = app.store.read(|c| token::of_user(c, user))?;
    let now = app.clock.now();
    let usable = |row: &TokenRow| row.state.lifecycle == Lifecycle::Active && !row.state.is_locked(&now);
    let tokens: Vec<TokenRow> = tokens.into_iter().filter(usable).collect();
    check_records(app, &tokens)?;
    let number = phones::of_user(app, user)?.filter(|bound| bound.state == phones::VERIFIED);
    let mut phones = app.store.read(|c| push_device::living_of(c, user))?;
    phones.retain(|row| row.lifecycle == Lifecycle::Active);
    phones.iter().try_for_each(|row| check_device(app, row))?;
    let levels = tokens.iter().map(|row| row.loa).chain(number.map(|bound| bound.loa));
    let levels = levels.chain(phones.iter().map(|row| row.loa));
    Ok(levels.map(Level::at_most).max().unwrap_or(Level::One))
}

/// Level of what a user has besides the password, whatever state it is in, but for one thing; none for who has nothing.
/// What is held for an enrolment is nobody's factor yet.
///
/// # Errors
/// As [`level_of`].
fn standing(app: &Appliance, user: &Id, but: Option<&Id>) -> Result<Option<Level>, FlowError> {
    let (mut tokens, mut devices) =
        app.store.read(|c| Ok((token::of_user(c, user)?, push_device::living_of(c, user)?)))?;
    let counts = |lifecycle: Lifecycle, id: &Id| {
        !matches!(lifecycle, Lifecycle::Revoked | Lifecycle::Pending) && but != Some(id)
    };
    tokens.retain(|row| counts(row.state.lifecycle, &row.id));
    check_records(app, &tokens)?;
    devices.retain(|row| counts(row.lifecycle, &row.id));
    devices.iter().try_for_each(|row| check_device(app, row))?;
    let number = phones::of_user(app, user)?.filter(|bound| but != Some(&bound.id));
    let levels = tokens.iter().map(|row| row.loa).chain(devices.iter().map(|row| row.loa));
    Ok(levels.chain(number.map(|bound| bound.loa)).map(Level::at_most).max())
}

/// Whether the user has a factor that counts for more than what was shown when this was asked for, besides the one that
/// is being bound: then nobody's word, and the first factor, add no other one beside it (BIND-33, D-34).
///
/// # Errors
/// As [`level_of`].
pub(super) fn is_outranked(work: &Work<'_>) -> Result<bool, FlowError> {
    if work.row.order.method != Method::SelfAsserted {
        return Ok(false);
    }
    let item = work.progress().item;
    let Some(standing) = standing(work.app, &work.owner.id, item.as_ref())? else { return Ok(false) };
    Ok(shown_at_first(work)?.is_none_or(|shown| shown < standing))
}

/// Level of what the applicant has shown at the login that has asked for this, besides the first factor.
fn shown_at_first(work: &Work<'_>) -> Result<Option<Level>, FlowError> {
    Ok(request::info(work.app, &work.owner, &work.row)?.shown.map(Level::at_most))
}

/// Checks that the levels of tokens, and whose they are, stand as the HSM has bound them.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM cannot answer.
pub(crate) fn check_records(app: &Appliance, tokens: &[TokenRow]) -> Result<(), FlowError> {
    if tokens.is_empty() {
        return Ok(());
    }
    let record =
        |row: &TokenRow| hsm::record_message(row.record.as_deref().unwrap_or_default(), &row.binding());
    let records = app.hsm.mac(MacPurpose::Record, tokens.iter().map(record).collect())?;
    let states = tokens.iter().map(|row| row.state.bytes(&row.id)).collect();
    let states = app.hsm.mac(MacPurpose::State, states)?;
    for ((row, record), state) in tokens.iter().zip(records).zip(states) {
        if record != row.record_mac || state != row.state_mac {
            return Err(app.changed_token("the record", row));
        }
    }
    Ok(())
}

/// Whether some registration authority could vet this user up to a level: nobody vets themselves.
fn somebody_vets(app: &Appliance, user: &Id, target: Level) -> Result<bool, FlowError> {
    for row in operators::list(app)? {
        let vets = row.revoked_at.is_none() && operators::rights(app, &row).has(Right::Vet);
        if vets && row.user_id != *user && level_of(app, &row.user_id)? >= target {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a caller has a right for an organisation: as far as the roles that hold it were given, and within the bounds
/// that the configuration sets (BIND-37, B.2).
pub(super) fn works_for(app: &Appliance, caller: &Caller, right: Right, organisation: &str) -> bool {
    operators::reach(app, caller, right).includes(organisation)
}

/// Whether a caller may act at an enrolment with a right. For who works for some organisations it takes another
/// authority's word that the user belongs to one of them, and no operator who reaches further is dealt with (BIND-37, B.2).
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn deals_with(work: &Work<'_>, right: Right) -> Result<bool, FlowError> {
    let (app, caller, owner) = (work.app, work.caller, &work.owner);
    let reach = operators::reach(app, caller, right);
    if reach == Scope::Everywhere {
        return Ok(true);
    }
    if !reach.includes(work.organisation()?) || is_own_word(work)? {
        return Ok(false);
    }
    let operator = operators::active(app, &owner.name)?;
    Ok(operator.is_none_or(|operator| operators::is_within(app, &operator, &reach)))
}

/// Whether it is the caller alone who says which organisation the user belongs to.
fn is_own_word(work: &Work<'_>) -> Result<bool, FlowError> {
    let (app, own) = (work.app, &work.caller.actor.id);
    if let Some(said) = organisation::membership(app, &work.owner.id)? {
        return Ok(said.said_by == *own);
    }
    if !matches!(work.row.order.by, Requester::Desk | Requester::Organisation) {
        return Ok(false);
    }
    let id = work.row.order.id;
    let asked = app.store.read(|c| vetting::steps(c, &id))?.into_iter().next();
    Ok(asked.is_some_and(|step| step.actor[1] == *own))
}

/// The organisations that a caller is held to; none for who works for all.
pub(super) fn own_organisations(app: &Appliance, caller: &Caller, right: Right) -> Option<Vec<String>> {
    operators::reach(app, caller, right).names()
}

/// Whose registration authorities deal with an enrolment: the organisation that counted when it was asked for, unless an
/// operator says another one of its user now. Before schema 0012 it was what an applicant typed, which counts for nothing.
///
/// # Errors
/// [`FlowError::Tampered`]; when the store cannot answer.
pub(super) fn organisation_now<'a>(app: &Appliance, row: &'a EnrolmentRow) -> Result<&'a str, FlowError> {
    let own = row.organisation.as_str();
    if own.is_empty() {
        return Ok(own);
    }
    Ok(match organisation::of(app, &row.order.user)? {
        Some(said) if said == own => own,
        None if row.order.by != Requester::Applicant => own,
        Some(_) | None => "",
    })
}

/// The event of somebody who asks for an enrolment that is not theirs; they learn no more than of one that there is not.
///
/// # Errors
/// When the store cannot answer.
pub(super) fn not_theirs(
    app: &Appliance,
    caller: &Caller,
    doing: &'static str,
    row: &EnrolmentRow,
) -> Result<FlowError, FlowError> {
    let which = handle(&row.order.id);
    let event = Event::refused(app.clock.now().wall_ms, doing, caller.actor.clone(), NOT_THEIRS);
    app.refuse_seldom(&which, event.about("enrolment", which.as_str()))?;
    Ok(FlowError::NotFound("enrolment"))
}

/// Whether a caller may see an enrolment: its user, its application, and who reads enrolments, within the organisation.
///
/// # Errors
/// When the store cannot answer.
pub(super) fn sees(app: &Appliance, caller: &Caller, row: &EnrolmentRow) -> Result<bool, FlowError> {
    if applicant::is_user(caller) {
        return applicant::owns(app, caller, row);
    }
    if caller.rights.has(Right::ReadEnrolments) {
        return Ok(works_for(app, caller, Right::ReadEnrolments, organisation_now(app, row)?));
    }
    Ok(caller.rights.has(Right::RequestEnrolment) && row.application == caller.application)
}

impl Work<'_> {
    /// Whose registration authorities deal with it.
    ///
    /// # Errors
    /// As [`organisation_now`].
    pub(super) fn organisation(&self) -> Result<&str, FlowError> {
        organisation_now(self.app, &self.row)
    }

    /// The caller as a registration authority for this enrolment. Root is one as long as nobody else could be (D-54).
    ///
    /// # Errors
    /// [`FlowError::Forbidden`] without the right, or for who is no person; [`FlowError::Enrol`] outside the own
    /// organisations. Each refusal is an event.
    pub(super) fn vetter(&mut self, doing: &'static str) -> Result<Vetter, FlowError> {
        let (app, caller) = (self.app, self.caller);
        caller.need(app, Right::Vet)?;
        if caller.is_break_glass() {
            if somebody_vets(app, &self.row.order.user, self.row.order.target)? {
                let text = "a registration authority of this level is there: it has to do this";
                return Err(caller.forbidden(app, Right::Vet.name(), text)?);
            }
            self.bootstrap = true;
            return Ok(Vetter { person: NOBODY, level: Level::Three });
        }
        let name = UserName::parse(&caller.actor.id).ok().filter(|_| caller.actor.kind == OPERATOR);
        let row = name.map(|name| operators::active(app, &name)).transpose()?.flatten();
        let Some(row) = row else {
            let text = "a registration authority is a person, and an application is none";
            return Err(caller.forbidden(app, Right::Vet.name(), text)?);
        };
        if !deals_with(self, Right::Vet)? {
            return Err(self.refuse(Doing::end(doing, ""), Refusal::OutOfScope)?);
        }
        Ok(Vetter { person: row.user_id, level: level_of(app, &row.user_id)? })
    }

    /// The registration authority who has begun the vetting goes on with it.
    ///
    /// # Errors
    /// As [`Work::vetter`]; [`FlowError::Enrol`] for another one.
    pub(super) fn same_vetter(&mut self, doing: &'static str) -> Result<Vetter, FlowError> {
        let vetter = self.vetter(doing)?;
        if self.row.progress.vetter.is_some_and(|began| began != vetter.person) {
            return Err(self.refuse(Doing::end(doing, ""), Refusal::WrongActor)?);
        }
        Ok(vetter)
    }

    /// The caller may act for the applicant: the user, the application that asked, an operator who may ask, or a registration
    /// authority with the applicant at the desk.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] alike for who may not see it, and [`FlowError::Forbidden`]; each is an event.
    pub(super) fn for_applicant(&mut self, doing: &'static str) -> Result<(), FlowError> {
        let (app, caller) = (self.app, self.caller);
        let rights = caller.rights;
        if caller.actor.kind == OPERATOR {
            let desk = rights.has(Right::Vet) && !rights.has(Right::RequestEnrolment);
            let right = if desk { Right::Vet } else { Right::RequestEnrolment };
            caller.need(app, right)?;
            if !deals_with(self, right)? {
                return Err(self.refuse(Doing::end(doing, ""), Refusal::OutOfScope)?);
            }
            return Ok(());
        }
        if !rights.has(Right::RequestEnrolment) {
            return caller.need(app, Right::RequestEnrolment);
        }
        let theirs = if applicant::is_user(caller) {
            self.owner.user_ref == caller.actor.id
        } else {
            self.row.application == caller.application
        };
        if !theirs {
            return Err(not_theirs(app, caller, doing, &self.row)?);
        }
        Ok(())
    }

    /// The caller may make what is to be bound, and show it, before the vetting: the applicant, or who asks for applicants. A
    /// registration authority does so with the applicant at the desk, once the vetting has begun (B.5.6, 4), and who has logged
    /// in with less than the user has goes on with nothing that was begun with more.
    ///
    /// # Errors
    /// As [`Work::for_applicant`]; [`FlowError::Enrol`] with [`Refusal::WrongActor`] or [`Refusal::StrongerFactor`], which
    /// are events.
    pub(super) fn for_who_shows(&mut self, doing: &'static str) -> Result<(), FlowError> {
        self.for_applicant(doing)?;
        let caller = self.caller;
        if caller.actor.kind == OPERATOR && !caller.rights.has(Right::RequestEnrolment) {
            return Err(self.refuse(Doing::end(doing, ""), Refusal::WrongActor)?);
        }
        if applicant::is_user(caller) && self.is_with_less()? {
            return Err(self.refuse(Doing::end(doing, ""), Refusal::StrongerFactor)?);
        }
        Ok(())
    }

    /// Whether the login of the user who is there has shown less than the one by which this was asked for, and less than
    /// what the user has by now.
    fn is_with_less(&self) -> Result<bool, FlowError> {
        let shown = self.caller.shown;
        let item = self.progress().item;
        Ok(shown < shown_at_first(self)? && shown < standing(self.app, &self.owner.id, item.as_ref())?)
    }
}
