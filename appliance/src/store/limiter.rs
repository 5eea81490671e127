//! Wrong codes of a user at an application.

use domain::limit::{Consequence, Counters};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, deadline_columns};

/// What is counted for a user at an application. `user_failures` is the user row's own counter.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn counters(
    connection: &Connection,
    user: &Id,
    application: &Id,
    user_failures: u32,
) -> Result<Counters, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM limiter WHERE user_id = ?1 AND application_id = ?2")?;
    let mut rows = statement.query(params![user, application])?;
    let Some(row) = rows.next()? else {
        return Ok(Counters { user_failures, ..Counters::default() });
    };
    let row = Reading::new(row, "limiter", "user_id");
    Ok(Counters {
        pair_failures: row.get("failures")?,
        not_before: row.deadline("not_before_boot", "not_before_ms")?,
        locked_until_ms: row.get("locked_until")?,
        user_failures,
    })
}

/// Counts one wrong code and returns how many there are now.
///
/// # Errors
/// SQLite's.
pub fn count_failure(writing: &mut Writing<'_>, user: &Id, application: &Id) -> Result<u32, StoreError> {
    let mut statement = writing.tx.prepare_cached(
        "INSERT INTO limiter (user_id, application_id, failures) VALUES (?1, ?2, 1)
         ON CONFLICT (user_id, application_id) DO UPDATE SET failures = failures + 1 RETURNING failures",
    )?;
    Ok(statement.query_row(params![user, application], |row| row.get(0))?)
}

/// Writes what the count brings with it.
///
/// # Errors
/// SQLite's.
pub fn set_consequence(
    writing: &mut Writing<'_>,
    user: &Id,
    application: &Id,
    consequence: &Consequence,
) -> Result<(), StoreError> {
    let (boot, boot_ms) = deadline_columns(consequence.not_before.as_ref());
    let mut statement = writing.tx.prepare_cached(
        "UPDATE limiter SET not_before_boot = ?3, not_before_ms = ?4, locked_until = ?5
         WHERE user_id = ?1 AND application_id = ?2",
    )?;
    statement.execute(params![user, application, boot, boot_ms, consequence.locked_until_ms])?;
    Ok(())
}

/// Forgets the wrong codes of a user at one application, or at all of them.
///
/// # Errors
/// SQLite's.
pub fn clear(writing: &mut Writing<'_>, user: &Id, application: Option<&Id>) -> Result<(), StoreError> {
    let mut statement = writing
        .tx
        .prepare_cached("DELETE FROM limiter WHERE user_id = ?1 AND (?2 IS NULL OR application_id = ?2)")?;
    statement.execute(params![user, application])?;
    Ok(())
}
