//! What every page has: language, sender, headers that let nothing in from outside.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::appliance::Appliance;
use crate::flows::journey::PASSWORD_MIN;
use crate::texts::{Catalog, LANGUAGES};

/// Nothing but our own style sheet and pictures; nobody frames us.
const CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
                   form-action 'self'";
/// On pages with a script: our own file, which asks nobody but us.
const CSP_SCRIPT: &str = "; script-src 'self'; connect-src 'self'";

const LOGIN: &str = "/ui/login";

/// What every page shows.
pub(super) struct Page {
    texts: Catalog,
    /// Language tag.
    pub(super) lang: String,
    /// Name of the appliance's owner.
    pub(super) issuer: String,
    /// Whether there is a logo.
    pub(super) has_logo: bool,
    /// Where the browser goes when the flow has ended: browsers hold `form-action` against the redirect after a form
    /// too.
    pub(super) return_origin: Option<String>,
    /// Where a browser without script asks again by itself, and after how many seconds.
    pub(super) refresh: Option<(u32, &'static str)>,
    /// Whether a script makes this page pleasanter. It works without.
    pub(super) script: bool,
    /// The path to come back to with another language; none where there is no choice of languages.
    pub(super) here: Option<&'static str>,
}

impl Page {
    /// A page in a language.
    pub(super) fn new(app: &Appliance, lang: &str) -> Self {
        Page {
            lang: app.config.texts.serving_or_first(lang).to_owned(),
            texts: app.config.texts.clone(),
            issuer: app.config.issuer.clone(),
            has_logo: app.config.people.pages.logo.is_some(),
            return_origin: None,
            refresh: None,
            script: false,
            here: None,
        }
    }

    /// A text of the catalogue.
    pub(super) fn text(&self, key: &str) -> String {
        self.texts.text(&self.lang, key, &[])
    }

    /// The document's title: whoever hears it first hears of an error first.
    pub(super) fn title(&self, title: &str, wrong: bool) -> String {
        if wrong { self.text_with("ui-error-title", &[("title", title)]) } else { title.to_owned() }
    }

    /// What helps to fill a field in.
    pub(super) fn hint(&self, key: &str) -> String {
        self.text_with(key, &[("min", &PASSWORD_MIN.to_string())])
    }

    /// Languages to choose from, each by its own name; by its tag where the operator's texts give it none.
    pub(super) fn languages(&self) -> Vec<(String, String)> {
        let name = |lang: &str| self.texts.text(lang, "language-name", &[]);
        let first = name(LANGUAGES[0]);
        let named = |lang: &str| {
            let own = Some(name(lang)).filter(|name| *name != first || lang == LANGUAGES[0]);
            (lang.to_owned(), own.unwrap_or_else(|| lang.to_owned()))
        };
        self.texts.languages().map(named).collect()
    }

    fn headers(&self, headers: &mut HeaderMap) {
        let origin = self.return_origin.as_ref().map(|origin| format!(" {origin}")).unwrap_or_default();
        let script = if self.script { CSP_SCRIPT } else { "" };
        let csp = HeaderValue::from_str(&format!("{CSP}{origin}{script}"));
        for (name, value) in [
            // An origin is graphic ASCII; without one the strictest is right.
            (header::CONTENT_SECURITY_POLICY, csp.unwrap_or(HeaderValue::from_static(CSP))),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        ] {
            headers.insert(name, value);
        }
    }

    /// A text of the catalogue with values.
    pub(super) fn text_with(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.texts.text(&self.lang, key, values)
    }
}

/// A page as an answer: never stored, never framed, nothing from outside.
pub(super) fn respond(status: StatusCode, shown: &(impl Template + AsRef<Page>)) -> Response {
    match shown.render() {
        Ok(html) => {
            let mut response = (status, axum::response::Html(html)).into_response();
            shown.as_ref().headers(response.headers_mut());
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "link.html")]
pub(super) struct Said {
    pub(super) page: Page,
    pub(super) title: String,
    pub(super) intro: String,
    pub(super) error: Option<&'static str>,
    pub(super) message: Option<String>,
    pub(super) action: Option<String>,
    /// Where to go from here, and the key of what that is called.
    pub(super) onward: Option<(&'static str, &'static str)>,
}

impl AsRef<Page> for Said {
    fn as_ref(&self) -> &Page {
        &self.page
    }
}

impl Said {
    /// Something went wrong that no step can show.
    pub(super) fn error(page: Page, key: &'static str) -> Self {
        let (title, intro) = (page.text("failed-title"), page.text(key));
        let onward = Some((LOGIN, "ui-start-again"));
        let page = Page { here: Some(LOGIN), ..page };
        Said { page, title, intro, error: Some(key), message: None, action: None, onward }
    }
}
