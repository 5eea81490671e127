//! `/v1/users/{name}/...`: what operators see and change about a user's account.

use std::sync::Arc;

use axum::extract::State;
use domain::method::Method;
use domain::role::Right;

use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::ApiError;
use super::users::{user_name, view};
use super::{Api, tokens, wire};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::flows::accounts::{self, Wanted};
use crate::flows::methods::{self, Methods};
use crate::flows::phones::{self, Change};
use crate::flows::{Caller, handle, users};
use crate::store::letter::LetterRow;
use domain::token::Class;

type User = Result<axum::Json<wire::User>, ApiError>;

/// Reads the name of a method.
pub(super) fn method(name: &str) -> Result<Method, ApiError> {
    Method::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Method::ALL.iter().map(|method| method.name()).collect();
        ApiError::malformed(format!("{name:?} is no method; there are {}", known.join(", ")))
    })
}

/// An open letter as it is shown.
pub(super) fn letter(row: &LetterRow) -> wire::LetterState {
    wire::LetterState {
        id: handle(&row.order.id),
        kind: row.order.kind.name().to_owned(),
        state: row.progress.state.name().to_owned(),
        delivery: row.order.delivery.name().to_owned(),
        ordered_at: rfc3339(row.ordered_at),
        valid_until: row.progress.valid_until_ms.map(rfc3339),
    }
}

fn shown(app: &Appliance, methods: Methods) -> wire::Methods {
    let now = app.clock.now();
    let of = |class| {
        methods.of_class(class).map(|row| tokens::view(row, row.state.is_locked(&now))).collect::<Vec<_>>()
    };
    wire::Methods {
        oath: of(Class::Soft),
        hardware: of(Class::Hard),
        user: methods.user.name.to_string(),
        active: methods.user.active_method.name().to_owned(),
        next: methods.user.next_method.map(|method| method.name().to_owned()),
        password: methods.user.password_hash.is_some(),
        email: methods.user.email.is_some(),
        address: methods.user.postal_address.is_some(),
        letters: methods.letters.iter().map(letter).collect(),
        phone: methods.phone.map(|bound| wire::BoundPhone {
            masked: bound.masked,
            number: bound.number,
            state: bound.row.state,
            source: bound.row.source,
            loa: bound.row.loa,
            registered_at: rfc3339(bound.row.registered_at),
        }),
    }
}

/// Show what a user can log in with.
#[utoipa::path(get, path = "/v1/users/{name}/methods", tag = "users", operation_id = "show_methods",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The methods", body = wire::Methods),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<axum::Json<wire::Methods>, ApiError> {
    let name = user_name(&name)?;
    let found = api
        .act_as(caller, Right::ReadUsers, move |app, caller| {
            methods::of_user(app, caller, &name).map(|methods| shown(app, methods))
        })
        .await?;
    Ok(axum::Json(found))
}

/// Set the method in use, the one to move to, or both.
#[utoipa::path(put, path = "/v1/users/{name}/auth-method", tag = "users", operation_id = "set_methods",
    params(("name" = String, Path)), request_body = wire::MethodChange,
    responses(ApiError,
        (status = 200, description = "Set", body = wire::Methods),
    ))]
pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(change): Json<wire::MethodChange>,
) -> Result<axum::Json<wire::Methods>, ApiError> {
    let name = user_name(&name)?;
    let active = change.active.as_deref().map(method).transpose()?;
    let next = change.next.map(|next| next.as_deref().map(method).transpose()).transpose()?;
    if active.is_none() && next.is_none() {
        return Err(ApiError::malformed("give active, next, or both"));
    }
    let set = api
        .act_as(caller, Right::WriteUsers, move |app, caller| {
            accounts::set_methods(app, caller, &name, active, next)?;
            methods::of_user(app, caller, &name).map(|methods| shown(app, methods))
        })
        .await?;
    Ok(axum::Json(set))
}

async fn change(api: Arc<Api>, caller: Caller, name: &str, wanted: Wanted) -> User {
    let name = user_name(name)?;
    let changed = api
        .act_as(caller, Right::WriteUsers, move |app, caller| accounts::change(app, caller, &name, wanted))
        .await?;
    Ok(axum::Json(view(changed)))
}

