//! What may be true of a token, from what was said to it: the judge of the target.

use link::{Answer, Challenge, Commit, Info, Install, Life, Octets, Order, Point, Request, SlotState, Start};

use crate::hsm::{Granted, Hsm, OCRA, Said, hotp, ocra};

/// A code's counter may be ahead of the last one seen by so much: codes that a power cut kept from the display.
const UNSEEN_MAX: u64 = 64;

/// A secret that a host granted.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) granted: Granted,
    counter: u32,
    slot: u8,
    owner: Point,
    /// The grant reached the token as it was signed.
    pub(crate) delivered: bool,
    /// Its right tag was shown to the token.
    committed: bool,
    /// No code below this one may be shown again.
    next: u64,
}

impl Secret {
    /// The host's word for it.
    pub(crate) fn commit(&self) -> Request {
        Request::Commit(Commit { counter: self.counter, tag: Octets(self.granted.server_tag) })
    }

    /// What the slot that holds it says.
    fn state(&self) -> SlotState {
        if self.granted.install.policy.0 == OCRA { SlotState::Ocra } else { SlotState::Hotp }
    }

    /// Whether `code` is one of its next, or the response to what was typed; such a code does not come again.
    fn makes(&mut self, code: &str, typed: Option<u32>) -> bool {
        let secret = &self.granted.secret;
        if self.state() == SlotState::Ocra {
            return typed.is_some_and(|question| ocra(secret, question) == code);
        }
        let found = (self.next..self.next + UNSEEN_MAX).find(|&counter| hotp(secret, counter) == code);
        self.next = found.map_or(self.next, |counter| counter + 1);
        found.is_some()
    }

    /// The counter that an abort names.
    pub(crate) fn counter(&self) -> u32 {
        self.counter
    }
}

