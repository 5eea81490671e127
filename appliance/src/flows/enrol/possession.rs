//! The factor is shown, before the vetting or when it is bound (B.5.6, 4 and 13; BIND-09, BIND-10, BIND-23, BIND-24).

use domain::challenge::{State as Asked, Wanted};
use domain::enrol::{Activity, Factor, Progress, Refusal, State};
use domain::event::Event;
use domain::names::Serial;
use domain::token::{Class, Id, Lifecycle, MovingState};
use domain::verify::{self, Meaning, Reason};
use hsm::Matched;
use oath::Code;

use super::view::View;
use super::work::{Doing, Work};
use super::{PURPOSES, end, notice, number, people, phone};
use crate::appliance::Appliance;
use crate::flows::guess::{clear_failures, count_failure};
use crate::flows::provision::device;
use crate::flows::question::{self, Try};
use crate::flows::sending::{Sending, To, place};
use crate::flows::{Caller, FlowError, challenge as sent, handle, provision, users};
use crate::store::challenge::ChallengeRow;
use crate::store::enrolment_number::{self, NumberRow};
use crate::store::token::TokenRow;
use crate::store::{StoreError, challenge, enrolment, event, token, vetting};

/// What is shown.
pub enum Shown {
    /// A code of a token.
    Token {
        /// Which; none for the one that was shown before, or the user's only one.
        serial: Option<Serial>,
        /// The code.
        otp: String,
    },
    /// A code that was sent to the user's phone.
    Sms {
        /// The challenge.
        challenge: Id,
        /// The code.
        otp: String,
    },
    /// The answer to a push, on the phone.
    Push {
        /// The challenge.
        challenge: Id,
    },
}

/// What is on its way to a phone.
#[derive(Debug)]
pub struct Sent {
    /// What the code is given back with, or the answer is asked for with.
    pub challenge: Id,
    /// The number that is to be selected on the phone.
    pub number: Option<u8>,
    /// Last digits of the number that a code goes to.
    pub phone_masked: Option<String>,
}

/// The moment at which a factor is shown: for the challenge, the event and the activity.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) purpose: &'static str,
    pub(super) event: &'static str,
    pub(super) activity: Activity,
    binds: bool,
}

impl Moment {
    fn of(state: State) -> Self {
        let [pre, bind] = PURPOSES;
        if matches!(state, State::Vetting | State::Vetted) {
            Moment {
                purpose: bind,
                event: "enrol.possession_shown",
                activity: Activity::PossessionBind,
                binds: true,
            }
        } else {
            Moment {
                purpose: pre,
                event: "enrol.possession_proven",
                activity: Activity::PossessionPre,
                binds: false,
            }
        }
    }
}

/// What the rules say to it.
pub(super) fn judged(work: &Work<'_>, moment: Moment, item: Id) -> Result<Progress, Refusal> {
    if moment.binds {
        work.progress().possession_bind(&work.rules(), item)
    } else {
        work.progress().possession_pre(&work.rules(), item)
    }
}

/// Who may show it: the applicant, or who asks for applicants, and at the desk the registration authority who vets.
fn opened<'a>(app: &'a Appliance, caller: &'a Caller, id: &Id) -> Result<(Work<'a>, Moment), FlowError> {
    let mut work = Work::open(app, caller, id)?;
    let moment = Moment::of(work.progress().state);
    if moment.binds && work.row.order.method.needs_person() {
        work.same_vetter(moment.event)?;
    } else {
        work.for_who_shows(moment.event)?;
    }
    Ok((work, moment))
}

/// Asks the phone with the app that is to be bound, or sends a code to the number that is: `typed`, which may be one that
/// nobody has yet, or the user's.
///
/// # Errors
/// [`FlowError::NoUserOrPhone`] without a number, [`FlowError::NoModem`]; [`FlowError::Phone`] without a phone with the app;
/// [`FlowError::RateLimited`]; [`FlowError::Enrol`] where it is not the time, another factor was chosen, or the number
/// cannot be used.
pub fn send(app: &Appliance, caller: &Caller, id: &Id, typed: Option<&str>) -> Result<Sent, FlowError> {
    let (work, moment) = opened(app, caller, id)?;
    match work.progress().factor {
        Some(Factor::Push) if typed.is_none() => phone::send(work, moment),
        None | Some(Factor::Sms) => send_code(work, moment, typed),
        Some(_) => Err(work.refuse(Doing::new(moment.event, moment.activity), Refusal::FactorNotAllowed)?),
    }
}

