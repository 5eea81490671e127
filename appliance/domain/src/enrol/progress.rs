//! Where an enrolment stands, and the bytes that its MAC covers (B.4.8, B.5.6).

use super::activity::{Activity, Done};
use super::kind::{Channel, Factor, Method};
use super::level::Level;
use super::policy::Column;
use crate::canonical::Canonical;
use crate::role::named;
use crate::time::Now;
use crate::token::Id;

/// How long a finding that somebody is eligible holds, in milliseconds (D-51).
pub const ELIGIBLE_MS: i64 = 24 * 60 * 60 * 1000;
/// How long an enrolment may rest before it is over, in milliseconds (B.5.6, 16).
pub const IDLE_MS: i64 = 30 * 24 * 60 * 60 * 1000;

named! {
    /// Where an enrolment stands. The last four are final, and so is `confirmed` but for a revocation.
    State {
        /// It was asked for.
        Requested = "requested",
        /// The user may have it.
        Eligible = "eligible",
        /// The factor is chosen.
        FactorSelected = "factor_selected",
        /// The factor was shown; it is tentatively the user's.
        PossessionProven = "possession_proven",
        /// There is a registration code.
        CodeIssued = "code_issued",
        /// There is an appointment.
        Scheduled = "scheduled",
        /// Somebody looks who the applicant is.
        Vetting = "vetting",
        /// The applicant is who was claimed.
        Vetted = "vetted",
        /// Factor and identity are bound, without effect yet.
        Bound = "bound",
        /// The binding is in effect.
        Active = "active",
        /// The user was told.
        Confirmed = "confirmed",
        /// It was refused.
        Rejected = "rejected",
        /// Its time is over.
        Expired = "expired",
        /// Somebody gave it up.
        Cancelled = "cancelled",
        /// The binding was taken back.
        Revoked = "revoked",
    }
}

impl State {
    /// Whether the enrolment is under way: it can still be cancelled, refused, or run out.
    pub fn is_open(self) -> bool {
        self < State::Active
    }
}

named! {
    /// Who asked.
    Requester {
        /// The user, with a first factor.
        Applicant = "applicant",
        /// An application, for its user.
        Application = "application",
        /// A registration authority, with the user at the desk.
        Desk = "desk",
        /// An operator, for many users.
        Organisation = "organisation",
    }
}

impl Requester {
    /// Whether the user has asked, and so has to show a first factor (BIND-06, D-46).
    pub fn is_self(self) -> bool {
        matches!(self, Requester::Applicant | Requester::Application)
    }

    /// Whether the applicant comes to the vetting later, and so brings what shows which request is theirs (BIND-34): who is
    /// at the desk when it is asked for is there already.
    pub fn comes_later(self) -> bool {
        self != Requester::Desk
    }
}

/// What is fixed when an enrolment is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Row id.
    pub id: Id,
    /// Whose factor it will be.
    pub user: Id,
    /// Which factor of the user's it will be: 2 for a second one (BIND-01).
    pub factor_index: u8,
    /// How the request came in.
    pub channel: Channel,
    /// Who asked.
    pub by: Requester,
    /// How the user is vetted.
    pub method: Method,
    /// The level that is aimed at.
    pub target: Level,
    /// Version of the policy at that time.
    pub policy: String,
}

impl Order {
    /// Whether the vetting begins with the registration code.
    pub fn needs_code(&self) -> bool {
        self.method.needs_code() && self.by.comes_later()
    }
}

/// What moves in an enrolment; the HSM's state MAC covers it together with the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// What was done.
    pub done: Done,
    /// What is to be bound.
    pub factor: Option<Factor>,
    /// The very token or phone that was shown or handed over.
    pub item: Option<Id>,
    /// When the user was found eligible, in steady Unix milliseconds.
    pub eligible_at_ms: Option<i64>,
    /// End of the registration code, in steady Unix milliseconds.
    pub code_until_ms: Option<i64>,
    /// The person who vets.
    pub vetter: Option<Id>,
    /// The person who has confirmed the vetting.
    pub second: Option<Id>,
    /// Level of what vouches, for the methods that live on it.
    pub vouched: Option<Level>,
    /// The security features of the document were checked in person.
    pub security_features: bool,
    /// The level that came out.
    pub level: Option<Level>,
    /// The last act, in steady Unix milliseconds.
    pub acted_at_ms: i64,
}

/// What an act is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// What is fixed.
    pub order: &'a Order,
    /// What the policy in effect asks for method and level.
    pub column: &'a Column,
    /// The time.
    pub now: &'a Now,
}

impl Progress {
    /// The bytes under the state MAC; `code_mac` is the HMAC of the registration code.
    pub fn bytes(&self, order: &Order, code_mac: Option<&[u8; 32]>) -> Vec<u8> {
        let level = |level: Option<Level>| level.map_or("", Level::name);
        let id = |id: Option<Id>| id.map(|id| id.to_vec());
        Canonical::new("countersign enrolment 1")
            .bytes(&order.id)
            .bytes(&order.user)
            .int(order.factor_index.into())
            .text(order.channel.name())
            .text(order.by.name())
            .text(order.method.name())
            .text(order.target.name())
            .text(&order.policy)
            .optional(code_mac.map(|mac| mac.as_slice()))
            .text(self.state.name())
            .int(self.done.bits().into())
            .text(self.factor.map_or("", Factor::name))
            .optional(id(self.item).as_deref())
            .int(self.eligible_at_ms.unwrap_or(-1))
            .int(self.code_until_ms.unwrap_or(-1))
            .optional(id(self.vetter).as_deref())
            .optional(id(self.second).as_deref())
            .text(level(self.vouched))
            .int(self.security_features.into())
            .text(level(self.level))
            .int(self.acted_at_ms)
            .finish()
    }

    /// Ends an enrolment whose code is over before its vetting has begun, or which nobody has touched for
    /// [`IDLE_MS`]; otherwise leaves it.
    #[must_use]
    pub fn aged(self, now: &Now) -> Self {
        let waits = matches!(self.state, State::CodeIssued | State::Scheduled);
        let code_over = waits && self.code_until_ms.is_some_and(|end| now.steady_ms >= end);
        let idle = now.steady_ms.saturating_sub(self.acted_at_ms) >= IDLE_MS;
        if self.state.is_open() && (code_over || idle) {
            Progress { state: State::Expired, ..self }
        } else {
            self
        }
    }

    /// Whether the user has to be looked at again before the vetting (D-51).
    pub fn is_stale(&self, now: &Now) -> bool {
        self.eligible_at_ms.is_none_or(|at| now.steady_ms.saturating_sub(at) > ELIGIBLE_MS)
    }

    pub(super) fn did(self, state: State, activity: Activity, now: &Now) -> Self {
        Progress { state, done: self.done.with(activity), acted_at_ms: now.steady_ms, ..self }
    }
}
