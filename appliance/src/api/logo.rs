//! `/v1/mfa/logo`: the picture that phones show, and where they fetch it (COMB-11).

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use domain::role::Right;
use parking_lot::Mutex;

use super::auth::Authenticated;
use super::body::read_up_to;
use super::cached::{self, Keep};
use super::error::ApiError;
use super::{Api, wire};
use crate::appliance::Appliance;
use crate::bucket::{Allowance, Bucket};
use crate::clock::rfc3339;
use crate::config::logo::LOGO_MAX;
use crate::error::FlowError;
use crate::flows::push::logo::{self, PATH};
use crate::store::logo::LogoRow;

/// Who may ask for the picture in a moment, over everybody, and how many more in a second: it may have a mebibyte.
const EVERYBODY: Allowance = Allowance { burst: 200.0, per_s: 20.0 };

static BUCKET: LazyLock<Mutex<Bucket>> =
    LazyLock::new(|| Mutex::new(Bucket::full(EVERYBODY, Instant::now())));

fn view(app: &Appliance, row: &LogoRow) -> Result<wire::Logo, FlowError> {
    Ok(wire::Logo {
        kind: row.kind.clone(),
        width: row.width,
        height: row.height,
        bytes: row.picture.len(),
        sha256: data_encoding::HEXLOWER.encode(&row.sha256()),
        set_at: rfc3339(row.set_at),
        url: logo::address(app)?.map(|address| address.as_str().to_owned()),
    })
}

/// Store the picture that phones show, in place of the one before: PNG or JPEG, up to 1 MiB and 1024 x 1024 pixels.
#[utoipa::path(put, path = "/v1/mfa/logo", tag = "phones", operation_id = "set_logo",
    request_body(content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg")), description = "The file as it is"),
    responses(ApiError, (status = 200, description = "Stored", body = wire::Logo)))]
pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Result<axum::Json<wire::Logo>, ApiError> {
    let max = usize::try_from(LOGO_MAX).unwrap_or(usize::MAX);
    let picture = read_up_to(request, max).await?.to_vec();
    let stored = api
        .act_as(caller, Right::Administer, move |app, caller| view(app, &logo::set(app, caller, picture)?))
        .await?;
    Ok(axum::Json(stored))
}

/// Show what is known of the picture that phones show.
#[utoipa::path(get, path = "/v1/mfa/logo", tag = "phones", operation_id = "show_logo",
    responses(ApiError, (status = 200, description = "The picture", body = wire::Logo)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::Logo>, ApiError> {
    let found = api.act_as(caller, Right::Administer, |app, _| view(app, &logo::stored(app)?)).await?;
    Ok(axum::Json(found))
}

/// Erase the picture that phones show.
#[utoipa::path(delete, path = "/v1/mfa/logo", tag = "phones", operation_id = "clear_logo",
    responses(ApiError, (status = 204, description = "Erased")))]
pub(super) async fn clear(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<StatusCode, ApiError> {
    api.act_as(caller, Right::Administer, logo::clear).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The picture itself. Nobody logs in for it: phones fetch it by the address in their QR code.
async fn picture(State(api): State<Arc<Api>>, asked: HeaderMap) -> Result<Response, ApiError> {
    if !BUCKET.lock().take(EVERYBODY, Instant::now()) {
        return Err(ApiError::rate_limited("too many ask for the picture at once"));
    }
    let row = api.act(logo::shown).await?;
    let kind = HeaderValue::from_str(&row.kind).map_err(|_| ApiError::not_found("logo"))?;
    Ok(cached::picture(&asked, Keep::Minutes, kind, row.picture))
}

/// Where phones fetch it.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(picture))
}
