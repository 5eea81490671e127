//! A board in QEMU: its token image with the serial port behind a pty, fingers and display at its pins, and flash
//! that outlives the power.
//!
//! QEMU's qtest socket drives input pins, reports output pins and reads memory. What it reports must be read at once:
//! a full socket stops the emulated core.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::token::link::Call;

use crate::appliance::Appliance;
use crate::debugger::Debugger;
use crate::display::{Display, Picture};
use crate::image;
use crate::monitor::Monitor;
use crate::process::Owned;
use crate::tap::{Hand, put_between};
use crate::time::{PATIENCE, wait_until};
use crate::token;
use crate::wire::Wire;

/// Longest time until QEMU answers one command.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A question on the display must have stood for a second: the first press comes a little later.
const READ: Duration = Duration::from_millis(1_050);
/// Between two presses when the first has had no effect.
const PRESS_AGAIN: Duration = Duration::from_millis(700);
/// A press that has done nothing after this long was not seen.
const UNSEEN: Duration = Duration::from_secs(4);
/// How long a finger is down, at the first try and at later ones: more than the token's debouncing, less than its hold.
/// On a machine with much else to do the token looks at its buttons seldom.
const PRESS: [Duration; 3] =
    [Duration::from_millis(120), Duration::from_millis(250), Duration::from_millis(450)];
/// Pause between two looks at the display.
const LOOK: Duration = Duration::from_millis(5);

/// Pages that outlive the power: the chip's key and the token's state (`firmware/boards/microbit/src/nvmc.rs`).
const KEPT: Range<u32> = 0x3_bc00..0x4_0000;
/// The first of the state's.
const STATE: usize = 0x400;
const PAGE: usize = 1024;
const NVMC_CONFIG: u32 = 0x4001_e504;
const NVMC_ERASE_PAGE: u32 = 0x4001_e508;

/// All of the part's RAM, and the stack in it (`firmware/boards/microbit/memory.x`).
const RAM: Range<u32> = 0x2000_0000..0x2000_4000;
const STACK: Range<u32> = 0x2000_0000..0x2000_3c00;
/// What start-up paints the stack with.
pub const PAINT: u8 = 0xcc;

/// Button A's input.
const PIN_NEXT: u8 = 17;

/// A run of the vectors takes a second.
const VECTORS_LIMIT_S: &str = "60";
/// Virtual nanoseconds that one instruction takes in [`instructions`]: 2^6.
const INSTRUCTION_SHIFT: u32 = 6;

/// The flash of a board without power: the chip's key, then the state.
#[derive(Clone, PartialEq, Eq)]
pub struct Flash(Vec<u8>);

impl Flash {
    /// The pages of the token's state.
    pub fn state(&self) -> &[u8] {
        &self.0[STATE..]
    }
}

/// Where a board is plugged in: always the same serial and the same maker.
#[derive(Clone)]
pub struct Place {
    directory: PathBuf,
    serial: String,
    maker: PathBuf,
}

/// A running board.
pub struct Board {
    /// Its serial line.
    pub port: PathBuf,
    /// Resets it and cuts its power.
    pub monitor: Monitor,
    log: PathBuf,
    debugger: PathBuf,
    qtest: UnixStream,
    answers: Receiver<String>,
    display: Arc<Mutex<Display>>,
    bridge: Owned,
    qemu: Owned,
}

impl Place {
    /// A place for the token with this serial, whose files are in a directory of the appliance.
    pub fn new(rig: &Appliance, serial: &str, maker: &Path) -> Place {
        Place { directory: rig.path(""), serial: serial.to_owned(), maker: maker.to_owned() }
    }

    /// Switches a board on: a new one, or one with the flash of an earlier. A blank token is attested by the maker.
    ///
    /// # Panics
    /// When the image is not built or the token does not answer in time.
    pub fn start(&self, flash: Option<&Flash>) -> Board {
        self.start_with(flash, None)
    }

