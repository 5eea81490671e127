//! What time does to letters: their ends, their files, and what a crash has left of them (MOB-34, D-06).

use domain::event::Actor;
use domain::letter::State;

use super::{DAY_MS, Step, about, acts, conflict, files, handle, next_mac, scheduler};
use crate::appliance::Appliance;
use crate::flows::FlowError;
use crate::store::letter::{self, LetterRow};

/// Letters that are looked at in one go.
const SWEEP_MAX: usize = 500;

/// Ends letters whose time is over or whose token has ended, erases files that need not be kept, and finishes what a
/// crash has left.
///
/// # Errors
/// When the HSM or the store cannot answer, or the directory cannot be used.
pub fn all(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now();
    for row in app.store.read(|c| letter::to_end(c, now.steady_ms, SWEEP_MAX))? {
        tell(app, &handle(&row.order.id), end(app, row))?;
    }
    let kept = i64::from(app.config.people.letters.retention_days) * DAY_MS;
    let before = now.steady_ms.saturating_sub(kept);
    for row in app.store.read(|c| letter::files_to_erase(c, before, SWEEP_MAX))? {
        tell(app, &handle(&row.order.id), erase(app, row).map(drop))?;
    }
    let _press = app.press.lock();
    finish(app)
}

/// One letter that cannot be kept up does not keep the others from it.
fn tell(app: &Appliance, letter: &str, done: Result<(), FlowError>) -> Result<(), FlowError> {
    match done {
        Err(error @ FlowError::Tampered { .. }) => {
            Ok(app.note_tampering_daily(&error, &Actor::system("scheduler"))?)
        }
        Err(error) if !error.is_unavailable() => {
            tracing::error!(letter, %error, "a letter cannot be kept up");
            Ok(())
        }
        done => done,
    }
}

fn end(app: &Appliance, row: LetterRow) -> Result<(), FlowError> {
    let _order = app.lock_user(&row.order.user)?;
    let owner = acts::owner(app, &row)?;
    let aged = row.progress.aged(&app.clock.now());
    let (name, progress) = match aged.state {
        State::Expired => ("letter.expired", aged),
        _ => ("letter.cancelled", aged.cancelled().map_err(conflict)?),
    };
    let event = about(app.event(name, &scheduler()), &row, &owner.user_ref);
    Step::to(app, row, progress)?.save(app, event).map(drop)
}

/// Erases a letter's file, then forgets its name.
///
/// # Errors
/// [`FlowError::Letters`] when the file cannot be removed; when the store cannot answer.
pub(super) fn erase(app: &Appliance, row: LetterRow) -> Result<LetterRow, FlowError> {
    let Some(name) = &row.file else { return Ok(row) };
    let directory = files::directory(app);
    let owner = acts::owner(app, &row)?;
    // Whose name the row says is erased only if it is the one that was written there.
    let step = Step::new(app, row.clone(), LetterRow { file: None, ..row.clone() })?;
    files::erase(&directory, name).map_err(|error| files::failed(&directory.join(name), &error))?;
    let event = about(app.event("letter.file_erased", &scheduler()), &row, &owner.user_ref);
    step.save(app, event)
}

/// Gives the file of a rendered letter its name where a crash came between, and removes one whose letter was not
/// rendered with it: nobody has seen it, and its key is none. The press is held. Files of letters that this store
/// does not know are left alone.
///
/// # Errors
/// When the directory or the store cannot be used.
pub(super) fn finish(app: &Appliance) -> Result<(), FlowError> {
    let directory = files::directory(app);
    let failed = |error: std::io::Error| files::failed(&directory, &error);
    for (id, staged) in files::left_over(&directory).map_err(failed)? {
        let Some(row) = app.store.read(|c| letter::by_id(c, &id))? else { continue };
        if let Err(error) = next_mac(app, &row, &row) {
            tell(app, &handle(&id), Err(error))?;
            continue;
        }
        match &row.file {
            Some(name) if row.file_sha256 == Some(staged.sha256) && !row.progress.state.is_final() => {
                staged.publish(&directory, name).map_err(failed)?;
                tracing::warn!(letter = handle(&id), "a letter that was being written is whole");
            }
            _ => staged.discard(),
        }
    }
    Ok(())
}
