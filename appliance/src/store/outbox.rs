//! Messages on their way to a modem.

use domain::outbox::State;
use domain::time::{Deadline, Now};
use domain::token::Id;
use rusqlite::{Connection, OptionalExtension, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, deadline_columns, json_list};

/// Messages waiting at the most; beyond it a new one is refused.
pub const QUEUED_MAX: i64 = 10_000;

/// A stored message.
#[derive(Clone, Debug)]
pub struct MessageRow {
    /// UUIDv7: its order is the queue's order.
    pub id: Id,
    /// The challenge whose code it carries.
    pub challenge_id: Option<Id>,
    /// Which of the challenge's codes.
    pub send_number: Option<u32>,
    /// Whose key seals number and body; none is the appliance's own.
    pub user_id: Option<Id>,
    /// The text with `%s` for the code; with a challenge only.
    pub template: Option<String>,
    /// Sealed number.
    pub number: Vec<u8>,
    /// Sealed text; without a challenge only.
    pub body: Option<Vec<u8>>,
    /// Where it stands.
    pub state: State,
    /// The modem that has or had it.
    pub modem: Option<String>,
    /// Parts it was split into; 0 before it was sent.
    pub parts: u32,
    /// The modem's references of the parts, as decimal numbers.
    pub refs: Vec<String>,
    /// How often it was handed to a modem.
    pub tries: u32,
    /// Why it failed.
    pub error: Option<String>,
    /// Not worth sending after this.
    pub expires: Deadline,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds of the modem's acknowledgement.
    pub sent_at: Option<i64>,
}

fn read(row: &Reading<'_>) -> Result<MessageRow, StoreError> {
    let expires = row.deadline("expires_boot", "expires_boot_ms")?;
    Ok(MessageRow {
        id: row.bytes("id")?,
        challenge_id: row.optional_bytes("challenge_id")?,
        send_number: row.get("send_number")?,
        user_id: row.optional_bytes("user_id")?,
        template: row.get("template")?,
        number: row.get("number")?,
        body: row.get("body")?,
        state: row.parse("state", |name: String| State::from_name(&name))?,
        modem: row.get("modem")?,
        parts: row.get("parts")?,
        refs: row.list("refs")?,
        tries: row.get("tries")?,
        error: row.get("error")?,
        expires: expires.expect("the schema says NOT NULL"),
        created_at: row.get("created_at")?,
        sent_at: row.get("sent_at")?,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<MessageRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&Reading::new(row, "outbox", "id"))?);
    }
    Ok(found)
}

/// Finds a message.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<MessageRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM outbox WHERE id = ?1", params![id])?.into_iter().next())
}

/// Messages in one state, oldest first.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn in_state(connection: &Connection, state: State, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    many(
        connection,
        "SELECT * FROM outbox WHERE state = ?1 ORDER BY id LIMIT ?2",
        params![state.name(), limit],
    )
}

/// The message that carries, or carried, a challenge's code of this send number.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn sent_by_reference(
    connection: &Connection,
    modem: &str,
    reference: &str,
) -> Result<Option<MessageRow>, StoreError> {
    let found = many(
        connection,
        "SELECT * FROM outbox WHERE state IN ('sent', 'unknown') AND modem = ?1
             AND EXISTS (SELECT 1 FROM json_each(refs) WHERE value = ?2) ORDER BY id DESC LIMIT 1",
        params![modem, reference],
    )?;
    Ok(found.into_iter().next())
}

/// How many messages stand in each state.
///
/// # Errors
/// SQLite's.
pub fn counts(connection: &Connection) -> Result<Vec<(State, i64)>, StoreError> {
    State::all()
        .map(|state| {
            let sql = "SELECT count(*) FROM outbox WHERE state = ?1";
            let count = connection.prepare_cached(sql)?.query_row([state.name()], |row| row.get(0))?;
            Ok((state, count))
        })
        .collect()
}

