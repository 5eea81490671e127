//! The board as the token sees it.

use common::{ssd1306, version_part};
use token::screen::Frame;
use token::{Buttons, Platform, RngFault, Rtc};

use crate::display::Line;
use crate::flash::{self, Pages};
use crate::timer::Timer;
use crate::uart::Uart;
use crate::{buttons, clocks, image, key, rng, rtc, stack, system};

/// Major, minor, patch, from the manifest.
const VERSION: [u8; 3] = [
    version_part(env!("CARGO_PKG_VERSION_MAJOR")),
    version_part(env!("CARGO_PKG_VERSION_MINOR")),
    version_part(env!("CARGO_PKG_VERSION_PATCH")),
];

/// The board.
#[derive(Debug)]
pub struct Board {
    state: Pages,
    uart: Uart,
    timer: Timer,
    display: Line,
    hash: Option<[u8; 32]>,
}

impl Board {
    /// Starts everything on the board.
    ///
    /// # Panics
    /// When called a second time after a reset.
    pub fn start() -> Self {
        let core = cortex_m::Peripherals::take().expect("called once per reset");
        system::start_watchdog();
        clocks::start();
        let timer = Timer::start(core.SYST);
        buttons::start();
        rtc::start();
        let display = Line::start();
        Self { state: Pages::state(), uart: Uart::start(), timer, display, hash: None }
    }
}

impl Platform for Board {
    type Flash = Pages;

    fn flash(&mut self) -> &mut Pages {
        &mut self.state
    }

    /// Without one, all zeros: the state that the factory put under the real one is then not readable, which is what
    /// a fault should look like.
    fn device_key(&mut self) -> [u8; 32] {
        key::get().unwrap_or_default()
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), RngFault> {
        rng::fill(bytes)
    }

    fn now_ms(&mut self) -> u64 {
        self.timer.now_ms()
    }

    fn rtc(&mut self) -> Option<Rtc> {
        rtc::read()
    }

    fn buttons(&mut self) -> Buttons {
        buttons::read()
    }

    fn show(&mut self, frame: Option<&Frame>) {
        ssd1306::show(&mut self.display, frame.map(Frame::as_bytes));
    }

    fn uart_read(&mut self) -> Option<u8> {
        self.uart.receive()
    }

    fn uart_write(&mut self, bytes: &[u8]) {
        self.uart.send_all(bytes);
    }

    /// The part can measure its supply, but what a voltage says about a cell depends on the cell, and none has been
    /// chosen and measured.
    fn battery_percent(&mut self) -> Option<u8> {
        None
    }

    fn readout_protected(&mut self) -> bool {
        flash::is_read_out_closed()
    }

    fn stack_used(&mut self) -> Option<u32> {
        Some(stack::peak() as u32)
    }

    fn firmware_version(&self) -> [u8; 3] {
        VERSION
    }

    fn firmware_hash(&mut self) -> [u8; 32] {
        *self.hash.get_or_insert_with(image::sha256)
    }
}
