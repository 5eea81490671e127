//! Challenges: sent codes, questions that a token answers, pushes, recovery codes.

use domain::challenge::{Order, Progress, State, Wanted};
use domain::time::{Deadline, Now};
use domain::token::Id;
use oath::ocra::Question;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, deadline_columns};
use super::token::TokenRow;

/// The type of a challenge that a token answers.
const OCRA: &str = "oath";
/// The type of a challenge whose code is sent.
const SMS: &str = "sms_code";
/// The type of a challenge whose link is sent.
const LINK: &str = "sms_link";
/// The type of a challenge that a person answers on a phone.
const PUSH: &str = "push";
/// The type of a challenge that a recovery code answers.
const RECOVERY: &str = "recovery";

/// A stored challenge.
#[derive(Clone, Debug)]
pub struct ChallengeRow {
    /// 128 random bits: the handle seen outside.
    pub id: Id,
    /// Whom it asks.
    pub user_id: Id,
    /// Who asked for it; nobody else can see or answer it.
    pub application_id: Id,
    /// `login`, `register`, ...
    pub purpose: String,
    /// The authenticator whose terms hold; none for the general ones.
    pub authenticator: Option<String>,
    /// What the application wants the user to see.
    pub binding_message: Option<String>,
    /// What it wants.
    pub wanted: Wanted,
    /// What moves.
    pub progress: Progress,
    /// MAC over it.
    pub state_mac: [u8; 32],
    /// Unix milliseconds.
    pub created_at: i64,
}

impl ChallengeRow {
    /// The bytes under the MAC of some progress of this challenge.
    pub fn bytes(&self, progress: &Progress) -> Vec<u8> {
        progress.bytes(&Order {
            id: self.id,
            user: self.user_id,
            application: self.application_id,
            purpose: &self.purpose,
            authenticator: self.authenticator.as_deref(),
            binding_message: self.binding_message.as_deref(),
            wanted: self.wanted,
        })
    }
}

fn read(row: &Reading<'_>) -> Result<ChallengeRow, StoreError> {
    Ok(ChallengeRow {
        id: row.bytes("id")?,
        user_id: row.bytes("user_id")?,
        application_id: row.bytes("application_id")?,
        purpose: row.get("purpose")?,
        authenticator: row.get("authenticator")?,
        binding_message: row.get("binding_message")?,
        wanted: read_wanted(row)?,
        progress: Progress {
            state: row.parse("state", |name: String| State::from_name(&name))?,
            send_number: row.get("send_number")?,
            attempts: row.get("attempts")?,
            expires: row.deadline("expires_boot", "expires_boot_ms")?,
        },
        state_mac: row.bytes("state_mac")?,
        created_at: row.get("created_at")?,
    })
}

fn read_wanted(row: &Reading<'_>) -> Result<Wanted, StoreError> {
    Ok(match row.get::<String>("type")?.as_str() {
        OCRA => Wanted::Response {
            token: row.bytes("token_id")?,
            question: row.parse("question", |text: String| Question::parse(text.as_bytes()).ok())?,
        },
        LINK => Wanted::SentLink { phone: row.optional_bytes("phone_id")? },
        PUSH => Wanted::Push {
            device: row.bytes("device_id")?,
            message: row.bytes("message")?,
            nonce: row.bytes("nonce")?,
            number: row.get("number")?,
        },
        RECOVERY => Wanted::Recovery { set: row.bytes("set_id")? },
        _ => Wanted::SentCode { phone: row.optional_bytes("phone_id")?, digits: row.get("digits")? },
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<ChallengeRow>, StoreError> {
    row::all(connection, ("challenge", "id"), sql, values, read)
}

/// Finds a challenge by its handle.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<ChallengeRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM challenge WHERE id = ?1", params![id])?.into_iter().next())
}

/// The open challenges of a user, at one application or at all of them.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn open_of(
    connection: &Connection,
    user: &Id,
    application: Option<&Id>,
) -> Result<Vec<ChallengeRow>, StoreError> {
    many(
        connection,
        "SELECT * FROM challenge WHERE user_id = ?1 AND (?2 IS NULL OR application_id = ?2)
             AND state IN ('delivering', 'waiting') ORDER BY id",
        params![user, application],
    )
}

/// The open challenges whose link is out, `max` at the most; some of them may be over.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn open_links(connection: &Connection, max: usize) -> Result<Vec<ChallengeRow>, StoreError> {
    many(
        connection,
        "SELECT * FROM challenge WHERE state IN ('delivering', 'waiting') AND state = 'waiting'
             AND type = 'sms_link' LIMIT ?1",
        params![i64::try_from(max).unwrap_or(i64::MAX)],
    )
}