/// Writes a new message.
///
/// # Errors
/// [`StoreError::Unavailable`] when [`QUEUED_MAX`] are waiting.
pub fn insert(writing: &mut Writing<'_>, message: &MessageRow) -> Result<(), StoreError> {
    let waiting: i64 = writing
        .tx
        .prepare_cached("SELECT count(*) FROM outbox WHERE state = 'queued'")?
        .query_row([], |row| row.get(0))?;
    if waiting >= QUEUED_MAX {
        return Err(StoreError::Unavailable(format!("{QUEUED_MAX} messages are waiting for a modem")));
    }
    let (boot, boot_ms) = deadline_columns(Some(&message.expires));
    writing.tx.execute(
        "INSERT INTO outbox (id, challenge_id, send_number, user_id, template, number, body, state, expires_boot,
             expires_boot_ms, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8, ?9, ?10)",
        params![
            message.id,
            message.challenge_id,
            message.send_number,
            message.user_id,
            message.template,
            message.number,
            message.body,
            boot,
            boot_ms,
            message.created_at,
        ],
    )?;
    Ok(())
}

/// Takes the oldest message that waits and is not too late, for one modem: it is `sending` on return.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn claim(writing: &mut Writing<'_>, modem: &str, now: &Now) -> Result<Option<MessageRow>, StoreError> {
    let now_ms = i64::try_from(now.boot_ms).unwrap_or(i64::MAX);
    let id: Option<Id> = writing
        .tx
        .prepare_cached(
            "UPDATE outbox SET state = 'sending', modem = ?1, tries = tries + 1
             WHERE id = (SELECT id FROM outbox WHERE state = 'queued' AND expires_boot = ?2 AND expires_boot_ms > ?3
                         ORDER BY id LIMIT 1)
             RETURNING id",
        )?
        .query_row(params![modem, now.boot.0, now_ms], |row| row.get(0))
        .optional()?;
    match id {
        None => Ok(None),
        Some(id) => by_id(writing.tx, &id),
    }
}

/// Waiting messages whose time is over.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn overdue(connection: &Connection, now: &Now, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
    let now_ms = i64::try_from(now.boot_ms).unwrap_or(i64::MAX);
    many(
        connection,
        "SELECT * FROM outbox WHERE state = 'queued' AND (expires_boot <> ?1 OR expires_boot_ms <= ?2)
         ORDER BY id LIMIT ?3",
        params![now.boot.0, now_ms, i64::try_from(limit).unwrap_or(i64::MAX)],
    )
}

/// What came of handing a message to a modem.
#[derive(Clone, Debug, Default)]
pub struct Dispatch {
    /// Parts it was split into.
    pub parts: u32,
    /// The modem's references.
    pub refs: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Unix milliseconds of the last acknowledgement.
    pub sent_at: Option<i64>,
}

/// Moves a message from the state it was loaded in. True when this call did it. A message that will not be
/// sent any more loses its sealed body.
///
/// # Errors
/// SQLite's.
///
/// # Panics
/// When the rules forbid the step: callers choose it from a match over the states.
pub fn put_state(
    writing: &mut Writing<'_>,
    message: &MessageRow,
    to: State,
    dispatch: &Dispatch,
) -> Result<bool, StoreError> {
    assert!(message.state.may_become(to), "{} does not become {}", message.state.name(), to.name());
    let mut statement = writing.tx.prepare_cached(
        "UPDATE outbox SET state = ?1, parts = max(parts, ?2), refs = CASE ?3 WHEN '[]' THEN refs ELSE ?3 END,
             error = ?4, sent_at = coalesce(?5, sent_at),
             body = CASE ?1 WHEN 'queued' THEN body ELSE NULL END
         WHERE id = ?6 AND state = ?7",
    )?;
    let changed = statement.execute(params![
        to.name(),
        dispatch.parts,
        json_list(&dispatch.refs),
        dispatch.error,
        dispatch.sent_at,
        message.id,
        message.state.name(),
    ])?;
    Ok(changed == 1)
}
