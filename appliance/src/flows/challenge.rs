//! Challenges: a code that we send is ordered, delivered, answered; what is the same for a question that a token
//! answers is here too, the rest in `ocra`.

use domain::challenge::{ChallengeError, Progress, State, Terms, Wanted};
use domain::event::Event;
use domain::names::{Serial, UserName};
use domain::time::Now;
use domain::token::Id;
use domain::verify::Reason;
use hsm::MacPurpose;

use super::journey::link;
use super::sending::{Counted, Sending, To, is_within_limits, place};
use super::{Caller, FlowError, enrol, handle, parse_handle, phones, users};
use crate::appliance::Appliance;
use crate::store::challenge::ChallengeRow;
use crate::store::outbox::MessageRow;
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, challenge, event, outbox, phone, token, user};

mod verify;

pub(super) use verify::{ask, refuse};
pub use verify::{verify, verify_of};

/// What the serial of a challenge begins with.
const SERIAL_PREFIX: &str = "SMS-";

/// Longest words for the user on the page of a link, in characters (D-20).
pub const BINDING_MESSAGE_MAX: usize = 40;

fn is_binding_message(text: &str) -> bool {
    let length = text.chars().count();
    (1..=BINDING_MESSAGE_MAX).contains(&length) && !text.chars().any(char::is_control)
}

/// A challenge as its application may see it.
#[derive(Clone, Debug)]
pub struct View {
    /// The row, aged to this moment.
    pub row: ChallengeRow,
    /// Last digits of the number that the code goes to.
    pub phone_masked: Option<String>,
    /// End of the code's or the question's life in Unix milliseconds; none before the modem's acknowledgement.
    pub expires_at_ms: Option<i64>,
}

/// Whose a challenge is said to be: each part that is given must hold, and one must be given.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    /// Name of the user.
    pub user: Option<String>,
    /// Serial of a token of the user, or of one of the user's challenges.
    pub serial: Option<String>,
}

impl Whose {
    fn name(&self) -> &str {
        self.user.as_deref().or(self.serial.as_deref()).unwrap_or_default()
    }

    fn find(&self, connection: &rusqlite::Connection) -> Result<Option<UserRow>, StoreError> {
        let named = match &self.user {
            None => None,
            Some(name) => {
                let Ok(name) = UserName::parse(name) else { return Ok(None) };
                let Some(named) = user::by_name(connection, &name)? else { return Ok(None) };
                Some(named)
            }
        };
        let Some(serial) = &self.serial else { return Ok(named) };
        let Ok(serial) = Serial::parse(serial) else { return Ok(None) };
        let challenged = serial.as_str().strip_prefix(SERIAL_PREFIX).and_then(parse_handle);
        let owner = match challenged {
            Some(id) => challenge::by_id(connection, &id)?.map(|row| row.user_id),
            None => token::by_serial(connection, &serial)?.and_then(|token| token.user_id),
        };
        let Some(owner) = owner else { return Ok(None) };
        match named {
            Some(named) => Ok((named.id == owner).then_some(named)),
            None => user::by_id(connection, &owner),
        }
    }
}

/// The serial under which a challenge counts as a token.
pub fn serial(id: &Id) -> String {
    format!("{SERIAL_PREFIX}{}", handle(id))
}

/// Orders a code for a user's verified phone.
///
/// # Errors
/// [`FlowError::NoUserOrPhone`] alike for an unknown user and for one without a verified number (SMS-08);
/// [`FlowError::RateLimited`] when the limiter refuses; [`FlowError::NoModem`] without a modem.
pub fn create(
    app: &Appliance,
    caller: &Caller,
    name: &str,
    authenticator: Option<&str>,
    binding_message: Option<String>,
) -> Result<View, FlowError> {
    if binding_message.as_ref().is_some_and(|text| !is_binding_message(text)) {
        let text = format!("a message for the user has 1 to {BINDING_MESSAGE_MAX} characters on one line");
        return Err(FlowError::Invalid(text));
    }
    let whose = Whose { user: Some(name.to_owned()), serial: None };
    order_by(app, caller, &whose, authenticator, binding_message)?.map_err(|reason| match reason {
        Reason::Limited | Reason::Locked => FlowError::RateLimited,
        _ => FlowError::NoUserOrPhone,
    })
}

/// As [`create`], and says why not.
///
/// # Errors
/// [`FlowError::NoModem`] without a modem; when the HSM or the store cannot answer.
pub fn order(app: &Appliance, caller: &Caller, whose: &Whose) -> Result<Result<View, Reason>, FlowError> {
    order_by(app, caller, whose, None, None)
}

