//! A token is handed over, factor and identity are bound, and the binding takes effect (B.5.6, 12 to 15; BIND-20 to
//! BIND-28).

use domain::enrol::policy::Activator;
use domain::enrol::{Activity, Level, Progress, RULE_VERSION, Refusal, State};
use domain::event::Event;
use domain::names::Serial;
use domain::token::{Class, Id, Lifecycle, MovingState};
use hsm::MacPurpose;
use serde_json::{Value, json};

use super::end::{self, Unused};
use super::request::STRONGER_FACTOR;
use super::view::{self, View};
use super::work::{Doing, Work};
use super::{notice, number, people, phone as enrolled, possession};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, handle, phones, provision};
use crate::store::enrolment::EnrolmentRow;
use crate::store::phone::PhoneRow;
use crate::store::token::TokenRow;
use crate::store::{StoreError, Writing, event, phone, push_device, token};

/// 12: a token from stock is handed over; the enrolment holds it from now on (BIND-20).
///
/// # Errors
/// [`FlowError::Enrol`] with [`Refusal::TokenMismatch`] for another one than was shown; [`FlowError::Conflict`] for one
/// that is not in stock, or a user with as many as there may be.
pub fn hand_over(app: &Appliance, caller: &Caller, id: &Id, serial: &Serial) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.same_vetter("enrol.handed_over")?;
    let row = app.store.read(|c| token::by_serial(c, serial))?.ok_or(FlowError::NotFound("token"))?;
    let doing = Doing::new("enrol.handed_over", Activity::HandOver)
        .about("token", serial.as_str())
        .input(serial.as_str().as_bytes());
    let judged = match work.progress().handed_over(&work.rules(), row.id) {
        Ok(judged) => judged,
        Err(refusal) => return Err(work.refuse(doing, refusal)?),
    };
    let from_stock = row.user_id.is_none() || work.progress().item == Some(row.id);
    if row.class != Class::Hard || !from_stock {
        let text = format!("{serial} is no hardware token from stock");
        return Err(FlowError::Conflict(text));
    }
    possession::usable_for(&work, &row)?;
    if row.user_id.is_none() {
        provision::room_for(app, caller, &work.owner)?;
    }
    work.go(doing, Ok(judged))?;
    let row = work.commit(|_| Ok(()))?;
    view::of(app, caller, row)
}

/// 13: factor and identity are bound, without effect yet.
///
/// # Errors
/// [`FlowError::Enrol`] without a factor that was shown or handed over, or before the vetting is done.
pub fn bind(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.vetter("enrol.bound")?;
    bound(&mut work)?;
    let row = work.commit(|_| Ok(()))?;
    view::of(app, caller, row)
}

fn bound(work: &mut Work<'_>) -> Result<(), FlowError> {
    let judged = work.progress().bound(&work.rules());
    let item = work.progress().item.unwrap_or_default();
    let doing = Doing::new("enrol.bound", Activity::DigitalId).input(&item);
    let doing = factor_record(work, doing)?;
    work.go(doing, judged)
}

/// What the event of a binding says of the factor (B.4.10).
fn factor_record(work: &Work<'_>, doing: Doing) -> Result<Doing, FlowError> {
    let Some(item) = work.progress().item else { return Ok(doing) };
    let factor = work.progress().factor.map_or("", domain::enrol::Factor::name);
    let doing = doing.about("factor", factor);
    let found = work.app.store.read(|c| token::by_id(c, &item))?;
    let app = work.app.store.read(|c| push_device::by_id(c, &item))?;
    Ok(match (found, app) {
        (Some(row), _) => doing.about("token", row.serial.as_str()),
        (None, Some(row)) => doing.about("phone", row.serial.as_str()),
        (None, None) => doing.about("phone", handle(&item)),
    })
}

/// What changes when a binding takes effect.
enum Effect {
    Token(Box<[TokenRow; 2]>, Option<Event>),
    /// A number that was bound before.
    Phone(Box<PhoneRow>),
    /// One that nobody had.
    Number(Box<number::Bound>),
    /// A phone with the app.
    App(Box<enrolled::Bound>),
}

