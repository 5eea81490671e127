//! The true random number generator, NIST SP 800-90B, with its health tests.
//!
//! Each call starts it anew: its conditioning begins with fresh noise, a fault of an earlier call is gone if it was
//! one, and it draws no current in between.

use stm32_metapac::RNG;
use stm32_metapac::rng::vals::{Clkdiv, Htcfg, Nistc, RngConfig1, RngConfig2, RngConfig3};
use token::RngFault;

use crate::timer;

/// Four words take some ten microseconds, a start less than a millisecond; what takes this long never comes.
const WAIT_MS: u32 = 50;

/// Fills `bytes`. What was written before a fault is wiped.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), RngFault> {
    let filled = start().and_then(|()| bytes.chunks_mut(size_of::<u32>()).try_for_each(fill_chunk));
    RNG.cr().modify(|w| w.set_rngen(false));
    if filled.is_err() {
        bytes.fill(0);
    }
    filled
}

/// RM0456, RNG configuration A, the one that its certificate is for; the health tests' bounds go with it.
fn start() -> Result<(), RngFault> {
    RNG.cr().write(|w| {
        w.set_nistc(Nistc::DEFAULT);
        w.set_rng_config1(RngConfig1::CONFIG_A);
        w.set_clkdiv(Clkdiv::NO_DIV);
        w.set_rng_config2(RngConfig2::CONFIG_A_B);
        w.set_rng_config3(RngConfig3::CONFIG_A);
        w.set_condrst(true);
    });
    RNG.htcr().write(|w| w.set_htcfg(Htcfg::MAGIC));
    RNG.htcr().write(|w| w.set_htcfg(Htcfg::RECOMMENDED));
    RNG.cr().modify(|w| w.set_condrst(false));
    let is_reset = timer::wait_for(WAIT_MS, || !RNG.cr().read().condrst());
    RNG.sr().write(|w| {
        w.set_seis(false);
        w.set_ceis(false);
    });
    RNG.cr().modify(|w| w.set_rngen(true));
    if is_reset { Ok(()) } else { Err(RngFault) }
}

fn fill_chunk(chunk: &mut [u8]) -> Result<(), RngFault> {
    let is_ready = timer::wait_for(WAIT_MS, || RNG.sr().read().drdy());
    let status = RNG.sr().read();
    // A health test or the clock failed, now or since the start.
    let has_failed = status.seis() || status.ceis() || status.secs() || status.cecs();
    let word = RNG.dr().read();
    // RM0456: a word of zeros is what the register holds when it has none.
    if !is_ready || has_failed || word == 0 {
        return Err(RngFault);
    }
    chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    Ok(())
}
