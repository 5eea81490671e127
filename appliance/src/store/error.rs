//! What can go wrong between the appliance and its database file.

use thiserror::Error;

/// A fault of the store. None of them says anything about a code.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk is full, or the file cannot be written: nothing was changed.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// A row that this program would never have written.
    #[error("table {table}, column {column}, row {row}: not readable")]
    Row {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// The row's key.
        row: String,
    },
    /// The name is taken.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// Another request was first: nothing was changed.
    #[error("{0} was changed meanwhile; look at it again")]
    Changed(&'static str),
    /// SQLite refused.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be brought up to date: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    /// The file could not be opened.
    #[error("the store {path} could not be opened: {source}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl StoreError {
    /// Whether an fsync failed: what is on disk is not known, and only a fresh start can find out.
    pub(super) fn is_lost_sync(&self) -> bool {
        matches!(self, StoreError::Sqlite(rusqlite::Error::SqliteFailure(code, _))
            if matches!(code.extended_code,
                rusqlite::ffi::SQLITE_IOERR_FSYNC | rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC))
    }

    /// The same fault, told to those whose work was in the same commit.
    pub(super) fn shared(&self) -> StoreError {
        StoreError::Unavailable(self.to_string())
    }
}
