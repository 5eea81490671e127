//! The paths that privacyIDEA's plugins speak.

use std::sync::Arc;

use axum::Router;

use super::Api;

/// The routes.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
}
