//! A terminal of one's own: a command in tmux, which draws what the command writes and types keys.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::time::{PATIENCE, wait_until};

/// A command on a terminal. The terminal lives as long as this, also after the command's end.
pub struct Terminal {
    socket: PathBuf,
    directory: PathBuf,
}

/// How a command left its terminal.
#[derive(Debug)]
pub struct Ended {
    /// Exit status, as a shell tells it.
    pub status: i32,
    /// Whether the line settings (termios) are what they were before.
    pub settings_restored: bool,
    /// Whether the alternate screen was left.
    pub screen_left: bool,
}

impl Terminal {
    /// Starts a command, with its own environment and no other. `directory` must exist and be empty.
    ///
    /// # Panics
    /// When tmux does not start it.
    pub fn start(directory: &Path, columns: u16, rows: u16, command: &Command) -> Terminal {
        let terminal = Terminal { socket: directory.join("tmux"), directory: directory.to_owned() };
        let mut line = String::from("env -i");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                line += &format!(" {}={}", name.to_string_lossy(), quoted(value));
            }
        }
        for word in std::iter::once(command.get_program()).chain(command.get_args()) {
            line += &format!(" {}", quoted(word));
        }
        // The inner shell becomes the command: its process id is the command's.
        let script = format!(
            "cd {here}\nstty -g >before\nsh -c {inner}\necho $? >status.new\nstty -g >after\nmv status.new status\nexec cat\n",
            here = quoted(directory.as_os_str()),
            inner = quoted(OsStr::new(&format!("echo $$ >pid.new; mv pid.new pid; exec {line}"))),
        );
        fs::write(directory.join("script"), script).expect("own scratch directory");
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let shell = format!("sh {}", quoted(directory.join("script").as_os_str()));
        let started = terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, &shell]);
        assert!(started.status.success(), "tmux: {}", String::from_utf8_lossy(&started.stderr));
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-u", "-f", "/dev/null"]).args(arguments);
        command.stdin(Stdio::null()).output().expect("tmux is installed: scripts/setup.sh")
    }

    /// What is on the terminal now.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// The same with the escape sequences of its colours.
    pub fn coloured(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-e"]).stdout).into_owned()
    }

    /// Types keys: characters, or names such as `Enter` and `Tab`.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn keys(&self, keys: &[&str]) {
        let typed = self.tmux(&[&["send-keys"], keys].concat());
        assert!(typed.status.success(), "tmux: {}", String::from_utf8_lossy(&typed.stderr));
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Waits until the terminal shows a text.
    ///
    /// # Panics
    /// When it does not come in time; says what is shown.
    #[track_caller]
    pub fn await_text(&self, wanted: &str) -> String {
        self.await_that(wanted, |shown| shown.contains(wanted))
    }

    /// Waits until what is shown is as it should be.
    ///
    /// # Panics
    /// When it does not become so in time; says what is shown.
    #[track_caller]
    pub fn await_that(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let begun = std::time::Instant::now();
        loop {
            let shown = self.text();
            if is_so(&shown) {
                return shown;
            }
            if shown != last {
                last = shown;
            }
            assert!(begun.elapsed() < PATIENCE, "still not: {what}\n{last}");
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }

    /// The command's process id.
    ///
    /// # Panics
    /// When it has not begun in time.
    pub fn pid(&self) -> String {
        wait_until(PATIENCE, "the command's process id", || self.read("pid"))
    }

    /// Sends the command a signal.
    ///
    /// # Panics
    /// When it has not begun in time, or has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().parse().expect("a process id")).expect("not 0");
        kill_process(pid, signal).expect("a child of the rig");
    }

    /// Waits for the command's end.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn await_end(&self) -> Ended {
        let status = wait_until(PATIENCE, "the command ends", || self.read("status"));
        let alternate = self.tmux(&["display-message", "-p", "#{alternate_on}"]);
        let (before, after) = (self.read("before"), self.read("after"));
        Ended {
            status: status.parse().expect("an exit status"),
            settings_restored: before.is_some() && before == after,
            screen_left: alternate.stdout.starts_with(b"0"),
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok().map(|text| text.trim().to_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// A word as the shell takes it for one.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}
