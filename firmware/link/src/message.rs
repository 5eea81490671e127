//! Requests of the host and answers of the token, in postcard: bounded, without a heap, the same bytes on both
//! ends.
//!
//! A message is the protocol version (u8), the request's sequence number (u32) and the body. The first two stay
//! as they are in every version, so that a token can say that it does not speak a newer one.

use core::fmt;

use heapless::Vec;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::certificate::MakerCertificate;
use crate::frame::MESSAGE_MAX;
use crate::octets::{Digest, Nonce16, Octets, Point, Signature, Tag};
use crate::policy::{POLICY_LEN, SECRET_MAX};
use crate::serial::Serial;

/// The protocol version that this crate speaks.
pub const PROTOCOL: u8 = 1;

/// The most slots a token has.
pub const SLOTS_MAX: usize = 4;

/// The longest wrapped secret: RFC 3394 adds 8 bytes.
pub const WRAPPED_MAX: usize = SECRET_MAX + 8;

/// A wrapped secret, W.
pub type Wrapped = Vec<u8, WRAPPED_MAX>;

/// How the wrapping and the confirmation key come from the shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suite {
    /// 1: HKDF-SHA-256. Reserved.
    Hkdf,
    /// 2: AES-256-CBC of the context under the shared secret (CKM_AES_CBC_ENCRYPT_DATA).
    CbcData,
}

impl Suite {
    /// The number inside M_1.
    pub const fn id(self) -> u8 {
        match self {
            Self::Hkdf => 1,
            Self::CbcData => 2,
        }
    }
}

/// What a host asks. Each has one answer, or [`Answer::Refused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who are you? Answered by [`Answer::Info`].
    Info,
    /// Begin an exchange; needs presence. Answered by [`Answer::Challenge`].
    Start(Start),
    /// Take this secret as pending. Answered by [`Answer::Installed`].
    Install(Install),
    /// Make the pending secret the active one. Answered by [`Answer::Committed`].
    Commit(Commit),
    /// Forget the pending secret. Answered by [`Answer::Aborted`].
    Abort(Abort),
    /// A fresh challenge for an order. Answered by [`Answer::Nonce`].
    Nonce,
    /// An order signed by the host key over that challenge. Answered by [`Answer::Obeyed`].
    Order {
        /// What to do.
        order: Order,
        /// By the pinned host key over [`transcript::order`](crate::transcript::order).
        signature: Signature,
    },
    /// How are you? Answered by [`Answer::Diagnostics`].
    Diagnostics,
    /// In the factory only: make an attestation key for this serial. Answered by [`Answer::Personalised`].
    Personalise {
        /// The serial to take.
        serial: Serial,
    },
    /// In the factory only: keep this certificate. Answered by [`Answer::Certified`].
    Certify(MakerCertificate),
}

/// Begins an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The slot to fill, from 0.
    pub slot: u8,
    /// The key derivation.
    pub suite: Suite,
    /// From the host's RNG.
    pub host_nonce: Nonce16,
    /// Q_H, which the token pins, or compares with the pinned one.
    pub host_key: Point,
}

/// A wrapped secret with the host key's word for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// E_H.
    pub host_ephemeral: Point,
    /// The bytes of a [`Policy`](crate::Policy): the token checks the signature before it reads them.
    pub policy: Octets<POLICY_LEN>,
    /// W.
    pub wrapped: Wrapped,
    /// By the host key over [`Grant::to_signed_bytes`](crate::transcript::Grant::to_signed_bytes).
    pub signature: Signature,
}

/// Makes a pending secret active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The exchange's counter.
    pub counter: u32,
    /// `tag_S`.
    pub tag: Tag,
}

/// Forgets a pending secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// The exchange's counter.
    pub counter: u32,
}

/// What only the owner may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Set the clock to these Unix seconds.
    SetClock {
        /// UTC.
        utc: i64,
    },
    /// Take no more secrets until returned: the token leaves the bench.
    Lock,
    /// Back into stock: erase all secrets and the PIN, keep the owner; needs presence.
    Return,
    /// Erase everything of the owner, the pinned key included; needs presence.
    Wipe,
}

