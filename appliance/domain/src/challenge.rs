//! A challenge (B.5.4): a code that we send, a question that a token answers, a push, a recovery code; from the order to
//! one of its ends.

use oath::ocra::{Question, QuestionLen};

use crate::canonical::Canonical;
use crate::time::{Deadline, Now};
use crate::token::Id;

/// Where a challenge stands. The last seven are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The code is on its way; no life has begun.
    Delivering,
    /// The modem took it; the code can be used until the challenge expires.
    Waiting,
    /// The code came back in time.
    Verified,
    /// The user said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Too many wrong codes.
    Exhausted,
    /// A newer challenge took its place.
    Superseded,
    /// The code could not be delivered.
    Failed,
    /// The application took it back.
    Cancelled,
}

impl State {
    const ALL: [State; 9] = [
        State::Delivering,
        State::Waiting,
        State::Verified,
        State::Denied,
        State::Expired,
        State::Exhausted,
        State::Superseded,
        State::Failed,
        State::Cancelled,
    ];

    /// The state as the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            State::Delivering => "delivering",
            State::Waiting => "waiting",
            State::Verified => "verified",
            State::Denied => "denied",
            State::Expired => "expired",
            State::Exhausted => "exhausted",
            State::Superseded => "superseded",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// Reads what [`State::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing can change it any more.
    pub fn is_final(self) -> bool {
        !matches!(self, State::Delivering | State::Waiting)
    }
}

/// Limits and terms of challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Digits of the code (SMS-29).
    pub digits: u8,
    /// Life of a code from the modem's acknowledgement (SMS-16), or of a question, in milliseconds.
    pub ttl_ms: u64,
    /// Life of a challenge from its creation, in milliseconds: what is not delivered by then is dropped.
    pub delivery_ms: u64,
    /// Wrong codes for one sent code; 0 is unlimited (SMS-30).
    pub attempts_max: u32,
    /// Codes sent for one challenge; 0 is unlimited (SMS-31).
    pub sends_max: u32,
}

impl Terms {
    /// The terms of questions, unless the configuration says otherwise: two buttons are slow.
    pub fn of_questions() -> Self {
        Terms { ttl_ms: 180_000, ..Terms::default() }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Terms { digits: 6, ttl_ms: 60_000, delivery_ms: 300_000, attempts_max: 3, sends_max: 3 }
    }
}

/// What a challenge wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The code that we send.
    SentCode {
        /// The phone it goes to.
        phone: Option<Id>,
        /// Digits of the code.
        digits: u8,
    },
    /// That the link which we send is opened, and its question answered (SMS-39).
    SentLink {
        /// The phone it goes to.
        phone: Option<Id>,
    },
    /// A token's response to a question (RFC 6287).
    Response {
        /// The token.
        token: Id,
        /// What its user types into it.
        question: Question,
    },
    /// A person's answer on a registered phone (COMB-45).
    Push {
        /// The phone.
        device: Id,
        /// The random part of the message's name.
        message: [u8; 16],
        /// What the answer is computed from.
        nonce: [u8; 32],
        /// What the login page shows, and the person taps.
        number: Option<u8>,
    },
    /// A code of the user's recovery set (COMB-43).
    Recovery {
        /// The set.
        set: Id,
    },
}

impl Wanted {
    /// The phone that a text message goes to; none for a number that is not bound, and for what no text asks.
    pub fn phone(&self) -> Option<Id> {
        match self {
            Wanted::SentCode { phone, .. } | Wanted::SentLink { phone } => *phone,
            Wanted::Response { .. } | Wanted::Push { .. } | Wanted::Recovery { .. } => None,
        }
    }
}

/// Blocks tried before a question counts as impossible; one fails with p < 10^10 / 2^64.
pub const QUESTION_BLOCKS_MAX: usize = 4;

/// The question that a random block stands for; `None` in the incomplete last interval, so that every question is
/// equally likely.
pub fn question_of(block: u64, len: QuestionLen) -> Option<Question> {
    let limit = u64::MAX - u64::MAX % len.count();
    if block < limit { Question::new(block % len.count(), len).ok() } else { None }
}

/// What is fixed when a challenge is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// The handle.
    pub id: Id,
    /// Whom it asks.
    pub user: Id,
    /// Who asked for it.
    pub application: Id,
    /// What it is for: `login`, `register`, ...
    pub purpose: &'a str,
    /// The authenticator whose terms hold; none for the general ones.
    pub authenticator: Option<&'a str>,
    /// What the application wants the user to see (D-20).
    pub binding_message: Option<&'a str>,
    /// What it wants.
    pub wanted: Wanted,
}

/// What moves in a challenge; the HSM's state MAC covers it, together with the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// Which code is valid: 1 for the first one sent.
    pub send_number: u32,
    /// Wrong codes for this send number.
    pub attempts: u32,
    /// End of the code's life; none before the modem's acknowledgement.
    pub expires: Option<Deadline>,
}

