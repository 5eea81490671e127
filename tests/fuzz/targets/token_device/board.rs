//! The token's board in memory, in virtual time: what the fuzzer turns is public, what the token did is kept.

use std::collections::VecDeque;

use token::screen::{Frame, LINE_MAX, SEGMENTS, digit_area, letter_cells, segment_area};
use token::{Buttons, Platform, RngFault, Rtc};

use crate::flash::Flash;

const DIGITS: usize = 6;
/// Digits of a question.
pub(crate) const QUESTION: usize = 8;
/// What stands above a question, and in which line that is typed.
const TITLE: &str = "QUESTION";
const TYPED: usize = 2;
/// What every question of the line says.
const PRESENCE: &str = "NEXT: YES";

pub(crate) struct Board {
    pub(crate) flash: Flash,
    pub(crate) now_ms: u64,
    pub(crate) rtc: Rtc,
    pub(crate) buttons: Buttons,
    pub(crate) from_host: VecDeque<u8>,
    pub(crate) to_host: Vec<u8>,
    /// What the display has shown since it was last looked at.
    pub(crate) shown: Vec<Option<Frame>>,
    noise: u64,
}

impl Board {
    pub(crate) fn new(flash: Flash, starts: u64) -> Self {
        Self {
            flash,
            now_ms: 0,
            rtc: Rtc { run: 1, seconds: 1_000 },
            buttons: Buttons::default(),
            from_host: VecDeque::new(),
            to_host: Vec::new(),
            shown: Vec::new(),
            noise: (starts + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }
}

/// The code in a picture, if there is one.
pub(crate) fn code(frame: &Frame) -> Option<String> {
    (0..DIGITS).map(|index| digit(frame, index)).collect()
}

/// The question that is being typed, if the picture asks for one: its digits, `None` until it has all of them.
pub(crate) fn question(frame: &Frame) -> Option<Option<u32>> {
    let asks = says(frame, 0, TITLE);
    let typed = || {
        let columns = (LINE_MAX - QUESTION) / 2..(LINE_MAX + QUESTION) / 2;
        let digits: Option<String> = columns.map(|column| typed_digit(frame, column)).collect();
        digits?.parse().ok()
    };
    asks.then(typed)
}

/// Of the digits that are lit the one with the most cells: the others are parts of it.
fn typed_digit(frame: &Frame, column: usize) -> Option<char> {
    let lit = (b'0'..=b'9').filter(|&digit| is_lit(frame, TYPED, column, digit));
    lit.max_by_key(|&digit| letter_cells(TYPED, column, digit).count()).map(char::from)
}

/// Whether the picture asks for a person's word; what it showed before is only covered.
pub(crate) fn asks_presence(frame: &Frame) -> bool {
    says(frame, 3, PRESENCE)
}

fn says(frame: &Frame, line: usize, text: &str) -> bool {
    text.bytes().enumerate().all(|(column, letter)| is_lit(frame, line, column, letter))
}

fn is_lit(frame: &Frame, line: usize, column: usize, letter: u8) -> bool {
    letter_cells(line, column, letter).all(|cell| frame.pixel(cell.x, cell.y))
}

fn digit(frame: &Frame, index: usize) -> Option<char> {
    let area = digit_area(index, DIGITS);
    let lit = (0..7).fold(0, |lit, segment| {
        let part = segment_area(area, segment);
        lit | u8::from(frame.pixel(part.x + part.width / 2, part.y + part.height / 2)) << segment
    });
    let digit = SEGMENTS.iter().position(|&segments| segments == lit)?;
    char::from_digit(digit as u32, 10)
}

impl Platform for Board {
    type Flash = Flash;

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn device_key(&mut self) -> [u8; 32] {
        [17; 32]
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), RngFault> {
        for byte in bytes {
            self.noise ^= self.noise << 13;
            self.noise ^= self.noise >> 7;
            self.noise ^= self.noise << 17;
            *byte = (self.noise >> 24) as u8;
        }
        Ok(())
    }

    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }

    fn rtc(&mut self) -> Option<Rtc> {
        Some(self.rtc)
    }

    fn buttons(&mut self) -> Buttons {
        self.buttons
    }

    fn show(&mut self, frame: Option<&Frame>) {
        self.shown.push(frame.cloned());
    }

    fn uart_read(&mut self) -> Option<u8> {
        self.from_host.pop_front()
    }

    fn uart_write(&mut self, bytes: &[u8]) {
        self.to_host.extend_from_slice(bytes);
    }

    fn battery_percent(&mut self) -> Option<u8> {
        Some(80)
    }

    fn readout_protected(&mut self) -> bool {
        true
    }

    fn stack_used(&mut self) -> Option<u32> {
        None
    }

    fn firmware_version(&self) -> [u8; 3] {
        [0, 1, 0]
    }

    fn firmware_hash(&mut self) -> [u8; 32] {
        [7; 32]
    }
}
