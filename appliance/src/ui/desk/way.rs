//! What is next at the desk, and the stages on the way: from where the enrolment stands alone, so that no address, no
//! form and no second window changes the order (BIND-36).

use domain::enrol::policy::{Column, Demand};
use domain::enrol::{Activity, Factor, Order, Progress, State};
use domain::token::Id;

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: its method needs no person.
    Remote,
    /// The applicant has no registration code yet.
    Arrange,
    /// The applicant comes with the code.
    Wait,
    /// The vetting begins, without a code.
    Begin,
    /// Another registration authority vets.
    Foreign,
    /// A factor is assigned.
    Factor,
    /// The factor is shown.
    Possession,
    /// A document is compared.
    Proof,
    /// The face is seen alive.
    Liveness,
    /// Who issued the document is asked.
    Source,
    /// What was checked is written down.
    Record,
    /// A token is handed over.
    HandOver,
    /// Factor and identity are bound.
    Bind,
    /// Another registration authority confirms the vetting: the one at this desk.
    Second,
    /// Another registration authority has to confirm it.
    AwaitSecond,
    /// The binding takes effect.
    Activate,
    /// The user is told once more.
    Confirm,
    /// It is in effect, and the user was told.
    Done,
    /// It is over.
    Ended,
}

impl Step {
    /// As its form and events name it, and its texts' keys.
    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Remote => "remote",
            Step::Arrange => "arrange",
            Step::Wait => "wait",
            Step::Begin => "begin",
            Step::Foreign => "foreign",
            Step::Factor => "factor",
            Step::Possession => "possession",
            Step::Proof => "proof",
            Step::Liveness => "liveness",
            Step::Source => "source",
            Step::Record => "record",
            Step::HandOver => "hand-over",
            Step::Bind => "bind",
            Step::Second => "second",
            Step::AwaitSecond => "await-second",
            Step::Activate => "activate",
            Step::Confirm => "confirm",
            Step::Done => "done",
            Step::Ended => "ended",
        }
    }
}

/// An enrolment, as far as the way depends on it.
pub(super) struct At<'a> {
    /// What is fixed.
    pub(super) order: &'a Order,
    /// Where it stands.
    pub(super) progress: &'a Progress,
    /// What the policy asks for.
    pub(super) column: &'a Column,
}

