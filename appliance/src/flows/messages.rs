//! Free texts through the outbox: an operator's own message, or a test to a user's verified number.

use domain::event::Event;
use domain::names::UserName;
use domain::outbox::State;
use domain::phone::Msisdn;
use domain::time::Now;
use domain::token::Id;

use super::phones::{self, VERIFIED};
use super::{Caller, FlowError, handle, users};
use crate::appliance::Appliance;
use crate::store::outbox::MessageRow;
use crate::store::{event, outbox};

/// Longest text, in characters: three parts of UCS-2.
pub const TEXT_MAX: usize = 201;
/// Life of a message unless said otherwise, and at most, in milliseconds.
pub const EXPIRY_MS: u64 = 300_000;
/// Longest life, in milliseconds (boot clock).
pub const EXPIRY_MAX_MS: u64 = domain::time::SHORT_TERM_MAX_MS;

pub(super) fn body_aad(message: &Id) -> Vec<u8> {
    [b"countersign message body 1".as_slice(), message].concat()
}

pub(super) fn number_aad(message: &Id) -> Vec<u8> {
    [b"countersign message number 1".as_slice(), message].concat()
}

/// Queues a text to any number.
///
/// # Errors
/// [`FlowError::NoModem`]; [`FlowError::Invalid`] for an empty or too long text.
pub fn send(
    app: &Appliance,
    caller: &Caller,
    to: &Msisdn,
    text: &str,
    expires_ms: u64,
) -> Result<MessageRow, FlowError> {
    if app.config.modems.is_empty() {
        return Err(FlowError::NoModem);
    }
    if text.is_empty() || text.chars().count() > TEXT_MAX {
        return Err(FlowError::Invalid(format!("a text has 1 to {TEXT_MAX} characters")));
    }
    if !(1_000..=EXPIRY_MAX_MS).contains(&expires_ms) {
        return Err(FlowError::Invalid("a message lives 1 s to 15 min".to_owned()));
    }
    let row = row(app, to, text, expires_ms, &app.clock.now())?;
    let event = app.event("sms.queued", caller).about("message", handle(&row.id));
    let inserted = row.clone();
    app.store.write(move |w| {
        outbox::insert(w, &inserted)?;
        event::append(w, &event).map(drop)
    })?;
    app.bell.ring();
    Ok(row)
}

/// A message to any number, not stored yet.
pub(super) fn row(
    app: &Appliance,
    to: &Msisdn,
    text: &str,
    expires_ms: u64,
    now: &Now,
) -> Result<MessageRow, FlowError> {
    let key = app.own_key()?;
    let id = app.new_id()?;
    Ok(MessageRow {
        id,
        challenge_id: None,
        send_number: None,
        user_id: None,
        template: None,
        number: app.hsm.seal(&key, &number_aad(&id), to.expose().as_bytes())?,
        body: Some(app.hsm.seal(&key, &body_aad(&id), text.as_bytes())?),
        state: State::Queued,
        modem: None,
        parts: 0,
        refs: Vec::new(),
        tries: 0,
        error: None,
        expires: now.deadline_in(expires_ms),
        created_at: now.wall_ms,
        sent_at: None,
    })
}

/// Queues a test text to a user's verified number, in the user's language (MOB-36).
///
/// # Errors
/// [`FlowError::NoUserOrPhone`] without a verified number.
pub fn test(app: &Appliance, caller: &Caller, name: &UserName) -> Result<MessageRow, FlowError> {
    let owner = users::find(app, name)?;
    let bound = phones::of_user(app, &owner.id)?;
    let Some(bound) = bound.filter(|bound| bound.state == VERIFIED) else {
        let now_ms = app.clock.now().wall_ms;
        let event = Event::refused(now_ms, "sms.queued", caller.actor.clone(), "no_user_or_phone");
        app.refuse(event.about("user_ref", &owner.user_ref))?;
        return Err(FlowError::NoUserOrPhone);
    };
    let number = users::open_number(app, &owner, &bound.number)?;
    let text = app.config.texts.text(&owner.lang, "test-message", &[]);
    send(app, caller, &number, &text, EXPIRY_MS)
}

/// Finds a message.
///
/// # Errors
/// [`FlowError::NotFound`].
pub fn show(app: &Appliance, id: &Id) -> Result<MessageRow, FlowError> {
    app.store.read(|c| outbox::by_id(c, id))?.ok_or(FlowError::NotFound("message"))
}
