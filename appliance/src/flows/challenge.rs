//! Challenges with a code that we send: ordered, delivered, answered.

use domain::challenge::{ChallengeError, Progress, State};
use domain::event::Event;
use domain::names::UserName;
use domain::sentcode;
use domain::time::Now;
use domain::token::Id;
use domain::verify::Reason;
use hsm::{Factor, MacPurpose, Match, MatchKey, Matched};
use oath::Code;

use super::guess::{clear_failures, count_failure};
use super::verify::Verdict;
use super::{Caller, FlowError, handle, users};
use crate::appliance::Appliance;
use crate::store::challenge::ChallengeRow;
use crate::store::outbox::MessageRow;
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{challenge, event, outbox, phone, user};

/// Level of assurance of an accepted code that was sent by SMS.
const SMS_LOA: f64 = 2.0;

/// A challenge as its application may see it.
#[derive(Clone, Debug)]
pub struct View {
    /// The row, aged to this moment.
    pub row: ChallengeRow,
    /// Last digits of the number.
    pub phone_masked: String,
    /// End of the code's life in Unix milliseconds; none before the modem's acknowledgement.
    pub expires_at_ms: Option<i64>,
}

/// Orders a code for a user's verified phone.
///
/// # Errors
/// [`FlowError::NoUserOrPhone`] alike for an unknown user and for one without a verified number (SMS-08);
/// [`FlowError::RateLimited`] when the limiter refuses; [`FlowError::NoModem`] without a modem.
pub fn create(app: &Appliance, caller: &Caller, name: &str) -> Result<View, FlowError> {
    if app.config.modems.is_empty() {
        return Err(FlowError::NoModem);
    }
    let Some((owner, bound)) = reachable(app, name)? else {
        return Err(no_user_or_phone(app, caller)?);
    };
    let _order = app.lock_user(&owner.id)?;
    let now = app.clock.now();
    if let Err(reason) = app.admit(caller, &owner, &now)? {
        let event = Event::refused(now.wall_ms, "sms.challenge_refused", caller.actor.clone(), reason.name());
        app.refuse(event.about("user_ref", &owner.user_ref))?;
        return Err(FlowError::RateLimited);
    }
    let id: Id = app.random()?;
    let progress = Progress::start();
    let older = app.store.read(|c| challenge::open_of(c, &owner.id, &caller.application))?;
    let mut bytes = vec![progress.bytes(&id, &owner.id)];
    for former in &older {
        bytes.push(former.bytes(&former.progress));
        bytes.push(former.bytes(&superseded(&former.progress)));
    }
    let macs = app.hsm.mac(MacPurpose::State, bytes)?;
    let (state_mac, former_macs) = macs.split_first().ok_or(hsm::HsmError::Protocol)?;
    let row = ChallengeRow {
        id,
        user_id: owner.id,
        application_id: caller.application,
        purpose: "login".to_owned(),
        phone_id: Some(bound.id),
        digits: app.config.terms.digits,
        progress,
        state_mac: *state_mac,
        created_at: now.wall_ms,
    };
    let message = message_for(app, &row, &owner, &bound, &now)?;
    let phone_masked = users::open_number(app, &owner, &bound.number)?.masked();
    let event = app
        .event("sms.challenge_ordered", caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(&id));
    let superseding: Vec<_> = older
        .into_iter()
        .zip(former_macs.chunks_exact(2).map(|pair| [pair[0], pair[1]]))
        .filter(|(former, [present, _])| former.state_mac == *present)
        .map(|(former, [_, next])| (former, next))
        .collect();
    let (inserted, at) = (row.clone(), now.wall_ms);
    app.store.write(move |w| {
        for (former, next_mac) in &superseding {
            challenge::put_progress(w, former, &superseded(&former.progress), next_mac, at)?;
        }
        challenge::insert(w, &inserted)?;
        outbox::insert(w, &message)?;
        event::append(w, &event).map(drop)
    })?;
    app.bell.ring();
    Ok(View { row, phone_masked, expires_at_ms: None })
}

fn superseded(progress: &Progress) -> Progress {
    Progress { state: State::Superseded, ..*progress }
}

/// The user and the verified phone, if there are both.
fn reachable(app: &Appliance, name: &str) -> Result<Option<(UserRow, PhoneRow)>, FlowError> {
    let Ok(name) = UserName::parse(name) else { return Ok(None) };
    Ok(app.store.read(|c| {
        let Some(owner) = user::by_name(c, &name)?.filter(|u| u.state == "active") else { return Ok(None) };
        let bound = phone::of_user(c, &owner.id)?.filter(|phone| phone.state == "verified");
        Ok(bound.map(|bound| (owner, bound)))
    })?)
}

