//! Labels for hardware tokens: what the JSON may say, and what the template gets. How they look stands in
//! `templates/label.typ`.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use typst::foundations::{Array, Bytes, Datetime, Dict, IntoValue, Value};

use crate::fonts::Fonts;
use crate::job::{self, FieldError, Line, Order, Refusal};
use crate::qr::{Place, Qr, QrError};
use crate::world::{Files, Pages};

/// Most labels of one job.
const LABELS_MAX: usize = 1000;
/// Longest serial, in characters; the appliance's own limit.
const SERIAL_MAX: usize = 40;
/// Longest product name and batch, in characters: what a person can read on one line of the smallest label.
const TEXT_MAX: usize = 24;
/// Longest kind, in characters; it may take two lines.
const KIND_MAX: usize = 32;
/// Labels on an A4 sheet: 3 columns, 8 rows.
const PER_A4: usize = 24;
/// Printed where the job names no product.
const PRODUCT: &str = "Countersign";

/// What the labels are printed on.
#[derive(Clone, Copy, Deserialize)]
enum Medium {
    /// A label printer: a page of 54 x 25 mm for each label.
    #[serde(rename = "single")]
    Single,
    /// A4 with 24 labels of 70 x 37 mm.
    #[serde(rename = "a4-24")]
    A4x24,
}

/// The JSON of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    #[serde(rename = "document")]
    _document: IgnoredAny,
    created: String,
    sheet: Medium,
    product: Option<String>,
    labels: Vec<LabelWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelWire {
    serial: String,
    kind: String,
    batch: Option<String>,
    date: Option<String>,
    qr: Option<String>,
}

/// Labels that can be printed.
pub(crate) struct Sheet {
    created: Datetime,
    medium: Medium,
    product: Line,
    labels: Vec<Label>,
}

struct Label {
    serial: Line,
    kind: Line,
    batch: Option<Line>,
    date: Option<String>,
    qr: Qr,
}

impl Sheet {
    pub(crate) fn check(wire: Wire, fonts: &Fonts) -> Result<Self, Refusal> {
        if wire.labels.is_empty() || wire.labels.len() > LABELS_MAX {
            return Err(FieldError::Count(1, LABELS_MAX).of("labels"));
        }
        let product = wire.product.as_deref().unwrap_or(PRODUCT);
        Ok(Sheet {
            created: job::time(&wire.created).map_err(|why| why.of("created"))?,
            medium: wire.sheet,
            product: Line::parse(product, TEXT_MAX, fonts).map_err(|why| why.of("product"))?,
            labels: wire
                .labels
                .iter()
                .enumerate()
                .map(|(index, label)| Label::check(label, index, fonts))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn order(self) -> Order {
        let count = self.labels.len();
        let (sheet, pages) = match self.medium {
            Medium::Single => ("single", count),
            Medium::A4x24 => ("a4-24", count.div_ceil(PER_A4)),
        };
        let mut inputs = Dict::new();
        inputs.insert("sheet".into(), sheet.into_value());
        inputs.insert("product".into(), self.product.into_string().into_value());
        inputs.insert(
            "labels".into(),
            self.labels.into_iter().map(Label::into_value).collect::<Array>().into_value(),
        );
        let name = "label.typ";
        Order {
            name: name.to_owned(),
            files: Arc::new(Files::one(name, include_str!("../templates/label.typ"))),
            inputs,
            pages: Pages::Exactly(pages),
            created: self.created,
            // A label has no reading order.
            tagged: false,
            shown: Vec::new(),
        }
    }
}

impl Label {
    fn check(wire: &LabelWire, index: usize, fonts: &Fonts) -> Result<Self, Refusal> {
        let field = |name: &str| format!("labels[{index}].{name}");
        let line = |name: &str, text: &str, max: usize| {
            Line::parse(text, max, fonts).map_err(|why| why.of(field(name)))
        };
        let code = wire.qr.as_ref().unwrap_or(&wire.serial);
        Ok(Label {
            serial: line("serial", &wire.serial, SERIAL_MAX)?,
            kind: line("kind", &wire.kind, KIND_MAX)?,
            batch: wire.batch.as_deref().map(|text| line("batch", text, TEXT_MAX)).transpose()?,
            date: wire
                .date
                .as_deref()
                .map(|text| job::date(text).map(|date| date.to_string()))
                .transpose()
                .map_err(|why| why.of(field("date")))?,
            qr: Qr::encode(code, Place::Label)
                .map_err(|why: QrError| FieldError::from(why).of(field("qr")))?,
        })
    }

    fn into_value(self) -> Value {
        let mut label = Dict::new();
        label.insert("serial".into(), self.serial.into_string().into_value());
        label.insert("kind".into(), self.kind.into_string().into_value());
        label.insert("batch".into(), self.batch.map(Line::into_string).into_value());
        label.insert("date".into(), self.date.into_value());
        label.insert("qr".into(), Bytes::from_string(self.qr.svg().to_owned()).into_value());
        label.into_value()
    }
}
