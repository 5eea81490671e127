//! Activation letters (B.5.2): from the order to one of their ends.

use crate::canonical::Canonical;
use crate::time::Now;
use crate::token::Id;
use thiserror::Error;

/// Renderings that may fail before a letter is given up.
pub const RENDERS_MAX: u32 = 3;

/// What a letter activates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A phone number, by the activation key in the letter (MOB-02).
    SmsIak,
    /// An authenticator app, by the QR code in the letter (OATH-28).
    Oath,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 2] = [Kind::SmsIak, Kind::Oath];

    /// The kind as the API, the command line and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SmsIak => "sms-iak",
            Kind::Oath => "oath",
        }
    }

    /// Reads what [`Kind::name`] wrote; `sms_iak` too.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name.replace('_', "-"))
    }
}

/// How a letter reaches its user (MOB-06).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By post: the user needs an address (MOB-27).
    Post,
    /// Handed over, after an operator has checked who takes it (D-05).
    Hand,
}

impl Delivery {
    /// The delivery as the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Delivery::Post => "post",
            Delivery::Hand => "hand",
        }
    }

    /// Reads what [`Delivery::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        [Delivery::Post, Delivery::Hand].into_iter().find(|delivery| delivery.name() == name)
    }
}

/// Where a letter stands. The last six are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits to be typeset.
    Ordered,
    /// It is typeset; its key works, posted or not.
    Rendered,
    /// It was posted or handed over.
    Delivered,
    /// Its key, or its QR code, was used.
    Consumed,
    /// Its time is over.
    Expired,
    /// Its key was guessed at too often.
    Burnt,
    /// An operator took it back.
    Cancelled,
    /// A newer letter took its place.
    Superseded,
    /// It could not be typeset.
    Failed,
}

impl State {
    const ALL: [State; 9] = [
        State::Ordered,
        State::Rendered,
        State::Delivered,
        State::Consumed,
        State::Expired,
        State::Burnt,
        State::Cancelled,
        State::Superseded,
        State::Failed,
    ];

    /// The state as the API and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            State::Ordered => "ordered",
            State::Rendered => "rendered",
            State::Delivered => "delivered",
            State::Consumed => "consumed",
            State::Expired => "expired",
            State::Burnt => "burnt",
            State::Cancelled => "cancelled",
            State::Superseded => "superseded",
            State::Failed => "failed",
        }
    }

    /// Reads what [`State::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing can change it any more.
    pub fn is_final(self) -> bool {
        !matches!(self, State::Ordered | State::Rendered | State::Delivered)
    }
}

/// What is fixed when a letter is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Row id.
    pub id: Id,
    /// For whom.
    pub user: Id,
    /// What it activates.
    pub kind: Kind,
    /// How it gets there.
    pub delivery: Delivery,
}

/// What moves in a letter; the HSM's state MAC covers it together with the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// Renderings that failed.
    pub renders_failed: u32,
    /// Wrong keys (MOB-34).
    pub attempts: u32,
    /// End of its life in steady Unix milliseconds; none before it is typeset.
    pub valid_until_ms: Option<i64>,
}

