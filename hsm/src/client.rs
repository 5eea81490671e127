//! The daemon's side: a handle whose every call blocks, at most for the configured deadline.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::HsmError;
use crate::launch::Running;
use crate::supervisor::Shared;
use crate::types::{
    AUTHENTICATE_MAX, AttributeCheck, Authenticate, Authenticated, CODE_MAX, CONFIRMATION_LEN, Compute,
    Enrol, Enrolled, HsmSettings, Info, InitSpec, Launcher, MAC_BATCH_MAX, MATCH_BATCH_MAX, MESSAGE_KEY_LEN,
    MESSAGE_MAX, MacPurpose, Match, Matched, MessageKey, POINT_LEN, POLICY_MAX, Provision, Provisioned,
    RANDOM_MAX, SEAL_MAX, SIGNATURE_LEN, SIGNED_MAX, SignKey, Status,
};
use crate::wire::{self, Confirm, Initialise, PinPath, Request, Response, Signed};

/// How long dropping the last handle waits for the child to end.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// The names of [`Hsm::operations`], in the order of [`Operation`].
const OPERATIONS: [&str; 18] = [
    "info",
    "check",
    "enrol",
    "match",
    "compute",
    "mac",
    "new_person_key",
    "seal",
    "open",
    "random",
    "sign",
    "public_key",
    "verify_signature",
    "provision",
    "confirm",
    "abandon",
    "enrol_message_key",
    "authenticate",
];

#[derive(Clone, Copy)]
enum Operation {
    Info,
    Check,
    Enrol,
    Match,
    Compute,
    Mac,
    NewPersonKey,
    Seal,
    Open,
    Random,
    Sign,
    PublicKey,
    VerifySignature,
    Provision,
    Confirm,
    Abandon,
    EnrolMessageKey,
    Authenticate,
}

/// An HSM token behind a supervised child process. Clones share the child; dropping the last one ends it.
///
/// While the token is not open every call fails at once with the error of [`Hsm::status`].
#[derive(Clone)]
pub struct Hsm {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    calls: [AtomicU64; OPERATIONS.len()],
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.stop(STOP_GRACE);
    }
}

impl Hsm {
    /// Starts a child and opens the token. Returns when the first attempt has ended, well or not, or at the
    /// deadline. A child that dies or hangs is replaced, after 0.1 s growing to 5 s; after a PIN fault
    /// nothing is started any more.
    pub fn start(launcher: Launcher, settings: HsmSettings) -> Hsm {
        let shared = Arc::new(Shared::new(launcher, settings));
        let supervisor = Arc::clone(&shared);
        thread::spawn(move || supervisor.supervise());
        shared.await_first();
        Hsm { owner: Arc::new(Owner { shared, calls: [const { AtomicU64::new(0) }; OPERATIONS.len()] }) }
    }

    /// Whether the token is open, without asking the child.
    pub fn status(&self) -> Status {
        self.owner.shared.status()
    }

    /// Process id of the serving child.
    pub fn child_pid(&self) -> Option<u32> {
        self.owner.shared.link().ok().map(|link| link.pid())
    }

    /// The token as it was opened, after a key on it has computed a MAC just now: the health check.
    pub fn info(&self) -> Result<Info, HsmError> {
        match self.call(Operation::Info, &Request::Info)? {
            Response::Info(info) => Ok(info),
            _ => Err(HsmError::Protocol),
        }
    }

    /// Every attribute of every long-term key that has to have a certain value.
    pub fn check(&self) -> Result<Vec<AttributeCheck>, HsmError> {
        match self.call(Operation::Check, &Request::Check)? {
            Response::Check(checks) => Ok(checks),
            _ => Err(HsmError::Protocol),
        }
    }

    /// Makes or takes a secret and wraps it into a record. Refused where its length is not within
    /// [`crate::SECRET_MIN`]..=[`crate::SECRET_MAX`]. Not idempotent: after an error the secret is discarded.
    pub fn enrol(&self, enrol: Enrol) -> Result<Enrolled, HsmError> {
        match self.call(Operation::Enrol, &Request::Enrol(enrol))? {
            Response::Enrolled(enrolled) => Ok(enrolled),
            _ => Err(HsmError::Protocol),
        }
    }

