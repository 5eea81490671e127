//! Enrolments, their steps, and the identities that were vetted (B.4.8 to B.4.10, B.5.6).

use domain::enrol::{Activity, Channel, Done, Factor, Level, Method, Order, Progress, Requester, State};
use domain::event::Actor;
use domain::token::Id;
use rusqlite::{Connection, OptionalExtension, params};

use super::Writing;
use super::error::StoreError;
use super::row::Reading;

/// A stored enrolment.
#[derive(Clone, Debug)]
pub struct EnrolmentRow {
    /// What is fixed.
    pub order: Order,
    /// What moves.
    pub progress: Progress,
    /// HMAC of the registration code.
    pub code_mac: Option<[u8; 32]>,
    /// Sealed: what the request said of the user.
    pub info: Option<Vec<u8>>,
    /// Why it ended.
    pub reason: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// MAC over order, progress and code.
    pub state_mac: [u8; 32],
}

impl EnrolmentRow {
    /// The bytes under the MAC.
    pub fn bytes(&self) -> Vec<u8> {
        self.progress.bytes(&self.order, self.code_mac.as_ref())
    }
}

/// One step of an enrolment (BIND-41).
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Which activity.
    pub activity: Activity,
    /// Unix milliseconds.
    pub at: i64,
    /// Who did it, in which role.
    pub actor: (String, String, String),
    /// Where, or over what.
    pub place: Option<String>,
    /// What came of it: `ok`, or a reason.
    pub result: String,
    /// SHA-256 of what went in.
    pub digest: [u8; 32],
    /// Sealed words of who did it.
    pub remark: Option<Vec<u8>>,
    /// Its event.
    pub event_seq: i64,
}

fn read(row: &Reading<'_>) -> Result<EnrolmentRow, StoreError> {
    let level = |name: Option<String>| match name {
        None => Some(None),
        Some(name) => Level::from_name(&name).map(Some),
    };
    let factor = |name: Option<String>| match name {
        None => Some(None),
        Some(name) => Factor::from_name(&name).map(Some),
    };
    Ok(EnrolmentRow {
        order: Order {
            id: row.bytes("id")?,
            user: row.bytes("user_id")?,
            factor_index: row.get("factor_index")?,
            channel: row.parse("channel", |name: String| Channel::from_name(&name))?,
            by: row.parse("requested_by", |name: String| Requester::from_name(&name))?,
            method: row.parse("method", |name: String| Method::from_name(&name))?,
            target: row.parse("target", |name: String| Level::from_name(&name))?,
            policy: row.get("policy")?,
        },
        progress: Progress {
            state: row.parse("state", |name: String| State::from_name(&name))?,
            done: row.parse("done", Done::from_bits)?,
            factor: row.parse("factor", factor)?,
            item: row.optional_bytes("item")?,
            eligible_at_ms: row.get("eligible_at")?,
            code_until_ms: row.get("code_until")?,
            vetter: row.optional_bytes("vetter")?,
            second: row.optional_bytes("second_vetter")?,
            vouched: row.parse("vouched", level)?,
            security_features: row.get("security_features")?,
            level: row.parse("level", level)?,
            acted_at_ms: row.get("acted_at")?,
        },
        code_mac: row.optional_bytes("code_mac")?,
        info: row.get("info")?,
        reason: row.get("reason")?,
        created_at: row.get("created_at")?,
        state_mac: row.bytes("state_mac")?,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<EnrolmentRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&Reading::new(row, "enrolment", "id"))?);
    }
    Ok(found)
}

/// Finds an enrolment.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<EnrolmentRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM enrolment WHERE id = ?1", params![id])?.into_iter().next())
}

/// The enrolment that a registration code stands for, as long as it waits for its vetting.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_code(connection: &Connection, code_mac: &[u8; 32]) -> Result<Option<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE code_mac = ?1 AND state IN ('code_issued', 'scheduled')";
    Ok(many(connection, sql, params![code_mac])?.into_iter().next())
}

/// Enrolments that are under way and were not touched since, or whose code is over; some of them may not be over yet.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn resting(connection: &Connection, since: i64, now: i64, limit: usize) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE state NOT IN ('active', 'confirmed', 'rejected', 'expired', 'cancelled',
                   'revoked') AND (acted_at <= ?1 OR code_until <= ?2) LIMIT ?3";
    many(connection, sql, params![since, now, i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Which enrolments to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this user.
    pub user: Option<Id>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only those after this one.
    pub after: Option<Id>,
    /// As many at the most.
    pub limit: usize,
}

/// Enrolments in the order of their requests.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, filter: &Filter) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE (?1 IS NULL OR id > ?1) AND (?2 IS NULL OR user_id = ?2)
                   AND (?3 IS NULL OR state = ?3) ORDER BY id LIMIT ?4";
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    many(connection, sql, params![filter.after, filter.user, filter.state.map(State::name), limit])
}

