//! The typesetter's whole world: templates and pictures in memory, the embedded fonts, the values of one document.
//! Other files, packages and the date are refused. The values are data and never source, so that no text becomes
//! markup.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use thiserror::Error;
use typst::diag::{FileError, FileResult, SourceDiagnostic, Warned};
use typst::ecow::EcoVec;
use typst::foundations::{Bytes, Datetime, Duration, Smart};
use typst::syntax::{DiagSpan, FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World, WorldExt};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

use crate::fonts::Fonts;
use crate::job::Order;
use crate::shown::{self, Unseen};

/// A template and the values it was given do not make the document: a fault of the template. The typesetter's own
/// messages may quote values; see [`Diagnostic`].
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SetError {
    #[error("{} fails", first(.0))]
    Template(Vec<Diagnostic>),
    #[error("{} draws a warning", first(.0))]
    Warning(Vec<Diagnostic>),
    #[error("{name} makes {made} pages instead of {wanted}")]
    Pages { name: String, made: usize, wanted: Pages },
    #[error("{name} {unseen}")]
    Unseen { name: String, unseen: Unseen },
    #[error("{name} makes no PDF/A-2b")]
    Export { name: String },
}

/// One complaint of the typesetter.
#[derive(PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: Option<NonZeroUsize>,
    message: String,
}

impl Diagnostic {
    /// What the typesetter said. It may quote values of the document: for a document that holds no secret.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(out, " line {line}"))
    }
}

impl fmt::Debug for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn first(diagnostics: &[Diagnostic]) -> &dyn fmt::Display {
    diagnostics.first().map_or(&"the template", |first| first)
}

/// How many pages a document may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    Exactly(usize),
    UpTo(usize),
}

impl Pages {
    fn allow(self, made: usize) -> bool {
        match self {
            Pages::Exactly(count) => made == count,
            Pages::UpTo(most) => (1..=most).contains(&made),
        }
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pages::Exactly(count) => write!(out, "{count}"),
            Pages::UpTo(most) => write!(out, "1 to {most}"),
        }
    }
}

/// What templates can reach, by plain file name.
#[derive(Clone, Default)]
pub(crate) struct Files {
    templates: HashMap<FileId, Source>,
    pictures: HashMap<FileId, Bytes>,
}

impl Files {
    /// A template that stands alone.
    pub(crate) fn one(name: &str, text: &str) -> Self {
        let mut files = Files::default();
        files.put_template(name, text);
        files
    }

    /// Adds a template, or puts it in the place of the one with its name.
    pub(crate) fn put_template(&mut self, name: &str, text: &str) {
        let id = file_id(name);
        self.templates.insert(id, Source::new(id, text.to_owned()));
    }

    /// Adds a picture.
    pub(crate) fn put_picture(&mut self, name: &str, data: Vec<u8>) {
        self.pictures.insert(file_id(name), Bytes::new(data));
    }
}

fn file_id(name: &str) -> FileId {
    let path = VirtualPath::new(name).expect("a plain file name is a path");
    RootedPath::new(VirtualRoot::Project, path).intern()
}

/// A finished document.
pub(crate) struct Document {
    pub(crate) pdf: Vec<u8>,
    pub(crate) pages: usize,
}

