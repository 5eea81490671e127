//! Memory-mapped registers: the closed list of those in use, and the only access to them. A dozen are not
//! worth a peripheral access crate.

/// A 32-bit register of the nRF51822 or its Cortex-M0, by address.
///
/// None of them holds a memory address, drives DMA or the flash controller, or moves the stack or the vector
/// table, so no value written to one can break memory safety. The flash controller has its own driver.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Register {
    /// CLOCK: starts the 16 MHz crystal.
    HfclkStart = 0x4000_0000,
    /// CLOCK: the crystal runs.
    HfclkStarted = 0x4000_0100,
    /// UART0: starts the receiver.
    UartStartRx = 0x4000_2000,
    /// UART0: starts the transmitter.
    UartStartTx = 0x4000_2008,
    /// UART0: a byte has come.
    UartRxdRdy = 0x4000_2108,
    /// UART0: a byte has left.
    UartTxdRdy = 0x4000_211c,
    /// UART0: which events interrupt.
    UartIntenSet = 0x4000_2304,
    /// UART0: 4 enables it.
    UartEnable = 0x4000_2500,
    /// UART0: the pin that transmits.
    UartPselTxd = 0x4000_250c,
    /// UART0: the pin that receives.
    UartPselRxd = 0x4000_2514,
    /// UART0: the oldest byte received; reading it makes room for the next.
    UartRxd = 0x4000_2518,
    /// UART0: the byte to send.
    UartTxd = 0x4000_251c,
    /// UART0: the baud rate, as a multiple of 16 MHz / 2^32.
    UartBaudRate = 0x4000_2524,
    /// TIMER0: starts counting.
    StopwatchStart = 0x4000_8000,
    /// TIMER0: sets the count to 0.
    StopwatchClear = 0x4000_800c,
    /// TIMER0: copies the count into the first compare register.
    StopwatchCapture0 = 0x4000_8040,
    /// TIMER0: width of the count; 3 is 32 bits.
    StopwatchBitMode = 0x4000_8508,
    /// TIMER0: counts at 16 MHz / 2^n.
    StopwatchPrescaler = 0x4000_8510,
    /// TIMER0: compare register 0.
    StopwatchCc0 = 0x4000_8540,
    /// TIMER1: starts counting.
    TimerStart = 0x4000_9000,
    /// TIMER1: copies the count into the second compare register.
    TimerCapture1 = 0x4000_9044,
    /// TIMER1: the count has reached the first compare register.
    TimerCompare0 = 0x4000_9140,
    /// TIMER1: which events interrupt.
    TimerIntenSet = 0x4000_9304,
    /// TIMER1: width of the count; 0 is 16 bits, the most this timer has.
    TimerBitMode = 0x4000_9508,
    /// TIMER1: counts at 16 MHz / 2^n.
    TimerPrescaler = 0x4000_9510,
    /// TIMER1: compare register 0.
    TimerCc0 = 0x4000_9540,
    /// TIMER1: compare register 1.
    TimerCc1 = 0x4000_9544,
    /// RNG: starts.
    RngStart = 0x4000_d000,
    /// RNG: stops.
    RngStop = 0x4000_d004,
    /// RNG: a byte is there.
    RngValRdy = 0x4000_d100,
    /// RNG: 1 corrects its bias.
    RngConfig = 0x4000_d504,
    /// RNG: the byte.
    RngValue = 0x4000_d508,
    /// GPIO: sets pins high.
    GpioOutSet = 0x5000_0508,
    /// GPIO: sets pins low.
    GpioOutClear = 0x5000_050c,
    /// GPIO: levels of the pins.
    GpioIn = 0x5000_0510,
    /// GPIO: makes pins outputs.
    GpioDirSet = 0x5000_0518,
    /// GPIO: configuration of pin 17, button A.
    GpioCnf17 = 0x5000_0744,
    /// GPIO: configuration of pin 26, button B.
    GpioCnf26 = 0x5000_0768,
    /// NVIC: enables interrupts (ARMv6-M B3.4.3).
    NvicEnable = 0xe000_e100,
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
