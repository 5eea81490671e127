//! `countersign-letters`: typesets one batch of printed matter. A job as JSON on stdin, a PDF/A-2b on stdout.
//!
//! One short-lived process per batch: the typesetter remembers what it has seen for as long as it lives, and
//! later jobs hold secrets. It opens no file and no socket, asks no clock and needs no configuration.
//!
//! Exit 0: the whole document is on stdout. 2: the job was refused. 4: a fault of this program. With 2 and 4
//! there is nothing on stdout and one line on stderr, which quotes no value of the job. A signal means that a
//! limit of the process was reached. How long to wait is for the caller to decide.

mod fonts;
mod job;
mod label;
mod process;
mod qr;
mod world;

use std::io::{Read, Write};
use std::process::ExitCode;

use thiserror::Error;

use crate::fonts::Fonts;
use crate::job::{Job, Refusal};
use crate::world::SetError;

/// Most bytes of a job.
const INPUT_MAX: usize = 1 << 20;
/// Most bytes of a document.
const PDF_MAX: usize = 64 << 20;

const EXIT_REFUSED: u8 = 2;
const EXIT_FAULT: u8 = 4;

#[derive(Debug, Error)]
enum Failure {
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
            Failure::Refused(_) | Failure::TooLong => EXIT_REFUSED,
            _ => EXIT_FAULT,
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "countersign-letters: {failure}");
            ExitCode::from(failure.exit())
        }
    }
}

fn run() -> Result<(), Failure> {
    process::confine(EXIT_FAULT)?;
    let input = read_bounded(std::io::stdin().lock())?;
    let fonts = Fonts::embedded();
    let job = Job::parse(&input, &fonts)?;
    let pdf = world::typeset(job.order(), fonts)?;
    if pdf.len() > PDF_MAX {
        return Err(Failure::PdfTooLong);
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&pdf).and_then(|()| stdout.flush()).map_err(Failure::Write)
}

fn read_bounded(from: impl Read) -> Result<Vec<u8>, Failure> {
    let mut input = Vec::new();
    from.take(INPUT_MAX as u64 + 1).read_to_end(&mut input).map_err(Failure::Read)?;
    if input.len() > INPUT_MAX { Err(Failure::TooLong) } else { Ok(input) }
}
