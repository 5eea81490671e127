//! The emulated token's day: bytes from the pty, fingers from standard input, the display as text.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use anyhow::Context as _;
use token::link::Serial;
use token::{Platform as _, Token};

use crate::board::{Board, Finger, unix_seconds};
use crate::display::{read_digits, render};
use crate::factory;
use crate::flash::Flash;
use crate::pty::Pty;

/// How long to wait for bytes before the token looks at its buttons again.
const TICK_MS: u32 = 4;

/// A person takes this long to read a question.
const READ_MS: u64 = 1_300;

/// What to emulate.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Symlink to the serial line
    #[arg(long, value_name = "PATH")]
    pub link: PathBuf,
    /// Flash of the token; made if it is not there
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// Serial that a blank token gets
    #[arg(long, value_name = "SERIAL", default_value = "CST-000001")]
    pub serial: String,
    /// Maker key that attests a blank token; without it a blank token stays blank
    #[arg(long, value_name = "FILE")]
    pub maker_key: Option<PathBuf>,
    /// Days since the maker certified it; negative: certified from a day to come
    #[arg(long, value_name = "DAYS", default_value_t = 0, allow_negative_numbers = true)]
    pub issued_days_ago: i32,
    /// How long the maker's certificate holds, in days
    #[arg(long, value_name = "DAYS", default_value_t = factory::VALIDITY_DAYS)]
    pub valid_days: u32,
    /// The token's milliseconds pass so many times as fast, and so do the fingers of --auto-press
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    pub speed: u64,
    /// Say yes to every question after a moment
    #[arg(long)]
    pub auto_press: bool,
    /// Write the display to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub display: Option<PathBuf>,
    /// End when standard input ends
    #[arg(long)]
    pub end_with_input: bool,
}

enum Word {
    Press(Finger),
    /// The battery is changed.
    LoseClock,
    Quit,
}

/// Emulates until standard input says `quit`. Lines: `a` (next), `b` (menu), `hold a`, `hold b`, `lose clock`.
///
/// # Errors
/// If state, line or display cannot be used, or the factory step fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let flash = Flash::open(&options.state, unix_seconds())
        .with_context(|| format!("failed to open {}", options.state.display()))?;
    let mut token = Token::start(Board::new(flash, options.speed)?);
    if let Some(maker) = &options.maker_key
        && factory::is_blank(&mut token)?
    {
        let serial = Serial::parse(&options.serial)?;
        let issued = factory::today().saturating_add_signed(options.issued_days_ago.saturating_neg());
        let days = issued..=issued.saturating_add(options.valid_days);
        factory::attest(&mut token, maker, serial, days).context("failed to attest the token")?;
    }
    let mut pty =
        Pty::open(&options.link).with_context(|| format!("failed to make {}", options.link.display()))?;
    let words = listen();
    let mut asked_since = None;
    loop {
        match words.try_recv() {
            Ok(Word::Press(finger)) => token.platform_mut().press(finger),
            Ok(Word::LoseClock) => token.platform_mut().flash.restart_rtc(unix_seconds())?,
            Ok(Word::Quit) => return Ok(()),
            Err(TryRecvError::Disconnected) if options.end_with_input => return Ok(()),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        let bytes = pty.read(TICK_MS)?;
        token.platform_mut().from_host.extend(bytes);
        token.poll();
        if options.auto_press {
            agree(&mut token, &mut asked_since);
        }
        let answer = std::mem::take(&mut token.platform_mut().to_host);
        pty.write(&answer)?;
        if let Some(shown) = token.platform_mut().shown.take() {
            let text = match shown {
                Some(frame) => {
                    format!("digits: {}\n{}", read_digits(&frame).unwrap_or_default(), render(&frame))
                }
                None => "off\n".to_owned(),
            };
            show(options, &text)?;
        }
    }
}

/// Presses yes once per question, after the time a person needs to read it.
fn agree(token: &mut Token<Board>, asked_since: &mut Option<u64>) {
    if !token.awaits_presence() {
        *asked_since = None;
        return;
    }
    let now = token.platform_mut().now_ms();
    let since = *asked_since.get_or_insert(now);
    if now.saturating_sub(since) >= READ_MS && token.platform_mut().is_idle() {
        token.platform_mut().press(Finger::Next { hold: false });
    }
}

/// By rename, so that a reader never sees half a picture.
fn show(options: &Options, text: &str) -> anyhow::Result<()> {
    let Some(path) = &options.display else {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        return Ok(out.flush()?);
    };
    let mut staged = path.clone().into_os_string();
    staged.push(".new");
    fs::write(&staged, text).and_then(|()| fs::rename(&staged, path))?;
    Ok(())
}

/// Reads standard input beside the loop.
fn listen() -> Receiver<Word> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let word = match line.trim() {
                "a" => Word::Press(Finger::Next { hold: false }),
                "b" => Word::Press(Finger::Menu { hold: false }),
                "hold a" => Word::Press(Finger::Next { hold: true }),
                "hold b" => Word::Press(Finger::Menu { hold: true }),
                "lose clock" => Word::LoseClock,
                "quit" => Word::Quit,
                other => {
                    eprintln!("not understood: {other:?}; say a, b, hold a, hold b, lose clock or quit");
                    continue;
                }
            };
            if sender.send(word).is_err() {
                break;
            }
        }
    });
    receiver
}
