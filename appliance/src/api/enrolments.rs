//! `/v1/enrolments`: from the request for a factor to its binding (B.5.6).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::enrol::{Channel, Factor, Level, Method, Product, State as Stands};
use domain::names::Serial;
use domain::registration::Kind;
use domain::role::Right;
use domain::token::Id;
use serde::Deserialize;

use super::auth::Authenticated;
use super::awaited::Wait;
use super::body::{Json, Maybe, Path, Query};
use super::error::ApiError;
use super::users::{PAGE, PAGE_MAX, user_name};
use super::{Api, registrations, wire};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::flows::enrol::{self, Evidence, Info, NewRequest, Shown, View, Wanted, Why};
use crate::flows::push::device;
use crate::flows::{Caller, FlowError, OPERATOR, handle, parse_handle, users};
use crate::store::appointment::AppointmentRow;
use crate::store::enrolment_list::Sequence;

/// Which factor of the user's it is unless the request says otherwise.
const FACTOR_INDEX: u8 = 2;

/// Which enrolments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    user: Option<String>,
    state: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) fn id(text: &str) -> Result<Id, ApiError> {
    parse_handle(text).ok_or_else(|| ApiError::not_found("enrolment"))
}

fn serial(text: &str) -> Result<Serial, ApiError> {
    Serial::parse(text).map_err(|error| ApiError::malformed(error.to_string()))
}

pub(super) fn word<T: Copy>(
    what: &str,
    text: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, ApiError> {
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        ApiError::malformed(format!("{what}: must be one of {}", names.join(", ")))
    })
}

pub(super) fn level(value: f64) -> Result<Level, ApiError> {
    Level::from_value(value).ok_or_else(|| ApiError::malformed("level: must be 1, 1.5, 2 or 3"))
}

pub(super) fn appointment(row: &AppointmentRow) -> wire::Appointment {
    wire::Appointment {
        id: handle(&row.id),
        starts_at: rfc3339(row.starts_at),
        minutes: row.minutes,
        place: row.place.clone(),
        organisation: Some(row.organisation.clone()).filter(|name| !name.is_empty()),
        offered_by: row.published_by.clone(),
        enrolment: row.enrolment.map(|id| handle(&id)),
    }
}

fn phone(found: &device::View) -> wire::EnrolledPhone {
    wire::EnrolledPhone {
        serial: found.row.serial.to_string(),
        name: Some(found.name.clone()).filter(|name| !name.is_empty()),
        state: found.row.lifecycle.name().to_owned(),
    }
}

pub(super) fn view(view: View) -> wire::Enrolment {
    let (order, progress) = (&view.row.order, view.row.progress);
    let [vetter, second_vetter] = view.vetters.clone();
    wire::Enrolment {
        id: handle(&order.id),
        user: view.user.clone(),
        factor_index: order.factor_index,
        channel: order.channel.name().to_owned(),
        requested_by: order.by.name().to_owned(),
        organisation: Some(view.row.organisation.clone()).filter(|name| !name.is_empty()),
        method: order.method.name().to_owned(),
        target: order.target.value(),
        policy: order.policy.clone(),
        state: progress.state.name().to_owned(),
        done: progress.done.iter().map(|activity| activity.name().to_owned()).collect(),
        factor: progress.factor.map(|factor| factor.name().to_owned()),
        token: view.token.clone(),
        phone: view.phone,
        phone_masked: view.number.clone(),
        push: view.app.as_ref().map(phone),
        eligible_at: progress.eligible_at_ms.map(rfc3339),
        code_valid_until: progress.code_until_ms.map(rfc3339),
        appointment: view.appointment.as_ref().map(appointment),
        vetter,
        second_vetter,
        loa: progress.level.map(Level::value),
        loa_rule: view.row.rule,
        reason: view.row.reason.clone(),
        name: view.info.name.clone(),
        email: view.info.email.clone(),
        created_at: rfc3339(view.row.created_at),
    }
}

