//! The post: one thread takes the queued push messages and has each carried, never within a transaction. What a service
//! took is `sent`; what the phone fetches is `kept`; what nobody takes ends the push, so that the login can go on with a
//! code (COMB-05, COMB-45).

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use domain::challenge::{Progress, State};
use domain::event::{Actor, Event};
use push::address::Route;
use push::message_id::{MessageId, Purpose};
use push::message_text::MessageText;

use super::super::challenge::next_mac;
use super::super::{FlowError, handle};
use super::ask::Signed;
use super::{PHONES, Reached, check_device};
use crate::appliance::Appliance;
use crate::live::Live;
use crate::sms::Switch;
use crate::store::push_message::{self, MessageRow};
use crate::store::{challenge, event, push_device, user};

/// How often the post looks for work that nobody rang for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Messages of one round.
const ROUND_MAX: usize = 64;

/// A push message, ready to be carried.
pub struct Message {
    /// What the phone verifies.
    pub jwt: String,
    /// Its name.
    pub id: MessageId,
    /// How long it is worth anything, from now.
    pub ttl: Duration,
    /// What a locked phone shows.
    pub alert: MessageText,
}

/// What came of carrying a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// A service took it.
    Sent,
    /// The store holds it until the phone fetches it.
    Kept,
}

/// Why a message was not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCarried {
    /// For operators.
    pub why: String,
    /// When it is worth another try; none for never.
    pub again: Option<Duration>,
}

impl NotCarried {
    /// Not this message to this address, whenever it is tried.
    pub fn never(why: impl Into<String>) -> Self {
        NotCarried { why: why.into(), again: None }
    }
}

/// A way to phones. It blocks, within deadlines of its own.
pub trait Carrier: Send {
    /// Carries a message to the address that a phone gave.
    ///
    /// # Errors
    /// [`NotCarried`], with the reason for operators.
    fn carry(&self, app: &Appliance, device_id: &str, message: &Message) -> Result<Carried, NotCarried>;
}

/// The store alone: phones fetch their messages (C.11).
pub struct Fetched;

impl Carrier for Fetched {
    fn carry(&self, app: &Appliance, device_id: &str, _: &Message) -> Result<Carried, NotCarried> {
        let polls = app.config.push.as_ref().is_some_and(|push| push.poll);
        match Route::of(device_id) {
            Ok(Route::Poll(_)) if polls => Ok(Carried::Kept),
            Ok(Route::Poll(_)) => Err(NotCarried::never("push.poll is switched off")),
            Ok(_) => Err(NotCarried::never("no transport reaches this kind of address")),
            Err(error) => Err(NotCarried::never(error.to_string())),
        }
    }
}

/// Starts the post.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    live: &Arc<Live>,
    switch: &Arc<Switch>,
    carrier: impl Carrier + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let (live, switch) = (Arc::clone(live), Arc::clone(switch));
    let run = move || {
        let mut seen = 0;
        let mut later = HashMap::new();
        while !switch.is_stopped() {
            let app = live.current();
            if let Err(error) = round(&app, &carrier, &switch, &mut later) {
                tracing::error!(%error, "push messages are not carried; it is tried again");
            }
            seen = app.post.wait(seen, LOOK_AGAIN);
        }
    };
    thread::Builder::new().name("push-post".to_owned()).spawn(run)
}

/// Messages that a service put off, with the time of the next try.
type Later = HashMap<String, Instant>;

fn round(
    app: &Appliance,
    carrier: &impl Carrier,
    switch: &Switch,
    later: &mut Later,
) -> Result<(), FlowError> {
    let queued = app.store.read(|c| push_message::queued(c, ROUND_MAX))?;
    later.retain(|id, _| queued.iter().any(|row| row.id == *id));
    for row in queued {
        if switch.is_stopped() {
            return Ok(());
        }
        if later.get(&row.id).is_some_and(|at| Instant::now() < *at) {
            continue;
        }
        let came = match carry(app, carrier, &row) {
            Err(error @ FlowError::Tampered { .. }) => {
                app.note_tampering_daily(&error, &Actor::system(PHONES))?;
                Err(NotCarried::never("changed outside the appliance"))
            }
            Err(error) if error.is_unavailable() => return Err(error),
            Err(error) => Err(NotCarried::never(error.to_string())),
            Ok(came) => came,
        };
        match came {
            Err(NotCarried { again: Some(pause), why }) => {
                tracing::info!(why, "a push is tried again");
                later.insert(row.id, Instant::now() + pause);
            }
            came => settle(app, &row, came)?,
        }
    }
    Ok(())
}

