//! The typesetter as a child: a job as JSON on its stdin, a JSON line with a PDF for each letter on its stdout.
//!
//! It gets no environment, and is ended when it takes too long or says too much. It knows nothing of the store.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::beside;
use crate::config::people::Letters;

/// The typesetter.
const PROGRAM: &str = "countersign-letters";
/// Where it is, when it is nowhere near.
const PROGRAM_VARIABLE: &str = "COUNTERSIGN_LETTERS";
/// Where packages put it.
const INSTALLED: &str = "/usr/lib/countersign/countersign-letters";
/// Letters of one job at the most: few enough to be done while a caller waits.
pub(super) const BATCH_MAX: usize = 10;
/// Longest time for a job.
const DEADLINE: Duration = Duration::from_secs(15);
/// Most bytes that a job may give.
const OUTPUT_MAX: u64 = 64 << 20;
/// Bytes for each letter of a job, so that the buffer with the keys does not grow.
const JOB_LETTER: usize = 16 << 10;
/// Most bytes of what it says about itself.
const SAID_MAX: u64 = 4096;
/// Its exit when the job or the templates are refused as a whole.
const EXIT_REFUSED: i32 = 2;

/// A job.
#[derive(Serialize)]
pub(super) struct Job<'a> {
    pub(super) document: &'static str,
    pub(super) created: String,
    pub(super) default_language: &'a str,
    pub(super) window: &'a str,
    pub(super) sender: Sender<'a>,
    pub(super) letters: Vec<Letter<'a>>,
}

/// Who writes.
#[derive(Serialize)]
pub(super) struct Sender<'a> {
    pub(super) organisation: &'a str,
    pub(super) return_line: &'a str,
    pub(super) help: Vec<&'a str>,
    pub(super) colour: &'a str,
}

/// One letter.
#[derive(Serialize)]
pub(super) struct Letter<'a> {
    pub(super) id: &'a str,
    pub(super) kind: &'static str,
    pub(super) language: &'a str,
    pub(super) recipient: &'a [String],
    pub(super) date: &'a str,
    pub(super) name: &'a str,
    pub(super) user: &'a str,
    pub(super) reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) qr: Option<&'a str>,
    pub(super) valid_until: &'a str,
}

/// What came of a letter.
pub(super) enum Made {
    /// It is typeset.
    Pdf {
        /// The document.
        pdf: Zeroizing<Vec<u8>>,
        /// Its pages.
        pages: u32,
    },
    /// It could not be; the text quotes no value.
    Not(String),
}

#[derive(Deserialize)]
struct Line<'a> {
    id: String,
    pages: Option<u32>,
    #[serde(borrow)]
    pdf: Option<&'a str>,
    refused: Option<String>,
    failed: Option<String>,
}

impl Job<'_> {
    /// The bytes of the job, in a buffer that leaves no copies behind.
    ///
    /// # Errors
    /// None in practice: there is nothing in a job that is no JSON.
    fn to_bytes(&self) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity((self.letters.len() + 1) * JOB_LETTER));
        serde_json::to_writer(&mut *bytes, self)?;
        Ok(bytes)
    }
}

/// The typesetter of a configuration.
pub(crate) fn program(letters: &Letters) -> PathBuf {
    let found = || beside::find(PROGRAM, PROGRAM_VARIABLE);
    letters.helper.clone().or_else(found).unwrap_or_else(|| PathBuf::from(INSTALLED))
}

/// Has a batch typeset: what came of each letter, by its id. A letter that is not among them is to be tried again.
///
/// # Errors
/// Why no letter at all can be typeset, and what to do.
pub(super) fn typeset(letters: &Letters, job: &Job<'_>) -> Result<Vec<(String, Made)>, String> {
    let program = program(letters);
    let input = job.to_bytes().map_err(|error| error.to_string())?;
    let mut command = Command::new(&program);
    if let Some(directory) = &letters.template_dir {
        command.arg("--templates").arg(directory);
    }
    let child = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| missing(&program, &error))?;
    let Finished { mut lines, status, said, late } =
        converse(child, &input).map_err(|error| error.to_string())?;
    if !said.is_empty() {
        tracing::warn!(said, "the typesetter");
    }
    if status.code() == Some(EXIT_REFUSED) && lines.is_empty() {
        return Err(said);
    }
    // The one that it was at has ended it: it must not keep the others back for ever.
    let at = job.letters.iter().find(|letter| !lines.iter().any(|(id, _)| id == letter.id));
    let blamed = lines.last().is_some_and(|(_, made)| matches!(made, Made::Not(_)));
    if let Some(letter) = at.filter(|_| late || !blamed) {
        let why =
            if late { "takes too long".to_owned() } else { format!("the typesetter ended with {status}") };
        lines.push((letter.id.to_owned(), Made::Not(why)));
    }
    Ok(lines)
}

