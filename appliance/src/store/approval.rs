//! Acts of two persons, from the first one's word to the end.

use domain::approval::{Approval, Kind, Party, State};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading};

/// A stored approval.
#[derive(Clone, Debug)]
pub struct ApprovalRow {
    /// What it says.
    pub approval: Approval,
    /// MAC over [`Approval::bytes`].
    pub mac: [u8; 32],
}

fn read(row: &Reading<'_>) -> Result<ApprovalRow, StoreError> {
    let decided_by = match (row.get("decided_by")?, row.get("decided_role")?) {
        (Some(name), Some(role)) => Some(Party { name, role }),
        _ => None,
    };
    let approval = Approval {
        id: row.bytes("id")?,
        kind: row.parse("act", |name: String| Kind::from_name(&name))?,
        arguments: row.get("arguments")?,
        requested_by: Party { name: row.get("requested_by")?, role: row.get("requested_role")? },
        requested_at: row.get("requested_at")?,
        expires_at: row.get("expires_at")?,
        state: row.parse("state", |name: String| State::from_name(&name))?,
        decided_by,
        decided_at: row.get("decided_at")?,
    };
    Ok(ApprovalRow { approval, mac: row.bytes("mac")? })
}

fn many(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<ApprovalRow>, StoreError> {
    row::all(connection, ("approval", "id"), &format!("SELECT * FROM approval {condition}"), values, read)
}

/// The approval with this handle.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<ApprovalRow>, StoreError> {
    Ok(many(connection, "WHERE id = ?1", params![id])?.into_iter().next())
}

/// All that are waiting or approved, the one that ends first at the front.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn open(connection: &Connection) -> Result<Vec<ApprovalRow>, StoreError> {
    many(connection, "WHERE state IN ('waiting', 'approved') ORDER BY expires_at", params![])
}

/// Writes a new approval.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, row: &ApprovalRow) -> Result<(), StoreError> {
    let approval = &row.approval;
    writing.tx.execute(
        "INSERT INTO approval (id, act, arguments, requested_by, requested_role, requested_at, expires_at, state, mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            approval.id,
            approval.kind.name(),
            approval.arguments,
            approval.requested_by.name,
            approval.requested_by.role,
            approval.requested_at,
            approval.expires_at,
            approval.state.name(),
            row.mac,
        ],
    )?;
    Ok(())
}

/// Writes an approval in place of what was loaded: of two who do, one is first.
///
/// # Errors
/// [`StoreError::Changed`] when it is another by now.
pub fn replace(
    writing: &mut Writing<'_>,
    loaded: &ApprovalRow,
    next: &ApprovalRow,
) -> Result<(), StoreError> {
    let (approval, decided) = (&next.approval, next.approval.decided_by.as_ref());
    let changed = writing.tx.execute(
        "UPDATE approval SET state = ?3, expires_at = ?4, decided_by = ?5, decided_role = ?6, decided_at = ?7, mac = ?8
         WHERE id = ?1 AND mac = ?2",
        params![
            loaded.approval.id,
            loaded.mac,
            approval.state.name(),
            approval.expires_at,
            decided.map(|by| &by.name),
            decided.map(|by| &by.role),
            approval.decided_at,
            next.mac,
        ],
    )?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Changed("the approval")) }
}

/// How many are waiting or approved.
///
/// # Errors
/// SQLite's.
pub fn count_open(writing: &mut Writing<'_>) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM approval WHERE state IN ('waiting', 'approved')";
    Ok(writing.tx.query_row(sql, [], |row| row.get(0))?)
}
