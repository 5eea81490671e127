//! `/v1/users/{name}/push`: a user's registered phones.

use std::sync::Arc;

use axum::extract::State;
use domain::role::Right;

use super::auth::Authenticated;
use super::body::Path;
use super::error::ApiError;
use super::users::user_name;
use super::{Api, wire};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::error::FlowError;
use crate::flows::push::{codes, device};
use crate::flows::users;
use crate::store::token;

/// A phone as it is shown.
pub(super) fn view(app: &Appliance, found: &device::View) -> Result<wire::PushDevice, FlowError> {
    let pair = match found.row.pair_id {
        None => None,
        Some(id) => app.store.read(|c| token::by_id(c, &id))?.map(|row| row.serial.to_string()),
    };
    Ok(wire::PushDevice {
        serial: found.row.serial.to_string(),
        name: found.name.clone(),
        system: found.system.clone(),
        state: found.row.lifecycle.name().to_owned(),
        pair,
        loa: found.row.loa,
        created_at: rfc3339(found.row.created_at),
        used_at: found.row.used_at.map(rfc3339),
    })
}

/// List a user's registered phones. The tokens' paths suspend, resume and revoke them.
#[utoipa::path(get, path = "/v1/users/{name}/push", tag = "phones", operation_id = "list_phones",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 200, description = "Those that are not revoked", body = wire::Phones),
    ))]
pub(super) async fn of_user(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<axum::Json<wire::Phones>, ApiError> {
    let name = user_name(&name)?;
    let found = api
        .act_as(caller, Right::ReadUsers, move |app, _| {
            let phones = device::of_user(app, &name)?;
            let items = phones.iter().map(|found| view(app, found)).collect::<Result<Vec<_>, _>>()?;
            let recovery_codes_left = codes::left(app, &users::find(app, &name)?)?;
            Ok(wire::Phones { items, recovery_codes_left })
        })
        .await?;
    Ok(axum::Json(found))
}