/// As [`order`], by the terms of an authenticator, which sends a code or a link (SMS-01), with words for the user.
///
/// # Errors
/// As [`order`]; [`FlowError::NotFound`] without such an authenticator.
pub fn order_by(
    app: &Appliance,
    caller: &Caller,
    whose: &Whose,
    authenticator: Option<&str>,
    binding_message: Option<String>,
) -> Result<Result<View, Reason>, FlowError> {
    if app.config.modems.is_empty() {
        return Err(FlowError::NoModem);
    }
    let found = app.store.read(|c| whose.find(c))?;
    let Some(found) = users::checked(app, whose.name(), found)? else {
        let _order = app.lock_name(whose.name())?;
        refuse_unreachable(app, caller)?;
        return Ok(Err(Reason::UnknownUser));
    };
    let _order = app.lock_user(&found.id)?;
    let (owner, bound) = match reachable(app, whose)? {
        Ok(found) => found,
        Err(reason) => {
            refuse_unreachable(app, caller)?;
            return Ok(Err(reason));
        }
    };
    let now = app.clock.now();
    if let Err(reason) = app.admit(caller, &owner, &now)? {
        app.match_decoy("")?;
        let event = Event::refused(now.wall_ms, "sms.challenge_refused", caller.actor.clone(), reason.name());
        app.refuse(event.about("user_ref", &owner.user_ref))?;
        return Ok(Err(reason));
    }
    let own = match authenticator {
        None => None,
        Some(id) => Some(app.config.people.authenticator(id).ok_or(FlowError::NotFound("authenticator"))?),
    };
    let phone_masked = Some(users::open_number(app, &owner, &bound.number)?.masked());
    let sending = Sending {
        owner: &owner,
        authenticator: own,
        purpose: "login",
        link: own.is_some_and(|own| !own.send_otp_as_code),
        to: To::Bound(bound),
        binding_message,
    };
    let placed = place(app, caller, &now, sending)?;
    Ok(placed.map(|row| View { row, phone_masked, expires_at_ms: None }).ok_or(Reason::Limited))
}

