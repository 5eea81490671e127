//! What a person types at the terminal and nobody shall see, and questions that a person answers.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::output::Failure;

/// Longest line that is read, in bytes.
const LINE_MAX: u64 = 1024;
/// What the keys Ctrl-C, Ctrl-D and the two that erase send.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const ERASE: [u8; 2] = [8, 127];

/// A terminal that echoes nothing while this lives. Ctrl-C is a key meanwhile: were it a signal, the terminal would stay
/// without echo.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn new() -> Result<Self, Failure> {
        let none =
            |_| Failure::usage("there is no terminal to ask at: give - and the password on standard input");
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(none)?;
        let before = tcgetattr(&terminal).map_err(Failure::fault)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(Failure::fault)?;
        Ok(Silent { terminal, before })
    }

    fn ask(&mut self, question: &str) -> Result<Zeroizing<String>, Failure> {
        write!(self.terminal, "{question}: ").map_err(Failure::fault)?;
        let mut typed = Zeroizing::new(Vec::with_capacity(LINE_MAX as usize));
        let mut byte = [0];
        loop {
            let read = self.terminal.read(&mut byte).map_err(Failure::fault)?;
            match byte[0] {
                b'\r' | b'\n' => break,
                _ if read == 0 => return Err(Failure::usage("the terminal is gone; nothing was changed")),
                INTERRUPT | END => {
                    writeln!(self.terminal).map_err(Failure::fault)?;
                    return Err(Failure::usage("given up; nothing was changed"));
                }
                key if ERASE.contains(&key) => erase(&mut typed),
                key if typed.len() < typed.capacity() => typed.push(key),
                _ => {}
            }
        }
        writeln!(self.terminal).map_err(Failure::fault)?;
        let text = std::str::from_utf8(&typed).map_err(|_| Failure::usage("that is no UTF-8"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Takes the last character away, whatever its bytes.
fn erase(typed: &mut Vec<u8>) {
    while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing is left to do when the terminal is gone.
        tcsetattr(&self.terminal, OptionalActions::Flush, &self.before).ok();
    }
}

/// Asks for a new password twice, without echo.
pub(super) fn new_password(whose: &str) -> Result<Zeroizing<String>, Failure> {
    let mut terminal = Silent::new()?;
    let first = terminal.ask(&format!("New password of {whose}"))?;
    let again = terminal.ask("The same again")?;
    if first != again {
        return Err(Failure::usage("the two are not the same; nothing was changed"));
    }
    Ok(first)
}

/// One line of standard input without its end.
pub(super) fn line() -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(LINE_MAX as usize));
    std::io::stdin().lock().take(LINE_MAX).read_line(&mut line).map_err(Failure::fault)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

/// All lines of standard input.
pub(super) fn lines() -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(LINE_MAX).read_to_string(&mut text).map_err(Failure::fault)?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Asks before something that cannot be undone; whoever cannot be asked has to say `--yes`.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    eprint!("{question} Type yes to go on: ");
    if line()?.trim() == "yes" {
        return Ok(());
    }
    eprintln!();
    Err(Failure::refused("given up; nothing was changed (--yes goes on without asking)"))
}
