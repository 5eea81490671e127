//! Recovery codes (B.5.8): a set per user, each code as an HMAC of the HSM.

use domain::canonical::Canonical;
use domain::recovery::{CODES, RecoverySet};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, is_taken};

/// Length of the mark of a code, in bytes.
pub const MARK_LEN: usize = 32;

/// A stored set.
#[derive(Clone, Debug)]
pub struct RecoveryRow {
    /// Row id.
    pub id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// An HMAC per code.
    pub marks: [[u8; MARK_LEN]; CODES],
    /// What moves.
    pub set: RecoverySet,
    /// Unix milliseconds.
    pub created_at: i64,
    /// MAC over [`RecoveryRow::bytes`].
    pub mac: [u8; 32],
}

impl RecoveryRow {
    /// The bytes under the row's MAC: all of it.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign recovery set 1")
            .bytes(&self.id)
            .bytes(&self.user_id)
            .bytes(self.marks.as_flattened())
            .text(&self.set.marks())
            .int(i64::from(self.is_superseded()))
            .int(self.created_at)
            .finish()
    }

    fn is_superseded(&self) -> bool {
        self.set.state() == domain::recovery::State::Superseded
    }
}

fn marks_of(bytes: &[u8]) -> Option<[[u8; MARK_LEN]; CODES]> {
    let (marks, rest) = bytes.as_chunks::<MARK_LEN>();
    if rest.is_empty() { marks.try_into().ok() } else { None }
}

fn read(row: &Reading<'_>) -> Result<RecoveryRow, StoreError> {
    let superseded = row.get("superseded")?;
    Ok(RecoveryRow {
        id: row.bytes("id")?,
        user_id: row.bytes("user_id")?,
        marks: row.parse("marks", |bytes: Vec<u8>| marks_of(&bytes))?,
        set: row.parse("used", |used: String| RecoverySet::from_marks(&used, superseded))?,
        created_at: row.get("created_at")?,
        mac: row.bytes("mac")?,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<RecoveryRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&Reading::new(row, "recovery_set", "id"))?);
    }
    Ok(found)
}

/// A user's set that is not superseded.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn live_of(connection: &Connection, user: &Id) -> Result<Option<RecoveryRow>, StoreError> {
    let sql = "SELECT * FROM recovery_set WHERE user_id = ?1 AND superseded = 0";
    Ok(many(connection, sql, params![user])?.into_iter().next())
}

/// Sets that are not superseded, `max` at the most, in the order of their ids from after one.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn live(connection: &Connection, after: &[u8], max: usize) -> Result<Vec<RecoveryRow>, StoreError> {
    let sql = "SELECT * FROM recovery_set WHERE superseded = 0 AND id > ?1 ORDER BY id LIMIT ?2";
    many(connection, sql, params![after, i64::try_from(max).unwrap_or(i64::MAX)])
}

/// Whether a set is not superseded, as the act sees it.
///
/// # Errors
/// SQLite's.
pub fn is_live(writing: &Writing<'_>, id: &Id) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM recovery_set WHERE id = ?1 AND superseded = 0)";
    Ok(writing.tx.query_row(sql, [id], |row| row.get(0))?)
}

/// Whether a user has a phone or an OATH account that is not revoked, as the act sees it (B.5.8); what is only being
/// enrolled is none yet.
///
/// # Errors
/// SQLite's.
pub fn stands_for_something(writing: &Writing<'_>, user: &Id) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM push_device WHERE user_id = ?1
            AND lifecycle NOT IN ('revoked', 'pending') AND NOT held)
        OR EXISTS (SELECT 1 FROM token WHERE user_id = ?1
            AND class = 'soft' AND lifecycle NOT IN ('revoked', 'pending'))";
    Ok(writing.tx.query_row(sql, [user], |row| row.get(0))?)
}

/// Finds a set.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<RecoveryRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM recovery_set WHERE id = ?1", params![id])?.into_iter().next())
}

/// Writes a new set.
///
/// # Errors
/// [`StoreError::Exists`] while another one is good.
pub fn insert(writing: &mut Writing<'_>, row: &RecoveryRow) -> Result<(), StoreError> {
    writing
        .tx
        .execute(
            "INSERT INTO recovery_set (id, user_id, marks, used, superseded, created_at, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                row.id,
                row.user_id,
                row.marks.as_flattened(),
                row.set.marks(),
                row.is_superseded(),
                row.created_at,
                row.mac,
            ],
        )
        .map_err(|error| {
            if is_taken(&error) { StoreError::Exists("a set of recovery codes") } else { error.into() }
        })?;
    Ok(())
}

/// Replaces a set that was loaded by what it has become, with its MAC: one conditional write. True when this call did
/// it; false when it had moved.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, loaded: &RecoveryRow, next: &RecoveryRow) -> Result<bool, StoreError> {
    let sql = "UPDATE recovery_set SET used = ?1, superseded = ?2, mac = ?3 WHERE id = ?4 AND mac = ?5";
    let values = params![next.set.marks(), next.is_superseded(), next.mac, loaded.id, loaded.mac];
    Ok(writing.tx.execute(sql, values)? == 1)
}
