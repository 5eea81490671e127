//! What was sent to whom in the last day, for the limits that no new session evades (SMS-43).

use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;

/// How long a row counts, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// A message that was ordered.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message.
    pub id: Id,
    /// To whom.
    pub user: Id,
    /// By whom.
    pub application: Id,
    /// HMAC of the number.
    pub lookup: [u8; 32],
    /// Unix milliseconds.
    pub at: i64,
}

/// Counts a message; what no limit asks for any more goes.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, sent: &Sent) -> Result<(), StoreError> {
    sweep(writing, sent.at)?;
    writing.tx.execute(
        "INSERT INTO sms_sent (id, user_id, application_id, number_lookup, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![sent.id, sent.user, sent.application, sent.lookup, sent.at],
    )?;
    Ok(())
}

/// Forgets what no limit asks for any more. `at_ms` is now in Unix milliseconds.
///
/// # Errors
/// SQLite's.
pub fn sweep(writing: &mut Writing<'_>, at_ms: i64) -> Result<(), StoreError> {
    writing.tx.execute("DELETE FROM sms_sent WHERE at < ?1", [at_ms.saturating_sub(KEPT_MS)])?;
    Ok(())
}

fn count(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let count: i64 = statement.query_row(values, |row| row.get(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Messages to a user since a moment.
///
/// # Errors
/// SQLite's.
pub fn to_user(connection: &Connection, user: &Id, since: i64) -> Result<u32, StoreError> {
    count(connection, "SELECT count(*) FROM sms_sent WHERE user_id = ?1 AND at >= ?2", params![user, since])
}

/// Messages to a number since a moment.
///
/// # Errors
/// SQLite's.
pub fn to_number(connection: &Connection, lookup: &[u8; 32], since: i64) -> Result<u32, StoreError> {
    count(
        connection,
        "SELECT count(*) FROM sms_sent WHERE number_lookup = ?1 AND at >= ?2",
        params![lookup, since],
    )
}

/// Messages that an application ordered since a moment.
///
/// # Errors
/// SQLite's.
pub fn by_application(connection: &Connection, application: &Id, since: i64) -> Result<u32, StoreError> {
    count(
        connection,
        "SELECT count(*) FROM sms_sent WHERE application_id = ?1 AND at >= ?2",
        params![application, since],
    )
}

/// All messages since a moment.
///
/// # Errors
/// SQLite's.
pub fn all(connection: &Connection, since: i64) -> Result<u32, StoreError> {
    count(connection, "SELECT count(*) FROM sms_sent WHERE at >= ?1", params![since])
}