/// A step that the state does not allow.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChallengeError {
    /// The challenge has ended, or the step does not fit.
    #[error("the challenge is {0}")]
    WrongState(&'static str),
    /// All codes of this challenge have been sent.
    #[error("no more codes can be sent for this challenge")]
    TooManySends,
}

impl Progress {
    /// A new challenge.
    pub fn start() -> Self {
        Progress { state: State::Delivering, send_number: 1, attempts: 0, expires: None }
    }

    /// A new challenge with a question: the answer can come at once.
    pub fn asked(terms: &Terms, now: &Now) -> Self {
        let expires = Some(now.deadline_in(terms.ttl_ms));
        Progress { state: State::Waiting, expires, ..Progress::start() }
    }

    /// The bytes under the state MAC. Each kind of challenge has its own label.
    pub fn bytes(&self, order: &Order<'_>) -> Vec<u8> {
        let (boot, boot_ms) = match self.expires {
            None => ([0; 16], -1),
            Some(deadline) => (deadline.boot.0, i64::try_from(deadline.boot_ms).unwrap_or(i64::MAX)),
        };
        let label = match order.wanted {
            Wanted::SentCode { .. } => "countersign challenge 2",
            Wanted::SentLink { .. } => "countersign link challenge 1",
            Wanted::Response { .. } => "countersign ocra challenge 2",
            Wanted::Push { .. } => "countersign push challenge 1",
            Wanted::Recovery { .. } => "countersign recovery challenge 1",
        };
        let ordered = Canonical::new(label)
            .bytes(&order.id)
            .bytes(&order.user)
            .bytes(&order.application)
            .text(order.purpose)
            .optional(order.authenticator.map(str::as_bytes))
            .optional(order.binding_message.map(str::as_bytes));
        let phone_of = |phone: Option<Id>| phone.map(|id| id.to_vec());
        let ordered = match order.wanted {
            Wanted::SentCode { phone, digits } => {
                ordered.optional(phone_of(phone).as_deref()).int(i64::from(digits))
            }
            Wanted::SentLink { phone } => ordered.optional(phone_of(phone).as_deref()),
            Wanted::Response { token, question } => ordered.bytes(&token).text(&question.to_string()),
            Wanted::Push { device, message, nonce, number } => {
                ordered.bytes(&device).bytes(&message).bytes(&nonce).int(number.map_or(-1, i64::from))
            }
            Wanted::Recovery { set } => ordered.bytes(&set),
        };
        ordered
            .text(self.state.name())
            .int(i64::from(self.send_number))
            .int(i64::from(self.attempts))
            .bytes(&boot)
            .int(boot_ms)
            .finish()
    }

    /// The modem took the code of `send_number`: its life begins (decision of SMS-16: from `+CMGS`).
    ///
    /// # Errors
    /// [`ChallengeError::WrongState`] unless that code is being delivered.
    pub fn delivered(self, send_number: u32, terms: &Terms, now: &Now) -> Result<Self, ChallengeError> {
        if self.state != State::Delivering || self.send_number != send_number {
            return Err(ChallengeError::WrongState(self.state.name()));
        }
        Ok(Progress { state: State::Waiting, expires: Some(now.deadline_in(terms.ttl_ms)), ..self })
    }

    /// The code of `send_number` could not be delivered, or nobody knows whether it was.
    ///
    /// # Errors
    /// [`ChallengeError::WrongState`] unless that code is being delivered.
    pub fn undeliverable(self, send_number: u32) -> Result<Self, ChallengeError> {
        if self.state != State::Delivering || self.send_number != send_number {
            return Err(ChallengeError::WrongState(self.state.name()));
        }
        Ok(Progress { state: State::Failed, ..self })
    }

    /// A new code: the former one is dead, its attempts are forgotten (SMS-32).
    ///
    /// # Errors
    /// [`ChallengeError::TooManySends`] at the limit (SMS-31); [`ChallengeError::WrongState`] after the end,
    /// unless it ended for want of attempts, of time or of delivery.
    pub fn resend(self, terms: &Terms) -> Result<Self, ChallengeError> {
        if !matches!(self.state, State::Waiting | State::Exhausted | State::Expired | State::Failed) {
            return Err(ChallengeError::WrongState(self.state.name()));
        }
        if terms.sends_max != 0 && self.send_number >= terms.sends_max {
            return Err(ChallengeError::TooManySends);
        }
        let send_number = self.send_number.saturating_add(1);
        Ok(Progress { state: State::Delivering, send_number, attempts: 0, expires: None })
    }

