//! Recovery codes (COMB-12 to COMB-15, COMB-43, D-36): drawn when they are read, which is once; kept as HMACs.
//!
//! So that nothing but the person's own copy ever holds them, a registration only says that codes may be drawn. The
//! former set ends with the registration, not with the reading.

use domain::canonical::Canonical;
use domain::challenge::{Progress, State, Terms, Wanted};
use domain::event::Event;
use domain::names::UserName;
use domain::recovery::{self as rules, CODES, RecoveryCode, RecoverySet, Used};
use domain::token::{Class, Id, Lifecycle};
use domain::verify::Reason;
use hsm::MacPurpose;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::super::challenge::{
    View, next_mac, refuse, supersede as supersede_open, superseding as open_ones,
};
use super::super::guess::{clear_failures, count_failure};
use super::super::verify::Verdict;
use super::super::{Caller, FlowError, handle, users};
use super::refused;
use super::register::{about as about_registration, check as check_registration, put, sealed};
use crate::appliance::Appliance;
use crate::store::challenge::{self, ChallengeRow};
use crate::store::recovery::{self, MARK_LEN, RecoveryRow};
use crate::store::registration::RegistrationRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event, push_device, token, user};

/// Level of assurance of a login by a recovery code (D-36).
const LOA: f64 = 1.5;
/// What an accepted code is told as, in place of a serial.
const SERIAL: &str = "recovery";
/// How often a code is drawn: once fails with 10^-15.
const DRAWS_MAX: usize = 4;
const REFUSED: &str = "recovery.refused";

/// Why there is nothing to recover with: alike for an unknown user.
const NO_CODES: FlowError =
    FlowError::Phone { key: "recovery.none", text: "there is no such user, or no recovery code is left" };

/// The bytes under the HMAC of a code.
fn marked(set: &Id, user: &Id, code: &RecoveryCode) -> Vec<u8> {
    Canonical::new("countersign recovery code 1").bytes(set).bytes(user).bytes(code.expose()).finish()
}

fn check(app: &Appliance, row: &RecoveryRow) -> Result<(), FlowError> {
    app.check_row("the recovery codes", &handle(&row.id), row.bytes(), &row.mac)
}

fn row_sealed(app: &Appliance, row: RecoveryRow) -> Result<RecoveryRow, FlowError> {
    Ok(RecoveryRow { mac: app.row_mac(row.bytes())?, ..row })
}

/// A set before and after.
pub(super) type Moving = (RecoveryRow, RecoveryRow);

/// The end of a user's set, to be written with what takes its place; none where there is no set.
pub(super) fn superseding(app: &Appliance, owner: &UserRow) -> Result<Option<Moving>, FlowError> {
    let Some(row) = app.store.read(|c| recovery::live_of(c, &owner.id))? else { return Ok(None) };
    check(app, &row)?;
    let next = row_sealed(app, RecoveryRow { set: row.set.superseded(), ..row.clone() })?;
    Ok(Some((row, next)))
}

