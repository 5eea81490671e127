//! `GET /v1/events`.

use std::sync::Arc;

use axum::extract::State;
use domain::names::{Serial, UserName};
use domain::role::Right;
use serde::Deserialize;

use super::auth::Authenticated;
use super::body::Query;
use super::error::ApiError;
use super::users::{PAGE, PAGE_MAX};
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::users;
use crate::store::StoreError;
use crate::store::event::{self, EventRow, Filter};

/// Which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    after: i64,
    user: Option<String>,
    token: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    limit: Option<usize>,
}

fn view(row: EventRow) -> Result<wire::Event, StoreError> {
    let fault = |_| StoreError::Row { table: "event", column: "subject", row: row.seq.to_string() };
    let [kind, id, role] = row.actor;
    Ok(wire::Event {
        seq: row.seq,
        at: rfc3339(row.at_ms),
        kind: row.kind,
        actor: wire::Actor { kind, id, role },
        subject: serde_json::from_str(&row.subject).map_err(fault)?,
        outcome: row.outcome,
        reason: row.reason,
        prev_hash: data_encoding::HEXLOWER.encode(&row.prev_hash),
        hash: data_encoding::HEXLOWER.encode(&row.hash),
    })
}

/// List events in order.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "list_events",
    params(
        ("after" = Option<i64>, Query, description = "Only events after this seq"),
        ("user" = Option<String>, Query, description = "Only about this user"),
        ("token" = Option<String>, Query, description = "Only about this token"),
        ("type" = Option<String>, Query, description = "Only this dotted name, or names below it"),
        ("limit" = Option<usize>, Query, description = "At most 1000; 100 by default"),
    ),
    responses(ApiError,
        (status = 200, description = "A page", body = wire::List<wire::Event>),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Query(wanted): Query<Wanted>,
) -> Result<axum::Json<wire::List<wire::Event>>, ApiError> {
    let parsed = wanted.token.as_deref().map(Serial::parse).transpose();
    let serial = parsed.map_err(|error| ApiError::malformed(error.to_string()))?;
    let parsed = wanted.user.as_deref().map(UserName::parse).transpose();
    let user = parsed.map_err(|error| ApiError::malformed(error.to_string()))?;
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let items: Vec<wire::Event> = api
        .act_as(caller, Right::ReadEvents, move |app, _| {
            let user_ref = user.map(|name| users::find(app, &name)).transpose()?.map(|row| row.user_ref);
            let serial = serial.map(|serial| serial.to_string());
            let filter = Filter { after: wanted.after, user_ref, serial, kind: wanted.kind, limit };
            let rows = app.store.read(|c| event::list(c, &filter))?;
            Ok(rows.into_iter().map(view).collect::<Result<_, _>>()?)
        })
        .await?;
    let next = (items.len() == limit).then(|| items.last().map(|event| event.seq.to_string())).flatten();
    Ok(axum::Json(wire::List { items, next }))
}
