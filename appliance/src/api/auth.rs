//! Who is asking: a key, an operator on the local socket, or the application that a listener names.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use domain::event::{Actor, Event};
use domain::names::ApplicationName;

use super::Api;
use super::error::ApiError;
use crate::appliance::Appliance;
use crate::flows::applications::{self, CONSOLE, SCOPES};
use crate::flows::{Caller, FlowError};
use crate::store::application::ApplicationRow;
use crate::store::{application, operator};

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
        let hash = applications::key_hash(key);
        let found = app.store.read(|c| application::by_key(c, &hash))?;
        return Ok(found.map(by_application).ok_or_else(ApiError::unauthorised));
    }
    if let Some(uid) = peer.uid
        && let Some((id, role, scopes)) = operator(app, uid)?
    {
        let console = ApplicationName::parse(CONSOLE).expect("the console's name is a name");
        let row = applications::named(app, &console)?;
        let actor = Actor { kind: "operator", id, role };
        return Ok(Ok(Caller { application: row.id, name: row.name, actor, scopes }));
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
    Caller { application: row.id, name: row.name, actor, scopes: row.scopes }
}

/// Name, role and scopes of the operator behind a uid. Root, and whoever the daemon itself runs as, could
/// read everything anyway: they act as break-glass, and each of their events says so.
fn operator(app: &Appliance, uid: u32) -> Result<Option<(String, String, Vec<String>)>, FlowError> {
    if let Some(row) = app.store.read(|c| operator::by_uid(c, uid))? {
        let scopes =
            row.roles.iter().flat_map(|role| scopes_of_role(role)).map(|s| (*s).to_owned()).collect();
        return Ok(Some((row.name.to_string(), row.roles.join("+"), scopes)));
    }
    let own = rustix::process::geteuid().as_raw();
    if uid == 0 || uid == own {
        let scopes = SCOPES.iter().map(|scope| (*scope).to_owned()).collect();
        return Ok(Some((format!("uid {uid}"), "break-glass".to_owned(), scopes)));
    }
    Ok(None)
}

fn scopes_of_role(role: &str) -> &'static [&'static str] {
    match role {
        "admin" => &SCOPES,
        "technician" => &["users:read", "provision"],
        "helpdesk" => &["users:read", "challenge", "letters:order"],
        "auditor" => &["events:read", "users:read"],
        _ => &[],
    }
}

impl Caller {
    /// Checks a right.
    ///
    /// # Errors
    /// [`ApiError::forbidden`]; the refusal is an event.
    pub(super) fn need(&self, app: &Appliance, scope: &'static str) -> Result<(), ApiError> {
        if self.scopes.iter().any(|s| s == scope || s == "admin") {
            return Ok(());
        }
        let event = Event::refused(app.clock.now().wall_ms, "api.forbidden", self.actor.clone(), scope);
        app.store.write(move |w| crate::store::event::append(w, &event).map(drop))?;
        Err(ApiError::forbidden(scope))
    }
}
