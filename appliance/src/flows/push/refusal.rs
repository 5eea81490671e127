//! What phones, and whoever pretends to be one, are refused: an event each, few of many alike (COMB-47, D-40).

use domain::event::{Actor, Event};

use super::super::FlowError;
use super::PHONES;
use crate::appliance::Appliance;
use crate::store::push_device::DeviceRow;
use crate::store::user::{self, UserRow};

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The reply to a QR code.
    Reply,
    /// The answer to a push.
    Answer,
    /// A new push address.
    Refresh,
    /// A fetch of messages.
    Poll,
}

impl Kind {
    fn event(self) -> &'static str {
        match self {
            Kind::Reply => "mfa.reply_refused",
            Kind::Answer => "push.answer_refused",
            Kind::Refresh => "push.refresh_refused",
            Kind::Poll => "push.poll_refused",
        }
    }
}

/// The event of a refusal before anything was looked up, unless it is one of many alike. It is not written yet.
pub fn event(app: &Appliance, kind: Kind, reason: &'static str) -> Option<Event> {
    named(app, (kind.event(), reason), None)
}

fn named(
    app: &Appliance,
    (kind, reason): (&'static str, &'static str),
    about: Option<(&UserRow, &DeviceRow)>,
) -> Option<Event> {
    let now = app.clock.now();
    let which = about.map_or("", |(_, phone)| phone.serial.as_str());
    let unwritten = app.refusals.count((kind, reason), which, now.boot_ms)?;
    let mut event = Event::refused(now.wall_ms, kind, Actor::system(PHONES), reason);
    if let Some((owner, phone)) = about {
        event = event.about("user_ref", &owner.user_ref).about("phone", phone.serial.as_str());
    }
    Some(if unwritten == 0 { event } else { event.about("unwritten", unwritten.to_string()) })
}

/// Writes the event of a refusal, unless it is one of many alike. The refusal: false.
///
/// # Errors
/// When the store cannot answer.
pub(super) fn write(
    app: &Appliance,
    kind: Kind,
    reason: &'static str,
    about: Option<(&UserRow, &DeviceRow)>,
) -> Result<bool, FlowError> {
    named(app, (kind.event(), reason), about).map_or(Ok(()), |event| app.refuse(event))?;
    Ok(false)
}

/// As [`write`], for another event than the kind's own.
pub(super) fn write_named(
    app: &Appliance,
    named_so: (&'static str, &'static str),
    about: Option<(&UserRow, &DeviceRow)>,
) -> Result<bool, FlowError> {
    named(app, named_so, about).map_or(Ok(()), |event| app.refuse(event))?;
    Ok(false)
}

/// As [`write`], for a phone that is set aside, or whose user is.
pub(super) fn set_aside(app: &Appliance, kind: Kind, phone: &DeviceRow) -> Result<bool, FlowError> {
    let owner = app.store.read(|c| user::by_id(c, &phone.user_id))?;
    write(app, kind, "set_aside", owner.as_ref().map(|owner| (owner, phone)))
}
