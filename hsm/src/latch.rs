//! One try, then a person. Two small files remember across restarts what became of a login:
//!
//! * the **latch**: `latched` after the token refused the PIN (no login any more), or `permit` after an
//!   operator released it (exactly one login);
//! * beside it `*.login`: `trying` while a login is under way, `proven` once one succeeded. A child that ended
//!   in between leaves `trying`: whether the token counted a failure is then unknown. With a PIN file never
//!   seen to work that counts as one; with one that worked before, [`UNCERTAIN_MAX`] of them in a row do, so
//!   that a power cut during a start needs nobody, and a token that hangs at its login cannot be worn out.
//!
//! Neither holds the PIN or a digest of it. A file that cannot be understood counts as latched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Logins in a row without a known end, with a PIN that had worked before, that count as a refusal.
const UNCERTAIN_MAX: u8 = 2;

/// Which file a PIN was read from: another identity may be another PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PinIdentity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) modified_s: i64,
    pub(crate) modified_ns: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Hold {
    Latched,
    Permit,
}

#[derive(Debug, Serialize, Deserialize)]
struct LatchFile {
    state: Hold,
    module: String,
    token_label: String,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Trying,
    Proven,
}

#[derive(Debug, Serialize, Deserialize)]
struct LoginFile {
    state: Outcome,
    /// Logins in a row whose end nobody saw, with a PIN file that had worked before; this one included.
    #[serde(default)]
    uncertain: u8,
    token_label: String,
    pin_file: PinIdentity,
}

/// What the files say about the next login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing stands against it.
    Free,
    /// An operator allowed one.
    Permitted,
    /// None.
    Latched,
}

/// The latch of one token.
pub(crate) struct Latch {
    path: PathBuf,
    module: String,
    token_label: String,
}

