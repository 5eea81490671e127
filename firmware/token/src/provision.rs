//! The token's end of the link: `docs/provisioning.md`.
//!
//! A request that came again is answered with the answer it got. The ephemeral key of an exchange serves one
//! install, right or wrong, and an order's challenge one order.
//!
//! Requests are looked into, signatures checked and answers framed in functions of their own that stay out of line:
//! the check of a signature needs more stack than all else, and finds as little below it as can be.

use heapless::Vec;
use link::transcript::{self, Confirmation, Exchange, Grant};
use link::{
    Answer, Battery, Challenge, ClockState, Commit, DecodeError, Decoder, Diagnostics, Digest, Envelope,
    FRAME_MAX, Firmware, Info, Install, Life, MakerCertificate, Nonce, Nonce16, Octets, Order, Policy,
    Refusal, Request, SECRET_MAX, SLOTS_MAX, Serial, Signature, Start, Suite, Tag, Waiting, decode, encode,
    encode_frame,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::clock::{self, Setting};
use crate::crypto::{self, Key, WRAP_OVERHEAD};
use crate::life::{self, Step};
use crate::platform::Platform;
use crate::vault::{Installed, Vault};
use crate::{Device, fresh, otp};

/// How long a person has to press a button.
const PRESENCE_MS: u64 = 30_000;

/// A press this soon after a question was meant for what the display showed before.
const READ_MS: u64 = 1_000;

/// How often the host is told that a person has not yet.
const NOTICE_MS: u64 = 2_000;

/// How long an exchange or a challenge is open.
const OPEN_MS: u64 = 120_000;

/// What a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// Take a secret from the owner.
    NewSecret,
    /// Take a secret from this host, which becomes the owner.
    NewOwner(Digest),
    /// Erase the secrets.
    Return,
    /// Erase everything.
    Wipe,
}

/// A request that a person decides.
enum Held {
    Start(Start),
    Return,
    Wipe,
}

struct Awaiting {
    sequence: u32,
    held: Held,
    since: u64,
    noticed: u64,
}

struct Open {
    exchange: Exchange,
    /// e_T.
    secret: Key,
    since: u64,
}

/// The last request and what it got.
struct Answered {
    sequence: u32,
    request: Digest,
    frame: Vec<u8, FRAME_MAX>,
}

/// The line to the host.
pub(crate) struct Line {
    decoder: Decoder,
    dialogue: Dialogue,
}

/// What was said, and what is open.
struct Dialogue {
    answered: Option<Answered>,
    awaiting: Option<Awaiting>,
    open: Option<Open>,
    challenge: Option<(Nonce16, u64)>,
    frames_dropped: u32,
}

impl Line {
    pub(crate) const fn new() -> Self {
        let dialogue =
            Dialogue { answered: None, awaiting: None, open: None, challenge: None, frames_dropped: 0 };
        Self { decoder: Decoder::new(), dialogue }
    }

    /// Takes a byte from the host.
    pub(crate) fn handle_byte<P: Platform>(&mut self, device: &mut Device<P>, byte: u8, now_ms: u64) {
        self.dialogue.frames_dropped = self.decoder.dropped();
        if let Some(message) = self.decoder.handle_byte(byte) {
            self.dialogue.handle_message(device, message, now_ms);
        }
    }

    /// Takes the time: repeats the notice that a person is waited for, and stops waiting.
    pub(crate) fn handle_timeout<P: Platform>(&mut self, device: &mut Device<P>, now_ms: u64) {
        self.dialogue.handle_timeout(device, now_ms);
    }

    /// What a person is asked now.
    pub(crate) fn prompt<P: Platform>(&self, device: &Device<P>) -> Option<Prompt> {
        self.dialogue.prompt(device)
    }

    /// A person's answer to [`Self::prompt`].
    pub(crate) fn handle_presence<P: Platform>(&mut self, device: &mut Device<P>, yes: bool, now_ms: u64) {
        self.dialogue.handle_presence(device, yes, now_ms);
    }
}

impl Dialogue {
    #[inline(never)]
    fn handle_message<P: Platform>(&mut self, device: &mut Device<P>, message: &[u8], now_ms: u64) {
        // Whatever the body is.
        let sequence = match decode::<()>(message) {
            Ok(Envelope { sequence, .. })
            | Err(DecodeError::Version { sequence } | DecodeError::Body { sequence }) => sequence,
            Err(DecodeError::Header) => return,
        };
        let request = transcript::sha256(&[message]);
        if let Some(answered) = self.answered.as_ref().filter(|answered| answered.request == request) {
            device.platform.uart_write(&answered.frame);
            return;
        }
        if self.awaiting.as_ref().is_some_and(|awaiting| awaiting.sequence == sequence) {
            send(device, sequence, &Answer::Waiting(Waiting::Presence));
            return;
        }
        self.awaiting = None;
        self.answered = None;
        match self.answer(device, sequence, message, now_ms) {
            Ok(answer) => self.finish(device, sequence, request, &answer),
            Err(refusal) => self.refuse(device, sequence, request, refusal),
        }
    }

