//! Sets of recovery codes (B.5.8, COMB-12 to COMB-15, D-36): drawn when they are read, kept as HMACs, ended with the last
//! phone or OATH account.
//!
//! So that nothing but the person's own copy ever holds them, a registration only says that codes may be drawn. The
//! former set ends with the registration, not with the reading.

use domain::canonical::Canonical;
use domain::event::{Actor, Event};
use domain::recovery::{self as rules, CODES, RecoveryCode, RecoverySet};
use domain::registration::Codes;
use domain::token::{Class, Id, Lifecycle};
use hsm::MacPurpose;
use parking_lot::MutexGuard;
use zeroize::Zeroizing;

use super::super::{Caller, FlowError, handle, users};
use super::register::{about as about_registration, check as check_registration, put, sealed};
use crate::appliance::Appliance;
use crate::store::recovery::{self, MARK_LEN, RecoveryRow};
use crate::store::registration::RegistrationRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event, meta, push_device, token, user};

/// How often a code is drawn: once fails with 10^-15.
const DRAWS_MAX: usize = 4;
/// The event of codes that ended with what they stood for.
const ENDED: &str = "recovery.ended";
/// Says that the sets of schema 0008 which had ended without saying so are ended.
const FORMER_ENDED: &str = "recovery_former_ended";
/// Sets of a former schema that are looked at in one go.
const BATCH: usize = 256;

/// The bytes under the HMAC of a code.
pub(super) fn marked(set: &Id, user: &Id, code: &RecoveryCode) -> Vec<u8> {
    Canonical::new("countersign recovery code 1").bytes(set).bytes(user).bytes(code.expose()).finish()
}

pub(super) fn check(app: &Appliance, row: &RecoveryRow) -> Result<(), FlowError> {
    app.check_row("the recovery codes", &handle(&row.id), row.bytes(), &row.mac)
}

pub(super) fn row_sealed(app: &Appliance, row: RecoveryRow) -> Result<RecoveryRow, FlowError> {
    Ok(RecoveryRow { mac: app.row_mac(row.bytes())?, ..row })
}

/// A set before and after.
pub(super) type Moving = (RecoveryRow, RecoveryRow);

fn ending(app: &Appliance, row: RecoveryRow) -> Result<Moving, FlowError> {
    check(app, &row)?;
    let next = row_sealed(app, RecoveryRow { set: row.set.superseded(), ..row.clone() })?;
    Ok((row, next))
}

/// The end of a user's set, to be written with what takes its place; none where there is no set.
pub(super) fn superseding(app: &Appliance, owner: &UserRow) -> Result<Option<Moving>, FlowError> {
    app.store.read(|c| recovery::live_of(c, &owner.id))?.map(|row| ending(app, row)).transpose()
}

/// Writes the end of a set; false where it has ended already.
pub(super) fn supersede(writing: &mut Writing<'_>, (row, next): &Moving) -> Result<bool, StoreError> {
    if !recovery::is_live(writing, &row.id)? {
        return Ok(false);
    }
    if recovery::put(writing, row, next)? { Ok(true) } else { Err(StoreError::Changed("the recovery codes")) }
}

/// The end of a user's codes with the last phone or OATH account (B.5.8). Whether that is the last is seen when it is
/// written, after its own end and before anything takes its place.
pub(in crate::flows) struct CodesEnd(Option<(Moving, Event)>);

impl CodesEnd {
    /// Of this user, whose lock the caller holds. Codes that were changed outside the appliance keep no phone from its
    /// end: they are good for nothing as they are.
    ///
    /// # Errors
    /// When the HSM or the store cannot answer.
    pub(in crate::flows) fn of(app: &Appliance, caller: &Caller, owner: &UserRow) -> Result<Self, FlowError> {
        let moving = match superseding(app, owner) {
            Err(error @ FlowError::Tampered { .. }) => {
                app.note_tampering(&error, &caller.actor)?;
                None
            }
            moving => moving?,
        };
        let event = app.event(ENDED, caller).about("user_ref", &owner.user_ref);
        Ok(CodesEnd(moving.map(|moving| (moving, event))))
    }

