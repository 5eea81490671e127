//! Appointments (B.5.6, 6; BIND-11, D-55): registration authorities offer times, applicants take one.

use domain::enrol::Activity;
use domain::role::Right;
use domain::token::Id;

use super::people::{own_organisations, works_for};
use super::view::{self, View};
use super::work::{Doing, PLACE_MAX, Work, check_line};
use crate::appliance::Appliance;
use crate::config::enrolment::is_organisation;
use crate::flows::{Caller, FlowError, OPERATOR, handle};
use crate::store::appointment::{self, AppointmentRow, Filter};
use crate::store::{StoreError, Writing, event};

/// Longest appointment, in minutes.
const MINUTES_MAX: u32 = 8 * 60;
/// Appointments listed at the most.
const LIST_MAX: usize = 500;
const TABLE: &str = "the appointment";

/// A time to offer.
pub struct NewAppointment {
    /// Unix milliseconds.
    pub starts_at: i64,
    /// How long it takes.
    pub minutes: u32,
    /// Where, or the address of a video call.
    pub place: String,
    /// For whose applicants; empty for all.
    pub organisation: String,
}

fn checked(app: &Appliance, row: AppointmentRow) -> Result<AppointmentRow, FlowError> {
    app.check_row(TABLE, &handle(&row.id), row.bytes(), &row.mac)?;
    Ok(row)
}

fn sealed(app: &Appliance, row: AppointmentRow) -> Result<AppointmentRow, FlowError> {
    Ok(AppointmentRow { mac: app.row_mac(row.bytes())?, ..row })
}

/// Offers a time.
///
/// # Errors
/// [`FlowError::Invalid`]; [`FlowError::Forbidden`] for another organisation than the own.
pub fn offer(app: &Appliance, caller: &Caller, new: NewAppointment) -> Result<AppointmentRow, FlowError> {
    check_line("place", &new.place, PLACE_MAX)?;
    if !(1..=MINUTES_MAX).contains(&new.minutes) {
        return Err(FlowError::Invalid(format!("minutes: must be 1 to {MINUTES_MAX}")));
    }
    if !new.organisation.is_empty() && !is_organisation(&new.organisation) {
        return Err(FlowError::Invalid("organisation: must be a name of 1 to 64 characters".to_owned()));
    }
    if new.starts_at <= app.clock.now().wall_ms {
        return Err(FlowError::Invalid("starts_at: must lie ahead".to_owned()));
    }
    if !works_for(app, caller, Right::Vet, &new.organisation) {
        let text = "you offer times for your own organisations only";
        return Err(caller.forbidden(app, Right::Vet.name(), text)?);
    }
    let row = AppointmentRow {
        id: app.new_id()?,
        starts_at: new.starts_at,
        minutes: new.minutes,
        place: new.place,
        organisation: new.organisation,
        published_by: caller.actor.id.clone(),
        enrolment: None,
        mac: [0; 32],
    };
    let row = sealed(app, row)?;
    let event = app.event("enrol.appointment_offered", caller).about("appointment", handle(&row.id));
    let stored = row.clone();
    app.store.write(move |w| {
        appointment::insert(w, &stored)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(row)
}

/// Times that lie ahead: all of their organisations' for registration authorities, the free ones for others; `applicants`
/// keeps to those that applicants of this organisation can take.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub fn list(
    app: &Appliance,
    caller: &Caller,
    applicants: Option<&str>,
) -> Result<Vec<AppointmentRow>, FlowError> {
    let vets = caller.rights.has(Right::Vet);
    if !vets {
        caller.need(app, Right::RequestEnrolment)?;
    }
    let fitting = applicants.map(|own| vec![String::new(), own.to_owned()]);
    let organisations = fitting.or_else(|| own_organisations(app, caller, Right::Vet));
    let filter = Filter { from: app.clock.now().wall_ms, free: !vets, organisations, limit: LIST_MAX };
    let rows = app.store.read(|c| appointment::list(c, &filter))?;
    let own = rows.into_iter().filter(|row| works_for(app, caller, Right::Vet, &row.organisation));
    own.map(|row| checked(app, row)).collect()
}

/// The appointment of an enrolment.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn of(app: &Appliance, enrolment: &Id) -> Result<Option<AppointmentRow>, FlowError> {
    app.store.read(|c| appointment::of_enrolment(c, enrolment))?.map(|row| checked(app, row)).transpose()
}

/// An appointment that is free again with the act's own commit.
pub(super) struct Freed(Option<(AppointmentRow, AppointmentRow)>);

impl Freed {
    /// Of an enrolment that ends, or takes another one.
    ///
    /// # Errors
    /// As [`of`].
    pub(super) fn of(app: &Appliance, enrolment: &Id) -> Result<Self, FlowError> {
        let Some(row) = of(app, enrolment)? else { return Ok(Freed(None)) };
        let next = sealed(app, AppointmentRow { enrolment: None, ..row.clone() })?;
        Ok(Freed(Some((row, next))))
    }

    /// Frees it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is another by now; SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.0.as_ref().map_or(Ok(()), |(row, next)| appointment::put(writing, row, next))
    }
}

/// 6: the applicant takes a time; a former one is free again.
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Conflict`] for one that is taken, over, or another organisation's;
/// [`FlowError::Enrol`] where the method has none, or it is not the time.
pub fn book(app: &Appliance, caller: &Caller, id: &Id, slot: &Id) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.for_applicant("enrol.scheduled")?;
    let found = app.store.read(|c| appointment::by_id(c, slot))?.ok_or(FlowError::NotFound("appointment"))?;
    let found = checked(app, found)?;
    let fits = found.organisation.is_empty() || found.organisation == work.organisation()?;
    if found.enrolment.is_some() || found.starts_at <= work.now.wall_ms || !fits {
        let text = "this time is taken, over, or for another organisation: take another one";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    let judged = work.progress().scheduled(&work.rules());
    let doing = Doing::new("enrol.scheduled", Activity::Scheduling)
        .place(Some(found.place.clone()))
        .about("appointment", handle(slot))
        .input(&found.bytes());
    work.go(doing, judged)?;
    let freed = Freed::of(app, id)?;
    let next = sealed(app, AppointmentRow { enrolment: Some(*id), ..found.clone() })?;
    let row = work.commit(move |w| {
        freed.write(w)?;
        appointment::put(w, &found, &next)
    })?;
    view::of(app, caller, row)
}

/// The applicant, or the registration authority, gives the time back.
///
/// # Errors
/// [`FlowError::NotFound`] without one; [`FlowError::Enrol`] once the vetting has begun.
pub fn give_back(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.for_applicant("enrol.appointment_given_back")?;
    if of(app, id)?.is_none() {
        return Err(FlowError::NotFound("appointment"));
    }
    let freed = Freed::of(app, id)?;
    let judged = work.progress().unscheduled(&work.now);
    let by = if caller.actor.kind == OPERATOR { "registration_authority" } else { "applicant" };
    work.go(Doing::new("enrol.appointment_given_back", Activity::Scheduling).about("by", by), judged)?;
    let row = work.commit(move |w| freed.write(w))?;
    view::of(app, caller, row)
}
