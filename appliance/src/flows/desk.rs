//! Who sits at a registration desk in a browser (BIND-35 to BIND-37, D-54): an operator who vets, after a login with a
//! second factor. What is done there is [`super::enrol`]'s; this knows no page.

use domain::enrol::Level;
use domain::event::{Actor, Event};
use domain::names::{ApplicationName, UserName};
use domain::role::{Rights, Role};
use domain::token::Id;

use super::applications::{self, CONSOLE};
use super::{Caller, FlowError, OPERATOR, handle, journey, operators, users};
use crate::appliance::Appliance;
use crate::store::event;

/// What counts as a second factor at a login (B.4.2 `amr`).
const SECOND: [&str; 3] = ["otp", "push", "sms"];
/// Who is a registration authority. Other roles of the same person are of no use at the desk.
const ROLES: [Role; 3] = [Role::Ra, Role::Raa, Role::Sraa];

/// A registration authority at the desk.
pub struct Clerk {
    /// As the caller of acts.
    pub caller: Caller,
    /// The person's name.
    pub name: UserName,
    /// The user who it is.
    pub person: Id,
    /// The level of what was shown at the login: nobody vets above it.
    pub level: Level,
}

/// What came of a login at the desk.
pub enum Entry {
    /// Who sits there now.
    In(Box<Clerk>),
    /// Nobody: it is an event.
    Refused,
}

fn pages(app: &Appliance) -> Result<Caller, FlowError> {
    let name = ApplicationName::parse(journey::PAGES).expect("the pages' name is a name");
    let row = applications::named(app, &name)?;
    let actor = Actor { kind: "application", id: row.name.to_string(), role: String::new() };
    Ok(Caller::without_rights(row.id, row.name, actor))
}

/// Somebody who has logged in for the desk, with the one-time code of the result.
///
/// # Errors
/// [`FlowError::NotFound`] for a code that is unknown, used or over; when the HSM or the store cannot answer.
pub fn enter(app: &Appliance, code: &str) -> Result<Entry, FlowError> {
    let outcome = journey::claim(app, &pages(app)?, code)?.outcome;
    let owner = users::find(app, &outcome.user)?;
    let now = app.clock.now().wall_ms;
    let by_two = outcome.amr.len() > 1 && outcome.amr.iter().any(|one| SECOND.contains(&one.as_str()));
    let (clerk, reason) = match clerk(app, &outcome.user, Level::at_most(outcome.loa))? {
        None => (None, "no_registration_authority"),
        Some(_) if !by_two => (None, "no_second_factor"),
        some => (some, ""),
    };
    let Some(clerk) = clerk else {
        let user = Actor { kind: "user", id: owner.user_ref.clone(), role: String::new() };
        let refused = Event::refused(now, "desk.entered", user, reason);
        app.refuse(refused.about("user_ref", owner.user_ref))?;
        return Ok(Entry::Refused);
    };
    let entered = app.event("desk.entered", &clerk.caller).about("user_ref", owner.user_ref);
    let entered = entered.about("amr", outcome.amr.join("+")).about("loa", clerk.level.name());
    app.store.write(move |w| event::append(w, &entered).map(drop))?;
    Ok(Entry::In(Box::new(clerk)))
}

/// The registration authority of this name, as long as the person is one; none from then on.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub fn clerk(app: &Appliance, name: &UserName, level: Level) -> Result<Option<Clerk>, FlowError> {
    let Some(row) = operators::active(app, name)? else { return Ok(None) };
    let owner = users::find(app, name)?;
    users::check_account(app, &owner)?;
    let roles: Vec<Role> = row.roles.iter().copied().filter(|role| ROLES.contains(role)).collect();
    if roles.is_empty() || owner.state != users::ACTIVE {
        return Ok(None);
    }
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let actor = Actor { kind: OPERATOR, id: row.name.to_string(), role: names.join("+") };
    let rights = roles.iter().fold(Rights::default(), |rights, role| rights.with(role.rights()));
    let console = ApplicationName::parse(CONSOLE).expect("the console's name is a name");
    let console = applications::named(app, &console)?;
    let caller = Caller::without_rights(console.id, console.name, actor);
    let caller = Caller { rights, roles, scopes: row.scopes, ..caller };
    Ok(Some(Clerk { caller, name: row.name, person: row.user_id, level }))
}

/// The event of something that the desk refuses by itself, such as a step out of its turn.
///
/// # Errors
/// When the store cannot answer.
pub fn refused(
    app: &Appliance,
    clerk: &Clerk,
    reason: &str,
    step: &str,
    enrolment: Option<&Id>,
) -> Result<(), FlowError> {
    let now = app.clock.now().wall_ms;
    let mut refused = Event::refused(now, "desk.refused", clerk.caller.actor.clone(), reason);
    if !step.is_empty() {
        refused = refused.about("step", step);
    }
    if let Some(id) = enrolment {
        refused = refused.about("enrolment", handle(id));
    }
    app.refuse(refused)
}

/// The event of a login that this browser has not begun.
///
/// # Errors
/// When the store cannot answer.
pub fn turned_away(app: &Appliance, reason: &str) -> Result<(), FlowError> {
    let actor = pages(app)?.actor;
    app.refuse(Event::refused(app.clock.now().wall_ms, "desk.entered", actor, reason))
}

/// The registration authority leaves the desk.
///
/// # Errors
/// When the store cannot answer.
pub fn leave(app: &Appliance, clerk: &Clerk) -> Result<(), FlowError> {
    let left = app.event("desk.left", &clerk.caller);
    Ok(app.store.write(move |w| event::append(w, &left).map(drop))?)
}
