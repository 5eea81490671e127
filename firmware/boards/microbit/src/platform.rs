//! The board as the token sees it.

use common::version_part;
use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use token::screen::Frame;
use token::{Buttons, Platform, RngFault, Rtc};

use crate::nvmc::{self, Pages};
use crate::timer::Timer;
use crate::uart::Uart;
use crate::{buttons, image, rng, ssd1306, stack};

/// Behind the chip's key, once all of it is written.
const KEY_WRITTEN: [u8; 4] = *b"key1";

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
    /// Number of this run of the clock: there is no battery behind it, each start begins a new one.
    run: Option<u32>,
    hash: Option<[u8; 32]>,
}

impl Board {
    /// Starts everything on the board. Once per reset.
    pub fn start() -> Self {
        nvmc::close_readout();
        let timer = Timer::start();
        buttons::start();
        ssd1306::start();
        let mut run = [0; 4];
        let run = rng::fill(&mut run).ok().map(|()| u32::from_le_bytes(run));
        let mut uart = Uart::start();
        uart.start_receiver();
        Self { state: Pages::state(), uart, timer, run, hash: None }
    }
}

impl Platform for Board {
    type Flash = Pages;

    fn flash(&mut self) -> &mut Pages {
        &mut self.state
    }

    /// From a page of its own, drawn at the first start. Without one, all zeros: the state that the factory put
    /// under the real one is then not readable, which is what a fault should look like.
    fn device_key(&mut self) -> [u8; 32] {
        stored_key().or_else(new_key).unwrap_or_default()
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), RngFault> {
        rng::fill(bytes)
    }

    fn now_ms(&mut self) -> u64 {
        self.timer.now_ms()
    }

    fn rtc(&mut self) -> Option<Rtc> {
        let seconds = u32::try_from(self.timer.now_ms() / 1_000).ok()?;
        Some(Rtc { run: self.run?, seconds })
    }

    fn buttons(&mut self) -> Buttons {
        buttons::read()
    }

    fn show(&mut self, frame: Option<&Frame>) {
        common::ssd1306::show(&mut ssd1306::Pins, frame.map(Frame::as_bytes));
    }

    fn uart_read(&mut self) -> Option<u8> {
        self.uart.receive()
    }

    fn uart_write(&mut self, bytes: &[u8]) {
        self.uart.send_all(bytes);
    }

    fn battery_percent(&mut self) -> Option<u8> {
        None
    }

    fn readout_protected(&mut self) -> bool {
        nvmc::is_readout_closed()
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

fn stored_key() -> Option<[u8; 32]> {
    let mut page = Pages::key();
    let (mut key, mut mark) = ([0; 32], [0; 4]);
    page.read(0, &mut key).and_then(|()| page.read(32, &mut mark)).ok()?;
    (mark == KEY_WRITTEN).then_some(key)
}

fn new_key() -> Option<[u8; 32]> {
    let mut page = Pages::key();
    let mut key = [0; 32];
    rng::fill(&mut key).ok()?;
    page.erase(0, page.capacity() as u32).ok()?;
    page.write(0, &key).and_then(|()| page.write(32, &KEY_WRITTEN)).ok()?;
    stored_key()
}
