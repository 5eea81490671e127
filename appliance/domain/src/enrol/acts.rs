//! The acts of an enrolment, each an arrow of B.5.6 with its guards. A refusal is a value and names its reason.

use super::activity::Activity;
use super::kind::{Factor, Method, ProofKind};
use super::level::{Facts, Level};
use super::policy::{Activator, Demand};
use super::progress::{Order, Progress, Rules, State};
use crate::time::Now;
use crate::token::Id;
use thiserror::Error;

/// Why an act is not done.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The enrolment is not where this act belongs.
    #[error("the enrolment is {0}")]
    WrongState(&'static str),
    /// Who asks for a factor has to show another one first (D-46).
    #[error("a first factor has to be shown")]
    NoFirstFactor,
    /// The policy does not allow this factor for this method and level.
    #[error("the policy does not allow this factor")]
    FactorNotAllowed,
    /// The act has no place in this method.
    #[error("{} has no place in this method", .0.name())]
    NotApplicable(Activity),
    /// Something has to be done before.
    #[error("{} has to be done before", .0.name())]
    Missing(Activity),
    /// The registration code is over.
    #[error("the registration code is over")]
    CodeExpired,
    /// Whether the user is eligible has to be looked at again.
    #[error("whether the user is eligible has to be looked at again")]
    EligibilityStale,
    /// Nobody vets themselves (BIND-35).
    #[error("nobody vets themselves")]
    SelfVetting,
    /// The registration authority's own level is too low (BIND-35).
    #[error("the registration authority's own level is too low")]
    VetterTooLow,
    /// A person has to do this, or must not.
    #[error("the act is not for who does it")]
    WrongActor,
    /// This cannot prove who somebody is by this method (D-47).
    #[error("this proves nothing by this method")]
    WrongProof,
    /// It is another token or phone than the one that was shown before (BIND-24).
    #[error("it is another token than the one that was shown before")]
    TokenMismatch,
    /// A second person has to confirm the vetting (D-54).
    #[error("a second person has to confirm the vetting")]
    SecondPerson,
    /// What came out is below what was aimed at (B.6).
    #[error("the level that comes out is {}", .0.name())]
    LevelTooLow(Level),
    /// Nobody waits under this registration code, or none was given.
    #[error("nobody waits under this registration code")]
    UnknownCode,
    /// The configuration does not offer this method of vetting.
    #[error("the method {} is not enabled: see enrol.methods", .0.name())]
    MethodDisabled(Method),
    /// The code of the factor was wrong.
    #[error("the code of the factor is wrong")]
    NotShown,
    /// The phone was asked, and nobody has answered yet.
    #[error("the phone has not answered yet: confirm there, then try again")]
    Unanswered,
    /// The number is no number, is somebody else's, or stands for more than this enrolment reaches.
    #[error("this number cannot be used here")]
    NumberNotUsable,
    /// The registration authority works for other organisations, or says alone that the user belongs to one of them.
    #[error(
        "the applicant's organisation is not one of the registration authority's, or nobody else has said so"
    )]
    OutOfScope,
    /// The assertion is from too long ago, or from a time that has not come.
    #[error("the assertion is too old, or from a time that has not come")]
    AssertionStale,
    /// The assertion has vouched for an enrolment before, or was its first factor.
    #[error("the assertion was used before")]
    AssertionUsed,
    /// The user has a factor that counts for more than what this was asked for with.
    #[error(
        "the user has a factor that counts for more than what was shown: log in with it, or have the new one vetted"
    )]
    StrongerFactor,
}

