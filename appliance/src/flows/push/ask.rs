//! A push is ordered: within the limits that keep a person from being worn down, signed by the HSM, and left for the
//! post (COMB-41, COMB-42, COMB-45, A14, D-42).

use std::net::IpAddr;

use domain::challenge::{Progress, Wanted};
use domain::event::Event;
use domain::names::UserName;
use domain::time::{Deadline, Now};
use domain::token::{Id, Lifecycle};
use domain::verify::Reason;
use hsm::MacPurpose;
use push::message_id::{MessageId, Purpose};
use push::message_text::MessageText;
use push::numbers::Numbers;
use push::payload::{Context, Kind, Payload};
use push::settings::PushType;
use serde::{Deserialize, Serialize};

use super::super::challenge::{BINDING_MESSAGE_MAX, View, supersede, superseding};
use super::super::{Caller, FlowError, handle, users};
use super::register::DEFAULT_LOCALE;
use super::{Reached, authenticate_as, check_device, person_key, refused, settings};
use crate::appliance::Appliance;
use crate::store::challenge::{self, ChallengeRow};
use crate::store::push_device::{self, DeviceRow};
use crate::store::push_message::{self, MessageRow, State};
use crate::store::user::UserRow;
use crate::store::{event, user};

/// Pushes to a user's phone without an approval, in [`WINDOW_MS`] (D-42).
pub const UNANSWERED_MAX: u32 = 3;
/// The window, in milliseconds of the boot clock.
pub(in crate::flows) const WINDOW_MS: u64 = 10 * 60 * 1000;
/// Pause after a denial, in milliseconds of the boot clock (D-42).
const COOL_DOWN_MS: u64 = 60 * 1000;
/// What a push says where the operator has no text.
const TEXT: &str = "Confirm the login of {user} to {issuer}";
/// The event of a push that is not made.
const REFUSED: &str = "push.challenge_refused";
/// How often numbers are drawn: once fails with 10^-13.
const DRAWS_MAX: usize = 4;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// `login`, `register` or another purpose of challenges.
    pub purpose: &'static str,
    /// This phone; the user's newest by default.
    pub device: Option<Id>,
    /// Words for the person.
    pub binding_message: Option<String>,
    /// The address of the person's browser.
    pub remote_ip: Option<IpAddr>,
    /// The browser's name for itself.
    pub user_agent: Option<String>,
}

impl Default for Wish {
    fn default() -> Self {
        Wish { purpose: "login", device: None, binding_message: None, remote_ip: None, user_agent: None }
    }
}

/// A signed message, as it is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Signed {
    pub(super) jwt: String,
    pub(super) alert: String,
}

impl Signed {
    fn aad(row: &MessageRow) -> Vec<u8> {
        domain::canonical::Canonical::new("countersign push message 1")
            .text(&row.id)
            .bytes(&row.challenge_id)
            .bytes(&row.user_id)
            .bytes(&row.device_id)
            .finish()
    }

    pub(super) fn open(app: &Appliance, owner: &UserRow, row: &MessageRow) -> Result<Signed, FlowError> {
        let clear = app.hsm.open(person_key(owner)?, &Self::aad(row), &row.sealed)?;
        let changed = |_| FlowError::Tampered { what: "the push message", which: row.id.clone() };
        postcard::from_bytes(&clear).map_err(changed)
    }
}

/// Why a user cannot be pushed: alike for an unknown one (COMB-45).
pub(in crate::flows) const NOT_REGISTERED: FlowError =
    FlowError::Phone { key: "push.not_registered", text: "there is no such user, or no registered phone" };

/// How it stands with each of a user's phones that is not revoked: one that is active can be asked.
///
/// # Errors
/// When the store cannot answer.
pub(in crate::flows) fn lifecycles(app: &Appliance, owner: &UserRow) -> Result<Vec<Lifecycle>, FlowError> {
    let devices = app.store.read(|c| push_device::living_of(c, &owner.id))?;
    Ok(devices.iter().map(|row| row.lifecycle).collect())
}

/// Asks a user's phone. A push that is open is superseded: one is open at a time.
///
/// # Errors
/// [`FlowError::Phone`] `push.not_registered` alike for an unknown user and for one without a phone;
/// [`FlowError::RateLimited`] after a denial and above the limit; each is an event.
pub fn order(app: &Appliance, caller: &Caller, name: &str, wish: &Wish) -> Result<View, FlowError> {
    order_for(app, caller, name, wish, None)
}

