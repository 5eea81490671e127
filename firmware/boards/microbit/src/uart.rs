//! UART0, transmit only, 115200 baud 8N1 on P0.24, which the board's USB interface chip shows as a serial port.

use core::fmt;

use crate::register::Register;

const TX_PIN: u32 = 24;
const ENABLED: u32 = 4;
const BAUD_115200: u32 = 0x01d7_e000;

/// The transmitter. Writing blocks until the last byte has left.
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
        Register::UartBaudRate.write(BAUD_115200);
        Register::UartStartTx.write(1);
        Self(())
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
