//! Assertions that have vouched for an enrolment, or shown its first factor (BIND-04, BIND-15): each vouches once, and
//! what has shown a first factor vouches for none.

use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::is_taken;

/// Whether an assertion has vouched, or shown a first factor.
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

/// Notes that an assertion has shown a first factor, as it may more than once, until it is too old; forgets those that are.
/// Times are steady Unix milliseconds.
///
/// # Errors
/// SQLite's.
pub fn note(writing: &mut Writing<'_>, mark: &[u8; 32], until: i64, now: i64) -> Result<(), StoreError> {
    writing.tx.execute("DELETE FROM assertion_used WHERE until < ?1", [now])?;
    writing.tx.execute(
        "INSERT INTO assertion_used (mark, until) VALUES (?1, ?2)
         ON CONFLICT (mark) DO UPDATE SET until = max(until, excluded.until)",
        params![mark, until],
    )?;
    Ok(())
}
