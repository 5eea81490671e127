//! The registration desk (BIND-36): its own login and seat, and what is open there. Acts are [`enrol`]'s; everybody
//! who is no registration authority, or has shown no second factor, gets one and the same refusal.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawForm, RawQuery, State};
use axum::http::{HeaderMap, Method as Verb, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use domain::token::Id;

use self::session::Token;
use super::page::{Page, Said, respond};
use super::sheet::{Given, Sheet, refusal};
use super::{act, begin, browser, is_secure, languages, not_found, nowhere};
use crate::api::Api;
use crate::appliance::Appliance;
use crate::flows::desk::{self, Clerk, Entry};
use crate::flows::enrol::{self, View};
use crate::flows::journey::Start;
use crate::flows::{FlowError, parse_handle};

mod calendar;
mod list;
mod receipt;
mod session;
mod vet;
mod way;

/// What is open.
pub(super) const HOME: &str = "/desk";
/// The door.
pub(super) const LOGIN: &str = "/desk/login";
/// Where a login comes back to.
const IN: &str = "/desk/in";

/// All pages of the desk.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route(HOME, get(list::home))
        .route(LOGIN, get(login).post(log_in))
        .route(IN, get(enter))
        .route("/desk/log-out", post(log_out))
        .route("/desk/request", get(list::request).post(list::request))
        .route("/desk/calendar", get(calendar::page).post(calendar::page))
        .route("/desk/vet", get(vet::by_code).post(vet::by_code))
        .route("/desk/vet/{id}", get(vet::step).post(vet::step))
        .route("/desk/vet/{id}/reject", get(vet::reject).post(vet::reject))
        .route("/desk/receipt/{id}", get(receipt::page))
        .route("/desk/{*nothing}", any(nowhere))
}

/// Who is at the page.
struct Here<'a> {
    app: &'a Appliance,
    clerk: Clerk,
    csrf: String,
    lang: String,
}

impl Here<'_> {
    fn sheet(&self, title: &str, intro: &str) -> Sheet {
        let mut page = Page::new(self.app, &self.lang);
        page.here = Some(HOME);
        let desk = Some(self.clerk.caller.actor.id.clone());
        Sheet { desk, ..Sheet::new(page, title, intro, &self.csrf) }
    }

    /// The enrolment that an address is about, as far as it is for who sits here.
    fn meant(&self, id: Option<&Id>) -> Result<View, FlowError> {
        enrol::show(self.app, &self.clerk.caller, id.ok_or(FlowError::NotFound("enrolment"))?)
    }

    /// The key of what an act was refused for. What the act has made no event of is one of the desk.
    fn refused(&self, error: FlowError, step: &str, id: Option<&Id>) -> Result<&'static str, FlowError> {
        let told = matches!(error, FlowError::Enrol(_) | FlowError::RateLimited);
        let key = refusal(error)?;
        if !told {
            desk::refused(self.app, &self.clerk, key, step, id)?;
        }
        Ok(key)
    }
}

/// Whether there is a desk: a method that needs a person, and a login that can come back.
fn door(app: &Appliance) -> Option<(&str, &str)> {
    let people = &app.config.people.pages;
    let vets = app.config.enrol.methods.iter().any(|method| method.needs_person());
    let (flow, url) = (app.config.desk_login()?, people.public_url.as_deref()?);
    vets.then_some((flow, url))
}

fn to_login() -> Response {
    Redirect::to(LOGIN).into_response()
}

