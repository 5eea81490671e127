//! `/v1/challenges`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::challenge::Wanted;
use domain::role::Right;
use domain::token::Id;

use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::ApiError;
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::push::{ask, recovery};
use crate::flows::{challenge, handle, ocra, parse_handle};

pub(super) fn view(view: &challenge::View) -> wire::Challenge {
    wire::Challenge {
        id: handle(&view.row.id),
        state: view.row.progress.state.name().to_owned(),
        expires_at: view.expires_at_ms.map(rfc3339),
        phone_masked: view.phone_masked.clone(),
        question: match &view.row.wanted {
            Wanted::Response { question, .. } => Some(question.to_string()),
            Wanted::SentCode { .. }
            | Wanted::SentLink { .. }
            | Wanted::Push { .. }
            | Wanted::Recovery { .. } => None,
        },
        number: match &view.row.wanted {
            Wanted::Push { number, .. } if !view.row.progress.state.is_final() => *number,
            _ => None,
        },
    }
}

fn id(text: &str) -> Result<Id, ApiError> {
    parse_handle(text).ok_or_else(|| ApiError::not_found("challenge"))
}

/// Order a code for a user, a question for a user's token, a push for a user's phone, or that a recovery code may come.
#[utoipa::path(post, path = "/v1/challenges", tag = "challenges",
    operation_id = "create_challenge", request_body = wire::NewChallenge,
    responses(ApiError,
        (status = 201, description = "On its way, or asked", body = wire::Challenge),
    ))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewChallenge>,
) -> Result<(StatusCode, axum::Json<wire::Challenge>), ApiError> {
    let wire::NewChallenge { user, channel, authenticator, binding_message, token, remote_ip, user_agent } =
        new;
    let of_sms = authenticator.is_some() || binding_message.is_some();
    let of_push = remote_ip.is_some() || user_agent.is_some();
    let made = match (channel.as_str(), token) {
        (other, _) if of_push && other != "push" => {
            return Err(ApiError::malformed("a browser's address and name belong to the channel push"));
        }
        ("push", None) if authenticator.is_none() => {
            let remote_ip = remote_ip.map(|text| text.parse());
            let remote_ip =
                remote_ip.transpose().map_err(|_| ApiError::malformed("remote_ip is no address"))?;
            let wish = ask::Wish { binding_message, remote_ip, user_agent, ..ask::Wish::default() };
            let order = move |app: &_, caller: &_| ask::order(app, caller, &user, &wish);
            api.act_as(caller, Right::Challenge, order).await?
        }
        ("recovery", None) if !of_sms => {
            let order = move |app: &_, caller: &_| recovery::order(app, caller, &user);
            api.act_as(caller, Right::Challenge, order).await?
        }
        ("sms", None) => {
            let order = move |app: &_, caller: &_| {
                challenge::create(app, caller, &user, authenticator.as_deref(), binding_message)
            };
            api.act_as(caller, Right::Challenge, order).await?
        }
        ("ocra", _) if of_sms => {
            return Err(ApiError::malformed(
                "an authenticator and words for the user belong to the channel sms",
            ));
        }
        ("ocra", token) => {
            let order = move |app: &_, caller: &_| ocra::order(app, caller, &user, token.as_deref());
            api.act_as(caller, Right::Challenge, order).await?
        }
        ("sms" | "push" | "recovery", Some(_)) => {
            return Err(ApiError::malformed("a token belongs to the channel ocra"));
        }
        ("push" | "recovery", None) => {
            return Err(ApiError::malformed("an authenticator belongs to the channel sms"));
        }
        _ => return Err(ApiError::malformed("the channel must be sms, ocra, push or recovery")),
    };
    Ok((StatusCode::CREATED, axum::Json(view(&made))))
}

/// Show a challenge to the application that ordered it.
#[utoipa::path(get, path = "/v1/challenges/{id}", tag = "challenges",
    operation_id = "show_challenge", params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The challenge", body = wire::Challenge),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Challenge>, ApiError> {
    let id = id(&text)?;
    let found =
        api.act_as(caller, Right::Challenge, move |app, caller| challenge::show(app, caller, &id)).await?;
    Ok(axum::Json(view(&found)))
}

/// Take a challenge back.
#[utoipa::path(delete, path = "/v1/challenges/{id}", tag = "challenges",
    operation_id = "cancel_challenge", params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "Cancelled", body = wire::Challenge),
    ))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Challenge>, ApiError> {
    let id = id(&text)?;
    let ended =
        api.act_as(caller, Right::Challenge, move |app, caller| challenge::cancel(app, caller, &id)).await?;
    Ok(axum::Json(view(&ended)))
}

/// Send a new code; the former one is dead. A question is not asked twice.
#[utoipa::path(post, path = "/v1/challenges/{id}/resend", tag = "challenges",
    operation_id = "resend_challenge", params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "On its way", body = wire::Challenge),
    ))]
pub(super) async fn resend(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Challenge>, ApiError> {
    let id = id(&text)?;
    let again =
        api.act_as(caller, Right::Challenge, move |app, caller| challenge::resend(app, caller, &id)).await?;
    Ok(axum::Json(view(&again)))
}

/// Verify the code of a challenge, or the answer to its question; with an empty `otp`, fetch the approval of a push,
/// once, up to five minutes after its end. Whatever is wrong with it, a rejection is the same bytes.
#[utoipa::path(post, path = "/v1/challenges/{id}/verify", tag = "challenges",
    operation_id = "verify_challenge", params(("id" = String, Path)), request_body = wire::ChallengeAnswer,
    responses(ApiError,
        (status = 200, description = "The verdict", body = wire::Verdict),
    ))]
pub(super) async fn verify(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(answer): Json<wire::ChallengeAnswer>,
) -> Result<axum::Json<wire::Verdict>, ApiError> {
    // A handle that is none is answered as one that nobody has: with a rejection.
    let id = parse_handle(&text).unwrap_or_default();
    let verdict = api
        .act_as(caller, Right::Challenge, move |app, caller| challenge::verify(app, caller, &id, &answer.otp))
        .await?;
    Ok(axum::Json(super::verify::answer(verdict)))
}
