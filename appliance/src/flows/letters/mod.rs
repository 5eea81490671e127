//! Activation letters: from the order to one of their ends, and their keys judged (B.5.2, D-02, D-03).
//!
//! A key exists in clear between its drawing and the rename of its file; the store holds its HMAC. Each step is one
//! conditional write on the MAC of the state that was loaded: of two at once, one wins.

use domain::event::{Actor, Event};
use domain::iak::Iak;
use domain::letter::{Kind, LetterError, Progress};
use domain::names::ApplicationName;
use domain::time::Now;
use domain::token::Id;
use hsm::MacPurpose;
use subtle::ConstantTimeEq;

use super::{Caller, FlowError, handle};
use crate::appliance::Appliance;
use crate::config::people::LetterKind;
use crate::store::letter::{self, LetterRow};
use crate::store::{StoreError, Writing, event};

mod acts;
mod address;
mod files;
pub mod keep;
mod order;
mod press;
mod render;
mod used;

pub use acts::{View, cancel, hand_over, list, show, view};
pub use address::Address;
pub use order::{NewOrder, order};
pub(crate) use order::{delivery_to, for_new_token, for_new_user, order_for, with_token};
pub(crate) use press::program;
pub use render::{Run, generate, run};
pub(crate) use used::{end, of_ended, used_by};

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3_600_000;

/// What the HSM is asked about when there is no letter or no key.
const NO_KEY: &[u8] = b"------------";

/// The HMAC of a key, as the letter's row holds it.
pub(crate) fn key_data(letter: &Id, key: &[u8]) -> Vec<u8> {
    [b"countersign activation key 1".as_slice(), letter, key].concat()
}

/// The MACs of a letter's present progress and of another one; the present one is checked.
pub(crate) fn next_mac(app: &Appliance, row: &LetterRow, next: &LetterRow) -> Result<[u8; 32], FlowError> {
    let data = vec![row.bytes(&row.progress), next.bytes(&next.progress)];
    match app.hsm.mac(MacPurpose::State, data)?.as_slice() {
        [present, next] if *present == row.state_mac => Ok(*next),
        _ => Err(FlowError::Tampered { what: "the state", which: handle(&row.order.id) }),
    }
}

/// A letter as it was loaded, and what it becomes under a MAC of its own.
pub(crate) struct Step {
    loaded: LetterRow,
    next: LetterRow,
}

impl Step {
    fn new(app: &Appliance, loaded: LetterRow, next: LetterRow) -> Result<Self, FlowError> {
        let state_mac = next_mac(app, &loaded, &next)?;
        Ok(Step { loaded, next: LetterRow { state_mac, ..next } })
    }

    /// A step that changes nothing but where the letter stands.
    fn to(app: &Appliance, loaded: LetterRow, progress: Progress) -> Result<Self, FlowError> {
        let next = LetterRow { progress, ..loaded.clone() };
        Self::new(app, loaded, next)
    }

    /// Takes the step; false when the letter had moved.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn take(&self, writing: &mut Writing<'_>, at_ms: i64) -> Result<bool, StoreError> {
        letter::put(writing, &self.loaded, &self.next, at_ms)
    }

    /// Takes the step and writes its event, or gives the conflict.
    fn save(self, app: &Appliance, event: Event) -> Result<LetterRow, FlowError> {
        let at = app.clock.now().wall_ms;
        let next = self.next.clone();
        app.store.write(move |w| {
            if !self.take(w, at)? {
                return Err(StoreError::Changed("the letter"));
            }
            event::append(w, &event).map(drop)
        })?;
        Ok(next)
    }
}

/// An event about a letter.
fn about(event: Event, row: &LetterRow, user_ref: &str) -> Event {
    event
        .about("user_ref", user_ref)
        .about("letter", handle(&row.order.id))
        .about("kind", row.order.kind.name())
}

fn conflict(error: LetterError) -> FlowError {
    FlowError::Conflict(error.to_string())
}

fn settings(app: &Appliance, kind: Kind) -> &LetterKind {
    match kind {
        Kind::SmsIak => &app.config.people.letters.sms_iak,
        Kind::Oath => &app.config.people.letters.oath,
    }
}

/// The scheduler, where acts ask who does them.
pub fn scheduler() -> Caller {
    let name = ApplicationName::parse("scheduler").expect("a name");
    Caller::without_rights([0; 16], name, Actor::system("scheduler"))
}

/// Whether a user has a letter whose key works now.
///
/// # Errors
/// When the store cannot answer.
pub(crate) fn is_usable(app: &Appliance, user: &Id, kind: Kind) -> Result<bool, FlowError> {
    let now = app.clock.now();
    let open = app.store.read(|c| letter::open_of(c, user, kind))?;
    Ok(open.is_some_and(|row| row.progress.is_usable(&now)))
}

/// A key that was typed, compared; nothing is saved.
pub(crate) struct Judged {
    /// Whether it is the key of the user's letter, and that letter can be used.
    pub(crate) right: bool,
    ways: Option<Ways>,
}

struct Ways {
    loaded: LetterRow,
    consumed: LetterRow,
    missed: LetterRow,
}

impl Judged {
    /// The letter and what it becomes when its key is used; none when it was not right.
    pub(crate) fn consumed(self) -> Option<(LetterRow, LetterRow)> {
        let right = self.right;
        self.ways.filter(|_| right).map(|ways| (ways.loaded, ways.consumed))
    }

    /// The letter and what it becomes after a wrong key; none without a letter that could be used.
    pub(crate) fn missed(self) -> Option<(LetterRow, LetterRow)> {
        self.ways.map(|ways| (ways.loaded, ways.missed))
    }
}

/// Compares a key with the user's open letter: the same work whatever there is (D-03).
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(crate) fn judge(
    app: &Appliance,
    user: &Id,
    kind: Kind,
    typed: &str,
    now: &Now,
) -> Result<Judged, FlowError> {
    let attempts_max = settings(app, kind).max_attempts;
    let open = app.store.read(|c| letter::open_of(c, user, kind))?;
    let open = open.filter(|row| row.progress.is_usable(now));
    let key = Iak::parse(typed).ok();
    let typed = key.as_ref().map_or(NO_KEY, |key| key.expose().as_slice());
    let id = open.as_ref().map_or([0; 16], |row| row.order.id);
    let macs = app.hsm.mac(MacPurpose::Lookup, vec![key_data(&id, typed)])?;
    let mac = macs.first().ok_or(hsm::HsmError::Protocol)?;
    let Some(loaded) = open else {
        // As much work as for a letter.
        let decoy = vec![NO_KEY.to_vec(), NO_KEY.to_vec()];
        app.hsm.mac(MacPurpose::State, decoy.clone())?;
        app.hsm.mac(MacPurpose::State, decoy)?;
        return Ok(Judged { right: false, ways: None });
    };
    let right = key.is_some() && loaded.key_mac.is_some_and(|stored| stored.ct_eq(mac).into());
    let to = |progress: Progress| -> Result<LetterRow, FlowError> {
        let next = LetterRow { progress, ..loaded.clone() };
        let state_mac = next_mac(app, &loaded, &next)?;
        Ok(LetterRow { state_mac, ..next })
    };
    let consumed = to(loaded.progress.consumed(now).map_err(conflict)?)?;
    let missed = to(loaded.progress.missed(attempts_max, now).map_err(conflict)?)?;
    Ok(Judged { right, ways: Some(Ways { loaded, consumed, missed }) })
}