    /// The same with somebody at its cable.
    ///
    /// # Panics
    /// As above.
    pub fn start_watched(&self, flash: Option<&Flash>, hand: Hand) -> Board {
        self.start_with(flash, Some(hand))
    }

    fn path(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{}.{what}", self.serial))
    }

    fn start_with(&self, flash: Option<&Flash>, hand: Option<Hand>) -> Board {
        assert!(image::path("token").exists(), "the token's image is not built: make images");
        let is_watched = hand.is_some();
        for file in ["uart", "line", "qtest", "qmp", "gdb", "port", "bridge.log"] {
            // Of an earlier run; there may be none.
            drop(fs::remove_file(self.path(file)));
        }
        let at = |what: &str| format!("unix:{},server=on,wait=off", self.path(what).display());
        let mut command = Command::new("qemu-system-arm");
        command.args(["-machine", "microbit", "-accel", "tcg", "-display", "none", "-monitor", "none", "-S"]);
        command.args(["-serial", &at(if is_watched { "line" } else { "uart" })]);
        command.args(["-qtest", &at("qtest"), "-qtest-log", "none", "-qmp", &at("qmp"), "-gdb", &at("gdb")]);
        command.arg("-kernel").arg(image::path("token"));
        let qemu = Owned::start(&mut command, &self.path("qemu.log"));
        let connect = |what: &str| {
            let socket = wait_until(PATIENCE, "QEMU's sockets", || UnixStream::connect(self.path(what)).ok());
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
            socket
        };
        let (qtest, monitor) = (connect("qtest"), Monitor::new(connect("qmp")));
        if let Some(hand) = hand {
            let line = connect("line");
            line.set_read_timeout(None).expect("a socket");
            put_between(&self.path("uart"), line, monitor.clone(), hand);
        }
        let display = Arc::new(Mutex::new(Display::default()));
        let mut bridge = Command::new(token::binary());
        bridge.arg("bridge").arg("--socket").arg(self.path("uart")).arg("--link").arg(self.path("port"));
        bridge.args(["--serial", &self.serial, "--maker-key"]).arg(&self.maker);
        let mut board = Board {
            port: self.path("port"),
            answers: listen(&qtest, &display),
            log: self.path("bridge.log"),
            debugger: self.path("gdb"),
            bridge: Owned::start(&mut bridge, &self.path("bridge.log")),
            monitor,
            display,
            qtest,
            qemu,
        };
        board.qtest("irq_intercept_out /machine/nrf51");
        if let Some(flash) = flash {
            board.write(flash);
        }
        board.monitor.go();
        board.await_line();
        board
    }
}

impl Board {
    fn await_line(&mut self) {
        wait_until(PATIENCE, "the token's line", || {
            let ended = self.bridge.ended();
            assert!(ended.is_none(), "the bridge: {}", fs::read_to_string(&self.log).unwrap_or_default());
            self.port.exists().then_some(())
        });
    }

    /// A line that the token said about itself at this start.
    ///
    /// # Panics
    /// When it did not.
    pub fn said(&self, what: &str) -> String {
        let log = fs::read_to_string(&self.log).expect("own scratch directory");
        let line = log.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {what} in {log}")).to_owned()
    }

