//! `/v1/messages`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::role::Right;

use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::ApiError;
use super::users::number;
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::{handle, messages, parse_handle};
use crate::store::outbox::MessageRow;

pub(super) fn view(row: &MessageRow) -> wire::Message {
    wire::Message {
        id: handle(&row.id),
        state: row.state.name().to_owned(),
        parts: row.parts,
        modem: row.modem.clone(),
        at: rfc3339(row.sent_at.unwrap_or(row.created_at)),
        error: row.error.clone(),
    }
}

/// Send a text through the outbox.
#[utoipa::path(post, path = "/v1/messages", tag = "messages", operation_id = "send_message",
    request_body = wire::NewMessage,
    responses(ApiError,
        (status = 202, description = "Queued", body = wire::Message),
    ))]
pub(super) async fn send(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewMessage>,
) -> Result<(StatusCode, axum::Json<wire::Message>), ApiError> {
    let to = number(&new.to)?;
    let expires_ms = new.expires_s.map_or(messages::EXPIRY_MS, |seconds| seconds.saturating_mul(1000));
    let queued = api
        .act_as(caller, Right::Administer, move |app, caller| {
            messages::send(app, caller, &to, &new.text, expires_ms)
        })
        .await?;
    Ok((StatusCode::ACCEPTED, axum::Json(view(&queued))))
}

/// Show where a message stands.
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "messages", operation_id = "show_message",
    params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The message", body = wire::Message),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Message>, ApiError> {
    let id = parse_handle(&text).ok_or_else(|| ApiError::not_found("message"))?;
    let found = api.act_as(caller, Right::Administer, move |app, _| messages::show(app, &id)).await?;
    Ok(axum::Json(view(&found)))
}
