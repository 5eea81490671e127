//! What is asked for: the JSON of a job, checked once. Every document is a variant of [`Job`] and becomes an
//! [`Order`]; nothing here knows how a page looks.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Deserialize;
use thiserror::Error;
use typst::foundations::{Datetime, Dict};

use crate::code::IAK_ALPHABET;
use crate::fonts::Fonts;
use crate::qr::QrError;
use crate::world::{Files, Pages};
use crate::{label, letter, shown};

/// Most characters of a message that names a field.
const NAME_SHOWN: usize = 80;

/// Why a job was not taken. Names fields and places, quotes no value: values may be secrets.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("{why} at line {line}, column {column}")]
    Json { why: String, line: usize, column: usize },
    #[error("{field}: {why}")]
    Field { field: String, why: FieldError },
}

/// Why a value was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum FieldError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {0} characters")]
    TooLong(usize),
    #[error("holds a character that cannot be printed")]
    Unprintable,
    #[error("spaces must stand alone and between other characters")]
    Spaces,
    #[error("must have {0} to {1} items")]
    Count(usize, usize),
    #[error("is not a time of RFC 3339 from 1970 on")]
    Time,
    #[error("is not a date of the form 2026-12-31 from 1970 on")]
    Date,
    #[error("is not a language of the form de or de-CH")]
    Language,
    #[error("is not an identifier of 1 to 64 letters, digits, - and _")]
    Id,
    #[error("is used twice")]
    Twice,
    #[error("is missing")]
    Missing,
    #[error("has no text in this language, and the letter brings none")]
    NoText,
    #[error("is not 12 characters of {IAK_ALPHABET}")]
    Iak,
    #[error("is not 16 to 128 characters of Base32 without padding")]
    Base32,
    #[error("does not begin with {0}")]
    Scheme(&'static str),
    #[error("is not a colour of the form #1a4f8b")]
    Colour,
    #[error("is not Base64 of at most {0} bytes")]
    Base64(usize),
    #[error("is not a picture of its format, or has more than {0} pixels")]
    Picture(u64),
    #[error(transparent)]
    Qr(#[from] QrError),
}

impl FieldError {
    /// The refusal that names the field.
    pub(crate) fn of(self, field: impl Into<String>) -> Refusal {
        Refusal::Field { field: field.into(), why: self }
    }
}

/// A job that can be typeset.
pub(crate) enum Job {
    /// One document.
    Label(label::Sheet),
    /// A document for each letter.
    Letters(letter::Batch),
}

/// What the typesetter is given.
pub(crate) struct Order {
    /// Name of the template among the files.
    pub(crate) name: String,
    /// The templates and pictures that it can reach.
    pub(crate) files: Arc<Files>,
    /// The values that it finds in `sys.inputs`.
    pub(crate) inputs: Dict,
    /// How many pages may come out.
    pub(crate) pages: Pages,
    /// When the document was made, in UTC.
    pub(crate) created: Datetime,
    /// Whether the PDF tells headings, lists and paragraphs apart.
    pub(crate) tagged: bool,
    /// What a reader must find on the pages.
    pub(crate) shown: Vec<shown::Wanted>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Document {
    Label,
    Letters,
}

#[derive(Deserialize)]
struct Header {
    document: Document,
}

impl Job {
    /// Reads a job.
    ///
    /// # Errors
    /// [`Refusal`] when it is not JSON, not one of our documents, or a field holds what cannot be printed.
    pub(crate) fn parse(input: &[u8], fonts: &Fonts) -> Result<Self, Refusal> {
        match read::<Header>(input)?.document {
            Document::Label => label::Sheet::check(read(input)?, fonts).map(Job::Label),
            Document::Letters => letter::Batch::check(read(input)?, fonts).map(Job::Letters),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(input: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(input).map_err(|error| Refusal::Json {
        why: explain(&error),
        line: error.line(),
        column: error.column(),
    })
}

fn explain(error: &serde_json::Error) -> String {
    // These name a field. The others quote what they found.
    const NAMING: [&str; 3] = ["missing field", "unknown field", "duplicate field"];
    let text = error.to_string();
    if NAMING.iter().any(|start| text.starts_with(start)) {
        // `unknown field` goes on with all that it knows; a name may be long and hold anything.
        let name = text.split(", expected").next().unwrap_or(&text).split(" at line").next().unwrap_or(&text);
        name.chars().filter(|c| !c.is_control()).take(NAME_SHOWN).collect()
    } else if error.is_data() {
        "a value has the wrong type".to_owned()
    } else {
        "this is not JSON".to_owned()
    }
}

/// One line of text for print: not empty, bounded, each character visible in every font, single spaces within.
#[derive(Clone)]
pub(crate) struct Line(String);

impl Line {
    pub(crate) fn parse(text: &str, max: usize, fonts: &Fonts) -> Result<Self, FieldError> {
        if text.is_empty() {
            return Err(FieldError::Empty);
        }
        if text.chars().count() > max {
            return Err(FieldError::TooLong(max));
        }
        if !text.chars().all(|c| visible(c) && fonts.draw(c)) {
            return Err(FieldError::Unprintable);
        }
        if text.split(' ').any(str::is_empty) {
            return Err(FieldError::Spaces);
        }
        Ok(Line(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// A page with an invisible character would not say what the data say.
fn visible(c: char) -> bool {
    let ignorable = matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || ignorable)
}

/// A time of RFC 3339, as the PDF's metadata hold it: UTC, whole seconds.
pub(crate) fn time(text: &str) -> Result<Datetime, FieldError> {
    let time: Timestamp = text.parse().map_err(|_| FieldError::Time)?;
    if time < Timestamp::UNIX_EPOCH {
        return Err(FieldError::Time);
    }
    let utc = Offset::UTC.to_datetime(time);
    let [month, day, hour, minute, second] =
        [utc.month(), utc.day(), utc.hour(), utc.minute(), utc.second()].map(i8::unsigned_abs);
    Datetime::from_ymd_hms(utc.year().into(), month, day, hour, minute, second).ok_or(FieldError::Time)
}

/// A calendar date.
pub(crate) fn date(text: &str) -> Result<Date, FieldError> {
    let date: Date = text.parse().map_err(|_| FieldError::Date)?;
    if date.year() < 1970 || date.to_string() != text { Err(FieldError::Date) } else { Ok(date) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_visible_from_end_to_end() {
        let fonts = Fonts::embedded();
        let parse = |text: &str| Line::parse(text, 8, &fonts).map(Line::into_string);
        assert_eq!(parse("a b*#\\\"").as_deref(), Ok("a b*#\\\""));
        for (text, why) in [
            ("", FieldError::Empty),
            ("123456789", FieldError::TooLong(8)),
            (" a", FieldError::Spaces),
            ("a ", FieldError::Spaces),
            ("a  b", FieldError::Spaces),
            ("a\nb", FieldError::Unprintable),
            ("a\u{a0}b", FieldError::Unprintable),
            ("a\u{200b}b", FieldError::Unprintable),
            ("a\u{202e}b", FieldError::Unprintable),
            ("漢", FieldError::Unprintable),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn times_and_dates_have_one_form() {
        assert!(time("2026-11-21T21:19:40Z").is_ok());
        assert_eq!(time("2026-11-21T23:19:40.5+02:00"), time("2026-11-21T21:19:40Z"));
        assert_eq!(time("1969-12-31T23:59:59Z"), Err(FieldError::Time));
        assert_eq!(time("2026-11-21"), Err(FieldError::Time));
        assert_eq!(date("2026-12-31").map(|date| date.to_string()).as_deref(), Ok("2026-12-31"));
        for text in ["20261231", "2026-02-30", "31.12.2026", "2026-12-31T00:00:00", "", "-002026-12-31"] {
            assert_eq!(date(text), Err(FieldError::Date), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_field_and_quotes_no_value() {
        let fonts = Fonts::embedded();
        let refusal = |input: &str| match Job::parse(input.as_bytes(), &fonts) {
            Ok(_) => panic!("taken: {input}"),
            Err(refusal) => refusal.to_string(),
        };
        let job = |rest: &str| {
            format!(r#"{{"document":"label","created":"2026-01-01T00:00:00Z","sheet":"single",{rest}}}"#)
        };
        for (input, wanted) in [
            ("{".to_owned(), "this is not JSON at line 1, column 1"),
            ("{}".to_owned(), "missing field `document`"),
            (r#"{"document":"SECRET"}"#.to_owned(), "a value has the wrong type"),
            (job(r#""labels":"SECRET""#), "a value has the wrong type"),
            (job(r#""labels":[],"more":1"#), "unknown field `more`"),
            (job(r#""labels":[]"#), "labels: must have 1 to 1000 items"),
            (
                job(r#""labels":[{"serial":"A","kind":"K"},{"serial":"A B ","kind":"K"}]"#),
                "labels[1].serial: spaces must stand alone and between other characters",
            ),
            (
                job(r#""labels":[{"serial":"Ä","kind":"K"}]"#),
                "labels[0].qr: holds something other than printable ASCII",
            ),
        ] {
            let refusal = refusal(&input);
            assert!(refusal.starts_with(wanted) && !refusal.contains("SECRET"), "{refusal}");
        }
    }
}
