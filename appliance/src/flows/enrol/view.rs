//! Enrolments as people may see them (BIND-37, BIND-41).

use domain::enrol::{Method, State};
use domain::role::Right;
use domain::token::Id;

use super::applicant;
use super::identity::Identity;
use super::number;
use super::people::{not_theirs, organisation_now, own_organisations, sees, works_for};
use super::request::{self, Info};
use super::schedule;
use super::work::{check, find, remark_of};
use crate::appliance::Appliance;
use crate::flows::push::device;
use crate::flows::{Caller, FlowError, OPERATOR, operators};
use crate::store::appointment::AppointmentRow;
use crate::store::enrolment::{self, EnrolmentRow};
use crate::store::enrolment_list::{self, Filter, Place, Sequence};
use crate::store::user::UserRow;
use crate::store::vetting::{self, StepRow};
use crate::store::{push_device, token, user};

/// An enrolment.
pub struct View {
    /// The row, aged: an end that nobody has written yet is shown.
    pub row: EnrolmentRow,
    /// Name of the user; of one who is forgotten it says nothing.
    pub user: String,
    /// Serial of the token that was shown or handed over.
    pub token: Option<String>,
    /// Whether it is a number.
    pub phone: bool,
    /// Last digits of a number that is kept until it is bound, for who may see the request.
    pub number: Option<String>,
    /// The phone with the app that was registered or shown; its name only for who may see the applicant's.
    pub app: Option<device::View>,
    /// Name of who vets, and of who has confirmed it.
    pub vetters: [Option<String>; 2],
    /// When and where it is done.
    pub appointment: Option<AppointmentRow>,
    /// What the request said: the name for who vets, the rest for who may see how applicants are reached.
    pub info: Info,
}

/// A step with the words of who did it.
pub struct Step {
    /// The row.
    pub row: StepRow,
    /// The words; none for who may not see them, and once the user is forgotten.
    pub remark: Option<String>,
}

fn owner_of(app: &Appliance, row: &EnrolmentRow) -> Result<UserRow, FlowError> {
    app.store.read(|c| user::by_id(c, &row.order.user))?.ok_or(FlowError::NotFound("user"))
}

/// An enrolment with the names in it, as far as the caller may see them.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn of(app: &Appliance, caller: &Caller, row: EnrolmentRow) -> Result<View, FlowError> {
    let owner = owner_of(app, &row)?;
    let name = |id: Option<Id>| -> Result<Option<String>, FlowError> {
        let found = id.map(|id| app.store.read(|c| user::by_id(c, &id))).transpose()?.flatten();
        Ok(found.map(|person| person.name.to_string()))
    };
    let shown = match row.progress.item {
        None => None,
        Some(item) => app.store.read(|c| token::by_id(c, &item))?,
    };
    let app_shown = match row.progress.item.filter(|_| shown.is_none()) {
        None => None,
        Some(item) => app.store.read(|c| push_device::by_id(c, &item))?,
    };
    let mut app_shown = app_shown.map(|found| device::view(app, &owner, found)).transpose()?;
    let (mut info, mut number) = (Info::default(), None);
    let contacts = caller.rights.has(Right::ReadContacts);
    let own = caller.actor.kind != OPERATOR && caller.application == row.application;
    if contacts || caller.rights.has(Right::Vet) || own {
        info = request::info(app, &owner, &row)?;
        number = number::masked(app, &owner, &row.order.id)?;
    } else if let Some(shown) = &mut app_shown {
        shown.name.clear();
    }
    if !contacts {
        info.email = None;
        info.evidence = None;
    }
    Ok(View {
        user: owner.name.to_string(),
        phone: row.progress.item.is_some() && shown.is_none() && app_shown.is_none(),
        number,
        app: app_shown,
        token: shown.map(|shown| shown.serial.to_string()),
        vetters: [name(row.progress.vetter)?, name(row.progress.second)?],
        appointment: schedule::of(app, &row.order.id)?,
        info,
        row: EnrolmentRow { progress: row.progress.aged(&app.clock.now()), ..row },
    })
}

/// An enrolment that the caller may see.
///
/// # Errors
/// [`FlowError::NotFound`], also for who may not see it.
pub fn show(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    of(app, caller, seen(app, caller, id)?)
}

fn seen(app: &Appliance, caller: &Caller, id: &Id) -> Result<EnrolmentRow, FlowError> {
    if !caller.rights.has(Right::RequestEnrolment) {
        caller.need(app, Right::ReadEnrolments)?;
    }
    let row = find(app, id)?;
    if sees(app, caller, &row)? { Ok(row) } else { Err(not_theirs(app, caller, "enrol.shown", &row)?) }
}

