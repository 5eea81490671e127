//! What a registration will store once the phone has proved itself. Sealed under the person's key until then.

use domain::names::Serial;
use domain::registration::Kind;
use domain::token::{Class, Factor, Id, Policy};
use oath::{Algorithm, CodeFormat, Digits, Period, Truncation};
use push::message_id::{MessageId, Purpose};
use push::settings::Checked;
use push::uri::{AppFactor, Look, Oath, Push, mfauth, otpauth, pushauth};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::tokens::{self, NewToken};
use super::super::{FlowError, handle};
use super::person_key;
use super::register::Wish;
use crate::appliance::Appliance;
use crate::store::push_device::binding;
use crate::store::registration::RegistrationRow;
use crate::store::token::TokenRow;
use crate::store::user::UserRow;

/// The halves of a registration, wrapped.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Prepared {
    /// What the app shows as issuer.
    pub(super) issuer: String,
    /// What the app shows as account.
    pub(super) account: String,
    /// The policies in the QR code.
    pub(super) policies: Option<String>,
    /// Whether what is there comes to its end with this.
    pub(super) replace: bool,
    /// Whether recovery codes are made with it (COMB-12).
    pub(super) recovery: bool,
    /// The push half.
    pub(super) push: Option<PushHalf>,
    /// The OATH half.
    pub(super) oath: Option<OathHalf>,
    /// The level of the session that asked; none where an operator or an application answers for it. It stands behind the
    /// rest: what was sealed without it, by a version before, has none.
    #[serde(skip)]
    pub(super) loa: Option<f64>,
}

/// The secret of a phone, wrapped, and what its reply is computed from.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PushHalf {
    pub(super) id: Id,
    pub(super) serial: String,
    pub(super) record: Vec<u8>,
    pub(super) record_mac: [u8; 32],
    pub(super) nonce: [u8; 32],
}

/// A token that is not stored yet.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OathHalf {
    id: Id,
    serial: String,
    period: Option<u16>,
    algorithm: String,
    digits: u8,
    checksum: bool,
    offset: i8,
    record: Vec<u8>,
    record_mac: [u8; 32],
    fingerprint: [u8; 32],
    state_mac: [u8; 32],
    reveal: Option<Vec<u8>>,
    created_at: i64,
}

/// A registration's halves with what the QR code says of them: shown once, and nowhere kept.
pub(super) struct Made {
    pub(super) prepared: Prepared,
    pub(super) message: Option<MessageId>,
    pub(super) uri: Zeroizing<String>,
}

/// What a new token of an app is by the configuration (COMB-18 to COMB-25).
fn policy(settings: &Checked) -> Result<Policy, FlowError> {
    let fault = |_| FlowError::Invalid("the configured codes cannot be used".to_owned());
    let digits = Digits::new(settings.digits.get()).map_err(fault)?;
    let (factor, checksum, truncation) = match settings.factor {
        AppFactor::Totp(period) => (Factor::Totp { period, t0: 0 }, false, Truncation::Dynamic),
        AppFactor::Hotp(_) => (Factor::Hotp, settings.checksum, settings.truncation),
    };
    let format = CodeFormat { digits, checksum, truncation };
    Ok(Policy { factor, algorithm: settings.algorithm, format })
}

/// Makes the secrets of a registration and its QR code's text.
pub(super) fn make(
    app: &Appliance,
    owner: &UserRow,
    wish: &Wish,
    recovery: bool,
    look: &Look<'_>,
) -> Result<Made, FlowError> {
    let kind = wish.kind;
    let settings = &super::settings(app)?.settings;
    let push = if kind == Kind::Oath { None } else { Some(push_half(app, owner)?) };
    let oath = match kind {
        Kind::Push => None,
        Kind::Combined | Kind::Oath => {
            let new = NewToken {
                user: owner.name.clone(),
                policy: policy(settings)?,
                counter: 0,
                secret: None,
                issuer: None,
            };
            Some(tokens::make_of_len(app, owner, &new, settings.secret_len)?)
        }
    };
    let oath_part = oath.as_ref().map(|made| Oath {
        secret: &made.secret,
        factor: settings.factor,
        algorithm: settings.algorithm,
        digits: settings.digits,
    });
    let push_part = push.as_ref().map(|(half, secret, message)| Push {
        secret,
        challenge: &half.nonce,
        endpoint: &settings.endpoint,
        message,
        policies: settings.policies.as_ref(),
    });
    let uri = match (&oath_part, &push_part) {
        (Some(oath), Some(push)) => mfauth(look, oath, push),
        (None, Some(push)) => pushauth(look, push),
        (Some(oath), None) => otpauth(look, oath),
        (None, None) => return Err(FlowError::NotFound("kind of registration")),
    };
    let uri = uri.map_err(|error| FlowError::Invalid(error.to_string()))?;
    let message = push.as_ref().map(|(_, _, message)| message.clone());
    let prepared = Prepared {
        issuer: look.issuer.as_str().to_owned(),
        account: look.account.as_str().to_owned(),
        policies: settings.policies.as_ref().map(|policies| policies.json().to_owned()),
        replace: wish.replace,
        recovery,
        push: push.map(|(half, ..)| half),
        oath: oath.map(|made| OathHalf::of(&made.row)),
        loa: wish.loa,
    };
    Ok(Made { prepared, message, uri })
}

