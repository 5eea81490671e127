//! A phone says a new address (C.5, D-41). The message has neither challenge nor nonce: it counts only if it changes
//! something, and never twice.

use domain::event::Event;
use push::reply::Refresh;

use super::super::FlowError;
use super::settle::{service_name, system_name};
use super::{PHONES, Reached, actor, authenticate_as, sealed_device, speaker};
use crate::appliance::Appliance;
use crate::store::event;
use crate::store::push_device::{self, DeviceRow};

/// New addresses whose messages are remembered.
const REMEMBERED: usize = 16;
/// Length of a fingerprint, in bytes.
const FINGERPRINT_LEN: usize = 32;

/// Takes a phone's new address. False is 400, whatever the reason.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub fn take(app: &Appliance, body: &[u8]) -> Result<bool, FlowError> {
    if !app.config.push.as_ref().is_some_and(|push| push.refresh) {
        return Ok(false);
    }
    let Ok(refresh) = Refresh::parse(body) else { return Ok(false) };
    let load = || app.store.read(|c| push_device::by_mechanism(c, refresh.mechanism().as_str()));
    let Some(found) = load()? else { return Ok(false) };
    let _order = app.lock_user(&found.user_id)?;
    let Some(row) = load()? else { return Ok(false) };
    let Some(owner) = speaker(app, &row)? else { return Ok(false) };
    let [mac] = authenticate_as(app, &row, [refresh.signing_input()])?;
    let at = app.clock.now().wall_ms;
    let about = |event: Event| event.about("user_ref", &owner.user_ref).about("phone", row.serial.as_str());
    let device = match refresh.open(&mac) {
        Ok(device) => device,
        Err(why) => {
            tracing::info!(%why, "a phone's new address is not taken");
            let who = domain::event::Actor::system(PHONES);
            app.refuse(about(Event::refused(at, "push.bad_signature", who, "refresh")))?;
            return Ok(false);
        }
    };
    let fingerprint = refresh.fingerprint();
    if row.refreshed.chunks(FINGERPRINT_LEN).any(|known| known == fingerprint) {
        return Ok(false);
    }
    let before = Reached::open(app, &owner, &row)?;
    let after = Reached {
        address: device.address,
        name: device.name,
        system: system_name(device.system).to_owned(),
        service: service_name(device.service).to_owned(),
        ..before.clone()
    };
    let same =
        before.address == after.address && before.name == after.name && before.service == after.service;
    if same && before.system == after.system {
        return Ok(true);
    }
    let mut refreshed = row.refreshed.clone();
    let keep = (REMEMBERED - 1) * FINGERPRINT_LEN;
    refreshed.drain(..refreshed.len().saturating_sub(keep));
    refreshed.extend_from_slice(&fingerprint);
    let next =
        DeviceRow { device: Some(after.seal(app, &owner, &row)?), refreshed, updated_at: at, ..row.clone() };
    let next = sealed_device(app, next)?;
    let event = about(Event::ok(at, "push.device_refreshed", actor(&owner)));
    let loaded = row.clone();
    Ok(app.store.write(move |w| {
        let won = push_device::put(w, &loaded, &next)?;
        if won {
            event::append(w, &event)?;
        }
        Ok(won)
    })?)
}