/// How many of a user's enrolments are under way.
///
/// # Errors
/// SQLite's.
pub fn open_count(connection: &Connection, user: &Id) -> Result<usize, StoreError> {
    let sql = "SELECT count(*) FROM enrolment WHERE user_id = ?1 AND state NOT IN ('active', 'confirmed', 'rejected',
                   'expired', 'cancelled', 'revoked')";
    let count: i64 = connection.prepare_cached(sql)?.query_row([user], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Writes a new enrolment.
///
/// # Errors
/// SQLite's.
pub fn insert(writing: &mut Writing<'_>, row: &EnrolmentRow) -> Result<(), StoreError> {
    let (order, progress) = (&row.order, &row.progress);
    writing.tx.prepare_cached(
        "INSERT INTO enrolment (id, user_id, factor_index, channel, requested_by, method, target, policy, state, done,
             factor, item, eligible_at, code_mac, code_until, vetter, second_vetter, vouched, security_features, level,
             acted_at, info, reason, created_at, state_mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
             ?23, ?24, ?25)",
    )?
    .execute(params![
        order.id,
        order.user,
        order.factor_index,
        order.channel.name(),
        order.by.name(),
        order.method.name(),
        order.target.name(),
        order.policy,
        progress.state.name(),
        progress.done.bits(),
        progress.factor.map(Factor::name),
        progress.item,
        progress.eligible_at_ms,
        row.code_mac,
        progress.code_until_ms,
        progress.vetter,
        progress.second,
        progress.vouched.map(Level::name),
        progress.security_features,
        progress.level.map(Level::name),
        progress.acted_at_ms,
        row.info,
        row.reason,
        row.created_at,
        row.state_mac,
    ])?;
    Ok(())
}

/// Moves an enrolment on; false when it is not as it was loaded.
///
/// # Errors
/// SQLite's.
pub fn put(writing: &mut Writing<'_>, loaded: &EnrolmentRow, next: &EnrolmentRow) -> Result<bool, StoreError> {
    let progress = &next.progress;
    let changed = writing.tx.prepare_cached(
        "UPDATE enrolment SET state = ?3, done = ?4, factor = ?5, item = ?6, eligible_at = ?7, code_mac = ?8,
             code_until = ?9, vetter = ?10, second_vetter = ?11, vouched = ?12, security_features = ?13, level = ?14,
             acted_at = ?15, reason = ?16, state_mac = ?17
         WHERE id = ?1 AND state_mac = ?2",
    )?
    .execute(params![
        loaded.order.id,
        loaded.state_mac,
        progress.state.name(),
        progress.done.bits(),
        progress.factor.map(Factor::name),
        progress.item,
        progress.eligible_at_ms,
        next.code_mac,
        progress.code_until_ms,
        progress.vetter,
        progress.second,
        progress.vouched.map(Level::name),
        progress.security_features,
        progress.level.map(Level::name),
        progress.acted_at_ms,
        next.reason,
        next.state_mac,
    ])?;
    Ok(changed == 1)
}

/// Writes the next step of an enrolment.
///
/// # Errors
/// SQLite's.
pub fn insert_step(writing: &mut Writing<'_>, enrolment: &Id, step: &StepRow) -> Result<(), StoreError> {
    let (kind, id, role) = &step.actor;
    writing.tx.prepare_cached(
        "INSERT INTO enrolment_step (enrolment_id, nth, activity, at, actor_kind, actor_id, actor_role, place, result,
             digest, remark, event_seq)
         SELECT ?1, coalesce(max(nth), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
         FROM enrolment_step WHERE enrolment_id = ?1",
    )?
    .execute(params![
        enrolment,
        step.activity.name(),
        step.at,
        kind,
        id,
        role,
        step.place,
        step.result,
        step.digest,
        step.remark,
        step.event_seq,
    ])?;
    Ok(())
}

/// How events name who did a step.
pub fn actor_of(actor: &Actor) -> (String, String, String) {
    (actor.kind.to_owned(), actor.id.clone(), actor.role.clone())
}

/// The steps of an enrolment, in their order.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn steps(connection: &Connection, enrolment: &Id) -> Result<Vec<StepRow>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM enrolment_step WHERE enrolment_id = ?1 ORDER BY nth")?;
    let mut rows = statement.query([enrolment])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Reading::new(row, "enrolment_step", "enrolment_id");
        found.push(StepRow {
            activity: row.parse("activity", |name: String| Activity::from_name(&name))?,
            at: row.get("at")?,
            actor: (row.get("actor_kind")?, row.get("actor_id")?, row.get("actor_role")?),
            place: row.get("place")?,
            result: row.get("result")?,
            digest: row.bytes("digest")?,
            remark: row.get("remark")?,
            event_seq: row.get("event_seq")?,
        });
    }
    Ok(found)
}

/// Keeps what was vetted, sealed.
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
        "INSERT OR REPLACE INTO vetting_identity (enrolment_id, record, recorded_at) VALUES (?1, ?2, ?3)",
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

/// Marks a record whose process ended without a binding: it goes sooner.
///
/// # Errors
/// SQLite's.
pub fn unuse_identity(writing: &mut Writing<'_>, enrolment: &Id, at: i64) -> Result<(), StoreError> {
    writing.tx.execute(
        "UPDATE vetting_identity SET unused_at = ?2 WHERE enrolment_id = ?1 AND unused_at IS NULL",
        params![enrolment, at],
    )?;
    Ok(())
}

/// Erases records that nobody needs any more: unused ones since `unused_before`; `limit` at the most. How many went.
///
/// # Errors
/// SQLite's.
pub fn sweep_identities(
    writing: &mut Writing<'_>,
    unused_before: i64,
    limit: usize,
) -> Result<usize, StoreError> {
    Ok(writing.tx.execute(
        "DELETE FROM vetting_identity WHERE enrolment_id IN
             (SELECT enrolment_id FROM vetting_identity WHERE unused_at <= ?1 LIMIT ?2)",
        params![unused_before, i64::try_from(limit).unwrap_or(i64::MAX)],
    )?)
}
