//! Letters that bring an activation code: what the JSON may say, and what templates get in `sys.inputs`. How a
//! letter looks stands in `templates/`.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::IgnoredAny;
use typst::foundations::{Array, Bytes, Datetime, Dict, IntoValue, Value};
use zeroize::Zeroizing;

use crate::code::Code;
use crate::fonts::Fonts;
use crate::job::{self, FieldError, Line, Order, Refusal};
use crate::language::Language;
use crate::qr::{Place, Qr, QrError};
use crate::sender::{self, Sender};
use crate::shown::{Thing, Wanted};
use crate::templates::{Choice, Kind, Templates};
use crate::world::Pages;

/// Most letters of one job.
pub(crate) const LETTERS_MAX: usize = 100;
/// Most pages of one letter.
const PAGES_MAX: usize = 12;
/// Most lines of an address, and their longest.
pub(crate) const RECIPIENT_LINES_MAX: usize = 6;
pub(crate) const RECIPIENT_MAX: usize = 60;
/// Longest name of a person and of a user.
pub(crate) const NAME_MAX: usize = 80;
/// Longest salutation.
pub(crate) const SALUTATION_MAX: usize = 120;
/// Longest address of a page.
pub(crate) const URL_MAX: usize = 120;
/// Longest reference number.
pub(crate) const REFERENCE_MAX: usize = 40;
/// Longest risk note.
pub(crate) const RISK_NOTE_MAX: usize = 800;
/// Most steps, and their longest.
pub(crate) const STEPS_MAX: usize = 12;
pub(crate) const STEP_MAX: usize = 300;
/// Most paragraphs of the operator's own, and their longest.
pub(crate) const PARAGRAPHS_MAX: usize = 20;
pub(crate) const PARAGRAPH_MAX: usize = 1000;
/// What an authenticator app reads.
const OTPAUTH: &str = "otpauth://";
/// What a telephone's camera opens.
const HTTPS: &str = "https://";

/// Where the window of the envelope is.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Window {
    Left,
    Right,
}

/// The JSON of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    #[serde(rename = "document")]
    _document: IgnoredAny,
    created: String,
    default_language: String,
    window: Window,
    sender: sender::Wire,
    letters: Vec<LetterWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LetterWire {
    id: String,
    kind: Kind,
    language: String,
    recipient: Vec<String>,
    date: String,
    name: String,
    user: String,
    salutation: Option<String>,
    reference: Option<String>,
    url: Option<String>,
    code: Option<Zeroizing<String>>,
    qr: Option<Zeroizing<String>>,
    valid_until: Option<String>,
    risk_note: Option<String>,
    steps: Option<Vec<String>>,
    #[serde(default)]
    paragraphs: Vec<String>,
}

/// Letters of one sender. One that cannot be printed does not keep back the others.
pub(crate) struct Batch {
    created: Datetime,
    default_language: Language,
    window: Window,
    sender: Sender,
    pub(crate) letters: Vec<(Id, Result<Letter, Refusal>)>,
}

/// The caller's name for a letter.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id(String);

/// A letter that can be printed.
pub(crate) struct Letter {
    pub(crate) kind: Kind,
    language: Language,
    recipient: Vec<Line>,
    date: Date,
    name: Line,
    user: Line,
    salutation: Option<Line>,
    reference: Option<Line>,
    url: Option<Line>,
    code: Option<Code>,
    qr: Option<Qr>,
    valid_until: Option<Date>,
    risk_note: Option<Line>,
    steps: Option<Vec<Line>>,
    paragraphs: Vec<Line>,
}

/// A letter with its template.
pub(crate) struct Posting {
    pub(crate) choice: Choice,
    pub(crate) order: Order,
}

impl Batch {
    pub(crate) fn check(wire: Wire, fonts: &Fonts) -> Result<Self, Refusal> {
        if wire.letters.is_empty() || wire.letters.len() > LETTERS_MAX {
            return Err(FieldError::Count(1, LETTERS_MAX).of("letters"));
        }
        let mut known = HashSet::new();
        let mut letters = Vec::with_capacity(wire.letters.len());
        for (index, letter) in wire.letters.into_iter().enumerate() {
            let refuse = |why: FieldError| why.of(format!("letters[{index}].id"));
            let id = Id::parse(&letter.id).map_err(refuse)?;
            if !known.insert(id.clone()) {
                return Err(refuse(FieldError::Twice));
            }
            letters.push((id, Letter::check(&letter, fonts)));
        }
        Ok(Batch {
            created: job::time(&wire.created).map_err(|why| why.of("created"))?,
            default_language: Language::parse(&wire.default_language)
                .map_err(|why| why.of("default_language"))?,
            window: wire.window,
            sender: Sender::check(&wire.sender, fonts)?,
            letters,
        })
    }

