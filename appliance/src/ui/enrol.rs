//! Pages of applicants, in the session of a login: what is under way, the request, the factor, the registration code,
//! the appointment (BIND-02, BIND-07, BIND-11, BIND-34). What may be done when is [`enrol`]'s to judge.

use std::sync::Arc;

use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, Method as Verb, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use domain::enrol::policy::{Column, Demand};
use domain::enrol::{Activity, Factor, Level, Method, PRODUCT_MAX, Product, State as Stands};
use domain::names::{Serial, UserName};

use super::browser::{self, Visitor};
use super::page::{Page, Said, respond};
use super::possession::prove;
use super::sheet::{Card, Choice, Field, Given, Link, Other, Sheet, refusal};
use super::{act, languages, not_found, when};
use crate::api::Api;
use crate::appliance::Appliance;
use crate::flows::enrol::{self, Info, NewRequest, STRONGER_FACTOR, View, Wanted};
use crate::flows::journey::{self, Door};
use crate::flows::{Caller, FlowError, handle, parse_handle, users};
use crate::store::enrolment_list::{Place, Sequence};

/// Where an applicant begins.
pub(super) const HOME: &str = "/ui/enrol";
/// Methods that an applicant can ask for on these pages.
const OWN: [Method; 4] = [Method::OnPremise, Method::Video, Method::SelfVet, Method::SelfAsserted];
/// Enrolments of one user that are shown at the most.
const SHOWN_MAX: usize = 50;
/// Free times that are offered at once.
const TIMES_MAX: usize = 40;
/// Which factor it will be, where nobody says so.
const SECOND: u8 = 2;
/// Why an applicant gives up.
const CANCELLED: &str = "applicant_cancelled";

/// Methods and levels that an applicant can ask for here.
fn ways(app: &Appliance) -> impl Iterator<Item = &Column> {
    let enabled = |column: &&Column| app.config.enrol.methods.contains(&column.method);
    let here = |column: &&Column| OWN.contains(&column.method) && factors(app, column).next().is_some();
    app.config.enrol.policy.columns.iter().filter(enabled).filter(here)
}

/// Whether there is anything to ask for here.
pub(super) fn is_offered(app: &Appliance) -> bool {
    ways(app).next().is_some()
}

/// What can be shown on pages: phones with the app where there are some.
pub(super) fn factors<'c>(app: &Appliance, column: &'c Column) -> impl Iterator<Item = Factor> + use<'c> {
    let pushes = app.config.push.is_some();
    column.factors.iter().copied().filter(move |factor| pushes || *factor != Factor::Push)
}

/// Who is at the page.
pub(super) struct Here<'a> {
    pub(super) app: &'a Appliance,
    pub(super) caller: Caller,
    user: UserName,
    csrf: String,
    pub(super) lang: String,
}

impl Here<'_> {
    pub(super) fn sheet(&self, title: &str, intro: &str) -> Sheet {
        let mut page = Page::new(self.app, &self.lang);
        page.here = Some(HOME);
        Sheet::new(page, title, intro, &self.csrf)
    }

    /// The enrolment that the form, or the address, is about.
    pub(super) fn meant(&self, given: &Given) -> Result<View, FlowError> {
        let id = given.of("e").and_then(parse_handle).ok_or(FlowError::NotFound("enrolment"))?;
        enrol::show(self.app, &self.caller, &id)
    }

    fn column(&self, view: &View) -> Option<&Column> {
        self.app.config.enrol.policy.column(view.row.order.method, view.row.order.target)
    }
}

