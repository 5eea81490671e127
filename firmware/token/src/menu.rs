//! What a person sees and presses. A HOTP counter is burnt on flash before its code is drawn; a time-based code is
//! drawn only while the time is known, and a response only to a question that a person has typed.

use core::fmt::Write as _;

use heapless::String;
use link::{Digest, Kind, Life, Policy, SLOTS_MAX, SlotState};
use oath::ocra::Question;
use oath::{Code, moving_factor};

use crate::entry::Entry;
use crate::input::{Button, Input, Press};
use crate::pin;
use crate::platform::Platform;
use crate::provision::{Line, Prompt};
use crate::screen::{Frame, LINE_MAX};
use crate::vault::{PIN_TRIES, PinVerdict, Vault};
use crate::{Device, fresh, life, otp};

/// The display goes off, and the PIN is asked for again, after this long without a press.
const OFF_MS: u64 = 60_000;

/// How long a HOTP code stays.
const CODE_MS: u64 = 30_000;

/// How long a notice stays.
const NOTICE_MS: u64 = 4_000;

/// The display is drawn anew at most this often, or after a press.
const REDRAW_MS: u64 = 200;

const ITEMS: [&str; 4] = ["NEXT SLOT", "PIN", "STATUS", "OFF"];

type Text = String<LINE_MAX>;

/// Why digits are typed.
enum Purpose {
    Unlock,
    New,
    Repeat(Entry),
    Question,
}

enum View {
    Off,
    Home,
    Code { code: Code, since: u64, step: Option<u64> },
    Menu { item: usize },
    Digits { purpose: Purpose, entry: Entry },
    Status,
    Notice { first: &'static str, second: &'static str, since: u64 },
}

/// The person's side of the token.
pub(crate) struct Menu {
    input: Input,
    view: View,
    slot: usize,
    pressed_ms: u64,
    /// No PIN is looked at before.
    pin_from_ms: u64,
    drawn_ms: u64,
    drawn: u32,
}

impl Menu {
    #[inline(never)]
    pub(crate) fn new<P: Platform>(device: &Device<P>, now_ms: u64) -> Self {
        let failures = device.vault.as_ref().map_or(0, Vault::pin_failures);
        let mut menu = Self {
            input: Input::default(),
            view: View::Home,
            slot: 0,
            pressed_ms: now_ms,
            pin_from_ms: now_ms.saturating_add(pin::delay_ms(failures)),
            drawn_ms: 0,
            drawn: 0,
        };
        menu.slot = menu.next_slot(device, SLOTS_MAX - 1);
        menu
    }

    /// Takes the buttons and the time, and draws what came of it.
    #[inline(never)]
    pub(crate) fn poll<P: Platform>(&mut self, device: &mut Device<P>, line: &mut Line, now_ms: u64) {
        let buttons = device.platform.buttons();
        let press = self.input.handle(buttons, now_ms);
        let prompt = line.prompt(device);
        if let Some(press) = press {
            self.pressed_ms = now_ms;
            match prompt {
                Some(_) => line.handle_presence(device, press == Press::Short(Button::Next), now_ms),
                None => self.handle_press(device, press, now_ms),
            }
        }
        if prompt.is_some() {
            self.pressed_ms = now_ms;
        }
        self.handle_timeout(device, now_ms);
        if press.is_some() || now_ms.saturating_sub(self.drawn_ms) >= REDRAW_MS {
            self.drawn_ms = now_ms;
            self.draw(device, line.prompt(device), now_ms);
        }
    }

    fn handle_timeout<P: Platform>(&mut self, device: &mut Device<P>, now_ms: u64) {
        let over = |since: u64, limit: u64| now_ms.saturating_sub(since) >= limit;
        match self.view {
            // A code goes with its secret.
            View::Code { .. } if !shows_codes(device) => self.view = View::Home,
            View::Code { since, step: None, .. } if over(since, CODE_MS) => self.view = View::Home,
            View::Code { step: Some(_), .. } => self.refresh_totp(device, now_ms),
            View::Notice { since, .. } if over(since, NOTICE_MS) => self.view = View::Home,
            _ => {}
        }
        if over(self.pressed_ms, OFF_MS) && !matches!(self.view, View::Off) {
            self.switch_off(device);
        }
    }