/// Which enrolments to list.
#[derive(Default)]
pub struct Wanted {
    /// Only of this user.
    pub user: Option<Id>,
    /// Only in one of these states.
    pub states: Option<Vec<State>>,
    /// Only by one of these methods.
    pub methods: Option<Vec<Method>>,
    /// In which order, and after which one.
    pub sequence: Sequence,
    /// As many at the most.
    pub limit: usize,
}

/// Enrolments that the caller may see, and the sequence to go on with after them.
///
/// # Errors
/// [`FlowError::Forbidden`]; [`FlowError::Tampered`].
pub fn list(
    app: &Appliance,
    caller: &Caller,
    wanted: Wanted,
) -> Result<(Vec<View>, Option<Sequence>), FlowError> {
    if !caller.rights.has(Right::RequestEnrolment) {
        caller.need(app, Right::ReadEnrolments)?;
    }
    let Wanted { user, states, methods, sequence, limit } = wanted;
    let reads = caller.rights.has(Right::ReadEnrolments);
    let filter = Filter {
        user,
        states,
        methods,
        organisations: own_organisations(app, caller, Right::ReadEnrolments).filter(|_| reads),
        application: (!reads && !applicant::is_user(caller)).then_some(caller.application),
        sequence,
        limit,
    };
    let rows = app.store.read(|c| enrolment_list::list(c, &filter))?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|last| match sequence {
        Sequence::AsAsked(_) => Sequence::AsAsked(Some(last.order.id)),
        Sequence::OpenFirst(_) => Sequence::OpenFirst(Some(Place::of(last))),
    });
    let mut views = Vec::new();
    for row in rows {
        if sees(app, caller, &row)? {
            check(app, &row)?;
            views.push(of(app, caller, row)?);
        }
    }
    Ok((views, next))
}

/// What was done, step by step.
///
/// # Errors
/// As [`show`]; [`FlowError::Tampered`] for a step that was changed outside the appliance, or is missing.
pub fn activities(app: &Appliance, caller: &Caller, id: &Id) -> Result<Vec<Step>, FlowError> {
    let row = seen(app, caller, id)?;
    let owner = owner_of(app, &row)?;
    let steps = app.store.read(|c| vetting::steps(c, id))?;
    let numbered = steps.iter().zip(1_u32..).all(|(step, nth)| step.nth == nth);
    if !numbered || steps.is_empty() {
        let which = crate::flows::handle(id);
        return Err(FlowError::Tampered { what: "the steps of the enrolment", which });
    }
    let reads =
        caller.rights.has(Right::Vet) && works_for(app, caller, Right::Vet, organisation_now(app, &row)?);
    let shown = |step: StepRow| -> Result<Step, FlowError> {
        let remark = remark_of(app, &owner, &step)?.filter(|_| reads);
        Ok(Step { row: step, remark })
    };
    steps.into_iter().map(shown).collect()
}

/// What was vetted, for who may see how applicants are reached; none once it is erased. That it was read is an event.
///
/// # Errors
/// [`FlowError::Forbidden`], which is an event; [`FlowError::Tampered`].
pub fn vetted(app: &Appliance, caller: &Caller, id: &Id) -> Result<Identity, FlowError> {
    caller.need(app, Right::ReadContacts)?;
    let row = find(app, id)?;
    if !works_for(app, caller, Right::ReadContacts, organisation_now(app, &row)?) {
        return Err(not_theirs(app, caller, "enrol.identity_read", &row)?);
    }
    let owner = owner_of(app, &row)?;
    let identity = Identity::load(app, &owner, id)?.ok_or(FlowError::NotFound("record of an identity"))?;
    let read = app
        .event("enrol.identity_read", caller)
        .about("user_ref", &owner.user_ref)
        .about("enrolment", crate::flows::handle(id));
    app.refuse(read)?;
    Ok(identity)
}

/// How many enrolments there are, by method, state and level.
///
/// # Errors
/// [`FlowError::Forbidden`]; when the store cannot answer.
pub fn report(app: &Appliance, caller: &Caller) -> Result<Vec<enrolment::Count>, FlowError> {
    caller.need(app, Right::ReadEnrolments)?;
    operators::need_everywhere(app, caller, Right::ReadEnrolments)?;
    Ok(app.store.read(enrolment::counts)?)
}
