//! Letters are typeset: by command (MOB-23) or a batch of those that are due (MOB-22, OATH-45, OATH-46).
//!
//! A key is drawn, the letter typeset and its file written without a name; then one conditional write makes it
//! `rendered` with the HMAC of its key, and the file gets its name. Whoever loses that write removes its file.

use std::path::Path;
use std::time::Duration;

use domain::event::Event;
use domain::iak::{DRAW_LEN, Iak};
use domain::letter::{Kind, State};
use domain::time::Now;
use domain::token::{Id, Lifecycle};
use hsm::MacPurpose;
use parking_lot::MutexGuard;
use zeroize::Zeroizing;

use super::press::{self, BATCH_MAX, Job, Letter, Made, Sender};
use super::{
    Address, DAY_MS, NewOrder, Step, View, about, acts, conflict, files, keep, key_data, next_mac, order,
    settings,
};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::flows::{Caller, FlowError, handle, tokens, users};
use crate::store::letter::{self, LetterRow};
use crate::store::user::UserRow;
use crate::store::{event, token};

/// Longest wait for another batch.
const PRESS_WAIT: Duration = Duration::from_secs(10);
/// Draws of a key that may be unlucky, each one in 10^18.
const DRAWS_MAX: usize = 3;
/// Characters of a date in RFC 3339.
const DATE_LEN: usize = 10;

/// What a batch came to.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Letters that are typeset now.
    pub rendered: Vec<LetterRow>,
    /// Letters that could not be.
    pub failed: u64,
    /// Letters that wait for their users' gap to pass (OATH-46).
    pub held: u64,
    /// Letters that are due and were not looked at yet.
    pub left: u64,
    /// The last letter looked at: go on after it.
    pub next: Option<Id>,
}

/// A letter ready to be typeset.
struct Draft {
    row: LetterRow,
    owner: UserRow,
    handle: String,
    recipient: Address,
    key_mac: Option<[u8; 32]>,
    code: Option<Zeroizing<String>>,
    qr: Option<Zeroizing<String>>,
    valid_until_ms: i64,
    /// The last day on which it is valid from morning to evening, in UTC.
    last_day: String,
}

fn lock(app: &Appliance) -> Result<MutexGuard<'_, ()>, FlowError> {
    app.press.try_lock_for(PRESS_WAIT).ok_or_else(|| {
        FlowError::Letters("other letters are being made; try again when they are done".to_owned())
    })
}

/// Typesets the next batch of letters of a kind that are due.
///
/// # Errors
/// [`FlowError::Letters`] when no letter can be typeset or written; when the HSM or the store cannot answer.
pub fn run(app: &Appliance, caller: &Caller, kind: Kind, after: Option<Id>) -> Result<Run, FlowError> {
    let _press = lock(app)?;
    keep::finish(app)?;
    let gap = i64::try_from(app.config.people.letters.delivery_gap_ms).unwrap_or(i64::MAX);
    let quiet_since = app.clock.now().steady_ms.saturating_sub(gap);
    let after = after.map(Vec::from).unwrap_or_default();
    let rows = app.store.read(|c| letter::due(c, kind, quiet_since, &after, BATCH_MAX))?;
    let last = rows.last().map(|row| row.order.id);
    let mut run = batch(app, caller, rows)?;
    let after = last.map_or(after, Vec::from);
    let (left, held) = app.store.read(|c| letter::waiting(c, kind, quiet_since, &after))?;
    let rendered = u64::try_from(run.rendered.len()).unwrap_or(0);
    run.held = held;
    run.left = left;
    run.next = last.filter(|_| left > 0);
    tracing::info!(kind = kind.name(), rendered, failed = run.failed, held, left, "letters");
    Ok(run)
}

/// Orders a letter and typesets it at once, whatever the gap; an order that waits is taken unless this one says more.
///
/// # Errors
/// As [`order`] and [`run`]; [`FlowError::Conflict`] when it cannot be typeset: it stays ordered.
pub fn generate(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    new: &NewOrder,
    says_more: bool,
) -> Result<View, FlowError> {
    let _press = lock(app)?;
    keep::finish(app)?;
    let waiting = app.store.read(|c| letter::open_of(c, &owner.id, new.kind))?;
    let row = match waiting.filter(|row| row.progress.state == State::Ordered && !says_more) {
        Some(row) => row,
        None => order(app, caller, owner, new)?,
    };
    let id = row.order.id;
    if let Some(row) = batch(app, caller, vec![row])?.rendered.pop() {
        return acts::view(app, row);
    }
    let state = acts::show(app, &id)?.row.progress.state.name();
    let text = format!(
        "letter {} could not be typeset and is {state}; see letter.failed in the events",
        handle(&id)
    );
    Err(FlowError::Conflict(text))
}

