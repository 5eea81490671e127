//! The bindings of tokens, phones and numbers that end, or in whose place another one comes: they end in the same act
//! (BIND-42, BIND-43).

use domain::token::{Id, Lifecycle};

use super::end::{Why, revoked};
use super::token_end::TokenEnd;
use super::work::{Ready, Work};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError};
use crate::store::push_device::DeviceRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, enrolment, token};

/// Bindings that end.
#[derive(Default)]
pub(crate) struct Replaced(Vec<Ready>);

impl Replaced {
    /// Whether no enrolment has bound any of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes them, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another act was first; SQLite's.
    pub(crate) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.0.iter().try_for_each(|ready| ready.write(writing))
    }
}

/// The ends of the bindings of these; none for what no enrolment has bound. The caller holds the user's lock.
///
/// A binding that was changed outside the appliance keeps nothing from its end: it is noted, and vouches for nothing.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub(crate) fn replaced(
    app: &Appliance,
    caller: &Caller,
    items: &[Id],
    why: Why,
) -> Result<Replaced, FlowError> {
    let mut all = Replaced::default();
    for item in items {
        match ended(app, caller, item, why) {
            Ok(Replaced(ends)) => all.0.extend(ends),
            Err(error @ FlowError::Tampered { .. }) => app.note_tampering(&error, &caller.actor)?,
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The ends of all bindings of one of them.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn ended(app: &Appliance, caller: &Caller, item: &Id, why: Why) -> Result<Replaced, FlowError> {
    let found = app.store.read(|c| enrolment::all_of_item(c, item))?;
    let ends = found.iter().map(|row| {
        let mut work = Work::load(app, caller, &row.order.id)?;
        revoked(&mut work, "replaced", why)?;
        work.ready()
    });
    Ok(Replaced(ends.collect::<Result<_, _>>()?))
}

/// The end of the codes on a phone that ends, where they came with it; none where they ended before.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(crate) fn half_of(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    phone: &DeviceRow,
) -> Result<Option<TokenEnd>, FlowError> {
    let half = match phone.pair_id {
        Some(id) => app.store.read(|c| token::by_id(c, &id))?,
        None => None,
    };
    let half = half.filter(|half| half.state.lifecycle != Lifecycle::Revoked);
    half.map(|half| TokenEnd::of(app, caller, owner, half)).transpose()
}