    /// Puts a letter of this batch into words.
    ///
    /// # Errors
    /// [`Refusal`] when there is no template or no risk note for its language.
    pub(crate) fn posting(&self, letter: &Letter, templates: &Templates) -> Result<Posting, Refusal> {
        let choice = templates
            .choose(letter.kind, &letter.language, &self.default_language)
            .ok_or_else(|| FieldError::NoText.of("language"))?;
        let own = letter.risk_note.as_ref().map(Line::as_str);
        let risk_note = own
            .or(choice.language.risk_note(letter.kind))
            .ok_or_else(|| FieldError::NoText.of("risk_note"))?;
        let qr = letter.qr.as_ref().map(|qr| (Bytes::from_string(qr.svg().to_owned()), qr.modules()));
        let mut inputs = letter.inputs(&choice.language, risk_note);
        inputs.insert("qr".into(), qr.as_ref().map(|(svg, _)| svg.clone()).into_value());
        inputs.insert("sender".into(), self.sender.to_value());
        let window = match self.window {
            Window::Left => "left",
            Window::Right => "right",
        };
        inputs.insert("window".into(), window.into_value());
        let order = Order {
            name: choice.name.clone(),
            files: templates.files(),
            inputs,
            pages: Pages::UpTo(PAGES_MAX),
            created: self.created,
            tagged: true,
            shown: letter.wanted(&choice.language, risk_note, qr),
        };
        Ok(Posting { choice, order })
    }
}