    /// Ends an open challenge as expired once its time is over; otherwise leaves it. A code on its way has no time yet.
    pub fn aged(self, now: &Now) -> Self {
        match (self.state, self.expires) {
            (State::Delivering | State::Waiting, Some(end)) if end.passed(now) => {
                Progress { state: State::Expired, ..self }
            }
            _ => self,
        }
    }

    /// The right code came back.
    pub fn verified(self) -> Self {
        Progress { state: State::Verified, ..self }
    }

    /// A wrong code came back.
    pub fn missed(self, terms: &Terms) -> Self {
        let attempts = self.attempts.saturating_add(1);
        let exhausted = terms.attempts_max != 0 && attempts >= terms.attempts_max;
        let state = if exhausted { State::Exhausted } else { self.state };
        Progress { state, attempts, ..self }
    }

    /// Ends an open challenge for another reason.
    ///
    /// # Errors
    /// [`ChallengeError::WrongState`] once it has ended.
    pub fn ended(self, state: State) -> Result<Self, ChallengeError> {
        if self.state.is_final() {
            return Err(ChallengeError::WrongState(self.state.name()));
        }
        Ok(Progress { state, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::BootId;

    fn at(boot_ms: u64) -> Now {
        Now { wall_ms: 0, steady_ms: 0, boot: BootId([1; 16]), boot_ms }
    }

    fn waiting() -> Progress {
        Progress::start().delivered(1, &Terms::default(), &at(0)).unwrap()
    }

    /// SMS-16, D-12: the life of a code starts with the modem's acknowledgement.
    #[test]
    fn life_begins_with_the_acknowledgement() {
        assert_eq!(Progress::start().expires, None);
        assert_eq!(waiting().aged(&at(59_999)).state, State::Waiting);
        assert_eq!(waiting().aged(&at(60_000)).state, State::Expired);
    }

    /// SMS-30, SMS-32: three attempts a code, a new code begins at none.
    #[test]
    fn attempts_exhaust_and_a_resend_forgets_them() {
        let terms = Terms::default();
        let exhausted = waiting().missed(&terms).missed(&terms).missed(&terms);
        assert_eq!(exhausted.state, State::Exhausted);
        let again = exhausted.resend(&terms).unwrap();
        assert_eq!((again.state, again.attempts, again.send_number), (State::Delivering, 0, 2));
        let unlimited = Terms { attempts_max: 0, ..terms };
        assert_eq!((0..50).fold(waiting(), |p, _| p.missed(&unlimited)).state, State::Waiting);
    }

    /// SMS-31: three codes a challenge.
    #[test]
    fn the_fourth_code_is_refused() {
        let terms = Terms::default();
        let third = Progress { send_number: 3, ..waiting() };
        assert_eq!(third.resend(&terms), Err(ChallengeError::TooManySends));
        assert!(third.resend(&Terms { sends_max: 0, ..terms }).is_ok());
    }

    #[test]
    fn a_late_acknowledgement_of_an_old_code_changes_nothing() {
        let second = waiting().resend(&Terms::default()).unwrap();
        assert!(second.delivered(1, &Terms::default(), &at(5)).is_err());
        assert!(second.delivered(2, &Terms::default(), &at(5)).is_ok());
    }

    /// Every question is as likely as any other: the incomplete last interval is skipped.
    #[test]
    fn a_question_is_drawn_without_bias() {
        let len = QuestionLen::new(4).unwrap();
        assert_eq!(question_of(7, len).unwrap().to_string(), "0007");
        assert_eq!(question_of(123_456, len).unwrap().to_string(), "3456");
        let limit = u64::MAX - u64::MAX % 10_000;
        assert_eq!(question_of(limit - 1, len).unwrap().to_string(), "9999");
        assert_eq!(question_of(limit, len), None);
    }

    /// The MAC ties a progress to its token and its question.
    #[test]
    fn another_question_or_token_has_other_bytes() {
        let order = |token: u8, question: &str| Order {
            purpose: "login",
            authenticator: None,
            binding_message: None,
            id: [1; 16],
            user: [2; 16],
            application: [3; 16],
            wanted: Wanted::Response {
                token: [token; 16],
                question: Question::parse(question.as_bytes()).unwrap(),
            },
        };
        let progress = Progress::asked(&Terms::of_questions(), &at(0));
        assert_eq!(progress.state, State::Waiting);
        let bytes = progress.bytes(&order(4, "12345678"));
        for other in [order(5, "12345678"), order(4, "12345679"), order(4, "0012345678")] {
            assert_ne!(bytes, progress.bytes(&other));
        }
    }

    #[test]
    fn an_end_is_an_end() {
        let done = waiting().verified();
        assert!(done.resend(&Terms::default()).is_err());
        assert!(done.ended(State::Cancelled).is_err());
        assert_eq!(done.aged(&at(u64::MAX)).state, State::Verified);
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
