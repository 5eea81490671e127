//! The display's line: SPI1 as a transmitter, mode 0, 4 MHz (the display takes 10).

use common::ssd1306;
use stm32_metapac::gpio::vals::Moder;
use stm32_metapac::spi::vals::{Comm, Master, Mbr};
use stm32_metapac::{GPIOA, GPIOB, SPI1};

const PIN_SELECT: usize = 4;
const PIN_CLOCK: usize = 5;
const PIN_DATA: usize = 7;
/// On port B: high for picture bytes, low for commands.
const PIN_IS_PICTURE: usize = 0;
const ALTERNATE_SPI1: u8 = 5;

/// A picture leaves in two milliseconds; what has not after this long is dropped.
const SEND_MS: u32 = 20;

/// The line. A value of it may send.
#[derive(Debug)]
pub(crate) struct Line(());

impl Line {
    /// Sets line and display up, and leaves the display off.
    pub(crate) fn start() -> Self {
        GPIOA.bsrr().write(|w| w.set_bs(PIN_SELECT, true));
        GPIOA.moder().modify(|w| w.set_moder(PIN_SELECT, Moder::OUTPUT));
        GPIOB.moder().modify(|w| w.set_moder(PIN_IS_PICTURE, Moder::OUTPUT));
        for pin in [PIN_CLOCK, PIN_DATA] {
            GPIOA.afr(0).modify(|w| w.set_afr(pin, ALTERNATE_SPI1));
            GPIOA.moder().modify(|w| w.set_moder(pin, Moder::ALTERNATE));
        }
        // Before it becomes master: with the select input low it would take itself for a slave.
        SPI1.cr1().write(|w| w.set_ssi(true));
        SPI1.cfg1().write(|w| {
            w.set_dsize(8 - 1);
            w.set_mbr(Mbr::DIV4);
        });
        SPI1.cfg2().write(|w| {
            w.set_comm(Comm::TRANSMITTER);
            w.set_master(Master::MASTER);
            w.set_ssm(true);
            w.set_afcntr(true);
        });
        let mut line = Self(());
        ssd1306::start(&mut line);
        line
    }

    #[inline(never)]
    fn send(&mut self, bytes: &[u8]) {
        GPIOA.bsrr().write(|w| w.set_br(PIN_SELECT, true));
        SPI1.cr2().write(|w| w.set_tsize(bytes.len() as u16));
        SPI1.cr1().modify(|w| w.set_spe(true));
        SPI1.cr1().modify(|w| w.set_cstart(true));
        let sent = bytes.iter().all(|&byte| {
            let has_room = crate::timer::wait_for(SEND_MS, || SPI1.sr().read().txp());
            if has_room {
                SPI1.txdr8().write_value(byte);
            }
            has_room
        });
        if sent {
            crate::timer::wait_for(SEND_MS, || SPI1.sr().read().eot());
        }
        SPI1.ifcr().write(|w| {
            w.set_eotc(true);
            w.set_txtfc(true);
        });
        // Also empties what could not be sent.
        SPI1.cr1().modify(|w| w.set_spe(false));
        GPIOA.bsrr().write(|w| w.set_bs(PIN_SELECT, true));
    }
}

impl ssd1306::Line for Line {
    fn commands(&mut self, bytes: &[u8]) {
        GPIOB.bsrr().write(|w| w.set_br(PIN_IS_PICTURE, true));
        self.send(bytes);
    }

    fn picture(&mut self, bytes: &[u8]) {
        GPIOB.bsrr().write(|w| w.set_bs(PIN_IS_PICTURE, true));
        self.send(bytes);
    }
}
