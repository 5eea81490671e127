//! The link in a message: 128 bits that only the phone has (SMS-39, D-13).
//!
//! The token is an HMAC of the HSM over challenge and send number: it is made when the message is sent, and the
//! store holds its hash alone.

use domain::challenge::{Progress, State, Wanted};
use domain::event::Event;
use hsm::MacPurpose;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::appliance::Appliance;
use crate::flows::{FlowError, challenge as sent, handle, users};
use crate::store::challenge::ChallengeRow;
use crate::store::user::UserRow;
use crate::store::{challenge, event, link, user};
use domain::event::Actor;

/// Bytes of a link's token.
const TOKEN_LEN: usize = 16;
/// Its length as text.
const TEXT_LEN: usize = 22;
/// Links that one sweep looks at, at the most.
const SWEEP_MAX: usize = 4096;

/// What a phone may see of who asks.
pub struct LinkAsked {
    /// The user's name.
    pub user: domain::names::UserName,
    /// Language tag.
    pub lang: String,
    /// What the application wants the user to see.
    pub message: Option<String>,
}

/// What the phone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is the user.
    Approve,
    /// It is not.
    Reject,
}

fn token(app: &Appliance, row: &ChallengeRow) -> Result<Zeroizing<String>, FlowError> {
    let data = [b"countersign link 1".as_slice(), &row.id, &row.progress.send_number.to_be_bytes()].concat();
    let macs = app.hsm.mac(MacPurpose::Lookup, vec![data])?;
    let mac = macs.first().ok_or(hsm::HsmError::Protocol)?;
    Ok(Zeroizing::new(data_encoding::BASE64URL_NOPAD.encode(&mac[..TOKEN_LEN])))
}

/// The hash under which the store finds a challenge's link.
pub(in crate::flows) fn hash_of(app: &Appliance, row: &ChallengeRow) -> Result<[u8; 32], FlowError> {
    Ok(Sha256::digest(token(app, row)?.as_bytes()).into())
}

/// The address that a message carries.
pub(in crate::flows) fn address(
    app: &Appliance,
    row: &ChallengeRow,
) -> Result<Zeroizing<Vec<u8>>, FlowError> {
    let base = app.config.people.pages.public_url.as_deref().unwrap_or_default();
    let token = token(app, row)?;
    Ok(Zeroizing::new([base.as_bytes(), b"/ui/l/", token.as_bytes()].concat()))
}

/// The open challenge of a link, and whom it is for.
fn find(app: &Appliance, text: &str) -> Result<Option<(ChallengeRow, UserRow)>, FlowError> {
    if text.len() != TEXT_LEN {
        return Ok(None);
    }
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let now = app.clock.now();
    let found = app.store.read(|c| {
        let Some((id, send_number)) = link::find(c, &hash)? else { return Ok(None) };
        let Some(row) = challenge::by_id(c, &id)? else { return Ok(None) };
        let owner = user::by_id(c, &row.user_id)?;
        Ok(owner.map(|owner| (row, owner, send_number)))
    })?;
    let Some((row, owner, send_number)) = found else { return Ok(None) };
    // The row leads to the challenge; whether this is one of its links is said by the token itself.
    let sent = Progress { send_number, ..row.progress };
    if hash_of(app, &ChallengeRow { progress: sent, ..row.clone() })? != hash {
        return Err(FlowError::Tampered { what: "the link", which: handle(&row.id) });
    }
    users::check_account(app, &owner)?;
    // Whoever has the link has the message, whether or not the modem has said so yet.
    let open = matches!(row.progress.aged(&now).state, State::Delivering | State::Waiting);
    let is_link = matches!(row.wanted, Wanted::SentLink { .. });
    let fits = is_link && row.progress.send_number == send_number && owner.state == "active";
    Ok((open && fits).then_some((row, owner)))
}

/// Ends the links that nobody has opened in time, each with its event (SMS-44).
///
/// # Errors
/// When the HSM or the store cannot answer.
pub fn end_overdue(app: &Appliance) -> Result<(), FlowError> {
    let now = app.clock.now();
    for row in app.store.read(|c| challenge::open_links(c, SWEEP_MAX))? {
        if row.progress.aged(&now) == row.progress {
            continue;
        }
        match end(app, &row) {
            Err(error @ FlowError::Tampered { .. }) => app.note_tampering(&error, &Actor::system("links"))?,
            done => done?,
        }
    }
    Ok(())
}

/// Ends a link whose time is over. Whoever comes second changes nothing.
fn end(app: &Appliance, row: &ChallengeRow) -> Result<(), FlowError> {
    let _order = app.lock_user(&row.user_id)?;
    let now = app.clock.now();
    let next = row.progress.aged(&now);
    let mac = sent::next_mac(app, row, &next)?;
    let owner = app.store.read(|c| user::by_id(c, &row.user_id))?;
    let event = Event::refused(now.wall_ms, "sms.link_expired", Actor::system("links"), "expired")
        .about("challenge", handle(&row.id));
    let event = match &owner {
        Some(owner) => event.about("user_ref", &owner.user_ref),
        None => event,
    };
    let row = row.clone();
    Ok(app.store.write(move |w| {
        if challenge::put_progress(w, &row, &next, &mac, now.wall_ms)? {
            event::append(w, &event)?;
        }
        Ok(())
    })?)
}

/// Shows a link; nothing is decided by it. None for one that is not, or no longer, good.
///
/// # Errors
/// When the store cannot answer.
pub fn open(app: &Appliance, text: &str) -> Result<Option<LinkAsked>, FlowError> {
    let Some((row, owner)) = find(app, text)? else { return Ok(None) };
    let message = row.binding_message;
    Ok(Some(LinkAsked { user: owner.name, lang: owner.lang, message }))
}

/// Decides, once. None for a link that is not, or no longer, good.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub fn decide(app: &Appliance, text: &str, decision: Decision) -> Result<Option<LinkAsked>, FlowError> {
    let Some((found, _)) = find(app, text)? else { return Ok(None) };
    let _order = app.lock_user(&found.user_id)?;
    let Some((row, owner)) = find(app, text)? else { return Ok(None) };
    // By what row the challenge was found is under no MAC: only the HSM says whether this is its link.
    if !bool::from(token(app, &row)?.as_bytes().ct_eq(text.as_bytes())) {
        let error = FlowError::Tampered { what: "the link", which: handle(&row.id) };
        app.note_tampering_daily(&error, &Actor::system("pages"))?;
        return Ok(None);
    }
    let next = match decision {
        Decision::Approve => row.progress.verified(),
        Decision::Reject => match row.progress.ended(State::Denied) {
            Ok(next) => next,
            Err(_) => return Ok(None),
        },
    };
    let mac = sent::next_mac(app, &row, &next)?;
    let at = app.clock.now().wall_ms;
    let actor = Actor { kind: "user", id: owner.user_ref.clone(), role: String::new() };
    let event = match decision {
        Decision::Approve => Event::ok(at, "sms.link_confirmed", actor),
        Decision::Reject => Event::refused(at, "sms.link_rejected", actor, "rejected"),
    };
    let event = event.about("user_ref", &owner.user_ref).about("challenge", handle(&row.id));
    let message = row.binding_message.clone();
    let won = app.store.write(move |w| {
        let won = challenge::put_progress(w, &row, &next, &mac, at)?;
        if won {
            event::append(w, &event)?;
        }
        Ok(won)
    })?;
    Ok(won.then_some(LinkAsked { user: owner.name, lang: owner.lang, message }))
}
