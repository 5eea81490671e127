//! A simulated phone in a file, for a further push on another day.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ::device::{Personality, Subscription};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::cli::output::Failure;

/// Largest file, in bytes.
const FILE_MAX: u64 = 64 * 1024;
/// Its owner alone reads the file: there are secrets in it.
const MODE: u32 = 0o600;

/// What a phone is made from again.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) personality: String,
    pub(super) uri: String,
    pub(super) address: String,
    pub(super) registered: bool,
    pub(super) counter: Option<u64>,
    pub(super) keys: Option<Keys>,
}

/// The keys of its subscription, in hexadecimal, and the path that messages come to.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) key: String,
    pub(super) auth: String,
    pub(super) path: String,
}

impl Drop for State {
    fn drop(&mut self) {
        self.uri.zeroize();
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.key.zeroize();
        self.auth.zeroize();
    }
}

impl Keys {
    pub(super) fn subscription(&self) -> Result<Subscription, Failure> {
        let read = || {
            let key = HEXLOWER.decode(self.key.as_bytes()).ok()?.try_into().ok()?;
            let auth = HEXLOWER.decode(self.auth.as_bytes()).ok()?.try_into().ok()?;
            Subscription::new(&key, auth)
        };
        read().ok_or_else(|| Failure::usage("the phone's file holds keys that are none"))
    }
}

impl State {
    pub(super) fn personality(&self) -> Result<Personality, Failure> {
        let unknown =
            || Failure::usage(format!("the phone's file names no personality: {}", self.personality));
        Personality::from_name(&self.personality).ok_or_else(unknown)
    }

    /// Whether its QR code is one for pushes.
    pub(super) fn is_push(&self) -> bool {
        !self.uri.starts_with("otpauth:")
    }

    pub(super) fn subscription(&self) -> Result<Subscription, Failure> {
        let none = || Failure::usage("the phone was not registered with --listen");
        self.keys.as_ref().ok_or_else(none)?.subscription()
    }
}

/// Reads a phone; none where there is no file yet.
pub(super) fn load(file: &Path) -> Result<Option<State>, Failure> {
    let size = match fs::metadata(file) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::usage(format!("{} cannot be read: {error}", file.display()))),
    };
    let none = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{} is no phone of `device simulate`: {why}", file.display()))
    };
    if size > FILE_MAX {
        return Err(none(&"it is too large"));
    }
    let text = zeroize::Zeroizing::new(fs::read(file).map_err(|error| none(&error))?);
    // What serde says of a fault can repeat a value, and here values are secrets.
    serde_json::from_slice(&text).map(Some).map_err(|error| none(&format!("line {}", error.line())))
}

/// Writes a phone, whole or not at all.
pub(super) fn save(file: &Path, state: &State) -> Result<(), Failure> {
    let unwritten =
        |error: std::io::Error| Failure::usage(format!("{} cannot be written: {error}", file.display()));
    let text = zeroize::Zeroizing::new(serde_json::to_vec_pretty(state).map_err(Failure::fault)?);
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritten(error)),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new).map_err(unwritten)?;
    out.write_all(&text).and_then(|()| out.sync_all()).map_err(unwritten)?;
    fs::rename(&new, file).map_err(unwritten)
}
