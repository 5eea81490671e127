//! Provisioning a hardware token: the host's half of `docs/provisioning.md`.
//!
//! The secret is made in the HSM and leaves it wrapped to the device's own one-shot key. A token row exists before
//! the tag that releases the secret leaves, so that whatever is cut, a device is as before or known here.

use std::time::Instant;

use domain::event::Event;
use domain::names::Serial;
use domain::token::{Class, Factor, Lifecycle, MovingState, Policy};
use hsm::{MacPurpose, Provision, SignKey};
use link::transcript::{self, Confirmation, Exchange, Grant};
use link::{Challenge, Commit, Info, Install, MakerCertificate, Octets, Order, Start};
use oath::Algorithm;

use super::tokens::{HARD_LOA, hash_of};
use super::{Caller, FlowError, approvals, tokens};
use crate::appliance::Appliance;
use crate::exchanges::Open;
use crate::store::device::{self, DeviceRow};
use crate::store::token::{self, TokenRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, enrolment, event};

/// Level of assurance of a token that nobody has been bound to.
const STOCK_LOA: f64 = 1.0;
const DAY_SECONDS: i64 = 86_400;

/// What the technician's station has heard from the device, and what is wanted.
pub struct Begin {
    /// The device's own words.
    pub info: Info,
    /// What it was asked.
    pub start: Start,
    /// What it answered.
    pub challenge: Challenge,
    /// What the token will be.
    pub policy: Policy,
    /// First HOTP counter.
    pub counter: u64,
    /// The batch it belongs to.
    pub batch: Option<String>,
}

/// A grant for the device.
pub struct Granted {
    /// Names the exchange until its confirmation.
    pub exchange: u64,
    /// What the device is sent.
    pub install: Install,
}

/// Q_H: what a device pins as its owner.
///
/// # Errors
/// When the HSM has no such key or cannot answer.
pub fn host_key(app: &Appliance) -> Result<[u8; 65], FlowError> {
    Ok(app.hsm.public_key(SignKey::Host)?)
}

/// Checks the maker's word for a device, against the pinned maker keys, and that no other device has its serial.
///
/// # Errors
/// [`FlowError::Conflict`] names what is wrong: no certificate, another maker, a forged, expired or revoked one, or
/// a serial that is another device's.
pub fn attest<'a>(app: &Appliance, info: &'a Info) -> Result<&'a MakerCertificate, FlowError> {
    let refuse = |text: &str| Err(FlowError::Conflict(text.to_owned()));
    let Some(certificate) = &info.certificate else {
        return refuse("the device has no maker certificate: it has not left the factory");
    };
    let makers = &app.config.provisioning.maker_keys;
    let Some(maker) = makers.iter().find(|key| MakerCertificate::key_id(&Octets(**key)) == certificate.maker)
    else {
        return refuse("the device is of another maker: its maker key is not among provisioning.maker_keys");
    };
    let signed = transcript::certificate(certificate);
    if !app.hsm.verify_signature(maker, &signed, &certificate.signature.0)? {
        return refuse("the device's maker certificate is forged");
    }
    let day = app.clock.now().unix_seconds().div_euclid(DAY_SECONDS);
    if !u32::try_from(day).is_ok_and(|day| certificate.is_current(day)) {
        return refuse("the device's maker certificate is not valid today");
    }
    let serial = certificate.serial.as_str();
    if app.config.provisioning.revoked_serials.iter().any(|revoked| revoked == serial) {
        return refuse("the device's attestation is revoked");
    }
    let known = device(app, serial)?;
    same_device(known.as_ref(), &certificate.key.0).map_err(FlowError::Conflict)?;
    Ok(certificate)
}

/// Serial and attestation key belong together for life: a second key under one serial is a copy's, or the maker's
/// mistake, and must not take the place of the first.
fn same_device(known: Option<&DeviceRow>, key: &[u8; 65]) -> Result<(), String> {
    match known {
        Some(known) if known.attestation_key != *key => Err(format!(
            "another device with the serial {} is known here: keep both apart and ask the maker",
            known.serial
        )),
        _ => Ok(()),
    }
}

