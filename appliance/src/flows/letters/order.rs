//! A letter is ordered: by an operator, an application, the user, or with a new token (MOB-21, MOB-24, OATH-51).

use domain::event::Event;
use domain::letter::{Delivery, Kind, Order, Progress, State};
use domain::token::{Class, Factor, Id, Lifecycle};
use hsm::MacPurpose;

use super::{Address, Step, about, conflict};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, enrol, tokens};
use crate::store::letter::{self, LetterRow};
use crate::store::token::TokenRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event, token};

/// A letter to order.
pub struct NewOrder {
    /// What it activates.
    pub kind: Kind,
    /// How it gets there.
    pub delivery: Delivery,
    /// For this letter alone; else the user's own.
    pub address: Option<Address>,
}

/// What the seal of an address covers that was given with an order.
pub(super) fn address_aad(letter: &Id) -> Vec<u8> {
    [b"countersign letter address 1".as_slice(), letter].concat()
}

/// The soft token whose secret a letter shows: the living one that may be shown (OATH-49).
fn token_to_show(app: &Appliance, owner: &UserRow) -> Result<TokenRow, FlowError> {
    let tokens = app.store.read(|c| token::of_user(c, &owner.id))?;
    let soft = |row: &TokenRow| row.class == Class::Soft && row.state.lifecycle == Lifecycle::Active;
    let Some(row) = tokens.into_iter().rfind(soft) else {
        let text = format!("{0} has no soft token: add it first: countersign oath add {0}", owner.name);
        return Err(FlowError::Conflict(text));
    };
    if row.reveal.is_none() {
        return Err(FlowError::Conflict(format!(
            "the secret of {} cannot be shown again: renew it",
            row.serial
        )));
    }
    // A counter cannot be shared by two apps (OATH-35).
    if row.policy.factor == Factor::Hotp && row.state.last >= 0 {
        return Err(FlowError::Conflict(format!(
            "the counter of {} is in use already: renew it",
            row.serial
        )));
    }
    Ok(row)
}