/// Typesets letters. The press is held.
fn batch(app: &Appliance, caller: &Caller, rows: Vec<LetterRow>) -> Result<Run, FlowError> {
    let mut run = Run::default();
    let directory = files::ready(app)?;
    let now = app.clock.now();
    let mut drafts = Vec::new();
    for row in rows {
        match draft(app, caller, row.clone(), &now) {
            Ok(draft) => drafts.push(draft),
            Err(error) if error.is_unavailable() => return Err(error),
            // Nothing of ours is written over it, and the others go on.
            Err(error @ FlowError::Tampered { .. }) => {
                app.note_tampering_daily(&error, &caller.actor)?;
                run.failed += 1;
            }
            Err(error) => {
                run.failed += 1;
                fail(app, caller, row, &error.to_string())?;
            }
        }
    }
    if drafts.is_empty() {
        return Ok(run);
    }
    let mut made = typeset(app, &drafts, &now)?;
    for draft in drafts {
        let Some(at) = made.iter().position(|(id, _)| *id == draft.handle) else { continue };
        match made.swap_remove(at).1 {
            Made::Pdf { pdf, pages } => {
                run.rendered.extend(publish(app, caller, &directory, draft, &pdf, pages)?);
            }
            Made::Not(why) => {
                run.failed += 1;
                fail(app, caller, draft.row, &why)?;
            }
        }
    }
    Ok(run)
}

/// Opens what a letter says, and draws its key.
fn draft(app: &Appliance, caller: &Caller, row: LetterRow, now: &Now) -> Result<Draft, FlowError> {
    // Its present MAC is checked on the way.
    next_mac(app, &row, &row)?;
    let owner = acts::owner(app, &row)?;
    users::check_account(app, &owner)?;
    let recipient = recipient(app, &owner, &row)?;
    let life = i64::from(settings(app, row.order.kind).valid_days) * DAY_MS;
    let valid_until_ms = now.steady_ms.saturating_add(life);
    let mut draft = Draft {
        handle: handle(&row.order.id),
        recipient,
        key_mac: None,
        code: None,
        qr: None,
        valid_until_ms,
        last_day: date(valid_until_ms - DAY_MS),
        owner,
        row,
    };
    match draft.row.order.kind {
        Kind::SmsIak => {
            if app.config.people.pages.public_url.is_none() {
                let text = "public_url is not set, and the letter must say where the key is typed in";
                return Err(FlowError::Letters(text.to_owned()));
            }
            let key = draw(app)?;
            let macs = app.hsm.mac(MacPurpose::Lookup, vec![key_data(&draft.row.order.id, key.expose())])?;
            draft.key_mac = Some(*macs.first().ok_or(hsm::HsmError::Protocol)?);
            draft.code = Some(key.grouped());
        }
        Kind::Oath => draft.qr = Some(uri(app, caller, &draft.owner, &draft.row)?),
    }
    Ok(draft)
}

fn draw(app: &Appliance) -> Result<Iak, FlowError> {
    for _ in 0..DRAWS_MAX {
        let random = app.hsm.random(DRAW_LEN)?;
        let random: &[u8; DRAW_LEN] = random.as_slice().try_into().map_err(|_| hsm::HsmError::Protocol)?;
        if let Ok(key) = Iak::draw(random) {
            return Ok(key);
        }
    }
    Err(hsm::HsmError::Protocol.into())
}

/// Shows the secret of the letter's token on the word of the order; the event comes first.
fn uri(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    row: &LetterRow,
) -> Result<Zeroizing<String>, FlowError> {
    let shown = row.token_id.map(|id| app.store.read(|c| token::by_id(c, &id))).transpose()?.flatten();
    let shown =
        shown.filter(|shown| shown.state.lifecycle == Lifecycle::Active && shown.user_id == Some(owner.id));
    let shown = shown.ok_or_else(|| FlowError::Conflict("its token is not active any more".to_owned()))?;
    let viewed = about(app.event("oath.secret_viewed", caller), row, &owner.user_ref)
        .about("token", shown.serial.as_str())
        .about("ordered", row.ordered_seq.to_string());
    app.store.write(move |w| event::append(w, &viewed).map(drop))?;
    tokens::uri_of_shown(app, owner, &shown)
}

/// The lines behind the window: of the order, else of the user, else for who takes it by hand the name.
fn recipient(app: &Appliance, owner: &UserRow, row: &LetterRow) -> Result<Address, FlowError> {
    let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
    let opened = match (&row.address, &owner.postal_address) {
        (Some(sealed), _) => app.hsm.open(key, &order::address_aad(&row.order.id), sealed)?,
        (None, Some(sealed)) => app.hsm.open(key, &users::address_aad(&owner.id), sealed)?,
        (None, None) => return Address::parse(owner.name.as_str()),
    };
    let text =
        std::str::from_utf8(&opened).map_err(|_| FlowError::Invalid("the address is no text".to_owned()))?;
    Address::parse(text)
}