/// A device's counter only rises: one that does not is a copy's, or came back with an older memory.
fn later_exchange(known: Option<&DeviceRow>, counter: u32) -> Result<(), String> {
    match known {
        Some(known) if counter <= known.counter => Err(format!(
            "the provisioning counter of {} went back: the device is a copy, or its memory was put back; keep it \
             apart and ask the maker",
            known.serial
        )),
        _ => Ok(()),
    }
}

/// Makes a secret for an attested device and a grant that only this device, in this exchange, can use.
///
/// # Errors
/// [`FlowError::Conflict`] for a device that is not what it says, or whose former token is somebody's;
/// [`FlowError::Invalid`] for a policy that cannot be; when the HSM cannot answer.
pub fn begin(app: &Appliance, caller: &Caller, begin: &Begin) -> Result<Granted, FlowError> {
    let refused = |error: FlowError| -> Result<FlowError, FlowError> {
        let serial = begin.info.certificate.as_ref().map_or("", |certificate| certificate.serial.as_str());
        note_refused(app, caller, serial, error.to_string())?;
        Ok(error)
    };
    let certificate = match attest(app, &begin.info) {
        Ok(certificate) => certificate,
        Err(error @ FlowError::Conflict(_)) => return Err(refused(error)?),
        // A fault of ours accuses no device.
        Err(error) => return Err(error),
    };
    if let Err(error) = approvals::need_open_batch(app, begin.batch.as_deref()) {
        return Err(refused(error)?);
    }
    let host_key = host_key(app)?;
    if begin.start.host_key.0 != host_key {
        return Err(FlowError::Conflict("the device was asked with another host key".to_owned()));
    }
    let serial = Serial::parse(certificate.serial.as_str()).map_err(|e| FlowError::Invalid(e.to_string()))?;
    let known = device(app, serial.as_str())?;
    if let Err(text) = later_exchange(known.as_ref(), begin.challenge.counter) {
        return Err(refused(FlowError::Conflict(text))?);
    }
    assignable(app, &serial)?;
    let exchange = exchange_of(begin, certificate);
    let token = token_row(app, begin, serial)?;
    let wire = wire_policy(app, begin)?;
    let made = make_secret(app, begin, &exchange, &token, &wire);
    let made = match made {
        Err(hsm::HsmError::Refused { reason }) => return Err(refused(FlowError::Conflict(reason))?),
        made => made?,
    };
    let (host_ephemeral, policy) = (Octets(made.host_ephemeral), wire.to_bytes());
    let grant = Grant { exchange: &exchange, host_ephemeral, policy };
    let signature = app.hsm.sign(SignKey::Host, &grant.to_signed_bytes(&made.wrapped))?;
    let wrapped = link::Wrapped::from_slice(&made.wrapped).map_err(|_| hsm::HsmError::Protocol)?;
    let install = Install { host_ephemeral, policy: Octets(policy), wrapped, signature: Octets(signature) };
    let fingerprint = app.hsm.mac(MacPurpose::Fingerprint, vec![made.record.clone()])?;
    let token = TokenRow {
        record: Some(made.record),
        record_mac: made.record_mac,
        state_mac: made.state_mac,
        fingerprint: *fingerprint.first().ok_or(hsm::HsmError::Protocol)?,
        ..token
    };
    let device = DeviceRow {
        serial: token.serial.to_string(),
        attestation_key: certificate.key.0,
        maker: certificate.maker.0,
        firmware: firmware_of(&begin.info),
        batch: begin.batch.clone(),
        counter: exchange.counter,
        token_id: Some(token.id),
        held_tag: None,
        updated_at: app.clock.now().wall_ms,
    };
    let wrapped = made.wrapped;
    let grant = (made.host_ephemeral, policy);
    app.exchanges
        .insert(made.exchange, Open { begun: Instant::now(), exchange, grant, wrapped, token, device });
    Ok(Granted { exchange: made.exchange, install })
}

