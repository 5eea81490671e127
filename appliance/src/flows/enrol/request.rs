//! A factor is asked for, and whether its user may have it (B.5.6, 1 to 3; BIND-02 to BIND-07, BIND-12).

use domain::enrol::{
    Activity, Channel, Factor, Level, Method, Order, Product, Progress, Refusal, Requester, State,
};
use domain::event::Event;
use domain::names::UserName;
use domain::role::Right;
use domain::scope::Scope;
use domain::token::Id;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::view::{self, View};
use super::work::{Doing, Work, check_line};
use super::{applicant, people, vouch};
use crate::appliance::Appliance;
use crate::config::enrolment::is_organisation;
use crate::flows::{Caller, FlowError, OPERATOR, operators, organisation, users};
use crate::store::enrolment::{self, EnrolmentRow};
use crate::store::user::UserRow;

/// Longest text of what a request says, in characters.
const TEXT_MAX: usize = 128;
/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3_600_000;
/// Why nobody adds a factor by the own word to one that counts for more.
pub(crate) const STRONGER_FACTOR: &str = "stronger_factor";
/// Factors that a user may have, the password included (BIND-01).
const FACTORS_MAX: u8 = 9;

/// What the seal of a request's words covers besides them.
fn info_aad(enrolment: &Id) -> Vec<u8> {
    [b"countersign enrolment info 1".as_slice(), enrolment].concat()
}

/// What a request says of its user, and what shows that it is the user's.
#[derive(Clone, Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Info {
    /// The name of the person.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// The organisation that the request names, whatever that counts for.
    #[serde(default)]
    pub organisation: Option<String>,
    /// The login somewhere else by which the first factor was shown.
    pub evidence: Option<Evidence>,
    /// The level of what an applicant has shown at the login here, besides the first factor; none for that one alone.
    #[serde(default)]
    pub shown: Option<f64>,
}

/// A login somewhere else, as its application delivers it (BIND-04).
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Evidence {
    /// Who vouches for the login.
    pub issuer: String,
    /// Its id there.
    pub id: String,
    /// When it was, in RFC 3339.
    pub at: String,
}

/// A factor that is asked for.
pub struct NewRequest {
    /// Whose it will be.
    pub user: UserName,
    /// How the user is to be vetted.
    pub method: Method,
    /// The level that is aimed at; the lowest of the method by default.
    pub level: Option<Level>,
    /// Which factor of the user's it will be (BIND-01).
    pub factor_index: u8,
    /// How the request came in; a desk's own is [`Channel::Desk`] (BIND-03).
    pub channel: Option<Channel>,
    /// Whose registration authorities may vet, as the request says it.
    pub organisation: Option<String>,
    /// What is said of the user.
    pub info: Info,
}

fn check_texts(new: &NewRequest) -> Result<(), FlowError> {
    let evidence = new.info.evidence.as_ref();
    let texts = [
        ("name", new.info.name.as_deref()),
        ("evidence.issuer", evidence.map(|one| one.issuer.as_str())),
        ("evidence.id", evidence.map(|one| one.id.as_str())),
    ];
    for (what, text) in texts {
        text.map_or(Ok(()), |text| check_line(what, text, TEXT_MAX))?;
    }
    if evidence.is_some_and(|one| one.at.parse::<jiff::Timestamp>().is_err()) {
        return Err(FlowError::Invalid("evidence.at: must be a time as RFC 3339 writes it".to_owned()));
    }
    new.info.email.as_deref().map_or(Ok(()), users::check_email)?;
    if new.organisation.as_deref().is_some_and(|name| !is_organisation(name)) {
        return Err(FlowError::Invalid("organisation: must be a name of 1 to 64 characters".to_owned()));
    }
    if !(1..=FACTORS_MAX).contains(&new.factor_index) {
        return Err(FlowError::Invalid(format!("factor_index: must be 1 to {FACTORS_MAX}")));
    }
    Ok(())
}

/// Who asks, by who the caller is.
fn requester(app: &Appliance, caller: &Caller, new: &NewRequest) -> Result<Requester, FlowError> {
    if applicant::is_user(caller) {
        caller.need(app, Right::RequestEnrolment)?;
        return Ok(Requester::Applicant);
    }
    let by = match (caller.actor.kind == OPERATOR, caller.rights.has(Right::Vet)) {
        (true, true) => Requester::Desk,
        (true, false) => Requester::Organisation,
        (false, _) => Requester::Application,
    };
    if by != Requester::Desk {
        caller.need(app, Right::RequestEnrolment)?;
    }
    // Who vets says at the desk who somebody is, and not by a login that nobody has seen.
    if new.info.evidence.is_some() {
        caller.need(app, Right::AssertUser)?;
    }
    Ok(by)
}