impl Api {
    /// Runs an act at an enrolment, which looks itself whether the caller may.
    pub(super) async fn at_enrolment(
        self: &Arc<Self>,
        caller: Caller,
        text: &str,
        act: impl FnOnce(&Appliance, &Caller, &Id) -> Result<View, FlowError> + Send + 'static,
    ) -> Result<axum::Json<wire::Enrolment>, ApiError> {
        let id = id(text)?;
        let done = self.act(move |app| act(app, &caller, &id)).await?;
        Ok(axum::Json(view(done)))
    }
}

/// Ask for a factor. Whether the user may have it is looked at in the same act: who may not is `rejected`.
#[utoipa::path(post, path = "/v1/enrolments", tag = "enrolments", operation_id = "request_enrolment",
    request_body = wire::NewEnrolment,
    responses(ApiError,
        (status = 201, description = "Asked for", body = wire::Enrolment),
    ))]
pub(super) async fn request(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewEnrolment>,
) -> Result<(StatusCode, axum::Json<wire::Enrolment>), ApiError> {
    let evidence = |one: wire::Assertion| Evidence { issuer: one.issuer, id: one.id, at: one.at };
    let channel = new.channel.as_deref();
    let asked = NewRequest {
        user: user_name(&new.user)?,
        method: word("method", &new.method, Method::ALL, Method::name)?,
        level: new.level.map(level).transpose()?,
        factor_index: new.factor_index.unwrap_or(FACTOR_INDEX),
        channel: channel.map(|text| word("channel", text, Channel::ALL, Channel::name)).transpose()?,
        organisation: new.organisation,
        info: Info {
            name: new.name,
            email: new.email,
            organisation: None,
            evidence: new.first_factor.map(evidence),
            shown: None,
        },
    };
    let made = api.act(move |app| enrol::request(app, &caller, asked)).await?;
    Ok((StatusCode::CREATED, axum::Json(view(made))))
}

/// List enrolments in the order of their requests. An application sees its own.
#[utoipa::path(get, path = "/v1/enrolments", tag = "enrolments", operation_id = "list_enrolments",
    params(
        ("user" = Option<String>, Query, description = "Only of this user"),
        ("state" = Option<String>, Query, description = "Only in this state"),
        ("after" = Option<String>, Query, description = "The cursor that the page before gave"),
        ("limit" = Option<usize>, Query, description = "At most 1000; 100 by default"),
    ),
    responses(ApiError,
        (status = 200, description = "A page", body = wire::List<wire::Enrolment>),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<wire::List<wire::Enrolment>>, ApiError> {
    let user = asked.user.as_deref().map(user_name).transpose()?;
    let state = asked.state.as_deref();
    let state = state.map(|text| word("state", text, Stands::ALL, Stands::name)).transpose()?;
    let unknown = || ApiError::malformed("after: not a cursor of this list");
    let after = asked.after.as_deref().map(|text| parse_handle(text).ok_or_else(unknown)).transpose()?;
    let limit = asked.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let (found, next) = api
        .act(move |app| {
            let user = user.map(|name| users::find(app, &name)).transpose()?.map(|row| row.id);
            let states = state.map(|state| vec![state]);
            let wanted = Wanted { user, states, methods: None, sequence: Sequence::AsAsked(after), limit };
            enrol::list(app, &caller, wanted)
        })
        .await?;
    let next = next.and_then(|next| match next {
        Sequence::AsAsked(last) => last.map(|id| handle(&id)),
        Sequence::OpenFirst(_) => None,
    });
    Ok(axum::Json(wire::List { items: found.into_iter().map(view).collect(), next }))
}

/// Count enrolments by method, state and level.
#[utoipa::path(get, path = "/v1/enrolments/report", tag = "enrolments", operation_id = "report_enrolments",
    responses(ApiError,
        (status = 200, description = "The counts", body = wire::List<wire::EnrolmentCount>),
    ))]
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::List<wire::EnrolmentCount>>, ApiError> {
    let counts = api.act(move |app| enrol::report(app, &caller)).await?;
    let count = |(method, state, loa, count)| wire::EnrolmentCount { method, state, loa, count };
    Ok(axum::Json(wire::List { items: counts.into_iter().map(count).collect(), next: None }))
}

