//! Verification of an OATH code: the act that everything else is there for.
//!
//! Consume is one conditional write, on disk before the answer leaves. Every refusal costs one HSM match
//! and one durable event, and answers the same.

use domain::event::Event;
use domain::names::{RequestId, Serial, UserName};
use domain::sentcode;
use domain::time::Now;
use domain::token::{Id, Lifecycle, MovingState};
use domain::verify::{self, Meaning, Plan, Reason};
use hsm::{Factor, MacPurpose, Match, MatchKey, Matched, Tampered};
use oath::Code;

use super::guess::{clear_failures, count_failure};
use super::{Caller, FlowError};
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

/// A code to verify.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whose it is said to be.
    pub target: Target,
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
    let fingerprint = fingerprint(app, caller, attempt)?;
    let owner = app.store.read(|c| owner_of(c, &attempt.target))?;
    let _order = owner.map(|id| app.lock_user(&id)).transpose()?;
    let now = app.clock.now();
    let loaded = load(app, caller, attempt, &now)?;
    if let (Some(stored), Some(fingerprint)) = (&loaded.stored, &fingerprint) {
        return retried(app, caller, attempt, &loaded, stored, fingerprint);
    }
    let attempted = Attempted { app, caller, attempt, loaded: &loaded, now, fingerprint };
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
    Ok(app.store.read(|c| {
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
        Ok(Loaded { user, tokens, named_token, stored })
    })?)
}

fn fingerprint(app: &Appliance, caller: &Caller, attempt: &Attempt) -> Result<Option<[u8; 32]>, FlowError> {
    if attempt.request_id.is_none() {
        return Ok(None);
    }
    let (kind, name) = match &attempt.target {
        Target::User(name) => ("user", name),
        Target::Token(serial) => ("token", serial),
    };
    let asked = domain::canonical::Canonical::new("countersign request 1")
        .bytes(&caller.application)
        .text(kind)
        .text(name)
        .text(&attempt.otp)
        .finish();
    Ok(app.hsm.mac(MacPurpose::Fingerprint, vec![asked])?.into_iter().next())
}

/// The same request once more: its answer was lost, so it is given again. Another request under the same id
/// is a replay.
fn retried(
    app: &Appliance,
    caller: &Caller,
    attempt: &Attempt,
    loaded: &Loaded,
    stored: &StoredAnswer,
    fingerprint: &[u8; 32],
) -> Result<Verdict, FlowError> {
    app.match_decoy(&attempt.otp)?;
    let same = stored.fingerprint == *fingerprint;
    let verdict = if same { parse_answer(&stored.answer)? } else { Verdict::Reject };
    let now_ms = app.clock.now().wall_ms;
    let event = if same {
        Event::ok(now_ms, "verify.repeated", caller.actor.clone())
    } else {
        Event::refused(now_ms, "oath.replay", caller.actor.clone(), Reason::Replay.name())
    };
    app.refuse(with_user(event, loaded.user.as_ref()))?;
    Ok(verdict)
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
    fingerprint: Option<[u8; 32]>,
}