pub(super) fn supersede(writing: &mut Writing<'_>, (row, next): &Moving) -> Result<(), StoreError> {
    if recovery::put(writing, row, next)? { Ok(()) } else { Err(StoreError::Changed("the recovery codes")) }
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
    check_registration(app, row)?;
    let Ok(registration) = row.registration.codes_read() else { return Ok(None) };
    let _order = app.lock_user(&owner.id)?;
    let now = users::find(app, &owner.name)?;
    if now.state != users::ACTIVE || !app.store.read(|c| lives(c, row))? {
        return Ok(None);
    }
    let id = app.new_id()?;
    let codes = (0..CODES).map(|_| draw(app)).collect::<Result<Vec<_>, _>>()?;
    let data = codes.iter().map(|code| marked(&id, &owner.id, code)).collect();
    let marks: [[u8; MARK_LEN]; CODES] =
        app.hsm.mac(MacPurpose::Lookup, data)?.try_into().map_err(|_| hsm::HsmError::Protocol)?;
    let now_ms = app.clock.now().wall_ms;
    let set = RecoveryRow {
        id,
        user_id: owner.id,
        marks,
        set: RecoverySet::new(),
        created_at: now_ms,
        mac: [0; 32],
    };
    let set = row_sealed(app, set)?;
    let former = superseding(app, owner)?;
    let next = sealed(app, RegistrationRow { registration, ..row.clone() })?;
    let generated = about_registration(app.event("recovery.generated", caller), owner, row);
    let loaded = row.clone();
    let written = app.store.write(move |w| {
        put(w, &loaded, &next)?;
        if let Some(former) = &former {
            supersede(w, former)?;
        }
        recovery::insert(w, &set)?;
        event::append(w, &generated).map(drop)
    });
    match written {
        Ok(()) => Ok(Some(codes.iter().map(RecoveryCode::grouped).collect())),
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

/// Whether a user has something that the codes of `set` recover: a phone or an OATH account that was there when they were
/// drawn (B.5.8). What came after the last of those had ended brings no code back.
fn has_anything(connection: &rusqlite::Connection, set: &RecoveryRow) -> Result<bool, StoreError> {
    let soft = token::of_user(connection, &set.user_id)?.iter().any(|row| {
        row.class == Class::Soft
            && row.state.lifecycle != Lifecycle::Revoked
            && row.created_at <= set.created_at
    });
    let phones = push_device::living_of(connection, &set.user_id)?;
    Ok(soft || phones.iter().any(|row| row.created_at <= set.created_at))
}

/// A set, and whether it has something to recover.
fn with_use(
    connection: &rusqlite::Connection,
    set: Option<RecoveryRow>,
) -> Result<(Option<RecoveryRow>, bool), StoreError> {
    let any = set.as_ref().map_or(Ok(false), |set| has_anything(connection, set))?;
    Ok((set, any))
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
    let (row, any) = app.store.read(|c| with_use(c, recovery::live_of(c, &owner.id)?))?;
    let Some(row) = row.filter(|_| any) else { return Ok(None) };
    check(app, &row)?;
    Ok((row.set.state() == rules::State::Active).then(|| row.set.left()))
}

/// Orders a challenge that a recovery code answers.
///
/// # Errors
/// [`FlowError::Phone`] `recovery.none` alike for an unknown user and for one without codes; [`FlowError::RateLimited`].
pub fn order(app: &Appliance, caller: &Caller, name: &str) -> Result<View, FlowError> {
    let found = match UserName::parse(name) {
        Ok(name) => app.store.read(|c| user::by_name(c, &name))?,
        Err(_) => None,
    };
    let Some(found) = users::checked(app, name, found)? else {
        let _order = app.lock_name(name)?;
        app.match_decoy("")?;
        return Err(refused(app, caller, None, (REFUSED, "none"), NO_CODES)?);
    };
    let _order = app.lock_user(&found.id)?;
    let owner = users::find(app, &found.name)?;
    users::check_account(app, &owner)?;
    let left = left(app, &owner)?;
    let set = app.store.read(|c| recovery::live_of(c, &owner.id))?;
    let (Some(_), Some(set), true) = (left, set, owner.state == users::ACTIVE) else {
        app.match_decoy("")?;
        return Err(refused(app, caller, Some(&owner), (REFUSED, "none"), NO_CODES)?);
    };
    let now = app.clock.now();
    if let Err(reason) = app.admit(caller, &owner, &now)? {
        app.match_decoy("")?;
        return Err(refused(app, caller, Some(&owner), (REFUSED, reason.name()), FlowError::RateLimited)?);
    }
    let mut row = ChallengeRow {
        id: app.random()?,
        user_id: owner.id,
        application_id: caller.application,
        purpose: "login".to_owned(),
        authenticator: None,
        binding_message: None,
        wanted: Wanted::Recovery { set: set.id },
        progress: Progress::asked(&app.config.questions, &now),
        state_mac: [0; 32],
        created_at: now.wall_ms,
    };
    let macs = app.hsm.mac(MacPurpose::State, vec![row.bytes(&row.progress)])?;
    row.state_mac = *macs.first().ok_or(hsm::HsmError::Protocol)?;
    let ending = open_ones(app, &owner.id, Some(&caller.application))?;
    let ordered = app
        .event("recovery.challenge_ordered", caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(&row.id));
    let (inserted, at) = (row.clone(), now.wall_ms);
    app.store.write(move |w| {
        supersede_open(w, &ending, at)?;
        challenge::insert_recovery(w, &inserted, &set.id)?;
        event::append(w, &ordered).map(drop)
    })?;
    let expires_at_ms = row.progress.expires.and_then(|end| end.wall_ms(&now));
    Ok(View { row, phone_masked: None, expires_at_ms })
}

/// Takes a recovery code. The caller holds the user's lock.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(in crate::flows) fn verify(
    app: &Appliance,
    caller: &Caller,
    (row, owner): (&ChallengeRow, &UserRow),
    set: &Id,
    typed: &str,
) -> Result<Verdict, FlowError> {
    let refuse = |reason| refuse(app, caller, Some((row, owner)), "", reason);
    let now = app.clock.now();
    let progress = row.progress.aged(&now);
    if progress.state != State::Waiting || owner.state != users::ACTIVE {
        let again = progress.state == State::Verified;
        return refuse(if again { Reason::Replay } else { Reason::Wrong });
    }
    let Ok(code) = RecoveryCode::parse(typed.trim()) else { return refuse(Reason::Malformed) };
    if let Err(reason) = app.admit(caller, owner, &now)? {
        return refuse(reason);
    }
    let (found, any) = app.store.read(|c| with_use(c, recovery::by_id(c, set)?))?;
    let Some(codes) = found.filter(|codes| codes.user_id == row.user_id && any) else {
        return refuse(Reason::Revoked);
    };
    check(app, &codes)?;
    let macs = app.hsm.mac(MacPurpose::Lookup, vec![marked(&codes.id, &owner.id, &code)])?;
    let mark = macs.first().ok_or(hsm::HsmError::Protocol)?;
    // All of them are compared: time does not tell which it was.
    let hits: Vec<bool> = codes.marks.iter().map(|known| known.ct_eq(mark).into()).collect();
    match hits.iter().position(|hit| *hit).map(|index| codes.set.spent(index)) {
        Some((set, Used::Accepted { left })) => {
            Spending { app, caller, row, owner, codes: &codes }.accept(set, left)
        }
        Some((_, Used::Again)) => refuse(Reason::Replay),
        Some((_, Used::Dead)) => refuse(Reason::Revoked),
        None => Spending { app, caller, row, owner, codes: &codes }.reject(&app.config.questions),
    }
}

struct Spending<'a> {
    app: &'a Appliance,
    caller: &'a Caller,
    row: &'a ChallengeRow,
    owner: &'a UserRow,
    codes: &'a RecoveryRow,
}

