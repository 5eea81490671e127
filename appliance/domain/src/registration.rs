//! The registration of a phone (B.5.7): from the QR code to a phone that is stored, or to one of its other ends.
//!
//! Nothing is stored before the phone's reply is right, and then all of it at once (COMB-39). What makes a reply right
//! is the caller's to find out; here is what follows from it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::{Deadline, Now};

/// What is registered (COMB-01, COMB-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Push and OATH in one.
    Combined,
    /// Push alone.
    Push,
    /// OATH alone: the first valid code takes the place of the phone's reply.
    Oath,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Combined, Kind::Push, Kind::Oath];

    /// The kind as the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Combined => "combined",
            Kind::Push => "push",
            Kind::Oath => "oath",
        }
    }

    /// Reads what [`Kind::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn proof(self) -> Proof {
        match self {
            Kind::Combined | Kind::Push => Proof::Reply,
            Kind::Oath => Proof::Code,
        }
    }
}

/// What shows that the phone has the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A reply whose signature and response are right (COMB-38).
    Reply,
    /// A code of the new OATH account.
    Code,
}

/// Where a registration stands. The last four are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Secrets and QR code are made.
    Created,
    /// The QR code is shown; the phone's reply may come.
    Waiting,
    /// The phone proved itself; tokens and recovery codes are being stored.
    Storing,
    /// Stored.
    Registered,
    /// Stored, and possession shown once more (COMB-04, COMB-05).
    Verified,
    /// No reply in time: the secrets are destroyed (COMB-17, COMB-31).
    TimedOut,
    /// Taken back.
    Cancelled,
    /// It could not be stored (COMB-30).
    Failed,
}

impl State {
    const ALL: [State; 8] = [
        State::Created,
        State::Waiting,
        State::Storing,
        State::Registered,
        State::Verified,
        State::TimedOut,
        State::Cancelled,
        State::Failed,
    ];

    /// The state as the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Waiting => "waiting",
            State::Storing => "storing",
            State::Registered => "registered",
            State::Verified => "verified",
            State::TimedOut => "timed_out",
            State::Cancelled => "cancelled",
            State::Failed => "failed",
        }
    }

    /// Reads what [`State::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// What the application is told (COMB-29 to COMB-31); none while it is open.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            State::Created | State::Waiting | State::Storing => None,
            State::Registered | State::Verified => Some(Outcome::Success),
            State::Cancelled | State::Failed => Some(Outcome::Failure),
            State::TimedOut => Some(Outcome::TimeOut),
        }
    }
}

/// The three outcomes of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The phone is registered.
    Success,
    /// It is not.
    Failure,
    /// It did not answer in time; the page tells to delete the entry in the app (D-35).
    TimeOut,
}

/// The recovery codes of a registration: shown once (COMB-12, COMB-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// None were made.
    None,
    /// Made with the tokens, and not read yet.
    Unread,
    /// Read; never again.
    Read,
}

/// A registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What is registered.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// When the waiting ends. In `created`: when it ends unless the QR code is shown.
    pub until: Deadline,
    /// The recovery codes.
    pub codes: Codes,
}

