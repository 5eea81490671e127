//! A small blocking HTTP/1.1 client (RFC 9112) over TCP and Unix sockets: one connection, kept alive.
//!
//! It never repeats a request on its own: whoever counts accepts has to know what was sent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

/// Longest wait for an answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Longest body that is read.
const BODY_MAX: usize = 16 << 20;

/// Where to connect.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// Loopback.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A connected stream of either kind.
pub enum Stream {
    /// Loopback.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Endpoint {
    /// Opens a connection; reads end with an error after a generous time.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(&self) -> io::Result<Stream> {
        match self {
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
                Ok(Stream::Tcp(stream))
            }
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
                Ok(Stream::Unix(stream))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Status line and header lines as they came, without `date`, which is the clock's.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The problem's stable code; empty in an answer that is no problem.
    pub fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it is 200 with the verdict `accept`.
    pub fn accepted(&self) -> bool {
        self.status == 200 && self.json()["verdict"] == "accept"
    }

    /// Whether it is exactly the rejection.
    pub fn rejected(&self) -> bool {
        self.status == 200 && self.body == br#"{"verdict":"reject"}"#
    }

    /// The same answer, if its status is this one.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// A client with one connection.
pub struct Client {
    endpoint: Endpoint,
    key: Option<String>,
    connection: Option<BufReader<Stream>>,
}

impl Client {
    /// Not yet connected. Without a key the connection itself says who is asking.
    pub fn new(endpoint: Endpoint, key: Option<&str>) -> Client {
        Client { endpoint, key: key.map(str::to_owned), connection: None }
    }

    /// Sends a body as it is and reads the answer. After an error it is not known whether the request was heard.
    ///
    /// # Errors
    /// When the connection fails or ends before the whole answer.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        if let Some(key) = &self.key {
            head.push_str(&format!("authorization: Bearer {key}\r\n"));
        }
        if let Some(body) = body {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let message = [head.as_bytes(), body.unwrap_or_default()].concat();
        let mut connection = match self.connection.take() {
            Some(connection) if !is_left(connection.get_ref())? => connection,
            _ => BufReader::new(self.endpoint.connect()?),
        };
        connection.get_mut().write_all(&message)?;
        let answer = read_answer(&mut connection)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// As [`Client::send`], where a failure is the test's.
    ///
    /// # Panics
    /// When no answer comes.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let answer = self.send(method, path, bytes.as_deref());
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// GET.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, None)
    }

    /// POST with a JSON body.
    #[track_caller]
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, Some(body))
    }

    /// PUT with a JSON body.
    #[track_caller]
    pub fn put(&mut self, path: &str, body: &Value) -> Answer {
        self.request("PUT", path, Some(body))
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(&mut self, path: &str) -> Answer {
        self.request("DELETE", path, None)
    }

    /// Verifies a user's code.
    #[track_caller]
    pub fn verify(&mut self, user: &str, otp: &str) -> Answer {
        self.post("/v1/verify", &serde_json::json!({"user": user, "otp": otp}))
    }

    /// Verifies a token's code.
    #[track_caller]
    pub fn verify_token(&mut self, serial: &str, otp: &str) -> Answer {
        self.post("/v1/verify", &serde_json::json!({"token": serial, "otp": otp}))
    }
}

/// Whether the server has closed a connection on which nothing is due.
fn is_left(stream: &Stream) -> io::Result<bool> {
    let mut polled = [PollFd::new(stream, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&Timespec::default()))? > 0)
}

/// Reads one answer with a body of known length.
///
/// # Errors
/// When the connection ends or the answer is not HTTP/1.1.
pub fn read_answer(reader: &mut impl BufRead) -> io::Result<Answer> {
    let broken = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let mut head = String::new();
    let mut status = None;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match (status, line.split_once(':')) {
            (None, _) => {
                let code = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
                status = Some(code.ok_or_else(|| broken("no status line"))?);
            }
            (_, Some((name, value))) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(|_| broken("content-length"))?;
            }
            (_, Some((name, _))) if name.eq_ignore_ascii_case("date") => continue,
            (_, Some((name, _))) if name.eq_ignore_ascii_case("transfer-encoding") => {
                return Err(broken("a chunked answer"));
            }
            _ => {}
        }
        head.push_str(line);
        head.push('\n');
    }
    if length > BODY_MAX {
        return Err(broken("a body beyond all bounds"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Answer { status: status.ok_or_else(|| broken("no status line"))?, head, body })
}
