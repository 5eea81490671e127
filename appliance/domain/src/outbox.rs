//! Life of a message on its way to a modem.
//!
//! `sending` is durable before the first byte of a PDU leaves. Whoever starts finds every `sending` of the
//! former run and makes it `unknown`: it may have gone out, so it is never sent again.

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for a modem.
    Queued,
    /// A modem has it; bytes may have left.
    Sending,
    /// The modem acknowledged every part.
    Sent,
    /// The network reported delivery.
    Delivered,
    /// Refused; not on its way.
    Failed,
    /// Too late to be worth sending.
    Expired,
    /// It may or may not have gone out.
    Unknown,
}

impl State {
    const ALL: [State; 7] = [
        State::Queued,
        State::Sending,
        State::Sent,
        State::Delivered,
        State::Failed,
        State::Expired,
        State::Unknown,
    ];

    /// The state as the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Sent => "sent",
            State::Delivered => "delivered",
            State::Failed => "failed",
            State::Expired => "expired",
            State::Unknown => "unknown",
        }
    }

    /// Reads what [`State::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// All states, for counts.
    pub fn all() -> impl Iterator<Item = State> {
        Self::ALL.into_iter()
    }

    /// Whether a message may go from here to `to`.
    pub fn may_become(self, to: State) -> bool {
        use State::{Delivered, Expired, Failed, Queued, Sending, Sent, Unknown};
        matches!(
            (self, to),
            (Queued, Sending | Expired | Failed)
                | (Sending, Queued | Sent | Failed | Unknown)
                | (Sent | Unknown, Delivered)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unknown_is_ever_sent_again() {
        assert!(!State::Unknown.may_become(State::Queued));
        assert!(!State::Unknown.may_become(State::Sending));
        assert!(!State::Sent.may_become(State::Sending));
        assert!(State::Sending.may_become(State::Unknown));
        for state in State::all() {
            assert_eq!(State::from_name(state.name()), Some(state));
            assert!(!state.may_become(state));
        }
    }
}
