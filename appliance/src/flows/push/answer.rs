//! A person's answer to a push (C.4), and who ordered the push fetching it.

use domain::challenge::Wanted;
use domain::event::{Actor, Event};
use domain::push::{Reply, Verdict as Decided};
use domain::token::Lifecycle;
use domain::verify::Reason;
use push::message_id::{MessageId, Purpose};
use push::reply::{Answer, AuthenticationReply};

use super::super::challenge::next_mac;
use super::super::guess::clear_failures;
use super::super::verify::Verdict;
use super::super::{Caller, FlowError, enrol, handle};
use super::notice::{Notice, Occasion};
use super::refusal::{self, Kind};
use super::{PHONES, actor, authenticate_as, prove, speaker};
use crate::appliance::Appliance;
use crate::store::challenge::{self, ChallengeRow};
use crate::store::push_device::{self, DeviceRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, event, registration};

/// Denials in the window after which the person is worn down, or somebody tries to (D-42).
const DENIALS_MAX: u32 = 2;

/// Takes the answer to a push. False is 400, whatever the reason; what is not right changes nothing.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub fn take(app: &Appliance, body: &[u8]) -> Result<bool, FlowError> {
    let refused = |reason, about| refusal::write(app, Kind::Answer, reason, about);
    let Ok(reply) = AuthenticationReply::parse(body) else { return refused("malformed", None) };
    let load = || app.store.read(|c| challenge::by_message(c, reply.message().as_str()));
    let Some(found) = load()? else { return refused("unknown", None) };
    let _order = app.lock_user(&found.user_id)?;
    let Some(row) = load()? else { return refused("unknown", None) };
    // The row's MAC says that this is the challenge, and the name that it is the one of this message.
    next_mac(app, &row, &row.progress)?;
    let Wanted::Push { device, message, nonce, number } = row.wanted else { return Ok(false) };
    let at_ms = u64::try_from(row.created_at).unwrap_or(0);
    if MessageId::new(Purpose::Authenticate, message, at_ms).as_ref() != Some(reply.message()) {
        return Err(FlowError::Tampered { what: "the push", which: handle(&row.id) });
    }
    let phone = app.store.read(|c| push_device::by_id(c, &device))?;
    let Some(phone) = phone.filter(|phone| phone.user_id == row.user_id) else {
        return refused("unknown", None);
    };
    let Some(owner) = speaker(app, &phone)? else { return refusal::set_aside(app, Kind::Answer, &phone) };
    let [signature, response] = authenticate_as(app, &phone, [reply.signing_input(), &nonce])?;
    let answer = match reply.open(&signature, &response) {
        Ok(Answer::Denied) => Reply::Denied,
        Ok(Answer::Approved(number)) => Reply::Approved(number),
        Err(why) => {
            tracing::info!(%why, "an answer to a push is not taken");
            let bad = ("push.bad_signature", "answer");
            let which = phone.serial.as_str();
            return refusal::write_about(app, bad, which, |event| about(event, &owner, &phone, &row));
        }
    };
    decide(app, &owner, &phone, &row, number, answer)
}

fn about(event: Event, owner: &UserRow, phone: &DeviceRow, row: &ChallengeRow) -> Event {
    event
        .about("user_ref", &owner.user_ref)
        .about("phone", phone.serial.as_str())
        .about("challenge", handle(&row.id))
}

