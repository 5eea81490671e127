//! A phone has proved itself: both halves are stored, what they replace ends, and so do the old recovery codes. One
//! transaction (COMB-14, COMB-39).

use domain::event::Event;
use domain::names::Serial;
use domain::registration::Registration;
use domain::time::Now;
use domain::token::{Id, Lifecycle, MovingState};
use push::device::{Service, System};
use push::reply::Registered;

use super::super::enrol::{self, Ready};
use super::super::{Caller, FlowError, letters, oath as accounts, tokens};
use super::notice::{Notice, Occasion};
use super::prepared::Prepared;
use super::register::{Former, about, put, sealed};
use super::{PHONE_LOA, Reached, codes as sets, sealed_device};
use crate::appliance::Appliance;
use crate::store::push_device::{self, DeviceRow};
use crate::store::registration::RegistrationRow;
use crate::store::token::{self, TokenRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, event};

/// A registration whose phone has proved itself, with all that was loaded for it. The caller holds the user's lock.
pub(super) struct Proved<'a> {
    pub(super) app: &'a Appliance,
    pub(super) caller: Caller,
    pub(super) now: Now,
    pub(super) row: &'a RegistrationRow,
    pub(super) owner: &'a UserRow,
    pub(super) prepared: &'a Prepared,
    /// `storing`.
    pub(super) registration: Registration,
    /// What the phone says of itself.
    pub(super) phone: Option<Registered>,
    /// The token's state after the code that proved it.
    pub(super) state: Option<(MovingState, [u8; 32])>,
}

fn damaged() -> FlowError {
    FlowError::Invalid("what was prepared cannot be stored".to_owned())
}

