//! Links in messages: the hash of a token, and the challenge it decides.

use domain::token::Id;
use rusqlite::{Connection, OptionalExtension, params};

use super::Writing;
use super::error::StoreError;

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
