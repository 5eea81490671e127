//! `/v1/applications`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::names::ApplicationName;
use domain::role::Right;

use super::approvals::answer;
use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::ApiError;
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::applications;
use crate::flows::approvals::{Act, guarded};

fn name(text: &str) -> Result<ApplicationName, ApiError> {
    ApplicationName::parse(text).map_err(|error| ApiError::malformed(error.to_string()))
}

/// Add an application. Its key is shown in this answer and never again.
#[utoipa::path(post, path = "/v1/applications", tag = "applications", operation_id = "add_application",
    request_body = wire::NewApplication,
    responses(ApiError,
        (status = 201, description = "Added", body = wire::ApplicationKey),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewApplication>,
) -> Result<Response, ApiError> {
    let name = name(&new.name)?;
    let answered = name.to_string();
    let outcome = api
        .act_as(caller, Right::Administer, move |app, caller| {
            applications::check_scopes(&new.scopes)?;
            let act = Act::AddApplication { application: name.to_string(), scopes: new.scopes.clone() };
            guarded(app, caller, &act, |caller| applications::add(app, caller, &name, &new.scopes))
        })
        .await?;
    Ok(answer(outcome, StatusCode::CREATED, |key| wire::ApplicationKey {
        name: answered,
        key: key.to_string(),
    }))
}

/// List applications by name.
#[utoipa::path(get, path = "/v1/applications", tag = "applications", operation_id = "list_applications",
    responses(ApiError,
        (status = 200, description = "All of them", body = wire::List<wire::Application>),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::List<wire::Application>>, ApiError> {
    let rows = api.act_as(caller, Right::Administer, |app, _| applications::list(app)).await?;
    let items = rows
        .into_iter()
        .map(|row| wire::Application {
            name: row.name.to_string(),
            scopes: row.scopes,
            created_at: rfc3339(row.created_at),
            revoked_at: row.revoked_at.map(rfc3339),
        })
        .collect();
    Ok(axum::Json(wire::List { items, next: None }))
}

/// End an application's key at once.
#[utoipa::path(delete, path = "/v1/applications/{name}", tag = "applications",
    operation_id = "revoke_application", params(("name" = String, Path)),
    responses(ApiError,
        (status = 204, description = "Revoked"),
    ))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<StatusCode, ApiError> {
    let name = name(&text)?;
    api.act_as(caller, Right::Administer, move |app, caller| applications::revoke(app, caller, &name))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
