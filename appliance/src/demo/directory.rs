//! The demo's state directory: private, its own, and locked while it runs.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::site::random_hex;

/// Tells a demo's directory from any other; the running demo holds a lock on it.
const MARKER: &str = ".countersign-demo";
/// Owner only.
const MODE: u32 = 0o700;
/// Tries for the name of a temporary directory.
const NAME_TRIES: u32 = 8;
/// What a demo leaves in its directory, the database's companions aside.
const LEFTOVERS: [&str; 19] = [
    "demo.json",
    "countersign.toml",
    "softhsm2.conf",
    "tokens",
    "pin",
    "so-pin",
    "api.sock",
    "modem",
    "modem.jsonl",
    "modem.transcript",
    "modem.log",
    "daemon.log",
    "audit",
    "letters",
    "serve.lock",
    "demo.json.new",
    "sim.latch",
    "maker.key",
    "bench.tokens",
];
/// Beginnings of what a daemon leaves in its state directory.
const LEFTOVER_STEMS: [&str; 2] = ["countersign.db", "hsm.latch"];

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// It holds something else.
    #[error("{} is not empty and no demo made it; name an empty or a new directory with --state", .0.display())]
    Foreign(PathBuf),
    /// Another demo runs there.
    #[error("another demo runs in {}; end it first, or name another directory with --state", .0.display())]
    Busy(PathBuf),
    /// The system refuses.
    #[error("the state directory {} cannot be used", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// The state directory of a running demo.
pub(super) struct Directory {
    path: PathBuf,
    temporary: bool,
    _lock: File,
}

impl Directory {
    /// Opens the directory that was asked for, cleaned of what a former demo left there; or makes a
    /// temporary one.
    ///
    /// # Errors
    /// [`DirectoryError`]; nothing was changed then.
    pub(super) fn open(asked: Option<&Path>) -> Result<Self, DirectoryError> {
        match asked {
            Some(path) => Self::asked(path),
            None => Self::temporary(),
        }
    }

    fn temporary() -> Result<Self, DirectoryError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let path = std::env::temp_dir().join(format!("countersign-demo-{}", random_hex(4)));
            match DirBuilder::new().mode(MODE).create(&path) {
                Ok(()) => return Self::lock(path, true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < NAME_TRIES => {}
                Err(error) => return Err(DirectoryError::Io(path, error)),
            }
        }
    }

    fn asked(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |error| DirectoryError::Io(path.to_owned(), error);
        DirBuilder::new().mode(MODE).recursive(true).create(path).map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        let empty = fs::read_dir(&path).map_err(failed)?.next().is_none();
        if !empty && !path.join(MARKER).is_file() {
            return Err(DirectoryError::Foreign(path));
        }
        fs::set_permissions(&path, Permissions::from_mode(MODE)).map_err(failed)?;
        let directory = Self::lock(path, false)?;
        directory.clean().map_err(failed)?;
        Ok(directory)
    }

    fn lock(path: PathBuf, temporary: bool) -> Result<Self, DirectoryError> {
        let failed = |error| DirectoryError::Io(path.clone(), error);
        let marker = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(MARKER))
            .map_err(failed)?;
        match marker.try_lock() {
            Ok(()) => Ok(Directory { path, temporary, _lock: marker }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::Busy(path)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn clean(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if !LEFTOVERS.contains(&name) && !LEFTOVER_STEMS.iter().any(|stem| name.starts_with(stem)) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Where it is; absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A temporary directory goes with the demo, even with one that fails; one that was asked for stays.
impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("countersign: {} could not be removed: {error}", self.path.display());
        }
    }
}