/// Show an enrolment; with `wait`, once it holds a token, a phone or a number, or is over, or so many seconds later.
#[utoipa::path(get, path = "/v1/enrolments/{id}", tag = "enrolments", operation_id = "show_enrolment",
    params(("id" = String, Path), ("wait" = Option<u64>, Query, description = "Seconds, at most 25")),
    responses(ApiError, (status = 200, description = "The enrolment", body = wire::Enrolment)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Query(wait): Query<Wait>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let id = id(&text)?;
    let look = || {
        let caller = caller.clone();
        api.act(move |app| enrol::show(app, &caller, &id))
    };
    let held = |found: &View| found.row.progress.item.is_some() || !found.row.progress.state.is_open();
    Ok(axum::Json(view(wait.until(&api, look, held).await?)))
}

/// List what was done in an enrolment, step by step.
#[utoipa::path(get, path = "/v1/enrolments/{id}/activities", tag = "enrolments",
    operation_id = "list_enrolment_activities", params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "All steps", body = wire::List<wire::EnrolmentStep>),
    ))]
pub(super) async fn activities(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::List<wire::EnrolmentStep>>, ApiError> {
    let id = id(&text)?;
    let steps = api.act(move |app| enrol::activities(app, &caller, &id)).await?;
    let step = |step: enrol::Step| {
        let [actor_kind, actor, role] = step.row.actor;
        wire::EnrolmentStep {
            nth: step.row.nth,
            activity: step.row.activity.map(|activity| activity.long_id().to_owned()),
            short_id: step.row.activity.map(|activity| activity.short_id().to_owned()),
            event: step.row.event,
            event_seq: step.row.event_seq,
            at: rfc3339(step.row.at),
            actor_kind,
            actor,
            role,
            place: step.row.place,
            result: step.row.result,
            digest: data_encoding::HEXLOWER.encode(&step.row.digest),
            remark: step.remark,
        }
    };
    Ok(axum::Json(wire::List { items: steps.into_iter().map(step).collect(), next: None }))
}

/// Choose what is to be bound.
#[utoipa::path(post, path = "/v1/enrolments/{id}/factor", tag = "enrolments", operation_id = "choose_enrolment_factor",
    params(("id" = String, Path)), request_body = wire::FactorChoice,
    responses(ApiError, (status = 200, description = "Chosen", body = wire::Enrolment)))]
pub(super) async fn factor(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(choice): Json<wire::FactorChoice>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let factor = word("type", &choice.kind, Factor::ALL, Factor::name)?;
    let product = choice.product.as_deref().map(Product::parse).transpose();
    let product = product.map_err(|error| ApiError::malformed(error.to_string()))?;
    api.at_enrolment(caller, &text, move |app, caller, id| {
        enrol::select(app, caller, id, factor, product.as_ref())
    })
    .await
}

/// Make a token for an app, for this enrolment. The answer shows its secret, once.
#[utoipa::path(post, path = "/v1/enrolments/{id}/token", tag = "enrolments", operation_id = "make_enrolment_token",
    params(("id" = String, Path)),
    responses(ApiError, (status = 201, description = "Made; it is pending", body = wire::MadeToken)))]
pub(super) async fn token(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<(StatusCode, axum::Json<wire::MadeToken>), ApiError> {
    let id = id(&text)?;
    let made = api.act(move |app| enrol::make(app, &caller, &id)).await?;
    let shown = wire::MadeToken {
        serial: made.serial,
        otpauth_uri: made.uri.to_string(),
        enrolment: view(made.view),
    };
    Ok((StatusCode::CREATED, axum::Json(shown)))
}

/// Register a phone with the app, for this enrolment. The answer shows what it scans, once.
#[utoipa::path(post, path = "/v1/enrolments/{id}/phone", tag = "enrolments", operation_id = "register_enrolment_phone",
    params(("id" = String, Path)), request_body = wire::EnrolmentPhone,
    responses(ApiError, (status = 201, description = "Waiting for the phone", body = wire::RegisteringPhone)))]
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Maybe(new): Maybe<wire::EnrolmentPhone>,
) -> Result<(StatusCode, axum::Json<wire::RegisteringPhone>), ApiError> {
    let id = id(&text)?;
    let unknown = || ApiError::malformed("kind: must be combined or push");
    let kind = new.kind.as_deref();
    let kind = kind.map(|text| Kind::from_name(text).ok_or_else(unknown)).transpose()?;
    let made = api.act(move |app| enrol::register(app, &caller, &id, kind, new.locale)).await?;
    let answer = wire::RegisteringPhone {
        registration: registrations::begun(made.begun)?,
        enrolment: view(made.view),
    };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Ask the phone with the app that is to be bound, or send a code to the number that is.
#[utoipa::path(post, path = "/v1/enrolments/{id}/possession/send", tag = "enrolments",
    operation_id = "send_enrolment_possession", params(("id" = String, Path)),
    request_body = wire::PossessionOrder,
    responses(ApiError, (status = 202, description = "On its way", body = wire::PossessionSent)))]
