//! Private directories for appliances.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tempfile::TempDir;

/// In memory, where fsync costs nothing. What survives kill -9 is what reached the kernel, fsync or not; what
/// survives a power cut is another test's question.
const MEMORY: &str = "/dev/shm";

/// A new directory of mode 0700, gone when dropped.
///
/// # Panics
/// When it cannot be made.
pub fn directory() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("countersign-");
    let made = if Path::new(MEMORY).is_dir() { builder.tempdir_in(MEMORY) } else { builder.tempdir() };
    made.expect("a scratch directory")
}

/// A file of mode 0600 with one line, new.
///
/// # Panics
/// When it cannot be written.
pub fn secret_file(path: &Path, line: &str) {
    if path.exists() {
        fs::remove_file(path).expect("own scratch file");
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .expect("own scratch directory");
    writeln!(file, "{line}").expect("own scratch file");
}
