//! What of our answers is kept: files, of which one that is there already is not sent again (RFC 9110, 13.1.2), and nothing
//! else.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Nothing in a picture is run.
const PICTURE: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");
/// Octets of the digest that tell one file from another.
const TAG_LEN: usize = 16;

/// How long a file is good without another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Not at all: who has it asks whether it is still the one.
    Ask,
    /// Five minutes.
    Minutes,
}

impl Keep {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Keep::Ask => "no-cache",
            Keep::Minutes => "max-age=300",
        })
    }
}

/// What is told here is of its moment, or for the eyes of who asked: nobody on the way keeps it (RFC 9111, 5.2.2.5).
pub(super) async fn unkept(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    response
}

/// A text of ours.
pub(crate) fn text(asked: &HeaderMap, kind: &'static str, text: String) -> Response {
    answer(asked, Keep::Ask, HeaderValue::from_static(kind), text.into_bytes())
}

/// A picture.
pub(crate) fn picture(asked: &HeaderMap, keep: Keep, kind: HeaderValue, bytes: Vec<u8>) -> Response {
    let mut response = answer(asked, keep, kind, bytes);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PICTURE);
    response
}

fn answer(asked: &HeaderMap, keep: Keep, kind: HeaderValue, bytes: Vec<u8>) -> Response {
    let tag = tag(&bytes);
    let mut headers: Vec<(HeaderName, HeaderValue)> =
        vec![(header::CACHE_CONTROL, keep.header()), (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF)];
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    let headers: HeaderMap = headers.into_iter().collect();
    if has(asked, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, kind)], bytes).into_response()
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(bytes)[..TAG_LEN]))
}

/// Whether who asks has the file of this tag: by the weak comparison (RFC 9110, 8.8.3.2).
fn has(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    known.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(known: &[&str]) -> HeaderMap {
        let values = known.iter().map(|one| HeaderValue::from_str(one).expect("a header"));
        values.map(|value| (header::IF_NONE_MATCH, value)).collect()
    }

    /// RFC 9110, 13.1.2. Red when a file that is known is sent again, or another one is not.
    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let own = tag(b"one");
        let status = |known: &[&str]| text(&asking(known), "text/plain", "one".to_owned()).status();
        let weak = format!("W/{own}");
        for known in [vec![own.as_str()], vec![weak.as_str()], vec!["*"], vec!["\"x\"", own.as_str()]] {
            assert_eq!(status(&known), StatusCode::NOT_MODIFIED, "{known:?}");
        }
        let listed = format!("\"x\", {own}");
        assert_eq!(status(&[&listed]), StatusCode::NOT_MODIFIED);
        let other = tag(b"two");
        for known in [vec![], vec![other.as_str()], vec![own.trim_matches('"')], vec![""]] {
            assert_eq!(status(&known), StatusCode::OK, "{known:?}");
        }
    }
}
