//! Users and their verified phone numbers.

use domain::canonical::Canonical;
use domain::method::Method;
use domain::names::UserName;
use domain::phone::Msisdn;
use domain::token::Id;
use hsm::MacPurpose;
use zeroize::Zeroizing;

use super::{Caller, FlowError, challenge, enrol, journey, letters, phones};
use crate::appliance::Appliance;
use crate::store::phone::PhoneRow;
use crate::store::user::UserRow;
use crate::store::{event, limiter, phone, user};

/// State of a user who may log in.
pub(super) const ACTIVE: &str = "active";
/// State of a user whom an operator has locked.
pub(super) const LOCKED: &str = "locked";
/// Language of a user who has not said one.
const DEFAULT_LANG: &str = "en";
/// Longest language tag, in characters (RFC 5646 needs 35 for registered ones).
const LANG_MAX: usize = 35;
/// Level of assurance of a number that an operator or an application vouches for.
const VOUCHED_LOA: f64 = 2.0;

/// A user to add.
pub struct NewUser {
    /// Name.
    pub name: UserName,
    /// Contact phone; it never authenticates (MOB-04).
    pub contact_phone: Option<Msisdn>,
    /// Language tag.
    pub lang: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Postal address, a line each; empty for none.
    pub address: Vec<String>,
    /// The local password.
    pub password: Option<Zeroizing<String>>,
    /// The method in use; the password by default.
    pub active_method: Option<Method>,
}

