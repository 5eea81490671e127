//! What nobody answered in time comes to its end: registrations with all that was prepared for them, and pushes.

use domain::challenge::Wanted;
use domain::event::{Actor, Event};
use domain::token::Id;

use super::super::FlowError;
use super::super::challenge::next_mac;
use super::PHONES;
use super::register::{about, ended};
use crate::appliance::Appliance;
use crate::store::challenge::{self, ChallengeRow};
use crate::store::registration::{self, RegistrationRow};
use crate::store::{event, push_message, user};

/// Rows looked at in one round.
const SWEEP_MAX: usize = 256;
/// How long a registration that has ended can be looked at, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// Ends what is over.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub fn all(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now();
    for row in app.store.read(|c| registration::overdue(c, &now, SWEEP_MAX))? {
        noted(app, registration(app, &row))?;
    }
    for row in app.store.read(|c| challenge::overdue_pushes(c, &now, SWEEP_MAX))? {
        if row.progress.aged(&now) != row.progress {
            noted(app, push(app, &row))?;
        }
    }
    Ok(())
}

/// Removes what need not be kept.
///
/// # Errors
/// When the store cannot answer.
pub fn sweep(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now();
    Ok(app.store.write(move |w| {
        push_message::sweep(w, &now)?;
        registration::sweep(w, now.wall_ms - KEPT_MS)
    })?)
}

/// A changed row is an event, and stands in nobody's way.
fn noted(app: &Appliance, done: Result<(), FlowError>) -> Result<(), FlowError> {
    match done {
        Err(error @ FlowError::Tampered { .. }) => {
            Ok(app.note_tampering_daily(&error, &Actor::system(PHONES))?)
        }
        done => done,
    }
}

fn user_ref(app: &Appliance, id: &Id) -> Result<Option<crate::store::user::UserRow>, FlowError> {
    Ok(app.store.read(|c| user::by_id(c, id))?)
}

/// Ends a registration whose time is over: its secrets are destroyed (COMB-17, COMB-31). Whoever comes second changes
/// nothing.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(super) fn registration(app: &Appliance, row: &RegistrationRow) -> Result<(), FlowError> {
    let now = app.clock.now();
    let next = ended(app, row, row.registration.aged(&now), Some("timeout"))?;
    let Some(owner) = user_ref(app, &row.user_id)? else { return Ok(()) };
    let event = Event::refused(now.wall_ms, "mfa.registration_timed_out", Actor::system(PHONES), "timeout");
    let event = about(event, &owner, row);
    let loaded = row.clone();
    app.store.write(move |w| {
        if registration::put(w, &loaded, &next)? {
            event::append(w, &event)?;
        }
        Ok(())
    })?;
    app.news.notify_waiters();
    Ok(())
}

/// Ends a push that nobody answered (COMB-45).
fn push(app: &Appliance, row: &ChallengeRow) -> Result<(), FlowError> {
    let _order = app.lock_user(&row.user_id)?;
    let now = app.clock.now();
    let next = row.progress.aged(&now);
    let mac = next_mac(app, row, &next)?;
    let mut event = super::ask::ended(now.wall_ms, "push.expired", "expired", row);
    if let Some(owner) = user_ref(app, &row.user_id)? {
        event = event.about("user_ref", &owner.user_ref);
    }
    if let Wanted::Push { device, .. } = row.wanted
        && let Some(phone) = app.store.read(|c| crate::store::push_device::by_id(c, &device))?
    {
        event = event.about("phone", phone.serial.as_str());
    }
    let loaded = row.clone();
    app.store.write(move |w| {
        if challenge::put_progress(w, &loaded, &next, &mac, now.wall_ms)? {
            event::append(w, &event)?;
        }
        Ok(())
    })?;
    app.news.notify_waiters();
    Ok(())
}
