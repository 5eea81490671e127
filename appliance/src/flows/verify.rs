//! Verification of an OATH code: the act that everything else is there for.
//!
//! Consume is one conditional write, on disk before the answer leaves. Every refusal costs one HSM match
//! and one durable event, and answers the same.

use domain::canonical::Canonical;
use domain::event::Event;
use domain::names::{RequestId, Serial, UserName};
use domain::time::{Deadline, Now};
use domain::token::{Id, Lifecycle, MovingState, Policy};
use domain::verify::{self, Meaning, Plan, Reason};
use hsm::{MacPurpose, Matched};
use oath::Code;

use super::guess::{clear_failures, count_failure};
use super::question::{self, Try};
use super::{Caller, FlowError, letters, users};
use crate::appliance::Appliance;
use crate::store::request::StoredAnswer;
use crate::store::token::{ACTIVE_MAX, TokenRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event, request, token, user};

/// How long an answer is kept for a retry with the same request id, in milliseconds.
const REQUEST_ID_MS: u64 = 60_000;

/// Whose code it is said to be, as written by the caller.
#[derive(Clone, Debug)]
pub enum Target {
    /// Any active token of a user.
    User(String),
    /// One token.
    Token(String),
}

impl Target {
    fn name(&self) -> &str {
        match self {
            Target::User(name) => name,
            Target::Token(serial) => serial,
        }
    }
}

/// What else must hold of the token that the code came from.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// Its serial.
    pub serial: Option<String>,
    /// Its type: `hotp` or `totp`.
    pub kind: Option<String>,
}

impl Only {
    fn fits(&self, token: &TokenRow) -> bool {
        let named = |text: &String| Serial::parse(text).is_ok_and(|serial| serial == token.serial);
        self.serial.as_ref().is_none_or(named)
            && self.kind.as_ref().is_none_or(|kind| kind == token.policy.factor.name())
    }
}

/// A code to verify.
pub struct Attempt {
    /// Whose it is said to be.
    pub target: Target,
    /// What else must hold.
    pub only: Only,
    /// The text that was typed.
    pub otp: String,
    /// For a retry after a lost answer.
    pub request_id: Option<RequestId>,
}

/// The answer. A rejection says nothing more: its reason is in the events.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The code was fresh and is consumed, durably.
    Accept {
        /// The token it came from.
        serial: String,
        /// The token's level of assurance.
        loa: f64,
    },
    /// Anything else.
    Reject,
}

/// A verdict with what only the events, and a door that was told to be talkative, may say of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The answer.
    pub verdict: Verdict,
    /// Why not; none for an accept and for an answer that is given again.
    pub reason: Option<Reason>,
    /// What is fixed about the token of an accepted code.
    pub policy: Option<Policy>,
}

impl Judged {
    fn refused(reason: Reason) -> Self {
        Judged { verdict: Verdict::Reject, reason: Some(reason), policy: None }
    }
}

/// What the snapshot says about the target.
struct Loaded {
    user: Option<UserRow>,
    tokens: Vec<TokenRow>,
    named_token: bool,
    stored: Option<StoredAnswer>,
}

/// Verifies a code.
///
/// # Errors
/// [`FlowError`] when the HSM or the store cannot answer: nothing was accepted and nothing counted.
pub fn run(app: &Appliance, caller: &Caller, attempt: &Attempt) -> Result<Verdict, FlowError> {
    judge(app, caller, attempt).map(|judged| judged.verdict)
}

/// Verifies a code, and says why it was rejected.
///
/// # Errors
/// As [`run`].
pub fn judge(app: &Appliance, caller: &Caller, attempt: &Attempt) -> Result<Judged, FlowError> {
    let owner = app.store.read(|c| owner_of(c, &attempt.target))?;
    // Names that nobody has wait in line like all others: who waits and who does not tells nothing.
    let _order = match owner {
        Some(id) => app.lock_user(&id)?,
        None => app.lock_name(attempt.target.name())?,
    };
    let now = app.clock.now();
    let loaded = load(app, caller, attempt, &now)?;
    let attempted = Attempted { app, caller, attempt, loaded: &loaded, now };
    if let Some(stored) = &loaded.stored {
        return attempted.retried(stored);
    }
    match attempted.evaluable()? {
        Err(reason) => attempted.refuse(reason),
        Ok(tokens) => attempted.evaluate(&tokens),
    }
}

fn owner_of(connection: &rusqlite::Connection, target: &Target) -> Result<Option<Id>, StoreError> {
    match target {
        Target::User(name) => match UserName::parse(name) {
            Ok(name) => Ok(user::by_name(connection, &name)?.map(|user| user.id)),
            Err(_) => Ok(None),
        },
        Target::Token(serial) => match Serial::parse(serial) {
            Ok(serial) => {
                Ok(token::by_serial(connection, &serial)?.map(|token| token.user_id.unwrap_or(token.id)))
            }
            Err(_) => Ok(None),
        },
    }
}

