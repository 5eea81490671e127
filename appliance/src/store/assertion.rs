//! Assertions that have vouched for an enrolment (BIND-15): each vouches once.

use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::is_taken;

/// Whether an assertion has vouched before.
///
/// # Errors
/// SQLite's.
pub fn is_used(connection: &Connection, mark: &[u8; 32]) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM assertion_used WHERE mark = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([mark], |row| row.get(0))?)
}

/// Notes that an assertion vouches, until it is too old; forgets those that are. Times are steady Unix milliseconds.
///
/// # Errors
/// [`StoreError::Changed`] when another act was first; SQLite's.
pub fn use_up(writing: &mut Writing<'_>, mark: &[u8; 32], until: i64, now: i64) -> Result<(), StoreError> {
    writing.tx.execute("DELETE FROM assertion_used WHERE until < ?1", [now])?;
    let inserted =
        writing.tx.execute("INSERT INTO assertion_used (mark, until) VALUES (?1, ?2)", params![mark, until]);
    match inserted {
        Err(error) if is_taken(&error) => Err(StoreError::Changed("the assertion")),
        done => Ok(done.map(drop)?),
    }
}
