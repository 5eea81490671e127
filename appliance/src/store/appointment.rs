//! Times that registration authorities offer (D-55), and registration codes that nobody has.

use domain::canonical::Canonical;
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, is_taken, json_list};

/// A time that is offered, or taken.
#[derive(Clone, Debug)]
pub struct AppointmentRow {
    /// Row id.
    pub id: Id,
    /// Unix milliseconds.
    pub starts_at: i64,
    /// How long it takes.
    pub minutes: u32,
    /// Where, or the address of a video call.
    pub place: String,
    /// For whose applicants; empty for all.
    pub organisation: String,
    /// The operator who offers it.
    pub published_by: String,
    /// Who has taken it.
    pub enrolment: Option<Id>,
    /// MAC over [`AppointmentRow::bytes`].
    pub mac: [u8; 32],
}

impl AppointmentRow {
    /// The bytes under the row's MAC: all of it.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign appointment 1")
            .bytes(&self.id)
            .int(self.starts_at)
            .int(self.minutes.into())
            .text(&self.place)
            .text(&self.organisation)
            .text(&self.published_by)
            .optional(self.enrolment.as_ref().map(<[u8; 16]>::as_slice))
            .finish()
    }
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<AppointmentRow>, StoreError> {
    let read = |row: &Reading<'_>| {
        Ok(AppointmentRow {
            id: row.bytes("id")?,
            starts_at: row.get("starts_at")?,
            minutes: row.get("minutes")?,
            place: row.get("place")?,
            organisation: row.get("organisation")?,
            published_by: row.get("published_by")?,
            enrolment: row.optional_bytes("enrolment_id")?,
            mac: row.bytes("mac")?,
        })
    };
    row::all(connection, ("appointment", "id"), sql, values, read)
}

/// Finds an appointment.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<AppointmentRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM appointment WHERE id = ?1", params![id])?.into_iter().next())
}

/// The appointment of an enrolment.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn of_enrolment(connection: &Connection, enrolment: &Id) -> Result<Option<AppointmentRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM appointment WHERE enrolment_id = ?1", params![enrolment])?
        .into_iter()
        .next())
}

/// Which appointments to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only from this moment on, in Unix milliseconds.
    pub from: i64,
    /// Only those that nobody has taken.
    pub free: bool,
    /// Only those for one of these organisations.
    pub organisations: Option<Vec<String>>,
    /// As many at the most.
    pub limit: usize,
}

/// Appointments in the order of their times.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, filter: &Filter) -> Result<Vec<AppointmentRow>, StoreError> {
    let sql = "SELECT * FROM appointment WHERE starts_at >= ?1 AND (?2 = 0 OR enrolment_id IS NULL)
                   AND (?3 IS NULL OR organisation IN (SELECT value FROM json_each(?3)))
               ORDER BY starts_at, id LIMIT ?4";
    let organisations = filter.organisations.as_deref().map(json_list);
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    many(connection, sql, params![filter.from, filter.free, organisations, limit])
}

/// Writes a new one.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, row: &AppointmentRow) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO appointment (id, starts_at, minutes, place, organisation, published_by, enrolment_id, mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            row.id,
            row.starts_at,
            row.minutes,
            row.place,
            row.organisation,
            row.published_by,
            row.enrolment,
            row.mac
        ],
    )?;
    Ok(())
}

/// Gives an appointment to an enrolment, or frees it.
///
/// # Errors
/// [`StoreError::Changed`] when it is another by now; [`StoreError::Exists`] when the enrolment has one.
pub fn put(
    writing: &mut Writing<'_>,
    loaded: &AppointmentRow,
    next: &AppointmentRow,
) -> Result<(), StoreError> {
    let changed = writing
        .tx
        .execute(
            "UPDATE appointment SET enrolment_id = ?3, mac = ?4 WHERE id = ?1 AND mac = ?2",
            params![loaded.id, loaded.mac, next.enrolment, next.mac],
        )
        .map_err(|error| {
            if is_taken(&error) {
                StoreError::Exists("an appointment of the enrolment")
            } else {
                error.into()
            }
        })?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Changed("the appointment")) }
}

/// Counts a registration code that nobody has; what is older than `forget_before` is forgotten.
///
/// # Errors
/// SQLite's.
pub fn count_miss(
    writing: &mut Writing<'_>,
    actor: &str,
    at: i64,
    forget_before: i64,
) -> Result<(), StoreError> {
    writing.tx.execute("DELETE FROM enrolment_miss WHERE at < ?1", [forget_before])?;
    writing.tx.execute("INSERT INTO enrolment_miss (actor, at) VALUES (?1, ?2)", params![actor, at])?;
    Ok(())
}

/// How many such codes somebody has typed since.
///
/// # Errors
/// SQLite's.
pub fn misses(connection: &Connection, actor: &str, since: i64) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM enrolment_miss WHERE actor = ?1 AND at >= ?2";
    let count: i64 = connection.prepare_cached(sql)?.query_row(params![actor, since], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}
