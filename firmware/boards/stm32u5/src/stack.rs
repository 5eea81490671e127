//! How deep the stack has been. The start-up code paints it before `main` (feature `paint-stack`).

use core::ptr::addr_of;

/// What the start-up code paints (cortex-m-rt, `STACK_PAINT_VALUE`).
const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    /// Lowest address of the stack, from `memory.x`.
    static _stack_end: u32;
    /// First address above the stack, from `memory.x`.
    static _stack_start: u32;
}

/// Bytes of stack used at the deepest point since the last reset.
pub(crate) fn peak() -> usize {
    let (end, start) = (addr_of!(_stack_end), addr_of!(_stack_start));
    let words = (start.addr() - end.addr()) / size_of::<u32>();
    let untouched = (0..words)
        .take_while(|&word| {
            // SAFETY: the word lies between the two ends that memory.x gives the stack, all of it is RAM, and
            // the volatile read makes no claim about whose frame it belongs to.
            unsafe { end.add(word).read_volatile() == PAINT }
        })
        .count();
    (words - untouched) * size_of::<u32>()
}
