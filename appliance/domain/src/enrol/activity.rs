//! The activities of an enrolment, under both names that the documents give them (BIND-30).

use super::catalogue::CATALOGUE;
use crate::role::named;

named! {
    /// One activity, by its long name.
    Activity {
        /// A user, an application or a desk asks for a factor.
        Request = "F_REQUEST",
        /// The applicant shows the first factor.
        FirstFactor = "1F_AUTHENTICATION",
        /// May the user have what was asked for?
        Eligibility = "I_ELIGIBILITYCHECK",
        /// What is to be bound.
        Selection = "F_SELECTION",
        /// The factor is shown before the vetting.
        PossessionPre = "F_AUTHENTICATION_PRE",
        /// A code is made that finds the request again.
        Arrange = "I_ARRANGE",
        /// An appointment is made.
        Scheduling = "I_SCHEDULING",
        /// The vetting begins.
        Vet = "I_VET",
        /// What was claimed is compared with a proof of identity.
        VetProof = "I_VET_PROOF",
        /// The face is seen alive.
        VetLiveness = "I_VET_LIVENESS",
        /// The proof is checked with who issued it.
        VetSource = "I_VET_SOURCE",
        /// What was checked is written down.
        VetRecord = "I_VET_RECORD",
        /// A token is handed over.
        HandOver = "F_HANDOVER",
        /// Factor and identity are bound.
        DigitalId = "B_DIGITALID",
        /// The factor is shown when it is bound.
        PossessionBind = "F_AUTHENTICATION_BIND",
        /// The binding takes effect; it is its own record (D-49).
        Activate = "B_ACTIVATE",
        /// The user is told.
        Confirmation = "B_CONFIRMATION",
    }
}

/// What the catalogue says of an activity.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What goes in.
    pub input: &'static str,
    /// What comes out.
    pub output: &'static str,
    /// What may happen where it is left out.
    pub risk_if_omitted: &'static str,
    /// What has to be done before.
    pub depends_on: &'static [Activity],
    /// What it does to the level of assurance.
    pub loa_effect: &'static str,
}

impl Activity {
    /// The short name.
    pub fn short_id(self) -> &'static str {
        match self {
            Activity::Request => "FRq.UI",
            Activity::FirstFactor => "FRq.1F",
            Activity::Eligibility => "Ident.ElegC",
            Activity::Selection => "FReg.Sel",
            Activity::PossessionPre => "FReg.Authc",
            Activity::Arrange => "Ident.Arr",
            Activity::Scheduling => "Ident.Sched",
            Activity::Vet => "Ident.UVet",
            Activity::VetProof => "Ident.UVet.CkClm",
            Activity::VetLiveness => "Ident.UVet.ULive",
            Activity::VetSource => "Ident.UVet.IDVal",
            Activity::VetRecord => "Ident.UVet.Rec",
            Activity::HandOver => "FBind.Poss",
            Activity::DigitalId => "FBind.DigID",
            Activity::PossessionBind => "FBind.FPoss",
            Activity::Activate => "FBind.FAct",
            Activity::Confirmation => "FBind.FAck",
        }
    }

    /// The name in the documents, where one name stands for the same act at two moments (BIND-10).
    pub fn long_id(self) -> &'static str {
        match self {
            Activity::PossessionPre | Activity::PossessionBind => "F_AUTHENTICATION",
            other => other.name(),
        }
    }

    /// Finds an activity by either name, or by one that a document spells otherwise (D-45, D-49).
    pub fn find(name: &str) -> Option<Self> {
        match name {
            "I_ELIBILITYCHECK" => Some(Activity::Eligibility),
            "B_RECORD" | "F_record" => Some(Activity::Activate),
            "F_AUTHENTICATION" | "2F_AUTHENTICATION" => Some(Activity::PossessionBind),
            _ => Self::ALL.iter().copied().find(|one| one.name() == name || one.short_id() == name),
        }
    }

    /// What the catalogue says.
    pub fn entry(self) -> &'static Entry {
        &CATALOGUE[self as usize]
    }
}

/// A set of activities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done(u32);

impl Done {
    /// These.
    pub fn of(activities: &[Activity]) -> Self {
        activities.iter().fold(Done(0), |done, activity| done.with(*activity))
    }

    /// One more.
    #[must_use]
    pub fn with(self, activity: Activity) -> Self {
        Done(self.0 | 1 << activity as u32)
    }

    /// Without these.
    #[must_use]
    pub fn without(self, activities: &[Activity]) -> Self {
        Done(self.0 & !Done::of(activities).0)
    }

    /// Whether it is among them.
    pub fn has(self, activity: Activity) -> bool {
        self.0 & (1 << activity as u32) != 0
    }

    /// They, in the order of [`Activity::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Activity> {
        Activity::ALL.iter().copied().filter(move |activity| self.has(*activity))
    }

    /// As a number for the store: a bit for each in the order of [`Activity::ALL`].
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Reads what [`Done::bits`] gave; none for bits that stand for nothing.
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits < 1 << Activity::ALL.len()).then_some(Done(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIND-12, BIND-26, BIND-30: each activity is found by both of its names, and by the documents' other
    /// spellings.
    #[test]
    fn activities_have_two_names() {
        for activity in Activity::ALL {
            assert_eq!(Activity::find(activity.name()), Some(*activity));
            assert_eq!(Activity::find(activity.short_id()), Some(*activity));
        }
        assert_eq!(Activity::find("I_ELIBILITYCHECK"), Some(Activity::Eligibility));
        assert_eq!(Activity::find("B_RECORD"), Some(Activity::Activate));
        assert_eq!(Activity::find("nothing"), None);
    }

    /// BIND-29: what an activity depends on comes before it, so that the catalogue is the order of the process.
    #[test]
    fn dependencies_come_first() {
        assert_eq!(CATALOGUE.len(), Activity::ALL.len());
        for activity in Activity::ALL {
            for before in activity.entry().depends_on {
                assert!(before < activity, "{} depends on {}", activity.name(), before.name());
            }
        }
    }

    #[test]
    fn sets_are_read_back() {
        let done = Done::of(&[Activity::Request, Activity::Confirmation]);
        assert_eq!(Done::from_bits(done.bits()), Some(done));
        assert_eq!(done.iter().collect::<Vec<_>>(), [Activity::Request, Activity::Confirmation]);
        assert_eq!(done.without(&[Activity::Request]).iter().count(), 1);
        assert_eq!(Done::from_bits(u32::MAX), None);
    }
}
