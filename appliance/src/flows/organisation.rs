//! The organisation that somebody belongs to: what an authority has said, and never what an applicant types (BIND-12,
//! BIND-37).

use domain::event::Event;
use domain::names::UserName;
use domain::role::Right;
use domain::scope::{ORGANISATION_MAX, is_organisation};
use domain::token::Id;

use super::{Caller, FlowError, operators, users};
use crate::appliance::Appliance;
use crate::store::membership::{self, MembershipRow};
use crate::store::{event, user};

const TABLE: &str = "the organisation";

/// The organisation of a user; none where nobody has said.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub fn of(app: &Appliance, owner: &Id) -> Result<Option<String>, FlowError> {
    Ok(membership(app, owner)?.map(|row| row.organisation))
}

/// The organisation of a user, and who has said so.
///
/// # Errors
/// As [`of`].
pub(super) fn membership(app: &Appliance, owner: &Id) -> Result<Option<MembershipRow>, FlowError> {
    let Some(row) = app.store.read(|c| membership::of_user(c, owner))? else { return Ok(None) };
    let named = app.store.read(|c| user::by_id(c, owner))?;
    let which = named.map_or_else(String::new, |named| named.name.to_string());
    app.check_row(TABLE, &which, row.bytes(), &row.mac)?;
    Ok(Some(row))
}

/// The organisation of a user by name.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user, and as [`of`].
pub fn show(app: &Appliance, name: &UserName) -> Result<Option<String>, FlowError> {
    of(app, &users::find(app, name)?.id)
}

/// Says which organisation a user belongs to; none for no one's.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; [`FlowError::Invalid`] for what is no name; [`FlowError::Tampered`].
pub fn say(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    organisation: Option<String>,
) -> Result<Option<String>, FlowError> {
    if organisation.as_deref().is_some_and(|name| !is_organisation(name)) {
        let text = format!("organisation: must be a name of 1 to {ORGANISATION_MAX} characters");
        return Err(FlowError::Invalid(text));
    }
    let found = users::find(app, name)?;
    let _order = app.lock_user(&found.id)?;
    let owner = users::find(app, name)?;
    users::check_account(app, &owner)?;
    let own = operators::reach(app, caller, Right::WriteUsers);
    let before = of(app, &owner.id)?;
    if !before.iter().chain(&organisation).all(|named| own.includes(named)) {
        let text = "you say of your own organisations alone who belongs to them";
        return Err(caller.forbidden(app, Right::WriteUsers.name(), text)?);
    }
    let now = app.clock.now().wall_ms;
    let kind = if organisation.is_some() { "user.organisation_set" } else { "user.organisation_removed" };
    let mut said: Event = app.event(kind, caller).about("user_ref", &owner.user_ref);
    let Some(organisation) = organisation else {
        app.store.write(move |w| {
            membership::remove(w, &owner.id)?;
            event::append(w, &said).map(drop)
        })?;
        return Ok(None);
    };
    said = said.about("organisation", organisation.as_str());
    let mut row = MembershipRow {
        user: owner.id,
        organisation: organisation.clone(),
        said_by: caller.actor.id.clone(),
        said_at: now,
        mac: [0; 32],
    };
    row.mac = app.row_mac(row.bytes())?;
    app.store.write(move |w| {
        membership::put(w, &row)?;
        event::append(w, &said).map(drop)
    })?;
    Ok(Some(organisation))
}
