//! Begin, look, answer.

use domain::event::Event;
use domain::flow::Purpose;
use domain::journey::{At, Evidence};
use domain::token::Id;
use domain::weburl::return_origin;

use super::kept::{Kept, Walk, facts, mark};
use super::{BrowserKey, Door, FLOWS_MAX, FLOWS_OF_APPLICATION_MAX, Input, Start, View, password};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, applications, users};
use crate::store::flow::{self, FlowRow};
use crate::store::user;
use domain::names::ApplicationName;

/// The application that begins flows for browsers that come on their own.
pub(crate) const PAGES: &str = "pages";
/// Longest state to give back, in bytes.
const RETURN_STATE_MAX: usize = 1_024;
/// Attributes of one flow at the most.
const ATTRIBUTES_MAX: usize = 8;

/// Begins a flow for an application.
///
/// # Errors
/// [`FlowError::NotFound`] without such a flow; [`FlowError::Invalid`] for a bad address; [`FlowError::RateLimited`]
/// with too many flows under way.
pub fn start(app: &Appliance, caller: &Caller, start: Start) -> Result<View, FlowError> {
    begin(app, caller, start, None)
}

/// Begins a flow for a browser that came on its own.
///
/// # Errors
/// As [`start`].
pub fn start_in_browser(app: &Appliance, start: Start) -> Result<(View, BrowserKey), FlowError> {
    let name = ApplicationName::parse(PAGES).expect("the pages' name is a name");
    let row = applications::named(app, &name)?;
    let actor = domain::event::Actor { kind: "application", id: row.name.to_string(), role: String::new() };
    let caller = Caller::without_rights(row.id, row.name, actor);
    let key = BrowserKey(app.random()?);
    Ok((begin(app, &caller, start, Some(&key))?, key))
}

/// Opens an application's flow in a browser, once: from then on only that browser acts in it.
///
/// # Errors
/// [`FlowError::NotFound`] for a flow that is not there or was opened before.
pub fn open_in_browser(app: &Appliance, id: &Id, lang: &str) -> Result<(View, BrowserKey), FlowError> {
    let row = app.store.read(|c| flow::by_id(c, id))?.ok_or(FlowError::NotFound("flow"))?;
    let mut walk = Walk::open(app, row)?;
    let key = BrowserKey(app.random()?);
    if !walk.kept.bind(&key) {
        return Err(FlowError::NotFound("flow"));
    }
    if walk.owner.is_none() {
        lang.clone_into(&mut walk.kept.lang);
    }
    walk.save_only()?;
    Ok((walk.view()?, key))
}

fn begin(
    app: &Appliance,
    caller: &Caller,
    start: Start,
    browser: Option<&BrowserKey>,
) -> Result<View, FlowError> {
    let definition = app.config.people.flow(&start.definition).cloned();
    let definition = definition.ok_or(FlowError::NotFound("flow"))?;
    check_return(&start)?;
    make_room(app, caller)?;
    let now = app.clock.now();
    let lang = app.config.texts.serving_or_first(start.lang.as_deref().unwrap_or_default());
    let mut kept = Kept::new(&definition, lang.to_owned(), &now);
    kept.return_url = start.return_url.clone();
    kept.return_state = start.return_state.clone();
    if let Some(key) = browser {
        kept.bind(key);
    }
    if let Some(name) = &start.asserted {
        // Only a login takes an application's word; nothing is said of whether there is such a user.
        kept.journey.name = Some(name.to_string());
        let found = app.store.read(|c| user::by_name(c, name))?;
        let found = users::checked(app, name.as_str(), found)?;
        kept.journey.user = found.filter(|row| row.state == "active").map(|row| row.id);
        kept.journey.shown(Evidence::Assertion, password::LOA);
    }
    if definition.purpose == Purpose::SelfService {
        inherit(app, &start, &definition, &mut kept)?;
    }
    seal_attributes(app, &start, &mut kept)?;
    let id = app.random()?;
    let row = FlowRow {
        id,
        application_id: caller.application,
        user_id: kept.journey.user,
        definition: definition.id.clone(),
        asked: String::new(),
        data: Vec::new(),
        epoch: 0,
        code_hash: None,
        created_at: now.wall_ms,
        expires: kept.expires(),
    };
    // The session goes on in the new flow alone, so that its end is the end of all of it.
    Walk::insert(app, row, &kept, start.session.map(|(session, _)| session))?;
    let row = app.store.read(|c| flow::by_id(c, &id))?.ok_or(FlowError::NotFound("flow"))?;
    let mut walk = Walk::open(app, row)?;
    walk.go_on()?;
    walk.view()
}

/// Keeps within the limits on flows. At a limit the application's oldest flow in which nobody has shown anything gives
/// way: whoever asks for pages without end keeps no others from logging in.
///
/// # Errors
/// [`FlowError::RateLimited`] where none gives way, which is an event.
fn make_room(app: &Appliance, caller: &Caller) -> Result<(), FlowError> {
    let application = caller.application;
    let (all, own) = app.store.read(|c| flow::counts(c, &application))?;
    let limit = match (own >= FLOWS_OF_APPLICATION_MAX, all >= FLOWS_MAX) {
        (true, _) => "application",
        (false, true) => "all",
        (false, false) => return Ok(()),
    };
    if app.store.write(move |w| flow::give_way(w, &application))? {
        return Ok(());
    }
    let event = Event::refused(app.clock.now().wall_ms, "flow.limited", caller.actor.clone(), "limited");
    app.refuse(event.about("limit", limit))?;
    Err(FlowError::RateLimited)
}

