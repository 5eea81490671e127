//! A phone says a new address (C.5, D-41). The message has neither challenge nor nonce: each counts once, in whatever order
//! it comes again.

use domain::event::Event;
use push::reply::Refresh;

use super::super::FlowError;
use super::notice::{Notice, Occasion};
use super::refusal::{self, Kind};
use super::settle::{service_name, system_name};
use super::{Reached, actor, authenticate_as, sealed_device, speaker};
use crate::appliance::Appliance;
use crate::store::event;
use crate::store::push_device::{self, DeviceRow};

/// Messages of one phone that are remembered. None is ever forgotten, or it could be sent again: a phone that has said so
/// many addresses is registered anew.
const REMEMBERED_MAX: usize = 128;
/// Length of a fingerprint, in bytes.
const FINGERPRINT_LEN: usize = 32;

/// Why a message does not count.
#[derive(Debug, PartialEq, Eq)]
enum Spent {
    /// It has come before.
    Replayed,
    /// No more can be remembered.
    Full,
}

/// What is remembered once a message has come.
fn remembered(known: &[u8], fingerprint: &[u8; FINGERPRINT_LEN]) -> Result<Vec<u8>, Spent> {
    if known.chunks(FINGERPRINT_LEN).any(|one| one == fingerprint) {
        return Err(Spent::Replayed);
    }
    if known.len() >= REMEMBERED_MAX * FINGERPRINT_LEN {
        return Err(Spent::Full);
    }
    Ok([known, fingerprint].concat())
}

/// Takes a phone's new address. False is 400, whatever the reason; each is an event, few of many alike.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub fn take(app: &Appliance, body: &[u8]) -> Result<bool, FlowError> {
    if !app.config.push.as_ref().is_some_and(|push| push.refresh) {
        return refusal::write(app, Kind::Refresh, "off", None);
    }
    let Ok(refresh) = Refresh::parse(body) else {
        return refusal::write(app, Kind::Refresh, "malformed", None);
    };
    let load = || app.store.read(|c| push_device::by_mechanism(c, refresh.mechanism().as_str()));
    let unknown = || refusal::write(app, Kind::Refresh, "unknown", None);
    let Some(found) = load()? else { return unknown() };
    let _order = app.lock_user(&found.user_id)?;
    let Some(row) = load()? else { return unknown() };
    let Some(owner) = speaker(app, &row)? else { return refusal::set_aside(app, Kind::Refresh, &row) };
    let [mac] = authenticate_as(app, &row, [refresh.signing_input()])?;
    let at = app.clock.now().wall_ms;
    let about = |event: Event| event.about("user_ref", &owner.user_ref).about("phone", row.serial.as_str());
    let device = match refresh.open(&mac) {
        Ok(device) => device,
        Err(why) => {
            tracing::info!(%why, "a phone's new address is not taken");
            let bad = ("push.bad_signature", "refresh");
            return refusal::write_named(app, bad, Some((&owner, &row)));
        }
    };
    let refreshed = match remembered(&row.refreshed, &refresh.fingerprint()) {
        Ok(refreshed) => refreshed,
        Err(spent) => {
            let reason = if spent == Spent::Full { "full" } else { "replay" };
            return refusal::write(app, Kind::Refresh, reason, Some((&owner, &row)));
        }
    };
    let before = Reached::open(app, &owner, &row)?;
    let after = Reached {
        address: device.address,
        name: device.name,
        system: system_name(device.system).to_owned(),
        service: service_name(device.service).to_owned(),
        ..before.clone()
    };
    let changed = before.address != after.address
        || before.name != after.name
        || before.service != after.service
        || before.system != after.system;
    // One that changes nothing now would change something after the next one: it is remembered all the same.
    let sealed = if changed { Some(after.seal(app, &owner, &row)?) } else { row.device.clone() };
    let next = sealed_device(app, DeviceRow { device: sealed, refreshed, updated_at: at, ..row.clone() })?;
    let event = changed.then(|| about(Event::ok(at, "push.device_refreshed", actor(&owner))));
    // A new name, or the same address by another service, is nothing to be told of.
    let moved = before.address != after.address;
    let notice = moved.then(|| Notice::of(app, &owner, Occasion::PhoneMoved));
    let told = notice.as_ref().map(|notice| notice.told.clone()).unwrap_or_default();
    let loaded = row.clone();
    let won = app.store.write(move |w| {
        let won = push_device::put(w, &loaded, &next)?;
        if let (true, Some(event)) = (won, &event) {
            event::append(w, event)?;
            told.write(w)?;
        }
        Ok(won)
    })?;
    if let Some(notice) = notice.filter(|_| won) {
        notice.go(app);
    }
    Ok(won)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C.5, D-41. Red when a message is ever forgotten, and can be sent again.
    #[test]
    fn a_message_counts_once_however_many_come_after() {
        let one = |n: usize| [u8::try_from(n).expect("below 256"); FINGERPRINT_LEN];
        let mut known = Vec::new();
        for n in 0..REMEMBERED_MAX {
            known = remembered(&known, &one(n)).expect("new");
            for again in 0..=n {
                assert_eq!(remembered(&known, &one(again)), Err(Spent::Replayed));
            }
        }
        assert_eq!(remembered(&known, &one(REMEMBERED_MAX)), Err(Spent::Full));
    }
}
