//! Users and their verified phone numbers.

use domain::names::UserName;
use domain::phone::Msisdn;
use domain::token::Id;
use hsm::MacPurpose;

use super::{Caller, FlowError, challenge};
use crate::appliance::Appliance;
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{event, limiter, phone, user};

/// Language of a user who has not said one.
const DEFAULT_LANG: &str = "en";
/// Longest language tag, in characters (RFC 5646 needs 35 for registered ones).
const LANG_MAX: usize = 35;
/// Level of assurance of a number that an operator or an application vouches for.
const VOUCHED_LOA: f64 = 2.0;

/// A user to add.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Name.
    pub name: UserName,
    /// Contact phone; it never authenticates (MOB-04).
    pub contact_phone: Option<Msisdn>,
    /// Language tag.
    pub lang: Option<String>,
}

/// A user as people may see it.
#[derive(Clone, Debug)]
pub struct UserView {
    /// The row.
    pub row: UserRow,
    /// Last digits of the verified number.
    pub phone_masked: Option<String>,
    /// Last digits of the contact phone.
    pub contact_masked: Option<String>,
}

/// What the seal of a phone number covers besides the number.
pub(crate) fn phone_aad(user: &Id) -> Vec<u8> {
    [b"countersign phone 1".as_slice(), user].concat()
}

fn contact_aad(user: &Id) -> Vec<u8> {
    [b"countersign contact phone 1".as_slice(), user].concat()
}

/// Adds a user with a key of its own.
///
/// # Errors
/// [`FlowError::Store`] with `Exists` when the name is taken; [`FlowError::Invalid`] for a language tag that
/// is none.
pub fn add(app: &Appliance, caller: &Caller, new: NewUser) -> Result<UserView, FlowError> {
    let contact_masked = new.contact_phone.as_ref().map(Msisdn::masked);
    let row = prepare(app, new)?;
    let event = app.event("user.added", caller).about("user_ref", &row.user_ref);
    let inserted = row.clone();
    app.store.write(move |w| {
        user::insert(w, &inserted)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(UserView { row, phone_masked: None, contact_masked })
}

/// A user's row with a key of its own, not yet written.
///
/// # Errors
/// [`FlowError::Invalid`] for a language tag that is none; when the HSM cannot answer.
pub(super) fn prepare(app: &Appliance, new: NewUser) -> Result<UserRow, FlowError> {
    let lang = new.lang.unwrap_or_else(|| DEFAULT_LANG.to_owned());
    let is_tag = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if lang.is_empty() || lang.len() > LANG_MAX || !lang.chars().all(is_tag) {
        return Err(FlowError::Invalid(format!("{lang:?} is no language tag")));
    }
    let id = app.new_id()?;
    let person_key = app.hsm.new_person_key()?;
    let contact_phone = match &new.contact_phone {
        None => None,
        Some(number) => Some(app.hsm.seal(&person_key, &contact_aad(&id), number.expose().as_bytes())?),
    };
    Ok(UserRow {
        id,
        name: new.name,
        user_ref: data_encoding::HEXLOWER.encode(&app.random::<16>()?),
        lang,
        state: "active".to_owned(),
        person_key: Some(person_key),
        contact_phone,
        failures: 0,
        created_at: app.clock.now().wall_ms,
    })
}

/// Finds a user.
///
/// # Errors
/// [`FlowError::NotFound`].
pub fn find(app: &Appliance, name: &UserName) -> Result<UserRow, FlowError> {
    app.store.read(|c| user::by_name(c, name))?.ok_or(FlowError::NotFound("user"))
}

/// A user with masked numbers.
///
/// # Errors
/// When the HSM cannot answer.
pub fn view(app: &Appliance, row: UserRow) -> Result<UserView, FlowError> {
    let bound = app.store.read(|c| phone::of_user(c, &row.id))?;
    let phone_masked = match &bound {
        None => None,
        Some(bound) => Some(open_number(app, &row, &bound.number)?.masked()),
    };
    let contact_masked = match (&row.contact_phone, &row.person_key) {
        (Some(sealed), Some(key)) => {
            Some(number_of(&app.hsm.open(key, &contact_aad(&row.id), sealed)?, &row)?.masked())
        }
        _ => None,
    };
    Ok(UserView { row, phone_masked, contact_masked })
}

/// Opens the sealed number of a user's binding.
pub(super) fn open_number(app: &Appliance, user: &UserRow, sealed: &[u8]) -> Result<Msisdn, FlowError> {
    let key = user.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    number_of(&app.hsm.open(key, &phone_aad(&user.id), sealed)?, user)
}

fn number_of(bytes: &[u8], user: &UserRow) -> Result<Msisdn, FlowError> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| Msisdn::parse(text).ok())
        .ok_or_else(|| FlowError::Tampered { what: "the number", which: user.name.to_string() })
}