impl Id {
    fn parse(text: &str) -> Result<Self, FieldError> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Id(text.to_owned()))
        } else {
            Err(FieldError::Id)
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Letter {
    fn check(wire: &LetterWire, fonts: &Fonts) -> Result<Self, Refusal> {
        let line =
            |field: &str, text: &str, max: usize| Line::parse(text, max, fonts).map_err(|why| why.of(field));
        let maybe = |field: &str, text: &Option<String>, max: usize| {
            text.as_deref().map(|text| line(field, text, max)).transpose()
        };
        let date = |field: &str, text: &str| job::date(text).map_err(|why| why.of(field));
        let (code, qr) = wire.codes()?;
        if wire.kind == Kind::SmsIak {
            let needed = [("valid_until", wire.valid_until.is_none()), ("url", wire.url.is_none())];
            if let Some((field, _)) = needed.into_iter().find(|(_, missing)| *missing) {
                return Err(FieldError::Missing.of(field));
            }
        }
        Ok(Letter {
            kind: wire.kind,
            language: Language::parse(&wire.language).map_err(|why| why.of("language"))?,
            recipient: lines("recipient", &wire.recipient, 1..=RECIPIENT_LINES_MAX, RECIPIENT_MAX, fonts)?,
            date: date("date", &wire.date)?,
            name: line("name", &wire.name, NAME_MAX)?,
            user: line("user", &wire.user, NAME_MAX)?,
            salutation: maybe("salutation", &wire.salutation, SALUTATION_MAX)?,
            reference: maybe("reference", &wire.reference, REFERENCE_MAX)?,
            url: maybe("url", &wire.url, URL_MAX)?,
            code,
            qr,
            valid_until: wire.valid_until.as_deref().map(|text| date("valid_until", text)).transpose()?,
            risk_note: maybe("risk_note", &wire.risk_note, RISK_NOTE_MAX)?,
            steps: wire
                .steps
                .as_ref()
                .map(|steps| lines("steps", steps, 1..=STEPS_MAX, STEP_MAX, fonts))
                .transpose()?,
            paragraphs: lines("paragraphs", &wire.paragraphs, 0..=PARAGRAPHS_MAX, PARAGRAPH_MAX, fonts)?,
        })
    }

    /// What templates find in `sys.inputs`, but for the sender, the window and the picture of the code. Everything
    /// that was not given is `none`.
    fn inputs(&self, language: &Language, risk_note: &str) -> Dict {
        let text = |line: &Option<Line>| line.as_ref().map(|line| line.as_str().to_owned()).into_value();
        let day = |date: Date| (language.date(date).into_value(), date.to_string().into_value());
        let (valid_until, valid_until_iso) = self.valid_until.map_or((Value::None, Value::None), day);
        let (date, date_iso) = day(self.date);
        let entries = [
            ("kind", self.kind.name().into_value()),
            ("language", language.base().into_value()),
            ("region", language.region().map(str::to_owned).into_value()),
            ("recipient", strings(&self.recipient)),
            ("date", date),
            ("date-iso", date_iso),
            ("name", self.name.as_str().into_value()),
            ("user", self.user.as_str().into_value()),
            ("salutation", text(&self.salutation)),
            ("reference", text(&self.reference)),
            ("url", text(&self.url)),
            ("code", self.code.as_ref().map(|code| code.as_str().to_owned()).into_value()),
            ("valid-until", valid_until),
            ("valid-until-iso", valid_until_iso),
            ("risk-note", risk_note.into_value()),
            ("steps", self.steps.as_ref().map_or(Value::None, |steps| strings(steps))),
            ("paragraphs", strings(&self.paragraphs)),
        ];
        entries.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    /// What no template may leave out (OATH-47).
    fn wanted(&self, language: &Language, risk_note: &str, qr: Option<(Bytes, usize)>) -> Vec<Wanted> {
        let text =
            |what: &str, forms: Vec<String>| Wanted { what: what.to_owned(), thing: Thing::Text(forms) };
        let mut wanted: Vec<Wanted> = self
            .recipient
            .iter()
            .enumerate()
            .map(|(index, line)| text(&format!("recipient[{index}]"), vec![line.as_str().to_owned()]))
            .collect();
        wanted.push(text("risk-note", vec![risk_note.to_owned()]));
        wanted.push(text("user", vec![self.user.as_str().to_owned()]));
        wanted.extend(self.url.iter().map(|url| text("url", vec![url.as_str().to_owned()])));
        wanted.extend(self.code.iter().map(|code| text("code", vec![code.as_str().to_owned()])));
        wanted.extend(
            self.valid_until.map(|date| text("valid-until", vec![language.date(date), date.to_string()])),
        );
        wanted.extend(
            qr.map(|(svg, modules)| Wanted { what: "qr".to_owned(), thing: Thing::Code { svg, modules } }),
        );
        wanted
    }
}

impl LetterWire {
    /// The key on paper and the code for the camera, as the kind wants them.
    fn codes(&self) -> Result<(Option<Code>, Option<Qr>), Refusal> {
        let parse = match self.kind {
            Kind::SmsIak => Code::iak,
            Kind::Oath => Code::base32,
        };
        let code = self.code.as_ref().map(|text| parse(text)).transpose().map_err(|why| why.of("code"))?;
        let scheme = match self.kind {
            Kind::SmsIak => HTTPS,
            Kind::Oath => OTPAUTH,
        };
        if self.qr.as_ref().is_some_and(|text| !text.starts_with(scheme)) {
            return Err(FieldError::Scheme(scheme).of("qr"));
        }
        let qr = self
            .qr
            .as_ref()
            .map(|text| Qr::encode(text, Place::Letter))
            .transpose()
            .map_err(|why: QrError| FieldError::from(why).of("qr"))?;
        match self.kind {
            Kind::SmsIak if code.is_none() => Err(FieldError::Missing.of("code")),
            Kind::Oath if qr.is_none() => Err(FieldError::Missing.of("qr")),
            _ => Ok((code, qr)),
        }
    }
}

/// Lines of text, as many as may be.
pub(crate) fn lines(
    field: &str,
    texts: &[String],
    count: RangeInclusive<usize>,
    max: usize,
    fonts: &Fonts,
) -> Result<Vec<Line>, Refusal> {
    if !count.contains(&texts.len()) {
        return Err(FieldError::Count(*count.start(), *count.end()).of(field));
    }
    let line = |(index, text): (usize, &String)| {
        Line::parse(text, max, fonts).map_err(|why| why.of(format!("{field}[{index}]")))
    };
    texts.iter().enumerate().map(line).collect()
}

/// As a template gets them.
pub(crate) fn strings(lines: &[Line]) -> Value {
    lines.iter().map(|line| line.as_str().into_value()).collect::<Array>().into_value()
}
