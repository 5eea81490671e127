//! An SSD1306 display of 128 x 64 pixels on four pins of the edge connector: SPI mode 0, write only, in software.
//! Nothing is ever read from it, so a missing display goes unnoticed.

use token::screen::Frame;

use crate::register::Register;

const CLOCK: u32 = 1 << 0;
const DATA: u32 = 1 << 1;
/// High for picture bytes, low for commands.
const IS_PICTURE: u32 = 1 << 2;
/// Chip select, low while bytes go out.
const DESELECT: u32 = 1 << 8;

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

/// Sets the display up, and leaves it off.
pub(crate) fn start() {
    Register::GpioOutSet.write(DESELECT);
    Register::GpioOutClear.write(CLOCK | DATA | IS_PICTURE);
    Register::GpioDirSet.write(CLOCK | DATA | IS_PICTURE | DESELECT);
    commands(&INIT);
}

/// Shows a picture, or switches the display off.
pub(crate) fn show(frame: Option<&Frame>) {
    let Some(frame) = frame else { return commands(&[OFF]) };
    commands(&FROM_START);
    Register::GpioOutSet.write(IS_PICTURE);
    send(frame.as_bytes());
    commands(&[ON]);
}

fn commands(bytes: &[u8]) {
    Register::GpioOutClear.write(IS_PICTURE);
    send(bytes);
}

/// Highest bit first; the display takes each at the clock's rise.
#[inline(never)]
fn send(bytes: &[u8]) {
    Register::GpioOutClear.write(DESELECT);
    for byte in bytes {
        for bit in (0..8).rev() {
            let level = if byte >> bit & 1 == 1 { Register::GpioOutSet } else { Register::GpioOutClear };
            level.write(DATA);
            Register::GpioOutSet.write(CLOCK);
            Register::GpioOutClear.write(CLOCK);
        }
    }
    Register::GpioOutSet.write(DESELECT);
}
