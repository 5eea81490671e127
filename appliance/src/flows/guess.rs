//! What every path that takes a code shares: the limiter, the decoy, and what a verdict leaves behind.

use domain::limit::{self, Admission};
use domain::sentcode;
use domain::time::Now;
use domain::token::Id;
use domain::verify::Reason;
use hsm::{Factor, Match, MatchKey, Matched};

use super::{Caller, FlowError};
use crate::appliance::{Appliance, Decoy};
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, limiter, user};

/// Candidate when the text is no code.
const NO_CODE: &[u8] = b"------";

impl Appliance {
    /// Asks the limiter whether this user's code may be evaluated.
    pub(super) fn admit(
        &self,
        caller: &Caller,
        user: &UserRow,
        now: &Now,
    ) -> Result<Result<(), Reason>, FlowError> {
        let counters =
            self.store.read(|c| limiter::counters(c, &user.id, &caller.application, user.failures))?;
        Ok(match limit::admit(&self.config.limits, &counters, now) {
            Admission::Admitted => Ok(()),
            Admission::Limited => Err(Reason::Limited),
            Admission::Locked => Err(Reason::Locked),
        })
    }

    /// Does the HSM's work of a verification without a token, so that a refusal costs what a guess costs.
    pub(super) fn match_decoy(&self, otp: &str) -> Result<(), FlowError> {
        let decoy = self.decoy()?;
        let candidate = if oath::Code::parse(otp).is_ok() { otp.as_bytes() } else { NO_CODE };
        let state = Decoy::BINDING.to_vec();
        let mut factors = Vec::new();
        pad(&mut factors, self.config.window.factors(), &state);
        let matched = self.hsm.match_codes(vec![Match {
            key: MatchKey::Record {
                record: decoy.record,
                binding: Decoy::BINDING.to_vec(),
                record_mac: decoy.record_mac,
            },
            state: state.clone(),
            state_mac: decoy.state_mac,
            // Ten digits that no candidate of another length can equal; the verdict is not looked at.
            format: sentcode::sent_format(sentcode::SENT_DIGITS_MAX),
            candidate: candidate.to_vec(),
            factors,
            refusal: state,
        }])?;
        match matched.first() {
            Some(Matched::Tampered { .. }) => {
                Err(FlowError::Tampered { what: "the record", which: "the decoy".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// Fills a question up to `len` factors with ones that no token reaches. A code that happens to be one of
/// theirs leads where a wrong code leads.
pub(super) fn pad(factors: &mut Vec<Factor>, len: usize, refusal: &[u8]) {
    let missing = len.saturating_sub(factors.len());
    factors.extend((0..missing as u64).map(|n| Factor {
        messages: vec![oath::moving_factor(u64::MAX - n).to_vec()],
        next_state: refusal.to_vec(),
    }));
}

/// Counts a wrong code at the pair and at the user, in the act's own transaction. True when this one locks.
pub(super) fn count_failure(
    writing: &mut Writing<'_>,
    limits: &limit::Limits,
    user: &Id,
    application: &Id,
    now: &Now,
) -> Result<bool, StoreError> {
    let in_a_row = user::count_failure(writing, user)?;
    let failures = limiter::count_failure(writing, user, application)?;
    let consequence = limit::consequence(limits, failures, now);
    limiter::set_consequence(writing, user, application, &consequence)?;
    Ok(consequence.locked_until_ms.is_some() || in_a_row == limits.user_failures)
}

/// Forgets wrong codes after an accepted one, in the act's own transaction.
pub(super) fn clear_failures(
    writing: &mut Writing<'_>,
    user: &Id,
    application: &Id,
) -> Result<(), StoreError> {
    limiter::clear(writing, user, Some(application))?;
    user::clear_failures(writing, user)
}
