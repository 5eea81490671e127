//! The end of a token that goes with its enrolment, its binding or its user.

use domain::event::Event;
use domain::token::{Class, Lifecycle, MovingState};

use crate::appliance::Appliance;
use crate::flows::push::CodesEnd;
use crate::flows::{Caller, FlowError, tokens};
use crate::store::token::{self, TokenRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event};

/// A token as it was loaded, and its end.
pub(crate) struct TokenEnd {
    row: TokenRow,
    next: MovingState,
    mac: [u8; 32],
    event: Event,
    codes: CodesEnd,
}

impl TokenEnd {
    /// Revokes a token once it is written.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; when the HSM cannot answer.
    pub(super) fn of(
        app: &Appliance,
        caller: &Caller,
        owner: &UserRow,
        row: TokenRow,
    ) -> Result<Self, FlowError> {
        let next = MovingState { lifecycle: Lifecycle::Revoked, ..row.state.next() };
        let mac = tokens::next_mac(app, &row, &next)?;
        let event = app
            .event("token.revoked", caller)
            .about("token", row.serial.as_str())
            .about("user_ref", &owner.user_ref);
        let soft = row.class == Class::Soft;
        let codes = if soft { CodesEnd::of(app, caller, owner)? } else { CodesEnd::none() };
        Ok(TokenEnd { row, next, mac, event, codes })
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the token has moved; SQLite's.
    pub(crate) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        if !token::put_state(writing, &self.row, &self.next, &self.mac)? {
            return Err(StoreError::Changed("the token"));
        }
        event::append(writing, &self.event)?;
        self.codes.write(writing)
    }
}
