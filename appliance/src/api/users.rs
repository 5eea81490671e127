//! `/v1/users`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::names::UserName;
use domain::phone::Msisdn;
use domain::role::Right;
use serde::Deserialize;

use super::auth::Authenticated;
use super::body::{Json, Path, Query};
use super::error::ApiError;
use super::methods::method;
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::{messages, users};

/// Items of a page unless asked otherwise, and at most.
pub(super) const PAGE: usize = 100;
pub(super) const PAGE_MAX: usize = 1000;

/// Which page of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The cursor that the page before gave.
    #[serde(default)]
    pub(super) after: String,
    /// Items at the most.
    pub(super) limit: Option<usize>,
}

impl Page {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)
    }
}

pub(super) fn user_name(text: &str) -> Result<UserName, ApiError> {
    UserName::parse(text).map_err(|error| ApiError::malformed(error.to_string()))
}

pub(super) fn number(text: &str) -> Result<Msisdn, ApiError> {
    Msisdn::parse(text).map_err(|error| ApiError::malformed(error.to_string()))
}

pub(super) fn view(view: users::UserView) -> wire::User {
    wire::User {
        name: view.row.name.to_string(),
        user_ref: view.row.user_ref,
        state: view.row.state,
        lang: view.row.lang,
        phone_masked: view.phone_masked,
        contact_phone_masked: view.contact_masked,
        failures: view.row.failures,
        created_at: rfc3339(view.row.created_at),
    }
}

/// Add a user.
#[utoipa::path(post, path = "/v1/users", tag = "users", operation_id = "add_user",
    request_body = wire::NewUser,
    responses(ApiError,
        (status = 201, description = "Added", body = wire::User),
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewUser>,
) -> Result<(StatusCode, axum::Json<wire::User>), ApiError> {
    let name = user_name(&new.name)?;
    let contact_phone = new.phone.as_deref().map(number).transpose()?;
    let active_method = new.active_method.as_deref().map(method).transpose()?;
    let new = users::NewUser {
        name,
        contact_phone,
        lang: new.lang,
        email: new.email,
        address: new.address,
        password: new.password,
        active_method,
    };
    let added =
        api.act_as(caller, Right::WriteUsers, move |app, caller| users::add(app, caller, new)).await?;
    Ok((StatusCode::CREATED, axum::Json(view(added))))
}

/// List users by name.
#[utoipa::path(get, path = "/v1/users", tag = "users", operation_id = "list_users",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses(ApiError,
        (status = 200, description = "A page", body = wire::List<wire::User>),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Query(page): Query<Page>,
) -> Result<axum::Json<wire::List<wire::User>>, ApiError> {
    let limit = page.limit();
    let found = api
        .act_as(caller, Right::ReadUsers, move |app, _| {
            let rows = users::list(app, &page.after, limit)?;
            rows.into_iter().map(|row| users::view(app, row)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let next = (found.len() == limit).then(|| found.last().map(|user| user.row.name.to_string())).flatten();
    Ok(axum::Json(wire::List { items: found.into_iter().map(view).collect(), next }))
}

/// Show a user.
#[utoipa::path(get, path = "/v1/users/{name}", tag = "users", operation_id = "show_user",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The user", body = wire::User),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<axum::Json<wire::User>, ApiError> {
    let name = user_name(&name)?;
    let found = api
        .act_as(caller, Right::ReadUsers, move |app, _| {
            users::find(app, &name).and_then(|row| users::view(app, row))
        })
        .await?;
    Ok(axum::Json(view(found)))
}

/// Bind a number that the caller has verified: from now on it gets codes.
#[utoipa::path(put, path = "/v1/users/{name}/phone", tag = "users", operation_id = "set_phone",
    params(("name" = String, Path)), request_body = wire::VerifiedPhone,
    responses(ApiError,
        (status = 200, description = "Bound", body = wire::User),
    ))]
pub(super) async fn set_phone(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(phone): Json<wire::VerifiedPhone>,
) -> Result<axum::Json<wire::User>, ApiError> {
    let (name, number) = (user_name(&name)?, number(&phone.number)?);
    let verified_by = match phone.verified_by {
        Some(text) => user_name(&text)?.to_string(),
        None => caller.actor.id.clone(),
    };
    let bound = api
        .act_as(caller, Right::AssertPhone, move |app, caller| {
            users::set_phone(app, caller, &name, &number, &verified_by)
        })
        .await?;
    Ok(axum::Json(view(bound)))
}

/// Forget a user's wrong codes.
#[utoipa::path(post, path = "/v1/users/{name}/unlock", tag = "users", operation_id = "unlock_user",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 200, description = "Unlocked", body = wire::User),
    ))]
pub(super) async fn unlock(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<axum::Json<wire::User>, ApiError> {
    let name = user_name(&name)?;
    let unlocked =
        api.act_as(caller, Right::WriteUsers, move |app, caller| users::unlock(app, caller, &name)).await?;
    Ok(axum::Json(view(unlocked)))
}

/// Send a test text to a user's verified number.
#[utoipa::path(post, path = "/v1/users/{name}/phone/test", tag = "users", operation_id = "test_phone",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 202, description = "On its way", body = wire::Message),
    ))]
pub(super) async fn test_phone(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<(StatusCode, axum::Json<wire::Message>), ApiError> {
    let name = user_name(&name)?;
    let queued =
        api.act_as(caller, Right::TestPhone, move |app, caller| messages::test(app, caller, &name)).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(super::messages::view(&queued))))
}
