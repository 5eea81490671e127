//! Who is asking: a key, an operator on the local socket, or the application that a listener names.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use domain::event::Actor;
use domain::names::ApplicationName;
use domain::role::{self, BREAK_GLASS, Rights};
use domain::scope::Scopes;

use super::Api;
use super::error::ApiError;
use crate::appliance::Appliance;
use crate::flows::applications::{self, CONSOLE};
use crate::flows::{Caller, FlowError, OPERATOR, operators};
use crate::store::application::ApplicationRow;

/// Longest key that is looked at, in bytes.
pub(super) const KEY_MAX: usize = 128;

/// The other end of a connection, as its listener knows it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The uid, on a Unix socket.
    pub uid: Option<u32>,
    /// The application that the listener names.
    pub application: Option<ApplicationName>,
}

/// A caller who has shown who it is.
pub(super) struct Authenticated(pub(super) Caller);

impl FromRequestParts<Arc<Api>> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<Peer>().cloned().ok_or_else(ApiError::unauthorised)?;
        let key = bearer(&parts.headers)?;
        api.act(move |app| caller(app, &peer, key.as_deref())).await?.map(Authenticated)
    }
}

/// The key in `Authorization: Bearer`, if that header is there.
fn bearer(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(axum::http::header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ApiError::unauthorised())?;
    let key = match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        _ => return Err(ApiError::unauthorised()),
    };
    if key.is_empty() || key.len() > KEY_MAX {
        Err(ApiError::unauthorised())
    } else {
        Ok(Some(key.to_owned()))
    }
}

/// Finds out who is asking. A key that is given must be good; without one, the connection speaks.
///
/// # Errors
/// [`ApiError::unauthorised`].
pub(super) fn caller(
    app: &Appliance,
    peer: &Peer,
    key: Option<&str>,
) -> Result<Result<Caller, ApiError>, FlowError> {
    if let Some(key) = key {
        let found = applications::by_key(app, key)?;
        return Ok(found.map(by_application).ok_or_else(ApiError::unauthorised));
    }
    if let Some(uid) = peer.uid
        && let Some(caller) = operator(app, uid)?
    {
        return Ok(Ok(caller));
    }
    match &peer.application {
        Some(name) => {
            let row = applications::named(app, name)?;
            let alive = row.revoked_at.is_none();
            Ok(if alive { Ok(by_application(row)) } else { Err(ApiError::unauthorised()) })
        }
        None => Ok(Err(ApiError::unauthorised())),
    }
}

fn by_application(row: ApplicationRow) -> Caller {
    let actor = Actor { kind: "application", id: row.name.to_string(), role: String::new() };
    let held = row.scopes.iter().filter_map(|scope| role::scope_rights(scope));
    let rights = held.fold(Rights::default(), Rights::with);
    let (application, name) = (row.id, row.name);
    Caller { rights, ..Caller::without_rights(application, name, actor) }
}

/// The operator behind a uid. Root, and whoever the daemon itself runs as, could read everything anyway: they act as
/// break-glass, and each of their events says so.
fn operator(app: &Appliance, uid: u32) -> Result<Option<Caller>, FlowError> {
    let own = rustix::process::geteuid().as_raw();
    let (id, role, roles, scopes, rights) = if uid == 0 || uid == own {
        let (roles, scopes) = (Vec::new(), Scopes::default());
        (format!("uid {uid}"), BREAK_GLASS.to_owned(), roles, scopes, operators::rights_of_root(app))
    } else {
        let Some(row) = operators::by_uid(app, uid)? else { return Ok(None) };
        let names: Vec<&str> = row.roles.iter().map(|role| role.name()).collect();
        let rights = operators::rights(app, &row);
        (row.name.to_string(), names.join("+"), row.roles, row.scopes, rights)
    };
    let console = ApplicationName::parse(CONSOLE).expect("the console's name is a name");
    let row = applications::named(app, &console)?;
    let actor = Actor { kind: OPERATOR, id, role };
    let caller = Caller::without_rights(row.id, row.name, actor);
    Ok(Some(Caller { roles, scopes, rights, ..caller }))
}
