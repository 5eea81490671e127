//! `/v1/flows` and `/v1/sessions`: the steps that the pages show, for applications with pages of their own, and
//! the door to ours (C.9).
//!
//! An answer that is wrong is a problem whose code is the key of the requirement lists; it carries the flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::role::Right;
use domain::token::Id;
use zeroize::Zeroizing;

use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::{ApiError, PROBLEM_JSON};
use super::users::user_name;
use super::{Api, wire};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::flows::journey::{self, Asked, Details, Door, Input, Outcome, Start, View};
use crate::flows::{Caller, FlowError, handle, parse_handle};

/// What is asked, the fields of its answer, and the action that takes it.
fn question(view: &View) -> (&'static [&'static str], Option<&'static str>) {
    match view.asked {
        Asked::Username => (&["user"], Some("username")),
        Asked::Password if view.user.is_some() => (&["password"], Some("password")),
        Asked::Password => (&["user", "password"], Some("password")),
        Asked::Select | Asked::Migrate => (&["option"], Some("choose")),
        Asked::OathActivate if view.unconfirmed => (&[], Some("continue")),
        Asked::SmsCode | Asked::OathCode | Asked::OathActivate | Asked::EmailCode => {
            (&["otp"], Some("verify"))
        }
        Asked::OathResync => (&["otp", "otp_next"], Some("verify")),
        Asked::Number => (&["number"], Some("number")),
        Asked::NumberVerify if view.wants_iak => (&["otp", "iak"], Some("verify")),
        Asked::NumberVerify => (&["otp"], Some("verify")),
        Asked::Details => (&["user", "password", "email", "address"], Some("details")),
        Asked::RecoveryCode => (&["otp"], Some("verify")),
        Asked::MfaRegister if view.wants_first_code => (&["otp"], Some("verify")),
        Asked::SmsWait
        | Asked::Info
        | Asked::NoLetter
        | Asked::PushWait
        | Asked::MfaRegister
        | Asked::RecoveryCodes => (&[], Some("continue")),
        Asked::Done | Asked::Failed => (&[], None),
    }
}

/// Every action that the flow takes now.
fn actions(view: &View) -> Vec<&'static str> {
    let (_, main) = question(view);
    let Some(main) = main else { return Vec::new() };
    let others = [
        (view.can_resend, "resend"),
        (view.can_register, "register"),
        (view.can_resync, "resync"),
        (view.can_code, "code-instead"),
        (view.can_recover, "recover"),
        (view.can_reveal || view.can_reveal_again, "reveal"),
        (view.can_skip, "skip"),
        (view.can_back, "back"),
        (view.can_order, "order-letter"),
        (true, "cancel"),
    ];
    let may = others.into_iter().filter(|(may, _)| *may).map(|(_, action)| action);
    std::iter::once(main).chain(may).collect()
}

fn result(outcome: Outcome) -> wire::FlowResult {
    wire::FlowResult {
        user: outcome.user.to_string(),
        amr: outcome.amr,
        loa: outcome.loa,
        active_method: outcome.active_method.name().to_owned(),
    }
}

fn flow(app: &Appliance, view: View) -> wire::Flow {
    let handle = handle(&view.flow);
    let path = |action: &str| format!("/v1/flows/{handle}/{action}");
    let links: BTreeMap<String, String> =
        actions(&view).into_iter().map(|action| (action.to_owned(), path(action))).collect();
    let (fields, _) = question(&view);
    let page = app.config.people.pages.public_url.as_ref().map(|url| format!("{url}/ui/f/{handle}"));
    wire::Flow {
        definition: view.definition,
        step: view.asked.name().to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        links,
        options: view
            .options
            .into_iter()
            .map(|option| wire::FlowOption { name: option.name, label: option.label })
            .collect(),
        error: view.error.map(str::to_owned),
        notice: view.notice.map(str::to_owned),
        phone_masked: view.phone_masked,
        expires_at: view.expires_at_ms.map(rfc3339),
        user: view.user.map(|user| user.to_string()),
        lang: view.lang,
        page,
        activation: view.shown.map(|shown| wire::Activation {
            otpauth_uri: shown.uri.to_string(),
            qr_svg: shown.qr_svg.to_string(),
            base32: shown.base32.to_string(),
            existing: shown.existing,
        }),
        number: view.number,
        registration: view.scan.map(|scan| wire::PhoneRegistration {
            kind: scan.kind.name().to_owned(),
            uri: scan.uri.to_string(),
            qr_svg: scan.qr_svg.to_string(),
            message: scan.message,
        }),
        recovery_codes: view.codes.map(|codes| codes.iter().map(|code| code.as_str().to_owned()).collect()),
        // Where a one-time code goes back with the browser, the code is the only way to the result.
        result: view.outcome.filter(|_| view.redirect.is_none()).map(result),
        flow: handle,
    }
}

