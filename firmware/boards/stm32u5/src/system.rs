//! The core: rest, reset and the watchdog that does it when nothing else does.

use cortex_m::asm;
use cortex_m::peripheral::SCB;
use stm32_metapac::IWDG;
use stm32_metapac::iwdg::vals::{Key, Pr};

/// 32 kHz / 256: 8 ms.
const WATCHDOG_TICK_MS: u32 = 8;
/// The longest request, two verifications, a key pair and a key agreement on P-256, takes a few seconds.
const WATCHDOG_MS: u32 = 20_000;

/// Resets the part. It begins again.
pub extern "C" fn reset() -> ! {
    SCB::sys_reset()
}

/// Sleeps until the next interrupt, which the timer's tick is at the latest.
pub fn sleep() {
    asm::wfi();
}

/// Starts the independent watchdog. From here on no wait lasts for ever; nothing but a reset stops it.
pub(crate) fn start_watchdog() {
    IWDG.kr().write(|w| w.set_key(Key::START));
    IWDG.kr().write(|w| w.set_key(Key::ENABLE));
    IWDG.pr().write(|w| w.set_pr(Pr::DIVIDE_BY256));
    IWDG.rlr().write(|w| w.set_rl((WATCHDOG_MS / WATCHDOG_TICK_MS) as u16));
    // Its registers take the values in the watchdog's own, slow clock.
    while IWDG.sr().read().pvu() || IWDG.sr().read().rvu() {}
    feed_watchdog();
}

/// Tells the watchdog that the main loop goes round.
pub fn feed_watchdog() {
    IWDG.kr().write(|w| w.set_key(Key::RESET));
}
