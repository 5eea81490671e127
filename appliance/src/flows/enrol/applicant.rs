//! Applicants who act for themselves, in the browser in which they have logged in (BIND-06, D-46).

use domain::enrol::Level;
use domain::event::Actor;
use domain::names::{ApplicationName, UserName};
use domain::role::{Right, Rights};

use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, applications, journey, users};
use crate::store::enrolment::EnrolmentRow;
use crate::store::user;

/// Kind of an actor who is a user.
const USER: &str = "user";

/// A user as the caller of the own enrolments' acts. The login in the browser is the first factor; `shown` is the level of
/// what was shown there besides.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user, or for one whose account is not active; [`FlowError::Tampered`].
pub fn applicant(app: &Appliance, name: &UserName, shown: Option<Level>) -> Result<Caller, FlowError> {
    let owner = users::find(app, name)?;
    users::check_account(app, &owner)?;
    if owner.state != users::ACTIVE {
        return Err(FlowError::NotFound("user"));
    }
    let pages = ApplicationName::parse(journey::PAGES).expect("the pages' name is a name");
    let pages = applications::named(app, &pages)?;
    let actor = Actor { kind: USER, id: owner.user_ref, role: String::new() };
    let rights = Rights::of(&[Right::RequestEnrolment]);
    Ok(Caller { rights, shown, ..Caller::without_rights(pages.id, pages.name, actor) })
}

/// Whether a caller is a user, and so acts for nobody else.
pub(super) fn is_user(caller: &Caller) -> bool {
    caller.actor.kind == USER
}

/// Whether an enrolment is the calling user's own, whoever has asked for it.
pub(super) fn owns(app: &Appliance, caller: &Caller, row: &EnrolmentRow) -> Result<bool, FlowError> {
    let owner = app.store.read(|c| user::by_id(c, &row.order.user))?;
    Ok(is_user(caller) && owner.is_some_and(|owner| owner.user_ref == caller.actor.id))
}
