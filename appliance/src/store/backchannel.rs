//! Requests to a user's phone without the user's browser (SMS-37).

use domain::canonical::Canonical;
use domain::time::{Deadline, Now};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, deadline_columns};

/// A stored request.
#[derive(Clone, Debug)]
pub struct BackchannelRow {
    /// 128 random bits: the handle seen outside.
    pub id: Id,
    /// Id of the channel.
    pub channel: String,
    /// Who asks; nobody else can fetch the answer.
    pub application_id: Id,
    /// The challenge that the phone decides.
    pub challenge_id: Id,
    /// Last poll on the boot clock, in milliseconds.
    pub polled_boot_ms: Option<i64>,
    /// Whether the answer was fetched.
    pub taken: bool,
    /// Unix milliseconds.
    pub created_at: i64,
    /// End of its life.
    pub expires: Deadline,
    /// MAC over [`BackchannelRow::bytes`].
    pub mac: [u8; 32],
}

impl BackchannelRow {
    /// The bytes under the row's MAC: everything but the last poll, which slows down and decides nothing.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign back-channel 1")
            .bytes(&self.id)
            .text(&self.channel)
            .bytes(&self.application_id)
            .bytes(&self.challenge_id)
            .int(self.taken.into())
            .int(self.created_at)
            .bytes(&self.expires.boot.0)
            .bytes(&self.expires.boot_ms.to_be_bytes())
            .finish()
    }
}

/// Finds a request by its handle.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<BackchannelRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM backchannel WHERE id = ?1")?;
    let mut rows = statement.query(params![id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let row = Reading::new(row, "backchannel", "id");
    let expires = row.deadline("expires_boot", "expires_boot_ms")?;
    Ok(Some(BackchannelRow {
        id: row.bytes("id")?,
        channel: row.get("channel")?,
        application_id: row.bytes("application_id")?,
        challenge_id: row.bytes("challenge_id")?,
        polled_boot_ms: row.get("polled_boot_ms")?,
        taken: row.get("taken")?,
        created_at: row.get("created_at")?,
        expires: expires.ok_or_else(|| row.fault("expires_boot"))?,
        mac: row.bytes("mac")?,
    }))
}

/// Writes a new request.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, row: &BackchannelRow) -> Result<(), StoreError> {
    let (boot, boot_ms) = deadline_columns(Some(&row.expires));
    writing.tx.execute(
        "INSERT INTO backchannel (id, channel, application_id, challenge_id, taken, created_at, expires_boot,
             expires_boot_ms, mac)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8)",
        params![
            row.id,
            row.channel,
            row.application_id,
            row.challenge_id,
            row.created_at,
            boot,
            boot_ms,
            row.mac,
        ],
    )?;
    Ok(())
}

/// Notes a poll.
///
/// # Errors
/// SQLite's.
pub fn polled(writing: &mut Writing<'_>, id: &Id, boot_ms: i64) -> Result<(), StoreError> {
    writing.tx.execute("UPDATE backchannel SET polled_boot_ms = ?1 WHERE id = ?2", params![boot_ms, id])?;
    Ok(())
}

/// Hands the answer out, once: `mac` is that of the row once it is taken. True when this call did it.
///
/// # Errors
/// SQLite's.
pub fn take(writing: &mut Writing<'_>, row: &BackchannelRow, mac: &[u8; 32]) -> Result<bool, StoreError> {
    let sql = "UPDATE backchannel SET taken = 1, mac = ?1 WHERE id = ?2 AND taken = 0 AND mac = ?3";
    Ok(writing.tx.execute(sql, params![mac, row.id, row.mac])? == 1)
}

/// Removes requests whose life is over.
///
/// # Errors
/// SQLite's.
pub fn sweep(writing: &mut Writing<'_>, now: &Now) -> Result<(), StoreError> {
    writing.tx.execute(
        "DELETE FROM backchannel WHERE expires_boot <> ?1 OR expires_boot_ms < ?2",
        params![now.boot.0, i64::try_from(now.boot_ms).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}
