//! Where phones answer (C.2, C.4, C.5) and fetch their messages (C.11). Nobody logs in here: a phone shows itself by its
//! secret. Every answer is one of two, so that nothing can be learnt from it (D-40).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use push::device::MechanismUid;
use push::label::{PATH, SHORT_PATH};
use push::reply::{AuthenticationReply, BODY_MAX, Refresh, RegistrationReply};
use serde::Deserialize;

use super::{Api, ApiError};
use crate::appliance::Appliance;
use crate::bucket::{Allowance, Bucket};
use crate::error::FlowError;
use crate::flows::push::refusal::{self, Kind};
use crate::flows::push::{answer, poll, prove, refresh};

/// Where phones fetch their messages.
pub const POLL_PATH: &str = "/json/push/poll";
/// Longest time a phone may take over a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Longest query that is looked at, in bytes.
const QUERY_MAX: usize = 512;
/// The answer to everything that is not right, whatever it is.
const REFUSED: &str = r#"{"code":400,"reason":"Bad Request","message":"Bad request."}"#;
/// The answer to what is right.
const TAKEN: &str = "{}";

/// Requests about one message or one phone at once, and how many come back in a second.
const EACH: Allowance = Allowance { burst: 20.0, per_s: 1.0 };
/// The same over all of them. Behind a proxy every phone has the same address, so that no address counts.
const ALL: Allowance = Allowance { burst: 2_000.0, per_s: 1_000.0 };
/// Messages and phones that are remembered at the most.
const REMEMBERED_MAX: usize = 20_000;

struct Buckets {
    all: Bucket,
    each: HashMap<u64, Bucket>,
}

impl Buckets {
    fn new(now: Instant) -> Self {
        Buckets { all: Bucket::full(ALL, now), each: HashMap::new() }
    }

    fn take(&mut self, about: &str, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        about.hash(&mut hasher);
        let key = hasher.finish();
        if self.each.len() >= REMEMBERED_MAX {
            self.each.retain(|_, bucket| !bucket.is_full(EACH, now));
        }
        if self.each.len() >= REMEMBERED_MAX && !self.each.contains_key(&key) {
            return false;
        }
        // One name that is repeated takes nothing from the others.
        self.each.entry(key).or_insert_with(|| Bucket::full(EACH, now)).take(EACH, now)
            && self.all.take(ALL, now)
    }
}

static BUCKETS: LazyLock<Mutex<Buckets>> = LazyLock::new(|| Mutex::new(Buckets::new(Instant::now())));

fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

fn answered(done: Result<bool, ApiError>) -> Response {
    match done {
        Ok(true) => json(StatusCode::OK, TAKEN),
        Ok(false) => json(StatusCode::BAD_REQUEST, REFUSED),
        Err(error) => {
            tracing::warn!(code = error.code(), detail = error.detail(), "a phone could not be answered");
            json(StatusCode::BAD_REQUEST, REFUSED)
        }
    }
}

/// What a phone wants.
#[derive(Clone, Copy)]
enum Action {
    Register,
    Authenticate,
    Refresh,
}

impl Action {
    /// The endpoint's query has this one parameter and no other (C.1.2).
    fn of(query: Option<&str>) -> Option<Self> {
        match query? {
            "_action=register" => Some(Action::Register),
            "_action=authenticate" => Some(Action::Authenticate),
            "_action=refresh" => Some(Action::Refresh),
            _ => None,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Action::Register => Kind::Reply,
            Action::Authenticate => Kind::Answer,
            Action::Refresh => Kind::Refresh,
        }
    }

    /// The message or the phone that a body is about; none for a body that is none.
    fn about(self, body: &[u8]) -> Option<String> {
        match self {
            Action::Register => {
                RegistrationReply::parse(body).ok().map(|reply| reply.message().as_str().to_owned())
            }
            Action::Authenticate => {
                AuthenticationReply::parse(body).ok().map(|reply| reply.message().as_str().to_owned())
            }
            Action::Refresh => Refresh::parse(body).ok().map(|reply| reply.mechanism().as_str().to_owned()),
        }
    }

