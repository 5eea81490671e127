//! Pages for people: every step of a flow, the links in messages, the self-service, enrolments and their desk.
//!
//! Rendered here; nothing is loaded from outside. Every page works without script: one file of our own only makes
//! waiting pleasanter. A page's path follows the step that its flow
//! is at: whoever asks for another one is sent there.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, RawForm, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};

use crate::api::{Api, ApiError};
use crate::appliance::Appliance;
use crate::flows::journey::{self, Door, Input, Start, View};
use crate::flows::{FlowError, parse_handle};

mod browser;
mod desk;
mod enrol;
mod limit;
mod link;
mod page;
mod portal;
mod possession;
mod sheet;
mod statics;
mod step;
mod when;

use browser::Visitor;
use page::{Page, Said, respond};
use step::Audience;

/// The query of a waiting page that asks for itself again.
const HOLD: &str = "hold=1";
/// Pause between two looks for such a page, and how many there are at the most: a proxy waits a minute for an answer.
const HOLD_PAUSE: Duration = Duration::from_secs(1);
const HOLD_LOOKS: u32 = 25;
/// Largest form, in bytes.
const FORM_MAX: usize = 8 * 1024;

/// All pages.
pub fn routes(api: &Arc<Api>) -> Router<Arc<Api>> {
    let mut router = Router::new()
        .route("/ui", get(async || Redirect::to("/ui/login")))
        .route("/ui/login", get(login).post(answer))
        .route("/ui/register", get(register).post(answer))
        .route("/ui/f/{flow}", get(enter))
        .route("/ui/self", get(portal::show).post(portal::act))
        .route("/ui/language/{lang}", get(choose_language))
        .route("/ui/l/{token}", get(link::show).post(link::decide))
        .route("/ui/enrol", get(enrol::home).post(enrol::home))
        .route("/ui/enrol/request", get(enrol::request).post(enrol::request))
        .route("/ui/enrol/factor", get(enrol::factor).post(enrol::factor))
        .route("/ui/enrol/possession", get(enrol::possession).post(enrol::possession))
        .route("/ui/enrol/code", get(enrol::code).post(enrol::code))
        .route("/ui/enrol/appointment", get(enrol::appointment).post(enrol::appointment))
        .route("/ui/enrol/vouch", get(enrol::vouch).post(enrol::vouch))
        .route("/ui/{*nothing}", any(nowhere))
        .merge(desk::routes());
    for path in step::PATHS {
        router = router.route(path, get(show).post(answer));
    }
    router
        .layer(axum::extract::DefaultBodyLimit::max(FORM_MAX))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(api), limit::admit))
        // Built in and cached: a page that says "too many requests" looks like ours too.
        .route("/ui/static/style.css", get(statics::style))
        .route("/ui/static/pages.js", get(statics::script))
        .route("/ui/static/logo", get(statics::logo))
}

/// What a visitor says about languages: the one that was chosen here, then the browser's.
fn languages(headers: &HeaderMap) -> String {
    let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let accepted = header.unwrap_or_default();
    match browser::language(headers) {
        Some(chosen) => format!("{chosen}, {accepted}"),
        None => accepted.to_owned(),
    }
}

