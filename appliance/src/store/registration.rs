//! Registrations of phones (B.5.7).

use domain::canonical::Canonical;
use domain::registration::{Codes, Kind, Registration, State};
use domain::time::Now;
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, deadline_columns};

/// A stored registration.
#[derive(Clone, Debug)]
pub struct RegistrationRow {
    /// 128 random bits: the handle seen outside.
    pub id: Id,
    /// Whose phone it is.
    pub user_id: Id,
    /// Who asked for it; nobody else can see it.
    pub application_id: Id,
    /// The name that the phone repeats; none for codes alone.
    pub message_id: Option<String>,
    /// What moves.
    pub registration: Registration,
    /// What will be stored, sealed; erased at the end.
    pub prepared: Option<Vec<u8>>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The phone that it became.
    pub device_id: Option<Id>,
    /// The token that it became.
    pub token_id: Option<Id>,
    /// The push that shows possession once more.
    pub challenge_id: Option<Id>,
    /// The enrolment that will hold the phone.
    pub enrolment_id: Option<Id>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// MAC over [`RegistrationRow::bytes`].
    pub mac: [u8; 32],
}

fn codes_name(codes: Codes) -> &'static str {
    match codes {
        Codes::None => "none",
        Codes::Unread => "unread",
        Codes::Read => "read",
    }
}

fn codes_of(name: &str) -> Option<Codes> {
    [Codes::None, Codes::Unread, Codes::Read].into_iter().find(|codes| codes_name(*codes) == name)
}

impl RegistrationRow {
    /// The bytes under the row's MAC: all of it.
    pub fn bytes(&self) -> Vec<u8> {
        let id = |id: &Option<Id>| id.map(|id| id.to_vec());
        let Registration { kind, state, until, codes } = self.registration;
        let row = Canonical::new("countersign registration 1")
            .bytes(&self.id)
            .bytes(&self.user_id)
            .bytes(&self.application_id)
            .optional(self.message_id.as_deref().map(str::as_bytes))
            .text(kind.name())
            .text(state.name())
            .text(codes_name(codes))
            .bytes(&until.boot.0)
            .bytes(&until.boot_ms.to_be_bytes())
            .optional(self.prepared.as_deref())
            .optional(self.reason.as_deref().map(str::as_bytes))
            .optional(id(&self.device_id).as_deref())
            .optional(id(&self.token_id).as_deref())
            .optional(id(&self.challenge_id).as_deref())
            .int(self.created_at);
        // One that stands for itself has the bytes that it had before there were others.
        self.enrolment_id.iter().fold(row, |row, enrolment| row.bytes(enrolment)).finish()
    }
}

fn read(row: &Reading<'_>) -> Result<RegistrationRow, StoreError> {
    let until = row.deadline("until_boot", "until_boot_ms")?;
    Ok(RegistrationRow {
        id: row.bytes("id")?,
        user_id: row.bytes("user_id")?,
        application_id: row.bytes("application_id")?,
        message_id: row.get("message_id")?,
        registration: Registration {
            kind: row.parse("kind", |name: String| Kind::from_name(&name))?,
            state: row.parse("state", |name: String| State::from_name(&name))?,
            until: until.ok_or_else(|| row.fault("until_boot"))?,
            codes: row.parse("codes", |name: String| codes_of(&name))?,
        },
        prepared: row.get("prepared")?,
        reason: row.get("reason")?,
        device_id: row.optional_bytes("device_id")?,
        token_id: row.optional_bytes("token_id")?,
        challenge_id: row.optional_bytes("challenge_id")?,
        enrolment_id: row.optional_bytes("enrolment_id")?,
        created_at: row.get("created_at")?,
        mac: row.bytes("mac")?,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<RegistrationRow>, StoreError> {
    row::all(connection, ("registration", "id"), sql, values, read)
}

/// Finds a registration by its handle.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<RegistrationRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM registration WHERE id = ?1", params![id])?.into_iter().next())
}

/// Finds a registration by the name that its phone repeats.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_message(connection: &Connection, message_id: &str) -> Result<Option<RegistrationRow>, StoreError> {
    let sql = "SELECT * FROM registration WHERE message_id = ?1";
    Ok(many(connection, sql, params![message_id])?.into_iter().next())
}

/// Finds the registration that a push shows the possession of.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_challenge(
    connection: &Connection,
    user: &Id,
    challenge: &Id,
) -> Result<Option<RegistrationRow>, StoreError> {
    let sql = "SELECT * FROM registration WHERE user_id = ?1 AND challenge_id = ?2";
    Ok(many(connection, sql, params![user, challenge])?.into_iter().next())
}

