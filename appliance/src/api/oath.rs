//! `/v1/users/{name}/oath`: a user's OATH account, for operators.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::letter::Delivery;
use domain::role::Right;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::approvals::answer;
use super::auth::Authenticated;
use super::body::{Json, Path, Query};
use super::error::ApiError;
use super::methods::letter;
use super::users::user_name;
use super::{Api, tokens, wire};
use crate::flows::approvals::{Act, guarded};
use crate::flows::oath::{self, Format, Made};
use crate::qr;

/// How a secret is shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    format: Option<String>,
}

fn delivery(text: &str) -> Result<Delivery, ApiError> {
    let unknown = || ApiError::malformed(format!("{text:?} is no delivery; there are post and hand"));
    Delivery::from_name(text).ok_or_else(unknown)
}

fn made(made: &Made) -> wire::MadeOath {
    wire::MadeOath {
        serial: made.token.serial.to_string(),
        ended: made.ended.iter().map(ToString::to_string).collect(),
        letter: made.letter.as_ref().map(letter),
    }
}

/// Make an OATH account. Its secret is not shown: a letter brings it, or the pages do.
#[utoipa::path(post, path = "/v1/users/{name}/oath", tag = "oath", operation_id = "add_oath",
    params(("name" = String, Path)), request_body = wire::NewOath,
    responses(ApiError,
        (status = 201, description = "Made", body = wire::MadeOath),
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewOath>,
) -> Result<(StatusCode, axum::Json<wire::MadeOath>), ApiError> {
    let name = user_name(&name)?;
    let delivery = new.letter.as_deref().map(delivery).transpose()?;
    let account = api
        .act_as(caller, Right::WriteTokens, move |app, caller| oath::add(app, caller, &name, delivery))
        .await?;
    Ok((StatusCode::CREATED, axum::Json(made(&account))))
}

/// Show a user's OATH accounts.
#[utoipa::path(get, path = "/v1/users/{name}/oath", tag = "oath", operation_id = "show_oath",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The accounts", body = wire::OathAccounts),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<axum::Json<wire::OathAccounts>, ApiError> {
    let name = user_name(&name)?;
    let user = name.to_string();
    let accounts = api.act_as(caller, Right::ReadUsers, move |app, _| oath::of_user(app, &name)).await?;
    let (app, now) = (api.appliance(), api.appliance().clock.now());
    let shown = accounts.tokens.iter().map(|row| wire::OathAccount {
        token: tokens::view(row, row.state.is_locked(&now)),
        revealable: row.reveal.is_some(),
    });
    Ok(axum::Json(wire::OathAccounts {
        user,
        accounts: shown.collect(),
        quota: app.config.people.oath.quota_accounts(),
        letter: accounts.letter.as_ref().map(letter),
    }))
}

/// End a user's OATH accounts: the secrets are erased, and no app that has them works any more.
#[utoipa::path(delete, path = "/v1/users/{name}/oath", tag = "oath", operation_id = "delete_oath",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 200, description = "Ended", body = wire::EndedOath),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<axum::Json<wire::EndedOath>, ApiError> {
    let name = user_name(&name)?;
    let ended =
        api.act_as(caller, Right::DeleteOath, move |app, caller| oath::delete(app, caller, &name)).await?;
    Ok(axum::Json(wire::EndedOath { ended: ended.iter().map(ToString::to_string).collect() }))
}

/// Make a new secret in place of the old ones, and order the letter that brings it.
#[utoipa::path(post, path = "/v1/users/{name}/oath/renew", tag = "oath", operation_id = "renew_oath",
    params(("name" = String, Path)), request_body = wire::NewOath,
    responses(ApiError,
        (status = 201, description = "Made", body = wire::MadeOath),
    ))]
pub(super) async fn renew(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewOath>,
) -> Result<(StatusCode, axum::Json<wire::MadeOath>), ApiError> {
    let name = user_name(&name)?;
    let delivery = new.letter.as_deref().map_or(Ok(Delivery::Post), delivery)?;
    let account = api
        .act_as(caller, Right::DeleteOath, move |app, caller| {
            caller.need(app, Right::WriteTokens)?;
            oath::renew(app, caller, &name, delivery)
        })
        .await?;
    Ok((StatusCode::CREATED, axum::Json(made(&account))))
}

/// Find an account's counter or clock again from two consecutive codes.
#[utoipa::path(post, path = "/v1/users/{name}/oath/resync", tag = "oath", operation_id = "resync_oath",
    params(("name" = String, Path)), request_body = wire::Resync,
    responses(ApiError,
        (status = 200, description = "Found", body = wire::Token),
    ))]
pub(super) async fn resync(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(codes): Json<wire::Resync>,
) -> Result<axum::Json<wire::Token>, ApiError> {
    let name = user_name(&name)?;
    let found = api
        .act_as(caller, Right::WriteTokens, move |app, caller| {
            let row = oath::resync(app, caller, &name, [&codes.otp1, &codes.otp2])?;
            Ok(tokens::view(&row, row.state.is_locked(&app.clock.now())))
        })
        .await?;
    Ok(axum::Json(found))
}

/// Show the secret of a user's OATH account to an operator whom the configuration names. Each time is an event.
#[utoipa::path(get, path = "/v1/users/{name}/oath/secret", tag = "oath", operation_id = "show_secret",
    params(("name" = String, Path), ("format" = Option<String>, Query, description = "qr (default), hex or base32")),
    responses(ApiError,
        (status = 200, description = "The secret", body = wire::ShownSecret),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn secret(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let name = user_name(&name)?;
    let text = wanted.format.as_deref().unwrap_or(Format::Qr.name());
    let unknown =
        || ApiError::malformed(format!("{text:?} is no form of a secret; there are qr, hex and base32"));
    let format = Format::from_name(text).ok_or_else(unknown)?;
    let outcome = api
        .act_as(caller, Right::ViewSecret, move |app, caller| {
            oath::check_view(app, caller, &name, format)?;
            let act = Act::ViewSecret { secret_of: name.to_string(), format: format.name().to_owned() };
            guarded(app, caller, &act, |caller| oath::show(app, caller, &name, format))
        })
        .await?;
    Ok(answer(outcome, StatusCode::OK, |seen| {
        let code = (format == Format::Qr)
            .then(|| qr::encode(&seen.text).expect("names, issuer and secret fit a QR code many times over"));
        wire::ShownSecret {
            serial: seen.serial.to_string(),
            format: format.name().to_owned(),
            secret: code.is_none().then_some(seen.text),
            qr_svg: code.as_ref().map(|code| Zeroizing::new(qr::svg(code))),
            qr_text: code.as_ref().map(|code| Zeroizing::new(qr::text(code))),
        }
    }))
}
