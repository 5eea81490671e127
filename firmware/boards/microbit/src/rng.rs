//! The true random number generator, with its bias correction on.

use token::RngFault;

use crate::register::Register;
use crate::timer;

/// A byte takes less than a millisecond; one that takes this long never comes. An emulator on a machine with much else
/// to do is that slow now and then, and no token is healthier for giving up sooner.
const BYTE_MS: u32 = 1_000;

/// Fills `bytes`.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), RngFault> {
    Register::RngConfig.write(1);
    Register::RngValRdy.write(0);
    Register::RngStart.write(1);
    let filled = bytes.iter_mut().try_for_each(|byte| {
        *byte = next()?;
        Ok(())
    });
    Register::RngStop.write(1);
    filled
}

fn next() -> Result<u8, RngFault> {
    let since = timer::milliseconds();
    while Register::RngValRdy.read() == 0 {
        if timer::milliseconds().wrapping_sub(since) > BYTE_MS {
            return Err(RngFault);
        }
    }
    // Before the value: the next one may be there as soon as this one was read.
    Register::RngValRdy.write(0);
    Ok(Register::RngValue.read() as u8)
}
