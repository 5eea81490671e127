//! What a bench needs beside provisioning: proving a token in stock, signing the list of a batch, and the stock.

use domain::event::Event;
use domain::names::Serial;
use domain::token::Lifecycle;
use domain::verify::{self, Meaning, Reason};
use hsm::{Matched, SignKey};
use oath::Code;

use super::provision::device;
use super::question::{self, Try};
use super::tokens::{self, Change};
use super::{Caller, FlowError};
use crate::appliance::Appliance;
use crate::store::device::StockRow;
use crate::store::token::TokenRow;
use crate::store::{event, token};

/// What sets a batch apart from all else that the host key signs.
const BATCH_LABEL: &[u8] = b"countersign batch 1";
/// Longest text of a batch, in bytes: its name and a hash.
const BATCH_TEXT_MAX: usize = 1024;

/// Wrong codes in a row after which a token in stock is revoked: it does not hold the secret that we think.
const WRONG_MAX: u32 = 3;

/// What came of a code at the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It was right, and is consumed.
    Fresh,
    /// It was not.
    Refused,
    /// It was the last wrong one: the token is revoked.
    Revoked,
}

/// Checks a code from the display of a token in stock and consumes it. Nobody is logged in by it, and a token that
/// is somebody's is not touched.
///
/// # Errors
/// [`FlowError::NotFound`] for an unknown token; [`FlowError::Conflict`] unless it is in stock, committed and not
/// locked; when the HSM or the store cannot answer. A wrong code is no error.
pub fn prove(app: &Appliance, caller: &Caller, serial: &Serial, otp: &str) -> Result<Proof, FlowError> {
    let Some(reason) = judge(app, caller, serial, otp)? else { return Ok(Proof::Fresh) };
    let row = app.store.read(|c| token::by_serial(c, serial))?.ok_or(FlowError::NotFound("token"))?;
    let in_stock = row.state.lifecycle == Lifecycle::InStock;
    if reason != Reason::Wrong || !in_stock || row.state.failures < WRONG_MAX {
        return Ok(Proof::Refused);
    }
    tokens::change(app, caller, serial, Change::Revoke)?;
    Ok(Proof::Revoked)
}

/// None for a fresh code, which is consumed.
fn judge(app: &Appliance, caller: &Caller, serial: &Serial, otp: &str) -> Result<Option<Reason>, FlowError> {
    let found = app.store.read(|c| token::by_serial(c, serial))?.ok_or(FlowError::NotFound("token"))?;
    let _order = app.lock_user(&found.user_id.unwrap_or(found.id))?;
    let row = app.store.read(|c| token::by_serial(c, serial))?.ok_or(FlowError::NotFound("token"))?;
    if row.state.lifecycle != Lifecycle::InStock {
        let text =
            format!("the token is {}: only one in stock is proved at the bench", row.state.lifecycle.name());
        return Err(FlowError::Conflict(text));
    }
    if device(app, serial.as_str())?.is_some_and(|device| device.held_tag.is_some()) {
        let text = "the device has not committed its secret: finish its provisioning first";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    if row.policy.suite().is_some() {
        let text =
            "the token answers questions, and nobody asks one in stock: assign it, then order a challenge";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    let now = app.clock.now();
    if row.state.is_locked(&now) {
        return Err(FlowError::Conflict("too many wrong codes: provision the token again".to_owned()));
    }
    if Code::parse(otp).is_err() {
        return refused(app, caller, &row, Reason::Malformed);
    }
    let config = &app.config;
    let plan = verify::plan(&row.policy, &row.state, &config.window, &config.limits, true, &now);
    let tries = plan.candidates.iter().map(Try::from);
    let asked = question::question(&row, otp, tries, &plan.refusal, config.window.factors());
    let matched = app.hsm.match_codes(vec![asked])?;
    let (next, next_mac, reason) = match matched.first() {
        Some(Matched::Hit { factor, next_mac }) => match plan.candidates.get(*factor) {
            Some(hit) if hit.meaning == Meaning::Fresh => (hit.next, *next_mac, None),
            Some(_) => return refused(app, caller, &row, Reason::Replay),
            None => (plan.refusal, *next_mac, Some(Reason::Wrong)),
        },
        Some(Matched::Miss { next_mac }) => (plan.refusal, *next_mac, Some(Reason::Wrong)),
        _ => return Err(FlowError::Tampered { what: "the record or the state", which: serial.to_string() }),
    };
    let event = match reason {
        None => app.event("device.proved", caller).about("token", serial.as_str()),
        Some(reason) => refusal(app, caller, &row, reason),
    };
    let saved = app.store.write(move |w| {
        let saved = token::put_state(w, &row, &next, &next_mac)?;
        if saved {
            event::append(w, &event)?;
        }
        Ok(saved)
    })?;
    if saved {
        Ok(reason)
    } else {
        Err(FlowError::Conflict("the token was changed meanwhile; try again".to_owned()))
    }
}

fn refusal(app: &Appliance, caller: &Caller, row: &TokenRow, reason: Reason) -> Event {
    Event::refused(app.clock.now().wall_ms, "device.proved", caller.actor.clone(), reason.name())
        .about("token", row.serial.as_str())
}

fn refused(
    app: &Appliance,
    caller: &Caller,
    row: &TokenRow,
    reason: Reason,
) -> Result<Option<Reason>, FlowError> {
    app.refuse(refusal(app, caller, row, reason))?;
    Ok(Some(reason))
}

fn batch_message(text: &str) -> Result<Vec<u8>, FlowError> {
    if text.is_empty() || text.len() > BATCH_TEXT_MAX {
        return Err(FlowError::Invalid(format!("the text of a batch has 1 to {BATCH_TEXT_MAX} bytes")));
    }
    Ok([BATCH_LABEL, text.as_bytes()].concat())
}

/// Signs what a station says of its batch, with the host key.
///
/// # Errors
/// [`FlowError::Invalid`] for a text that is empty or too long; when the HSM or the store cannot answer.
pub fn sign_batch(app: &Appliance, caller: &Caller, text: &str) -> Result<[u8; 64], FlowError> {
    let signature = app.hsm.sign(SignKey::Host, &batch_message(text)?)?;
    let name: String = text.lines().next().unwrap_or_default().to_owned();
    app.refuse(app.event("batch.signed", caller).about("batch", name))?;
    Ok(signature)
}

/// Whether a signature is this appliance's, over this text of a batch.
///
/// # Errors
/// As [`sign_batch`].
pub fn check_batch(app: &Appliance, text: &str, signature: &[u8; 64]) -> Result<bool, FlowError> {
    let key = app.hsm.public_key(SignKey::Host)?;
    Ok(app.hsm.verify_signature(&key, &batch_message(text)?, signature)?)
}

/// Devices by serial, with where their tokens are.
///
/// # Errors
/// When the store cannot answer.
pub fn stock(
    app: &Appliance,
    batch: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<StockRow>, FlowError> {
    Ok(app.store.read(|c| crate::store::device::stock(c, batch, after, limit))?)
}
