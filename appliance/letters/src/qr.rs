//! A text as a QR code (ISO/IEC 18004), drawn as one vector path with its quiet zone.

use std::fmt::Write;

use fast_qr::{ECL, QRBuilder};
use thiserror::Error;

/// Most bytes of a code: at level Q they fit version 5, whose modules are half a millimetre wide on the
/// smallest label.
pub(crate) const TEXT_MAX: usize = 60;
/// Light modules around the code, as the standard wants them.
const QUIET: usize = 4;

/// A text that makes no code.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum QrError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {TEXT_MAX} characters")]
    TooLong,
    /// Readers disagree on the meaning of other bytes.
    #[error("holds something other than printable ASCII")]
    Character,
}

/// A code as an SVG document that holds nothing but the path of the dark modules.
#[derive(Debug)]
pub(crate) struct Qr(String);

impl Qr {
    /// Encodes at level Q: a quarter of the code may be scratched off.
    pub(crate) fn encode(text: &str) -> Result<Self, QrError> {
        if text.is_empty() {
            return Err(QrError::Empty);
        }
        if text.len() > TEXT_MAX {
            return Err(QrError::TooLong);
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(QrError::Character);
        }
        let code = QRBuilder::new(text).ecl(ECL::Q).build().expect("TEXT_MAX bytes fit level Q");
        let rows: Vec<Vec<bool>> =
            (0..code.size).map(|y| code[y].iter().map(|module| module.value()).collect()).collect();
        Ok(Qr(draw(&rows)))
    }

    pub(crate) fn into_svg(self) -> String {
        self.0
    }
}

/// One path for all runs of dark modules, so that no renderer leaves seams between neighbours.
fn draw(rows: &[Vec<bool>]) -> String {
    let side = rows.len() + 2 * QUIET;
    let mut svg = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}"><path d=""#);
    for (y, row) in rows.iter().enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run[0] {
                write!(svg, "M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len())
                    .expect("a String takes all that is written");
            }
            x += run.len();
        }
    }
    svg + r#""/></svg>"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_become_rectangles_inside_the_quiet_zone() {
        let svg = draw(&[vec![true, true, false], vec![false, false, false], vec![false, false, true]]);
        assert!(svg.contains(r#"viewBox="0 0 11 11""#), "{svg}");
        assert!(svg.contains(r#"d="M4 4h2v1h-2zM6 6h1v1h-1z""#), "{svg}");
    }

    #[test]
    fn every_allowed_text_has_a_code() {
        assert!(Qr::encode(&"~".repeat(TEXT_MAX)).is_ok());
        assert_eq!(Qr::encode(&"~".repeat(TEXT_MAX + 1)).unwrap_err(), QrError::TooLong);
        assert_eq!(Qr::encode("").unwrap_err(), QrError::Empty);
        assert_eq!(Qr::encode("a\nb").unwrap_err(), QrError::Character);
        assert_eq!(Qr::encode("é").unwrap_err(), QrError::Character);
    }
}