/// A user's open challenges with the state that ends each of them. The caller holds the user's lock.
pub(super) fn superseding(
    app: &Appliance,
    user: &Id,
    application: Option<&Id>,
) -> Result<Vec<(ChallengeRow, [u8; 32])>, FlowError> {
    let open = app.store.read(|c| challenge::open_of(c, user, application))?;
    let mut ending = Vec::with_capacity(open.len());
    for row in open {
        match next_mac(app, &row, &superseded(&row.progress)) {
            Ok(mac) => ending.push((row, mac)),
            // Its own MAC does not fit, so none of its codes can be accepted: it stands in nobody's way.
            Err(error @ FlowError::Tampered { .. }) => {
                app.note_tampering(&error, &domain::event::Actor::system("challenges"))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(ending)
}

/// Ends what [`superseding`] found, in the act's own transaction.
pub(super) fn supersede(
    writing: &mut Writing<'_>,
    ending: &[(ChallengeRow, [u8; 32])],
    at_ms: i64,
) -> Result<(), StoreError> {
    for (row, mac) in ending {
        challenge::put_progress(writing, row, &superseded(&row.progress), mac, at_ms)?;
    }
    Ok(())
}

fn superseded(progress: &Progress) -> Progress {
    Progress { state: State::Superseded, ..*progress }
}

/// The user and the verified phone, or which of them is missing.
fn reachable(app: &Appliance, whose: &Whose) -> Result<Result<(UserRow, PhoneRow), Reason>, FlowError> {
    let Some(owner) = app.store.read(|c| whose.find(c))? else { return Ok(Err(Reason::UnknownUser)) };
    users::check_account(app, &owner)?;
    if owner.state != "active" {
        return Ok(Err(Reason::NoToken));
    }
    let bound = phones::of_user(app, &owner.id)?.filter(|phone| phone.state == phones::VERIFIED);
    Ok(bound.map(|bound| (owner, bound)).ok_or(Reason::NoToken))
}

fn refuse_unreachable(app: &Appliance, caller: &Caller) -> Result<(), FlowError> {
    app.match_decoy("")?;
    let now_ms = app.clock.now().wall_ms;
    app.refuse(Event::refused(now_ms, "sms.no_user_or_phone", caller.actor.clone(), "no_user_or_phone"))
}

/// The text of a challenge's message, with `%s` where the code or the link goes: the authenticator's in the user's
/// language (SMS-17), or the general one.
fn template_for(app: &Appliance, row: &ChallengeRow, owner: &UserRow) -> String {
    if row.authenticator.is_none() {
        return app.config.sms_message.clone();
    }
    let key = if matches!(row.wanted, Wanted::SentLink { .. }) {
        "link-wait.sms.sent.message"
    } else {
        "enter-otp.sms.sent.message"
    };
    app.config.texts.text(&owner.lang, key, &[("code", "%s")])
}

impl Appliance {
    /// The terms of a challenge: its authenticator's, or the general ones.
    pub(super) fn terms(&self, authenticator: Option<&str>) -> Terms {
        let general = self.config.terms;
        let Some(own) = authenticator.and_then(|id| self.config.people.authenticator(id)) else {
            return general;
        };
        Terms {
            digits: own.otp_length,
            ttl_ms: if own.send_otp_as_code { own.otp_ttl_ms } else { own.link_ttl_ms },
            attempts_max: own.max_allowed_attempts,
            sends_max: own.max_challenges_sent,
            ..general
        }
    }
}

pub(super) fn message_for(
    app: &Appliance,
    row: &ChallengeRow,
    owner: &UserRow,
    number: Vec<u8>,
    now: &Now,
) -> Result<MessageRow, FlowError> {
    Ok(MessageRow {
        id: app.new_id()?,
        challenge_id: Some(row.id),
        send_number: Some(row.progress.send_number),
        user_id: Some(owner.id),
        template: Some(template_for(app, row, owner)),
        number,
        body: None,
        state: domain::outbox::State::Queued,
        modem: None,
        parts: 0,
        refs: Vec::new(),
        tries: 0,
        error: None,
        expires: now.deadline_in(app.config.terms.delivery_ms),
        created_at: now.wall_ms,
        sent_at: None,
    })
}

/// Whether a challenge shows a factor that is to be bound: it is no login, and its enrolment alone takes its answer
/// (BIND-10).
fn is_of_enrolment(row: &ChallengeRow) -> bool {
    enrol::PURPOSES.contains(&row.purpose.as_str())
}

/// The challenge with this handle, if this application ordered it.
fn own(app: &Appliance, caller: &Caller, id: &Id) -> Result<Option<(ChallengeRow, UserRow)>, FlowError> {
    let found = app.store.read(|c| {
        let row = challenge::by_id(c, id)?.filter(|row| row.application_id == caller.application);
        let Some(row) = row else { return Ok(None) };
        Ok(user::by_id(c, &row.user_id)?.map(|owner| (row, owner)))
    })?;
    found.as_ref().map_or(Ok(()), |(_, owner)| users::check_account(app, owner))?;
    Ok(found)
}

/// Shows a challenge to the application that ordered it.
///
/// # Errors
/// [`FlowError::NotFound`], for another application's challenge too.
pub fn show(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let (mut row, owner) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let now = app.clock.now();
    row.progress = row.progress.aged(&now);
    let phone_masked = match row.wanted {
        Wanted::Response { .. } | Wanted::Push { .. } | Wanted::Recovery { .. } => None,
        // A number that is not bound is its enrolment's to show.
        Wanted::SentCode { phone: None, .. } => Some(String::new()),
        Wanted::SentCode { .. } | Wanted::SentLink { .. } => {
            match app.store.read(|c| phone::of_user(c, &owner.id))? {
                Some(bound) => Some(users::open_number(app, &owner, &bound.number)?.masked()),
                None => Some(String::new()),
            }
        }
    };
    let expires_at_ms = row.progress.expires.and_then(|end| end.wall_ms(&now));
    Ok(View { row, phone_masked, expires_at_ms })
}

/// Sends a new code; the former one is dead (SMS-32).
///
/// # Errors
/// [`FlowError::NotFound`], [`FlowError::RateLimited`] at the limits, [`FlowError::Conflict`] after the end.
pub fn resend(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let (found, owner) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let _order = app.lock_user(&found.user_id)?;
    let (row, _) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    if is_of_enrolment(&row) {
        return Err(FlowError::Conflict("an enrolment has sent this: have it send another one".to_owned()));
    }
    if !matches!(row.wanted, Wanted::SentCode { .. } | Wanted::SentLink { .. }) {
        return Err(FlowError::Conflict("this is asked once: order another challenge".to_owned()));
    }
    let now = app.clock.now();
    if let Err(reason) = app.admit(caller, &owner, &now)? {
        let event = Event::refused(now.wall_ms, "sms.challenge_refused", caller.actor.clone(), reason.name());
        app.refuse(event.about("user_ref", &owner.user_ref))?;
        return Err(FlowError::RateLimited);
    }
    let next =
        row.progress.aged(&now).resend(&app.terms(row.authenticator.as_deref())).map_err(
            |error| match error {
                ChallengeError::TooManySends => FlowError::RateLimited,
                ChallengeError::WrongState(_) => FlowError::Conflict(error.to_string()),
            },
        )?;
    let bound = phones::of_user(app, &owner.id)?;
    let bound = bound.filter(|bound| bound.state == phones::VERIFIED).ok_or(FlowError::NoUserOrPhone)?;
    if !is_within_limits(app, caller, &owner, &bound.number_lookup, &now)? {
        return Err(FlowError::RateLimited);
    }
    let next_mac = next_mac(app, &row, &next)?;
    let sent_again = ChallengeRow { progress: next, state_mac: next_mac, ..row.clone() };
    let message = message_for(app, &sent_again, &owner, bound.number.clone(), &now)?;
    let counted = Counted::new(message.id, &sent_again, bound.number_lookup, &now);
    let is_link = matches!(sent_again.wanted, Wanted::SentLink { .. });
    let link_hash = if is_link { Some(link::hash_of(app, &sent_again)?) } else { None };
    let event = app
        .event("sms.challenge_ordered", caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(id));
    let saved = app.store.write(move |w| {
        let saved = challenge::put_progress(w, &row, &next, &next_mac, now.wall_ms)?;
        if saved {
            outbox::insert(w, &message)?;
            counted.insert(w)?;
            if let Some(hash) = link_hash {
                crate::store::link::insert(w, &hash, &row.id, next.send_number)?;
            }
            event::append(w, &event)?;
        }
        Ok(saved)
    })?;
    if !saved {
        return Err(FlowError::Conflict("the challenge was answered meanwhile".to_owned()));
    }
    app.bell.ring();
    show(app, caller, id)
}

/// Takes a challenge back.
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Conflict`] once it has ended.
pub fn cancel(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let (found, _) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let _order = app.lock_user(&found.user_id)?;
    let (row, owner) = own(app, caller, id)?.ok_or(FlowError::NotFound("challenge"))?;
    let next = row.progress.ended(State::Cancelled).map_err(|e| FlowError::Conflict(e.to_string()))?;
    let next_mac = next_mac(app, &row, &next)?;
    let at = app.clock.now().wall_ms;
    let event = app
        .event(named(&row.wanted, CANCELLED), caller)
        .about("user_ref", &owner.user_ref)
        .about("challenge", handle(id));
    let ended = app.store.write(move |w| {
        let ended = challenge::put_progress(w, &row, &next, &next_mac, at)?;
        if ended {
            event::append(w, &event)?;
        }
        Ok(ended)
    })?;
    if !ended {
        return Err(FlowError::Conflict("the challenge was answered meanwhile".to_owned()));
    }
    show(app, caller, id)
}

/// The MAC of a challenge's next progress, once its present one has been checked.
pub(super) fn next_mac(app: &Appliance, row: &ChallengeRow, next: &Progress) -> Result<[u8; 32], FlowError> {
    let macs = app.hsm.mac(MacPurpose::State, vec![row.bytes(&row.progress), row.bytes(next)])?;
    match macs.as_slice() {
        [present, next] if *present == row.state_mac => Ok(*next),
        _ => Err(FlowError::Tampered { what: "the state", which: handle(&row.id) }),
    }
}

/// Where a challenge stands, for whoever has its handle; none for a handle that nobody has.
///
/// # Errors
/// When the store cannot answer.
pub fn state(app: &Appliance, id: &Id) -> Result<Option<State>, FlowError> {
    let found = app.store.read(|c| challenge::by_id(c, id))?;
    Ok(found.map(|row| row.progress.aged(&app.clock.now()).state))
}

/// A challenge as a flow finds it, its MAC checked; none for a handle that nobody has.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn checked(app: &Appliance, id: &Id) -> Result<Option<ChallengeRow>, FlowError> {
    let found = app.store.read(|c| challenge::by_id(c, id))?;
    found.as_ref().map_or(Ok(()), |row| next_mac(app, row, &row.progress).map(drop))?;
    Ok(found)
}

/// Names of events about a challenge: of one that is sent, of a question, of a push, of a recovery code.
type Names = [&'static str; 4];

const CANCELLED: Names = [
    "sms.challenge_cancelled",
    "ocra.challenge_cancelled",
    "push.challenge_cancelled",
    "recovery.challenge_cancelled",
];

fn named(wanted: &Wanted, [sent, asked, pushed, recovered]: Names) -> &'static str {
    match wanted {
        Wanted::SentCode { .. } | Wanted::SentLink { .. } => sent,
        Wanted::Response { .. } => asked,
        Wanted::Push { .. } => pushed,
        Wanted::Recovery { .. } => recovered,
    }
}