#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) serial: String,
    pub(crate) attestation_key: Option<Point>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) nonce: Option<Octets<16>>,
    /// The last exchange that the token opened.
    pub(crate) exchange: Option<(Start, Challenge)>,
    asked: Vec<(u32, Request)>,
    counter: u32,
    life: Life,
    /// The token has said that its secrets are gone.
    erased: bool,
    lock_ordered: bool,
    showing: Option<String>,
    /// The question on the display, once it has all its digits.
    typed: Option<u32>,
    told: usize,
    /// Somebody pressed NEXT since the last request that a person decides.
    agreed: bool,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            serial: "CST-000017".to_owned(),
            attestation_key: None,
            secrets: Vec::new(),
            nonce: None,
            exchange: None,
            asked: Vec::new(),
            counter: 0,
            life: Life::Factory,
            erased: true,
            lock_ordered: false,
            showing: None,
            typed: None,
            told: 0,
            agreed: false,
        }
    }

    /// What was said in the open exchange.
    pub(crate) fn said(&self) -> Option<Said> {
        let (start, challenge) = self.exchange.clone()?;
        let attestation_key = self.attestation_key?;
        Some(Said { serial: self.serial.clone(), attestation_key, start, challenge })
    }

    /// The grant for the open exchange; made once, as the HSM does.
    pub(crate) fn grant(&mut self, hosts: &[Hsm; 2], policy: [u8; 33]) -> Option<&Granted> {
        let said = self.said()?;
        let Said { start, challenge, .. } = &said;
        let held = self.secrets.iter().position(|secret| {
            secret.counter == challenge.counter
                && secret.granted.install.policy.0 == policy
                && secret.owner == start.host_key
                && !secret.delivered
        });
        let at = match held {
            Some(at) => at,
            None => {
                let host = hosts.iter().find(|host| host.public() == start.host_key)?;
                let (slot, counter, owner) = (challenge.slot, challenge.counter, start.host_key);
                // A forged device would not get a grant.
                let granted = said.is_attested().then(|| host.grant(&said, policy))?;
                let (delivered, committed) = (false, false);
                self.secrets.push(Secret { granted, counter, slot, owner, delivered, committed, next: 0 });
                self.secrets.len() - 1
            }
        };
        Some(&self.secrets[at].granted)
    }

    /// Takes what the token is going to read.
    pub(crate) fn sent(&mut self, sequence: u32, request: &Request) {
        match request {
            Request::Install(install) => self.delivered(install),
            Request::Commit(commit) => self.shown_tag(commit),
            Request::Order { order: Order::Lock, .. } => self.lock_ordered = true,
            Request::Start(_) | Request::Order { order: Order::Return | Order::Wipe, .. } => {
                self.agreed = false
            }
            _ => {}
        }
        self.asked.push((sequence, request.clone()));
    }

    fn delivered(&mut self, install: &Install) {
        for secret in self.secrets.iter_mut().filter(|secret| secret.granted.install == *install) {
            secret.delivered = true;
        }
    }

    fn shown_tag(&mut self, commit: &Commit) {
        for secret in &mut self.secrets {
            let right = secret.counter == commit.counter && secret.granted.server_tag == commit.tag.0;
            if right && secret.delivered {
                secret.committed = true;
                self.erased = false;
            }
        }
    }

    /// Takes an answer of the token.
    pub(crate) fn heard(&mut self, sequence: u32, answer: Answer) {
        let asked = self
            .asked
            .iter()
            .rev()
            .find(|(number, _)| *number == sequence)
            .map(|(_, request)| request.clone());
        match (asked, answer) {
            (Some(Request::Start(start)), Answer::Challenge(challenge)) => {
                let nonce = self.exchange.as_ref().map(|(_, known)| known.device_nonce);
                assert!(self.agreed || nonce == Some(challenge.device_nonce), "nobody was asked");
                self.exchange = Some((start, challenge))
            }
            (_, Answer::Personalised { key }) => {
                assert_eq!(self.life, Life::Factory, "a new identity outside the factory");
                self.attestation_key = Some(key);
            }
            (_, Answer::Nonce(nonce)) => self.nonce = Some(nonce.challenge),
            (Some(Request::Order { order: Order::Return | Order::Wipe, .. }), Answer::Obeyed) => {
                assert!(self.agreed || self.erased, "erased, and nobody was asked");
                self.erased = true
            }
            (_, Answer::Info(info)) => self.told(&info),
            (_, Answer::Installed { tag }) => {
                let known =
                    self.secrets.iter().any(|secret| secret.delivered && secret.granted.token_tag == tag.0);
                assert!(known, "a secret is installed that nobody granted");
            }
            (Some(Request::Commit(commit)), Answer::Committed { counter }) => {
                let known =
                    self.secrets.iter().any(|secret| secret.committed && secret.counter == commit.counter);
                assert!(known && counter == commit.counter, "a secret is committed without its tag");
            }
            _ => {}
        }
    }

    /// How often the token has said who it is.
    pub(crate) fn told_times(&self) -> usize {
        self.told
    }

    /// Takes what the token says of itself.
    fn told(&mut self, info: &Info) {
        assert!(
            info.counter >= self.counter,
            "the provisioning counter goes back: {} {}",
            info.counter,
            self.counter
        );
        let granted =
            |counter| self.secrets.iter().any(|secret| secret.delivered && secret.counter == counter);
        assert!(info.counter == 0 || granted(info.counter), "a counter that no grant had");
        if let Some(pending) = info.pending {
            assert!(granted(pending.counter), "a secret is pending that nobody granted");
            assert_eq!(pending.counter, info.counter);
        }
        for (slot, state) in (0..).zip(&info.slots) {
            let known = self
                .secrets
                .iter()
                .any(|secret| secret.committed && secret.slot == slot && secret.state() == *state);
            assert!(*state == SlotState::Empty || known, "slot {slot} holds a secret without a grant");
        }
        let codes = matches!(info.life, Life::Provisioned | Life::Locked);
        let filled = info.slots.iter().any(|slot| *slot != SlotState::Empty);
        assert_eq!(codes, filled, "{:?} with {:?}", info.life, info.slots);
        assert!(info.life != Life::Locked || self.lock_ordered, "locked by nobody");
        assert!(info.life != Life::Factory || self.life == Life::Factory, "back in the factory");
        let owned = |secret: &Secret| Some(link::transcript::fingerprint(&secret.owner)) == info.owner;
        assert!(
            info.owner.is_none() || self.secrets.iter().any(|s| s.committed && owned(s)),
            "an owner by itself"
        );
        self.counter = info.counter;
        self.life = info.life;
        self.erased = !codes;
        self.told += 1;
    }

    /// Somebody presses NEXT.
    pub(crate) fn agreed(&mut self) {
        self.agreed = true;
    }

    /// Takes the question on the display.
    pub(crate) fn typed(&mut self, question: Option<u32>) {
        self.typed = question;
    }

    /// Takes what the display shows.
    pub(crate) fn seen(&mut self, code: Option<String>) {
        if code.is_some() {
            assert!(!self.erased, "a code where there is no secret any more");
        }
        if code.is_some() && code != self.showing {
            let code = code.as_deref().unwrap_or_default();
            let typed = self.typed;
            let is_made = self.secrets.iter_mut().any(|secret| secret.committed && secret.makes(code, typed));
            assert!(is_made, "a code that was shown before, or that no secret makes");
        }
        self.showing = code;
    }

    /// The power went: nothing is open, and the display is dark.
    pub(crate) fn restarted(&mut self) {
        (self.exchange, self.nonce, self.showing, self.typed) = (None, None, None, None);
    }
}
