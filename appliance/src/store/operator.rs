//! Operators: users with roles, known on the local socket by their uid.

use std::collections::BTreeMap;

use domain::canonical::Canonical;
use domain::names::UserName;
use domain::role::Role;
use domain::scope::{Scope, Scopes};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, is_taken, json_list};

/// A stored operator.
#[derive(Clone, Debug)]
pub struct OperatorRow {
    /// The user.
    pub user_id: Id,
    /// The user's name.
    pub name: UserName,
    /// On the local socket; none once revoked.
    pub uid: Option<u32>,
    /// What the operator is.
    pub roles: Vec<Role>,
    /// For which organisations each of them was given.
    pub scopes: Scopes,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds; set once it is one no more.
    pub revoked_at: Option<i64>,
    /// MAC over [`OperatorRow::bytes`].
    pub mac: [u8; 32],
}

impl OperatorRow {
    /// What the MAC covers: everything, and the user's name. An operator whose roles were all given for everywhere has the
    /// bytes that it had before there were scopes.
    pub fn bytes(&self) -> Vec<u8> {
        let label = if self.scopes.is_empty() { "countersign operator 1" } else { "countersign operator 2" };
        let fields = Canonical::new(label)
            .bytes(&self.user_id)
            .text(self.name.as_str())
            .optional(self.uid.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice))
            .int(self.created_at)
            .optional(self.revoked_at.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        let count = |items: usize| i64::try_from(items).unwrap_or(i64::MAX);
        let fields = if self.scopes.is_empty() { fields } else { fields.int(count(self.roles.len())) };
        let fields = self.roles.iter().fold(fields, |fields, role| fields.text(role.name()));
        let bound = |fields: Canonical, (role, names): (Role, Vec<String>)| {
            let fields = fields.text(role.name()).int(count(names.len()));
            names.iter().fold(fields, |fields, name| fields.text(name))
        };
        self.scopes.iter().fold(fields, bound).finish()
    }
}

const SELECT: &str =
    "SELECT operator.*, user.name AS name FROM operator JOIN user ON user.id = operator.user_id";

fn many(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<OperatorRow>, StoreError> {
    let read = |row: &Reading<'_>| {
        Ok(OperatorRow {
            user_id: row.bytes("user_id")?,
            name: row.parse("name", |name: String| UserName::parse(&name).ok())?,
            uid: row.get("uid")?,
            roles: row.parse("roles", |text: String| read_roles(&text))?,
            scopes: row.parse("scopes", |text: String| read_scopes(&text))?,
            created_at: row.get("created_at")?,
            revoked_at: row.get("revoked_at")?,
            mac: row.bytes("mac")?,
        })
    };
    row::all(connection, ("operator", "name"), &format!("{SELECT} {condition}"), values, read)
}

/// The operator behind a uid on the local socket.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_uid(connection: &Connection, uid: u32) -> Result<Option<OperatorRow>, StoreError> {
    let condition = "WHERE operator.uid = ?1 AND revoked_at IS NULL AND user.state = 'active'";
    Ok(many(connection, condition, params![uid])?.into_iter().next())
}

/// The operator with this name, revoked or not.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_name(connection: &Connection, name: &UserName) -> Result<Option<OperatorRow>, StoreError> {
    Ok(many(connection, "WHERE user.name = ?1", params![name.as_str()])?.into_iter().next())
}

/// All operators by name.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection) -> Result<Vec<OperatorRow>, StoreError> {
    many(connection, "ORDER BY user.name", params![])
}

/// Writes a new operator, also in place of a revoked one.
///
/// # Errors
/// [`StoreError::Exists`] when the user is one already or the uid is taken.
pub fn insert(writing: &mut Writing<'_>, row: &OperatorRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "DELETE FROM operator WHERE user_id = ?1 AND revoked_at IS NOT NULL",
        params![row.user_id],
    )?;
    writing
        .tx
        .execute(
            "INSERT INTO operator (user_id, uid, roles, scopes, created_at, revoked_at, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![row.user_id, row.uid, roles(row), scopes(row), row.created_at, row.revoked_at, row.mac],
        )
        .map_err(|error| {
            if is_taken(&error) {
                StoreError::Exists("an operator of that name or uid")
            } else {
                error.into()
            }
        })?;
    Ok(())
}

/// Writes an operator in place of what was loaded.
///
/// # Errors
/// [`StoreError::Changed`] when it is another by now.
pub fn replace(
    writing: &mut Writing<'_>,
    loaded: &OperatorRow,
    next: &OperatorRow,
) -> Result<(), StoreError> {
    let changed = writing.tx.execute(
        "UPDATE operator SET uid = ?3, roles = ?4, scopes = ?5, revoked_at = ?6, mac = ?7
         WHERE user_id = ?1 AND mac = ?2",
        params![loaded.user_id, loaded.mac, next.uid, roles(next), scopes(next), next.revoked_at, next.mac],
    )?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Changed("the operator")) }
}

fn read_roles(text: &str) -> Option<Vec<Role>> {
    let names: Vec<String> = serde_json::from_str(text).ok()?;
    names.iter().map(|name| Role::from_name(name)).collect()
}

fn read_scopes(text: &str) -> Option<Scopes> {
    let stored: BTreeMap<String, Vec<String>> = serde_json::from_str(text).ok()?;
    let mut scopes = Scopes::default();
    for (role, names) in stored {
        scopes.set(Role::from_name(&role)?, Scope::parse(&names).ok()?).ok()?;
    }
    Some(scopes)
}

fn scopes(row: &OperatorRow) -> String {
    let named = row.scopes.iter().map(|(role, names)| (role.name().to_owned(), names.into()));
    serde_json::Value::Object(named.collect()).to_string()
}

fn roles(row: &OperatorRow) -> String {
    json_list(&row.roles.iter().map(|role| role.name()).collect::<Vec<_>>())
}
