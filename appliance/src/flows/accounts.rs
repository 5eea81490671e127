//! What an operator changes about a user's account: password, addresses, language, methods (B.5.10, D-61).
//!
//! Every change writes the account under a new MAC together with its event; what is refused is an event too.

use domain::event::Event;
use domain::method::Method;
use domain::names::UserName;
use zeroize::Zeroizing;

use super::users::{self, UserView, change_account};
use super::{Caller, FlowError, journey};
use crate::appliance::Appliance;
use crate::store::user::{Change, UserRow};

/// A change that an operator asks for; `None` takes away.
pub enum Wanted {
    /// The local password.
    Password(Option<Zeroizing<String>>),
    /// The e-mail address.
    Email(Option<String>),
    /// The postal address, a line each.
    Address(Option<Vec<String>>),
    /// The language tag.
    Lang(String),
}

/// Changes a user's account.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; [`FlowError::Invalid`] for a value that cannot be used;
/// [`FlowError::Tampered`] for an account that was changed outside the appliance.
pub fn change(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    wanted: Wanted,
) -> Result<UserView, FlowError> {
    let found = users::find(app, name)?;
    // Hashing takes its time: not under the lock.
    let wanted = match wanted {
        Wanted::Password(Some(password)) => Hashed::Password(journey::hash(app, &password)?),
        other => Hashed::Other(other),
    };
    let _order = app.lock_user(&found.id)?;
    let row = users::find(app, name)?;
    let (kind, change) = match wanted {
        Hashed::Password(hash) => {
            ("user.password_set", Change { password_hash: Some(Some(hash)), ..Change::default() })
        }
        Hashed::Other(wanted) => of(app, &row, wanted)?,
    };
    let event = app.event(kind, caller).about("user_ref", &row.user_ref);
    change_account(app, &row, &change, event)?;
    users::view(app, users::find(app, name)?)
}

enum Hashed {
    Password(String),
    Other(Wanted),
}

fn of(app: &Appliance, row: &UserRow, wanted: Wanted) -> Result<(&'static str, Change), FlowError> {
    let key = row.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    let none = Change::default();
    Ok(match wanted {
        Wanted::Password(_) => ("user.password_removed", Change { password_hash: Some(None), ..none }),
        Wanted::Email(None) => ("user.email_removed", Change { email: Some(None), ..none }),
        Wanted::Email(Some(email)) => {
            users::check_email(&email)?;
            let sealed = app.hsm.seal(key, &users::email_aad(&row.id), email.as_bytes())?;
            ("user.email_set", Change { email: Some(Some(sealed)), ..none })
        }
        Wanted::Address(None) => ("user.address_removed", Change { postal_address: Some(None), ..none }),
        Wanted::Address(Some(lines)) => {
            users::check_lines(&lines)?;
            let text = Zeroizing::new(lines.join("\n"));
            let sealed = app.hsm.seal(key, &users::address_aad(&row.id), text.as_bytes())?;
            ("user.address_set", Change { postal_address: Some(Some(sealed)), ..none })
        }
        Wanted::Lang(lang) => {
            users::check_lang(&lang)?;
            ("user.lang_set", Change { lang: Some(lang), ..none })
        }
    })
}

/// Sets the method in use, the one to move to, or both; a method that becomes the one in use is no longer the next.
///
/// # Errors
/// [`FlowError::Conflict`] for a next method that the configuration does not let operators choose (OATH-19), which is
/// an event; [`FlowError::Invalid`] for a next method that is the one in use.
pub fn set_methods(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    active: Option<Method>,
    next: Option<Option<Method>>,
) -> Result<UserRow, FlowError> {
    let found = users::find(app, name)?;
    let _order = app.lock_user(&found.id)?;
    let row = users::find(app, name)?;
    if next == Some(Some(Method::OathOtp)) && !app.config.people.oath.selectable_as_next {
        let at = app.clock.now().wall_ms;
        let event = Event::refused(at, "user.method_set", caller.actor.clone(), "not_selectable");
        app.refuse(event.about("user_ref", &row.user_ref).about("next", Method::OathOtp.name()))?;
        let text = "OATH_OTP cannot be made the next method here: oath.admin.selectable_as_next is false";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    let in_use = active.unwrap_or(row.active_method);
    if next.flatten() == Some(in_use) {
        return Err(FlowError::Invalid(format!(
            "{in_use} is the method in use: the next one must be another"
        )));
    }
    // Who has arrived moves no further.
    let next = next.or_else(|| (row.next_method == Some(in_use)).then_some(None));
    let change = Change { active_method: active, next_method: next, ..Change::default() };
    let after = change.applied(&row);
    let event = app
        .event("user.method_set", caller)
        .about("user_ref", &row.user_ref)
        .about("method", after.active_method.name())
        .about("next", after.next_method.map_or("none", Method::name));
    change_account(app, &row, &change, event)?;
    users::find(app, name)
}