/// Makes the document.
///
/// # Errors
/// [`SetError`] when the template fails, warns, makes too many or too few pages or does not show what it must.
pub(crate) fn typeset(order: Order, fonts: Fonts) -> Result<Document, SetError> {
    let Order { name, files, inputs, pages, created, tagged, shown } = order;
    let paper = Paper {
        library: LazyHash::new(Library::builder().with_inputs(inputs).build()),
        book: LazyHash::new(fonts.book()),
        fonts,
        main: file_id(&name),
        files,
    };
    let Warned { output, warnings } = typst::compile::<PagedDocument>(&paper);
    let document = output.map_err(|errors| SetError::Template(paper.diagnostics(&name, &errors)))?;
    if !warnings.is_empty() {
        return Err(SetError::Warning(paper.diagnostics(&name, &warnings)));
    }
    let made = document.pages().len();
    if !pages.allow(made) {
        return Err(SetError::Pages { name, made, wanted: pages });
    }
    if let Err(unseen) = shown::look(&document, &shown) {
        return Err(SetError::Unseen { name, unseen });
    }
    let options = PdfOptions {
        creator: Smart::Custom(Some(format!("Countersign {}", env!("CARGO_PKG_VERSION")))),
        timestamp: Some(Timestamp::new_utc(created)),
        standards: PdfStandards::new(&[PdfStandard::A_2b]).expect("one standard agrees with itself"),
        tagged,
        ..PdfOptions::default()
    };
    let pdf = typst_pdf::pdf(&document, &options).map_err(|_| SetError::Export { name })?;
    Ok(Document { pdf, pages: made })
}

struct Paper {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Fonts,
    main: FileId,
    files: Arc<Files>,
}

impl Paper {
    fn diagnostics(&self, main: &str, found: &EcoVec<SourceDiagnostic>) -> Vec<Diagnostic> {
        found
            .iter()
            .map(|found| Diagnostic {
                file: found
                    .span
                    .id()
                    .map_or(main.to_owned(), |id| id.get().vpath().get_without_slash().to_owned()),
                line: self.line(found.span),
                message: found.message.to_string(),
            })
            .collect()
    }

    fn line(&self, span: DiagSpan) -> Option<NonZeroUsize> {
        let start = self.range(span)?.start;
        NonZeroUsize::new(self.source(span.id()?).ok()?.lines().byte_to_line(start)? + 1)
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
        self.main
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        self.files.templates.get(&id).cloned().ok_or(FileError::AccessDenied)
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        self.files.pictures.get(&id).cloned().ok_or(FileError::AccessDenied)
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

    fn set(template: &str, value: &str) -> Result<Document, SetError> {
        let mut inputs = Dict::new();
        inputs.insert("value".into(), value.into_value());
        let created = crate::job::time("2026-01-01T00:00:00Z").unwrap();
        let order = Order {
            name: "test.typ".to_owned(),
            files: Arc::new(Files::one("test.typ", template)),
            inputs,
            pages: Pages::Exactly(1),
            created,
            tagged: false,
            shown: Vec::new(),
        };
        typeset(order, Fonts::embedded())
    }

    fn fails(template: &str, value: &str) -> String {
        set(template, value).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_template_reaches_no_file_package_or_clock() {
        assert!(set("#set text(font: \"DejaVu Sans\")\n#sys.inputs.value", "/etc/passwd").is_ok());
        for (template, value) in [
            ("\n#read(\"/etc/passwd\")", ""),
            ("\n#read(\"../../../../etc/passwd\")", ""),
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
            assert_eq!(fails(template, value), "test.typ line 2 fails", "{template} {value}");
        }
    }

    #[test]
    fn an_image_reaches_no_file() {
        let template = "#image(bytes(sys.inputs.value), format: \"svg\")";
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><image href="file:///etc/hostname.png" width="9" height="9"/></svg>"#;
        assert_eq!(fails(template, svg), "test.typ line 1 fails");
    }

    #[test]
    fn what_a_template_leaves_wrong_is_a_fault() {
        assert_eq!(fails("#panic(sys.inputs.value)", "SECRET"), "test.typ line 1 fails");
        let quoted = set("#panic(sys.inputs.value)", "SECRET").map(|_| ()).unwrap_err();
        assert!(!format!("{quoted:?}").contains("SECRET"));
        assert_eq!(fails("#set text(font: \"No Such Font\")\nx", ""), "test.typ line 1 draws a warning");
        assert_eq!(fails("#pagebreak()", ""), "test.typ makes 2 pages instead of 1");
        assert_eq!(
            fails("#set text(font: \"DejaVu Sans\", fallback: false)\n漢", ""),
            "test.typ makes no PDF/A-2b"
        );
    }
}