/// An answer to an act: the flow, or the problem that the last answer was.
enum Shown {
    Good(StatusCode, wire::Flow),
    Wrong(wire::FlowProblem),
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        match self {
            Shown::Good(status, flow) => (status, axum::Json(flow)).into_response(),
            Shown::Wrong(problem) => {
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                let mut response = (status, axum::Json(problem)).into_response();
                response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
                response
            }
        }
    }
}

fn shown(app: &Appliance, status: StatusCode, view: View) -> Shown {
    let Some(key) = view.error else { return Shown::Good(status, flow(app, view)) };
    let status = if key.ends_with("too-many-attempts") || key == "sms.rate_limited" {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let detail = app.config.texts.text(&view.lang, key, &[]);
    Shown::Wrong(wire::FlowProblem {
        kind: format!("urn:countersign:problem:{key}"),
        title: status.canonical_reason().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        code: key.to_owned(),
        detail,
        retry: view.asked != Asked::Failed,
        flow: flow(app, view),
    })
}

fn id(text: &str) -> Result<Id, ApiError> {
    parse_handle(text).ok_or_else(|| ApiError::not_found("flow"))
}

/// Begin a flow.
#[utoipa::path(post, path = "/v1/flows", tag = "flows", operation_id = "start_flow",
    request_body = wire::NewFlow,
    responses(ApiError,
        (status = 201, description = "What it asks", body = wire::Flow),
        (status = 422, description = "It could not begin", body = wire::FlowProblem, content_type = "application/problem+json"),
    ))]
pub(super) async fn start(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewFlow>,
) -> Result<Response, ApiError> {
    let asserted = new.user.as_deref().map(user_name).transpose()?;
    let start = Start {
        definition: new.flow,
        asserted,
        attributes: new.attributes.into_iter().collect(),
        lang: new.lang,
        return_url: new.return_url,
        return_state: new.state,
        session: None,
    };
    let begun = api
        .act_as(caller, Right::Challenge, move |app, caller| {
            if start.asserted.is_some() {
                caller.need(app, Right::AssertUser)?;
            }
            if !start.attributes.is_empty() {
                caller.need(app, Right::AssertPhone)?;
            }
            journey::start(app, caller, start).map(|view| shown(app, StatusCode::CREATED, view))
        })
        .await?;
    Ok(begun.into_response())
}

/// Begin a login with name and password.
#[utoipa::path(post, path = "/v1/sessions", tag = "flows", operation_id = "start_session",
    request_body = wire::NewSession,
    responses(ApiError,
        (status = 201, description = "What it asks next", body = wire::Flow),
        (status = 422, description = "Name or password is wrong", body = wire::FlowProblem, content_type = "application/problem+json"),
    ))]
pub(super) async fn session(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewSession>,
) -> Result<Response, ApiError> {
    let password = Zeroizing::new(new.password);
    let begun = api
        .act_as(caller, Right::Challenge, move |app, caller| {
            let definition = new.flow.or_else(|| app.config.people.pages.login_flow.clone());
            let definition = definition.ok_or(FlowError::NotFound("login flow"))?;
            let begun = journey::start(app, caller, Start { definition, ..Start::default() })?;
            if begun.asked != Asked::Password {
                return Err(FlowError::Step("flow.wrong_step"));
            }
            let answer = Input::Password { name: Some(new.user), password };
            let view = journey::act(app, &Door::Application(caller), &begun.flow, answer)?;
            Ok(shown(app, StatusCode::CREATED, view))
        })
        .await?;
    Ok(begun.into_response())
}