    /// Judges up to [`MATCH_BATCH_MAX`] candidates, one verdict each in the same order. The codes they are
    /// compared with, in constant time, never leave the child. Refused above 1 MiB in all, as every call is.
    pub fn match_codes(&self, batch: Vec<Match>) -> Result<Vec<Matched>, HsmError> {
        let asked: Vec<usize> = batch.iter().map(|entry| entry.factors.len()).collect();
        if asked.len() > MATCH_BATCH_MAX {
            return Err(HsmError::refused(format!(
                "{} candidates are more than {MATCH_BATCH_MAX}",
                asked.len()
            )));
        }
        match self.call(Operation::Match, &Request::Match(batch))? {
            Response::Matched(verdicts) if fit(&verdicts, &asked) => Ok(verdicts),
            _ => Err(HsmError::Protocol),
        }
    }

    /// A code for sending: HMAC-SHA256 under the token's code key of each message in turn, until one renders.
    pub fn compute(&self, compute: Compute) -> Result<Zeroizing<Vec<u8>>, HsmError> {
        // A child that says more than a code has is not believed.
        self.bytes(Operation::Compute, &Request::Compute(compute))
            .and_then(|code| if code.len() <= CODE_MAX { Ok(code) } else { Err(HsmError::Protocol) })
    }

    /// HMAC-SHA256 under the row-MAC key over each item of `data`, at most [`MAC_BATCH_MAX`], separated by
    /// purpose.
    pub fn mac(&self, purpose: MacPurpose, data: Vec<Vec<u8>>) -> Result<Vec<[u8; 32]>, HsmError> {
        let asked = data.len();
        if asked > MAC_BATCH_MAX {
            return Err(HsmError::refused(format!("{asked} items are more than {MAC_BATCH_MAX}")));
        }
        match self.call(Operation::Mac, &Request::Mac { purpose, data })? {
            Response::Macs(macs) if macs.len() == asked => Ok(macs),
            _ => Err(HsmError::Protocol),
        }
    }

    /// A new AES-256 key, made in the HSM and wrapped under the data KEK: a record for [`Hsm::seal`].
    pub fn new_person_key(&self) -> Result<Vec<u8>, HsmError> {
        self.bytes(Operation::NewPersonKey, &Request::NewPersonKey)
            .map(|mut record| std::mem::take(&mut *record))
    }