type Act = fn(&Here<'_>, &Given, bool) -> Result<Response, FlowError>;

/// Does what a page does for who is logged in; others are sent to the login.
async fn at(api: Arc<Api>, verb: Verb, headers: HeaderMap, form: Vec<u8>, page: Act) -> Response {
    let visitor = Visitor::of(&headers);
    act(&api, languages(&headers), move |app, lang| {
        let to_login = || Ok(Redirect::to("/ui/login").into_response());
        let Some(visitor) = visitor else { return to_login() };
        let given = Given::read(&form)?;
        let posted = verb == Verb::POST;
        if posted && (browser::is_foreign(app, &headers) || !visitor.sent(&given.text("csrf"))) {
            return Ok(respond(StatusCode::FORBIDDEN, &Said::error(Page::new(app, lang), "page.forbidden")));
        }
        let session = journey::self_service(app, &Door::Browser(&visitor.key), &visitor.flow)?;
        let Some(session) = session else { return to_login() };
        if !is_offered(app) {
            return Ok(not_found(app, lang));
        }
        let chosen = browser::language(&headers).filter(|tag| app.config.texts.serving(tag).is_some());
        let here = Here {
            app,
            caller: enrol::applicant(app, &session.user, session.shown)?,
            user: session.user,
            csrf: visitor.csrf(),
            lang: chosen.map_or(session.lang, str::to_owned),
        };
        match page(&here, &given, posted) {
            Err(FlowError::NotFound("enrolment")) => Ok(not_found(app, lang)),
            done => done,
        }
    })
    .await
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident => $act:ident;)*) => {
        $($(#[$doc])* pub(super) async fn $name(
            State(api): State<Arc<Api>>,
            verb: Verb,
            headers: HeaderMap,
            RawForm(form): RawForm,
        ) -> Response {
            at(api, verb, headers, form.to_vec(), $act).await
        })*
    };
}

pages! {
    /// What is under way.
    home => overview;
    /// What is asked for.
    request => ask;
    /// What is to be bound.
    factor => choose;
    /// It is shown.
    possession => prove;
    /// The registration code.
    code => issue;
    /// The time of the vetting.
    appointment => book;
    /// An own token vouches.
    vouch => vouching;
}

pub(super) fn home_again() -> Result<Response, FlowError> {
    Ok(Redirect::to(HOME).into_response())
}

/// The page after an act: the overview, or the form once more with what went wrong.
fn after(
    done: Result<View, FlowError>,
    given: &Given,
    field: Option<&'static str>,
    form: impl FnOnce() -> Result<Sheet, FlowError>,
) -> Result<Response, FlowError> {
    match done {
        Ok(_) => home_again(),
        Err(error) => Ok(form()?.wrong(refusal(error)?, field, given).answer()),
    }
}

/// The name of the method and its level.
pub(super) fn way(page: &Page, method: Method, level: Level) -> String {
    let named = page.text(&format!("enrol-method-{}", method.name()));
    page.text_with("enrol-way", &[("method", &named), ("level", level.name())])
}

/// What there is to say of an enrolment, for who may see it.
pub(super) fn facts(page: &Page, view: &View) -> Vec<(String, String)> {
    let (row, progress) = (&view.row, &view.row.progress);
    let mut facts = Vec::new();
    let mut fact = |key: &str, value: String| facts.push((page.text(key), value));
    fact("enrol-fact-state", page.text(&format!("enrol-state-{}", progress.state.name())));
    if !row.organisation.is_empty() {
        fact("enrol-fact-organisation", row.organisation.clone());
    }
    if let Some(factor) = progress.factor {
        fact("enrol-fact-factor", page.text(&format!("enrol-factor-{}", factor.name())));
    }
    if let Some(serial) = &view.token {
        fact("enrol-fact-token", serial.clone());
    }
    if let Some(app) = &view.app {
        fact("enrol-fact-phone", format!("{} {}", app.row.serial, app.name).trim_end().to_owned());
    }
    if let Some(masked) = &view.number {
        fact("enrol-fact-number", masked.clone());
    }
    if let Some(slot) = &view.appointment {
        fact("enrol-fact-appointment", format!("{}, {}", when::shown(slot.starts_at), slot.place));
    }
    let waits = matches!(progress.state, Stands::CodeIssued | Stands::Scheduled);
    if let Some(until) = progress.code_until_ms.filter(|_| waits) {
        fact("enrol-fact-code-until", when::last_day(until));
    }
    if let Some(level) = progress.level {
        fact("enrol-fact-level", level.name().to_owned());
    }
    facts
}

fn href(page: &str, view: &View) -> String {
    format!("{HOME}/{page}?e={}", handle(&view.row.order.id))
}

