//! The running image as it lies in flash.

use core::arch::asm;
use core::ptr::addr_of;

use sha2::{Digest as _, Sha256};

unsafe extern "C" {
    /// Where initial values of static data begin in flash: behind everything else. From cortex-m-rt's link.x.
    static __sidata: u32;
    /// First address of initialised static data.
    static __sdata: u32;
    /// First address behind it.
    static __edata: u32;
}

/// SHA-256 of the image: what `make firmware` prints.
#[inline(never)]
pub(crate) fn sha256() -> [u8; 32] {
    let data = addr_of!(__edata).addr() - addr_of!(__sdata).addr();
    let end = addr_of!(__sidata).addr() + data;
    let mut hash = Sha256::new();
    for at in (0..end).step_by(4) {
        hash.update(word(at).to_le_bytes());
    }
    hash.finalize().into()
}

/// A word of flash. In assembly, because the image begins at address 0, which is no pointer to Rust.
fn word(at: usize) -> u32 {
    let word;
    // SAFETY: reads an aligned word of the image, which is flash; changes nothing.
    unsafe {
        asm!("ldr {word}, [{at}]", word = out(reg) word, at = in(reg) at, options(nostack, readonly, preserves_flags))
    };
    word
}
