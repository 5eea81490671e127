//! What time does to enrolments: ends, reminders, and the records of identities that nobody needs any more (BIND-34,
//! BIND-42, D-48).

use domain::enrol::State;
use domain::event::Actor;
use domain::token::Id;

use super::bind;
use super::end::{Unused, Why};
use super::notice;
use super::replaced::ended;
use super::work::{Doing, Work};
use crate::appliance::Appliance;
use crate::flows::letters::scheduler;
use crate::flows::{FlowError, handle};
use crate::store::enrolment::{self, EnrolmentRow};
use crate::store::{event, user, vetting};

/// Enrolments that are looked at in one go.
const SWEEP_MAX: usize = 200;
/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3_600_000;
/// How long whoever activates is given to tell the user, in milliseconds.
const UNTOLD_MS: i64 = 60_000;
/// How long whoever has brought the last that was missing is given to go on with it, in milliseconds.
const STRANDED_MS: i64 = 5_000;

/// Does what is due.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub fn all(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now().steady_ms;
    let idle = now.saturating_sub(domain::enrol::IDLE_MS);
    for row in app.store.read(|c| enrolment::resting(c, idle, now, SWEEP_MAX))? {
        tell(app, &row, expire(app, &row.order.id))?;
    }
    let remind_after = i64::try_from(app.config.enrol.remind_after_ms).unwrap_or(i64::MAX);
    for row in app.store.read(|c| enrolment::to_remind(c, now.saturating_sub(remind_after), SWEEP_MAX))? {
        tell(app, &row, remind(app, &row.order.id))?;
    }
    for row in app.store.read(|c| enrolment::untold(c, now.saturating_sub(UNTOLD_MS), SWEEP_MAX))? {
        tell(app, &row, bind::tell(app, &scheduler(), &row.order.id).map(drop))?;
    }
    for row in app.store.read(|c| enrolment::orphaned(c, SWEEP_MAX))? {
        tell(app, &row, gone(app, &row))?;
    }
    finish(app, now)?;
    erase(app, now)
}

/// Goes on with what a crash has left complete, and not in effect: who waits for an operator's policy is looked at too,
/// and so all of them are, a few at a time.
fn finish(app: &Appliance, now: i64) -> Result<(), FlowError> {
    let before = now.saturating_sub(STRANDED_MS);
    let mut after = Vec::new();
    loop {
        let rows = app.store.read(|c| enrolment::to_go_on(c, before, &after, SWEEP_MAX))?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.order.id.to_vec();
        for row in rows {
            let done = match bind::go_on(app, &scheduler(), row.clone()) {
                Err(FlowError::Enrol(_) | FlowError::Conflict(_) | FlowError::NotFound(_)) => {
                    give_up(app, &row.order.id)
                }
                done => done.map(drop),
            };
            tell(app, &row, done)?;
        }
    }
}

/// Ends what cannot take effect any more (BIND-39); the user is told.
fn give_up(app: &Appliance, id: &Id) -> Result<(), FlowError> {
    let caller = scheduler();
    let work = Work::open_as_it_is(app, &caller, id)?;
    if !work.progress().state.is_open() {
        return Ok(());
    }
    bind::without_effect(work, "activation_failed")
}

/// One enrolment that cannot be kept up does not keep the others from it.
fn tell(app: &Appliance, row: &EnrolmentRow, done: Result<(), FlowError>) -> Result<(), FlowError> {
    match done {
        Err(error @ FlowError::Tampered { .. }) => {
            Ok(app.note_tampering_daily(&error, &Actor::system("scheduler"))?)
        }
        Err(error) if !error.is_unavailable() => {
            tracing::error!(enrolment = handle(&row.order.id), %error, "an enrolment cannot be kept up");
            Ok(())
        }
        done => done,
    }
}

fn expire(app: &Appliance, id: &Id) -> Result<(), FlowError> {
    let caller = scheduler();
    let mut work = Work::open_as_it_is(app, &caller, id)?;
    if !work.is_over() {
        return Ok(());
    }
    work.expire()?;
    let unused = Unused::of(&work)?;
    work.commit(move |w| unused.write(w)).map(drop)
}

fn remind(app: &Appliance, id: &Id) -> Result<(), FlowError> {
    let caller = scheduler();
    let mut work = Work::open_as_it_is(app, &caller, id)?;
    let waits = matches!(work.progress().state, State::CodeIssued | State::Scheduled);
    if !waits || work.is_over() || work.row.reminded_at.is_some() {
        return Ok(());
    }
    let told = notice::of_code(&work)?;
    work.row.reminded_at = Some(work.now.steady_ms);
    let judged = Ok(work.progress());
    work.go(Doing::end("enrol.reminded", "ok").about("channel", told.channel()), judged)?;
    work.commit(move |w| told.write(w))?;
    app.bell.ring();
    Ok(())
}

/// A token that was revoked on another way, or a number that was removed, takes its binding along.
fn gone(app: &Appliance, row: &EnrolmentRow) -> Result<(), FlowError> {
    let Some(item) = row.progress.item else { return Ok(()) };
    let _order = app.lock_user(&row.order.user)?;
    let ends = ended(app, &scheduler(), &item, Why::BySystem)?;
    Ok(app.store.write(move |w| ends.write(w))?)
}

fn erase(app: &Appliance, now: i64) -> Result<(), FlowError> {
    let rules = &app.config.enrol;
    let unused = now.saturating_sub(i64::from(rules.unused_days) * DAY_MS);
    let ended = now.saturating_sub(i64::from(rules.retention_days) * DAY_MS);
    let due = app.store.read(|c| vetting::overdue_identities(c, unused, ended, SWEEP_MAX))?;
    for id in due {
        let owner = app.store.read(|c| {
            let row = enrolment::by_id(c, &id)?;
            row.map(|row| user::by_id(c, &row.order.user)).transpose()
        })?;
        let mut erased = app.event("enrol.identity_erased", &scheduler()).about("enrolment", handle(&id));
        if let Some(owner) = owner.flatten() {
            erased = erased.about("user_ref", owner.user_ref);
        }
        app.store.write(move |w| {
            vetting::erase_identity(w, &id)?;
            event::append(w, &erased).map(drop)
        })?;
    }
    Ok(())
}