    fn switch_off<P: Platform>(&mut self, device: &mut Device<P>) {
        self.view = View::Off;
        if let Some(vault) = device.vault.as_mut() {
            vault.relock();
        }
    }

    fn handle_press<P: Platform>(&mut self, device: &mut Device<P>, press: Press, now_ms: u64) {
        let Some(vault) = device.vault.as_ref() else { return };
        let locked = vault.has_pin() && !vault.is_unlocked();
        match (&mut self.view, press) {
            (View::Off, _) => self.view = View::Home,
            (View::Digits { .. }, press) => self.handle_digit_press(device, press, now_ms),
            (View::Menu { item }, Press::Short(Button::Next)) => *item = (*item + 1) % ITEMS.len(),
            (View::Menu { item }, Press::Short(Button::Menu)) => {
                let item = *item;
                self.choose(device, item, now_ms);
            }
            (View::Home | View::Code { .. } | View::Notice { .. }, Press::Short(Button::Next)) if locked => {
                self.view = View::Digits { purpose: Purpose::Unlock, entry: Entry::pin() };
            }
            (View::Home | View::Code { .. } | View::Notice { .. }, Press::Short(Button::Next)) => {
                self.show_code(device, now_ms);
            }
            (View::Home | View::Code { .. } | View::Notice { .. }, Press::Short(Button::Menu)) => {
                self.view = View::Menu { item: 0 };
            }
            (View::Status | View::Menu { .. }, _) => self.view = View::Home,
            (_, Press::Long(_)) => {}
        }
    }

    fn choose<P: Platform>(&mut self, device: &mut Device<P>, item: usize, now_ms: u64) {
        let unlocked = device.vault.as_ref().is_some_and(Vault::is_unlocked);
        match item {
            0 => {
                self.slot = self.next_slot(device, self.slot);
                self.view = View::Home;
            }
            1 if unlocked => self.view = View::Digits { purpose: Purpose::New, entry: Entry::pin() },
            1 => self.notice("UNLOCK FIRST", "", now_ms),
            2 => self.view = View::Status,
            _ => self.switch_off(device),
        }
    }

    /// The slot after `slot` that holds a secret, or `slot` itself.
    fn next_slot<P: Platform>(&self, device: &Device<P>, slot: usize) -> usize {
        let Some(vault) = device.vault.as_ref() else { return 0 };
        let slots = vault.slots();
        (1..=SLOTS_MAX)
            .map(|ahead| (slot + ahead) % SLOTS_MAX)
            .find(|&slot| slots[slot] != SlotState::Empty)
            .unwrap_or(0)
    }

    fn notice(&mut self, first: &'static str, second: &'static str, now_ms: u64) {
        self.view = View::Notice { first, second, since: now_ms };
    }

    #[inline(never)]
    fn show_code<P: Platform>(&mut self, device: &mut Device<P>, now_ms: u64) {
        let policy =
            device.vault.as_ref().filter(|_| shows_codes(device)).and_then(|vault| vault.policy(self.slot));
        let Some(policy) = policy else { return self.notice("NO SECRET", "IN THIS SLOT", now_ms) };
        let (factor, step) = match policy.kind {
            Kind::Hotp => {
                let flash = device.platform.flash();
                let burnt = device.vault.as_mut().and_then(|vault| vault.burn(flash, self.slot).ok());
                match burnt {
                    Some(counter) => (counter, None),
                    None => return self.notice("MEMORY FAULT", "NO CODE", now_ms),
                }
            }
            Kind::Totp => match totp_step(device, &policy) {
                Some((step, _)) => (step, Some(step)),
                None => return self.notice("CLOCK LOST", "HAVE IT SET", now_ms),
            },
            Kind::Ocra => return self.ask(&policy, now_ms),
        };
        match code(device, self.slot, &policy, factor) {
            Some(code) => self.view = View::Code { code, since: now_ms, step },
            None => self.notice("MEMORY FAULT", "NO CODE", now_ms),
        }
    }

    /// Opens the entry of a question.
    fn ask(&mut self, policy: &Policy, now_ms: u64) {
        match otp::suite(policy) {
            Some(suite) => {
                let entry = Entry::question(suite.question.get());
                self.view = View::Digits { purpose: Purpose::Question, entry };
            }
            None => self.notice("MEMORY FAULT", "NO CODE", now_ms),
        }
    }