    /// Cuts the power: nothing is left but the flash.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn cut(mut self) -> Flash {
        self.monitor.cut();
        let flash = self.flash();
        self.qemu.kill9();
        flash
    }

    /// What the flash holds.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn flash(&mut self) -> Flash {
        Flash(self.read(KEPT))
    }

    /// What the RAM holds: the stack, and the static data above it.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn ram(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut stack = self.read(RAM);
        let data = stack.split_off(STACK.len());
        (stack, data)
    }

    /// Bytes of stack used at the deepest point since the start: start-up paints all of it.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn stack_used(&mut self) -> usize {
        STACK.len() - self.read(STACK).iter().take_while(|&&byte| byte == PAINT).count()
    }

    fn read(&mut self, range: Range<u32>) -> Vec<u8> {
        let answer = self.qtest(&format!("read {:#x} {:#x}", range.start, range.len()));
        let hex = answer.trim_start_matches("OK 0x");
        data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("QEMU answers in hex")
    }

    fn write(&mut self, flash: &Flash) {
        for page in KEPT.step_by(PAGE) {
            self.qtest(&format!("writel {NVMC_CONFIG:#x} 2"));
            self.qtest(&format!("writel {NVMC_ERASE_PAGE:#x} {page:#x}"));
        }
        let hex = data_encoding::HEXLOWER.encode(&flash.0);
        self.qtest(&format!("writel {NVMC_CONFIG:#x} 1"));
        self.qtest(&format!("write {:#x} {:#x} 0x{hex}", KEPT.start, KEPT.len()));
        self.qtest(&format!("writel {NVMC_CONFIG:#x} 0"));
    }

    /// A debugger at its core, which stands from now on.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn debugger(&self) -> Debugger {
        Debugger::attach(&self.debugger)
    }

    /// Presses button A, again when that was not seen, until there is what `look` looks for.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn press_until<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut presses = PRESS.iter().cycle();
        let mut due = Instant::now();
        wait_until(PATIENCE, what, || {
            if due <= Instant::now() {
                presses.next().copied().into_iter().for_each(|down| self.press(down));
                due = Instant::now() + UNSEEN;
            }
            look(self)
        })
    }

    /// Presses until a line of the display is this text.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn press_for_text(&mut self, line: usize, text: &str) {
        self.press_until(text, |board| board.picture().filter(|picture| picture.says(line, text)));
    }

    fn press(&mut self, down: Duration) {
        for (level, time) in [(0, down), (1, PRESS[0])] {
            self.qtest(&format!("set_irq_in /machine/nrf51 unnamed-gpio-in {PIN_NEXT} {level}"));
            std::thread::park_timeout(time);
        }
    }

    /// What the display shows; `None` while it is off or being drawn.
    ///
    /// # Panics
    /// Never: nobody panics with the lock held.
    pub fn picture(&self) -> Option<Picture> {
        self.display.lock().expect("not poisoned").picture()
    }

    /// Waits until a line of the display is this text.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn await_text(&self, line: usize, text: &str) {
        wait_until(PATIENCE, text, || self.picture().filter(|picture| picture.says(line, text)));
    }

    /// Runs the technician's command at this board, and presses the button when the display asks. When the power
    /// was cut meanwhile, the cable is pulled too.
    ///
    /// # Panics
    /// When the command does not end in time.
    pub fn run(&mut self, rig: &Appliance, arguments: &[&str]) -> Output {
        let port = self.port.display().to_string();
        let arguments = [&["--json", "technician"], arguments, &["--port", &port]].concat();
        std::thread::scope(|scope| {
            let technician = scope.spawn(|| rig.cli(&arguments));
            let mut due: Option<Instant> = None;
            let mut presses = PRESS.iter().cycle();
            while !technician.is_finished() {
                if self.monitor.is_dead() {
                    self.bridge.kill9();
                }
                let asks = self.picture().is_some_and(|picture| picture.says(3, "NEXT: YES"));
                match due.filter(|_| asks) {
                    None => due = asks.then(|| Instant::now() + READ),
                    Some(at) if at > Instant::now() => {}
                    Some(_) => {
                        presses.next().copied().into_iter().for_each(|down| self.press(down));
                        due = Some(Instant::now() + PRESS_AGAIN);
                    }
                }
                std::thread::park_timeout(LOOK);
            }
            technician.join().expect("the technician's command")
        })
    }

    /// The same for a command that must succeed; what it prints.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn run_well(&mut self, rig: &Appliance, arguments: &[&str]) -> serde_json::Value {
        let output = self.run(rig, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", crate::appliance::told(&output));
        serde_json::from_slice(&output.stdout).expect("the command prints JSON")
    }

    /// Asks the token over its line.
    ///
    /// # Panics
    /// When it refuses or does not answer.
    pub fn ask<C: Call>(&self, call: C) -> C::Answer {
        let mut wire = Wire::open(&self.port);
        let answer = wire.call(call).unwrap_or_else(|refusal| panic!("{refusal}"));
        wire.leave();
        answer
    }

    /// Presses and reads the code of `digits` digits that the display then shows.
    ///
    /// # Panics
    /// When none appears in time.
    pub fn code(&mut self, digits: usize) -> String {
        let before = self.picture();
        self.press_until("a code on the display", |board| {
            board.picture().filter(|now| Some(now) != before.as_ref())?.digits(digits)
        })
    }

    fn qtest(&mut self, command: &str) -> String {
        writeln!(self.qtest, "{command}").expect("QEMU listens");
        let answer = self.answers.recv_timeout(ANSWER_DEADLINE).expect("QEMU answers");
        assert!(answer.starts_with("OK"), "{command}: {answer}");
        answer
    }
}

