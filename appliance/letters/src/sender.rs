//! Who writes the letters: names, addresses, a logo, a colour. What the JSON may say and what templates get.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use typst::foundations::{Bytes, Dict, IntoValue, Value};
use typst::visualize::{ExchangeFormat, RasterImage, SvgImage};

use crate::fonts::Fonts;
use crate::job::{FieldError, Line, Refusal};
use crate::letter::{lines, strings};

/// Longest name of an organisation.
pub(crate) const ORGANISATION_MAX: usize = 60;
/// Longest return address: one line above the address of the recipient.
pub(crate) const RETURN_LINE_MAX: usize = 90;
/// Most lines beside the address of the recipient, and their longest.
pub(crate) const CONTACT_LINES_MAX: usize = 5;
pub(crate) const CONTACT_MAX: usize = 50;
/// Most lines that say where help is to be had, and their longest.
pub(crate) const HELP_LINES_MAX: usize = 4;
pub(crate) const HELP_MAX: usize = 120;
/// Most lines at the foot of the page, and their longest.
pub(crate) const FOOTER_LINES_MAX: usize = 3;
pub(crate) const FOOTER_MAX: usize = 120;
/// Most bytes of a logo.
const LOGO_MAX: usize = 256 << 10;
/// Most pixels of a logo; a small file can stand for a large picture.
const LOGO_PIXELS_MAX: u64 = 4_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    organisation: String,
    return_line: String,
    #[serde(default)]
    contact: Vec<String>,
    help: Vec<String>,
    #[serde(default)]
    footer: Vec<String>,
    colour: Option<String>,
    logo: Option<LogoWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogoWire {
    format: Format,
    data: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Png,
    Svg,
}

/// A sender that can be printed.
pub(crate) struct Sender {
    organisation: Line,
    return_line: Line,
    contact: Vec<Line>,
    help: Vec<Line>,
    footer: Vec<Line>,
    colour: Option<String>,
    logo: Option<(Format, Bytes)>,
}

impl Sender {
    pub(crate) fn check(wire: &Wire, fonts: &Fonts) -> Result<Self, Refusal> {
        let line = |field: &str, text: &str, max: usize| {
            Line::parse(text, max, fonts).map_err(|why| why.of(format!("sender.{field}")))
        };
        let block = |field: &str, texts: &[String], count: RangeInclusive<usize>, max: usize| {
            lines(&format!("sender.{field}"), texts, count, max, fonts)
        };
        Ok(Sender {
            organisation: line("organisation", &wire.organisation, ORGANISATION_MAX)?,
            return_line: line("return_line", &wire.return_line, RETURN_LINE_MAX)?,
            contact: block("contact", &wire.contact, 0..=CONTACT_LINES_MAX, CONTACT_MAX)?,
            help: block("help", &wire.help, 1..=HELP_LINES_MAX, HELP_MAX)?,
            footer: block("footer", &wire.footer, 0..=FOOTER_LINES_MAX, FOOTER_MAX)?,
            colour: wire.colour.as_deref().map(colour).transpose().map_err(|why| why.of("sender.colour"))?,
            logo: wire.logo.as_ref().map(logo).transpose().map_err(|why| why.of("sender.logo"))?,
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut sender = Dict::new();
        sender.insert("organisation".into(), self.organisation.as_str().into_value());
        sender.insert("return-line".into(), self.return_line.as_str().into_value());
        sender.insert("contact".into(), strings(&self.contact));
        sender.insert("help".into(), strings(&self.help));
        sender.insert("footer".into(), strings(&self.footer));
        sender.insert("colour".into(), self.colour.clone().into_value());
        let logo = self.logo.as_ref().map_or(Value::None, |(format, data)| {
            let mut logo = Dict::new();
            let format = match format {
                Format::Png => "png",
                Format::Svg => "svg",
            };
            logo.insert("format".into(), format.into_value());
            logo.insert("data".into(), data.clone().into_value());
            logo.into_value()
        });
        sender.insert("logo".into(), logo);
        sender.into_value()
    }
}

fn colour(text: &str) -> Result<String, FieldError> {
    let digits = text.strip_prefix('#').ok_or(FieldError::Colour)?;
    if digits.len() == 6 && digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        Ok(text.to_owned())
    } else {
        Err(FieldError::Colour)
    }
}

fn logo(wire: &LogoWire) -> Result<(Format, Bytes), FieldError> {
    let too_long = wire.data.len() > LOGO_MAX.div_ceil(3) * 4;
    let data = STANDARD.decode(&wire.data).ok().filter(|_| !too_long).ok_or(FieldError::Base64(LOGO_MAX))?;
    let bad = FieldError::Picture(LOGO_PIXELS_MAX);
    if matches!(wire.format, Format::Png) && png_pixels(&data).is_none_or(|count| count > LOGO_PIXELS_MAX) {
        return Err(bad);
    }
    let data = Bytes::new(data);
    let sound = match wire.format {
        Format::Png => RasterImage::plain(data.clone(), ExchangeFormat::Png).is_ok(),
        Format::Svg => SvgImage::new(data.clone()).is_ok(),
    };
    if sound { Ok((wire.format, data)) } else { Err(bad) }
}

/// Width times height of a PNG, from its first chunk (ISO/IEC 15948, 11.2.2).
fn png_pixels(data: &[u8]) -> Option<u64> {
    let rest = data.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let side = |at: usize| rest.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    Some(u64::from(side(0)?) * u64::from(side(4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_logo(format: &str, data: &[u8]) -> Option<FieldError> {
        let data = STANDARD.encode(data);
        let wire = serde_json::from_value(serde_json::json!({"format": format, "data": data})).unwrap();
        logo(&wire).err()
    }

    #[test]
    fn a_logo_is_a_picture_of_bounded_size() {
        let bad = Some(FieldError::Picture(LOGO_PIXELS_MAX));
        let svg = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>"#;
        assert_eq!(with_logo("svg", svg), None);
        assert_eq!(with_logo("png", svg), bad);
        assert_eq!(with_logo("svg", b"<svg"), bad);
        let large = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0";
        assert_eq!(png_pixels(large), Some(65_535 * 65_535));
        assert_eq!(with_logo("png", large), bad);
        assert_eq!(with_logo("svg", &vec![b' '; LOGO_MAX + 3]), Some(FieldError::Base64(LOGO_MAX)));
    }

    #[test]
    fn a_colour_is_six_digits() {
        assert!(colour("#1a4F8b").is_ok());
        for text in ["1a4f8b", "#1a4f8", "#1a4f8bff", "red", "#1a4f8g"] {
            assert_eq!(colour(text), Err(FieldError::Colour), "{text}");
        }
    }
}
