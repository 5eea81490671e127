//! A mail relay that keeps what it takes: SMTP (RFC 5321) as far as one client needs it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::time::PATIENCE;

/// Longest silence of a client.
const SILENCE: Duration = Duration::from_secs(30);

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Header and body.
    pub text: String,
}

/// The relay, on a thread that ends with the test's process.
pub struct MailSink {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Receiver<Mail>,
}

impl MailSink {
    /// Listens on a port that the kernel gives.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> MailSink {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let (sender, taken) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                // A client that hangs up has its own reasons.
                std::thread::spawn(move || drop(converse(stream, &sender)));
            }
        });
        MailSink { address, taken }
    }

    /// The next mail.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn next(&self) -> Mail {
        self.taken.recv_timeout(PATIENCE).expect("a mail in time")
    }

    /// The next mail, if one was taken already.
    pub fn try_next(&self) -> Option<Mail> {
        self.taken.try_recv().ok()
    }
}

fn converse(stream: TcpStream, taken: &Sender<Mail>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    let mut mail = Mail { to: Vec::new(), text: String::new() };
    out.write_all(b"220 sink\r\n")?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "RCPT" => mail.to.push(command.split(['<', '>']).nth(1).unwrap_or_default().to_owned()),
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                loop {
                    let mut line = String::new();
                    if lines.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    match line.trim_end_matches(['\r', '\n']) {
                        "." => break,
                        text => mail.text.push_str(text.strip_prefix('.').unwrap_or(text)),
                    }
                    mail.text.push('\n');
                }
                let whole = std::mem::replace(&mut mail, Mail { to: Vec::new(), text: String::new() });
                // The test may be over.
                drop(taken.send(whole));
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => {}
        }
        out.write_all(b"250 done\r\n")?;
    }
}
