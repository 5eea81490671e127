//! `demo.json`: everything that a program needs to use the running demo.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::site::write_private;

/// Its name in the state directory.
const NAME: &str = "demo.json";

#[derive(Serialize)]
pub(super) struct Record {
    pub(super) api: String,
    pub(super) ui: String,
    pub(super) socket: PathBuf,
    pub(super) admin_key: String,
    pub(super) app_key: String,
    pub(super) modem: PathBuf,
    pub(super) modem_journal: PathBuf,
    pub(super) users: Users,
    pub(super) config: PathBuf,
    pub(super) state: PathBuf,
    /// The daemon's.
    pub(super) pid: u32,
    pub(super) hsm_pid: Option<u32>,
    pub(super) hsm: Hsm,
}

#[derive(Serialize)]
pub(super) struct Users {
    pub(super) alice: User,
}

#[derive(Serialize)]
pub(super) struct User {
    pub(super) totp_secret: String,
    pub(super) totp_serial: String,
    pub(super) hotp_secret: String,
    pub(super) hotp_serial: String,
    pub(super) phone: &'static str,
    pub(super) password: String,
}

#[derive(Serialize)]
pub(super) struct Hsm {
    pub(super) module: &'static str,
    pub(super) token_label: &'static str,
    pub(super) pin_file: PathBuf,
    pub(super) env: Environment,
}

#[derive(Serialize)]
pub(super) struct Environment {
    #[serde(rename = "SOFTHSM2_CONF")]
    pub(super) softhsm2_conf: PathBuf,
}

impl Record {
    /// Writes the file, readable by its owner only; it is whole as soon as it is there.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_private(&dir.join(NAME), &format!("{text}\n"))
    }
}

/// The first child of a process, as the kernel's process table shows it (proc(5)).
pub(super) fn child_of(parent: u32) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in brackets may hold anything, brackets too: state and parent follow the last one.
        let (_, after_name) = stat.rsplit_once(')')?;
        let found: u32 = after_name.split_whitespace().nth(1)?.parse().ok()?;
        (found == parent).then_some(pid)
    })
}
