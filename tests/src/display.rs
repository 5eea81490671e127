//! An SSD1306 display at four pins, as its data sheet says it behaves, and the digits a person reads from it.

use token::screen::{
    HEIGHT, LETTER_WIDTH, LINE_HEIGHT, LINE_MAX, SEGMENTS, WIDTH, digit_area, letter_cells, segment_area,
};

/// The token's pins (`firmware/boards/microbit/src/ssd1306.rs`).
const CLOCK: u32 = 0;
const DATA: u32 = 1;
const IS_PICTURE: u32 = 2;
const DESELECT: u32 = 8;

const OFF: u8 = 0xae;
const ON: u8 = 0xaf;
/// Sets the columns; two more bytes follow.
const COLUMNS: u8 = 0x21;

/// A whole picture: eight rows in a byte, the lowest bit on top.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture(Vec<u8>);

/// The display.
#[derive(Default)]
pub struct Display {
    data: bool,
    is_picture: bool,
    selected: bool,
    byte: u8,
    bits: u32,
    memory: Vec<u8>,
    on: bool,
}

impl Display {
    /// Takes a change of a pin.
    pub fn handle_edge(&mut self, pin: u32, level: bool) {
        match pin {
            DATA => self.data = level,
            IS_PICTURE => self.is_picture = level,
            DESELECT => {
                self.selected = !level;
                self.bits = 0;
            }
            CLOCK if level && self.selected => {
                self.byte = self.byte << 1 | u8::from(self.data);
                self.bits += 1;
                if self.bits == u8::BITS {
                    self.bits = 0;
                    self.handle_byte();
                }
            }
            _ => {}
        }
    }

    /// Operands of commands pass for commands here; none of the token's is one of these three.
    fn handle_byte(&mut self) {
        match self.byte {
            byte if self.is_picture => self.memory.push(byte),
            OFF => self.on = false,
            ON => self.on = true,
            COLUMNS => self.memory.clear(),
            _ => {}
        }
    }

    /// What is shown; `None` while it is off or half of a picture is there.
    pub fn picture(&self) -> Option<Picture> {
        (self.on && self.memory.len() == WIDTH * HEIGHT / 8).then(|| Picture(self.memory.clone()))
    }
}

impl Picture {
    /// The code of `count` digits, where every pixel of the digits' rows is as it must be.
    pub fn digits(&self, count: usize) -> Option<String> {
        let read = |index| (0..10).find(|&digit| self.shows(index, count, digit));
        let digits: Vec<usize> = (0..count).map(read).collect::<Option<_>>()?;
        let band = digit_area(0, count);
        let between = (0..WIDTH).filter(|x| {
            let inside = |index| {
                let area = digit_area(index, count);
                (area.x..area.x + area.width).contains(x)
            };
            !(0..count).any(inside)
        });
        let dark = between.into_iter().all(|x| (band.y..band.y + band.height).all(|y| !self.pixel(x, y)));
        dark.then(|| digits.iter().map(usize::to_string).collect())
    }

    /// Whether line `line` (0 to 4) is this text and nothing else, where every pixel is as it must be.
    pub fn says(&self, line: usize, text: &str) -> bool {
        let first = LINE_MAX.saturating_sub(text.len()) / 2;
        [0, first].into_iter().any(|first| {
            let letter = |column: usize| {
                column.checked_sub(first).and_then(|at| text.as_bytes().get(at)).copied().unwrap_or(b' ')
            };
            (0..LINE_MAX).all(|column| self.shows_letter(line, column, letter(column)))
        })
    }

    fn shows_letter(&self, line: usize, column: usize, letter: u8) -> bool {
        let lit = |x: usize, y: usize| {
            letter_cells(line, column, letter).any(|cell| {
                (cell.x..cell.x + cell.width).contains(&x) && (cell.y..cell.y + cell.height).contains(&y)
            })
        };
        let (left, top) = (column * LETTER_WIDTH, line * LINE_HEIGHT);
        (top..top + LINE_HEIGHT).all(|y| (left..left + LETTER_WIDTH).all(|x| self.pixel(x, y) == lit(x, y)))
    }

    fn pixel(&self, x: usize, y: usize) -> bool {
        self.0[y / 8 * WIDTH + x] >> (y % 8) & 1 == 1
    }

    fn shows(&self, index: usize, count: usize, digit: usize) -> bool {
        let area = digit_area(index, count);
        let lit = |x: usize, y: usize| {
            (0..7).filter(|segment| SEGMENTS[digit] >> segment & 1 == 1).any(|segment| {
                let part = segment_area(area, segment);
                (part.x..part.x + part.width).contains(&x) && (part.y..part.y + part.height).contains(&y)
            })
        };
        let mut rows = area.y..area.y + area.height;
        rows.all(|y| (area.x..area.x + area.width).all(|x| self.pixel(x, y) == lit(x, y)))
    }
}
