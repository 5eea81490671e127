//! Mail through a relay on the same premises (RFC 5321).

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::{Message, SmtpTransport, Transport};
use thiserror::Error;

use crate::config::people::Mail;

/// Longest wait for the relay.
const DEADLINE: Duration = Duration::from_secs(10);

/// Mail that did not go out.
#[derive(Debug, Error)]
pub(crate) enum MailError {
    /// The message cannot be written.
    #[error("the message cannot be written: {0}")]
    Message(String),
    /// The relay did not take it.
    #[error("the relay did not take it: {0}")]
    Relay(String),
}

/// Hands a text to the relay.
///
/// # Errors
/// [`MailError`]; it says nothing of what was to be sent.
pub(crate) fn send(relay: &Mail, to: &str, subject: &str, body: &str) -> Result<(), MailError> {
    let unwritten = |error: &dyn std::fmt::Display| MailError::Message(error.to_string());
    let message = Message::builder()
        .from(relay.from.parse().map_err(|error| unwritten(&error))?)
        .to(to.parse().map_err(|error| unwritten(&error))?)
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(body.to_owned())
        .map_err(|error| unwritten(&error))?;
    let transport =
        SmtpTransport::builder_dangerous(&relay.host).port(relay.port).timeout(Some(DEADLINE)).build();
    transport.send(&message).map(drop).map_err(|error| MailError::Relay(error.to_string()))
}
