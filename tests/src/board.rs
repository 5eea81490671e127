//! A board in QEMU: its token image with the serial port behind a pty, fingers and display at its pins, and flash
//! that outlives the power.
//!
//! QEMU's qtest socket drives input pins and reports output pins; its QMP socket stops and starts the core. What it
//! reports must be read at once: a full socket stops the emulated core.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::appliance::target_dir;
use crate::display::{Display, Picture};
use crate::process::Owned;
use crate::time::{PATIENCE, wait_until};
use crate::token;

/// Longest time until QEMU answers one command.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A person presses again after this long without a code.
const NO_CODE_YET: Duration = Duration::from_secs(10);
/// Between two presses when the first has had no effect.
const PRESS_AGAIN: Duration = Duration::from_millis(700);
/// How long a finger is down, at the first try and at later ones: more than the token's debouncing, less than its hold.
/// On a machine with much else to do the token looks at its buttons seldom.
const PRESS: [Duration; 3] =
    [Duration::from_millis(120), Duration::from_millis(250), Duration::from_millis(450)];

/// Pages that outlive the power: the chip's key and the token's state (`firmware/boards/microbit/src/nvmc.rs`).
const KEPT: std::ops::Range<u32> = 0x3_bc00..0x4_0000;
const PAGE: usize = 1024;
const NVMC_CONFIG: u32 = 0x4001_e504;
const NVMC_ERASE_PAGE: u32 = 0x4001_e508;

/// The stack (`firmware/boards/microbit/memory.x`).
const STACK: std::ops::Range<u32> = 0x2000_0000..0x2000_3c00;

/// Button A's input.
const PIN_NEXT: u8 = 17;

/// The flash of a board without power, in hex.
pub struct Flash(String);

/// A running board.
pub struct Board {
    /// Its serial line.
    pub port: PathBuf,
    log: PathBuf,
    qtest: UnixStream,
    answers: Receiver<String>,
    display: Arc<Mutex<Display>>,
    qmp: BufReader<UnixStream>,
    _bridge: Owned,
    qemu: Owned,
}

/// The token's image.
pub fn image() -> PathBuf {
    target_dir().join("firmware/microbit/thumbv6m-none-eabi/release/token")
}

impl Board {
    /// Switches a board on: a new one, or one with the flash of an earlier. A blank token is attested by the maker.
    ///
    /// # Panics
    /// When the image is not built or the token does not answer in time.
    pub fn start(directory: &Path, name: &str, serial: &str, maker: &Path, flash: Option<&Flash>) -> Board {
        assert!(image().exists(), "{} is not built: make images", image().display());
        let path = |what: &str| directory.join(format!("{name}.{what}"));
        for socket in ["uart", "qtest", "qmp"] {
            // Of an earlier run; there may be none.
            drop(std::fs::remove_file(path(socket)));
        }
        let at = |what: &str| format!("unix:{},server=on,wait=off", path(what).display());
        let mut command = Command::new("qemu-system-arm");
        command.args(["-machine", "microbit", "-accel", "tcg", "-display", "none", "-monitor", "none", "-S"]);
        command.args(["-serial", &at("uart"), "-qtest", &at("qtest"), "-qtest-log", "none"]);
        command.args(["-qmp", &at("qmp")]).arg("-kernel").arg(image());
        let qemu = Owned::start(&mut command, &path("qemu.log"));
        let connect = |what: &str| {
            let socket = wait_until(PATIENCE, "QEMU's sockets", || UnixStream::connect(path(what)).ok());
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
            socket
        };
        let (qtest, mut qmp) = (connect("qtest"), BufReader::new(connect("qmp")));
        let display = Arc::new(Mutex::new(Display::default()));
        let answers = listen(&qtest, &display);
        tell(&mut qmp, None);
        tell(&mut qmp, Some("qmp_capabilities"));
        let log = path("bridge.log");
        // A second start must not find the first one's words.
        drop(std::fs::remove_file(&log));
        let mut bridge = Command::new(token::binary());
        bridge.arg("bridge").arg("--socket").arg(path("uart")).arg("--link").arg(path("port"));
        bridge.args(["--serial", serial, "--maker-key"]).arg(maker);
        let mut board = Board {
            port: path("port"),
            answers,
            display,
            qtest,
            qmp,
            qemu,
            _bridge: {
                drop(std::fs::remove_file(path("port")));
                Owned::start(&mut bridge, &log)
            },
            log,
        };
        board.qtest("irq_intercept_out /machine/nrf51");
        if let Some(flash) = flash {
            board.write(flash);
        }
        tell(&mut board.qmp, Some("cont"));
        let port = board.port.clone();
        wait_until(PATIENCE, "the token's line", || {
            let ended = board._bridge.ended();
            assert!(
                ended.is_none(),
                "the bridge ended: {}",
                std::fs::read_to_string(&board.log).unwrap_or_default()
            );
            port.exists().then_some(())
        });
        board
    }

