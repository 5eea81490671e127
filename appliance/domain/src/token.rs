//! Tokens: what is fixed at enrolment, what moves with each code, and the states in between.

use oath::ocra::{Moving, QuestionLen, Suite};
use oath::{Algorithm, CodeFormat, Period, Truncation};

use crate::canonical::Canonical;
use crate::time::{Deadline, Now};

/// Row id of a user, token or challenge: 16 bytes.
pub type Id = [u8; 16];

/// What the code moves with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// An event counter (RFC 4226).
    Hotp,
    /// A time step (RFC 6238): seconds since `t0`, divided by `period`.
    Totp {
        /// Length of a step.
        period: Period,
        /// Unix second at which step 0 begins.
        t0: i64,
    },
    /// A question that the user types into the token (RFC 6287); without one there is no code.
    Ocra {
        /// Digits of a question.
        question: QuestionLen,
    },
}

impl Factor {
    /// `hotp`, `totp` or `ocra`, as the API, the database and URIs spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Factor::Hotp => "hotp",
            Factor::Totp { .. } => "totp",
            Factor::Ocra { .. } => "ocra",
        }
    }
}

/// Who made the secret and where it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An authenticator app.
    Soft,
    /// A hardware token.
    Hard,
}

impl Class {
    /// `soft` or `hard`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Soft => "soft",
            Class::Hard => "hard",
        }
    }

    /// Reads what [`Class::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        [Class::Soft, Class::Hard].into_iter().find(|class| class.name() == name)
    }
}

/// A token's stored lifecycle (B.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// A hardware token on the shelf.
    InStock,
    /// A hardware token given to a user, not yet active.
    Assigned,
    /// A secret exists, its first code has not been seen.
    Pending,
    /// Its codes are accepted.
    Active,
    /// Set aside by an operator; can be resumed.
    Suspended,
    /// Ended for good.
    Revoked,
}

/// A step that the lifecycle does not allow.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a token that is {from} cannot become {to}")]
pub struct LifecycleError {
    /// Where the token stands.
    pub from: &'static str,
    /// What was asked for.
    pub to: &'static str,
}

impl Lifecycle {
    const ALL: [Lifecycle; 6] = [
        Lifecycle::InStock,
        Lifecycle::Assigned,
        Lifecycle::Pending,
        Lifecycle::Active,
        Lifecycle::Suspended,
        Lifecycle::Revoked,
    ];

    /// The state as the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Lifecycle::InStock => "in_stock",
            Lifecycle::Assigned => "assigned",
            Lifecycle::Pending => "pending",
            Lifecycle::Active => "active",
            Lifecycle::Suspended => "suspended",
            Lifecycle::Revoked => "revoked",
        }
    }

    /// Reads what [`Lifecycle::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    fn step(self, to: Lifecycle, from: &[Lifecycle]) -> Result<Self, LifecycleError> {
        if from.contains(&self) { Ok(to) } else { Err(LifecycleError { from: self.name(), to: to.name() }) }
    }

    /// active → suspended.
    ///
    /// # Errors
    /// [`LifecycleError`] from any other state.
    pub fn suspend(self) -> Result<Self, LifecycleError> {
        self.step(Lifecycle::Suspended, &[Lifecycle::Active])
    }

    /// suspended → active.
    ///
    /// # Errors
    /// [`LifecycleError`] from any other state.
    pub fn resume(self) -> Result<Self, LifecycleError> {
        self.step(Lifecycle::Active, &[Lifecycle::Suspended])
    }

    /// any state but revoked → revoked.
    ///
    /// # Errors
    /// [`LifecycleError`] when it is revoked already.
    pub fn revoke(self) -> Result<Self, LifecycleError> {
        let living: Vec<_> = Self::ALL.into_iter().filter(|s| *s != Lifecycle::Revoked).collect();
        self.step(Lifecycle::Revoked, &living)
    }
}

/// What is fixed when a token is enrolled. The HSM's record MAC covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Counter, time or question.
    pub factor: Factor,
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// Digits, checksum digit and truncation.
    pub format: CodeFormat,
}

/// What a wrapped secret is bound to besides policy and class.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// Row id of the token.
    pub token: &'a Id,
    /// Its serial.
    pub serial: &'a str,
    /// Whose it is; none while in stock.
    pub user: Option<&'a Id>,
    /// Level of assurance.
    pub loa: f64,
}

impl Policy {
    /// The bytes that tie a wrapped secret to its token, its class, its policy, its user and its level of assurance.
    pub fn binding(&self, bound: &Bound<'_>, class: Class) -> Vec<u8> {
        self.tied(Canonical::new("countersign token binding 2").text(class.name()), bound)
    }

