//! Users.

use domain::canonical::Canonical;
use domain::method::Method;
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
    /// Sealed e-mail address.
    pub email: Option<Vec<u8>>,
    /// Sealed postal address, one line each.
    pub postal_address: Option<Vec<u8>>,
    /// Argon2id, in the PHC string format.
    pub password_hash: Option<String>,
    /// The method in use.
    pub active_method: Method,
    /// The method to move to (B.5.10).
    pub next_method: Option<Method>,
    /// MAC over [`UserRow::bytes`]; none before a row of a former schema is sealed.
    pub mac: Option<[u8; 32]>,
    /// How often a move to the next method was put off (D-61).
    pub skips: u32,
    /// Consecutive wrong codes over everything.
    pub failures: u32,
    /// Unix milliseconds.
    pub created_at: i64,
}

impl UserRow {
    /// The bytes under the row's MAC: everything but the contact phone, which never authenticates, and the failures,
    /// which are counted without the HSM.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign user 1")
            .bytes(&self.id)
            .text(self.name.as_str())
            .text(&self.user_ref)
            .text(&self.lang)
            .text(&self.state)
            .optional(self.person_key.as_deref())
            .optional(self.email.as_deref())
            .optional(self.postal_address.as_deref())
            .optional(self.password_hash.as_deref().map(str::as_bytes))
            .text(self.active_method.name())
            .optional(self.next_method.map(|method| method.name().as_bytes()))
            .int(self.skips.into())
            .int(self.created_at)
            .finish()
    }
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
        email: row.get("email")?,
        postal_address: row.get("postal_address")?,
        password_hash: row.get("password_hash")?,
        active_method: row.parse("active_method", |name: String| Method::from_name(&name))?,
        next_method: match row.get::<Option<String>>("next_method")? {
            None => None,
            Some(_) => Some(row.parse("next_method", |name: String| Method::from_name(&name))?),
        },
        mac: row.optional_bytes("mac")?,
        skips: row.get("skips")?,
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
            "INSERT INTO user (id, name, user_ref, lang, state, person_key, contact_phone, email, postal_address,
                 password_hash, active_method, next_method, failures, created_at, mac, skips)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            params![
                user.id,
                user.name.as_str(),
                user.user_ref,
                user.lang,
                user.state,
                user.person_key,
                user.contact_phone,
                user.email,
                user.postal_address,
                user.password_hash,
                user.active_method.name(),
                user.next_method.map(Method::name),
                user.failures,
                user.created_at,
                user.mac,
                user.skips,
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

/// What an operator, or the user, may change about a user's account; `None` leaves it, `Some(None)` takes it away.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A new password, hashed.
    pub password_hash: Option<Option<String>>,
    /// The method in use.
    pub active_method: Option<Method>,
    /// The method to move to.
    pub next_method: Option<Option<Method>>,
    /// Sealed e-mail address.
    pub email: Option<Option<Vec<u8>>>,
    /// Sealed postal address.
    pub postal_address: Option<Option<Vec<u8>>>,
    /// Language tag.
    pub lang: Option<String>,
    /// `active` or `locked`.
    pub state: Option<&'static str>,
    /// How often a move to the next method was put off.
    pub skips: Option<u32>,
}

impl Change {
    /// The account as it is afterwards; its MAC is the former one still.
    pub fn applied(&self, row: &UserRow) -> UserRow {
        UserRow {
            password_hash: self.password_hash.clone().unwrap_or_else(|| row.password_hash.clone()),
            active_method: self.active_method.unwrap_or(row.active_method),
            next_method: self.next_method.unwrap_or(row.next_method),
            email: self.email.clone().unwrap_or_else(|| row.email.clone()),
            postal_address: self.postal_address.clone().unwrap_or_else(|| row.postal_address.clone()),
            lang: self.lang.clone().unwrap_or_else(|| row.lang.clone()),
            state: self.state.map_or_else(|| row.state.clone(), str::to_owned),
            skips: self.skips.unwrap_or(row.skips),
            ..row.clone()
        }
    }
}

/// Replaces an account that was loaded by `next` with its MAC: one conditional write. True when this call did it;
/// false when another act had changed the account.
///
/// # Errors
/// SQLite's.
pub fn put_account(writing: &mut Writing<'_>, loaded: &UserRow, next: &UserRow) -> Result<bool, StoreError> {
    let mut statement = writing.tx.prepare_cached(
        "UPDATE user SET password_hash = ?1, active_method = ?2, next_method = ?3, email = ?4, postal_address = ?5,
             lang = ?6, state = ?7, skips = ?8, mac = ?9, account_mac = NULL
         WHERE id = ?10 AND mac IS ?11",
    )?;
    let changed = statement.execute(params![
        next.password_hash,
        next.active_method.name(),
        next.next_method.map(Method::name),
        next.email,
        next.postal_address,
        next.lang,
        next.state,
        next.skips,
        next.mac,
        loaded.id,
        loaded.mac,
    ])?;
    Ok(changed == 1)
}

/// A user without a MAC, and the MAC of the former schema.
pub type Unsealed = (UserRow, Option<[u8; 32]>);

/// Users without a MAC, in the order of their ids, after one of them.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn unsealed(connection: &Connection, after: &[u8], limit: usize) -> Result<Vec<Unsealed>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM user WHERE mac IS NULL AND id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Reading::new(row, "user", "name");
        users.push((read(&row)?, row.optional_bytes("account_mac")?));
    }
    Ok(users)
}

/// Forgets a person: the row stays for what refers to it, under a name that says nothing, without the person's key.
/// True when this call did it.
///
/// # Errors
/// SQLite's.
pub fn forget(writing: &mut Writing<'_>, loaded: &UserRow, next: &UserRow) -> Result<bool, StoreError> {
    let changed = writing.tx.execute(
        "UPDATE user SET name = ?1, user_ref = ?2, lang = ?3, state = ?4, person_key = NULL, contact_phone = NULL,
             email = NULL, postal_address = NULL, password_hash = NULL, active_method = ?5, next_method = NULL,
             skips = ?6, failures = 0, mac = ?7, account_mac = NULL
         WHERE id = ?8 AND mac IS ?9",
        params![
            next.name.as_str(),
            next.user_ref,
            next.lang,
            next.state,
            next.active_method.name(),
            next.skips,
            next.mac,
            loaded.id,
            loaded.mac,
        ],
    )?;
    Ok(changed == 1)
}