    /// Leaves a request to a person.
    #[inline(never)]
    fn ask(&mut self, sequence: u32, held: Held, now_ms: u64) -> Answer {
        self.awaiting = Some(Awaiting { sequence, held, since: now_ms, noticed: now_ms });
        Answer::Waiting(Waiting::Presence)
    }

    fn handle_timeout<P: Platform>(&mut self, device: &mut Device<P>, now_ms: u64) {
        let stale = |since: u64| now_ms.saturating_sub(since) > OPEN_MS;
        if self.open.as_ref().is_some_and(|open| stale(open.since)) {
            self.open = None;
        }
        if self.challenge.is_some_and(|(_, since)| stale(since)) {
            self.challenge = None;
        }
        let Some(awaiting) = self.awaiting.as_mut() else { return };
        if now_ms.saturating_sub(awaiting.since) >= PRESENCE_MS {
            self.decide(device, Err(Refusal::NoPresence), now_ms);
        } else if now_ms.saturating_sub(awaiting.noticed) >= NOTICE_MS {
            awaiting.noticed = now_ms;
            send(device, awaiting.sequence, &Answer::Waiting(Waiting::Presence));
        }
    }

    fn prompt<P: Platform>(&self, device: &Device<P>) -> Option<Prompt> {
        Some(match &self.awaiting.as_ref()?.held {
            Held::Return => Prompt::Return,
            Held::Wipe => Prompt::Wipe,
            Held::Start(_) if device.vault.as_ref().is_some_and(|vault| vault.owner().is_some()) => {
                Prompt::NewSecret
            }
            Held::Start(start) => Prompt::NewOwner(transcript::fingerprint(&start.host_key)),
        })
    }

    fn handle_presence<P: Platform>(&mut self, device: &mut Device<P>, yes: bool, now_ms: u64) {
        let unread =
            self.awaiting.as_ref().is_some_and(|awaiting| now_ms.saturating_sub(awaiting.since) < READ_MS);
        if !unread {
            self.decide(device, if yes { Ok(()) } else { Err(Refusal::Denied) }, now_ms);
        }
    }

    #[inline(never)]
    fn decide<P: Platform>(&mut self, device: &mut Device<P>, word: Result<(), Refusal>, now_ms: u64) {
        let Some(Awaiting { sequence, held, .. }) = self.awaiting.take() else { return };
        let answer = word.and_then(|()| {
            send(device, sequence, &Answer::Waiting(Waiting::Computing));
            match held {
                Held::Start(start) => self.start(device, start, now_ms),
                Held::Return => erase(device, Vault::give_back),
                Held::Wipe => erase(device, Vault::wipe),
            }
        });
        let request = self.answered.as_ref().filter(|answered| answered.sequence == sequence);
        let Some(request) = request.map(|answered| answered.request) else { return };
        match answer {
            Ok(answer) => self.finish(device, sequence, request, &answer),
            Err(refusal) => self.refuse(device, sequence, request, refusal),
        }
    }

    #[inline(never)]
    fn refuse<P: Platform>(
        &mut self,
        device: &mut Device<P>,
        sequence: u32,
        request: Digest,
        refusal: Refusal,
    ) {
        self.finish(device, sequence, request, &Answer::Refused(refusal));
    }

    #[inline(never)]
    fn finish<P: Platform>(
        &mut self,
        device: &mut Device<P>,
        sequence: u32,
        request: Digest,
        answer: &Answer,
    ) {
        let frame = frame(sequence, answer);
        device.platform.uart_write(&frame);
        self.answered = Some(Answered { sequence, request, frame });
    }

    #[inline(never)]
    fn answer<P: Platform>(
        &mut self,
        device: &mut Device<P>,
        sequence: u32,
        message: &[u8],
        now_ms: u64,
    ) -> Result<Answer, Refusal> {
        self.handle_request(device, sequence, &read(message)?, now_ms)
    }