impl Spending<'_> {
    fn about(&self, event: Event) -> Event {
        event.about("user_ref", &self.owner.user_ref).about("challenge", handle(&self.row.id))
    }

    fn accept(&self, set: RecoverySet, left: usize) -> Result<Verdict, FlowError> {
        let (app, now) = (self.app, self.app.clock.now());
        let next = row_sealed(app, RecoveryRow { set, ..self.codes.clone() })?;
        let verified = self.row.progress.verified();
        let mac = next_mac(app, self.row, &verified)?;
        let mut events =
            vec![self.about(app.event("recovery.used", self.caller)).about("left", left.to_string())];
        if left == 0 {
            events.push(self.about(app.event("recovery.exhausted", self.caller)));
        } else if (Used::Accepted { left }).warns() {
            events.push(self.about(app.event("recovery.low", self.caller)).about("left", left.to_string()));
        }
        let actor = self.caller.actor.clone();
        let lost = self.about(Event::refused(now.wall_ms, "recovery.failed", actor, Reason::Replay.name()));
        let (row, codes, application) = (self.row.clone(), self.codes.clone(), self.caller.application);
        let won = app.store.write(move |w| {
            if !recovery::put(w, &codes, &next)? {
                event::append(w, &lost)?;
                return Ok(false);
            }
            if !challenge::put_progress(w, &row, &verified, &mac, now.wall_ms)? {
                return Err(StoreError::Changed("the challenge"));
            }
            clear_failures(w, &row.user_id, &application)?;
            events.iter().try_for_each(|event| event::append(w, event).map(drop))?;
            Ok(true)
        })?;
        Ok(if won { Verdict::Accept { serial: SERIAL.to_owned(), loa: LOA } } else { Verdict::Reject })
    }

    fn reject(&self, terms: &Terms) -> Result<Verdict, FlowError> {
        let (app, now) = (self.app, self.app.clock.now());
        let miss = self.row.progress.missed(terms);
        let mac = next_mac(app, self.row, &miss)?;
        let actor = self.caller.actor.clone();
        let failed = self.about(Event::refused(now.wall_ms, "recovery.failed", actor, Reason::Wrong.name()));
        let locked = self.about(app.event("user.locked", self.caller));
        let (row, limits, application) = (self.row.clone(), app.config.limits, self.caller.application);
        app.store.write(move |w| {
            challenge::put_progress(w, &row, &miss, &mac, now.wall_ms)?;
            event::append(w, &failed)?;
            if count_failure(w, &limits, &row.user_id, &application, &now)? {
                event::append(w, &locked)?;
            }
            Ok(())
        })?;
        Ok(Verdict::Reject)
    }
}
