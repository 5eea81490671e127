//! Acts of two persons: one asks, another says yes, and the act happens once.
//!
//! What was asked for stands in the approval word for word, under a MAC of the HSM, so that the second person says
//! yes to what the first one asked.

use thiserror::Error;

use crate::canonical::Canonical;
use crate::role::{BREAK_GLASS, Right, named};
use crate::token::Id;

named! {
    /// An act that the configuration may give to two persons.
    Kind {
        /// A token from stock becomes somebody's.
        AssignToken = "token.assign",
        /// A hardware token erases everything of its owner.
        WipeDevice = "device.wipe",
        /// A hardware token goes back into stock.
        ReturnDevice = "device.return",
        /// Tokens of a batch are provisioned.
        OpenBatch = "batch.open",
        /// A user becomes an operator.
        AddOperator = "operator.add",
        /// An operator is one no more.
        RevokeOperator = "operator.revoke",
        /// An operator gets or loses a role.
        ChangeRoles = "operator.roles",
        /// An application gets a key.
        AddApplication = "application.add",
        /// An operator sees the secret of a user's OATH account.
        ViewSecret = "oath.view_secret",
    }
}

/// What a yes brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The act is done with it.
    AtOnce,
    /// Who asked may do the act, once: it needs a device at the port, or answers with a secret.
    Once,
    /// The act stands open until the approval's time is over.
    Lasting,
}

impl Kind {
    /// What both persons need.
    pub fn right(self) -> Right {
        match self {
            Kind::AssignToken => Right::WriteTokens,
            Kind::WipeDevice | Kind::ReturnDevice | Kind::OpenBatch => Right::Provision,
            Kind::AddOperator | Kind::RevokeOperator | Kind::ChangeRoles => Right::Operators,
            Kind::AddApplication => Right::Administer,
            Kind::ViewSecret => Right::ViewSecret,
        }
    }

    /// What a yes brings.
    pub fn effect(self) -> Effect {
        match self {
            Kind::AssignToken | Kind::AddOperator | Kind::RevokeOperator | Kind::ChangeRoles => {
                Effect::AtOnce
            }
            Kind::WipeDevice | Kind::ReturnDevice | Kind::AddApplication | Kind::ViewSecret => Effect::Once,
            Kind::OpenBatch => Effect::Lasting,
        }
    }
}

named! {
    /// Where an approval stands.
    State {
        /// For a second person.
        Waiting = "waiting",
        /// There was a yes, and the act is not done yet or stands open.
        Approved = "approved",
        /// There was a no.
        Denied = "denied",
        /// Its time was over first.
        Expired = "expired",
        /// The act is done.
        Done = "done",
    }
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The name in events.
    pub name: String,
    /// The roles in events.
    pub role: String,
}

impl Party {
    /// Whether this may be the same person. Whoever acts as break-glass may be anybody with root's password, so all
    /// of them are one.
    pub fn is_same(&self, other: &Party) -> bool {
        self.name == other.name || (self.role == BREAK_GLASS && other.role == BREAK_GLASS)
    }
}

/// Why an approval does not become what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Who asked says yes.
    #[error("a second person must approve it, not the one who asked")]
    Own,
    /// It is decided, used or expired.
    #[error("it is {} already", .0.name())]
    Settled(State),
}

/// An act that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The handle.
    pub id: Id,
    /// Which act.
    pub kind: Kind,
    /// Its arguments, in their one spelling.
    pub arguments: String,
    /// Who asked.
    pub requested_by: Party,
    /// Unix milliseconds.
    pub requested_at: i64,
    /// Unix milliseconds; counted anew from a yes.
    pub expires_at: i64,
    /// Where it stands.
    pub state: State,
    /// Who said yes or no.
    pub decided_by: Option<Party>,
    /// Unix milliseconds.
    pub decided_at: Option<i64>,
}

