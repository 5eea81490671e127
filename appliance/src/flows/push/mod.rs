//! Phones (B.5.7, B.5.8, C.2 to C.6): registered by a QR code, asked by a push, replaced by a recovery code.
//!
//! A phone's secret is in the HSM alone: it signs what goes to the phone and judges what comes from it. Nothing of a
//! registration is stored before the phone proved itself, and what is prepared for it is erased when it ends.

use domain::event::{Actor, Event};
use domain::token::Lifecycle;
use hsm::{Authenticate, Authenticated};
use serde::{Deserialize, Serialize};

use super::{Caller, FlowError};
use crate::appliance::Appliance;
use crate::config::push::Push;
use crate::store::push_device::DeviceRow;
use crate::store::user::UserRow;
use crate::store::{application, user};

pub mod answer;
pub mod ask;
pub mod codes;
pub mod device;
pub mod expire;
mod forget;
pub mod logo;
mod notice;
pub mod poll;
pub mod post;
mod prepared;
pub mod prove;
pub mod recovery;
pub mod refresh;
pub mod refusal;
pub mod register;
mod settle;

pub(super) use codes::CodesEnd;
pub(super) use forget::PhonesEnd;

/// Level of assurance of a phone that was registered after a first factor alone (B.6).
const PHONE_LOA: f64 = 1.5;
/// Who acts when nobody is known yet.
const PHONES: &str = "phones";
/// What is looked at: the row of a phone.
const TABLE: &str = "the phone";

/// How a phone is reached and what it is, as it is sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Reached {
    /// The push address.
    pub(super) address: String,
    /// A name for people.
    pub(super) name: String,
    /// `android` or `ios`.
    pub(super) system: String,
    /// `gcm` or `apns`.
    pub(super) service: String,
    /// What the app shows as issuer.
    pub(super) issuer: String,
    /// What the app shows as account.
    pub(super) account: String,
    /// The policies that the app was given.
    pub(super) policies: Option<String>,
}

impl Reached {
    fn aad(row: &DeviceRow) -> Vec<u8> {
        [b"countersign push device 1".as_slice(), &row.id, &row.user_id].concat()
    }

    /// Under the person's key, for this phone.
    fn seal(&self, app: &Appliance, owner: &UserRow, row: &DeviceRow) -> Result<Vec<u8>, FlowError> {
        let clear = postcard::to_allocvec(self).map_err(|_| hsm::HsmError::Protocol)?;
        Ok(app.hsm.seal(person_key(owner)?, &Self::aad(row), &clear)?)
    }

    /// What was sealed for this phone.
    pub(super) fn open(app: &Appliance, owner: &UserRow, row: &DeviceRow) -> Result<Reached, FlowError> {
        let changed = || FlowError::Tampered { what: TABLE, which: row.serial.to_string() };
        let sealed = row.device.as_deref().ok_or(FlowError::NotFound("phone"))?;
        let clear = app.hsm.open(person_key(owner)?, &Self::aad(row), sealed)?;
        postcard::from_bytes(&clear).map_err(|_| changed())
    }
}

fn person_key(owner: &UserRow) -> Result<&[u8], FlowError> {
    owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))
}

/// What is configured for phones.
fn settings(app: &Appliance) -> Result<&Push, FlowError> {
    app.config.push.as_ref().ok_or(FlowError::Phone {
        key: "push.not_configured",
        text: "phones cannot be registered here: add [push] to the configuration",
    })
}

/// Checks that nobody changed a phone's row outside the appliance.
pub(super) fn check_device(app: &Appliance, row: &DeviceRow) -> Result<(), FlowError> {
    app.check_row(TABLE, row.serial.as_str(), row.bytes(), &row.mac)
}

pub(super) fn sealed_device(app: &Appliance, row: DeviceRow) -> Result<DeviceRow, FlowError> {
    Ok(DeviceRow { mac: app.row_mac(row.bytes())?, ..row })
}

/// HMACs under a secret that a phone has too.
fn authenticate<const N: usize>(
    app: &Appliance,
    which: &str,
    (record, binding, record_mac): (Option<&[u8]>, Vec<u8>, [u8; 32]),
    messages: [&[u8]; N],
) -> Result<[[u8; 32]; N], FlowError> {
    let request = Authenticate {
        record: record.ok_or(FlowError::NotFound("phone"))?.to_vec(),
        binding,
        record_mac,
        messages: messages.iter().map(|message| message.to_vec()).collect(),
    };
    match app.hsm.authenticate(request)? {
        Authenticated::Macs(macs) => Ok(macs.try_into().map_err(|_| hsm::HsmError::Protocol)?),
        Authenticated::Tampered => Err(FlowError::Tampered { what: "the record", which: which.to_owned() }),
    }
}

/// HMACs under the secret of a registered phone.
fn authenticate_as<const N: usize>(
    app: &Appliance,
    row: &DeviceRow,
    messages: [&[u8]; N],
) -> Result<[[u8; 32]; N], FlowError> {
    let key = (row.record.as_deref(), row.binding(), row.record_mac);
    authenticate(app, row.serial.as_str(), key, messages)
}

/// The owner of a phone that speaks, if both may act. One that an enrolment holds speaks too: it is asked for nothing but
/// its own possession.
fn speaker(app: &Appliance, row: &DeviceRow) -> Result<Option<UserRow>, FlowError> {
    check_device(app, row)?;
    let Some(owner) = app.store.read(|c| user::by_id(c, &row.user_id))? else { return Ok(None) };
    super::users::check_account(app, &owner)?;
    let speaks = matches!(row.lifecycle, Lifecycle::Active | Lifecycle::Pending);
    let fit = speaks && owner.state == super::users::ACTIVE;
    Ok(fit.then_some(owner))
}

/// The user as who acts, on the phone.
fn actor(owner: &UserRow) -> Actor {
    Actor { kind: "user", id: owner.user_ref.clone(), role: "phone".to_owned() }
}

/// The user as a caller of an application's act, without any right.
fn caller(app: &Appliance, application: &domain::token::Id, owner: &UserRow) -> Result<Caller, FlowError> {
    let row = app.store.read(|c| application::by_id(c, application))?;
    let row = row.ok_or(FlowError::NotFound("application"))?;
    Ok(Caller::without_rights(row.id, row.name, actor(owner)))
}

/// Writes the event of a refusal and gives the refusal.
fn refused(
    app: &Appliance,
    caller: &Caller,
    owner: Option<&UserRow>,
    (kind, reason): (&'static str, &str),
    error: FlowError,
) -> Result<FlowError, FlowError> {
    let event = Event::refused(app.clock.now().wall_ms, kind, caller.actor.clone(), reason);
    app.refuse(match owner {
        Some(owner) => event.about("user_ref", &owner.user_ref),
        None => event,
    })?;
    Ok(error)
}