impl Refusal {
    /// The reason as the API and the events name it.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::WrongState(_) => "enrol.wrong_state",
            Refusal::NoFirstFactor => "enrol.no_first_factor",
            Refusal::FactorNotAllowed => "enrol.factor_not_allowed",
            Refusal::NotApplicable(_) => "enrol.not_applicable",
            Refusal::Missing(_) => "enrol.missing_activity",
            Refusal::CodeExpired => "enrol.code_expired",
            Refusal::EligibilityStale => "enrol.eligibility_stale",
            Refusal::SelfVetting => "enrol.self_vetting",
            Refusal::VetterTooLow => "enrol.ra_loa_too_low",
            Refusal::WrongActor => "enrol.wrong_actor",
            Refusal::WrongProof => "enrol.wrong_proof",
            Refusal::TokenMismatch => "enrol.token_mismatch",
            Refusal::SecondPerson => "enrol.second_person",
            Refusal::LevelTooLow(_) => "enrol.loa_too_low",
            Refusal::UnknownCode => "enrol.code_unknown",
            Refusal::MethodDisabled(_) => "enrol.method_disabled",
            Refusal::NotShown => "enrol.possession_failed",
            Refusal::Unanswered => "enrol.possession_waiting",
            Refusal::NumberNotUsable => "enrol.number_not_usable",
            Refusal::OutOfScope => "enrol.out_of_scope",
            Refusal::AssertionStale => "enrol.assertion_stale",
            Refusal::AssertionUsed => "enrol.assertion_used",
            Refusal::StrongerFactor => "enrol.stronger_factor",
        }
    }

    /// Whether it is about who asks rather than about where the enrolment stands.
    pub fn is_about_the_person(self) -> bool {
        matches!(
            self,
            Refusal::NoFirstFactor
                | Refusal::SelfVetting
                | Refusal::VetterTooLow
                | Refusal::WrongActor
                | Refusal::SecondPerson
                | Refusal::OutOfScope
                | Refusal::StrongerFactor
        )
    }
}

/// A registration authority, as far as the rules know one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vetter {
    /// The user that the person is.
    pub person: Id,
    /// Level of the person's own active token.
    pub level: Level,
}

impl Vetter {
    /// Nobody vets themselves, nor above the own level.
    fn may_vet(&self, order: &Order) -> Result<(), Refusal> {
        if self.person == order.user {
            return Err(Refusal::SelfVetting);
        }
        if self.level < order.target { Err(Refusal::VetterTooLow) } else { Ok(()) }
    }
}

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Claim and proof agree (3.3.1).
    Proof {
        /// What was compared with.
        kind: ProofKind,
        /// The document's security features were checked, in person.
        security_features: bool,
        /// Level of the assertion or of the token that vouches; nothing for other proofs.
        vouched: Option<Level>,
    },
    /// The face belongs to the proof, and is alive (3.3.2).
    Liveness,
    /// The issuer says that the proof is good (3.3.3).
    Source,
}

impl Check {
    /// The activity that it is.
    pub fn activity(self) -> Activity {
        match self {
            Check::Proof { .. } => Activity::VetProof,
            Check::Liveness => Activity::VetLiveness,
            Check::Source => Activity::VetSource,
        }
    }
}

impl Progress {
    /// 1: it is asked for. Who asks for themselves has shown a first factor; so has the user of every method in which
    /// nobody looks at the person.
    ///
    /// # Errors
    /// [`Refusal::NoFirstFactor`] without it.
    pub fn requested(order: &Order, first_factor: bool, now: &Now) -> Result<Self, Refusal> {
        let by_other = order.method.needs_person() || order.method == Method::Letter;
        if !first_factor && (order.by.is_self() || !by_other) {
            return Err(Refusal::NoFirstFactor);
        }
        let begun = Progress {
            state: State::Requested,
            done: super::activity::Done::default(),
            factor: None,
            item: None,
            eligible_at_ms: None,
            code_until_ms: None,
            vetter: None,
            second: None,
            vouched: None,
            security_features: false,
            level: None,
            acted_at_ms: now.steady_ms,
        };
        let asked = begun.did(State::Requested, Activity::Request, now);
        Ok(if first_factor { asked.did(State::Requested, Activity::FirstFactor, now) } else { asked })
    }

    /// 2: the user may have it; later, still may.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] once vetted, or over.
    pub fn eligible(self, now: &Now) -> Result<Self, Refusal> {
        let state = match self.state {
            State::Requested => State::Eligible,
            state if state < State::Vetted => state,
            _ => return Err(self.wrong_state()),
        };
        Ok(Progress { eligible_at_ms: Some(now.steady_ms), ..self.did(state, Activity::Eligibility, now) })
    }