    #[inline(never)]
    fn respond<P: Platform>(&mut self, device: &Device<P>, entry: &Entry, now_ms: u64) {
        match response(device, self.slot, entry.expose()) {
            Some(code) => self.view = View::Code { code, since: now_ms, step: None },
            // The secret was replaced, or locked, while the question was typed.
            None => self.notice("NO CODE", "TRY AGAIN", now_ms),
        }
    }

    /// A time-based code changes with its step, and goes when the time is lost.
    fn refresh_totp<P: Platform>(&mut self, device: &mut Device<P>, now_ms: u64) {
        let View::Code { step: Some(shown), .. } = self.view else { return };
        let policy = device.vault.as_ref().and_then(|vault| vault.policy(self.slot));
        let current = policy.and_then(|policy| totp_step(device, &policy));
        if current.is_none_or(|(step, _)| step != shown) {
            self.show_code(device, now_ms);
        }
    }

    fn handle_digit_press<P: Platform>(&mut self, device: &mut Device<P>, press: Press, now_ms: u64) {
        let View::Digits { entry, purpose } = &mut self.view else { return };
        match press {
            Press::Short(Button::Next) => entry.advance(),
            Press::Short(Button::Menu) => {
                entry.accept();
            }
            Press::Long(Button::Next) => {
                if !entry.back() {
                    self.view = View::Home;
                }
            }
            Press::Long(Button::Menu) => {
                let may_be_empty = matches!(purpose, Purpose::New) && entry.len() == 0;
                if entry.is_complete() || may_be_empty {
                    self.handle_digits(device, now_ms);
                }
            }
        }
    }

    #[inline(never)]
    fn handle_digits<P: Platform>(&mut self, device: &mut Device<P>, now_ms: u64) {
        let View::Digits { purpose, entry } = core::mem::replace(&mut self.view, View::Home) else { return };
        match purpose {
            Purpose::Unlock => self.unlock(device, &entry, now_ms),
            Purpose::Question => self.respond(device, &entry, now_ms),
            Purpose::New if entry.len() > 0 => {
                self.view = View::Digits { purpose: Purpose::Repeat(entry), entry: Entry::pin() };
            }
            Purpose::Repeat(first) if first.expose() != entry.expose() => {
                self.notice("NOT THE SAME", "PIN UNCHANGED", now_ms);
            }
            Purpose::New | Purpose::Repeat(_) => {
                let salt = device.random();
                let flash = device.platform.flash();
                let set = salt
                    .zip(device.vault.as_mut())
                    .is_some_and(|(salt, vault)| vault.set_pin(flash, entry.expose(), salt).is_ok());
                let (first, second) = match (set, entry.len()) {
                    (false, _) => ("MEMORY FAULT", "PIN UNCHANGED"),
                    (true, 0) => ("PIN REMOVED", ""),
                    (true, _) => ("PIN SET", ""),
                };
                self.notice(first, second, now_ms);
            }
        }
    }

    fn unlock<P: Platform>(&mut self, device: &mut Device<P>, entry: &Entry, now_ms: u64) {
        if now_ms < self.pin_from_ms {
            return self.notice("TOO SOON", "PLEASE WAIT", now_ms);
        }
        let Some(fresh) = fresh(&mut device.platform) else {
            return self.notice("RNG FAULT", "", now_ms);
        };
        let flash = device.platform.flash();
        let Some(vault) = device.vault.as_mut() else { return };
        let verdict = vault.try_pin(flash, entry.expose(), &fresh);
        // Counted from the end of the check, which takes about a second on the board.
        let checked_ms = device.platform.now_ms();
        let failures = device.vault.as_ref().map_or(0, Vault::pin_failures);
        self.pin_from_ms = checked_ms.saturating_add(pin::delay_ms(failures));
        match verdict {
            Ok(PinVerdict::Right) => self.view = View::Home,
            Ok(PinVerdict::Wrong) => self.notice("WRONG PIN", "", now_ms),
            Ok(PinVerdict::Wiped) => self.notice("TOO MANY TRIES", "SECRETS ERASED", now_ms),
            Err(_) => self.notice("MEMORY FAULT", "", now_ms),
        }
    }

