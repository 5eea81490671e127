//! Emulated tokens at the station: `token-sim` processes whose buttons it presses and whose display it reads.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::output::Failure;

/// The emulated token's program.
const PROGRAM: &str = "token-sim";
/// Where it is, when it is nowhere near.
const PROGRAM_VARIABLE: &str = "COUNTERSIGN_TOKEN_SIM";
/// Longest time until a token's line is there.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Longest time from a press to the code.
const DISPLAY_DEADLINE: Duration = Duration::from_secs(5);
/// Presses until a code shows at the latest: the first may only wake the screen.
const PRESSES_MAX: usize = 4;
/// How often the display is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Where emulated tokens live, and who made them.
pub(crate) struct Works {
    program: PathBuf,
    maker: PathBuf,
    directory: PathBuf,
    /// Whether nothing of them is wanted later.
    forget: bool,
}

impl Works {
    /// Prepares a directory for the tokens: beside the batch file, where a cut token is found again, or for now.
    pub(crate) fn prepare(maker: &Path, state: Option<&Path>) -> Result<Self, Failure> {
        fs::File::open(maker).map_err(|error| {
            Failure::usage(format!(
                "maker key {}: {error}; make one with `{PROGRAM} make-maker --out FILE` and put what it prints into \
                 provisioning.maker_keys",
                maker.display()
            ))
        })?;
        let directory = match state {
            Some(state) => {
                let mut name = state.as_os_str().to_owned();
                name.push(".tokens");
                PathBuf::from(name)
            }
            None => std::env::temp_dir().join(format!("countersign-station-{}", std::process::id())),
        };
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {}
            Err(error) if state.is_some() && error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::unavailable(format!("{}: {error}", directory.display()))),
        }
        Ok(Works {
            program: program().unwrap_or_else(|| PROGRAM.into()),
            maker: maker.to_owned(),
            directory,
            forget: state.is_none(),
        })
    }

    /// Plugs a token in. A new one is attested by the maker; one that was here before is as it was.
    pub(crate) fn start(&self, serial: &str) -> Result<EmulatedToken, Failure> {
        let at = |ending: &str| self.directory.join(format!("{serial}.{ending}"));
        let (port, display) = (at("port"), at("display"));
        for stale in [&port, &display] {
            if fs::symlink_metadata(stale).is_ok() {
                fs::remove_file(stale).map_err(Failure::unavailable)?;
            }
        }
        let begun = Instant::now();
        let mut token = self.spawn(serial, &port, &display, &at("flash"))?;
        while !token.port.exists() {
            if begun.elapsed() > START_DEADLINE {
                return Err(Failure::unavailable(format!("the emulated token {serial} did not start")));
            }
            std::thread::sleep(LOOK);
            // The one that a cut station left behind may still hold its flash for a moment.
            if token.child.try_wait().map_err(Failure::fault)?.is_some() {
                token = self.spawn(serial, &port, &display, &at("flash"))?;
            }
        }
        Ok(token)
    }

    fn spawn(
        &self,
        serial: &str,
        port: &Path,
        display: &Path,
        flash: &Path,
    ) -> Result<EmulatedToken, Failure> {
        let mut child = Command::new(&self.program)
            .arg("--link")
            .arg(port)
            .arg("--state")
            .arg(flash)
            .args(["--serial", serial, "--auto-press", "--end-with-input", "--maker-key"])
            .arg(&self.maker)
            .arg("--display")
            .arg(display)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                Failure::unavailable(format!(
                    "{}: {error}; install {PROGRAM}, or name it in {PROGRAM_VARIABLE}",
                    self.program.display()
                ))
            })?;
        let fingers = child.stdin.take().ok_or_else(|| Failure::fault("a pipe was asked for"))?;
        Ok(EmulatedToken { port: port.to_owned(), display: display.to_owned(), child, fingers })
    }
}

impl Drop for Works {
    fn drop(&mut self) {
        if self.forget
            && let Err(error) = fs::remove_dir_all(&self.directory)
        {
            eprintln!("countersign: {} was not removed: {error}", self.directory.display());
        }
    }
}

/// The emulated token's program, where it is installed or built.
pub(crate) fn program() -> Option<PathBuf> {
    crate::beside::find(PROGRAM, PROGRAM_VARIABLE)
}

/// A token that is plugged in for as long as this lives.
pub(crate) struct EmulatedToken {
    /// Its serial line.
    pub(crate) port: PathBuf,
    display: PathBuf,
    child: Child,
    fingers: ChildStdin,
}

impl EmulatedToken {
    /// Presses the button and reads the code that shows then; a code that showed before only when no other comes.
    pub(crate) fn code(&mut self, digits: usize) -> Result<String, String> {
        let before = self.shown(digits);
        for _ in 0..PRESSES_MAX {
            writeln!(self.fingers, "a").map_err(|error| format!("the token's button: {error}"))?;
            let pressed = Instant::now();
            while pressed.elapsed() < DISPLAY_DEADLINE {
                std::thread::sleep(LOOK);
                match self.shown(digits) {
                    Some(code) if Some(&code) != before.as_ref() => return Ok(code),
                    _ => {}
                }
            }
        }
        self.shown(digits).ok_or_else(|| "no code came on the display".to_owned())
    }

    fn shown(&self, digits: usize) -> Option<String> {
        let shown = fs::read_to_string(&self.display).ok()?;
        let code = shown.lines().next()?.strip_prefix("digits: ")?;
        (code.len() == digits).then(|| code.to_owned())
    }
}

impl Drop for EmulatedToken {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("countersign: an emulated token could not be ended: {error}");
        }
    }
}