    /// The bytes of schema 0008 and before, which left the class out.
    pub fn former_binding(&self, bound: &Bound<'_>) -> Vec<u8> {
        self.tied(Canonical::new("countersign token binding 1"), bound)
    }

    fn tied(&self, begun: Canonical, bound: &Bound<'_>) -> Vec<u8> {
        let (period, t0) = match self.factor {
            Factor::Hotp => (0, 0),
            Factor::Totp { period, t0 } => (i64::from(period.get()), t0),
            // The type's name before it keeps a length from being read as a period.
            Factor::Ocra { question } => (i64::from(question.get()), 0),
        };
        let truncation = match self.format.truncation {
            Truncation::Dynamic => -1,
            Truncation::Fixed(offset) => i64::from(offset),
        };
        begun
            .bytes(bound.token)
            .text(bound.serial)
            .optional(bound.user.map(|id| id.as_slice()))
            .text(self.factor.name())
            .text(self.algorithm.name())
            .int(i64::from(self.format.digits.get()))
            .int(i64::from(self.format.checksum))
            .int(truncation)
            .int(period)
            .int(t0)
            .bytes(&bound.loa.to_be_bytes())
            .finish()
    }

    /// The suite of RFC 6287, where the token answers questions.
    pub fn suite(&self) -> Option<Suite> {
        let Factor::Ocra { question } = self.factor else { return None };
        Some(Suite {
            algorithm: self.algorithm,
            digits: self.format.digits,
            question,
            moving: Moving::Nothing,
        })
    }
}

/// What moves: the HSM's state MAC covers it, and each change carries a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovingState {
    /// Last consumed counter or time step; for OCRA one less than the number of answers; -1 before the first.
    pub last: i64,
    /// Steps by which the token's clock is ahead of ours.
    pub drift: i32,
    /// Wrong codes since the last accepted one.
    pub failures: u32,
    /// While set and not passed, no code is evaluated.
    pub locked: Option<Deadline>,
    /// Where the token stands.
    pub lifecycle: Lifecycle,
    /// Counts every change of this row.
    pub epoch: i64,
}

impl MovingState {
    /// The bytes under the state MAC.
    pub fn bytes(&self, token: &Id) -> Vec<u8> {
        let (boot, boot_ms) = match self.locked {
            None => ([0; 16], -1),
            Some(deadline) => (deadline.boot.0, i64::try_from(deadline.boot_ms).unwrap_or(i64::MAX)),
        };
        Canonical::new("countersign token state 1")
            .bytes(token)
            .int(self.last)
            .int(i64::from(self.drift))
            .int(i64::from(self.failures))
            .bytes(&boot)
            .int(boot_ms)
            .text(self.lifecycle.name())
            .int(self.epoch)
            .finish()
    }

    /// Whether a lock holds at this moment.
    pub fn is_locked(&self, now: &Now) -> bool {
        self.locked.is_some_and(|until| !until.passed(now))
    }

    /// The same state one change later.
    pub fn next(&self) -> Self {
        MovingState { epoch: self.epoch + 1, ..*self }
    }

    /// The state without failures and lock, one change later.
    pub fn unlocked(&self) -> Self {
        MovingState { failures: 0, locked: None, ..self.next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in Lifecycle::ALL {
            assert_eq!(Lifecycle::from_name(state.name()), Some(state));
        }
        assert_eq!(Class::from_name("hard"), Some(Class::Hard));
    }

    #[test]
    fn a_revoked_token_stays_revoked() {
        let revoked = Lifecycle::Active.revoke().unwrap();
        assert!(revoked.resume().is_err());
        assert!(revoked.suspend().is_err());
        assert!(revoked.revoke().is_err());
        assert_eq!(Lifecycle::Active.suspend().unwrap().resume().unwrap(), Lifecycle::Active);
        assert!(Lifecycle::Pending.resume().is_err());
    }

    #[test]
    fn every_field_of_the_state_changes_its_bytes() {
        let state = MovingState {
            last: 1,
            drift: 0,
            failures: 0,
            locked: None,
            lifecycle: Lifecycle::Active,
            epoch: 1,
        };
        let changed = [
            MovingState { last: 2, ..state },
            MovingState { drift: 1, ..state },
            MovingState { failures: 1, ..state },
            MovingState { lifecycle: Lifecycle::Suspended, ..state },
            MovingState { epoch: 2, ..state },
        ];
        for other in changed {
            assert_ne!(state.bytes(&[7; 16]), other.bytes(&[7; 16]));
        }
        assert_ne!(state.bytes(&[7; 16]), state.bytes(&[8; 16]));
    }
}