fn load(app: &Appliance, caller: &Caller, attempt: &Attempt, now: &Now) -> Result<Loaded, FlowError> {
    let loaded = app.store.read(|c| {
        let stored = match &attempt.request_id {
            Some(id) => request::find(c, &caller.application, id.as_str(), now)?,
            None => None,
        };
        let (user, tokens, named_token) = match &attempt.target {
            Target::User(name) => {
                let user =
                    UserName::parse(name).ok().map(|name| user::by_name(c, &name)).transpose()?.flatten();
                let tokens = user.as_ref().map(|user| token::of_user(c, &user.id)).transpose()?;
                (user, tokens.unwrap_or_default(), false)
            }
            Target::Token(serial) => {
                let found =
                    Serial::parse(serial).ok().map(|s| token::by_serial(c, &s)).transpose()?.flatten();
                let owner = found.as_ref().and_then(|token| token.user_id);
                let user = owner.map(|id| user::by_id(c, &id)).transpose()?.flatten();
                (user, found.into_iter().collect(), true)
            }
        };
        let tokens = tokens.into_iter().filter(|token| attempt.only.fits(token)).collect();
        Ok(Loaded { user, tokens, named_token, stored })
    })?;
    let user = users::checked(app, attempt.target.name(), loaded.user)?;
    Ok(Loaded { user, ..loaded })
}

fn with_user(event: Event, user: Option<&UserRow>) -> Event {
    match user {
        Some(user) => event.about("user_ref", &user.user_ref),
        None => event,
    }
}

/// One attempt with everything that was loaded for it.
struct Attempted<'a> {
    app: &'a Appliance,
    caller: &'a Caller,
    attempt: &'a Attempt,
    loaded: &'a Loaded,
    now: Now,
}

