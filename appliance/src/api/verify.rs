//! `POST /v1/verify`.

use std::sync::Arc;

use axum::extract::State;
use domain::names::RequestId;
use domain::role::Right;

use super::auth::Authenticated;
use super::body::Json;
use super::error::ApiError;
use super::{Api, wire};
use crate::flows::verify::{self, Attempt, Only, Target, Verdict};

/// Verify a code. Whatever is wrong with it, a rejection is the same bytes.
#[utoipa::path(post, path = "/v1/verify", tag = "verification",
    request_body = wire::VerifyRequest,
    responses(ApiError,
        (status = 200, description = "The verdict", body = wire::Verdict),
    ))]
pub(super) async fn verify(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(request): Json<wire::VerifyRequest>,
) -> Result<axum::Json<wire::Verdict>, ApiError> {
    let target = match (request.user, request.token) {
        (Some(user), None) => Target::User(user),
        (None, Some(token)) => Target::Token(token),
        _ => return Err(ApiError::malformed("give exactly one of user and token")),
    };
    let request_id = match request.request_id {
        None => None,
        Some(text) => Some(RequestId::parse(&text).map_err(|e| ApiError::malformed(e.to_string()))?),
    };
    let attempt = Attempt { target, only: Only::default(), otp: request.otp, request_id };
    let verdict =
        api.act_as(caller, Right::Verify, move |app, caller| verify::run(app, caller, &attempt)).await?;
    Ok(axum::Json(answer(verdict)))
}

/// The verdict as it is sent, counted on its way.
pub(super) fn answer(verdict: Verdict) -> wire::Verdict {
    let (label, answer) = match verdict {
        Verdict::Accept { serial, loa } => ("accept", wire::Verdict::Accept { token: serial, loa }),
        Verdict::Reject => ("reject", wire::Verdict::Reject),
    };
    metrics::counter!("countersign_verify_total", "verdict" => label).increment(1);
    answer
}