/// A step that the state does not allow: nothing changed. A reply is answered with 400, whatever the reason (COMB-38).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RegistrationError {
    /// The registration is elsewhere.
    #[error("the registration is {0}")]
    WrongState(&'static str),
    /// A code where a reply is awaited, or a reply where a code is.
    #[error("a {0} registration is not proved by that")]
    WrongProof(&'static str),
    /// There are no recovery codes to be read, or they were read.
    #[error("there are no recovery codes to be shown")]
    NoCodes,
}

impl Registration {
    /// A new one, which waits `timeout_ms` milliseconds for its QR code to be shown, and then as long for the reply.
    pub fn created(kind: Kind, timeout_ms: u64, now: &Now) -> Self {
        Registration { kind, state: State::Created, until: now.deadline_in(timeout_ms), codes: Codes::None }
    }

    fn step(self, from: State, to: State) -> Result<Self, RegistrationError> {
        if self.state != from {
            return Err(RegistrationError::WrongState(self.state.name()));
        }
        Ok(Registration { state: to, ..self })
    }

    /// The QR code is on the screen: the time for the reply begins (D-35).
    ///
    /// # Errors
    /// [`RegistrationError::WrongState`] unless it was created just now.
    pub fn shown(self, timeout_ms: u64, now: &Now) -> Result<Self, RegistrationError> {
        let waiting = self.aged(now).step(State::Created, State::Waiting)?;
        Ok(Registration { until: now.deadline_in(timeout_ms), ..waiting })
    }

    /// Ends it as timed out once its time is over; otherwise leaves it.
    pub fn aged(self, now: &Now) -> Self {
        match self.state {
            State::Created | State::Waiting if self.until.passed(now) => {
                Registration { state: State::TimedOut, ..self }
            }
            _ => self,
        }
    }

    /// The phone proved that it has the secret: tokens and recovery codes are to be stored, in one transaction. What
    /// is not right (an unknown message id, a wrong signature, another response) is no proof, and changes nothing.
    ///
    /// # Errors
    /// [`RegistrationError::WrongState`] before the QR code is shown, when it is late and when it comes again;
    /// [`RegistrationError::WrongProof`] for the proof of another kind.
    pub fn proved(self, proof: Proof, now: &Now) -> Result<Self, RegistrationError> {
        if self.kind.proof() != proof {
            return Err(RegistrationError::WrongProof(self.kind.name()));
        }
        self.aged(now).step(State::Waiting, State::Storing)
    }

    /// Everything is stored, with recovery codes or without (COMB-12).
    ///
    /// # Errors
    /// [`RegistrationError::WrongState`] unless it was being stored.
    pub fn stored(self, with_codes: bool) -> Result<Self, RegistrationError> {
        let codes = if with_codes { Codes::Unread } else { Codes::None };
        Ok(Registration { codes, ..self.step(State::Storing, State::Registered)? })
    }

    /// Nothing is stored.
    ///
    /// # Errors
    /// [`RegistrationError::WrongState`] unless it was being stored.
    pub fn not_stored(self) -> Result<Self, RegistrationError> {
        self.step(State::Storing, State::Failed)
    }

    /// The user or the application takes it back.
    ///
    /// # Errors
    /// [`RegistrationError::WrongState`] once the phone proved itself, or it ended.
    pub fn cancelled(self, now: &Now) -> Result<Self, RegistrationError> {
        let open = self.aged(now);
        open.step(State::Waiting, State::Cancelled).or_else(|_| open.step(State::Created, State::Cancelled))
    }

    /// A push was approved, or a code was right, after the registration (COMB-04, COMB-05).
    ///
    /// # Errors
    /// [`RegistrationError::WrongState`] unless it is registered and not verified yet.
    pub fn verified(self) -> Result<Self, RegistrationError> {
        self.step(State::Registered, State::Verified)
    }

    /// The recovery codes are handed out, this once.
    ///
    /// # Errors
    /// [`RegistrationError::NoCodes`] the second time, and where there are none.
    pub fn codes_read(self) -> Result<Self, RegistrationError> {
        match self.codes {
            Codes::Unread => Ok(Registration { codes: Codes::Read, ..self }),
            Codes::None | Codes::Read => Err(RegistrationError::NoCodes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::BootId;

    const TIMEOUT: u64 = 60_000;

    fn at(boot_ms: u64) -> Now {
        Now { wall_ms: 0, steady_ms: 0, boot: BootId([1; 16]), boot_ms }
    }

    fn in_state(kind: Kind, state: State) -> Registration {
        Registration { state, ..Registration::created(kind, TIMEOUT, &at(0)) }
    }

    type Step = fn(Registration) -> Result<Registration, RegistrationError>;

    const STEPS: [(&str, Step); 7] = [
        ("shown", |r| r.shown(TIMEOUT, &at(1))),
        ("proved", |r| r.proved(r.kind.proof(), &at(1))),
        ("late", |r| r.proved(r.kind.proof(), &at(TIMEOUT))),
        ("stored", |r| r.stored(true)),
        ("not stored", Registration::not_stored),
        ("cancelled", |r| r.cancelled(&at(1))),
        ("verified", Registration::verified),
    ];

    /// B.5.7, COMB-29, COMB-38. Red when an arrow is missing, or one is there that the table does not have.
    #[test]
    fn these_arrows_and_no_others() {
        let arrows = [
            (State::Created, "shown", State::Waiting),
            (State::Created, "cancelled", State::Cancelled),
            (State::Waiting, "proved", State::Storing),
            (State::Waiting, "cancelled", State::Cancelled),
            (State::Storing, "stored", State::Registered),
            (State::Storing, "not stored", State::Failed),
            (State::Registered, "verified", State::Verified),
        ];
        for kind in Kind::ALL {
            for from in State::ALL {
                for (name, step) in STEPS {
                    let to =
                        arrows.iter().find(|arrow| arrow.0 == from && arrow.1 == name).map(|arrow| arrow.2);
                    let outcome = step(in_state(kind, from));
                    assert_eq!(outcome.ok().map(|r| r.state), to, "{kind:?} {from:?} {name}");
                    assert!(to.is_some() || matches!(outcome, Err(RegistrationError::WrongState(_))));
                }
            }
        }
    }

    /// COMB-17, COMB-31, D-35. Red when a late reply counts, or the time runs before the code is shown.
    #[test]
    fn the_time_runs_from_the_qr_code() {
        let waiting =
            Registration::created(Kind::Combined, TIMEOUT, &at(0)).shown(TIMEOUT, &at(30_000)).unwrap();
        assert_eq!(waiting.aged(&at(89_999)).state, State::Waiting);
        assert_eq!(waiting.aged(&at(90_000)).state, State::TimedOut);
        assert!(waiting.proved(Proof::Reply, &at(89_999)).is_ok());
        let late = waiting.proved(Proof::Reply, &at(90_000));
        assert_eq!(late, Err(RegistrationError::WrongState("timed_out")));
        let rebooted = Now { boot: BootId([2; 16]), ..at(30_001) };
        assert_eq!(waiting.aged(&rebooted).state, State::TimedOut);
        let created = Registration::created(Kind::Combined, TIMEOUT, &at(0));
        assert_eq!(created.aged(&at(TIMEOUT)).state, State::TimedOut);
        assert_eq!(created.shown(TIMEOUT, &at(TIMEOUT)), Err(RegistrationError::WrongState("timed_out")));
        for state in [State::Storing, State::Registered, State::Verified, State::Failed, State::Cancelled] {
            assert_eq!(in_state(Kind::Push, state).aged(&at(u64::MAX)).state, state);
        }
    }

    /// B.5.7: codes for OATH alone, replies for the others.
    #[test]
    fn each_kind_has_its_own_proof() {
        for (kind, wrong) in
            [(Kind::Combined, Proof::Code), (Kind::Push, Proof::Code), (Kind::Oath, Proof::Reply)]
        {
            let outcome = in_state(kind, State::Waiting).proved(wrong, &at(1));
            assert_eq!(outcome, Err(RegistrationError::WrongProof(kind.name())));
        }
    }

    /// B.5.7, COMB-12. Red when recovery codes can be read twice, or before they are stored.
    #[test]
    fn recovery_codes_are_read_once() {
        let stored = |with_codes| in_state(Kind::Combined, State::Storing).stored(with_codes).unwrap();
        let read = stored(true).codes_read().unwrap();
        assert_eq!(read.codes_read(), Err(RegistrationError::NoCodes));
        assert_eq!(read.verified().unwrap().codes, Codes::Read);
        assert_eq!(stored(true).verified().unwrap().codes, Codes::Unread);
        assert_eq!(stored(false).codes_read(), Err(RegistrationError::NoCodes));
        assert_eq!(in_state(Kind::Combined, State::Waiting).codes_read(), Err(RegistrationError::NoCodes));
    }

    /// COMB-29, COMB-30, COMB-31.
    #[test]
    fn every_end_has_its_outcome_and_its_name() {
        for (state, outcome) in [
            (State::Waiting, None),
            (State::Storing, None),
            (State::Registered, Some(Outcome::Success)),
            (State::Verified, Some(Outcome::Success)),
            (State::Failed, Some(Outcome::Failure)),
            (State::Cancelled, Some(Outcome::Failure)),
            (State::TimedOut, Some(Outcome::TimeOut)),
        ] {
            assert_eq!(state.outcome(), outcome);
        }
        assert!(State::ALL.into_iter().all(|state| State::from_name(state.name()) == Some(state)));
        assert!(Kind::ALL.into_iter().all(|kind| Kind::from_name(kind.name()) == Some(kind)));
    }
}
