//! The emulator's files: a journal of the messages it took, a transcript of the dialogue.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::machine::Taken;
use crate::pdu::Concat;

/// A transcript line longer than this is cut, as no command or answer is.
const TRANSCRIPT_LINE_MAX: usize = 2048;

/// One line of the journal.
#[derive(Serialize)]
struct Entry<'a> {
    at: String,
    tpdu: &'a str,
    number: Option<&'a str>,
    text: Option<&'a str>,
    concat: Option<Concat>,
    reference: u8,
}

/// Appends one JSON line per message.
pub(super) struct Journal(File);

impl Journal {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        append(path).map(Self)
    }

    /// On disk when it returns, so that no message is acknowledged and forgotten.
    pub(super) fn write(&mut self, at: String, taken: &Taken) -> io::Result<()> {
        let entry = Entry {
            at,
            tpdu: &taken.tpdu,
            number: taken.message.number.as_deref(),
            text: taken.message.text.as_deref(),
            concat: taken.message.concat,
            reference: taken.reference,
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        self.0.write_all(&line)?;
        self.0.sync_data()
    }
}

/// Who says a line of the transcript.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Client,
    Modem,
}

/// Appends each line of the dialogue: `-> ` to the modem, `<- ` from it. A PIN is masked; echo is left out.
pub(super) struct Transcript {
    file: File,
    client: Vec<u8>,
    modem: Vec<u8>,
}

impl Transcript {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: append(path)?, client: Vec::new(), modem: Vec::new() })
    }

    pub(super) fn write(&mut self, side: Side, octets: &[u8]) -> io::Result<()> {
        for &octet in octets {
            let line = match side {
                Side::Client => &mut self.client,
                Side::Modem => &mut self.modem,
            };
            let prompt = octet == b'>' && line.is_empty();
            if !octet.is_ascii_control() && line.len() < TRANSCRIPT_LINE_MAX {
                line.push(octet);
            }
            if prompt || matches!(octet, b'\r' | b'\n' | 0x1a) {
                self.end_line(side)?;
            }
        }
        Ok(())
    }

    fn end_line(&mut self, side: Side) -> io::Result<()> {
        let (arrow, line) = match side {
            Side::Client => ("->", std::mem::take(&mut self.client)),
            Side::Modem => ("<-", std::mem::take(&mut self.modem)),
        };
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        match line.split_once("+CPIN=") {
            _ if line.is_empty() => Ok(()),
            Some((before, _)) => writeln!(self.file, "{arrow} {before}+CPIN=****"),
            None => writeln!(self.file, "{arrow} {line}"),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