/// The visitor's flow, if its cookie is good.
fn visited(app: &Appliance, visitor: Option<&Visitor>) -> Result<Option<View>, FlowError> {
    let Some(visitor) = visitor else { return Ok(None) };
    match journey::view(app, &Door::Browser(&visitor.key), &visitor.flow) {
        Ok(view) => Ok(Some(view)),
        Err(FlowError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_secure(app: &Appliance) -> bool {
    app.config.people.pages.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
}

/// Sends the browser to the page of its step, or to the application when the flow has ended there.
fn go_to(view: &View) -> Response {
    match &view.redirect {
        Some(url) => Redirect::to(url).into_response(),
        None => Redirect::to(step::path(view)).into_response(),
    }
}

/// The same, with the cookie of a flow that has just begun in this browser.
fn begin(app: &Appliance, start: Start) -> Result<Response, FlowError> {
    let (view, key) = journey::start_in_browser(app, start)?;
    let visitor = Visitor { flow: view.flow, key };
    let mut response = go_to(&view);
    response.headers_mut().append(header::SET_COOKIE, visitor.cookie(is_secure(app)));
    Ok(response)
}

/// What a page answers when an act could not be done.
fn apologise(app: &Appliance, lang: &str, error: FlowError) -> Response {
    let key = match &error {
        FlowError::NotFound(_) => "flow.expired",
        FlowError::RateLimited => "page.too-many-requests",
        error if error.is_unavailable() => "flow.unavailable",
        _ => "flow.wrong_step",
    };
    let status = ApiError::from(error).status();
    respond(status, &Said::error(Page::new(app, lang), key))
}

async fn login(state: State<Arc<Api>>, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    start_or_show(state, uri, headers, |app| app.config.people.pages.login_flow.clone()).await
}

async fn register(state: State<Arc<Api>>, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    start_or_show(state, uri, headers, |app| {
        let new = |flow: &&domain::flow::Definition| flow.purpose == domain::flow::Purpose::SelfRegistration;
        app.config.people.flows.iter().find(new).map(|flow| flow.id.clone())
    })
    .await
}

/// Shows the step of a flow that is at this page, or begins the flow that this page is the door to.
async fn start_or_show(
    State(api): State<Arc<Api>>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    definition: impl FnOnce(&Appliance) -> Option<String> + Send + 'static,
) -> Response {
    let visitor = Visitor::of(&headers);
    act(&api, languages(&headers), move |app, lang| {
        if let (Some(view), Some(visitor)) = (visited(app, visitor.as_ref())?, &visitor)
            && step::path(&view) == uri.path()
        {
            return Ok(step::render(app, &view, &Audience::new(visitor, &headers), &step::Typed::default()));
        }
        match definition(app) {
            None => Ok(not_found(app, lang)),
            Some(definition) => {
                begin(app, Start { definition, lang: Some(lang.to_owned()), ..Start::default() })
            }
        }
    })
    .await
}

fn not_found(app: &Appliance, lang: &str) -> Response {
    respond(StatusCode::NOT_FOUND, &Said::error(Page::new(app, lang), "page.not-found"))
}

/// Where to go with a language.
#[derive(serde::Deserialize)]
struct Back {
    #[serde(default)]
    to: String,
}

/// Keeps a language in this browser and goes back, to one of our own pages only.
async fn choose_language(
    State(api): State<Arc<Api>>,
    Path(lang): Path<String>,
    Query(back): Query<Back>,
) -> Response {
    let known = ["/ui/login", "/ui/register", "/ui/self", enrol::HOME, desk::HOME, desk::LOGIN]
        .into_iter()
        .chain(step::PATHS);
    let to = known.into_iter().find(|path| *path == back.to).unwrap_or("/ui/login");
    let mut response = Redirect::to(to).into_response();
    let app = api.appliance();
    if let Some(lang) = app.config.texts.serving(&lang) {
        let cookie = browser::keep_language(lang, is_secure(&app));
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

async fn nowhere(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    act(&api, languages(&headers), move |app, lang| Ok(not_found(app, lang))).await
}

/// The door that an application sends its user to.
async fn enter(State(api): State<Arc<Api>>, Path(flow): Path<String>, headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    act(&api, languages(&headers), move |app, lang| {
        let id = parse_handle(&flow).ok_or(FlowError::NotFound("flow"))?;
        if let Some(visitor) = visitor.filter(|visitor| visitor.flow == id)
            && let Some(view) = visited(app, Some(&visitor))?
        {
            return Ok(go_to(&view));
        }
        let (view, key) = journey::open_in_browser(app, &id, lang)?;
        let mut response = go_to(&view);
        let cookie = Visitor { flow: id, key }.cookie(is_secure(app));
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    })
    .await
}

/// Shows the step, at its own path.
async fn show(State(api): State<Arc<Api>>, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    if uri.query() == Some(HOLD) {
        hold(&api, &headers).await;
    }
    act(&api, languages(&headers), move |app, _| {
        let Some(visitor) = visitor else { return Ok(Redirect::to("/ui/login").into_response()) };
        let view = visited(app, Some(&visitor))?;
        let mut view = view.ok_or(FlowError::NotFound("flow"))?;
        // A waiting page goes on by itself once the phone has decided (SMS-38).
        if view.asked == journey::Asked::SmsWait && view.decided || step::is_decided(&view) {
            view = match journey::act(app, &Door::Browser(&visitor.key), &visitor.flow, Input::Continue) {
                // Another tab of this browser was first.
                Err(FlowError::Conflict(_)) => {
                    visited(app, Some(&visitor))?.ok_or(FlowError::NotFound("flow"))?
                }
                acted => acted?,
            };
        }
        if view.redirect.is_some() || step::path(&view) != uri.path() {
            return Ok(go_to(&view));
        }
        Ok(step::render(app, &view, &Audience::new(&visitor, &headers), &step::Typed::default()))
    })
    .await
}

/// Returns once the phone has decided, or after a while. Whatever goes wrong is shown by the page that follows.
async fn hold(api: &Arc<Api>, headers: &HeaderMap) {
    let mut first = None;
    for _ in 0..HOLD_LOOKS {
        let visitor = Visitor::of(headers);
        let look =
            api.act(move |app| Ok(visited(app, visitor.as_ref())?.and_then(|view| step::awaited(&view))));
        let Ok(Some(now)) = look.await else { return };
        // The page has more to offer than before: it is shown anew. So it is before the end of the daemon.
        if *first.get_or_insert(now) != now || api.is_stopping() {
            return;
        }
        tokio::time::sleep(HOLD_PAUSE).await;
    }
}

/// Takes the answer of a form and shows what follows.
async fn answer(
    State(api): State<Arc<Api>>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    RawForm(body): RawForm,
) -> Response {
    let visitor = Visitor::of(&headers);
    act(&api, languages(&headers), move |app, lang| {
        let Some(visitor) = visitor else { return Ok(Redirect::to("/ui/login").into_response()) };
        let form: step::Form = serde_urlencoded::from_bytes(&body)
            .map_err(|_| FlowError::Invalid("the form is not what it should be".to_owned()))?;
        if browser::is_foreign(app, &headers) || !visitor.sent(&form.csrf) {
            return Ok(respond(StatusCode::FORBIDDEN, &Said::error(Page::new(app, lang), "page.forbidden")));
        }
        let view = visited(app, Some(&visitor))?.ok_or(FlowError::NotFound("flow"))?;
        // A form that is shown no more, such as one that was sent twice, answers another step.
        if step::path(&view) != uri.path() {
            return Ok(go_to(&view));
        }
        let typed = form.typed();
        let Some(input) = form.input(view.asked) else { return Ok(go_to(&view)) };
        let view = match journey::act(app, &Door::Browser(&visitor.key), &visitor.flow, input) {
            // The same form a second time: on to where the first one has led.
            Err(FlowError::Conflict(_)) => {
                let view = visited(app, Some(&visitor))?.ok_or(FlowError::NotFound("flow"))?;
                return Ok(go_to(&view));
            }
            acted => acted?,
        };
        // An answer that was wrong is shown at once; otherwise the browser fetches the next page, so that a reload
        // sends nothing twice.
        let ended = matches!(view.asked, journey::Asked::Done | journey::Asked::Failed);
        if view.error.is_some() && !ended || view.codes.is_some() {
            return Ok(step::render(app, &view, &Audience::new(&visitor, &headers), &typed));
        }
        Ok(go_to(&view))
    })
    .await
}

/// Runs a page's act, which is told the language that fits the browser's best; what it cannot do becomes a page too.
async fn act(
    api: &Arc<Api>,
    languages: String,
    act: impl FnOnce(&Appliance, &str) -> Result<Response, FlowError> + Send + 'static,
) -> Response {
    let accepted = languages.clone();
    let done = api.act(move |app| {
        let lang = app.config.texts.accepted(&accepted);
        match act(app, lang) {
            Err(error @ FlowError::Tampered { .. }) => Err(error),
            Err(error) => Ok(apologise(app, lang, error)),
            Ok(response) => Ok(response),
        }
    });
    match done.await {
        Ok(response) => response,
        Err(error) => {
            let texts = &api.appliance().config.texts;
            let text = texts.text(texts.accepted(&languages), "flow.unavailable", &[]);
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            (error.status(), [(header::CONTENT_TYPE, plain)], text).into_response()
        }
    }
}