/// Where the applicant can go on: what is asked next first.
fn ways_on(here: &Here<'_>, page: &Page, view: &View) -> Vec<Link> {
    let Some(column) = here.column(view) else { return Vec::new() };
    let (method, progress) = (view.row.order.method, &view.row.progress);
    let shows = column.demand(Activity::PossessionPre);
    let codes = method.needs_code();
    let on: &[(&str, bool)] = match progress.state {
        _ if !OWN.contains(&method) => &[],
        Stands::Eligible => &[("factor", true), ("code", codes)],
        Stands::FactorSelected => {
            &[("possession", shows != Demand::NotApplicable), ("code", codes), ("factor", true)]
        }
        Stands::PossessionProven => &[("code", codes), ("vouch", method == Method::SelfVet)],
        Stands::CodeIssued | Stands::Scheduled => {
            &[("appointment", column.demand(Activity::Scheduling) != Demand::NotApplicable)]
        }
        _ => &[],
    };
    // What the policy asks for before the code is not offered after it.
    let early = column.missing(&[Activity::Selection, Activity::PossessionPre], progress.done).is_some();
    let there = on.iter().filter(|(page, there)| *there && !(*page == "code" && early));
    let linked = there.enumerate().map(|(nth, (to, _))| Link {
        href: href(to, view),
        label: page.text(&format!("enrol-go-{to}")),
        class: if nth == 0 && progress.state != Stands::Scheduled { "primary" } else { "second" },
    });
    linked.collect()
}

fn card(here: &Here<'_>, page: &Page, view: &View) -> Card {
    let state = view.row.progress.state;
    let mut others = Vec::new();
    if state == Stands::Scheduled {
        others.push(Other { action: "give-back", label: "enrol-give-back", class: "" });
    }
    if state.is_open() {
        others.push(Other { action: "cancel", label: "enrol-cancel", class: "quiet" });
    }
    Card {
        heading: way(page, view.row.order.method, view.row.order.target),
        facts: facts(page, view),
        note: Some(page.text(&format!("enrol-note-{}", note(state, view.row.reason.as_deref())))),
        links: ways_on(here, page, view),
        about: handle(&view.row.order.id),
        others,
    }
}

/// What an applicant is told of a state, and of a reason that asks for something else to be done.
fn note(state: Stands, reason: Option<&str>) -> &'static str {
    match state {
        Stands::Rejected if reason.is_some_and(|reason| reason.ends_with(STRONGER_FACTOR)) => {
            "stronger-factor"
        }
        Stands::Requested | Stands::Eligible | Stands::FactorSelected | Stands::PossessionProven => "go-on",
        Stands::CodeIssued | Stands::Scheduled => "bring-code",
        Stands::Vetting | Stands::Vetted | Stands::Bound => "at-desk",
        Stands::Active | Stands::Confirmed => "active",
        Stands::Rejected => "rejected",
        Stands::Expired => "expired",
        Stands::Cancelled => "cancelled",
        Stands::Revoked => "revoked",
    }
}

fn overview(here: &Here<'_>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let (app, caller) = (here.app, &here.caller);
    let mut failed = None;
    if posted {
        let id = here.meant(given)?.row.order.id;
        let done = match given.of("action") {
            Some("cancel") => enrol::cancel(app, caller, &id, CANCELLED),
            Some("give-back") => enrol::give_back(app, caller, &id),
            _ => return home_again(),
        };
        match done.map_err(refusal) {
            Ok(_) => return home_again(),
            Err(refused) => failed = Some(refused?),
        }
    }
    let user = users::find(app, &here.user)?.id;
    let sequence = Sequence::OpenFirst(given.of("after").and_then(Place::parse));
    let wanted = Wanted { user: Some(user), sequence, limit: SHOWN_MAX, ..Wanted::default() };
    let (views, next) = enrol::list(app, caller, wanted)?;
    let mut sheet = here.sheet("enrol-title", "enrol-intro");
    sheet.cards = views.iter().map(|view| card(here, &sheet.page, view)).collect();
    sheet.none = Some(sheet.page.text("enrol-none"));
    sheet.action = Some(HOME.to_owned());
    let class = if sheet.cards.is_empty() { "primary" } else { "second" };
    let mut sheet = sheet.link("/ui/enrol/request", "enrol-go-request", class);
    if let Some(href) = further(HOME, next) {
        sheet = sheet.link(href, "enrol-further", "second");
    }
    sheet = sheet.link("/ui/self", "portal-title", "plain");
    Ok(match failed {
        Some(key) => sheet.wrong(key, None, given).answer(),
        None => sheet.answer(),
    })
}

