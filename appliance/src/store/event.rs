//! The chain of events. Each hash covers the former one, from 32 zero bytes on.

use domain::event::{Chained, Event, chained_bytes};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::Writing;
use super::error::StoreError;
use super::row::Reading;

/// Events read at once at the most.
pub const PAGE_MAX: usize = 1000;

/// Last place in the chain, and its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainHead {
    /// Number of the last event; 0 before the first.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// A stored event.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// Place in the chain, from 1.
    pub seq: i64,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Dotted name.
    pub kind: String,
    /// Kind, id and role of who acted.
    pub actor: [String; 3],
    /// The subject as stored JSON text.
    pub subject: String,
    /// `ok`, `refused` or `failed`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// Hash of the event before.
    pub prev_hash: [u8; 32],
    /// Hash of this one.
    pub hash: [u8; 32],
}

fn link(prev: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(prev).chain_update(bytes).finalize().into()
}

/// The head of the chain on disk.
pub(super) fn head(connection: &Connection) -> Result<ChainHead, StoreError> {
    let last = connection
        .query_row("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(ChainHead { seq: row.get(0)?, hash: row.get(1)? })
        })
        .optional()?;
    Ok(last.unwrap_or_default())
}

/// Appends an event in the act's own transaction.
///
/// # Errors
/// SQLite's.
pub fn append(writing: &mut Writing<'_>, event: &Event) -> Result<i64, StoreError> {
    let seq = writing.head.seq + 1;
    let subject: serde_json::Map<String, serde_json::Value> =
        event.subject.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect();
    let subject = serde_json::Value::Object(subject).to_string();
    let prev = writing.head.hash;
    let hash = link(&prev, &event.bytes(seq, &subject));
    let mut statement = writing.tx.prepare_cached(
        "INSERT INTO event (seq, at, type, actor_kind, actor_id, actor_role, subject, outcome, reason,
             prev_hash, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    statement.execute(params![
        seq,
        event.at_ms,
        event.kind,
        event.actor.kind,
        event.actor.id,
        event.actor.role,
        subject,
        event.outcome,
        event.reason,
        prev,
        hash,
    ])?;
    *writing.head = ChainHead { seq, hash };
    Ok(seq)
}

/// Whether there is an event of this dotted name.
///
/// # Errors
/// SQLite's.
pub fn exists(connection: &Connection, kind: &str) -> Result<bool, StoreError> {
    Ok(connection
        .query_row("SELECT EXISTS (SELECT 1 FROM event WHERE type = ?1)", [kind], |row| row.get(0))?)
}

/// Which events to read.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only events after this place.
    pub after: i64,
    /// Only about this pseudonym.
    pub user_ref: Option<String>,
    /// Only about this token.
    pub serial: Option<String>,
    /// Only of this dotted name, or of the names that begin with it and a dot.
    pub kind: Option<String>,
    /// As many at the most; bounded by [`PAGE_MAX`].
    pub limit: usize,
}

/// Reads events in order.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, filter: &Filter) -> Result<Vec<EventRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM event WHERE seq > ?1
           AND (?2 IS NULL OR json_extract(subject, '$.user_ref') = ?2)
           AND (?3 IS NULL OR json_extract(subject, '$.token') = ?3)
           AND (?4 IS NULL OR type = ?4 OR substr(type, 1, length(?4) + 1) = ?4 || '.')
         ORDER BY seq LIMIT ?5",
    )?;
    let limit = i64::try_from(filter.limit.clamp(1, PAGE_MAX)).unwrap_or(1);
    let mut rows =
        statement.query(params![filter.after, filter.user_ref, filter.serial, filter.kind, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read(&Reading::new(row, "event", "seq"))?);
    }
    Ok(events)
}

fn read(row: &Reading<'_>) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        seq: row.get("seq")?,
        at_ms: row.get("at")?,
        kind: row.get("type")?,
        actor: [row.get("actor_kind")?, row.get("actor_id")?, row.get("actor_role")?],
        subject: row.get("subject")?,
        outcome: row.get("outcome")?,
        reason: row.get("reason")?,
        prev_hash: row.bytes("prev_hash")?,
        hash: row.bytes("hash")?,
    })
}

/// Latest time among the last events in Unix milliseconds; zero before the first.
///
/// # Errors
/// SQLite's.
pub fn latest_at(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT coalesce(max(at), 0) FROM (SELECT at FROM event ORDER BY seq DESC LIMIT ?1)";
    Ok(connection.query_row(sql, [i64::try_from(PAGE_MAX).unwrap_or(i64::MAX)], |row| row.get(0))?)
}

/// Number of the last event and the time of it in Unix milliseconds; zeros before the first.
///
/// # Errors
/// SQLite's.
pub fn last(connection: &Connection) -> Result<(i64, i64), StoreError> {
    let last = connection
        .query_row("SELECT seq, at FROM event ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(last.unwrap_or((0, 0)))
}

/// Opens a database file for a walk along its chain, without a daemon and without changing anything.
///
/// # Errors
/// SQLite's, when the file cannot be read.
pub fn open_for_audit(path: &std::path::Path) -> Result<Connection, StoreError> {
    super::connect(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// What a walk along the whole chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Place of the first event that does not follow from the one before.
    pub first_bad: Option<i64>,
    /// Events walked.
    pub head: ChainHead,
}

/// Walks the whole chain.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn verify(connection: &Connection) -> Result<ChainReport, StoreError> {
    let mut head = ChainHead::default();
    // A row before the first event is no part of the chain.
    let lowest: Option<i64> = connection.query_row("SELECT min(seq) FROM event", [], |row| row.get(0))?;
    if let Some(seq) = lowest.filter(|seq| *seq < 1) {
        return Ok(ChainReport { first_bad: Some(seq), head });
    }
    let mut after = head.seq;
    loop {
        let page = match list(connection, &Filter { after, limit: PAGE_MAX, ..Filter::default() }) {
            // A row that cannot be read is a changed row; page by page the first is found.
            Err(StoreError::Row { row, .. }) => {
                return Ok(ChainReport { first_bad: Some(row.parse().unwrap_or(head.seq + 1)), head });
            }
            page => page?,
        };
        if page.is_empty() {
            return Ok(ChainReport { first_bad: None, head });
        }
        for event in page {
            let expected = link(&head.hash, &chained_bytes(&chained(&event)));
            if event.seq != head.seq + 1 || event.prev_hash != head.hash || event.hash != expected {
                return Ok(ChainReport { first_bad: Some(event.seq), head });
            }
            head = ChainHead { seq: event.seq, hash: event.hash };
            after = event.seq;
        }
    }
}

fn chained(event: &EventRow) -> Chained<'_> {
    Chained {
        seq: event.seq,
        at_ms: event.at_ms,
        kind: &event.kind,
        actor: event.actor.each_ref().map(String::as_str),
        subject: &event.subject,
        outcome: &event.outcome,
        reason: event.reason.as_deref(),
    }
}
