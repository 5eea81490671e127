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

fn refused(app: &Appliance, (kind, reason): (&'static str, &'static str)) -> Event {
    Event::refused(app.clock.now().wall_ms, kind, Actor::system(PHONES), reason)
}

/// The event of a refusal before anything was looked up, unless it is one of many alike. It is not written yet.
pub fn event(app: &Appliance, kind: Kind, reason: &'static str) -> Option<Event> {
    app.refusals.pass(refused(app, (kind.event(), reason)), "", app.clock.now().boot_ms)
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
    write_named(app, (kind.event(), reason), about)
}

/// As [`write`], for another event than the kind's own.
///
/// # Errors
/// When the store cannot answer.
pub(super) fn write_named(
    app: &Appliance,
    named: (&'static str, &'static str),
    about: Option<(&UserRow, &DeviceRow)>,
) -> Result<bool, FlowError> {
    let which = about.map_or("", |(_, phone)| phone.serial.as_str());
    write_about(app, named, which, |event| match about {
        Some((owner, phone)) => {
            event.about("user_ref", &owner.user_ref).about("phone", phone.serial.as_str())
        }
        None => event,
    })
}

/// As [`write_named`], for what `which` names and the event says in its own words.
///
/// # Errors
/// When the store cannot answer.
pub(super) fn write_about(
    app: &Appliance,
    named: (&'static str, &'static str),
    which: &str,
    about: impl FnOnce(Event) -> Event,
) -> Result<bool, FlowError> {
    app.refuse_stranger(which, about(refused(app, named)))?;
    Ok(false)
}

/// As [`write`], for a phone that is set aside, or whose user is.
pub(super) fn set_aside(app: &Appliance, kind: Kind, phone: &DeviceRow) -> Result<bool, FlowError> {
    let owner = app.store.read(|c| user::by_id(c, &phone.user_id))?;
    write(app, kind, "set_aside", owner.as_ref().map(|owner| (owner, phone)))
}
