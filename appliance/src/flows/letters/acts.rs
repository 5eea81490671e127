//! What operators and applications do with letters that are there: look, take back, hand over (MOB-35, MOB-06).

use std::path::PathBuf;

use domain::letter::{Delivery, State};
use domain::token::Id;

use super::{Step, about, conflict, files};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, users};
use crate::store::letter::{self, Filter, LetterRow};
use crate::store::user::UserRow;
use crate::store::{token, user};

/// A letter as people may see it.
#[derive(Clone, Debug)]
pub struct View {
    /// The row, aged: an end that nobody has written yet is shown.
    pub row: LetterRow,
    /// Name of the user.
    pub user: String,
    /// Serial of the token whose secret it shows.
    pub token: Option<String>,
    /// Where its file is, while it is there.
    pub path: Option<PathBuf>,
}

/// A letter with the names in it.
///
/// # Errors
/// When the store cannot answer.
pub fn view(app: &Appliance, row: LetterRow) -> Result<View, FlowError> {
    let (owner, shown) = app.store.read(|c| {
        let shown = row.token_id.map(|id| token::by_id(c, &id)).transpose()?.flatten();
        Ok((user::by_id(c, &row.order.user)?, shown))
    })?;
    Ok(View {
        user: owner.map(|owner| owner.name.to_string()).unwrap_or_default(),
        token: shown.map(|shown| shown.serial.to_string()),
        path: row.file.as_deref().map(|name| files::directory(app).join(name)),
        row: LetterRow { progress: row.progress.aged(&app.clock.now()), ..row },
    })
}

/// Letters in the order of their orders.
///
/// # Errors
/// When the store cannot answer.
pub fn list(app: &Appliance, filter: &Filter) -> Result<Vec<View>, FlowError> {
    let rows = app.store.read(|c| letter::list(c, filter))?;
    rows.into_iter().map(|row| view(app, row)).collect()
}

/// A letter.
///
/// # Errors
/// [`FlowError::NotFound`].
pub fn show(app: &Appliance, id: &Id) -> Result<View, FlowError> {
    view(app, find(app, id)?)
}

fn find(app: &Appliance, id: &Id) -> Result<LetterRow, FlowError> {
    app.store.read(|c| letter::by_id(c, id))?.ok_or(FlowError::NotFound("letter"))
}

pub(super) fn owner(app: &Appliance, row: &LetterRow) -> Result<UserRow, FlowError> {
    app.store.read(|c| user::by_id(c, &row.order.user))?.ok_or(FlowError::NotFound("user"))
}

/// Takes a letter back: its key is dead and its file goes (MOB-35).
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Conflict`] once it has ended.
pub fn cancel(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let _order = app.lock_user(&find(app, id)?.order.user)?;
    let row = find(app, id)?;
    let owner = owner(app, &row)?;
    let progress = row.progress.aged(&app.clock.now()).cancelled().map_err(conflict)?;
    let event = about(app.event("letter.cancelled", caller), &row, &owner.user_ref);
    let ended = Step::to(app, row, progress)?.save(app, event)?;
    let ended = if ended.file.is_some() { super::keep::erase(app, ended)? } else { ended };
    view(app, ended)
}

/// Writes down that a letter was posted, or handed to its user, whose identity the operator has checked (D-05).
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Conflict`] unless it is typeset and in time.
pub fn hand_over(app: &Appliance, caller: &Caller, id: &Id, by: Option<&str>) -> Result<View, FlowError> {
    let _order = app.lock_user(&find(app, id)?.order.user)?;
    let row = find(app, id)?;
    let owner = owner(app, &row)?;
    let now = app.clock.now();
    let aged = row.progress.aged(&now);
    if aged.state == State::Ordered {
        return Err(FlowError::Conflict("the letter is not typeset yet: countersign letter run".to_owned()));
    }
    let progress = aged.delivered().map_err(conflict)?;
    let by = by.unwrap_or(&caller.actor.id);
    let mut event = about(app.event("letter.handed_over", caller), &row, &owner.user_ref)
        .about("delivery", row.order.delivery.name())
        .about("by", users::pseudonym(app, by)?);
    if row.order.delivery == Delivery::Hand {
        event = event.about("identity_checked", "true");
    }
    let next = LetterRow {
        progress,
        handed_over_by: Some(by.to_owned()),
        handed_over_at: Some(now.wall_ms),
        ..row.clone()
    };
    let done = Step::new(app, row, next)?.save(app, event)?;
    view(app, done)
}