fn send_code(work: Work<'_>, moment: Moment, typed: Option<&str>) -> Result<Sent, FlowError> {
    let (app, caller) = (work.app, work.caller);
    if let Err(reason) = app.admit(caller, &work.owner, &work.now)? {
        let refused = Event::refused(work.now.wall_ms, moment.event, caller.actor.clone(), reason.name());
        let about = refused.about("user_ref", &work.owner.user_ref);
        app.refuse(about.about("enrolment", handle(&work.row.order.id)))?;
        return Err(FlowError::RateLimited);
    }
    let goal = number::goal(&work, moment, typed)?;
    if let Err(refusal) = judged(&work, moment, goal.item()) {
        return Err(work.refuse(Doing::new(moment.event, moment.activity), refusal)?);
    }
    let (to, kept) = goal.split();
    let phone_masked = Some(match &to {
        To::Bound(bound) => users::open_number(app, &work.owner, &bound.number)?.masked(),
        To::Given(number) => number.masked(),
    });
    let sending = Sending {
        owner: &work.owner,
        authenticator: None,
        purpose: moment.purpose,
        link: false,
        to,
        binding_message: None,
    };
    let placed = place(app, caller, &work.now, sending)?.ok_or(FlowError::RateLimited)?;
    if let Some(kept) = kept {
        number::keep(app, kept, placed.id)?;
    }
    Ok(Sent { challenge: placed.id, number: None, phone_masked })
}

/// The factor is shown.
///
/// # Errors
/// [`FlowError::Enrol`] with [`Refusal::TokenMismatch`] for another one than before, [`Refusal::NotShown`] for a wrong
/// code, and where it is not the time; [`FlowError::RateLimited`] after too many of them.
pub fn show(app: &Appliance, caller: &Caller, id: &Id, shown: &Shown) -> Result<View, FlowError> {
    let (work, moment) = opened(app, caller, id)?;
    if app.admit(caller, &work.owner, &work.now)?.is_err() {
        app.match_decoy("")?;
        let refused = Event::refused(work.now.wall_ms, moment.event, caller.actor.clone(), "limited");
        let about = refused.about("user_ref", &work.owner.user_ref).about("enrolment", handle(id));
        app.refuse(about)?;
        return Err(FlowError::RateLimited);
    }
    match shown {
        Shown::Token { serial, otp } => token_shown(work, moment, serial.as_ref(), otp),
        Shown::Sms { challenge, otp } => phone_shown(work, moment, challenge, otp),
        Shown::Push { challenge } => phone::shown(work, moment, challenge),
    }
}

/// The token that is meant: the one that was named, the one from before, or the user's only one of that class.
fn token_meant(work: &Work<'_>, serial: Option<&Serial>) -> Result<TokenRow, FlowError> {
    let app = work.app;
    let class = match work.progress().factor {
        Some(Factor::Hardware) => Class::Hard,
        Some(Factor::Soft) => Class::Soft,
        Some(Factor::Sms | Factor::Push) => {
            return Err(FlowError::Invalid("the factor of this enrolment is no token".to_owned()));
        }
        None => return Err(Refusal::Missing(Activity::Selection).into()),
    };
    let found = match (serial, work.progress().item) {
        (Some(serial), _) => app.store.read(|c| token::by_serial(c, serial))?,
        (None, Some(item)) => app.store.read(|c| token::by_id(c, &item))?,
        (None, None) => {
            let own = app.store.read(|c| token::of_user(c, &work.owner.id))?;
            let mut usable =
                own.into_iter().filter(|row| row.class == class && row.state.lifecycle == Lifecycle::Active);
            match (usable.next(), usable.next()) {
                (Some(only), None) => Some(only),
                (None, _) => None,
                (Some(_), Some(_)) => {
                    return Err(FlowError::Invalid("serial: the user has several tokens".to_owned()));
                }
            }
        }
    };
    let row = found.filter(|row| row.class == class).ok_or(FlowError::NotFound("token"))?;
    usable_for(work, &row)?;
    // Not only once it is bound: nobody is vetted for a token that there is no room for.
    if row.user_id.is_none() {
        provision::room_for(app, work.caller, &work.owner)?;
    }
    Ok(row)
}

