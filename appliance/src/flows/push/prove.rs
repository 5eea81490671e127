//! What shows that a phone has its secret: its reply (C.2), or for codes alone the first of them; and possession once
//! more, after the registration (COMB-04, COMB-05).

use domain::event::Event;
use domain::registration::{Proof, State};
use domain::token::Id;
use domain::verify::{self, Meaning, Reason};
use hsm::Matched;
use push::reply::RegistrationReply;

use super::super::guess::{clear_failures, count_failure};
use super::super::question::{Try, question};
use super::super::verify::{self as codes, Attempt, Only, Target, Verdict};
use super::super::{Caller, FlowError, users};
use super::prepared::Prepared;
use super::refusal::{self, Kind};
use super::register::{about, check, find, put, sealed};
use super::settle::Proved;
use super::{authenticate, caller};
use crate::appliance::Appliance;
use crate::store::push_device::binding;
use crate::store::registration::{self, RegistrationRow};
use crate::store::token::TokenRow;
use crate::store::user::UserRow;
use crate::store::{event, token, user};

/// Takes a phone's reply to its QR code. False is 400, whatever the reason (COMB-38): what is not right changes nothing.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub fn by_reply(app: &Appliance, body: &[u8]) -> Result<bool, FlowError> {
    let Ok(reply) = RegistrationReply::parse(body) else {
        return refusal::write(app, Kind::Reply, "malformed", None);
    };
    let load = || {
        app.store.read(|c| {
            let Some(row) = registration::by_message(c, reply.message().as_str())? else { return Ok(None) };
            Ok(user::by_id(c, &row.user_id)?.map(|owner| (row, owner)))
        })
    };
    // COMB-34: a reply that belongs to no registration.
    let unknown = || refusal::write_named(app, ("mfa.registration_failed", "no_message_id"), None);
    let Some((found, _)) = load()? else { return unknown() };
    let _order = app.lock_user(&found.user_id)?;
    let Some((row, owner)) = load()? else { return unknown() };
    check(app, &row)?;
    users::check_account(app, &owner)?;
    let now = app.clock.now();
    let proved = row.registration.proved(Proof::Reply, &now);
    let (Ok(registration), true) = (proved, owner.state == users::ACTIVE) else {
        let late = ("mfa.reply_refused", "late");
        return refusal::write_about(app, late, &owner.user_ref, |event| about(event, &owner, &row));
    };
    let Some(prepared) = Prepared::open(app, &owner, &row)? else { return Ok(false) };
    let Some(half) = &prepared.push else { return Ok(false) };
    let serial = domain::names::Serial::parse(&half.serial);
    let serial = serial.map_err(|error| FlowError::Invalid(error.to_string()))?;
    let key = (Some(half.record.as_slice()), binding(&half.id, &serial, &owner.id), half.record_mac);
    let [signature, response] =
        authenticate(app, serial.as_str(), key, [reply.signing_input(), &half.nonce])?;
    let phone = match reply.open(&signature, &response) {
        Ok(phone) => phone,
        Err(why) => {
            tracing::info!(%why, "a phone's reply is not taken");
            let bad = ("push.bad_signature", "reply");
            return refusal::write_about(app, bad, &owner.user_ref, |event| about(event, &owner, &row));
        }
    };
    let caller = caller(app, &row.application_id, &owner)?;
    let proved = Proved {
        app,
        caller,
        now,
        row: &row,
        owner: &owner,
        prepared: &prepared,
        registration,
        phone: Some(phone),
        state: None,
    };
    match proved.store() {
        Ok(_) => Ok(true),
        Err(FlowError::Conflict(why)) => {
            tracing::info!(why, "a phone is not registered");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Takes a code: the first one of a registration for codes alone, or a later one that shows possession once more. False
/// is a wrong code, which is counted.
///
/// # Errors
/// As [`find`]; [`FlowError::Conflict`] where no code is awaited.
pub fn by_code(app: &Appliance, who: &Caller, name: &str, id: &Id, otp: &str) -> Result<bool, FlowError> {
    let (row, _) = find(app, who, name, id)?;
    if row.registration.state == State::Registered {
        return again_by_code(app, who, &row, otp);
    }
    let _order = app.lock_user(&row.user_id)?;
    let (row, owner) = find(app, who, name, id)?;
    let now = app.clock.now();
    let registration = row.registration.proved(Proof::Code, &now);
    let registration = registration.map_err(|error| FlowError::Conflict(error.to_string()))?;
    let gone = || FlowError::Conflict("the registration has ended".to_owned());
    let prepared = Prepared::open(app, &owner, &row)?.ok_or_else(gone)?;
    let token = prepared.oath.as_ref().and_then(|half| half.row(&owner)).ok_or_else(gone)?;
    let refused = match oath::Code::parse(otp) {
        Err(_) => Some(Reason::Malformed),
        Ok(_) => app.admit(who, &owner, &now)?.err(),
    };
    if let Some(reason) = refused {
        app.match_decoy(otp)?;
        let event = Event::refused(now.wall_ms, "oath.failed", who.actor.clone(), reason.name());
        app.refuse_seldom(&owner.user_ref, about(event, &owner, &row))?;
        return Ok(false);
    }
    let Some(state) = first_code(app, &token, otp)? else {
        missed(app, who, &owner)?;
        return Ok(false);
    };
    let (user_id, application) = (owner.id, who.application);
    let proved = Proved {
        app,
        caller: who.clone(),
        now,
        row: &row,
        owner: &owner,
        prepared: &prepared,
        registration,
        phone: None,
        state: Some(state),
    };
    proved.store()?;
    app.store.write(move |w| clear_failures(w, &user_id, &application))?;
    Ok(true)
}

type Moved = (domain::token::MovingState, [u8; 32]);

/// The state after a new token's first code; none for a wrong one.
fn first_code(app: &Appliance, row: &TokenRow, otp: &str) -> Result<Option<Moved>, FlowError> {
    let (config, now) = (&app.config, app.clock.now());
    let plan = verify::plan(&row.policy, &row.state, &config.window, &config.limits, false, &now);
    let tries = plan.candidates.iter().map(Try::from);
    let asked = question(row, otp, tries, &plan.refusal, config.window.factors());
    let matched = app.hsm.match_codes(vec![asked])?;
    match matched.first() {
        Some(Matched::Hit { factor, next_mac }) => Ok(plan
            .candidates
            .get(*factor)
            .filter(|candidate| candidate.meaning == Meaning::Fresh)
            .map(|candidate| (candidate.next, *next_mac))),
        Some(Matched::Miss { .. }) => Ok(None),
        _ => Err(FlowError::Tampered { what: "the record", which: row.serial.to_string() }),
    }
}

fn missed(app: &Appliance, who: &Caller, owner: &UserRow) -> Result<(), FlowError> {
    let now = app.clock.now();
    let failed = Event::refused(now.wall_ms, "oath.failed", who.actor.clone(), "wrong");
    let failed = failed.about("user_ref", &owner.user_ref);
    let locked = app.event("user.locked", who).about("user_ref", &owner.user_ref);
    let (limits, application, id) = (app.config.limits, who.application, owner.id);
    Ok(app.store.write(move |w| {
        event::append(w, &failed)?;
        if count_failure(w, &limits, &id, &application, &now)? {
            event::append(w, &locked)?;
        }
        Ok(())
    })?)
}

fn again_by_code(app: &Appliance, who: &Caller, row: &RegistrationRow, otp: &str) -> Result<bool, FlowError> {
    let none = || FlowError::Conflict("the registration has no codes".to_owned());
    let id = row.token_id.ok_or_else(none)?;
    let token = app.store.read(|c| token::by_id(c, &id))?.ok_or_else(none)?;
    let attempt = Attempt {
        target: Target::Token(token.serial.to_string()),
        only: Only::default(),
        otp: otp.to_owned(),
        request_id: None,
    };
    if !matches!(codes::run(app, who, &attempt)?, Verdict::Accept { .. }) {
        return Ok(false);
    }
    let _order = app.lock_user(&row.user_id)?;
    if let Some((loaded, next)) = verified(app, Some(row.clone()))? {
        app.store.write(move |w| put(w, &loaded, &next))?;
    }
    Ok(true)
}

/// A registration whose possession was shown once more, before and after; none where it is not that far.
pub(super) fn verified(
    app: &Appliance,
    row: Option<RegistrationRow>,
) -> Result<Option<(RegistrationRow, RegistrationRow)>, FlowError> {
    let Some(row) = row else { return Ok(None) };
    check(app, &row)?;
    let Ok(registration) = row.registration.verified() else { return Ok(None) };
    let next = sealed(app, RegistrationRow { registration, ..row.clone() })?;
    Ok(Some((row, next)))
}

/// Asks the phone that was just registered, to show possession once more (COMB-04).
///
/// # Errors
/// As [`find`] and [`super::ask::order`]; [`FlowError::Conflict`] unless a phone was registered.
pub fn ask_again(
    app: &Appliance,
    who: &Caller,
    name: &str,
    id: &Id,
) -> Result<super::super::challenge::View, FlowError> {
    let (row, owner) = find(app, who, name, id)?;
    let (State::Registered, Some(device)) = (row.registration.state, row.device_id) else {
        let text = "no phone was registered, or it has shown itself already";
        return Err(FlowError::Conflict(text.to_owned()));
    };
    let wish = super::ask::Wish { purpose: "register", device: Some(device), ..super::ask::Wish::default() };
    super::ask::order_for(app, who, owner.name.as_str(), &wish, Some(id))
}

/// A registration whose possession a push is to show once more, before and after; the caller holds the user's lock.
///
/// # Errors
/// As [`find`]; [`FlowError::Conflict`] once the phone has shown itself.
pub(super) fn asked_again(
    app: &Appliance,
    who: &Caller,
    owner: &UserRow,
    id: &Id,
    challenge: Id,
) -> Result<(RegistrationRow, RegistrationRow), FlowError> {
    let (row, _) = find(app, who, owner.name.as_str(), id)?;
    if row.registration.state != State::Registered {
        return Err(FlowError::Conflict("the phone has shown itself already".to_owned()));
    }
    let next = sealed(app, RegistrationRow { challenge_id: Some(challenge), ..row.clone() })?;
    Ok((row, next))
}
