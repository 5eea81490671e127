//! Push messages on their way to phones. What stands in one is sealed together with where it belongs.

use domain::time::{Deadline, Now};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, deadline_columns};

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be carried.
    Queued,
    /// A service took it.
    Sent,
    /// The phone fetches it.
    Kept,
    /// No service took it.
    Failed,
}

impl State {
    /// As the database spells it.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sent => "sent",
            State::Kept => "kept",
            State::Failed => "failed",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [State::Queued, State::Sent, State::Kept, State::Failed].into_iter().find(|one| one.name() == name)
    }
}

/// A stored message.
#[derive(Clone, Debug)]
pub struct MessageRow {
    /// Its name, which the phone repeats.
    pub id: String,
    /// What it asks.
    pub challenge_id: Id,
    /// Whom it asks.
    pub user_id: Id,
    /// The phone.
    pub device_id: Id,
    /// The signed message, sealed.
    pub sealed: Vec<u8>,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub tries: u32,
    /// End of its life.
    pub expires: Deadline,
    /// Unix milliseconds.
    pub created_at: i64,
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
        let row = Reading::new(row, "push_message", "id");
        let expires = row.deadline("expires_boot", "expires_boot_ms")?;
        found.push(MessageRow {
            id: row.get("id")?,
            challenge_id: row.bytes("challenge_id")?,
            user_id: row.bytes("user_id")?,
            device_id: row.bytes("device_id")?,
            sealed: row.get("sealed")?,
            state: row.parse("state", |name: String| State::from_name(&name))?,
            tries: row.get("tries")?,
            expires: expires.ok_or_else(|| row.fault("expires_boot"))?,
            created_at: row.get("created_at")?,
        });
    }
    Ok(found)
}

/// Messages to be carried, oldest first: none whose challenge has ended, so that a phone shows nothing that is over.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn queued(connection: &Connection, max: usize) -> Result<Vec<MessageRow>, StoreError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    many(
        connection,
        "SELECT push_message.* FROM push_message JOIN challenge ON challenge.id = challenge_id
         WHERE push_message.state = 'queued' AND challenge.state IN ('delivering', 'waiting')
         ORDER BY push_message.created_at LIMIT ?1",
        [max],
    )
}

/// Messages that a phone fetches and whose challenge is open, oldest first.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn kept_of(connection: &Connection, device: &Id, max: usize) -> Result<Vec<MessageRow>, StoreError> {
    many(
        connection,
        "SELECT push_message.* FROM push_message JOIN challenge ON challenge.id = challenge_id
         WHERE push_message.device_id = ?1 AND push_message.state = 'kept'
             AND challenge.state IN ('delivering', 'waiting')
         ORDER BY push_message.created_at LIMIT ?2",
        params![device, i64::try_from(max).unwrap_or(i64::MAX)],
    )
}

/// Writes a new message.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, row: &MessageRow) -> Result<(), StoreError> {
    let (boot, boot_ms) = deadline_columns(Some(&row.expires));
    writing.tx.execute(
        "INSERT INTO push_message (id, challenge_id, user_id, device_id, sealed, state, tries, expires_boot,
             expires_boot_ms, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            row.id,
            row.challenge_id,
            row.user_id,
            row.device_id,
            row.sealed,
            row.state.name(),
            row.tries,
            boot,
            boot_ms,
            row.created_at,
        ],
    )?;
    Ok(())
}

/// Says what came of carrying a message. True when it was still to be carried.
///
/// # Errors
/// SQLite's.
pub fn settle(writing: &mut Writing<'_>, id: &str, state: State) -> Result<bool, StoreError> {
    let sql = "UPDATE push_message SET state = ?1, tries = tries + 1 WHERE id = ?2 AND state = 'queued'";
    Ok(writing.tx.execute(sql, params![state.name(), id])? == 1)
}

/// Removes messages whose challenge has ended or whose time is over.
///
/// # Errors
/// SQLite's.
pub fn sweep(writing: &mut Writing<'_>, now: &Now) -> Result<(), StoreError> {
    writing.tx.execute(
        "DELETE FROM push_message WHERE expires_boot <> ?1 OR expires_boot_ms <= ?2 OR challenge_id IN (
             SELECT id FROM challenge WHERE challenge.id = challenge_id AND state NOT IN ('delivering', 'waiting'))",
        params![now.boot.0, i64::try_from(now.boot_ms).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}
