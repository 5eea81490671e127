//! How an enrolment ends before it took effect, and how a binding is taken back (B.5.6, 11n, 16, 17; BIND-39, BIND-42,
//! BIND-43).

use domain::enrol::State;
use domain::event::Event;
use domain::names::Serial;
use domain::role::Right;
use domain::token::{Id, Lifecycle};

use super::phone::PhoneEnd;
use super::replaced::beside;
use super::schedule::Freed;
use super::soft::Unmade;
use super::token_end::TokenEnd;
use super::view::{self, View};
use super::work::{Doing, Work, check_reason};
use super::{applicant, notice, people};
use crate::appliance::Appliance;
use crate::flows::tokens::{self, Change};
use crate::flows::{Caller, FlowError, OPERATOR, operators, phones};
use crate::store::token::TokenRow;
use crate::store::vetting::{self, End};
use crate::store::{
    StoreError, Writing, enrolment, enrolment_number, event, flow, phone, push_device, token,
};

/// The enrolment is refused, for this reason.
pub(super) fn reject_with(work: &mut Work<'_>, reason: &str) -> Result<(), FlowError> {
    let judged = work.progress().ended(State::Rejected, &work.now);
    work.row.reason = Some(reason.to_owned());
    work.go(Doing::end("enrol.rejected", reason), judged)
}

/// What a process leaves that ends without a binding: the record of the vetting is kept for a while only, the time that
/// it had is free, and a token that was made for it is revoked, and
/// so is a phone that was registered for it; a number that it kept is forgotten.
pub(super) struct Unused {
    enrolment: Id,
    at: i64,
    freed: Freed,
    unmade: Unmade,
}

impl Unused {
    /// Of this enrolment.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
    pub(super) fn of(work: &Work<'_>) -> Result<Self, FlowError> {
        let enrolment = work.row.order.id;
        let (freed, unmade) = (Freed::of(work.app, &enrolment)?, Unmade::of(work)?);
        Ok(Unused { enrolment, at: work.now.steady_ms, freed, unmade })
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        vetting::end_identity(writing, &self.enrolment, End::Unused, self.at)?;
        self.freed.write(writing)?;
        enrolment_number::erase(writing, &self.enrolment)?;
        self.unmade.write(writing)
    }
}

/// 16: the applicant or the registration authority gives it up.
///
/// # Errors
/// [`FlowError::Enrol`] once it took effect or is over.
pub fn cancel(app: &Appliance, caller: &Caller, id: &Id, reason: &str) -> Result<View, FlowError> {
    check_reason(reason)?;
    let mut work = Work::open(app, caller, id)?;
    work.for_applicant("enrol.cancelled")?;
    let judged = work.progress().ended(State::Cancelled, &work.now);
    work.row.reason = Some(reason.to_owned());
    let by = if caller.actor.kind == OPERATOR { "registration_authority" } else { "applicant" };
    work.go(Doing::end("enrol.cancelled", reason).about("by", by), judged)?;
    let unused = Unused::of(&work)?;
    let row = work.commit(move |w| unused.write(w))?;
    view::of(app, caller, row)
}

/// 11n: the registration authority refuses it; the user is told.
///
/// # Errors
/// [`FlowError::Enrol`] once it took effect or is over, and for who may not vet it.
pub fn reject(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    reason: &str,
    remark: Option<String>,
) -> Result<View, FlowError> {
    check_reason(reason)?;
    let mut work = Work::open(app, caller, id)?;
    work.vetter("enrol.rejected")?;
    let judged = work.progress().ended(State::Rejected, &work.now);
    work.row.reason = Some(reason.to_owned());
    work.go(Doing::end("enrol.rejected", reason).remark(remark), judged)?;
    let told = notice::of_failure(&work)?.go(&mut work)?;
    let unused = Unused::of(&work)?;
    let row = work.commit(move |w| {
        unused.write(w)?;
        told.write(w)
    })?;
    app.bell.ring();
    view::of(app, caller, row)
}

/// On whose word a binding is taken back; each is recorded differently (BIND-43).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The user did it.
    ByUser,
    /// A registration authority, as the user asked for it.
    AtRequest,
    /// A registration authority, or an operator, of its own accord.
    ByAuthority,
    /// The appliance, since the factor is gone.
    BySystem,
}

