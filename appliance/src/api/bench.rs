//! `/v1/provisioning`, the rest of a bench: codes of tokens in stock, batches, the stock itself.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::names::Serial;
use domain::role::Right;
use domain::token::Lifecycle;
use serde::Deserialize;

use super::approvals::answer;
use super::auth::Authenticated;
use super::body::{Json, Path, Query};
use super::error::ApiError;
use super::provisioning::bytes;
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::approvals;
use crate::flows::bench::{self, Proof};
use crate::store::device::StockRow;

/// Items of a page, unless the caller wants fewer.
const PAGE: usize = 100;
/// Items of a page at the most.
const PAGE_MAX: usize = 1000;

/// Open a batch: where two persons provision, its tokens get secrets only while it is open.
#[utoipa::path(post, path = "/v1/provisioning/batches", tag = "provisioning", operation_id = "open_batch",
    request_body = wire::NewBatch,
    responses(ApiError,
        (status = 200, description = "Open", body = wire::OpenBatch),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn open(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewBatch>,
) -> Result<Response, ApiError> {
    let name = new.name.clone();
    let outcome = api
        .act_as(caller, Right::Provision, move |app, caller| approvals::open_batch(app, caller, &name))
        .await?;
    Ok(answer(outcome, StatusCode::OK, |until| wire::OpenBatch {
        name: new.name,
        state: "open".to_owned(),
        until: until.map(rfc3339),
    }))
}

/// Check a code from the display of a token in stock. The code is consumed; nobody is logged in. The third wrong code
/// in a row revokes the token.
#[utoipa::path(post, path = "/v1/provisioning/devices/{serial}/proof", tag = "provisioning",
    operation_id = "prove_device", params(("serial" = String, Path)), request_body = wire::DisplayedCode,
    responses(ApiError, (status = 200, description = "Judged", body = wire::Proved)))]
pub(super) async fn prove(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(serial): Path<String>,
    Json(code): Json<wire::DisplayedCode>,
) -> Result<axum::Json<wire::Proved>, ApiError> {
    let serial = Serial::parse(&serial).map_err(|error| ApiError::malformed(error.to_string()))?;
    let proof = api
        .act_as(caller, Right::Provision, move |app, caller| bench::prove(app, caller, &serial, &code.otp))
        .await?;
    Ok(axum::Json(wire::Proved { proved: proof == Proof::Fresh, revoked: proof == Proof::Revoked }))
}

/// Sign what a station says of its batch, with the appliance's own key.
#[utoipa::path(post, path = "/v1/provisioning/batches/sign", tag = "provisioning", operation_id = "sign_batch",
    request_body = wire::BatchText,
    responses(ApiError, (status = 200, description = "Signed", body = wire::BatchSignature)))]
pub(super) async fn sign(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(batch): Json<wire::BatchText>,
) -> Result<axum::Json<wire::BatchSignature>, ApiError> {
    let signed = api
        .act_as(caller, Right::Provision, move |app, caller| bench::sign_batch(app, caller, &batch.text))
        .await?;
    Ok(axum::Json(wire::BatchSignature { signature: data_encoding::HEXLOWER.encode(&signed) }))
}

/// Check a signature over a batch.
#[utoipa::path(post, path = "/v1/provisioning/batches/check", tag = "provisioning", operation_id = "check_batch",
    request_body = wire::SignedBatch,
    responses(ApiError, (status = 200, description = "Judged", body = wire::BatchChecked)))]
pub(super) async fn check(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(batch): Json<wire::SignedBatch>,
) -> Result<axum::Json<wire::BatchChecked>, ApiError> {
    let signature = bytes::<64>(&batch.signature, "the signature")?;
    let ours = api
        .act_as(caller, Right::Provision, move |app, _| bench::check_batch(app, &batch.text, &signature))
        .await?;
    Ok(axum::Json(wire::BatchChecked { ours }))
}

/// Which part of the stock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    batch: Option<String>,
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

fn view(row: StockRow) -> wire::StockItem {
    let state = match row.lifecycle {
        _ if row.pending => "pending",
        Some(Lifecycle::InStock) if row.issued => "issued",
        None => "empty",
        Some(Lifecycle::Active) => "assigned",
        Some(lifecycle) => lifecycle.name(),
    };
    wire::StockItem { serial: row.serial, batch: row.batch, state: state.to_owned(), firmware: row.firmware }
}

/// List hardware tokens by serial.
#[utoipa::path(get, path = "/v1/provisioning/stock", tag = "provisioning", operation_id = "list_stock",
    params(("batch" = Option<String>, Query), ("after" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses(ApiError, (status = 200, description = "A page", body = wire::List<wire::StockItem>)))]
pub(super) async fn stock(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Query(part): Query<Part>,
) -> Result<axum::Json<wire::List<wire::StockItem>>, ApiError> {
    let limit = part.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let rows = api
        .act_as(caller, Right::Provision, move |app, _| {
            bench::stock(app, part.batch.as_deref(), &part.after, limit)
        })
        .await?;
    let items: Vec<wire::StockItem> = rows.into_iter().map(view).collect();
    let next = (items.len() == limit).then(|| items.last().map(|item| item.serial.clone())).flatten();
    Ok(axum::Json(wire::List { items, next }))
}
