//! A registration begins: secrets, a QR code, and the time in which the phone's reply counts (COMB-01 to COMB-17).

use domain::event::Event;
use domain::names::UserName;
use domain::registration::{Kind, Registration, State};
use domain::token::{Class, Id, Lifecycle};
use push::label::Account;
use push::uri::Look;
use zeroize::Zeroizing;

use super::super::{Caller, FlowError, enrol, handle, phones, users};
use super::{check_device, logo, prepared, refused, settings};
use crate::appliance::Appliance;
use crate::store::StoreError;
use crate::store::push_device::{self, DeviceRow};
use crate::store::registration::{self, RegistrationRow};
use crate::store::token::{ACTIVE_MAX, TokenRow};
use crate::store::user::UserRow;
use crate::store::{Writing, event, token, user};

/// The event of a registration that comes to nothing.
const FAILED: &str = "mfa.registration_failed";
/// The user name is missing, or nobody's (COMB-06).
const NO_USERNAME: FlowError = FlowError::Phone { key: "comb.no_username", text: "No username found" };
/// There is no such registration (COMB-34).
pub(super) const NO_MESSAGE_ID: FlowError =
    FlowError::Phone { key: "comb.no_message_id", text: "Unable to find push message ID in sharedState" };
/// The user has what is to be registered (COMB-40).
const EXISTS: FlowError = FlowError::Phone {
    key: "registration.exists",
    text: "the user has such a registration: ask with replace, or revoke what is there",
};
/// What the user has counts for more than what was shown here (D-34).
const TOO_LOW: FlowError = FlowError::Phone {
    key: TOO_LOW_KEY,
    text: "what is there counts for more than this: log in with it, or with a recovery code",
};
/// The key of [`TOO_LOW`].
pub(in crate::flows) const TOO_LOW_KEY: &str = "registration.loa";
/// The user has as many tokens as there may be.
const QUOTA: FlowError = FlowError::Phone {
    key: QUOTA_KEY,
    text: "the user has 8 tokens, and may have no more: revoke one with `countersign token revoke`, then begin again",
};
const _: () = assert!(ACTIVE_MAX == 8, "the text above says how many");
/// The key of [`QUOTA`].
pub(in crate::flows) const QUOTA_KEY: &str = "registration.quota";
/// The locale whose text is shown to those who have no text of their own.
pub(super) const DEFAULT_LOCALE: &str = "en";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Push, OATH, or both in one.
    pub kind: Kind,
    /// Whether what is there may come to its end with it (D-34).
    pub replace: bool,
    /// The language of the text beside the QR code; the user's own by default.
    pub locale: Option<String>,
    /// The level of assurance that a user's own session has; none where an operator or an application answers for it.
    pub loa: Option<f64>,
}

/// A registration that waits for its phone.
pub struct Begun {
    /// The row.
    pub row: RegistrationRow,
    /// The QR code's text, handed out this once.
    pub uri: Zeroizing<String>,
    /// The operator's text beside it; none for the built-in one (COMB-16).
    pub message: Option<String>,
    /// End of the waiting in Unix milliseconds.
    pub expires_at_ms: Option<i64>,
}

/// What a user has of a kind: what is only being enrolled is not there yet, and comes to no end by it (D-50).
pub(super) struct Former {
    /// Phones.
    pub(super) devices: Vec<DeviceRow>,
    /// Soft tokens.
    pub(super) tokens: Vec<TokenRow>,
    /// Tokens of every class that are not revoked. One that is being enrolled has its place among them.
    living: usize,
    /// The highest level of all that the user has, of whatever kind.
    standing: f64,
}

impl Former {
    /// What would be there twice.
    ///
    /// # Errors
    /// [`FlowError::Tampered`] for a level that was changed outside the appliance; when the HSM or the store cannot
    /// answer.
    pub(super) fn load(app: &Appliance, owner: &UserRow, kind: Kind) -> Result<Former, FlowError> {
        let (mut devices, mut tokens) =
            app.store.read(|c| Ok((push_device::living_of(c, &owner.id)?, token::of_user(c, &owner.id)?)))?;
        tokens.retain(|row| row.state.lifecycle != Lifecycle::Revoked);
        let living = tokens.len();
        tokens.retain(|row| row.state.lifecycle != Lifecycle::Pending);
        devices.retain(|row| row.lifecycle != Lifecycle::Pending);
        devices.iter().try_for_each(|row| check_device(app, row))?;
        enrol::check_records(app, &tokens)?;
        let number = phones::of_user(app, &owner.id)?.filter(|bound| bound.state == phones::VERIFIED);
        let levels = devices.iter().map(|row| row.loa).chain(tokens.iter().map(|row| row.loa));
        let standing = levels.chain(number.map(|bound| bound.loa)).fold(0.0, f64::max);
        // A phone's other half is on the same phone: it goes with it.
        let halves: Vec<Id> = devices.iter().filter_map(|row| row.pair_id).collect();
        tokens.retain(|row| row.class == Class::Soft && (kind != Kind::Push || halves.contains(&row.id)));
        let devices = if kind == Kind::Oath { Vec::new() } else { devices };
        Ok(Former { devices, tokens, living, standing })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.tokens.is_empty()
    }

