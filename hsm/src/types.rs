//! What callers say to an HSM and what it answers: keys, messages and codes as bytes. Nothing here knows
//! a user, a token or a counter; `state`, `binding`, `format` and `messages` are opaque.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{HsmError, wire};

/// The longest code a [`Render`] may write, in bytes.
pub const CODE_MAX: usize = 16;
/// The most entries of one [`crate::Hsm::match_codes`] call.
pub const MATCH_BATCH_MAX: usize = 16;
/// The most candidate factors of one [`Match`].
pub const FACTORS_MAX: usize = 1024;
/// The most messages of one [`Factor`] or one [`Compute`].
pub const MESSAGES_MAX: usize = 64;
/// The most items of one [`crate::Hsm::mac`] call.
pub const MAC_BATCH_MAX: usize = 1024;
/// The shortest shared secret taken, in bytes: 128 bits (RFC 4226 section 4, R6).
pub const SECRET_MIN: usize = 16;
/// The longest shared secret taken, in bytes: one block of SHA-512.
pub const SECRET_MAX: usize = 128;
/// The longest plaintext of one [`crate::Hsm::seal`], in bytes.
pub const SEAL_MAX: usize = 256 * 1024;
/// Length of a secret that authenticates messages, in bytes: what HMAC-SHA256 has of strength.
pub const MESSAGE_KEY_LEN: usize = 32;
/// The longest message authenticated under a record, in bytes: a JWS signing input (RFC 7515).
pub const MESSAGE_MAX: usize = 8 * 1024;
/// The most messages of one [`crate::Hsm::authenticate`] call: a signing input, and a challenge.
pub const AUTHENTICATE_MAX: usize = 4;
/// The most random bytes of one [`crate::Hsm::random`] call.
pub const RANDOM_MAX: usize = 4096;

/// Length of an uncompressed point of P-256 (SEC 1 section 2.3.3), in bytes.
pub const POINT_LEN: usize = 65;
/// Length of an ECDSA signature over P-256, r and s, in bytes.
pub const SIGNATURE_LEN: usize = 64;
/// Length of a confirmation of [`crate::Hsm::confirm`], in bytes.
pub const CONFIRMATION_LEN: usize = 16;
/// The longest message that is signed, verified or confirmed, in bytes.
pub const SIGNED_MAX: usize = 16 * 1024;
/// The longest [`Provision::policy`], in bytes.
pub const POLICY_MAX: usize = 256;
/// The most exchanges between [`crate::Hsm::provision`] and [`crate::Hsm::confirm`]; one more ends the oldest.
pub const EXCHANGES_MAX: usize = 64;
/// How long an exchange waits for its confirmation: as long as the device keeps its nonce.
pub const EXCHANGE_LIFE: Duration = Duration::from_secs(120);

/// Turns a MAC into a code: writes the code's bytes at the start of `out` and returns their number, at most
/// [`CODE_MAX`], or `None` where this MAC yields no code and the next message is due. Runs in the child.
pub type Render = fn(format: &[u8], mac: &[u8], out: &mut [u8; CODE_MAX]) -> Option<usize>;

/// The hash of an HMAC (RFC 2104, FIPS 180-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hash {
    /// SHA-1, 20-byte MAC.
    Sha1,
    /// SHA-256, 32-byte MAC.
    Sha256,
    /// SHA-512, 64-byte MAC.
    Sha512,
}

/// Where the user PIN stands. The file's content is read by the child only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// A regular file, owned by the daemon's user or root, closed to everyone else.
    File(PathBuf),
    /// A systemd credential: a file name under `$CREDENTIALS_DIRECTORY` of the daemon.
    Credential(String),
}

/// How to start the child: a program whose `main` calls [`crate::child::run`] when given these arguments.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Which token to open, and how.
#[derive(Debug, Clone)]
pub struct HsmSettings {
    /// The vendor's PKCS#11 library.
    pub module: PathBuf,
    /// CKA label of the token, without padding.
    pub token_label: String,
    /// The user PIN.
    pub pin: PinSource,
    /// The child's whole environment: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The file that remembers a refused PIN. Its directory must exist and be writable; the child keeps a
    /// second file with the suffix `.login` beside it.
    pub latch: PathBuf,
    /// The longest that one call, or one attempt to open the token, may take.
    pub deadline: Duration,
}

/// What [`crate::initialise`] is to make of a token.
#[derive(Debug, Clone)]
pub struct InitSpec {
    /// The vendor's PKCS#11 library.
    pub module: PathBuf,
    /// The child's whole environment: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The slot whose token to initialise; otherwise the first with an uninitialised token.
    pub slot: Option<u64>,
    /// The label of the token, at most 32 bytes of UTF-8.
    pub token_label: String,
    /// File with the security officer's PIN, under the same rules as the user's.
    pub so_pin_file: PathBuf,
    /// File with the user PIN.
    pub pin_file: PathBuf,
}

