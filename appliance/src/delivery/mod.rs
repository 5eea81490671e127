//! Delivery of pushes (C.11): the address that a phone gave says by which way its messages go.
//!
//! A message is signed and holds no secret but its text, which the phone's own key hides from a push service where the
//! phone gave one. What is sent where is said by `[push.delivery]`; nothing outside its list of hosts is ever connected
//! to. Nothing here knows users, challenges or the store: what became of a message is the caller's to keep.

mod http;
mod reach;
mod request;
mod retry;
mod vapid;

pub use http::HttpError;
pub(crate) use http::{Answer, Call, Tls, exchange};
pub use retry::next_try;
pub use vapid::{Sign, Signer, Vapid};

use std::fmt;
use std::time::Duration;

use push::address::{AddressError, Route};
use push::envelope::TooLarge;
use push::message_id::MessageId;
use push::message_text::MessageText;
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::config::push_delivery::{CaError, Delivery};

/// Least time for an exchange, however soon the message ends.
const DEADLINE_MIN: Duration = Duration::from_secs(1);

/// A push on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The signed message.
    pub jwt: String,
    /// Its name.
    pub id: MessageId,
    /// How long it is worth anything, from now.
    pub ttl: Duration,
    /// What a locked phone shows, where its system wants it told apart (APNs).
    pub alert: MessageText,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What became of a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// A push service has it.
    Sent,
    /// The phone fetches it; the store keeps it until then.
    Kept,
}

/// Why a message did not go out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotCarried {
    /// The push service knows this address no more (RFC 8030, 7.3): nothing reaches the phone until it tells a new one.
    #[error("the push service knows this phone no more")]
    Gone,
    /// Not now; see [`next_try`].
    #[error("the push was not taken now: {why}")]
    Later {
        /// What was wrong.
        why: Why,
        /// How long the push service wants to be left alone.
        after: Option<Duration>,
    },
    /// Not this message to this address, whenever it is tried.
    #[error("the push cannot be sent: {0}")]
    Never(Why),
}

impl NotCarried {
    /// A word for events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            NotCarried::Gone => "gone",
            NotCarried::Later { why, .. } | NotCarried::Never(why) => why.word(),
        }
    }
}

/// What is in a push's way. No text repeats the address: whoever knows it can send to the phone.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Why {
    /// No address, or none that a rule allows.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The phone is not to be told anything now.
    #[error("the phone is set aside")]
    SetAside,
    /// A way that is not switched on.
    #[error("{0} is not set")]
    Off(&'static str),
    /// A foreign push service would read it.
    #[error("the phone gave no keys, and only the configured ntfy server may read messages")]
    NoKeys,
    /// More bytes than a push service takes.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The service answered with this status.
    #[error("the push service answered {0}")]
    Status(u16),
    /// The exchange did not come to an answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The HSM did not sign who sends it.
    #[error("the token that says who sends it was not signed")]
    Unsigned,
    /// The try came to no end of its own: a fault of ours.
    #[error("the push was given up by a fault; the log has more")]
    Fault,
    /// The kernel gives no random bytes.
    #[error("the kernel gave no random bytes")]
    Random,
}

impl Why {
    fn word(&self) -> &'static str {
        match self {
            Why::Address(AddressError::NotAllowed) | Why::Http(HttpError::NotAdmitted) => "not_allowed",
            Why::Address(_) => "address",
            Why::SetAside => "set_aside",
            Why::Off(_) => "off",
            Why::NoKeys => "no_keys",
            Why::TooLarge(_) | Why::Status(413) => "too_large",
            Why::Status(_) => "refused",
            Why::Http(HttpError::Deadline) => "deadline",
            Why::Http(HttpError::Certificate(_)) => "certificate",
            Why::Http(_) => "unreachable",
            Why::Unsigned | Why::Random | Why::Fault => "unavailable",
        }
    }
}

/// Why pushes cannot be delivered at all.
#[derive(Debug, Error)]
pub enum SetupError {
    /// No authorities to know push services by.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// TLS or the system.
    #[error("delivery of pushes cannot be set up: {0}")]
    Fault(String),
}

/// All ways to a phone.
pub struct Carriers {
    settings: Delivery,
    tls: Option<Tls>,
    vapid: Option<Vapid>,
    // Taken when it is dropped, so that a name that is just being resolved holds up nobody.
    runtime: Option<Runtime>,
}

impl Drop for Carriers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Carriers {
    /// The ways that are switched on. With a signer and a contact, push services are told who sends (RFC 8292).
    ///
    /// # Errors
    /// [`SetupError`], with the file that is missing.
    pub fn new(settings: Delivery, signer: Option<Signer>) -> Result<Self, SetupError> {
        // Where phones only fetch, no authorities are needed.
        let tls = settings.web_push.then(|| Tls::new(settings.ca_file.as_deref())).transpose()?;
        let fault = |error: std::io::Error| SetupError::Fault(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
        let vapid = signer.zip(settings.contact.clone()).map(|(signer, contact)| Vapid::new(signer, contact));
        Ok(Carriers { settings, tls, vapid, runtime: Some(runtime) })
    }

    /// What they were made of.
    pub fn settings(&self) -> &Delivery {
        &self.settings
    }

    /// Sends a message, or says that it is to be kept for the phone, if that is on. It waits for `[push.delivery] deadline` at the
    /// most, and not from within an async task. No redirect is followed, no proxy asked, and no answer's body read.
    ///
    /// # Errors
    /// [`NotCarried`].
    ///
    /// # Panics
    /// Within an async task.
    pub fn carry(&self, device_id: &str, message: &Message) -> Result<Carried, NotCarried> {
        let route = Route::of(device_id).map_err(|error| NotCarried::Never(error.into()))?;
        let call = request::call(&self.settings, self.vapid.as_ref(), route, device_id, message)?;
        let Some(call) = call else { return Ok(Carried::Kept) };
        let deadline = self.settings.deadline.min(message.ttl.max(DEADLINE_MIN));
        let admits = |address| reach::admits(&self.settings.allow, &call.url, address);
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        let answer = runtime.block_on(exchange(self.tls.as_ref(), &admits, &call, deadline, None));
        retry::judge(answer)
    }
}
