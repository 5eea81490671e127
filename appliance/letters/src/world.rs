//! The typesetter's whole world: one embedded template, the embedded fonts, the values of one job. Files,
//! packages and the date are refused. The values are data and never source, so that no text becomes markup.

use std::num::NonZeroUsize;

use thiserror::Error;
use typst::diag::{FileError, FileResult, SourceDiagnostic, Warned};
use typst::ecow::EcoVec;
use typst::foundations::{Bytes, Datetime, Duration, Smart};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World, WorldExt};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

use crate::fonts::Fonts;
use crate::job::Order;

/// A template of ours and the values it was given do not make the document: a fault. The messages of the
/// typesetter may quote values, so that they are not shown; the line is.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SetError {
    #[error("{name}{} fails", place(.line))]
    Template { name: &'static str, line: Option<NonZeroUsize> },
    #[error("{name}{} draws a warning", place(.line))]
    Warning { name: &'static str, line: Option<NonZeroUsize> },
    #[error("{name} makes {made} pages instead of {wanted}")]
    Pages { name: &'static str, made: usize, wanted: usize },
    #[error("{name} makes no PDF/A-2b")]
    Export { name: &'static str },
}

fn place(line: &Option<NonZeroUsize>) -> String {
    line.map_or(String::new(), |line| format!(" line {line}"))
}

/// Makes the document.
///
/// # Errors
/// [`SetError`] when the template fails, warns, or does not fill the pages of the order.
pub(crate) fn typeset(order: Order, fonts: Fonts) -> Result<Vec<u8>, SetError> {
    let Order { name, template, inputs, pages, created } = order;
    let library = Library::builder().with_inputs(inputs).build();
    let paper = Paper::new(name, template, library, fonts);
    let Warned { output, warnings } = typst::compile::<PagedDocument>(&paper);
    let document = output.map_err(|errors| SetError::Template { name, line: paper.line(&errors) })?;
    if !warnings.is_empty() {
        return Err(SetError::Warning { name, line: paper.line(&warnings) });
    }
    let made = document.pages().len();
    if made != pages {
        return Err(SetError::Pages { name, made, wanted: pages });
    }
    let options = PdfOptions {
        creator: Smart::Custom(Some(format!("Countersign {}", env!("CARGO_PKG_VERSION")))),
        timestamp: Some(Timestamp::new_utc(created)),
        standards: PdfStandards::new(&[PdfStandard::A_2b]).expect("one standard agrees with itself"),
        // PDF/A-2b asks for no tags, and a label has no reading order.
        tagged: false,
        ..PdfOptions::default()
    };
    typst_pdf::pdf(&document, &options).map_err(|_| SetError::Export { name })
}

struct Paper {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Fonts,
    source: Source,
}

impl Paper {
    fn new(name: &'static str, template: &str, library: Library, fonts: Fonts) -> Self {
        let path = VirtualPath::new(name).expect("a plain file name is a path");
        let id = RootedPath::new(VirtualRoot::Project, path).intern();
        Paper {
            library: LazyHash::new(library),
            book: LazyHash::new(fonts.book()),
            fonts,
            source: Source::new(id, template.to_owned()),
        }
    }

    /// The line of the first diagnostic, from 1.
    fn line(&self, diagnostics: &EcoVec<SourceDiagnostic>) -> Option<NonZeroUsize> {
        let start = self.range(diagnostics.first()?.span)?.start;
        NonZeroUsize::new(self.source.lines().byte_to_line(start)? + 1)
    }
}

impl World for Paper {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.source.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.source.id() { Ok(self.source.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, _: FileId) -> FileResult<Bytes> {
        Err(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index)
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use typst::foundations::{Dict, IntoValue};

    fn set(template: &'static str, value: &str) -> Result<Vec<u8>, SetError> {
        let mut inputs = Dict::new();
        inputs.insert("value".into(), value.into_value());
        let created = crate::job::time("2026-01-01T00:00:00Z").unwrap();
        typeset(Order { name: "test.typ", template, inputs, pages: 1, created }, Fonts::embedded())
    }

    #[test]
    fn a_template_reaches_no_file_package_or_clock() {
        assert!(set("#set text(font: \"DejaVu Sans\")\n#sys.inputs.value", "/etc/passwd").is_ok());
        for (template, value) in [
            ("\n#read(\"/etc/passwd\")", ""),
            ("\n#read(sys.inputs.value)", "/etc/passwd"),
            ("\n#read(sys.inputs.value)", "test.typ"),
            ("\n#image(sys.inputs.value)", "label.png"),
            ("\n#json(sys.inputs.value)", "../../etc/passwd"),
            ("\n#include sys.inputs.value", "/etc/passwd"),
            ("\n#import sys.inputs.value: *", "@preview/cetz:0.3.0"),
            ("\n#import \"@local/a:0.1.0\": *", ""),
            ("\n#plugin(sys.inputs.value)", "a.wasm"),
            ("\n#bibliography(sys.inputs.value)", "a.bib"),
            ("\n#datetime.today()", ""),
        ] {
            let failure = SetError::Template { name: "test.typ", line: NonZeroUsize::new(2) };
            assert_eq!(set(template, value), Err(failure), "{template} {value}");
        }
    }

    #[test]
    fn an_image_reaches_no_file() {
        let template = "#image(bytes(sys.inputs.value), format: \"svg\")";
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><image href="file:///etc/hostname.png" width="9" height="9"/></svg>"#;
        let failure = SetError::Template { name: "test.typ", line: NonZeroUsize::new(1) };
        assert_eq!(set(template, svg), Err(failure));
    }

    #[test]
    fn what_a_template_leaves_wrong_is_a_fault() {
        let fails = |template| set(template, "SECRET").unwrap_err();
        assert_eq!(
            fails("#panic(sys.inputs.value)"),
            SetError::Template { name: "test.typ", line: NonZeroUsize::new(1) }
        );
        assert_eq!(
            fails("#set text(font: \"No Such Font\")\nx"),
            SetError::Warning { name: "test.typ", line: NonZeroUsize::new(1) }
        );
        assert_eq!(fails("#pagebreak()"), SetError::Pages { name: "test.typ", made: 2, wanted: 1 });
        assert_eq!(
            fails("#set text(font: \"DejaVu Sans\", fallback: false)\n漢"),
            SetError::Export { name: "test.typ" }
        );
        assert!(!fails("#panic(sys.inputs.value)").to_string().contains("SECRET"));
    }
}
