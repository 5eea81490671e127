//! Verified phone bindings: the only numbers that authenticate (MOB-03).

use domain::canonical::Canonical;
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
    /// MAC over [`PhoneRow::bytes`]; none before a row of a former schema is sealed.
    pub mac: Option<[u8; 32]>,
}

impl PhoneRow {
    /// The bytes under the row's MAC: all of it.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign phone row 1")
            .bytes(&self.id)
            .bytes(&self.user_id)
            .bytes(&self.number)
            .bytes(&self.number_lookup)
            .text(&self.state)
            .text(&self.source)
            .text(&self.evidence)
            .bytes(&self.loa.to_be_bytes())
            .int(self.registered_at)
            .finish()
    }
}

/// The user's binding, unchecked: nothing is decided by it before its MAC is.
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
        mac: row.optional_bytes("mac")?,
    })
}

/// Binds a number, in place of the user's former one, whose id it then has.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, phone: &PhoneRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO phone (id, user_id, number, number_lookup, state, source, evidence, loa, registered_at,
             mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (user_id) DO UPDATE SET number = excluded.number, number_lookup = excluded.number_lookup,
             state = excluded.state, source = excluded.source, evidence = excluded.evidence,
             loa = excluded.loa, registered_at = excluded.registered_at, mac = excluded.mac",
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
            phone.mac,
        ],
    )?;
    Ok(())
}

/// Sets a binding aside, or takes it back into use: `next` is it with its MAC. True when this call did it; false when
/// another act had changed it.
///
/// # Errors
/// SQLite's.
pub fn put_state(writing: &mut Writing<'_>, loaded: &PhoneRow, next: &PhoneRow) -> Result<bool, StoreError> {
    let sql = "UPDATE phone SET state = ?1, mac = ?2 WHERE id = ?3 AND mac IS ?4";
    Ok(writing.tx.execute(sql, params![next.state, next.mac, loaded.id, loaded.mac])? == 1)
}

/// Bindings without a MAC, in the order of their ids, after one of them.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn unsealed(connection: &Connection, after: &[u8], limit: usize) -> Result<Vec<PhoneRow>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM phone WHERE mac IS NULL AND id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut phones = Vec::new();
    while let Some(row) = rows.next()? {
        phones.push(read(&Reading::new(row, "phone", "id"))?);
    }
    Ok(phones)
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