impl Attempted<'_> {
    /// The tokens that the code may be tried at, or why it is not tried at all.
    fn evaluable(&self) -> Result<Result<Vec<TokenRow>, Reason>, FlowError> {
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
            .partition(|token| token.state.lifecycle == Lifecycle::Active && token.record.is_some());
        if usable.is_empty() {
            let ended =
                |t: &&TokenRow| matches!(t.state.lifecycle, Lifecycle::Revoked | Lifecycle::Suspended);
            let reason = if set_aside.iter().any(ended) { Reason::Revoked } else { Reason::NoToken };
            return Ok(Err(reason));
        }
        let open: Vec<TokenRow> = usable
            .into_iter()
            .filter(|token| !token.state.is_locked(&self.now))
            .take(ACTIVE_MAX)
            .cloned()
            .collect();
        Ok(if open.is_empty() { Err(Reason::Locked) } else { Ok(open) })
    }

    /// Refuses without evaluating: the decoy's match, then the event.
    fn refuse(&self, reason: Reason) -> Result<Verdict, FlowError> {
        self.app.match_decoy(&self.attempt.otp)?;
        let event = self.event_of(reason);
        let keep = self.keep(&Verdict::Reject);
        self.app.store.write(move |w| {
            keep(w)?;
            event::append(w, &event).map(drop)
        })?;
        Ok(Verdict::Reject)
    }

    /// Lets the HSM compare, and saves what follows.
    fn evaluate(&self, tokens: &[TokenRow]) -> Result<Verdict, FlowError> {
        let counted = self.loaded.named_token || tokens.len() == 1;
        let plans: Vec<Plan> = tokens
            .iter()
            .map(|token| {
                let config = &self.app.config;
                verify::plan(&token.policy, &token.state, &config.window, &config.limits, counted, &self.now)
            })
            .collect();
        let batch =
            tokens.iter().zip(&plans).map(|(token, plan)| question(token, plan, &self.attempt.otp)).collect();
        let matched = self.app.hsm.match_codes(batch)?;
        let mut replay = None;
        for ((token, plan), matched) in tokens.iter().zip(&plans).zip(&matched) {
            match matched {
                Matched::Hit { factor, next_mac } => match plan.candidates.get(*factor) {
                    Some(hit) if hit.meaning == Meaning::Fresh => {
                        return self.consume(token, hit.next, *next_mac);
                    }
                    _ => replay = Some(token),
                },
                Matched::Miss { .. } => {}
                Matched::Tampered { what } => self.alarm(token, *what)?,
            }
        }
        match replay {
            Some(token) => self.replayed(token),
            None => self.missed(tokens, &plans, &matched, counted),
        }
    }

    fn consume(&self, token: &TokenRow, next: MovingState, next_mac: [u8; 32]) -> Result<Verdict, FlowError> {
        let accepted = Verdict::Accept { serial: token.serial.to_string(), loa: token.loa };
        let verified = self.event("oath.verified").about("token", token.serial.as_str());
        let lost = self.event_of(Reason::Replay).about("token", token.serial.as_str());
        let (keep_accept, keep_reject) = (self.keep(&accepted), self.keep(&Verdict::Reject));
        let (row, application) = (token.clone(), self.caller.application);
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
            Ok(true)
        })?;
        Ok(if won { accepted } else { Verdict::Reject })
    }

    fn replayed(&self, token: &TokenRow) -> Result<Verdict, FlowError> {
        let event = self.event_of(Reason::Replay).about("token", token.serial.as_str());
        let keep = self.keep(&Verdict::Reject);
        self.app.store.write(move |w| {
            keep(w)?;
            event::append(w, &event).map(drop)
        })?;
        Ok(Verdict::Reject)
    }

    fn missed(
        &self,
        tokens: &[TokenRow],
        plans: &[Plan],
        matched: &[Matched],
        counted: bool,
    ) -> Result<Verdict, FlowError> {
        let mut event = self.event_of(Reason::Wrong);
        let mut counted_at = None;
        if let ([token], [plan], [Matched::Miss { next_mac }], true) = (tokens, plans, matched, counted) {
            event = event.about("token", token.serial.as_str());
            counted_at = Some((token.clone(), plan.refusal, *next_mac));
        }
        let locked = counted_at.as_ref().and_then(|(token, next, _)| {
            next.is_locked(&self.now).then(|| self.event("oath.locked").about("token", token.serial.as_str()))
        });
        let user = self.loaded.user.as_ref().map(|user| user.id);
        let (limits, application, now) = (self.app.config.limits, self.caller.application, self.now);
        let keep = self.keep(&Verdict::Reject);
        self.app.store.write(move |w| {
            if let Some((token, next, next_mac)) = &counted_at {
                token::put_state(w, token, next, next_mac)?;
            }
            if let Some(user) = &user {
                count_failure(w, &limits, user, &application, &now)?;
            }
            keep(w)?;
            event::append(w, &event)?;
            locked.iter().try_for_each(|event| event::append(w, event).map(drop))
        })?;
        Ok(Verdict::Reject)
    }

    /// Someone changed the row outside the appliance: an event of its own, and the token matches nothing.
    fn alarm(&self, token: &TokenRow, what: Tampered) -> Result<(), FlowError> {
        let what = match what {
            Tampered::Record => "record",
            Tampered::State => "state",
        };
        tracing::error!(serial = %token.serial, what, "a token was changed outside the appliance");
        let event = Event::failed(self.now.wall_ms, "token.tampered", self.caller.actor.clone(), what)
            .about("token", token.serial.as_str());
        self.app.refuse(event)
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
    ) -> impl FnOnce(&mut Writing<'_>) -> Result<(), StoreError> + Send + 'static {
        let kept = self
            .attempt
            .request_id
            .clone()
            .zip(self.fingerprint)
            .map(|(id, fingerprint)| (id, StoredAnswer { fingerprint, answer: answer_text(verdict) }));
        let (application, now) = (self.caller.application, self.now);
        move |w| match kept {
            None => Ok(()),
            Some((id, answer)) => {
                let expires = now.deadline_in(REQUEST_ID_MS);
                request::put(w, &application, id.as_str(), &answer, &expires, &now)
            }
        }
    }
}

/// What the HSM is asked about one token.
fn question(token: &TokenRow, plan: &Plan, otp: &str) -> Match {
    Match {
        key: MatchKey::Record {
            record: token.record.clone().unwrap_or_default(),
            binding: token.binding(),
            record_mac: token.record_mac,
        },
        state: token.state.bytes(&token.id),
        state_mac: token.state_mac,
        format: sentcode::oath_format(&token.policy.format),
        candidate: otp.as_bytes().to_vec(),
        factors: plan
            .candidates
            .iter()
            .map(|candidate| Factor {
                messages: vec![oath::moving_factor(candidate.factor).to_vec()],
                next_state: candidate.next.bytes(&token.id),
            })
            .collect(),
        refusal: plan.refusal.bytes(&token.id),
    }
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