/// Writes what an answer makes of its push. The caller holds the user's lock.
fn decide(
    app: &Appliance,
    owner: &UserRow,
    phone: &DeviceRow,
    row: &ChallengeRow,
    number: Option<u8>,
    answer: Reply,
) -> Result<bool, FlowError> {
    let now = app.clock.now();
    let (next, decided) = row.progress.answered(number, answer, &now);
    let approved = match decided {
        Decided::Verified => true,
        Decided::Denied => false,
        Decided::Ignored | Decided::Late => {
            return refusal::write(app, Kind::Answer, "late", Some((owner, phone)));
        }
    };
    let mac = next_mac(app, row, &next)?;
    let (at, who) = (now.wall_ms, actor(owner));
    let mut events = vec![match (approved, answer) {
        (true, _) => Event::ok(at, "push.approved", who),
        (false, Reply::Denied) => Event::refused(at, "push.denied", who, "denied"),
        (false, _) => Event::refused(at, "push.denied", who, "number"),
    }];
    let whom = (owner.id, phone.id);
    let before = app.store.read(|c| challenge::pushed(c, whom, super::ask::WINDOW_MS, &now))?;
    let mut notice = None;
    if !approved && before.denials + 1 >= DENIALS_MAX {
        events.push(Event::refused(at, "push.denied_repeatedly", Actor::system(PHONES), "denied"));
        notice = Some(Notice::of(app, owner, Occasion::Denied));
    }
    let told = notice.as_ref().map(|notice| notice.told.clone()).unwrap_or_default();
    let events: Vec<Event> = events.into_iter().map(|event| about(event, owner, phone, row)).collect();
    let registered = app.store.read(|c| registration::by_challenge(c, &owner.id, &row.id))?;
    let registered = if approved { prove::verified(app, registered)? } else { None };
    // A phone that is only being enrolled makes nobody's wrong codes undone (A8).
    let is_factor = phone.lifecycle == Lifecycle::Active && !enrol::PURPOSES.contains(&row.purpose.as_str());
    let (loaded, phone) = (row.clone(), phone.clone());
    let won = app.store.write(move |w| {
        if !challenge::put_progress(w, &loaded, &next, &mac, at)? {
            return Ok(false);
        }
        if approved {
            if !push_device::used(w, &phone, at)? {
                return Err(StoreError::Changed("the phone"));
            }
            if is_factor {
                clear_failures(w, &loaded.user_id, &loaded.application_id)?;
            }
        } else {
            challenge::note_denied(w, &loaded.id, &now)?;
        }
        if let Some((before, after)) = &registered {
            super::register::put(w, before, after)?;
        }
        events.iter().try_for_each(|event| event::append(w, event).map(drop))?;
        told.write(w)?;
        Ok(true)
    })?;
    app.news.notify_waiters();
    if let Some(notice) = notice.filter(|_| won) {
        notice.go(app);
    }
    Ok(won)
}

/// Fetches an approval for who ordered the push: accepted once (B.5.4). A push is answered on the phone, so that a code
/// here is none.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(in crate::flows) fn fetch(
    app: &Appliance,
    caller: &Caller,
    (row, owner): (&ChallengeRow, &UserRow),
    otp: &str,
) -> Result<Verdict, FlowError> {
    let refuse = |reason| super::super::challenge::refuse(app, caller, Some((row, owner)), otp, reason);
    let Wanted::Push { device, .. } = row.wanted else { return refuse(Reason::Wrong) };
    let now = app.clock.now();
    if !otp.is_empty() || owner.state != super::super::users::ACTIVE {
        return refuse(Reason::Malformed);
    }
    let Ok(next) = row.progress.aged(&now).fetched(&now) else {
        let again = row.progress.attempts != 0;
        return refuse(if again { Reason::Replay } else { Reason::Wrong });
    };
    let mac = next_mac(app, row, &next)?;
    let phone = app.store.read(|c| push_device::by_id(c, &device))?;
    let Some(phone) = phone.filter(|phone| phone.user_id == row.user_id) else {
        return refuse(Reason::Revoked);
    };
    if speaker(app, &phone)?.is_none() {
        return refuse(Reason::Revoked);
    }
    let event = about(app.event("push.fetched", caller), owner, &phone, row);
    let (loaded, serial, loa) = (row.clone(), phone.serial.to_string(), phone.loa);
    let won = app.store.write(move |w| {
        let won = challenge::put_progress(w, &loaded, &next, &mac, now.wall_ms)?;
        if won {
            event::append(w, &event)?;
        }
        Ok(won)
    })?;
    if won { Ok(Verdict::Accept { serial, loa }) } else { refuse(Reason::Replay) }
}
