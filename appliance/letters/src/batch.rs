//! A batch of letters: one JSON line on stdout for each, as soon as it is made, in the order of the job. Each letter
//! is a document of its own, because each is posted, handed over or cancelled alone.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::deadline::{PER_DOCUMENT, Watchdog};
use crate::fonts::Fonts;
use crate::job::Refusal;
use crate::letter::{Batch, Id, Letter};
use crate::templates::{Kind, Origin, Templates};
use crate::world::{self, Document, SetError};
use crate::{EXIT_FAULT, Failure, PDF_MAX};

#[derive(Serialize)]
struct Made<'a> {
    id: &'a str,
    kind: Kind,
    template: &'a str,
    origin: Origin,
    language: &'a str,
    pages: usize,
    /// Base64.
    pdf: &'a str,
}

/// A letter that the job has wrong.
#[derive(Serialize)]
struct Refused<'a> {
    id: &'a str,
    refused: String,
}

/// A letter that its template has wrong.
#[derive(Serialize)]
struct Failed<'a> {
    id: &'a str,
    failed: String,
}

enum Unmade {
    Refused(Refusal),
    Failed(SetError),
}

/// Makes the letters. Whether all were made.
///
/// # Errors
/// [`Failure`] when the lines cannot be written. A letter that takes too long ends the process after its line.
pub(crate) fn run(batch: &Batch, templates: &Templates, fonts: &Fonts) -> Result<bool, Failure> {
    let watchdog = Watchdog::start(|id| {
        let failed = format!("takes longer than {} s", PER_DOCUMENT.as_secs());
        // The process ends either way.
        let _ = write(&Failed { id, failed: failed.clone() });
        let _ = writeln!(std::io::stderr(), "countersign-letters: failed to typeset: letter {id} {failed}");
        EXIT_FAULT
    })
    .map_err(Failure::Write)?;
    let mut whole = true;
    for (id, letter) in &batch.letters {
        let made = {
            let _guard = watchdog.watch(id.as_str());
            make(batch, letter, templates, fonts)
        };
        // The typesetter remembers what it has seen, and these are secrets.
        typst::comemo::evict(0);
        match made {
            Ok((letter, template, document)) => {
                let pdf = Zeroizing::new(STANDARD.encode(&document.pdf));
                write(&Made {
                    id: id.as_str(),
                    kind: letter.kind,
                    template: &template.name,
                    origin: template.origin,
                    language: template.language.tag(),
                    pages: document.pages,
                    pdf: &pdf,
                })?;
            }
            Err(unmade) => {
                whole = false;
                report(id, &unmade)?;
            }
        }
    }
    Ok(whole)
}

type Finished<'a> = (&'a Letter, crate::templates::Choice, Document);

fn make<'a>(
    batch: &Batch,
    letter: &'a Result<Letter, Refusal>,
    templates: &Templates,
    fonts: &Fonts,
) -> Result<Finished<'a>, Unmade> {
    let letter = letter.as_ref().map_err(|refusal| Unmade::Refused(refusal.clone()))?;
    let posting = batch.posting(letter, templates).map_err(Unmade::Refused)?;
    let name = posting.choice.name.clone();
    let document = world::typeset(posting.order, fonts.clone()).map_err(Unmade::Failed)?;
    if document.pdf.len() > PDF_MAX {
        return Err(Unmade::Failed(SetError::Export { name }));
    }
    Ok((letter, posting.choice, document))
}

fn report(id: &Id, unmade: &Unmade) -> Result<(), Failure> {
    let id = id.as_str();
    match unmade {
        Unmade::Refused(why) => write(&Refused { id, refused: why.to_string() }),
        Unmade::Failed(why) => write(&Failed { id, failed: why.to_string() }),
    }
}

fn write(line: &impl Serialize) -> Result<(), Failure> {
    let fault = |error: serde_json::Error| Failure::Write(error.into());
    let mut line = Zeroizing::new(serde_json::to_vec(line).map_err(fault)?);
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line).and_then(|()| stdout.flush()).map_err(Failure::Write)
}
