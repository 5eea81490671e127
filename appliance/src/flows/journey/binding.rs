//! A number that is about to be bound, its level, and the enrolment behind it (D-56).

use domain::journey::{Entered, Evidence};

use super::kept::Walk;
use crate::flows::enrol::{self, ByLetter};
use crate::flows::phones::{self, VERIFIED};
use crate::flows::{FlowError, handle};
use crate::store::letter::LetterRow;
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, phone};

/// Highest level of a number that another factor has shown the way for (B.6).
const SHOWN_LOA: f64 = 2.0;
/// Level of a number that was registered on the word of the first factor alone (BIND-40).
const SELF_ASSERTED_LOA: f64 = 1.5;

/// A number with everything that is written with it.
pub(super) struct Binding {
    /// The row.
    pub(super) row: PhoneRow,
    /// The end of the binding of the number in whose place it comes.
    ended: enrol::Replaced,
    /// Its own enrolment, where a letter's key was right.
    enrolled: Option<ByLetter>,
}

impl Binding {
    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another act was first; SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.ended.write(writing)?;
        phone::put(writing, &self.row)?;
        self.enrolled.as_ref().map_or(Ok(()), |enrolled| enrolled.write(writing))
    }
}

impl Walk<'_> {
    /// The number that was entered, as it is to be bound; none where the rules of enrolments say no to the letter.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
    pub(super) fn binding(
        &self,
        entered: &Entered,
        owner: &UserRow,
        former: Option<&PhoneRow>,
        letter: Option<&LetterRow>,
    ) -> Result<Option<Binding>, FlowError> {
        let (app, at) = (self.app, self.now.wall_ms);
        let shown: Vec<&str> = self.kept.journey.evidence.iter().map(|evidence| evidence.name()).collect();
        let id = former.map_or(entered.phone, |former| former.id);
        let ended = enrol::replaced(app, &self.caller, &[id], enrol::Why::ByUser)?;
        // The letter is one method of the engine of enrolments: the level comes from there.
        let by_letter = |letter| enrol::by_letter(app, &self.caller, owner, letter, &id, &shown.join("+"));
        let enrolled = letter.map(by_letter).transpose()?.flatten();
        if letter.is_some() && enrolled.is_none() {
            return Ok(None);
        }
        let loa = match &enrolled {
            Some(enrolled) => enrolled.level.value(),
            None if self.kept.journey.evidence.contains(&Evidence::Otp) => {
                self.kept.journey.loa.min(SHOWN_LOA)
            }
            None => SELF_ASSERTED_LOA,
        };
        let evidence = serde_json::json!({
            "otp_at": at,
            "letter": letter.map(|letter| handle(&letter.order.id)),
            "shown": shown,
            "enrolment": enrolled.as_ref().map(ByLetter::handle),
        });
        let lookup = <[u8; 32]>::try_from(entered.lookup.as_slice());
        let row = PhoneRow {
            id,
            user_id: owner.id,
            number: entered.number.clone(),
            number_lookup: lookup
                .map_err(|_| FlowError::Tampered { what: "the flow", which: handle(&self.row.id) })?,
            state: VERIFIED.to_owned(),
            source: if former.is_some() { "change" } else { "self_registration" }.to_owned(),
            evidence: evidence.to_string(),
            loa,
            registered_at: at,
            mac: None,
        };
        Ok(Some(Binding { row: phones::sealed(app, row)?, ended, enrolled }))
    }
}