fn missing(program: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}; install countersign-letters, or name it in letters.helper", program.display())
}

struct Finished {
    lines: Vec<(String, Made)>,
    status: ExitStatus,
    said: String,
    late: bool,
}

/// Gives the job, takes the lines, and ends the child at the deadline. Its three pipes are three threads, so that
/// none waits for another.
fn converse(mut child: Child, input: &[u8]) -> std::io::Result<Finished> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let (sender, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            // One that refuses early does not read to the end, and says why on its own.
            stdin.map(|mut stdin| stdin.write_all(input))
        });
        let said = scope.spawn(move || said(stderr));
        let lines = scope.spawn(move || {
            let lines = stdout.map(lines_of).unwrap_or_default();
            drop(sender);
            lines
        });
        let late = matches!(ended.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Timeout));
        // It has closed its stdout and has nothing to do any more, or it is too late.
        if late {
            child.kill()?;
        }
        let status = child.wait()?;
        let gone = |_| std::io::Error::other("a thread of the typesetter's pipes ended early");
        Ok(Finished { lines: lines.join().map_err(gone)?, status, said: said.join().map_err(gone)?, late })
    })
}

/// Its one line on stderr, fit for a log.
fn said(stderr: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(stderr) = stderr
        && let Err(error) = stderr.take(SAID_MAX).read_to_end(&mut bytes)
    {
        return error.to_string();
    }
    String::from_utf8_lossy(&bytes).trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The lines that are whole and say what they should.
fn lines_of(stdout: impl Read) -> Vec<(String, Made)> {
    let mut reader = BufReader::new(stdout.take(OUTPUT_MAX));
    let mut lines = Vec::new();
    loop {
        let mut line = Zeroizing::new(Vec::new());
        match reader.read_until(b'\n', &mut line) {
            Ok(read) if read > 0 && line.last() == Some(&b'\n') => {}
            _ => return lines,
        }
        let Ok(parsed) = serde_json::from_slice::<Line<'_>>(&line) else { return lines };
        lines.push((parsed.id.clone(), made(&parsed)));
    }
}

fn made(line: &Line<'_>) -> Made {
    if let (Some(pages), Some(pdf)) = (line.pages, line.pdf)
        && let Ok(pdf) = data_encoding::BASE64.decode(pdf.as_bytes())
    {
        return Made::Pdf { pdf: pdf.into(), pages };
    }
    let why = line.refused.as_ref().or(line.failed.as_ref());
    Made::Not(why.cloned().unwrap_or_else(|| "the typesetter's line cannot be read".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_no_letter() {
        let whole = b"{\"id\":\"a\",\"kind\":\"oath\",\"pages\":1,\"pdf\":\"JVBERg==\"}\n";
        let refused = b"{\"id\":\"b\",\"refused\":\"recipient[0]: is empty\"}\n";
        let half = b"{\"id\":\"c\",\"pages\":1,\"pdf\":\"JVBE";
        let lines = lines_of([whole.as_slice(), refused, half].concat().as_slice());
        assert!(matches!(&lines[..], [(a, Made::Pdf { pages: 1, pdf }), (b, Made::Not(why))]
            if a == "a" && b == "b" && pdf.as_slice() == b"%PDF" && why == "recipient[0]: is empty"));
    }

    #[test]
    fn what_it_says_is_one_line() {
        assert_eq!(said(Some(b"a\nb\x1b[0m\n".as_slice())), "a b [0m");
    }
}