pub(super) async fn send(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Maybe(order): Maybe<wire::PossessionOrder>,
) -> Result<(StatusCode, axum::Json<wire::PossessionSent>), ApiError> {
    let id = id(&text)?;
    let sent = api.act(move |app| enrol::send(app, &caller, &id, order.number.as_deref())).await?;
    let answer = wire::PossessionSent {
        challenge: handle(&sent.challenge),
        number: sent.number,
        phone_masked: sent.phone_masked,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}

/// Show the factor: by the applicant before the vetting, at the desk during it.
#[utoipa::path(post, path = "/v1/enrolments/{id}/possession", tag = "enrolments",
    operation_id = "show_enrolment_possession", params(("id" = String, Path)), request_body = wire::Possession,
    responses(ApiError, (status = 200, description = "It was shown", body = wire::Enrolment)))]
pub(super) async fn possession(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::Possession>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let shown = match given.challenge.as_deref() {
        Some(text) => {
            let challenge = parse_handle(text).ok_or_else(|| ApiError::not_found("challenge"))?;
            if given.otp.is_empty() {
                Shown::Push { challenge }
            } else {
                Shown::Sms { challenge, otp: given.otp }
            }
        }
        None if given.otp.is_empty() => return Err(ApiError::malformed("otp: is missing")),
        None => Shown::Token { serial: given.serial.as_deref().map(serial).transpose()?, otp: given.otp },
    };
    api.at_enrolment(caller, &text, move |app, caller, id| enrol::show_factor(app, caller, id, &shown)).await
}

/// Make a registration code. It is shown once.
#[utoipa::path(post, path = "/v1/enrolments/{id}/code", tag = "enrolments", operation_id = "make_enrolment_code",
    params(("id" = String, Path)), request_body = wire::CodeOrder,
    responses(ApiError, (status = 201, description = "The code", body = wire::RegistrationCode)))]
pub(super) async fn code(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(order): Json<wire::CodeOrder>,
) -> Result<(StatusCode, axum::Json<wire::RegistrationCode>), ApiError> {
    let id = id(&text)?;
    let issued = api.act(move |app| enrol::issue(app, &caller, &id, order.mail)).await?;
    let enrolment = view(issued.view);
    let made = wire::RegistrationCode {
        code: issued.code.to_string(),
        valid_until: enrolment.code_valid_until.clone(),
        mailed: issued.mailed,
        enrolment,
    };
    Ok((StatusCode::CREATED, axum::Json(made)))
}

/// Take a time for the vetting; a former one is free again.
#[utoipa::path(post, path = "/v1/enrolments/{id}/appointment", tag = "enrolments",
    operation_id = "book_enrolment_appointment", params(("id" = String, Path)), request_body = wire::Booking,
    responses(ApiError, (status = 200, description = "Taken", body = wire::Enrolment)))]
pub(super) async fn book(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(booking): Json<wire::Booking>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    let slot = parse_handle(&booking.appointment).ok_or_else(|| ApiError::not_found("appointment"))?;
    api.at_enrolment(caller, &text, move |app, caller, id| enrol::book(app, caller, id, &slot)).await
}

/// Give the time of a vetting back.
#[utoipa::path(delete, path = "/v1/enrolments/{id}/appointment", tag = "enrolments",
    operation_id = "return_enrolment_appointment", params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "It is free again", body = wire::Enrolment)))]
