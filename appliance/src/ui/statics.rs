//! Style sheet, script and logo.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::colour::Colour;

use crate::api::Api;
use crate::api::cached::{self, Keep};
use crate::config::logo;

const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPT: &str = include_str!("../../assets/pages.js");
/// The colours that stand in [`STYLE`]: on light pages, on dark ones.
const ACCENTS: [&str; 2] = ["--accent: #1f4e79;", "--accent: #8ec1f0;"];
/// Background of a dark page's card, as in [`STYLE`]: the lightest that anything stands on there.
const DARK_CARD: Colour = Colour::new(0x1d, 0x23, 0x29);
/// Contrast of the accent with it: more than AA asks for, so that text on a button of this colour is readable too.
const DARK_CONTRAST: f64 = 6.0;

fn themed(accent: Colour) -> String {
    let own = [accent, accent.lightened(DARK_CARD, DARK_CONTRAST)];
    ACCENTS.into_iter().zip(own).fold(STYLE.to_owned(), |style, (built_in, own)| {
        style.replacen(built_in, &format!("--accent: {own};"), 1)
    })
}

pub(super) async fn style(State(api): State<Arc<Api>>, asked: HeaderMap) -> Response {
    let themed = themed(api.appliance().config.people.pages.accent);
    cached::text(&asked, "text/css; charset=utf-8", themed)
}

pub(super) async fn script(asked: HeaderMap) -> Response {
    cached::text(&asked, "text/javascript; charset=utf-8", SCRIPT.to_owned())
}

pub(super) async fn logo(State(api): State<Arc<Api>>, asked: HeaderMap) -> Response {
    let Some(path) = api.appliance().config.people.pages.logo.clone() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // The file may have changed since the configuration was loaded.
    match tokio::task::spawn_blocking(move || logo::read(&path)).await {
        Ok(Ok(logo)) => cached::picture(&asked, Keep::Ask, HeaderValue::from_static(logo.kind), logo.bytes),
        Ok(Err(wrong)) => {
            tracing::warn!(%wrong, "the logo of the pages");
            StatusCode::NOT_FOUND.into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the logo of the pages");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::colour::READABLE;

    /// Red when the style sheet's colours are written in another way than they are looked for.
    #[test]
    fn both_schemes_take_the_colour() {
        let accent = Colour::new(0x7a, 0x00, 0x19);
        let themed = themed(accent);
        for (built_in, own) in ACCENTS.iter().zip([accent, accent.lightened(DARK_CARD, DARK_CONTRAST)]) {
            assert!(STYLE.contains(built_in) && !themed.contains(built_in));
            assert!(themed.contains(&format!("--accent: {own};")));
        }
        for background in [crate::config::people::PAGE, DARK_CARD] {
            assert!(STYLE.contains(&background.to_string()), "{background}");
        }
        const { assert!(DARK_CONTRAST >= READABLE) };
    }
}
