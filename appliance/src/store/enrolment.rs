//! Enrolments (B.4.8, B.5.6).

use domain::canonical::Canonical;
use domain::enrol::{Channel, Done, Factor, Level, Method, Order, Progress, Requester, State};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, is_taken};

/// A stored enrolment.
#[derive(Clone, Debug)]
pub struct EnrolmentRow {
    /// What is fixed.
    pub order: Order,
    /// Through which application it was asked for; an operator's is the one named `console`.
    pub application: Id,
    /// Whose registration authorities may vet; empty for all of them.
    pub organisation: String,
    /// What moves.
    pub progress: Progress,
    /// HMAC of the registration code.
    pub code_mac: Option<[u8; 32]>,
    /// Sealed: what the request said of the user.
    pub info: Option<Vec<u8>>,
    /// Version of the rule that gave the level.
    pub rule: Option<u32>,
    /// When the applicant was reminded of the code, in steady Unix milliseconds.
    pub reminded_at: Option<i64>,
    /// Why it ended.
    pub reason: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// MAC over [`EnrolmentRow::bytes`].
    pub mac: [u8; 32],
}

impl EnrolmentRow {
    /// The bytes under the row's MAC: all of it.
    pub fn bytes(&self) -> Vec<u8> {
        Canonical::new("countersign enrolment row 1")
            .bytes(&self.progress.bytes(&self.order, self.code_mac.as_ref()))
            .bytes(&self.application)
            .text(&self.organisation)
            .optional(self.info.as_deref())
            .int(self.rule.map_or(-1, i64::from))
            .int(self.reminded_at.unwrap_or(-1))
            .optional(self.reason.as_deref().map(str::as_bytes))
            .int(self.created_at)
            .finish()
    }
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
        application: row.bytes("application_id")?,
        organisation: row.get("organisation")?,
        code_mac: row.optional_bytes("code_mac")?,
        info: row.get("info")?,
        rule: row.get("rule")?,
        reminded_at: row.get("reminded_at")?,
        reason: row.get("reason")?,
        created_at: row.get("created_at")?,
        mac: row.bytes("mac")?,
    })
}

pub(super) fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<EnrolmentRow>, StoreError> {
    row::all(connection, ("enrolment", "id"), sql, values, read)
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

/// Whether an enrolment under way holds a token or a phone.
///
/// # Errors
/// SQLite's.
pub fn is_held(connection: &Connection, item: &Id) -> Result<bool, StoreError> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM enrolment WHERE item = ?1 AND state NOT IN ('active', 'confirmed',
                   'rejected', 'expired', 'cancelled', 'revoked'))";
    Ok(connection.prepare_cached(sql)?.query_row([item], |row| row.get(0))?)
}

/// The enrolment by which a token or a phone is bound.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn of_item(connection: &Connection, item: &Id) -> Result<Option<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE item = ?1 AND state IN ('active', 'confirmed') ORDER BY id DESC LIMIT 1";
    Ok(many(connection, sql, params![item])?.into_iter().next())
}

/// All enrolments by which a token or a phone is bound: one that was vetted once more has several.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn all_of_item(connection: &Connection, item: &Id) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE item = ?1 AND state IN ('active', 'confirmed') ORDER BY id";
    many(connection, sql, params![item])
}

