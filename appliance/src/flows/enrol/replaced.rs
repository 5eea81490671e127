//! The bindings of tokens, phones and numbers that end, or in whose place another one comes: they end in the same act
//! (BIND-42, BIND-43).

use domain::token::{Id, Lifecycle};

use super::end::{Why, revoked};
use super::token_end::TokenEnd;
use super::work::{Ready, Work};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError};
use crate::store::enrolment::EnrolmentRow;
use crate::store::push_device::DeviceRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, enrolment, token};

/// Reason of a binding that ends with its factor.
const REPLACED: &str = "replaced";

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
/// # Errors
/// When the HSM or the store cannot answer.
pub(crate) fn replaced(
    app: &Appliance,
    caller: &Caller,
    items: &[Id],
    why: Why,
) -> Result<Replaced, FlowError> {
    let rows: Vec<Vec<EnrolmentRow>> =
        app.store.read(|c| items.iter().map(|item| enrolment::all_of_item(c, item)).collect())?;
    ends(app, caller, rows.iter().flatten(), (REPLACED, why))
}

/// The ends of what else has bound the factor of an enrolment that is taken back: it goes with it, on the same word.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub(super) fn beside(work: &Work<'_>, reason: &str, why: Why) -> Result<Replaced, FlowError> {
    let Some(item) = work.progress().item else { return Ok(Replaced::default()) };
    let rows = work.app.store.read(|c| enrolment::all_of_item(c, &item))?;
    let others = rows.iter().filter(|row| row.order.id != work.row.order.id);
    ends(work.app, work.caller, others, (reason, why))
}

/// A binding that was changed outside the appliance keeps nothing from its end: it is noted, and vouches for nothing.
fn ends<'r>(
    app: &Appliance,
    caller: &Caller,
    rows: impl Iterator<Item = &'r EnrolmentRow>,
    (reason, why): (&str, Why),
) -> Result<Replaced, FlowError> {
    let mut all = Replaced::default();
    for row in rows {
        match end(app, caller, row, (reason, why)) {
            Ok(ready) => all.0.push(ready),
            Err(error @ FlowError::Tampered { .. }) => app.note_tampering(&error, &caller.actor)?,
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn end(
    app: &Appliance,
    caller: &Caller,
    row: &EnrolmentRow,
    (reason, why): (&str, Why),
) -> Result<Ready, FlowError> {
    let mut work = Work::load(app, caller, &row.order.id)?;
    revoked(&mut work, reason, why)?;
    work.ready()
}

/// The ends of all bindings of one thing that is gone.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn ended(app: &Appliance, caller: &Caller, item: &Id, why: Why) -> Result<Replaced, FlowError> {
    let found = app.store.read(|c| enrolment::all_of_item(c, item))?;
    let ends = found.iter().map(|row| end(app, caller, row, (REPLACED, why)));
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
