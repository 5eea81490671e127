//! Operators: users with roles, known on the local socket by their uid.

use domain::names::UserName;
use rusqlite::{Connection, params};

use super::error::StoreError;
use super::row::Reading;

/// A stored operator.
#[derive(Clone, Debug)]
pub struct OperatorRow {
    /// The user's name.
    pub name: UserName,
    /// What the operator may do.
    pub roles: Vec<String>,
}

/// The operator behind a uid on the local socket.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_uid(connection: &Connection, uid: u32) -> Result<Option<OperatorRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user.name AS name, operator.roles AS roles FROM operator JOIN user ON user.id = operator.user_id
         WHERE operator.uid = ?1 AND user.state = 'active'",
    )?;
    let mut rows = statement.query(params![uid])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let row = Reading::new(row, "operator", "name");
    Ok(Some(OperatorRow {
        name: row.parse("name", |name: String| UserName::parse(&name).ok())?,
        roles: row.list("roles")?,
    }))
}