fn date(unix_ms: i64) -> String {
    rfc3339(unix_ms).chars().take(DATE_LEN).collect()
}

/// Where users type the key in.
fn page(app: &Appliance) -> Option<String> {
    let pages = &app.config.people.pages;
    let path = if pages.login_flow.is_some() { "/ui/login" } else { "" };
    pages.public_url.as_ref().map(|url| format!("{url}{path}"))
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn typeset(app: &Appliance, drafts: &[Draft], now: &Now) -> Result<Vec<(String, Made)>, FlowError> {
    let letters = &app.config.people.letters;
    let (today, url) = (date(now.steady_ms), page(app));
    let organisation = or(&letters.sender, &app.config.issuer);
    let return_line = or(&letters.return_line, organisation);
    let help = or(&letters.contact, organisation);
    let letter = |draft| {
        let draft: &Draft = draft;
        Letter {
            id: &draft.handle,
            kind: draft.row.order.kind.name(),
            language: &draft.row.lang,
            recipient: draft.recipient.lines(),
            date: &today,
            name: &draft.recipient.lines()[0],
            user: draft.owner.name.as_str(),
            reference: &draft.handle,
            url: url.as_deref(),
            code: draft.code.as_ref().map(|code| code.as_str()),
            qr: draft.qr.as_ref().map(|qr| qr.as_str()),
            valid_until: &draft.last_day,
        }
    };
    let job = Job {
        document: "letters",
        created: rfc3339(now.wall_ms),
        default_language: &letters.default_lang,
        window: &letters.window,
        sender: Sender {
            organisation,
            return_line,
            help: help.lines().collect(),
            colour: &app.config.people.pages.accent.to_string(),
        },
        letters: drafts.iter().map(letter).collect(),
    };
    press::typeset(letters, &job).map_err(FlowError::Letters)
}

/// Writes a letter's file, makes the letter `rendered`, and gives the file its name. None when another was first.
fn publish(
    app: &Appliance,
    caller: &Caller,
    directory: &Path,
    draft: Draft,
    pdf: &[u8],
    pages: u32,
) -> Result<Option<LetterRow>, FlowError> {
    let settings = settings(app, draft.row.order.kind);
    let name = format!("{}{}{}.pdf", settings.file_prefix, draft.handle, settings.file_suffix);
    let staged = files::stage(directory, &draft.row.order.id, pdf)
        .map_err(|error| files::failed(directory, &error))?;
    let now = app.clock.now();
    let next = LetterRow {
        progress: draft.row.progress.rendered(draft.valid_until_ms).map_err(conflict)?,
        rendered_at: Some(now.steady_ms),
        key_mac: draft.key_mac,
        file: Some(name.clone()),
        file_sha256: Some(staged.sha256),
        pages: Some(pages),
        ..draft.row.clone()
    };
    let event = about(app.event("letter.rendered", caller), &draft.row, &draft.owner.user_ref)
        .about("file", &name)
        .about("sha256", data_encoding::HEXLOWER.encode(&staged.sha256));
    let step = Step::new(app, draft.row, next.clone())?;
    let won = app.store.write(move |w| {
        let won = step.take(w, now.wall_ms)?;
        if won {
            event::append(w, &event)?;
        }
        Ok(won)
    })?;
    if !won {
        staged.discard();
        return Ok(None);
    }
    staged.publish(directory, &name).map_err(|error| files::failed(directory, &error))?;
    Ok(Some(next))
}

/// Counts a failed rendering; the third gives the letter up (B.5.2).
fn fail(app: &Appliance, caller: &Caller, row: LetterRow, why: &str) -> Result<(), FlowError> {
    tracing::warn!(letter = handle(&row.order.id), why, "a letter could not be typeset");
    let owner = acts::owner(app, &row)?;
    let progress = row.progress.render_failed().map_err(conflict)?;
    let name = if progress.state == State::Failed { "letter.failed" } else { "letter.render_failed" };
    let event = Event::failed(app.clock.now().wall_ms, name, caller.actor.clone(), why);
    let event = about(event, &row, &owner.user_ref);
    match Step::to(app, row, progress)?.save(app, event) {
        // Taken back meanwhile, or changed outside: it fails no more letters.
        Err(FlowError::Store(crate::store::StoreError::Changed(_))) => Ok(()),
        done => done.map(drop),
    }
}
