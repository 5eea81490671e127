//! The line to an SSD1306 display on four pins of the edge connector: SPI mode 0, write only, in software.

use common::ssd1306;

use crate::register::Register;

const CLOCK: u32 = 1 << 0;
const DATA: u32 = 1 << 1;
/// High for picture bytes, low for commands.
const IS_PICTURE: u32 = 1 << 2;
/// Chip select, low while bytes go out.
const DESELECT: u32 = 1 << 8;

/// Sets the display up, and leaves it off.
pub(crate) fn start() {
    Register::GpioOutSet.write(DESELECT);
    Register::GpioOutClear.write(CLOCK | DATA | IS_PICTURE);
    Register::GpioDirSet.write(CLOCK | DATA | IS_PICTURE | DESELECT);
    ssd1306::start(&mut Pins);
}

/// Those four pins.
pub(crate) struct Pins;

impl ssd1306::Line for Pins {
    fn commands(&mut self, bytes: &[u8]) {
        Register::GpioOutClear.write(IS_PICTURE);
        send(bytes);
    }

    fn picture(&mut self, bytes: &[u8]) {
        Register::GpioOutSet.write(IS_PICTURE);
        send(bytes);
    }
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