/// What a token answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Info`].
    Info(Info),
    /// To [`Request::Start`].
    Challenge(Challenge),
    /// To [`Request::Install`].
    Installed {
        /// `tag_T`.
        tag: Tag,
    },
    /// To [`Request::Commit`].
    Committed {
        /// The exchange's counter.
        counter: u32,
    },
    /// To [`Request::Abort`].
    Aborted {
        /// The exchange's counter.
        counter: u32,
    },
    /// To [`Request::Nonce`].
    Nonce(Nonce),
    /// To [`Request::Order`].
    Obeyed,
    /// To [`Request::Diagnostics`].
    Diagnostics(Diagnostics),
    /// To [`Request::Personalise`].
    Personalised {
        /// Q_A.
        key: Point,
    },
    /// To [`Request::Certify`].
    Certified,
    /// The answer will come later. May be sent any number of times before it.
    Waiting(Waiting),
    /// No; nothing has changed, except where the reason says so.
    Refused(Refusal),
}

/// Why an answer takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waiting {
    /// A person must press a button.
    Presence,
    /// The token computes and hears nothing meanwhile.
    Computing,
}

/// The device's half of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// From the token's RNG.
    pub device_nonce: Nonce16,
    /// The stored provisioning counter plus one.
    pub counter: u32,
    /// The slot asked for.
    pub slot: u8,
    /// E_T.
    pub device_ephemeral: Point,
    /// By the attestation key over M_1.
    pub signature: Signature,
}

/// A challenge for one order, in RAM, two minutes at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce {
    /// From the token's RNG.
    pub challenge: Nonce16,
}

/// What a token says about itself. Nothing here is signed: what matters is inside M_1 again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The image.
    pub firmware: Firmware,
    /// Where in its life it is.
    pub life: Life,
    /// Serial and attestation key, signed; `None` before the factory has finished.
    pub certificate: Option<MakerCertificate>,
    /// SHA-256 of the pinned Q_H.
    pub owner: Option<Digest>,
    /// How many secrets were installed, pending ones included. Never goes back.
    pub counter: u32,
    /// The secret that waits for its commit.
    pub pending: Option<Pending>,
    /// The slots, from 0.
    pub slots: Vec<SlotState, SLOTS_MAX>,
    /// The clock.
    pub clock: ClockState,
    /// The battery.
    pub battery: Battery,
    /// Whether a PIN is set and not entered: secrets can be neither used nor replaced.
    pub pin_required: bool,
}

/// The running image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    /// Major, minor, patch.
    pub version: [u8; 3],
    /// SHA-256 of the image, as `make firmware` prints it.
    pub hash: Digest,
}

/// The life of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// No attestation key, or one without certificate.
    Factory,
    /// Certified, nobody's.
    Attested,
    /// Holds a secret; may be given others on the bench.
    Provisioned,
    /// Holds a secret and takes no other.
    Locked,
    /// Holds no secret, still its owner's.
    Returned,
    /// Holds no secret and is nobody's again.
    Wiped,
}

/// A secret that waits for its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Where it will go.
    pub slot: u8,
    /// Its exchange's counter.
    pub counter: u32,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotState {
    /// Nothing.
    Empty,
    /// A counter-based secret.
    Hotp,
    /// A time-based secret.
    Totp,
    /// A secret that answers questions.
    Ocra,
}

/// The token's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockState {
    /// It stopped or was never set; no time-based code is shown.
    Lost,
    /// It runs.
    Set {
        /// Unix seconds now.
        utc: i64,
        /// The correction of its rate, in parts per million.
        trim_ppm: i16,
        /// Seconds since a host set it.
        age: u32,
    },
}

/// The battery, in percent; 255 where the board cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Battery(pub u8);

/// How the token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// The most stack ever used since start, in bytes; 0 where the board cannot tell.
    pub stack_used: u32,
    /// How often the state was rewritten: each erases half of the state region once.
    pub flash_generation: u32,
    /// Frames dropped since start.
    pub frames_dropped: u32,
    /// Whether the code vectors came out right at start.
    pub vectors_ok: bool,
    /// Whether the flash took back what was written at start.
    pub flash_ok: bool,
    /// Whether the RNG passed its health test at start.
    pub rng_ok: bool,
    /// Whether the debug port and the flash are closed.
    pub readout_protected: bool,
}