/// A self-service flow begins with what its login has shown.
fn inherit(
    app: &Appliance,
    start: &Start,
    definition: &domain::flow::Definition,
    kept: &mut Kept,
) -> Result<(), FlowError> {
    if let Some((session, key)) = &start.session {
        let login = Walk::load(app, &Door::Browser(key), session)?;
        if !login.is_session() {
            return Err(FlowError::NotFound("session"));
        }
        kept.session = true;
        kept.at_most = login.kept.at_most;
        kept.until.1 = kept.until.1.min(kept.at_most);
        kept.journey.user = login.kept.journey.user;
        kept.journey.name.clone_from(&login.kept.journey.name);
        kept.journey.evidence.clone_from(&login.kept.journey.evidence);
        kept.journey.loa = login.kept.journey.loa;
    }
    let Some(id) = kept.journey.user else {
        return Err(FlowError::Conflict("a self-service flow needs a logged-in user".to_owned()));
    };
    let owner = app.store.read(|c| user::by_id(c, &id))?.ok_or(FlowError::NotFound("user"))?;
    let facts = facts(app, &owner)?;
    if !definition.conditions.iter().all(|condition| condition.holds(&facts)) {
        return Err(FlowError::Conflict("this is not offered to this user".to_owned()));
    }
    Ok(())
}

fn check_return(start: &Start) -> Result<(), FlowError> {
    let Some(url) = &start.return_url else { return Ok(()) };
    if return_origin(url).is_none() {
        let text = "return_url must be an https address, or http on this machine, without a fragment";
        return Err(FlowError::Invalid(text.to_owned()));
    }
    if start.return_state.as_ref().is_some_and(|state| state.len() > RETURN_STATE_MAX) {
        return Err(FlowError::Invalid(format!("a state has at most {RETURN_STATE_MAX} bytes")));
    }
    Ok(())
}

fn seal_attributes(app: &Appliance, start: &Start, kept: &mut Kept) -> Result<(), FlowError> {
    if start.attributes.len() > ATTRIBUTES_MAX {
        return Err(FlowError::Invalid(format!("a flow has at most {ATTRIBUTES_MAX} attributes")));
    }
    for (name, value) in &start.attributes {
        let number = app
            .config
            .people
            .numbers
            .read(value)
            .ok_or_else(|| FlowError::Invalid(format!("the attribute {name} is no phone number")))?;
        let sealed = app.hsm.seal(&app.own_key()?, ATTRIBUTE_AAD, number.expose().as_bytes())?;
        kept.journey.attributes.push((name.clone(), sealed));
    }
    Ok(())
}

/// What binds a sealed attribute to its use.
pub(super) const ATTRIBUTE_AAD: &[u8] = b"countersign flow attribute 1";

/// Shows a flow.
///
/// # Errors
/// [`FlowError::NotFound`].
pub fn view(app: &Appliance, door: &Door<'_>, id: &Id) -> Result<View, FlowError> {
    let mut walk = Walk::load(app, door, id)?;
    if walk.kept.journey.at == At::Between {
        walk.go_on()?;
    }
    let view = walk.view()?;
    // A secret on the user's screen is for the user's eyes: the application sees where the flow stands.
    let hidden = matches!(door, Door::Application(_)) && walk.kept.browser.is_some();
    Ok(if hidden { View { shown: None, scan: None, codes: None, ..view } } else { view })
}

/// Takes an answer and shows what follows. An answer that is wrong shows the same step with an error key.
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Conflict`] for an answer to another step, or a second answer at once; when
/// the HSM or the store cannot answer: nothing was counted.
pub fn act(app: &Appliance, door: &Door<'_>, id: &Id, input: Input) -> Result<View, FlowError> {
    let mut walk = Walk::load(app, door, id)?;
    if matches!(door, Door::Application(_)) && walk.kept.browser.is_some() {
        return Err(FlowError::Step("flow.in_browser"));
    }
    if walk.kept.journey.at == At::Between {
        walk.go_on()?;
    }
    if walk.kept.journey.has_ended() {
        return walk.view();
    }
    walk.kept.journey.error = None;
    walk.kept.notice = None;
    if matches!(input, Input::Cancel) {
        walk.abandon()?;
        walk.kept.journey.fail("flow.cancelled");
        let about = walk.caller.clone();
        let event = Event::refused(walk.now.wall_ms, "flow.cancelled", about.actor, "cancelled")
            .about("flow", mark(&walk.row.id));
        walk.save(move |w| crate::store::event::append(w, &event).map(|_| true))?;
        return walk.view();
    }
    let reveals = matches!(input, Input::Reveal);
    let answered = walk.answer(input);
    // What shows codes is saved: nothing may come between them and who is to see them.
    match answered.and_then(|()| if walk.codes.is_none() { walk.go_on() } else { Ok(()) }) {
        // Another answer has the codes, whether it was first before this one looked for them or after.
        Err(FlowError::Conflict(_)) if reveals => {
            let mut walk = Walk::load(app, door, id)?;
            walk.codes_are_elsewhere();
            walk.view()
        }
        done => {
            done?;
            walk.view()
        }
    }
}