fn no_user_or_phone(app: &Appliance, caller: &Caller) -> Result<FlowError, FlowError> {
    app.match_decoy("")?;
    let now_ms = app.clock.now().wall_ms;
    app.refuse(Event::refused(now_ms, "sms.no_user_or_phone", caller.actor.clone(), "no_user_or_phone"))?;
    Ok(FlowError::NoUserOrPhone)
}

fn message_for(
    app: &Appliance,
    row: &ChallengeRow,
    owner: &UserRow,
    bound: &PhoneRow,
    now: &Now,
) -> Result<MessageRow, FlowError> {
    Ok(MessageRow {
        id: app.new_id()?,
        challenge_id: Some(row.id),
        send_number: Some(row.progress.send_number),
        user_id: Some(owner.id),
        template: Some(app.config.sms_message.clone()),
        number: bound.number.clone(),
        body: None,
        state: domain::outbox::State::Queued,
        modem: None,
        parts: 0,
        refs: Vec::new(),
        tries: 0,
        error: None,
        expires: now.deadline_in(app.config.terms.delivery_ms),
        created_at: now.wall_ms,
        sent_at: None,
    })
}

/// The challenge with this handle, if this application ordered it.
fn own(app: &Appliance, caller: &Caller, id: &Id) -> Result<Option<(ChallengeRow, UserRow)>, FlowError> {
    Ok(app.store.read(|c| {
        let row = challenge::by_id(c, id)?.filter(|row| row.application_id == caller.application);
        let Some(row) = row else { return Ok(None) };
        Ok(user::by_id(c, &row.user_id)?.map(|owner| (row, owner)))
    })?)
}

/// Shows a challenge to the application that ordered it.
///
/// # Errors
/// [`FlowError::NotFound`], for another application's challenge too.
pub fn show(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let (mut row, owner) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let now = app.clock.now();
    row.progress = row.progress.aged(&now);
    let bound = app.store.read(|c| phone::of_user(c, &owner.id))?;
    let phone_masked = match bound {
        Some(bound) => users::open_number(app, &owner, &bound.number)?.masked(),
        None => String::new(),
    };
    let expires_at_ms = row.progress.expires.and_then(|end| end.wall_ms(&now));
    Ok(View { row, phone_masked, expires_at_ms })
}

/// Sends a new code; the former one is dead (SMS-32).
///
/// # Errors
/// [`FlowError::NotFound`], [`FlowError::RateLimited`] at the limits, [`FlowError::Conflict`] after the end.
pub fn resend(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let (found, owner) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let _order = app.lock_user(&found.user_id)?;
    let (row, _) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let now = app.clock.now();
    if app.admit(caller, &owner, &now)?.is_err() {
        return Err(FlowError::RateLimited);
    }
    let next = row.progress.aged(&now).resend(&app.config.terms).map_err(|error| match error {
        ChallengeError::TooManySends => FlowError::RateLimited,
        ChallengeError::WrongState(_) => FlowError::Conflict(error.to_string()),
    })?;
    let bound = app.store.read(|c| phone::of_user(c, &owner.id))?.ok_or(FlowError::NoUserOrPhone)?;
    let next_mac = next_mac(app, &row, &next)?;
    let sent_again = ChallengeRow { progress: next, state_mac: next_mac, ..row.clone() };
    let message = message_for(app, &sent_again, &owner, &bound, &now)?;
    let event = app
        .event("sms.challenge_ordered", caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(id));
    let saved = app.store.write(move |w| {
        let saved = challenge::put_progress(w, &row, &next, &next_mac, now.wall_ms)?;
        if saved {
            outbox::insert(w, &message)?;
            event::append(w, &event)?;
        }
        Ok(saved)
    })?;
    if !saved {
        return Err(FlowError::Conflict("the challenge was answered meanwhile".to_owned()));
    }
    app.bell.ring();
    show(app, caller, id)
}

