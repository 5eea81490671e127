//! An emulated hardware token: the firmware's own logic on a pty, started as a process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::appliance::target_dir;
use crate::time::wait_until;

/// Longest time until the token's line is there.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Longest time until the display shows what is waited for.
const DISPLAY_DEADLINE: Duration = Duration::from_secs(30);
/// A person presses again after this long without a code.
const PRESS_AGAIN: Duration = Duration::from_secs(5);

/// The emulated token's program.
pub fn binary() -> PathBuf {
    target_dir().join("release/token-sim")
}

/// Makes a maker key and returns its public half as hex.
///
/// # Panics
/// When the program refuses.
pub fn make_maker(file: &Path) -> String {
    let made =
        Command::new(binary()).arg("make-maker").arg("--out").arg(file).output().expect("token-sim runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("hex").trim().to_owned()
}

/// The typesetter of labels.
///
/// # Panics
/// When it has not been built.
pub fn letters_binary() -> PathBuf {
    let built = || target_dir().join("letters/release/countersign-letters");
    let path = std::env::var_os("COUNTERSIGN_LETTERS").map_or_else(built, PathBuf::from);
    assert!(path.exists(), "{} is missing: make letters-binary", path.display());
    path
}

/// One client's turn at an emulated token's line: each client that leaves makes room for a fresh pty.
pub struct Turn {
    port: PathBuf,
    was: PathBuf,
}

impl Turn {
    /// Begins before the client opens the line.
    ///
    /// # Panics
    /// When there is no line.
    pub fn begin(port: &Path) -> Turn {
        Turn { port: port.to_owned(), was: std::fs::read_link(port).expect("the token's line is a symlink") }
    }

    /// The pty that this client opens.
    pub fn line(&self) -> &Path {
        &self.was
    }

    /// Waits, after the client has left, until the line is there for the next.
    ///
    /// # Panics
    /// When the token does not notice.
    pub fn end(self) {
        wait_until(START_DEADLINE, "the token's next line", || {
            std::fs::read_link(&self.port).is_ok_and(|now| now != self.was).then_some(())
        });
    }
}

/// A running token.
pub struct EmulatedToken {
    /// Its serial line.
    pub port: PathBuf,
    display: PathBuf,
    child: Child,
    fingers: ChildStdin,
}

impl EmulatedToken {
    /// Starts a token whose flash is `directory/name.flash`; a blank one is attested by the maker.
    ///
    /// # Panics
    /// When it does not start in time.
    pub fn start(directory: &Path, name: &str, serial: &str, maker: &Path) -> EmulatedToken {
        EmulatedToken::start_with(directory, name, serial, maker, &["--auto-press"])
    }

    /// The same with these arguments of `token-sim` instead of `--auto-press`.
    ///
    /// # Panics
    /// When it does not start in time.
    pub fn start_with(
        directory: &Path,
        name: &str,
        serial: &str,
        maker: &Path,
        more: &[&str],
    ) -> EmulatedToken {
        EmulatedToken::launch(directory.join(format!("{name}.port")), directory, name, serial, maker, more)
    }

    /// The same as [`EmulatedToken::start`], with its serial line at a path of its own.
    ///
    /// # Panics
    /// When it does not start in time.
    pub fn start_at(
        port: PathBuf,
        directory: &Path,
        name: &str,
        serial: &str,
        maker: &Path,
    ) -> EmulatedToken {
        EmulatedToken::launch(port, directory, name, serial, maker, &["--auto-press"])
    }

    fn launch(
        port: PathBuf,
        directory: &Path,
        name: &str,
        serial: &str,
        maker: &Path,
        more: &[&str],
    ) -> EmulatedToken {
        let display = directory.join(format!("{name}.display"));
        let mut child = Command::new(binary())
            .arg("--link")
            .arg(&port)
            .arg("--state")
            .arg(directory.join(format!("{name}.flash")))
            .args(["--serial", serial, "--maker-key"])
            .arg(maker)
            .args(more)
            .arg("--display")
            .arg(&display)
            .stdin(Stdio::piped())
            .spawn()
            .expect("token-sim runs");
        let fingers = child.stdin.take().expect("piped");
        wait_until(START_DEADLINE, "the token's line", || port.exists().then_some(()));
        EmulatedToken { port, display, child, fingers }
    }

    /// Its flash, as a thief finds it.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn flash(&self) -> Vec<u8> {
        std::fs::read(self.port.with_extension("flash")).expect("the token's own file")
    }

    /// Presses buttons: `a`, `b`, `hold a`, `hold b`.
    ///
    /// # Panics
    /// When the token has ended.
    pub fn press(&mut self, what: &str) {
        writeln!(self.fingers, "{what}").expect("the token listens");
    }

    /// Presses the button and reads the code of `digits` digits that the display then shows. As a person does, it
    /// wakes a display that is off first, and presses again when nothing comes of it.
    ///
    /// # Panics
    /// When none appears in time.
    pub fn code(&mut self, digits: usize) -> String {
        let before = self.digits();
        if self.is_off() {
            self.press("a");
            wait_until(DISPLAY_DEADLINE, "the display is on", || (!self.is_off()).then_some(()));
        }
        let mut pressed: Option<Instant> = None;
        wait_until(DISPLAY_DEADLINE, "a code on the display", || {
            let fresh = self.digits().filter(|code| code.len() == digits && Some(code) != before.as_ref());
            if fresh.is_none() && pressed.is_none_or(|at| at.elapsed() >= PRESS_AGAIN) {
                self.press("a");
                pressed = Some(Instant::now());
            }
            fresh
        })
    }

    /// Types a question, another one than the last, and reads the response of `digits` digits.
    ///
    /// # Panics
    /// When none appears in time.
    pub fn answer(&mut self, question: &str, digits: usize) -> String {
        let before = self.digits();
        if self.is_off() {
            self.press("a");
        }
        self.press("a");
        for digit in question.bytes() {
            (b'0'..digit).for_each(|_| self.press("a"));
            self.press("b");
        }
        self.press("hold b");
        wait_until(DISPLAY_DEADLINE, "a response on the display", || {
            self.digits().filter(|code| code.len() == digits && Some(code) != before.as_ref())
        })
    }

    /// The code on the display, if there is one.
    fn digits(&self) -> Option<String> {
        let shown = self.shown();
        let code = shown.lines().next()?.strip_prefix("digits: ")?;
        (!code.is_empty()).then(|| code.to_owned())
    }

    fn is_off(&self) -> bool {
        self.shown().starts_with("off")
    }

    /// What the display shows now.
    pub fn shown(&self) -> String {
        std::fs::read_to_string(&self.display).unwrap_or_default()
    }
}

impl Drop for EmulatedToken {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the emulated token could not be ended: {error}");
        }
    }
}
