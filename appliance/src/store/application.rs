//! Client applications and their keys.

use domain::canonical::Canonical;
use domain::names::ApplicationName;
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, is_taken, json_list};

/// A stored application.
#[derive(Clone, Debug)]
pub struct ApplicationRow {
    /// Row id.
    pub id: Id,
    /// Name.
    pub name: ApplicationName,
    /// SHA-256 of its key.
    pub key_hash: [u8; 32],
    /// What it may do.
    pub scopes: Vec<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds; set once its key is dead.
    pub revoked_at: Option<i64>,
    /// MAC over [`ApplicationRow::bytes`]; rows from before there were MACs have none, and a dead key.
    pub mac: Option<[u8; 32]>,
}

impl ApplicationRow {
    /// What the MAC covers: everything.
    pub fn bytes(&self) -> Vec<u8> {
        let fields = Canonical::new("countersign application 1")
            .bytes(&self.id)
            .text(self.name.as_str())
            .bytes(&self.key_hash)
            .int(self.created_at)
            .optional(self.revoked_at.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        self.scopes.iter().fold(fields, |fields, scope| fields.text(scope)).finish()
    }
}

fn read(row: &Reading<'_>) -> Result<ApplicationRow, StoreError> {
    Ok(ApplicationRow {
        id: row.bytes("id")?,
        name: row.parse("name", |name: String| ApplicationName::parse(&name).ok())?,
        key_hash: row.bytes("key_hash")?,
        scopes: row.list("scopes")?,
        created_at: row.get("created_at")?,
        revoked_at: row.get("revoked_at")?,
        mac: row.optional_bytes("mac")?,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<ApplicationRow>, StoreError> {
    row::all(connection, ("application", "name"), sql, values, read)
}

/// The application with this key, unless it is revoked.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_key(connection: &Connection, key_hash: &[u8; 32]) -> Result<Option<ApplicationRow>, StoreError> {
    let sql = "SELECT * FROM application WHERE key_hash = ?1 AND revoked_at IS NULL";
    Ok(many(connection, sql, params![key_hash])?.into_iter().next())
}

/// The application with this row id.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<ApplicationRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM application WHERE id = ?1", params![id])?.into_iter().next())
}

/// The application with this name.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_name(
    connection: &Connection,
    name: &ApplicationName,
) -> Result<Option<ApplicationRow>, StoreError> {
    let sql = "SELECT * FROM application WHERE name = ?1";
    Ok(many(connection, sql, params![name.as_str()])?.into_iter().next())
}

/// All applications by name.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection) -> Result<Vec<ApplicationRow>, StoreError> {
    many(connection, "SELECT * FROM application ORDER BY name", params![])
}

/// Writes a new application.
///
/// # Errors
/// [`StoreError::Exists`] when the name is taken.
pub fn insert(writing: &mut Writing<'_>, application: &ApplicationRow) -> Result<(), StoreError> {
    writing
        .tx
        .execute(
            "INSERT INTO application (id, name, key_hash, scopes, created_at, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                application.id,
                application.name.as_str(),
                application.key_hash,
                json_list(&application.scopes),
                application.created_at,
                application.mac,
            ],
        )
        .map_err(
            |error| if is_taken(&error) { StoreError::Exists("the application") } else { error.into() },
        )?;
    Ok(())
}

/// Ends an application's key. `revoked` is the row as it shall be.
///
/// # Errors
/// [`StoreError::Changed`] when it is another by now.
pub fn revoke(
    writing: &mut Writing<'_>,
    loaded: &ApplicationRow,
    revoked: &ApplicationRow,
) -> Result<(), StoreError> {
    let sql = "UPDATE application SET revoked_at = ?3, mac = ?4 WHERE id = ?1 AND mac = ?2";
    let changed = writing.tx.execute(sql, params![loaded.id, loaded.mac, revoked.revoked_at, revoked.mac])?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Changed("the application")) }
}
