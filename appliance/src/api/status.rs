//! Health, readiness, metrics, and what the HSM says about itself.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::role::Right;
use hsm::Status;

use super::auth::Authenticated;
use super::error::ApiError;
use super::{Api, wire};
use crate::appliance::Appliance;
use crate::flows::FlowError;
use crate::store::{event, outbox};

/// Prometheus text format, version 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "status", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the appliance can do its work.
#[utoipa::path(get, path = "/readyz", tag = "status", security(()),
    responses(
        (status = 200, description = "It can", body = wire::Readiness),
        (status = 503, description = "It cannot; the body says why", body = wire::Readiness),
    ))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Response {
    let hsm = match api.appliance().hsm.status() {
        Status::Up { .. } => "up".to_owned(),
        Status::Down { error } => format!("{error}: {}", error.advice()),
    };
    let read = api.act(|app| Ok(app.store.read(event::last)?)).await;
    let store = match &read {
        Ok(_) => "up".to_owned(),
        Err(error) => error.detail().to_owned(),
    };
    let ready = hsm == "up" && store == "up";
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(wire::Readiness { ready, hsm, store })).into_response()
}

/// Metrics in Prometheus text format. No metric names a person.
#[utoipa::path(get, path = "/metrics", tag = "status", security(()),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        (status = 503, description = "The store cannot answer", body = super::error::Problem,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    api.act(measure).await?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], api.prometheus.render()).into_response())
}

/// Sets the gauges that are read rather than counted.
fn measure(app: &Appliance) -> Result<(), FlowError> {
    let up = matches!(app.hsm.status(), Status::Up { .. });
    metrics::gauge!("countersign_hsm_up").set(if up { 1.0 } else { 0.0 });
    for (op, count) in app.hsm.operations() {
        metrics::counter!("countersign_hsm_ops_total", "op" => op).absolute(count);
    }
    let (seq, counts) = app.store.read(|c| Ok((event::last(c)?.0, outbox::counts(c)?)))?;
    for (state, count) in counts {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        metrics::gauge!("countersign_outbox_messages", "state" => state.name()).set(count);
    }
    metrics::counter!("countersign_audit_seq").absolute(u64::try_from(seq).unwrap_or(0));
    Ok(())
}

/// What the HSM says about itself.
#[utoipa::path(get, path = "/v1/hsm", tag = "status", operation_id = "hsm_info",
    responses(ApiError,
        (status = 200, description = "Module, token and self-test", body = wire::HsmInfo),
    ))]
pub(super) async fn hsm(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::HsmInfo>, ApiError> {
    let info = api.act_as(caller, Right::Administer, |app, _| Ok(app.hsm.info()?)).await?;
    Ok(axum::Json(info_view(info)))
}

/// The HSM's own words as the API's.
pub(crate) fn info_view(info: hsm::Info) -> wire::HsmInfo {
    wire::HsmInfo {
        module: info.module,
        manufacturer: info.manufacturer,
        token_label: info.token_label,
        assurance: info.assurance.as_str().to_owned(),
        kek_generation: info.kek_generation,
        capabilities: info.capabilities,
    }
}

/// Every attribute of every long-term key, against what it should be.
#[utoipa::path(get, path = "/v1/hsm/check", tag = "status", operation_id = "hsm_check",
    responses(ApiError,
        (status = 200, description = "The attributes", body = wire::List<wire::AttributeCheck>),
    ))]
pub(super) async fn hsm_check(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::List<wire::AttributeCheck>>, ApiError> {
    let checks = api.act_as(caller, Right::Administer, |app, _| Ok(app.hsm.check()?)).await?;
    Ok(axum::Json(wire::List { items: checks.into_iter().map(check_view).collect(), next: None }))
}

/// The HSM's own words as the API's.
pub(crate) fn check_view(check: hsm::AttributeCheck) -> wire::AttributeCheck {
    wire::AttributeCheck {
        object: check.object,
        attribute: check.attribute,
        expected: check.expected,
        reported: check.reported,
        ok: check.ok,
    }
}