    /// Whether what comes with this level, where somebody answers for none, would be a way around what is there.
    pub(super) fn is_above(&self, loa: Option<f64>) -> bool {
        loa.is_some_and(|loa| loa < self.standing)
    }
}

/// Whether a user has such a thing already (COMB-40).
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(in crate::flows) fn is_there(app: &Appliance, owner: &UserRow, kind: Kind) -> Result<bool, FlowError> {
    Ok(!Former::load(app, owner, kind)?.is_empty())
}

/// Begins a registration; a former one that still waits is cancelled.
///
/// # Errors
/// [`FlowError::Phone`] without `[push]`, for a name that nobody has (COMB-06), and for a user who has such a thing
/// (COMB-40), and where the session counts for less than what is there. Each is an event.
pub fn begin(app: &Appliance, caller: &Caller, name: &str, wish: &Wish) -> Result<Begun, FlowError> {
    settings(app)?;
    let found = match UserName::parse(name) {
        Ok(name) => app.store.read(|c| user::by_name(c, &name))?,
        Err(_) => None,
    };
    let Some(found) = users::checked(app, name, found)? else {
        return Err(refused(app, caller, None, (FAILED, "no_username"), NO_USERNAME)?);
    };
    let _order = app.lock_user(&found.id)?;
    let owner = users::find(app, &found.name)?;
    users::check_account(app, &owner)?;
    begin_for(app, caller, &owner, wish, None)
}

/// Begins a registration for a user, or for an enrolment of the user's, which will hold the phone. The caller holds the
/// user's lock.
///
/// # Errors
/// As [`begin`].
pub(in crate::flows) fn begin_for(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    wish: &Wish,
    enrolment: Option<Id>,
) -> Result<Begun, FlowError> {
    let settings = &settings(app)?.settings;
    let refuse = |reason, error| refused(app, caller, Some(owner), (FAILED, reason), error);
    if owner.state != users::ACTIVE {
        return Err(refuse("locked", FlowError::Conflict(format!("the user is {}", owner.state)))?);
    }
    let former = Former::load(app, owner, wish.kind)?;
    if !former.is_empty() && !wish.replace {
        return Err(refuse("exists", EXISTS)?);
    }
    // Also where nothing is replaced: a phone that came with less would be a way around what is there.
    if former.is_above(wish.loa) {
        return Err(refuse("loa", TOO_LOW)?);
    }
    if wish.kind != Kind::Push && former.living - former.tokens.len() >= ACTIVE_MAX {
        return Err(refuse("quota", QUOTA)?);
    }
    let attribute = account_attribute(app, owner, settings.account_attribute.as_deref())?;
    let account = Account::of(attribute.as_ref().map(|text| text.as_str()), owner.name.as_str());
    let logo = logo::address(app)?;
    let look = Look {
        issuer: &settings.issuer,
        account: &account,
        colour: Some(&settings.colour),
        logo: logo.as_ref(),
    };
    // What replaces a phone is made with a phone that is good, and not before.
    let recovery = settings.recovery_codes && enrolment.is_none();
    let made = prepared::make(app, owner, wish, recovery, &look)?;
    let now = app.clock.now();
    let registration = Registration::created(wish.kind, settings.timeout_ms, &now)
        .shown(settings.timeout_ms, &now)
        .map_err(|error| FlowError::Conflict(error.to_string()))?;
    let id = app.random()?;
    let row = RegistrationRow {
        id,
        user_id: owner.id,
        application_id: caller.application,
        message_id: made.message.map(|message| message.to_string()),
        registration,
        prepared: Some(made.prepared.seal(app, owner, &id)?),
        reason: None,
        device_id: None,
        token_id: None,
        challenge_id: None,
        enrolment_id: enrolment,
        created_at: now.wall_ms,
        mac: [0; 32],
    };
    let row = sealed(app, row)?;
    insert(app, caller, owner, &row)?;
    let locale = wish.locale.as_deref().unwrap_or(&owner.lang);
    Ok(Begun {
        uri: made.uri,
        message: settings.qr_messages.get(locale, DEFAULT_LOCALE).map(str::to_owned),
        expires_at_ms: registration.until.wall_ms(&now),
        row,
    })
}

/// What the app is to show as account, where it is not the user name: `email`, if the user has one (COMB-09).
fn account_attribute(
    app: &Appliance,
    owner: &UserRow,
    attribute: Option<&str>,
) -> Result<Option<Zeroizing<String>>, FlowError> {
    match (attribute, &owner.email, &owner.person_key) {
        (Some("email"), Some(sealed), Some(key)) => {
            let clear = app.hsm.open(key, &users::email_aad(&owner.id), sealed)?;
            Ok(std::str::from_utf8(&clear).ok().map(|text| Zeroizing::new(text.to_owned())))
        }
        _ => Ok(None),
    }
}

