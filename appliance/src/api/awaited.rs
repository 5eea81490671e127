//! Requests that wait for a phone: they look again whenever something happens, and once in a while by themselves.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::Api;
use super::error::ApiError;

/// Longest wait for a phone in one request, in seconds.
const WAIT_MAX_S: u64 = 25;
/// How often a waiting request looks by itself: nobody rings when a time is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a request may wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    wait: Option<u64>,
}

impl Wait {
    /// Looks until it is done, the time is over, or the daemon stops: what was found then.
    ///
    /// # Errors
    /// Those of a look.
    pub(super) async fn until<T, F>(
        self,
        api: &Arc<Api>,
        look: impl Fn() -> F,
        done: impl Fn(&T) -> bool,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let wait = self.wait.unwrap_or(0).min(WAIT_MAX_S);
        let end = Instant::now() + Duration::from_secs(wait);
        let app = api.appliance();
        loop {
            let news = app.news.notified();
            tokio::pin!(news);
            // From here on nothing that happens is missed.
            news.as_mut().enable();
            let found = look().await?;
            if done(&found) || Instant::now() >= end || api.is_stopping() {
                return Ok(found);
            }
            // Whether it rang or not, the next look tells.
            let _rang = timeout_at(end.min(Instant::now() + LOOK_AGAIN), news).await;
        }
    }
}
