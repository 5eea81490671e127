//! What an operator does to a number that is bound (B.5.1): suspend, resume, remove.

use domain::event::Event;
use domain::names::UserName;
use domain::phone::Msisdn;
use domain::time::Now;

use super::users::{self, UserView};
use super::{Caller, FlowError, challenge, enrol, handle, messages};
use crate::appliance::Appliance;
use crate::store::outbox::MessageRow;
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, event, flow, phone};
use domain::token::Id;

/// State of a number that gets codes.
pub(super) const VERIFIED: &str = "verified";
/// State of a number that is set aside.
pub(super) const SUSPENDED: &str = "suspended";

/// A binding under a MAC of its own.
///
/// # Errors
/// When the HSM cannot answer.
pub(super) fn sealed(app: &Appliance, row: PhoneRow) -> Result<PhoneRow, FlowError> {
    Ok(PhoneRow { mac: Some(app.row_mac(row.bytes())?), ..row })
}

/// Checks that nobody changed a binding outside the appliance.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn check(app: &Appliance, row: &PhoneRow) -> Result<(), FlowError> {
    app.check_sealed("the number", &handle(&row.id), row.bytes(), row.mac.as_ref())
}

/// A user's binding, checked.
///
/// # Errors
/// As [`check`].
pub(super) fn of_user(app: &Appliance, user: &Id) -> Result<Option<PhoneRow>, FlowError> {
    let found = app.store.read(|c| phone::of_user(c, user))?;
    found.as_ref().map_or(Ok(()), |row| check(app, row))?;
    Ok(found)
}

/// What the former and the new number are told of a change (MOB-37).
///
/// # Errors
/// When the HSM cannot answer.
pub(super) fn notices(
    app: &Appliance,
    owner: &UserRow,
    former: &PhoneRow,
    next: &PhoneRow,
    now: &Now,
) -> Result<Vec<MessageRow>, FlowError> {
    let (settings, texts) = (app.config.people.notices, &app.config.texts);
    let old = users::open_number(app, owner, &former.number)?;
    let new = users::open_number(app, owner, &next.number)?;
    let told = |number: &Msisdn, text: &str| messages::row(app, number, text, messages::EXPIRY_MAX_MS, now);
    let mut notices = Vec::new();
    if settings.old {
        let text = texts.text(&owner.lang, "notice-old-number", &[("new", &new.masked_in_sms())]);
        notices.push(told(&old, &text)?);
    }
    if settings.new {
        let text = texts.text(&owner.lang, "notice-new-number", &[("old", &old.masked_in_sms())]);
        notices.push(told(&new, &text)?);
    }
    Ok(notices)
}

/// What happens to the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets no codes until it is resumed.
    Suspend,
    /// It gets codes again.
    Resume,
    /// It is forgotten; the user may register another one.
    Remove,
}

/// Changes a user's binding. Codes on their way to it are dead.
///
/// # Errors
/// [`FlowError::NoUserOrPhone`] without a user or a number; [`FlowError::Conflict`] when its state does not allow it,
/// which is an event.
pub fn change(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    change: Change,
) -> Result<UserView, FlowError> {
    let row = users::find(app, name)?;
    let _order = app.lock_user(&row.id)?;
    let bound = of_user(app, &row.id)?.ok_or(FlowError::NoUserOrPhone)?;
    let (kind, next) = match change {
        Change::Suspend => ("phone.suspended", Some(SUSPENDED)),
        Change::Resume => ("phone.resumed", Some(VERIFIED)),
        Change::Remove => ("phone.removed", None),
    };
    if next == Some(bound.state.as_str()) {
        let event = Event::refused(app.clock.now().wall_ms, kind, caller.actor.clone(), "state");
        app.refuse(event.about("user_ref", &row.user_ref))?;
        return Err(FlowError::Conflict(format!("the number is {} already", bound.state)));
    }
    let superseding = challenge::superseding(app, &row.id, None)?;
    let at = app.clock.now().wall_ms;
    let event = app.event(kind, caller).about("user_ref", &row.user_ref);
    let next = next.map(|state| sealed(app, PhoneRow { state: state.to_owned(), ..bound.clone() }));
    let next = next.transpose()?;
    let ended = match next {
        None => enrol::replaced(app, caller, &[bound.id], enrol::Why::ByAuthority)?,
        Some(_) => enrol::Replaced::default(),
    };
    let shut = (change != Change::Resume).then_some(row.id);
    app.store.write(move |w| {
        challenge::supersede(w, &superseding, at)?;
        // What was shown by a factor that is taken away counts no more.
        shut.map_or(Ok(()), |user| flow::remove_of_user(w, &user))?;
        match &next {
            Some(next) if !phone::put_state(w, &bound, next)? => {
                return Err(StoreError::Changed("the number"));
            }
            Some(_) => {}
            None => phone::remove(w, &bound.id)?,
        }
        ended.write(w)?;
        event::append(w, &event).map(drop)
    })?;
    users::view(app, row)
}
