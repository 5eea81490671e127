//! The post: one thread takes the queued push messages and has each carried, never within a transaction. What a service
//! took is `sent`; what the phone fetches is `kept`; what nobody takes ends the push, so that the login can go on with a
//! code (COMB-05, COMB-45).

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use domain::challenge::{Progress, State};
use domain::event::{Actor, Event};
use hsm::SignKey;
use push::message_id::{MessageId, Purpose};
use push::message_text::MessageText;

use super::super::challenge::next_mac;
use super::super::{FlowError, handle};
use super::ask::Signed;
use super::{PHONES, Reached};
use crate::appliance::Appliance;
use crate::delivery::{Carried, Carriers, HttpError, Message, NotCarried, Signer, Why, next_try};
use crate::live::Live;
use crate::sms::Switch;
use crate::store::push_message::{self, MessageRow};
use crate::store::{challenge, event, push_device, user};

/// How often the post looks for work that nobody rang for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Messages of one round.
const ROUND_MAX: usize = 64;
/// Messages that wait, those that were put off included, of which a round is chosen.
const QUEUED_MAX: usize = 4_096;
/// Messages under way at once.
const AT_ONCE: usize = 8;
/// A message whose carrier fell over.
const ENDED: NotCarried = NotCarried::Never(Why::Fault);

/// The ways that the configuration in effect switches on, made anew when it changes.
#[derive(Default)]
struct Ways(Option<Carriers>);

impl Ways {
    /// # Errors
    /// When the authorities of push services cannot be read, or the HSM does not answer: pushes wait.
    fn of(&mut self, app: &Appliance) -> Result<&Carriers, FlowError> {
        if self.0.as_ref().is_none_or(|made| *made.settings() != app.config.delivery) {
            self.0 = None;
            let made = Carriers::new(app.config.delivery.clone(), signer(app)?);
            self.0 = Some(made.map_err(|error| FlowError::Invalid(error.to_string()))?);
        }
        self.0.as_ref().ok_or(FlowError::NotFound("way to phones"))
    }
}