/// A step that the state does not allow.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the letter is {0}")]
pub struct LetterError(pub &'static str);

impl Progress {
    /// A new order.
    pub fn ordered() -> Self {
        Progress { state: State::Ordered, renders_failed: 0, attempts: 0, valid_until_ms: None }
    }

    /// The bytes under the state MAC; `key_mac` is the HMAC of the activation key.
    pub fn bytes(&self, order: &Order, key_mac: Option<&[u8; 32]>) -> Vec<u8> {
        Canonical::new("countersign letter 1")
            .bytes(&order.id)
            .bytes(&order.user)
            .text(order.kind.name())
            .text(order.delivery.name())
            .optional(key_mac.map(|mac| mac.as_slice()))
            .text(self.state.name())
            .int(self.renders_failed.into())
            .int(self.attempts.into())
            .int(self.valid_until_ms.unwrap_or(-1))
            .finish()
    }

    /// It is typeset and its file written: from now on its key works.
    ///
    /// # Errors
    /// [`LetterError`] unless it waits for that.
    pub fn rendered(self, valid_until_ms: i64) -> Result<Self, LetterError> {
        self.from(&[State::Ordered])?;
        Ok(Progress { state: State::Rendered, valid_until_ms: Some(valid_until_ms), ..self })
    }

    /// It could not be typeset: it waits for the next run, or is given up after [`RENDERS_MAX`].
    ///
    /// # Errors
    /// [`LetterError`] unless it waits to be typeset.
    pub fn render_failed(self) -> Result<Self, LetterError> {
        self.from(&[State::Ordered])?;
        let renders_failed = self.renders_failed.saturating_add(1);
        let state = if renders_failed >= RENDERS_MAX { State::Failed } else { State::Ordered };
        Ok(Progress { state, renders_failed, ..self })
    }

    /// It was posted or handed over.
    ///
    /// # Errors
    /// [`LetterError`] unless it is typeset.
    pub fn delivered(self) -> Result<Self, LetterError> {
        self.from(&[State::Rendered])?;
        Ok(Progress { state: State::Delivered, ..self })
    }

    /// Its key, or its QR code, was used.
    ///
    /// # Errors
    /// [`LetterError`] unless it [is usable](Self::is_usable).
    pub fn consumed(self, now: &Now) -> Result<Self, LetterError> {
        if !self.is_usable(now) {
            return Err(LetterError(self.aged(now).state.name()));
        }
        Ok(Progress { state: State::Consumed, ..self })
    }

    /// A wrong key was typed; the last one of `attempts_max` burns the letter.
    ///
    /// # Errors
    /// [`LetterError`] unless it [is usable](Self::is_usable).
    pub fn missed(self, attempts_max: u32, now: &Now) -> Result<Self, LetterError> {
        if !self.is_usable(now) {
            return Err(LetterError(self.aged(now).state.name()));
        }
        let attempts = self.attempts.saturating_add(1);
        let state = if attempts >= attempts_max { State::Burnt } else { self.state };
        Ok(Progress { state, attempts, ..self })
    }

    /// An operator takes it back (MOB-35): its key is dead.
    ///
    /// # Errors
    /// [`LetterError`] once it has ended.
    pub fn cancelled(self) -> Result<Self, LetterError> {
        self.end(State::Cancelled)
    }

    /// A newer letter for the same user and kind takes its place (MOB-32).
    ///
    /// # Errors
    /// [`LetterError`] once it has ended.
    pub fn superseded(self) -> Result<Self, LetterError> {
        self.end(State::Superseded)
    }

    /// Ends a letter whose time is over; otherwise leaves it.
    pub fn aged(self, now: &Now) -> Self {
        let over = self.valid_until_ms.is_some_and(|end| now.steady_ms >= end);
        if over && !self.state.is_final() { Progress { state: State::Expired, ..self } } else { self }
    }

    /// Whether its key works: typeset, not ended, in time. Nobody need have recorded that it was posted.
    pub fn is_usable(&self, now: &Now) -> bool {
        matches!(self.aged(now).state, State::Rendered | State::Delivered)
    }

    fn end(self, state: State) -> Result<Self, LetterError> {
        self.from(&[State::Ordered, State::Rendered, State::Delivered])?;
        Ok(Progress { state, ..self })
    }

    fn from(&self, allowed: &[State]) -> Result<(), LetterError> {
        if allowed.contains(&self.state) { Ok(()) } else { Err(LetterError(self.state.name())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::BootId;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn at(steady_ms: i64) -> Now {
        Now { wall_ms: steady_ms, steady_ms, boot: BootId([1; 16]), boot_ms: 0 }
    }

    fn rendered() -> Progress {
        Progress::ordered().rendered(21 * DAY).unwrap()
    }

    /// MOB-34: the key works up to the last moment of its validity.
    #[test]
    fn a_letter_ages() {
        assert!(!Progress::ordered().is_usable(&at(0)));
        assert!(rendered().is_usable(&at(21 * DAY - 1)));
        assert!(rendered().delivered().unwrap().is_usable(&at(0)));
        assert_eq!(rendered().aged(&at(21 * DAY)).state, State::Expired);
        assert_eq!(rendered().consumed(&at(21 * DAY)), Err(LetterError("expired")));
    }

    /// MOB-32: a key works once. MOB-34: five wrong ones burn the letter.
    #[test]
    fn a_key_works_once_and_burns() {
        let used = rendered().consumed(&at(0)).unwrap();
        assert_eq!(used.consumed(&at(0)), Err(LetterError("consumed")));
        let burnt = (0..5).fold(rendered(), |letter, _| letter.missed(5, &at(0)).unwrap());
        assert_eq!(burnt.state, State::Burnt);
        assert_eq!(burnt.consumed(&at(0)), Err(LetterError("burnt")));
    }

    /// B.5.2: three failed renderings give a letter up.
    #[test]
    fn a_letter_that_cannot_be_typeset_is_given_up() {
        let twice = Progress::ordered().render_failed().unwrap().render_failed().unwrap();
        assert_eq!(twice.state, State::Ordered);
        assert_eq!(twice.render_failed().unwrap().state, State::Failed);
    }

    /// MOB-32, MOB-35, B.5.2: an open letter can be taken back or replaced, an ended one stays as it ended.
    #[test]
    fn an_end_is_an_end() {
        for open in [Progress::ordered(), rendered(), rendered().delivered().unwrap()] {
            assert_eq!(open.cancelled().unwrap().state, State::Cancelled);
            assert_eq!(open.superseded().unwrap().state, State::Superseded);
        }
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            let ended = Progress { state, ..rendered() };
            assert!(ended.cancelled().is_err() && ended.superseded().is_err() && ended.delivered().is_err());
            assert!(ended.rendered(0).is_err() && ended.render_failed().is_err());
            assert!(!ended.is_usable(&at(0)));
            assert_eq!(ended.aged(&at(i64::MAX)).state, state);
        }
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(Kind::from_name("sms_iak"), Some(Kind::SmsIak));
    }

    #[test]
    fn the_state_bytes_cover_everything() {
        let order = Order { id: [1; 16], user: [2; 16], kind: Kind::SmsIak, delivery: Delivery::Post };
        let base = rendered().bytes(&order, None);
        let others = [
            rendered().bytes(&order, Some(&[0; 32])),
            Progress { attempts: 1, ..rendered() }.bytes(&order, None),
            rendered().delivered().unwrap().bytes(&order, None),
            rendered().bytes(&Order { user: [3; 16], ..order }, None),
            rendered().bytes(&Order { delivery: Delivery::Hand, ..order }, None),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
