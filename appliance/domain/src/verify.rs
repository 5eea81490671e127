//! Judging a code: which moving factors may match, and what each match would mean.
//!
//! The HSM compares; the rules are here. A [`Plan`] lists the factors in order of preference with the
//! state that follows a match at each, and the state that follows when none matches. RFC 4226 7.2 to 7.4,
//! RFC 6238 5.2 and 6. An answer to a question has its own plan: one message, and the challenge says which.

use oath::TotpClock;

use crate::limit::Limits;
use crate::time::Now;
use crate::token::{Factor, MovingState, Policy};

/// How far a code may lie from where it is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// HOTP: codes ahead of the next one that are accepted (RFC 4226 7.4, parameter s).
    pub look_ahead: u16,
    /// TOTP: steps on each side of the expected one.
    pub steps: u16,
    /// TOTP: largest drift that is remembered, in steps.
    pub drift_max: i32,
    /// TOTP: whether an accepted code moves the remembered drift (OATH-06).
    pub auto_adjust: bool,
}

impl Default for Window {
    fn default() -> Self {
        Window { look_ahead: 10, steps: 1, drift_max: 5, auto_adjust: true }
    }
}

impl Window {
    /// Factors that the widest plan has: HOTP's or TOTP's window, and the one consumed last.
    pub fn factors(&self) -> usize {
        usize::from(self.look_ahead).max(2 * usize::from(self.steps) + 1) + 1
    }
}

/// What a match at a factor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The code is fresh: consume it by going to this state.
    Fresh,
    /// It is the code consumed last: refused, but no guess.
    Replay,
}

/// One moving factor that the HSM tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Counter or time step.
    pub factor: u64,
    /// What a match means.
    pub meaning: Meaning,
    /// The state after a match.
    pub next: MovingState,
}

/// Everything the HSM needs to know about one token and one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In order of preference.
    pub candidates: Vec<Candidate>,
    /// The state when nothing matches.
    pub refusal: MovingState,
}

/// Plans the verification of an answer to a question: it is accepted, or a wrong code of this token.
///
/// What makes it fresh is the challenge, which ends with it. The candidate's factor counts the answers.
pub fn plan_answer(state: &MovingState, limits: &Limits, now: &Now) -> Plan {
    let last = state.last.saturating_add(1);
    let next = MovingState { last, failures: 0, locked: None, ..state.next() };
    let factor = u64::try_from(last).unwrap_or(0);
    let candidates = vec![Candidate { factor, meaning: Meaning::Fresh, next }];
    Plan { candidates, refusal: after_failure(state, limits, now) }
}

/// Plans the verification of one code at one token.
///
/// `counted` says whether a wrong code counts at this token: it does when the token was named, or is the
/// user's only one. The caller has checked that the token is active and not locked.
pub fn plan(
    policy: &Policy,
    state: &MovingState,
    window: &Window,
    limits: &Limits,
    counted: bool,
    now: &Now,
) -> Plan {
    let mut candidates = fresh(policy, state, window, now);
    let asks = matches!(policy.factor, Factor::Ocra { .. });
    if let (Ok(last), false) = (u64::try_from(state.last), asks) {
        candidates.push(Candidate { factor: last, meaning: Meaning::Replay, next: *state });
    }
    let refusal = if counted { after_failure(state, limits, now) } else { *state };
    Plan { candidates, refusal }
}

fn fresh(policy: &Policy, state: &MovingState, window: &Window, now: &Now) -> Vec<Candidate> {
    let accepted = |factor: u64, drift: i32| Candidate {
        factor,
        meaning: Meaning::Fresh,
        next: MovingState {
            last: i64::try_from(factor).unwrap_or(i64::MAX),
            drift,
            failures: 0,
            locked: None,
            ..state.next()
        },
    };
    match policy.factor {
        Factor::Hotp => {
            let next = u64::try_from(state.last.saturating_add(1)).unwrap_or(0);
            oath::hotp_candidates(next, window.look_ahead).map(|c| accepted(c, state.drift)).collect()
        }
        Factor::Totp { period, t0 } => {
            let Some(step) = (TotpClock { t0, period }).step(now.unix_seconds()) else {
                return Vec::new();
            };
            let last = u64::try_from(state.last).ok();
            oath::totp_candidates(step, state.drift, window.steps, last)
                .map(|c| accepted(c, drift_after(state.drift, c, step, window)))
                .collect()
        }
        Factor::Ocra { .. } => Vec::new(),
    }
}

