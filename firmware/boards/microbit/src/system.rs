//! The end of a run.

use core::fmt::Write as _;

use crate::register::Register;
use crate::uart::Uart;

/// The key that AIRCR wants with each write, and the reset request.
const VECTKEY_SYSRESETREQ: u32 = 0x05fa_0004;

/// Resets the part. A board begins again; an emulator that was told not to reboot ends.
pub fn reset() -> ! {
    Register::Aircr.write(VECTKEY_SYSRESETREQ);
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut uart = Uart::start();
    let _ = writeln!(uart, "!PANIC {info}");
    reset()
}