/// Has the HSM make the secret, wrapped for the device and as a record.
fn make_secret(
    app: &Appliance,
    begin: &Begin,
    exchange: &Exchange,
    token: &TokenRow,
    wire: &link::Policy,
) -> Result<hsm::Provisioned, hsm::HsmError> {
    let certificate = begin.info.certificate.as_ref().ok_or(hsm::HsmError::Protocol)?;
    app.hsm.provision(Provision {
        attestation: certificate.key.0,
        signed: exchange.to_bytes().to_vec(),
        signature: begin.challenge.signature.0,
        device_ephemeral: begin.challenge.device_ephemeral.0,
        policy: wire.to_bytes().to_vec(),
        secret_len: usize::from(wire.secret_len),
        hash: hash_of(token.policy.algorithm),
        binding: token.binding(),
        state: token.state.bytes(&token.id),
        suite: exchange.suite.id(),
    })
}

/// Whether a device of this serial may get a new secret: not while its former one is somebody's.
fn assignable(app: &Appliance, serial: &Serial) -> Result<(), FlowError> {
    let former = app.store.read(|c| token::by_serial(c, serial))?;
    match former {
        Some(token) if token.user_id.is_some() && token.state.lifecycle != Lifecycle::Revoked => {
            Err(FlowError::Conflict(format!("{serial} is assigned to a user: revoke it first")))
        }
        _ => Ok(()),
    }
}

fn exchange_of(begin: &Begin, certificate: &MakerCertificate) -> Exchange {
    Exchange {
        suite: begin.start.suite,
        serial: certificate.serial.clone(),
        slot: begin.start.slot,
        counter: begin.challenge.counter,
        host_nonce: begin.start.host_nonce,
        device_nonce: begin.challenge.device_nonce,
        host_key: begin.start.host_key,
        device_ephemeral: begin.challenge.device_ephemeral,
    }
}

fn token_row(app: &Appliance, begin: &Begin, serial: Serial) -> Result<TokenRow, FlowError> {
    let last = match begin.policy.factor {
        Factor::Totp { .. } | Factor::Ocra { .. } => -1,
        Factor::Hotp => match i64::try_from(begin.counter) {
            Ok(counter) => counter - 1,
            Err(_) => return Err(FlowError::Invalid("the counter is too large".to_owned())),
        },
    };
    let lifecycle = Lifecycle::InStock;
    Ok(TokenRow {
        id: app.new_id()?,
        serial,
        user_id: None,
        class: Class::Hard,
        label: String::new(),
        policy: begin.policy,
        record: None,
        record_mac: [0; 32],
        reveal: None,
        fingerprint: [0; 32],
        state: MovingState { last, drift: 0, failures: 0, locked: None, lifecycle, epoch: 1 },
        state_mac: [0; 32],
        loa: STOCK_LOA,
        created_at: app.clock.now().wall_ms,
    })
}

/// The token's policy as the device reads it.
fn wire_policy(app: &Appliance, begin: &Begin) -> Result<link::Policy, FlowError> {
    let policy = &begin.policy;
    let (kind, period, t0, counter0) = match policy.factor {
        Factor::Hotp => (link::Kind::Hotp, 0, 0, begin.counter),
        Factor::Totp { period, t0 } => (link::Kind::Totp, period.get(), t0, 0),
        Factor::Ocra { question } => (link::Kind::Ocra, question.get().into(), 0, 0),
    };
    let (hash, secret_len) = match policy.algorithm {
        Algorithm::Sha1 => (link::Hash::Sha1, 32),
        Algorithm::Sha256 => (link::Hash::Sha256, 32),
        Algorithm::Sha512 => (link::Hash::Sha512, 64),
    };
    let truncation = match policy.format.truncation {
        oath::Truncation::Dynamic => -1,
        oath::Truncation::Fixed(offset) => {
            i8::try_from(offset).map_err(|_| FlowError::Invalid("the offset is too large".to_owned()))?
        }
    };
    Ok(link::Policy {
        kind,
        hash,
        digits: policy.format.digits.get(),
        checksum: policy.format.checksum,
        truncation,
        period,
        counter0,
        t0,
        utc: app.clock.now().unix_seconds(),
        secret_len,
    })
}

fn firmware_of(info: &Info) -> String {
    let [major, minor, patch] = info.firmware.version;
    format!("{major}.{minor}.{patch} {}", data_encoding::HEXLOWER.encode(&info.firmware.hash.0))
}