    #[inline(never)]
    fn draw<P: Platform>(&mut self, device: &mut Device<P>, prompt: Option<Prompt>, now_ms: u64) {
        // Not kept: 1 KiB that the stack has to spare here, but not where a signature is checked.
        let mut frame = Frame::default();
        let is_off = prompt.is_none() && matches!(self.view, View::Off);
        match prompt {
            Some(prompt) => draw_prompt(&mut frame, prompt),
            None => self.draw_view(device, &mut frame, now_ms),
        }
        let drawn = if is_off { 0 } else { fingerprint(frame.as_bytes()) };
        if drawn != self.drawn {
            self.drawn = drawn;
            device.platform.show((!is_off).then_some(&frame));
        }
    }

    fn draw_view<P: Platform>(&self, device: &mut Device<P>, frame: &mut Frame, now_ms: u64) {
        if !matches!(self.view, View::Off | View::Digits { .. }) {
            self.draw_status_line(device, frame);
        }
        match &self.view {
            View::Off => {}
            View::Home => draw_home(frame, device, self.pin_from_ms, now_ms),
            View::Code { code, since, step } => {
                frame.digits(code.as_bytes());
                match step {
                    None => frame.bar(CODE_MS.saturating_sub(now_ms.saturating_sub(*since)), CODE_MS),
                    Some(_) => {
                        let policy = device.vault.as_ref().and_then(|vault| vault.policy(self.slot));
                        let left = policy.and_then(|policy| totp_step(device, &policy).zip(Some(policy)));
                        if let Some(((_, left), policy)) = left {
                            frame.bar(left.into(), policy.period.into());
                        }
                    }
                }
            }
            View::Menu { item } => {
                for (line, text) in ITEMS.iter().enumerate() {
                    frame.text(line + 1, 2, text);
                }
                frame.text(item + 1, 0, ">");
            }
            View::Digits { purpose, entry } => draw_digits(frame, purpose, entry),
            View::Status => draw_status(frame, device),
            View::Notice { first, second, .. } => {
                frame.centred(2, first);
                frame.centred(3, second);
            }
        }
    }

    fn draw_status_line<P: Platform>(&self, device: &mut Device<P>, frame: &mut Frame) {
        let policy = device.vault.as_ref().and_then(|vault| vault.policy(self.slot));
        if let Some(policy) = policy {
            let kind = match policy.kind {
                Kind::Hotp => "HOTP",
                Kind::Totp => "TOTP",
                Kind::Ocra => "OCRA",
            };
            let mut text = Text::new();
            let lost = policy.kind == Kind::Totp && device.utc().is_none();
            // The longest is ten characters: it fits a line.
            let _fits = write!(text, "{}:{kind}{}", self.slot + 1, if lost { " ??:??" } else { "" });
            frame.text(0, 0, &text);
        }
        if let Some(percent) = device.platform.battery_percent() {
            frame.battery(percent);
        }
    }
}

fn shows_codes<P: Platform>(device: &Device<P>) -> bool {
    device.vault.as_ref().is_some_and(|vault| life::shows_codes(vault.life()))
}

/// Step and seconds left in it; `None` while the time is not known.
fn totp_step<P: Platform>(device: &mut Device<P>, policy: &Policy) -> Option<(u64, u16)> {
    let utc = device.utc()?;
    let clock = otp::totp_clock(policy)?;
    Some((clock.step(utc)?, clock.remaining(utc)?))
}

fn code<P: Platform>(device: &Device<P>, slot: usize, policy: &Policy, factor: u64) -> Option<Code> {
    let secret = device.vault.as_ref()?.secret(slot)?;
    let format = otp::format(policy)?;
    Some(otp::code(otp::algorithm(policy), secret.expose(), &[&moving_factor(factor)], &format))
}

/// The response to a question; `None` if the slot does not answer such questions, or is locked.
#[inline(never)]
fn response<P: Platform>(device: &Device<P>, slot: usize, question: &[u8]) -> Option<Code> {
    let vault = device.vault.as_ref()?;
    let suite = otp::suite(&vault.policy(slot)?)?;
    let question = Question::parse(question).ok().filter(|question| question.len() == suite.question)?;
    let secret = vault.secret(slot)?;
    let input = suite.input(&question, 0);
    Some(otp::code(suite.algorithm, secret.expose(), &input.parts(), &suite.format()))
}

