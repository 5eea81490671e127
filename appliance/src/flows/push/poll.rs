//! A phone fetches its messages (C.11): it shows by an HMAC over its id and the time that it has the secret.

use domain::time::Now;
use push::device::MechanismUid;
use push::envelope;
use push::message_id::{MessageId, Purpose};
use subtle::ConstantTimeEq as _;

use super::super::FlowError;
use super::ask::Signed;
use super::refusal::{self, Kind};
use super::{authenticate_as, speaker};
use crate::appliance::Appliance;
use crate::store::{push_device, push_message};

/// How far a phone's clock may be from ours, in milliseconds.
pub const WINDOW_MS: i64 = 60_000;
/// Messages of one answer.
const MESSAGES_MAX: usize = 8;

/// What a phone asks.
pub struct Poll {
    /// The id that its app chose.
    pub mechanism: MechanismUid,
    /// Its clock, in Unix milliseconds.
    pub timestamp_ms: i64,
    /// HMAC-SHA256 over [`signed`].
    pub signature: [u8; 32],
}

/// The bytes under the signature of a poll.
pub fn signed(mechanism: &MechanismUid, timestamp_ms: i64) -> Vec<u8> {
    format!("{}|{timestamp_ms}", mechanism.as_str()).into_bytes()
}

fn is_timely(timestamp_ms: i64, now: &Now) -> bool {
    timestamp_ms.checked_sub(now.wall_ms).is_some_and(|ahead| ahead.saturating_abs() <= WINDOW_MS)
}

/// The messages that wait for a phone, each as JSON; none for a phone that does not show itself. Fetching changes
/// nothing: a message is there until it is answered or over.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub fn fetch(app: &Appliance, poll: &Poll) -> Result<Option<Vec<String>>, FlowError> {
    let refused = |reason, about| refusal::write(app, Kind::Poll, reason, about).map(|_| None);
    if !app.config.push.as_ref().is_some_and(|push| push.poll) {
        return refused("off", None);
    }
    let now = app.clock.now();
    let found = app.store.read(|c| push_device::by_mechanism(c, poll.mechanism.as_str()))?;
    let Some(phone) = found else { return refused("unknown", None) };
    let Some(owner) = speaker(app, &phone)? else {
        return refusal::set_aside(app, Kind::Poll, &phone).map(|_| None);
    };
    if !is_timely(poll.timestamp_ms, &now) {
        return refused("time", Some((&owner, &phone)));
    }
    let input = signed(&poll.mechanism, poll.timestamp_ms);
    let [mac] = authenticate_as(app, &phone, [&input])?;
    if !bool::from(mac.ct_eq(&poll.signature)) {
        let bad = ("push.bad_signature", "poll");
        return refusal::write_named(app, bad, Some((&owner, &phone))).map(|_| None);
    }
    let mut messages = Vec::new();
    for row in app.store.read(|c| push_message::kept_of(c, &phone.id, MESSAGES_MAX))? {
        if row.expires.passed(&now) {
            continue;
        }
        let signed = Signed::open(app, &owner, &row)?;
        let id = MessageId::parse(Purpose::Authenticate, &row.id);
        let id = id.ok_or_else(|| FlowError::Tampered { what: "the push message", which: row.id.clone() })?;
        let text = envelope::unified(&signed.jwt, &id);
        messages.push(text.map_err(|error| FlowError::Invalid(error.to_string()))?);
    }
    Ok(Some(messages))
}
