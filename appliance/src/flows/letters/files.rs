//! The files of letters: whole or not there, for their owner only.
//!
//! A letter is written and flushed under a name of its own (`.ID-DIGEST.new`), the store says `rendered` with its key,
//! and only then it gets its name. So a named file always has a key that the store knows; what a crash leaves between
//! is given its name, or removed, before the next letter is made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use domain::token::Id;
use sha2::{Digest, Sha256};

use crate::appliance::Appliance;
use crate::flows::{FlowError, handle, parse_handle};

/// Name of the directory in the state directory.
const DIRECTORY: &str = "letters";
/// End of the name of a file that is not a letter yet.
const STAGED: &str = ".new";
/// Entries of the directory that are looked at in one go.
const ENTRIES_MAX: usize = 100_000;

/// Where letters are put.
pub(super) fn directory(app: &Appliance) -> PathBuf {
    let own = || app.config.state_dir.join(DIRECTORY);
    app.config.people.letters.output_dir.clone().unwrap_or_else(own)
}

/// The same, once it is there: the one in the state directory is made.
pub(super) fn ready(app: &Appliance) -> Result<PathBuf, FlowError> {
    let directory = directory(app);
    if app.config.people.letters.output_dir.is_none() {
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&directory, &error)),
            _ => {}
        }
    }
    match fs::metadata(&directory) {
        Ok(found) if found.is_dir() => Ok(directory),
        Ok(_) => Err(failed(&directory, &ErrorKind::NotADirectory.into())),
        Err(error) => Err(failed(&directory, &error)),
    }
}

/// The fault of a file that could not be written.
pub(super) fn failed(path: &Path, error: &io::Error) -> FlowError {
    FlowError::Letters(format!("{}: {error}; see letters.output_dir", path.display()))
}

/// A letter on disk that has no name yet.
pub(super) struct Staged {
    path: PathBuf,
    /// SHA-256 of the file.
    pub(super) sha256: [u8; 32],
}

/// Writes a letter down, flushed, for its owner only.
///
/// # Errors
/// The system's.
pub(super) fn stage(directory: &Path, id: &Id, pdf: &[u8]) -> io::Result<Staged> {
    let sha256: [u8; 32] = Sha256::digest(pdf).into();
    let digest = data_encoding::HEXLOWER.encode(&sha256[..8]);
    let path = directory.join(format!(".{}-{digest}{STAGED}", handle(id)));
    // One of the same content may be left over.
    remove(&path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(pdf)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()?;
    Ok(Staged { path, sha256 })
}

impl Staged {
    /// Gives the letter its name.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn publish(&self, directory: &Path, name: &str) -> io::Result<()> {
        fs::rename(&self.path, directory.join(name))?;
        File::open(directory)?.sync_all()
    }

    /// Removes a letter that another run has made meanwhile.
    pub(super) fn discard(&self) {
        if let Err(error) = remove(&self.path) {
            tracing::error!(path = %self.path.display(), %error, "a letter that counts for nothing could not be removed");
        }
    }
}

/// Files that a crash has left, with the letters that they are.
///
/// # Errors
/// The system's.
pub(super) fn left_over(directory: &Path) -> io::Result<Vec<(Id, Staged)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries.take(ENTRIES_MAX) {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.strip_prefix('.').and_then(|name| name.strip_suffix(STAGED));
        let Some(id) = stem.and_then(|stem| stem.split_once('-')).and_then(|(id, _)| parse_handle(id)) else {
            continue;
        };
        let sha256 = Sha256::digest(fs::read(&path)?).into();
        found.push((id, Staged { path, sha256 }));
    }
    Ok(found)
}

/// Removes a letter's file, if it is there.
///
/// # Errors
/// The system's.
pub(super) fn erase(directory: &Path, name: &str) -> io::Result<()> {
    // The name comes from the store, which somebody may have changed: nothing beyond the directory is removed.
    if Path::new(name).file_name().is_none_or(|only| only != name) {
        return Err(ErrorKind::InvalidFilename.into());
    }
    remove(&directory.join(name))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// MOB-22, OATH-45: a file has its name only when it is whole, and is for its owner.
    #[test]
    fn a_letter_is_staged_then_named() {
        let directory = tempfile::tempdir().unwrap();
        let staged = stage(directory.path(), &[7; 16], b"%PDF").unwrap();
        let left = left_over(directory.path()).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].0, left[0].1.sha256), ([7; 16], staged.sha256));
        staged.publish(directory.path(), "a.pdf").unwrap();
        let mode = fs::metadata(directory.path().join("a.pdf")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(left_over(directory.path()).unwrap().is_empty());
        erase(directory.path(), "a.pdf").unwrap();
        erase(directory.path(), "a.pdf").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_beyond_the_directory_is_erased() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("letters");
        fs::create_dir(&inner).unwrap();
        fs::write(directory.path().join("countersign.db"), "x").unwrap();
        for name in ["../countersign.db", "/etc/hostname", "..", ""] {
            assert!(erase(&inner, name).is_err(), "{name}");
        }
        assert!(directory.path().join("countersign.db").exists());
    }
}