    /// AES-256-GCM (NIST SP 800-38D) in the HSM: 12 random bytes of IV, ciphertext, 16 bytes of tag.
    /// `plaintext` is at most [`SEAL_MAX`] bytes.
    pub fn seal(&self, person_key: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, HsmError> {
        if plaintext.len() > SEAL_MAX {
            return Err(HsmError::refused(format!("{} bytes are more than {SEAL_MAX}", plaintext.len())));
        }
        let request = Request::Seal {
            person_key: person_key.to_vec(),
            aad: aad.to_vec(),
            plaintext: Zeroizing::new(plaintext.to_vec()),
        };
        self.bytes(Operation::Seal, &request).map(|mut sealed| std::mem::take(&mut *sealed))
    }

    /// The plaintext of [`Hsm::seal`]. Refused where key, `aad` or a bit of `sealed` is another.
    pub fn open(&self, person_key: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, HsmError> {
        let request =
            Request::Open { person_key: person_key.to_vec(), aad: aad.to_vec(), sealed: sealed.to_vec() };
        self.bytes(Operation::Open, &request)
    }

    /// Exactly `len` bytes of the HSM's random generator, at most [`RANDOM_MAX`].
    pub fn random(&self, len: usize) -> Result<Zeroizing<Vec<u8>>, HsmError> {
        if len > RANDOM_MAX {
            return Err(HsmError::refused(format!("{len} random bytes are more than {RANDOM_MAX}")));
        }
        // Keys are made of them: fewer would be a weaker key.
        self.bytes(Operation::Random, &Request::Random { len })
            .and_then(|bytes| if bytes.len() == len { Ok(bytes) } else { Err(HsmError::Protocol) })
    }

    /// ECDSA over P-256 and SHA-256 in the HSM: r and s, 32 bytes each, over `message` of at most [`SIGNED_MAX`]
    /// bytes. Refused where the token has no such key; the reason says what to do.
    pub fn sign(&self, key: SignKey, message: &[u8]) -> Result<[u8; SIGNATURE_LEN], HsmError> {
        signable(message)?;
        self.array(Operation::Sign, &Request::Sign { key, message: message.to_vec() })
    }

    /// The public half of a key pair, as an uncompressed point (SEC 1). When the token was opened, the private
    /// half made a signature that it verifies.
    pub fn public_key(&self, key: SignKey) -> Result<[u8; POINT_LEN], HsmError> {
        self.array(Operation::PublicKey, &Request::PublicKey { key })
    }

    /// Whether `signature`, r and s, is the one of the owner of `public` over `message`, of at most
    /// [`SIGNED_MAX`] bytes. Where `public` is no point of P-256 it is `false` or refused, as the module sees it.
    pub fn verify_signature(
        &self,
        public: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<bool, HsmError> {
        signable(message)?;
        let signed = Signed { public: *public, message: message.to_vec(), signature: *signature };
        match self.call(Operation::VerifySignature, &Request::VerifySignature(signed))? {
            Response::Verified(verdict) => Ok(verdict),
            _ => Err(HsmError::Protocol),
        }
    }

    /// Makes a secret in the HSM for a device, once its signature is verified: wrapped under a key that only
    /// the HSM and the device can derive, and as a record. Nobody else ever has it. Refused where anything in
    /// `provision` does not fit what the device signed. The exchange then waits for [`Hsm::confirm`], at most
    /// [`crate::EXCHANGE_LIFE`] and among at most [`crate::EXCHANGES_MAX`]; it ends with the child.
    pub fn provision(&self, provision: Provision) -> Result<Provisioned, HsmError> {
        signable(&provision.signed)?;
        let len = provision.policy.len();
        if len > POLICY_MAX {
            return Err(HsmError::refused(format!("a policy of {len} bytes is longer than {POLICY_MAX}")));
        }
        match self.call(Operation::Provision, &Request::Provision(Box::new(provision)))? {
            Response::Provisioned(provisioned) => Ok(*provisioned),
            _ => Err(HsmError::Protocol),
        }
    }

    /// Ends an exchange, well or not: if `tag` is the device's confirmation of `device_message`, the host's
    /// confirmation of `host_message` is given; otherwise it is refused. Each is the start of an HMAC-SHA256
    /// under the confirmation key.
    pub fn confirm(
        &self,
        exchange: u64,
        device_message: &[u8],
        tag: &[u8; CONFIRMATION_LEN],
        host_message: &[u8],
    ) -> Result<[u8; CONFIRMATION_LEN], HsmError> {
        signable(device_message)?;
        signable(host_message)?;
        let confirm = Confirm {
            exchange,
            device_message: device_message.to_vec(),
            tag: *tag,
            host_message: host_message.to_vec(),
        };
        self.array(Operation::Confirm, &Request::Confirm(confirm))
    }

    /// Ends an exchange without a confirmation. One that is over already stays so.
    pub fn abandon(&self, exchange: u64) -> Result<(), HsmError> {
        match self.call(Operation::Abandon, &Request::Abandon { exchange })? {
            Response::Abandoned => Ok(()),
            _ => Err(HsmError::Protocol),
        }
    }

    /// Makes a secret that authenticates messages and wraps it into a record, which no other operation takes. It is
    /// handed out with the answer, for the peer. Not idempotent: after an error the secret is discarded.
    pub fn enrol_message_key(&self, binding: Vec<u8>) -> Result<MessageKey, HsmError> {
        match self.call(Operation::EnrolMessageKey, &Request::EnrolMessageKey { binding })? {
            Response::MessageKey(key) if key.secret.len() == MESSAGE_KEY_LEN => Ok(key),
            _ => Err(HsmError::Protocol),
        }
    }

    /// HMAC-SHA256 (RFC 2104) of each message under a record of [`Hsm::enrol_message_key`]: to sign a JWS, or to judge
    /// one that came (RFC 7518, 3.2). Refused for the record of anything else, and above [`AUTHENTICATE_MAX`] messages
    /// or [`MESSAGE_MAX`] bytes in one.
    pub fn authenticate(&self, request: Authenticate) -> Result<Authenticated, HsmError> {
        let asked = request.messages.len();
        if asked > AUTHENTICATE_MAX {
            return Err(HsmError::refused(format!("{asked} messages are more than {AUTHENTICATE_MAX}")));
        }
        if let Some(long) = request.messages.iter().find(|message| message.len() > MESSAGE_MAX) {
            let len = long.len();
            return Err(HsmError::refused(format!("a message of {len} bytes is longer than {MESSAGE_MAX}")));
        }
        match self.call(Operation::Authenticate, &Request::Authenticate(request))? {
            Response::Authenticated(Authenticated::Macs(macs)) if macs.len() != asked => {
                Err(HsmError::Protocol)
            }
            Response::Authenticated(authenticated) => Ok(authenticated),
            _ => Err(HsmError::Protocol),
        }
    }

    /// How often each call was made since the start.
    pub fn operations(&self) -> Vec<(&'static str, u64)> {
        OPERATIONS
            .into_iter()
            .zip(self.owner.calls.iter().map(|count| count.load(Ordering::Relaxed)))
            .collect()
    }

    fn bytes(&self, operation: Operation, request: &Request) -> Result<Zeroizing<Vec<u8>>, HsmError> {
        match self.call(operation, request)? {
            Response::Bytes(bytes) => Ok(bytes),
            _ => Err(HsmError::Protocol),
        }
    }

    fn array<const N: usize>(&self, operation: Operation, request: &Request) -> Result<[u8; N], HsmError> {
        self.bytes(operation, request)?.as_slice().try_into().map_err(|_| HsmError::Protocol)
    }

    fn call(&self, operation: Operation, request: &Request) -> Result<Response, HsmError> {
        self.owner.calls[operation as usize].fetch_add(1, Ordering::Relaxed);
        let link = self.owner.shared.link()?;
        link.call(&wire::encode(request)?, self.owner.shared.deadline())
    }
}

/// Whether these are verdicts on candidates with so many factors: a hit names one of them.
fn fit(verdicts: &[Matched], asked: &[usize]) -> bool {
    let is_asked = |(verdict, factors): (&Matched, &usize)| match verdict {
        Matched::Hit { factor, .. } => factor < factors,
        Matched::Miss { .. } | Matched::Tampered { .. } => true,
    };
    verdicts.len() == asked.len() && verdicts.iter().zip(asked).all(is_asked)
}

fn signable(message: &[u8]) -> Result<(), HsmError> {
    match message.len() {
        0..=SIGNED_MAX => Ok(()),
        len => Err(HsmError::refused(format!("a message of {len} bytes is longer than {SIGNED_MAX}"))),
    }
}

/// Makes a token ready, through a child of its own: initialises it where it is not (C_InitToken, C_InitPIN)
/// and creates the long-term keys that are missing. Refused where all of them are there already.
///
/// Each PIN is tried once; there is no latch here, because a person runs this.
pub fn initialise(launcher: Launcher, spec: InitSpec, deadline: Duration) -> Result<Info, HsmError> {
    let pin = |path: &Path| PinPath { path: path.to_owned(), credential: false };
    let request = Request::Initialise(Initialise {
        module: spec.module,
        slot: spec.slot,
        token_label: spec.token_label,
        so_pin: pin(&spec.so_pin_file),
        pin: pin(&spec.pin_file),
    });
    let running = Running::start(&launcher, &spec.env)?;
    let outcome = running.exchange(&request, deadline);
    if !matches!(outcome, Err(HsmError::Deadline)) {
        running.stop();
    }
    match outcome? {
        Response::Info(info) => Ok(info),
        _ => Err(HsmError::Protocol),
    }
}
