//! Tokens: enrolment and state changes.

use domain::event::Event;
use domain::names::{Serial, UserName};
use domain::otpauth::OtpAuth;
use domain::token::{Bound, Class, Factor, Id, Lifecycle, MovingState, Policy};
use hsm::{Enrol, MacPurpose, SecretSource};
use oath::Algorithm;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::push::CodesEnd;
use super::{Caller, FlowError, letters, oath as accounts, users};
use crate::appliance::Appliance;
use crate::store::token::{ACTIVE_MAX, TokenRow};
use crate::store::user::UserRow;
use crate::store::{event, flow, token, user};

/// Length of a secret that the HSM makes, in bytes: 160 bits, which every app takes (D-33).
const SECRET_LEN: usize = 20;
/// Level of assurance of a soft token that an operator or an application enrolled.
pub(super) const SOFT_LOA: f64 = 1.5;
/// Level of assurance of a hardware token that an operator gave to a user.
pub const HARD_LOA: f64 = 2.0;

/// A token to enrol for a user.
pub struct NewToken {
    /// Whose it will be.
    pub user: UserName,
    /// What is fixed.
    pub policy: Policy,
    /// First HOTP counter.
    pub counter: u64,
    /// The secret, where it exists already; otherwise the HSM makes one.
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// The issuer in the returned URI.
    pub issuer: Option<String>,
}

/// A token just enrolled.
pub struct Enrolled {
    /// The row.
    pub token: TokenRow,
    /// What an app scans; shown once.
    pub uri: Zeroizing<String>,
}

/// Enrols a soft token: the HSM makes or takes the secret and wraps it.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user, [`FlowError::Conflict`] for a secret that another token has
/// or a user with too many tokens (`oath.quota_soft`, where it is set), [`FlowError::Hsm`] when the HSM refuses the secret.
pub fn add(app: &Appliance, caller: &Caller, new: NewToken) -> Result<Enrolled, FlowError> {
    let owner = users::find(app, &new.user)?;
    let enrolled = enrol(app, caller, &owner, &new)?;
    letters::for_new_token(app, caller, &owner, &enrolled.token)?;
    Ok(enrolled)
}

/// Enrols a soft token as the configuration describes them (OATH-18).
///
/// # Errors
/// As [`add`].
pub(super) fn add_configured(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
) -> Result<Enrolled, FlowError> {
    let policy = accounts::policy(app)?;
    add(app, caller, NewToken { user: name.clone(), policy, counter: 0, secret: None, issuer: None })
}

