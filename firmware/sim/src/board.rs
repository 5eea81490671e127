//! The emulated board.

use std::collections::VecDeque;
use std::io;

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};
use token::screen::Frame;
use token::{Buttons, Platform, RngFault, Rtc};

use crate::flash::{Flash, random};

/// A button is down this long for a press.
const PRESS_MS: u64 = 80;

/// And this long for a hold.
const HOLD_MS: u64 = 1_000;

/// Between two presses.
const PAUSE_MS: u64 = 60;

/// A level that the token has looked at this often, over the times above, is a level to it. One look more, and a token
/// that the machine lets look rarely takes a press for a hold.
const LOOKS_MIN: u8 = 2;

/// With a finger on a button no more of the token's time passes between two looks: a machine that stands still makes no
/// hold of a press.
const STALL_MS: u64 = 100;

/// A finger on one button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finger {
    Next { hold: bool },
    Menu { hold: bool },
}

/// A finger on a button, or the pause after one. It ends once the token has seen it for long enough, however rarely
/// the machine lets the token look.
#[derive(Debug, Clone, Copy, Default)]
struct Touch {
    finger: Option<Finger>,
    since: u64,
    seen: u64,
    looks: u8,
}

impl Touch {
    fn at(finger: Option<Finger>, now: u64) -> Self {
        Self { finger, since: now, seen: now, looks: 1 }
    }

    fn is_over(&self) -> bool {
        let lasts = match self.finger {
            None => PAUSE_MS,
            Some(Finger::Next { hold: false } | Finger::Menu { hold: false }) => PRESS_MS,
            Some(Finger::Next { hold: true } | Finger::Menu { hold: true }) => HOLD_MS,
        };
        self.looks >= LOOKS_MIN && self.seen.saturating_sub(self.since) >= lasts
    }
}

/// What the token sees of the machine.
pub(crate) struct Board {
    pub(crate) flash: Flash,
    pub(crate) from_host: VecDeque<u8>,
    pub(crate) to_host: Vec<u8>,
    /// The display, when it changed since it was last taken: on with this picture, or off.
    pub(crate) shown: Option<Option<Frame>>,
    fingers: VecDeque<Finger>,
    touch: Touch,
    speed: u64,
    /// The last reading of the token's clock, and what it has left out.
    read_ms: u64,
    left_out_ms: u64,
    image_hash: [u8; 32],
}

impl Board {
    pub(crate) fn new(flash: Flash, speed: u64) -> io::Result<Self> {
        let image_hash = Sha256::digest(std::fs::read(std::env::current_exe()?)?).into();
        Ok(Self {
            flash,
            from_host: VecDeque::new(),
            to_host: Vec::new(),
            shown: None,
            fingers: VecDeque::new(),
            touch: Touch::default(),
            speed,
            read_ms: 0,
            left_out_ms: 0,
            image_hash,
        })
    }

    /// Presses a button after those that were asked for before.
    pub(crate) fn press(&mut self, finger: Finger) {
        self.fingers.push_back(finger);
    }

    /// Whether no finger is on a button and none is on its way, and the token has seen the last one leave.
    pub(crate) fn is_idle(&self) -> bool {
        self.fingers.is_empty() && self.touch.finger.is_none() && self.touch.is_over()
    }

    fn finger(&mut self) -> Option<Finger> {
        let now = self.now_ms();
        if !self.touch.is_over() {
            self.touch.seen = now;
            self.touch.looks = self.touch.looks.saturating_add(1);
        } else if self.touch.finger.is_some() {
            self.touch = Touch::at(None, now);
        } else if let Some(finger) = self.fingers.pop_front() {
            self.touch = Touch::at(Some(finger), now);
        }
        self.touch.finger
    }
}

/// Milliseconds since the machine was started.
pub(crate) fn monotonic_ms() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

/// Unix seconds.
pub(crate) fn unix_seconds() -> u64 {
    clock_gettime(ClockId::Realtime).tv_sec as u64
}

impl Platform for Board {
    type Flash = Flash;

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn device_key(&mut self) -> [u8; 32] {
        self.flash.device_key()
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), RngFault> {
        random(bytes).map_err(|_| RngFault)
    }

    fn now_ms(&mut self) -> u64 {
        let machine = monotonic_ms().saturating_mul(self.speed);
        let passed = machine.saturating_sub(self.left_out_ms).saturating_sub(self.read_ms);
        if self.touch.finger.is_some() {
            self.left_out_ms += passed.saturating_sub(STALL_MS);
        }
        self.read_ms = machine.saturating_sub(self.left_out_ms);
        self.read_ms
    }

    fn rtc(&mut self) -> Option<Rtc> {
        let (run, began) = self.flash.rtc();
        let seconds = u32::try_from(unix_seconds().checked_sub(began)?).ok()?;
        Some(Rtc { run, seconds })
    }

    fn buttons(&mut self) -> Buttons {
        let finger = self.finger();
        Buttons {
            next: matches!(finger, Some(Finger::Next { .. })),
            menu: matches!(finger, Some(Finger::Menu { .. })),
        }
    }

    fn show(&mut self, frame: Option<&Frame>) {
        self.shown = Some(frame.cloned());
    }

    fn uart_read(&mut self) -> Option<u8> {
        self.from_host.pop_front()
    }

    fn uart_write(&mut self, bytes: &[u8]) {
        self.to_host.extend_from_slice(bytes);
    }

    fn battery_percent(&mut self) -> Option<u8> {
        Some(100)
    }

    /// There is nothing to protect here, and nothing that could; a token without would take no secrets.
    fn readout_protected(&mut self) -> bool {
        true
    }

    fn stack_used(&mut self) -> Option<u32> {
        None
    }

    fn firmware_version(&self) -> [u8; 3] {
        let mut parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap_or(0));
        core::array::from_fn(|_| parts.next().unwrap_or(0))
    }

    fn firmware_hash(&mut self) -> [u8; 32] {
        self.image_hash
    }
}
