//! Emulated modems as processes, and the journal of the messages they took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;

use crate::process::Owned;
use crate::time::{PATIENCE, wait_until};

/// A message that the emulated network took.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    /// RFC 3339.
    pub at: String,
    /// The TPDU in hex.
    pub tpdu: String,
    /// To whom.
    pub number: Option<String>,
    /// What it says.
    pub text: Option<String>,
}

impl Message {
    /// The run of digits that the text holds.
    ///
    /// # Panics
    /// When there is none of at least four.
    pub fn code(&self) -> String {
        let text = self.text.as_deref().unwrap_or_default();
        let runs = text.split(|c: char| !c.is_ascii_digit());
        runs.filter(|run| run.len() >= 4)
            .map(str::to_owned)
            .next()
            .unwrap_or_else(|| panic!("no code in {self:?}"))
    }
}

/// A modem on a pty: a process of the rig.
pub struct EmulatedModem {
    /// The port for clients: a symlink.
    pub port: PathBuf,
    /// Its journal.
    pub journal: PathBuf,
    /// The store of the daemon that uses it, where that one hears what this modem says.
    pub store: Option<PathBuf>,
    process: Owned,
}

impl EmulatedModem {
    /// Starts one and waits for its port. `faults` is a fault script, empty for none.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(binary: &Path, directory: &Path, id: &str, profile: &str, faults: &str) -> EmulatedModem {
        let port = directory.join(format!("{id}.tty"));
        let journal = directory.join(format!("{id}.journal"));
        let mut command = Command::new(binary);
        command.args(["modem", "emulate", "--profile", profile]);
        command.arg("--link").arg(&port).arg("--journal").arg(&journal);
        if !faults.is_empty() {
            let script = directory.join(format!("{id}.faults"));
            std::fs::write(&script, faults).expect("own scratch directory");
            command.arg("--script").arg(script);
        }
        let mut process = Owned::start(&mut command, &directory.join(format!("{id}.log")));
        wait_until(PATIENCE, "the emulated modem's port", || {
            let ended = process.ended();
            assert!(ended.is_none(), "the emulated modem ended: {ended:?}");
            port.exists().then_some(())
        });
        EmulatedModem { port, journal, store: None, process }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Every message taken so far.
    pub fn messages(&self) -> Vec<Message> {
        read_journal(&self.journal)
    }

    /// Messages to one number so far.
    pub fn messages_to(&self, number: &str) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.number.as_deref() == Some(number)).collect()
    }

    /// Waits for the `nth` message to a number, counted from 1, and until the daemon has heard that it left: a code's life
    /// begins with the modem's word (SMS-16).
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn await_message(&self, number: &str, nth: usize) -> Message {
        self.await_message_within(PATIENCE, number, nth)
    }

    /// As [`EmulatedModem::await_message`] with a deadline of one's own.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn await_message_within(&self, deadline: Duration, number: &str, nth: usize) -> Message {
        let what = format!("message {nth} to {number}");
        let message = wait_until(deadline, &what, || self.messages_to(number).into_iter().nth(nth - 1));
        let Some(store) = self.store.as_ref().filter(|store| store.exists()) else { return message };
        let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
        let under_way = sending(&store);
        wait_until(deadline, "the daemon hears of it", || {
            let still = sending(&store);
            (!under_way.iter().any(|id| still.contains(id))).then_some(())
        });
        message
    }
}

/// The messages whose fate the daemon does not know yet.
fn sending(store: &Connection) -> Vec<Vec<u8>> {
    let mut rows = store.prepare_cached("SELECT id FROM outbox WHERE state = 'sending'").expect("the outbox");
    rows.query_map([], |row| row.get(0)).expect("the outbox").map(|id| id.expect("an id")).collect()
}

/// Reads a journal; a last line that is still being written is left out.
///
/// # Panics
/// When a whole line is not what it should be.
pub fn read_journal(path: &Path) -> Vec<Message> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line of the journal")).collect()
}
