//! An SSD1306 display of 128 x 64 pixels behind a write-only line. Nothing is ever read from it, so a missing
//! display goes unnoticed.

const OFF: u8 = 0xae;
const ON: u8 = 0xaf;

/// SSD1306 data sheet revision 1.1, sections 9 and 10, and the charge pump's application note: clock, 64 rows, no
/// offset, charge pump on, horizontal addressing, both directions mirrored, contrast, not inverted.
const INIT: [u8; 24] = [
    OFF, 0xd5, 0x80, 0xa8, 0x3f, 0xd3, 0x00, 0x40, 0x8d, 0x14, 0x20, 0x00, 0xa1, 0xc8, 0xda, 0x12, 0x81,
    0x8f, 0xd9, 0xf1, 0xdb, 0x40, 0xa4, 0xa6,
];

/// Columns 0 to 127, pages 0 to 7: the next picture byte is the first.
const FROM_START: [u8; 6] = [0x21, 0, 127, 0x22, 0, 7];

/// The line to a display: SPI mode 0, highest bit first, with a chip select and a pin that tells commands from
/// the picture.
pub trait Line {
    /// Sends commands.
    fn commands(&mut self, bytes: &[u8]);

    /// Sends a part of the picture.
    fn picture(&mut self, bytes: &[u8]);
}

/// Sets the display up, and leaves it off.
pub fn start(line: &mut impl Line) {
    line.commands(&INIT);
}

/// Shows a picture of eight pages of 128 bytes, or switches the display off.
pub fn show(line: &mut impl Line, picture: Option<&[u8]>) {
    let Some(picture) = picture else { return line.commands(&[OFF]) };
    line.commands(&FROM_START);
    line.picture(picture);
    line.commands(&[ON]);
}
