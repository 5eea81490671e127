//! The buttons: to ground, with the part's own pull-ups.

use stm32_metapac::GPIOB;
use stm32_metapac::gpio::vals::{Idr, Moder, Pupdr};
use token::Buttons;

const PIN_NEXT: usize = 6;
const PIN_MENU: usize = 7;

pub(crate) fn start() {
    for pin in [PIN_NEXT, PIN_MENU] {
        GPIOB.pupdr().modify(|w| w.set_pupdr(pin, Pupdr::PULL_UP));
        GPIOB.moder().modify(|w| w.set_moder(pin, Moder::INPUT));
    }
}

pub(crate) fn read() -> Buttons {
    let levels = GPIOB.idr().read();
    let is_down = |pin| levels.idr(pin) == Idr::LOW;
    Buttons { next: is_down(PIN_NEXT), menu: is_down(PIN_MENU) }
}
