//! The battery-backed count of seconds: the part's RTC on the 32 kHz crystal, with the number of its run in the first
//! backup register. Both are in the domain that VBAT supplies and are lost together.

use common::calendar;
use stm32_metapac::rcc::vals::{Lsedrv, Rtcsel};
use stm32_metapac::rtc::regs::Dr;
use stm32_metapac::rtc::vals::Key;
use stm32_metapac::{PWR, RCC, RTC, TAMP};
use token::Rtc;

use crate::{rng, timer};

/// The backup register that holds the run's number; 0 when there is none.
const RUN: usize = 0;

/// The RTC enters its initialisation within two cycles of its clock, 0.1 ms.
const INIT_MS: u32 = 10;

/// Reads of time and date until two are equal: a second lies between two changes.
const READS_MAX: u32 = 4;

/// Opens the domain. A count that did not go on, or that was being set when the power went, begins anew.
pub(crate) fn start() {
    PWR.dbpcr().modify(|w| w.set_dbp(true));
    let goes_on = RCC.bdcr().read().rtcsel() == Rtcsel::LSE
        && RTC.icsr().read().inits()
        && TAMP.bkpr(RUN).read().bkp() != 0
        && !RCC.bdcr().read().lsecssd();
    if !goes_on {
        RCC.bdcr().modify(|w| w.set_bdrst(true));
        RCC.bdcr().modify(|w| w.set_bdrst(false));
        RCC.bdcr().modify(|w| w.set_lsedrv(Lsedrv::MEDIUM_HIGH));
        // It takes up to two seconds: nobody waits here, the count begins when it is asked for after that.
        RCC.bdcr().modify(|w| w.set_lseon(true));
    }
}

/// The count now, or `None` while the crystal does not swing.
pub(crate) fn read() -> Option<Rtc> {
    let domain = RCC.bdcr().read();
    if !domain.lserdy() || domain.lsecssd() {
        return None;
    }
    let run = match TAMP.bkpr(RUN).read().bkp() {
        0 => begin()?,
        run => run,
    };
    Some(Rtc { run, seconds: seconds()? })
}

fn seconds() -> Option<u32> {
    (0..READS_MAX).find_map(|_| {
        let (tr, dr) = (RTC.tr().read().0, RTC.dr().read().0);
        (RTC.tr().read().0 == tr).then(|| calendar::seconds(tr, dr)).flatten()
    })
}

/// Begins a run. Its number comes last: without it the next start begins again.
#[inline(never)]
fn begin() -> Option<u32> {
    let mut run = [0; 4];
    rng::fill(&mut run).ok()?;
    let run = u32::from_le_bytes(run);
    RCC.bdcr().modify(|w| {
        w.set_rtcsel(Rtcsel::LSE);
        w.set_rtcen(true);
    });
    RTC.wpr().write(|w| w.set_key(Key::DEACTIVATE1));
    RTC.wpr().write(|w| w.set_key(Key::DEACTIVATE2));
    RTC.icsr().modify(|w| w.set_init(true));
    let is_stopped = timer::wait_for(INIT_MS, || RTC.icsr().read().initf());
    if is_stopped {
        // The divider's reset value makes one second of 32768 cycles.
        RTC.tr().write(|w| w.0 = 0);
        RTC.dr().write_value(Dr(calendar::BEGIN));
        // Reads go to the counters themselves: the copies may be of before a sleep.
        RTC.cr().modify(|w| w.set_bypshad(true));
    }
    RTC.icsr().modify(|w| w.set_init(false));
    RTC.wpr().write(|w| w.set_key(Key::ACTIVATE));
    // A crystal that stops later is noticed, and the count with it.
    RCC.bdcr().modify(|w| w.set_lsecsson(true));
    if !is_stopped || run == 0 {
        return None;
    }
    TAMP.bkpr(RUN).write(|w| w.set_bkp(run));
    Some(run)
}
