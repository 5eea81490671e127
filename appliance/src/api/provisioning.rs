//! `/v1/provisioning`: what a technician's station asks of the appliance. Messages of the link travel as hex, as the
//! device wrote them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::names::{Serial, UserName};
use domain::role::Right;
use domain::token::{Factor, Policy};
use link::{Order, Request};
use oath::ocra::QuestionLen;
use oath::{CodeFormat, Truncation};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::approvals::answer;
use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::ApiError;
use super::tokens::{policy_of, view};
use super::{Api, wire};
use crate::flows::approvals::{Act, Outcome, guarded};
use crate::flows::{Caller, FlowError, provision, users};

/// Longest name of a batch, in bytes.
const BATCH_MAX: usize = 128;
/// Most digits of a hardware token's code.
const HARD_DIGITS_MAX: u8 = 10;

pub(super) fn bytes<const N: usize>(text: &str, what: &str) -> Result<[u8; N], ApiError> {
    let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    decoded
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| ApiError::malformed(format!("{what} is not {N} bytes of hex")))
}

fn message<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, ApiError> {
    let malformed = || ApiError::malformed(format!("{what} is no message of this link version"));
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| malformed())?;
    match postcard::take_from_bytes(&bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(malformed()),
    }
}

/// A message as the device reads it, hex.
pub(crate) fn hex<T: Serialize>(message: &T) -> String {
    data_encoding::HEXLOWER
        .encode(&postcard::to_stdvec(message).expect("a message of the link is plain data"))
}

fn policy(new: &wire::BeginProvisioning) -> Result<Policy, ApiError> {
    let asks = new.kind == "ocra";
    if !asks && new.question_digits.is_some() {
        return Err(ApiError::malformed("question_digits belong to ocra"));
    }
    // Hash, digits and truncation are a counter's; only what is hashed differs.
    let token = wire::NewToken {
        kind: Some(if asks { "hotp" } else { new.kind.as_str() }.to_owned()),
        algorithm: new.algorithm.clone(),
        digits: new.digits,
        period: new.period,
        counter: new.counter,
        ..wire::NewToken::default()
    };
    let policy = nonstandard(policy_of(&token, HARD_DIGITS_MAX)?, new)?;
    if !asks {
        return Ok(policy);
    }
    if new.counter.is_some() {
        return Err(ApiError::malformed("a counter belongs to hotp"));
    }
    let question = new.question_digits.map_or(Ok(QuestionLen::EIGHT), QuestionLen::new);
    let question = question.map_err(|error| ApiError::malformed(error.to_string()))?;
    Ok(Policy { factor: Factor::Ocra { question }, ..policy })
}

/// Checksum digit and fixed offset, which the firmware has and no app can be told (COMB-24, COMB-25, D-32).
fn nonstandard(policy: Policy, new: &wire::BeginProvisioning) -> Result<Policy, ApiError> {
    if new.kind != "hotp" && (new.checksum.is_some() || new.truncation_offset.is_some()) {
        return Err(ApiError::malformed("checksum and truncation_offset belong to hotp"));
    }
    let truncation = Truncation::from_offset(new.truncation_offset.unwrap_or(-1).into());
    let truncation = truncation.map_err(|error| ApiError::malformed(error.to_string()))?;
    let checksum = new.checksum.unwrap_or(false);
    Ok(Policy { format: CodeFormat { checksum, truncation, ..policy.format }, ..policy })
}

fn batch(name: Option<&str>) -> Result<(), ApiError> {
    match name {
        Some(name) if name.is_empty() || name.len() > BATCH_MAX || name.chars().any(char::is_control) => {
            Err(ApiError::malformed(format!(
                "a batch's name has 1 to {BATCH_MAX} bytes and no control characters"
            )))
        }
        _ => Ok(()),
    }
}

/// The appliance's own key, which devices pin as their owner's.
#[utoipa::path(get, path = "/v1/provisioning/host-key", tag = "provisioning", operation_id = "host_key",
    responses(ApiError, (status = 200, description = "The key", body = wire::HostKey)))]