/// Whether a token can be bound here: the user's own, or one from stock that nobody else holds.
pub(super) fn usable_for(work: &Work<'_>, row: &TokenRow) -> Result<(), FlowError> {
    let usable = [Lifecycle::Active, Lifecycle::Pending].contains(&row.state.lifecycle);
    let own = row.user_id == Some(work.owner.id) && usable;
    let stock = row.user_id.is_none() && row.state.lifecycle == Lifecycle::InStock;
    if !own && !stock {
        return Err(FlowError::Conflict(format!(
            "{} is neither in stock nor an active token of the user",
            row.serial
        )));
    }
    if stock && device(work.app, row.serial.as_str())?.is_some_and(|device| device.held_tag.is_some()) {
        let text = "the device has not committed its secret: finish its provisioning first";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    let other = work.progress().item != Some(row.id);
    if other && work.app.store.read(|c| enrolment::is_held(c, &row.id))? {
        return Err(FlowError::Conflict(format!("another enrolment holds {}", row.serial)));
    }
    Ok(())
}

/// When the factor was shown the last time, in Unix milliseconds; for one that was not shown, when it was asked for.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn shown_at(work: &Work<'_>) -> Result<i64, FlowError> {
    let (app, id) = (work.app, &work.row.order.id);
    let shows = [Some(Activity::PossessionPre), Some(Activity::PossessionBind)];
    let steps = app.store.read(|c| vetting::steps(c, id))?;
    let Some(step) = steps.iter().rev().find(|step| shows.contains(&step.activity) && step.result == "ok")
    else {
        return Ok(work.row.created_at);
    };
    app.check_row("a step of the enrolment", &handle(id), step.bytes(), &step.mac)?;
    Ok(step.at)
}

/// What came of a code, and the state of the token after it.
struct Tried {
    reason: Option<Reason>,
    next: Option<(MovingState, [u8; 32])>,
}

