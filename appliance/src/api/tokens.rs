//! `/v1/tokens` and a user's tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::names::{Serial, UserName};
use domain::otpauth::{OtpAuth, decode_base32};
use domain::role::Right;
use domain::token::{Factor, Policy};
use oath::{Algorithm, CodeFormat, Digits, Period, Truncation};

use super::auth::Authenticated;
use super::body::{Json, Maybe, Path, Query};
use super::enrolments::{REVOKED, why};
use super::error::ApiError;
use super::users::{Page, user_name};
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::enrol;
use crate::flows::push::device;
use crate::flows::tokens::{self, Change};
use crate::flows::{operators, resync};
use crate::qr;
use crate::store::push_device::DeviceRow;
use crate::store::token::TokenRow;

/// Longest issuer of an imported URI, in characters.
const ISSUER_MAX: usize = 64;
/// Most digits of a soft token's code: apps show no more (D-31).
const SOFT_DIGITS_MAX: u8 = 8;

pub(super) fn view(row: &TokenRow, locked: bool) -> wire::Token {
    wire::Token {
        serial: row.serial.to_string(),
        class: row.class.name().to_owned(),
        kind: row.policy.factor.name().to_owned(),
        algorithm: row.policy.algorithm.name().to_owned(),
        digits: row.policy.format.digits.get(),
        period: match row.policy.factor {
            Factor::Hotp | Factor::Ocra { .. } => None,
            Factor::Totp { period, .. } => Some(period.get()),
        },
        suite: row.policy.suite().map(|suite| suite.to_string()),
        state: row.state.lifecycle.name().to_owned(),
        locked,
        failures: row.state.failures,
        last_used: (row.state.last >= 0).then_some(row.state.last),
        drift: row.state.drift,
        loa: row.loa,
        created_at: rfc3339(row.created_at),
    }
}

/// A registered phone among the tokens: it has no codes.
fn phone(row: &DeviceRow) -> wire::Token {
    wire::Token {
        serial: row.serial.to_string(),
        class: "soft".to_owned(),
        kind: "push".to_owned(),
        algorithm: "SHA256".to_owned(),
        digits: 0,
        period: None,
        suite: None,
        state: row.lifecycle.name().to_owned(),
        locked: false,
        failures: 0,
        last_used: None,
        drift: 0,
        loa: row.loa,
        created_at: rfc3339(row.created_at),
    }
}

fn serial(text: &str) -> Result<Serial, ApiError> {
    Serial::parse(text).map_err(|error| ApiError::malformed(error.to_string()))
}

/// Turns a request into a token to enrol.
fn new_token(user: UserName, new: wire::NewToken) -> Result<tokens::NewToken, ApiError> {
    if let Some(uri) = &new.uri {
        let others =
            [new.kind.is_some(), new.secret.is_some(), new.algorithm.is_some(), new.digits.is_some()];
        if others.contains(&true) || new.period.is_some() || new.counter.is_some() {
            return Err(ApiError::malformed("a uri says everything: give no other field with it"));
        }
        let uri = OtpAuth::parse(uri).map_err(|error| ApiError::malformed(error.to_string()))?;
        let policy = policy(uri.totp, uri.algorithm, uri.digits, uri.period, SOFT_DIGITS_MAX)?;
        if uri.issuer.as_ref().is_some_and(|issuer| issuer.chars().count() > ISSUER_MAX) {
            return Err(ApiError::malformed(format!("the issuer is longer than {ISSUER_MAX} characters")));
        }
        let (counter, issuer) = (uri.counter, uri.issuer);
        return Ok(tokens::NewToken { user, policy, counter, secret: Some(uri.secret), issuer });
    }
    let policy = policy_of(&new, SOFT_DIGITS_MAX)?;
    let secret = match &new.secret {
        None => None,
        Some(text) => {
            Some(decode_base32(text).ok_or_else(|| ApiError::malformed("the secret is no Base32"))?)
        }
    };
    Ok(tokens::NewToken { user, policy, counter: new.counter.unwrap_or(0), secret, issuer: None })
}

