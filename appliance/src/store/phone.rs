//! Verified phone bindings: the only numbers that authenticate (MOB-03).

use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::Reading;

/// A stored binding.
#[derive(Clone, Debug)]
pub struct PhoneRow {
    /// Row id.
    pub id: Id,
    /// Whose phone it is.
    pub user_id: Id,
    /// The number, sealed under the person's key.
    pub number: Vec<u8>,
    /// HMAC of the number, for lookups.
    pub number_lookup: [u8; 32],
    /// `verified` or `suspended`.
    pub state: String,
    /// Who bound it: `operator`, `application`, ...
    pub source: String,
    /// JSON: what verified it.
    pub evidence: String,
    /// Level of assurance.
    pub loa: f64,
    /// Unix milliseconds.
    pub registered_at: i64,
}

/// The user's binding.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn of_user(connection: &Connection, user: &Id) -> Result<Option<PhoneRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM phone WHERE user_id = ?1")?;
    let mut rows = statement.query([user])?;
    rows.next()?.map(|row| read(&Reading::new(row, "phone", "id"))).transpose()
}

fn read(row: &Reading<'_>) -> Result<PhoneRow, StoreError> {
    Ok(PhoneRow {
        id: row.bytes("id")?,
        user_id: row.bytes("user_id")?,
        number: row.get("number")?,
        number_lookup: row.bytes("number_lookup")?,
        state: row.get("state")?,
        source: row.get("source")?,
        evidence: row.get("evidence")?,
        loa: row.get("loa")?,
        registered_at: row.get("registered_at")?,
    })
}

/// Binds a number, in place of the user's former one.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, phone: &PhoneRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO phone (id, user_id, number, number_lookup, state, source, evidence, loa, registered_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (user_id) DO UPDATE SET number = excluded.number, number_lookup = excluded.number_lookup,
             state = excluded.state, source = excluded.source, evidence = excluded.evidence,
             loa = excluded.loa, registered_at = excluded.registered_at",
        params![
            phone.id,
            phone.user_id,
            phone.number,
            phone.number_lookup,
            phone.state,
            phone.source,
            phone.evidence,
            phone.loa,
            phone.registered_at,
        ],
    )?;
    Ok(())
}

/// Sets a binding aside, or takes it back into use.
///
/// # Errors
/// SQLite's.
pub fn set_state(writing: &mut Writing<'_>, id: &Id, state: &str) -> Result<(), StoreError> {
    writing.tx.execute("UPDATE phone SET state = ?1 WHERE id = ?2", params![state, id])?;
    Ok(())
}

/// Forgets a binding. The challenges that named it have ended: they name none from then on.
///
/// # Errors
/// SQLite's.
pub fn remove(writing: &mut Writing<'_>, id: &Id) -> Result<(), StoreError> {
    writing.tx.execute("UPDATE challenge SET phone_id = NULL WHERE phone_id = ?1", [id])?;
    writing.tx.execute("DELETE FROM phone WHERE id = ?1", [id])?;
    Ok(())
}

/// Whose verified number this is.
///
/// # Errors
/// SQLite's.
pub fn holders(connection: &Connection, lookup: &[u8; 32]) -> Result<Vec<Id>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT user_id FROM phone WHERE number_lookup = ?1")?;
    let rows = statement.query_map([lookup], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether somebody else has this number, asked in the act's own transaction.
///
/// # Errors
/// SQLite's.
pub fn is_taken(writing: &Writing<'_>, lookup: &[u8; 32], user: &Id) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM phone WHERE number_lookup = ?1 AND user_id <> ?2)";
    Ok(writing.tx.query_row(sql, params![lookup, user], |row| row.get(0))?)
}