/// The level that a request aims at: the one asked for, or the lowest of the method.
fn target(app: &Appliance, new: &NewRequest) -> Result<Level, FlowError> {
    let columns = || app.config.enrol.policy.columns.iter().filter(|column| column.method == new.method);
    let lowest = columns().map(|column| column.level).min();
    let found = match new.level {
        None => lowest,
        Some(level) => columns().map(|column| column.level).find(|one| *one == level),
    };
    found.ok_or_else(|| {
        let levels: Vec<&str> = columns().map(|column| column.level.name()).collect();
        let text = format!("level: {} aims at {}", new.method.name(), levels.join(" or "));
        FlowError::Invalid(text)
    })
}

/// A row that stands nowhere yet.
pub(super) fn new_row(order: Order, application: Id, organisation: String, now_ms: i64) -> EnrolmentRow {
    EnrolmentRow {
        order,
        application,
        organisation,
        progress: Progress {
            state: State::Requested,
            done: domain::enrol::Done::default(),
            factor: None,
            item: None,
            eligible_at_ms: None,
            code_until_ms: None,
            vetter: None,
            second: None,
            vouched: None,
            security_features: false,
            level: None,
            acted_at_ms: 0,
        },
        code_mac: None,
        info: None,
        rule: None,
        reminded_at: None,
        reason: None,
        created_at: now_ms,
        mac: [0; 32],
    }
}

/// 1 and 2: a factor is asked for, and it is looked whether the user may have it. Who may not is refused, which is an
/// end of the enrolment and no error.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; [`FlowError::Enrol`] without a first factor (BIND-06) or for a method
/// that is not enabled, with [`Refusal::AssertionStale`] for a login of long ago, and [`FlowError::RateLimited`] for a user
/// in whose name too many were asked for in a day; each is an event. [`FlowError::Invalid`].
pub fn request(app: &Appliance, caller: &Caller, new: NewRequest) -> Result<View, FlowError> {
    let by = requester(app, caller, &new)?;
    check_texts(&new)?;
    let target = target(app, &new)?;
    let owner = users::find(app, &new.user)?;
    users::check_account(app, &owner)?;
    if by == Requester::Applicant && owner.user_ref != caller.actor.id {
        return Err(FlowError::NotFound("user"));
    }
    let guard = app.lock_user(&owner.id)?;
    let order = ordered(app, &owner, (by, target), &new)?;
    let id = order.id;
    let organisation = counting(app, caller, by, &owner, &new)?;
    let mut row = new_row(order, caller.application, organisation, app.clock.now().wall_ms);
    let mut info = new.info.clone();
    info.organisation.clone_from(&new.organisation);
    info.shown = caller.shown.map(Level::value);
    row.info = Some(seal(app, &owner, &id, &info)?);
    let mut work = Work::begin(app, caller, &owner, row, Some(guard))?;
    check_request(&work, &new)?;
    let first =
        new.info.evidence.as_ref().map(|evidence| vouch::first_factor(&work, evidence)).transpose()?;
    let first_factor = by == Requester::Applicant || first.is_some();
    let mut asked =
        asking(&work).about("requested_by", by.name()).input(work.row.info.as_deref().unwrap_or_default());
    if first_factor {
        let shown = if by == Requester::Applicant { "login" } else { "assertion" };
        asked = asked.about("first_factor", shown);
    }
    let judged = Progress::requested(&work.row.order, first_factor, &work.now);
    work.go(asked, judged)?;
    look_whether_eligible(&mut work, Looked::UnderWay)?;
    // Who asks is told at once: a message for each refusal would let anybody spend the modem's time.
    let row = work.commit(move |w| first.map_or(Ok(()), |first| first.note(w)))?;
    app.bell.ring();
    view::of(app, caller, row)
}

fn ordered(
    app: &Appliance,
    owner: &UserRow,
    (by, target): (Requester, Level),
    new: &NewRequest,
) -> Result<Order, FlowError> {
    let channel = match by {
        Requester::Desk => Channel::Desk,
        Requester::Applicant => Channel::LocalLogin,
        _ => new.channel.unwrap_or(Channel::Api),
    };
    Ok(Order {
        id: app.new_id()?,
        user: owner.id,
        factor_index: new.factor_index,
        channel,
        by,
        method: new.method,
        target,
        policy: app.config.enrol.policy.version.clone(),
    })
}

fn asking(work: &Work<'_>) -> Doing {
    Doing::new("enrol.requested", Activity::Request).about("channel", work.row.order.channel.name())
}

/// What is looked at before there is an enrolment at all; each refusal is an event.
fn check_request(work: &Work<'_>, new: &NewRequest) -> Result<(), FlowError> {
    let (app, caller, rules) = (work.app, work.caller, &work.app.config.enrol);
    if !rules.methods.contains(&new.method) {
        return Err(work.refuse(asking(work), Refusal::MethodDisabled(new.method))?);
    }
    let right = if caller.rights.has(Right::RequestEnrolment) { Right::RequestEnrolment } else { Right::Vet };
    if !people::deals_with(work, right)? {
        return Err(work.refuse(asking(work), Refusal::OutOfScope)?);
    }
    let since = work.now.steady_ms.saturating_sub(DAY_MS);
    let user = work.owner.id;
    if work.row.order.by.is_self()
        && app.store.read(|c| enrolment::asked_since(c, &user, since))? >= rules.day_max as usize
    {
        let event = Event::refused(work.now.wall_ms, "enrol.requested", caller.actor.clone(), "limited");
        let user_ref = &work.owner.user_ref;
        app.refuse_seldom(user_ref, event.about("user_ref", user_ref))?;
        return Err(FlowError::RateLimited);
    }
    Ok(())
}

