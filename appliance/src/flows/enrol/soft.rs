//! An app gets a token of its own for an enrolment: pending until the binding takes effect, and gone with an enrolment that
//! does not get there (B.5.5, BIND-21, D-50).

use domain::enrol::{Activity, Factor, State};
use domain::token::{Id, Lifecycle};
use zeroize::Zeroizing;

use super::phone::PhoneEnd;
use super::token_end::TokenEnd;
use super::view::{self, View};
use super::work::{Doing, Work};
use crate::appliance::Appliance;
use crate::flows::tokens::{self, NewToken};
use crate::flows::{Caller, FlowError, oath};
use crate::store::{StoreError, Writing, push_device, token};

/// A token that an app has yet to show.
pub struct Made {
    /// The enrolment.
    pub view: View,
    /// Its serial.
    pub serial: String,
    /// What the app scans; shown once.
    pub uri: Zeroizing<String>,
}

/// Makes the token, as the configuration describes those of apps (OATH-18).
///
/// # Errors
/// [`FlowError::Enrol`] where it is not the time, or another factor was chosen; [`FlowError::Conflict`] for a user with
/// as many as there may be.
pub fn make(app: &Appliance, caller: &Caller, id: &Id) -> Result<Made, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    if matches!(work.progress().state, State::Vetting | State::Vetted) {
        work.same_vetter("enrol.token_made")?;
    } else {
        work.for_who_shows("enrol.token_made")?;
    }
    let doing = Doing::new("enrol.token_made", Activity::Selection);
    // Nothing is made where it is not the time.
    if let Err(refusal) = work.progress().made(&work.now, Factor::Soft, [0; 16]) {
        return Err(work.refuse(doing, refusal)?);
    }
    let policy = oath::policy(app)?;
    let new = NewToken { user: work.owner.name.clone(), policy, counter: 0, secret: None, issuer: None };
    let (row, uri) = tokens::made(app, caller, &work.owner, &new, Lifecycle::Pending)?;
    let serial = row.serial.to_string();
    let judged = work.progress().made(&work.now, Factor::Soft, row.id);
    work.go(doing.about("token", serial.as_str()).input(serial.as_bytes()), judged)?;
    let saved = work.commit(move |w| token::insert(w, &row))?;
    Ok(Made { view: view::of(app, caller, saved)?, serial, uri })
}

/// The end of a token that was made, or a phone that was registered, for an enrolment which does not take effect.
pub(super) struct Unmade {
    token: Option<TokenEnd>,
    phone: Option<PhoneEnd>,
}

impl Unmade {
    /// Of what the enrolment held when it was loaded.
    ///
    /// # Errors
    /// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
    pub(super) fn of(work: &Work<'_>) -> Result<Self, FlowError> {
        let Some(item) = work.held() else { return Ok(Unmade { token: None, phone: None }) };
        let (app, caller, owner) = (work.app, work.caller, &work.owner);
        let (token, phone) =
            app.store.read(|c| Ok((token::by_id(c, &item)?, push_device::by_id(c, &item)?)))?;
        let token = token.filter(|row| row.state.lifecycle == Lifecycle::Pending);
        let phone = phone.filter(|row| row.lifecycle == Lifecycle::Pending);
        Ok(Unmade {
            token: token.map(|row| TokenEnd::of(app, caller, owner, row)).transpose()?,
            phone: phone.map(|row| PhoneEnd::of(app, caller, owner, row)).transpose()?,
        })
    }

    /// Revokes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it has moved; SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.token.iter().try_for_each(|end| end.write(writing))?;
        self.phone.iter().try_for_each(|end| end.write(writing))
    }
}