/// Who signs what tells push services who sends (RFC 8292): the key of assertions, each of which is for one audience too.
fn signer(app: &Appliance) -> Result<Option<Signer>, FlowError> {
    if app.config.delivery.contact.is_none() {
        return Ok(None);
    }
    match app.hsm.public_key(SignKey::Assertion) {
        Ok(key) => {
            let own = app.under(app.config.clone());
            let sign = move |bytes: &[u8]| own.hsm.sign(SignKey::Assertion, bytes).ok();
            Ok(Some(Signer { key, sign: Box::new(sign) }))
        }
        Err(hsm::HsmError::Refused { reason }) => {
            tracing::warn!(reason, "push services are not told who sends");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Starts the post.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(live: &Arc<Live>, switch: &Arc<Switch>) -> std::io::Result<JoinHandle<()>> {
    let (live, switch) = (Arc::clone(live), Arc::clone(switch));
    let run = move || {
        let mut seen = 0;
        let (mut later, mut ways) = (HashMap::new(), Ways::default());
        while !switch.is_stopped() {
            let app = live.current();
            let done = ways.of(&app).and_then(|ways| round(&app, ways, &switch, &mut later));
            if let Err(error) = done {
                tracing::error!(%error, "push messages are not carried; it is tried again");
            }
            seen = app.post.wait(seen, LOOK_AGAIN);
        }
    };
    thread::Builder::new().name("push-post".to_owned()).spawn(run)
}

/// Messages that a service put off: the time of the next try, and how many there were.
type Later = HashMap<String, (Instant, u32)>;

fn round(app: &Appliance, ways: &Carriers, switch: &Switch, later: &mut Later) -> Result<(), FlowError> {
    let queued = app.store.read(|c| push_message::queued(c, QUEUED_MAX))?;
    later.retain(|id, _| queued.iter().any(|row| row.id == *id));
    let due = |row: &MessageRow| later.get(&row.id).is_none_or(|(at, _)| *at <= Instant::now());
    // What is put off keeps nobody behind it from being looked at.
    let due: Vec<MessageRow> = queued.into_iter().filter(due).take(ROUND_MAX).collect();
    for some in due.chunks(AT_ONCE) {
        if switch.is_stopped() {
            return Ok(());
        }
        // One service that is slow keeps only its neighbours waiting, and no longer than its deadline.
        let carried: Vec<_> = thread::scope(|scope| {
            let under_way: Vec<_> = some.iter().map(|row| scope.spawn(|| carry(app, ways, row))).collect();
            under_way.into_iter().map(|one| one.join().unwrap_or_else(|_| Ok(Err(ENDED)))).collect()
        });
        // All of them are written down, so that none that was sent is sent again.
        let concluded: Vec<_> =
            some.iter().zip(carried).map(|(row, came)| conclude(app, row, came, later)).collect();
        concluded.into_iter().collect::<Result<(), FlowError>>()?;
    }
    Ok(())
}

/// Writes down what came of a message, or when it is tried again.
fn conclude(
    app: &Appliance,
    row: &MessageRow,
    came: Result<Result<Carried, NotCarried>, FlowError>,
    later: &mut Later,
) -> Result<(), FlowError> {
    let came = match came {
        Ok(Ok(carried)) => Ok(carried),
        Ok(Err(why)) => {
            tracing::info!(%why, message = row.id, "a push was not carried");
            let (NotCarried::Later { after, .. }, tries) =
                (&why, later.get(&row.id).map_or(0, |(_, tries)| *tries) + 1)
            else {
                return settle(app, row, Err(why.reason()));
            };
            let left = Duration::from_millis(row.expires.remaining_ms(&app.clock.now()));
            match next_try(tries, left, *after) {
                Some(pause) => {
                    later.insert(row.id.clone(), (Instant::now() + pause, tries));
                    return Ok(());
                }
                None => Err(why.reason()),
            }
        }
        Err(error @ FlowError::Tampered { .. }) => {
            app.note_tampering_daily(&error, &Actor::system(PHONES))?;
            Err("tampered")
        }
        Err(error) if error.is_unavailable() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, message = row.id, "a push cannot be carried");
            Err("invalid")
        }
    };
    settle(app, row, came)
}

/// Has a message carried; nothing is written, and no lock is held while it is under way.
fn carry(
    app: &Appliance,
    ways: &Carriers,
    row: &MessageRow,
) -> Result<Result<Carried, NotCarried>, FlowError> {
    let now = app.clock.now();
    let left = row.expires.remaining_ms(&now);
    if left == 0 {
        return Ok(Err(NotCarried::Never(Why::Http(HttpError::Deadline))));
    }
    let (phone, owner) =
        app.store.read(|c| Ok((push_device::by_id(c, &row.device_id)?, user::by_id(c, &row.user_id)?)))?;
    let phone = phone.ok_or(FlowError::NotFound("phone"))?;
    let owner = owner.ok_or(FlowError::NotFound("user"))?;
    // One that was set aside meanwhile is told nothing.
    if super::speaker(app, &phone)?.is_none() {
        return Ok(Err(NotCarried::Never(Why::SetAside)));
    }
    let signed = Signed::open(app, &owner, row)?;
    let reached = Reached::open(app, &owner, &phone)?;
    let changed = || FlowError::Tampered { what: "the push message", which: row.id.clone() };
    let message = Message {
        jwt: signed.jwt,
        id: MessageId::parse(Purpose::Authenticate, &row.id).ok_or_else(changed)?,
        ttl: Duration::from_millis(left),
        alert: MessageText::parse(&signed.alert).map_err(|_| changed())?,
    };
    let carried = ways.carry(&reached.address, &message);
    let polls = app.config.push.as_ref().is_some_and(|push| push.poll);
    Ok(match carried {
        Ok(Carried::Kept) if !polls => Err(NotCarried::Never(Why::Off("push.poll"))),
        carried => carried,
    })
}

/// Writes down what came of a message, and of its push with it.
fn settle(app: &Appliance, row: &MessageRow, came: Result<Carried, &'static str>) -> Result<(), FlowError> {
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
        Err(why) => Event::failed(now.wall_ms, event, who, *why),
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
