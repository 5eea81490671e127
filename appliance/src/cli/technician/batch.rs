//! A batch: which tokens were worked, and what came of them. Its file is signed by the appliance at every change, so
//! that a station goes on where another was cut, and never from a list that somebody edited.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::client::Client;
use super::super::output::Failure;
use super::files;
use crate::api::wire;
use crate::clock::{rfc3339, wall_ms};

/// Largest batch file, in bytes.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// How far a token has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    /// Begun; in a file that is read again: it was cut.
    Working,
    /// Provisioned, and a code from its display was checked.
    Done,
    /// Something was wrong; it can be tried again.
    Failed,
}

/// One token of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    /// Its serial.
    pub(super) serial: String,
    /// How far it has come.
    pub(super) state: Progress,
    /// What was wrong.
    pub(super) error: Option<String>,
    /// When that was, RFC 3339.
    pub(super) at: String,
    /// Whether this station, and not one before it, has worked at it.
    #[serde(skip)]
    here: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    batch: String,
    items: Vec<Item>,
    signature: String,
}

/// Whether a token shall be worked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It shall.
    Work,
    /// It is done already.
    Done,
    /// Another port of this station is at it.
    Elsewhere,
}

/// The batch that a station works at.
pub(super) struct Batch {
    name: String,
    items: Vec<Item>,
    path: Option<PathBuf>,
    /// Held for as long as this station lives.
    _lock: Option<File>,
}

impl Batch {
    /// A batch without a file.
    pub(super) fn new(name: &str) -> Self {
        Batch { name: name.to_owned(), items: Vec::new(), path: None, _lock: None }
    }

    /// Goes on with the batch in a file, or begins one there.
    pub(super) fn open(client: &Client<'_>, name: Option<&str>, path: &Path) -> Result<Self, Failure> {
        let lock = lock(path)?;
        let stored = match File::open(path) {
            Ok(file) => Some(read(client, path, file)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::usage(format!("{}: {error}", path.display()))),
        };
        let (stored_name, items) = match stored {
            Some(stored) => (Some(stored.batch), stored.items),
            None => (None, Vec::new()),
        };
        let name = match (name, stored_name) {
            (Some(given), Some(stored)) if given != stored => {
                let text = format!("{} is of batch {stored:?}, not {given:?}", path.display());
                return Err(Failure::usage(text));
            }
            (_, Some(stored)) => stored,
            (given, None) => given.unwrap_or_default().to_owned(),
        };
        Ok(Batch { name, items, path: Some(path.to_owned()), _lock: Some(lock) })
    }

    /// Its name; empty for none.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its tokens, in the order in which they came.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// How many are done.
    pub(super) fn done(&self) -> usize {
        self.items.iter().filter(|item| item.state == Progress::Done).count()
    }

    /// How many have failed at this station.
    pub(super) fn failed(&self) -> usize {
        self.items.iter().filter(|item| item.here && item.state == Progress::Failed).count()
    }

    /// Whether a token is done.
    pub(super) fn is_done(&self, serial: &str) -> bool {
        self.items.iter().any(|item| item.serial == serial && item.state == Progress::Done)
    }

    /// Takes a token for work.
    pub(super) fn claim(&mut self, serial: &str) -> Claim {
        match self.items.iter().find(|item| item.serial == serial) {
            Some(item) if item.state == Progress::Done => return Claim::Done,
            Some(item) if item.here && item.state == Progress::Working => return Claim::Elsewhere,
            _ => {}
        }
        self.put(serial, Progress::Working, None);
        Claim::Work
    }

    /// Notes what came of a token.
    pub(super) fn settle(&mut self, serial: &str, error: Option<&str>) {
        let state = if error.is_none() { Progress::Done } else { Progress::Failed };
        self.put(serial, state, error);
    }

    fn put(&mut self, serial: &str, state: Progress, error: Option<&str>) {
        let (serial, error) = (serial.to_owned(), error.map(str::to_owned));
        let item = Item { serial, state, error, at: rfc3339(wall_ms()), here: true };
        match self.items.iter_mut().find(|known| known.serial == item.serial) {
            Some(known) => *known = item,
            None => self.items.push(item),
        }
    }

    /// Writes the file, if there is one, under a new signature.
    pub(super) fn save(&self, client: &Client<'_>) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = wire::BatchText { text: text(&self.name, &self.items)? };
        let signed: wire::BatchSignature = client.post("/v1/provisioning/batches/sign", &text)?;
        let stored =
            Stored { batch: self.name.clone(), items: self.items.clone(), signature: signed.signature };
        let mut bytes = serde_json::to_vec_pretty(&stored).map_err(Failure::fault)?;
        bytes.push(b'\n');
        files::replace(path, &bytes)
            .map_err(|error| Failure::unavailable(format!("{}: {error}", path.display())))
    }
}

/// What is signed: the name on a line, and a hash over name and items.
fn text(name: &str, items: &[Item]) -> Result<String, Failure> {
    let bytes = serde_json::to_vec(&(name, items)).map_err(Failure::fault)?;
    let hash = link::transcript::sha256(&[&bytes]);
    Ok(format!("{name}\n{}", data_encoding::HEXLOWER.encode(&hash.0)))
}

fn read(client: &Client<'_>, path: &Path, file: File) -> Result<Stored, Failure> {
    let mut bytes = Vec::new();
    file.take(FILE_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let stored: Stored = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("{}: this is no batch file: {error}", path.display())))?;
    let signed =
        wire::SignedBatch { text: text(&stored.batch, &stored.items)?, signature: stored.signature.clone() };
    let checked: wire::BatchChecked = client.post("/v1/provisioning/batches/check", &signed)?;
    if checked.ours {
        return Ok(stored);
    }
    Err(Failure::refused(format!(
        "{}: the signature does not fit: the file was edited, or it is another appliance's; begin a new one",
        path.display()
    )))
}

/// One station at a time.
fn lock(path: &Path) -> Result<File, Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(|error| Failure::usage(format!("{}: {error}", Path::new(&name).display())))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let text = format!("{}: another station works at this batch", path.display());
            Err(Failure::unavailable(text))
        }
        Err(error) => Err(Failure::fault(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_worked_once_and_again_after_a_failure() {
        let mut batch = Batch::new("b");
        assert_eq!(batch.claim("A"), Claim::Work);
        assert_eq!(batch.claim("A"), Claim::Elsewhere);
        batch.settle("A", Some("no"));
        assert_eq!((batch.done(), batch.failed()), (0, 1));
        assert_eq!(batch.claim("A"), Claim::Work);
        batch.settle("A", None);
        assert_eq!(batch.claim("A"), Claim::Done);
        assert_eq!((batch.done(), batch.failed()), (1, 0));
    }

    #[test]
    fn what_is_signed_covers_name_and_items() {
        let mut batch = Batch::new("b");
        batch.settle("A", None);
        let first = text("b", batch.items()).unwrap();
        assert_ne!(first, text("c", batch.items()).unwrap());
        batch.settle("A", Some("no"));
        assert_ne!(first, text("b", batch.items()).unwrap());
    }
}