impl Latch {
    pub(crate) fn new(path: &Path, module: &Path, token_label: &str) -> Latch {
        Latch {
            path: path.to_owned(),
            module: module.display().to_string(),
            token_label: token_label.to_owned(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn standing(&self) -> Standing {
        match load::<LatchFile>(&self.path) {
            Ok(Some(LatchFile { state: Hold::Permit, .. })) => return Standing::Permitted,
            Ok(Some(_)) | Err(_) => return Standing::Latched,
            Ok(None) => {}
        }
        match load::<LoginFile>(&login_path(&self.path)) {
            Ok(Some(LoginFile { state: Outcome::Trying, uncertain, .. }))
                if !(1..UNCERTAIN_MAX).contains(&uncertain) =>
            {
                Standing::Latched
            }
            Err(_) => Standing::Latched,
            Ok(_) => Standing::Free,
        }
    }

    /// Before C_Login: uses up a permit, and notes that a PIN is being tried. A failure means that nothing may
    /// be tried; `true`, that this PIN file has worked before.
    pub(crate) fn begin(&self, pin_file: &PinIdentity) -> io::Result<bool> {
        let known = load::<LoginFile>(&login_path(&self.path))?
            .filter(|login| login.token_label == self.token_label && login.pin_file == *pin_file);
        let uncertain = match known {
            Some(LoginFile { state: Outcome::Proven, .. }) => 1,
            Some(LoginFile { state: Outcome::Trying, uncertain, .. }) if uncertain > 0 => uncertain + 1,
            _ => 0,
        };
        self.note(Outcome::Trying, uncertain, pin_file)?;
        remove_durably(&self.path)?;
        Ok(uncertain > 0)
    }

    /// After C_Login succeeded.
    pub(crate) fn prove(&self, pin_file: &PinIdentity) -> io::Result<()> {
        self.note(Outcome::Proven, 0, pin_file)
    }

    /// After C_Login failed for a reason that is not the PIN's: the token counted nothing.
    pub(crate) fn acquit(&self) -> io::Result<()> {
        remove_durably(&login_path(&self.path))
    }

    /// No login any more until [`unlatch`]. Where the latch cannot be written, the PIN file at least loses
    /// its standing, so that the next login must write before it tries.
    pub(crate) fn close(&self, reason: &str) -> io::Result<()> {
        let closed = store(
            &self.path,
            &LatchFile {
                state: Hold::Latched,
                module: self.module.clone(),
                token_label: self.token_label.clone(),
                reason: reason.to_owned(),
            },
        );
        closed.or_else(|_| remove_durably(&login_path(&self.path)))
    }

    fn note(&self, state: Outcome, uncertain: u8, pin_file: &PinIdentity) -> io::Result<()> {
        store(
            &login_path(&self.path),
            &LoginFile {
                state,
                uncertain,
                token_label: self.token_label.clone(),
                pin_file: pin_file.clone(),
            },
        )
    }
}

/// Allows exactly one more login, after a person has made sure that the PIN file is right. Durable when it
/// returns. `false`: nothing was latched.
pub fn unlatch(latch: &Path) -> io::Result<bool> {
    let held = Latch::new(latch, Path::new(""), "");
    match held.standing() {
        Standing::Free => Ok(false),
        Standing::Permitted => Ok(true),
        Standing::Latched => {
            let before = load::<LatchFile>(latch).ok().flatten();
            let (module, token_label) =
                before.map(|file| (file.module, file.token_label)).unwrap_or_default();
            let reason = "released by an operator for one login".to_owned();
            store(latch, &LatchFile { state: Hold::Permit, module, token_label, reason })?;
            remove_durably(&login_path(latch))?;
            Ok(true)
        }
    }
}

fn login_path(latch: &Path) -> PathBuf {
    with_suffix(latch, ".login")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn load<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn store<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let scratch = with_suffix(path, ".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&scratch)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&scratch, path)?;
    sync_directory(path)
}

fn remove_durably(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: PinIdentity = PinIdentity { device: 1, inode: 2, modified_s: 3, modified_ns: 4 };

    fn latch(dir: &tempfile::TempDir) -> Latch {
        Latch::new(&dir.path().join("latch"), Path::new("/m.so"), "token")
    }

    #[test]
    fn one_permit_allows_one_login() {
        let dir = tempfile::tempdir().expect("scratch");
        let latch = latch(&dir);
        assert!(!unlatch(latch.path()).expect("nothing to do"));
        latch.close("refused").expect("writable");
        assert_eq!(latch.standing(), Standing::Latched);
        assert!(unlatch(latch.path()).expect("writable"));
        assert_eq!(latch.standing(), Standing::Permitted);
        latch.begin(&PIN).expect("writable");
        assert_eq!(latch.standing(), Standing::Latched, "its outcome is unknown until proven");
        latch.prove(&PIN).expect("writable");
        assert_eq!(latch.standing(), Standing::Free);
    }

    #[test]
    fn only_a_pin_never_proven_can_end_in_doubt() {
        let dir = tempfile::tempdir().expect("scratch");
        let latch = latch(&dir);
        latch.begin(&PIN).expect("writable");
        latch.prove(&PIN).expect("writable");
        latch.begin(&PIN).expect("writable");
        assert_eq!(latch.standing(), Standing::Free, "proven before");
        latch.begin(&PIN).expect("writable");
        assert_eq!(latch.standing(), Standing::Latched, "twice in a row without an end");
        latch.prove(&PIN).expect("writable");
        latch.begin(&PinIdentity { inode: 9, ..PIN }).expect("writable");
        assert_eq!(latch.standing(), Standing::Latched, "another file");
    }

    #[test]
    fn a_damaged_file_counts_as_latched() {
        let dir = tempfile::tempdir().expect("scratch");
        let latch = latch(&dir);
        fs::write(latch.path(), b"{").expect("writable");
        assert_eq!(latch.standing(), Standing::Latched);
        assert!(unlatch(latch.path()).expect("writable"));
        assert_eq!(latch.standing(), Standing::Permitted);
    }
}