/// What a request says about codes, with `digits_max` digits at the most.
pub(super) fn policy_of(new: &wire::NewToken, digits_max: u8) -> Result<Policy, ApiError> {
    let totp = match new.kind.as_deref() {
        Some("totp") => true,
        Some("hotp") => false,
        _ => return Err(ApiError::malformed("the type must be totp or hotp")),
    };
    if (totp && new.counter.is_some()) || (!totp && new.period.is_some()) {
        return Err(ApiError::malformed("a counter belongs to hotp, a period to totp"));
    }
    let algorithm = match &new.algorithm {
        None => Algorithm::Sha1,
        Some(name) => Algorithm::parse(name).map_err(|error| ApiError::malformed(error.to_string()))?,
    };
    policy(totp, algorithm, new.digits.unwrap_or(6), new.period.unwrap_or(30), digits_max)
}

fn policy(
    totp: bool,
    algorithm: Algorithm,
    digits: u8,
    period: u16,
    digits_max: u8,
) -> Result<Policy, ApiError> {
    let malformed = |error: oath::Error| ApiError::malformed(error.to_string());
    if digits > digits_max {
        return Err(ApiError::malformed(format!("such a token's code has 6 to {digits_max} digits")));
    }
    let factor = if totp {
        Factor::Totp { period: Period::new(period).map_err(malformed)?, t0: 0 }
    } else {
        Factor::Hotp
    };
    let digits = Digits::new(digits).map_err(malformed)?;
    let format = CodeFormat { digits, checksum: false, truncation: Truncation::Dynamic };
    Ok(Policy { factor, algorithm, format })
}

/// Enrol a token for a user. The secret is shown in this answer and never again.
#[utoipa::path(post, path = "/v1/users/{name}/tokens", tag = "tokens", operation_id = "add_token",
    params(("name" = String, Path)), request_body = wire::NewToken,
    responses(ApiError,
        (status = 201, description = "Enrolled", body = wire::EnrolledToken),
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewToken>,
) -> Result<(StatusCode, axum::Json<wire::EnrolledToken>), ApiError> {
    let new = new_token(user_name(&name)?, new)?;
    let enrolled =
        api.act_as(caller, Right::WriteTokens, move |app, caller| tokens::add(app, caller, new)).await?;
    let code = qr::encode(&enrolled.uri).expect("names, issuer and secret fit a QR code many times over");
    let answer = wire::EnrolledToken {
        serial: enrolled.token.serial.to_string(),
        otpauth_uri: enrolled.uri.to_string(),
        qr_svg: qr::svg(&code),
        qr_text: qr::text(&code),
    };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// List a user's tokens.
#[utoipa::path(get, path = "/v1/users/{name}/tokens", tag = "tokens", operation_id = "list_user_tokens",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 200, description = "All of them", body = wire::List<wire::Token>),
    ))]
pub(super) async fn of_user(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<axum::Json<wire::List<wire::Token>>, ApiError> {
    let name = user_name(&name)?;
    let items = api
        .act_as(caller, Right::ReadUsers, move |app, _| {
            let now = app.clock.now();
            let rows = tokens::of_user(app, &name)?;
            let mut items: Vec<wire::Token> =
                rows.iter().map(|row| view(row, row.state.is_locked(&now))).collect();
            items.extend(device::of_user(app, &name)?.iter().map(|found| phone(&found.row)));
            Ok(items)
        })
        .await?;
    Ok(axum::Json(wire::List { items, next: None }))
}

/// List tokens by serial, registered phones among them.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", operation_id = "list_tokens",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses(ApiError,
        (status = 200, description = "A page", body = wire::List<wire::Token>),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Query(page): Query<Page>,
) -> Result<axum::Json<wire::List<wire::Token>>, ApiError> {
    let limit = page.limit();
    let items: Vec<wire::Token> = api
        .act_as(caller, Right::ReadUsers, move |app, _| {
            let now = app.clock.now();
            let rows = tokens::list(app, &page.after, limit)?;
            let codes = rows.iter().map(|row| view(row, row.state.is_locked(&now)));
            let phones = device::list(app, &page.after, limit)?;
            let mut items: Vec<wire::Token> = codes.chain(phones.iter().map(phone)).collect();
            items.sort_by(|one, other| one.serial.cmp(&other.serial));
            items.truncate(limit);
            Ok(items)
        })
        .await?;
    let next = (items.len() == limit).then(|| items.last().map(|token| token.serial.clone())).flatten();
    Ok(axum::Json(wire::List { items, next }))
}