impl NewUser {
    /// A user of whom nothing but the name is known.
    pub fn named(name: UserName) -> Self {
        NewUser {
            name,
            contact_phone: None,
            lang: None,
            email: None,
            address: Vec::new(),
            password: None,
            active_method: None,
        }
    }
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

/// What the seal of a number covers that is not, or not yet, bound: the challenge whose code goes there.
pub(crate) fn challenge_number_aad(user: &Id, challenge: &Id) -> Vec<u8> {
    [b"countersign challenge number 1".as_slice(), user, challenge].concat()
}

/// One-way mark of a number, for lookups.
pub(super) fn lookup(app: &Appliance, number: &Msisdn) -> Result<[u8; 32], FlowError> {
    let macs = app.hsm.mac(MacPurpose::Lookup, vec![number.expose().as_bytes().to_vec()])?;
    Ok(*macs.first().ok_or(hsm::HsmError::Protocol)?)
}

/// What the seal of an e-mail address covers besides it.
pub(crate) fn email_aad(user: &Id) -> Vec<u8> {
    [b"countersign email 1".as_slice(), user].concat()
}

/// What the seal of a postal address covers besides it.
pub(crate) fn address_aad(user: &Id) -> Vec<u8> {
    [b"countersign address 1".as_slice(), user].concat()
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
    letters::for_new_user(app, caller, &row)?;
    Ok(UserView { row, phone_masked: None, contact_masked })
}

/// A user's row with a key of its own, not yet written.
///
/// # Errors
/// [`FlowError::Invalid`] for a language tag that is none; when the HSM cannot answer.
pub(super) fn prepare(app: &Appliance, new: NewUser) -> Result<UserRow, FlowError> {
    let lang = new.lang.unwrap_or_else(|| DEFAULT_LANG.to_owned());
    check_lang(&lang)?;
    new.email.as_deref().map_or(Ok(()), check_email)?;
    check_lines(&new.address)?;
    let id = app.new_id()?;
    let person_key = app.hsm.new_person_key()?;
    let contact_phone = match &new.contact_phone {
        None => None,
        Some(number) => Some(app.hsm.seal(&person_key, &contact_aad(&id), number.expose().as_bytes())?),
    };
    let email =
        new.email.as_deref().map(|email| app.hsm.seal(&person_key, &email_aad(&id), email.as_bytes()));
    let address = (!new.address.is_empty()).then(|| Zeroizing::new(new.address.join("\n")));
    let address = address.map(|text| app.hsm.seal(&person_key, &address_aad(&id), text.as_bytes()));
    let row = UserRow {
        id,
        name: new.name,
        user_ref: data_encoding::HEXLOWER.encode(&app.random::<16>()?),
        lang,
        state: ACTIVE.to_owned(),
        person_key: Some(person_key),
        contact_phone,
        email: email.transpose()?,
        postal_address: address.transpose()?,
        password_hash: new.password.map(|password| journey::hash(app, &password)).transpose()?,
        active_method: new.active_method.unwrap_or(Method::Password),
        next_method: None,
        mac: None,
        skips: 0,
        failures: 0,
        created_at: app.clock.now().wall_ms,
    };
    sealed(app, row)
}

/// Checks a language tag.
///
/// # Errors
/// [`FlowError::Invalid`].
pub(crate) fn check_lang(lang: &str) -> Result<(), FlowError> {
    let is_tag = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if lang.is_empty() || lang.len() > LANG_MAX || !lang.chars().all(is_tag) {
        return Err(FlowError::Invalid(format!("{lang:?} is no language tag")));
    }
    Ok(())
}

/// Checks an e-mail address.
///
/// # Errors
/// [`FlowError::Invalid`]; it does not repeat the address.
pub(crate) fn check_email(email: &str) -> Result<(), FlowError> {
    if journey::is_address(email) {
        return Ok(());
    }
    Err(FlowError::Invalid("this is no e-mail address: it has one @ and a domain with a dot".to_owned()))
}

/// Checks the lines of a postal address.
///
/// # Errors
/// [`FlowError::Invalid`] for what the window of an envelope does not hold.
pub(crate) fn check_lines(lines: &[String]) -> Result<(), FlowError> {
    if journey::fits_window(lines) && lines.iter().all(|line| !line.trim().is_empty()) {
        return Ok(());
    }
    Err(FlowError::Invalid(
        "an address has at most 6 lines of 1 to 60 characters, as the window of an envelope holds".to_owned(),
    ))
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
    let contact_masked = contact(app, &row)?.map(|number| number.masked());
    Ok(UserView { row, phone_masked, contact_masked })
}

/// The contact phone, which never authenticates (MOB-04).
///
/// # Errors
/// When the HSM cannot answer; [`FlowError::Tampered`].
pub(super) fn contact(app: &Appliance, row: &UserRow) -> Result<Option<Msisdn>, FlowError> {
    match (&row.contact_phone, &row.person_key) {
        (Some(sealed), Some(key)) => {
            number_of(&app.hsm.open(key, &contact_aad(&row.id), sealed)?, row).map(Some)
        }
        _ => Ok(None),
    }
}

/// Opens the sealed number of a user's binding.
pub(super) fn open_number(app: &Appliance, user: &UserRow, sealed: &[u8]) -> Result<Msisdn, FlowError> {
    let key = user.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    number_of(&app.hsm.open(key, &phone_aad(&user.id), sealed)?, user)
}

/// Opens the number that a challenge's code goes to.
pub(super) fn open_number_of_challenge(
    app: &Appliance,
    user: &UserRow,
    challenge: &Id,
    sealed: &[u8],
) -> Result<Msisdn, FlowError> {
    let key = user.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    number_of(&app.hsm.open(key, &challenge_number_aad(&user.id, challenge), sealed)?, user)
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
    let lookup = lookup(app, number)?;
    let verifier = pseudonym(app, verified_by)?;
    let source = if caller.actor.kind == "application" { "application" } else { "operator" };
    // Another number of the same user has the same row; an operator may replace one that was changed outside.
    let former = app.store.read(|c| phone::of_user(c, &row.id))?.map(|former| former.id);
    let binding = PhoneRow {
        id: former.map_or_else(|| app.new_id(), Ok)?,
        user_id: row.id,
        number: app.hsm.seal(&key, &phone_aad(&row.id), number.expose().as_bytes())?,
        number_lookup: lookup,
        state: phones::VERIFIED.to_owned(),
        source: source.to_owned(),
        evidence: serde_json::json!({ "verified_by": verifier }).to_string(),
        loa: VOUCHED_LOA,
        registered_at: app.clock.now().wall_ms,
        mac: None,
    };
    let binding = phones::sealed(app, binding)?;
    let event =
        app.event("phone.registered", caller).about("user_ref", &row.user_ref).about("verified_by", verifier);
    // Codes on their way to the former number are dead.
    let superseding = challenge::superseding(app, &row.id, None)?;
    let at = app.clock.now().wall_ms;
    let ended = enrol::replaced(app, caller, &[binding.id], enrol::Why::ByAuthority)?;
    app.store.write(move |w| {
        challenge::supersede(w, &superseding, at)?;
        ended.write(w)?;
        phone::put(w, &binding)?;
        event::append(w, &event).map(drop)
    })?;
    view(app, row)
}

/// How events name a person: by the user's own pseudonym, or else by a one-way mark of the name.
pub(super) fn pseudonym(app: &Appliance, name: &str) -> Result<String, FlowError> {
    if let Ok(name) = UserName::parse(name)
        && let Some(row) = app.store.read(|c| user::by_name(c, &name))?
    {
        return Ok(row.user_ref);
    }
    let macs = app.hsm.mac(MacPurpose::Lookup, vec![[b"name ".as_slice(), name.as_bytes()].concat()])?;
    let mac = macs.first().ok_or(hsm::HsmError::Protocol)?;
    Ok(data_encoding::HEXLOWER.encode(&mac[..16]))
}

/// Locks a user: no code, no password and no step of a flow is taken until an operator unlocks the user.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; [`FlowError::Conflict`] for one that is not active.
pub fn lock(app: &Appliance, caller: &Caller, name: &UserName) -> Result<UserView, FlowError> {
    let found = find(app, name)?;
    let _order = app.lock_user(&found.id)?;
    let row = find(app, name)?;
    if row.state != ACTIVE {
        return Err(FlowError::Conflict(format!("the user is {} already", row.state)));
    }
    let event = app.event("user.locked", caller).about("user_ref", &row.user_ref).about("by", "operator");
    let change = user::Change { state: Some(LOCKED), ..user::Change::default() };
    change_account(app, &row, &change, event)?;
    view(app, find(app, name)?)
}

/// Forgets a user's wrong codes everywhere and takes an operator's lock away; tokens keep their own locks.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user; [`FlowError::Tampered`].
pub fn unlock(app: &Appliance, caller: &Caller, name: &UserName) -> Result<UserView, FlowError> {
    let found = find(app, name)?;
    let _order = app.lock_user(&found.id)?;
    let row = find(app, name)?;
    let event = app.event("user.unlocked", caller).about("user_ref", &row.user_ref);
    if row.state == LOCKED {
        let event = app.event("user.lock_lifted", caller).about("user_ref", &row.user_ref);
        let change = user::Change { state: Some(ACTIVE), ..user::Change::default() };
        change_account(app, &row, &change, event)?;
    }
    let id = row.id;
    app.store.write(move |w| {
        limiter::clear(w, &id, None)?;
        user::clear_failures(w, &id)?;
        event::append(w, &event).map(drop)
    })?;
    view(app, find(app, name)?)
}

/// What the row of a user is called where it was changed.
const ACCOUNT: &str = "the account";

/// A user's row under a MAC of its own.
///
/// # Errors
/// When the HSM cannot answer.
pub(super) fn sealed(app: &Appliance, row: UserRow) -> Result<UserRow, FlowError> {
    Ok(UserRow { mac: Some(app.row_mac(row.bytes())?), ..row })
}

/// Checks that nobody changed an account outside the appliance.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM or the store cannot answer.
pub(super) fn check_account(app: &Appliance, row: &UserRow) -> Result<(), FlowError> {
    app.check_sealed(ACCOUNT, row.name.as_str(), row.bytes(), row.mac.as_ref())
}

/// A user as found, once its row is checked; for a name that nobody has the HSM does the same work, and remembers it
/// alike, so that the time it takes does not tell the two apart.
///
/// # Errors
/// As [`check_account`].
pub(super) fn checked(
    app: &Appliance,
    name: &str,
    found: Option<UserRow>,
) -> Result<Option<UserRow>, FlowError> {
    match &found {
        Some(row) => check_account(app, row)?,
        None => app.work_as_for_row(Canonical::new("countersign nobody 1").text(name).finish())?,
    }
    Ok(found)
}

/// Changes an account and writes the event.
///
/// # Errors
/// [`FlowError::Tampered`]; [`FlowError::Conflict`] when another act changed the account meanwhile; when the HSM or
/// the store cannot answer.
pub(super) fn change_account(
    app: &Appliance,
    row: &UserRow,
    change: &user::Change,
    event: domain::event::Event,
) -> Result<(), FlowError> {
    check_account(app, row)?;
    let next = sealed(app, change.applied(row))?;
    let loaded = row.clone();
    let saved = app.store.write(move |w| {
        let saved = user::put_account(w, &loaded, &next)?;
        if saved {
            event::append(w, &event)?;
        }
        Ok(saved)
    })?;
    let moved = || FlowError::Conflict("the account was changed by another request; try again".to_owned());
    saved.then_some(()).ok_or_else(moved)
}
