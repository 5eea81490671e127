//! `/v1/config`: the configuration file, read again.

use std::sync::Arc;

use axum::extract::State;
use domain::role::Right;

use super::auth::Authenticated;
use super::error::ApiError;
use super::{Api, wire};
use crate::live::ActivateError;

/// Read the configuration file again. With a fault in it the former one stays in effect.
#[utoipa::path(post, path = "/v1/config/activate", tag = "status", operation_id = "activate_config",
    responses(ApiError,
        (status = 200, description = "In effect", body = wire::Activated),
    ))]
pub(super) async fn activate(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::Activated>, ApiError> {
    let live = Arc::clone(&api.live);
    let activated =
        api.act_as(caller, Right::Administer, move |_, caller| Ok(live.activate(&caller.actor))).await?;
    match activated {
        Ok(sha256) => Ok(axum::Json(wire::Activated { sha256 })),
        Err(ActivateError::Flow(error)) => Err(error.into()),
        Err(error @ ActivateError::Restart(_)) => Err(ApiError::conflict(error.to_string())),
        Err(error @ ActivateError::Config(_)) => Err(ApiError::malformed(error.to_string())),
    }
}
