//! Registered phones as people see and change them: set aside, taken back, ended (B.5.5).

use domain::event::Event;
use domain::names::{Serial, UserName};
use domain::token::Lifecycle;

use super::super::tokens::Change;
use super::super::{Caller, FlowError, enrol, users};
use super::{CodesEnd, Reached, check_device, sealed_device};
use crate::appliance::Appliance;
use crate::store::push_device::{self, DeviceRow};
use crate::store::user::UserRow;
use crate::store::{event, flow, user};

/// A phone as people may see it.
pub struct View {
    /// The row.
    pub row: DeviceRow,
    /// What the phone calls itself; empty once it is revoked.
    pub name: String,
    /// `android` or `ios`; empty once it is revoked.
    pub system: String,
}

/// What the serial of a phone begins with.
const SERIAL_PREFIX: &str = "CSP";

/// Whether a serial is a phone's.
pub fn is_serial(serial: &Serial) -> bool {
    serial.as_str().starts_with(SERIAL_PREFIX)
}

/// A phone as people may see it.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM cannot answer.
pub(in crate::flows) fn view(app: &Appliance, owner: &UserRow, row: DeviceRow) -> Result<View, FlowError> {
    check_device(app, &row)?;
    if row.device.is_none() {
        return Ok(View { row, name: String::new(), system: String::new() });
    }
    let Reached { name, system, .. } = Reached::open(app, owner, &row)?;
    Ok(View { row, name, system })
}

/// A user's phones that are not revoked.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; when the HSM or the store cannot answer.
pub fn of_user(app: &Appliance, name: &UserName) -> Result<Vec<View>, FlowError> {
    let owner = users::find(app, name)?;
    let rows = app.store.read(|c| push_device::living_of(c, &owner.id))?;
    rows.into_iter().map(|row| view(app, &owner, row)).collect()
}

/// Phones by serial, also revoked ones.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub fn list(app: &Appliance, after: &str, limit: usize) -> Result<Vec<DeviceRow>, FlowError> {
    let rows = app.store.read(|c| push_device::list(c, after, limit))?;
    rows.iter().try_for_each(|row| check_device(app, row))?;
    Ok(rows)
}

fn load(app: &Appliance, serial: &Serial) -> Result<(DeviceRow, UserRow), FlowError> {
    let found = app.store.read(|c| {
        let Some(row) = push_device::by_serial(c, serial)? else { return Ok(None) };
        Ok(user::by_id(c, &row.user_id)?.map(|owner| (row, owner)))
    })?;
    let (row, owner) = found.ok_or(FlowError::NotFound("phone"))?;
    check_device(app, &row)?;
    Ok((row, owner))
}

/// Finds a phone.
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Tampered`].
pub fn find(app: &Appliance, serial: &Serial) -> Result<View, FlowError> {
    let (row, owner) = load(app, serial)?;
    view(app, &owner, row)
}

/// Changes a phone's state. A revoked one keeps neither its secret nor how it was reached.
///
/// # Errors
/// [`FlowError::Conflict`] when its state does not allow it; [`FlowError::Tampered`].
pub fn change(app: &Appliance, caller: &Caller, serial: &Serial, change: Change) -> Result<View, FlowError> {
    let (found, _) = load(app, serial)?;
    let _order = app.lock_user(&found.user_id)?;
    let (row, owner) = load(app, serial)?;
    let (step, kind) = match change {
        Change::Suspend => (row.lifecycle.suspend(), "token.suspended"),
        Change::Resume => (row.lifecycle.resume(), "token.resumed"),
        Change::Revoke => (row.lifecycle.revoke(), "token.revoked"),
        Change::Unlock => {
            return Err(FlowError::Conflict("a phone has no lock: its user has one".to_owned()));
        }
    };
    let lifecycle = step.map_err(|error| FlowError::Conflict(error.to_string()))?;
    let ends = lifecycle == Lifecycle::Revoked;
    let bound = match ends {
        true => enrol::replaced(app, caller, &[row.id], enrol::Why::of(caller))?,
        false => enrol::Replaced::default(),
    };
    // What an enrolment has registered is one thing: its codes are bound, or held, with the phone.
    let whole = ends && (row.lifecycle == Lifecycle::Pending || !bound.is_empty());
    let half = if whole { enrol::half_of(app, caller, &owner, &row)? } else { None };
    // What was shown by a factor that is taken away counts no more.
    let taken = row.lifecycle == Lifecycle::Active && lifecycle != Lifecycle::Active;
    let shut = taken.then_some(owner.id);
    let (row, next, event) = changing(app, caller, &owner, row, lifecycle, kind)?;
    let codes = if ends { CodesEnd::of(app, caller, &owner)? } else { CodesEnd::none() };
    let written = next.clone();
    let saved = app.store.write(move |w| {
        let saved = push_device::put(w, &row, &written)?;
        if saved {
            bound.write(w)?;
            shut.map_or(Ok(()), |user| flow::remove_of_user(w, &user))?;
            event::append(w, &event)?;
            half.iter().try_for_each(|half| half.write(w))?;
            codes.write(w)?;
        }
        Ok(saved)
    })?;
    if !saved {
        return Err(FlowError::Conflict("the phone was changed by another request; try again".to_owned()));
    }
    view(app, &owner, next)
}

/// A phone, what it becomes, and the event.
pub(in crate::flows) type Changing = (DeviceRow, DeviceRow, Event);

fn changing(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    row: DeviceRow,
    lifecycle: Lifecycle,
    kind: &'static str,
) -> Result<Changing, FlowError> {
    check_device(app, &row)?;
    let ends = lifecycle == Lifecycle::Revoked;
    let next = sealed_device(
        app,
        DeviceRow {
            lifecycle,
            record: row.record.clone().filter(|_| !ends),
            device: row.device.clone().filter(|_| !ends),
            updated_at: app.clock.now().wall_ms,
            ..row.clone()
        },
    )?;
    let event =
        app.event(kind, caller).about("user_ref", &owner.user_ref).about("phone", row.serial.as_str());
    Ok((row, next, event))
}

/// The end of a phone, to be written with what takes its place.
pub(in crate::flows) fn revoking(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    row: DeviceRow,
) -> Result<Changing, FlowError> {
    changing(app, caller, owner, row, Lifecycle::Revoked, "token.revoked")
}