fn drift_after(drift: i32, accepted: u64, step: u64, window: &Window) -> i32 {
    if !window.auto_adjust {
        return drift;
    }
    // A resynchronisation may have found more drift than one login may teach: that is not cut back.
    let seen = i128::from(accepted) - i128::from(step);
    let bound = i128::from(window.drift_max.max(drift.saturating_abs()));
    i32::try_from(seen.clamp(-bound, bound)).unwrap_or(drift)
}

fn after_failure(state: &MovingState, limits: &Limits, now: &Now) -> MovingState {
    let before = if state.locked.is_some() { 0 } else { state.failures };
    let failures = before.saturating_add(1);
    let locked = (failures >= limits.token_failures).then(|| now.deadline_in(limits.token_lock_ms));
    MovingState { failures, locked, ..state.next() }
}

/// Why a code was not accepted: for the events only, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No factor in the window matches.
    Wrong,
    /// The code was consumed before, by this or a concurrent request.
    Replay,
    /// The token, the pair of user and application, or the user is locked.
    Locked,
    /// The token is revoked or suspended.
    Revoked,
    /// There is no such user.
    UnknownUser,
    /// The user has no active token, or there is no such token.
    NoToken,
    /// The text is no code.
    Malformed,
    /// The growing delay has not passed.
    Limited,
}

impl Reason {
    /// The reason as events spell it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Wrong => "wrong",
            Reason::Replay => "replay",
            Reason::Locked => "locked",
            Reason::Revoked => "revoked",
            Reason::UnknownUser => "unknown_user",
            Reason::NoToken => "no_token",
            Reason::Malformed => "malformed",
            Reason::Limited => "limited",
        }
    }

    /// Whether it counts against the user: only an evaluated guess does.
    pub fn is_guess(self) -> bool {
        self == Reason::Wrong
    }
}

#[cfg(test)]
mod tests {
    use oath::{Algorithm, CodeFormat, Digits, Period, Truncation};
    use proptest::prelude::*;

    use super::*;
    use crate::time::BootId;
    use crate::token::Lifecycle;

    fn now(seconds: i64) -> Now {
        Now { wall_ms: seconds * 1000, steady_ms: seconds * 1000, boot: BootId([1; 16]), boot_ms: 1 }
    }

    fn policy(factor: Factor) -> Policy {
        let format =
            CodeFormat { digits: Digits::new(6).unwrap(), checksum: false, truncation: Truncation::Dynamic };
        Policy { factor, algorithm: Algorithm::Sha1, format }
    }

    fn totp() -> Policy {
        policy(Factor::Totp { period: Period::new(30).unwrap(), t0: 0 })
    }

    fn state(last: i64) -> MovingState {
        MovingState { last, drift: 0, failures: 0, locked: None, lifecycle: Lifecycle::Active, epoch: 1 }
    }

    fn fresh_factors(plan: &Plan) -> Vec<u64> {
        plan.candidates.iter().filter(|c| c.meaning == Meaning::Fresh).map(|c| c.factor).collect()
    }

    /// A6: ACCEPT iff last < c <= last + s (RFC 4226 7.4).
    #[test]
    fn hotp_looks_ahead_by_s_and_never_back() {
        let window = Window { look_ahead: 3, ..Window::default() };
        let plan = plan(&policy(Factor::Hotp), &state(7), &window, &Limits::default(), true, &now(0));
        assert_eq!(fresh_factors(&plan), [8, 9, 10]);
        assert_eq!(plan.candidates.last().unwrap().meaning, Meaning::Replay);
        assert_eq!(plan.candidates.last().unwrap().factor, 7);
    }

    #[test]
    fn a_new_hotp_token_begins_at_its_counter() {
        let window = Window { look_ahead: 2, ..Window::default() };
        let plan = plan(&policy(Factor::Hotp), &state(-1), &window, &Limits::default(), true, &now(0));
        assert_eq!(fresh_factors(&plan), [0, 1]);
        assert_eq!(plan.candidates.len(), 2);
    }

