//! `/v1/backchannel`: a user's phone is asked, the application polls (SMS-37).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::role::Right;

use super::auth::Authenticated;
use super::body::Json;
use super::error::ApiError;
use super::{Api, wire};
use crate::flows::backchannel::{self, Ask, Polled};
use crate::flows::{handle, parse_handle};

/// What was shown on the phone.
const AMR: &str = "sms";

/// Ask a user's phone.
#[utoipa::path(post, path = "/v1/backchannel/authorize", tag = "backchannel", operation_id = "authorize",
    request_body = wire::Authorize,
    responses(ApiError,
        (status = 202, description = "On its way", body = wire::Authorized),
    ))]
pub(super) async fn authorize(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(asked): Json<wire::Authorize>,
) -> Result<(StatusCode, axum::Json<wire::Authorized>), ApiError> {
    let wire::Authorize { login_hint, channel, binding_message, requested_expiry } = asked;
    let ask = Ask { channel, login_hint, binding_message, requested_expiry_s: requested_expiry };
    let begun = api
        .act_as(caller, Right::Backchannel, move |app, caller| backchannel::authorize(app, caller, &ask))
        .await?;
    let answer = wire::Authorized {
        auth_req_id: handle(&begun.id),
        expires_in: begun.expires_in_s,
        interval: begun.interval_s,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}

/// Look whether the user has answered. While nobody has: `authorization_pending`, or `slow_down` when the polls come
/// too fast; `expired_token` and `access_denied` are ends.
#[utoipa::path(post, path = "/v1/backchannel/token", tag = "backchannel", operation_id = "poll",
    request_body = wire::Poll,
    responses(ApiError,
        (status = 200, description = "The user said yes; told once", body = wire::PhoneAnswer),
    ))]
pub(super) async fn poll(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(asked): Json<wire::Poll>,
) -> Result<axum::Json<wire::PhoneAnswer>, ApiError> {
    let id = parse_handle(&asked.auth_req_id).ok_or_else(|| ApiError::not_found("auth_req_id"))?;
    let polled = api
        .act_as(caller, Right::Backchannel, move |app, caller| backchannel::poll(app, caller, &id))
        .await?;
    match polled {
        Polled::Approved { user, loa } => {
            Ok(axum::Json(wire::PhoneAnswer { user: user.to_string(), amr: vec![AMR.to_owned()], loa }))
        }
        Polled::Pending => Err(ApiError::not_yet("authorization_pending", "nobody has answered yet")),
        Polled::SlowDown => Err(ApiError::not_yet("slow_down", "poll no faster than the interval")),
        Polled::Expired => Err(ApiError::not_yet("expired_token", "nobody answered in time")),
        Polled::Denied => Err(ApiError::not_yet("access_denied", "the user said no")),
    }
}
