//! A code or a link on its way to a phone: challenge, message and its count are written together.
//!
//! Whoever asks, the limits beyond one session are asked first (SMS-43): to a user, to a number, for an application,
//! over all modems.

use domain::challenge::{Progress, Wanted};
use domain::event::Event;
use domain::phone::Msisdn;
use domain::time::Now;
use domain::token::Id;
use hsm::MacPurpose;

use super::challenge::{message_for, supersede, superseding};
use super::journey::link;
use super::{Caller, FlowError, handle, users};
use crate::appliance::Appliance;
use crate::config::people::SmsAuthenticator;
use crate::store::challenge::ChallengeRow;
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{Writing, challenge, event, outbox, sms_sent};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// To which number a message goes.
pub(super) enum To {
    /// The verified one.
    Bound(PhoneRow),
    /// Another one: being registered, or from an attribute.
    Given(Msisdn),
}

/// A message with a code or a link.
pub(super) struct Sending<'s> {
    pub(super) owner: &'s UserRow,
    /// None for the general terms.
    pub(super) authenticator: Option<&'s SmsAuthenticator>,
    pub(super) purpose: &'static str,
    pub(super) link: bool,
    pub(super) to: To,
    /// What the application wants the user to see on the page of a link.
    pub(super) binding_message: Option<String>,
}

/// Writes challenge and message; none when a limit refuses. The caller holds the user's lock.
///
/// # Errors
/// [`FlowError::NoModem`] without a modem; when the HSM or the store cannot answer.
pub(super) fn place(
    app: &Appliance,
    caller: &Caller,
    now: &Now,
    sending: Sending<'_>,
) -> Result<Option<ChallengeRow>, FlowError> {
    if app.config.modems.is_empty() {
        return Err(FlowError::NoModem);
    }
    let owner = sending.owner;
    let id: Id = app.random()?;
    let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    let (sealed, lookup, phone) = match &sending.to {
        To::Bound(bound) => (bound.number.clone(), bound.number_lookup, Some(bound.id)),
        To::Given(number) => {
            let aad = users::challenge_number_aad(&owner.id, &id);
            let sealed = app.hsm.seal(key, &aad, number.expose().as_bytes())?;
            (sealed, users::lookup(app, number)?, None)
        }
    };
    if !is_within_limits(app, caller, owner, &lookup, now)? {
        return Ok(None);
    }
    let terms = app.terms(sending.authenticator.map(|own| own.id.as_str()));
    let mut row = ChallengeRow {
        id,
        user_id: owner.id,
        application_id: caller.application,
        purpose: sending.purpose.to_owned(),
        wanted: match sending.link {
            true => Wanted::SentLink { phone },
            false => Wanted::SentCode { phone, digits: terms.digits },
        },
        authenticator: sending.authenticator.map(|own| own.id.clone()),
        binding_message: sending.binding_message,
        progress: Progress::start(),
        state_mac: [0; 32],
        created_at: now.wall_ms,
    };
    let macs = app.hsm.mac(MacPurpose::State, vec![row.bytes(&row.progress)])?;
    row.state_mac = *macs.first().ok_or(hsm::HsmError::Protocol)?;
    let link_hash = if sending.link { Some(link::hash_of(app, &row)?) } else { None };
    let superseding = superseding(app, &owner.id, Some(&caller.application))?;
    let message = message_for(app, &row, owner, sealed, now)?;
    let counted = Counted::new(message.id, &row, lookup, now);
    let ordered = app
        .event("sms.challenge_ordered", caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(&id));
    let (at, inserted) = (now.wall_ms, row.clone());
    app.store.write(move |w| {
        supersede(w, &superseding, at)?;
        challenge::insert(w, &inserted)?;
        outbox::insert(w, &message)?;
        counted.insert(w)?;
        if let Some(hash) = link_hash {
            crate::store::link::insert(w, &hash, &inserted.id, inserted.progress.send_number)?;
        }
        event::append(w, &ordered).map(drop)
    })?;
    app.bell.ring();
    Ok(Some(row))
}

/// A message as it counts for the limits.
pub(super) struct Counted(sms_sent::Sent);

impl Counted {
    /// `lookup` is the HMAC of the number.
    pub(super) fn new(message: Id, row: &ChallengeRow, lookup: [u8; 32], now: &Now) -> Self {
        let (user, application) = (row.user_id, row.application_id);
        Counted(sms_sent::Sent { id: message, user, application, lookup, at: now.wall_ms })
    }

    pub(super) fn insert(&self, writing: &mut Writing<'_>) -> Result<(), crate::store::StoreError> {
        sms_sent::insert(writing, &self.0)
    }
}

/// Whether one message more is within the limits; a refusal is an event.
pub(super) fn is_within_limits(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    lookup: &[u8; 32],
    now: &Now,
) -> Result<bool, FlowError> {
    let limits = app.config.people.sms_limits;
    let (hour, day) = (now.wall_ms - HOUR_MS, now.wall_ms - DAY_MS);
    let (user, application) = (owner.id, caller.application);
    let reached = app.store.read(|c| {
        let counts = [
            ("user_hour", sms_sent::to_user(c, &user, hour)?, limits.user_hour),
            ("user_day", sms_sent::to_user(c, &user, day)?, limits.user_day),
            ("number_hour", sms_sent::to_number(c, lookup, hour)?, limits.number_hour),
            ("application_hour", sms_sent::by_application(c, &application, hour)?, limits.application_hour),
            ("modem_day", sms_sent::all(c, day)?, limits.modem_day),
        ];
        Ok(counts.into_iter().find(|(_, count, limit)| count >= limit).map(|(name, ..)| name))
    })?;
    let Some(limit) = reached else { return Ok(true) };
    let event = Event::refused(now.wall_ms, "sms.rate_limited", caller.actor.clone(), "limited");
    app.refuse(event.about("user_ref", &owner.user_ref).about("limit", limit))?;
    Ok(false)
}
