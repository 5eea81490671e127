//! Events: what happened, to whom, by whom, in a chain that shows every later change.
//!
//! Persons appear only as `user_ref`, a pseudonym; erasing the row that maps it forgets the person while
//! the chain stays whole. No event holds a code, a secret, a PIN or a phone number.

use crate::canonical::Canonical;

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `application`, `operator`, `user` or `system`.
    pub kind: &'static str,
    /// Its name.
    pub id: String,
    /// The role or right it used; `break-glass` for root at the console.
    pub role: String,
}

impl Actor {
    /// The appliance itself.
    pub fn system(part: &str) -> Self {
        Actor { kind: "system", id: part.to_owned(), role: String::new() }
    }
}

/// An event before it has its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Dotted name, such as `oath.verified`.
    pub kind: &'static str,
    /// Who acted.
    pub actor: Actor,
    /// What it concerned, as pairs such as `("token", "CST...")`; in the order written.
    pub subject: Vec<(&'static str, String)>,
    /// `ok`, `refused` or `failed`.
    pub outcome: &'static str,
    /// Why, for refusals and failures.
    pub reason: Option<String>,
}

impl Event {
    /// An event that went well.
    pub fn ok(at_ms: i64, kind: &'static str, actor: Actor) -> Self {
        Event { at_ms, kind, actor, subject: Vec::new(), outcome: "ok", reason: None }
    }

    /// An event that was refused for a reason.
    pub fn refused(at_ms: i64, kind: &'static str, actor: Actor, reason: impl Into<String>) -> Self {
        Event { outcome: "refused", reason: Some(reason.into()), ..Event::ok(at_ms, kind, actor) }
    }

    /// An event that failed for a reason.
    pub fn failed(at_ms: i64, kind: &'static str, actor: Actor, reason: impl Into<String>) -> Self {
        Event { outcome: "failed", reason: Some(reason.into()), ..Event::ok(at_ms, kind, actor) }
    }

    /// The same event, about one more thing.
    pub fn about(mut self, what: &'static str, which: impl Into<String>) -> Self {
        self.subject.push((what, which.into()));
        self
    }

    /// The bytes whose hash, after the former event's hash, is this event's hash.
    pub fn bytes(&self, seq: i64, subject_json: &str) -> Vec<u8> {
        chained_bytes(&Chained {
            seq,
            at_ms: self.at_ms,
            kind: self.kind,
            actor: [self.actor.kind, &self.actor.id, &self.actor.role],
            subject: subject_json,
            outcome: self.outcome,
            reason: self.reason.as_deref(),
        })
    }
}

/// The fields of a stored event that its hash covers.
#[derive(Clone, Copy, Debug)]
pub struct Chained<'a> {
    /// Place in the chain, from 1.
    pub seq: i64,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Dotted name.
    pub kind: &'a str,
    /// Kind, id and role of who acted.
    pub actor: [&'a str; 3],
    /// The subject as stored JSON text.
    pub subject: &'a str,
    /// `ok`, `refused` or `failed`.
    pub outcome: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
}

/// The canonical bytes of a stored event.
pub fn chained_bytes(event: &Chained<'_>) -> Vec<u8> {
    Canonical::new("countersign event 1")
        .int(event.seq)
        .int(event.at_ms)
        .text(event.kind)
        .text(event.actor[0])
        .text(event.actor[1])
        .text(event.actor[2])
        .text(event.subject)
        .text(event.outcome)
        .optional(event.reason.map(str::as_bytes))
        .finish()
}
