//! The end of a flow: what its application gets, and what its browser may do afterwards.

use domain::enrol::Level;
use domain::event::Event;
use domain::flow::Purpose;
use domain::journey::{At, Evidence};
use domain::method::Method;
use domain::names::UserName;
use domain::time::BootId;
use domain::token::Id;
use sha2::{Digest, Sha256};

use super::kept::{Walk, facts, mark};
use super::{Door, Offered, Outcome};
use crate::appliance::Appliance;
use crate::flows::guess::clear_failures;
use crate::flows::{Caller, FlowError};
use crate::store::{event, flow};

/// Life of a one-time code of a result, in milliseconds.
const CODE_LIFE_MS: u64 = 60_000;
/// A logged-in browser is forgotten after this long without a visit, in milliseconds (B.4.2).
const IDLE_MS: u64 = 10 * 60 * 1000;
/// And after this long in any case, in milliseconds (B.4.2).
const SESSION_MS: u64 = 60 * 60 * 1000;

/// A result that an application has fetched.
#[derive(Debug)]
pub struct Claimed {
    /// The flow.
    pub flow: Id,
    /// Id of its definition.
    pub definition: String,
    /// What came of it.
    pub outcome: Outcome,
}

impl Walk<'_> {
    /// Ends a flow that went well.
    pub(super) fn finish(&mut self) -> Result<(), FlowError> {
        let end = self.now.deadline_in(SESSION_MS);
        if !self.kept.session {
            self.kept.at_most = end.boot_ms;
        }
        let idle = self.now.deadline_in(IDLE_MS).boot_ms;
        self.kept.until = (end.boot.0, idle.min(self.kept.at_most));
        if let Some(url) = self.kept.return_url.clone() {
            let code = data_encoding::BASE64URL_NOPAD.encode(&self.app.random::<32>()?);
            self.kept.code_hash = Some(Sha256::digest(code.as_bytes()).into());
            let separator = if url.contains('?') { '&' } else { '?' };
            let mut redirect = format!("{url}{separator}code={code}");
            if let Some(state) = &self.kept.return_state {
                redirect.push_str("&state=");
                redirect.push_str(&domain::otpauth::percent_encode(state));
            }
            self.kept.until = (end.boot.0, self.now.deadline_in(CODE_LIFE_MS).boot_ms);
            self.kept.redirect = Some(redirect);
        }
        let mut done = self
            .app
            .event("flow.done", &self.caller)
            .about("flow", mark(&self.row.id))
            .about("definition", self.definition.id.as_str());
        if let Some(owner) = &self.owner {
            done = done.about("user_ref", &owner.user_ref);
        }
        let (clears, application) = (self.clears_failures(), self.caller.application);
        let owner = self.owner.as_ref().map(|owner| owner.id).filter(|_| clears);
        self.save(move |w| {
            if let Some(owner) = owner {
                clear_failures(w, &owner, &application)?;
            }
            event::append(w, &done).map(|_| true)
        })
    }

    /// Whether wrong codes are forgotten with this end: after a login by what the user logs in with, not by the password
    /// alone of a user who has another method.
    fn clears_failures(&self) -> bool {
        let second = |evidence: &Evidence| !matches!(evidence, Evidence::Password | Evidence::Assertion);
        let evidence = &self.kept.journey.evidence;
        let by_password = self.owner.as_ref().is_some_and(|owner| owner.active_method == Method::Password)
            && evidence.contains(&Evidence::Password);
        self.definition.purpose == Purpose::Login && (by_password || evidence.iter().any(second))
    }
}

/// Fetches the result behind a one-time code, once, for the application that began the flow.
///
/// # Errors
/// [`FlowError::NotFound`] alike for an unknown, used, expired or foreign code.
pub fn claim(app: &Appliance, caller: &Caller, code: &str) -> Result<Claimed, FlowError> {
    let hash: [u8; 32] = Sha256::digest(code.as_bytes()).into();
    let unknown = || FlowError::NotFound("code");
    let row = app.store.read(|c| flow::by_code(c, &hash))?.ok_or_else(unknown)?;
    if row.application_id != caller.application {
        return Err(unknown());
    }
    let mut walk = Walk::open(app, row).map_err(|error| match error {
        FlowError::NotFound(_) => unknown(),
        error => error,
    })?;
    if walk.kept.code_hash != Some(hash) {
        return Err(FlowError::Tampered { what: "the flow", which: mark(&walk.row.id) });
    }
    if walk.kept.claimed || walk.kept.journey.at != At::Done {
        return Err(unknown());
    }
    let view = walk.view()?;
    let outcome = view.outcome.ok_or_else(unknown)?;
    walk.kept.claimed = true;
    walk.kept.code_hash = None;
    let claimed = app.event("flow.claimed", caller).about("flow", mark(&view.flow));
    walk.save(move |w| event::append(w, &claimed).map(|_| true)).map_err(|error| match error {
        FlowError::Conflict(_) => unknown(),
        error => error,
    })?;
    Ok(Claimed { flow: view.flow, definition: view.definition, outcome })
}

/// A logged-in browser.
pub struct Session {
    /// Who.
    pub user: UserName,
    /// Language tag of the pages.
    pub lang: String,
    /// What the user may change.
    pub offers: Vec<Offered>,
    /// Level of what was shown besides the first factor; none for the first factor alone.
    pub shown: Option<Level>,
}

/// Who is logged in in a browser and what that user may change; none without a login.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub fn self_service(app: &Appliance, door: &Door<'_>, id: &Id) -> Result<Option<Session>, FlowError> {
    let mut walk = match Walk::load(app, door, id) {
        Ok(walk) => walk,
        Err(FlowError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (true, Some(owner)) = (walk.is_session(), walk.owner.clone()) else { return Ok(None) };
    let idle = walk.now.deadline_in(IDLE_MS).boot_ms.min(walk.kept.at_most);
    walk.kept.until = (BootId(walk.kept.until.0).0, idle);
    walk.save_only()?;
    let facts = facts(app, &owner)?;
    let offers = app
        .config
        .people
        .flows
        .iter()
        .filter(|flow| flow.purpose == Purpose::SelfService)
        .filter(|flow| flow.conditions.iter().all(|condition| condition.holds(&facts)))
        .map(|flow| Offered { name: flow.id.clone(), label: flow.label.clone() })
        .collect();
    let (lang, shown) = (walk.kept.lang.clone(), walk.kept.journey.second_factor());
    Ok(Some(Session { user: owner.name, lang, offers, shown }))
}

/// Ends a browser's login.
///
/// # Errors
/// When the store cannot answer.
pub fn log_out(app: &Appliance, door: &Door<'_>, id: &Id) -> Result<(), FlowError> {
    let walk = match Walk::load(app, door, id) {
        Ok(walk) => walk,
        Err(FlowError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let id = *id;
    let mut event =
        Event::ok(walk.now.wall_ms, "login.ended", walk.caller.actor.clone()).about("flow", mark(&id));
    if let Some(owner) = &walk.owner {
        event = event.about("user_ref", &owner.user_ref);
    }
    Ok(app.store.write(move |w| {
        flow::remove(w, &id)?;
        event::append(w, &event).map(drop)
    })?)
}
