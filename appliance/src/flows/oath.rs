//! OATH accounts of users as operators manage them (OATH-03, OATH-04, OATH-43 to OATH-50): views on tokens of class
//! soft. An account is made without showing its secret: the user gets it by letter, or sees it on the pages.

use domain::event::Event;
use domain::letter::{Delivery, Kind};
use domain::names::{Serial, UserName};
use domain::otpauth::OtpAuth;
use domain::role::Right;
use domain::token::{Class, Factor, Id, Lifecycle, MovingState, Policy};
use oath::{CodeFormat, Digits, Period, Truncation};
use zeroize::Zeroizing;

use super::enrol::{self, Replaced};
use super::push::CodesEnd;
use super::tokens::{self, NewToken};
use super::{Caller, FlowError, approvals, letters, resync, users};
use crate::appliance::Appliance;
use crate::store::letter::{self, LetterRow};
use crate::store::token::{ACTIVE_MAX, TokenRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event, flow, token};

/// The accounts of a user.
pub struct Accounts {
    /// Living soft tokens.
    pub tokens: Vec<TokenRow>,
    /// The open letter, if there is one.
    pub letter: Option<LetterRow>,
}

/// An account just made.
pub struct Made {
    /// Its token.
    pub token: TokenRow,
    /// Accounts that ended with it.
    pub ended: Vec<Serial>,
    /// The letter that was ordered.
    pub letter: Option<LetterRow>,
}

/// How an operator may see a secret (OATH-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As the code that an app scans.
    Qr,
    /// As hex digits.
    Hex,
    /// As Base32, which people type.
    Base32,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 3] = [Format::Qr, Format::Hex, Format::Base32];

    /// As the configuration and the API spell it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Qr => "qr",
            Format::Hex => "hex",
            Format::Base32 => "base32",
        }
    }

    /// Reads what [`Format::name`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// A secret that an operator sees.
pub struct Seen {
    /// Serial of the token.
    pub serial: Serial,
    /// Hex, Base32 or the URI.
    pub text: Zeroizing<String>,
}

/// What a new account gets by the configuration (OATH-18).
///
/// # Errors
/// [`FlowError::Invalid`] for a profile that the configuration's check should have found.
pub(super) fn policy(app: &Appliance) -> Result<Policy, FlowError> {
    let oath = &app.config.people.oath;
    let fault = |_| FlowError::Invalid("the configured OATH profile cannot be used".to_owned());
    let period = Period::new(oath.period).map_err(fault)?;
    let factor = if oath.totp { Factor::Totp { period, t0: 0 } } else { Factor::Hotp };
    let digits = Digits::new(oath.digits).map_err(fault)?;
    let format = CodeFormat { digits, checksum: false, truncation: Truncation::Dynamic };
    Ok(Policy { factor, algorithm: oath.algorithm, format })
}

fn living(app: &Appliance, owner: &UserRow) -> Result<Vec<TokenRow>, FlowError> {
    let mut rows = app.store.read(|c| token::of_user(c, &owner.id))?;
    rows.retain(|row| row.state.lifecycle != Lifecycle::Revoked);
    Ok(rows)
}

fn soft(rows: &[TokenRow]) -> Vec<TokenRow> {
    rows.iter().filter(|row| row.class == Class::Soft).cloned().collect()
}

/// Accounts that can be ended or renewed: one that is being enrolled is its enrolment's (D-50).
fn own(rows: &[TokenRow]) -> Vec<TokenRow> {
    let mut own = soft(rows);
    own.retain(|row| row.state.lifecycle != Lifecycle::Pending);
    own
}

/// A user's accounts.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user.
pub fn of_user(app: &Appliance, name: &UserName) -> Result<Accounts, FlowError> {
    let owner = users::find(app, name)?;
    let tokens = soft(&living(app, &owner)?);
    Ok(Accounts { tokens, letter: app.store.read(|c| letter::open_of(c, &owner.id, Kind::Oath))? })
}

