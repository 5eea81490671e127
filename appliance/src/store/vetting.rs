//! What was done in an enrolment, step by step, and the identities that were vetted (B.4.9, B.4.10, BIND-41).

use domain::canonical::Canonical;
use domain::enrol::Activity;
use domain::event::Actor;
use domain::token::Id;
use rusqlite::{Connection, OptionalExtension, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading};

/// One step of an enrolment.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Which enrolment.
    pub enrolment: Id,
    /// Which of its steps, from 1.
    pub nth: u32,
    /// Name of its event.
    pub event: String,
    /// Which activity; none for an end.
    pub activity: Option<Activity>,
    /// Unix milliseconds.
    pub at: i64,
    /// Kind, id and role of who did it.
    pub actor: [String; 3],
    /// Where, or over what.
    pub place: Option<String>,
    /// What came of it: `ok`, or a reason.
    pub result: String,
    /// SHA-256 of what went in.
    pub digest: [u8; 32],
    /// Sealed words of who did it.
    pub remark: Option<Vec<u8>>,
    /// Number of its event; 0 before it is written.
    pub event_seq: i64,
    /// MAC over [`StepRow::bytes`].
    pub mac: [u8; 32],
}

impl StepRow {
    /// The bytes under the row's MAC: all of it but the number of the event, which is not known before the commit.
    pub fn bytes(&self) -> Vec<u8> {
        let [kind, id, role] = &self.actor;
        Canonical::new("countersign enrolment step 1")
            .bytes(&self.enrolment)
            .int(self.nth.into())
            .text(&self.event)
            .text(self.activity.map_or("", Activity::name))
            .int(self.at)
            .text(kind)
            .text(id)
            .text(role)
            .optional(self.place.as_deref().map(str::as_bytes))
            .text(&self.result)
            .bytes(&self.digest)
            .optional(self.remark.as_deref())
            .finish()
    }
}

/// How a step names who did it.
pub fn actor_of(actor: &Actor) -> [String; 3] {
    [actor.kind.to_owned(), actor.id.clone(), actor.role.clone()]
}

/// Writes a step.
///
/// # Errors
/// SQLite's.
pub fn insert_step(writing: &mut Writing<'_>, step: &StepRow, event_seq: i64) -> Result<(), StoreError> {
    let [kind, id, role] = &step.actor;
    let mut statement = writing.tx.prepare_cached(
        "INSERT INTO enrolment_step (enrolment_id, nth, event, activity, at, actor_kind, actor_id, actor_role, place,
             result, digest, remark, event_seq, mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    statement.execute(params![
        step.enrolment,
        step.nth,
        step.event,
        step.activity.map(Activity::name),
        step.at,
        kind,
        id,
        role,
        step.place,
        step.result,
        step.digest,
        step.remark,
        event_seq,
        step.mac,
    ])?;
    Ok(())
}

/// The steps of an enrolment, in their order.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn steps(connection: &Connection, enrolment: &Id) -> Result<Vec<StepRow>, StoreError> {
    let read = |row: &Reading<'_>| {
        let activity = |name: Option<String>| match name {
            None => Some(None),
            Some(name) => Activity::from_name(&name).map(Some),
        };
        Ok(StepRow {
            enrolment: row.bytes("enrolment_id")?,
            nth: row.get("nth")?,
            event: row.get("event")?,
            activity: row.parse("activity", activity)?,
            at: row.get("at")?,
            actor: [row.get("actor_kind")?, row.get("actor_id")?, row.get("actor_role")?],
            place: row.get("place")?,
            result: row.get("result")?,
            digest: row.bytes("digest")?,
            remark: row.get("remark")?,
            event_seq: row.get("event_seq")?,
            mac: row.bytes("mac")?,
        })
    };
    row::all(
        connection,
        ("enrolment_step", "enrolment_id"),
        "SELECT * FROM enrolment_step WHERE enrolment_id = ?1 ORDER BY nth",
        [enrolment],
        read,
    )
}

/// How many steps an enrolment has.
///
/// # Errors
/// SQLite's.
pub fn step_count(connection: &Connection, enrolment: &Id) -> Result<u32, StoreError> {
    let sql = "SELECT coalesce(max(nth), 0) FROM enrolment_step WHERE enrolment_id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([enrolment], |row| row.get(0))?)
}

/// Keeps what was vetted, sealed, in place of what was kept before.
///
/// # Errors
/// SQLite's.
pub fn put_identity(
    writing: &mut Writing<'_>,
    enrolment: &Id,
    record: &[u8],
    recorded_at: i64,
) -> Result<(), StoreError> {
    writing.tx.execute(
        "INSERT INTO vetting_identity (enrolment_id, record, recorded_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (enrolment_id) DO UPDATE SET record = excluded.record, recorded_at = excluded.recorded_at",
        params![enrolment, record, recorded_at],
    )?;
    Ok(())
}

/// The sealed record of who was vetted.
///
/// # Errors
/// SQLite's.
pub fn identity(connection: &Connection, enrolment: &Id) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT record FROM vetting_identity WHERE enrolment_id = ?1")?;
    Ok(statement.query_row([enrolment], |row| row.get(0)).optional()?)
}

/// How a process ended whose record is kept for a while only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Without a binding.
    Unused,
    /// The binding was taken back.
    Revoked,
}

/// Marks the record of a process that is over, in steady Unix milliseconds.
///
/// # Errors
/// SQLite's.
pub fn end_identity(writing: &mut Writing<'_>, enrolment: &Id, end: End, at: i64) -> Result<(), StoreError> {
    let sql = match end {
        End::Unused => {
            "UPDATE vetting_identity SET unused_at = ?2 WHERE enrolment_id = ?1 AND unused_at IS NULL"
        }
        End::Revoked => {
            "UPDATE vetting_identity SET ended_at = ?2 WHERE enrolment_id = ?1 AND ended_at IS NULL"
        }
    };
    writing.tx.execute(sql, params![enrolment, at])?;
    Ok(())
}

/// Erases a record. True when there was one.
///
/// # Errors
/// SQLite's.
pub fn erase_identity(writing: &mut Writing<'_>, enrolment: &Id) -> Result<bool, StoreError> {
    let erased = writing.tx.execute("DELETE FROM vetting_identity WHERE enrolment_id = ?1", [enrolment])?;
    Ok(erased == 1)
}

/// Records whose time is over: unused since `unused_before`, or of bindings that ended before `ended_before`.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn overdue_identities(
    connection: &Connection,
    unused_before: i64,
    ended_before: i64,
    limit: usize,
) -> Result<Vec<Id>, StoreError> {
    let sql = "SELECT enrolment_id FROM vetting_identity WHERE unused_at <= ?1 OR ended_at <= ?2 LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![unused_before, ended_before, limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
