//! Tokens: the wrapped secret, the fixed policy and the moving state with its MAC.

use domain::names::Serial;
use domain::token::{Bound, Class, Factor, Id, Lifecycle, MovingState, Policy};
use oath::ocra::QuestionLen;
use oath::{Algorithm, CodeFormat, Digits, Period, Truncation};
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, deadline_columns, is_taken};

/// Tokens of one user that a code without a token is tried at.
pub const ACTIVE_MAX: usize = 8;

/// A stored token.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Row id.
    pub id: Id,
    /// Serial.
    pub serial: Serial,
    /// Whose it is; none while in stock.
    pub user_id: Option<Id>,
    /// Soft or hard.
    pub class: Class,
    /// A name for people.
    pub label: String,
    /// Fixed at enrolment.
    pub policy: Policy,
    /// The wrapped secret; gone once revoked.
    pub record: Option<Vec<u8>>,
    /// MAC over the record and its binding.
    pub record_mac: [u8; 32],
    /// The secret sealed under the user's key, where it may be shown again.
    pub reveal: Option<Vec<u8>>,
    /// HMAC of the secret, to find duplicates.
    pub fingerprint: [u8; 32],
    /// What moves.
    pub state: MovingState,
    /// MAC over it.
    pub state_mac: [u8; 32],
    /// Level of assurance.
    pub loa: f64,
    /// Unix milliseconds.
    pub created_at: i64,
}

impl TokenRow {
    /// The bytes that tie the record to token, class, policy and user.
    pub fn binding(&self) -> Vec<u8> {
        self.policy.binding(&self.bound(), self.class)
    }

    /// The same as schema 0008 and before had it, without the class.
    pub fn former_binding(&self) -> Vec<u8> {
        self.policy.former_binding(&self.bound())
    }

    fn bound(&self) -> Bound<'_> {
        Bound { token: &self.id, serial: self.serial.as_str(), user: self.user_id.as_ref(), loa: self.loa }
    }
}

fn read(row: &Reading<'_>) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.bytes("id")?,
        serial: row.parse("serial", |serial: String| Serial::parse(&serial).ok())?,
        user_id: row.optional_bytes("user_id")?,
        class: row.parse("class", |name: String| Class::from_name(&name))?,
        label: row.get("label")?,
        policy: read_policy(row)?,
        record: row.get("record")?,
        record_mac: row.bytes("record_mac")?,
        reveal: row.get("reveal")?,
        fingerprint: row.bytes("fingerprint")?,
        state: MovingState {
            last: row.get("last_factor")?,
            drift: row.get("drift")?,
            failures: row.get("failures")?,
            locked: row.deadline("lock_boot", "lock_boot_ms")?,
            lifecycle: row.parse("lifecycle", |name: String| Lifecycle::from_name(&name))?,
            epoch: row.get("epoch")?,
        },
        state_mac: row.bytes("state_mac")?,
        loa: row.get("loa")?,
        created_at: row.get("created_at")?,
    })
}

fn read_policy(row: &Reading<'_>) -> Result<Policy, StoreError> {
    let t0 = row.get("t0")?;
    let factor = match row.get::<String>("type")?.as_str() {
        "hotp" => Factor::Hotp,
        "ocra" => Factor::Ocra { question: row.parse("question_digits", |n: u8| QuestionLen::new(n).ok())? },
        _ => Factor::Totp { period: row.parse("period", |p: u16| Period::new(p).ok())?, t0 },
    };
    Ok(Policy {
        factor,
        algorithm: row.parse("algorithm", |name: String| Algorithm::parse(&name).ok())?,
        format: CodeFormat {
            digits: row.parse("digits", |digits: u8| Digits::new(digits).ok())?,
            checksum: row.get("checksum")?,
            truncation: row.parse("truncation", |offset: i64| match offset {
                -1 => Some(Truncation::Dynamic),
                offset => u8::try_from(offset).ok().map(Truncation::Fixed),
            })?,
        },
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<TokenRow>, StoreError> {
    row::all(connection, ("token", "serial"), sql, values, read)
}

/// Finds a token by its row id.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<TokenRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM token WHERE id = ?1", params![id])?.into_iter().next())
}

/// Finds a token by serial.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_serial(connection: &Connection, serial: &Serial) -> Result<Option<TokenRow>, StoreError> {
    let found = many(connection, "SELECT * FROM token WHERE serial = ?1", params![serial.as_str()])?;
    Ok(found.into_iter().next())
}

/// All tokens of a user, oldest first.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn of_user(connection: &Connection, user: &Id) -> Result<Vec<TokenRow>, StoreError> {
    many(connection, "SELECT * FROM token WHERE user_id = ?1 ORDER BY id", params![user])
}

