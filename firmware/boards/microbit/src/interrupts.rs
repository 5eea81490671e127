//! Interrupts and faults.

use cortex_m_rt::exception;

use crate::{timer, uart};

// A fault may come from a stack that has run over its end: a handler in Rust would push onto it and lock the core
// up. The start-up code wipes all RAM that can hold secrets: it paints the stack and clears static data.
core::arch::global_asm!(
    ".global HardFault",
    ".thumb_func",
    "HardFault:",
    "ldr r0, =_stack_start",
    "mov sp, r0",
    "bl {reset}",
    reset = sym crate::system::reset,
);

/// Without a device's table every interrupt comes here, by number.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    match number {
        timer::IRQ => timer::handle_interrupt(),
        uart::IRQ => uart::handle_interrupt(),
        // Nothing else is enabled.
        _ => crate::system::reset(),
    }
}