impl Why {
    /// As events name it.
    pub fn name(self) -> &'static str {
        match self {
            Why::ByUser => "self_revocation",
            Why::AtRequest => "request_complied_with",
            Why::ByAuthority => "authority",
            Why::BySystem => "system",
        }
    }

    /// On whose word a binding ends with something else that this caller does.
    pub(crate) fn of(caller: &Caller) -> Self {
        if applicant::is_user(caller) { Why::ByUser } else { Why::ByAuthority }
    }
}

/// What goes with a binding.
enum Gone {
    Nothing,
    Token(Box<TokenEnd>),
    App(Box<PhoneEnd>),
    Phone(Id, Event),
}

impl Gone {
    fn of(work: &Work<'_>) -> Result<Self, FlowError> {
        let (app, caller) = (work.app, work.caller);
        let Some(item) = work.progress().item else { return Ok(Gone::Nothing) };
        if let Some(row) = app.store.read(|c| token::by_id(c, &item))? {
            let own = row.user_id == Some(work.owner.id) && row.state.lifecycle != Lifecycle::Revoked;
            if !own {
                return Ok(Gone::Nothing);
            }
            return Ok(Gone::Token(Box::new(TokenEnd::of(app, caller, &work.owner, row)?)));
        }
        if let Some(row) = app.store.read(|c| push_device::by_id(c, &item))? {
            if row.user_id != work.owner.id || row.lifecycle == Lifecycle::Revoked {
                return Ok(Gone::Nothing);
            }
            return Ok(Gone::App(Box::new(PhoneEnd::of(app, caller, &work.owner, row)?)));
        }
        let bound = phones::of_user(app, &work.owner.id)?.filter(|bound| bound.id == item);
        Ok(match bound {
            Some(bound) => {
                let event = app.event("phone.removed", caller).about("user_ref", &work.owner.user_ref);
                Gone::Phone(bound.id, event)
            }
            None => Gone::Nothing,
        })
    }

    fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        match self {
            Gone::Nothing => Ok(()),
            Gone::Token(end) => end.write(writing),
            Gone::App(end) => end.write(writing),
            Gone::Phone(id, event) => {
                phone::remove(writing, id)?;
                event::append(writing, event).map(drop)
            }
        }
    }
}

/// 17: the binding is taken back, and its factor with it.
///
/// # Errors
/// [`FlowError::Enrol`] unless it is in effect; [`FlowError::Forbidden`]; [`FlowError::NotFound`] for another
/// application's.
pub fn revoke(app: &Appliance, caller: &Caller, id: &Id, reason: &str, why: Why) -> Result<View, FlowError> {
    check_reason(reason)?;
    let mut work = Work::open(app, caller, id)?;
    if !caller.rights.has(Right::RevokeTokens) {
        work.for_applicant("enrol.revoked")?;
    } else if !people::works_for(app, caller, Right::RevokeTokens, work.organisation()?) {
        let refusal = domain::enrol::Refusal::OutOfScope;
        return Err(work.refuse(Doing::end("enrol.revoked", reason), refusal)?);
    }
    revoked(&mut work, reason, why)?;
    let (gone, beside) = (Gone::of(&work)?, beside(&work, reason, why)?);
    // What was shown by a factor that is taken away counts no more. Who takes back the own one goes on.
    let shut = (!applicant::is_user(caller)).then_some(work.owner.id);
    let row = work.commit(move |w| {
        beside.write(w)?;
        gone.write(w)?;
        shut.map_or(Ok(()), |user| flow::remove_of_user(w, &user))
    })?;
    view::of(app, caller, row)
}

pub(super) fn revoked(work: &mut Work<'_>, reason: &str, why: Why) -> Result<(), FlowError> {
    let judged = work.progress().revoked(&work.now);
    work.row.reason = Some(reason.to_owned());
    work.go(Doing::end("enrol.revoked", reason).about("why", why.name()), judged)
}

/// A token is revoked: with its binding, where an enrolment has bound it.
///
/// # Errors
/// As [`revoke`], and as [`tokens::change`].
pub fn revoke_token(
    app: &Appliance,
    caller: &Caller,
    serial: &Serial,
    reason: &str,
    why: Why,
) -> Result<TokenRow, FlowError> {
    let row = tokens::find(app, serial)?;
    match app.store.read(|c| enrolment::of_item(c, &row.id))? {
        Some(bound) if row.state.lifecycle != Lifecycle::Revoked => {
            revoke(app, caller, &bound.order.id, reason, why)?;
            tokens::find(app, serial)
        }
        _ => {
            operators::need_everywhere(app, caller, Right::RevokeTokens)?;
            tokens::change(app, caller, serial, Change::Revoke)
        }
    }
}
