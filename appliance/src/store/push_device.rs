//! Phones that are registered for push (C.6): the wrapped secret, and how the phone is reached.

use domain::canonical::Canonical;
use domain::names::Serial;
use domain::token::{Id, Lifecycle};
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, is_taken};

/// A stored phone.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    /// Row id.
    pub id: Id,
    /// Serial.
    pub serial: Serial,
    /// Whose it is.
    pub user_id: Id,
    /// Active, suspended or revoked; pending as long as an enrolment holds it without effect.
    pub lifecycle: Lifecycle,
    /// The wrapped secret; gone once revoked.
    pub record: Option<Vec<u8>>,
    /// MAC over the record and its binding.
    pub record_mac: [u8; 32],
    /// The id that the app chose, in its spelling.
    pub mechanism: String,
    /// How it is reached and what it is, sealed; gone once revoked.
    pub device: Option<Vec<u8>>,
    /// The token of its OATH half.
    pub pair_id: Option<Id>,
    /// Level of assurance.
    pub loa: f64,
    /// Fingerprints of the last new addresses, 32 bytes each.
    pub refreshed: Vec<u8>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds of the last change.
    pub updated_at: i64,
    /// Unix milliseconds of the last approval.
    pub used_at: Option<i64>,
    /// MAC over [`DeviceRow::bytes`].
    pub mac: [u8; 32],
}

impl DeviceRow {
    /// The bytes that tie the record to the phone and to the user.
    pub fn binding(&self) -> Vec<u8> {
        binding(&self.id, &self.serial, &self.user_id)
    }

    /// The bytes under the row's MAC: everything but the last approval, which decides nothing.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign push device 1")
            .bytes(&self.id)
            .text(self.serial.as_str())
            .bytes(&self.user_id)
            .text(self.lifecycle.name())
            .optional(self.record.as_deref())
            .bytes(&self.record_mac)
            .text(&self.mechanism)
            .optional(self.device.as_deref())
            .optional(self.pair_id.as_ref().map(<[u8; 16]>::as_slice))
            .bytes(&self.loa.to_bits().to_be_bytes())
            .bytes(&self.refreshed)
            .int(self.created_at)
            .int(self.updated_at)
            .finish()
    }
}

/// The bytes that tie a record to a phone and to a user.
pub fn binding(id: &Id, serial: &Serial, user: &Id) -> Vec<u8> {
    Canonical::new("countersign push key 1").bytes(id).text(serial.as_str()).bytes(user).finish()
}

/// A lifecycle as its two columns say it.
fn columns(lifecycle: Lifecycle) -> (&'static str, bool) {
    match lifecycle {
        Lifecycle::Pending => (Lifecycle::Suspended.name(), true),
        other => (other.name(), false),
    }
}

fn read(row: &Reading<'_>) -> Result<DeviceRow, StoreError> {
    let held: bool = row.get("held")?;
    let lifecycle = |name: String| {
        let stored = Lifecycle::from_name(&name)?;
        Some(if held { Lifecycle::Pending } else { stored })
    };
    Ok(DeviceRow {
        id: row.bytes("id")?,
        serial: row.parse("serial", |serial: String| Serial::parse(&serial).ok())?,
        user_id: row.bytes("user_id")?,
        lifecycle: row.parse("lifecycle", lifecycle)?,
        record: row.get("record")?,
        record_mac: row.bytes("record_mac")?,
        mechanism: row.get("mechanism")?,
        device: row.get("device")?,
        pair_id: row.optional_bytes("pair_id")?,
        loa: row.get("loa")?,
        refreshed: row.get("refreshed")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        used_at: row.get("used_at")?,
        mac: row.bytes("mac")?,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<DeviceRow>, StoreError> {
    row::all(connection, ("push_device", "serial"), sql, values, read)
}

/// Finds a phone by its row id.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<DeviceRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM push_device WHERE id = ?1", params![id])?.into_iter().next())
}

/// Finds a phone by its serial.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_serial(connection: &Connection, serial: &Serial) -> Result<Option<DeviceRow>, StoreError> {
    let sql = "SELECT * FROM push_device WHERE serial = ?1";
    Ok(many(connection, sql, params![serial.as_str()])?.into_iter().next())
}

/// Finds a living phone by the id that its app chose.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_mechanism(connection: &Connection, mechanism: &str) -> Result<Option<DeviceRow>, StoreError> {
    let sql = "SELECT * FROM push_device WHERE mechanism = ?1 AND lifecycle <> 'revoked'";
    Ok(many(connection, sql, params![mechanism])?.into_iter().next())
}

/// A user's phones that are not revoked, oldest first.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn living_of(connection: &Connection, user: &Id) -> Result<Vec<DeviceRow>, StoreError> {
    let sql = "SELECT * FROM push_device WHERE user_id = ?1 AND lifecycle <> 'revoked' ORDER BY id";
    many(connection, sql, params![user])
}

/// Phones by serial, also revoked ones.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, after: &str, limit: usize) -> Result<Vec<DeviceRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "SELECT * FROM push_device WHERE serial > ?1 ORDER BY serial LIMIT ?2";
    many(connection, sql, params![after, limit])
}

/// Writes a new phone.
///
/// # Errors
/// [`StoreError::Exists`] when the serial is taken, or another living phone has the id.
pub fn insert(writing: &mut Writing<'_>, row: &DeviceRow) -> Result<(), StoreError> {
    let (lifecycle, held) = columns(row.lifecycle);
    writing
        .tx
        .execute(
            "INSERT INTO push_device (id, serial, user_id, lifecycle, record, record_mac, mechanism, device, pair_id,
                 loa, refreshed, created_at, updated_at, used_at, mac, held)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            params![
                row.id,
                row.serial.as_str(),
                row.user_id,
                lifecycle,
                row.record,
                row.record_mac,
                row.mechanism,
                row.device,
                row.pair_id,
                row.loa,
                row.refreshed,
                row.created_at,
                row.updated_at,
                row.used_at,
                row.mac,
                held,
            ],
        )
        .map_err(
            |error| if is_taken(&error) { StoreError::Exists("a phone with this id") } else { error.into() },
        )?;
    Ok(())
}

/// Replaces a phone that was loaded by what it has become, with its MAC: one conditional write. True when this call did
/// it; false when it had moved.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, loaded: &DeviceRow, next: &DeviceRow) -> Result<bool, StoreError> {
    let (lifecycle, held) = columns(next.lifecycle);
    let mut statement = writing.tx.prepare_cached(
        "UPDATE push_device SET lifecycle = ?1, record = ?2, device = ?3, refreshed = ?4, updated_at = ?5, mac = ?6,
             loa = ?10, held = ?11
         WHERE id = ?7 AND mac = ?8 AND lifecycle = ?9",
    )?;
    let changed = statement.execute(params![
        lifecycle,
        next.record,
        next.device,
        next.refreshed,
        next.updated_at,
        next.mac,
        loaded.id,
        loaded.mac,
        columns(loaded.lifecycle).0,
        next.loa,
        held,
    ])?;
    Ok(changed == 1)
}

/// Notes an approval, on the condition that the phone is as it was loaded, and active or held by an enrolment. True when this call did it.
///
/// # Errors
/// SQLite's.
pub fn used(writing: &mut Writing<'_>, loaded: &DeviceRow, at_ms: i64) -> Result<bool, StoreError> {
    let sql =
        "UPDATE push_device SET used_at = ?1 WHERE id = ?2 AND mac = ?3 AND (lifecycle = 'active' OR held)";
    Ok(writing.tx.execute(sql, params![at_ms, loaded.id, loaded.mac])? == 1)
}