pub(super) async fn give_back(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, enrol::give_back).await
}

/// Take an enrolment back before it took effect.
#[utoipa::path(post, path = "/v1/enrolments/{id}/cancel", tag = "enrolments", operation_id = "cancel_enrolment",
    params(("id" = String, Path)), request_body = wire::EnrolmentEnd,
    responses(ApiError, (status = 200, description = "Cancelled", body = wire::Enrolment)))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(end): Json<wire::EnrolmentEnd>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, move |app, caller, id| enrol::cancel(app, caller, id, &end.reason)).await
}

/// On whose word a binding is taken back.
pub(super) fn why(caller: &Caller, revocation: &wire::Revocation) -> Why {
    match (caller.actor.kind == OPERATOR, revocation.by_user) {
        (true, true) => Why::AtRequest,
        (false, true) => Why::ByUser,
        (_, false) => Why::ByAuthority,
    }
}

/// Reason of a revocation that gives none.
pub(super) const REVOKED: &str = "revoked";

/// Take a binding back, and its factor with it.
#[utoipa::path(post, path = "/v1/enrolments/{id}/revoke", tag = "enrolments", operation_id = "revoke_enrolment",
    params(("id" = String, Path)), request_body = wire::Revocation,
    responses(ApiError, (status = 200, description = "Revoked", body = wire::Enrolment)))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(revocation): Json<wire::Revocation>,
) -> Result<axum::Json<wire::Enrolment>, ApiError> {
    api.at_enrolment(caller, &text, move |app, caller, id| {
        let why = why(caller, &revocation);
        enrol::revoke(app, caller, id, revocation.reason.as_deref().unwrap_or(REVOKED), why)
    })
    .await
}

/// Show what was vetted. That it was read is an event.
#[utoipa::path(get, path = "/v1/enrolments/{id}/identity", tag = "enrolments", operation_id = "show_enrolment_identity",
    params(("id" = String, Path)),
    responses(ApiError, (status = 200, description = "The record", body = wire::VettedIdentity)))]
pub(super) async fn identity(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::VettedIdentity>, ApiError> {
    let id = id(&text)?;
    let found = api.act(move |app| enrol::vetted(app, &caller, &id)).await?;
    let said = |parts: [Option<&str>; 3]| parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    Ok(axum::Json(wire::VettedIdentity {
        proof: found.proof.clone(),
        document: found.document.clone(),
        country: found.country.clone(),
        last6: found.last6.clone(),
        not_expired: found.not_expired,
        name_match: found.name_match,
        photo_match: found.photo_match,
        security_features: found.security_features,
        electronic_read: found.electronic_read,
        liveness: found.liveness.as_ref().map(|(how, came)| said([Some(how), Some(came), None])),
        source: found
            .source
            .as_ref()
            .map(|(name, came, reference)| said([Some(name), Some(came), reference.as_deref()])),
        vouched_by: found.vouched_by.clone(),
        vetter: found.vetter.clone(),
        second: found.second.clone(),
        at: rfc3339(found.at),
    }))
}

/// Erase what was vetted. Enrolment and events stay.
#[utoipa::path(delete, path = "/v1/enrolments/{id}/identity", tag = "enrolments",
    operation_id = "erase_enrolment_identity", params(("id" = String, Path)),
    responses(ApiError, (status = 204, description = "Erased")))]
pub(super) async fn erase(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = id(&text)?;
    api.act_as(caller, Right::WriteUsers, move |app, caller| enrol::forget_identity(app, caller, &id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget a person: key, name, numbers, addresses and password are erased, tokens are revoked, what was vetted is gone.
#[utoipa::path(post, path = "/v1/users/{name}/forget", tag = "users", operation_id = "forget_user",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Forgotten", body = wire::Forgotten)))]
pub(super) async fn forget(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Forgotten>, ApiError> {
    let name = user_name(&text)?;
    let user_ref = api
        .act_as(caller, Right::WriteUsers, move |app, caller| enrol::forget_person(app, caller, &name))
        .await?;
    Ok(axum::Json(wire::Forgotten { user_ref }))
}
