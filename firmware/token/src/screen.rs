//! A monochrome picture of 128 x 64 pixels, in the page layout of SSD1306-class displays: a byte is eight pixels
//! below each other, its lowest bit on top. Digits are drawn as seven segments, as large as the code's length
//! allows; text in letters of 3 x 5 cells.

/// Pixels in a row.
pub const WIDTH: usize = 128;

/// Rows.
pub const HEIGHT: usize = 64;

/// Where the digits stand: below the status line, above the bar.
const DIGITS_TOP: usize = 15;
const DIGITS_HEIGHT: usize = 36;
const DIGIT_GAP: usize = 3;
const DIGIT_WIDTH_MAX: usize = 18;

const BAR_TOP: usize = 57;
const BAR_HEIGHT: usize = 6;

/// A letter's cells are squares of this many pixels.
const CELL: usize = 2;
/// Columns from one letter to the next.
pub const LETTER_WIDTH: usize = 4 * CELL;

/// Letters in a line of text.
pub const LINE_MAX: usize = WIDTH / LETTER_WIDTH;

/// Text lines begin at multiples of this many rows.
pub const LINE_HEIGHT: usize = 12;

/// The segments of the digits 0 to 9: a is bit 0 (top), then clockwise b to f, g (middle) is bit 6.
pub const SEGMENTS: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Left column.
    pub x: usize,
    /// Top row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pages: [u8; WIDTH * HEIGHT / 8],
}

impl Default for Frame {
    fn default() -> Self {
        Self { pages: [0; WIDTH * HEIGHT / 8] }
    }
}

/// Where digit `index` of `count` is drawn.
///
/// # Panics
/// If `count` is 0 or more than 11, which no code has.
pub fn digit_area(index: usize, count: usize) -> Area {
    assert!((1..=11).contains(&count), "a code has at most 11 digits");
    let width = ((WIDTH + DIGIT_GAP) / count - DIGIT_GAP).min(DIGIT_WIDTH_MAX);
    let left = (WIDTH + DIGIT_GAP - count * (width + DIGIT_GAP)) / 2;
    Area { x: left + index * (width + DIGIT_GAP), y: DIGITS_TOP, width, height: DIGITS_HEIGHT }
}

/// The rectangle of segment `segment` (0 to 6 for a to g) in a digit's area.
pub fn segment_area(area: Area, segment: usize) -> Area {
    let stroke = (area.width / 4).clamp(2, 4);
    let half = area.height / 2;
    let Area { x, y, width, height } = area;
    let right = x + width - stroke;
    match segment {
        0 => Area { x, y, width, height: stroke },
        1 => Area { x: right, y, width: stroke, height: half },
        2 => Area { x: right, y: y + half, width: stroke, height: height - half },
        3 => Area { x, y: y + height - stroke, width, height: stroke },
        4 => Area { x, y: y + half, width: stroke, height: height - half },
        5 => Area { x, y, width: stroke, height: half },
        _ => Area { x, y: y + half - stroke / 2, width, height: stroke },
    }
}

/// The cells that a letter lights in line `line` (0 to 4) and column `column` of [`LINE_MAX`].
pub fn letter_cells(line: usize, column: usize, letter: u8) -> impl Iterator<Item = Area> {
    let rows = glyph(letter);
    (0..15).filter(move |cell| rows >> (14 - cell) & 1 == 1).map(move |cell| {
        let (x, y) = (column * LETTER_WIDTH + cell % 3 * CELL, line * LINE_HEIGHT + cell / 3 * CELL);
        Area { x, y, width: CELL, height: CELL }
    })
}

impl Frame {
    /// Eight rows per page, eight pages of [`WIDTH`] bytes, as the display takes them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.pages
    }

    /// Whether a pixel is lit; outside nothing is.
    pub fn pixel(&self, x: usize, y: usize) -> bool {
        x < WIDTH && y < HEIGHT && self.pages[y / 8 * WIDTH + x] >> (y % 8) & 1 == 1
    }

    /// Lights a rectangle; what lies outside is cut off.
    pub(crate) fn fill(&mut self, area: Area) {
        for y in area.y..(area.y + area.height).min(HEIGHT) {
            for x in area.x..(area.x + area.width).min(WIDTH) {
                self.pages[y / 8 * WIDTH + x] |= 1 << (y % 8);
            }
        }
    }

    /// A code in large digits; other characters are left blank.
    pub(crate) fn digits(&mut self, ascii: &[u8]) {
        for (index, byte) in ascii.iter().enumerate() {
            let Some(&lit) = SEGMENTS.get(usize::from(byte.wrapping_sub(b'0'))) else { continue };
            let area = digit_area(index, ascii.len());
            (0..7).filter(|segment| lit >> segment & 1 == 1).for_each(|segment| {
                self.fill(segment_area(area, segment));
            });
        }
    }

    /// Text in line `line` (0 to 4), from column `column` of [`LINE_MAX`]. Upper case, digits and some signs.
    pub(crate) fn text(&mut self, line: usize, column: usize, text: &str) {
        for (at, byte) in text.bytes().enumerate() {
            letter_cells(line, column + at, byte).for_each(|cell| self.fill(cell));
        }
    }

    /// Text in the middle of a line.
    pub(crate) fn centred(&mut self, line: usize, text: &str) {
        self.text(line, LINE_MAX.saturating_sub(text.len()) / 2, text);
    }

    /// The bar at the foot, `left` of `whole` long.
    pub(crate) fn bar(&mut self, left: u64, whole: u64) {
        let width = (WIDTH as u64 * left.min(whole)).checked_div(whole).unwrap_or(0) as usize;
        self.fill(Area { x: 0, y: BAR_TOP, width, height: BAR_HEIGHT });
    }

    /// The battery, in the upper right corner.
    pub(crate) fn battery(&mut self, percent: u8) {
        let (x, width, height) = (WIDTH - 20, 16, 10);
        self.fill(Area { x, y: 0, width, height: 1 });
        self.fill(Area { x, y: height - 1, width, height: 1 });
        self.fill(Area { x, y: 0, width: 1, height });
        self.fill(Area { x: x + width - 1, y: 0, width: 1, height });
        self.fill(Area { x: x + width, y: 3, width: 2, height: 4 });
        self.fill(Area { x: x + 2, y: 2, width: 12 * usize::from(percent.min(100)) / 100, height: 6 });
    }
}