    #[inline(never)]
    fn handle_request<P: Platform>(
        &mut self,
        device: &mut Device<P>,
        sequence: u32,
        request: &Request,
        now_ms: u64,
    ) -> Result<Answer, Refusal> {
        match request {
            Request::Info => info(device),
            Request::Diagnostics => Ok(self.diagnostics(device)),
            Request::Start(start) => {
                check_start(device, start)?;
                Ok(self.ask(sequence, Held::Start(start.clone()), now_ms))
            }
            Request::Install(install) => {
                // Gone after one install, right or wrong; not moved out, which would be a copy on the stack.
                let open = self.open.as_ref().ok_or(Refusal::NoExchange)?;
                send(device, sequence, &Answer::Waiting(Waiting::Computing));
                let installed = install_secret(device, open, install);
                self.open = None;
                installed
            }
            Request::Commit(commit) => commit_secret(device, commit),
            Request::Abort(abort) => {
                self.open = None;
                let (vault, flash) = storage(device)?;
                vault.abort(flash, abort.counter)?;
                Ok(Answer::Aborted { counter: abort.counter })
            }
            Request::Nonce => {
                let challenge = Octets(device.random().ok_or(Refusal::SelfTest)?);
                self.challenge = Some((challenge, now_ms));
                Ok(Answer::Nonce(Nonce { challenge }))
            }
            Request::Order { order, signature } => self.order(device, sequence, *order, signature, now_ms),
            Request::Personalise { serial } => personalise(device, serial),
            Request::Certify(certificate) => certify(device, certificate),
        }
    }

    #[inline(never)]
    fn diagnostics<P: Platform>(&self, device: &mut Device<P>) -> Answer {
        Answer::Diagnostics(Diagnostics {
            stack_used: device.platform.stack_used().unwrap_or(0),
            flash_generation: device.vault.as_ref().map_or(0, Vault::generation),
            frames_dropped: self.frames_dropped,
            vectors_ok: device.selftest.vectors_ok,
            flash_ok: device.vault.is_some(),
            rng_ok: device.selftest.rng_ok,
            readout_protected: device.platform.readout_protected(),
        })
    }

    #[inline(never)]
    fn start<P: Platform>(
        &mut self,
        device: &mut Device<P>,
        start: Start,
        now_ms: u64,
    ) -> Result<Answer, Refusal> {
        let device_nonce = Octets(device.random().ok_or(Refusal::SelfTest)?);
        let (secret, device_ephemeral) = device.new_pair().ok_or(Refusal::SelfTest)?;
        let vault = device.vault.as_ref().ok_or(Refusal::Storage)?;
        let exchange = Exchange {
            suite: start.suite,
            serial: vault.serial().ok_or(Refusal::Life)?.clone(),
            slot: start.slot,
            counter: vault.counter().checked_add(1).ok_or(Refusal::Counter)?,
            host_nonce: start.host_nonce,
            device_nonce,
            host_key: start.host_key,
            device_ephemeral,
        };
        let attestation_key = vault.attestation_key().ok_or(Refusal::Life)?;
        let digest = transcript::sha256(&[&exchange.to_bytes()]);
        let signature = crypto::sign(&attestation_key, &digest.0).ok_or(Refusal::SelfTest)?;
        let Exchange { counter, slot, .. } = exchange;
        self.open = Some(Open { exchange, secret, since: now_ms });
        Ok(Answer::Challenge(Challenge { device_nonce, counter, slot, device_ephemeral, signature }))
    }

    #[inline(never)]
    fn order<P: Platform>(
        &mut self,
        device: &mut Device<P>,
        sequence: u32,
        order: Order,
        signature: &Signature,
        now_ms: u64,
    ) -> Result<Answer, Refusal> {
        let (challenge, _) = self.challenge.take().ok_or(Refusal::NoExchange)?;
        let digest = order_digest(device, &order, &challenge)?;
        send(device, sequence, &Answer::Waiting(Waiting::Computing));
        let owner = device.vault.as_ref().and_then(Vault::owner).ok_or(Refusal::Life)?;
        if !crypto::verify(owner, &digest.0, signature) {
            return Err(Refusal::Signature);
        }
        match order {
            Order::Return => Ok(self.ask(sequence, Held::Return, now_ms)),
            Order::Wipe => Ok(self.ask(sequence, Held::Wipe, now_ms)),
            Order::Lock => {
                let (vault, flash) = storage(device)?;
                vault.lock(flash)?;
                Ok(Answer::Obeyed)
            }
            Order::SetClock { utc } => {
                let setting = setting(device, utc)?.ok_or(Refusal::SelfTest)?;
                let (vault, flash) = storage(device)?;
                vault.set_clock(flash, setting)?;
                Ok(Answer::Obeyed)
            }
        }
    }
}

