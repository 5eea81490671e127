//! Hardware tokens as devices.

use domain::token::{Id, Lifecycle};
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::Reading;

/// A stored device.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    /// Serial.
    pub serial: String,
    /// Its attestation key: P-256, SEC 1 uncompressed.
    pub attestation_key: [u8; 65],
    /// Id of the maker key that vouched for it.
    pub maker: [u8; 8],
    /// Version and hash of its image, as it last said.
    pub firmware: String,
    /// The batch it came in.
    pub batch: Option<String>,
    /// Counter of the last exchange that was confirmed.
    pub counter: u32,
    /// The token it holds.
    pub token_id: Option<Id>,
    /// What releases the secret on the device; gone once the device has committed.
    pub held_tag: Option<[u8; 16]>,
    /// Unix milliseconds.
    pub updated_at: i64,
}

fn read(row: &Reading<'_>) -> Result<DeviceRow, StoreError> {
    Ok(DeviceRow {
        serial: row.get("serial")?,
        attestation_key: row.bytes("attestation_key")?,
        maker: row.bytes("maker")?,
        firmware: row.get("firmware")?,
        batch: row.get("batch")?,
        counter: row.get("counter")?,
        token_id: row.optional_bytes("token_id")?,
        held_tag: row.optional_bytes("held_tag")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Finds a device.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_serial(connection: &Connection, serial: &str) -> Result<Option<DeviceRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM device WHERE serial = ?1")?;
    let mut rows = statement.query([serial])?;
    rows.next()?.map(|row| read(&Reading::new(row, "device", "serial"))).transpose()
}

/// Finds a device within a write: nothing comes between this look and what is written after it.
///
/// # Errors
/// As [`by_serial`].
pub fn current(writing: &Writing<'_>, serial: &str) -> Result<Option<DeviceRow>, StoreError> {
    by_serial(writing.tx, serial)
}

/// Writes a device, in place of what was known of it.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, device: &DeviceRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT OR REPLACE INTO device (serial, attestation_key, maker, firmware, batch, counter, token_id,
             held_tag, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            device.serial,
            device.attestation_key,
            device.maker,
            device.firmware,
            device.batch,
            device.counter,
            device.token_id,
            device.held_tag,
            device.updated_at,
        ],
    )?;
    Ok(())
}

/// Forgets the tag of an exchange that the device has committed. True when it was held for that counter.
///
/// # Errors
/// SQLite's.
pub fn release(
    writing: &mut Writing<'_>,
    serial: &str,
    counter: u32,
    at_ms: i64,
) -> Result<bool, StoreError> {
    let changed = writing.tx.execute(
        "UPDATE device SET held_tag = NULL, updated_at = ?3
         WHERE serial = ?1 AND counter = ?2 AND held_tag IS NOT NULL",
        params![serial, counter, at_ms],
    )?;
    Ok(changed == 1)
}

/// A device and where its token is.
#[derive(Clone, Debug)]
pub struct StockRow {
    /// Serial.
    pub serial: String,
    /// The batch it came in.
    pub batch: Option<String>,
    /// Version and hash of its image, as it last said.
    pub firmware: String,
    /// The token's lifecycle; none for a device without a token.
    pub lifecycle: Option<Lifecycle>,
    /// Whether it holds back a secret that the device has not committed.
    pub pending: bool,
    /// Whether an enrolment under way holds its token (BIND-20).
    pub issued: bool,
}

/// Devices by serial, of one batch or all, after one of them.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn stock(
    connection: &Connection,
    batch: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<StockRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT device.serial AS serial, device.batch AS batch, firmware, coalesce(lifecycle, '') AS lifecycle,
             held_tag IS NOT NULL AS pending, EXISTS (SELECT 1 FROM enrolment WHERE item = device.token_id
                 AND enrolment.state NOT IN ('active', 'confirmed', 'rejected', 'expired', 'cancelled', 'revoked'))
             AS issued
         FROM device LEFT JOIN token ON token.id = device.token_id
         WHERE device.serial > ?1 AND (?2 IS NULL OR device.batch = ?2) ORDER BY device.serial LIMIT ?3",
    )?;
    let mut rows = statement.query(params![after, batch, limit])?;
    let mut stock = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Reading::new(row, "device", "serial");
        stock.push(StockRow {
            serial: row.get("serial")?,
            batch: row.get("batch")?,
            firmware: row.get("firmware")?,
            lifecycle: row.parse("lifecycle", |name: String| {
                if name.is_empty() { Some(None) } else { Lifecycle::from_name(&name).map(Some) }
            })?,
            pending: row.get("pending")?,
            issued: row.get("issued")?,
        });
    }
    Ok(stock)
}
