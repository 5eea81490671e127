//! The picture that phones show of the appliance (COMB-11): one row, or none.

use domain::canonical::Canonical;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::Writing;
use super::error::StoreError;
use super::row::Reading;

/// The stored picture.
#[derive(Clone)]
pub struct LogoRow {
    /// `image/png` or `image/jpeg`.
    pub kind: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The file, unchanged.
    pub picture: Vec<u8>,
    /// Unix milliseconds.
    pub set_at: i64,
    /// MAC over [`LogoRow::bytes`].
    pub mac: [u8; 32],
}

impl LogoRow {
    /// What the MAC covers: everything, of the picture its digest.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign mfa logo 1")
            .text(&self.kind)
            .int(i64::from(self.width))
            .int(i64::from(self.height))
            .bytes(&self.sha256())
            .int(self.set_at)
            .finish()
    }

    /// The picture's digest.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.picture).into()
    }
}

/// Whether there is a picture. Whether it is ours, its MAC says.
///
/// # Errors
/// SQLite's.
pub fn is_there(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM mfa_logo)", [], |row| row.get(0))?)
}

/// The picture.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn load(connection: &Connection) -> Result<Option<LogoRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM mfa_logo")?;
    let read = statement.query_row([], |row| {
        let row = Reading::new(row, "mfa_logo", "one");
        let read = || {
            Ok(LogoRow {
                kind: row.get("kind")?,
                width: row.get("width")?,
                height: row.get("height")?,
                picture: row.get("picture")?,
                set_at: row.get("set_at")?,
                mac: row.bytes("mac")?,
            })
        };
        Ok(read())
    });
    read.optional()?.transpose()
}

/// Writes a picture in place of the one before.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, row: &LogoRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT OR REPLACE INTO mfa_logo (one, kind, width, height, picture, set_at, mac)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
        params![row.kind, row.width, row.height, row.picture, row.set_at, row.mac],
    )?;
    Ok(())
}

/// Erases the picture. True when there was one.
///
/// # Errors
/// SQLite's.
pub fn clear(writing: &mut Writing<'_>) -> Result<bool, StoreError> {
    Ok(writing.tx.execute("DELETE FROM mfa_logo", [])? == 1)
}
