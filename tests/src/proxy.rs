//! A Unix socket before the daemon's that loses one request or one answer, as a crash between the two would.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use crate::http::read_answer;

/// Largest request that is passed on.
const BODY_MAX: usize = 1 << 20;

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The daemon never hears it.
    Request,
    /// The daemon has done it; nobody hears the answer.
    Answer,
}

/// Stands before `daemon` until the process ends; loses something of the request number `nth`, from 0. One
/// request per connection, as the command line sends them.
///
/// # Panics
/// When the socket cannot be made.
pub fn stand_before(daemon: &Path, socket: &Path, nth: usize, lost: Lost) {
    let listener = UnixListener::bind(socket).expect("own scratch directory");
    let daemon = daemon.to_owned();
    thread::spawn(move || {
        for (n, client) in listener.incoming().enumerate() {
            let Ok(client) = client else { return };
            // A client that leaves early is its own affair.
            drop(pass(client, &daemon, (n == nth).then_some(lost)));
        }
    });
}

fn pass(client: UnixStream, daemon: &Path, lost: Option<Lost>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let request = read_request(&mut reader)?;
    if lost == Some(Lost::Request) {
        return Ok(());
    }
    let mut upstream = UnixStream::connect(daemon)?;
    upstream.write_all(&request)?;
    let answer = read_answer(&mut BufReader::new(upstream))?;
    if lost == Some(Lost::Answer) {
        return Ok(());
    }
    let mut client = client;
    client.write_all(answer.head.replace('\n', "\r\n").as_bytes())?;
    client.write_all(b"\r\n")?;
    client.write_all(&answer.body)
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(line.as_bytes());
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    if length > BODY_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.extend_from_slice(&body);
    Ok(request)
}
