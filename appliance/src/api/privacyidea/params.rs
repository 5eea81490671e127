//! What plugins send: query, form (url-encoded or multipart) or JSON, made into one set of parameters.
//!
//! `realm`, `resolver`, `client`, `otponly` and whatever else they add is read and not looked at: a user is
//! found by name, and a name with `@` in it is kept as it is.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use super::super::body::{self, BODY_MAX};
use super::super::error::ApiError;

/// Longest boundary of a multipart body (RFC 2046 section 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// The parameters that matter here. Without `Debug`: one of them is a code.
pub(super) struct Params {
    /// Whose code it is; empty means absent, as for all of them.
    pub(super) user: Option<String>,
    /// The token.
    pub(super) serial: Option<String>,
    /// The code; empty to order one.
    pub(super) pass: String,
    /// The challenge that `pass` answers: `transaction_id`, or `state` as RADIUS says.
    pub(super) transaction: Option<String>,
    /// The only type of token that is meant.
    pub(super) kind: Option<String>,
    /// Comes back in the answer.
    pub(super) nonce: Option<String>,
}

type Pairs = BTreeMap<String, String>;

/// Reads a request's query and body.
///
/// # Errors
/// `malformed` for a parameter given twice or a body that is not what its type says; `too-large`.
pub(super) async fn read(request: Request) -> Result<Params, ApiError> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if query.len() > BODY_MAX {
        return Err(ApiError::too_large(BODY_MAX));
    }
    let content_type = text(request.headers(), header::CONTENT_TYPE).to_owned();
    // This agent encodes each value before it encodes the form.
    let twice = text(request.headers(), header::USER_AGENT).starts_with("FreeRADIUS");
    let body = body::read(request).await?;
    let mut pairs = Pairs::new();
    form(&mut pairs, &query)?;
    let (kind, rest) = content_type.split_once(';').unwrap_or((&content_type, ""));
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/json" => json(&mut pairs, &body)?,
        "multipart/form-data" => multipart(&mut pairs, rest, &body)?,
        _ => form(&mut pairs, &String::from_utf8_lossy(&body))?,
    }
    if twice {
        pairs.values_mut().for_each(|value| *value = percent_decoded(value));
    }
    Params::of(pairs)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Params {
    fn of(mut pairs: Pairs) -> Result<Self, ApiError> {
        let mut take = |name| pairs.remove(name).filter(|value: &String| !value.is_empty());
        let transaction = match (take("transaction_id"), take("state")) {
            (Some(id), Some(state)) if id != state => {
                return Err(ApiError::malformed("transaction_id and state are the same thing: give one"));
            }
            (id, state) => id.or(state),
        };
        Ok(Params {
            user: take("user"),
            serial: take("serial"),
            pass: take("pass").unwrap_or_default(),
            transaction,
            kind: take("type").map(|kind| kind.to_ascii_lowercase()),
            nonce: take("nonce"),
        })
    }
}

fn put(pairs: &mut Pairs, name: String, value: String) -> Result<(), ApiError> {
    match pairs.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(ApiError::malformed("a parameter is given twice")),
    }
}

/// Reads `a=b&c=d` (application/x-www-form-urlencoded of the WHATWG URL standard).
fn form(pairs: &mut Pairs, text: &str) -> Result<(), ApiError> {
    for pair in text.trim_end_matches(['\r', '\n']).split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
        put(pairs, decoded(name), decoded(value))?;
    }
    Ok(())
}

/// Decodes each `%` with two hex digits; another `%` stays. Bytes that are no UTF-8 become U+FFFD, which no
/// name and no code holds.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = if first == b'%' { after.get(..2) } else { None };
        match hex.and_then(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()) {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads `multipart/form-data` (RFC 7578): the fields, no files.
fn multipart(pairs: &mut Pairs, parameters: &str, body: &[u8]) -> Result<(), ApiError> {
    let malformed = || ApiError::malformed("the body is no multipart/form-data");
    let boundary = attribute(parameters, "boundary").ok_or_else(malformed)?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
        return Err(malformed());
    }
    let body = String::from_utf8_lossy(body);
    // With a line break before the first delimiter too, all delimiters look alike.
    let (body, delimiter) = (format!("\r\n{body}"), format!("\r\n--{boundary}"));
    for part in body.split(&delimiter).skip(1) {
        if part.starts_with("--") {
            return Ok(());
        }
        let (head, value) = part
            .trim_start_matches([' ', '\t'])
            .strip_prefix("\r\n")
            .and_then(|part| part.split_once("\r\n\r\n"))
            .ok_or_else(malformed)?;
        let disposition = head
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))
            .ok_or_else(malformed)?
            .1;
        let name = attribute(disposition, "name").ok_or_else(malformed)?;
        put(pairs, name.to_owned(), value.to_owned())?;
    }
    Err(malformed())
}

/// The value of one `; name=value` or `; name="value"`.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(';').filter_map(|item| item.trim().split_once('=')).find_map(|(found, value)| {
        let plain = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        found.trim().eq_ignore_ascii_case(name).then_some(plain.unwrap_or(value.trim()))
    })
}