/// Orders a letter; an open one of the same kind is superseded (MOB-32).
///
/// # Errors
/// [`FlowError::Conflict`] for a letter by post to a user without an address (MOB-27), for a QR code without a token whose
/// secret may be shown, and for a key where the method `letter` is off, which is an event (BIND-33).
pub fn order(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    new: &NewOrder,
) -> Result<LetterRow, FlowError> {
    if new.kind == Kind::SmsIak && !enrol::letters_count(app) {
        let at = app.clock.now().wall_ms;
        let refused = Event::refused(at, "letter.ordered", caller.actor.clone(), "method_disabled");
        app.refuse_seldom(&owner.user_ref, refused.about("user_ref", &owner.user_ref))?;
        let text = "letter.disabled: keys of letters count for nothing: see enrol.methods.letter";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    need_address(owner, new)?;
    let token = match new.kind {
        Kind::SmsIak => None,
        Kind::Oath => Some(token_to_show(app, owner)?.id),
    };
    let _order = app.lock_user(&owner.id)?;
    let ordered = prepare(app, caller, owner, new, token)?;
    Ok(app.store.write(move |w| ordered.write(w))?)
}

fn need_address(owner: &UserRow, new: &NewOrder) -> Result<(), FlowError> {
    if new.delivery == Delivery::Post && new.address.is_none() && owner.postal_address.is_none() {
        let text =
            format!("letter.no_address: {} has no postal address; give one with the order", owner.name);
        return Err(FlowError::Conflict(text));
    }
    Ok(())
}

/// A letter that is ordered, and the end of the one in whose place it comes; not yet written.
pub(crate) struct Ordered {
    row: LetterRow,
    former: Option<(Step, Event)>,
    event: Event,
}

impl Ordered {
    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the former letter had moved; SQLite's.
    pub(crate) fn write(self, writing: &mut Writing<'_>) -> Result<LetterRow, StoreError> {
        let mut row = self.row;
        if let Some((step, event)) = &self.former {
            if !step.take(writing, row.ordered_at)? {
                return Err(StoreError::Changed("the letter"));
            }
            event::append(writing, event)?;
        }
        row.ordered_seq = event::append(writing, &self.event)?;
        letter::insert(writing, &row)?;
        Ok(row)
    }
}

/// The letter of a token that is written in the same transaction (OATH-50). The caller holds the user's lock.
///
/// # Errors
/// As [`order`].
pub(crate) fn with_token(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    token: &TokenRow,
    delivery: Delivery,
) -> Result<Ordered, FlowError> {
    let new = NewOrder { kind: Kind::Oath, delivery, address: None };
    need_address(owner, &new)?;
    if token.reveal.is_none() {
        let text = "the secret of a new account cannot be shown: see oath.reveal_after_activation";
        return Err(FlowError::Conflict(text.to_owned()));
    }
    prepare(app, caller, owner, &new, Some(token.id))
}

fn prepare(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    new: &NewOrder,
    token_id: Option<Id>,
) -> Result<Ordered, FlowError> {
    let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    let now = app.clock.now();
    let id = app.new_id()?;
    let address = match &new.address {
        None => None,
        Some(address) => Some(app.hsm.seal(key, &address_aad(&id), address.to_text().as_bytes())?),
    };
    let mut row = LetterRow {
        order: Order { id, user: owner.id, kind: new.kind, delivery: new.delivery },
        token_id,
        lang: owner.lang.clone(),
        address,
        ordered_by: caller.actor.id.clone(),
        ordered_at: now.wall_ms,
        ordered_seq: 0,
        rendered_at: None,
        handed_over_by: None,
        handed_over_at: None,
        key_mac: None,
        file: None,
        file_sha256: None,
        pages: None,
        progress: Progress::ordered(),
        state_mac: [0; 32],
    };
    let macs = app.hsm.mac(MacPurpose::State, vec![row.bytes(&row.progress)])?;
    row.state_mac = *macs.first().ok_or(hsm::HsmError::Protocol)?;
    let former = replaced(app, caller, owner, new.kind)?;
    let event = about(app.event("letter.ordered", caller), &row, &owner.user_ref)
        .about("delivery", new.delivery.name());
    Ok(Ordered { row, former, event })
}

/// The end of the open letter in whose place a new one comes.
fn replaced(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    kind: Kind,
) -> Result<Option<(Step, Event)>, FlowError> {
    let Some(former) = app.store.read(|c| letter::open_of(c, &owner.id, kind))? else { return Ok(None) };
    let aged = former.progress.aged(&app.clock.now());
    let (name, progress) = match aged.state {
        State::Expired => ("letter.expired", aged),
        _ => ("letter.superseded", aged.superseded().map_err(conflict)?),
    };
    let event = about(app.event(name, caller), &former, &owner.user_ref);
    Ok(Some((Step::to(app, former, progress)?, event)))
}

/// Orders a letter to the user's own address.
///
/// # Errors
/// As [`order`].
pub(crate) fn order_for(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    kind: Kind,
    delivery: Delivery,
) -> Result<LetterRow, FlowError> {
    order(app, caller, owner, &NewOrder { kind, delivery, address: None })
}

/// How a letter that nobody ordered by hand gets to a user.
pub(crate) fn delivery_to(owner: &UserRow) -> Delivery {
    if owner.postal_address.is_some() { Delivery::Post } else { Delivery::Hand }
}

/// Orders the letter of a new soft token, where the configuration says so (OATH-51).
///
/// # Errors
/// When the store cannot answer.
pub(crate) fn for_new_token(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    row: &TokenRow,
) -> Result<(), FlowError> {
    if !app.config.people.oath.auto_order_letter || row.reveal.is_none() {
        return Ok(());
    }
    noted(app, caller, owner, order_for(app, caller, owner, Kind::Oath, delivery_to(owner)).map(drop))
}

/// What was to come with a letter is done and stays so, even when the letter could not be ordered: the event says it.
fn noted(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    done: Result<(), FlowError>,
) -> Result<(), FlowError> {
    let Err(error) = done else { return Ok(()) };
    tracing::warn!(%error, "a letter that the configuration asks for was not ordered");
    let at = app.clock.now().wall_ms;
    let event = Event::failed(at, "letter.not_ordered", caller.actor.clone(), error.to_string())
        .about("user_ref", &owner.user_ref);
    Ok(app.store.write(move |w| event::append(w, &event).map(drop))?)
}

/// Makes the token of a new user and orders its letter, where the configuration says so (OATH-51).
///
/// # Errors
/// When the store cannot answer.
pub(crate) fn for_new_user(app: &Appliance, caller: &Caller, owner: &UserRow) -> Result<(), FlowError> {
    let oath = &app.config.people.oath;
    if !oath.auto_order_letter_new_users {
        return Ok(());
    }
    let done = tokens::add_configured(app, caller, &owner.name).and_then(|_| {
        // Else it came with the token.
        let ordered = oath.auto_order_letter;
        if ordered { Ok(()) } else { order_for(app, caller, owner, Kind::Oath, delivery_to(owner)).map(drop) }
    });
    noted(app, caller, owner, done)
}