    /// Where nothing ends that codes stand for.
    pub(in crate::flows) fn none() -> Self {
        CodesEnd(None)
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the codes have moved; SQLite's.
    pub(in crate::flows) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        let Some((moving, event)) = &self.0 else { return Ok(()) };
        if recovery::stands_for_something(writing, &moving.0.user_id)? || !supersede(writing, moving)? {
            return Ok(());
        }
        event::append(writing, event).map(drop)
    }
}

/// Ends, once, the sets that schema 0008 did not end with what they stood for: what came later brings none of them back.
///
/// # Errors
/// When the HSM or the store cannot answer: it is done later.
pub fn end_former(app: &Appliance) -> Result<(), FlowError> {
    if app.store.read(|c| meta::get(c, FORMER_ENDED))?.is_some() {
        return Ok(());
    }
    let mut after = Vec::new();
    loop {
        let found = app.store.read(|c| recovery::live(c, &after, BATCH))?;
        let Some(last) = found.last() else { break };
        after = last.id.to_vec();
        for row in found {
            end_one_former(app, row)?;
        }
    }
    Ok(app.store.write(|w| meta::put(w, FORMER_ENDED, b"1"))?)
}

fn end_one_former(app: &Appliance, row: RecoveryRow) -> Result<(), FlowError> {
    let _order = app.lock_user(&row.user_id)?;
    let (stands, owner) =
        app.store.read(|c| Ok((stood_for_something(c, &row)?, user::by_id(c, &row.user_id)?)))?;
    let (false, Some(owner)) = (stands, owner) else { return Ok(()) };
    let actor = Actor::system(super::PHONES);
    match ending(app, row) {
        Ok(moving) => {
            let event = Event::ok(app.clock.now().wall_ms, ENDED, actor).about("user_ref", &owner.user_ref);
            Ok(app.store.write(move |w| {
                if supersede(w, &moving)? {
                    event::append(w, &event)?;
                }
                Ok(())
            })?)
        }
        Err(error @ FlowError::Tampered { .. }) => Ok(app.note_tampering_daily(&error, &actor)?),
        Err(error) => Err(error),
    }
}

/// How schema 0008 judged a set: by a phone or an OATH account that was there when its codes were drawn.
fn stood_for_something(connection: &rusqlite::Connection, set: &RecoveryRow) -> Result<bool, StoreError> {
    let soft = token::of_user(connection, &set.user_id)?.iter().any(|row| {
        row.class == Class::Soft
            && row.state.lifecycle != Lifecycle::Revoked
            && row.created_at <= set.created_at
    });
    let phones = push_device::living_of(connection, &set.user_id)?;
    Ok(soft || phones.iter().any(|row| row.created_at <= set.created_at))
}

/// Codes that were drawn. They count once `saving` is written; until then the user's lock is held.
pub(in crate::flows) struct Drawn<'a> {
    /// For the person's eyes.
    pub(in crate::flows) codes: Vec<Zeroizing<String>>,
    /// What makes them count.
    pub(in crate::flows) saving: Saving,
    /// The user's lock.
    pub(in crate::flows) order: MutexGuard<'a, ()>,
}

/// What makes drawn codes count, and ends the former ones.
pub(in crate::flows) struct Saving {
    registration: Option<(RegistrationRow, RegistrationRow)>,
    former: Option<Moving>,
    set: RecoveryRow,
    generated: Event,
}

impl Saving {
    /// Writes it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another reader was first: the codes are worth nothing; SQLite's.
    pub(in crate::flows) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        if let Some((loaded, next)) = &self.registration {
            put(writing, loaded, next)?;
        }
        if let Some(former) = &self.former {
            supersede(writing, former)?;
        }
        recovery::insert(writing, &self.set)?;
        event::append(writing, &self.generated).map(drop)
    }
}

