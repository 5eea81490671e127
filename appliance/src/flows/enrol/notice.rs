//! The user is told of an activation, and of a failure (BIND-27, D-64): over another channel than the new factor where
//! there is one.

use domain::enrol::{Activity, Factor};

use super::work::{Doing, Work};
use crate::flows::{FlowError, notices};
use crate::store::outbox::{self, MessageRow};
use crate::store::{StoreError, Writing};

/// How a user is told, and what goes out with the commit.
pub(super) struct Told {
    channel: &'static str,
    message: Option<MessageRow>,
}

/// How a failure is told.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub(super) fn of_failure(work: &Work<'_>) -> Result<Told, FlowError> {
    tell(work, "enrol-notice-rejected", None)
}

/// How an activation is told: never by the new factor alone.
///
/// # Errors
/// As [`of_failure`].
pub(super) fn of_activation(work: &Work<'_>) -> Result<Told, FlowError> {
    tell(work, "enrol-notice-active", work.row.progress.factor)
}

/// How the user is reminded of the registration code.
///
/// # Errors
/// As [`of_failure`].
pub(super) fn of_code(work: &Work<'_>) -> Result<Told, FlowError> {
    tell(work, "enrol-notice-code", None)
}

fn tell(work: &Work<'_>, text: &str, but: Option<Factor>) -> Result<Told, FlowError> {
    let (app, owner) = (work.app, &work.owner);
    let words = app.config.texts.text(&owner.lang, text, &[]);
    if but != Some(Factor::Sms)
        && let Some(message) = notices::sms(app, owner, &words, &work.now)?
    {
        return Ok(Told { channel: "sms", message: Some(message) });
    }
    let subject = app.config.texts.text(&owner.lang, "enrol-mail-subject", &[]);
    let channel = if by_mail(work, &subject, &words)? { "email" } else { "page" };
    Ok(Told { channel, message: None })
}

/// Sends a mail to the user; false where there is no address, or no relay that takes it.
///
/// # Errors
/// When the HSM cannot answer.
pub(super) fn by_mail(work: &Work<'_>, subject: &str, body: &str) -> Result<bool, FlowError> {
    let address = notices::mail_address(work.app, &work.owner)?;
    Ok(address.is_some_and(|address| notices::hand_over(work.app, &address, subject, body)))
}

impl Told {
    /// Over which channel.
    pub(super) fn channel(&self) -> &'static str {
        self.channel
    }

    /// Adds the step of a failure that is told.
    ///
    /// # Errors
    /// When the HSM cannot answer.
    pub(super) fn go(self, work: &mut Work<'_>) -> Result<Self, FlowError> {
        let doing = Doing::new("enrol.failure_told", Activity::Confirmation).about("channel", self.channel);
        let judged = Ok(work.progress());
        work.go(doing, judged)?;
        Ok(self)
    }

    /// Writes what goes out, in the act's own transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.message.as_ref().map_or(Ok(()), |message| outbox::insert(writing, message))
    }
}
