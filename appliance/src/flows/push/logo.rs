//! The picture that phones show beside an account (COMB-11, D-38): an address of the configuration, or one that was uploaded
//! and is served here.

use ::push::label::Logo as Address;
use domain::event::Actor;

use super::{PHONES, settings};
use crate::appliance::Appliance;
use crate::config::logo;
use crate::flows::{Caller, FlowError};
use crate::store::logo::{self as rows, LogoRow};
use crate::store::{StoreError, event};

/// Where it is served, whatever kind of picture it is.
pub const PATH: &str = "/static/logo.png";
/// Where the row is.
const TABLE: &str = "the row in table mfa_logo";
const NONE: FlowError = FlowError::NotFound("logo");

/// The picture as it is stored.
///
/// # Errors
/// [`FlowError::NotFound`] without one; [`FlowError::Tampered`]; when HSM or store cannot answer.
pub fn stored(app: &Appliance) -> Result<LogoRow, FlowError> {
    let row = app.store.read(rows::load)?.ok_or(NONE)?;
    app.check_row(TABLE, PATH, row.bytes(), &row.mac)?;
    Ok(row)
}

/// The picture for who asks without a name. That it was changed is an event once a day.
///
/// # Errors
/// [`FlowError::NotFound`] without one, also for a changed one; when HSM or store cannot answer.
pub fn shown(app: &Appliance) -> Result<LogoRow, FlowError> {
    stored(app).or_else(|error| match error {
        FlowError::Tampered { .. } => {
            app.note_tampering_daily(&error, &Actor::system(PHONES))?;
            Err(NONE)
        }
        error => Err(error),
    })
}

/// The address that phones are told: the configured one, or else that of the uploaded picture; none without either.
///
/// # Errors
/// When the store cannot answer.
pub fn address(app: &Appliance) -> Result<Option<Address>, FlowError> {
    let Some(push) = &app.config.push else { return Ok(None) };
    if let Some(configured) = &push.settings.logo {
        return Ok(Some(configured.clone()));
    }
    Ok(if app.store.read(rows::is_there)? { own(app) } else { None })
}

/// Where phones would find an uploaded picture.
fn own(app: &Appliance) -> Option<Address> {
    let base = app.config.people.pages.public_url.as_deref()?;
    Address::parse(&format!("{}{PATH}", base.trim_end_matches('/'))).ok()
}

/// Stores a picture in place of the one before.
///
/// # Errors
/// [`FlowError::Invalid`] for what is no such picture; [`FlowError::Phone`] without `[push]`; [`FlowError::Conflict`] for
/// a public address that phones cannot be told.
pub fn set(app: &Appliance, caller: &Caller, picture: Vec<u8>) -> Result<LogoRow, FlowError> {
    settings(app)?;
    if own(app).is_none() {
        let text =
            "phones cannot be told an address below public_url: it has more than letters, digits and . - _ /";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    let picture = logo::check(picture).map_err(|wrong| FlowError::Invalid(format!("the picture {wrong}")))?;
    let row = LogoRow {
        kind: picture.kind.to_owned(),
        width: picture.width,
        height: picture.height,
        picture: picture.bytes,
        set_at: app.clock.now().wall_ms,
        mac: [0; 32],
    };
    let row = LogoRow { mac: app.row_mac(row.bytes())?, ..row };
    let event = app
        .event("mfa.logo_set", caller)
        .about("kind", &row.kind)
        .about("sha256", data_encoding::HEXLOWER.encode(&row.sha256()));
    let stored = row.clone();
    app.store.write(move |w| {
        rows::put(w, &stored)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(row)
}

/// Erases the picture; phones that have fetched it keep it.
///
/// # Errors
/// [`FlowError::NotFound`] without one; when the store cannot answer.
pub fn clear(app: &Appliance, caller: &Caller) -> Result<(), FlowError> {
    let event = app.event("mfa.logo_cleared", caller);
    let cleared = app.store.write(move |w| {
        if !rows::clear(w)? {
            return Err(StoreError::Changed("the logo"));
        }
        event::append(w, &event).map(drop)
    });
    match cleared {
        Err(StoreError::Changed(_)) => Err(NONE),
        cleared => Ok(cleared?),
    }
}
