//! Delivery: from the outbox to a modem, and what follows for the challenge whose code it was.
//!
//! `sending` is durable before a modem sees a byte; what was `sending` when the appliance stopped becomes
//! `unknown` and is never sent again.

use domain::challenge::{ChallengeError, Progress, Wanted};
use domain::event::{Actor, Event};
use domain::outbox::State;
use domain::phone::Msisdn;
use domain::sentcode;
use zeroize::Zeroizing;

use super::challenge::next_mac;
use super::{FlowError, handle, messages, phones, users};
use crate::appliance::Appliance;
use crate::store::challenge::ChallengeRow;
use crate::store::outbox::{Dispatch, MessageRow};
use crate::store::{StoreError, Writing, challenge, event, outbox, phone, user};

/// Messages settled in one sweep at the most.
const SWEEP_MAX: usize = 256;

/// What a modem is to send: made at the last moment, never stored.
pub struct Text {
    /// To whom.
    pub number: Msisdn,
    /// What.
    pub body: Zeroizing<String>,
}

/// Takes the oldest waiting message for a modem. It is `sending`, durably, on return.
///
/// # Errors
/// When the store cannot answer.
pub fn claim(app: &Appliance, modem: &str) -> Result<Option<MessageRow>, FlowError> {
    let (modem, now) = (modem.to_owned(), app.clock.now());
    Ok(app.store.write(move |w| outbox::claim(w, &modem, &now))?)
}

/// Makes number and text of a claimed message; none when its code is not wanted any more.
///
/// # Errors
/// When the HSM or the store cannot answer: the message can go back to the queue, no byte has left.
pub fn compose(app: &Appliance, message: &MessageRow) -> Result<Option<Text>, FlowError> {
    let Some(challenge_id) = &message.challenge_id else {
        let key = app.own_key()?;
        let number = app.hsm.open(&key, &messages::number_aad(&message.id), &message.number)?;
        let sealed = message.body.as_deref().unwrap_or_default();
        let body = app.hsm.open(&key, &messages::body_aad(&message.id), sealed)?;
        return text(message, &number, &body).map(Some);
    };
    let found = app.store.read(|c| {
        let Some(row) = challenge::by_id(c, challenge_id)? else { return Ok(None) };
        let owner = user::by_id(c, &row.user_id)?;
        let bound = phone::of_user(c, &row.user_id)?;
        Ok(owner.map(|owner| (row, owner, bound)))
    })?;
    let Some((row, owner, bound)) = found else { return Ok(None) };
    let wanted = row.progress.state == domain::challenge::State::Delivering
        && Some(row.progress.send_number) == message.send_number
        && Some(row.user_id) == message.user_id;
    // The number is the one bound at this moment: a message queued for a former number goes nowhere. One that is
    // being registered, or that an application vouched for, is bound to its challenge by its seal.
    let phone = row.wanted.phone();
    let is_bound = |bound: &phone::PhoneRow| {
        Some(bound.id) == phone && bound.state == "verified" && bound.number == message.number
    };
    bound.as_ref().filter(|_| phone.is_some()).map_or(Ok(()), |bound| phones::check(app, bound))?;
    if !wanted || (phone.is_some() && !bound.as_ref().is_some_and(is_bound)) {
        return Ok(None);
    }
    next_mac(app, &row, &row.progress)?;
    let code = match row.wanted {
        Wanted::Response { .. } | Wanted::Push { .. } | Wanted::Recovery { .. } => return Ok(None),
        Wanted::SentLink { .. } => super::journey::link::address(app, &row)?,
        Wanted::SentCode { digits, .. } => app.hsm.compute(hsm::Compute {
            format: sentcode::sent_format(digits),
            messages: sentcode::sent_messages(&row.id, row.progress.send_number),
        })?,
    };
    let template = message.template.as_deref().unwrap_or("%s");
    let body = crate::texts::fill(template, &code);
    let number = if phone.is_some() {
        users::open_number(app, &owner, &message.number)?
    } else {
        users::open_number_of_challenge(app, &owner, &row.id, &message.number)?
    };
    text(message, number.expose().as_bytes(), &body).map(Some)
}

fn text(message: &MessageRow, number: &[u8], body: &[u8]) -> Result<Text, FlowError> {
    let fault = || FlowError::Tampered { what: "the text", which: handle(&message.id) };
    let number = std::str::from_utf8(number).ok().and_then(|n| Msisdn::parse(n).ok()).ok_or_else(fault)?;
    let body = String::from_utf8(body.to_vec()).map_err(|_| fault())?;
    Ok(Text { number, body: Zeroizing::new(body) })
}

/// What came of a message.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The modem acknowledged every part.
    Sent(Dispatch),
    /// No byte has left; it may be tried again.
    Again(Dispatch),
    /// It was refused, or will not be tried again.
    Failed(Dispatch),
    /// It may or may not have gone out.
    Unknown(Dispatch),
}

