//! Numbers that enrolments hold before they are bound (BIND-09, BIND-24).

use domain::canonical::Canonical;
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::Reading;

/// The number of an enrolment.
#[derive(Clone, Debug)]
pub struct NumberRow {
    /// Which enrolment.
    pub enrolment: Id,
    /// Id of the binding that it will be.
    pub phone: Id,
    /// The number, sealed under the person's key as a binding's.
    pub number: Vec<u8>,
    /// HMAC of the number, for lookups.
    pub lookup: [u8; 32],
    /// The challenge whose code went there last.
    pub challenge: Id,
    /// When a code came back from it, in Unix milliseconds.
    pub proven_at: Option<i64>,
    /// MAC over [`NumberRow::bytes`].
    pub mac: [u8; 32],
}

impl NumberRow {
    /// The bytes under the row's MAC: all of it.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign enrolment number 1")
            .bytes(&self.enrolment)
            .bytes(&self.phone)
            .bytes(&self.number)
            .bytes(&self.lookup)
            .bytes(&self.challenge)
            .int(self.proven_at.unwrap_or(-1))
            .finish()
    }
}

/// The number of an enrolment, unchecked: nothing is decided by it before its MAC is.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn of(connection: &Connection, enrolment: &Id) -> Result<Option<NumberRow>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM enrolment_number WHERE enrolment_id = ?1")?;
    let mut rows = statement.query([enrolment])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let row = Reading::new(row, "enrolment_number", "enrolment_id");
    Ok(Some(NumberRow {
        enrolment: row.bytes("enrolment_id")?,
        phone: row.bytes("phone_id")?,
        number: row.get("number")?,
        lookup: row.bytes("number_lookup")?,
        challenge: row.bytes("challenge_id")?,
        proven_at: row.get("proven_at")?,
        mac: row.bytes("mac")?,
    }))
}

/// Keeps a number, in place of what was kept before. The caller holds the lock of the enrolment's user.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, row: &NumberRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO enrolment_number (enrolment_id, phone_id, number, number_lookup, challenge_id, proven_at, mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (enrolment_id) DO UPDATE SET phone_id = excluded.phone_id, number = excluded.number,
             number_lookup = excluded.number_lookup, challenge_id = excluded.challenge_id,
             proven_at = excluded.proven_at, mac = excluded.mac",
        params![row.enrolment, row.phone, row.number, row.lookup, row.challenge, row.proven_at, row.mac],
    )?;
    Ok(())
}

/// Forgets it.
///
/// # Errors
/// SQLite's.
pub fn erase(writing: &mut Writing<'_>, enrolment: &Id) -> Result<(), StoreError> {
    writing.tx.execute("DELETE FROM enrolment_number WHERE enrolment_id = ?1", [enrolment])?;
    Ok(())
}
