//! `/v1/approvals`: acts of two persons, and how an act that waits for the second is answered.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::approval::Approval;
use domain::token::Id;
use serde::Serialize;

use super::auth::Authenticated;
use super::body::Path;
use super::error::ApiError;
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::approvals::{self, Outcome};
use crate::flows::{handle, parse_handle};

fn id(text: &str) -> Result<Id, ApiError> {
    parse_handle(text).ok_or_else(|| ApiError::not_found("approval"))
}

fn view(approval: Approval) -> wire::Approval {
    wire::Approval {
        approval: handle(&approval.id),
        act: approval.kind.name().to_owned(),
        // What does not parse is shown as it is; nobody can approve it.
        arguments: serde_json::from_str(&approval.arguments).unwrap_or(approval.arguments.into()),
        state: approval.state.name().to_owned(),
        requested_by: approval.requested_by.name,
        requested_at: rfc3339(approval.requested_at),
        expires_at: rfc3339(approval.expires_at),
        decided_by: approval.decided_by.map(|by| by.name),
        decided_at: approval.decided_at.map(rfc3339),
    }
}

/// What is answered for an act: its own answer, or 202 with the approval that it waits for.
pub(super) fn answer<T, B: Serialize>(
    outcome: Outcome<T>,
    status: StatusCode,
    body: impl FnOnce(T) -> B,
) -> Response {
    match outcome {
        Outcome::Done(value) if status == StatusCode::NO_CONTENT => {
            drop(value);
            status.into_response()
        }
        Outcome::Done(value) => (status, axum::Json(body(value))).into_response(),
        Outcome::Waiting(approval) => {
            let waiting = wire::Waiting {
                approval: handle(&approval.id),
                state: approval.state.name().to_owned(),
                expires_at: rfc3339(approval.expires_at),
            };
            (StatusCode::ACCEPTED, axum::Json(waiting)).into_response()
        }
    }
}

/// List the acts that wait for a second person or stand open, of those that the caller may decide over.
#[utoipa::path(get, path = "/v1/approvals", tag = "approvals", operation_id = "list_approvals",
    responses(ApiError, (status = 200, description = "All of them", body = wire::List<wire::Approval>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::List<wire::Approval>>, ApiError> {
    let rows = api.act(approvals::open).await?;
    let items = rows
        .into_iter()
        .map(|row| row.approval)
        .filter(|approval| caller.rights.has(approval.kind.right()))
        .map(view)
        .collect();
    Ok(axum::Json(wire::List { items, next: None }))
}

/// Show an act of two persons, whatever has become of it.
#[utoipa::path(get, path = "/v1/approvals/{id}", tag = "approvals", operation_id = "show_approval",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "The act", body = wire::Approval)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Approval>, ApiError> {
    let id = id(&text)?;
    let found = api
        .act(move |app| {
            let row = approvals::find(app, &id)?;
            if row.approval.requested_by != caller.party() {
                caller.need(app, row.approval.kind.right())?;
            }
            Ok(row.approval)
        })
        .await?;
    Ok(axum::Json(view(found)))
}

/// Approve, as the second person. The act is done with the very arguments that were asked for.
#[utoipa::path(post, path = "/v1/approvals/{id}/approve", tag = "approvals", operation_id = "approve",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "Done, or open to who asked", body = wire::Approval)))]
pub(super) async fn approve(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Approval>, ApiError> {
    let id = id(&text)?;
    let done = api.act(move |app| approvals::approve(app, &caller, &id)).await?;
    Ok(axum::Json(view(done)))
}

/// Deny, or take back an own request.
#[utoipa::path(post, path = "/v1/approvals/{id}/deny", tag = "approvals", operation_id = "deny",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "Denied", body = wire::Approval)))]
pub(super) async fn deny(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Approval>, ApiError> {
    let id = id(&text)?;
    let denied = api.act(move |app| approvals::deny(app, &caller, &id)).await?;
    Ok(axum::Json(view(denied)))
}
