//! A phone with the app as the factor of an enrolment: registered for it, asked, and bound (BIND-09, BIND-21 to BIND-24,
//! D-50). The phone is pending until the binding takes effect, and so is its OATH half: it is asked for its own possession
//! and for nothing else, and gone with an enrolment that does not get there.

use domain::challenge::{State as Asked, Wanted};
use domain::enrol::{Activity, Factor, Level, Refusal, State};
use domain::event::Event;
use domain::registration::Kind;
use domain::token::{Class, Id, Lifecycle};

use super::bind::{self, token_bound};
use super::possession::{self, Moment, Sent};
use super::replaced::half_of;
use super::token_end::TokenEnd;
use super::view::{self, View};
use super::work::{Doing, Ready, Work};
use crate::appliance::Appliance;
use crate::flows::push::ask::{self, NOT_REGISTERED};
use crate::flows::push::{CodesEnd, check_device, device, register, sealed_device};
use crate::flows::{Caller, FlowError, challenge as sent, handle};
use crate::store::challenge::ChallengeRow;
use crate::store::push_device::{self, DeviceRow};
use crate::store::token::{self, TokenRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, challenge, enrolment, event};

/// The event of a phone that is registered for an enrolment.
const REGISTERED: &str = "enrol.phone_registered";
/// The user has another phone by now, or the codes of another app.
const BESIDE: FlowError = FlowError::Phone {
    key: "registration.exists",
    text: "the user has another phone, or the codes of another app, by now: revoke what is not to stay and go on, or cancel \
           the enrolment",
};
/// Denials after which a vetting that is under way ends (D-42).
const DENIALS_MAX: u32 = 2;

/// A registration that waits for the phone of an enrolment.
pub struct Registering {
    /// The enrolment.
    pub view: View,
    /// The registration, with what the app scans, shown once.
    pub begun: register::Begun,
}

/// Begins to register a phone for this enrolment: for push and codes, unless the user has the codes of an app already or
/// `kind` says otherwise. One that is waited for already is cancelled.
///
/// # Errors
/// [`FlowError::Enrol`] where it is not the time, another factor was chosen, or a phone is held already;
/// [`FlowError::Phone`] without `[push]`, and for a user who has a phone: that one can be shown.
pub fn register(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    kind: Option<Kind>,
    locale: Option<String>,
) -> Result<Registering, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    if matches!(work.progress().state, State::Vetting | State::Vetted) {
        work.same_vetter(REGISTERED)?;
    } else {
        work.for_who_shows(REGISTERED)?;
    }
    if let Err(refusal) = work.progress().made(&work.now, Factor::Push, [0; 16]) {
        return Err(work.refuse(Doing::new(REGISTERED, Activity::Selection), refusal)?);
    }
    let kind = match kind {
        Some(Kind::Oath) => return Err(FlowError::Invalid("kind: must be combined or push".to_owned())),
        Some(kind) => kind,
        None => fitting(&work)?,
    };
    let wish = register::Wish { kind, replace: false, locale, loa: None };
    let begun = register::begin_for(app, caller, &work.owner, &wish, Some(*id))?;
    let view = view::of(app, caller, work.row)?;
    Ok(Registering { view, begun })
}

/// Push and codes, or push alone for who has the codes of an app.
fn fitting(work: &Work<'_>) -> Result<Kind, FlowError> {
    let own = work.app.store.read(|c| token::of_user(c, &work.owner.id))?;
    let soft = |row: &TokenRow| row.class == Class::Soft && row.state.lifecycle != Lifecycle::Revoked;
    Ok(if own.iter().any(soft) { Kind::Push } else { Kind::Combined })
}

