//! A push as a challenge (B.5.4): what a phone's answer makes of it.
//!
//! The progress is that of every challenge; only its life differs. It begins when the push is made, because the phone
//! is told so, and an answer shows by itself that the push was delivered.

use crate::challenge::{ChallengeError, Progress, State};
use crate::time::{Deadline, Now};

/// How long after the end of a push its approval can be fetched, in milliseconds: who asked is not always there at the
/// moment of the answer, and an approval is of its moment all the same.
pub const FETCH_MS: u64 = 5 * 60 * 1000;

/// What came back, once it has been checked against the phone's key and the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Signed by another key, or computed from another challenge: nobody knows who sent it.
    Forged,
    /// The person said no.
    Denied,
    /// The person said yes; with the number that was tapped, where there was one.
    Approved(Option<u8>),
}

/// What is made of it. The phone is told no more than 200 or 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// 200: the challenge is verified.
    Verified,
    /// 200: the challenge is denied, by the button or by a wrong number.
    Denied,
    /// 400: forged. Nothing changed; the caller counts it against its limit.
    Ignored,
    /// 400: after the end, or after its time.
    Late,
}

impl Progress {
    /// A new push, not yet with its transport; it can be answered for `ttl_ms` milliseconds from now.
    pub fn pushed(ttl_ms: u64, now: &Now) -> Self {
        Progress { expires: Some(now.deadline_in(ttl_ms)), ..Progress::start() }
    }

    /// A transport took the push; its life goes on.
    ///
    /// # Errors
    /// [`ChallengeError::WrongState`] unless it was on its way.
    pub fn handed_over(self) -> Result<Self, ChallengeError> {
        if self.state != State::Delivering {
            return Err(ChallengeError::WrongState(self.state.name()));
        }
        Ok(Progress { state: State::Waiting, ..self })
    }

    /// Whoever ordered the push fetches its approval, once, and within [`FETCH_MS`] of its end. The fetch is counted where
    /// wrong codes are for a code.
    ///
    /// # Errors
    /// [`ChallengeError::WrongState`] unless it is approved, of late, and was not fetched.
    pub fn fetched(self, now: &Now) -> Result<Self, ChallengeError> {
        let last = |end: Deadline| Deadline { boot_ms: end.boot_ms.saturating_add(FETCH_MS), ..end };
        let is_late = self.expires.is_none_or(|end| last(end).passed(now));
        if self.state != State::Verified || self.attempts != 0 || is_late {
            return Err(ChallengeError::WrongState(self.state.name()));
        }
        Ok(Progress { attempts: 1, ..self })
    }