    /// 3: a factor is chosen; up to the binding another one, unless one was shown (BIND-08).
    ///
    /// # Errors
    /// [`Refusal::FactorNotAllowed`], [`Refusal::TokenMismatch`] once another one was shown, [`Refusal::WrongState`].
    pub fn selected(self, rules: &Rules<'_>, factor: Factor) -> Result<Self, Refusal> {
        let state = match self.state {
            State::Eligible => State::FactorSelected,
            state if state > State::Eligible && state < State::Bound => state,
            _ => return Err(self.wrong_state()),
        };
        if !rules.column.factors.contains(&factor) {
            return Err(Refusal::FactorNotAllowed);
        }
        if self.item.is_some() && self.factor != Some(factor) {
            return Err(Refusal::TokenMismatch);
        }
        Ok(Progress { factor: Some(factor), ..self.did(state, Activity::Selection, rules.now) })
    }

    /// 4: the factor is shown before the vetting; it is tentatively the user's (D-50).
    ///
    /// # Errors
    /// [`Refusal::WrongState`] unless a factor was chosen; [`Refusal::TokenMismatch`] for another one than before.
    pub fn possession_pre(self, rules: &Rules<'_>, item: Id) -> Result<Self, Refusal> {
        self.from(&[State::FactorSelected, State::PossessionProven])?;
        let shown = self.with_item(item)?;
        Ok(shown.did(State::PossessionProven, Activity::PossessionPre, rules.now))
    }

    /// 4, its first half: an app gets a token of its own for this enrolment, or a phone is registered for it, and the
    /// enrolment holds it (D-50). It is to be shown like one that was there before.
    ///
    /// # Errors
    /// [`Refusal::FactorNotAllowed`] for another factor; [`Refusal::TokenMismatch`] once there is one;
    /// [`Refusal::Missing`] before a factor is chosen; [`Refusal::WrongState`].
    pub fn made(self, now: &Now, factor: Factor, item: Id) -> Result<Self, Refusal> {
        let before = [State::FactorSelected, State::CodeIssued, State::Scheduled];
        self.from(&[before.as_slice(), &[State::Vetting, State::Vetted]].concat())?;
        match self.factor {
            None => return Err(Refusal::Missing(Activity::Selection)),
            Some(chosen @ (Factor::Soft | Factor::Push)) if chosen == factor => {}
            Some(_) => return Err(Refusal::FactorNotAllowed),
        }
        if self.item.is_some() {
            return Err(Refusal::TokenMismatch);
        }
        Ok(Progress { item: Some(item), acted_at_ms: now.steady_ms, ..self })
    }

    /// 5: a registration code is made, good until then.
    ///
    /// # Errors
    /// [`Refusal::NotApplicable`] where the method has none; [`Refusal::WrongState`].
    pub fn code_issued(self, rules: &Rules<'_>, until_ms: i64) -> Result<Self, Refusal> {
        if !rules.order.method.needs_code() {
            return Err(Refusal::NotApplicable(Activity::Arrange));
        }
        self.from(&[State::Eligible, State::FactorSelected, State::PossessionProven])?;
        self.complete(rules, &[Activity::Selection, Activity::PossessionPre])?;
        let issued = self.did(State::CodeIssued, Activity::Arrange, rules.now);
        Ok(Progress { code_until_ms: Some(until_ms), ..issued })
    }

    /// 6: an appointment is made, or made anew.
    ///
    /// # Errors
    /// [`Refusal::NotApplicable`] where the method has none; [`Refusal::WrongState`].
    pub fn scheduled(self, rules: &Rules<'_>) -> Result<Self, Refusal> {
        self.applicable(rules, Activity::Scheduling)?;
        self.from(&[State::CodeIssued, State::Scheduled])?;
        Ok(self.did(State::Scheduled, Activity::Scheduling, rules.now))
    }