/// Writes the event of a refusal and gives the refusal.
fn refused(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    (kind, reason): (&'static str, &str),
    error: FlowError,
) -> Result<FlowError, FlowError> {
    let event = Event::refused(app.clock.now().wall_ms, kind, caller.actor.clone(), reason);
    app.refuse(event.about("user_ref", &owner.user_ref))?;
    Ok(error)
}

/// Makes an account; with `delivery`, or where the configuration says so (OATH-51), a letter is ordered too.
///
/// # Errors
/// [`FlowError::Conflict`] `oath.already_exists` when the user has as many as the configuration allows (OATH-13), and
/// for a letter by post without an address; both are events.
pub fn add(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    delivery: Option<Delivery>,
) -> Result<Made, FlowError> {
    let owner = users::find(app, name)?;
    let automatic = app.config.people.oath.auto_order_letter;
    let delivery = delivery.or_else(|| automatic.then(|| letters::delivery_to(&owner)));
    need_address(app, caller, &owner, delivery)?;
    let _order = app.lock_user(&owner.id)?;
    need_room(app, caller, &owner, &living(app, &owner)?)?;
    replace(app, caller, &owner, Vec::new(), delivery)
}

/// Writes a new account, the end of the ones in whose place it comes, and its letter: in one transaction. The caller
/// holds the user's lock.
fn replace(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    former: Vec<TokenRow>,
    delivery: Option<Delivery>,
) -> Result<Made, FlowError> {
    let ended: Vec<Serial> = former.iter().map(|row| row.serial.clone()).collect();
    let token = make(app, owner)?;
    let ordered = delivery.map(|delivery| letters::with_token(app, caller, owner, &token, delivery));
    let ordered = ordered.transpose()?;
    let ending = ending(app, caller, owner, former)?;
    let event = added(app, caller, owner, &token, !ended.is_empty());
    let row = token.clone();
    let shut = (!ended.is_empty()).then_some(owner.id);
    let letter = app.store.write(move |w| {
        end(w, &ending)?;
        // What was shown by a factor that is taken away counts no more.
        shut.map_or(Ok(()), |user| flow::remove_of_user(w, &user))?;
        token::insert(w, &row)?;
        event::append(w, &event)?;
        ordered.map(|ordered| ordered.write(w)).transpose()
    })?;
    Ok(Made { token, ended, letter })
}

fn need_room(app: &Appliance, caller: &Caller, owner: &UserRow, rows: &[TokenRow]) -> Result<(), FlowError> {
    let quota = app.config.people.oath.quota_accounts() as usize;
    let accounts = soft(rows).len();
    let what = if accounts >= quota {
        let held = accounts > own(rows).len();
        let way = if held { "cancel the enrolment that holds one" } else { "delete or renew the account" };
        format!("oath.already_exists: the user has {accounts} OATH accounts of {quota}; {way}")
    } else if rows.len() >= ACTIVE_MAX {
        format!("a user has at most {ACTIVE_MAX} tokens")
    } else {
        return Ok(());
    };
    let why = ("oath.secret_added", "already_exists");
    Err(refused(app, caller, owner, why, FlowError::Conflict(what))?)
}

fn need_address(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    delivery: Option<Delivery>,
) -> Result<(), FlowError> {
    if delivery != Some(Delivery::Post) || owner.postal_address.is_some() {
        return Ok(());
    }
    let text = "letter.no_address: the user has no postal address; set one with `countersign user address`";
    let why = ("letter.ordered", "no_address");
    Err(refused(app, caller, owner, why, FlowError::Conflict(text.to_owned()))?)
}

/// A token with a secret of the HSM's, not stored. Its secret is dropped unseen.
fn make(app: &Appliance, owner: &UserRow) -> Result<TokenRow, FlowError> {
    let new =
        NewToken { user: owner.name.clone(), policy: policy(app)?, counter: 0, secret: None, issuer: None };
    Ok(tokens::make(app, owner, &new)?.row)
}

fn added(app: &Appliance, caller: &Caller, owner: &UserRow, row: &TokenRow, replaced: bool) -> Event {
    app.event("oath.secret_added", caller)
        .about("user_ref", &owner.user_ref)
        .about("token", row.serial.as_str())
        .about("replaced", replaced.to_string())
}

/// A token that ends: the row, its last state, the state's MAC, the event.
struct Ending(TokenRow, MovingState, [u8; 32], Event);

/// Accounts that end, their bindings, and the recovery codes that end with the last of what they stand for.
pub(super) struct Endings {
    rows: Vec<Ending>,
    bound: Replaced,
    codes: CodesEnd,
}

/// The end of accounts, to be written with what takes their place.
pub(super) fn ending(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    rows: Vec<TokenRow>,
) -> Result<Endings, FlowError> {
    let codes = if rows.is_empty() { CodesEnd::none() } else { CodesEnd::of(app, caller, owner)? };
    let items: Vec<Id> = rows.iter().map(|row| row.id).collect();
    let bound = enrol::replaced(app, caller, &items, enrol::Why::of(caller))?;
    let end = |row: TokenRow| -> Result<Ending, FlowError> {
        let lifecycle =
            row.state.lifecycle.revoke().map_err(|error| FlowError::Conflict(error.to_string()))?;
        let next = MovingState { lifecycle, ..row.state.next() };
        let mac = tokens::next_mac(app, &row, &next)?;
        let event = app.event("oath.deleted", caller).about("user_ref", &owner.user_ref);
        let event = event.about("token", row.serial.as_str());
        Ok(Ending(row, next, mac, event))
    };
    Ok(Endings { rows: rows.into_iter().map(end).collect::<Result<_, _>>()?, bound, codes })
}

/// Writes what [`ending`] has made.
pub(super) fn end(writing: &mut Writing<'_>, ending: &Endings) -> Result<(), StoreError> {
    for Ending(row, next, mac, event) in &ending.rows {
        if !token::put_state(writing, row, next, mac)? {
            return Err(StoreError::Changed("the OATH account"));
        }
        event::append(writing, event)?;
    }
    ending.bound.write(writing)?;
    ending.codes.write(writing)
}

fn need_account(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    kind: &'static str,
) -> Result<Vec<TokenRow>, FlowError> {
    let accounts = own(&living(app, owner)?);
    if accounts.is_empty() {
        return Err(refused(app, caller, owner, (kind, "no_account"), FlowError::NotFound("OATH account"))?);
    }
    Ok(accounts)
}

/// Ends a user's accounts: their secrets are erased, every app that had them stops, and the letter that
/// shows one of them is cancelled (OATH-44).
///
/// # Errors
/// [`FlowError::NotFound`] without a user or an account.
pub fn delete(app: &Appliance, caller: &Caller, name: &UserName) -> Result<Vec<Serial>, FlowError> {
    let owner = users::find(app, name)?;
    let _order = app.lock_user(&owner.id)?;
    let accounts = need_account(app, caller, &owner, "oath.deleted")?;
    let serials = accounts.iter().map(|row| row.serial.clone()).collect();
    let letter = letters::of_ended(app, caller, &owner, &accounts)?;
    let ending = ending(app, caller, &owner, accounts)?;
    let at = app.clock.now().wall_ms;
    app.store.write(move |w| {
        end(w, &ending)?;
        // What was shown by a factor that is taken away counts no more.
        flow::remove_of_user(w, &owner.id)?;
        letters::end(w, letter.as_ref(), at)
    })?;
    Ok(serials)
}

/// A new secret in place of the old ones, and the letter that brings it, in one transaction (OATH-50).
///
/// # Errors
/// [`FlowError::NotFound`] without a user or an account; [`FlowError::Conflict`] for a letter by post without an
/// address, before anything is changed.
pub fn renew(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    delivery: Delivery,
) -> Result<Made, FlowError> {
    let owner = users::find(app, name)?;
    need_address(app, caller, &owner, Some(delivery))?;
    let _order = app.lock_user(&owner.id)?;
    let accounts = need_account(app, caller, &owner, "oath.secret_added")?;
    replace(app, caller, &owner, accounts, Some(delivery))
}

/// The one account of a user, for acts that need to know which.
///
/// # Errors
/// [`FlowError::NotFound`] without one; [`FlowError::Conflict`] for several.
fn only(app: &Appliance, owner: &UserRow) -> Result<TokenRow, FlowError> {
    let mut accounts = own(&living(app, owner)?);
    match (accounts.pop(), accounts.len()) {
        (None, _) => Err(FlowError::NotFound("OATH account")),
        (Some(row), 0) => Ok(row),
        (Some(_), _) => Err(FlowError::Conflict(
            "the user has several OATH accounts: name the token with `countersign token`".to_owned(),
        )),
    }
}

/// Finds an account's counter or clock again from two consecutive codes (D-28).
///
/// # Errors
/// As [`resync::run`]; [`FlowError::Conflict`] for a user with several accounts.
pub fn resync(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    codes: [&str; 2],
) -> Result<TokenRow, FlowError> {
    let account = only(app, &users::find(app, name)?)?;
    resync::run(app, caller, &account.serial, codes)
}

/// Whether an operator may see a secret in this form, before anybody is asked for a second yes.
///
/// # Errors
/// [`FlowError::Forbidden`] for a form that the configuration does not list (OATH-20), which is an event;
/// [`FlowError::NotFound`], [`FlowError::Conflict`] as [`show`].
pub fn check_view(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    format: Format,
) -> Result<(), FlowError> {
    let owner = users::find(app, name)?;
    if !app.config.people.oath.admin_secret_formats.iter().any(|listed| listed == format.name()) {
        let text = format!("secrets are not shown as {} here: see oath.admin.secret_formats", format.name());
        let why = ("oath.secret_viewed_by_admin", "format");
        return Err(refused(app, caller, &owner, why, FlowError::Forbidden(text))?);
    }
    let row = only(app, &owner)?;
    if row.reveal.is_none() {
        let text = format!("the secret of {} cannot be shown again", row.serial);
        let why = ("oath.secret_viewed_by_admin", "not_revealable");
        return Err(refused(app, caller, &owner, why, FlowError::Conflict(text))?);
    }
    Ok(())
}

/// Shows an account's secret to an operator. The event is on disk before the secret leaves.
///
/// # Errors
/// [`FlowError::Forbidden`] without the right; [`FlowError::NotFound`] without an account; [`FlowError::Conflict`] for
/// several, or one whose secret cannot be shown again.
pub fn show(app: &Appliance, caller: &Caller, name: &UserName, format: Format) -> Result<Seen, FlowError> {
    caller.need(app, Right::ViewSecret)?;
    let owner = users::find(app, name)?;
    let row = only(app, &owner)?;
    let secret = tokens::reveal(app, &owner, &row)?;
    let event = app
        .event("oath.secret_viewed_by_admin", caller)
        .about("user_ref", &owner.user_ref)
        .about("token", row.serial.as_str())
        .about("format", format.name());
    let warrant = caller.warrant.clone();
    app.store.write(move |w| {
        approvals::settle(w, &warrant)?;
        event::append(w, &event).map(drop)
    })?;
    let text = match format {
        Format::Qr => uri(app, &owner, &row, secret),
        Format::Hex => Zeroizing::new(data_encoding::HEXLOWER.encode(&secret)),
        Format::Base32 => Zeroizing::new(data_encoding::BASE32_NOPAD.encode(&secret)),
    };
    Ok(Seen { serial: row.serial, text })
}

/// What an app scans to have this account.
pub(super) fn uri(
    app: &Appliance,
    owner: &UserRow,
    row: &TokenRow,
    secret: Zeroizing<Vec<u8>>,
) -> Zeroizing<String> {
    let (totp, period) = match row.policy.factor {
        Factor::Totp { period, .. } => (true, period),
        Factor::Hotp | Factor::Ocra { .. } => (false, Period::THIRTY),
    };
    OtpAuth {
        totp,
        issuer: Some(app.config.issuer.clone()),
        account: owner.name.to_string(),
        secret,
        algorithm: row.policy.algorithm,
        digits: row.policy.format.digits.get(),
        period: period.get(),
        counter: u64::try_from(row.state.last.saturating_add(1)).unwrap_or(0),
    }
    .to_uri()
}