/// Where a list goes on.
pub(super) fn further(page: &str, next: Option<Sequence>) -> Option<String> {
    match next? {
        Sequence::OpenFirst(Some(place)) => Some(format!("{page}?after={}", place.text())),
        _ => None,
    }
}

fn ask_form(here: &Here<'_>) -> Sheet {
    let sheet = here.sheet("enrol-request-title", "enrol-request-intro");
    let page = &sheet.page;
    let choice = |column: &Column| Choice {
        value: format!("{}:{}", column.method.name(), column.level.name()),
        label: way(page, column.method, column.level),
    };
    let mut fields = vec![Field::pick(page, "way", "enrol-field-way", ways(here.app).map(choice).collect())];
    let names = &here.app.config.enrol.organisations;
    let own = |name: &String| Choice { value: name.clone(), label: name.clone() };
    let organisation = "enrol-fact-organisation";
    fields.push(if names.is_empty() {
        Field::line(page, "organisation", organisation).optional().at_most(64)
    } else {
        Field::pick(page, "organisation", organisation, names.iter().map(own).collect())
    });
    fields
        .push(Field::line(page, "name", "enrol-field-name").hinted(page, "enrol-field-name-hint").optional());
    fields.push(Field::line(page, "email", "field-email").kind("email").at_most(254).optional());
    let sheet = sheet.form("/ui/enrol/request", fields, "enrol-request-go");
    sheet.link(HOME, "ui-back", "plain")
}

/// A method and its level, as the form writes them.
pub(super) fn read_way(text: &str) -> Option<(Method, Level)> {
    let (method, level) = text.split_once(':')?;
    Some((Method::from_name(method)?, Level::from_name(level)?))
}

fn ask(here: &Here<'_>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    if !posted {
        return Ok(ask_form(here).answer());
    }
    let way = given.of("way").and_then(read_way);
    let way = way.filter(|way| ways(here.app).any(|column| (column.method, column.level) == *way));
    let Some((method, level)) = way else {
        return Ok(ask_form(here).wrong("enrol.invalid", Some("way"), given).answer());
    };
    let mut info = Info::default();
    info.name = given.of("name").map(str::to_owned);
    info.email = given.of("email").map(str::to_owned);
    let new = NewRequest {
        user: here.user.clone(),
        method,
        level: Some(level),
        factor_index: SECOND,
        channel: None,
        organisation: given.of("organisation").map(str::to_owned),
        info,
    };
    after(enrol::request(here.app, &here.caller, new), given, Some("organisation"), || Ok(ask_form(here)))
}

fn choose_form(here: &Here<'_>, view: &View) -> Sheet {
    let sheet = here.sheet("enrol-factor-title", "enrol-factor-intro");
    let page = &sheet.page;
    let choice = |factor: Factor| Choice {
        value: factor.name().to_owned(),
        label: page.text(&format!("enrol-factor-{}", factor.name())),
    };
    let choices = here.column(view).map(|column| factors(here.app, column).map(choice).collect());
    let choices = choices.unwrap_or_default();
    let chosen = view.row.progress.factor.map_or("", Factor::name);
    let fields = vec![
        Field::pick(page, "type", "enrol-fact-factor", choices).filled(chosen),
        Field::line(page, "product", "enrol-field-product")
            .hinted(page, "enrol-field-product-hint")
            .at_most(PRODUCT_MAX)
            .optional(),
    ];
    about(sheet.form("/ui/enrol/factor", fields, "ui-continue"), view)
}

/// A form that is about an enrolment, with the way back.
pub(super) fn about(mut sheet: Sheet, view: &View) -> Sheet {
    sheet.hidden.push(("e", handle(&view.row.order.id)));
    sheet.link(HOME, "ui-back", "plain")
}

fn choose(here: &Here<'_>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let view = here.meant(given)?;
    if !posted {
        return Ok(choose_form(here, &view).answer());
    }
    let Some(factor) = given.of("type").and_then(Factor::from_name) else {
        return Ok(choose_form(here, &view).wrong("enrol.invalid", Some("type"), given).answer());
    };
    let Ok(product) = given.of("product").map(Product::parse).transpose() else {
        return Ok(choose_form(here, &view).wrong("enrol.invalid", Some("product"), given).answer());
    };
    let id = view.row.order.id;
    let done = enrol::select(here.app, &here.caller, &id, factor, product.as_ref());
    after(done, given, Some("type"), || Ok(choose_form(here, &view)))
}

