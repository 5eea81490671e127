//! Rows of former schemas get their MACs, once: at the first start that reaches the HSM (schema 0006).
//!
//! That it was done is an event, `store.sealed`, from the first start on: from then on a row without a MAC is a changed
//! row. Whoever would have rows sealed again has to write the chain of events anew.

use domain::event::{Actor, Event};
use domain::letter::Progress;
use domain::method::Method;
use hsm::{HsmError, MacPurpose};

use super::users::ACTIVE;
use super::{FlowError, former_tokens};
use crate::appliance::Appliance;
use crate::store::letter::{Filter, LetterRow};
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{event, letter, phone, user};

/// The event that says that the rows of former schemas are sealed.
const SEALED: &str = "store.sealed";
/// Rows sealed in one transaction; below what the HSM takes at once.
const BATCH: usize = 256;

/// What the MAC of an account covered in schema 0005.
fn former_account(row: &UserRow) -> Vec<u8> {
    domain::canonical::Canonical::new("countersign account 1")
        .bytes(&row.id)
        .text(row.name.as_str())
        .text(&row.state)
        .optional(row.password_hash.as_deref().map(str::as_bytes))
        .text(row.active_method.name())
        .optional(row.next_method.map(|method| method.name().as_bytes()))
        .finish()
}

/// Whether an account says nothing that a MAC of schema 0005 would have had to cover.
fn is_plain(row: &UserRow) -> bool {
    row.state == ACTIVE
        && row.password_hash.is_none()
        && row.active_method == Method::Password
        && row.next_method.is_none()
}

impl Appliance {
    /// Whether rows without a MAC have had their time.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub(super) fn is_sealed(&self) -> Result<bool, FlowError> {
        if self.sealed.get().is_some() {
            return Ok(true);
        }
        let done = self.store.read(|c| event::exists(c, SEALED))?;
        if done {
            self.sealed.get_or_init(|| ());
        }
        Ok(done)
    }

    /// Checks the MAC of a row that has had none in a former schema.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; [`FlowError::Busy`] before the rows of former schemas are sealed.
    pub(super) fn check_sealed(
        &self,
        what: &'static str,
        which: &str,
        bytes: Vec<u8>,
        mac: Option<&[u8; 32]>,
    ) -> Result<(), FlowError> {
        match mac {
            Some(mac) => self.check_row(what, which, bytes, mac),
            None if self.is_sealed()? => Err(FlowError::Tampered { what, which: which.to_owned() }),
            None => Err(FlowError::Busy),
        }
    }
}

/// Seals the rows of former schemas, unless that was done. A row whose former MAC does not fit is left as it is: it is
/// a changed row from then on.
///
/// # Errors
/// When the HSM or the store cannot answer: it is done later.
pub fn seal(app: &Appliance) -> Result<(), FlowError> {
    former_tokens::seal(app)?;
    if app.is_sealed()? {
        return Ok(());
    }
    let (users, phones, letters) = (seal_users(app)?, seal_phones(app)?, seal_letters(app)?);
    let event = Event::ok(app.clock.now().wall_ms, SEALED, Actor::system("store"))
        .about("users", users.to_string())
        .about("phones", phones.to_string())
        .about("letters", letters.to_string());
    app.store.write(move |w| event::append(w, &event).map(drop))?;
    tracing::info!(users, phones, letters, "rows of former schemas are sealed");
    app.sealed.get_or_init(|| ());
    Ok(())
}

pub(super) fn macs(
    app: &Appliance,
    purpose: MacPurpose,
    data: Vec<Vec<u8>>,
) -> Result<Vec<[u8; 32]>, FlowError> {
    let asked = data.len();
    let macs = if data.is_empty() { Vec::new() } else { app.hsm.mac(purpose, data)? };
    if macs.len() == asked { Ok(macs) } else { Err(HsmError::Protocol.into()) }
}

fn seal_users(app: &Appliance) -> Result<usize, FlowError> {
    let (mut after, mut sealed) = (Vec::new(), 0);
    loop {
        let found = app.store.read(|c| user::unsealed(c, &after, BATCH))?;
        let Some((last, _)) = found.last() else { return Ok(sealed) };
        after = last.id.to_vec();
        let (with, without): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, former)| former.is_some());
        let former = macs(app, MacPurpose::State, with.iter().map(|(row, _)| former_account(row)).collect())?;
        let fitting = with.into_iter().zip(former).filter(|((_, stored), mac)| *stored == Some(*mac));
        let plain = without.into_iter().filter(|(row, _)| is_plain(row));
        let good: Vec<UserRow> = fitting.map(|((row, _), _)| row).chain(plain.map(|(row, _)| row)).collect();
        let new = macs(app, MacPurpose::Row, good.iter().map(UserRow::bytes).collect())?;
        sealed += good.len();
        app.store.write(move |w| {
            for (row, mac) in good.iter().zip(new) {
                user::put_account(w, row, &UserRow { mac: Some(mac), ..row.clone() })?;
            }
            Ok(())
        })?;
    }
}

fn seal_phones(app: &Appliance) -> Result<usize, FlowError> {
    let (mut after, mut sealed) = (Vec::new(), 0);
    loop {
        let found: Vec<PhoneRow> = app.store.read(|c| phone::unsealed(c, &after, BATCH))?;
        let Some(last) = found.last() else { return Ok(sealed) };
        after = last.id.to_vec();
        let new = macs(app, MacPurpose::Row, found.iter().map(PhoneRow::bytes).collect())?;
        sealed += found.len();
        app.store.write(move |w| {
            for (row, mac) in found.iter().zip(new) {
                phone::put_state(w, row, &PhoneRow { mac: Some(mac), ..row.clone() })?;
            }
            Ok(())
        })?;
    }
}

fn seal_letters(app: &Appliance) -> Result<usize, FlowError> {
    let (mut filter, mut sealed) = (Filter { limit: BATCH, ..Filter::default() }, 0);
    loop {
        let found: Vec<LetterRow> = app.store.read(|c| letter::list(c, &filter))?;
        let Some(last) = found.last() else { return Ok(sealed) };
        filter.after = Some(last.order.id);
        let bytes = |of: fn(&LetterRow, &Progress) -> Vec<u8>| {
            found.iter().map(|row| of(row, &row.progress)).collect::<Vec<_>>()
        };
        let former = macs(app, MacPurpose::State, bytes(LetterRow::former_bytes))?;
        let new = macs(app, MacPurpose::State, bytes(LetterRow::bytes))?;
        let fitting: Vec<(LetterRow, [u8; 32])> = found
            .into_iter()
            .zip(former)
            .zip(new)
            .filter(|((row, former), _)| row.state_mac == *former)
            .map(|((row, _), new)| (row, new))
            .collect();
        sealed += fitting.len();
        app.store.write(move |w| {
            for (row, state_mac) in &fitting {
                letter::put(w, row, &LetterRow { state_mac: *state_mac, ..row.clone() }, row.ordered_at)?;
            }
            Ok(())
        })?;
    }
}