/// Show a flow to the application that began it.
#[utoipa::path(get, path = "/v1/flows/{id}", tag = "flows", operation_id = "show_flow",
    params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "What it asks", body = wire::Flow),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Flow>, ApiError> {
    let id = id(&text)?;
    let found = api
        .act_as(caller, Right::Challenge, move |app, caller| {
            journey::view(app, &Door::Application(caller), &id).map(|view| flow(app, view))
        })
        .await?;
    Ok(axum::Json(found))
}

/// The answer of an action; none for an action that there is not.
fn input(action: &str, answer: wire::Answer) -> Option<Input> {
    let secret = |text: Option<String>| Zeroizing::new(text.unwrap_or_default());
    Some(match action {
        "username" => Input::Username(answer.user.unwrap_or_default()),
        "password" => Input::Password { name: answer.user, password: secret(answer.password) },
        "choose" => Input::Choose(answer.option.unwrap_or_default()),
        "number" => Input::Number(answer.number.unwrap_or_default()),
        "verify" if answer.otp_next.is_some() => Input::Consecutive {
            otp: answer.otp.unwrap_or_default(),
            next: answer.otp_next.unwrap_or_default(),
        },
        "verify" => {
            Input::Verify { otp: answer.otp.unwrap_or_default(), iak: answer.iak.map(Zeroizing::new) }
        }
        "details" => Input::Details(Details {
            name: answer.user.unwrap_or_default(),
            password: secret(answer.password),
            email: answer.email,
            address: answer.address,
        }),
        "resend" => Input::Resend,
        "register" => Input::Register,
        "resync" => Input::Resync,
        "continue" => Input::Continue,
        "code-instead" => Input::CodeInstead,
        "recover" => Input::Recover,
        "reveal" => Input::Reveal,
        "skip" => Input::Skip,
        "back" => Input::Back,
        "order-letter" => Input::OrderLetter,
        "cancel" => Input::Cancel,
        _ => return None,
    })
}

/// Answer what a flow asks. The actions that it takes now are in its `links`.
#[utoipa::path(post, path = "/v1/flows/{id}/{action}", tag = "flows", operation_id = "answer_flow",
    params(("id" = String, Path), ("action" = String, Path,
        description = "username, password, choose, number, verify, details, resend, register, resync, continue, skip, back, \
            order-letter or cancel")),
    request_body = wire::Answer,
    responses(ApiError,
        (status = 200, description = "What it asks next", body = wire::Flow),
        (status = 422, description = "The answer was wrong", body = wire::FlowProblem, content_type = "application/problem+json"),
    ))]
pub(super) async fn answer(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path((text, action)): Path<(String, String)>,
    Json(answer): Json<wire::Answer>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let input = input(&action, answer).ok_or_else(|| ApiError::not_found("action"))?;
    let act = move |app: &Appliance, caller: &Caller| {
        let view = journey::act(app, &Door::Application(caller), &id, input)?;
        Ok(shown(app, StatusCode::OK, view))
    };
    Ok(api.act_as(caller, Right::Challenge, act).await?.into_response())
}

/// Fetch the result behind the one-time code that a browser brought back. It can be fetched once.
#[utoipa::path(post, path = "/v1/flows/result", tag = "flows", operation_id = "claim_flow",
    request_body = wire::ResultCode,
    responses(ApiError,
        (status = 200, description = "How the flow ended", body = wire::ClaimedFlow),
    ))]
pub(super) async fn claim(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(brought): Json<wire::ResultCode>,
) -> Result<axum::Json<wire::ClaimedFlow>, ApiError> {
    let claimed = api
        .act_as(caller, Right::Challenge, move |app, caller| journey::claim(app, caller, &brought.code))
        .await?;
    Ok(axum::Json(wire::ClaimedFlow {
        flow: handle(&claimed.flow),
        definition: claimed.definition,
        result: result(claimed.outcome),
    }))
}
