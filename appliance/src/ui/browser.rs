//! A browser and its flow: one cookie, and a token in every form.
//!
//! The cookie holds the flow's handle and a key that only this browser was given; the form's token is derived from
//! that key. A page of another origin has neither.

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use domain::token::Id;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::appliance::Appliance;
use crate::flows::{handle, journey::BrowserKey, parse_handle};

const COOKIE: &str = "countersign";
/// The language that somebody chose in this browser.
const LANGUAGE: &str = "countersign-lang";
/// How long a browser remembers it, in seconds: half a year.
const LANGUAGE_AGE_S: u32 = 180 * 24 * 3600;
/// Longest cookie header that is looked at, in bytes.
const COOKIES_MAX: usize = 8 * 1024;

/// The value of a cookie.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok().filter(|text| text.len() <= COOKIES_MAX)?;
    cookies.split(';').find_map(|pair| pair.trim().strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
}

/// Longest language tag that is looked at, in bytes.
const LANGUAGE_MAX: usize = 35;

/// The tag of the language that was chosen in this browser; whether there is such a language is not asked here.
pub(super) fn language(headers: &HeaderMap) -> Option<&str> {
    let is_tag = |tag: &&str| {
        (1..=LANGUAGE_MAX).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    cookie(headers, LANGUAGE).filter(is_tag)
}

/// The cookie that keeps a language.
pub(super) fn keep_language(lang: &str, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{LANGUAGE}={lang}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LANGUAGE_AGE_S}{secure}");
    HeaderValue::from_str(&text).expect("a language tag is header text")
}

/// What the cookie says; not checked yet.
pub(super) struct Visitor {
    /// The flow.
    pub(super) flow: Id,
    /// The browser's key.
    pub(super) key: BrowserKey,
}

impl Visitor {
    /// Reads the cookie.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = cookie(headers, COOKIE)?;
        let (flow, key) = value.split_once('.')?;
        let key: [u8; 16] = BASE64URL_NOPAD.decode(key.as_bytes()).ok()?.try_into().ok()?;
        Some(Visitor { flow: parse_handle(flow)?, key: BrowserKey(key) })
    }

    /// The token of this browser's forms.
    pub(super) fn csrf(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"countersign form 1");
        hash.update(self.flow);
        hash.update(self.key.0);
        HEXLOWER.encode(&hash.finalize())
    }

    /// Whether a form came from one of our own pages in this browser.
    pub(super) fn sent(&self, csrf: &str) -> bool {
        self.csrf().as_bytes().ct_eq(csrf.as_bytes()).into()
    }

    /// The cookie to set. It ends with the browser; the flow's own life is shorter.
    pub(super) fn cookie(&self, secure: bool) -> HeaderValue {
        let (flow, key) = (handle(&self.flow), BASE64URL_NOPAD.encode(&self.key.0));
        let secure = if secure { "; Secure" } else { "" };
        let text = format!("{COOKIE}={flow}.{key}; Path=/ui; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).expect("hex and Base64 are header text")
    }
}

/// The cookie's end.
pub(super) fn forget() -> HeaderValue {
    HeaderValue::from_static("countersign=; Path=/ui; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// Whether a browser says that a form came from another site (Fetch Metadata; RFC 6454). What says nothing is let
/// through: the form's token decides. So does an origin of `null`, which our own pages have: they send no referrer.
pub(super) fn is_foreign(app: &Appliance, headers: &HeaderMap) -> bool {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = said("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = said("origin").filter(|origin| *origin != "null") else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    let ours = app.config.people.pages.public_url.as_deref();
    host != said("host") && ours.is_none_or(|url| domain::weburl::origin(url) != Some(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_back_and_its_token_is_its_own() {
        let visitor = Visitor { flow: [7; 16], key: BrowserKey([9; 16]) };
        let set = visitor.cookie(true);
        let text = set.to_str().unwrap();
        assert!(text.contains("HttpOnly") && text.contains("Secure") && text.contains("SameSite=Lax"));
        let mut headers = HeaderMap::new();
        let pair = format!("other=1; {}", text.split(';').next().unwrap());
        headers.insert(header::COOKIE, pair.parse().unwrap());
        let read = Visitor::of(&headers).unwrap();
        assert_eq!((read.flow, read.key.0), (visitor.flow, visitor.key.0));
        assert!(read.sent(&visitor.csrf()));
        let stranger = Visitor { flow: [7; 16], key: BrowserKey([8; 16]) };
        assert!(!stranger.sent(&visitor.csrf()) && !stranger.sent(""));
    }

    #[test]
    fn a_language_is_no_session() {
        let mut headers = HeaderMap::new();
        let kept = keep_language("fr", true);
        headers.insert(header::COOKIE, kept.to_str().unwrap().split(';').next().unwrap().parse().unwrap());
        assert!(Visitor::of(&headers).is_none());
        assert_eq!(language(&headers), Some("fr"));
        headers.insert(header::COOKIE, "countersign-lang=a,b;q=1".parse().unwrap());
        assert_eq!(language(&headers), None);
    }

    #[test]
    fn what_is_no_cookie_is_nobody() {
        for text in ["", "countersign=", "countersign=x.y", "countersignx=1.2", "a=b"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            assert!(Visitor::of(&headers).is_none(), "{text}");
        }
    }
}