/// Takes what qtest says: pin events to the display, answers to whoever asked.
fn listen(qtest: &UnixStream, display: &Arc<Mutex<Display>>) -> Receiver<String> {
    let lines = BufReader::new(qtest.try_clone().expect("a descriptor"));
    qtest.set_read_timeout(None).expect("a socket");
    let (sender, receiver) = channel();
    let display = Arc::clone(display);
    std::thread::spawn(move || {
        for line in lines.lines() {
            let Ok(line) = line else { break };
            let event = line.strip_prefix("IRQ ").and_then(|event| event.split_once(' '));
            match event.and_then(|(level, pin)| Some((level == "raise", pin.parse().ok()?))) {
                Some((level, pin)) => display.lock().expect("not poisoned").handle_edge(pin, level),
                None if sender.send(line).is_err() => break,
                None => {}
            }
        }
    });
    receiver
}

/// Instructions that the emulated core executes for one code, by what code it is, such as `hotp-sha1`.
///
/// QEMU gives each instruction the same virtual time, so the image's own count of ticks is a count of instructions.
/// A real core needs more cycles than that.
///
/// # Errors
/// When the image is not built, QEMU does not run it, or it does not say.
pub fn instructions() -> Result<Vec<(String, u64)>, String> {
    let shift = format!("shift={INSTRUCTION_SHIFT},sleep=off");
    let image = image::path("vectors");
    if !image.exists() {
        return Err(format!("{} is not built: make images", image.display()));
    }
    let run = Command::new("timeout")
        .args([VECTORS_LIMIT_S, "qemu-system-arm"])
        .args(["-machine", "microbit", "-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-no-reboot", "-icount", &shift, "-kernel"])
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("qemu-system-arm does not start: {error}"))?;
    let said = String::from_utf8_lossy(&run.stdout);
    let found: Vec<_> = said.lines().filter_map(timing).collect();
    if found.is_empty() { Err(format!("no timings in: {said}")) } else { Ok(found) }
}

/// Name and instructions from a line such as `hotp-sha1: 18688 ticks`, of 16 MHz.
fn timing(line: &str) -> Option<(String, u64)> {
    let (name, ticks) = line.strip_suffix(" ticks")?.split_once(": ")?;
    let half_nanoseconds: u64 = ticks.parse::<u64>().ok()? * 125;
    Some((name.to_owned(), half_nanoseconds >> (INSTRUCTION_SHIFT + 1)))
}

#[cfg(test)]
mod tests {
    use super::timing;

    #[test]
    fn ticks_become_instructions() {
        assert_eq!(timing("hotp-sha1: 1024 ticks"), Some(("hotp-sha1".to_owned(), 1_000)));
        assert_eq!(timing("stack: 2452 bytes"), None);
        assert_eq!(timing("vectors: 31 passed, 0 failed"), None);
    }
}