/// The enrolment with the phone that has just answered its QR code, to be written with it; none where it does not take
/// the phone any more, which is an event. The caller holds the user's lock.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(crate) fn registered(
    app: &Appliance,
    caller: &Caller,
    enrolment: &Id,
    phone: &DeviceRow,
) -> Result<Option<Ready>, FlowError> {
    let mut work = match Work::load(app, caller, enrolment) {
        Ok(work) if !work.is_over() => work,
        Ok(_) | Err(FlowError::NotFound(_) | FlowError::Conflict(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let serial = phone.serial.as_str();
    let doing = Doing::new(REGISTERED, Activity::Selection).about("phone", serial).input(serial.as_bytes());
    let judged = work.progress().made(&work.now, Factor::Push, phone.id);
    match work.go(doing, judged) {
        Ok(()) => work.ready().map(Some),
        Err(FlowError::Enrol(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The phone that is meant: the one of the enrolment, or the user's own.
fn meant(work: &Work<'_>) -> Result<DeviceRow, FlowError> {
    let app = work.app;
    let found = match work.progress().item {
        Some(item) => app.store.read(|c| push_device::by_id(c, &item))?,
        None => {
            let own = app.store.read(|c| push_device::living_of(c, &work.owner.id))?;
            own.into_iter().rfind(|row| row.lifecycle == Lifecycle::Active)
        }
    };
    let row = found.ok_or(NOT_REGISTERED)?;
    usable_for(work, &row)?;
    Ok(row)
}

/// Whether a phone can be shown and bound here: the user's own, in use or held by this enrolment, and by no other one.
fn usable_for(work: &Work<'_>, row: &DeviceRow) -> Result<(), FlowError> {
    check_device(work.app, row)?;
    let held = work.progress().item == Some(row.id);
    let fit = match row.lifecycle {
        Lifecycle::Active => true,
        Lifecycle::Pending => held,
        _ => false,
    };
    if row.user_id != work.owner.id || !fit {
        return Err(FlowError::Conflict(format!("{} is no phone in use by the user", row.serial)));
    }
    if !held && work.app.store.read(|c| enrolment::is_held(c, &row.id))? {
        return Err(FlowError::Conflict(format!("another enrolment holds {}", row.serial)));
    }
    Ok(())
}

/// Asks the phone that is to be bound, within the limits of pushes (D-42).
///
/// # Errors
/// [`FlowError::Phone`] `push.not_registered` without a phone; [`FlowError::RateLimited`]; [`FlowError::Enrol`].
pub(super) fn send(work: Work<'_>, moment: Moment) -> Result<Sent, FlowError> {
    let (app, caller) = (work.app, work.caller);
    let phone = meant(&work)?;
    if let Err(refusal) = possession::judged(&work, moment, phone.id) {
        return Err(work.refuse(Doing::new(moment.event, moment.activity), refusal)?);
    }
    let wish = ask::Wish { purpose: moment.purpose, device: Some(phone.id), ..ask::Wish::default() };
    let view = ask::place(app, caller, (&work.owner, &phone), &wish, None)?;
    let number = match view.row.wanted {
        Wanted::Push { number, .. } => number,
        _ => None,
    };
    Ok(Sent { challenge: view.row.id, number, phone_masked: None })
}

/// The push of this enrolment's user, at this moment, with the phone that it went to.
fn challenge_of(work: &Work<'_>, moment: Moment, id: &Id) -> Result<(ChallengeRow, DeviceRow), FlowError> {
    let unknown = FlowError::NotFound("challenge");
    let row = possession::challenge_row(work, moment, id)?;
    let Wanted::Push { device, .. } = row.wanted else { return Err(unknown) };
    let phone = work.app.store.read(|c| push_device::by_id(c, &device))?;
    let phone = phone.filter(|phone| phone.user_id == work.owner.id).ok_or(unknown)?;
    Ok((row, phone))
}

/// Takes what was answered on the phone: an approval shows it, once.
///
/// # Errors
/// [`FlowError::Enrol`] with [`Refusal::Unanswered`] as long as nobody has answered, [`Refusal::NotShown`] after a no, and
/// once its time is over.
pub(super) fn shown(mut work: Work<'_>, moment: Moment, id: &Id) -> Result<View, FlowError> {
    let (app, caller) = (work.app, work.caller);
    let (row, phone) = challenge_of(&work, moment, id)?;
    let doing = Doing::new(moment.event, moment.activity)
        .about("phone", phone.serial.as_str())
        .about("challenge", handle(&row.id))
        .about("purpose", moment.purpose)
        .input(&row.id);
    if work.progress().factor != Some(Factor::Push) {
        return Err(work.refuse(doing, Refusal::FactorNotAllowed)?);
    }
    let judged = match possession::judged(&work, moment, phone.id) {
        Ok(judged) => judged,
        Err(refusal) => return Err(work.refuse(doing, refusal)?),
    };
    usable_for(&work, &phone)?;
    let mac_of = |next| sent::next_mac(app, &row, next);
    let progress = row.progress.aged(&work.now);
    match progress.state {
        // Who looks too early has tried nothing.
        Asked::Delivering | Asked::Waiting => {
            mac_of(&progress)?;
            return Err(Refusal::Unanswered.into());
        }
        Asked::Denied => {
            let window = ask::WINDOW_MS;
            let whom = (work.owner.id, phone.id);
            let pushed = app.store.read(|c| challenge::pushed(c, whom, window, &work.now))?;
            return possession::missed(work, doing, pushed.denials >= DENIALS_MAX);
        }
        _ => {}
    }
    let Ok(next) = progress.fetched(&work.now) else { return possession::missed(work, doing, false) };
    let (mac, at) = (mac_of(&next)?, work.now.wall_ms);
    let fetched = app
        .event("push.fetched", caller)
        .about("user_ref", &work.owner.user_ref)
        .about("phone", phone.serial.as_str())
        .about("challenge", handle(&row.id));
    work.go(doing, Ok(judged))?;
    let saved = work.commit(move |w| {
        if !challenge::put_progress(w, &row, &next, &mac, at)? {
            return Err(StoreError::Changed("the challenge"));
        }
        event::append(w, &fetched).map(drop)
    })?;
    bind::go_on(app, caller, saved)
}

/// The number that is to be selected on the phone, of a push that is open; none for another one.
///
/// # Errors
/// [`FlowError::NotFound`] for an enrolment that the caller may not see; [`FlowError::Tampered`].
pub fn number_to_select(
    app: &Appliance,
    caller: &Caller,
    view: &View,
    id: &Id,
) -> Result<Option<u8>, FlowError> {
    let Some(row) = sent::checked(app, id)? else { return Ok(None) };
    let own = row.user_id == view.row.order.user && row.application_id == caller.application;
    let open = !row.progress.aged(&app.clock.now()).state.is_final();
    Ok(match row.wanted {
        Wanted::Push { number, .. } if own && open && super::PURPOSES.contains(&row.purpose.as_str()) => {
            number
        }
        _ => None,
    })
}

/// The refusal of a phone whose user has another one by now, or the codes of another app; an event.
fn refused_beside(work: &Work<'_>, row: &DeviceRow) -> Result<FlowError, FlowError> {
    let actor = work.caller.actor.clone();
    let refused = Event::refused(work.now.wall_ms, "enrol.activated", actor, "exists");
    let refused = refused.about("user_ref", &work.owner.user_ref).about("phone", row.serial.as_str());
    work.app.refuse_seldom(row.serial.as_str(), refused)?;
    Ok(BESIDE)
}

/// What changes with a phone when its binding takes effect.
pub(super) struct Bound {
    phone: [DeviceRow; 2],
    half: Option<[TokenRow; 2]>,
}

impl Bound {
    /// The phone of an enrolment with the level that came out. The codes of one that was registered for it come along.
    ///
    /// # Errors
    /// [`FlowError::Conflict`] for a phone that cannot be bound any more; [`FlowError::Tampered`].
    pub(super) fn of(work: &Work<'_>, row: DeviceRow, level: Level) -> Result<Self, FlowError> {
        usable_for(work, &row)?;
        let app = work.app;
        let held = row.lifecycle == Lifecycle::Pending;
        let half = match row.pair_id.filter(|_| held) {
            Some(id) => app.store.read(|c| token::by_id(c, &id))?,
            None => None,
        };
        let half = half.filter(|half| half.state.lifecycle == Lifecycle::Pending);
        let kind = if half.is_some() { Kind::Combined } else { Kind::Push };
        // Another one that was registered meanwhile is not set aside unasked, and two are not there (COMB-40).
        if held && register::is_there(app, &work.owner, kind)? {
            return Err(refused_beside(work, &row)?);
        }
        let half = half.map(|half| token_bound(work, half, level)).transpose()?;
        // A phone that has a higher level already keeps it.
        let loa = if held { level.value() } else { level.value().max(row.loa) };
        let next =
            DeviceRow { lifecycle: Lifecycle::Active, loa, updated_at: work.now.wall_ms, ..row.clone() };
        Ok(Bound { phone: [row, sealed_device(app, next)?], half })
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when phone or token has moved; SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        let [loaded, next] = &self.phone;
        if !push_device::put(writing, loaded, next)? {
            return Err(StoreError::Changed("the phone"));
        }
        match &self.half {
            Some([loaded, next]) if !token::bind(writing, loaded, next)? => {
                Err(StoreError::Changed("the token"))
            }
            _ => Ok(()),
        }
    }
}

/// The end of a phone that goes with its enrolment or its binding, and of the codes on it.
pub(super) struct PhoneEnd {
    phone: device::Changing,
    half: Option<TokenEnd>,
    codes: CodesEnd,
}

impl PhoneEnd {
    /// Revokes a phone once it is written.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
    pub(super) fn of(
        app: &Appliance,
        caller: &Caller,
        owner: &UserRow,
        row: DeviceRow,
    ) -> Result<Self, FlowError> {
        let half = half_of(app, caller, owner, &row)?;
        let codes = CodesEnd::of(app, caller, owner)?;
        Ok(PhoneEnd { phone: device::revoking(app, caller, owner, row)?, half, codes })
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when phone or token has moved; SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        let (loaded, next, revoked) = &self.phone;
        if !push_device::put(writing, loaded, next)? {
            return Err(StoreError::Changed("the phone"));
        }
        event::append(writing, revoked)?;
        self.half.as_ref().map_or(Ok(()), |half| half.write(writing))?;
        self.codes.write(writing)
    }
}
