//! Clocks and power: the core at 16 MHz from the internal HSI16, whose 1 % suffices for the UART, without a PLL.
//!
//! What does not get ready here ends in the watchdog's reset.

use stm32_metapac::flash::regs::Acr;
use stm32_metapac::pwr::vals::Vos;
use stm32_metapac::rcc::vals::{Sw, Usart1sel};
use stm32_metapac::{FLASH, PWR, RCC};

/// Of the core, the buses and the UART.
pub(crate) const HERTZ: u32 = 16_000_000;

/// RM0456, flash wait states in voltage range 3: one up to 25 MHz.
const FLASH_WAIT_STATES: u8 = 1;

/// Starts them, and clocks the peripherals in use.
pub(crate) fn start() {
    RCC.ahb3enr().modify(|w| w.set_pwren(true));
    // Not range 4: the random number generator's 48 MHz are not allowed there.
    PWR.vosr().modify(|w| w.set_vos(Vos::RANGE3));
    while !PWR.vosr().read().vosrdy() {}
    FLASH.acr().modify(|w: &mut Acr| w.set_latency(FLASH_WAIT_STATES));
    while FLASH.acr().read().latency() != FLASH_WAIT_STATES {}
    RCC.cr().modify(|w| {
        w.set_hsion(true);
        w.set_hsi48on(true);
    });
    while !(RCC.cr().read().hsirdy() && RCC.cr().read().hsi48rdy()) {}
    RCC.cfgr1().modify(|w| w.set_sw(Sw::HSI));
    while RCC.cfgr1().read().sws() != Sw::HSI {}
    RCC.ccipr1().modify(|w| w.set_usart1sel(Usart1sel::HSI));
    RCC.ahb2enr1().modify(|w| {
        w.set_gpioaen(true);
        w.set_gpioben(true);
        w.set_rngen(true);
    });
    RCC.apb2enr().modify(|w| {
        w.set_usart1en(true);
        w.set_spi1en(true);
    });
    RCC.apb3enr().modify(|w| w.set_rtcapben(true));
    // The peripherals' clocks take two cycles to come; a register that is read back has waited for them.
    let _ = RCC.apb3enr().read();
}