/// Tokens in the order of their serials, after one of them.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, after: &str, limit: usize) -> Result<Vec<TokenRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    many(connection, "SELECT * FROM token WHERE serial > ?1 ORDER BY serial LIMIT ?2", params![after, limit])
}

/// All tokens that have, or had, a secret.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn with_secret(connection: &Connection, fingerprint: &[u8; 32]) -> Result<Vec<TokenRow>, StoreError> {
    many(connection, "SELECT * FROM token WHERE fingerprint = ?1", params![fingerprint])
}

/// Tokens with a record, in the order of their ids, after one of them; from the beginning after nothing.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn with_record(connection: &Connection, after: &[u8], limit: usize) -> Result<Vec<TokenRow>, StoreError> {
    let sql = "SELECT * FROM token WHERE record IS NOT NULL AND id > ?1 ORDER BY id LIMIT ?2";
    many(connection, sql, params![after, i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Puts a record under another MAC, unless it has moved.
///
/// # Errors
/// SQLite's.
pub fn put_record_mac(
    writing: &mut Writing<'_>,
    loaded: &TokenRow,
    mac: &[u8; 32],
) -> Result<(), StoreError> {
    let sql = "UPDATE token SET record_mac = ?1 WHERE id = ?2 AND record_mac = ?3";
    writing.tx.prepare_cached(sql)?.execute(params![mac, loaded.id, loaded.record_mac])?;
    Ok(())
}

/// Writes a new token.
///
/// # Errors
/// [`StoreError::Exists`] when the serial is taken, or a living token has the same secret.
pub fn insert(writing: &mut Writing<'_>, token: &TokenRow) -> Result<(), StoreError> {
    let (lock_boot, lock_boot_ms) = deadline_columns(token.state.locked.as_ref());
    let (period, t0, question) = match token.policy.factor {
        Factor::Hotp => (0, 0, 0),
        Factor::Totp { period, t0 } => (period.get(), t0, 0),
        Factor::Ocra { question } => (0, 0, question.get()),
    };
    let truncation = match token.policy.format.truncation {
        Truncation::Dynamic => -1,
        Truncation::Fixed(offset) => i64::from(offset),
    };
    writing
        .tx
        .execute(
            "INSERT INTO token (id, serial, user_id, class, type, label, algorithm, digits, checksum, truncation,
                 period, t0, record, record_mac, fingerprint, last_factor, drift, failures, lock_boot,
                 lock_boot_ms, lifecycle, epoch, state_mac, loa, created_at, question_digits, reveal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
                 ?21, ?22, ?23, ?24, ?25, ?26, ?27)",
            params![
                token.id,
                token.serial.as_str(),
                token.user_id,
                token.class.name(),
                token.policy.factor.name(),
                token.label,
                token.policy.algorithm.name(),
                token.policy.format.digits.get(),
                token.policy.format.checksum,
                truncation,
                period,
                t0,
                token.record,
                token.record_mac,
                token.fingerprint,
                token.state.last,
                token.state.drift,
                token.state.failures,
                lock_boot,
                lock_boot_ms,
                token.state.lifecycle.name(),
                token.state.epoch,
                token.state_mac,
                token.loa,
                token.created_at,
                question,
                token.reveal,
            ],
        )
        .map_err(|error| if is_taken(&error) { StoreError::Exists("a token with this serial or this secret") } else { error.into() })?;
    Ok(())
}

/// Consumes a code: one conditional write that only the first of all concurrent requests can do.
///
/// True when this call did it; false when the state had moved, or the token is not active any more.
///
/// # Errors
/// SQLite's.
pub fn consume(
    writing: &mut Writing<'_>,
    token: &TokenRow,
    next: &MovingState,
    next_mac: &[u8; 32],
) -> Result<bool, StoreError> {
    let changed = update(
        writing,
        "UPDATE token SET last_factor = ?1, drift = ?2, failures = ?3, lock_boot = ?4, lock_boot_ms = ?5,
             lifecycle = ?6, epoch = ?7, state_mac = ?8
         WHERE id = ?9 AND state_mac = ?10 AND last_factor < ?1 AND lifecycle = 'active'",
        token,
        next,
        next_mac,
    )?;
    Ok(changed == 1)
}

/// Replaces the state that was loaded by its next one, and erases the secret of a revoked token.
///
/// True when this call did it; false when the state had moved.
///
/// # Errors
/// SQLite's.
pub fn put_state(
    writing: &mut Writing<'_>,
    token: &TokenRow,
    next: &MovingState,
    next_mac: &[u8; 32],
) -> Result<bool, StoreError> {
    let changed = update(
        writing,
        "UPDATE token SET last_factor = ?1, drift = ?2, failures = ?3, lock_boot = ?4, lock_boot_ms = ?5,
             lifecycle = ?6, epoch = ?7, state_mac = ?8,
             record = CASE ?6 WHEN 'revoked' THEN NULL ELSE record END,
             reveal = CASE ?6 WHEN 'revoked' THEN NULL ELSE reveal END
         WHERE id = ?9 AND state_mac = ?10 AND last_factor <= ?1",
        token,
        next,
        next_mac,
    )?;
    Ok(changed == 1)
}

fn update(
    writing: &mut Writing<'_>,
    sql: &str,
    token: &TokenRow,
    next: &MovingState,
    next_mac: &[u8; 32],
) -> Result<usize, StoreError> {
    let (lock_boot, lock_boot_ms) = deadline_columns(next.locked.as_ref());
    let mut statement = writing.tx.prepare_cached(sql)?;
    Ok(statement.execute(params![
        next.last,
        next.drift,
        next.failures,
        lock_boot,
        lock_boot_ms,
        next.lifecycle.name(),
        next.epoch,
        next_mac,
        token.id,
        token.state_mac,
    ])?)
}

/// Writes a token that has come off the bench, in place of one with the same serial that is nobody's.
///
/// # Errors
/// [`StoreError::Exists`] when the serial is somebody's.
pub fn replace_in_stock(writing: &mut Writing<'_>, token: &TokenRow) -> Result<(), StoreError> {
    writing.tx.execute("UPDATE device SET token_id = NULL WHERE serial = ?1", [token.serial.as_str()])?;
    // What the former token was asked; the events remember it.
    writing.tx.execute(
        "DELETE FROM challenge WHERE token_id IN
             (SELECT id FROM token WHERE serial = ?1 AND (lifecycle = 'revoked' OR user_id IS NULL))",
        [token.serial.as_str()],
    )?;
    writing.tx.execute(
        "DELETE FROM token WHERE serial = ?1 AND (lifecycle = 'revoked' OR user_id IS NULL)",
        [token.serial.as_str()],
    )?;
    insert(writing, token)
}

/// Binds a token from stock to its user, under new MACs. True when this call did it.
///
/// # Errors
/// SQLite's.
pub fn rebind(writing: &mut Writing<'_>, loaded: &TokenRow, next: &TokenRow) -> Result<bool, StoreError> {
    let changed = writing.tx.execute(
        "UPDATE token SET user_id = ?1, loa = ?2, record_mac = ?3, lifecycle = ?4, epoch = ?5, state_mac = ?6
         WHERE id = ?7 AND state_mac = ?8 AND lifecycle = 'in_stock'",
        params![
            next.user_id,
            next.loa,
            next.record_mac,
            next.state.lifecycle.name(),
            next.state.epoch,
            next.state_mac,
            loaded.id,
            loaded.state_mac,
        ],
    )?;
    Ok(changed == 1)
}

/// Gives a token its user, its level or both, under new MACs, when a binding takes effect. True when this call did it.
///
/// # Errors
/// SQLite's.
pub fn bind(writing: &mut Writing<'_>, loaded: &TokenRow, next: &TokenRow) -> Result<bool, StoreError> {
    let changed = writing.tx.execute(
        "UPDATE token SET user_id = ?1, loa = ?2, record_mac = ?3, lifecycle = ?4, epoch = ?5, state_mac = ?6
         WHERE id = ?7 AND state_mac = ?8 AND record_mac = ?9 AND lifecycle IN ('in_stock', 'active', 'pending')",
        params![
            next.user_id,
            next.loa,
            next.record_mac,
            next.state.lifecycle.name(),
            next.state.epoch,
            next.state_mac,
            loaded.id,
            loaded.state_mac,
            loaded.record_mac,
        ],
    )?;
    Ok(changed == 1)
}
