//! A question to a user's phone while the user has no browser at hand: asked by an application, which polls
//! (SMS-37, D-20). Modelled on the poll mode of OpenID Connect Client-Initiated Backchannel Authentication 1.0.

use domain::challenge::State;
use domain::event::Event;
use domain::names::UserName;
use domain::token::Id;

use super::{Caller, FlowError, challenge as sent, handle, phones, users};
use crate::appliance::Appliance;
use crate::config::people::BackChannel;
use crate::store::backchannel::{self, BackchannelRow};
use crate::store::{challenge, event, user};

/// Level of assurance of an answer on the phone, at the most (B.6).
const LOA_MAX: f64 = 2.0;

/// What an application asks.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Id of the channel; may be left out where there is one.
    pub channel: Option<String>,
    /// Name of the user.
    pub login_hint: String,
    /// Words for the user.
    pub binding_message: Option<String>,
    /// Life in seconds, up to the channel's own.
    pub requested_expiry_s: Option<u64>,
}

/// A question on its way.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The handle.
    pub id: Id,
    /// Life in seconds.
    pub expires_in_s: u64,
    /// Least time between two polls, in seconds.
    pub interval_s: u64,
}

/// What a poll found.
#[derive(Clone, Debug, PartialEq)]
pub enum Polled {
    /// Nobody has answered yet.
    Pending,
    /// The polls come too fast.
    SlowDown,
    /// The user said no.
    Denied,
    /// Nobody answered in time, or the answer was fetched before.
    Expired,
    /// The user said yes. Told once.
    Approved {
        /// Who.
        user: UserName,
        /// Level of assurance.
        loa: f64,
    },
}

fn channel<'a>(app: &'a Appliance, wanted: Option<&str>) -> Result<&'a BackChannel, FlowError> {
    let channels = &app.config.people.backchannels;
    let found = match wanted {
        Some(id) => channels.iter().find(|channel| channel.id == id),
        None => channels.first().filter(|_| channels.len() == 1),
    };
    found.ok_or(FlowError::NotFound("back-channel"))
}

/// Asks a user's phone.
///
/// # Errors
/// [`FlowError::NotFound`] without such a channel; else as [`sent::create`].
pub fn authorize(app: &Appliance, caller: &Caller, ask: &Ask) -> Result<Asked, FlowError> {
    let channel = channel(app, ask.channel.as_deref())?;
    let life_ms =
        ask.requested_expiry_s.map_or(channel.ttl_ms, |s| s.saturating_mul(1000).min(channel.ttl_ms));
    if life_ms == 0 {
        return Err(FlowError::Invalid("requested_expiry is at least a second".to_owned()));
    }
    let front = Some(channel.frontchannel.as_str());
    let asked = sent::create(app, caller, &ask.login_hint, front, ask.binding_message.clone())?;
    let now = app.clock.now();
    let mut row = BackchannelRow {
        id: app.random()?,
        channel: channel.id.clone(),
        application_id: caller.application,
        challenge_id: asked.row.id,
        polled_boot_ms: None,
        taken: false,
        created_at: now.wall_ms,
        expires: now.deadline_in(life_ms),
        mac: [0; 32],
    };
    row.mac = app.row_mac(row.bytes())?;
    let begun = app
        .event("backchannel.authorized", caller)
        .about("challenge", handle(&row.challenge_id))
        .about("channel", channel.id.as_str());
    let id = row.id;
    app.store.write(move |w| {
        backchannel::sweep(w, &now)?;
        backchannel::insert(w, &row)?;
        event::append(w, &begun).map(drop)
    })?;
    Ok(Asked { id, expires_in_s: life_ms / 1000, interval_s: channel.interval_ms / 1000 })
}

/// Looks what the phone has decided. Whoever comes again before the interval is over is told to wait.
///
/// # Errors
/// [`FlowError::NotFound`] for another application's question too; when HSM or store cannot answer.
pub fn poll(app: &Appliance, caller: &Caller, id: &Id) -> Result<Polled, FlowError> {
    let unknown = || FlowError::NotFound("auth_req_id");
    let found = app.store.read(|c| backchannel::by_id(c, id))?;
    let row = found.filter(|row| row.application_id == caller.application).ok_or_else(unknown)?;
    app.check_row("the back-channel request", &handle(&row.id), row.bytes(), &row.mac)?;
    let now = app.clock.now();
    if row.taken || row.expires.passed(&now) {
        return Ok(Polled::Expired);
    }
    let boot_ms = i64::try_from(now.boot_ms).unwrap_or(i64::MAX);
    let interval = channel(app, Some(&row.channel))?.interval_ms;
    let interval = i64::try_from(interval).unwrap_or(i64::MAX);
    let too_fast = row.polled_boot_ms.is_some_and(|last| boot_ms.saturating_sub(last) < interval);
    let polled = row.id;
    app.store.write(move |w| backchannel::polled(w, &polled, boot_ms))?;
    if too_fast {
        return Ok(Polled::SlowDown);
    }
    let asked = app.store.read(|c| challenge::by_id(c, &row.challenge_id))?;
    let asked = asked.filter(|asked| asked.application_id == caller.application).ok_or_else(unknown)?;
    // The answer counts only if nobody else wrote it.
    sent::next_mac(app, &asked, &asked.progress)?;
    match asked.progress.aged(&now).state {
        State::Delivering | State::Waiting => Ok(Polled::Pending),
        State::Verified => approved(app, caller, &row, &asked),
        State::Denied => ended(app, caller, &row, "backchannel.denied", Polled::Denied),
        _ => ended(app, caller, &row, "backchannel.expired", Polled::Expired),
    }
}

fn approved(
    app: &Appliance,
    caller: &Caller,
    row: &BackchannelRow,
    asked: &challenge::ChallengeRow,
) -> Result<Polled, FlowError> {
    let owner = app.store.read(|c| user::by_id(c, &asked.user_id))?.ok_or(FlowError::NotFound("user"))?;
    users::check_account(app, &owner)?;
    let owner = Some(owner).filter(|owner| owner.state == "active").ok_or(FlowError::NotFound("user"))?;
    let bound = phones::of_user(app, &owner.id)?;
    let loa = bound.map_or(1.0, |bound| bound.loa.min(LOA_MAX));
    let event = app
        .event("backchannel.approved", caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(&asked.id));
    let answer = Polled::Approved { user: owner.name, loa };
    take(app, row, event, answer)
}

fn ended(
    app: &Appliance,
    caller: &Caller,
    row: &BackchannelRow,
    kind: &'static str,
    answer: Polled,
) -> Result<Polled, FlowError> {
    let reason = kind.rsplit('.').next().unwrap_or(kind);
    let event = Event::refused(app.clock.now().wall_ms, kind, caller.actor.clone(), reason)
        .about("challenge", handle(&row.challenge_id));
    take(app, row, event, answer)
}

/// Of several polls at once, one gets the answer.
fn take(app: &Appliance, row: &BackchannelRow, event: Event, answer: Polled) -> Result<Polled, FlowError> {
    let mac = app.row_mac(BackchannelRow { taken: true, ..row.clone() }.bytes())?;
    let row = row.clone();
    let taken = app.store.write(move |w| {
        let taken = backchannel::take(w, &row, &mac)?;
        if taken {
            event::append(w, &event)?;
        }
        Ok(taken)
    })?;
    Ok(if taken { answer } else { Polled::Expired })
}

/// Removes questions whose life is over.
///
/// # Errors
/// When the store cannot answer.
pub fn sweep(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now();
    Ok(app.store.write(move |w| backchannel::sweep(w, &now))?)
}