    /// What a reply makes of a push. `number` is what the login page shows, for a push that asks for a number: an
    /// approval with another one, or with none, is a denial (COMB-42).
    pub fn answered(self, number: Option<u8>, reply: Reply, now: &Now) -> (Self, Verdict) {
        let progress = self.aged(now);
        if progress.state.is_final() {
            return (progress, Verdict::Late);
        }
        let denied = || (Progress { state: State::Denied, ..progress }, Verdict::Denied);
        match reply {
            Reply::Forged => (progress, Verdict::Ignored),
            Reply::Denied => denied(),
            Reply::Approved(tapped) if number.is_some() && tapped != number => denied(),
            Reply::Approved(_) => (progress.verified(), Verdict::Verified),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::BootId;

    const TTL: u64 = 120_000;

    fn at(boot_ms: u64) -> Now {
        Now { wall_ms: 0, steady_ms: 0, boot: BootId([1; 16]), boot_ms }
    }

    const OPEN: [State; 2] = [State::Delivering, State::Waiting];
    const ENDS: [State; 7] = [
        State::Verified,
        State::Denied,
        State::Expired,
        State::Exhausted,
        State::Superseded,
        State::Failed,
        State::Cancelled,
    ];
    const REPLIES: [Reply; 4] =
        [Reply::Forged, Reply::Denied, Reply::Approved(None), Reply::Approved(Some(42))];

    fn in_state(state: State) -> Progress {
        Progress { state, ..Progress::pushed(TTL, &at(0)) }
    }

    /// B.5.4, COMB-42, COMB-45, A14. Red when an approval without the right number counts, or a forged reply changes
    /// anything.
    #[test]
    fn every_answer_has_its_verdict() {
        let table = [
            (None, Reply::Approved(None), State::Verified, Verdict::Verified),
            (None, Reply::Approved(Some(42)), State::Verified, Verdict::Verified),
            (None, Reply::Denied, State::Denied, Verdict::Denied),
            (Some(42), Reply::Approved(Some(42)), State::Verified, Verdict::Verified),
            (Some(42), Reply::Approved(Some(17)), State::Denied, Verdict::Denied),
            (Some(42), Reply::Approved(None), State::Denied, Verdict::Denied),
            (Some(42), Reply::Denied, State::Denied, Verdict::Denied),
        ];
        for from in OPEN {
            for (number, reply, to, verdict) in table {
                let (after, said) = in_state(from).answered(number, reply, &at(TTL - 1));
                assert_eq!((after.state, said), (to, verdict), "{from:?} {number:?} {reply:?}");
            }
            for number in [None, Some(42)] {
                let outcome = in_state(from).answered(number, Reply::Forged, &at(1));
                assert_eq!(outcome, (in_state(from), Verdict::Ignored));
            }
        }
    }

    /// B.5.4: terminal states do not change; a reply after the end is answered 400.
    #[test]
    fn after_the_end_nothing_changes() {
        for (end, reply) in ENDS.into_iter().flat_map(|end| REPLIES.map(|reply| (end, reply))) {
            for number in [None, Some(42)] {
                assert_eq!(in_state(end).answered(number, reply, &at(1)), (in_state(end), Verdict::Late));
            }
            assert!(in_state(end).handed_over().is_err());
        }
    }

    /// B.5.4: the result is fetched once. Red when a second fetch finds it, or one before the end.
    #[test]
    fn an_approval_is_fetched_once() {
        let (verified, _) = in_state(State::Waiting).answered(None, Reply::Approved(None), &at(1));
        let fetched = verified.fetched(&at(1)).unwrap();
        assert!(fetched.fetched(&at(1)).is_err());
        for state in OPEN.into_iter().chain(ENDS).filter(|state| *state != State::Verified) {
            assert!(in_state(state).fetched(&at(1)).is_err());
        }
    }

    /// B.5.4, COMB-41, A14. Red when an approval that nobody fetched is as good for a login of another day, or after a
    /// restart of the machine.
    #[test]
    fn an_approval_is_of_its_moment() {
        let (verified, _) = in_state(State::Waiting).answered(None, Reply::Approved(None), &at(1));
        assert!(verified.fetched(&at(TTL + FETCH_MS - 1)).is_ok());
        assert!(verified.fetched(&at(TTL + FETCH_MS)).is_err());
        assert!(verified.fetched(&Now { boot: BootId([2; 16]), ..at(1) }).is_err());
    }

    /// COMB-41, COMB-45. Red when a push can be answered after its time, or lives anew once it is delivered.
    #[test]
    fn life_runs_from_the_making() {
        let delivered = Progress::pushed(TTL, &at(0)).handed_over().unwrap();
        assert_eq!(delivered.expires, Progress::pushed(TTL, &at(0)).expires);
        assert!(delivered.handed_over().is_err());
        for from in OPEN {
            for reply in REPLIES {
                let (after, verdict) = in_state(from).answered(None, reply, &at(TTL));
                assert_eq!((after.state, verdict), (State::Expired, Verdict::Late));
            }
            assert_eq!(in_state(from).aged(&at(TTL - 1)).state, from);
            assert_eq!(in_state(from).aged(&at(TTL)).state, State::Expired);
        }
    }
}