/// How far the module keeps a key's policy, as its self-test at opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// Keys cannot be read, and a key with CKA_EXTRACTABLE=false cannot be wrapped.
    Enforced,
    /// The HSM computes, but does not hold to CKA_EXTRACTABLE or CKA_SENSITIVE.
    NotEnforced,
    /// The HSM only unlocks secrets that the host then uses.
    Unlocked,
}

impl Assurance {
    /// The label for people and JSON: `enforced`, `not-enforced` or `unlocked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Assurance::Enforced => "enforced",
            Assurance::NotEnforced => "not-enforced",
            Assurance::Unlocked => "unlocked",
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The opened token, as the module and the self-test describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Path of the PKCS#11 library.
    pub module: String,
    /// CK_INFO's manufacturer, with the library's version.
    pub manufacturer: String,
    /// Label of the token.
    pub token_label: String,
    /// Result of the self-test.
    pub assurance: Assurance,
    /// CKA_ID of the wrapping key in use for new secrets.
    pub kek_generation: u32,
    /// What the module was seen to do or not to do.
    pub capabilities: BTreeMap<String, bool>,
}

/// Whether the token is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Open and serving.
    Up {
        /// As found when it was opened.
        info: Info,
    },
    /// Closed: calls fail at once with this error.
    Down {
        /// Why.
        error: HsmError,
    },
}

/// One attribute of one long-term key, compared with what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeCheck {
    /// CKA_LABEL of the key; of a pair, with the half.
    pub object: String,
    /// The attribute's name, such as `CKA_SENSITIVE`.
    pub attribute: String,
    /// What it has to be.
    pub expected: String,
    /// What the module says.
    pub reported: String,
    /// Whether that is good.
    pub ok: bool,
}

/// Where an enrolled secret comes from.
#[derive(Clone, Serialize, Deserialize)]
pub enum SecretSource {
    /// From the HSM's random generator.
    Generate {
        /// Length in bytes, [`SECRET_MIN`]..=[`SECRET_MAX`].
        len: usize,
    },
    /// Given, [`SECRET_MIN`]..=[`SECRET_MAX`] bytes.
    Import(Zeroizing<Vec<u8>>),
}

/// A secret to wrap into a record.
#[derive(Clone, Serialize, Deserialize)]
pub struct Enrol {
    /// The secret.
    pub source: SecretSource,
    /// The hash of its HMAC.
    pub hash: Hash,
    /// What the record belongs to; covered by the record's MAC.
    pub binding: Vec<u8>,
    /// The first state; covered by its own MAC.
    pub state: Vec<u8>,
    /// Whether the secret is to be handed out, once, with the answer.
    pub reveal: bool,
}

/// A wrapped secret with its MACs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Enrolled {
    /// The wrapped secret: opaque, to be stored as it is.
    pub record: Vec<u8>,
    /// MAC over record and binding.
    pub record_mac: [u8; 32],
    /// MAC over the state.
    pub state_mac: [u8; 32],
    /// The secret at its true length, where `reveal` asked for it.
    pub secret: Option<Zeroizing<Vec<u8>>>,
}

/// Which key makes the codes of a [`Match`].
#[derive(Clone, Serialize, Deserialize)]
pub enum MatchKey {
    /// An enrolled secret.
    Record {
        /// As [`Enrolled`] gave it.
        record: Vec<u8>,
        /// As at enrolment.
        binding: Vec<u8>,
        /// As [`Enrolled`] gave it.
        record_mac: [u8; 32],
    },
    /// The token's own key for codes that are sent.
    SentCode,
}

/// One moving factor that the candidate may have been made from.
#[derive(Clone, Serialize, Deserialize)]
pub struct Factor {
    /// Tried in turn: the first whose MAC renders to a code is this factor's code.
    pub messages: Vec<Vec<u8>>,
    /// The state to authenticate if this factor is the one.
    pub next_state: Vec<u8>,
}

/// One candidate code to be judged in the HSM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Match {
    /// The key.
    pub key: MatchKey,
    /// The present state.
    pub state: Vec<u8>,
    /// Its MAC.
    pub state_mac: [u8; 32],
    /// Passed to [`Render`].
    pub format: Vec<u8>,
    /// The code to judge.
    pub candidate: Vec<u8>,
    /// In order of preference, at most [`FACTORS_MAX`].
    pub factors: Vec<Factor>,
    /// The state to authenticate if no factor is the one.
    pub refusal: Vec<u8>,
}

/// The verdict over one [`Match`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub enum Matched {
    /// The candidate is the code of a factor.
    Hit {
        /// Index of the first such factor.
        factor: usize,
        /// MAC over that factor's `next_state`.
        next_mac: [u8; 32],
    },
    /// The candidate is no factor's code.
    Miss {
        /// MAC over `refusal`.
        next_mac: [u8; 32],
    },
    /// A MAC does not fit what it should cover; nothing was computed.
    Tampered {
        /// Which.
        what: Tampered,
    },
}

