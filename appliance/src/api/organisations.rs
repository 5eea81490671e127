//! `/v1/users/{name}/organisation`: which organisation somebody belongs to, as an authority says.

use std::sync::Arc;

use axum::extract::State;
use domain::role::Right;

use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::ApiError;
use super::users::user_name;
use super::{Api, wire};
use crate::flows::organisation;

/// Show which organisation a user belongs to.
#[utoipa::path(get, path = "/v1/users/{name}/organisation", tag = "users", operation_id = "show_organisation",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "What was said", body = wire::Membership)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Membership>, ApiError> {
    let name = user_name(&text)?;
    let organisation =
        api.act_as(caller, Right::ReadUsers, move |app, _| organisation::show(app, &name)).await?;
    Ok(axum::Json(wire::Membership { user: text, organisation }))
}

/// Say which organisation a user belongs to: its registration authorities vet, and what the applicant types counts for
/// nothing.
#[utoipa::path(put, path = "/v1/users/{name}/organisation", tag = "users", operation_id = "set_organisation",
    params(("name" = String, Path)), request_body = wire::NewMembership,
    responses(ApiError, (status = 200, description = "Said", body = wire::Membership)))]
pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(new): Json<wire::NewMembership>,
) -> Result<axum::Json<wire::Membership>, ApiError> {
    let name = user_name(&text)?;
    let organisation = api
        .act_as(caller, Right::WriteUsers, move |app, caller| {
            organisation::say(app, caller, &name, Some(new.organisation))
        })
        .await?;
    Ok(axum::Json(wire::Membership { user: text, organisation }))
}

/// Take back what was said.
#[utoipa::path(delete, path = "/v1/users/{name}/organisation", tag = "users", operation_id = "remove_organisation",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Taken back", body = wire::Membership)))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Membership>, ApiError> {
    let name = user_name(&text)?;
    let organisation = api
        .act_as(caller, Right::WriteUsers, move |app, caller| organisation::say(app, caller, &name, None))
        .await?;
    Ok(axum::Json(wire::Membership { user: text, organisation }))
}
