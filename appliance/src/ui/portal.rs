//! What a logged-in user may change (OATH-40).

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::browser::{self, Visitor};
use super::enrol;
use super::page::{Page, Said, respond};
use super::{act as run, begin, languages};
use crate::api::Api;
use crate::flows::journey::{self, Door, Offered, Start};

#[derive(Template)]
#[template(path = "portal.html")]
struct Portal {
    page: Page,
    title: String,
    intro: String,
    offers: Vec<Offered>,
    /// Whether a factor can be asked for.
    enrols: bool,
    csrf: String,
}

impl AsRef<Page> for Portal {
    fn as_ref(&self) -> &Page {
        &self.page
    }
}

pub(super) async fn show(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    run(&api, languages(&headers), move |app, _| {
        let Some(visitor) = visitor else { return Ok(Redirect::to("/ui/login").into_response()) };
        let offered = journey::self_service(app, &Door::Browser(&visitor.key), &visitor.flow)?;
        let Some(journey::Session { user, lang, offers, .. }) = offered else {
            return Ok(Redirect::to("/ui/login").into_response());
        };
        let chosen = browser::language(&headers).filter(|tag| app.config.texts.serving(tag).is_some());
        let lang = chosen.map_or(lang, str::to_owned);
        let mut page = Page::new(app, &lang);
        page.here = Some("/ui/self");
        let enrols = enrol::is_offered(app);
        let title = page.text("portal-title");
        let intro = page.text_with("portal-intro", &[("user", user.as_str())]);
        Ok(respond(StatusCode::OK, &Portal { page, title, intro, offers, enrols, csrf: visitor.csrf() }))
    })
    .await
}

#[derive(serde::Deserialize)]
pub(super) struct Wanted {
    csrf: String,
    flow: Option<String>,
    action: Option<String>,
}

pub(super) async fn act(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    axum::Form(wanted): axum::Form<Wanted>,
) -> Response {
    let visitor = Visitor::of(&headers);
    run(&api, languages(&headers), move |app, lang| {
        let Some(visitor) = visitor else { return Ok(Redirect::to("/ui/login").into_response()) };
        if browser::is_foreign(app, &headers) || !visitor.sent(&wanted.csrf) {
            let said = Said::error(Page::new(app, lang), "page.forbidden");
            return Ok(respond(StatusCode::FORBIDDEN, &said));
        }
        if wanted.action.as_deref() == Some("log-out") {
            journey::log_out(app, &Door::Browser(&visitor.key), &visitor.flow)?;
            let mut response = Redirect::to("/ui/login").into_response();
            response.headers_mut().append(header::SET_COOKIE, browser::forget());
            return Ok(response);
        }
        let session = Some((visitor.flow, visitor.key));
        let start = Start {
            definition: wanted.flow.unwrap_or_default(),
            lang: Some(lang.to_owned()),
            session,
            ..Start::default()
        };
        begin(app, start)
    })
    .await
}
