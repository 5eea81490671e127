//! `/v1/letters`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::letter::{Delivery, Kind, State as Stands};
use domain::names::UserName;
use domain::role::Right;
use domain::token::Id;
use serde::Deserialize;

use super::auth::Authenticated;
use super::body::{Json, Path, Query};
use super::error::ApiError;
use super::users::{PAGE, PAGE_MAX, user_name};
use super::{Api, wire};
use crate::clock::rfc3339;
use crate::flows::letters::{self, Address, NewOrder, View};
use crate::flows::{Caller, handle, parse_handle, users};
use crate::store::letter::Filter;

/// Longest name of who handed a letter over, in characters.
const BY_MAX: usize = 64;

/// Which letters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    user: Option<String>,
    kind: Option<String>,
    state: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

fn kind(text: &str) -> Result<Kind, ApiError> {
    Kind::from_name(text).ok_or_else(|| ApiError::malformed("kind: must be sms-iak or oath"))
}

fn id(text: &str) -> Result<Id, ApiError> {
    parse_handle(text).ok_or_else(|| ApiError::not_found("letter"))
}

fn view(view: View) -> wire::Letter {
    let row = view.row;
    wire::Letter {
        id: handle(&row.order.id),
        user: view.user,
        kind: row.order.kind.name().to_owned(),
        state: row.progress.state.name().to_owned(),
        delivery: row.order.delivery.name().to_owned(),
        lang: row.lang,
        token: view.token,
        ordered_by: row.ordered_by,
        ordered_at: rfc3339(row.ordered_at),
        rendered_at: row.rendered_at.map(rfc3339),
        valid_until: row.progress.valid_until_ms.map(rfc3339),
        renders_failed: row.progress.renders_failed,
        attempts: row.progress.attempts,
        handed_over_by: row.handed_over_by,
        handed_over_at: row.handed_over_at.map(rfc3339),
        path: view.path.map(|path| path.display().to_string()),
        pages: row.pages,
    }
}

/// A letter to order, read.
struct Ordered {
    user: UserName,
    new: NewOrder,
    now: bool,
    says_more: bool,
}

impl Ordered {
    fn parse(new: &wire::NewLetter) -> Result<Self, ApiError> {
        let delivery = match new.delivery.as_deref() {
            None => Delivery::Post,
            Some(name) => Delivery::from_name(name)
                .ok_or_else(|| ApiError::malformed("delivery: must be post or hand"))?,
        };
        let now = match new.generate.as_deref() {
            None => false,
            Some("now") => true,
            Some(_) => return Err(ApiError::malformed("generate: must be now, or not there")),
        };
        Ok(Ordered {
            user: user_name(&new.user)?,
            new: NewOrder {
                kind: kind(&new.kind)?,
                delivery,
                address: new.address.as_deref().map(Address::parse).transpose()?,
            },
            now,
            says_more: new.delivery.is_some() || new.address.is_some(),
        })
    }
}

/// Order a letter, or have it typeset at once, which needs the right to administer.
#[utoipa::path(post, path = "/v1/letters", tag = "letters", operation_id = "order_letter",
    request_body = wire::NewLetter,
    responses(ApiError,
        (status = 201, description = "Ordered, or typeset", body = wire::Letter),
    ))]
pub(super) async fn order(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewLetter>,
) -> Result<(StatusCode, axum::Json<wire::Letter>), ApiError> {
    let Ordered { user, new, now, says_more } = Ordered::parse(&new)?;
    let right = if now { Right::Administer } else { Right::OrderLetters };
    let made = api
        .act_as(caller, right, move |app, caller: &Caller| {
            let owner = users::find(app, &user)?;
            if now {
                letters::generate(app, caller, &owner, &new, says_more)
            } else {
                letters::order(app, caller, &owner, &new).and_then(|row| letters::view(app, row))
            }
        })
        .await?;
    Ok((StatusCode::CREATED, axum::Json(view(made))))
}