    /// A2, OATH-17: accepting T+1 kills T.
    #[test]
    fn totp_never_looks_at_or_before_the_last_step() {
        let window = Window::default();
        let fresh = |last| {
            let plan = plan(&totp(), &state(last), &window, &Limits::default(), true, &now(3000));
            fresh_factors(&plan)
        };
        assert_eq!(fresh(-1), [100, 99, 101]);
        assert_eq!(fresh(100), [101]);
        assert_eq!(fresh(101), Vec::<u64>::new());
    }

    #[test]
    fn the_fifth_failure_locks_and_a_passed_lock_begins_anew() {
        let limits = Limits::default();
        let fourth = MovingState { failures: 4, ..state(1) };
        let locked = plan(&totp(), &fourth, &Window::default(), &limits, true, &now(30)).refusal;
        assert_eq!(locked.failures, 5);
        assert!(locked.is_locked(&now(30)));
        let mut later = now(30 + 15 * 60);
        later.boot_ms += limits.token_lock_ms;
        assert!(!locked.is_locked(&later));
        let again = plan(&totp(), &locked, &Window::default(), &limits, true, &later).refusal;
        assert_eq!((again.failures, again.locked), (1, None));
    }

    #[test]
    fn an_uncounted_miss_changes_nothing() {
        let plan = plan(&totp(), &state(1), &Window::default(), &Limits::default(), false, &now(30));
        assert_eq!(plan.refusal, state(1));
    }

    /// OATH-06: the drift follows accepted codes and stays within its bound.
    #[test]
    fn drift_is_remembered_within_its_bound() {
        let window = Window { steps: 10, drift_max: 5, ..Window::default() };
        let plan = plan(&totp(), &state(-1), &window, &Limits::default(), true, &now(3000));
        let drift = |factor| plan.candidates.iter().find(|c| c.factor == factor).unwrap().next.drift;
        assert_eq!(drift(102), 2);
        assert_eq!(drift(109), 5);
        assert_eq!(drift(92), -5);
    }

    /// A token resynchronised far away stays found: its next codes do not pull it back by leaps.
    #[test]
    fn drift_found_by_a_resync_is_kept() {
        let far = MovingState { drift: 80, ..state(-1) };
        let plan = plan(&totp(), &far, &Window::default(), &Limits::default(), true, &now(3000));
        assert_eq!(plan.candidates[0].factor, 180);
        assert_eq!(plan.candidates[0].next.drift, 80);
    }

    /// RFC 6287: without its question a token has no code, and an answer counts like any code.
    #[test]
    fn a_code_without_its_question_is_never_fresh() {
        let policy = policy(Factor::Ocra { question: oath::ocra::QuestionLen::EIGHT });
        let limits = Limits::default();
        let bare = plan(&policy, &state(4), &Window::default(), &limits, true, &now(30));
        assert_eq!(bare.candidates, []);
        let failed = MovingState { failures: limits.token_failures - 1, ..state(4) };
        let answer = plan_answer(&failed, &limits, &now(30));
        let next = answer.candidates[0].next;
        assert_eq!((next.last, next.failures, next.epoch), (5, 0, 2));
        assert!(answer.refusal.is_locked(&now(30)));
    }

    proptest! {
        /// Whatever is accepted, the watermark rises.
        #[test]
        fn every_fresh_factor_raises_the_watermark(
            last in -1i64..200, seconds in 0i64..6000, drift in -5i32..=5, hotp in any::<bool>()
        ) {
            let policy = if hotp { policy(Factor::Hotp) } else { totp() };
            let state = MovingState { drift, ..state(last) };
            let plan = plan(&policy, &state, &Window::default(), &Limits::default(), true, &now(seconds));
            for candidate in plan.candidates.iter().filter(|c| c.meaning == Meaning::Fresh) {
                prop_assert!(candidate.next.last > state.last);
                prop_assert_eq!(candidate.next.last, i64::try_from(candidate.factor).unwrap());
                prop_assert_eq!(candidate.next.failures, 0);
            }
        }
    }
}