fn insert(app: &Appliance, caller: &Caller, owner: &UserRow, row: &RegistrationRow) -> Result<(), FlowError> {
    let started = about(app.event("mfa.registration_started", caller), owner, row)
        .about("kind", row.registration.kind.name());
    let mut ending = Vec::new();
    for open in app.store.read(|c| registration::open_of(c, &owner.id))? {
        let cancelled = Registration { state: State::Cancelled, ..open.registration };
        match ended(app, &open, cancelled, Some("superseded")) {
            Ok(next) => {
                let at = app.clock.now().wall_ms;
                let kind = "mfa.registration_failed";
                let event = Event::refused(at, kind, caller.actor.clone(), "superseded");
                ending.push((next, about(event, owner, &open), open));
            }
            Err(error @ FlowError::Tampered { .. }) => app.note_tampering(&error, &caller.actor)?,
            Err(error) => return Err(error),
        }
    }
    let inserted = row.clone();
    Ok(app.store.write(move |w| {
        for (next, event, open) in &ending {
            put(w, open, next)?;
            event::append(w, event)?;
        }
        registration::insert(w, &inserted)?;
        event::append(w, &started).map(drop)
    })?)
}

/// An event about a registration.
pub(super) fn about(event: Event, owner: &UserRow, row: &RegistrationRow) -> Event {
    event.about("user_ref", &owner.user_ref).about("registration", handle(&row.id))
}

/// A row under its MAC.
pub(super) fn sealed(app: &Appliance, row: RegistrationRow) -> Result<RegistrationRow, FlowError> {
    Ok(RegistrationRow { mac: app.row_mac(row.bytes())?, ..row })
}

/// Checks that nobody changed a registration outside the appliance.
pub(super) fn check(app: &Appliance, row: &RegistrationRow) -> Result<(), FlowError> {
    app.check_row("the registration", &handle(&row.id), row.bytes(), &row.mac)
}

/// What a registration is at its end: nothing of what was prepared stays.
pub(super) fn ended(
    app: &Appliance,
    row: &RegistrationRow,
    next: Registration,
    reason: Option<&str>,
) -> Result<RegistrationRow, FlowError> {
    check(app, row)?;
    let reason = reason.map(str::to_owned);
    sealed(app, RegistrationRow { registration: next, prepared: None, reason, ..row.clone() })
}

/// Writes what a registration has become, or undoes the act.
pub(super) fn put(
    writing: &mut Writing<'_>,
    loaded: &RegistrationRow,
    next: &RegistrationRow,
) -> Result<(), StoreError> {
    if registration::put(writing, loaded, next)? {
        Ok(())
    } else {
        Err(StoreError::Changed("the registration"))
    }
}

/// Writes that somebody asked for a registration that nobody has, and gives the refusal (COMB-34).
///
/// # Errors
/// When the store cannot answer.
pub fn unknown(app: &Appliance, caller: &Caller) -> Result<FlowError, FlowError> {
    refused(app, caller, None, (FAILED, "no_message_id"), NO_MESSAGE_ID)
}

/// A registration that this application began for a user, with the user. One whose time is over is ended first.
///
/// # Errors
/// [`FlowError::Phone`] `comb.no_message_id` for any other (COMB-34); when the HSM or the store cannot answer.
pub fn find(
    app: &Appliance,
    caller: &Caller,
    name: &str,
    id: &Id,
) -> Result<(RegistrationRow, UserRow), FlowError> {
    let found = app.store.read(|c| {
        let Some(row) = registration::by_id(c, id)? else { return Ok(None) };
        Ok(user::by_id(c, &row.user_id)?.map(|owner| (row, owner)))
    })?;
    let own = found.filter(|(row, owner)| {
        let named = UserName::parse(name).is_ok_and(|name| name == owner.name);
        named && row.application_id == caller.application
    });
    let Some((row, owner)) = own else { return Err(unknown(app, caller)?) };
    check(app, &row)?;
    users::check_account(app, &owner)?;
    if row.registration.aged(&app.clock.now()).state == row.registration.state {
        return Ok((row, owner));
    }
    super::expire::registration(app, &row)?;
    let row = app.store.read(|c| registration::by_id(c, id))?.ok_or(NO_MESSAGE_ID)?;
    check(app, &row)?;
    Ok((row, owner))
}

/// Takes a registration back.
///
/// # Errors
/// As [`find`]; [`FlowError::Conflict`] once it has ended.
pub fn cancel(app: &Appliance, caller: &Caller, name: &str, id: &Id) -> Result<RegistrationRow, FlowError> {
    let (found, _) = find(app, caller, name, id)?;
    let _order = app.lock_user(&found.user_id)?;
    let (row, owner) = find(app, caller, name, id)?;
    let now = app.clock.now();
    let next = row.registration.cancelled(&now).map_err(|e| FlowError::Conflict(e.to_string()))?;
    let next = ended(app, &row, next, Some("cancelled"))?;
    let event = Event::refused(now.wall_ms, "mfa.registration_failed", caller.actor.clone(), "cancelled");
    let event = about(event, &owner, &row);
    let written = next.clone();
    app.store.write(move |w| {
        put(w, &row, &written)?;
        event::append(w, &event).map(drop)
    })?;
    app.news.notify_waiters();
    Ok(next)
}