/// Compares a code with a token; nothing is saved.
fn try_token(work: &Work<'_>, row: &TokenRow, otp: &str) -> Result<Tried, FlowError> {
    let app = work.app;
    let refused = |reason| Ok(Tried { reason: Some(reason), next: None });
    if row.policy.suite().is_some() {
        let text = "the token answers questions: it cannot be shown by a code alone";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    if row.state.is_locked(&work.now) {
        app.match_decoy(otp)?;
        return refused(Reason::Locked);
    }
    if Code::parse(otp).is_err() {
        app.match_decoy("")?;
        return refused(Reason::Malformed);
    }
    let config = &app.config;
    let plan = verify::plan(&row.policy, &row.state, &config.window, &config.limits, true, &work.now);
    let tries = plan.candidates.iter().map(Try::from);
    let asked = question::question(row, otp, tries, &plan.refusal, config.window.factors());
    Ok(match app.hsm.match_codes(vec![asked])?.first() {
        Some(Matched::Hit { factor, next_mac }) => match plan.candidates.get(*factor) {
            Some(hit) if hit.meaning == Meaning::Fresh => {
                Tried { reason: None, next: Some((hit.next, *next_mac)) }
            }
            Some(_) => Tried { reason: Some(Reason::Replay), next: None },
            None => Tried { reason: Some(Reason::Wrong), next: Some((plan.refusal, *next_mac)) },
        },
        Some(Matched::Miss { next_mac }) => {
            Tried { reason: Some(Reason::Wrong), next: Some((plan.refusal, *next_mac)) }
        }
        Some(Matched::Tampered { what }) => return Err(question::tampered(app, row, *what)),
        None => return Err(hsm::HsmError::Protocol.into()),
    })
}

fn token_shown(
    mut work: Work<'_>,
    moment: Moment,
    serial: Option<&Serial>,
    otp: &str,
) -> Result<View, FlowError> {
    let (app, caller) = (work.app, work.caller);
    let row = token_meant(&work, serial)?;
    let doing = Doing::new(moment.event, moment.activity)
        .about("token", row.serial.as_str())
        .about("purpose", moment.purpose)
        .input(row.serial.as_str().as_bytes());
    let judged = match judged(&work, moment, row.id) {
        Ok(judged) => judged,
        Err(refusal) => return Err(work.refuse(doing, refusal)?),
    };
    let Tried { reason, next } = try_token(&work, &row, otp)?;
    let (application, owner) = (caller.application, work.owner.id);
    if reason.is_none() {
        work.go(doing, Ok(judged))?;
        // A token of the applicant's own making makes nobody's wrong codes undone before it is bound (A8).
        let is_factor = row.state.lifecycle != Lifecycle::Pending;
        let saved = work.commit(move |w| {
            if is_factor {
                clear_failures(w, &owner, &application)?;
            }
            match next {
                Some((next, mac)) if token::put_state(w, &row, &next, &mac)? => Ok(()),
                _ => Err(StoreError::Changed("the token")),
            }
        })?;
        return super::bind::go_on(app, caller, saved);
    }
    let last = count_wrong(&work, row, next)?;
    missed(work, doing, last)
}

/// Counts a wrong code at the user, and at a token of the user's: one in stock is nobody's to lock. True when it was the
/// last one.
///
/// # Errors
/// [`StoreError::Changed`] when somebody else has moved the token: the code is counted at the user, and nothing is said
/// of it. When the store cannot answer.
fn count_wrong(
    work: &Work<'_>,
    row: TokenRow,
    next: Option<(MovingState, [u8; 32])>,
) -> Result<bool, FlowError> {
    let (limits, now, owner) = (work.app.config.limits, work.now, work.owner.id);
    let application = work.caller.application;
    let own = row.user_id.is_some();
    let next = next.filter(|_| own);
    let locked = next.as_ref().is_some_and(|(next, _)| next.is_locked(&now));
    let (still, last) = work.app.store.write(move |w| {
        let still = match &next {
            Some((next, mac)) => token::put_state(w, &row, next, mac)?,
            None => true,
        };
        Ok((still, count_failure(w, &limits, &owner, &application, &now)?))
    })?;
    if !still {
        return Err(StoreError::Changed("the token").into());
    }
    Ok(if own { locked } else { last })
}

/// A wrong code: the refusal is an event, and the last one ends a vetting that is under way (BIND-39).
pub(super) fn missed(mut work: Work<'_>, doing: Doing, last: bool) -> Result<View, FlowError> {
    let refused = work.refuse(doing, Refusal::NotShown)?;
    if last && work.progress().state >= State::Vetting {
        let told = notice::of_failure(&work)?;
        end::reject_with(&mut work, "possession_failed")?;
        let told = told.go(&mut work)?;
        let ended = end::Unused::of(&work)?;
        let app = work.app;
        work.commit(move |w| {
            ended.write(w)?;
            told.write(w)
        })?;
        app.bell.ring();
    }
    Err(refused)
}

/// A challenge of this enrolment's user, of this moment, that this caller has ordered since the enrolment began: what was
/// answered for a former one shows nothing now.
///
/// # Errors
/// [`FlowError::NotFound`] for any other; when the store cannot answer.
pub(super) fn challenge_row(work: &Work<'_>, moment: Moment, id: &Id) -> Result<ChallengeRow, FlowError> {
    let row = work.app.store.read(|c| challenge::by_id(c, id))?;
    let own = |row: &ChallengeRow| {
        row.user_id == work.owner.id
            && row.application_id == work.caller.application
            && row.purpose == moment.purpose
            && row.created_at >= work.row.created_at
    };
    row.filter(own).ok_or(FlowError::NotFound("challenge"))
}

/// The challenge that a code was sent for, its digits, what it shows, and the number that is kept, where it is not bound.
type SentCode = (ChallengeRow, u8, Id, Option<NumberRow>);

fn challenge_of(work: &Work<'_>, moment: Moment, id: &Id) -> Result<SentCode, FlowError> {
    let row = challenge_row(work, moment, id)?;
    match row.wanted {
        Wanted::SentCode { digits, phone: Some(phone) } => Ok((row, digits, phone, None)),
        Wanted::SentCode { digits, phone: None } => {
            let kept = number::proven(work, &row)?;
            Ok((row, digits, kept.phone, Some(kept)))
        }
        _ => Err(FlowError::NotFound("challenge")),
    }
}

fn phone_shown(mut work: Work<'_>, moment: Moment, id: &Id, otp: &str) -> Result<View, FlowError> {
    let (app, caller) = (work.app, work.caller);
    let (row, digits, phone, kept) = challenge_of(&work, moment, id)?;
    let doing = Doing::new(moment.event, moment.activity)
        .about("challenge", handle(&row.id))
        .about("purpose", moment.purpose)
        .input(&row.id);
    if work.progress().factor.is_some_and(|factor| factor != Factor::Sms) {
        return Err(work.refuse(doing, Refusal::FactorNotAllowed)?);
    }
    let judged = match judged(&work, moment, phone) {
        Ok(judged) => judged,
        Err(refusal) => return Err(work.refuse(doing, refusal)?),
    };
    let open = row.progress.aged(&work.now).state == Asked::Waiting && Code::parse(otp).is_ok();
    let (application, owner, at) = (caller.application, work.owner.id, work.now.wall_ms);
    if !open {
        app.match_decoy(otp)?;
        return missed(work, doing, false);
    }
    let asked = sent::ask(app, &row, digits, otp)?;
    if asked.right {
        let verified = row.progress.verified();
        let about = |kind| {
            let event = app.event(kind, caller).about("user_ref", &work.owner.user_ref);
            event.about("challenge", handle(&row.id))
        };
        let mut events = vec![about("sms.verified")];
        events.extend(kept.iter().map(|_| about("phone.possession_proven")));
        work.go(doing, Ok(judged))?;
        let saved = work.commit(move |w| {
            if !challenge::put_progress(w, &row, &verified, &asked.next_mac, at)? {
                return Err(StoreError::Changed("the challenge"));
            }
            kept.iter().try_for_each(|kept| enrolment_number::put(w, kept))?;
            if kept.is_none() {
                clear_failures(w, &owner, &application)?;
            }
            events.iter().try_for_each(|event| event::append(w, event).map(drop))
        })?;
        return super::bind::go_on(app, caller, saved);
    }
    let next = row.progress.missed(&app.terms(row.authenticator.as_deref()));
    let last = next.state == Asked::Exhausted;
    let (limits, now) = (app.config.limits, work.now);
    let still = app.store.write(move |w| {
        let still = challenge::put_progress(w, &row, &next, &asked.next_mac, at)?;
        count_failure(w, &limits, &owner, &application, &now).map(|_| still)
    })?;
    if !still {
        return Err(StoreError::Changed("the challenge").into());
    }
    missed(work, doing, last)
}

/// A code of a token of the user's that is vetted already: it vouches for the next one (BIND-15, `existing_factor`).
/// The token as it stands, and what came of the code.
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Enrol`] for a wrong code, which is an event; [`FlowError::Tampered`].
pub(super) fn vouched_by(
    work: &Work<'_>,
    serial: &Serial,
    otp: &str,
) -> Result<(TokenRow, MovingState, [u8; 32]), FlowError> {
    let app = work.app;
    let found = app.store.read(|c| token::by_serial(c, serial))?;
    let own = |row: &TokenRow| {
        row.user_id == Some(work.owner.id)
            && row.state.lifecycle == Lifecycle::Active
            && work.progress().item != Some(row.id)
    };
    let row = found.filter(own).ok_or(FlowError::NotFound("token"))?;
    people::check_records(app, std::slice::from_ref(&row))?;
    let Tried { reason, next } = try_token(work, &row, otp)?;
    match (reason, next) {
        (None, Some((next, mac))) => Ok((row, next, mac)),
        (_, next) => {
            let about =
                Doing::new("enrol.proof_checked", Activity::VetProof).about("token", row.serial.as_str());
            count_wrong(work, row, next)?;
            Err(work.refuse(about, Refusal::NotShown)?)
        }
    }
}
