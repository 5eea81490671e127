//! An emulated hardware token: the firmware's own logic on a pty, started as a process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::appliance::target_dir;
use crate::time::wait_until;

/// Longest time until the token's line is there.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Longest time until the display shows what is waited for.
const DISPLAY_DEADLINE: Duration = Duration::from_secs(30);

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
        let port = directory.join(format!("{name}.port"));
        let display = directory.join(format!("{name}.display"));
        let mut child = Command::new(binary())
            .arg("--link")
            .arg(&port)
            .arg("--state")
            .arg(directory.join(format!("{name}.flash")))
            .args(["--serial", serial, "--auto-press", "--maker-key"])
            .arg(maker)
            .arg("--display")
            .arg(&display)
            .stdin(Stdio::piped())
            .spawn()
            .expect("token-sim runs");
        let fingers = child.stdin.take().expect("piped");
        wait_until(START_DEADLINE, "the token's line", || port.exists().then_some(()));
        EmulatedToken { port, display, child, fingers }
    }

    /// Presses buttons: `a`, `b`, `hold a`, `hold b`.
    ///
    /// # Panics
    /// When the token has ended.
    pub fn press(&mut self, what: &str) {
        writeln!(self.fingers, "{what}").expect("the token listens");
    }

    /// Presses the button and reads the code of `digits` digits that the display then shows.
    ///
    /// # Panics
    /// When none appears in time.
    pub fn code(&mut self, digits: usize) -> String {
        let before = self.digits();
        self.press("a");
        wait_until(DISPLAY_DEADLINE, "a code on the display", || {
            self.digits().filter(|code| code.len() == digits && Some(code) != before.as_ref())
        })
    }

    /// Types a question, another one than the last, and reads the response of `digits` digits.
    ///
    /// # Panics
    /// When none appears in time.
    pub fn answer(&mut self, question: &str, digits: usize) -> String {
        let before = self.digits();
        if self.shown().starts_with("off") {
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