type PushMade = (PushHalf, Zeroizing<[u8; 32]>, MessageId);

fn push_half(app: &Appliance, owner: &UserRow) -> Result<PushMade, FlowError> {
    let id = app.new_id()?;
    let serial = Serial::soft('P', app.random()?);
    let key = app.hsm.enrol_message_key(binding(&id, &serial, &owner.id))?;
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(key.secret.get(..32).ok_or(hsm::HsmError::Protocol)?);
    let now_ms = u64::try_from(app.clock.now().wall_ms).unwrap_or(0);
    let message = MessageId::new(Purpose::Register, app.random()?, now_ms);
    let message =
        message.ok_or_else(|| FlowError::Invalid("the clock is far from the present".to_owned()))?;
    let half = PushHalf {
        id,
        serial: serial.to_string(),
        record: key.record,
        record_mac: key.record_mac,
        nonce: app.random()?,
    };
    Ok((half, secret, message))
}

impl OathHalf {
    fn of(row: &TokenRow) -> Self {
        let period = match row.policy.factor {
            Factor::Totp { period, .. } => Some(period.get()),
            Factor::Hotp | Factor::Ocra { .. } => None,
        };
        let offset = match row.policy.format.truncation {
            Truncation::Dynamic => -1,
            Truncation::Fixed(offset) => i8::try_from(offset).unwrap_or(-1),
        };
        OathHalf {
            id: row.id,
            serial: row.serial.to_string(),
            period,
            algorithm: row.policy.algorithm.name().to_owned(),
            digits: row.policy.format.digits.get(),
            checksum: row.policy.format.checksum,
            offset,
            record: row.record.clone().unwrap_or_default(),
            record_mac: row.record_mac,
            fingerprint: row.fingerprint,
            state_mac: row.state_mac,
            reveal: row.reveal.clone(),
            created_at: row.created_at,
        }
    }

    /// The row that it would be; none for what no registration has prepared.
    pub(super) fn row(&self, owner: &UserRow) -> Option<TokenRow> {
        let factor = match self.period {
            Some(period) => Factor::Totp { period: Period::new(period).ok()?, t0: 0 },
            None => Factor::Hotp,
        };
        let format = CodeFormat {
            digits: Digits::new(self.digits).ok()?,
            checksum: self.checksum,
            truncation: Truncation::from_offset(i64::from(self.offset)).ok()?,
        };
        Some(TokenRow {
            id: self.id,
            serial: Serial::parse(&self.serial).ok()?,
            user_id: Some(owner.id),
            class: Class::Soft,
            label: String::new(),
            policy: Policy { factor, algorithm: Algorithm::parse(&self.algorithm).ok()?, format },
            record: Some(self.record.clone()),
            record_mac: self.record_mac,
            reveal: self.reveal.clone(),
            fingerprint: self.fingerprint,
            state: tokens::FIRST_STATE,
            state_mac: self.state_mac,
            loa: tokens::SOFT_LOA,
            created_at: self.created_at,
        })
    }
}

fn aad(registration: &Id, owner: &UserRow) -> Vec<u8> {
    [b"countersign registration 1".as_slice(), registration, &owner.id].concat()
}

impl Prepared {
    /// Under the person's key, for this registration.
    pub(super) fn seal(
        &self,
        app: &Appliance,
        owner: &UserRow,
        registration: &Id,
    ) -> Result<Vec<u8>, FlowError> {
        let bytes = |done: Result<Vec<u8>, postcard::Error>| done.map_err(|_| hsm::HsmError::Protocol);
        let (rest, loa) = (bytes(postcard::to_allocvec(self))?, bytes(postcard::to_allocvec(&self.loa))?);
        Ok(app.hsm.seal(person_key(owner)?, &aad(registration, owner), &[rest, loa].concat())?)
    }

    /// What was sealed for this registration; none once it has ended.
    pub(super) fn open(
        app: &Appliance,
        owner: &UserRow,
        row: &RegistrationRow,
    ) -> Result<Option<Prepared>, FlowError> {
        let Some(sealed) = row.prepared.as_deref() else { return Ok(None) };
        let clear = app.hsm.open(person_key(owner)?, &aad(&row.id, owner), sealed)?;
        let changed = |_| FlowError::Tampered { what: "the registration", which: handle(&row.id) };
        let (prepared, behind): (Prepared, _) = postcard::take_from_bytes(&clear).map_err(changed)?;
        let loa = if behind.is_empty() { None } else { postcard::from_bytes(behind).map_err(changed)? };
        Ok(Some(Prepared { loa, ..prepared }))
    }
}