/// Draws the codes of a registration; none where there are none, or they were read. `again` draws new ones in place of
/// those that were read: the caller knows that whoever asks is who was to read them.
///
/// # Errors
/// When the HSM or the store cannot answer: none were drawn.
pub(in crate::flows) fn drawn<'a>(
    app: &'a Appliance,
    caller: &Caller,
    row: &RegistrationRow,
    owner: &UserRow,
    again: bool,
) -> Result<Option<Drawn<'a>>, FlowError> {
    check_registration(app, row)?;
    let read = row.registration.codes_read().ok();
    if read.is_none() && !(again && row.registration.codes == Codes::Read) {
        return Ok(None);
    }
    let order = app.lock_user(&owner.id)?;
    let now = users::find(app, &owner.name)?;
    if now.state != users::ACTIVE || !app.store.read(|c| lives(c, row))? {
        return Ok(None);
    }
    let registration = read.map(|registration| {
        sealed(app, RegistrationRow { registration, ..row.clone() }).map(|next| (row.clone(), next))
    });
    let id = app.new_id()?;
    let codes = (0..CODES).map(|_| draw(app)).collect::<Result<Vec<_>, _>>()?;
    let data = codes.iter().map(|code| marked(&id, &owner.id, code)).collect();
    let marks: [[u8; MARK_LEN]; CODES] =
        app.hsm.mac(MacPurpose::Lookup, data)?.try_into().map_err(|_| hsm::HsmError::Protocol)?;
    let set = RecoveryRow {
        id,
        user_id: owner.id,
        marks,
        set: RecoverySet::new(),
        created_at: app.clock.now().wall_ms,
        mac: [0; 32],
    };
    let saving = Saving {
        registration: registration.transpose()?,
        former: superseding(app, owner)?,
        set: row_sealed(app, set)?,
        generated: about_registration(app.event("recovery.generated", caller), owner, row),
    };
    let codes = codes.iter().map(RecoveryCode::grouped).collect();
    Ok(Some(Drawn { codes, saving, order }))
}

/// Draws the codes of a registration and hands them out, this once; none where there are none, or they were read.
///
/// # Errors
/// When the HSM or the store cannot answer: none were handed out.
pub fn read(
    app: &Appliance,
    caller: &Caller,
    row: &RegistrationRow,
    owner: &UserRow,
) -> Result<Option<Vec<Zeroizing<String>>>, FlowError> {
    let Some(Drawn { codes, saving, order: _order }) = drawn(app, caller, row, owner, false)? else {
        return Ok(None);
    };
    match app.store.write(move |w| saving.write(w)) {
        Ok(()) => Ok(Some(codes)),
        // Another reader was first: the codes of this one are worth nothing.
        Err(StoreError::Changed(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn draw(app: &Appliance) -> Result<RecoveryCode, FlowError> {
    for _ in 0..DRAWS_MAX {
        if let Ok(code) = RecoveryCode::draw(&app.random()?) {
            return Ok(code);
        }
    }
    Err(hsm::HsmError::Protocol.into())
}

/// Whether what a registration has made is still there.
fn lives(connection: &rusqlite::Connection, row: &RegistrationRow) -> Result<bool, StoreError> {
    let phone = row.device_id.map(|id| push_device::by_id(connection, &id)).transpose()?.flatten();
    let token = row.token_id.map(|id| token::by_id(connection, &id)).transpose()?.flatten();
    Ok(phone.is_some_and(|row| row.lifecycle != Lifecycle::Revoked)
        || token.is_some_and(|row| row.state.lifecycle != Lifecycle::Revoked))
}

/// How many codes a user has left; none without a set that is good.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub fn left(app: &Appliance, owner: &UserRow) -> Result<Option<usize>, FlowError> {
    let Some(row) = app.store.read(|c| recovery::live_of(c, &owner.id))? else { return Ok(None) };
    check(app, &row)?;
    Ok((row.set.state() == rules::State::Active).then(|| row.set.left()))
}
