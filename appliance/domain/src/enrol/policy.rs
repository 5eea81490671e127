//! What has to be done for which level by which method (B.7): shipped, versioned, and only ever tightened.

use super::activity::{Activity, Done};
use super::kind::{Factor, Method};
use super::level::Level;
use crate::role::named;

named! {
    /// What a policy says of an activity, the mildest first.
    Demand {
        /// It has no place in this method.
        NotApplicable = "-",
        /// It may be done.
        Optional = "optional",
        /// It is done by being there: a desk sees whom it talks to.
        Implied = "implied",
        /// It is done here unless the factor was shown before.
        UnlessPre = "unless_pre",
        /// It has to be done.
        Mandatory = "mandatory",
    }
}

named! {
    /// Who makes a binding effective.
    Activator {
        /// The appliance, on the authority of who ordered it.
        System = "system",
        /// A registration authority.
        Ra = "ra",
    }
}

/// The rules for one method and level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// How users are vetted.
    pub method: Method,
    /// The level that is aimed at; a result below it is refused (B.6).
    pub level: Level,
    /// What it asks of each activity, in the order of [`Activity::ALL`].
    pub demands: Vec<Demand>,
    /// Who activates.
    pub activate_by: Activator,
    /// A second person confirms the vetting (D-54).
    pub second_person: bool,
    /// The proof is checked with its source, or its security features in person.
    pub source_required: bool,
    /// The factors that may be bound.
    pub factors: Vec<Factor>,
}

impl Column {
    /// What it asks of an activity.
    pub fn demand(&self, activity: Activity) -> Demand {
        self.demands.get(activity as usize).copied().unwrap_or(Demand::NotApplicable)
    }

    /// Mandatory activities that are not done yet, among these.
    pub fn missing(&self, among: &[Activity], done: Done) -> Option<Activity> {
        among.iter().copied().find(|activity| match self.demand(*activity) {
            Demand::Mandatory => !done.has(*activity),
            Demand::UnlessPre => !done.has(*activity) && !done.has(Activity::PossessionPre),
            Demand::NotApplicable | Demand::Optional | Demand::Implied => false,
        })
    }

    /// Whether somebody is vetted at all by this method.
    pub fn vets(&self) -> bool {
        self.demand(Activity::VetProof) != Demand::NotApplicable
    }
}

/// A way in which an operator's policy asks for less than the shipped one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loosened {
    /// There is no such column in the shipped policy.
    Unknown(Method, Level),
    /// An activity is asked for less.
    Demand(Method, Level, Activity),
    /// A factor is allowed that was not.
    Factor(Method, Level, Factor),
    /// The second person is left out.
    SecondPerson(Method, Level),
    /// The source of the proof is left out.
    Source(Method, Level),
    /// The appliance activates in place of a person.
    Activator(Method, Level),
}

impl Column {
    /// Where this column asks for less than the shipped one.
    pub fn loosened(&self, shipped: &Column) -> Vec<Loosened> {
        let (method, level) = (self.method, self.level);
        let milder = |activity: &&Activity| self.demand(**activity) < shipped.demand(**activity);
        let demands = Activity::ALL.iter().filter(milder).map(|one| Loosened::Demand(method, level, *one));
        let more = self.factors.iter().filter(|factor| !shipped.factors.contains(factor));
        let factors = more.map(|factor| Loosened::Factor(method, level, *factor));
        let flags = [
            (shipped.second_person && !self.second_person).then_some(Loosened::SecondPerson(method, level)),
            (shipped.source_required && !self.source_required).then_some(Loosened::Source(method, level)),
            (self.activate_by < shipped.activate_by).then_some(Loosened::Activator(method, level)),
        ];
        demands.chain(factors).chain(flags.into_iter().flatten()).collect()
    }
}

/// All columns, as they are in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The operator's name for this version; stored with each enrolment.
    pub version: String,
    /// A column for each method and level.
    pub columns: Vec<Column>,
}

impl Policy {
    /// The rules for a method and a level.
    pub fn column(&self, method: Method, level: Level) -> Option<&Column> {
        self.columns.iter().find(|column| column.method == method && column.level == level)
    }

    /// Where this policy asks for less than the shipped one; nothing where it only tightens.
    pub fn loosened(&self, shipped: &Policy) -> Vec<Loosened> {
        let each = |column: &Column| match shipped.column(column.method, column.level) {
            Some(shipped) => column.loosened(shipped),
            None => vec![Loosened::Unknown(column.method, column.level)],
        };
        self.columns.iter().flat_map(each).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A column as the shipped file has it for a desk and level 3.
    pub(in crate::enrol) fn desk() -> Column {
        use Activity as A;
        let demands = Activity::ALL.iter().map(|activity| match activity {
            A::Selection | A::PossessionPre | A::Scheduling | A::HandOver => Demand::Optional,
            A::VetLiveness => Demand::Implied,
            A::VetSource => Demand::Optional,
            _ => Demand::Mandatory,
        });
        Column {
            method: Method::OnPremise,
            level: Level::Three,
            demands: demands.collect(),
            activate_by: Activator::Ra,
            second_person: false,
            source_required: true,
            factors: vec![Factor::Hardware],
        }
    }

    fn policy(column: Column) -> Policy {
        Policy { version: "1".to_owned(), columns: vec![column] }
    }

    /// B.7: an operator may ask for more, and for nothing less.
    #[test]
    fn a_policy_is_only_tightened() {
        let shipped = policy(desk());
        let mut stricter = desk();
        stricter.demands[Activity::VetSource as usize] = Demand::Mandatory;
        stricter.second_person = true;
        stricter.factors.clear();
        assert_eq!(policy(stricter).loosened(&shipped), []);

        let mut milder = desk();
        milder.demands[Activity::PossessionBind as usize] = Demand::UnlessPre;
        milder.source_required = false;
        milder.activate_by = Activator::System;
        milder.factors.push(Factor::Soft);
        let (method, level) = (Method::OnPremise, Level::Three);
        assert_eq!(
            policy(milder).loosened(&shipped),
            [
                Loosened::Demand(method, level, Activity::PossessionBind),
                Loosened::Factor(method, level, Factor::Soft),
                Loosened::Source(method, level),
                Loosened::Activator(method, level),
            ]
        );
        let other = Column { level: Level::Two, ..desk() };
        assert_eq!(policy(other).loosened(&shipped), [Loosened::Unknown(method, Level::Two)]);
    }

    /// B.7: what is missing is named, in the order of the process; a factor that was shown before need not be shown
    /// again where the policy says so.
    #[test]
    fn what_is_missing_is_named() {
        let desk = desk();
        let checks = [Activity::VetProof, Activity::VetSource, Activity::PossessionBind];
        assert_eq!(desk.missing(&checks, Done::default()), Some(Activity::VetProof));
        let proven = Done::of(&[Activity::VetProof, Activity::PossessionPre]);
        assert_eq!(desk.missing(&checks, proven), Some(Activity::PossessionBind));
        let mut milder = desk.clone();
        milder.demands[Activity::PossessionBind as usize] = Demand::UnlessPre;
        assert_eq!(milder.missing(&checks, proven), None);
    }
}
