//! A number that nobody has yet, as the factor of an enrolment (BIND-09, BIND-24): it gets a code, and is bound with the level
//! that comes out. Until then it is sealed beside the enrolment, where no login finds it, and goes with the enrolment's end.

use domain::enrol::{Activity, Level, RULE_VERSION, Refusal};
use domain::event::Event;
use domain::phone::Msisdn;
use domain::token::Id;
use serde_json::json;

use super::end::Why;
use super::possession::{self, Moment};
use super::replaced::{Replaced, replaced};
use super::work::{Doing, Work};
use crate::appliance::Appliance;
use crate::flows::sending::To;
use crate::flows::{FlowError, challenge, handle, phones, users};
use crate::store::challenge::ChallengeRow;
use crate::store::enrolment_number::{self as store, NumberRow};
use crate::store::outbox::{self, MessageRow};
use crate::store::phone::{self, PhoneRow};
use crate::store::{StoreError, Writing, event};

/// Who bound a number, as its row says it.
const SOURCE: &str = "desk";
/// The same for a method in which nobody looks at the person.
const SOURCE_ALONE: &str = "self_registration";

/// The number of an enrolment, checked; none for one that has to do with the bound number, or with none.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn kept(app: &Appliance, enrolment: &Id) -> Result<Option<NumberRow>, FlowError> {
    let Some(row) = app.store.read(|c| store::of(c, enrolment))? else { return Ok(None) };
    app.check_row("the number of the enrolment", &handle(enrolment), row.bytes(), &row.mac)?;
    Ok(Some(row))
}

/// A row under its MAC.
fn sealed(app: &Appliance, row: NumberRow) -> Result<NumberRow, FlowError> {
    Ok(NumberRow { mac: app.row_mac(row.bytes())?, ..row })
}

/// Last digits of the number that an enrolment keeps.
///
/// # Errors
/// As [`kept`].
pub(super) fn masked(
    app: &Appliance,
    owner: &crate::store::user::UserRow,
    enrolment: &Id,
) -> Result<Option<String>, FlowError> {
    let kept = kept(app, enrolment)?.filter(|_| owner.person_key.is_some());
    kept.map(|kept| Ok(users::open_number(app, owner, &kept.number)?.masked())).transpose()
}

/// Where a code goes.
pub(super) enum Goal {
    /// To the number that is bound.
    Bound(PhoneRow),
    /// To another one, which is kept with the challenge of the code.
    New(Box<NumberRow>, Msisdn),
}

impl Goal {
    /// What is shown by the code.
    pub(super) fn item(&self) -> Id {
        match self {
            Goal::Bound(bound) => bound.id,
            Goal::New(row, _) => row.phone,
        }
    }

    /// For the sending of the code, with what is to be kept.
    pub(super) fn split(self) -> (To, Option<NumberRow>) {
        match self {
            Goal::Bound(bound) => (To::Bound(bound), None),
            Goal::New(row, number) => (To::Given(number), Some(*row)),
        }
    }
}

/// The number that is meant: the one that is typed, the one from before, or the bound one.
///
/// # Errors
/// [`FlowError::NoUserOrPhone`] without any; [`FlowError::Enrol`] with [`Refusal::NumberNotUsable`] for one that cannot
/// be bound here, and with [`Refusal::TokenMismatch`] for another one than was shown: each is an event.
pub(super) fn goal(work: &Work<'_>, moment: Moment, typed: Option<&str>) -> Result<Goal, FlowError> {
    let app = work.app;
    let kept = kept(app, &work.row.order.id)?;
    let bound = phones::of_user(app, &work.owner.id)?;
    let verified = |bound: Option<PhoneRow>| bound.filter(|bound| bound.state == phones::VERIFIED);
    let Some(typed) = typed else {
        return match kept {
            Some(kept) => {
                let number = users::open_number(app, &work.owner, &kept.number)?;
                Ok(Goal::New(Box::new(kept), number))
            }
            None => verified(bound).map(Goal::Bound).ok_or(FlowError::NoUserOrPhone),
        };
    };
    let doing = |why| Doing::new(moment.event, moment.activity).about("number", why);
    let unusable =
        |why| -> Result<Goal, FlowError> { Err(work.refuse(doing(why), Refusal::NumberNotUsable)?) };
    let Some(number) = app.config.people.numbers.read(typed) else { return unusable("invalid") };
    let lookup = users::lookup(app, &number)?;
    if let Some(own) = &bound
        && own.number_lookup == lookup
    {
        return verified(bound).map_or_else(|| unusable("suspended"), |own| Ok(Goal::Bound(own)));
    }
    match kept {
        Some(kept) if kept.lookup == lookup => return Ok(Goal::New(Box::new(kept), number)),
        Some(kept) if kept.proven_at.is_some() => {
            return Err(work.refuse(doing("another"), Refusal::TokenMismatch)?);
        }
        _ => {}
    }
    if let Some(why) = hindrance(work, bound.as_ref(), &lookup)? {
        return unusable(why);
    }
    let key = work.owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    let row = NumberRow {
        enrolment: work.row.order.id,
        phone: app.new_id()?,
        number: app.hsm.seal(key, &users::phone_aad(&work.owner.id), number.expose().as_bytes())?,
        lookup,
        challenge: [0; 16],
        proven_at: None,
        mac: [0; 32],
    };
    Ok(Goal::New(Box::new(row), number))
}