#[inline(never)]
fn read(message: &[u8]) -> Result<Request, Refusal> {
    match decode(message) {
        Ok(Envelope { body, .. }) => Ok(body),
        Err(DecodeError::Version { .. }) => Err(Refusal::Version),
        Err(_) => Err(Refusal::Malformed),
    }
}

/// All that can be refused before a person is asked.
#[inline(never)]
fn check_start<P: Platform>(device: &mut Device<P>, start: &Start) -> Result<(), Refusal> {
    if !(device.selftest.vectors_ok && device.selftest.rng_ok) {
        return Err(Refusal::SelfTest);
    }
    if !device.platform.readout_protected() {
        return Err(Refusal::ReadoutOpen);
    }
    let vault = device.vault.as_ref().ok_or(Refusal::Storage)?;
    life::after(vault.life(), Step::Provision)?;
    if usize::from(start.slot) >= SLOTS_MAX {
        return Err(Refusal::Slot);
    }
    if start.suite != Suite::CbcData {
        return Err(Refusal::Suite);
    }
    if vault.owner().is_some_and(|owner| *owner != start.host_key) {
        return Err(Refusal::Host);
    }
    if !crypto::is_point(&start.host_key) {
        return Err(Refusal::Point);
    }
    if !vault.is_unlocked() {
        return Err(Refusal::Pin);
    }
    if vault.pending().is_some() {
        return Err(Refusal::PendingExists);
    }
    Ok(())
}

#[inline(never)]
fn order_digest<P: Platform>(
    device: &Device<P>,
    order: &Order,
    challenge: &Nonce16,
) -> Result<Digest, Refusal> {
    let vault = device.vault.as_ref().ok_or(Refusal::Storage)?;
    let serial = vault.serial().ok_or(Refusal::Life)?;
    Ok(transcript::sha256(&[&transcript::order(order, serial, challenge)]))
}

/// The signature first; only then are the bytes it covers looked into.
#[inline(never)]
fn install_secret<P: Platform>(
    device: &mut Device<P>,
    open: &Open,
    install: &Install,
) -> Result<Answer, Refusal> {
    if is_signed(open, install) { install_signed(device, open, install) } else { Err(Refusal::Signature) }
}

fn grant<'a>(open: &'a Open, install: &Install) -> Grant<'a> {
    Grant { exchange: &open.exchange, host_ephemeral: install.host_ephemeral, policy: install.policy.0 }
}

#[inline(never)]
fn is_signed(open: &Open, install: &Install) -> bool {
    let digest = grant_digest(open, install);
    crypto::verify(&open.exchange.host_key, &digest.0, &install.signature)
}

#[inline(never)]
fn grant_digest(open: &Open, install: &Install) -> Digest {
    transcript::sha256(&[&grant(open, install).to_signed_bytes(&install.wrapped)])
}

#[inline(never)]
fn install_signed<P: Platform>(
    device: &mut Device<P>,
    open: &Open,
    install: &Install,
) -> Result<Answer, Refusal> {
    let grant = grant(open, install);
    let policy = Policy::parse(&grant.policy).map_err(|_| Refusal::Policy)?;
    let _supported = otp::format(&policy).ok_or(Refusal::Policy)?;
    let clock = setting(device, policy.utc)?;
    let shared = crypto::agree(&open.secret, &grant.host_ephemeral).ok_or(Refusal::Point)?;
    let kek = crypto::cbc_two_blocks(&shared, &grant.kek_input().0);
    let confirm = crypto::cbc_two_blocks(&shared, &grant.confirm_input().0);
    let mut padded = Zeroizing::new([0; SECRET_MAX]);
    let padded = unwrap_secret(&kek, &install.wrapped, &policy, &mut padded)?;
    let tag = |confirmation| tag(&confirm, &grant, &install.wrapped, confirmation);
    let installed = Installed {
        slot: open.exchange.slot,
        counter: open.exchange.counter,
        policy: &policy,
        padded,
        tag: tag(Confirmation::Server),
        owner: open.exchange.host_key,
        clock,
    };
    let (vault, flash) = storage(device)?;
    vault.install(flash, &installed)?;
    Ok(Answer::Installed { tag: tag(Confirmation::Token) })
}

