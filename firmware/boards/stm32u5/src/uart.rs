//! USART1, 115200 baud 8N1. An interrupt empties the receiver, which holds eight bytes, into a ring: it goes on while
//! the core computes and while flash is erased, because the image lies in the other bank.

use common::ring::Ring;
use cortex_m::peripheral::NVIC;
use stm32_metapac::gpio::vals::{Moder, Pupdr};
use stm32_metapac::{GPIOA, USART1, interrupt};

use crate::{clocks, timer};

const PIN_TX: usize = 9;
const PIN_RX: usize = 10;
const ALTERNATE_USART1: u8 = 7;
const BAUD: u32 = 115_200;

/// More than the longest frame, which is all that a host sends before it waits.
const RING: usize = 640;

/// A byte leaves in a tenth of a millisecond; when it has not after this long, the rest is dropped.
const BYTE_MS: u32 = 100;

static RECEIVED: Ring<RING> = Ring::new();

/// The serial port.
#[derive(Debug)]
pub(crate) struct Uart(());

impl Uart {
    /// Starts both directions.
    pub(crate) fn start() -> Self {
        GPIOA.pupdr().modify(|w| w.set_pupdr(PIN_RX, Pupdr::PULL_UP));
        for pin in [PIN_TX, PIN_RX] {
            GPIOA.afr(1).modify(|w| w.set_afr(pin - 8, ALTERNATE_USART1));
            GPIOA.moder().modify(|w| w.set_moder(pin, Moder::ALTERNATE));
        }
        USART1.brr().write(|w| w.set_brr(((clocks::HERTZ + BAUD / 2) / BAUD) as u16));
        // An overrun loses a byte, which the frame's checksum tells; it must not stop the receiver.
        USART1.cr3().write(|w| w.set_ovrdis(true));
        // The first of these can only be set while it is disabled.
        USART1.cr1().write(|w| w.set_fifoen(true));
        USART1.cr1().modify(|w| w.set_ue(true));
        USART1.cr1().modify(|w| {
            w.set_re(true);
            w.set_te(true);
            w.set_rxneie(true);
        });
        // SAFETY: no critical section of this image relies on the interrupt being masked; it shares the ring alone.
        unsafe { NVIC::unmask(interrupt::USART1) };
        Self(())
    }

    /// The oldest byte that came.
    pub(crate) fn receive(&mut self) -> Option<u8> {
        RECEIVED.take()
    }

    /// Sends bytes, while they leave.
    pub(crate) fn send_all(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if !timer::wait_for(BYTE_MS, || USART1.isr().read().txe()) {
                return;
            }
            USART1.tdr().write(|w| w.set_dr(u16::from(byte)));
        }
    }
}

#[interrupt]
fn USART1() {
    while USART1.isr().read().rxne() {
        RECEIVED.put(USART1.rdr().read().dr() as u8);
    }
}
