//! `/v1/users/{name}/registrations`: a user's phone is registered by a QR code (C.9).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::registration::{Codes, Kind, Outcome};
use domain::role::Right;
use domain::token::Id;

use super::auth::Authenticated;
use super::awaited::Wait;
use super::body::{Json, Path, Query};
use super::error::ApiError;
use super::{Api, challenges, push as phones, tokens, wire};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::error::FlowError;
use crate::flows::push::{codes, device, prove, register};
use crate::flows::{Caller, handle, parse_handle};
use crate::qr;
use crate::store::registration::RegistrationRow;
use crate::store::{push_device, token};

/// What every act here is about. A text that is no handle is looked up as none, in its turn: who may not ask is told so
/// first, and who may, what is told of a registration that nobody has (COMB-34).
fn with_handle<T>(
    app: &Appliance,
    caller: &Caller,
    text: &str,
    act: impl FnOnce(&Id) -> Result<T, FlowError>,
) -> Result<T, FlowError> {
    match parse_handle(text) {
        Some(id) => act(&id),
        None => Err(register::unknown(app, caller)?),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::TimeOut => "timeout",
    }
}

fn view(app: &Appliance, row: &RegistrationRow) -> Result<wire::Registration, FlowError> {
    let now = app.clock.now();
    let (device, token) = app.store.read(|c| {
        let device = row.device_id.map(|id| push_device::by_id(c, &id)).transpose()?.flatten();
        Ok((device, row.token_id.map(|id| token::by_id(c, &id)).transpose()?.flatten()))
    })?;
    let device = match device {
        None => None,
        Some(row) => Some(phones::view(app, &device::find(app, &row.serial)?)?),
    };
    let ended = row.registration.state.outcome();
    Ok(wire::Registration {
        id: handle(&row.id),
        kind: row.registration.kind.name().to_owned(),
        state: row.registration.state.name().to_owned(),
        outcome: ended.map(|ended| outcome(ended).to_owned()),
        reason: row.reason.clone(),
        expires_at: match ended {
            None => row.registration.until.wall_ms(&now).map(rfc3339),
            Some(_) => None,
        },
        push: row.message_id.clone().map(|message_id| wire::RegisteredPush {
            device,
            message_id,
            challenge_id: row.challenge_id.as_ref().map(handle),
        }),
        oath: token
            .map(|row| wire::RegisteredOath { profile: tokens::view(&row, row.state.is_locked(&now)) }),
        recovery_codes: None,
    })
}

/// Begin to register a user's phone: the answer holds the QR code, this once.
#[utoipa::path(post, path = "/v1/users/{name}/registrations", tag = "phones", operation_id = "begin_registration",
    params(("name" = String, Path)), request_body = wire::NewRegistration,
    responses(ApiError,
        (status = 201, description = "Waiting for the phone", body = wire::BegunRegistration),
        (status = 422, description = "`comb.no_username`: there is no such user", body = super::Problem),
    ))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewRegistration>,
) -> Result<(StatusCode, axum::Json<wire::BegunRegistration>), ApiError> {
    let kind = Kind::from_name(&new.kind)
        .ok_or_else(|| ApiError::malformed("the kind must be combined, push or oath"))?;
    let wish = register::Wish { kind, replace: new.replace, locale: new.locale, loa: None };
    let begun = api
        .act_as(caller, Right::WriteTokens, move |app, caller| register::begin(app, caller, &name, &wish))
        .await?;
    Ok((StatusCode::CREATED, axum::Json(self::begun(begun)?)))
}

/// A registration as its beginning is told.
///
/// # Errors
/// For a text that no QR code can hold.
pub(super) fn begun(begun: register::Begun) -> Result<wire::BegunRegistration, ApiError> {
    let code = qr::encode(&begun.uri).ok_or_else(|| ApiError::malformed("the QR code would be too large"))?;
    Ok(wire::BegunRegistration {
        id: handle(&begun.row.id),
        qr_svg: qr::svg(&code),
        qr_text: qr::text(&code),
        uri: begun.uri,
        message: begun.message,
        expires_at: begun.expires_at_ms.map(rfc3339),
        state: begun.row.registration.state.name().to_owned(),
    })
}

