//! UART0, 115200 baud 8N1 on P0.24 and P0.25, which the board's USB interface chip shows as a serial port.
//! The receiver holds six bytes, so an interrupt empties it into a ring.

use core::fmt;

use common::ring::Ring;

use crate::register::Register;
use crate::timer;

/// UART0's bit in the NVIC, and its number.
pub(crate) const IRQ: i16 = 2;
const TX_PIN: u32 = 24;
const RX_PIN: u32 = 25;
const ENABLED: u32 = 4;
const BAUD_115200: u32 = 0x01d7_e000;
const RXDRDY_INTERRUPTS: u32 = 1 << 2;

/// More than the longest frame, which is all that a host sends before it waits.
const RING: usize = 640;

/// A byte leaves in a tenth of a millisecond; when it has not after this long, the rest is dropped.
const BYTE_MS: u32 = 100;

static RECEIVED: Ring<RING> = Ring::new();

/// The serial port.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    /// Starts the crystal oscillator, which the baud rate needs, and the transmitter.
    pub fn start() -> Self {
        Register::HfclkStart.write(1);
        while Register::HfclkStarted.read() == 0 {}
        Register::GpioOutSet.write(1 << TX_PIN);
        Register::GpioDirSet.write(1 << TX_PIN);
        // QEMU ignores every other register of the UART until it is enabled.
        Register::UartEnable.write(ENABLED);
        Register::UartPselTxd.write(TX_PIN);
        Register::UartPselRxd.write(RX_PIN);
        Register::UartBaudRate.write(BAUD_115200);
        Register::UartStartTx.write(1);
        Self(())
    }

    /// Starts the receiver and its interrupt.
    pub(crate) fn start_receiver(&mut self) {
        Register::UartRxdRdy.write(0);
        Register::UartIntenSet.write(RXDRDY_INTERRUPTS);
        Register::NvicEnable.write(1 << IRQ);
        Register::UartStartRx.write(1);
    }

    /// The oldest byte that came.
    pub(crate) fn receive(&mut self) -> Option<u8> {
        RECEIVED.take()
    }

    /// Sends bytes, while they leave. Needs the timer.
    pub(crate) fn send_all(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let since = timer::milliseconds();
            Register::UartTxdRdy.write(0);
            Register::UartTxd.write(u32::from(byte));
            while Register::UartTxdRdy.read() == 0 {
                if timer::milliseconds().wrapping_sub(since) > BYTE_MS {
                    return;
                }
            }
        }
    }

    /// Sends one byte and waits until it is out. The wait comes after the byte because TXDRDY does not
    /// report an idle transmitter: it is only ever set by a byte that was sent.
    fn send(&mut self, byte: u8) {
        Register::UartTxdRdy.write(0);
        Register::UartTxd.write(u32::from(byte));
        while Register::UartTxdRdy.read() == 0 {}
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.send(byte));
        Ok(())
    }
}

/// A byte has come. One per interrupt: the event stays set while others wait.
pub(crate) fn handle_interrupt() {
    Register::UartRxdRdy.write(0);
    RECEIVED.put(Register::UartRxd.read() as u8);
}
