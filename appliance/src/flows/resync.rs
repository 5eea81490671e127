//! Resynchronisation: two consecutive codes of a token say where its counter or clock stands (RFC 4226 section 7.4).

use domain::event::Event;
use domain::names::Serial;
use domain::time::Now;
use domain::token::{Factor, Lifecycle, MovingState};
use hsm::Matched;
use oath::Code;

use super::question::{self, Try};
use super::tokens::{find, save};
use super::{Caller, FlowError, guess};
use crate::appliance::Appliance;
use crate::store::token::ACTIVE_MAX;
use crate::store::token::TokenRow;
use crate::store::user::UserRow;
use crate::store::{event, token, user};

/// HOTP counters ahead, TOTP steps on each side (D-28).
const WINDOW: u16 = 100;

/// Finds a token's counter or clock again from two consecutive codes (RFC 4226 7.4). Both are consumed.
///
/// # Errors
/// [`FlowError::RateLimited`] when the limiter refuses; [`FlowError::Conflict`] when the codes are not two
/// consecutive unused ones within the window, which counts as a wrong code.
pub fn run(
    app: &Appliance,
    caller: &Caller,
    serial: &Serial,
    codes: [&str; 2],
) -> Result<TokenRow, FlowError> {
    let found = find(app, serial)?;
    let owner_id = found.user_id.ok_or(FlowError::NotFound("token"))?;
    let _order = app.lock_user(&owner_id)?;
    let row = find(app, serial)?;
    let now = app.clock.now();
    let owner = app.store.read(|c| user::by_id(c, &owner_id))?.ok_or(FlowError::NotFound("user"))?;
    if app.admit(caller, &owner, &now)?.is_err() || row.state.is_locked(&now) {
        let event = Event::refused(now.wall_ms, "oath.resync", caller.actor.clone(), "limited");
        app.refuse(event.about("token", row.serial.as_str()))?;
        return Err(FlowError::RateLimited);
    }
    if row.state.lifecycle != Lifecycle::Active {
        return Err(FlowError::Conflict(format!("the token is {}", row.state.lifecycle.name())));
    }
    if row.policy.suite().is_some() {
        let text = "the token answers questions: it has no counter and no clock to find again";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    let serial = row.serial.clone();
    if let Some(row) = find_again(app, caller, vec![row], codes, &now)? {
        return Ok(row);
    }
    let event = Event::refused(now.wall_ms, "oath.resync", caller.actor.clone(), "wrong");
    count_wrong(app, caller, &owner, event.about("token", serial.as_str()), now)?;
    Err(FlowError::Conflict("these are not two consecutive unused codes of this token".to_owned()))
}

/// The same for whichever of a user's tokens the codes are of; none when they are of none, which counts as one wrong
/// code.
///
/// # Errors
/// [`FlowError::RateLimited`] when the limiter refuses.
pub fn of_user(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    codes: [&str; 2],
) -> Result<Option<TokenRow>, FlowError> {
    let _order = app.lock_user(&owner.id)?;
    let now = app.clock.now();
    // Once more, behind the others in line: their wrong codes count here.
    let owner = app.store.read(|c| user::by_id(c, &owner.id))?.ok_or(FlowError::NotFound("user"))?;
    let refused = |reason| {
        Event::refused(now.wall_ms, "oath.resync", caller.actor.clone(), reason)
            .about("user_ref", &owner.user_ref)
    };
    if app.admit(caller, &owner, &now)?.is_err() {
        app.refuse(refused("limited"))?;
        return Err(FlowError::RateLimited);
    }
    let able = |row: &TokenRow| {
        row.state.lifecycle == Lifecycle::Active && !row.state.is_locked(&now) && row.policy.suite().is_none()
    };
    let rows = app.store.read(|c| token::of_user(c, &owner.id))?;
    let rows = rows.into_iter().filter(able).take(ACTIVE_MAX).collect();
    let found = find_again(app, caller, rows, codes, &now)?;
    if found.is_none() {
        count_wrong(app, caller, &owner, refused("wrong"), now)?;
    }
    Ok(found)
}

/// Saves the first of these tokens that the codes are of.
fn find_again(
    app: &Appliance,
    caller: &Caller,
    rows: Vec<TokenRow>,
    codes: [&str; 2],
    now: &Now,
) -> Result<Option<TokenRow>, FlowError> {
    if codes.iter().any(|code| Code::parse(code).is_err()) {
        return Ok(None);
    }
    for row in rows {
        if let Some((next, next_mac)) = consecutive(app, &row, codes, now)? {
            return save(app, caller, "oath.resync", row, next, next_mac).map(Some);
        }
    }
    Ok(None)
}

fn count_wrong(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    event: Event,
    now: Now,
) -> Result<(), FlowError> {
    let locked = app.event("user.locked", caller).about("user_ref", &owner.user_ref);
    let (limits, application, id) = (app.config.limits, caller.application, owner.id);
    Ok(app.store.write(move |w| {
        event::append(w, &event)?;
        if guess::count_failure(w, &limits, &id, &application, &now)? {
            event::append(w, &locked)?;
        }
        Ok(())
    })?)
}

/// The state after two consecutive codes, if that is what they are.
fn consecutive(
    app: &Appliance,
    row: &TokenRow,
    codes: [&str; 2],
    now: &Now,
) -> Result<Option<(MovingState, [u8; 32])>, FlowError> {
    let factors = unused_factors(row, now);
    let question = |code: &str, factors: &[u64]| {
        let tries = factors.iter().map(|&factor| Try {
            message: oath::moving_factor(factor).to_vec(),
            next: resynced(row, factor, now),
        });
        question::question(row, code, tries, &row.state, factors.len())
    };
    let hit = |matched: Vec<Matched>| match matched.first() {
        Some(Matched::Hit { factor, next_mac }) => Ok(Some((*factor, *next_mac))),
        Some(Matched::Miss { .. }) => Ok(None),
        _ => Err(FlowError::Tampered { what: "the state", which: row.serial.to_string() }),
    };
    let first = hit(app.hsm.match_codes(vec![question(codes[0], &factors)])?)?;
    let Some(second) = first.and_then(|(index, _)| factors.get(index)).map(|factor| factor + 1) else {
        return Ok(None);
    };
    let found = hit(app.hsm.match_codes(vec![question(codes[1], &[second])])?)?;
    Ok(found.map(|(_, next_mac)| (resynced(row, second, now), next_mac)))
}

/// Unused factors within the window, lowest first.
fn unused_factors(row: &TokenRow, now: &Now) -> Vec<u64> {
    let first_unused = u64::try_from(row.state.last.saturating_add(1)).unwrap_or(0);
    match row.policy.factor {
        Factor::Hotp => oath::hotp_candidates(first_unused, WINDOW).collect(),
        Factor::Ocra { .. } => Vec::new(),
        Factor::Totp { period, t0 } => {
            let step = oath::TotpClock { t0, period }.step(now.unix_seconds()).unwrap_or(0);
            let window = u64::from(WINDOW);
            (step.saturating_sub(window).max(first_unused)..=step.saturating_add(window)).collect()
        }
    }
}

fn resynced(row: &TokenRow, factor: u64, now: &Now) -> MovingState {
    let drift = match row.policy.factor {
        Factor::Hotp | Factor::Ocra { .. } => 0,
        Factor::Totp { period, t0 } => {
            let step = oath::TotpClock { t0, period }.step(now.unix_seconds()).unwrap_or(0);
            i32::try_from(i128::from(factor) - i128::from(step)).unwrap_or(0)
        }
    };
    let last = i64::try_from(factor).unwrap_or(i64::MAX);
    MovingState { last, drift, ..row.state.unlocked() }
}