/// Writes a new challenge.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, challenge: &ChallengeRow) -> Result<(), StoreError> {
    let (boot, boot_ms) = deadline_columns(challenge.progress.expires.as_ref());
    let (kind, phone, digits, token, question) = match challenge.wanted {
        Wanted::SentCode { phone, digits } => (SMS, phone, digits, None, None),
        Wanted::SentLink { phone } => (LINK, phone, 0, None, None),
        Wanted::Response { token, question } => {
            (OCRA, None, question.len().get(), Some(token), Some(question.to_string()))
        }
        Wanted::Push { .. } => (PUSH, None, 0, None, None),
        Wanted::Recovery { .. } => (RECOVERY, None, 0, None, None),
    };
    writing.tx.execute(
        "INSERT INTO challenge (id, user_id, application_id, type, purpose, phone_id, digits, state, send_number,
             attempts, expires_boot, expires_boot_ms, state_mac, created_at, token_id, question, authenticator,
             binding_message)
         VALUES (?1, ?2, ?3, ?14, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?15, ?16, ?17, ?18)",
        params![
            challenge.id,
            challenge.user_id,
            challenge.application_id,
            challenge.purpose,
            phone,
            digits,
            challenge.progress.state.name(),
            challenge.progress.send_number,
            challenge.progress.attempts,
            boot,
            boot_ms,
            challenge.state_mac,
            challenge.created_at,
            kind,
            token,
            question,
            challenge.authenticator,
            challenge.binding_message,
        ],
    )?;
    Ok(())
}

/// Writes a new push that is made now, under the name that its phone repeats.
///
/// # Errors
/// SQLite's.
pub fn insert_push(
    writing: &mut Writing<'_>,
    challenge: &ChallengeRow,
    message_id: &str,
    now: &Now,
) -> Result<(), StoreError> {
    insert(writing, challenge)?;
    let Wanted::Push { device, message, nonce, number } = challenge.wanted else { return Ok(()) };
    writing.tx.execute(
        "UPDATE challenge SET device_id = ?1, message_id = ?2, message = ?3, nonce = ?4, number = ?5,
             asked_boot = ?7, asked_boot_ms = ?8 WHERE id = ?6",
        params![device, message_id, message, nonce, number, challenge.id, now.boot.0, boot_ms(now)],
    )?;
    Ok(())
}

/// Notes when a push was denied, which happened now.
///
/// # Errors
/// SQLite's.
pub fn note_denied(writing: &mut Writing<'_>, id: &Id, now: &Now) -> Result<(), StoreError> {
    let sql = "UPDATE challenge SET denied_boot_ms = ?1 WHERE id = ?2 AND asked_boot = ?3";
    writing.tx.execute(sql, params![boot_ms(now), id, now.boot.0])?;
    Ok(())
}

fn boot_ms(now: &Now) -> i64 {
    i64::try_from(now.boot_ms).unwrap_or(i64::MAX)
}

/// Writes a new challenge that a recovery code answers.
///
/// # Errors
/// SQLite's.
pub fn insert_recovery(
    writing: &mut Writing<'_>,
    challenge: &ChallengeRow,
    set: &Id,
) -> Result<(), StoreError> {
    insert(writing, challenge)?;
    writing.tx.execute("UPDATE challenge SET set_id = ?1 WHERE id = ?2", params![set, challenge.id])?;
    Ok(())
}

/// Finds a push by the name that its phone repeats.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_message(connection: &Connection, message_id: &str) -> Result<Option<ChallengeRow>, StoreError> {
    let sql = "SELECT * FROM challenge WHERE message_id = ?1";
    Ok(many(connection, sql, params![message_id])?.into_iter().next())
}

