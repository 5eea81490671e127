//! Answers kept for a retry with the same request id.

use domain::time::{Deadline, Now};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, deadline_columns};

/// Stale answers removed with each new one, at the most.
const SWEEP_MAX: i64 = 64;

/// An answer as it was given.
#[derive(Clone, Debug)]
pub struct StoredAnswer {
    /// HMAC over what was asked, what was answered and until when.
    pub fingerprint: [u8; 32],
    /// The answer as JSON text.
    pub answer: String,
    /// Until when it is given again.
    pub expires: Deadline,
}

/// The answer to an earlier request with this id, unless its time is over.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn find(
    connection: &Connection,
    application: &Id,
    request_id: &str,
    now: &Now,
) -> Result<Option<StoredAnswer>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM request WHERE application_id = ?1 AND request_id = ?2")?;
    let mut rows = statement.query(params![application, request_id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let row = Reading::new(row, "request", "request_id");
    match row.deadline("expires_boot", "expires_boot_ms")? {
        Some(expires) if !expires.passed(now) => {
            let (fingerprint, answer) = (row.bytes("fingerprint")?, row.get("answer")?);
            Ok(Some(StoredAnswer { fingerprint, answer, expires }))
        }
        _ => Ok(None),
    }
}

/// Keeps an answer, and drops some whose time is over.
///
/// # Errors
/// SQLite's.
pub fn put(
    writing: &mut Writing<'_>,
    application: &Id,
    request_id: &str,
    answer: &StoredAnswer,
    now: &Now,
) -> Result<(), StoreError> {
    let (boot, boot_ms) = deadline_columns(Some(&answer.expires));
    let now_ms = i64::try_from(now.boot_ms).unwrap_or(i64::MAX);
    writing
        .tx
        .prepare_cached(
            "DELETE FROM request WHERE (application_id, request_id) IN (
             SELECT application_id, request_id FROM request
             WHERE expires_boot <> ?1 OR expires_boot_ms <= ?2 ORDER BY expires_boot_ms LIMIT ?3)",
        )?
        .execute(params![now.boot.0, now_ms, SWEEP_MAX])?;
    writing
        .tx
        .prepare_cached(
            "INSERT OR REPLACE INTO request (application_id, request_id, fingerprint, answer, expires_boot,
             expires_boot_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![application, request_id, answer.fingerprint, answer.answer, boot, boot_ms])?;
    Ok(())
}
