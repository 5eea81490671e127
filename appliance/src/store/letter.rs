//! Activation letters (B.5.2).

use domain::canonical::Canonical;
use domain::letter::{Delivery, Kind, Order, Progress, State};
use domain::token::Id;
use rusqlite::{Connection, params};

use super::Writing;
use super::error::StoreError;
use super::row::{self, Reading, is_taken};

/// A stored letter.
#[derive(Clone, Debug)]
pub struct LetterRow {
    /// What is fixed.
    pub order: Order,
    /// The token whose secret it shows.
    pub token_id: Option<Id>,
    /// Language tag.
    pub lang: String,
    /// Sealed address that was given with the order; else the user's own.
    pub address: Option<Vec<u8>>,
    /// Who ordered it.
    pub ordered_by: String,
    /// Unix milliseconds.
    pub ordered_at: i64,
    /// The event of the order: what the reveal of a secret refers to.
    pub ordered_seq: i64,
    /// Steady Unix milliseconds.
    pub rendered_at: Option<i64>,
    /// Who handed it over.
    pub handed_over_by: Option<String>,
    /// Unix milliseconds.
    pub handed_over_at: Option<i64>,
    /// HMAC of the activation key.
    pub key_mac: Option<[u8; 32]>,
    /// Name of the file in the output directory.
    pub file: Option<String>,
    /// SHA-256 of the file.
    pub file_sha256: Option<[u8; 32]>,
    /// Pages of the file.
    pub pages: Option<u32>,
    /// What moves.
    pub progress: Progress,
    /// MAC over it.
    pub state_mac: [u8; 32],
}

impl LetterRow {
    /// The bytes under the MAC of some progress of this letter: with it whose secret it shows, where it goes and which
    /// file it is.
    pub fn bytes(&self, progress: &Progress) -> Vec<u8> {
        Canonical::new("countersign letter row 1")
            .bytes(&self.former_bytes(progress))
            .optional(self.token_id.as_ref().map(<[u8; 16]>::as_slice))
            .text(&self.lang)
            .optional(self.address.as_deref())
            .text(&self.ordered_by)
            .optional(self.file.as_deref().map(str::as_bytes))
            .optional(self.file_sha256.as_ref().map(<[u8; 32]>::as_slice))
            .finish()
    }

    /// The bytes under the MAC of a letter of a former schema, before it is sealed.
    pub fn former_bytes(&self, progress: &Progress) -> Vec<u8> {
        progress.bytes(&self.order, self.key_mac.as_ref())
    }
}

fn read(row: &Reading<'_>) -> Result<LetterRow, StoreError> {
    Ok(LetterRow {
        order: Order {
            id: row.bytes("id")?,
            user: row.bytes("user_id")?,
            kind: row.parse("kind", |name: String| Kind::from_name(&name))?,
            delivery: row.parse("delivery", |name: String| Delivery::from_name(&name))?,
        },
        token_id: row.optional_bytes("token_id")?,
        lang: row.get("lang")?,
        address: row.get("address")?,
        ordered_by: row.get("ordered_by")?,
        ordered_at: row.get("ordered_at")?,
        ordered_seq: row.get("ordered_seq")?,
        rendered_at: row.get("rendered_at")?,
        handed_over_by: row.get("handed_over_by")?,
        handed_over_at: row.get("handed_over_at")?,
        key_mac: row.optional_bytes("key_mac")?,
        file: row.get("file")?,
        file_sha256: row.optional_bytes("file_sha256")?,
        pages: row.get("pages")?,
        progress: Progress {
            state: row.parse("state", |name: String| State::from_name(&name))?,
            renders_failed: row.get("renders_failed")?,
            attempts: row.get("attempts")?,
            valid_until_ms: row.get("valid_until")?,
        },
        state_mac: row.bytes("state_mac")?,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<LetterRow>, StoreError> {
    row::all(connection, ("letter", "id"), sql, values, read)
}

/// Finds a letter.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn by_id(connection: &Connection, id: &Id) -> Result<Option<LetterRow>, StoreError> {
    Ok(many(connection, "SELECT * FROM letter WHERE id = ?1", params![id])?.into_iter().next())
}

/// The open letter of a user and kind (MOB-32).
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn open_of(connection: &Connection, user: &Id, kind: Kind) -> Result<Option<LetterRow>, StoreError> {
    let sql = "SELECT * FROM letter WHERE user_id = ?1 AND kind = ?2
                   AND state IN ('ordered', 'rendered', 'delivered')";
    Ok(many(connection, sql, params![user, kind.name()])?.into_iter().next())
}

/// The condition of [`due`]: no letter to the same user since `?2`.
const QUIET: &str = "NOT EXISTS (SELECT 1 FROM letter AS former
    WHERE former.user_id = due.user_id AND former.rendered_at > ?2)";

/// Letters of one kind that wait to be typeset and may be, in the order of their orders, after one of them. Who got a
/// letter since `quiet_since`, in steady Unix milliseconds, gets none now (OATH-46).
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn due(
    connection: &Connection,
    kind: Kind,
    quiet_since: i64,
    after: &[u8],
    limit: usize,
) -> Result<Vec<LetterRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT * FROM letter AS due WHERE state = 'ordered' AND kind = ?1 AND {QUIET} AND id > ?3
         ORDER BY id LIMIT ?4"
    );
    many(connection, &sql, params![kind.name(), quiet_since, after, limit])
}

