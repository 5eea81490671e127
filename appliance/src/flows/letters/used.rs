//! A letter with a QR code has done its work once a code of its token was accepted (B.5.2), and is worth nothing once
//! its token has ended.

use domain::event::Event;
use domain::letter::{Delivery, Kind, State};
use domain::time::Now;

use super::{Step, about, conflict};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError};
use crate::store::letter::{self, LetterRow};
use crate::store::token::TokenRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event};

/// What becomes of the letter to a token's user when a code of the token is accepted; none where there is no letter
/// that reached the user. One that is to be handed over has not before somebody wrote that down; whether one was
/// posted need not be known.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(crate) fn used_by(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    token: &TokenRow,
    now: &Now,
) -> Result<Option<(Step, Event)>, FlowError> {
    let open = app.store.read(|c| letter::open_of(c, &owner.id, Kind::Oath))?;
    let Some(row) = open.filter(|row| row.token_id == Some(token.id)) else { return Ok(None) };
    let arrived = row.progress.state == State::Delivered || row.order.delivery == Delivery::Post;
    match row.progress.consumed(now) {
        Ok(progress) if arrived => {
            let event = about(app.event("letter.consumed", caller), &row, &owner.user_ref);
            Ok(Some((Step::to(app, row, progress)?, event)))
        }
        _ => Ok(None),
    }
}

/// The end of the open letter that shows the secret of one of these tokens, which are about to end; none where there is
/// no such letter. The caller holds the user's lock.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(crate) fn of_ended(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    tokens: &[TokenRow],
) -> Result<Option<(Step, Event)>, FlowError> {
    let open = app.store.read(|c| letter::open_of(c, &owner.id, Kind::Oath))?;
    let shows = |row: &LetterRow| tokens.iter().any(|token| row.token_id == Some(token.id));
    let Some(row) = open.filter(shows) else { return Ok(None) };
    let aged = row.progress.aged(&app.clock.now());
    let (name, progress) = match aged.state {
        State::Expired => ("letter.expired", aged),
        _ => ("letter.cancelled", aged.cancelled().map_err(conflict)?),
    };
    let event = about(app.event(name, caller), &row, &owner.user_ref);
    Ok(Some((Step::to(app, row, progress)?, event)))
}

/// Ends a letter that [`of_ended`] found, in the act's own transaction.
///
/// # Errors
/// [`StoreError::Changed`] when the letter had moved; SQLite's.
pub(crate) fn end(
    writing: &mut Writing<'_>,
    ending: Option<&(Step, Event)>,
    at_ms: i64,
) -> Result<(), StoreError> {
    let Some((step, event)) = ending else { return Ok(()) };
    if !step.take(writing, at_ms)? {
        return Err(StoreError::Changed("the letter"));
    }
    event::append(writing, event).map(drop)
}
