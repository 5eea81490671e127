//! Levels of assurance of a binding (B.3), and how the level of one enrolment is computed (B.6, rule version 1).

use super::activity::{Activity, Done};
use super::kind::{Factor, Method};

/// Version of the rule by which [`Facts::level`] computes; stored with each result.
pub const RULE_VERSION: u32 = 1;

/// How sure it is that a factor is the user's. Our claim, not a certification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A password alone, or a factor that is not bound.
    One,
    /// A second factor that was registered on the strength of the first one alone.
    OneHalf,
    /// Vetted by letter, by video, or at a desk.
    Two,
    /// A hardware token, vetted in person, shown at the desk.
    Three,
}

impl Level {
    /// All of them, the lowest first.
    pub const ALL: [Level; 4] = [Level::One, Level::OneHalf, Level::Two, Level::Three];

    /// The level as the API and the documents write it.
    pub fn value(self) -> f64 {
        match self {
            Level::One => 1.0,
            Level::OneHalf => 1.5,
            Level::Two => 2.0,
            Level::Three => 3.0,
        }
    }

    /// The highest level that is not above a number.
    pub fn at_most(value: f64) -> Self {
        Self::ALL.into_iter().rev().find(|level| level.value() <= value).unwrap_or(Level::One)
    }

    /// The level as text: `1`, `1.5`, `2`, `3`.
    pub fn name(self) -> &'static str {
        match self {
            Level::One => "1",
            Level::OneHalf => "1.5",
            Level::Two => "2",
            Level::Three => "3",
        }
    }

    /// Reads what [`Level::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Reads exactly what [`Level::value`] gives.
    pub fn from_value(value: f64) -> Option<Self> {
        Self::ALL.into_iter().find(|level| (level.value() - value).abs() < f64::EPSILON)
    }

    /// The next lower level; the lowest has none.
    #[must_use]
    pub fn lowered(self) -> Self {
        match self {
            Level::One | Level::OneHalf => Level::One,
            Level::Two => Level::OneHalf,
            Level::Three => Level::Two,
        }
    }
}

/// What the level of an enrolment depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// How the user was vetted.
    pub method: Method,
    /// What is bound.
    pub factor: Factor,
    /// What was done.
    pub done: Done,
    /// Level of the assertion or of the token that vouches, for the methods that live on one.
    pub vouched: Option<Level>,
    /// A second person has confirmed the vetting.
    pub second_person: bool,
    /// The security features of a document were checked, in person.
    pub security_features: bool,
    /// The proof has to be checked with its source for this level, or its security features in person.
    pub source_required: bool,
    /// No more than this, by policy.
    pub max: Level,
}

impl Facts {
    /// The level: the least of what method, factor, checks and policy allow.
    pub fn level(&self) -> Level {
        [self.by_method(), self.by_factor(), self.by_checks(), self.max]
            .into_iter()
            .fold(Level::Three, Level::min)
    }

    fn by_method(&self) -> Level {
        match self.method {
            Method::SelfAsserted => Level::OneHalf,
            Method::Letter | Method::BulkIssue => Level::Two,
            Method::OnPremise => Level::Three,
            Method::Video if self.second_person && self.done.has(Activity::VetSource) => Level::Three,
            Method::Video => Level::Two,
            Method::RemoteAssertion | Method::SelfVet => self.vouched.unwrap_or(Level::One),
        }
    }

    fn by_factor(&self) -> Level {
        match self.factor {
            Factor::Hardware => Level::Three,
            Factor::Sms | Factor::Soft | Factor::Push => Level::Two,
        }
    }

    fn by_checks(&self) -> Level {
        if self.method != Method::SelfAsserted && !self.done.has(Activity::VetProof) {
            return Level::OneHalf;
        }
        if self.method.is_online() && !self.done.has(Activity::VetLiveness) {
            return Level::OneHalf;
        }
        let shown = self.done.has(Activity::PossessionPre) || self.done.has(Activity::PossessionBind);
        let level = if shown { Level::Three } else { Level::Two };
        let sourced = self.done.has(Activity::VetSource) || self.security_features;
        if self.source_required && !sourced { level.lowered() } else { level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(method: Method, factor: Factor, done: &[Activity]) -> Facts {
        Facts {
            method,
            factor,
            done: Done::of(done),
            vouched: None,
            second_person: false,
            security_features: false,
            source_required: false,
            max: Level::Three,
        }
    }

    const PROVEN: &[Activity] = &[Activity::VetProof, Activity::PossessionBind];

    /// B.6: the least of method, factor and checks.
    #[test]
    fn the_least_of_all_caps_holds() {
        use Activity::{PossessionBind, PossessionPre, VetLiveness, VetProof, VetSource};
        let cases = [
            (facts(Method::SelfAsserted, Factor::Hardware, &[PossessionPre]), Level::OneHalf),
            (facts(Method::Letter, Factor::Sms, &[VetProof, PossessionPre]), Level::Two),
            (facts(Method::OnPremise, Factor::Hardware, PROVEN), Level::Three),
            (facts(Method::OnPremise, Factor::Soft, PROVEN), Level::Two),
            (facts(Method::OnPremise, Factor::Hardware, &[PossessionBind]), Level::OneHalf),
            (facts(Method::OnPremise, Factor::Hardware, &[VetProof]), Level::Two),
            (facts(Method::Video, Factor::Hardware, PROVEN), Level::OneHalf),
            (facts(Method::Video, Factor::Hardware, &[VetProof, VetLiveness, PossessionPre]), Level::Two),
            (facts(Method::BulkIssue, Factor::Hardware, &[VetProof]), Level::Two),
            (facts(Method::SelfVet, Factor::Soft, PROVEN), Level::One),
        ];
        for (facts, level) in cases {
            assert_eq!(facts.level(), level, "{facts:?}");
        }
        let video =
            facts(Method::Video, Factor::Hardware, &[VetProof, VetLiveness, VetSource, PossessionBind]);
        assert_eq!(video.level(), Level::Two);
        assert_eq!(Facts { second_person: true, ..video }.level(), Level::Three);
    }

    /// BIND-17, BIND-40: without its source a proof is worth a level less where the policy wants it, unless the
    /// document was looked at in person; and no evidence makes more of a first factor than the policy allows.
    #[test]
    fn a_source_that_was_not_asked_lowers_the_level() {
        let desk = Facts { source_required: true, ..facts(Method::OnPremise, Factor::Hardware, PROVEN) };
        assert_eq!(desk.level(), Level::Two);
        assert_eq!(Facts { security_features: true, ..desk }.level(), Level::Three);
        let sourced = Facts { done: desk.done.with(Activity::VetSource), ..desk };
        assert_eq!(sourced.level(), Level::Three);
        assert_eq!(Facts { max: Level::OneHalf, ..sourced }.level(), Level::OneHalf);
        let vouched = Facts { vouched: Some(Level::Two), ..facts(Method::SelfVet, Factor::Soft, PROVEN) };
        assert_eq!(vouched.level(), Level::Two);
    }

    /// B.3: levels compare as their numbers do, and are read back.
    #[test]
    fn levels_are_numbers() {
        for (lower, higher) in Level::ALL.iter().zip(&Level::ALL[1..]) {
            assert!(lower < higher && lower.value() < higher.value());
            assert_eq!(higher.lowered(), *lower);
        }
        for level in Level::ALL {
            assert_eq!(Level::from_value(level.value()), Some(level));
            assert_eq!(Level::at_most(level.value() + 0.2), level);
        }
        assert_eq!(Level::at_most(0.0), Level::One);
        assert_eq!(Level::from_value(2.5), None);
    }
}