/// How many letters of a kind wait: those that may be typeset, after one of them, and those that may not yet.
///
/// # Errors
/// SQLite's.
pub fn waiting(
    connection: &Connection,
    kind: Kind,
    quiet_since: i64,
    after: &[u8],
) -> Result<(u64, u64), StoreError> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE {QUIET} AND id > ?3), count(*) FILTER (WHERE NOT {QUIET})
         FROM letter AS due WHERE state = 'ordered' AND kind = ?1"
    );
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(connection.query_row(&sql, params![kind.name(), quiet_since, after], |row| {
        Ok((count(row.get(0)?), count(row.get(1)?)))
    })?)
}

/// Which letters to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only for this user.
    pub user: Option<Id>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only those ordered after this one.
    pub after: Option<Id>,
    /// As many at the most.
    pub limit: usize,
}

/// Letters in the order of their ids, which is that of their orders.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, filter: &Filter) -> Result<Vec<LetterRow>, StoreError> {
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let sql = "SELECT * FROM letter WHERE (?1 IS NULL OR id > ?1) AND (?2 IS NULL OR user_id = ?2)
                   AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR state = ?4) ORDER BY id LIMIT ?5";
    let (kind, state) = (filter.kind.map(Kind::name), filter.state.map(State::name));
    many(connection, sql, params![filter.after, filter.user, kind, state, limit])
}

/// Open letters whose time is over, or whose token has ended.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn to_end(connection: &Connection, steady_ms: i64, limit: usize) -> Result<Vec<LetterRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql =
        "SELECT * FROM letter WHERE state IN ('ordered', 'rendered', 'delivered') AND (valid_until <= ?1
                   OR token_id IN (SELECT id FROM token WHERE lifecycle = 'revoked')) LIMIT ?2";
    many(connection, sql, params![steady_ms, limit])
}

/// Letters whose file need not be kept: those that have ended, and those written before a moment.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn files_to_erase(
    connection: &Connection,
    steady_ms: i64,
    limit: usize,
) -> Result<Vec<LetterRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "SELECT * FROM letter WHERE file IS NOT NULL
                   AND (rendered_at < ?1 OR state NOT IN ('ordered', 'rendered', 'delivered')) LIMIT ?2";
    many(connection, sql, params![steady_ms, limit])
}

/// Writes a new letter.
///
/// # Errors
/// [`StoreError::Exists`] when an open one is there; SQLite's.
pub fn insert(writing: &mut Writing<'_>, letter: &LetterRow) -> Result<(), StoreError> {
    writing
        .tx
        .execute(
            "INSERT INTO letter (id, user_id, kind, token_id, delivery, state, lang, address, ordered_by,
                 ordered_at, ordered_seq, state_mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                letter.order.id,
                letter.order.user,
                letter.order.kind.name(),
                letter.token_id,
                letter.order.delivery.name(),
                letter.progress.state.name(),
                letter.lang,
                letter.address,
                letter.ordered_by,
                letter.ordered_at,
                letter.ordered_seq,
                letter.state_mac,
            ],
        )
        .map_err(
            |error| if is_taken(&error) { StoreError::Exists("an open letter") } else { error.into() },
        )?;
    Ok(())
}

/// Replaces a letter that was loaded by what it has become, `next` with its MAC: one conditional write. True when
/// this call did it; false when the letter had moved.
///
/// # Errors
/// SQLite's.
pub fn put(
    writing: &mut Writing<'_>,
    loaded: &LetterRow,
    next: &LetterRow,
    at_ms: i64,
) -> Result<bool, StoreError> {
    let ended = next.progress.state.is_final().then_some(at_ms);
    let mut statement = writing.tx.prepare_cached(
        "UPDATE letter SET state = ?1, renders_failed = ?2, attempts = ?3, valid_until = ?4, rendered_at = ?5,
             handed_over_by = ?6, handed_over_at = ?7, key_mac = ?8, file = ?9, file_sha256 = ?10, pages = ?11,
             token_id = ?12, state_mac = ?13, ended_at = coalesce(ended_at, ?14)
         WHERE id = ?15 AND state_mac = ?16 AND state = ?17",
    )?;
    let changed = statement.execute(params![
        next.progress.state.name(),
        next.progress.renders_failed,
        next.progress.attempts,
        next.progress.valid_until_ms,
        next.rendered_at,
        next.handed_over_by,
        next.handed_over_at,
        next.key_mac,
        next.file,
        next.file_sha256,
        next.pages,
        next.token_id,
        next.state_mac,
        ended,
        loaded.order.id,
        loaded.state_mac,
        loaded.progress.state.name(),
    ])?;
    Ok(changed == 1)
}