/// Why a token does not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It does not speak this protocol version.
    Version,
    /// It does not understand the message.
    Malformed,
    /// Its place in life does not allow this: a locked token takes no secrets, a certified one no certificate.
    Life,
    /// There is no such slot.
    Slot,
    /// It does not speak this suite.
    Suite,
    /// Another host owns it.
    Host,
    /// Nobody pressed the button in time.
    NoPresence,
    /// A person said no.
    Denied,
    /// Its PIN must be entered first.
    Pin,
    /// No exchange or challenge is open, or it is older than two minutes.
    NoExchange,
    /// The signature is not the host key's over what the token knows. The exchange has ended.
    Signature,
    /// A point is not on the curve. The exchange has ended.
    Point,
    /// The policy has a field that the token cannot obey. The exchange has ended.
    Policy,
    /// The wrapped secret does not unwrap, or its padding is not zero. The exchange has ended.
    Wrapping,
    /// Another secret is pending; commit or abort it first.
    PendingExists,
    /// No secret with this counter is pending or was the last to be committed.
    Counter,
    /// The tag is wrong.
    Tag,
    /// The time is before the firmware was made.
    Time,
    /// Read-out protection is open; the token takes no secrets.
    ReadoutOpen,
    /// A self-test failed; the token takes no secrets.
    SelfTest,
    /// Its storage failed; what it holds is as before or as asked.
    Storage,
    /// The certificate is not for its serial and key.
    Certificate,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "the token does not speak this protocol version",
            Self::Malformed => "the token does not understand the message",
            Self::Life => "the token's place in its life does not allow this",
            Self::Slot => "the token has no such slot",
            Self::Suite => "the token does not speak this suite",
            Self::Host => "another host owns the token",
            Self::NoPresence => "nobody pressed the token's button in time",
            Self::Denied => "the person at the token said no",
            Self::Pin => "the token's PIN must be entered first",
            Self::NoExchange => "the token has no open exchange",
            Self::Signature => "the host's signature does not hold for this token and exchange",
            Self::Point => "a public key is not on the curve",
            Self::Policy => "the token cannot obey the policy",
            Self::Wrapping => "the wrapped secret does not unwrap",
            Self::PendingExists => "another secret waits for its commit",
            Self::Counter => "no secret with this counter is pending",
            Self::Tag => "the confirmation tag is wrong",
            Self::Time => "the time is before the firmware was made",
            Self::ReadoutOpen => "the token's read-out protection is open",
            Self::SelfTest => "the token's self-test failed",
            Self::Storage => "the token's storage failed",
            Self::Certificate => "the certificate is not for this token",
        })
    }
}

/// A body with the request's sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<B> {
    /// Chosen by the host; an answer repeats it.
    pub sequence: u32,
    /// A [`Request`] or an [`Answer`].
    pub body: B,
}

/// The bytes are not a message. The sequence number is there if it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Not even version and sequence number.
    Header,
    /// Another protocol version.
    Version {
        /// Of the message.
        sequence: u32,
    },
    /// The body is cut, too long, or holds a value out of range.
    Body {
        /// Of the message.
        sequence: u32,
    },
}

/// Writes a message; every [`Request`] and [`Answer`] fits.
pub fn encode<B: Serialize>(envelope: &Envelope<B>) -> Vec<u8, MESSAGE_MAX> {
    let mut bytes = Vec::new();
    bytes.resize(MESSAGE_MAX, 0).expect("the vector holds MESSAGE_MAX bytes");
    let written = postcard::to_slice(&(PROTOCOL, envelope.sequence, &envelope.body), &mut bytes)
        .expect("the longest message is shorter than MESSAGE_MAX")
        .len();
    bytes.truncate(written);
    bytes
}

/// Reads a message, all of it. There is one spelling of each: what [`encode`] does not write is refused, such as a
/// number with more bytes than it needs.
///
/// # Errors
/// [`DecodeError`].
pub fn decode<'a, B: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> Result<Envelope<B>, DecodeError> {
    let ((version, sequence), rest) =
        postcard::take_from_bytes::<(u8, u32)>(bytes).map_err(|_| DecodeError::Header)?;
    if version != PROTOCOL {
        return Err(DecodeError::Version { sequence });
    }
    match postcard::take_from_bytes::<B>(rest) {
        Ok((body, [])) if is_spelt(&(version, sequence, &body), bytes) => Ok(Envelope { sequence, body }),
        _ => Err(DecodeError::Body { sequence }),
    }
}

/// Whether `message` is written as `bytes`. Compared while it is written: a token has no room for a second copy.
fn is_spelt<M: Serialize>(message: &M, bytes: &[u8]) -> bool {
    struct Expected<'a>(&'a [u8]);

    impl Flavor for Expected<'_> {
        type Output = bool;

        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            match self.0.split_first() {
                Some((&first, rest)) if first == byte => self.0 = rest,
                _ => return Err(postcard::Error::SerializeBufferFull),
            }
            Ok(())
        }

        fn finalize(self) -> postcard::Result<bool> {
            Ok(self.0.is_empty())
        }
    }

    postcard::serialize_with_flavor(message, Expected(bytes)).unwrap_or(false)
}
