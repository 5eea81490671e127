//! Memory-mapped registers: the closed list of those in use, and the only access to them. A dozen are not
//! worth a peripheral access crate.

/// A 32-bit register of the nRF51822 or its Cortex-M0, by address.
///
/// None of them holds a memory address, drives DMA or the flash controller, or moves the stack or the vector
/// table, so no value written to one can break memory safety.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Register {
    /// CLOCK: starts the 16 MHz crystal.
    HfclkStart = 0x4000_0000,
    /// CLOCK: the crystal runs.
    HfclkStarted = 0x4000_0100,
    /// UART0: starts the transmitter.
    UartStartTx = 0x4000_2008,
    /// UART0: a byte has left.
    UartTxdRdy = 0x4000_211c,
    /// UART0: 4 enables it.
    UartEnable = 0x4000_2500,
    /// UART0: the pin that transmits.
    UartPselTxd = 0x4000_250c,
    /// UART0: the byte to send.
    UartTxd = 0x4000_251c,
    /// UART0: the baud rate, as a multiple of 16 MHz / 2^32.
    UartBaudRate = 0x4000_2524,
    /// GPIO: sets pins high.
    GpioOutSet = 0x5000_0508,
    /// GPIO: makes pins outputs.
    GpioDirSet = 0x5000_0518,
    /// System control: Application Interrupt and Reset Control (ARMv6-M B3.2.6).
    Aircr = 0xe000_ed0c,
}

impl Register {
    pub(crate) fn read(self) -> u32 {
        // SAFETY: an aligned 32-bit register of this part, which may be read at any time.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self as usize).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: an aligned 32-bit register of this part; the list above holds none that a value could misuse.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self as usize).write_volatile(value) }
    }
}