/// Takes the device's proof that it holds the secret, makes the token known, and only then gives what releases it.
///
/// # Errors
/// [`FlowError::NotFound`] for an exchange that is over; [`FlowError::Conflict`] for a wrong proof.
pub fn confirm(app: &Appliance, caller: &Caller, id: u64, tag: &[u8; 16]) -> Result<Commit, FlowError> {
    let open = app.exchanges.take(id).ok_or(FlowError::NotFound("exchange; begin again"))?;
    let (host_ephemeral, policy) = open.grant;
    let grant = Grant { exchange: &open.exchange, host_ephemeral: Octets(host_ephemeral), policy };
    let device_message = grant.tag_input(&open.wrapped, Confirmation::Token);
    let host_message = grant.tag_input(&open.wrapped, Confirmation::Server);
    let confirmed = app.hsm.confirm(id, &device_message, tag, &host_message);
    let released = match confirmed {
        Err(hsm::HsmError::Refused { reason }) => {
            return Err(refuse_proof(app, caller, &open.token.serial, reason)?);
        }
        confirmed => confirmed?,
    };
    assignable(app, &open.token.serial)?;
    let serial = open.token.serial.clone();
    let commit = Commit { counter: open.exchange.counter, tag: Octets(released) };
    let device = DeviceRow { held_tag: Some(released), ..open.device };
    let token = open.token;
    let event = app
        .event("device.provisioned", caller)
        .about("token", token.serial.as_str())
        .about("batch", device.batch.clone().unwrap_or_default());
    let stored = app.store.write(move |w| {
        // Two devices may have begun under one serial.
        let known = device::current(w, &device.serial)?;
        let admitted = same_device(known.as_ref(), &device.attestation_key)
            .and_then(|()| later_exchange(known.as_ref(), device.counter));
        if admitted.is_ok() {
            token::replace_in_stock(w, &token)?;
            device::put(w, &device)?;
            event::append(w, &event)?;
        }
        Ok(admitted)
    })?;
    match stored {
        Ok(()) => Ok(commit),
        Err(reason) => Err(refuse_proof(app, caller, &serial, reason)?),
    }
}

/// Notes that an exchange has ended without a token, and why.
fn refuse_proof(
    app: &Appliance,
    caller: &Caller,
    serial: &Serial,
    reason: String,
) -> Result<FlowError, FlowError> {
    note_refused(app, caller, serial.as_str(), reason.clone())?;
    Ok(FlowError::Conflict(format!("the device's proof is not taken: {reason}")))
}

fn note_refused(app: &Appliance, caller: &Caller, serial: &str, reason: String) -> Result<(), FlowError> {
    let now_ms = app.clock.now().wall_ms;
    let event = Event::refused(now_ms, "device.refused", caller.actor.clone(), reason);
    app.refuse(event.about("token", serial))
}

/// The device has made its new secret the active one.
///
/// # Errors
/// [`FlowError::Conflict`] for another counter than the one that is held.
pub fn committed(app: &Appliance, caller: &Caller, serial: &str, counter: u32) -> Result<(), FlowError> {
    let now_ms = app.clock.now().wall_ms;
    let event = app.event("device.committed", caller).about("token", serial);
    let name = serial.to_owned();
    let released = app.store.write(move |w| {
        let released = device::release(w, &name, counter, now_ms)?;
        if released {
            event::append(w, &event)?;
        }
        Ok(released)
    })?;
    let known = app.store.read(|c| device::by_serial(c, serial))?;
    match known {
        Some(device) if released || device.counter == counter => Ok(()),
        _ => Err(FlowError::Conflict(format!("no exchange {counter} of {serial} is known here"))),
    }
}

/// What is known of a device.
///
/// # Errors
/// When the store cannot answer.
pub fn device(app: &Appliance, serial: &str) -> Result<Option<DeviceRow>, FlowError> {
    Ok(app.store.read(|c| device::by_serial(c, serial))?)
}

/// Whether a device may get such an order.
///
/// # Errors
/// As [`order`].
pub fn orderable(app: &Appliance, serial: &str, order: &Order) -> Result<(), FlowError> {
    device(app, serial)?.ok_or(FlowError::NotFound("device"))?;
    let name = Serial::parse(serial).map_err(|error| FlowError::Invalid(error.to_string()))?;
    match order {
        Order::Return | Order::Wipe => assignable(app, &name),
        Order::SetClock { .. } | Order::Lock => Ok(()),
    }
}