/// A user's registrations that wait for a phone.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn open_of(connection: &Connection, user: &Id) -> Result<Vec<RegistrationRow>, StoreError> {
    let sql = "SELECT * FROM registration WHERE user_id = ?1 AND state IN ('created', 'waiting') ORDER BY id";
    many(connection, sql, params![user])
}

/// Registrations that wait for a phone and whose time is over, `max` at the most.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn overdue(connection: &Connection, now: &Now, max: usize) -> Result<Vec<RegistrationRow>, StoreError> {
    many(
        connection,
        "SELECT * FROM registration WHERE state IN ('created', 'waiting')
             AND (until_boot <> ?1 OR until_boot_ms <= ?2) LIMIT ?3",
        params![
            now.boot.0,
            i64::try_from(now.boot_ms).unwrap_or(i64::MAX),
            i64::try_from(max).unwrap_or(i64::MAX)
        ],
    )
}

/// Writes a new registration.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, row: &RegistrationRow) -> Result<(), StoreError> {
    let (boot, boot_ms) = deadline_columns(Some(&row.registration.until));
    writing.tx.execute(
        "INSERT INTO registration (id, user_id, application_id, kind, message_id, state, codes, prepared, reason,
             device_id, token_id, challenge_id, until_boot, until_boot_ms, created_at, mac, enrolment_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            row.id,
            row.user_id,
            row.application_id,
            row.registration.kind.name(),
            row.message_id,
            row.registration.state.name(),
            codes_name(row.registration.codes),
            row.prepared,
            row.reason,
            row.device_id,
            row.token_id,
            row.challenge_id,
            boot,
            boot_ms,
            row.created_at,
            row.mac,
            row.enrolment_id,
        ],
    )?;
    Ok(())
}

/// Replaces a registration that was loaded by what it has become, with its MAC: one conditional write. True when this
/// call did it; false when it had moved.
///
/// # Errors
/// SQLite's.
pub fn put(
    writing: &mut Writing<'_>,
    loaded: &RegistrationRow,
    next: &RegistrationRow,
) -> Result<bool, StoreError> {
    let (boot, boot_ms) = deadline_columns(Some(&next.registration.until));
    let mut statement = writing.tx.prepare_cached(
        "UPDATE registration SET state = ?1, codes = ?2, prepared = ?3, reason = ?4, device_id = ?5, token_id = ?6,
             challenge_id = ?7, until_boot = ?8, until_boot_ms = ?9, mac = ?10
         WHERE id = ?11 AND mac = ?12 AND state = ?13",
    )?;
    let changed = statement.execute(params![
        next.registration.state.name(),
        codes_name(next.registration.codes),
        next.prepared,
        next.reason,
        next.device_id,
        next.token_id,
        next.challenge_id,
        boot,
        boot_ms,
        next.mac,
        loaded.id,
        loaded.mac,
        loaded.registration.state.name(),
    ])?;
    Ok(changed == 1)
}

/// Removes registrations that ended before a moment in Unix milliseconds.
///
/// # Errors
/// SQLite's.
pub fn sweep(writing: &mut Writing<'_>, before_ms: i64) -> Result<(), StoreError> {
    writing.tx.execute(
        "DELETE FROM registration WHERE created_at < ?1 AND state NOT IN ('created', 'waiting')",
        params![before_ms],
    )?;
    Ok(())
}