/// Five rows of three cells, from the upper left, in the low 15 bits.
const fn glyph(letter: u8) -> u16 {
    match letter {
        b'A' => 0b010_101_111_101_101,
        b'B' => 0b110_101_110_101_110,
        b'C' => 0b011_100_100_100_011,
        b'D' => 0b110_101_101_101_110,
        b'E' => 0b111_100_110_100_111,
        b'F' => 0b111_100_110_100_100,
        b'G' => 0b011_100_101_101_011,
        b'H' => 0b101_101_111_101_101,
        b'I' => 0b111_010_010_010_111,
        b'J' => 0b001_001_001_101_010,
        b'K' => 0b101_101_110_101_101,
        b'L' => 0b100_100_100_100_111,
        b'M' => 0b101_111_111_101_101,
        b'N' => 0b110_101_101_101_101,
        b'O' => 0b010_101_101_101_010,
        b'P' => 0b110_101_110_100_100,
        b'Q' => 0b010_101_101_110_011,
        b'R' => 0b110_101_110_101_101,
        b'S' => 0b011_100_010_001_110,
        b'T' => 0b111_010_010_010_010,
        b'U' => 0b101_101_101_101_111,
        b'V' => 0b101_101_101_101_010,
        b'W' => 0b101_101_111_111_101,
        b'X' => 0b101_101_010_101_101,
        b'Y' => 0b101_101_010_010_010,
        b'Z' => 0b111_001_010_100_111,
        b'0' => 0b111_101_101_101_111,
        b'1' => 0b010_110_010_010_111,
        b'2' => 0b110_001_010_100_111,
        b'3' => 0b110_001_010_001_110,
        b'4' => 0b101_101_111_001_001,
        b'5' => 0b111_100_110_001_110,
        b'6' => 0b011_100_111_101_111,
        b'7' => 0b111_001_010_010_010,
        b'8' => 0b111_101_111_101_111,
        b'9' => 0b111_101_111_001_110,
        b'-' => 0b000_000_111_000_000,
        b'.' => 0b000_000_000_000_010,
        b':' => 0b000_010_000_010_000,
        b'/' => 0b001_001_010_100_100,
        b'=' => 0b000_111_000_111_000,
        b'?' => 0b110_001_010_000_010,
        b'!' => 0b010_010_010_000_010,
        b'*' => 0b000_010_111_010_000,
        b'>' => 0b100_010_001_010_100,
        b'_' => 0b000_000_000_000_111,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_length_lie_inside_and_apart() {
        for count in 1..=11 {
            let mut right = 0;
            for index in 0..count {
                let area = digit_area(index, count);
                assert!(area.x >= right && area.x + area.width <= WIDTH, "{index} of {count}");
                assert!(area.y + area.height <= BAR_TOP && area.width >= 8, "{index} of {count}");
                right = area.x + area.width;
            }
        }
    }

    /// A person reads a digit of 4 mm at arm's length; on a display of 0.96 inches a pixel is 0.17 mm.
    #[test]
    fn six_digits_are_six_millimetres_high() {
        assert!(digit_area(0, 6).height * 17 >= 600 && digit_area(0, 6).width * 17 >= 300);
    }

    #[test]
    fn segments_light_what_they_cover_and_no_two_digits_are_alike() {
        let area = digit_area(0, 6);
        for digit in 0..10u8 {
            let mut frame = Frame::default();
            frame.digits(&[b'0' + digit, b' ', b' ', b' ', b' ', b' ']);
            let lit = (0..7).fold(0, |lit, segment| {
                let Area { x, y, width, height } = segment_area(area, segment);
                lit | u8::from(frame.pixel(x + width / 2, y + height / 2)) << segment
            });
            assert_eq!(lit, SEGMENTS[usize::from(digit)]);
        }
    }

    #[test]
    fn nothing_is_drawn_outside() {
        let mut frame = Frame::default();
        frame.text(5, 15, "WWWW");
        frame.fill(Area { x: 120, y: 60, width: 500, height: 500 });
        frame.bar(9, 3);
        frame.bar(1, 0);
        frame.battery(255);
        assert!(!frame.pixel(WIDTH, 0) && !frame.pixel(0, HEIGHT));
    }
}