fn unwrap_secret<'a>(
    kek: &Key,
    wrapped: &[u8],
    policy: &Policy,
    out: &'a mut [u8; SECRET_MAX],
) -> Result<&'a [u8], Refusal> {
    let padded_len = policy.padded_len();
    if wrapped.len() != padded_len + WRAP_OVERHEAD {
        return Err(Refusal::Wrapping);
    }
    let padded = &mut out[..padded_len];
    crypto::unwrap(kek, wrapped, padded).ok_or(Refusal::Wrapping)?;
    let padding = &padded[usize::from(policy.secret_len)..];
    let is_zero = padding.ct_eq(&[0; SECRET_MAX][..padding.len()]);
    if bool::from(is_zero) { Ok(padded) } else { Err(Refusal::Wrapping) }
}

fn tag(confirm: &Key, grant: &Grant<'_>, wrapped: &[u8], confirmation: Confirmation) -> Tag {
    let mac = crypto::hmac(confirm, &[&grant.tag_input(wrapped, confirmation)]);
    Octets(core::array::from_fn(|i| mac[i]))
}

#[inline(never)]
fn commit_secret<P: Platform>(device: &mut Device<P>, commit: &Commit) -> Result<Answer, Refusal> {
    let (vault, flash) = storage(device)?;
    vault.commit(flash, commit)?;
    Ok(Answer::Committed { counter: commit.counter })
}

#[inline(never)]
fn erase<P: Platform>(
    device: &mut Device<P>,
    how: fn(&mut Vault, &mut P::Flash, &crate::vault::Fresh) -> Result<(), Refusal>,
) -> Result<Answer, Refusal> {
    let fresh = fresh(&mut device.platform).ok_or(Refusal::SelfTest)?;
    let (vault, flash) = storage(device)?;
    how(vault, flash, &fresh)?;
    Ok(Answer::Obeyed)
}

#[inline(never)]
fn personalise<P: Platform>(device: &mut Device<P>, serial: &Serial) -> Result<Answer, Refusal> {
    if device.vault.as_ref().ok_or(Refusal::Storage)?.life() != Life::Factory {
        return Err(Refusal::Life);
    }
    if !(device.selftest.vectors_ok && device.selftest.rng_ok) {
        return Err(Refusal::SelfTest);
    }
    let (secret, key) = device.new_pair().ok_or(Refusal::SelfTest)?;
    let (vault, flash) = storage(device)?;
    vault.personalise(flash, serial.clone(), &secret, key)?;
    Ok(Answer::Personalised { key })
}

#[inline(never)]
fn certify<P: Platform>(device: &mut Device<P>, certificate: &MakerCertificate) -> Result<Answer, Refusal> {
    let (vault, flash) = storage(device)?;
    vault.certify(flash, certificate.clone())?;
    Ok(Answer::Certified)
}

#[inline(never)]
fn info<P: Platform>(device: &mut Device<P>) -> Result<Answer, Refusal> {
    let clock: ClockState = device.clock_state();
    let firmware = Firmware {
        version: device.platform.firmware_version(),
        hash: Octets(device.platform.firmware_hash()),
    };
    let battery = Battery(device.platform.battery_percent().unwrap_or(u8::MAX));
    let vault = device.vault.as_ref().ok_or(Refusal::Storage)?;
    Ok(Answer::Info(Info {
        firmware,
        life: vault.life(),
        certificate: vault.certificate(),
        owner: vault.owner().map(transcript::fingerprint),
        counter: vault.counter(),
        pending: vault.pending(),
        slots: vault.slots().into_iter().collect(),
        clock,
        battery,
        pin_required: !vault.is_unlocked(),
    }))
}

/// The clock setting that `utc` makes now; `None` where no count of seconds runs.
fn setting<P: Platform>(device: &mut Device<P>, utc: i64) -> Result<Option<Setting>, Refusal> {
    if !clock::is_plausible(utc) {
        return Err(Refusal::Time);
    }
    let before = device.vault.as_ref().and_then(Vault::clock);
    Ok(device.platform.rtc().map(|rtc| Setting::new(before, utc, rtc)))
}

fn storage<P: Platform>(device: &mut Device<P>) -> Result<(&mut Vault, &mut P::Flash), Refusal> {
    Ok((device.vault.as_mut().ok_or(Refusal::Storage)?, device.platform.flash()))
}

#[inline(never)]
fn frame(sequence: u32, body: &Answer) -> Vec<u8, FRAME_MAX> {
    encode_frame(&encode(&Envelope { sequence, body })).expect("a message is at most MESSAGE_MAX bytes")
}

#[inline(never)]
fn send<P: Platform>(device: &mut Device<P>, sequence: u32, answer: &Answer) {
    device.platform.uart_write(&frame(sequence, answer));
}
