//! Users.

use domain::names::UserName;
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{Reading, is_taken};

/// A stored user.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Row id.
    pub id: Id,
    /// Name.
    pub name: UserName,
    /// The pseudonym in events.
    pub user_ref: String,
    /// Language tag.
    pub lang: String,
    /// `active`, `locked` or `forgotten`.
    pub state: String,
    /// The person's key, wrapped by the HSM; gone once forgotten.
    pub person_key: Option<Vec<u8>>,
    /// Sealed contact phone; never authenticates.
    pub contact_phone: Option<Vec<u8>>,
    /// Consecutive wrong codes over everything.
    pub failures: u32,
    /// Unix milliseconds.
    pub created_at: i64,
}

fn read(row: &Reading<'_>) -> Result<UserRow, StoreError> {
    Ok(UserRow {
        id: row.bytes("id")?,
        name: row.parse("name", |name: String| UserName::parse(&name).ok())?,
        user_ref: row.get("user_ref")?,
        lang: row.get("lang")?,
        state: row.get("state")?,
        person_key: row.get("person_key")?,
        contact_phone: row.get("contact_phone")?,
        failures: row.get("failures")?,
        created_at: row.get("created_at")?,
    })
}

/// Finds a user by name.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_name(connection: &Connection, name: &UserName) -> Result<Option<UserRow>, StoreError> {
    one(connection, "SELECT * FROM user WHERE name = ?1", params![name.as_str()])
}

/// Finds a user by id.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<UserRow>, StoreError> {
    one(connection, "SELECT * FROM user WHERE id = ?1", params![id])
}

fn one(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Option<UserRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(|row| read(&Reading::new(row, "user", "name"))).transpose()
}

/// Users in the order of their names, after one of them.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, after: &str, limit: usize) -> Result<Vec<UserRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM user WHERE name > ?1 AND state <> 'forgotten' ORDER BY name LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(read(&Reading::new(row, "user", "name"))?);
    }
    Ok(users)
}

/// Writes a new user.
///
/// # Errors
/// [`StoreError::Exists`] when the name is taken.
pub fn insert(writing: &mut Writing<'_>, user: &UserRow) -> Result<(), StoreError> {
    writing
        .tx
        .execute(
            "INSERT INTO user (id, name, user_ref, lang, state, person_key, contact_phone, failures, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                user.id,
                user.name.as_str(),
                user.user_ref,
                user.lang,
                user.state,
                user.person_key,
                user.contact_phone,
                user.failures,
                user.created_at,
            ],
        )
        .map_err(|error| if is_taken(&error) { StoreError::Exists("the user") } else { error.into() })?;
    Ok(())
}

/// Counts one wrong code and returns how many there are now in a row.
///
/// # Errors
/// SQLite's.
pub fn count_failure(writing: &mut Writing<'_>, id: &Id) -> Result<u32, StoreError> {
    let mut statement = writing
        .tx
        .prepare_cached("UPDATE user SET failures = failures + 1 WHERE id = ?1 RETURNING failures")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// Forgets wrong codes.
///
/// # Errors
/// SQLite's.
pub fn clear_failures(writing: &mut Writing<'_>, id: &Id) -> Result<(), StoreError> {
    let mut statement =
        writing.tx.prepare_cached("UPDATE user SET failures = 0 WHERE id = ?1 AND failures <> 0")?;
    statement.execute([id])?;
    Ok(())
}