fn issue(here: &Here<'_>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let view = here.meant(given)?;
    let form = || {
        let sheet = here.sheet("enrol-code-title", "enrol-code-intro");
        let fields = vec![Field::check(&sheet.page, "mail", "enrol-field-mail").optional()];
        about(sheet.form("/ui/enrol/code", fields, "enrol-go-code"), &view)
    };
    if !posted {
        return Ok(form().answer());
    }
    let by_mail = given.decided("mail") == Some(true);
    match enrol::issue(here.app, &here.caller, &view.row.order.id, by_mail) {
        Ok(issued) => Ok(code_sheet(here.sheet("enrol-code-title", "enrol-code-shown"), issued)
            .link(HOME, "ui-continue", "primary")
            .answer()),
        Err(error) => Ok(form().wrong(refusal(error)?, None, given).answer()),
    }
}

/// The sheet with a registration code: the only time that it is shown.
pub(super) fn code_sheet(sheet: Sheet, issued: enrol::Issued) -> Sheet {
    let mut sheet = Sheet { prints: true, code: Some(issued.code), ..sheet };
    sheet.page.script = true;
    sheet.facts = facts(&sheet.page, &issued.view);
    let of = (sheet.page.text("enrol-fact-user"), issued.view.user.clone());
    sheet.facts.insert(0, of);
    if issued.mailed {
        sheet.notice = Some(sheet.page.text("enrol-mailed"));
    }
    sheet
}

fn book_form(here: &Here<'_>, view: &View) -> Result<Sheet, FlowError> {
    let mut sheet = here.sheet("enrol-appointment-title", "enrol-appointment-intro");
    let free = enrol::appointments(here.app, &here.caller, Some(&view.row.organisation))?;
    let free = free.into_iter().take(TIMES_MAX);
    let label = |minutes: u32| sheet.page.text_with("enrol-minutes", &[("minutes", &minutes.to_string())]);
    let choices: Vec<Choice> = free
        .map(|slot| Choice {
            value: handle(&slot.id),
            label: format!("{}, {} – {}", when::shown(slot.starts_at), label(slot.minutes), slot.place),
        })
        .collect();
    sheet.facts = facts(&sheet.page, view);
    if choices.is_empty() {
        sheet.none = Some(sheet.page.text("enrol-no-times"));
        return Ok(about(sheet, view));
    }
    let fields = vec![Field::pick(&sheet.page, "slot", "enrol-field-time", choices)];
    Ok(about(sheet.form("/ui/enrol/appointment", fields, "enrol-appointment-go"), view))
}

fn book(here: &Here<'_>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let view = here.meant(given)?;
    if !posted {
        return Ok(book_form(here, &view)?.answer());
    }
    let slot = given.of("slot").and_then(parse_handle).ok_or(FlowError::NotFound("appointment"));
    let done = slot.and_then(|slot| enrol::book(here.app, &here.caller, &view.row.order.id, &slot));
    let done = done.map_err(|error| match error {
        FlowError::Conflict(_) => FlowError::NotFound("appointment"),
        other => other,
    });
    after(done, given, Some("slot"), || book_form(here, &view))
}

fn vouching(here: &Here<'_>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let view = here.meant(given)?;
    let form = || {
        let sheet = here.sheet("enrol-vouch-title", "enrol-vouch-intro");
        let page = &sheet.page;
        let serial =
            Field::line(page, "serial", "enrol-field-serial").hinted(page, "enrol-field-serial-hint");
        let fields = vec![serial, Field::otp(page)];
        about(sheet.form("/ui/enrol/vouch", fields, "ui-continue"), &view)
    };
    if !posted {
        return Ok(form().answer());
    }
    let serial = Serial::parse(&given.text("serial").to_ascii_uppercase());
    let serial = serial.map_err(|_| FlowError::NotFound("token"));
    let (app, caller, id) = (here.app, &here.caller, view.row.order.id);
    let done = serial.and_then(|serial| enrol::by_token(app, caller, &id, &serial, &given.text("otp")));
    after(done, given, None, || Ok(form()))
}
