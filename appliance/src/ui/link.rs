//! The link in a message: GET shows who asks, only POST decides (SMS-39, D-13). The phone never gets a session.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::page::{Page, Said, respond};
use super::{act, browser, languages};
use crate::api::Api;
use crate::appliance::Appliance;
use crate::flows::journey::link::{self, Decision};

fn invalid(app: &Appliance, lang: &str) -> Response {
    let page = Page::new(app, lang);
    let key = "verify.view.token.invalid";
    let (title, intro) = (page.text("link-invalid-title"), page.text(key));
    let said = Said { page, title, intro, error: Some(key), message: None, action: None, onward: None };
    respond(StatusCode::NOT_FOUND, &said)
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    act(&api, languages(&headers), move |app, lang| {
        let Some(asked) = link::open(app, &token)? else { return Ok(invalid(app, lang)) };
        let page = Page::new(app, &asked.lang);
        let title = page.text("link-title");
        let intro = page.text_with("link-intro", &[("user", asked.user.as_str())]);
        let message = asked.message.as_deref().map(|text| page.text_with("link-message", &[("text", text)]));
        let action = Some(format!("/ui/l/{token}"));
        Ok(respond(StatusCode::OK, &Said { page, title, intro, error: None, message, action, onward: None }))
    })
    .await
}

#[derive(serde::Deserialize)]
pub(super) struct Decided {
    action: String,
}

pub(super) async fn decide(
    State(api): State<Arc<Api>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    axum::Form(decided): axum::Form<Decided>,
) -> Response {
    act(&api, languages(&headers), move |app, lang| {
        if browser::is_foreign(app, &headers) {
            let said = Said::error(Page::new(app, lang), "page.forbidden");
            return Ok(respond(StatusCode::FORBIDDEN, &said));
        }
        let decision = match decided.action.as_str() {
            "approve" => Decision::Approve,
            "reject" => Decision::Reject,
            _ => return Ok(invalid(app, lang)),
        };
        let Some(asked) = link::decide(app, &token, decision)? else { return Ok(invalid(app, lang)) };
        let page = Page::new(app, &asked.lang);
        let (title, intro) = match decision {
            Decision::Approve => ("link-approved-title", "link-approved-intro"),
            Decision::Reject => ("link-rejected-title", "link-rejected-intro"),
        };
        let (title, intro) = (page.text(title), page.text(intro));
        let said = Said { page, title, intro, error: None, message: None, action: None, onward: None };
        Ok(respond(StatusCode::OK, &said))
    })
    .await
}