/// The pushes that are open and whose time is over, `max` at the most.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn overdue_pushes(
    connection: &Connection,
    now: &Now,
    max: usize,
) -> Result<Vec<ChallengeRow>, StoreError> {
    many(
        connection,
        "SELECT * FROM challenge WHERE state IN ('delivering', 'waiting') AND type = 'push'
             AND (expires_boot <> ?1 OR expires_boot_ms <= ?2) LIMIT ?3",
        params![now.boot.0, boot_ms(now), i64::try_from(max).unwrap_or(i64::MAX)],
    )
}

/// How a user's phone was pushed of late: pushes in a window that none was approved after, denials among them, and when the last
/// denial was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Pushes.
    pub pushes: u32,
    /// Denials.
    pub denials: u32,
    /// The last denial.
    pub denied: Option<Deadline>,
}

/// Counts the pushes to a user's phone in the window of so many milliseconds that ends now, and since the last approval on
/// it (A14, D-42): what is approved on a phone that is being enrolled lifts no limit of the one in use. It runs on the boot
/// clock; what another boot has pushed does not count.
///
/// # Errors
/// SQLite's.
pub fn pushed(
    connection: &Connection,
    (user, phone): (Id, Id),
    window_ms: u64,
    now: &Now,
) -> Result<Pushed, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*), count(*) FILTER (WHERE state = 'denied'), max(denied_boot_ms)
         FROM challenge WHERE user_id = ?1 AND type = 'push' AND asked_boot = ?2 AND asked_boot_ms > ?3
             AND device_id = ?4
             AND asked_boot_ms > coalesce((SELECT max(asked_boot_ms) FROM challenge WHERE user_id = ?1
                 AND type = 'push' AND asked_boot = ?2 AND device_id = ?4 AND state = 'verified'), -1)",
    )?;
    let since = boot_ms(now).saturating_sub(i64::try_from(window_ms).unwrap_or(i64::MAX));
    Ok(statement.query_row(params![user, now.boot.0, since, phone], |row| {
        let denied: Option<i64> = row.get(2)?;
        let denied = denied.and_then(|ms| u64::try_from(ms).ok());
        let denied = denied.map(|boot_ms| Deadline { boot: now.boot, boot_ms });
        Ok(Pushed { pushes: row.get(0)?, denials: row.get(1)?, denied })
    })?)
}

/// Replaces the progress that was loaded by its next one: one conditional write.
///
/// True when this call did it; false when the challenge had moved.
///
/// # Errors
/// SQLite's.
pub fn put_progress(
    writing: &mut Writing<'_>,
    challenge: &ChallengeRow,
    next: &Progress,
    next_mac: &[u8; 32],
    at_ms: i64,
) -> Result<bool, StoreError> {
    put(writing, challenge, next, next_mac, at_ms, None)
}

/// As [`put_progress`], on the further condition that the token which answered is active and as it was loaded.
///
/// # Errors
/// SQLite's.
pub fn put_answered(
    writing: &mut Writing<'_>,
    challenge: &ChallengeRow,
    next: &Progress,
    next_mac: &[u8; 32],
    at_ms: i64,
    token: &TokenRow,
) -> Result<bool, StoreError> {
    put(writing, challenge, next, next_mac, at_ms, Some(token))
}

fn put(
    writing: &mut Writing<'_>,
    challenge: &ChallengeRow,
    next: &Progress,
    next_mac: &[u8; 32],
    at_ms: i64,
    token: Option<&TokenRow>,
) -> Result<bool, StoreError> {
    let (boot, boot_ms) = deadline_columns(next.expires.as_ref());
    let decided = next.state.is_final().then_some(at_ms);
    let mut statement = writing.tx.prepare_cached(
        "UPDATE challenge SET state = ?1, send_number = ?2, attempts = ?3, expires_boot = ?4, expires_boot_ms = ?5,
             state_mac = ?6, decided_at = ?7
         WHERE id = ?8 AND state_mac = ?9 AND state = ?10 AND (?11 IS NULL OR EXISTS (
             SELECT 1 FROM token WHERE id = ?11 AND state_mac = ?12 AND lifecycle = 'active'))",
    )?;
    let changed = statement.execute(params![
        next.state.name(),
        next.send_number,
        next.attempts,
        boot,
        boot_ms,
        next_mac,
        decided,
        challenge.id,
        challenge.state_mac,
        challenge.progress.state.name(),
        token.map(|token| token.id),
        token.map(|token| token.state_mac),
    ])?;
    Ok(changed == 1)
}