type Shown = Result<axum::Json<wire::Registration>, ApiError>;

async fn look(
    api: &Arc<Api>,
    caller: &Caller,
    name: &str,
    text: &str,
) -> Result<wire::Registration, ApiError> {
    let (name, text) = (name.to_owned(), text.to_owned());
    api.act_as(caller.clone(), Right::WriteTokens, move |app, caller| {
        let (row, owner) = with_handle(app, caller, &text, |id| register::find(app, caller, &name, id))?;
        let told = match row.registration.codes {
            Codes::Unread => codes::read(app, caller, &row, &owner)?,
            Codes::None | Codes::Read => None,
        };
        Ok(wire::Registration { recovery_codes: told, ..view(app, &row)? })
    })
    .await
}

/// Show a registration; with `wait`, once it has ended or so many seconds later. The first answer after the success
/// holds the recovery codes.
#[utoipa::path(get, path = "/v1/users/{name}/registrations/{id}", tag = "phones",
    operation_id = "show_registration",
    params(("name" = String, Path), ("id" = String, Path), ("wait" = Option<u64>, Query, description = "Seconds, at most 25")),
    responses(ApiError,
        (status = 200, description = "The registration", body = wire::Registration),
        (status = 410, description = "`comb.no_message_id`: there is no such registration", body = super::Problem),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path((name, text)): Path<(String, String)>,
    Query(wait): Query<Wait>,
) -> Shown {
    let found =
        wait.until(&api, || look(&api, &caller, &name, &text), |found| found.outcome.is_some()).await?;
    Ok(axum::Json(found))
}

/// Take a registration back.
#[utoipa::path(delete, path = "/v1/users/{name}/registrations/{id}", tag = "phones",
    operation_id = "cancel_registration", params(("name" = String, Path), ("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "Cancelled", body = wire::Registration),
    ))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path((name, text)): Path<(String, String)>,
) -> Shown {
    let ended = api
        .act_as(caller, Right::WriteTokens, move |app, caller| {
            let ended = with_handle(app, caller, &text, |id| register::cancel(app, caller, &name, id))?;
            view(app, &ended)
        })
        .await?;
    Ok(axum::Json(ended))
}

/// Take a code: the first one of a registration of the kind `oath`, or a later one in place of a push that shows
/// possession.
#[utoipa::path(post, path = "/v1/users/{name}/registrations/{id}/verify", tag = "phones",
    operation_id = "verify_registration", params(("name" = String, Path), ("id" = String, Path)),
    request_body = wire::ChallengeAnswer,
    responses(ApiError,
        (status = 200, description = "Where it stands now: unchanged after a wrong code", body = wire::Registration),
    ))]
pub(super) async fn verify(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path((name, text)): Path<(String, String)>,
    Json(answer): Json<wire::ChallengeAnswer>,
) -> Shown {
    let shown = api
        .act_as(caller, Right::WriteTokens, move |app, caller| {
            with_handle(app, caller, &text, |id| {
                prove::by_code(app, caller, &name, id, answer.otp.trim())?;
                view(app, &register::find(app, caller, &name, id)?.0)
            })
        })
        .await?;
    Ok(axum::Json(shown))
}

/// Push to the phone that was just registered, to show possession once more.
#[utoipa::path(post, path = "/v1/users/{name}/registrations/{id}/push", tag = "phones",
    operation_id = "push_registration", params(("name" = String, Path), ("id" = String, Path)),
    responses(ApiError,
        (status = 201, description = "On its way", body = wire::Challenge),
    ))]
pub(super) async fn ask(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path((name, text)): Path<(String, String)>,
) -> Result<(StatusCode, axum::Json<wire::Challenge>), ApiError> {
    let made = api
        .act_as(caller, Right::WriteTokens, move |app, caller| {
            with_handle(app, caller, &text, |id| prove::ask_again(app, caller, &name, id))
        })
        .await?;
    Ok((StatusCode::CREATED, axum::Json(challenges::view(&made))))
}
