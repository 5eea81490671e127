//! Buttons A (next) and B (menu): to ground, with the part's own pull-ups.

use token::Buttons;

use crate::register::Register;

const PIN_NEXT: u32 = 17;
const PIN_MENU: u32 = 26;
/// An input with its buffer connected and its pull-up on.
const INPUT_PULL_UP: u32 = 3 << 2;

pub(crate) fn start() {
    Register::GpioCnf17.write(INPUT_PULL_UP);
    Register::GpioCnf26.write(INPUT_PULL_UP);
}

pub(crate) fn read() -> Buttons {
    let levels = Register::GpioIn.read();
    let is_down = |pin: u32| levels >> pin & 1 == 0;
    Buttons { next: is_down(PIN_NEXT), menu: is_down(PIN_MENU) }
}
