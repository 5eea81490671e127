//! The registered phone as a step of a login, and what takes its place: a code, then a recovery code (COMB-05,
//! COMB-35, COMB-43, COMB-45).

use domain::challenge::{State, Wanted};
use domain::flow::PushRule;
use domain::journey::{At, Evidence, NO_PHONE};
use domain::token::Id;

use super::kept::Walk;
use super::sms::LIMITED;
use crate::flows::push::{ask, recovery};
use crate::flows::verify::Verdict;
use crate::flows::{FlowError, challenge as sent};

/// When the page offers a code instead, in milliseconds after the push was made (COMB-05).
const INSTEAD_AFTER_MS: i64 = 10_000;
/// Too many pushes, or one just after a denial (D-42).
const RATE_LIMITED: &str = "push.rate_limited";
const DENIED: &str = "push.denied";
const EXPIRED: &str = "push.expired";
const FAILED: &str = "push.transport_failed";
const SUPERSEDED: &str = "push.superseded";
const INVALID_CODE: &str = "recovery.error.invalid";
const NO_CODES: &str = "recovery.none";

/// Where a push stands, for its page.
pub(super) struct Asked {
    pub(super) number: Option<u8>,
    pub(super) expires_at_ms: Option<i64>,
    pub(super) delivering: bool,
    pub(super) decided: bool,
    pub(super) can_code: bool,
}

impl Walk<'_> {
    /// Asks the phone, or says why not.
    pub(super) fn send_push(&mut self, rule: PushRule) -> Result<(), FlowError> {
        let name = self.user()?.name.clone();
        match ask::order(self.app, &self.caller, name.as_str(), &ask::Wish::default()) {
            Ok(view) => {
                self.kept.journey.pushed(rule, view.row.id);
                Ok(())
            }
            Err(FlowError::Phone { .. }) => self.no_push(rule, NO_PHONE),
            Err(FlowError::RateLimited) => self.no_push(rule, RATE_LIMITED),
            Err(error) => Err(error),
        }
    }

    /// Asks the phone once more, when it is over with what it was asked: who presses twice has it asked once, and an answer
    /// that has come counts.
    pub(super) fn push_again(&mut self, rule: PushRule, id: &Id) -> Result<(), FlowError> {
        let found = sent::checked(self.app, id)?;
        match found.map(|row| row.progress.aged(&self.now).state) {
            Some(State::Delivering | State::Waiting) => return Ok(()),
            Some(State::Verified | State::Denied) => self.take_push(rule, id)?,
            _ => {}
        }
        // An approval that serves no more is as good as none.
        if matches!(self.kept.journey.at, At::Push { .. }) {
            self.kept.journey.error = None;
            return self.send_push(rule);
        }
        Ok(())
    }

    /// The phone is not to be asked: a code instead, where the flow has that way.
    fn no_push(&mut self, rule: PushRule, key: &'static str) -> Result<(), FlowError> {
        let facts = self.facts()?;
        let has_code = facts.is_some_and(|facts| facts.has_oath || facts.has_hardware);
        if has_code && self.kept.journey.ask_code_instead(rule) {
            self.kept.notice = Some(key.to_owned());
        } else {
            self.kept.journey.fail(key);
        }
        Ok(())
    }

    /// Sees what the phone has said. Its silence, or a transport that fails, leads to a code (COMB-05); a no ends the
    /// flow.
    pub(super) fn take_push(&mut self, rule: PushRule, id: &Id) -> Result<(), FlowError> {
        let found = sent::checked(self.app, id)?;
        match found.map(|row| row.progress.aged(&self.now).state) {
            Some(State::Verified) => {
                match sent::verify(self.app, &self.caller, id, "")? {
                    Verdict::Accept { loa, .. } => self.shown(Evidence::Push, loa),
                    // The phone was revoked meanwhile, or the approval has served already.
                    Verdict::Reject => self.wrong(EXPIRED),
                }
                Ok(())
            }
            Some(State::Delivering | State::Waiting) => Ok(()),
            Some(State::Denied) => {
                self.kept.journey.fail(DENIED);
                Ok(())
            }
            Some(State::Failed) => self.unanswered(rule, FAILED),
            Some(State::Superseded) => {
                self.wrong(SUPERSEDED);
                Ok(())
            }
            _ => self.unanswered(rule, EXPIRED),
        }
    }

    fn unanswered(&mut self, rule: PushRule, key: &'static str) -> Result<(), FlowError> {
        let facts = self.facts()?;
        let has_code = facts.is_some_and(|facts| facts.has_oath || facts.has_hardware);
        if rule.else_oath && has_code && self.kept.journey.code_instead() {
            self.kept.notice = Some(key.to_owned());
        } else {
            self.wrong(key);
        }
        Ok(())
    }

    /// What the page of a push shows.
    pub(super) fn asked_phone(&self, rule: PushRule, id: &Id) -> Result<Asked, FlowError> {
        let Some(row) = sent::checked(self.app, id)? else {
            return Ok(Asked {
                number: None,
                expires_at_ms: None,
                delivering: false,
                decided: true,
                can_code: rule.else_oath,
            });
        };
        let progress = row.progress.aged(&self.now);
        let number = match row.wanted {
            Wanted::Push { number, .. } => number,
            _ => None,
        };
        let open = !progress.state.is_final();
        Ok(Asked {
            number: number.filter(|_| open),
            expires_at_ms: progress.expires.filter(|_| open).and_then(|end| end.wall_ms(&self.now)),
            delivering: progress.state == State::Delivering,
            decided: !open,
            can_code: rule.else_oath && self.now.wall_ms - row.created_at >= INSTEAD_AFTER_MS,
        })
    }

    /// Asks for a recovery code, or says that there is none.
    pub(super) fn ask_recovery(&mut self) -> Result<(), FlowError> {
        let name = self.user()?.name.clone();
        match recovery::order(self.app, &self.caller, name.as_str()) {
            Ok(view) => self.kept.journey.recovering(view.row.id),
            Err(FlowError::Phone { .. }) => self.kept.journey.fail(NO_CODES),
            Err(FlowError::RateLimited) => self.kept.journey.fail(LIMITED),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes a recovery code.
    pub(super) fn take_recovery(&mut self, id: &Id, code: &str) -> Result<(), FlowError> {
        let limited = self.is_limited()?;
        match sent::verify(self.app, &self.caller, id, code.trim())? {
            Verdict::Accept { loa, .. } => {
                self.shown(Evidence::Recovery, loa);
                self.kept.notice = Some("recovered".to_owned());
            }
            Verdict::Reject => {
                let over = sent::state(self.app, id)?.is_none_or(State::is_final);
                if over {
                    self.kept.journey.fail("recovery.error.too-many-attempts");
                } else {
                    self.wrong(if limited { LIMITED } else { INVALID_CODE });
                }
            }
        }
        Ok(())
    }
}
