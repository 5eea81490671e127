//! `countersign-letters`: typesets one batch of labels or letters. A job as JSON on stdin; on stdout a PDF/A-2b for
//! labels, and for letters a JSON line with a PDF/A-2b each.
//!
//! One short-lived process per batch: the typesetter remembers what it has seen for as long as it lives, and
//! letters hold secrets. Once the operator's directory of templates is read it opens no file and no socket; it asks
//! no clock for what it prints and needs no configuration.
//!
//! Exit 0: everything is on stdout. 1: letters are missing, and their lines say why; or the check of templates
//! found something. 2: the job, the arguments or the directory were refused. 4: a fault of this program. With 2
//! there is nothing on stdout, with 4 no document but those whose lines are whole; both leave one line on stderr,
//! which quotes no value of the job. A signal means that a limit of the process was reached.

mod arguments;
mod batch;
mod check;
mod code;
mod deadline;
mod fonts;
mod job;
mod label;
mod language;
mod letter;
mod process;
mod qr;
mod sender;
mod shown;
mod templates;
mod world;

use std::io::{Read, Write};
use std::process::ExitCode;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::arguments::{Action, UsageError};
use crate::fonts::Fonts;
use crate::job::{Job, Refusal};
use crate::templates::{DirectoryError, Templates};
use crate::world::SetError;

/// Most bytes of a job.
const INPUT_MAX: usize = 4 << 20;
/// Most bytes of a document.
const PDF_MAX: usize = 64 << 20;

const EXIT_FOUND: u8 = 1;
const EXIT_REFUSED: u8 = 2;
const EXIT_FAULT: u8 = 4;

#[derive(Debug, Error)]
enum Failure {
    #[error("{0}")]
    Usage(#[from] UsageError),
    #[error("failed to read the templates: {0}")]
    Directory(#[from] DirectoryError),
    #[error("the job is refused: {0}")]
    Refused(#[from] Refusal),
    #[error("the job is refused: it is longer than {INPUT_MAX} bytes")]
    TooLong,
    #[error("failed to bound the process: {0}")]
    Process(#[from] process::Error),
    #[error("failed to read the job: {0}")]
    Read(std::io::Error),
    #[error("failed to typeset: {0}")]
    Set(#[from] SetError),
    #[error("failed to typeset: the document is longer than {PDF_MAX} bytes")]
    PdfTooLong,
    #[error("failed to write the document: {0}")]
    Write(std::io::Error),
}

impl Failure {
    fn exit(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Directory(_) | Failure::Refused(_) | Failure::TooLong => {
                EXIT_REFUSED
            }
            _ => EXIT_FAULT,
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FOUND),
        Err(failure) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "countersign-letters: {failure}");
            ExitCode::from(failure.exit())
        }
    }
}

fn run() -> Result<bool, Failure> {
    let action = Action::parse(std::env::args_os().skip(1))?;
    // The last that is opened.
    let templates = action.directory().map_or_else(|| Ok(Templates::shipped()), Templates::read)?;
    process::confine(EXIT_FAULT)?;
    let fonts = Fonts::embedded();
    match action {
        Action::Job { .. } => typeset(&templates, fonts),
        Action::Check { scope, form, .. } => check::run(&templates, &scope, form, &fonts),
        Action::Show(text) => write(text.as_bytes()).map(|()| true),
    }
}

fn typeset(templates: &Templates, fonts: Fonts) -> Result<bool, Failure> {
    let job = Job::parse(&read_bounded(std::io::stdin().lock())?, &fonts)?;
    match job {
        Job::Letters(batch) => batch::run(&batch, templates, &fonts),
        Job::Label(sheet) => {
            let document = world::typeset(sheet.order(), fonts)?;
            if document.pdf.len() > PDF_MAX {
                return Err(Failure::PdfTooLong);
            }
            write(&document.pdf).map(|()| true)
        }
    }
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Write)
}

fn read_bounded(from: impl Read) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // As long as it can get: a vector that grows leaves copies behind.
    let mut input = Zeroizing::new(Vec::with_capacity(INPUT_MAX + 1));
    from.take(INPUT_MAX as u64 + 1).read_to_end(&mut input).map_err(Failure::Read)?;
    if input.len() > INPUT_MAX { Err(Failure::TooLong) } else { Ok(input) }
}