    fn take(self, app: &Appliance, body: &[u8]) -> Result<bool, FlowError> {
        match self {
            Action::Register => prove::by_reply(app, body),
            Action::Authenticate => answer::take(app, body),
            Action::Refresh => refresh::take(app, body),
        }
    }
}

async fn body_of(request: Request) -> Option<Bytes> {
    let whole = axum::body::to_bytes(request.into_body(), BODY_MAX);
    tokio::time::timeout(BODY_DEADLINE, whole).await.ok()?.ok()
}

/// Refuses what is not looked at any further. Of many alike few take an act, whose event says how many there were.
async fn turn_away(api: &Arc<Api>, kind: Kind, reason: &'static str) -> Response {
    if let Some(event) = refusal::event(&api.appliance(), kind, reason) {
        return answered(api.act(move |app| app.refuse(event).map(|()| false)).await);
    }
    answered(Ok(false))
}

async fn message(State(api): State<Arc<Api>>, RawQuery(query): RawQuery, request: Request) -> Response {
    let action = Action::of(query.as_deref());
    let body = body_of(request).await;
    let (Some(action), Some(body)) = (action, body) else { return answered(Ok(false)) };
    let Some(about) = action.about(&body) else { return turn_away(&api, action.kind(), "malformed").await };
    if !BUCKETS.lock().take(&about, Instant::now()) {
        return turn_away(&api, action.kind(), "limited").await;
    }
    answered(api.act(move |app| action.take(app, &body)).await)
}

/// The query of a poll.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Polling {
    #[serde(rename = "mechanismUid")]
    mechanism: String,
    timestamp: i64,
    signature: String,
}

fn polling(query: &str) -> Option<poll::Poll> {
    if query.len() > QUERY_MAX {
        return None;
    }
    let asked: Polling = serde_urlencoded::from_str(query).ok()?;
    let signature = data_encoding::BASE64URL_NOPAD.decode(asked.signature.as_bytes()).ok()?;
    Some(poll::Poll {
        mechanism: MechanismUid::parse(&asked.mechanism)?,
        timestamp_ms: asked.timestamp,
        signature: signature.try_into().ok()?,
    })
}

async fn fetch(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    let Some(asked) = query.as_deref().and_then(polling) else {
        return turn_away(&api, Kind::Poll, "malformed").await;
    };
    if !BUCKETS.lock().take(asked.mechanism.as_str(), Instant::now()) {
        return turn_away(&api, Kind::Poll, "limited").await;
    }
    match api.act(move |app| poll::fetch(app, &asked)).await {
        Ok(Some(messages)) => json(StatusCode::OK, format!(r#"{{"messages":[{}]}}"#, messages.join(","))),
        Ok(None) => answered(Ok(false)),
        Err(error) => answered(Err(error)),
    }
}

/// The places for phones.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route(PATH, post(message)).route(SHORT_PATH, post(message)).route(POLL_PATH, get(fetch))
}

/// A listener for phones alone: they answer, fetch, and look at the picture.
pub fn router(api: Arc<Api>) -> Router {
    routes()
        .layer(axum::middleware::map_response(super::cached::unkept))
        .merge(super::logo::routes())
        .fallback(async || answered(Ok(false)))
        .method_not_allowed_fallback(async || answered(Ok(false)))
        .with_state(api)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-40. Red when one message can be tried without end, or uses up what is for others.
    #[test]
    fn one_message_runs_dry_and_the_others_do_not_notice() {
        let now = Instant::now();
        let mut buckets = Buckets::new(now);
        assert_eq!((0..100).filter(|_| buckets.take("REGISTER:1", now)).count(), 20);
        assert!(buckets.take("REGISTER:2", now));
        assert!(buckets.take("REGISTER:1", now + Duration::from_secs(2)));
        let many = (0..5_000).filter(|n| buckets.take(&n.to_string(), now)).count();
        assert!(many < 2_000, "{many}");
    }

    /// C.1.2. Red when another query is taken for an action.
    #[test]
    fn an_action_has_one_spelling() {
        assert!(Action::of(Some("_action=register")).is_some());
        for other in ["", "_action=Register", "_action=register&x=1", "x=1&_action=register", "_action="] {
            assert!(Action::of(Some(other)).is_none(), "{other}");
        }
        assert!(Action::of(None).is_none());
    }
}
