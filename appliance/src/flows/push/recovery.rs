//! A recovery code in place of a phone that was lost (COMB-43, D-36): asked for as a challenge, and taken once.

use domain::challenge::{Progress, State, Terms, Wanted};
use domain::event::Event;
use domain::names::UserName;
use domain::recovery::{RecoveryCode, RecoverySet, Used};
use domain::token::Id;
use domain::verify::Reason;
use hsm::MacPurpose;
use subtle::ConstantTimeEq as _;

use super::super::challenge::{
    View, next_mac, refuse, supersede as supersede_open, superseding as open_ones,
};
use super::super::guess::{clear_failures, count_failure};
use super::super::verify::Verdict;
use super::super::{Caller, FlowError, handle, users};
use super::codes::{check, end_former, left, marked, row_sealed};
use super::notice::{Notice, Occasion};
use super::refused;
use crate::appliance::Appliance;
use crate::store::challenge::{self, ChallengeRow};
use crate::store::recovery::{self, RecoveryRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, event, user};

/// Level of assurance of a login by a recovery code (D-36).
const LOA: f64 = 1.5;
/// What an accepted code is told as, in place of a serial.
const SERIAL: &str = "recovery";
const REFUSED: &str = "recovery.refused";

/// Why there is nothing to recover with: alike for an unknown user.
const NO_CODES: FlowError =
    FlowError::Phone { key: "recovery.none", text: "there is no such user, or no recovery code is left" };

/// Orders a challenge that a recovery code answers.
///
/// # Errors
/// [`FlowError::Phone`] `recovery.none` alike for an unknown user and for one without codes; [`FlowError::RateLimited`].
pub fn order(app: &Appliance, caller: &Caller, name: &str) -> Result<View, FlowError> {
    end_former(app)?;
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
    let found = app.store.read(|c| recovery::by_id(c, set))?;
    let Some(codes) = found.filter(|codes| codes.user_id == row.user_id) else {
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
        let notice = Notice::of(app, self.owner, Occasion::RecoveryUsed { left });
        let told = notice.told.clone();
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
            told.write(w)?;
            Ok(true)
        })?;
        if won {
            notice.go(app);
        }
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