type Act = fn(&Here<'_>, Option<&Id>, &Given, bool) -> Result<Response, FlowError>;

/// Does what a page does for who sits at the desk; others are sent to its door.
async fn at(
    api: Arc<Api>,
    verb: Verb,
    headers: HeaderMap,
    id: Option<String>,
    form: Vec<u8>,
    page: Act,
) -> Response {
    act(&api, languages(&headers), move |app, lang| {
        if door(app).is_none() {
            return Ok(not_found(app, lang));
        }
        let Some(token) = Token::seat(&headers) else { return Ok(to_login()) };
        let Some((name, level)) = token.who(&app.clock.now()) else { return Ok(to_login()) };
        let Some(clerk) = desk::clerk(app, &name, level)? else {
            token.stand_up();
            return Ok(to_login());
        };
        let here = Here { app, clerk, csrf: token.csrf(), lang: lang.to_owned() };
        let id = id.as_deref().map(|text| parse_handle(text).ok_or(FlowError::NotFound("enrolment")));
        let id = match id.transpose() {
            Ok(id) => id,
            Err(_) => return Ok(not_found(app, lang)),
        };
        let given = Given::read(&form)?;
        let posted = verb == Verb::POST;
        if posted && (browser::is_foreign(app, &headers) || !Token::is(&here.csrf, &given.text("csrf"))) {
            desk::refused(app, &here.clerk, "foreign_form", "", id.as_ref())?;
            return Ok(forbidden(app, lang, "page.forbidden"));
        }
        match page(&here, id.as_ref(), &given, posted) {
            Err(FlowError::NotFound("enrolment")) => {
                desk::refused(app, &here.clerk, "enrol.out_of_scope", "", id.as_ref())?;
                Ok(not_found(app, lang))
            }
            Err(FlowError::Forbidden(_)) => Ok(forbidden(app, lang, "desk.refused")),
            done => done,
        }
    })
    .await
}

fn forbidden(app: &Appliance, lang: &str, key: &'static str) -> Response {
    let mut said = Said::error(Page::new(app, lang), key);
    said.page.here = Some(LOGIN);
    respond(StatusCode::FORBIDDEN, &Said { onward: Some((LOGIN, "ui-start-again")), ..said })
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident => $act:path;)*) => {
        $($(#[$doc])* pub(super) async fn $name(
            axum::extract::State(api): axum::extract::State<std::sync::Arc<crate::api::Api>>,
            verb: axum::http::Method,
            headers: axum::http::HeaderMap,
            id: Option<axum::extract::Path<String>>,
            axum::extract::RawForm(form): axum::extract::RawForm,
        ) -> axum::response::Response {
            super::at(api, verb, headers, id.map(|axum::extract::Path(id)| id), form.to_vec(), $act).await
        })*
    };
}
use pages;

async fn login(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    act(&api, languages(&headers), move |app, lang| {
        if door(app).is_none() {
            return Ok(not_found(app, lang));
        }
        if Token::seat(&headers).is_some_and(|token| token.who(&app.clock.now()).is_some()) {
            return Ok(Redirect::to(HOME).into_response());
        }
        let mut page = Page::new(app, lang);
        page.here = Some(LOGIN);
        Ok(Sheet::new(page, "desk-title", "desk-login-intro", "")
            .form(LOGIN, Vec::new(), "desk-log-in")
            .answer())
    })
    .await
}

/// Begins the login, which comes back to this browser only.
async fn log_in(State(api): State<Arc<Api>>, headers: HeaderMap, RawForm(_): RawForm) -> Response {
    act(&api, languages(&headers), move |app, lang| {
        let Some((flow, url)) = door(app) else { return Ok(not_found(app, lang)) };
        if browser::is_foreign(app, &headers) {
            return Ok(forbidden(app, lang, "page.forbidden"));
        }
        let token = Token::of_random(app.random()?);
        let start = Start {
            definition: flow.to_owned(),
            lang: Some(lang.to_owned()),
            return_url: Some(format!("{url}{IN}")),
            return_state: Some(token.state()),
            ..Start::default()
        };
        let mut response = begin(app, start)?;
        response.headers_mut().append(header::SET_COOKIE, token.door_cookie(is_secure(app)));
        Ok(response)
    })
    .await
}

/// Takes a seat with the result of a login that this browser has begun.
async fn enter(State(api): State<Arc<Api>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    act(&api, languages(&headers), move |app, lang| {
        if door(app).is_none() {
            return Ok(not_found(app, lang));
        }
        let given = Given::read(query.unwrap_or_default().as_bytes())?;
        let ours = Token::door(&headers).is_some_and(|door| Token::is(&door.state(), &given.text("state")));
        if !ours {
            desk::turned_away(app, "foreign_login")?;
            return Ok(to_login());
        }
        match desk::enter(app, &given.text("code")) {
            Err(FlowError::NotFound(_)) => Ok(to_login()),
            Err(error) => Err(error),
            Ok(Entry::Refused) => Ok(forbidden(app, lang, "desk.refused")),
            Ok(Entry::In(clerk)) => {
                let token = Token::of_random(app.random()?);
                token.sit(clerk.name, clerk.level, &app.clock.now());
                let mut response = Redirect::to(HOME).into_response();
                response.headers_mut().append(header::SET_COOKIE, token.seat_cookie(is_secure(app)));
                Ok(response)
            }
        }
    })
    .await
}

async fn log_out(state: State<Arc<Api>>, headers: HeaderMap, form: RawForm) -> Response {
    let token = Token::seat(&headers);
    let mut response = at(state.0, Verb::POST, headers, None, form.0.to_vec(), |here, _, _, _| {
        desk::leave(here.app, &here.clerk)?;
        Ok(to_login())
    })
    .await;
    if response.status().is_redirection() {
        token.inspect(Token::stand_up);
        response.headers_mut().append(header::SET_COOKIE, session::forget_seat());
    }
    response
}