impl Effect {
    fn of(work: &Work<'_>, level: Level) -> Result<Self, FlowError> {
        let (app, caller) = (work.app, work.caller);
        let item = work.progress().item.ok_or(Refusal::Missing(Activity::PossessionBind))?;
        let Some(row) = app.store.read(|c| token::by_id(c, &item))? else {
            if let Some(row) = app.store.read(|c| push_device::by_id(c, &item))? {
                return Ok(Effect::App(Box::new(enrolled::Bound::of(work, row, level)?)));
            }
            return match number::Bound::of(work, &item, level)? {
                Some(bound) => Ok(Effect::Number(Box::new(bound))),
                None => Self::of_phone(work, &item, level),
            };
        };
        possession::usable_for(work, &row)?;
        people::check_records(app, std::slice::from_ref(&row))?;
        let assigned = row.user_id.is_none();
        if assigned {
            provision::room_for(app, caller, &work.owner)?;
        }
        let event = assigned.then(|| {
            app.event("token.assigned", caller)
                .about("token", row.serial.as_str())
                .about("user_ref", &work.owner.user_ref)
        });
        Ok(Effect::Token(Box::new(token_bound(work, row, level)?), event))
    }

    fn of_phone(work: &Work<'_>, item: &Id, level: Level) -> Result<Self, FlowError> {
        let app = work.app;
        let bound = phones::of_user(app, &work.owner.id)?;
        let bound = bound.filter(|bound| bound.id == *item && bound.state == phones::VERIFIED);
        let bound = bound.ok_or(FlowError::NotFound("token or phone"))?;
        // The row is the same for another number: one that came after the proof was never shown (BIND-24).
        if bound.registered_at > possession::shown_at(work)? {
            let doing = Doing::new("enrol.activated", Activity::Activate).about("phone", handle(&bound.id));
            return Err(work.refuse(doing, Refusal::TokenMismatch)?);
        }
        let mut evidence: Value = serde_json::from_str(&bound.evidence).unwrap_or_else(|_| json!({}));
        evidence["enrolment"] = Value::from(handle(&work.row.order.id));
        evidence["rule"] = Value::from(RULE_VERSION);
        let next = PhoneRow {
            loa: level.value().max(bound.loa),
            evidence: evidence.to_string(),
            mac: None,
            ..bound
        };
        Ok(Effect::Phone(Box::new(phones::sealed(app, next)?)))
    }

    fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        match self {
            Effect::Token(rows, assigned) => {
                let [loaded, next] = rows.as_ref();
                if !token::bind(writing, loaded, next)? {
                    return Err(StoreError::Changed("the token"));
                }
                assigned.iter().try_for_each(|event| event::append(writing, event).map(drop))
            }
            Effect::Phone(next) => phone::put(writing, next),
            Effect::Number(bound) => bound.write(writing),
            Effect::App(bound) => bound.write(writing),
        }
    }
}

/// A token before and after it is bound with a level.
///
/// # Errors
/// When the HSM cannot answer.
pub(super) fn token_bound(work: &Work<'_>, row: TokenRow, level: Level) -> Result<[TokenRow; 2], FlowError> {
    let app = work.app;
    let kept = row.user_id.is_some() && row.state.lifecycle != Lifecycle::Pending;
    let next = TokenRow {
        user_id: Some(work.owner.id),
        // A token that has a higher level already keeps it.
        loa: if kept { level.value().max(row.loa) } else { level.value() },
        state: MovingState { lifecycle: Lifecycle::Active, ..row.state.next() },
        ..row.clone()
    };
    let record = next.record.as_deref().unwrap_or_default();
    let record_mac = mac(app, MacPurpose::Record, hsm::record_message(record, &next.binding()))?;
    let state_mac = mac(app, MacPurpose::State, next.state.bytes(&next.id))?;
    Ok([row, TokenRow { record_mac, state_mac, ..next }])
}

fn mac(app: &Appliance, purpose: MacPurpose, data: Vec<u8>) -> Result<[u8; 32], FlowError> {
    Ok(*app.hsm.mac(purpose, vec![data])?.first().ok_or(hsm::HsmError::Protocol)?)
}