impl Attempted<'_> {
    /// The same request once more: its answer was lost, so it is given again, as long as the token it names
    /// would still be accepted. Another request under the same id, or an answer that was changed outside the
    /// appliance, is a replay.
    fn retried(&self, stored: &StoredAnswer) -> Result<Judged, FlowError> {
        self.app.match_decoy(&self.attempt.otp)?;
        let mark = self.mark(&stored.answer, &stored.expires)?;
        if stored.fingerprint != mark {
            return self.replayed(None);
        }
        let verdict = parse_answer(&stored.answer)?;
        let mut policy = None;
        if let Verdict::Accept { serial, .. } = &verdict {
            let user_active = self.loaded.user.as_ref().is_some_and(|user| user.state == "active");
            let token = self.loaded.tokens.iter().find(|token| token.serial.as_str() == serial);
            match token.filter(|token| user_active && token.state.lifecycle == Lifecycle::Active) {
                Some(token) => policy = Some(token.policy),
                None => return self.replayed(None),
            }
        }
        self.app.refuse(self.event("verify.repeated"))?;
        Ok(Judged { verdict, reason: None, policy })
    }

    /// The tokens that the code may be tried at: none that answers questions, since none was asked. Or why it is not tried at all.
    fn evaluable(&self) -> Result<Result<Usable, Reason>, FlowError> {
        if Code::parse(&self.attempt.otp).is_err() {
            return Ok(Err(Reason::Malformed));
        }
        let Some(user) = &self.loaded.user else {
            let reason = if self.loaded.named_token { Reason::NoToken } else { Reason::UnknownUser };
            return Ok(Err(reason));
        };
        if user.state != "active" {
            return Ok(Err(Reason::Locked));
        }
        if let Err(reason) = self.app.admit(self.caller, user, &self.now)? {
            return Ok(Err(reason));
        }
        let (usable, set_aside): (Vec<&TokenRow>, Vec<&TokenRow>) = self
            .loaded
            .tokens
            .iter()
            .filter(|token| token.policy.suite().is_none())
            .partition(|token| token.state.lifecycle == Lifecycle::Active && token.record.is_some());
        if usable.is_empty() {
            let ended =
                |t: &&TokenRow| matches!(t.state.lifecycle, Lifecycle::Revoked | Lifecycle::Suspended);
            let reason = if set_aside.iter().any(ended) { Reason::Revoked } else { Reason::NoToken };
            return Ok(Err(reason));
        }
        // A locked token among others must not make its siblings countable.
        let counted = self.loaded.named_token || usable.len() == 1;
        let open: Vec<TokenRow> = usable
            .into_iter()
            .filter(|token| !token.state.is_locked(&self.now))
            .take(ACTIVE_MAX)
            .cloned()
            .collect();
        Ok(if open.is_empty() { Err(Reason::Locked) } else { Ok(Usable { open, counted }) })
    }

    /// Refuses without evaluating: the decoy's match, then the event.
    fn refuse(&self, reason: Reason) -> Result<Judged, FlowError> {
        self.app.match_decoy(&self.attempt.otp)?;
        let event = self.event_of(reason);
        let keep = self.keep(&Verdict::Reject)?;
        self.app.store.write(move |w| {
            keep(w)?;
            event::append(w, &event).map(drop)
        })?;
        Ok(Judged::refused(reason))
    }

    /// Lets the HSM compare, and saves what follows.
    fn evaluate(&self, usable: &Usable) -> Result<Judged, FlowError> {
        let Usable { open: tokens, counted } = usable;
        let counted = *counted;
        let plans: Vec<Plan> = tokens
            .iter()
            .map(|token| {
                let config = &self.app.config;
                verify::plan(&token.policy, &token.state, &config.window, &config.limits, counted, &self.now)
            })
            .collect();
        let (otp, width) = (&self.attempt.otp, self.app.config.window.factors());
        let asked = |(token, plan): (&TokenRow, &Plan)| {
            let tries = plan.candidates.iter().map(Try::from);
            question::question(token, otp, tries, &plan.refusal, width)
        };
        let batch = tokens.iter().zip(&plans).map(asked).collect();
        let matched = self.app.hsm.match_codes(batch)?;
        let (mut replay, mut tampered) = (None, None);
        for ((token, plan), matched) in tokens.iter().zip(&plans).zip(&matched) {
            match matched {
                Matched::Hit { factor, next_mac } => match plan.candidates.get(*factor) {
                    Some(hit) if hit.meaning == Meaning::Fresh => {
                        return self.consume(token, hit.next, *next_mac);
                    }
                    Some(_) => replay = Some(token),
                    None => {}
                },
                Matched::Miss { .. } => {}
                Matched::Tampered { what } => tampered = Some(question::tampered(self.app, token, *what)),
            }
        }
        let all_tampered = matched.iter().all(|m| matches!(m, Matched::Tampered { .. }));
        match (replay, tampered) {
            (Some(token), _) => self.replayed(Some(token)),
            // Before the records of a former schema are sealed nothing is said of them.
            (None, Some(error)) if all_tampered || error.is_unavailable() => Err(error),
            (None, tampered) => {
                if let Some(error) = tampered {
                    self.app.note_tampering(&error, &self.caller.actor)?;
                }
                self.missed(tokens, &plans, &matched, counted)
            }
        }
    }

    fn consume(&self, token: &TokenRow, next: MovingState, next_mac: [u8; 32]) -> Result<Judged, FlowError> {
        let accepted = Verdict::Accept { serial: token.serial.to_string(), loa: token.loa };
        let verified = self.event("oath.verified").about("token", token.serial.as_str());
        let lost = self.event_of(Reason::Replay).about("token", token.serial.as_str());
        let (keep_accept, keep_reject) = (self.keep(&accepted)?, self.keep(&Verdict::Reject)?);
        let letter = match &self.loaded.user {
            Some(owner) => letters::used_by(self.app, self.caller, owner, token, &self.now)?,
            None => None,
        };
        let adjusted = (next.drift != token.state.drift)
            .then(|| self.event("oath.drift_adjusted").about("token", token.serial.as_str()));
        let (row, application, at) = (token.clone(), self.caller.application, self.now.wall_ms);
        let won = self.app.store.write(move |w| {
            if !token::consume(w, &row, &next, &next_mac)? {
                keep_reject(w)?;
                event::append(w, &lost)?;
                return Ok(false);
            }
            if let Some(user) = &row.user_id {
                clear_failures(w, user, &application)?;
            }
            keep_accept(w)?;
            event::append(w, &verified)?;
            adjusted.iter().try_for_each(|event| event::append(w, event).map(drop))?;
            if let Some((step, consumed)) = &letter
                && step.take(w, at)?
            {
                event::append(w, consumed)?;
            }
            Ok(true)
        })?;
        Ok(if won {
            Judged { verdict: accepted, reason: None, policy: Some(token.policy) }
        } else {
            Judged::refused(Reason::Replay)
        })
    }

    fn replayed(&self, token: Option<&TokenRow>) -> Result<Judged, FlowError> {
        let mut event = self.event_of(Reason::Replay);
        if let Some(token) = token {
            event = event.about("token", token.serial.as_str());
        }
        let keep = self.keep(&Verdict::Reject)?;
        let first = self.loaded.stored.is_none();
        self.app.store.write(move |w| {
            if first {
                keep(w)?;
            }
            event::append(w, &event).map(drop)
        })?;
        Ok(Judged::refused(Reason::Replay))
    }

    fn missed(
        &self,
        tokens: &[TokenRow],
        plans: &[Plan],
        matched: &[Matched],
        counted: bool,
    ) -> Result<Judged, FlowError> {
        let mut event = self.event_of(Reason::Wrong);
        let mut counted_at = None;
        let miss_mac = match matched {
            [Matched::Miss { next_mac } | Matched::Hit { next_mac, .. }] => Some(*next_mac),
            _ => None,
        };
        if let ([token], [plan], Some(next_mac), true) = (tokens, plans, miss_mac, counted) {
            event = event.about("token", token.serial.as_str());
            counted_at = Some((token.clone(), plan.refusal, next_mac));
        }
        let locked = counted_at.as_ref().and_then(|(token, next, _)| {
            next.is_locked(&self.now).then(|| self.event("oath.locked").about("token", token.serial.as_str()))
        });
        let user = self.loaded.user.as_ref().map(|user| user.id);
        let (limits, application, now) = (self.app.config.limits, self.caller.application, self.now);
        let keep = self.keep(&Verdict::Reject)?;
        let pair = self.event("user.locked").about("application", self.caller.name.as_str());
        self.app.store.write(move |w| {
            if let Some((token, next, next_mac)) = &counted_at {
                token::put_state(w, token, next, next_mac)?;
            }
            keep(w)?;
            event::append(w, &event)?;
            if let Some(user) = &user
                && count_failure(w, &limits, user, &application, &now)?
            {
                event::append(w, &pair)?;
            }
            locked.iter().try_for_each(|event| event::append(w, event).map(drop))
        })?;
        Ok(Judged::refused(Reason::Wrong))
    }

    fn event(&self, kind: &'static str) -> Event {
        let event = Event::ok(self.now.wall_ms, kind, self.caller.actor.clone());
        with_user(event, self.loaded.user.as_ref())
    }

    fn event_of(&self, reason: Reason) -> Event {
        let kind = if reason == Reason::Replay { "oath.replay" } else { "oath.failed" };
        let event = Event::refused(self.now.wall_ms, kind, self.caller.actor.clone(), reason.name());
        with_user(event, self.loaded.user.as_ref())
    }

    /// The write that keeps the answer under the request id, if there is one.
    fn keep(
        &self,
        verdict: &Verdict,
    ) -> Result<impl FnOnce(&mut Writing<'_>) -> Result<(), StoreError> + Send + 'static, FlowError> {
        let kept = match &self.attempt.request_id {
            None => None,
            Some(id) => {
                let (answer, expires) = (answer_text(verdict), self.now.deadline_in(REQUEST_ID_MS));
                let fingerprint = self.mark(&answer, &expires)?;
                Some((id.clone(), StoredAnswer { fingerprint, answer, expires }))
            }
        };
        let (application, now) = (self.caller.application, self.now);
        Ok(move |w: &mut Writing<'_>| match kept {
            None => Ok(()),
            Some((id, answer)) => request::put(w, &application, id.as_str(), &answer, &now),
        })
    }

    /// The mark under which an answer is kept: it covers what was asked, what was answered and until when.
    fn mark(&self, answer: &str, expires: &Deadline) -> Result<[u8; 32], FlowError> {
        let attempt = self.attempt;
        let kind = match attempt.target {
            Target::User(_) => "user",
            Target::Token(_) => "token",
        };
        let asked = Canonical::new("countersign request 1")
            .bytes(&self.caller.application)
            .optional(attempt.request_id.as_ref().map(|id| id.as_str().as_bytes()))
            .text(kind)
            .text(attempt.target.name())
            .text(attempt.only.serial.as_deref().unwrap_or_default())
            .text(attempt.only.kind.as_deref().unwrap_or_default())
            .text(&attempt.otp)
            .text(answer)
            .bytes(&expires.boot.0)
            .int(i64::try_from(expires.boot_ms).unwrap_or(i64::MAX))
            .finish();
        let macs = self.app.hsm.mac(MacPurpose::Fingerprint, vec![asked])?;
        Ok(*macs.first().ok_or(hsm::HsmError::Protocol)?)
    }
}

/// The tokens that a code is tried at, and whether a wrong one counts at the token.
struct Usable {
    open: Vec<TokenRow>,
    counted: bool,
}

fn answer_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Reject => "null".to_owned(),
        Verdict::Accept { serial, loa } => serde_json::json!([serial, loa]).to_string(),
    }
}

fn parse_answer(text: &str) -> Result<Verdict, StoreError> {
    let fault = |_| StoreError::Row { table: "request", column: "answer", row: String::new() };
    let answer: Option<(String, f64)> = serde_json::from_str(text).map_err(fault)?;
    Ok(match answer {
        None => Verdict::Reject,
        Some((serial, loa)) => Verdict::Accept { serial, loa },
    })
}