    /// The appointment is given back.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] without one, and once the vetting has begun.
    pub fn unscheduled(self, now: &Now) -> Result<Self, Refusal> {
        self.from(&[State::Scheduled])?;
        let done = self.done.without(&[Activity::Scheduling]);
        Ok(Progress { state: State::CodeIssued, done, acted_at_ms: now.steady_ms, ..self })
    }

    /// 7: the vetting begins: by a person whom the rules let, or by the appliance itself.
    ///
    /// # Errors
    /// As [`Refusal`] says: [`Refusal::SelfVetting`], [`Refusal::VetterTooLow`], [`Refusal::WrongActor`],
    /// [`Refusal::EligibilityStale`], [`Refusal::CodeExpired`], [`Refusal::Missing`], [`Refusal::WrongState`].
    pub fn vetting(self, rules: &Rules<'_>, vetter: Option<&Vetter>) -> Result<Self, Refusal> {
        self.applicable(rules, Activity::VetProof)?;
        let waits = self.aged(rules.now);
        if waits.state == State::Expired && self.state.is_open() {
            return Err(Refusal::CodeExpired);
        }
        if rules.order.needs_code() {
            self.from(&[State::CodeIssued, State::Scheduled])?;
        } else {
            let before = [State::Eligible, State::FactorSelected, State::PossessionProven];
            self.from(&[before.as_slice(), &[State::CodeIssued, State::Scheduled]].concat())?;
        }
        if rules.order.method.needs_person() != vetter.is_some() {
            return Err(Refusal::WrongActor);
        }
        if let Some(vetter) = vetter {
            vetter.may_vet(rules.order)?;
        }
        if self.is_stale(rules.now) {
            return Err(Refusal::EligibilityStale);
        }
        let mut before = vec![Activity::Scheduling];
        if rules.order.by.is_self() {
            before.extend([Activity::FirstFactor, Activity::Selection, Activity::PossessionPre]);
        }
        self.complete(rules, &before)?;
        let begun = self.did(State::Vetting, Activity::Vet, rules.now);
        Ok(Progress { vetter: vetter.map(|vetter| vetter.person), ..begun })
    }

    /// 8 to 10: a check went well. The proof comes first, and before it the factor that the applicant already has
    /// (BIND-36).
    ///
    /// # Errors
    /// [`Refusal::Missing`] for a check before its turn, [`Refusal::WrongProof`], [`Refusal::NotApplicable`],
    /// [`Refusal::WrongState`].
    pub fn checked(self, rules: &Rules<'_>, check: Check) -> Result<Self, Refusal> {
        self.from(&[State::Vetting])?;
        self.applicable(rules, check.activity())?;
        let mut next = self;
        match check {
            Check::Proof { kind, security_features, vouched } => {
                if !kind.fits(rules.order.method) {
                    return Err(Refusal::WrongProof);
                }
                if self.applicant_has_it() {
                    self.complete(rules, &[Activity::PossessionBind])?;
                }
                next.security_features = security_features && rules.order.method.needs_person();
                next.vouched = vouched.filter(|_| rules.order.method.lives_on_another());
            }
            Check::Liveness | Check::Source if !self.done.has(Activity::VetProof) => {
                return Err(Refusal::Missing(Activity::VetProof));
            }
            Check::Liveness | Check::Source => {}
        }
        Ok(next.did(State::Vetting, check.activity(), rules.now))
    }

    /// 11: what was checked is written down; all that the policy asks for was.
    ///
    /// # Errors
    /// [`Refusal::Missing`], [`Refusal::WrongState`].
    pub fn vetted(self, rules: &Rules<'_>) -> Result<Self, Refusal> {
        self.from(&[State::Vetting])?;
        self.complete(rules, &[Activity::VetProof, Activity::VetLiveness, Activity::VetSource])?;
        Ok(self.did(State::Vetted, Activity::VetRecord, rules.now))
    }

