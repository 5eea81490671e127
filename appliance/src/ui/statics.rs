//! Style sheet and logo.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::Api;

const STYLE: &str = include_str!("../../assets/style.css");
/// The colour that stands in [`STYLE`].
const ACCENT: &str = "--accent: #1f4e79;";
/// Largest logo, in bytes (D-38).
const LOGO_MAX: u64 = 1024 * 1024;
const CACHE: HeaderValue = HeaderValue::from_static("max-age=300");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

pub(super) async fn style(State(api): State<Arc<Api>>) -> Response {
    let own = format!("--accent: {};", api.appliance().config.people.pages.accent);
    let text = STYLE.replacen(ACCENT, &own, 1);
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, CACHE),
        (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
    ];
    (headers, text).into_response()
}

pub(super) async fn logo(State(api): State<Arc<Api>>) -> Response {
    let Some(path) = api.appliance().config.people.pages.logo.clone() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let read = tokio::task::spawn_blocking(move || {
        let size = std::fs::metadata(&path)?.len();
        if size > LOGO_MAX {
            Err(std::io::Error::other("the logo is too large"))
        } else {
            std::fs::read(&path)
        }
    });
    match read.await {
        Ok(Ok(bytes)) => {
            // A picture of the operator's may hold a script: it runs nowhere.
            let sandbox = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
                (header::CONTENT_SECURITY_POLICY, sandbox),
                (header::CACHE_CONTROL, CACHE),
                (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
            ];
            (headers, bytes).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
