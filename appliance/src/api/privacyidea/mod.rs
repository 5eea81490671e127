//! The paths that privacyIDEA's plugins speak, beside the API and over the same acts.
//!
//! `pass` is the code alone: there is no PIN. An empty one orders a code by SMS. A rejection is the same
//! bytes whatever its reason, unless `compat.privacyidea.verbose` restores the texts that plugins know.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::role::Right;

use self::answer::Answer;
use self::params::Params;
use super::Api;
use super::auth::{self, KEY_MAX, Peer};
use super::error::{ApiError, RETRY_AFTER};
use super::wire::Verdict;
use crate::appliance::Appliance;
use crate::flows::challenge::{self, Whose};
use crate::flows::verify::{self, Attempt, Only, Target};
use crate::flows::{Caller, FlowError, parse_handle};

mod answer;
mod params;

/// Read before `Authorization`, which a proxy on the way may need for itself.
const PI_AUTHORIZATION: &str = "pi-authorization";
const SMS: &str = "sms";

/// The routes.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/validate/check", get(check).post(check))
        .route("/validate/radiuscheck", get(radiuscheck).post(radiuscheck))
        .route("/validate/triggerchallenge", post(trigger))
        .route("/validate/polltransaction", get(poll))
        .route("/validate/polltransaction/{id}", get(poll_one))
}

async fn check(State(api): State<Arc<Api>>, request: Request) -> Response {
    respond(&api, asked(&api, request, judge).await)
}

