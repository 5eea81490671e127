//! Flows under way: the columns say whose and until when, the sealed data says the rest.

use domain::time::{Deadline, Now};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, deadline_columns};

/// Expired flows removed in one sweep at the most.
const SWEEP_MAX: i64 = 1_000;

/// A stored flow.
#[derive(Clone, Debug)]
pub struct FlowRow {
    /// 128 random bits: the handle seen outside.
    pub id: Id,
    /// Who began it.
    pub application_id: Id,
    /// Whose it is, once that is known.
    pub user_id: Option<Id>,
    /// Id of its definition.
    pub definition: String,
    /// What is asked, for counts.
    pub asked: String,
    /// Sealed.
    pub data: Vec<u8>,
    /// Counts the acts.
    pub epoch: i64,
    /// SHA-256 of the one-time code of its result.
    pub code_hash: Option<[u8; 32]>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Removed after this.
    pub expires: Deadline,
}

fn read(row: &Reading<'_>) -> Result<FlowRow, StoreError> {
    let expires = row.deadline("expires_boot", "expires_boot_ms")?;
    Ok(FlowRow {
        id: row.bytes("id")?,
        application_id: row.bytes("application_id")?,
        user_id: row.optional_bytes("user_id")?,
        definition: row.get("definition")?,
        asked: row.get("asked")?,
        data: row.get("data")?,
        epoch: row.get("epoch")?,
        code_hash: row.optional_bytes("code_hash")?,
        created_at: row.get("created_at")?,
        expires: expires.ok_or_else(|| row.fault("expires_boot"))?,
    })
}

fn one(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Option<FlowRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(|row| read(&Reading::new(row, "flow", "id"))).transpose()
}

/// Finds a flow by its handle.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<FlowRow>, StoreError> {
    one(connection, "SELECT * FROM flow WHERE id = ?1", params![id])
}

/// Finds the flow whose result a one-time code is for.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_code(connection: &Connection, hash: &[u8; 32]) -> Result<Option<FlowRow>, StoreError> {
    one(connection, "SELECT * FROM flow WHERE code_hash = ?1", params![hash])
}

/// How many flows there are, and how many of them are an application's.
///
/// # Errors
/// SQLite's.
pub fn counts(connection: &Connection, application: &Id) -> Result<(usize, usize), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT count(*) FROM flow), (SELECT count(*) FROM flow WHERE application_id = ?1)",
    )?;
    let count = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(statement.query_row([application], |row| Ok((count(row.get(0)?), count(row.get(1)?))))?)
}

/// Removes the oldest flow of an application in which nobody has shown anything. False where there is none.
///
/// # Errors
/// SQLite's.
pub fn give_way(writing: &mut Writing<'_>, application: &Id) -> Result<bool, StoreError> {
    let removed = writing.tx.execute(
        "DELETE FROM flow WHERE id IN (SELECT id FROM flow WHERE application_id = ?1 AND user_id IS NULL
             AND asked IN ('username', 'password', 'details') ORDER BY created_at LIMIT 1)",
        [application],
    )?;
    Ok(removed == 1)
}

/// Writes a new flow.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, flow: &FlowRow) -> Result<(), StoreError> {
    let (boot, boot_ms) = deadline_columns(Some(&flow.expires));
    writing.tx.execute(
        "INSERT INTO flow (id, application_id, user_id, definition, asked, data, epoch, code_hash, created_at,
             expires_boot, expires_boot_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            flow.id,
            flow.application_id,
            flow.user_id,
            flow.definition,
            flow.asked,
            flow.data,
            flow.epoch,
            flow.code_hash,
            flow.created_at,
            boot,
            boot_ms,
        ],
    )?;
    Ok(())
}

/// Replaces a flow, if nobody acted in it since `next` was made from epoch `next.epoch - 1`. True when this call
/// did it.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, next: &FlowRow) -> Result<bool, StoreError> {
    let (boot, boot_ms) = deadline_columns(Some(&next.expires));
    let mut statement = writing.tx.prepare_cached(
        "UPDATE flow SET user_id = ?1, asked = ?2, data = ?3, epoch = ?4, code_hash = ?5, expires_boot = ?6,
             expires_boot_ms = ?7
         WHERE id = ?8 AND epoch = ?4 - 1",
    )?;
    let changed = statement.execute(params![
        next.user_id,
        next.asked,
        next.data,
        next.epoch,
        next.code_hash,
        boot,
        boot_ms,
        next.id,
    ])?;
    Ok(changed == 1)
}

/// Removes a flow.
///
/// # Errors
/// SQLite's.
pub fn remove(writing: &mut Writing<'_>, id: &Id) -> Result<(), StoreError> {
    writing.tx.execute("DELETE FROM flow WHERE id = ?1", [id])?;
    Ok(())
}

/// Removes flows whose time is over, those of another boot included.
///
/// # Errors
/// SQLite's.
pub fn sweep(writing: &mut Writing<'_>, now: &Now) -> Result<usize, StoreError> {
    let boot_ms = i64::try_from(now.boot_ms).unwrap_or(i64::MAX);
    let mut statement = writing.tx.prepare_cached(
        "DELETE FROM flow WHERE id IN
             (SELECT id FROM flow WHERE expires_boot <> ?1 OR expires_boot_ms <= ?2 LIMIT ?3)",
    )?;
    Ok(statement.execute(params![now.boot.0, boot_ms, SWEEP_MAX])?)
}

/// Removes the flows of a user: open logins, and those that are through and count for what was shown in them.
///
/// # Errors
/// SQLite's.
pub fn remove_of_user(writing: &mut Writing<'_>, user: &Id) -> Result<(), StoreError> {
    writing.tx.execute("DELETE FROM flow WHERE user_id = ?1", [user])?;
    Ok(())
}
