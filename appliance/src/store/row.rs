//! Reading columns: what does not parse is a fault that names its place, never a default.

use domain::time::{BootId, Deadline};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row};

use super::error::StoreError;

/// One row being read, with the names that a fault needs.
pub(super) struct Reading<'r> {
    row: &'r Row<'r>,
    table: &'static str,
    key: &'static str,
}

impl<'r> Reading<'r> {
    /// `key` is the column that names the row in a fault.
    pub(super) fn new(row: &'r Row<'r>, table: &'static str, key: &'static str) -> Self {
        Reading { row, table, key }
    }

    pub(super) fn fault(&self, column: &'static str) -> StoreError {
        let row = match self.row.get_ref(self.key) {
            Ok(rusqlite::types::ValueRef::Blob(bytes)) => data_encoding::HEXLOWER.encode(bytes),
            Ok(rusqlite::types::ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            Ok(rusqlite::types::ValueRef::Integer(n)) => n.to_string(),
            _ => "?".to_owned(),
        };
        StoreError::Row { table: self.table, column, row }
    }

    /// A column of a plain type.
    pub(super) fn get<T: FromSql>(&self, column: &'static str) -> Result<T, StoreError> {
        self.row.get(column).map_err(|_| self.fault(column))
    }

    /// A column that must become another type.
    pub(super) fn parse<S: FromSql, T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(S) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(self.get(column)?).ok_or_else(|| self.fault(column))
    }

    /// A column of a fixed number of bytes.
    pub(super) fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        self.parse(column, |bytes: Vec<u8>| bytes.try_into().ok())
    }

    /// A column of a fixed number of bytes, or nothing.
    pub(super) fn optional_bytes<const N: usize>(
        &self,
        column: &'static str,
    ) -> Result<Option<[u8; N]>, StoreError> {
        match self.get::<Option<Vec<u8>>>(column)? {
            None => Ok(None),
            Some(bytes) => bytes.try_into().map(Some).map_err(|_| self.fault(column)),
        }
    }

    /// A boot deadline in two columns; both or neither.
    pub(super) fn deadline(
        &self,
        boot: &'static str,
        boot_ms: &'static str,
    ) -> Result<Option<Deadline>, StoreError> {
        match (self.optional_bytes::<16>(boot)?, self.get::<Option<i64>>(boot_ms)?) {
            (None, None) => Ok(None),
            (Some(id), Some(ms)) => {
                let boot_ms = u64::try_from(ms).map_err(|_| self.fault(boot_ms))?;
                Ok(Some(Deadline { boot: BootId(id), boot_ms }))
            }
            _ => Err(self.fault(boot)),
        }
    }

    /// A JSON list of texts.
    pub(super) fn list(&self, column: &'static str) -> Result<Vec<String>, StoreError> {
        self.parse(column, |text: String| serde_json::from_str(&text).ok())
    }
}

/// All rows that a query finds. `place` is the table, and the column that names a row in a fault.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub(super) fn all<T>(
    connection: &Connection,
    place: (&'static str, &'static str),
    sql: &str,
    values: impl Params,
    read: impl Fn(&Reading<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&Reading::new(row, place.0, place.1))?);
    }
    Ok(found)
}

/// A boot deadline as its two columns.
pub(super) fn deadline_columns(deadline: Option<&Deadline>) -> (Option<[u8; 16]>, Option<i64>) {
    match deadline {
        None => (None, None),
        Some(d) => (Some(d.boot.0), Some(i64::try_from(d.boot_ms).unwrap_or(i64::MAX))),
    }
}

/// A list of texts as JSON.
pub(super) fn json_list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(AsRef::as_ref).collect();
    serde_json::Value::from(items).to_string()
}

/// Whether an insert failed because the name is taken.
pub(super) fn is_taken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error(), Some(code)
        if matches!(code.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}