/// As [`order`], for the registration whose possession the push is to show once more: both are one write.
pub(super) fn order_for(
    app: &Appliance,
    caller: &Caller,
    name: &str,
    wish: &Wish,
    registration: Option<&Id>,
) -> Result<View, FlowError> {
    settings(app)?;
    let found = match UserName::parse(name) {
        Ok(name) => app.store.read(|c| user::by_name(c, &name))?,
        Err(_) => None,
    };
    let Some(found) = users::checked(app, name, found)? else {
        let _order = app.lock_name(name)?;
        app.match_decoy("")?;
        return Err(refused(app, caller, None, (REFUSED, "not_registered"), NOT_REGISTERED)?);
    };
    let _order = app.lock_user(&found.id)?;
    let (owner, devices) =
        app.store.read(|c| Ok((user::by_id(c, &found.id)?, push_device::living_of(c, &found.id)?)))?;
    let mut fit = devices.into_iter().filter(|row| {
        row.lifecycle == Lifecycle::Active && wish.device.is_none_or(|wanted| wanted == row.id)
    });
    let owner = owner.filter(|owner| owner.state == users::ACTIVE);
    let (Some(owner), Some(device)) = (owner, fit.next_back()) else {
        app.match_decoy("")?;
        return Err(refused(app, caller, Some(&found), (REFUSED, "not_registered"), NOT_REGISTERED)?);
    };
    users::check_account(app, &owner)?;
    place(app, caller, (&owner, &device), wish, registration)
}

/// Asks this phone, also for a registration as in [`order_for`]. The caller holds the user's lock, and has looked whether
/// both may act.
///
/// # Errors
/// As [`order`]; [`FlowError::Tampered`].
pub(in crate::flows) fn place(
    app: &Appliance,
    caller: &Caller,
    (owner, device): (&UserRow, &DeviceRow),
    wish: &Wish,
    registration: Option<&Id>,
) -> Result<View, FlowError> {
    check_device(app, device)?;
    let now = app.clock.now();
    if let Some(reason) = limited(app, caller, (owner, device), &now)? {
        return Err(refused(app, caller, Some(owner), (REFUSED, reason), FlowError::RateLimited)?);
    }
    Order { app, caller, owner, device, wish, now, registration }.place()
}

/// Why a person is not to be asked now.
fn limited(
    app: &Appliance,
    caller: &Caller,
    (owner, device): (&UserRow, &DeviceRow),
    now: &Now,
) -> Result<Option<&'static str>, FlowError> {
    if let Err(reason) = app.admit(caller, owner, now)? {
        return Ok(Some(if reason == Reason::Locked { "locked" } else { "limited" }));
    }
    let whom = (owner.id, device.id);
    let pushed = app.store.read(|c| challenge::pushed(c, whom, WINDOW_MS, now))?;
    let cooled = |denied: Deadline| {
        Deadline { boot_ms: denied.boot_ms.saturating_add(COOL_DOWN_MS), ..denied }.passed(now)
    };
    if pushed.denied.is_some_and(|denied| !cooled(denied)) {
        return Ok(Some("cool_down"));
    }
    Ok((pushed.pushes >= UNANSWERED_MAX).then_some("fatigue"))
}

struct Order<'a> {
    app: &'a Appliance,
    caller: &'a Caller,
    owner: &'a UserRow,
    device: &'a DeviceRow,
    wish: &'a Wish,
    now: Now,
    registration: Option<&'a Id>,
}

