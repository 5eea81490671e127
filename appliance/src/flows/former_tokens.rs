//! Records of tokens from before schema 0009: their MAC left the class of the token out, which decides the highest level
//! of assurance. They get one that covers it, once, at the first start that reaches the HSM.
//!
//! That it was done is an event, `store.tokens_sealed`: from then on a MAC without the class is that of a changed row.

use domain::event::{Actor, Event};
use hsm::MacPurpose;

use super::FlowError;
use super::former::macs;
use crate::appliance::Appliance;
use crate::store::event;
use crate::store::token::{self, TokenRow};

/// The event that says that the records of former schemas are sealed.
const SEALED: &str = "store.tokens_sealed";
/// Records sealed in one transaction; below what the HSM takes at once.
const BATCH: usize = 256;

impl Appliance {
    fn tokens_are_sealed(&self) -> Result<bool, FlowError> {
        if self.tokens_sealed.get().is_some() {
            return Ok(true);
        }
        let done = self.store.read(|c| event::exists(c, SEALED))?;
        if done {
            self.tokens_sealed.get_or_init(|| ());
        }
        Ok(done)
    }

    /// What a token is whose MAC does not fit: changed, or not yet sealed.
    pub(super) fn changed_token(&self, what: &'static str, token: &TokenRow) -> FlowError {
        match self.tokens_are_sealed() {
            Ok(true) => FlowError::Tampered { what, which: token.serial.to_string() },
            Ok(false) => FlowError::Busy,
            Err(error) => error,
        }
    }
}

/// Seals the records of former schemas, unless that was done. One whose former MAC does not fit is left as it is: it is
/// a changed row from then on.
///
/// # Errors
/// When the HSM or the store cannot answer: it is done later.
pub(super) fn seal(app: &Appliance) -> Result<(), FlowError> {
    if app.tokens_are_sealed()? {
        return Ok(());
    }
    let (mut after, mut sealed) = (Vec::new(), 0);
    loop {
        let found = app.store.read(|c| token::with_record(c, &after, BATCH))?;
        let Some(last) = found.last() else { break };
        after = last.id.to_vec();
        sealed += seal_some(app, found)?;
    }
    let event = Event::ok(app.clock.now().wall_ms, SEALED, Actor::system("store"));
    let event = event.about("tokens", sealed.to_string());
    app.store.write(move |w| event::append(w, &event).map(drop))?;
    tracing::info!(sealed, "records of tokens of former schemas are sealed");
    app.tokens_sealed.get_or_init(|| ());
    Ok(())
}

fn seal_some(app: &Appliance, found: Vec<TokenRow>) -> Result<usize, FlowError> {
    let messages = |binding: fn(&TokenRow) -> Vec<u8>| {
        let message =
            |row: &TokenRow| hsm::record_message(row.record.as_deref().unwrap_or_default(), &binding(row));
        found.iter().map(message).collect::<Vec<_>>()
    };
    let former = macs(app, MacPurpose::Record, messages(TokenRow::former_binding))?;
    let next = macs(app, MacPurpose::Record, messages(TokenRow::binding))?;
    let fitting: Vec<(TokenRow, [u8; 32])> = found
        .into_iter()
        .zip(former)
        .zip(next)
        .filter(|((row, former), _)| row.record_mac == *former)
        .map(|((row, _), next)| (row, next))
        .collect();
    let sealed = fitting.len();
    if sealed > 0 {
        app.store
            .write(move |w| fitting.iter().try_for_each(|(row, mac)| token::put_record_mac(w, row, mac)))?;
    }
    Ok(sealed)
}