impl At<'_> {
    fn did(&self, activity: Activity) -> bool {
        self.progress.done.has(activity)
    }

    fn asks(&self, activity: Activity) -> bool {
        self.column.missing(&[activity], self.progress.done).is_some()
    }

    /// Whether the applicant has brought the factor along.
    fn brought(&self) -> bool {
        let handed = self.did(Activity::HandOver) && !self.did(Activity::PossessionPre);
        match self.progress.factor {
            Some(Factor::Hardware) => self.progress.item.is_some() && !handed,
            Some(_) => true,
            None => false,
        }
    }

    /// Whether the source has to be asked: the policy says so, or what was seen in person is not enough for the level.
    fn asks_source(&self) -> bool {
        let lowers = self.column.source_required && !self.progress.security_features;
        let applies = self.column.demand(Activity::VetSource) != Demand::NotApplicable;
        self.asks(Activity::VetSource) || (lowers && applies && !self.did(Activity::VetSource))
    }

    /// What `me` does next.
    pub(super) fn next(&self, me: &Id) -> Step {
        let progress = self.progress;
        let mine = progress.vetter.as_ref() == Some(me);
        match progress.state {
            state if state < State::Vetting => self.before(),
            State::Vetting | State::Vetted if !mine => Step::Foreign,
            State::Vetting => self.vetting(),
            State::Vetted => self.vetted(),
            State::Bound if self.column.second_person && progress.second.is_none() => {
                if mine {
                    Step::AwaitSecond
                } else {
                    Step::Second
                }
            }
            State::Bound => Step::Activate,
            State::Active => Step::Confirm,
            State::Confirmed => Step::Done,
            _ => Step::Ended,
        }
    }

    fn before(&self) -> Step {
        let by_code = self.order.needs_code();
        match self.progress.state {
            _ if !self.order.method.needs_person() => Step::Remote,
            _ if !by_code => Step::Begin,
            State::CodeIssued | State::Scheduled => Step::Wait,
            _ => Step::Arrange,
        }
    }

    fn vetting(&self) -> Step {
        // A code that was not asked for shows the factor at the desk too, before the document is looked at.
        if self.brought() && self.asks(Activity::PossessionBind) {
            return Step::Possession;
        }
        match () {
            () if !self.did(Activity::VetProof) => Step::Proof,
            () if self.asks(Activity::VetLiveness) => Step::Liveness,
            () if self.asks_source() => Step::Source,
            () => Step::Record,
        }
    }

    fn vetted(&self) -> Step {
        match self.progress.factor {
            None => Step::Factor,
            Some(Factor::Hardware) if self.progress.item.is_none() => Step::HandOver,
            Some(_) if self.asks(Activity::HandOver) => Step::HandOver,
            Some(_) if self.asks(Activity::PossessionBind) || self.progress.item.is_none() => {
                Step::Possession
            }
            Some(_) => Step::Bind,
        }
    }

    /// The stages in their order, each with whether it is behind, and the one that is now.
    pub(super) fn stages(&self, now: Step) -> Vec<(&'static str, &'static str)> {
        let state = self.progress.state;
        let possession = ("possession", self.did(Activity::PossessionBind));
        let shows = possession.1 || self.asks(Activity::PossessionBind);
        let mut stages = vec![("code", state >= State::Vetting)];
        if self.brought() && shows {
            stages.push(possession);
        }
        stages.extend([("identity", matches!(now, Step::Record) || state >= State::Vetted)]);
        stages.push(("record", state >= State::Vetted));
        if !self.brought() {
            stages.push(("hand-over", self.progress.item.is_some()));
            if shows {
                stages.push(possession);
            }
        }
        stages.push(("bind", state >= State::Bound));
        stages.push(("activate", state >= State::Active));
        let current = stages.iter().position(|(_, done)| !done);
        let class = |nth: usize, done: bool| match done {
            true => "done",
            false if current == Some(nth) => "now",
            false => "ahead",
        };
        stages.iter().enumerate().map(|(nth, (name, done))| (*name, class(nth, *done))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::enrol::shipped;
    use domain::enrol::{Channel, Check, Level, Method, ProofKind, Requester, Rules, Vetter};
    use domain::time::{BootId, Now};

    const ME: Id = [1; 16];
    const TOKEN: Id = [9; 16];

    fn order(by: Requester, method: Method, target: Level) -> Order {
        let (id, user, policy) = ([3; 16], [4; 16], "1".to_owned());
        Order { id, user, factor_index: 2, channel: Channel::Api, by, method, target, policy }
    }

    fn next(order: &Order, column: &Column, progress: &Progress) -> Step {
        At { order, progress, column }.next(&ME)
    }

    /// BIND-36: code, possession, identity, record, binding, activation, for a token that the applicant has.
    #[test]
    fn a_token_that_was_brought_is_shown_before_the_document() {
        let order = order(Requester::Application, Method::OnPremise, Level::Three);
        let column = shipped().column(order.method, order.target).unwrap();
        let now = Now { wall_ms: 0, steady_ms: 0, boot: BootId([0; 16]), boot_ms: 0 };
        let rules = Rules { order: &order, column, now: &now };
        let step = |progress: &Progress| next(&order, column, progress);
        let vetter = Vetter { person: ME, level: Level::Three };
        let eligible = Progress::requested(&order, true, &now).unwrap().eligible(&now).unwrap();
        assert_eq!(step(&eligible), Step::Arrange);
        let shown =
            eligible.selected(&rules, Factor::Hardware).unwrap().possession_pre(&rules, TOKEN).unwrap();
        let coded = shown.code_issued(&rules, 1_000).unwrap();
        assert_eq!(step(&coded), Step::Wait);
        let vetting = coded.vetting(&rules, Some(&vetter)).unwrap();
        assert_eq!(step(&vetting), Step::Possession);
        assert_eq!(At { order: &order, progress: &vetting, column }.next(&[2; 16]), Step::Foreign);
        let at_desk = vetting.possession_bind(&rules, TOKEN).unwrap();
        assert_eq!(step(&at_desk), Step::Proof);
        let kind = ProofKind::IdDocument;
        let check = |security_features| Check::Proof { kind, security_features, vouched: None };
        let unsure = at_desk.checked(&rules, check(false)).unwrap();
        assert_eq!(step(&unsure), Step::Source, "the level needs it");
        let sure = at_desk.checked(&rules, check(true)).unwrap();
        assert_eq!(step(&sure), Step::Record);
        let vetted = sure.vetted(&rules).unwrap();
        assert_eq!(step(&vetted), Step::Bind);
        let bound = vetted.bound(&rules).unwrap();
        assert_eq!(step(&bound), Step::Activate);
        let active = bound.activated(&rules, Some(&vetter)).unwrap();
        assert_eq!(step(&active), Step::Confirm);
        assert_eq!(step(&active.confirmed(&now).unwrap()), Step::Done);
        assert_eq!(step(&coded.ended(State::Cancelled, &now).unwrap()), Step::Ended);
        let stages = At { order: &order, progress: &at_desk, column }.stages(Step::Proof);
        let now_at = stages.iter().position(|(_, class)| *class == "now").unwrap();
        assert_eq!(stages[now_at].0, "identity");
        assert_eq!(
            stages.iter().map(|(name, _)| *name).take(3).collect::<Vec<_>>(),
            ["code", "possession", "identity"]
        );
    }

    /// BIND-20, D-54: a token from stock comes after the vetting; by video another person confirms.
    #[test]
    fn a_token_from_stock_is_handed_over_after_the_vetting() {
        let order = order(Requester::Desk, Method::OnPremise, Level::Two);
        let column = shipped().column(order.method, order.target).unwrap();
        let now = Now { wall_ms: 0, steady_ms: 0, boot: BootId([0; 16]), boot_ms: 0 };
        let rules = Rules { order: &order, column, now: &now };
        let step = |progress: &Progress| next(&order, column, progress);
        let vetter = Vetter { person: ME, level: Level::Three };
        let eligible = Progress::requested(&order, false, &now).unwrap().eligible(&now).unwrap();
        assert_eq!(step(&eligible), Step::Begin);
        let vetting = eligible.vetting(&rules, Some(&vetter)).unwrap();
        assert_eq!(step(&vetting), Step::Proof);
        let proof = Check::Proof { kind: ProofKind::IdDocument, security_features: false, vouched: None };
        let vetted = vetting.checked(&rules, proof).unwrap().vetted(&rules).unwrap();
        assert_eq!(step(&vetted), Step::Factor);
        let chosen = vetted.selected(&rules, Factor::Hardware).unwrap();
        assert_eq!(step(&chosen), Step::HandOver);
        let handed = chosen.handed_over(&rules, TOKEN).unwrap();
        assert_eq!(step(&handed), Step::Possession);
        let shown = handed.possession_bind(&rules, TOKEN).unwrap();
        assert_eq!(step(&shown), Step::Bind);
        let video = shipped().column(Method::Video, Level::Three).unwrap();
        let bound = shown.bound(&rules).unwrap();
        let at = At { order: &order, progress: &bound, column: video };
        assert_eq!((at.next(&ME), at.next(&[2; 16])), (Step::AwaitSecond, Step::Second));
        assert_eq!(At { column, ..at }.next(&[2; 16]), Step::Activate);
    }
}