    /// Another registration authority confirms the vetting (D-54).
    ///
    /// # Errors
    /// [`Refusal::SecondPerson`] for who has vetted; [`Refusal::SelfVetting`], [`Refusal::VetterTooLow`],
    /// [`Refusal::WrongState`].
    pub fn seconded(self, rules: &Rules<'_>, vetter: &Vetter) -> Result<Self, Refusal> {
        self.from(&[State::Vetted, State::Bound])?;
        vetter.may_vet(rules.order)?;
        if self.vetter == Some(vetter.person) {
            return Err(Refusal::SecondPerson);
        }
        Ok(Progress { second: Some(vetter.person), acted_at_ms: rules.now.steady_ms, ..self })
    }

    /// 12: a token is handed over.
    ///
    /// # Errors
    /// [`Refusal::FactorNotAllowed`] where nothing can be handed over; [`Refusal::TokenMismatch`] for another one than
    /// was shown; [`Refusal::NotApplicable`], [`Refusal::WrongState`].
    pub fn handed_over(self, rules: &Rules<'_>, item: Id) -> Result<Self, Refusal> {
        self.from(&[State::Vetted])?;
        self.applicable(rules, Activity::HandOver)?;
        if self.factor != Some(Factor::Hardware) {
            return Err(Refusal::FactorNotAllowed);
        }
        Ok(self.with_item(item)?.did(State::Vetted, Activity::HandOver, rules.now))
    }

    /// The factor is shown, during the vetting or when it is bound.
    ///
    /// # Errors
    /// [`Refusal::TokenMismatch`] for another one than before; [`Refusal::Missing`] before a factor is chosen;
    /// [`Refusal::NotApplicable`], [`Refusal::WrongState`].
    pub fn possession_bind(self, rules: &Rules<'_>, item: Id) -> Result<Self, Refusal> {
        self.from(&[State::Vetting, State::Vetted])?;
        self.applicable(rules, Activity::PossessionBind)?;
        if self.factor.is_none() {
            return Err(Refusal::Missing(Activity::Selection));
        }
        Ok(self.with_item(item)?.did(self.state, Activity::PossessionBind, rules.now))
    }

    /// 13: factor and identity are bound. Without a vetting in the policy the shown factor is enough.
    ///
    /// # Errors
    /// [`Refusal::Missing`] without a factor that was shown or handed over; [`Refusal::WrongState`].
    pub fn bound(self, rules: &Rules<'_>) -> Result<Self, Refusal> {
        self.from(if rules.column.vets() { &[State::Vetted] } else { &[State::PossessionProven] })?;
        if self.item.is_none() {
            return Err(Refusal::Missing(Activity::PossessionBind));
        }
        let before = [Activity::Selection, Activity::HandOver, Activity::PossessionBind];
        self.complete(rules, &before)?;
        Ok(self.did(State::Bound, Activity::DigitalId, rules.now))
    }

    /// 14: the binding takes effect, with the level that comes out. The policy in effect now is what counts.
    ///
    /// # Errors
    /// [`Refusal::LevelTooLow`], [`Refusal::SecondPerson`], [`Refusal::WrongActor`], [`Refusal::Missing`],
    /// [`Refusal::SelfVetting`], [`Refusal::VetterTooLow`], [`Refusal::WrongState`].
    pub fn activated(self, rules: &Rules<'_>, by: Option<&Vetter>) -> Result<Self, Refusal> {
        self.from(&[State::Bound])?;
        match (rules.column.activate_by, by) {
            (Activator::Ra, None) | (Activator::System, Some(_)) => return Err(Refusal::WrongActor),
            (Activator::Ra, Some(vetter)) => vetter.may_vet(rules.order)?,
            (Activator::System, None) => {}
        }
        let until = Activity::ALL.iter().copied().filter(|activity| *activity < Activity::Activate);
        let until: Vec<Activity> = until.filter(|one| self.is_asked(rules, *one)).collect();
        self.complete(rules, &until)?;
        if rules.column.second_person && self.second.is_none() {
            return Err(Refusal::SecondPerson);
        }
        let level = self.facts(rules).map(|facts| facts.level()).unwrap_or(Level::One);
        if level < rules.order.target {
            return Err(Refusal::LevelTooLow(level));
        }
        Ok(Progress { level: Some(level), ..self.did(State::Active, Activity::Activate, rules.now) })
    }