impl Proved<'_> {
    /// Stores everything, or nothing.
    ///
    /// # Errors
    /// [`FlowError::Conflict`] when the user has such a thing meanwhile: the registration has failed; when the HSM or the
    /// store cannot answer, it goes on waiting.
    pub(super) fn store(self) -> Result<RegistrationRow, FlowError> {
        let former = Former::load(self.app, self.owner, self.row.registration.kind)?;
        if !former.is_empty() && !self.prepared.replace {
            return self.fail("exists");
        }
        // What came since the code was shown counts too.
        if former.is_above(self.prepared.loa) {
            return self.fail("loa");
        }
        let phone = self.prepared.push.as_ref().zip(self.phone.as_ref());
        if let Some((_, phone)) = phone {
            let mechanism = phone.mechanism.as_str().to_owned();
            let other = self.app.store.read(|c| push_device::by_mechanism(c, &mechanism))?;
            if other.is_some_and(|other| former.devices.iter().all(|row| row.id != other.id)) {
                return self.fail("mechanism");
            }
        }
        let token = self.token()?;
        let device = self.device(token.as_ref())?;
        let held = match self.held(device.as_ref())? {
            Some(held) => held,
            None => return self.fail("enrolment"),
        };
        self.write(former, token, device, held)
    }

    /// The enrolment that holds the phone from now on, where it is registered for one; none where that one does not take
    /// it any more.
    fn held(&self, device: Option<&DeviceRow>) -> Result<Option<Option<Ready>>, FlowError> {
        let Some((enrolment, device)) = self.row.enrolment_id.as_ref().zip(device) else {
            return Ok(Some(None));
        };
        Ok(enrol::registered(self.app, &self.caller, enrolment, device)?.map(Some))
    }

    /// How what is stored begins: without effect where an enrolment holds it.
    fn lifecycle(&self) -> Lifecycle {
        if self.row.enrolment_id.is_some() { Lifecycle::Pending } else { Lifecycle::Active }
    }

    fn token(&self) -> Result<Option<TokenRow>, FlowError> {
        let Some(half) = &self.prepared.oath else { return Ok(None) };
        let row = half.row(self.owner).ok_or_else(damaged)?;
        let (state, state_mac) = match (self.state, self.lifecycle()) {
            (Some(moved), _) => moved,
            (None, Lifecycle::Pending) => {
                let state = MovingState { lifecycle: Lifecycle::Pending, ..row.state };
                (state, tokens::next_mac(self.app, &row, &state)?)
            }
            (None, _) => (row.state, row.state_mac),
        };
        Ok(Some(TokenRow { state, state_mac, ..row }))
    }

    fn device(&self, token: Option<&TokenRow>) -> Result<Option<DeviceRow>, FlowError> {
        let Some((half, phone)) = self.prepared.push.as_ref().zip(self.phone.as_ref()) else {
            return Ok(None);
        };
        let row = DeviceRow {
            id: half.id,
            serial: Serial::parse(&half.serial).map_err(|_| damaged())?,
            user_id: self.owner.id,
            lifecycle: self.lifecycle(),
            record: Some(half.record.clone()),
            record_mac: half.record_mac,
            mechanism: phone.mechanism.as_str().to_owned(),
            device: None,
            pair_id: token.map(|row| row.id),
            loa: PHONE_LOA,
            refreshed: phone.fingerprint.to_vec(),
            created_at: self.now.wall_ms,
            updated_at: self.now.wall_ms,
            used_at: None,
            mac: [0; 32],
        };
        let reached = Reached {
            address: phone.device.address.clone(),
            name: phone.device.name.clone(),
            system: system_name(phone.device.system).to_owned(),
            service: service_name(phone.device.service).to_owned(),
            issuer: self.prepared.issuer.clone(),
            account: self.prepared.account.clone(),
            policies: self.prepared.policies.clone(),
        };
        let device = Some(reached.seal(self.app, self.owner, &row)?);
        sealed_device(self.app, DeviceRow { device, ..row }).map(Some)
    }

    fn write(
        self,
        former: Former,
        token: Option<TokenRow>,
        device: Option<DeviceRow>,
        held: Option<Ready>,
    ) -> Result<RegistrationRow, FlowError> {
        let Proved { app, caller, now, row, owner, prepared, registration, .. } = self;
        let replaced = !former.is_empty();
        let letter = letters::of_ended(app, &caller, owner, &former.tokens)?;
        let ending = accounts::ending(app, &caller, owner, former.tokens)?;
        let items: Vec<Id> = former.devices.iter().map(|row| row.id).collect();
        let bound = enrol::replaced(app, &caller, &items, enrol::Why::of(&caller))?;
        let devices = former.devices.into_iter().map(|row| super::device::revoking(app, &caller, owner, row));
        let devices = devices.collect::<Result<Vec<_>, _>>()?;
        let codes = if prepared.recovery || replaced { sets::superseding(app, owner)? } else { None };
        let stored = registration.stored(prepared.recovery).map_err(|_| damaged())?;
        let next = sealed(
            app,
            RegistrationRow {
                registration: stored,
                prepared: None,
                device_id: device.as_ref().map(|row| row.id),
                token_id: token.as_ref().map(|row| row.id),
                ..row.clone()
            },
        )?;
        let mut registered = about(app.event("mfa.registered", &caller), owner, row)
            .about("kind", row.registration.kind.name())
            .about("replaced", replaced.to_string());
        if let Some(device) = &device {
            registered = registered.about("phone", device.serial.as_str());
        }
        if let Some(token) = &token {
            registered = registered.about("token", token.serial.as_str());
        }
        let occasion = if replaced { Occasion::PhoneReplaced } else { Occasion::PhoneBound };
        let notice = Notice::of(app, owner, occasion);
        let (loaded, written, at) = (row.clone(), next.clone(), now.wall_ms);
        let told = notice.told.clone();
        app.store.write(move |w| {
            put(w, &loaded, &written)?;
            if let Some(codes) = &codes {
                sets::supersede(w, codes)?;
            }
            accounts::end(w, &ending)?;
            letters::end(w, letter.as_ref(), at)?;
            for (former, next, event) in &devices {
                if !push_device::put(w, former, next)? {
                    return Err(StoreError::Changed("the phone"));
                }
                event::append(w, event)?;
            }
            bound.write(w)?;
            if let Some(token) = &token {
                token::insert(w, token)?;
            }
            if let Some(device) = &device {
                push_device::insert(w, device)?;
            }
            held.iter().try_for_each(|held| held.write(w))?;
            event::append(w, &registered)?;
            told.write(w)
        })?;
        notice.go(app);
        app.news.notify_waiters();
        Ok(next)
    }

    /// Ends the registration without storing anything (COMB-30).
    fn fail(&self, reason: &'static str) -> Result<RegistrationRow, FlowError> {
        let failed = self.registration.not_stored().map_err(|_| damaged())?;
        let next = super::register::ended(self.app, self.row, failed, Some(reason))?;
        let actor = self.caller.actor.clone();
        let event = Event::failed(self.now.wall_ms, "mfa.registration_failed", actor, reason);
        let event = about(event, self.owner, self.row);
        let loaded = self.row.clone();
        self.app.store.write(move |w| {
            put(w, &loaded, &next)?;
            event::append(w, &event).map(drop)
        })?;
        self.app.news.notify_waiters();
        Err(FlowError::Conflict(format!("the registration has failed: {reason}")))
    }
}

/// As the app spells what it runs on.
pub(super) fn system_name(system: System) -> &'static str {
    match system {
        System::Android => "android",
        System::Ios => "ios",
    }
}

/// As the app spells what it believes to be reached by.
pub(super) fn service_name(service: Service) -> &'static str {
    match service {
        Service::Gcm => "gcm",
        Service::Apns => "apns",
    }
}
