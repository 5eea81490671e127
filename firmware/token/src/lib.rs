//! The logic of the hardware token: no heap, no board, no I/O but the [`Platform`] trait.
//!
//! [`Token::start`] tests itself and finishes what a power cut interrupted; [`Token::poll`] does whatever is due and
//! returns. Codes are made in `menu`, secrets come in through `provision` (`docs/provisioning.md`), and everything
//! that must survive is in `vault`, on flash before it is acted on.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod clock;
mod crypto;
mod entry;
mod input;
mod life;
mod menu;
mod otp;
mod pin;
mod platform;
mod provision;
pub mod screen;
mod selftest;
mod vault;

use link::ClockState;
use zeroize::Zeroizing;

use crate::menu::Menu;
use crate::provision::Line;
use crate::selftest::SelfTest;
use crate::vault::{Fresh, Vault};

/// The wire that the token speaks, for whoever runs one.
pub use link;
pub use platform::{Buttons, Platform, RngFault, Rtc};

/// Bytes taken from the host in one [`Token::poll`], so that a talkative host does not keep the buttons waiting.
const BYTES_PER_POLL: usize = 64;

/// How often a secret scalar is drawn before the RNG counts as broken: one in 2^32 draws is no scalar.
const SCALAR_TRIES: usize = 4;

/// Board and memory, which link and menu both use.
pub(crate) struct Device<P: Platform> {
    platform: P,
    /// `None`: the storage failed at start, or is not ours to read.
    vault: Option<Vault>,
    selftest: SelfTest,
}

/// A token on its board.
pub struct Token<P: Platform> {
    device: Device<P>,
    line: Line,
    menu: Menu,
}

impl<P: Platform> Token<P> {
    /// Starts on `platform`.
    pub fn start(mut platform: P) -> Self {
        let selftest = selftest::run(&mut platform);
        let mut token = Self::assemble(platform, selftest);
        if open(&mut token.device).is_none() {
            token.device.vault = None;
        }
        token.show_home();
        token
    }

    // The parts come together before the vault is read, and it is read in its place: a token under way from frame to
    // frame would be as many copies on the stack.
    #[inline(never)]
    fn assemble(platform: P, selftest: SelfTest) -> Self {
        let device = Device { platform, vault: None, selftest };
        let menu = Menu::new(&device, 0);
        Self { device, line: Line::new(), menu }
    }

    #[inline(never)]
    fn show_home(&mut self) {
        let now_ms = self.device.platform.now_ms();
        self.menu = Menu::new(&self.device, now_ms);
    }

    /// Does what is due: bytes from the host, buttons, timers, the display. Call it every few milliseconds.
    pub fn poll(&mut self) {
        let now_ms = self.device.platform.now_ms();
        for _ in 0..BYTES_PER_POLL {
            let Some(byte) = self.device.platform.uart_read() else { break };
            self.line.handle_byte(&mut self.device, byte, now_ms);
        }
        self.line.handle_timeout(&mut self.device, now_ms);
        self.menu.poll(&mut self.device, &mut self.line, now_ms);
    }

    /// Whether the display asks a person for a yes or a no; a board may light a lamp then.
    pub fn awaits_presence(&self) -> bool {
        self.line.prompt(&self.device).is_some()
    }

    /// The board.
    pub fn platform_mut(&mut self) -> &mut P {
        &mut self.device.platform
    }

    /// Switches off: gives the board back.
    pub fn into_platform(self) -> P {
        self.device.platform
    }
}

#[inline(never)]
fn open<P: Platform>(device: &mut Device<P>) -> Option<()> {
    let Device { platform, vault, .. } = device;
    let fresh = fresh(platform)?;
    let device_key = Zeroizing::new(platform.device_key());
    Vault::open(vault, platform.flash(), *device_key, &fresh).ok()
}

fn fresh<P: Platform>(platform: &mut P) -> Option<Fresh> {
    let mut fresh = Fresh { key: [0; 32], salt: [0; 16] };
    platform.random(&mut fresh.key).ok()?;
    platform.random(&mut fresh.salt).ok()?;
    Some(fresh)
}

impl<P: Platform> Device<P> {
    /// Random bytes for a public value.
    fn random<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.platform.random(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A secret scalar and its point.
    fn new_pair(&mut self) -> Option<(crypto::Key, link::Point)> {
        for _ in 0..SCALAR_TRIES {
            let mut secret = Zeroizing::new([0; 32]);
            self.platform.random(&mut secret[..]).ok()?;
            if let Some(point) = crypto::public_key(&secret) {
                return Some((secret, point));
            }
        }
        None
    }

    /// The time of day, if it is known.
    fn utc(&mut self) -> Option<i64> {
        let rtc = self.platform.rtc()?;
        self.vault.as_ref()?.clock()?.now(rtc)
    }

    fn clock_state(&mut self) -> ClockState {
        let setting = self.vault.as_ref().and_then(Vault::clock).zip(self.platform.rtc());
        let known = setting.and_then(|(setting, rtc)| Some((setting.now(rtc)?, setting.age(rtc)?, setting)));
        known.map_or(ClockState::Lost, |(utc, age, setting)| ClockState::Set {
            utc,
            trim_ppm: setting.trim_ppm(),
            age,
        })
    }
}
