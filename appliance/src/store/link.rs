//! Links in messages: the hash of a token, and the challenge it decides.

use domain::time::Now;
use domain::token::Id;
use rusqlite::{Connection, OptionalExtension, params};

use super::Writing;
use super::error::StoreError;

/// Links removed in one sweep at the most.
const SWEEP_MAX: i64 = 1_000;
/// A link that was never sent is kept this long, in milliseconds.
const UNSENT_MS: i64 = 24 * 60 * 60 * 1000;

/// Writes a new link.
///
/// # Errors
/// SQLite's.
pub fn insert(
    writing: &mut Writing<'_>,
    hash: &[u8; 32],
    challenge: &Id,
    send_number: u32,
) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO link (token_hash, challenge_id, send_number) VALUES (?1, ?2, ?3)",
        params![hash, challenge, send_number],
    )?;
    Ok(())
}

/// The challenge and the send number that a link is for.
///
/// # Errors
/// SQLite's.
pub fn find(connection: &Connection, hash: &[u8; 32]) -> Result<Option<(Id, u32)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT challenge_id, send_number FROM link WHERE token_hash = ?1")?;
    Ok(statement.query_row([hash], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Removes links whose challenge has ended or whose time is over, those of another boot included.
///
/// # Errors
/// SQLite's.
pub fn sweep(writing: &mut Writing<'_>, now: &Now) -> Result<usize, StoreError> {
    let boot_ms = i64::try_from(now.boot_ms).unwrap_or(i64::MAX);
    let mut statement = writing.tx.prepare_cached(
        "DELETE FROM link WHERE token_hash IN (
             SELECT token_hash FROM link JOIN challenge ON challenge.id = link.challenge_id
             WHERE state NOT IN ('delivering', 'waiting') OR expires_boot <> ?1 OR expires_boot_ms <= ?2
                 OR created_at < ?3 LIMIT ?4)",
    )?;
    let unsent = now.wall_ms.saturating_sub(UNSENT_MS);
    Ok(statement.execute(params![now.boot.0, boot_ms, unsent, SWEEP_MAX])?)
}
