//! QR codes (ISO/IEC 18004) as SVG for pages and as text for terminals.

use fast_qr::convert::Builder;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::{ECL, QRBuilder, QRCode};

/// Light modules around the code (ISO/IEC 18004, 6.3.8).
const QUIET_ZONE: usize = 4;
/// Quiet zone on a terminal, where space is dear and readers cope.
const TEXT_QUIET_ZONE: usize = 2;

/// Encodes a text; none when it is too long for any code.
pub fn encode(text: &str) -> Option<QRCode> {
    QRBuilder::new(text).ecl(ECL::M).build().ok()
}

/// The code as an SVG document.
pub fn svg(code: &QRCode) -> String {
    SvgBuilder::default().margin(QUIET_ZONE).to_str(code)
}

/// The code as half blocks, two modules to a character; dark modules are blanks, so that it reads on the
/// usual dark terminal.
pub fn text(code: &QRCode) -> String {
    let size = code.size + 2 * TEXT_QUIET_ZONE;
    let dark = |row: usize, column: usize| {
        let inside = TEXT_QUIET_ZONE..TEXT_QUIET_ZONE + code.size;
        inside.contains(&row)
            && inside.contains(&column)
            && code[row - TEXT_QUIET_ZONE][column - TEXT_QUIET_ZONE].value()
    };
    let mut out = String::new();
    for row in (0..size).step_by(2) {
        for column in 0..size {
            let below = row + 1 >= size || dark(row + 1, column);
            out.push(match (dark(row, column), below) {
                (true, true) => ' ',
                (true, false) => '▄',
                (false, true) => '▀',
                (false, false) => '█',
            });
        }
        out.push('\n');
    }
    out
}