/// Saves what came of a message and what it means for its challenge, in one transaction.
///
/// # Errors
/// When the HSM or the store cannot answer: the message stays `sending` until a later call succeeds, or the
/// next start makes it `unknown`.
pub fn settle(app: &Appliance, message: &MessageRow, outcome: Outcome) -> Result<(), FlowError> {
    let _order = message.user_id.map(|id| app.lock_user(&id)).transpose()?;
    let now = app.clock.now();
    let (to, kind, mut dispatch) = match outcome {
        Outcome::Sent(dispatch) => (State::Sent, sent_kind(app, message)?, dispatch),
        Outcome::Again(dispatch) => (State::Queued, "sms.delayed", dispatch),
        Outcome::Failed(dispatch) => (State::Failed, "sms.send_failed", dispatch),
        Outcome::Unknown(dispatch) => (State::Unknown, "sms.send_unknown", dispatch),
    };
    let sent = to == State::Sent;
    dispatch.sent_at = sent.then_some(now.wall_ms);
    let follow = if to == State::Queued {
        None
    } else {
        follow_up(app, message, |row, number| match sent {
            true => row.progress.delivered(number, &app.terms(row.authenticator.as_deref()), &now),
            false => row.progress.undeliverable(number),
        })?
    };
    let event = event_about(app, message, kind, dispatch.error.as_deref());
    let message = message.clone();
    Ok(app.store.write(move |w| {
        if outbox::put_state(w, &message, to, &dispatch)? {
            put_follow_up(w, follow.as_ref(), now.wall_ms)?;
            event::append(w, &event)?;
        }
        Ok(())
    })?)
}

/// What the event of a sent code or link is called: a number that is being registered is not the user's yet (MOB-39).
fn sent_kind(app: &Appliance, message: &MessageRow) -> Result<&'static str, FlowError> {
    let Some(id) = &message.challenge_id else { return Ok("sms.sent") };
    let row = app.store.read(|c| challenge::by_id(c, id))?;
    let registers = row.is_some_and(|row| matches!(row.purpose.as_str(), "register" | "change"));
    Ok(if registers { "phone.otp_sent" } else { "sms.challenge_sent" })
}

type FollowUp = (ChallengeRow, Progress, [u8; 32]);

/// The challenge's next progress, unless it is not waiting for this message any more.
fn follow_up(
    app: &Appliance,
    message: &MessageRow,
    step: impl FnOnce(&ChallengeRow, u32) -> Result<Progress, ChallengeError>,
) -> Result<Option<FollowUp>, FlowError> {
    let (Some(id), Some(number)) = (&message.challenge_id, message.send_number) else { return Ok(None) };
    let Some(row) = app.store.read(|c| challenge::by_id(c, id))? else { return Ok(None) };
    match step(&row, number) {
        Err(_) => Ok(None),
        Ok(next) => match next_mac(app, &row, &next) {
            Ok(mac) => Ok(Some((row, next, mac))),
            Err(error @ FlowError::Tampered { .. }) => {
                app.note_tampering(&error, &Actor::system("outbox"))?;
                Ok(None)
            }
            Err(error) => Err(error),
        },
    }
}

fn put_follow_up(writing: &mut Writing<'_>, follow: Option<&FollowUp>, at: i64) -> Result<(), StoreError> {
    match follow {
        None => Ok(()),
        Some((row, next, mac)) => challenge::put_progress(writing, row, next, mac, at).map(drop),
    }
}

fn event_about(app: &Appliance, message: &MessageRow, kind: &'static str, error: Option<&str>) -> Event {
    let actor = Actor::system(message.modem.as_deref().unwrap_or("outbox"));
    let at = app.clock.now().wall_ms;
    let event = match error {
        None => Event::ok(at, kind, actor),
        Some(error) => Event::failed(at, kind, actor, error),
    };
    let event = event.about("message", handle(&message.id));
    match &message.challenge_id {
        Some(id) => event.about("challenge", handle(id)),
        None => event,
    }
}

/// At start: whatever was `sending` may have gone out. It becomes `unknown`, and is never sent again.
///
/// # Errors
/// When the HSM or the store cannot answer; the caller tries again before any modem is opened.
pub fn settle_interrupted(app: &Appliance) -> Result<usize, FlowError> {
    let mut settled = 0;
    loop {
        let page = app.store.read(|c| outbox::in_state(c, State::Sending, SWEEP_MAX))?;
        if page.is_empty() {
            return Ok(settled);
        }
        settled += page.len();
        for message in page {
            let error = Some("the appliance stopped while it was being sent".to_owned());
            settle(app, &message, Outcome::Unknown(Dispatch { error, ..Dispatch::default() }))?;
        }
    }
}

/// Drops waiting messages whose time is over: a late code is worth nothing.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub fn drop_overdue(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now();
    for message in app.store.read(|c| outbox::overdue(c, &now, SWEEP_MAX))? {
        let _order = message.user_id.map(|id| app.lock_user(&id)).transpose()?;
        let follow = follow_up(app, &message, |row, number| row.progress.undeliverable(number))?;
        let error = Some("its time was over before a modem could take it".to_owned());
        let event = event_about(app, &message, "sms.expired", error.as_deref());
        app.store.write(move |w| {
            let dispatch = Dispatch { error, ..Dispatch::default() };
            if outbox::put_state(w, &message, State::Expired, &dispatch)? {
                put_follow_up(w, follow.as_ref(), now.wall_ms)?;
                event::append(w, &event)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The network reported what became of a message part.
///
/// # Errors
/// When the store cannot answer.
pub fn reported(app: &Appliance, modem: &str, reference: u8, delivered: bool) -> Result<(), FlowError> {
    let reference = reference.to_string();
    let Some(message) = app.store.read(|c| outbox::sent_by_reference(c, modem, &reference))? else {
        return Ok(());
    };
    if !delivered {
        let event = event_about(app, &message, "sms.not_delivered", Some("the network could not deliver it"));
        return app.refuse(event);
    }
    let event = event_about(app, &message, "sms.delivered", None);
    Ok(app.store.write(move |w| {
        if outbox::put_state(w, &message, State::Delivered, &Dispatch::default())? {
            event::append(w, &event)?;
        }
        Ok(())
    })?)
}