/// 14: the binding takes effect with the level that comes out, and the user is told (15).
///
/// # Errors
/// [`FlowError::Enrol`]: [`Refusal::LevelTooLow`], which ends the enrolment (B.6), [`Refusal::SecondPerson`] and others;
/// [`FlowError::Conflict`] for a token that cannot be bound any more.
pub fn activate(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    let vetter = work.vetter("enrol.activated")?;
    let judged = work.progress().activated(&work.rules(), Some(&vetter));
    effective(work, judged)
}

fn effective(mut work: Work<'_>, judged: Result<Progress, Refusal>) -> Result<View, FlowError> {
    let (app, caller, id) = (work.app, work.caller, work.row.order.id);
    let doing = Doing::new("enrol.activated", Activity::Activate);
    let progress = match judged {
        Ok(progress) => progress,
        Err(refusal @ Refusal::LevelTooLow(_)) => {
            let refused = work.refuse(doing, refusal)?;
            without_effect(work, "loa_too_low")?;
            return Err(refused);
        }
        Err(refusal) => return Err(work.refuse(doing, refusal)?),
    };
    let level = progress.level.unwrap_or(Level::One);
    let effect = Effect::of(&work, level)?;
    let doing = factor_record(&work, doing)?
        .about("loa", level.name())
        .about("rule", RULE_VERSION.to_string())
        .about("policy", app.config.enrol.policy.version.as_str());
    work.row.rule = Some(RULE_VERSION);
    work.go(doing, Ok(progress))?;
    let row = work.commit(move |w| effect.write(w))?;
    // That the user cannot be told now keeps nothing from taking effect: it is tried again later.
    match tell(app, caller, &id) {
        Ok(row) => view::of(app, caller, row),
        Err(error) => {
            tracing::warn!(%error, enrolment = handle(&id), "its user could not be told; it is tried again");
            view::of(app, caller, row)
        }
    }
}

/// Ends an enrolment that takes no effect; the user is told (BIND-27).
///
/// # Errors
/// As the end of an enrolment.
pub(super) fn without_effect(mut work: Work<'_>, reason: &'static str) -> Result<(), FlowError> {
    let app = work.app;
    end::reject_with(&mut work, reason)?;
    let told = notice::of_failure(&work)?.go(&mut work)?;
    let unused = Unused::of(&work)?;
    work.commit(move |w| {
        unused.write(w)?;
        told.write(w)
    })?;
    app.bell.ring();
    Ok(())
}

/// Goes on with what the appliance does by itself: a method that no person activates takes effect once it is complete.
///
/// # Errors
/// As [`activate`].
pub(super) fn go_on(app: &Appliance, caller: &Caller, row: EnrolmentRow) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, &row.order.id)?;
    let complete = if work.column.vets() { State::Vetted } else { State::PossessionProven };
    if work.column.activate_by != Activator::System || work.progress().state != complete {
        drop(work);
        return view::of(app, caller, row);
    }
    // What the user has got since the request counts too.
    if people::is_outranked(&work)? {
        let doing = Doing::new("enrol.activated", Activity::Activate);
        let refused = work.refuse(doing, Refusal::StrongerFactor)?;
        without_effect(work, STRONGER_FACTOR)?;
        return Err(refused);
    }
    bound(&mut work)?;
    let judged = work.progress().activated(&work.rules(), None);
    effective(work, judged)
}

/// 15: the user is told, over another channel than the new factor (D-64). For who is to be told once more.
///
/// # Errors
/// [`FlowError::Enrol`] unless it has just taken effect.
pub fn confirm(app: &Appliance, caller: &Caller, id: &Id) -> Result<View, FlowError> {
    Work::open(app, caller, id)?.for_applicant("enrol.confirmed")?;
    let row = tell(app, caller, id)?;
    view::of(app, caller, row)
}

pub(super) fn tell(app: &Appliance, caller: &Caller, id: &Id) -> Result<EnrolmentRow, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    let judged = work.progress().confirmed(&work.now);
    let doing = Doing::new("enrol.confirmed", Activity::Confirmation);
    if let Err(refusal) = judged {
        return Err(work.refuse(doing, refusal)?);
    }
    let told = notice::of_activation(&work)?;
    work.go(doing.about("channel", told.channel()), judged)?;
    let row = work.commit(move |w| told.write(w))?;
    app.bell.ring();
    Ok(row)
}
