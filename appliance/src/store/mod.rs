//! The store: one SQLite file, one writer thread, a few readers.
//!
//! WAL with `synchronous=FULL`: an act that returned is on disk. It knows rows, not rules.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

pub mod application;
pub mod appointment;
pub mod approval;
pub mod assertion;
pub mod backchannel;
pub mod challenge;
pub mod device;
pub mod enrolment;
pub mod enrolment_list;
pub mod enrolment_number;
pub mod error;
pub mod event;
pub mod flow;
pub mod letter;
pub mod limiter;
pub mod link;
pub mod logo;
pub mod membership;
pub mod meta;
pub mod operator;
pub mod outbox;
pub mod phone;
pub mod push_device;
pub mod push_message;
pub mod recovery;
pub mod registration;
pub mod request;
mod row;
pub mod sms_sent;
pub mod token;
pub mod user;
pub mod vetting;
mod writer;

pub use error::StoreError;
pub use writer::Writing;

/// Name of the database file in the state directory.
pub const DATABASE: &str = "countersign.db";
/// Name of the lock file that keeps a second daemon out.
pub const SERVE_LOCK: &str = "serve.lock";
/// Reading connections kept open at the most.
const READERS_MAX: usize = 16;
/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema/0001_appliance.sql")),
    M::up(include_str!("schema/0002_provisioning.sql")),
    M::up(include_str!("schema/0003_ocra.sql")).foreign_key_check(),
    M::up(include_str!("schema/0004_operators.sql")),
    M::up(include_str!("schema/0005_people.sql")),
    M::up(include_str!("schema/0006_integrity.sql")),
    M::up(include_str!("schema/0007_enrolment.sql")),
    M::up(include_str!("schema/0008_push.sql")),
    M::up(include_str!("schema/0009_scopes_and_logo.sql")),
    M::up(include_str!("schema/0010_enrolled_phones.sql")),
    M::up(include_str!("schema/0011_phones.sql")),
    M::up(include_str!("schema/0012_desk.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// The open store.
pub struct Store {
    path: PathBuf,
    writer: Option<writer::Writer>,
    readers: Mutex<Vec<Connection>>,
    _lock: File,
}

impl Store {
    /// Opens the store in a state directory, brings its schema up to date and checks the head of the chain.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the directory cannot be used or another daemon holds it.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let lock = lock(&state_dir.join(SERVE_LOCK))?;
        let path = state_dir.join(DATABASE);
        create_private(&path).map_err(|source| open_error(&path, source))?;
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // A table that others refer to can be written anew only while SQLite looks away; the step checks instead.
        connection.pragma_update(None, "foreign_keys", false)?;
        MIGRATIONS.to_latest(&mut connection)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is erased is overwritten: a person who is forgotten leaves nothing in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        let head = event::head(&connection)?;
        let writer = writer::Writer::start(connection, head).map_err(|source| open_error(&path, source))?;
        Ok(Store { path, writer: Some(writer), readers: Mutex::new(Vec::new()), _lock: lock })
    }

    /// Runs an act and returns once it is on disk, or undone.
    ///
    /// # Errors
    /// The act's own error, or [`StoreError::Unavailable`] when the commit failed.
    pub fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.as_ref().expect("there until the store is dropped").write(act)
    }

    /// Reads from one consistent snapshot.
    ///
    /// # Errors
    /// The reader's own error, or SQLite's.
    pub fn read<T>(
        &self,
        reader: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pooled = self.readers.lock().pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        let snapshot = connection.transaction()?;
        let value = reader(&snapshot)?;
        snapshot.commit()?;
        let mut readers = self.readers.lock();
        if readers.len() < READERS_MAX {
            readers.push(connection);
        }
        Ok(value)
    }
}

impl Drop for Store {
    /// Waits for the writer to finish what it has: its connection then closes with the log moved into the file.
    fn drop(&mut self) {
        self.readers.lock().clear();
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
    }
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn create_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| open_error(path, source))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
        let busy = errno == rustix::io::Errno::WOULDBLOCK;
        let source = if busy {
            std::io::Error::other("another countersign daemon uses this state directory")
        } else {
            errno.into()
        };
        open_error(path, source)
    })?;
    Ok(file)
}

fn open_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Open { path: path.display().to_string(), source }
}
