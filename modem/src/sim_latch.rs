//! The SIM latch: a file that stops a second try of a SIM PIN, across restarts.
//!
//! It is on disk before the PIN goes to the modem and is removed only when the SIM took it.
//! It holds no PIN and no digest of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const TEXT: &str = "A SIM PIN was tried and not accepted, or the outcome was not seen.\n\
                    Check the PIN in the configuration, then delete this file.\n";

/// The latch of one modem.
#[derive(Debug, Clone)]
pub struct SimLatch {
    path: PathBuf,
}

impl SimLatch {
    /// A latch at this path; its directory must exist when it is armed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Was a PIN tried before, without success? A file that cannot be looked at counts as armed.
    pub fn is_armed(&self) -> bool {
        self.path.try_exists().unwrap_or(true)
    }

    /// Arms it, durably: when this returns `Ok`, a power cut does not undo it.
    ///
    /// # Errors
    /// Those of the file system; `AlreadyExists` where it is armed.
    pub fn arm(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.path)?;
        file.write_all(TEXT.as_bytes())?;
        file.sync_all()?;
        self.sync_directory()
    }

    /// Removes it, durably.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn clear(&self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> io::Result<()> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}
