//! Reading bodies: bounded, JSON, one spelling.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Largest body, in bytes.
pub const BODY_MAX: usize = 16 * 1024;
/// Longest time a client may take over a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A JSON body. A byte order mark, a duplicate key, an unknown key or another type is `malformed`.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let bytes = read(request).await?;
        serde_json::from_slice(&bytes).map(Json).map_err(|error| {
            ApiError::malformed(format!("the body is not what it should be: {}", told(&error)))
        })
    }
}

/// A JSON body that may be left out.
pub(super) struct Maybe<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for Maybe<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let bytes = read(request).await?;
        if bytes.is_empty() {
            return Ok(Maybe(T::default()));
        }
        serde_json::from_slice(&bytes).map(Maybe).map_err(|error| {
            ApiError::malformed(format!("the body is not what it should be: {}", told(&error)))
        })
    }
}

/// What may be said of a JSON error: names of fields and places, never a value, which may be a code.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_a_field =
        ["missing field", "unknown field", "duplicate field"].iter().any(|t| text.starts_with(t));
    if names_a_field || !error.is_data() {
        return text;
    }
    format!("a value of another type at line {} column {}", error.line(), error.column())
}

/// The variable part of a path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            Err(_) => Err(ApiError::not_found("path")),
        }
    }
}

/// The query of a path.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(error) => Err(ApiError::malformed(error.body_text())),
        }
    }
}

/// Reads a whole body within [`BODY_MAX`].
pub(super) async fn read(request: Request) -> Result<Bytes, ApiError> {
    read_up_to(request, BODY_MAX).await
}

/// Reads a whole body of at most `max` bytes.
pub(super) async fn read_up_to(request: Request, max: usize) -> Result<Bytes, ApiError> {
    let whole = tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(request.into_body(), max));
    let late = || ApiError::malformed("the body did not arrive in time");
    whole.await.map_err(|_| late())?.map_err(|error| {
        let limit = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if limit { ApiError::too_large(max) } else { ApiError::malformed("the body did not arrive whole") }
    })
}