/// Set a user's local password.
#[utoipa::path(put, path = "/v1/users/{name}/password", tag = "users", operation_id = "set_password",
    params(("name" = String, Path)), request_body = wire::NewPassword,
    responses(ApiError, (status = 200, description = "Set", body = wire::User)))]
pub(super) async fn set_password(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewPassword>,
) -> User {
    change(api, caller, &name, Wanted::Password(Some(new.password))).await
}

/// Take a user's local password away.
#[utoipa::path(delete, path = "/v1/users/{name}/password", tag = "users", operation_id = "remove_password",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Taken away", body = wire::User)))]
pub(super) async fn remove_password(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> User {
    change(api, caller, &name, Wanted::Password(None)).await
}

/// Set a user's e-mail address.
#[utoipa::path(put, path = "/v1/users/{name}/email", tag = "users", operation_id = "set_email",
    params(("name" = String, Path)), request_body = wire::NewEmail,
    responses(ApiError, (status = 200, description = "Set", body = wire::User)))]
pub(super) async fn set_email(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewEmail>,
) -> User {
    change(api, caller, &name, Wanted::Email(Some(new.email))).await
}

/// Take a user's e-mail address away.
#[utoipa::path(delete, path = "/v1/users/{name}/email", tag = "users", operation_id = "remove_email",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Taken away", body = wire::User)))]
pub(super) async fn remove_email(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> User {
    change(api, caller, &name, Wanted::Email(None)).await
}

/// Set a user's postal address.
#[utoipa::path(put, path = "/v1/users/{name}/address", tag = "users", operation_id = "set_address",
    params(("name" = String, Path)), request_body = wire::NewAddress,
    responses(ApiError, (status = 200, description = "Set", body = wire::User)))]
pub(super) async fn set_address(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewAddress>,
) -> User {
    if new.lines.is_empty() {
        return Err(ApiError::malformed("an address has at least one line; DELETE takes it away"));
    }
    change(api, caller, &name, Wanted::Address(Some(new.lines))).await
}

/// Take a user's postal address away.
#[utoipa::path(delete, path = "/v1/users/{name}/address", tag = "users", operation_id = "remove_address",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Taken away", body = wire::User)))]
pub(super) async fn remove_address(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> User {
    change(api, caller, &name, Wanted::Address(None)).await
}

/// Set a user's language.
#[utoipa::path(put, path = "/v1/users/{name}/lang", tag = "users", operation_id = "set_lang",
    params(("name" = String, Path)), request_body = wire::NewLang,
    responses(ApiError, (status = 200, description = "Set", body = wire::User)))]
pub(super) async fn set_lang(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(new): Json<wire::NewLang>,
) -> User {
    change(api, caller, &name, Wanted::Lang(new.lang)).await
}

/// Lock a user until `unlock`.
#[utoipa::path(post, path = "/v1/users/{name}/lock", tag = "users", operation_id = "lock_user",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Locked", body = wire::User)))]
pub(super) async fn lock(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> User {
    let name = user_name(&name)?;
    let locked =
        api.act_as(caller, Right::WriteUsers, move |app, caller| users::lock(app, caller, &name)).await?;
    Ok(axum::Json(view(locked)))
}

async fn change_phone(api: Arc<Api>, caller: Caller, name: &str, change: Change) -> User {
    let name = user_name(name)?;
    let changed = api
        .act_as(caller, Right::WriteUsers, move |app, caller| phones::change(app, caller, &name, change))
        .await?;
    Ok(axum::Json(view(changed)))
}

/// Forget a user's number.
#[utoipa::path(delete, path = "/v1/users/{name}/phone", tag = "users", operation_id = "remove_phone",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Forgotten", body = wire::User)))]
pub(super) async fn remove_phone(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> User {
    change_phone(api, caller, &name, Change::Remove).await
}

/// Set a user's number aside: it gets no codes until it is resumed.
#[utoipa::path(post, path = "/v1/users/{name}/phone/suspend", tag = "users", operation_id = "suspend_phone",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "Set aside", body = wire::User)))]
pub(super) async fn suspend_phone(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> User {
    change_phone(api, caller, &name, Change::Suspend).await
}

/// Take a user's number back into use.
#[utoipa::path(post, path = "/v1/users/{name}/phone/resume", tag = "users", operation_id = "resume_phone",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "In use", body = wire::User)))]
pub(super) async fn resume_phone(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> User {
    change_phone(api, caller, &name, Change::Resume).await
}