/// Users in the order of their names.
///
/// # Errors
/// When the store cannot answer.
pub fn list(app: &Appliance, after: &str, limit: usize) -> Result<Vec<UserRow>, FlowError> {
    Ok(app.store.read(|c| user::list(c, after, limit))?)
}

/// Binds a number that the operator named, or the calling application, has verified.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user.
pub fn set_phone(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    number: &Msisdn,
    verified_by: &str,
) -> Result<UserView, FlowError> {
    let row = find(app, name)?;
    let key = row.person_key.clone().ok_or(FlowError::NotFound("user"))?;
    let _order = app.lock_user(&row.id)?;
    let lookup = app.hsm.mac(MacPurpose::Lookup, vec![number.expose().as_bytes().to_vec()])?;
    let verifier = pseudonym(app, verified_by)?;
    let source = if caller.actor.kind == "application" { "application" } else { "operator" };
    let binding = PhoneRow {
        id: app.new_id()?,
        user_id: row.id,
        number: app.hsm.seal(&key, &phone_aad(&row.id), number.expose().as_bytes())?,
        number_lookup: *lookup.first().ok_or(hsm::HsmError::Protocol)?,
        state: "verified".to_owned(),
        source: source.to_owned(),
        evidence: serde_json::json!({ "verified_by": verifier }).to_string(),
        loa: VOUCHED_LOA,
        registered_at: app.clock.now().wall_ms,
    };
    let event =
        app.event("phone.registered", caller).about("user_ref", &row.user_ref).about("verified_by", verifier);
    // Codes on their way to the former number are dead.
    let superseding = challenge::superseding(app, &row.id, None)?;
    let at = app.clock.now().wall_ms;
    app.store.write(move |w| {
        challenge::supersede(w, &superseding, at)?;
        phone::put(w, &binding)?;
        event::append(w, &event).map(drop)
    })?;
    view(app, row)
}

/// How events name a person: by the user's own pseudonym, or else by a one-way mark of the name.
fn pseudonym(app: &Appliance, name: &str) -> Result<String, FlowError> {
    if let Ok(name) = UserName::parse(name)
        && let Some(row) = app.store.read(|c| user::by_name(c, &name))?
    {
        return Ok(row.user_ref);
    }
    let macs = app.hsm.mac(MacPurpose::Lookup, vec![[b"name ".as_slice(), name.as_bytes()].concat()])?;
    let mac = macs.first().ok_or(hsm::HsmError::Protocol)?;
    Ok(data_encoding::HEXLOWER.encode(&mac[..16]))
}

/// Forgets a user's wrong codes everywhere; its tokens keep their own locks.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user.
pub fn unlock(app: &Appliance, caller: &Caller, name: &UserName) -> Result<UserView, FlowError> {
    let row = find(app, name)?;
    let _order = app.lock_user(&row.id)?;
    let event = app.event("user.unlocked", caller).about("user_ref", &row.user_ref);
    let id = row.id;
    app.store.write(move |w| {
        limiter::clear(w, &id, None)?;
        user::clear_failures(w, &id)?;
        event::append(w, &event).map(drop)
    })?;
    view(app, find(app, name)?)
}
