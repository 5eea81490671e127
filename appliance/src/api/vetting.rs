//! `/v1/enrolments/{id}/vet` and what follows it: the acts of registration authorities, and of what vouches in their place.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::enrol::ProofKind;
use domain::names::Serial;
use domain::role::Right;

use super::auth::Authenticated;
use super::body::{Json, Path};
use super::enrolments::{appointment, level, view, word};
use super::error::ApiError;
use super::{Api, wire};
use crate::flows::enrol::{self, Beginning, Document, Evidence, Proof};

fn serial(text: &str) -> Result<Serial, ApiError> {
    Serial::parse(text).map_err(|error| ApiError::malformed(error.to_string()))
}

/// Offer a time for vettings.
#[utoipa::path(post, path = "/v1/appointments", tag = "enrolments", operation_id = "offer_appointment",
    request_body = wire::NewAppointment,
    responses(ApiError, (status = 201, description = "Offered", body = wire::Appointment)))]
pub(super) async fn offer(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewAppointment>,
) -> Result<(StatusCode, axum::Json<wire::Appointment>), ApiError> {
    let at: Result<jiff::Timestamp, _> = new.starts_at.parse();
    let at = at.map_err(|_| ApiError::malformed("starts_at: must be a time as RFC 3339 writes it"))?;
    let new = enrol::NewAppointment {
        starts_at: at.as_millisecond(),
        minutes: new.minutes,
        place: new.place,
        organisation: new.organisation.unwrap_or_default(),
    };
    let made = api.act_as(caller, Right::Vet, move |app, caller| enrol::offer(app, caller, new)).await?;
    Ok((StatusCode::CREATED, axum::Json(appointment(&made))))
}

/// List times that lie ahead: the free ones for applicants, all for registration authorities.
#[utoipa::path(get, path = "/v1/appointments", tag = "enrolments", operation_id = "list_appointments",
    responses(ApiError, (status = 200, description = "By time", body = wire::List<wire::Appointment>)))]
pub(super) async fn appointments(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::List<wire::Appointment>>, ApiError> {
    let rows = api.act(move |app| enrol::appointments(app, &caller, None)).await?;
    Ok(axum::Json(wire::List { items: rows.iter().map(appointment).collect(), next: None }))
}

/// Begin the vetting of whoever brings a registration code.
#[utoipa::path(post, path = "/v1/enrolments/vet", tag = "enrolments", operation_id = "begin_vetting_by_code",
    request_body = wire::VettingStart,
    responses(ApiError, (status = 200, description = "It has begun", body = wire::Enrolment)))]
pub(super) async fn begin_by_code(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(start): Json<wire::VettingStart>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let beginning = Beginning { enrolment: None, code: start.code, place: start.place, shown: None };
    let begun =
        api.act_as(caller, Right::Vet, move |app, caller| enrol::begin(app, caller, &beginning)).await?;
    Ok(axum::Json(view(begun)))
}

/// Begin the vetting of an enrolment.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet", tag = "enrolments", operation_id = "begin_vetting",
    params(("id" = String, Path)), request_body = wire::VettingStart,
    responses(ApiError, (status = 200, description = "It has begun", body = wire::Enrolment)))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(start): Json<wire::VettingStart>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, move |app, caller, id| {
        caller.need(app, Right::Vet)?;
        let beginning = Beginning { enrolment: Some(*id), code: start.code, place: start.place, shown: None };
        enrol::begin(app, caller, &beginning)
    })
    .await
}

fn read(given: wire::VetProof) -> Result<Proof, ApiError> {
    let document = match (given.document, given.country, given.last6) {
        (None, None, None) => None,
        (Some(kind), Some(country), Some(last6)) => Some(Document { kind, country, last6 }),
        _ => return Err(ApiError::malformed("document, country and last6 go together")),
    };
    Ok(Proof {
        kind: word("kind", &given.kind, ProofKind::ALL, ProofKind::name)?,
        document,
        not_expired: given.not_expired,
        name_match: given.name_match,
        photo_match: given.photo_match,
        security_features: given.security_features,
        electronic_read: given.electronic_read,
        remark: given.remark,
    })
}

/// Compare the claim with a proof of identity.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/proof", tag = "enrolments", operation_id = "vet_proof",
    params(("id" = String, Path)), request_body = wire::VetProof,
    responses(ApiError, (status = 200, description = "Compared, or rejected", body = wire::Enrolment)))]
pub(super) async fn proof(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::VetProof>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let proof = read(given)?;
    api.at_enrolment(caller, &text, move |app, caller, id| enrol::proof(app, caller, id, proof)).await
}

/// See the face alive.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/liveness", tag = "enrolments", operation_id = "vet_liveness",
    params(("id" = String, Path)), request_body = wire::VetLiveness,
    responses(ApiError, (status = 200, description = "Seen, or rejected", body = wire::Enrolment)))]
