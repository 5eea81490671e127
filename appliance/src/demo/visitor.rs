//! A visitor of the pages: one cookie, and the page's form sent back filled in, as a browser does.

use anyhow::{Context, bail};
use hyper::header;

use super::http;

/// Redirects that are followed at the most.
const HOPS_MAX: usize = 8;

/// A visitor and the page that it sees.
pub(super) struct Visitor {
    port: u16,
    cookie: Option<String>,
    /// The page's path.
    pub(super) path: String,
    page: String,
}

impl Visitor {
    /// Nobody yet, at a page and wherever it leads.
    ///
    /// # Errors
    /// When no whole answer comes in time.
    pub(super) fn at(port: u16, path: &str) -> anyhow::Result<Self> {
        let mut visitor = Visitor { port, cookie: None, path: String::new(), page: String::new() };
        visitor.go(path, None)?;
        Ok(visitor)
    }

    /// Sends the page's form with these fields and goes where that leads.
    ///
    /// # Errors
    /// When the page has no form, or no whole answer comes in time.
    pub(super) fn submit(&mut self, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        let csrf = between(&self.page, "name=\"csrf\" value=\"").context("the page has no form")?.to_owned();
        self.press(&[&[("csrf", csrf.as_str())], fields].concat())
    }

    /// Sends these fields to the page, as the form of a page for everybody does.
    ///
    /// # Errors
    /// When no whole answer comes in time.
    pub(super) fn press(&mut self, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        let form = serde_urlencoded::to_string(fields)?;
        self.go(&self.path.clone(), Some(&form))
    }

    /// Loads the page again, and goes where that leads.
    ///
    /// # Errors
    /// When no whole answer comes in time.
    pub(super) fn reload(&mut self) -> anyhow::Result<()> {
        self.go(&self.path.clone(), None)
    }

    /// Whether the page waits for its message to leave.
    pub(super) fn is_delivering(&self) -> bool {
        self.page.contains(" data-more")
    }

    /// The secret that the page shows to be typed.
    ///
    /// # Errors
    /// When it shows none.
    pub(super) fn secret(&self) -> anyhow::Result<String> {
        let (_, rest) = self.page.split_once("data-secret>").context("the page shows no secret")?;
        Ok(rest.split('<').next().unwrap_or_default().to_owned())
    }

    /// The key of the error that the page shows.
    pub(super) fn error(&self) -> Option<&str> {
        between(&self.page, "data-error=\"")
    }

    /// Fails unless the page is this one.
    ///
    /// # Errors
    /// Which page it is, and the error that it shows.
    pub(super) fn expect(&self, path: &str) -> anyhow::Result<()> {
        if self.path == path {
            return Ok(());
        }
        let error = self.error().unwrap_or("no error");
        bail!("expected the page {path}, got {} with {error}", self.path)
    }

    fn go(&mut self, path: &str, form: Option<&str>) -> anyhow::Result<()> {
        let (mut path, mut form) = (path.to_owned(), form);
        for _ in 0..HOPS_MAX {
            let (head, page) = http::page(self.port, &path, self.cookie.as_deref(), form.take())?;
            let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
            if let Some(cookie) = text(header::SET_COOKIE) {
                self.cookie = cookie.split(';').next().map(str::to_owned);
            }
            match text(header::LOCATION) {
                Some(location) => path = location.to_owned(),
                None => {
                    (self.path, self.page) = (path, page);
                    return Ok(());
                }
            }
        }
        bail!("{path} leads nowhere")
    }
}

fn between<'p>(page: &'p str, before: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(before)?;
    rest.split_once('"').map(|(found, _)| found)
}
