//! The operator's own texts: a directory with a file `LANGUAGE.ftl` for each language (SMS-19, D-62).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Config, Finding};
use crate::texts::{self, Catalog, Own, parts};

/// Files at the most.
const FILES_MAX: usize = 64;
/// Largest file, in bytes.
const FILE_MAX: u64 = 256 * 1024;
/// How a file's name ends.
const ENDING: &str = ".ftl";
/// Key of the directory in the configuration.
const KEY: &str = "messages.dir";

/// Reads the directory, if the configuration names one, and puts its texts before the built-in ones. `line` is where
/// the configuration names it.
///
/// # Errors
/// Everything that is wrong; then the configuration is as before.
pub(super) fn load(config: &mut Config, line: usize) -> Result<(), Vec<Finding>> {
    let Some(dir) = &config.messages.dir else { return Ok(()) };
    let here = |text: String| vec![Finding { file: None, line, key: KEY.to_owned(), text }];
    let files = files(dir).map_err(here)?;
    let (mut findings, mut own, mut digest) = (Vec::new(), Vec::<(PathBuf, Own)>::new(), Sha256::new());
    for path in files {
        let wrong = |line, key: &str, text: String| Finding {
            file: Some(path.clone()),
            line,
            key: key.to_owned(),
            text,
        };
        let source = match read(&path) {
            Ok(source) => source,
            Err(error) => {
                findings.push(wrong(1, "", format!("cannot be read: {error}")));
                continue;
            }
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        for part in [name, &source] {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        match texts::read(name.strip_suffix(ENDING).unwrap_or_default(), source) {
            Ok(read) if own.iter().any(|(_, other)| other.tag() == read.tag()) => {
                findings.push(wrong(1, "", format!("there is another file for {}", read.tag())));
            }
            Ok(read) => own.push((path, read)),
            Err(faults) => findings.extend(faults.into_iter().map(|f| wrong(f.line, &f.id, f.text))),
        }
    }
    let places: Vec<Place> = own.iter().map(|(path, own)| Place::of(path, own)).collect();
    let catalog = Catalog::with(own.into_iter().map(|(_, own)| own).collect());
    findings.extend(places.iter().flat_map(|place| place.too_long(config, &catalog)));
    if !findings.is_empty() {
        return Err(findings);
    }
    config.messages.sha256 = Some(HEXLOWER.encode(&digest.finalize()));
    config.texts = catalog;
    Ok(())
}

/// Where the texts of a language stand.
struct Place {
    file: PathBuf,
    tag: String,
    lines: BTreeMap<String, usize>,
}

impl Place {
    fn of(file: &Path, own: &Own) -> Self {
        Place { file: file.to_owned(), tag: own.tag().to_owned(), lines: own.lines().clone() }
    }

    /// Its text messages that take more parts than there may be.
    fn too_long(&self, config: &Config, catalog: &Catalog) -> Vec<Finding> {
        let messages = parts::messages(config, catalog, &self.tag).into_iter();
        let finding = |(key, text): (&str, String)| {
            let key = texts::id_of(key);
            let (line, text) = (*self.lines.get(&key)?, parts::too_long(&text)?);
            Some(Finding { file: Some(self.file.clone()), line, key, text })
        };
        messages.filter_map(finding).collect()
    }
}

/// The files of a directory, in the order of their names; hidden ones are left alone.
fn files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if !name.ends_with(ENDING) {
            return Err(format!("{} is not LANGUAGE{ENDING}, such as de{ENDING}", path.display()));
        }
        files.push(path);
        if files.len() > FILES_MAX {
            return Err(format!("{} holds more than {FILES_MAX} files", dir.display()));
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> io::Result<String> {
    // A pipe would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    let read = fs::File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_MAX} bytes")));
    }
    Ok(text)
}