pub(super) async fn host_key(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::HostKey>, ApiError> {
    let key = api.act_as(caller, Right::Provision, |app, _| provision::host_key(app)).await?;
    let fingerprint = data_encoding::HEXLOWER.encode(&link::transcript::fingerprint(&link::Octets(key)).0);
    Ok(axum::Json(wire::HostKey { key: data_encoding::HEXLOWER.encode(&key), fingerprint }))
}

/// Check the maker's word for a device.
#[utoipa::path(post, path = "/v1/provisioning/attest", tag = "provisioning", operation_id = "attest_device",
    request_body = wire::Attest,
    responses(ApiError, (status = 200, description = "The maker vouches for it", body = wire::Attested)))]
pub(super) async fn attest(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(asked): Json<wire::Attest>,
) -> Result<axum::Json<wire::Attested>, ApiError> {
    let info: link::Info = message(&asked.info, "info")?;
    let attested = api
        .act_as(caller, Right::Provision, move |app, _| {
            let certificate = provision::attest(app, &info)?;
            let maker = data_encoding::HEXLOWER.encode(&certificate.maker.0);
            Ok(wire::Attested { serial: certificate.serial.as_str().to_owned(), maker })
        })
        .await?;
    Ok(axum::Json(attested))
}

/// Begin: the device's words in, a grant out that only this device can use.
#[utoipa::path(post, path = "/v1/provisioning/exchanges", tag = "provisioning", operation_id = "begin_provisioning",
    request_body = wire::BeginProvisioning,
    responses(ApiError, (status = 201, description = "Granted", body = wire::Granted)))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::BeginProvisioning>,
) -> Result<(StatusCode, axum::Json<wire::Granted>), ApiError> {
    batch(new.batch.as_deref())?;
    let begin = provision::Begin {
        info: message(&new.info, "info")?,
        start: message(&new.start, "start")?,
        challenge: message(&new.challenge, "challenge")?,
        policy: policy(&new)?,
        counter: new.counter.unwrap_or(0),
        batch: new.batch,
    };
    let granted = api
        .act_as(caller, Right::Provision, move |app, caller| provision::begin(app, caller, &begin))
        .await?;
    let answer =
        wire::Granted { exchange: format!("{:016x}", granted.exchange), install: hex(&granted.install) };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Confirm: the device's proof in, what releases its secret out. The token is in stock from here on.
#[utoipa::path(post, path = "/v1/provisioning/exchanges/{exchange}/confirm", tag = "provisioning",
    operation_id = "confirm_provisioning", params(("exchange" = String, Path)), request_body = wire::Proof,
    responses(ApiError, (status = 200, description = "Known", body = wire::Release)))]
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(exchange): Path<String>,
    Json(proof): Json<wire::Proof>,
) -> Result<axum::Json<wire::Release>, ApiError> {
    let id = u64::from_str_radix(&exchange, 16).map_err(|_| ApiError::not_found("exchange"))?;
    let tag = bytes::<16>(&proof.tag, "the tag")?;
    let commit = api
        .act_as(caller, Right::Provision, move |app, caller| provision::confirm(app, caller, id, &tag))
        .await?;
    Ok(axum::Json(wire::Release { commit: hex(&commit) }))
}

/// Show what is known of a device, and the release it may still be waiting for.
#[utoipa::path(get, path = "/v1/provisioning/devices/{serial}", tag = "provisioning", operation_id = "show_device",
    params(("serial" = String, Path)),
    responses(ApiError, (status = 200, description = "The device", body = wire::Device)))]
