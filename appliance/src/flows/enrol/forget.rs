//! Forgetting (BIND-38, D-48): the record of an identity, or the whole person. The chain of events stays as it is; it
//! names a person by a pseudonym that stands for nobody from then on.

use domain::enrol::State;
use domain::letter::Kind;
use domain::method::Method;
use domain::names::UserName;
use domain::token::Id;

use super::end::Why;
use super::schedule::Freed;
use super::token_end::TokenEnd;
use super::work::{Doing, Ready, Work, find};
use crate::appliance::Appliance;
use crate::flows::push::PhonesEnd;
use crate::flows::{Caller, FlowError, challenge, handle, letters, operators, tokens, users};
use crate::store::enrolment_list::{self, Filter};
use crate::store::user::UserRow;
use crate::store::{StoreError, event, flow, letter, membership, phone, user, vetting};

/// State of a user who is forgotten.
const FORGOTTEN: &str = "forgotten";
/// Language of nobody.
const NO_LANG: &str = "en";
/// Enrolments of one user that are looked at.
const ENROLMENTS_MAX: usize = 10_000;

/// Erases the record of an identity; enrolment and events stay.
///
/// # Errors
/// [`FlowError::NotFound`] where there is none; [`FlowError::Conflict`] as long as the enrolment is under way.
pub fn identity(app: &Appliance, caller: &Caller, id: &Id) -> Result<(), FlowError> {
    let row = find(app, id)?;
    let _order = app.lock_user(&row.order.user)?;
    let row = find(app, id)?;
    if row.progress.state.is_open() && row.progress.aged(&app.clock.now()).state.is_open() {
        let text = "the enrolment is under way: cancel it, or wait for its end";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    let owner = app.store.read(|c| user::by_id(c, &row.order.user))?.ok_or(FlowError::NotFound("user"))?;
    let erased = app
        .event("enrol.identity_erased", caller)
        .about("user_ref", &owner.user_ref)
        .about("enrolment", handle(id));
    let enrolment = *id;
    let done = app.store.write(move |w| {
        let done = vetting::erase_identity(w, &enrolment)?;
        if done {
            event::append(w, &erased)?;
        }
        Ok(done)
    })?;
    done.then_some(()).ok_or(FlowError::NotFound("record of an identity"))
}

/// What ends with a person.
struct Ends {
    enrolments: Vec<(Ready, Freed)>,
    records: Vec<Id>,
    tokens: Vec<TokenEnd>,
}

/// Forgets a person: key, name, numbers, addresses and password are erased, tokens are revoked, what was vetted is gone.
/// The name may be given to somebody else.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; [`FlowError::Conflict`] for an operator.
pub fn person(app: &Appliance, caller: &Caller, name: &UserName) -> Result<String, FlowError> {
    let found = users::find(app, name)?;
    if operators::active(app, name)?.is_some() {
        let text = format!("{name} is an operator: countersign operator revoke {name}");
        return Err(FlowError::Conflict(text));
    }
    for kind in Kind::ALL {
        if let Some(open) = app.store.read(|c| letter::open_of(c, &found.id, kind))? {
            letters::cancel(app, caller, &open.order.id)?;
        }
    }
    let _order = app.lock_user(&found.id)?;
    let loaded = users::find(app, name)?;
    users::check_account(app, &loaded)?;
    let ends = ends(app, caller, &loaded)?;
    let phones = PhonesEnd::of(app, caller, &loaded)?;
    let next = nobody(app, &loaded)?;
    let bound = app.store.read(|c| phone::of_user(c, &loaded.id))?;
    let superseding = challenge::superseding(app, &loaded.id, None)?;
    let forgotten = app.event("user.forgotten", caller).about("user_ref", &loaded.user_ref);
    let at = app.clock.now().wall_ms;
    let told = loaded.user_ref.clone();
    app.store.write(move |w| {
        challenge::supersede(w, &superseding, at)?;
        flow::remove_of_user(w, &loaded.id)?;
        for (ready, freed) in &ends.enrolments {
            ready.write(w)?;
            freed.write(w)?;
        }
        for id in &ends.records {
            vetting::erase_identity(w, id)?;
        }
        ends.tokens.iter().try_for_each(|end| end.write(w))?;
        phones.write(w)?;
        membership::remove(w, &loaded.id)?;
        bound.as_ref().map_or(Ok(()), |bound| phone::remove(w, &bound.id))?;
        if !user::forget(w, &loaded, &next)? {
            return Err(StoreError::Changed("the account"));
        }
        event::append(w, &forgotten).map(drop)
    })?;
    Ok(told)
}

fn ends(app: &Appliance, caller: &Caller, owner: &UserRow) -> Result<Ends, FlowError> {
    let filter = Filter { user: Some(owner.id), limit: ENROLMENTS_MAX, ..Filter::default() };
    let rows = app.store.read(|c| enrolment_list::list(c, &filter))?;
    let mut enrolments = Vec::new();
    for row in &rows {
        let state = row.progress.state;
        let in_effect = matches!(state, State::Active | State::Confirmed);
        if !state.is_open() && !in_effect {
            continue;
        }
        let mut work = Work::load(app, caller, &row.order.id)?;
        work.row.reason = Some(FORGOTTEN.to_owned());
        if in_effect {
            let judged = work.progress().revoked(&work.now);
            let doing = Doing::end("enrol.revoked", FORGOTTEN).about("why", Why::ByAuthority.name());
            work.go(doing, judged)?;
        } else {
            let judged = work.progress().ended(State::Cancelled, &work.now);
            work.go(Doing::end("enrol.cancelled", FORGOTTEN), judged)?;
        }
        let freed = Freed::of(app, &row.order.id)?;
        enrolments.push((work.ready()?, freed));
    }
    let mut revoked = Vec::new();
    for row in tokens::living(app, &owner.id)? {
        revoked.push(TokenEnd::of(app, caller, owner, row)?);
    }
    Ok(Ends { enrolments, records: rows.iter().map(|row| row.order.id).collect(), tokens: revoked })
}

/// The row of a user who is forgotten.
fn nobody(app: &Appliance, row: &UserRow) -> Result<UserRow, FlowError> {
    let name = format!("{FORGOTTEN}-{}", data_encoding::HEXLOWER.encode(&app.random::<16>()?));
    let name = UserName::parse(&name).map_err(|error| FlowError::Invalid(error.to_string()))?;
    let next = UserRow {
        name,
        lang: NO_LANG.to_owned(),
        state: FORGOTTEN.to_owned(),
        person_key: None,
        contact_phone: None,
        email: None,
        postal_address: None,
        password_hash: None,
        active_method: Method::Password,
        next_method: None,
        skips: 0,
        failures: 0,
        ..row.clone()
    };
    users::sealed(app, next)
}
