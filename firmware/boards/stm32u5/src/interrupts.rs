//! Interrupts and faults.

use cortex_m_rt::exception;

use crate::{flash, system};

// A fault may come from a stack that has run into its limit (STKOF, ARMv8-M, as a HardFault because no other is
// enabled): a handler in Rust would push onto it and lock the core up. The start-up code wipes all RAM that can hold
// secrets: it paints the stack and clears static data.
core::arch::global_asm!(
    ".global HardFault",
    ".thumb_func",
    "HardFault:",
    "ldr r0, =_stack_start",
    "mov sp, r0",
    "bl {reset}",
    reset = sym crate::system::reset,
);

/// Flash that cannot be corrected.
#[exception]
unsafe fn NonMaskableInt() {
    if !flash::handle_torn_unit() {
        system::reset();
    }
}

/// Nothing else is enabled.
#[exception]
unsafe fn DefaultHandler(_: i16) {
    system::reset();
}
