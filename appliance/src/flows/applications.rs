//! Client applications: a name, what it may do, and a key shown once.

use domain::event::{Actor, Event};
use domain::names::ApplicationName;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Caller, FlowError};
use crate::appliance::Appliance;
use crate::store::application::{self, ApplicationRow};
use crate::store::event;

/// What an application may be allowed to do.
pub const SCOPES: [&str; 12] = [
    "verify",
    "challenge",
    "users:read",
    "users:write",
    "tokens:write",
    "letters:order",
    "enrol:request",
    "user:assert",
    "phone:assert",
    "backchannel",
    "events:read",
    "admin",
];

/// Name of the application that operators' own verifications count at.
pub const CONSOLE: &str = "console";
/// Random bytes in a key: 256 bits, so that its plain hash cannot be guessed.
const KEY_LEN: usize = 32;
const KEY_PREFIX: &str = "csk_";

/// Hash under which a key is stored.
pub fn key_hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn new_key(random: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(format!("{KEY_PREFIX}{}", data_encoding::BASE32_NOPAD.encode(random).to_lowercase()))
}

/// Adds an application and returns its key, which is not stored.
///
/// # Errors
/// [`FlowError::Invalid`] for an unknown scope; [`FlowError::Store`] with `Exists` when the name is taken.
pub fn add(
    app: &Appliance,
    caller: &Caller,
    name: &ApplicationName,
    scopes: &[String],
) -> Result<Zeroizing<String>, FlowError> {
    if scopes.is_empty() {
        return Err(FlowError::Invalid(format!("give at least one scope of {}", SCOPES.join(", "))));
    }
    if let Some(unknown) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(FlowError::Invalid(format!("{unknown:?} is no scope; there are {}", SCOPES.join(", "))));
    }
    let key = new_key(&app.hsm.random(KEY_LEN)?);
    let row = ApplicationRow {
        id: app.new_id()?,
        name: name.clone(),
        key_hash: key_hash(&key),
        scopes: scopes.to_vec(),
        created_at: app.clock.now().wall_ms,
        revoked_at: None,
    };
    let event = app.event("application.added", caller).about("application", name.as_str());
    app.store.write(move |w| {
        application::insert(w, &row)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(key)
}

/// All applications.
///
/// # Errors
/// When the store cannot answer.
pub fn list(app: &Appliance) -> Result<Vec<ApplicationRow>, FlowError> {
    Ok(app.store.read(application::list)?)
}

/// Ends an application's key at once.
///
/// # Errors
/// [`FlowError::NotFound`] when there is none, or it is revoked already.
pub fn revoke(app: &Appliance, caller: &Caller, name: &ApplicationName) -> Result<(), FlowError> {
    let event = app.event("application.revoked", caller).about("application", name.as_str());
    let (name, at) = (name.clone(), app.clock.now().wall_ms);
    let was_alive = app.store.write(move |w| {
        let was_alive = application::revoke(w, &name, at)?;
        if was_alive {
            event::append(w, &event)?;
        }
        Ok(was_alive)
    })?;
    if was_alive { Ok(()) } else { Err(FlowError::NotFound("application")) }
}

/// The application that a name stands for on a listener without keys, or the console; made when missing,
/// with a key that nobody knows.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub fn named(app: &Appliance, name: &ApplicationName) -> Result<ApplicationRow, FlowError> {
    if let Some(row) = app.store.read(|c| application::by_name(c, name))? {
        return Ok(row);
    }
    let row = ApplicationRow {
        id: app.new_id()?,
        name: name.clone(),
        key_hash: app.random()?,
        scopes: vec!["verify".to_owned(), "challenge".to_owned()],
        created_at: app.clock.now().wall_ms,
        revoked_at: None,
    };
    let inserted = row.clone();
    let event = Event::ok(row.created_at, "application.added", Actor::system("listener"))
        .about("application", name.as_str());
    let written = app.store.write(move |w| {
        application::insert(w, &inserted)?;
        event::append(w, &event).map(drop)
    });
    match written {
        Ok(()) => Ok(row),
        Err(crate::store::StoreError::Exists(_)) => {
            app.store.read(|c| application::by_name(c, name))?.ok_or(FlowError::NotFound("application"))
        }
        Err(error) => Err(error.into()),
    }
}