impl Order<'_> {
    fn place(&self) -> Result<View, FlowError> {
        let (app, now) = (self.app, &self.now);
        let settings = &settings(app)?.settings;
        let reached = Reached::open(app, self.owner, self.device)?;
        let text = self.text(&reached)?;
        let numbers = match settings.push_type {
            PushType::Challenge => Some(draw(app)?),
            PushType::Default | PushType::Biometric => None,
        };
        let (message, nonce): ([u8; 16], [u8; 32]) = (app.random()?, app.random()?);
        let at_ms = u64::try_from(now.wall_ms).unwrap_or(0);
        let name = MessageId::new(Purpose::Authenticate, message, at_ms);
        let name = name.ok_or_else(|| FlowError::Invalid("the clock is far from the present".to_owned()))?;
        let mechanism = push::device::MechanismUid::parse(&self.device.mechanism);
        let mechanism = mechanism.ok_or(FlowError::NotFound("phone"))?;
        let context = Context { remote_ip: self.wish.remote_ip, user_agent: self.wish.user_agent.as_deref() };
        let known = context.remote_ip.is_some() || context.user_agent.is_some();
        let payload = Payload {
            challenge: &nonce,
            mechanism: &mechanism,
            text: &text,
            kind: match (&numbers, settings.push_type) {
                (Some(numbers), _) => Kind::Challenge(numbers),
                (None, PushType::Biometric) => Kind::Biometric,
                (None, _) => Kind::Default,
            },
            ttl_s: settings.push_ttl_s,
            at_ms,
            context: known.then_some(context),
            custom: None,
        };
        let input = payload.signing_input().map_err(|error| FlowError::Invalid(error.to_string()))?;
        let [mac] = authenticate_as(app, self.device, [input.as_bytes()])?;
        let signed = Signed { jwt: input.signed(&mac), alert: text.as_str().to_owned() };
        let wanted = Wanted::Push {
            device: self.device.id,
            message,
            nonce,
            number: numbers.as_ref().map(Numbers::right),
        };
        self.write(wanted, &name, &signed, u64::from(settings.push_ttl_s) * 1000)
    }

    /// What the phone shows: the operator's text in the person's language, and the application's words.
    fn text(&self, reached: &Reached) -> Result<MessageText, FlowError> {
        let texts = &settings(self.app)?.settings.push_messages;
        let template = texts.get(&self.owner.lang, DEFAULT_LOCALE).unwrap_or(TEXT);
        let unusable = |error: push::message_text::TextError| FlowError::Invalid(error.to_string());
        let text = MessageText::fill(template, &reached.account, &reached.issuer).map_err(unusable)?;
        match &self.wish.binding_message {
            None => Ok(text),
            Some(words) if words.chars().count() <= BINDING_MESSAGE_MAX => {
                MessageText::parse(&format!("{}: {words}", text.as_str())).map_err(unusable)
            }
            Some(_) => {
                let text = format!("a message for the user has at most {BINDING_MESSAGE_MAX} characters");
                Err(FlowError::Invalid(text))
            }
        }
    }

    fn write(
        &self,
        wanted: Wanted,
        name: &MessageId,
        signed: &Signed,
        ttl_ms: u64,
    ) -> Result<View, FlowError> {
        let (app, now, owner) = (self.app, self.now, self.owner);
        let mut row = ChallengeRow {
            id: app.random()?,
            user_id: owner.id,
            application_id: self.caller.application,
            purpose: self.wish.purpose.to_owned(),
            authenticator: None,
            binding_message: self.wish.binding_message.clone(),
            wanted,
            progress: Progress::pushed(ttl_ms, &now),
            state_mac: [0; 32],
            created_at: now.wall_ms,
        };
        let macs = app.hsm.mac(MacPurpose::State, vec![row.bytes(&row.progress)])?;
        row.state_mac = *macs.first().ok_or(hsm::HsmError::Protocol)?;
        let mut message = MessageRow {
            id: name.to_string(),
            challenge_id: row.id,
            user_id: owner.id,
            device_id: self.device.id,
            sealed: Vec::new(),
            state: State::Queued,
            tries: 0,
            expires: now.deadline_in(ttl_ms),
            created_at: now.wall_ms,
        };
        let clear = postcard::to_allocvec(signed).map_err(|_| hsm::HsmError::Protocol)?;
        message.sealed = app.hsm.seal(person_key(owner)?, &Signed::aad(&message), &clear)?;
        let mut ending = superseding(app, &owner.id, None)?;
        ending.retain(|(open, _)| {
            matches!(open.wanted, Wanted::Push { .. }) || open.application_id == self.caller.application
        });
        let asked_again = |id| super::prove::asked_again(app, self.caller, owner, id, row.id);
        let linked = self.registration.map(asked_again).transpose()?;
        let ordered = app
            .event("push.challenge_ordered", self.caller)
            .about("user_ref", &owner.user_ref)
            .about("phone", self.device.serial.as_str())
            .about("challenge", handle(&row.id));
        let (inserted, name, at) = (row.clone(), name.to_string(), now.wall_ms);
        app.store.write(move |w| {
            supersede(w, &ending, at)?;
            challenge::insert_push(w, &inserted, &name, &now)?;
            push_message::insert(w, &message)?;
            if let Some((before, after)) = &linked {
                super::register::put(w, before, after)?;
            }
            event::append(w, &ordered).map(drop)
        })?;
        app.post.ring();
        let expires_at_ms = row.progress.expires.and_then(|end| end.wall_ms(&now));
        Ok(View { row, phone_masked: None, expires_at_ms })
    }
}

fn draw(app: &Appliance) -> Result<Numbers, FlowError> {
    for _ in 0..DRAWS_MAX {
        if let Ok(numbers) = Numbers::draw(&app.random()?) {
            return Ok(numbers);
        }
    }
    Err(hsm::HsmError::Protocol.into())
}

/// The event that a push could not be delivered, or was not answered.
pub(super) fn ended(at_ms: i64, kind: &'static str, reason: &str, row: &ChallengeRow) -> Event {
    let actor = domain::event::Actor::system(super::PHONES);
    Event::refused(at_ms, kind, actor, reason).about("challenge", handle(&row.id))
}