    /// A line that the token said about itself at this start.
    ///
    /// # Panics
    /// When it did not.
    pub fn said(&self, what: &str) -> String {
        let log = std::fs::read_to_string(&self.log).expect("own scratch directory");
        let line = log.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {what} in {log}")).to_owned()
    }

    /// Cuts the power: nothing is left but the flash.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn cut(mut self) -> Flash {
        tell(&mut self.qmp, Some("stop"));
        let answer = self.qtest(&format!("read {:#x} {:#x}", KEPT.start, KEPT.len()));
        self.qemu.kill9();
        Flash(answer.trim_start_matches("OK ").to_owned())
    }

    /// Bytes of stack used at the deepest point since the start: start-up paints all of it.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn stack_used(&mut self) -> usize {
        let answer = self.qtest(&format!("read {:#x} {:#x}", STACK.start, STACK.len()));
        let painted = answer.trim_start_matches("OK 0x").bytes().take_while(|&digit| digit == b'c').count();
        STACK.len() - painted / 2
    }

    fn write(&mut self, flash: &Flash) {
        for page in KEPT.step_by(PAGE) {
            self.qtest(&format!("writel {NVMC_CONFIG:#x} 2"));
            self.qtest(&format!("writel {NVMC_ERASE_PAGE:#x} {page:#x}"));
        }
        self.qtest(&format!("writel {NVMC_CONFIG:#x} 1"));
        self.qtest(&format!("write {:#x} {:#x} {}", KEPT.start, KEPT.len(), flash.0));
        self.qtest(&format!("writel {NVMC_CONFIG:#x} 0"));
    }

    /// Presses button A.
    ///
    /// # Panics
    /// When QEMU does not answer.
    pub fn press(&mut self) {
        self.press_for(PRESS[0]);
    }

    fn press_for(&mut self, down: Duration) {
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

    /// Presses until the display shows something else than `before`.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn press_past(&mut self, before: &Picture) {
        let begun = std::time::Instant::now();
        let mut presses = PRESS.iter().cycle();
        while self.picture().is_none_or(|now| now == *before) {
            assert!(begun.elapsed() < PATIENCE, "the display does not change");
            presses.next().copied().into_iter().for_each(|down| self.press_for(down));
            std::thread::park_timeout(PRESS_AGAIN);
        }
    }

    /// Presses and reads the code of `digits` digits that the display then shows; presses again, as a person does, when
    /// nothing comes of it.
    ///
    /// # Panics
    /// When none appears in time.
    pub fn code(&mut self, digits: usize) -> String {
        let before = self.picture();
        let mut pressed: Option<std::time::Instant> = None;
        let mut presses = PRESS.iter().cycle();
        wait_until(PATIENCE, "a code on the display", || {
            if pressed.is_none_or(|at| at.elapsed() >= NO_CODE_YET) {
                presses.next().copied().into_iter().for_each(|down| self.press_for(down));
                pressed = Some(std::time::Instant::now());
            }
            let now = self.picture().filter(|now| Some(now) != before.as_ref())?;
            now.digits(digits)
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

/// One QMP command, or none for the greeting, up to its answer.
fn tell(qmp: &mut BufReader<UnixStream>, command: Option<&str>) {
    if let Some(command) = command {
        let mut line = String::new();
        writeln!(line, "{{\"execute\": \"{command}\"}}").expect("a string");
        qmp.get_mut().write_all(line.as_bytes()).expect("QEMU listens");
    }
    let mut answer = String::new();
    while !(answer.contains("\"return\"") || command.is_none() && answer.contains("\"QMP\"")) {
        answer.clear();
        let count = qmp.read_line(&mut answer).expect("QEMU answers");
        assert!(count > 0 && !answer.contains("\"error\""), "{command:?}: {answer}");
    }
}