    /// 15: the user was told.
    ///
    /// # Errors
    /// [`Refusal::WrongState`].
    pub fn confirmed(self, now: &Now) -> Result<Self, Refusal> {
        self.from(&[State::Active])?;
        Ok(self.did(State::Confirmed, Activity::Confirmation, now))
    }

    /// 2n, 11n, 16: it ends before it took effect: [`State::Rejected`], [`State::Cancelled`] or [`State::Expired`].
    ///
    /// # Errors
    /// [`Refusal::WrongState`] once it took effect or is over, and for other states.
    pub fn ended(self, state: State, now: &Now) -> Result<Self, Refusal> {
        let ends = matches!(state, State::Rejected | State::Cancelled | State::Expired);
        if !self.state.is_open() || !ends {
            return Err(self.wrong_state());
        }
        Ok(Progress { state, acted_at_ms: now.steady_ms, ..self })
    }

    /// 17: the binding is taken back.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] unless it is in effect.
    pub fn revoked(self, now: &Now) -> Result<Self, Refusal> {
        self.from(&[State::Active, State::Confirmed])?;
        Ok(Progress { state: State::Revoked, acted_at_ms: now.steady_ms, ..self })
    }

    /// D-52: the registration authority has seen that it is another token: the factor is to be shown and vetted anew.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] outside a vetting.
    pub fn begun_anew(self, now: &Now) -> Result<Self, Refusal> {
        self.from(&[State::Vetting, State::Vetted])?;
        use Activity as A;
        let undone = [
            A::PossessionPre,
            A::Arrange,
            A::Scheduling,
            A::Vet,
            A::VetProof,
            A::VetLiveness,
            A::VetSource,
            A::VetRecord,
            A::HandOver,
            A::PossessionBind,
        ];
        let state = State::FactorSelected;
        Ok(Progress {
            state,
            done: self.done.without(&undone),
            item: None,
            code_until_ms: None,
            vetter: None,
            second: None,
            security_features: false,
            acted_at_ms: now.steady_ms,
            ..self
        })
    }

    /// What the level depends on, once a factor is chosen.
    pub fn facts(&self, rules: &Rules<'_>) -> Option<Facts> {
        Some(Facts {
            method: rules.order.method,
            factor: self.factor?,
            done: self.done,
            vouched: self.vouched,
            second_person: self.second.is_some(),
            security_features: self.security_features,
            source_required: rules.column.source_required,
            max: rules.column.level,
        })
    }

    /// Whether an activity is asked of this enrolment at all: a desk shows no first factor for its applicant.
    fn is_asked(&self, rules: &Rules<'_>, activity: Activity) -> bool {
        match activity {
            Activity::FirstFactor => rules.order.by.is_self(),
            Activity::Arrange => rules.order.by.comes_later(),
            _ => true,
        }
    }

    /// Whether the applicant brought the factor along, as nothing has to be handed over.
    fn applicant_has_it(&self) -> bool {
        self.item.is_some() || self.factor.is_some_and(|factor| factor != Factor::Hardware)
    }

    fn with_item(self, item: Id) -> Result<Self, Refusal> {
        match self.item {
            Some(known) if known != item => Err(Refusal::TokenMismatch),
            _ => Ok(Progress { item: Some(item), ..self }),
        }
    }

    fn complete(&self, rules: &Rules<'_>, among: &[Activity]) -> Result<(), Refusal> {
        rules.column.missing(among, self.done).map_or(Ok(()), |activity| Err(Refusal::Missing(activity)))
    }

    fn applicable(&self, rules: &Rules<'_>, activity: Activity) -> Result<(), Refusal> {
        match rules.column.demand(activity) {
            Demand::NotApplicable => Err(Refusal::NotApplicable(activity)),
            _ => Ok(()),
        }
    }

    fn from(&self, allowed: &[State]) -> Result<(), Refusal> {
        if allowed.contains(&self.state) { Ok(()) } else { Err(self.wrong_state()) }
    }

    fn wrong_state(&self) -> Refusal {
        Refusal::WrongState(self.state.name())
    }
}
