//! What ends of phones with the person who is forgotten (BIND-38): the phones, the recovery codes, and a registration that
//! is under way.

use domain::registration::{Registration, State};

use super::codes::{self, Moving};
use super::device::{self, Changing};
use super::register;
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError};
use crate::store::registration::{self, RegistrationRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event, push_device};

/// Why a registration ends with its person.
const FORGOTTEN: &str = "forgotten";

/// What is written with the rest of a person's end.
pub(in crate::flows) struct PhonesEnd {
    phones: Vec<Changing>,
    codes: Option<Moving>,
    registrations: Vec<(RegistrationRow, RegistrationRow)>,
}

impl PhonesEnd {
    /// Of this user, whose lock the caller holds.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
    pub(in crate::flows) fn of(app: &Appliance, caller: &Caller, owner: &UserRow) -> Result<Self, FlowError> {
        let (phones, open) = app
            .store
            .read(|c| Ok((push_device::living_of(c, &owner.id)?, registration::open_of(c, &owner.id)?)))?;
        let revoked = phones.into_iter().map(|row| device::revoking(app, caller, owner, row));
        let ended = open.into_iter().map(|row| {
            let next = Registration { state: State::Cancelled, ..row.registration };
            register::ended(app, &row, next, Some(FORGOTTEN)).map(|next| (row, next))
        });
        Ok(PhonesEnd {
            phones: revoked.collect::<Result<_, _>>()?,
            codes: codes::superseding(app, owner)?,
            registrations: ended.collect::<Result<_, _>>()?,
        })
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another act was first; SQLite's.
    pub(in crate::flows) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        for (row, next, revoked) in &self.phones {
            if !push_device::put(writing, row, next)? {
                return Err(StoreError::Changed("a phone"));
            }
            event::append(writing, revoked)?;
        }
        if let Some(codes) = &self.codes {
            codes::supersede(writing, codes)?;
        }
        self.registrations.iter().try_for_each(|(row, next)| register::put(writing, row, next))
    }
}
