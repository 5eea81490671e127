//! What a user can log in with, as operators see it (MOB-29): no secret, and numbers masked unless the configuration
//! says otherwise (MOB-38).

use domain::letter::Kind;
use domain::names::UserName;
use domain::role::Right;
use domain::token::{Class, Lifecycle};

use super::{Caller, FlowError, OPERATOR, users};
use crate::appliance::Appliance;
use crate::store::letter::{self, LetterRow};
use crate::store::phone::{self, PhoneRow};
use crate::store::token::{self, TokenRow};
use crate::store::user::UserRow;

/// A user's methods.
pub struct Methods {
    /// The user; whether password, e-mail and address exist is seen from it.
    pub user: UserRow,
    /// The number that is bound.
    pub phone: Option<Bound>,
    /// Living tokens.
    pub tokens: Vec<TokenRow>,
    /// Open letters.
    pub letters: Vec<LetterRow>,
}

/// A number that is bound.
pub struct Bound {
    /// The row.
    pub row: PhoneRow,
    /// Its last digits.
    pub masked: String,
    /// The number, for operators who may change it, where the configuration does not mask (MOB-38).
    pub number: Option<String>,
}

impl Methods {
    /// Living tokens of a class.
    pub fn of_class(&self, class: Class) -> impl Iterator<Item = &TokenRow> {
        self.tokens.iter().filter(move |token| token.class == class)
    }
}

/// Looks a user's methods up.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; when HSM or store cannot answer.
pub fn of_user(app: &Appliance, caller: &Caller, name: &UserName) -> Result<Methods, FlowError> {
    let user = users::find(app, name)?;
    let (bound, tokens, letters) = app.store.read(|c| {
        let letters = Kind::ALL.into_iter().filter_map(|kind| letter::open_of(c, &user.id, kind).transpose());
        Ok((
            phone::of_user(c, &user.id)?,
            token::of_user(c, &user.id)?,
            letters.collect::<Result<Vec<_>, _>>()?,
        ))
    })?;
    let phone = bound.map(|row| -> Result<Bound, FlowError> {
        let number = users::open_number(app, &user, &row.number)?;
        let whole = !app.config.people.notices.mask_for_admins
            && caller.actor.kind == OPERATOR
            && caller.rights.has(Right::WriteUsers);
        let masked = number.masked();
        Ok(Bound { row, masked, number: whole.then(|| number.expose().to_owned()) })
    });
    let tokens = tokens.into_iter().filter(|token| token.state.lifecycle != Lifecycle::Revoked).collect();
    Ok(Methods { phone: phone.transpose()?, user, tokens, letters })
}
