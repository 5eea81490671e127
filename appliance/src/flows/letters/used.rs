//! A letter with a QR code has done its work once a code of its token was accepted (B.5.2).

use domain::event::Event;
use domain::letter::{Delivery, Kind, State};
use domain::time::Now;

use super::{Step, about};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError};
use crate::store::letter;
use crate::store::token::TokenRow;
use crate::store::user::UserRow;

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