/// Signs an order over the device's fresh challenge.
///
/// # Errors
/// [`FlowError::NotFound`] for a device that is not ours; [`FlowError::Conflict`] when its token is somebody's and
/// the order would erase it.
pub fn order(
    app: &Appliance,
    caller: &Caller,
    serial: &str,
    challenge: [u8; 16],
    order: Order,
) -> Result<[u8; 64], FlowError> {
    orderable(app, serial, &order)?;
    let wire_serial = link::Serial::parse(serial).map_err(|error| FlowError::Invalid(error.to_string()))?;
    let signature =
        app.hsm.sign(SignKey::Host, &transcript::order(&order, &wire_serial, &Octets(challenge)))?;
    let kind = match order {
        Order::SetClock { .. } => "device.clock_set",
        Order::Lock => "device.locked",
        Order::Return => "device.returned",
        Order::Wipe => "device.wiped",
    };
    let event = app.event(kind, caller).about("token", serial);
    let warrant = caller.warrant.clone();
    app.store.write(move |w| {
        approvals::settle(w, &warrant)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(signature)
}

/// The token, if it is in stock and its device has committed.
///
/// # Errors
/// As [`assign`].
pub fn givable(app: &Appliance, serial: &Serial) -> Result<TokenRow, FlowError> {
    let row = app.store.read(|c| token::by_serial(c, serial))?.ok_or(FlowError::NotFound("token"))?;
    if row.state.lifecycle != Lifecycle::InStock {
        return Err(FlowError::Conflict(format!("the token is {}", row.state.lifecycle.name())));
    }
    if device(app, serial.as_str())?.is_some_and(|device| device.held_tag.is_some()) {
        let text = "the device has not committed its secret: finish its provisioning first";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    if app.store.read(|c| enrolment::is_held(c, &row.id))? {
        return Err(FlowError::Conflict("an enrolment under way holds the token".to_owned()));
    }
    Ok(row)
}

/// Whether a user may have another hardware token.
///
/// # Errors
/// [`FlowError::Conflict`] for a user with as many as `oath.quota_hard` says, which is an event.
pub fn room_for(app: &Appliance, caller: &Caller, owner: &UserRow) -> Result<(), FlowError> {
    let living = tokens::living(app, &owner.id)?;
    tokens::need_room(app, caller, owner, &living, tokens::Quota::hard(app))
}

/// Gives a token from stock to a user: its record is bound anew, its codes are accepted from now on.
///
/// # Errors
/// [`FlowError::Conflict`] unless it is in stock and its device has committed, and as [`room_for`].
pub fn assign(
    app: &Appliance,
    caller: &Caller,
    serial: &Serial,
    owner: &UserRow,
) -> Result<TokenRow, FlowError> {
    let _order = app.lock_user(&owner.id)?;
    let row = givable(app, serial)?;
    room_for(app, caller, owner)?;
    let next = TokenRow {
        user_id: Some(owner.id),
        loa: HARD_LOA,
        state: MovingState { lifecycle: Lifecycle::Active, ..row.state.next() },
        ..row.clone()
    };
    let record = row.record.as_deref().unwrap_or_default();
    let records = app.hsm.mac(
        MacPurpose::Record,
        vec![hsm::record_message(record, &row.binding()), hsm::record_message(record, &next.binding())],
    )?;
    let states =
        app.hsm.mac(MacPurpose::State, vec![row.state.bytes(&row.id), next.state.bytes(&next.id)])?;
    let (record_mac, state_mac) = match (records.as_slice(), states.as_slice()) {
        ([record, next_record], [state, next_state])
            if *record == row.record_mac && *state == row.state_mac =>
        {
            (*next_record, *next_state)
        }
        _ => return Err(app.changed_token("the record", &row)),
    };
    let next = TokenRow { record_mac, state_mac, ..next };
    let event = app
        .event("token.assigned", caller)
        .about("token", serial.as_str())
        .about("user_ref", &owner.user_ref);
    let (loaded, stored, warrant) = (row, next.clone(), caller.warrant.clone());
    app.store.write(move |w| {
        if !token::rebind(w, &loaded, &stored)? {
            return Err(StoreError::Changed("the token"));
        }
        approvals::settle(w, &warrant)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(next)
}