fn draw_home<P: Platform>(frame: &mut Frame, device: &mut Device<P>, pin_from_ms: u64, now_ms: u64) {
    let Some(vault) = device.vault.as_ref() else {
        frame.centred(2, "MEMORY FAULT");
        return frame.centred(3, "OUT OF SERVICE");
    };
    let (first, second) = match vault.life() {
        _ if !(device.selftest.vectors_ok && device.selftest.rng_ok) => ("SELF-TEST", "FAILED"),
        Life::Factory => ("FACTORY", "NOT CERTIFIED"),
        Life::Attested | Life::Wiped => ("READY", "FOR AN OWNER"),
        Life::Returned => ("RETURNED", "NO SECRET"),
        Life::Provisioned | Life::Locked if vault.has_pin() && !vault.is_unlocked() => {
            ("LOCKED", "NEXT: ENTER PIN")
        }
        Life::Provisioned | Life::Locked => ("NEXT: A CODE", "MENU: MORE"),
    };
    frame.centred(2, first);
    frame.centred(3, second);
    let wait_s = pin_from_ms.saturating_sub(now_ms).div_ceil(1_000);
    if vault.has_pin() && !vault.is_unlocked() && wait_s > 0 {
        let mut text = Text::new();
        let _fits = write!(text, "WAIT {wait_s} S");
        frame.centred(4, &text);
    }
}

fn draw_prompt(frame: &mut Frame, prompt: Prompt) {
    let mut owner = Text::new();
    let (first, second) = match prompt {
        Prompt::NewSecret => ("TAKE A SECRET?", ""),
        Prompt::NewOwner(Digest { 0: digest }) => {
            let _fits = digest[..6].iter().try_for_each(|byte| write!(owner, "{byte:02X}"));
            ("NEW OWNER?", owner.as_str())
        }
        Prompt::Return => ("ERASE SECRETS?", ""),
        Prompt::Wipe => ("ERASE ALL?", ""),
    };
    frame.centred(0, first);
    frame.centred(1, second);
    frame.text(3, 0, "NEXT: YES");
    frame.text(4, 0, "MENU: NO");
}

fn draw_digits(frame: &mut Frame, purpose: &Purpose, entry: &Entry) {
    frame.text(
        0,
        0,
        match purpose {
            Purpose::Unlock => "PIN",
            Purpose::New => "NEW PIN",
            Purpose::Repeat(_) => "PIN AGAIN",
            Purpose::Question => "QUESTION",
        },
    );
    let mut text = Text::new();
    let is_secret = !matches!(purpose, Purpose::Question);
    // Ten characters at most: they fit a line.
    for &digit in entry.expose() {
        let _fits = text.push(if is_secret { '*' } else { digit.into() });
    }
    if entry.has_room() {
        let _fits = write!(text, "{}", entry.current());
    }
    frame.centred(2, &text);
    frame.text(4, 0, "HOLD MENU: DONE");
}

fn draw_status<P: Platform>(frame: &mut Frame, device: &mut Device<P>) {
    let [major, minor, patch] = device.platform.firmware_version();
    let clock = if device.utc().is_some() { "CLOCK SET" } else { "CLOCK LOST" };
    let Some(vault) = device.vault.as_ref() else { return };
    let mut text = Text::new();
    if let Some(serial) = vault.serial() {
        for (line, half) in serial.as_str().as_bytes().chunks(LINE_MAX).take(2).enumerate() {
            frame.text(1 + line, 0, core::str::from_utf8(half).unwrap_or(""));
        }
    }
    let _fits =
        write!(text, "{major}.{minor}.{patch} PIN {}", PIN_TRIES.saturating_sub(vault.pin_failures()));
    frame.text(3, 0, &text);
    frame.text(4, 0, clock);
}

/// FNV-1a, to see whether a picture changed. Never 0, which stands for a display that is off.
fn fingerprint(bytes: &[u8]) -> u32 {
    let hash =
        bytes.iter().fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}