/// Takes a challenge back.
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Conflict`] once it has ended.
pub fn cancel(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let (row, owner) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let next = row.progress.ended(State::Cancelled).map_err(|e| FlowError::Conflict(e.to_string()))?;
    let next_mac = next_mac(app, &row, &next)?;
    let at = app.clock.now().wall_ms;
    let event = app
        .event("sms.challenge_cancelled", caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(id));
    app.store.write(move |w| {
        if challenge::put_progress(w, &row, &next, &next_mac, at)? {
            event::append(w, &event)?;
        }
        Ok(())
    })?;
    show(app, caller, id)
}

/// The MAC of a challenge's next progress, once its present one has been checked.
pub(super) fn next_mac(app: &Appliance, row: &ChallengeRow, next: &Progress) -> Result<[u8; 32], FlowError> {
    let macs = app.hsm.mac(MacPurpose::State, vec![row.bytes(&row.progress), row.bytes(next)])?;
    match macs.as_slice() {
        [present, next] if *present == row.state_mac => Ok(*next),
        _ => Err(FlowError::Tampered { what: "the state", which: handle(&row.id) }),
    }
}

/// Verifies the code that was sent. One challenge accepts one code, once.
///
/// # Errors
/// [`FlowError`] when the HSM or the store cannot answer: nothing was accepted and nothing counted.
pub fn verify(app: &Appliance, caller: &Caller, id: &Id, otp: &str) -> Result<Verdict, FlowError> {
    let Some((found, owner)) = own(app, caller, id)? else {
        return refuse(app, caller, None, otp, Reason::NoToken);
    };
    let _order = app.lock_user(&found.user_id)?;
    let Some((row, owner)) = own(app, caller, id)?.map(|(row, _)| (row, owner)) else {
        return refuse(app, caller, None, otp, Reason::NoToken);
    };
    let now = app.clock.now();
    let about = Some((&row, &owner));
    if Code::parse(otp).is_err() {
        return refuse(app, caller, about, otp, Reason::Malformed);
    }
    let progress = row.progress.aged(&now);
    if progress.state == State::Verified {
        return refuse(app, caller, about, otp, Reason::Replay);
    }
    if progress.state != State::Waiting {
        return refuse(app, caller, about, otp, Reason::Wrong);
    }
    let fresh = app.store.read(|c| user::by_id(c, &owner.id))?.unwrap_or_else(|| owner.clone());
    if let Err(reason) = app.admit(caller, &fresh, &now)? {
        return refuse(app, caller, about, otp, reason);
    }
    match_sent(app, caller, &row, &owner, otp, &now)
}

fn refuse(
    app: &Appliance,
    caller: &Caller,
    about: Option<(&ChallengeRow, &UserRow)>,
    otp: &str,
    reason: Reason,
) -> Result<Verdict, FlowError> {
    app.match_decoy(otp)?;
    let mut event =
        Event::refused(app.clock.now().wall_ms, "sms.failed", caller.actor.clone(), reason.name());
    if let Some((row, owner)) = about {
        event = event.about("user_ref", &owner.user_ref).about("challenge", handle(&row.id));
    }
    app.refuse(event)?;
    Ok(Verdict::Reject)
}

fn match_sent(
    app: &Appliance,
    caller: &Caller,
    row: &ChallengeRow,
    owner: &UserRow,
    otp: &str,
    now: &Now,
) -> Result<Verdict, FlowError> {
    let (hit, miss) = (row.progress.verified(), row.progress.missed(&app.config.terms));
    let matched = app.hsm.match_codes(vec![Match {
        key: MatchKey::SentCode,
        state: row.bytes(&row.progress),
        state_mac: row.state_mac,
        format: sentcode::sent_format(row.digits),
        candidate: otp.as_bytes().to_vec(),
        factors: vec![Factor {
            messages: sentcode::sent_messages(&row.id, row.progress.send_number),
            next_state: row.bytes(&hit),
        }],
        refusal: row.bytes(&miss),
    }])?;
    let at = now.wall_ms;
    let subject = |event: Event| event.about("user_ref", &owner.user_ref).about("challenge", handle(&row.id));
    let (limits, application, now, loaded) = (app.config.limits, caller.application, *now, row.clone());
    match matched.first() {
        Some(Matched::Hit { next_mac, .. }) => {
            let next_mac = *next_mac;
            let verified = subject(app.event("sms.verified", caller));
            let lost = subject(Event::refused(at, "sms.failed", caller.actor.clone(), Reason::Replay.name()));
            let won = app.store.write(move |w| {
                let won = challenge::put_progress(w, &loaded, &hit, &next_mac, at)?;
                if won {
                    clear_failures(w, &loaded.user_id, &application)?;
                }
                event::append(w, if won { &verified } else { &lost })?;
                Ok(won)
            })?;
            let accept = || Verdict::Accept { serial: format!("SMS-{}", handle(&row.id)), loa: SMS_LOA };
            Ok(if won { accept() } else { Verdict::Reject })
        }
        Some(Matched::Miss { next_mac }) => {
            let next_mac = *next_mac;
            let failed =
                subject(Event::refused(at, "sms.failed", caller.actor.clone(), Reason::Wrong.name()));
            let exhausted = (miss.state == State::Exhausted)
                .then(|| subject(app.event("sms.attempts_exhausted", caller)));
            app.store.write(move |w| {
                challenge::put_progress(w, &loaded, &miss, &next_mac, at)?;
                count_failure(w, &limits, &loaded.user_id, &application, &now)?;
                event::append(w, &failed)?;
                exhausted.iter().try_for_each(|event| event::append(w, event).map(drop))
            })?;
            Ok(Verdict::Reject)
        }
        _ => Err(FlowError::Tampered { what: "the state", which: handle(&row.id) }),
    }
}