/// Reads a JSON object. What is no string is not for us, except where a string is needed.
fn json(pairs: &mut Pairs, body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    let Members(members) = serde_json::from_slice(body)
        .map_err(|error| ApiError::malformed(format!("the body is not what it should be: {error}")))?;
    for (name, value) in members {
        let needed = ["user", "serial", "pass", "transaction_id", "state", "type", "nonce"].contains(&&*name);
        let value = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            _ if needed => return Err(ApiError::malformed(format!("{name} must be a string"))),
            _ => String::new(),
        };
        put(pairs, name, value)?;
    }
    Ok(())
}

/// The members of an object as they stand, so that a name given twice is seen.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(query: &str, agent: &str, content_type: &str, body: &str) -> Request {
        Request::builder()
            .method("POST")
            .uri(format!("/validate/check{query}"))
            .header(header::USER_AGENT, agent)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body.to_owned()))
            .unwrap()
    }

    fn outcome(request: Request) -> Result<Params, ApiError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(read(request))
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    /// User, pass, transaction and type of a request that is read.
    fn check(request: Request, expected: (&str, &str, &str, &str)) {
        let params = outcome(request).unwrap();
        let found = |value: &Option<String>| value.clone().unwrap_or_default();
        let found =
            (found(&params.user), params.pass.clone(), found(&params.transaction), found(&params.kind));
        let (user, pass, transaction, kind) = expected;
        assert_eq!(found, (user.to_owned(), pass.to_owned(), transaction.to_owned(), kind.to_owned()));
    }

    #[test]
    fn every_spelling_of_a_request_is_read() {
        let expected = ("alice", "123456", "77", "hotp");
        let form = "user=alice&realm=&pass=123456&state=77&type=HOTP";
        check(request("", "PAM/1.1.0", FORM, form), expected);
        check(request(&format!("?{form}&"), "x", "text/plain", ""), expected);
        check(request("?user=alice&state=77", "x", FORM, "pass=123456&type=hotp\r\n"), expected);
        let json = r#"{"user":"alice","pass":"123456","transaction_id":"77","type":"hotp","otponly":1,"realm":null}"#;
        check(request("", "x", "application/json; charset=utf-8", json), expected);
    }

    #[test]
    fn multipart_fields_are_read_and_their_end_is_needed() {
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let whole = format!("{}{}--b--\r\n", part("user", "alice"), part("pass", "12+3%34"));
        let of_type = "multipart/form-data; boundary=b";
        check(request("", "simpleSAMLphp", of_type, &whole), ("alice", "12+3%34", "", ""));
        check(
            request("", "simpleSAMLphp", "multipart/form-data; boundary=\"b\"", &whole),
            ("alice", "12+3%34", "", ""),
        );
        for broken in
            [whole.replace("--b--", ""), whole.replace("form-data; name=\"pass\"", ""), String::new()]
        {
            assert_eq!(outcome(request("", "x", of_type, &broken)).err().unwrap().code(), "malformed");
        }
    }

    #[test]
    fn only_one_agent_encodes_twice() {
        let encoded = "user=a%2540b&pass=%2525";
        check(request("", "FreeRADIUS", FORM, encoded), ("a@b", "%", "", ""));
        check(request("", "FreeRADIUS/3.2", FORM, encoded), ("a@b", "%", "", ""));
        check(request("", "privacyidea-cp/3.5", FORM, encoded), ("a%40b", "%25", "", ""));
        check(request("", "FreeRADIUS", FORM, "user=a%2Bb&pass=1%252"), ("a+b", "1%2", "", ""));
    }

    #[test]
    fn odd_escapes_stay_and_odd_bytes_match_nothing() {
        check(request("", "x", FORM, "user=a%zz%4&pass=%ff1+2"), ("a%zz%4", "\u{fffd}1 2", "", ""));
        check(request("", "x", FORM, "user&pass=1=2"), ("", "1=2", "", ""));
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        for (query, content_type, body) in [
            ("", FORM, "user=a&pass=1&user=a"),
            ("?pass=1", FORM, "user=a&pass=1"),
            ("", FORM, "user=a&%75ser=b"),
            ("", FORM, "user=a&pass=1&state=1&transaction_id=2"),
            ("", "application/json", r#"{"user":"a","user":"a"}"#),
            ("", "application/json", r#"{"user":"a","pass":123456}"#),
            ("", "application/json", "\u{feff}{}"),
            ("", "application/json", "[]"),
        ] {
            let refused = outcome(request(query, "x", content_type, body)).err().unwrap();
            assert_eq!(refused.code(), "malformed", "{query} {body}");
        }
        let same = "user=a&pass=1&state=1&transaction_id=1";
        check(request("", "x", FORM, same), ("a", "1", "1", ""));
    }

    #[test]
    fn a_body_and_a_query_have_an_end() {
        let long = "x".repeat(BODY_MAX + 1);
        assert_eq!(outcome(request("", "x", FORM, &long)).err().unwrap().code(), "too-large");
        assert_eq!(outcome(request(&format!("?{long}"), "x", FORM, "")).err().unwrap().code(), "too-large");
    }
}