/// What was altered since its MAC was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tampered {
    /// The record, or the binding it stands in.
    Record,
    /// The state.
    State,
}

/// A new secret that authenticates messages, with the MAC of its record.
#[derive(Clone, Serialize, Deserialize)]
pub struct MessageKey {
    /// The wrapped secret: opaque, to be stored as it is.
    pub record: Vec<u8>,
    /// MAC over record and binding.
    pub record_mac: [u8; 32],
    /// The secret, handed out this once: [`MESSAGE_KEY_LEN`] bytes.
    pub secret: Zeroizing<Vec<u8>>,
}

/// Messages to authenticate under an enrolled record: HMAC-SHA256 over each, as it is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authenticate {
    /// As [`MessageKey`] gave it.
    pub record: Vec<u8>,
    /// As at enrolment.
    pub binding: Vec<u8>,
    /// As [`MessageKey`] gave it.
    pub record_mac: [u8; 32],
    /// At most [`AUTHENTICATE_MAX`], each of at most [`MESSAGE_MAX`] bytes.
    pub messages: Vec<Vec<u8>>,
}

/// What came of an [`Authenticate`].
#[derive(Clone, Serialize, Deserialize)]
#[must_use]
pub enum Authenticated {
    /// One MAC for each message, in order: to be sent with it, or compared in constant time with the one that came.
    Macs(Vec<[u8; 32]>),
    /// Record and binding do not bear this MAC; nothing was computed.
    Tampered,
}

/// A code to be sent, made under the token's key for sent codes.
#[derive(Clone, Serialize, Deserialize)]
pub struct Compute {
    /// Passed to [`Render`].
    pub format: Vec<u8>,
    /// Tried in turn until one MAC renders to a code.
    pub messages: Vec<Vec<u8>>,
}

/// What a MAC is for. No MAC of one purpose is valid for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MacPurpose {
    /// A record in its binding: the data is [`crate::record_message`].
    Record,
    /// A state, as in [`Match::state_mac`].
    State,
    /// A one-way name under which something is looked up.
    Lookup,
    /// A one-way mark by which equal values are found.
    Fingerprint,
    /// A row without a secret.
    Row,
}

/// A long-term key pair of the token, P-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SignKey {
    /// Signs what hardware tokens are given; they pin its public half.
    Host,
    /// Signs assertions (JWS ES256, RFC 7518 section 3.4).
    Assertion,
}

/// A hardware token that asks for a secret. Points are uncompressed; `signed` is M_1 of the provisioning link,
/// which names the suite first and the host key and `device_ephemeral` last.
#[derive(Clone, Serialize, Deserialize)]
pub struct Provision {
    /// The device's attestation key. That its maker vouches for it is for the caller to know.
    #[serde(with = "wire::array")]
    pub attestation: [u8; POINT_LEN],
    /// What the device signed, at most [`SIGNED_MAX`] bytes.
    pub signed: Vec<u8>,
    /// Its signature over `signed` under `attestation`.
    #[serde(with = "wire::array")]
    pub signature: [u8; SIGNATURE_LEN],
    /// The device's half of the key agreement.
    #[serde(with = "wire::array")]
    pub device_ephemeral: [u8; POINT_LEN],
    /// What the grant says beside the secret, at most [`POLICY_MAX`] bytes; the key that wraps the secret
    /// depends on it.
    pub policy: Vec<u8>,
    /// Length of the secret in bytes: 32 or 64 under SHA-1 and SHA-256, 64 or 128 under SHA-512. Other lengths
    /// would have to be padded outside the HSM.
    pub secret_len: usize,
    /// The hash of its HMAC.
    pub hash: Hash,
    /// What the record belongs to; covered by the record's MAC.
    pub binding: Vec<u8>,
    /// The first state; covered by its own MAC.
    pub state: Vec<u8>,
    /// How keys are derived: 2 is CKM_AES_CBC_ENCRYPT_DATA.
    pub suite: u8,
}

/// A new secret, wrapped once for the device and once for storage.
#[derive(Clone, Serialize, Deserialize)]
pub struct Provisioned {
    /// Names the exchange until it is confirmed or abandoned.
    pub exchange: u64,
    /// The HSM's half of the key agreement.
    #[serde(with = "wire::array")]
    pub host_ephemeral: [u8; POINT_LEN],
    /// The secret under the agreed key (RFC 3394).
    pub wrapped: Vec<u8>,
    /// The secret as a record, as [`Enrolled`] has it.
    pub record: Vec<u8>,
    /// MAC over record and binding.
    pub record_mac: [u8; 32],
    /// MAC over the state.
    pub state_mac: [u8; 32],
}

/// Opaque in `Debug`: these carry secrets, codes or what they are made from.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque!(
    SecretSource,
    Enrol,
    Enrolled,
    MatchKey,
    Factor,
    Match,
    Compute,
    MessageKey,
    Authenticate,
    Authenticated,
    Provision,
    Provisioned
);
