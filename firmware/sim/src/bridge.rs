//! A token behind a socket, as an emulator of a board offers its serial port: the maker's bench for it, and then a
//! pty for programs that want a port.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use token::link::{Call, Event, Life, Serial, Session, call};

use crate::board::monotonic_ms;
use crate::factory;
use crate::pty::Pty;

/// How long the line may be silent before the other side is looked at.
const TICK_MS: u32 = 4;

const READ_MAX: usize = 512;

/// What to bridge.
#[derive(Debug, clap::Args)]
pub struct BridgeOptions {
    /// Unix socket of the board's serial port
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Symlink to the serial line
    #[arg(long, value_name = "PATH")]
    pub link: PathBuf,
    /// Serial that a blank token gets
    #[arg(long, value_name = "SERIAL", default_value = "CST-000001")]
    pub serial: String,
    /// Maker key that attests a blank token; without it a blank token stays blank
    #[arg(long, value_name = "FILE")]
    pub maker_key: Option<PathBuf>,
}

/// Attests a blank token, then copies bytes until the socket ends. Prints what the token says about itself, and how
/// much stack it has used, before it opens the line.
///
/// # Errors
/// If socket, key or line cannot be used, or the token refuses.
pub fn bridge(options: &BridgeOptions) -> anyhow::Result<()> {
    let mut socket = UnixStream::connect(&options.socket)
        .with_context(|| format!("failed to open {}", options.socket.display()))?;
    socket.set_read_timeout(Some(Duration::from_millis(TICK_MS.into())))?;
    let mut info = ask(&mut socket, call::GetInfo)?;
    if let Some(maker) = options.maker_key.as_ref().filter(|_| info.life == Life::Factory) {
        let serial = Serial::parse(&options.serial)?;
        let key = ask(&mut socket, call::Personalise(serial.clone()))?;
        ask(&mut socket, call::Certify(factory::certificate(maker, serial, key)?))?;
        info = ask(&mut socket, call::GetInfo)?;
    }
    let hash = data_encoding::HEXLOWER.encode(&info.firmware.hash.0);
    println!("life: {:?}\nimage: {hash}", info.life);
    println!("stack: {} bytes", ask(&mut socket, call::GetDiagnostics)?.stack_used);
    let mut pty =
        Pty::open(&options.link).with_context(|| format!("failed to make {}", options.link.display()))?;
    loop {
        socket.write_all(&pty.read(TICK_MS)?)?;
        match read(&mut socket)? {
            Some(bytes) => pty.write(&bytes)?,
            None => return Ok(()),
        }
    }
}

/// What has come, if anything; `None` at the end.
fn read(socket: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; READ_MAX];
    match socket.read(&mut bytes) {
        Ok(0) => Ok(None),
        Ok(count) => {
            bytes.truncate(count);
            Ok(Some(bytes))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Ok(Some(Vec::new()))
        }
        Err(error) => Err(error),
    }
}

/// The session limits how long this takes.
fn ask<C: Call>(socket: &mut UnixStream, call: C) -> anyhow::Result<C::Answer> {
    let mut session = Session::new(monotonic_ms() as u32);
    ensure!(session.begin(&call.into_request(), monotonic_ms()).is_ok(), "a new session is idle");
    loop {
        if let Some(bytes) = session.poll_transmit() {
            socket.write_all(bytes)?;
        }
        let bytes = read(socket)?.context("the board's serial port ended")?;
        session.handle_bytes(&bytes, monotonic_ms());
        session.handle_timeout(monotonic_ms());
        match session.poll_event() {
            None | Some(Event::Waiting(_)) => {}
            Some(Event::Answered(answer)) => {
                return C::answer(answer).context("the token's answer is to another question");
            }
            Some(Event::Refused(refusal)) => bail!("{refusal}"),
            Some(Event::Failed(failure)) => bail!("{failure}"),
        }
    }
}
