//! `/v1/operators`, and who the caller is.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::role::{Right, Rights, Role};
use domain::scope::Scopes;

use super::approvals::answer;
use super::auth::Authenticated;
use super::body::{Json, Path};
use super::error::ApiError;
use super::users::user_name;
use super::{Api, wire};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::flows::approvals::{Act, guarded};
use crate::flows::operators::RoleChange;
use crate::flows::{Caller, FlowError, operators};
use crate::store::StoreError;
use crate::store::operator::OperatorRow;

fn role_names(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| role.name().to_owned()).collect()
}

fn scope_names(scopes: &Scopes) -> BTreeMap<String, Vec<String>> {
    scopes.iter().map(|(role, names)| (role.name().to_owned(), names)).collect()
}

fn right_names(rights: Rights) -> Vec<String> {
    rights.iter().map(|right| right.name().to_owned()).collect()
}

fn view(app: &Appliance, row: OperatorRow) -> wire::Operator {
    wire::Operator {
        rights: right_names(if row.revoked_at.is_none() {
            operators::rights(app, &row)
        } else {
            Rights::default()
        }),
        name: row.name.to_string(),
        uid: row.uid,
        roles: role_names(&row.roles),
        scopes: scope_names(&row.scopes),
        bounds: app.config.enrol.bounds(row.name.as_str()).names(),
        created_at: rfc3339(row.created_at),
        revoked_at: row.revoked_at.map(rfc3339),
    }
}

/// Say who the appliance takes the caller for.
#[utoipa::path(get, path = "/v1/whoami", tag = "operators", operation_id = "whoami",
    responses(ApiError, (status = 200, description = "The caller", body = wire::Whoami)))]
pub(super) async fn whoami(Authenticated(caller): Authenticated) -> axum::Json<wire::Whoami> {
    axum::Json(wire::Whoami {
        kind: caller.actor.kind.to_owned(),
        break_glass: caller.is_break_glass(),
        roles: role_names(&caller.roles),
        scopes: scope_names(&caller.scopes),
        rights: right_names(caller.rights),
        name: caller.actor.id,
    })
}

/// Make a user an operator.
#[utoipa::path(post, path = "/v1/operators", tag = "operators", operation_id = "add_operator",
    request_body = wire::NewOperator,
    responses(ApiError,
        (status = 201, description = "Added", body = wire::Operator),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewOperator>,
) -> Result<Response, ApiError> {
    let name = user_name(&new.name)?;
    let outcome = api
        .act_as(caller, Right::Operators, move |app, caller| {
            let roles = operators::parse_roles(&new.roles)?;
            let scopes = operators::parse_scope(&roles, &new.scope)?;
            operators::may_give(app, caller, &roles, &scopes)?;
            operators::check_uid(new.uid)?;
            if operators::active(app, &name)?.is_some() {
                return Err(StoreError::Exists("the operator").into());
            }
            let (operator, scope) = (name.to_string(), named(new.scope));
            let act = Act::AddOperator { operator, uid: new.uid, roles: role_names(&roles), scope };
            guarded(app, caller, &act, |caller| {
                operators::add(app, caller, &name, new.uid, (&roles, &scopes))
            })
        })
        .await?;
    Ok(answer(outcome, StatusCode::CREATED, |row| view(&api.appliance(), row)))
}

/// List operators by name, also former ones.
#[utoipa::path(get, path = "/v1/operators", tag = "operators", operation_id = "list_operators",
    responses(ApiError, (status = 200, description = "All of them", body = wire::List<wire::Operator>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<wire::List<wire::Operator>>, ApiError> {
    let rows = api.act_as(caller, Right::Operators, |app, _| operators::list(app)).await?;
    let items = rows.into_iter().map(|row| view(&api.appliance(), row)).collect();
    Ok(axum::Json(wire::List { items, next: None }))
}

/// Show an operator.
#[utoipa::path(get, path = "/v1/operators/{name}", tag = "operators", operation_id = "show_operator",
    params(("name" = String, Path)),
    responses(ApiError, (status = 200, description = "The operator", body = wire::Operator)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Operator>, ApiError> {
    let name = user_name(&text)?;
    let row = api.act_as(caller, Right::Operators, move |app, _| operators::find(app, &name)).await?;
    Ok(axum::Json(view(&api.appliance(), row)))
}

/// End an operator at once. The user stays.
#[utoipa::path(delete, path = "/v1/operators/{name}", tag = "operators", operation_id = "revoke_operator",
    params(("name" = String, Path)),
    responses(ApiError,
        (status = 204, description = "Revoked"),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let name = user_name(&text)?;
    let outcome = api
        .act_as(caller, Right::Operators, move |app, caller| {
            let row = operators::active(app, &name)?.ok_or(FlowError::NotFound("operator"))?;
            operators::may_give(app, caller, &row.roles, &row.scopes)?;
            let act = Act::RevokeOperator { operator: name.to_string() };
            guarded(app, caller, &act, |caller| operators::revoke(app, caller, &name))
        })
        .await?;
    Ok(answer(outcome, StatusCode::NO_CONTENT, |()| ()))
}

/// Give an operator a role, for all organisations or for some.
#[utoipa::path(post, path = "/v1/operators/{name}/roles", tag = "operators", operation_id = "give_role",
    params(("name" = String, Path)), request_body = wire::RoleGift,
    responses(ApiError,
        (status = 200, description = "Given", body = wire::Operator),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn give_role(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(gift): Json<wire::RoleGift>,
) -> Result<Response, ApiError> {
    change_role(&api, caller, &text, Wanted { role: gift.role, given: true, scope: named(gift.scope) }).await
}

/// Take a role from an operator.
#[utoipa::path(delete, path = "/v1/operators/{name}/roles/{role}", tag = "operators", operation_id = "take_role",
    params(("name" = String, Path), ("role" = String, Path)),
    responses(ApiError,
        (status = 200, description = "Taken", body = wire::Operator),
        (status = 202, description = "Waits for a second person", body = wire::Waiting),
    ))]
pub(super) async fn take_role(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path((text, role)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    change_role(&api, caller, &text, Wanted { role, given: false, scope: Vec::new() }).await
}

/// A change of roles as it was asked for.
struct Wanted {
    role: String,
    given: bool,
    scope: Vec<String>,
}

/// Organisations in one order, each once: the same wish is the same act.
fn named(mut scope: Vec<String>) -> Vec<String> {
    scope.sort_unstable();
    scope.dedup();
    scope
}

async fn change_role(
    api: &Arc<Api>,
    caller: Caller,
    text: &str,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let name = user_name(text)?;
    let outcome = api
        .act_as(caller, Right::Operators, move |app, caller| {
            let Wanted { role, given, scope } = wanted;
            let change = if given { RoleChange::give(&role, &scope) } else { RoleChange::take(&role) }?;
            let row = operators::active(app, &name)?.ok_or(FlowError::NotFound(operators::NO_OPERATOR))?;
            operators::changed(app, caller, &row, &change)?;
            let act = Act::ChangeRoles { operator: name.to_string(), role, given, scope };
            guarded(app, caller, &act, |caller| operators::change_role(app, caller, &name, &change))
        })
        .await?;
    Ok(answer(outcome, StatusCode::OK, |row| view(&api.appliance(), row)))
}