pub(super) async fn liveness(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::VetLiveness>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, move |app, caller, id| {
        enrol::liveness(app, caller, id, &given.method, given.passed)
    })
    .await
}

/// Ask who issued the proof.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/source", tag = "enrolments", operation_id = "vet_source",
    params(("id" = String, Path)), request_body = wire::VetSource,
    responses(ApiError, (status = 200, description = "Asked, or rejected", body = wire::Enrolment)))]
pub(super) async fn source(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::VetSource>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, move |app, caller, id| {
        enrol::source(app, caller, id, &given.source, given.reference.as_deref(), given.valid)
    })
    .await
}

/// Write down that the applicant is vetted.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/record", tag = "enrolments", operation_id = "vet_record",
    params(("id" = String, Path)), request_body = wire::Remark,
    responses(ApiError, (status = 200, description = "Vetted", body = wire::Enrolment)))]
pub(super) async fn record(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::Remark>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, move |app, caller, id| enrol::record(app, caller, id, given.remark)).await
}

/// Confirm a vetting as a second person.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/second", tag = "enrolments", operation_id = "vet_second",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "Confirmed", body = wire::Enrolment)))]
pub(super) async fn second(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, enrol::second).await
}

/// Begin anew with another token than was shown.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/again", tag = "enrolments", operation_id = "vet_again",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "Begun anew", body = wire::Enrolment)))]
pub(super) async fn again(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, enrol::again).await
}

/// Vet by the assertion of an electronic identity; needs the scope `user:assert`.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/assertion", tag = "enrolments", operation_id = "vet_assertion",
    params(("id" = String, Path)), request_body = wire::VetAssertion,
    responses(ApiError, (status = 200, description = "Vetted; in effect", body = wire::Enrolment)))]
pub(super) async fn assertion(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::VetAssertion>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let level = level(given.level)?;
    let evidence = Evidence { issuer: given.issuer, id: given.id, at: given.at };
    api.at_enrolment(caller, &text, move |app, caller, id| {
        enrol::by_assertion(app, caller, id, &evidence, level)
    })
    .await
}

/// Vet by a code of an own token that is vetted already.
#[utoipa::path(post, path = "/v1/enrolments/{id}/vet/token", tag = "enrolments", operation_id = "vet_token",
    params(("id" = String, Path)), request_body = wire::VetToken,
    responses(ApiError, (status = 200, description = "Vetted; in effect", body = wire::Enrolment)))]
pub(super) async fn token(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::VetToken>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let serial = serial(&given.serial)?;
    api.at_enrolment(caller, &text, move |app, caller, id| {
        enrol::by_token(app, caller, id, &serial, &given.otp)
    })
    .await
}

/// Hand a token over from stock.
#[utoipa::path(post, path = "/v1/enrolments/{id}/handover", tag = "enrolments", operation_id = "hand_token_over",
    params(("id" = String, Path)), request_body = wire::TokenHandOver,
    responses(ApiError, (status = 200, description = "Handed over", body = wire::Enrolment)))]
pub(super) async fn hand_over(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::TokenHandOver>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let serial = serial(&given.serial)?;
    api.at_enrolment(caller, &text, move |app, caller, id| enrol::hand_over(app, caller, id, &serial)).await
}

/// Bind factor and identity, without effect yet.
#[utoipa::path(post, path = "/v1/enrolments/{id}/bind", tag = "enrolments", operation_id = "bind_enrolment",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "Bound", body = wire::Enrolment)))]
pub(super) async fn bind(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, enrol::bind).await
}

/// Let a binding take effect, and tell the user.
#[utoipa::path(post, path = "/v1/enrolments/{id}/activate", tag = "enrolments", operation_id = "activate_enrolment",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "In effect", body = wire::Enrolment)))]
pub(super) async fn activate(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, enrol::activate).await
}

/// Tell the user of an activation once more that went untold.
#[utoipa::path(post, path = "/v1/enrolments/{id}/confirm", tag = "enrolments", operation_id = "confirm_enrolment",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "Told", body = wire::Enrolment)))]
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, enrol::confirm).await
}

/// Refuse an enrolment; the user is told.
#[utoipa::path(post, path = "/v1/enrolments/{id}/reject", tag = "enrolments", operation_id = "reject_enrolment",
    params(("id" = String, Path)), request_body = wire::EnrolmentEnd,
    responses(ApiError, (status = 200, description = "Rejected", body = wire::Enrolment)))]
pub(super) async fn reject(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::EnrolmentEnd>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, move |app, caller, id| {
        enrol::reject(app, caller, id, &given.reason, given.remark)
    })
    .await
}
