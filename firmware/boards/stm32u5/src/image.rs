//! The running image as it lies in flash.

use core::ptr::addr_of;

use sha2::{Digest as _, Sha256};

unsafe extern "C" {
    /// First address of the image. From cortex-m-rt's link.x, as the others.
    static __vector_table: u8;
    /// Where initial values of static data begin in flash: behind everything else.
    static __sidata: u8;
    /// First address of initialised static data.
    static __sdata: u8;
    /// First address behind it.
    static __edata: u8;
}

/// SHA-256 of the image: what `make firmware` prints.
#[inline(never)]
pub(crate) fn sha256() -> [u8; 32] {
    let data = addr_of!(__edata).addr() - addr_of!(__sdata).addr();
    let len = addr_of!(__sidata).addr() + data - addr_of!(__vector_table).addr();
    // SAFETY: the linker puts the image there, in flash that nothing changes while it runs, without a gap.
    let image = unsafe { core::slice::from_raw_parts(addr_of!(__vector_table), len) };
    Sha256::digest(image).into()
}