/// Show a token.
#[utoipa::path(get, path = "/v1/tokens/{serial}", tag = "tokens", operation_id = "show_token",
    params(("serial" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The token", body = wire::Token),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Token>, ApiError> {
    let serial = serial(&text)?;
    let found = api
        .act_as(caller, Right::ReadUsers, move |app, _| {
            if device::is_serial(&serial) {
                return device::find(app, &serial).map(|found| phone(&found.row));
            }
            let row = tokens::find(app, &serial)?;
            Ok(view(&row, row.state.is_locked(&app.clock.now())))
        })
        .await?;
    Ok(axum::Json(found))
}

/// Suspend, resume, revoke or unlock a token. A revocation may say why; a binding by an enrolment ends with it.
#[utoipa::path(post, path = "/v1/tokens/{serial}/{change}", tag = "tokens", operation_id = "change_token",
    params(("serial" = String, Path), ("change" = String, Path, description = "suspend, resume, revoke or unlock")),
    request_body(content = wire::Revocation, description = "Of a revocation; may be left out"),
    responses(ApiError,
        (status = 200, description = "Changed", body = wire::Token),
    ))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path((text, change)): Path<(String, String)>,
    Maybe(revocation): Maybe<wire::Revocation>,
) -> Result<axum::Json<wire::Token>, ApiError> {
    let serial = serial(&text)?;
    let (change, right) = match change.as_str() {
        "suspend" => (Change::Suspend, Right::LockTokens),
        "resume" => (Change::Resume, Right::WriteTokens),
        "revoke" => (Change::Revoke, Right::RevokeTokens),
        "unlock" => (Change::Unlock, Right::WriteTokens),
        _ => return Err(ApiError::not_found("change of a token")),
    };
    let changed = api
        .act_as(caller, right, move |app, caller| {
            if device::is_serial(&serial) {
                if change == Change::Revoke {
                    operators::need_everywhere(app, caller, right)?;
                }
                return device::change(app, caller, &serial, change).map(|changed| phone(&changed.row));
            }
            let row = if change == Change::Revoke {
                let reason = revocation.reason.as_deref().unwrap_or(REVOKED);
                enrol::revoke_token(app, caller, &serial, reason, why(caller, &revocation))?
            } else {
                tokens::change(app, caller, &serial, change)?
            };
            Ok(view(&row, row.state.is_locked(&app.clock.now())))
        })
        .await?;
    Ok(axum::Json(changed))
}

/// Find a token's counter or clock again from two consecutive codes.
#[utoipa::path(post, path = "/v1/tokens/{serial}/resync", tag = "tokens", operation_id = "resync_token",
    params(("serial" = String, Path)), request_body = wire::Resync,
    responses(ApiError,
        (status = 200, description = "Found", body = wire::Token),
    ))]
pub(super) async fn resync(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(codes): Json<wire::Resync>,
) -> Result<axum::Json<wire::Token>, ApiError> {
    let serial = serial(&text)?;
    let found = api
        .act_as(caller, Right::WriteTokens, move |app, caller| {
            let row = resync::run(app, caller, &serial, [&codes.otp1, &codes.otp2])?;
            Ok(view(&row, row.state.is_locked(&app.clock.now())))
        })
        .await?;
    Ok(axum::Json(found))
}
