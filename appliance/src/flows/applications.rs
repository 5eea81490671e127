//! Client applications: a name, what it may do, and a key shown once.

use domain::event::{Actor, Event};
use domain::names::ApplicationName;
use domain::role::{self, SCOPES};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Caller, FlowError, approvals};
use crate::appliance::Appliance;
use crate::store::application::{self, ApplicationRow};
use crate::store::event;

/// Name of the application that operators' own verifications count at.
pub const CONSOLE: &str = "console";
/// Where the rows of applications are.
const TABLE: &str = "the row in table application";
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

/// Whether these are scopes, and at least one.
///
/// # Errors
/// [`FlowError::Invalid`] names what is none.
pub fn check_scopes(scopes: &[String]) -> Result<(), FlowError> {
    if scopes.is_empty() {
        return Err(FlowError::Invalid(format!("give at least one scope of {}", SCOPES.join(", "))));
    }
    if let Some(unknown) = scopes.iter().find(|scope| role::scope_rights(scope).is_none()) {
        return Err(FlowError::Invalid(format!("{unknown:?} is no scope; there are {}", SCOPES.join(", "))));
    }
    Ok(())
}

/// Adds an application and returns its key, which is not stored.
///
/// # Errors
/// As [`check_scopes`]; [`FlowError::Store`] with `Exists` when the name is taken.
pub fn add(
    app: &Appliance,
    caller: &Caller,
    name: &ApplicationName,
    scopes: &[String],
) -> Result<Zeroizing<String>, FlowError> {
    check_scopes(scopes)?;
    let key = new_key(&app.hsm.random(KEY_LEN)?);
    let row = ApplicationRow {
        id: app.new_id()?,
        name: name.clone(),
        key_hash: key_hash(&key),
        scopes: scopes.to_vec(),
        created_at: app.clock.now().wall_ms,
        revoked_at: None,
        mac: None,
    };
    let row = with_mac(app, row)?;
    let event = app.event("application.added", caller).about("application", name.as_str());
    let warrant = caller.warrant.clone();
    app.store.write(move |w| {
        approvals::settle(w, &warrant)?;
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
    let rows = app.store.read(application::list)?;
    rows.into_iter().map(|row| checked(app, row)).collect()
}

fn with_mac(app: &Appliance, row: ApplicationRow) -> Result<ApplicationRow, FlowError> {
    Ok(ApplicationRow { mac: Some(app.row_mac(row.bytes())?), ..row })
}

/// A row whose MAC is right. One without a MAC is from before there were any, and its key is dead.
fn checked(app: &Appliance, row: ApplicationRow) -> Result<ApplicationRow, FlowError> {
    match row.mac {
        Some(mac) => app.check_row(TABLE, row.name.as_str(), row.bytes(), &mac)?,
        None if row.revoked_at.is_some() => {}
        None => return Err(FlowError::Tampered { what: TABLE, which: row.name.to_string() }),
    }
    Ok(row)
}

/// The application with this key, unless it is revoked.
///
/// # Errors
/// [`FlowError::Tampered`] for a row that was changed outside the appliance.
pub fn by_key(app: &Appliance, key: &str) -> Result<Option<ApplicationRow>, FlowError> {
    let hash = key_hash(key);
    app.store.read(|c| application::by_key(c, &hash))?.map(|row| checked(app, row)).transpose()
}

/// Ends an application's key at once.
///
/// # Errors
/// [`FlowError::NotFound`] when there is none, or it is revoked already.
pub fn revoke(app: &Appliance, caller: &Caller, name: &ApplicationName) -> Result<(), FlowError> {
    let found = app.store.read(|c| application::by_name(c, name))?.filter(|row| row.revoked_at.is_none());
    let row = checked(app, found.ok_or(FlowError::NotFound("application"))?)?;
    let revoked = ApplicationRow { revoked_at: Some(app.clock.now().wall_ms), ..row.clone() };
    let revoked = with_mac(app, revoked)?;
    let event = app.event("application.revoked", caller).about("application", name.as_str());
    app.store.write(move |w| {
        application::revoke(w, &row, &revoked)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(())
}

/// The application that a name stands for on a listener without keys, or the console; made when missing,
/// with a key that nobody knows.
///
/// # Errors
/// [`FlowError::Tampered`] for a row that was changed outside the appliance; when the HSM or the store cannot answer.
pub fn named(app: &Appliance, name: &ApplicationName) -> Result<ApplicationRow, FlowError> {
    if let Some(row) = app.store.read(|c| application::by_name(c, name))? {
        return checked(app, row);
    }
    let row = ApplicationRow {
        id: app.new_id()?,
        name: name.clone(),
        key_hash: app.random()?,
        scopes: vec!["verify".to_owned(), "challenge".to_owned()],
        created_at: app.clock.now().wall_ms,
        revoked_at: None,
        mac: None,
    };
    let row = with_mac(app, row)?;
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
            let row = app.store.read(|c| application::by_name(c, name))?;
            checked(app, row.ok_or(FlowError::NotFound("application"))?)
        }
        Err(error) => Err(error.into()),
    }
}
