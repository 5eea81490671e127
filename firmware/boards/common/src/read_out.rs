//! What the option bytes of an STM32U5 say about read-out (RM0456, "Readout protection", and FLASH_OPTR, FLASH_NSSR).
//!
//! Level 1 is not enough: debugger and boot loader still attach, the part can be run under their control, and a
//! return to level 0 is a command away. Level 2 ends all that, unless a key was left with which it can be undone.

const RDP_MASK: u32 = 0xff;
const RDP_LEVEL_2: u32 = 0xcc;
const SWAP_BANK: u32 = 1 << 20;
const OEM2LOCK: u32 = 1 << 19;

/// Whether flash and debug port are closed for good: level 2, and no OEM2 key that leads back to level 1.
pub const fn is_closed(optr: u32, nssr: u32) -> bool {
    optr & RDP_MASK == RDP_LEVEL_2 && nssr & OEM2LOCK == 0
}

/// Whether the part was told to swap its two banks of flash.
pub const fn is_swapped(optr: u32) -> bool {
    optr & SWAP_BANK != 0
}