fn enrol(app: &Appliance, caller: &Caller, owner: &UserRow, new: &NewToken) -> Result<Enrolled, FlowError> {
    let _order = app.lock_user(&owner.id)?;
    let (row, uri) = made(app, caller, owner, new, Lifecycle::Active)?;
    let event = app
        .event("oath.secret_added", caller)
        .about("user_ref", &owner.user_ref)
        .about("token", row.serial.as_str());
    let inserted = row.clone();
    app.store.write(move |w| {
        token::insert(w, &inserted)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(Enrolled { token: row, uri })
}

/// A soft token for which the user has room, and what an app scans. Nothing is stored; the caller holds the user's
/// lock.
///
/// # Errors
/// As [`add`].
pub(super) fn made(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    new: &NewToken,
    lifecycle: Lifecycle,
) -> Result<(TokenRow, Zeroizing<String>), FlowError> {
    let living = living(app, &owner.id)?;
    if living.len() >= ACTIVE_MAX {
        return Err(FlowError::Conflict(format!("a user has at most {ACTIVE_MAX} tokens")));
    }
    if let Some(quota) = app.config.people.oath.quota_soft {
        need_room(app, caller, owner, &living, Quota::soft(quota))?;
    }
    let Made { row, secret } = make_as(app, owner, new, SECRET_LEN, lifecycle)?;
    let uri = uri_of(app, new, &row, secret);
    Ok((row, uri))
}

/// Tokens of a user that are not revoked.
///
/// # Errors
/// When the store cannot answer.
pub(super) fn living(app: &Appliance, user: &Id) -> Result<Vec<TokenRow>, FlowError> {
    let mut rows = app.store.read(|c| token::of_user(c, user))?;
    rows.retain(|row| row.state.lifecycle != Lifecycle::Revoked);
    Ok(rows)
}

/// How many living tokens of a class a user may have (D-22).
#[derive(Clone, Copy)]
pub(super) struct Quota {
    class: Class,
    most: u32,
    key: &'static str,
    /// The event of a refusal.
    event: &'static str,
}

impl Quota {
    fn soft(most: u32) -> Self {
        Quota { class: Class::Soft, most, key: "oath.quota_soft", event: "oath.secret_added" }
    }

    /// Of hardware tokens.
    pub(super) fn hard(app: &Appliance) -> Self {
        let most = app.config.people.oath.quota_hard;
        Quota { class: Class::Hard, most, key: "oath.quota_hard", event: "token.assigned" }
    }
}

/// Refuses one token more than a user may have; the refusal is an event.
///
/// # Errors
/// [`FlowError::Conflict`].
pub(super) fn need_room(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    living: &[TokenRow],
    quota: Quota,
) -> Result<(), FlowError> {
    let Quota { class, most, key, event } = quota;
    let there = living.iter().filter(|row| row.class == class).count();
    if there < most as usize {
        return Ok(());
    }
    let refused = Event::refused(app.clock.now().wall_ms, event, caller.actor.clone(), "quota");
    app.refuse(refused.about("user_ref", &owner.user_ref))?;
    let what = if class == Class::Hard { "hardware" } else { "soft" };
    let text = format!("the user has {there} {what} tokens, and may have {most} ({key}): revoke one first");
    Err(FlowError::Conflict(text))
}

/// A token that is not stored.
pub(super) struct Made {
    /// The row; it counts as active.
    pub(super) row: TokenRow,
    /// Its secret.
    pub(super) secret: Zeroizing<Vec<u8>>,
}

/// Makes a soft token, which is active: the HSM makes or takes the secret and wraps it. Nothing is stored.
pub(super) fn make(app: &Appliance, owner: &UserRow, new: &NewToken) -> Result<Made, FlowError> {
    make_as(app, owner, new, SECRET_LEN, Lifecycle::Active)
}

/// As [`make`], with a secret of `len` bytes where the HSM makes it.
pub(super) fn make_of_len(
    app: &Appliance,
    owner: &UserRow,
    new: &NewToken,
    len: usize,
) -> Result<Made, FlowError> {
    make_as(app, owner, new, len, Lifecycle::Active)
}

fn make_as(
    app: &Appliance,
    owner: &UserRow,
    new: &NewToken,
    len: usize,
    lifecycle: Lifecycle,
) -> Result<Made, FlowError> {
    let id = app.new_id()?;
    let letter = if new.policy.factor == Factor::Hotp { 'H' } else { 'T' };
    let serial = Serial::soft(letter, app.random()?);
    let last = first_watermark(app, new)?;
    let state = MovingState { last, lifecycle, ..FIRST_STATE };
    let source = match &new.secret {
        Some(secret) => SecretSource::Import(secret.clone()),
        None => SecretSource::Generate { len },
    };
    let bound = Bound { token: &id, serial: serial.as_str(), user: Some(&owner.id), loa: SOFT_LOA };
    let enrolled = app.hsm.enrol(Enrol {
        source,
        hash: hash_of(new.policy.algorithm),
        binding: new.policy.binding(&bound, Class::Soft),
        state: state.bytes(&id),
        reveal: true,
    });
    let enrolled = enrolled.map_err(|error| match error {
        hsm::HsmError::Refused { reason } => FlowError::Invalid(reason),
        other => other.into(),
    })?;
    let secret = enrolled.secret.ok_or(hsm::HsmError::Protocol)?;
    let fingerprint = fingerprint(app, new.policy.algorithm, &secret)?;
    // A secret that came from outside is never shown again; one of ours is, where the policy says so (D-26).
    let shown_again = new.secret.is_none() && app.config.people.oath.reveal_after_activation;
    let reveal = match &owner.person_key {
        Some(key) if shown_again => Some(app.hsm.seal(key, &reveal_aad(&id), &secret)?),
        _ => None,
    };
    let row = TokenRow {
        id,
        serial,
        user_id: Some(owner.id),
        class: Class::Soft,
        label: String::new(),
        policy: new.policy,
        record: Some(enrolled.record),
        record_mac: enrolled.record_mac,
        reveal,
        fingerprint,
        state,
        state_mac: enrolled.state_mac,
        loa: SOFT_LOA,
        created_at: app.clock.now().wall_ms,
    };
    Ok(Made { row, secret })
}

/// A new soft token before its first code.
pub(super) const FIRST_STATE: MovingState =
    MovingState { last: -1, drift: 0, failures: 0, locked: None, lifecycle: Lifecycle::Active, epoch: 1 };

fn reveal_aad(token: &Id) -> Vec<u8> {
    [b"countersign reveal 1".as_slice(), token].concat()
}

/// The secret of a token that may be shown again. The caller writes the event.
///
/// # Errors
/// [`FlowError::Conflict`] where it may not.
pub(super) fn reveal(
    app: &Appliance,
    owner: &UserRow,
    row: &TokenRow,
) -> Result<Zeroizing<Vec<u8>>, FlowError> {
    match (&owner.person_key, &row.reveal) {
        (Some(key), Some(sealed)) => Ok(app.hsm.open(key, &reveal_aad(&row.id), sealed)?),
        _ => Err(FlowError::Conflict(format!("the secret of {} cannot be shown again", row.serial))),
    }
}

/// What an app scans to have the secret of a token that may be shown again. The caller writes the event.
///
/// # Errors
/// As [`reveal`].
pub(super) fn uri_of_shown(
    app: &Appliance,
    owner: &UserRow,
    row: &TokenRow,
) -> Result<Zeroizing<String>, FlowError> {
    let secret = reveal(app, owner, row)?;
    let counter = u64::try_from(row.state.last + 1).unwrap_or(0);
    let as_new =
        NewToken { user: owner.name.clone(), policy: row.policy, counter, secret: None, issuer: None };
    Ok(uri_of(app, &as_new, row, secret))
}

/// Where the new token begins. A secret that a revoked token had before goes on from there: its used codes stay
/// used.
fn first_watermark(app: &Appliance, new: &NewToken) -> Result<i64, FlowError> {
    let first = match new.policy.factor {
        Factor::Totp { .. } | Factor::Ocra { .. } => -1,
        Factor::Hotp => match i64::try_from(new.counter) {
            Ok(counter) => counter - 1,
            Err(_) => return Err(FlowError::Invalid("the counter is too large".to_owned())),
        },
    };
    let Some(secret) = &new.secret else { return Ok(first) };
    let fingerprint = fingerprint(app, new.policy.algorithm, secret)?;
    let former = app.store.read(|c| token::with_secret(c, &fingerprint))?;
    if former.iter().any(|token| token.state.lifecycle != Lifecycle::Revoked) {
        return Err(FlowError::Conflict("another token has the same secret".to_owned()));
    }
    if former.iter().any(|token| token.policy.factor != new.policy.factor && token.state.last >= 0) {
        let text = "a revoked token had the same secret with another type or period: make a new secret";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    Ok(former.iter().map(|token| token.state.last).fold(first, i64::max))
}

pub(super) fn hash_of(algorithm: Algorithm) -> hsm::Hash {
    match algorithm {
        Algorithm::Sha1 => hsm::Hash::Sha1,
        Algorithm::Sha256 => hsm::Hash::Sha256,
        Algorithm::Sha512 => hsm::Hash::Sha512,
    }
}

/// One-way mark of a secret. What makes no difference to HMAC (RFC 2104, 2) makes none here: a secret longer than
/// a block stands for its hash, and zeros at its end count for nothing.
fn fingerprint(app: &Appliance, algorithm: Algorithm, secret: &[u8]) -> Result<[u8; 32], FlowError> {
    let mut key = Zeroizing::new(secret.to_vec());
    match algorithm {
        Algorithm::Sha1 if key.len() > 64 => key = Zeroizing::new(Sha1::digest(secret).to_vec()),
        Algorithm::Sha256 if key.len() > 64 => key = Zeroizing::new(Sha256::digest(secret).to_vec()),
        // The longest secret fits into a block of SHA-512.
        Algorithm::Sha1 | Algorithm::Sha256 | Algorithm::Sha512 => {}
    }
    let end = key.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let macs = app.hsm.mac(MacPurpose::Fingerprint, vec![key[..end].to_vec()])?;
    Ok(*macs.first().ok_or(hsm::HsmError::Protocol)?)
}

fn uri_of(app: &Appliance, new: &NewToken, row: &TokenRow, secret: Zeroizing<Vec<u8>>) -> Zeroizing<String> {
    let period = match row.policy.factor {
        Factor::Hotp | Factor::Ocra { .. } => oath::Period::THIRTY,
        Factor::Totp { period, .. } => period,
    };
    OtpAuth {
        totp: matches!(row.policy.factor, Factor::Totp { .. }),
        issuer: Some(new.issuer.clone().unwrap_or_else(|| app.config.issuer.clone())),
        account: new.user.to_string(),
        secret,
        algorithm: row.policy.algorithm,
        digits: row.policy.format.digits.get(),
        period: period.get(),
        counter: new.counter,
    }
    .to_uri()
}

/// Finds a token.
///
/// # Errors
/// [`FlowError::NotFound`].
pub fn find(app: &Appliance, serial: &Serial) -> Result<TokenRow, FlowError> {
    app.store.read(|c| token::by_serial(c, serial))?.ok_or(FlowError::NotFound("token"))
}

/// Tokens in the order of their serials.
///
/// # Errors
/// When the store cannot answer.
pub fn list(app: &Appliance, after: &str, limit: usize) -> Result<Vec<TokenRow>, FlowError> {
    Ok(app.store.read(|c| token::list(c, after, limit))?)
}

/// A user's tokens.
///
/// # Errors
/// [`FlowError::NotFound`] without such a user.
pub fn of_user(app: &Appliance, name: &UserName) -> Result<Vec<TokenRow>, FlowError> {
    let owner = users::find(app, name)?;
    Ok(app.store.read(|c| token::of_user(c, &owner.id))?)
}

/// What an operator may do to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// active → suspended.
    Suspend,
    /// suspended → active.
    Resume,
    /// any → revoked; the secret is erased.
    Revoke,
    /// Forget wrong codes and the lock.
    Unlock,
}

/// Changes a token's state under a new state MAC.
///
/// # Errors
/// [`FlowError::Conflict`] when its state does not allow it; [`FlowError::Tampered`] when the row was changed
/// outside the appliance.
pub fn change(
    app: &Appliance,
    caller: &Caller,
    serial: &Serial,
    change: Change,
) -> Result<TokenRow, FlowError> {
    let found = find(app, serial)?;
    let _order = app.lock_user(&found.user_id.unwrap_or(found.id))?;
    let row = find(app, serial)?;
    let step = match change {
        Change::Suspend => row.state.lifecycle.suspend(),
        Change::Resume => row.state.lifecycle.resume(),
        Change::Revoke => row.state.lifecycle.revoke(),
        Change::Unlock => Ok(row.state.lifecycle),
    };
    let lifecycle = step.map_err(|error| FlowError::Conflict(error.to_string()))?;
    let next = match change {
        Change::Unlock => row.state.unlocked(),
        _ => MovingState { lifecycle, ..row.state.next() },
    };
    let next_mac = next_mac(app, &row, &next)?;
    let kind = match change {
        Change::Suspend => "token.suspended",
        Change::Resume => "token.resumed",
        Change::Revoke => "token.revoked",
        Change::Unlock => "token.unlocked",
    };
    save(app, caller, kind, row, next, next_mac)
}

/// The MAC of a token's next state, once its present one has been checked.
pub(super) fn next_mac(app: &Appliance, row: &TokenRow, next: &MovingState) -> Result<[u8; 32], FlowError> {
    let data = vec![row.state.bytes(&row.id), next.bytes(&row.id)];
    let macs = app.hsm.mac(MacPurpose::State, data)?;
    match macs.as_slice() {
        [present, next] if *present == row.state_mac => Ok(*next),
        _ => Err(FlowError::Tampered { what: "the state", which: row.serial.to_string() }),
    }
}

/// Saves a token's next state with the event of the change.
pub(super) fn save(
    app: &Appliance,
    caller: &Caller,
    kind: &'static str,
    row: TokenRow,
    next: MovingState,
    next_mac: [u8; 32],
) -> Result<TokenRow, FlowError> {
    let owner = row.user_id.map(|id| app.store.read(|c| user::by_id(c, &id))).transpose()?.flatten();
    let mut event = app.event(kind, caller).about("token", row.serial.as_str());
    let ends = next.lifecycle == Lifecycle::Revoked && row.class == Class::Soft;
    let codes = match &owner {
        Some(owner) if ends => CodesEnd::of(app, caller, owner)?,
        _ => CodesEnd::none(),
    };
    // What was shown by a factor that is taken away counts no more.
    let taken = row.state.lifecycle == Lifecycle::Active && next.lifecycle != Lifecycle::Active;
    let shut = owner.as_ref().map(|owner| owner.id).filter(|_| taken);
    if let Some(owner) = owner {
        event = event.about("user_ref", owner.user_ref);
    }
    let loaded = row.clone();
    let saved = app.store.write(move |w| {
        let saved = token::put_state(w, &loaded, &next, &next_mac)?;
        if saved {
            shut.map_or(Ok(()), |user| flow::remove_of_user(w, &user))?;
            event::append(w, &event)?;
            codes.write(w)?;
        }
        Ok(saved)
    })?;
    if !saved {
        return Err(FlowError::Conflict("the token was changed by another request; try again".to_owned()));
    }
    Ok(TokenRow { state: next, state_mac: next_mac, ..row })
}
