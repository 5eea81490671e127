//! The core: rest and reset.

use crate::register::Register;

/// The key that AIRCR wants with each write, and the reset request.
const VECTKEY_SYSRESETREQ: u32 = 0x05fa_0004;

/// Resets the part. A board begins again; an emulator that was told not to reboot ends.
pub extern "C" fn reset() -> ! {
    Register::Aircr.write(VECTKEY_SYSRESETREQ);
    loop {
        core::hint::spin_loop();
    }
}

/// Sleeps until the next interrupt, which the timer's tick is at the latest.
pub fn sleep() {
    // SAFETY: waits; touches neither memory nor registers.
    unsafe { core::arch::asm!("wfi", options(nomem, nostack, preserves_flags)) };
}
