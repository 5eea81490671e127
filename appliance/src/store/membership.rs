//! Who belongs to which organisation, as an operator has said (BIND-12, BIND-37).

use domain::canonical::Canonical;
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading};

/// A stored membership.
#[derive(Clone, Debug)]
pub struct MembershipRow {
    /// Whose it is.
    pub user: Id,
    /// Name of the organisation.
    pub organisation: String,
    /// The operator or application that has said so.
    pub said_by: String,
    /// Unix milliseconds.
    pub said_at: i64,
    /// MAC over [`MembershipRow::bytes`].
    pub mac: [u8; 32],
}

impl MembershipRow {
    /// The bytes under the row's MAC: all of it.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign membership 1")
            .bytes(&self.user)
            .text(&self.organisation)
            .text(&self.said_by)
            .int(self.said_at)
            .finish()
    }
}

/// The membership of a user.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn of_user(connection: &Connection, user: &Id) -> Result<Option<MembershipRow>, StoreError> {
    let read = |row: &Reading<'_>| {
        Ok(MembershipRow {
            user: row.bytes("user_id")?,
            organisation: row.get("organisation")?,
            said_by: row.get("said_by")?,
            said_at: row.get("said_at")?,
            mac: row.bytes("mac")?,
        })
    };
    let sql = "SELECT * FROM membership WHERE user_id = ?1";
    Ok(row::all(connection, ("membership", "user_id"), sql, [user], read)?.into_iter().next())
}

/// Writes a membership in place of the former one.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, row: &MembershipRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO membership (user_id, organisation, said_by, said_at, mac) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (user_id) DO UPDATE SET organisation = excluded.organisation, said_by = excluded.said_by,
             said_at = excluded.said_at, mac = excluded.mac",
        params![row.user, row.organisation, row.said_by, row.said_at, row.mac],
    )?;
    Ok(())
}

/// Erases a membership. True when there was one.
///
/// # Errors
/// SQLite's.
pub fn remove(writing: &mut Writing<'_>, user: &Id) -> Result<bool, StoreError> {
    Ok(writing.tx.execute("DELETE FROM membership WHERE user_id = ?1", [user])? == 1)
}
