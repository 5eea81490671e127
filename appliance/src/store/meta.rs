//! Facts about the store itself.

use rusqlite::{Connection, OptionalExtension, params};

use super::Writing;
use super::error::StoreError;

/// Reads a fact.
///
/// # Errors
/// SQLite's.
pub fn get(connection: &Connection, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

/// Writes a fact unless it is there, and returns what is there.
///
/// # Errors
/// SQLite's.
pub fn get_or_insert(writing: &mut Writing<'_>, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
    writing.tx.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![key, value],
    )?;
    Ok(writing.tx.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))?)
}

/// Writes a fact, whatever is there.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, key: &str, value: &[u8]) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value],
    )?;
    Ok(())
}