/// Bindings in effect whose token or phone with the app has ended, or whose number is gone.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn orphaned(connection: &Connection, limit: usize) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE state IN ('active', 'confirmed')
                   AND NOT EXISTS (SELECT 1 FROM token WHERE token.id = item AND lifecycle <> 'revoked')
                   AND NOT EXISTS (SELECT 1 FROM push_device WHERE push_device.id = item AND lifecycle <> 'revoked')
                   AND NOT EXISTS (SELECT 1 FROM phone WHERE phone.id = item) LIMIT ?1";
    many(connection, sql, params![i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Bindings in effect whose user was not told yet.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn untold(connection: &Connection, before: i64, limit: usize) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE state = 'active' AND acted_at <= ?1 LIMIT ?2";
    many(connection, sql, params![before, i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Enrolments with a code from before `issued_before` that nobody was reminded of.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn to_remind(
    connection: &Connection,
    issued_before: i64,
    limit: usize,
) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE state IN ('code_issued', 'scheduled') AND reminded_at IS NULL
                   AND acted_at <= ?1 LIMIT ?2";
    many(connection, sql, params![issued_before, i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// How many enrolments there are of a method, in a state, with a level.
pub type Count = (String, String, Option<String>, u64);

/// Counts of enrolments, by method, state and level.
///
/// # Errors
/// SQLite's.
pub fn counts(connection: &Connection) -> Result<Vec<Count>, StoreError> {
    let sql = "SELECT method, state, level, count(*) FROM enrolment GROUP BY method, state, level
               ORDER BY method, state, level";
    let mut statement = connection.prepare_cached(sql)?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, count(row.get(3)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Enrolments that are under way and were not touched since, or whose code is over; some of them may not be over yet.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn resting(
    connection: &Connection,
    since: i64,
    now: i64,
    limit: usize,
) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql = "SELECT * FROM enrolment WHERE state NOT IN ('active', 'confirmed', 'rejected', 'expired', 'cancelled',
                   'revoked') AND (acted_at <= ?1
                   OR (state IN ('code_issued', 'scheduled') AND code_until <= ?2)) LIMIT ?3";
    many(connection, sql, params![since, now, i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Enrolments that the appliance goes on with by itself, after one of them; of those whose last act was before a moment,
/// since whoever did that goes on with it first.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn to_go_on(
    connection: &Connection,
    before: i64,
    after: &[u8],
    limit: usize,
) -> Result<Vec<EnrolmentRow>, StoreError> {
    let sql =
        "SELECT * FROM enrolment WHERE ((state = 'vetted' AND method IN ('self_vet', 'remote_assertion'))
                   OR (state = 'possession_proven' AND method = 'self_asserted'))
                   AND acted_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    many(connection, sql, params![before, after, i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// How many enrolments were asked for in a user's name since a moment, in steady Unix milliseconds.
///
/// # Errors
/// SQLite's.
pub fn asked_since(connection: &Connection, user: &Id, since: i64) -> Result<usize, StoreError> {
    // Ids begin with the moment (RFC 9562 section 5.7), and the index of a user's rows is ordered by them.
    let mut first: Id = [0; 16];
    first[..6].copy_from_slice(&since.max(0).to_be_bytes()[2..]);
    let sql = "SELECT count(*) FROM enrolment WHERE user_id = ?1 AND id >= ?2";
    let count: i64 = connection.prepare_cached(sql)?.query_row([user, &first], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// How many of a user's enrolments are under way, but for one of them.
///
/// # Errors
/// SQLite's.
pub fn open_count(connection: &Connection, user: &Id, but: &Id) -> Result<usize, StoreError> {
    let sql = "SELECT count(*) FROM enrolment WHERE user_id = ?1 AND id <> ?2 AND state NOT IN ('active', 'confirmed', 'rejected',
                   'expired', 'cancelled', 'revoked')";
    let count: i64 = connection.prepare_cached(sql)?.query_row([user, but], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// A token or phone that another enrolment holds.
fn held(error: rusqlite::Error) -> StoreError {
    if is_taken(&error) { StoreError::Exists("an enrolment of this token or phone") } else { error.into() }
}

/// Writes a new enrolment.
///
/// # Errors
/// [`StoreError::Exists`] when another one holds the token or the phone; SQLite's.
pub fn insert(writing: &mut Writing<'_>, row: &EnrolmentRow) -> Result<(), StoreError> {
    let (order, progress) = (&row.order, &row.progress);
    let mut statement = writing.tx.prepare_cached(
        "INSERT INTO enrolment (id, user_id, factor_index, channel, requested_by, method, target, policy, state, done,
             factor, item, eligible_at, code_mac, code_until, vetter, second_vetter, vouched, security_features, level,
             acted_at, info, reason, created_at, mac, application_id, organisation, rule, reminded_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
             ?23, ?24, ?25, ?26, ?27, ?28, ?29)",
    )?;
    let inserted = statement.execute(params![
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
        row.mac,
        row.application,
        row.organisation,
        row.rule,
        row.reminded_at,
    ]);
    inserted.map(drop).map_err(held)
}

/// Moves an enrolment on; false when it is not as it was loaded.
///
/// # Errors
/// SQLite's.
pub fn put(
    writing: &mut Writing<'_>,
    loaded: &EnrolmentRow,
    next: &EnrolmentRow,
) -> Result<bool, StoreError> {
    let progress = &next.progress;
    let mut statement = writing.tx.prepare_cached(
        "UPDATE enrolment SET state = ?3, done = ?4, factor = ?5, item = ?6, eligible_at = ?7, code_mac = ?8,
             code_until = ?9, vetter = ?10, second_vetter = ?11, vouched = ?12, security_features = ?13, level = ?14,
             acted_at = ?15, reason = ?16, mac = ?17, rule = ?18, reminded_at = ?19
         WHERE id = ?1 AND mac = ?2",
    )?;
    let changed = statement.execute(params![
        loaded.order.id,
        loaded.mac,
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
        next.mac,
        next.rule,
        next.reminded_at,
    ]);
    Ok(changed.map_err(held)? == 1)
}