/// Why a number cannot be bound by this enrolment; none where it can.
fn hindrance(
    work: &Work<'_>,
    bound: Option<&PhoneRow>,
    lookup: &[u8; 32],
) -> Result<Option<&'static str>, FlowError> {
    let app = work.app;
    let holders = app.store.read(|c| phone::holders(c, lookup))?;
    if !app.config.people.numbers.shared_allowed && !holders.is_empty() {
        return Ok(Some("taken"));
    }
    Ok(bound.and_then(|bound| {
        // Another number does not lift what an operator has set aside (B.5.1), nor is it a way around what is there.
        if bound.state != phones::VERIFIED {
            Some("suspended")
        } else if !work.row.order.method.needs_person() {
            Some("has_number")
        } else if bound.loa > work.row.order.target.value() {
            Some("loa")
        } else {
            None
        }
    }))
}

/// Keeps a number with the challenge of the code that is on its way to it.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub(super) fn keep(app: &Appliance, row: NumberRow, challenge: Id) -> Result<(), FlowError> {
    let row = sealed(app, NumberRow { challenge, ..row })?;
    Ok(app.store.write(move |w| store::put(w, &row))?)
}

/// The kept number that a code was sent to, and what it is once the code came back.
///
/// # Errors
/// [`FlowError::NotFound`] for the challenge of a number that is not kept any more; [`FlowError::Tampered`].
pub(super) fn proven(work: &Work<'_>, challenge: &ChallengeRow) -> Result<NumberRow, FlowError> {
    let kept = kept(work.app, &work.row.order.id)?.filter(|kept| kept.challenge == challenge.id);
    let kept = kept.ok_or(FlowError::NotFound("challenge"))?;
    sealed(work.app, NumberRow { proven_at: Some(work.now.wall_ms), ..kept })
}

/// What changes when a number is bound.
pub(super) struct Bound {
    former: Option<PhoneRow>,
    next: PhoneRow,
    ended: Replaced,
    superseding: Vec<(ChallengeRow, [u8; 32])>,
    notices: Vec<MessageRow>,
    event: Event,
    shared: bool,
    at: i64,
}

impl Bound {
    /// The number that an enrolment has shown; none where what it holds is another thing.
    ///
    /// # Errors
    /// [`FlowError::Enrol`] with [`Refusal::TokenMismatch`] where the user got another number after the proof, and with
    /// [`Refusal::NumberNotUsable`] where the one that is there counts for more; [`FlowError::Tampered`].
    pub(super) fn of(work: &Work<'_>, item: &Id, level: Level) -> Result<Option<Self>, FlowError> {
        let (app, caller, owner) = (work.app, work.caller, &work.owner);
        let kept = kept(app, &work.row.order.id)?.filter(|kept| kept.phone == *item);
        let Some((kept, proven_at)) = kept.and_then(|kept| kept.proven_at.map(|at| (kept, at))) else {
            return Ok(None);
        };
        let former = phones::of_user(app, &owner.id)?;
        if let Some(former) = &former {
            let doing = Doing::new("enrol.activated", Activity::Activate).about("phone", handle(&former.id));
            if former.registered_at > possession::shown_at(work)? {
                return Err(work.refuse(doing, Refusal::TokenMismatch)?);
            }
            if former.loa > level.value() || former.state != phones::VERIFIED {
                return Err(work.refuse(doing, Refusal::NumberNotUsable)?);
            }
        }
        let by_person = work.row.order.method.needs_person();
        let evidence = json!({
            "otp_at": proven_at, "enrolment": handle(&work.row.order.id), "rule": RULE_VERSION,
        });
        let next = PhoneRow {
            id: kept.phone,
            user_id: owner.id,
            number: kept.number,
            number_lookup: kept.lookup,
            state: phones::VERIFIED.to_owned(),
            source: if by_person { SOURCE } else { SOURCE_ALONE }.to_owned(),
            evidence: evidence.to_string(),
            loa: level.value(),
            registered_at: work.now.wall_ms,
            mac: None,
        };
        let next = phones::sealed(app, next)?;
        let kind = if former.is_some() { "phone.changed" } else { "phone.registered" };
        let ended = match &former {
            Some(former) => replaced(app, caller, &[former.id], Why::AtRequest)?,
            None => Replaced::default(),
        };
        let notices = match &former {
            Some(former) => phones::notices(app, owner, former, &next, &work.now)?,
            None => Vec::new(),
        };
        Ok(Some(Bound {
            ended,
            // Codes on their way to the former number are dead.
            superseding: challenge::superseding(app, &owner.id, None)?,
            notices,
            event: app
                .event(kind, caller)
                .about("user_ref", &owner.user_ref)
                .about("enrolment", handle(&work.row.order.id)),
            shared: app.config.people.numbers.shared_allowed,
            at: work.now.wall_ms,
            former,
            next,
        }))
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when somebody else has the number meanwhile; [`StoreError::Changed`]; SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        if !self.shared && phone::is_taken(writing, &self.next.number_lookup, &self.next.user_id)? {
            return Err(StoreError::Exists("somebody else's binding of this number"));
        }
        challenge::supersede(writing, &self.superseding, self.at)?;
        self.ended.write(writing)?;
        if let Some(former) = &self.former {
            phone::remove(writing, &former.id)?;
        }
        phone::put(writing, &self.next)?;
        self.notices.iter().try_for_each(|message| outbox::insert(writing, message))?;
        event::append(writing, &self.event).map(drop)
    }
}
