//! A text as a QR code (ISO/IEC 18004), drawn as one vector path with its quiet zone.

use std::fmt::Write;

use fast_qr::{ECL, QRBuilder};
use thiserror::Error;
use zeroize::Zeroizing;

/// Where a code is printed: how much it may hold, and how much of it may be lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A label, exposed to scratches: version 5 at level Q, a quarter of which may be lost. Its modules are half
    /// a millimetre wide on the smallest label.
    Label,
    /// A letter, folded at most: version 18 at level M, 0.43 mm per module at 42 mm.
    Letter,
}

impl Place {
    /// Most bytes of a code.
    pub(crate) const fn text_max(self) -> usize {
        match self {
            Place::Label => 60,
            Place::Letter => 512,
        }
    }

    fn level(self) -> ECL {
        match self {
            Place::Label => ECL::Q,
            Place::Letter => ECL::M,
        }
    }
}

/// Light modules around the code, as the standard wants them.
const QUIET: usize = 4;

/// A text that makes no code.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum QrError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// Readers disagree on the meaning of other bytes.
    #[error("holds something other than printable ASCII")]
    Character,
}

/// A code as an SVG document that holds nothing but the path of the dark modules.
pub(crate) struct Qr {
    svg: Zeroizing<String>,
    modules: usize,
}

impl Qr {
    /// Encodes a text for a place.
    pub(crate) fn encode(text: &str, place: Place) -> Result<Self, QrError> {
        if text.is_empty() {
            return Err(QrError::Empty);
        }
        if text.len() > place.text_max() {
            return Err(QrError::TooLong(place.text_max()));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(QrError::Character);
        }
        let code = QRBuilder::new(text).ecl(place.level()).build().expect("what a place allows fits a code");
        let rows: Vec<Vec<bool>> =
            (0..code.size).map(|y| code[y].iter().map(|module| module.value()).collect()).collect();
        Ok(Qr { svg: Zeroizing::new(draw(&rows)), modules: rows.len() + 2 * QUIET })
    }

    pub(crate) fn svg(&self) -> &str {
        &self.svg
    }

    /// Modules along one side, with the quiet zone.
    pub(crate) fn modules(&self) -> usize {
        self.modules
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
        for place in [Place::Label, Place::Letter] {
            let most = place.text_max();
            assert!(Qr::encode(&"~".repeat(most), place).is_ok());
            let refused = |text: &str| Qr::encode(text, place).err();
            assert_eq!(refused(&"~".repeat(most + 1)), Some(QrError::TooLong(most)));
            assert_eq!(refused(""), Some(QrError::Empty));
            assert_eq!(refused("a\nb"), Some(QrError::Character));
            assert_eq!(refused("é"), Some(QrError::Character));
        }
        let widest = Qr::encode(&"~".repeat(Place::Letter.text_max()), Place::Letter).unwrap();
        assert_eq!(widest.modules(), 17 + 4 * 18 + 2 * QUIET);
    }
}