/// Has a message carried; nothing is written, and no lock is held while it is under way.
fn carry(
    app: &Appliance,
    carrier: &impl Carrier,
    row: &MessageRow,
) -> Result<Result<Carried, NotCarried>, FlowError> {
    let now = app.clock.now();
    let left = row.expires.remaining_ms(&now);
    if left == 0 {
        return Ok(Err(NotCarried::never("its time is over")));
    }
    let (phone, owner) =
        app.store.read(|c| Ok((push_device::by_id(c, &row.device_id)?, user::by_id(c, &row.user_id)?)))?;
    let phone = phone.ok_or(FlowError::NotFound("phone"))?;
    let owner = owner.ok_or(FlowError::NotFound("user"))?;
    check_device(app, &phone)?;
    let signed = Signed::open(app, &owner, row)?;
    let reached = Reached::open(app, &owner, &phone)?;
    let changed = || FlowError::Tampered { what: "the push message", which: row.id.clone() };
    let message = Message {
        jwt: signed.jwt,
        id: MessageId::parse(Purpose::Authenticate, &row.id).ok_or_else(changed)?,
        ttl: Duration::from_millis(left),
        alert: MessageText::parse(&signed.alert).map_err(|_| changed())?,
    };
    Ok(carrier.carry(app, &reached.address, &message))
}

/// Writes down what came of a message, and of its push with it.
fn settle(app: &Appliance, row: &MessageRow, came: Result<Carried, NotCarried>) -> Result<(), FlowError> {
    let _order = app.lock_user(&row.user_id)?;
    let now = app.clock.now();
    let (state, step, event): (_, fn(Progress) -> Option<Progress>, _) = match &came {
        Ok(Carried::Sent) => (push_message::State::Sent, |p| p.handed_over().ok(), "push.sent"),
        Ok(Carried::Kept) => (push_message::State::Kept, |p| p.handed_over().ok(), "push.sent"),
        Err(_) => (push_message::State::Failed, |p| p.ended(State::Failed).ok(), "push.transport_failed"),
    };
    let (asked, phone, owner) = app.store.read(|c| {
        let phone = push_device::by_id(c, &row.device_id)?;
        Ok((challenge::by_id(c, &row.challenge_id)?, phone, user::by_id(c, &row.user_id)?))
    })?;
    let who = Actor::system(PHONES);
    let mut event = match &came {
        Ok(_) => Event::ok(now.wall_ms, event, who).about("by", state.name()),
        Err(why) => Event::failed(now.wall_ms, event, who, why.why.as_str()),
    };
    event = event.about("challenge", handle(&row.challenge_id));
    if let Some(owner) = owner {
        event = event.about("user_ref", owner.user_ref);
    }
    if let Some(phone) = phone {
        event = event.about("phone", phone.serial.as_str());
    }
    // An answer may have come before the service's own; then the push has ended, and stays as it is.
    let next = asked.and_then(|asked| step(asked.progress.aged(&now)).map(|next| (asked, next)));
    let moved = match next.map(|(asked, next)| (next_mac(app, &asked, &next), asked, next)) {
        None => None,
        Some((Ok(mac), asked, next)) => Some((next, mac, asked)),
        Some((Err(error @ FlowError::Tampered { .. }), ..)) => {
            app.note_tampering_daily(&error, &Actor::system(PHONES))?;
            None
        }
        Some((Err(error), ..)) => return Err(error),
    };
    let id = row.id.clone();
    app.store.write(move |w| {
        if !push_message::settle(w, &id, state)? {
            return Ok(());
        }
        if let Some((next, mac, asked)) = &moved {
            challenge::put_progress(w, asked, next, mac, now.wall_ms)?;
        }
        event::append(w, &event).map(drop)
    })?;
    app.news.notify_waiters();
    Ok(())
}