impl Approval {
    /// A second person says yes.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn approve(self, by: Party, now_ms: i64, life_ms: i64) -> Result<Self, Refusal> {
        let current = self.open_at(now_ms)?;
        if current.state != State::Waiting {
            return Err(Refusal::Settled(current.state));
        }
        if current.requested_by.is_same(&by) {
            return Err(Refusal::Own);
        }
        let (state, expires_at) = match current.kind.effect() {
            Effect::AtOnce => (State::Done, current.expires_at),
            Effect::Once | Effect::Lasting => (State::Approved, now_ms.saturating_add(life_ms)),
        };
        Ok(Approval { state, expires_at, decided_by: Some(by), decided_at: Some(now_ms), ..current })
    }

    /// Somebody, also who asked, says no; also after a yes, as long as the act is not done.
    ///
    /// # Errors
    /// [`Refusal::Settled`].
    pub fn deny(self, by: Party, now_ms: i64) -> Result<Self, Refusal> {
        let current = self.open_at(now_ms)?;
        Ok(Approval { state: State::Denied, decided_by: Some(by), decided_at: Some(now_ms), ..current })
    }

    /// Who asked does what was approved.
    ///
    /// # Errors
    /// [`Refusal::Settled`].
    pub fn use_up(self, now_ms: i64) -> Result<Self, Refusal> {
        let current = self.open_at(now_ms)?;
        match (current.state, current.kind.effect()) {
            (State::Approved, Effect::Once) => Ok(Approval { state: State::Done, ..current }),
            (state, _) => Err(Refusal::Settled(state)),
        }
    }

    /// The same, expired, once its time is over before it came to an end.
    pub fn expire(self, now_ms: i64) -> Option<Self> {
        let is_open = matches!(self.state, State::Waiting | State::Approved);
        (is_open && self.expires_at <= now_ms).then_some(Approval { state: State::Expired, ..self })
    }

    fn open_at(self, now_ms: i64) -> Result<Self, Refusal> {
        match self.state {
            State::Waiting | State::Approved if self.expires_at > now_ms => Ok(self),
            State::Waiting | State::Approved => Err(Refusal::Settled(State::Expired)),
            state => Err(Refusal::Settled(state)),
        }
    }

    /// What the MAC covers: everything.
    pub fn bytes(&self) -> Vec<u8> {
        let decided = |part: fn(&Party) -> &str| self.decided_by.as_ref().map(|by| part(by).as_bytes());
        Canonical::new("countersign approval 1")
            .bytes(&self.id)
            .text(self.kind.name())
            .text(&self.arguments)
            .text(&self.requested_by.name)
            .text(&self.requested_by.role)
            .int(self.requested_at)
            .int(self.expires_at)
            .text(self.state.name())
            .optional(decided(|by| &by.name))
            .optional(decided(|by| &by.role))
            .optional(self.decided_at.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: i64 = 1_000;

    fn party(name: &str, role: &str) -> Party {
        Party { name: name.to_owned(), role: role.to_owned() }
    }

    fn waiting(kind: Kind) -> Approval {
        Approval {
            id: [7; 16],
            kind,
            arguments: "{}".to_owned(),
            requested_by: party("ann", "admin"),
            requested_at: 0,
            expires_at: LIFE,
            state: State::Waiting,
            decided_by: None,
            decided_at: None,
        }
    }

    /// A24: the same person twice is one person.
    #[test]
    fn nobody_approves_an_own_act() {
        let asked = waiting(Kind::AssignToken);
        assert_eq!(asked.clone().approve(party("ann", "admin+ra"), 1, LIFE), Err(Refusal::Own));
        let root = Approval { requested_by: party("uid 0", BREAK_GLASS), ..asked.clone() };
        assert_eq!(root.clone().approve(party("uid 998", BREAK_GLASS), 1, LIFE), Err(Refusal::Own));
        assert!(root.approve(party("ann", "admin"), 1, LIFE).is_ok());
        assert!(asked.approve(party("uid 0", BREAK_GLASS), 1, LIFE).is_ok());
    }

    /// Every state against every step, for each effect of a yes.
    #[test]
    fn an_approval_comes_to_one_end() {
        let bob = || party("bob", "admin");
        for kind in Kind::ALL {
            let after_yes = if kind.effect() == Effect::AtOnce { State::Done } else { State::Approved };
            for state in State::ALL {
                let at = |now: i64| {
                    let from = Approval { state: *state, ..waiting(*kind) };
                    [
                        from.clone().approve(bob(), now, LIFE).map(|next| next.state).ok(),
                        from.clone().deny(bob(), now).map(|next| next.state).ok(),
                        from.clone().use_up(now).map(|next| next.state).ok(),
                        from.expire(now).map(|next| next.state),
                    ]
                };
                let in_time = match state {
                    State::Waiting => [Some(after_yes), Some(State::Denied), None, None],
                    State::Approved => {
                        let used = (kind.effect() == Effect::Once).then_some(State::Done);
                        [None, Some(State::Denied), used, None]
                    }
                    State::Denied | State::Expired | State::Done => [None; 4],
                };
                let is_open = matches!(state, State::Waiting | State::Approved);
                assert_eq!(at(LIFE - 1), in_time, "{} {}", kind.name(), state.name());
                let late = [None, None, None, is_open.then_some(State::Expired)];
                assert_eq!(at(LIFE), late, "{} {}, too late", kind.name(), state.name());
            }
        }
    }

    #[test]
    fn every_field_is_under_the_mac() {
        let asked = waiting(Kind::AssignToken);
        let decided = asked.clone().approve(party("bob", "admin"), 1, LIFE).unwrap();
        let changed = [
            Approval { id: [8; 16], ..asked.clone() },
            Approval { kind: Kind::WipeDevice, ..asked.clone() },
            Approval { arguments: "{ }".to_owned(), ..asked.clone() },
            Approval { requested_by: party("bob", "admin"), ..asked.clone() },
            Approval { requested_by: party("ann", ""), ..asked.clone() },
            Approval { requested_at: 1, ..asked.clone() },
            Approval { expires_at: 1, ..asked.clone() },
            Approval { state: State::Done, ..asked.clone() },
            Approval { decided_by: decided.decided_by.clone(), ..asked.clone() },
            Approval { decided_at: Some(1), ..asked.clone() },
        ];
        for (n, other) in changed.iter().enumerate() {
            assert_ne!(other.bytes(), asked.bytes(), "{n}");
        }
    }
}