/// For clients that look at the status alone.
async fn radiuscheck(State(api): State<Arc<Api>>, request: Request) -> Response {
    match asked(&api, request, judge).await {
        Ok((answer, _)) if answer.is_accepted() => StatusCode::NO_CONTENT.into_response(),
        Err(failed) if failed.status() == StatusCode::SERVICE_UNAVAILABLE => {
            (failed.status(), [(header::RETRY_AFTER, RETRY_AFTER)]).into_response()
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn trigger(State(api): State<Arc<Api>>, request: Request) -> Response {
    respond(&api, asked(&api, request, order).await)
}

async fn poll(State(api): State<Arc<Api>>, request: Request) -> Response {
    let polled = async {
        let transaction = params::read(request).await?.transaction;
        let missing = || ApiError::malformed("give a transaction_id");
        polled(&api, &transaction.ok_or_else(missing)?).await
    };
    respond(&api, polled.await)
}

async fn poll_one(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Response {
    respond(&api, polled(&api, &id).await)
}

/// An answer and the nonce that goes with it.
type Answered = Result<(Answer, Option<String>), ApiError>;

fn respond(api: &Api, answered: Answered) -> Response {
    let now_ms = api.appliance().clock.now().wall_ms;
    match answered {
        Ok((answer, nonce)) => answer.into_response(now_ms, nonce),
        Err(failed) => answer::failure(&failed, now_ms),
    }
}

/// Reads a request and acts on it for whoever sent it.
async fn asked(
    api: &Arc<Api>,
    request: Request,
    act: fn(&Appliance, &Caller, &Params) -> Result<Answer, ApiError>,
) -> Answered {
    let peer = request.extensions().get::<Peer>().cloned().ok_or_else(ApiError::unauthorised)?;
    let key = key(request.headers())?;
    let params = params::read(request).await?;
    api.act(move |app| {
        let caller = match auth::caller(app, &peer, key.as_deref())? {
            Ok(caller) => caller,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(act(app, &caller, &params).map(|answer| (answer, params.nonce)))
    })
    .await?
}

/// The key in a header, with or without `Bearer`.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(PI_AUTHORIZATION).or_else(|| headers.get(header::AUTHORIZATION)) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| ApiError::unauthorised())?.trim();
    let key = match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        Some(_) => return Err(ApiError::unauthorised()),
        None => text,
    };
    if key.is_empty() || key.len() > KEY_MAX {
        Err(ApiError::unauthorised())
    } else {
        Ok(Some(key.to_owned()))
    }
}

fn whose(params: &Params) -> Result<Whose, ApiError> {
    if params.user.is_none() && params.serial.is_none() {
        return Err(ApiError::malformed("give a user or a serial"));
    }
    Ok(Whose { user: params.user.clone(), serial: params.serial.clone() })
}

fn judge(app: &Appliance, caller: &Caller, params: &Params) -> Result<Answer, ApiError> {
    let whose = whose(params)?;
    caller.need(app, Right::Verify)?;
    if let Some(transaction) = &params.transaction {
        return response(app, caller, transaction, &whose, &params.pass);
    }
    if !params.pass.is_empty() {
        return code(app, caller, params);
    }
    caller.need(app, Right::Challenge)?;
    match ordered(app, caller, &whose, params) {
        // Where no code can be sent, an empty one is a code like any other.
        Err(FlowError::NoModem) => code(app, caller, params),
        Err(failed) => Err(failed.into()),
        Ok(Ok(view)) => Ok(Answer::Challenged(view.row.id)),
        Ok(Err(reason)) => Ok(rejection(app, params, reason)),
    }
}

fn order(app: &Appliance, caller: &Caller, params: &Params) -> Result<Answer, ApiError> {
    let whose = whose(params)?;
    caller.need(app, Right::Challenge)?;
    match ordered(app, caller, &whose, params) {
        Err(FlowError::NoModem) => Ok(Answer::Triggered(None)),
        Err(failed) => Err(failed.into()),
        Ok(Ok(view)) => Ok(Answer::Triggered(Some(view.row.id))),
        Ok(Err(reason)) => match rejection(app, params, reason) {
            talkative @ (Answer::NoUser | Answer::NoToken) => Ok(talkative),
            _ => Ok(Answer::Triggered(None)),
        },
    }
}

fn ordered(
    app: &Appliance,
    caller: &Caller,
    whose: &Whose,
    params: &Params,
) -> Result<Result<challenge::View, domain::verify::Reason>, FlowError> {
    match params.kind.as_deref() {
        None | Some(SMS) => challenge::order(app, caller, whose),
        // No other type of challenge can be had: as if there were no modem for it.
        Some(_) => Err(FlowError::NoModem),
    }
}

fn rejection(app: &Appliance, params: &Params, reason: domain::verify::Reason) -> Answer {
    Answer::rejection(app.config.privacyidea_verbose, Some(reason), params.user.is_none())
}

/// A code of a token.
fn code(app: &Appliance, caller: &Caller, params: &Params) -> Result<Answer, ApiError> {
    let (target, serial) = match (&params.user, &params.serial) {
        (Some(user), serial) => (Target::User(user.clone()), serial.clone()),
        (None, serial) => (Target::Token(serial.clone().unwrap_or_default()), None),
    };
    let only = Only { serial, kind: params.kind.clone() };
    let attempt = Attempt { target, only, otp: params.pass.clone(), request_id: None };
    let judged = verify::judge(app, caller, &attempt)?;
    Ok(match super::verify::answer(judged.verdict) {
        Verdict::Accept { token, .. } => {
            let token_of = |policy: domain::token::Policy| {
                let digits = policy.format.digits.get() + u8::from(policy.format.checksum);
                (policy.factor.name(), digits)
            };
            let kind = judged.policy.map(token_of);
            Answer::Accepted { message: answer::MATCHED, serial: token, token: kind }
        }
        Verdict::Reject => {
            let verbose = app.config.privacyidea_verbose;
            Answer::rejection(verbose, judged.reason, params.user.is_none())
        }
    })
}

/// A code that was sent.
fn response(
    app: &Appliance,
    caller: &Caller,
    transaction: &str,
    whose: &Whose,
    otp: &str,
) -> Result<Answer, ApiError> {
    caller.need(app, Right::Challenge)?;
    // A handle that is none is answered as one that nobody has: with a rejection.
    let id = parse_handle(transaction).unwrap_or_default();
    let verdict = challenge::verify_of(app, caller, &id, whose, otp)?;
    Ok(match super::verify::answer(verdict) {
        Verdict::Accept { token, .. } => {
            let kind = (SMS, app.config.terms.digits);
            Answer::Accepted { message: answer::ANSWERED, serial: token, token: Some(kind) }
        }
        Verdict::Reject if app.config.privacyidea_verbose => Answer::Rejected(answer::UNANSWERED),
        Verdict::Reject => Answer::Rejected(answer::REJECTED),
    })
}

/// Tells anybody who has the handle where a challenge stands, and nothing else about it.
async fn polled(api: &Arc<Api>, transaction: &str) -> Answered {
    let id = parse_handle(transaction).unwrap_or_default();
    let state = api.act(move |app| challenge::state(app, &id)).await?;
    Ok((Answer::Polled(answer::Poll::of(state)), None))
}