/// List letters in the order of their orders.
#[utoipa::path(get, path = "/v1/letters", tag = "letters", operation_id = "list_letters",
    params(
        ("user" = Option<String>, Query, description = "Only to this user"),
        ("kind" = Option<String>, Query, description = "Only `sms-iak` or `oath`"),
        ("state" = Option<String>, Query, description = "Only in this state"),
        ("after" = Option<String>, Query, description = "The cursor that the page before gave"),
        ("limit" = Option<usize>, Query, description = "At most 1000; 100 by default"),
    ),
    responses(ApiError,
        (status = 200, description = "A page", body = wire::List<wire::Letter>),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Query(wanted): Query<Wanted>,
) -> Result<axum::Json<wire::List<wire::Letter>>, ApiError> {
    let user = wanted.user.as_deref().map(user_name).transpose()?;
    let kind = wanted.kind.as_deref().map(kind).transpose()?;
    let unknown = || ApiError::malformed("state: there is no such state");
    let state =
        wanted.state.as_deref().map(|name| Stands::from_name(name).ok_or_else(unknown)).transpose()?;
    let unknown = || ApiError::malformed("after: not a cursor of this list");
    let after = wanted.after.as_deref().map(|text| parse_handle(text).ok_or_else(unknown)).transpose()?;
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let found = api
        .act_as(caller, Right::OrderLetters, move |app, _| {
            let user = user.map(|name| users::find(app, &name)).transpose()?.map(|row| row.id);
            letters::list(app, &Filter { user, kind, state, after, limit })
        })
        .await?;
    let next = (found.len() == limit).then(|| found.last().map(|view| handle(&view.row.order.id))).flatten();
    Ok(axum::Json(wire::List { items: found.into_iter().map(view).collect(), next }))
}

/// Show a letter.
#[utoipa::path(get, path = "/v1/letters/{id}", tag = "letters", operation_id = "show_letter",
    params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The letter", body = wire::Letter),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Letter>, ApiError> {
    let id = id(&text)?;
    let found = api.act_as(caller, Right::OrderLetters, move |app, _| letters::show(app, &id)).await?;
    Ok(axum::Json(view(found)))
}

/// Take a letter back: its key is dead from now on, and its file is removed.
#[utoipa::path(delete, path = "/v1/letters/{id}", tag = "letters", operation_id = "cancel_letter",
    params(("id" = String, Path)),
    responses(ApiError,
        (status = 200, description = "The letter", body = wire::Letter),
    ))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
) -> Result<axum::Json<wire::Letter>, ApiError> {
    let id = id(&text)?;
    let done =
        api.act_as(caller, Right::OrderLetters, move |app, caller| letters::cancel(app, caller, &id)).await?;
    Ok(axum::Json(view(done)))
}

/// Say that a letter was posted, or handed to its user, whose identity was checked.
#[utoipa::path(post, path = "/v1/letters/{id}/handover", tag = "letters", operation_id = "hand_letter_over",
    params(("id" = String, Path)), request_body = wire::HandOver,
    responses(ApiError,
        (status = 200, description = "The letter", body = wire::Letter),
    ))]
pub(super) async fn hand_over(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Path(text): Path<String>,
    Json(given): Json<wire::HandOver>,
) -> Result<axum::Json<wire::Letter>, ApiError> {
    let id = id(&text)?;
    let by = given.by;
    if let Some(by) = &by {
        let told = (1..=BY_MAX).contains(&by.chars().count()) && !by.chars().any(char::is_control);
        if !told {
            return Err(ApiError::malformed(format!("by: must be a name of 1 to {BY_MAX} characters")));
        }
    }
    let done = api
        .act_as(caller, Right::OrderLetters, move |app, caller| {
            letters::hand_over(app, caller, &id, by.as_deref())
        })
        .await?;
    Ok(axum::Json(view(done)))
}

/// Typeset the next batch of letters that are due. Give `next` as `after` until it is null.
#[utoipa::path(post, path = "/v1/letters/run", tag = "letters", operation_id = "run_letters",
    request_body = wire::NewRun,
    responses(ApiError,
        (status = 200, description = "What the batch came to", body = wire::LetterRun),
    ))]
pub(super) async fn run(
    State(api): State<Arc<Api>>,
    Authenticated(caller): Authenticated,
    Json(new): Json<wire::NewRun>,
) -> Result<axum::Json<wire::LetterRun>, ApiError> {
    let kind = kind(&new.kind)?;
    let unknown = || ApiError::malformed("after: not the next of a batch");
    let after = new.after.as_deref().map(|text| parse_handle(text).ok_or_else(unknown)).transpose()?;
    let done = api
        .act_as(caller, Right::Administer, move |app, caller| letters::run(app, caller, kind, after))
        .await?;
    Ok(axum::Json(wire::LetterRun {
        rendered: done.rendered.iter().map(|row| handle(&row.order.id)).collect(),
        failed: done.failed,
        held: done.held,
        left: done.left,
        next: done.next.map(|id| handle(&id)),
    }))
}
