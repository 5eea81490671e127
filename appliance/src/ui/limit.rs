//! Requests for pages at the most: per visitor where a cookie tells them apart, and over all.
//!
//! Behind a proxy every visitor has the same address, so that no address counts.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use parking_lot::Mutex;

use super::page::{Page, Said, respond};
use crate::api::Api;
use crate::bucket::{Allowance, Bucket};

/// Requests of one visitor at once, and how many come back in a second.
const VISITOR: Allowance = Allowance { burst: 60.0, per_s: 5.0 };
/// The same over everybody.
const EVERYBODY: Allowance = Allowance { burst: 2_000.0, per_s: 500.0 };
/// Seconds after which a visitor has some requests again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");
/// Visitors that are remembered at the most.
const VISITORS_MAX: usize = 50_000;

struct Buckets {
    everybody: Bucket,
    visitors: HashMap<u64, Bucket>,
}

impl Buckets {
    fn take(&mut self, visitor: Option<u64>, now: Instant) -> bool {
        if !self.everybody.take(EVERYBODY, now) {
            return false;
        }
        let Some(visitor) = visitor else { return true };
        if self.visitors.len() >= VISITORS_MAX {
            self.visitors.retain(|_, bucket| !bucket.is_full(VISITOR, now));
        }
        if self.visitors.len() >= VISITORS_MAX && !self.visitors.contains_key(&visitor) {
            return true;
        }
        self.visitors.entry(visitor).or_insert_with(|| Bucket::full(VISITOR, now)).take(VISITOR, now)
    }
}

static BUCKETS: LazyLock<Mutex<Buckets>> = LazyLock::new(|| {
    Mutex::new(Buckets { everybody: Bucket::full(EVERYBODY, Instant::now()), visitors: HashMap::new() })
});

/// Lets a request through, or answers 429.
pub(super) async fn admit(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let visitor = request.headers().get(header::COOKIE).map(|cookie| {
        let mut hasher = DefaultHasher::new();
        cookie.as_bytes().hash(&mut hasher);
        hasher.finish()
    });
    if BUCKETS.lock().take(visitor, Instant::now()) {
        return next.run(request).await;
    }
    let app = api.appliance();
    let page = Page::new(&app, app.config.texts.accepted(&super::languages(request.headers())));
    let said = Said { onward: None, ..Said::error(page, "page.too-many-requests") };
    let mut response = respond(StatusCode::TOO_MANY_REQUESTS, &said);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_visitor_runs_dry_and_recovers_and_others_do_not_notice() {
        let now = Instant::now();
        let mut buckets = Buckets { everybody: Bucket::full(EVERYBODY, now), visitors: HashMap::new() };
        let passed = (0..100).filter(|_| buckets.take(Some(1), now)).count();
        assert_eq!(passed, 60);
        assert!(buckets.take(Some(2), now));
        assert!(buckets.take(Some(1), now + Duration::from_secs(1)));
        let rest = (0..3_000).filter(|_| buckets.take(None, now + Duration::from_secs(1))).count();
        assert!(rest < 2_500);
    }
}