pub(super) async fn device(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(serial): Path<String>,
) -> Result<axum::Json<wire::Device>, ApiError> {
    let found = api.act_as(caller, Right::Provision, move |app, _| provision::device(app, &serial)).await?;
    let found = found.ok_or_else(|| ApiError::not_found("device"))?;
    let commit =
        found.held_tag.map(|tag| hex(&link::Commit { counter: found.counter, tag: link::Octets(tag) }));
    Ok(axum::Json(wire::Device {
        serial: found.serial,
        firmware: found.firmware,
        batch: found.batch,
        counter: found.counter,
        commit,
    }))
}

/// The device has committed.
#[utoipa::path(post, path = "/v1/provisioning/devices/{serial}/committed", tag = "provisioning",
    operation_id = "device_committed", params(("serial" = String, Path)), request_body = wire::Committed,
    responses(ApiError, (status = 204, description = "Noted")))]
pub(super) async fn committed(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(serial): Path<String>,
    Json(done): Json<wire::Committed>,
) -> Result<StatusCode, ApiError> {
    api.act_as(caller, Right::Provision, move |app, caller| {
        provision::committed(app, caller, &serial, done.counter)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign an order over a device's fresh challenge: `set-clock`, `lock`, `return` or `wipe`.
#[utoipa::path(post, path = "/v1/provisioning/devices/{serial}/orders", tag = "provisioning",
    operation_id = "order_device", params(("serial" = String, Path)), request_body = wire::NewOrder,
    responses(ApiError,
        (status = 200, description = "Signed", body = wire::SignedOrder),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn order(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(serial): Path<String>,
    Json(new): Json<wire::NewOrder>,
) -> Result<Response, ApiError> {
    let challenge = bytes::<16>(&new.challenge, "the challenge")?;
    let kind = new.order;
    let outcome = api
        .act_as(caller, Right::Provision, move |app, caller| {
            let (order, act) = match kind.as_str() {
                "set-clock" => (Order::SetClock { utc: app.clock.now().unix_seconds() }, None),
                "lock" => (Order::Lock, None),
                "return" => (Order::Return, Some(Act::ReturnDevice { returned: serial.clone() })),
                "wipe" => (Order::Wipe, Some(Act::WipeDevice { wiped: serial.clone() })),
                other => return Err(FlowError::Invalid(format!("{other:?} is no order"))),
            };
            let sign = |caller: &Caller| provision::order(app, caller, &serial, challenge, order);
            let signed = match act {
                None => Outcome::Done(sign(caller)?),
                Some(act) => {
                    provision::orderable(app, &serial, &order)?;
                    guarded(app, caller, &act, sign)?
                }
            };
            Ok((order, signed))
        })
        .await?;
    let (order, signed) = outcome;
    Ok(answer(signed, StatusCode::OK, |signature| {
        let request = Request::Order { order, signature: link::Octets(signature) };
        wire::SignedOrder { request: hex(&request) }
    }))
}

/// Give a token from stock to a user.
#[utoipa::path(post, path = "/v1/tokens/{serial}/assign", tag = "tokens", operation_id = "assign_token",
    params(("serial" = String, Path)), request_body = wire::Assignment,
    responses(ApiError,
        (status = 200, description = "Assigned", body = wire::Token),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn assign(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(serial): Path<String>,
    Json(to): Json<wire::Assignment>,
) -> Result<Response, ApiError> {
    let serial = Serial::parse(&serial).map_err(|error| ApiError::malformed(error.to_string()))?;
    let user = UserName::parse(&to.user).map_err(|error| ApiError::malformed(error.to_string()))?;
    let outcome = api
        .act_as(caller, Right::WriteTokens, move |app, caller| {
            let owner = users::find(app, &user)?;
            provision::givable(app, &serial)?;
            provision::room_for(app, caller, &owner)?;
            let act = Act::AssignToken { token: serial.to_string(), user: user.to_string() };
            let now = app.clock.now();
            guarded(app, caller, &act, |caller| {
                let row = provision::assign(app, caller, &serial, &owner)?;
                Ok(view(&row, row.state.is_locked(&now)))
            })
        })
        .await?;
    Ok(answer(outcome, StatusCode::OK, |token| token))
}
