//! One file maps what went wrong to what an application sees (RFC 9457).

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hsm::HsmError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{self, Ref, RefOr};

use crate::error::FlowError;
use crate::store::StoreError;

/// Media type of a problem.
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Seconds after which a retry is worth it.
pub(super) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// A problem as RFC 9457 describes it. `type` and `code` are stable.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:countersign:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What programs look at.
    pub code: String,
    /// What people look at.
    pub detail: String,
}

/// An answer that is a problem.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        ApiError { status, code, detail: detail.into() }
    }

    /// The request is not what it should be.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// No valid key.
    pub fn unauthorised() -> Self {
        let detail = "give a valid key in the Authorization header: Bearer KEY";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", detail)
    }

    /// The caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// There is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// The path knows other methods.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "malformed", "this path does not take this method")
    }

    /// A poll of the back-channel without an answer; the code is the protocol's.
    pub(super) fn not_yet(code: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// It does not fit what is there.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// The body is too large.
    pub fn too_large(max: usize) -> Self {
        let detail = format!("a body has at most {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// Too much at once.
    pub fn rate_limited(detail: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail)
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// For people.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// The status of what stands in a phone's way.
fn of_phones(key: &str) -> StatusCode {
    match key {
        "comb.no_username" => StatusCode::UNPROCESSABLE_ENTITY,
        "comb.no_message_id" => StatusCode::GONE,
        "push.not_registered" | "recovery.none" => StatusCode::NOT_FOUND,
        "push.not_configured" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    }
}

impl From<FlowError> for ApiError {
    fn from(error: FlowError) -> Self {
        let detail = error.to_string();
        match error {
            FlowError::Hsm(error) => error.into(),
            FlowError::Store(error) => error.into(),
            FlowError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail),
            FlowError::RateLimited => Self::rate_limited(&detail),
            FlowError::NotFound(what) => Self::not_found(what),
            FlowError::Forbidden(detail) => Self::forbidden(detail),
            FlowError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            FlowError::Enrol(refusal) if refusal.is_about_the_person() => {
                Self::new(StatusCode::FORBIDDEN, refusal.code(), detail)
            }
            FlowError::Enrol(refusal) => Self::new(StatusCode::CONFLICT, refusal.code(), detail),
            FlowError::Step(key) => Self::new(StatusCode::CONFLICT, key, detail),
            FlowError::Invalid(_) => Self::malformed(detail),
            FlowError::NoUserOrPhone => Self::new(StatusCode::NOT_FOUND, "no-user-or-phonenumber", detail),
            FlowError::NoModem => Self::new(StatusCode::SERVICE_UNAVAILABLE, "modem-unavailable", detail),
            FlowError::Phone { key, .. } => Self::new(of_phones(key), key, detail),
            FlowError::Letters(_) => {
                tracing::error!(%detail, "letters");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "letters-unavailable", detail)
            }
            FlowError::Tampered { .. } => {
                tracing::error!(%detail, "tampering");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail)
            }
        }
    }
}

impl From<HsmError> for ApiError {
    fn from(error: HsmError) -> Self {
        let detail = format!("{error}: {}", error.advice());
        match error {
            HsmError::PinIncorrect | HsmError::PinLatched { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "hsm-pin-latched", detail)
            }
            HsmError::Refused { .. }
            | HsmError::ModuleMissing { .. }
            | HsmError::ModuleUnusable { .. }
            | HsmError::TokenMissing { .. }
            | HsmError::NotInitialised
            | HsmError::PinFile(_)
            | HsmError::Unavailable { .. }
            | HsmError::Deadline
            | HsmError::Protocol => Self::new(StatusCode::SERVICE_UNAVAILABLE, "hsm-unavailable", detail),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Exists(_) | StoreError::Changed(_) => {
                Self::new(StatusCode::CONFLICT, "conflict", detail)
            }
            StoreError::Unavailable(_)
            | StoreError::Row { .. }
            | StoreError::Sqlite(_)
            | StoreError::Migration(_)
            | StoreError::Open { .. } => {
                tracing::error!(%detail, "store");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail)
            }
        }
    }
}

/// What any operation may answer instead of its own result.
impl utoipa::IntoResponses for ApiError {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let rows = [
            ("400", "`malformed`: the request is not what it should be"),
            ("401", "`unauthorised`: no valid key"),
            ("403", "`forbidden`, or `enrol.` and a reason: the caller may not do this"),
            ("404", "`not-found`, `no-user-or-phonenumber`, `push.not_registered` or `recovery.none`"),
            ("409", "`conflict`, `registration.` or `enrol.` and a reason: it does not fit what is there"),
            ("413", "`too-large`: the body has more than 16 KiB"),
            ("429", "`rate-limited`: try again after `Retry-After` seconds"),
            (
                "503",
                "`hsm-unavailable`, `hsm-pin-latched`, `store-unavailable`, `modem-unavailable` or \
                     `letters-unavailable`: nothing was done; try again after `Retry-After` seconds",
            ),
        ];
        let problem = Ref::from_schema_name("Problem");
        let content = openapi::ContentBuilder::new().schema(Some(problem)).build();
        rows.into_iter()
            .map(|(status, description)| {
                let response = openapi::ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", content.clone())
                    .build();
                (status.to_owned(), RefOr::T(response))
            })
            .collect()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("urn:countersign:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
        };
        let mut response = (self.status, axum::Json(problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