/// The organisation that counts: the one that an operator has said of the user, else the word of a registration authority,
/// an operator, or an application that brings a login somewhere else. What an applicant types is a claim, no more, and so
/// is the word of who works for some organisations: nobody makes the own applicants.
fn counting(
    app: &Appliance,
    caller: &Caller,
    by: Requester,
    owner: &UserRow,
    new: &NewRequest,
) -> Result<String, FlowError> {
    if let Some(said) = organisation::of(app, &owner.id)? {
        return Ok(said);
    }
    let word = match by {
        Requester::Desk => operators::reach(app, caller, Right::Vet) == Scope::Everywhere,
        Requester::Organisation => {
            operators::reach(app, caller, Right::RequestEnrolment) == Scope::Everywhere
        }
        Requester::Application => new.info.evidence.is_some(),
        Requester::Applicant => false,
    };
    Ok(new.organisation.clone().filter(|_| word).unwrap_or_default())
}

fn seal(app: &Appliance, owner: &UserRow, id: &Id, info: &Info) -> Result<Vec<u8>, FlowError> {
    let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    let json = zeroize::Zeroizing::new(serde_json::to_vec(info).expect("texts are JSON"));
    Ok(app.hsm.seal(key, &info_aad(id), &json)?)
}

/// What a request said of its user; nothing once the user is forgotten.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM cannot answer.
pub(super) fn info(app: &Appliance, owner: &UserRow, row: &EnrolmentRow) -> Result<Info, FlowError> {
    let (Some(sealed), Some(key)) = (&row.info, &owner.person_key) else { return Ok(Info::default()) };
    let json = app.hsm.open(key, &info_aad(&row.order.id), sealed)?;
    serde_json::from_slice(&json).map_err(|_| FlowError::Tampered {
        what: "the enrolment",
        which: crate::flows::handle(&row.order.id),
    })
}

/// What it is that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// An enrolment that goes on from here.
    UnderWay,
    /// One that is whole with this act: who ordered the letter has looked whether the user is one of ours.
    Whole,
}

/// Why a user may not have another factor now; none who may (BIND-12).
fn hindrance(work: &Work<'_>, looked: Looked) -> Result<Option<&'static str>, FlowError> {
    let (app, rules) = (work.app, &work.app.config.enrol);
    if work.owner.state != users::ACTIVE {
        return Ok(Some("account"));
    }
    if looked == Looked::Whole {
        return Ok(None);
    }
    let organisation = work.organisation()?;
    if !rules.organisations.is_empty() && !rules.organisations.iter().any(|one| one == organisation) {
        return Ok(Some("organisation"));
    }
    if people::is_outranked(work)? {
        return Ok(Some(STRONGER_FACTOR));
    }
    let (user, id) = (work.owner.id, work.row.order.id);
    let open = app.store.read(|c| enrolment::open_count(c, &user, &id))?;
    Ok((open >= rules.open_max as usize).then_some("quota"))
}

/// 2 and 2n: true when the user may not.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub(super) fn look_whether_eligible(work: &mut Work<'_>, looked: Looked) -> Result<bool, FlowError> {
    let policy = work.app.config.enrol.policy.version.clone();
    let hindrance = hindrance(work, looked)?;
    match hindrance {
        None => {
            let judged = work.progress().eligible(&work.now);
            let doing = Doing::new("enrol.eligible", Activity::Eligibility).about("policy", policy);
            work.go(doing, judged)?;
        }
        Some(reason) => {
            let judged = work.progress().ended(State::Rejected, &work.now);
            let reason = format!("not_eligible.{reason}");
            let doing = Doing::end("enrol.rejected", &reason).about("policy", policy);
            work.row.reason = Some(reason);
            work.go(doing, judged)?;
        }
    }
    Ok(hindrance.is_some())
}

/// 3: what is to be bound (BIND-07, BIND-08).
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Enrol`] where the policy does not allow it, another one was shown, or it is
/// not the time.
pub fn select(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    factor: Factor,
    product: Option<&Product>,
) -> Result<View, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.for_applicant("enrol.factor_selected")?;
    let by = if caller.actor.kind == OPERATOR { "registration_authority" } else { "applicant" };
    let mut doing = Doing::new("enrol.factor_selected", Activity::Selection)
        .about("factor", factor.name())
        .about("selected_by", by);
    if let Some(product) = product {
        doing = doing.input(product.as_str().as_bytes()).about("product", product.as_str());
    }
    let judged = work.progress().selected(&work.rules(), factor);
    work.go(doing, judged)?;
    let row = work.commit(|_| Ok(()))?;
    view::of(app, caller, row)
}
