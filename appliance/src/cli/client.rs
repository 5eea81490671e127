//! The daemon's API over its socket, for one command.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::Global;
use super::output::Failure;
use crate::api::{Problem, wire};

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Media type of every body but files.
const JSON: &str = "application/json";
/// Largest key file, in bytes.
const KEY_MAX: u64 = 256;

/// One command's connection to the daemon.
pub(crate) struct Client<'g> {
    socket: &'g Path,
    key: Option<Zeroizing<String>>,
    runtime: tokio::runtime::Runtime,
}

impl<'g> Client<'g> {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// When the key file cannot be read.
    pub(crate) fn new(global: &'g Global) -> Result<Self, Failure> {
        let key = match &global.key_file {
            None => None,
            Some(path) => Some(read_key(path)?),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::fault)?;
        Ok(Client { socket: &global.socket, key, runtime })
    }

    /// Whether a daemon's socket is there at all.
    pub(crate) fn has_daemon(&self) -> bool {
        std::fs::metadata(self.socket).is_ok_and(|meta| meta.file_type().is_socket())
            && std::os::unix::net::UnixStream::connect(self.socket).is_ok()
    }

    /// Reads a resource.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        parse(&self.send(Method::GET, path, Bytes::new())?)
    }

    /// Reads a resource that may not be there.
    pub(crate) fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        match self.exchange_once(JSON, Method::GET, path, Bytes::new())? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) if status.is_success() => parse(&body).map(Some),
            (status, body) => Err(problem(status, &body)),
        }
    }

    /// Sends a body where there is nothing to answer.
    pub(crate) fn post_nothing(&self, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::fault)?;
        self.send(Method::POST, path, body.into()).map(drop)
    }

    /// Sends a body and reads the answer.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::fault)?;
        parse(&self.send(Method::POST, path, body.into())?)
    }

    /// Replaces a resource and reads the answer.
    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::fault)?;
        parse(&self.send(Method::PUT, path, body.into())?)
    }

    /// Replaces a resource by a file of this media type and reads the answer.
    pub(crate) fn put_file<T: DeserializeOwned>(
        &self,
        path: &str,
        kind: &'static str,
        file: Vec<u8>,
    ) -> Result<T, Failure> {
        parse(&self.send_as(kind, Method::PUT, path, file.into())?)
    }

    /// Ends a part of a resource and reads what is left.
    pub(crate) fn remove<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        parse(&self.send(Method::DELETE, path, Bytes::new())?)
    }

    /// Ends a resource.
    pub(crate) fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, Bytes::new()).map(drop)
    }

    fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        self.send_as(JSON, method, path, body)
    }

    fn send_as(&self, kind: &'static str, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let (status, body) = self.exchange_once(kind, method, path, body)?;
        if status == StatusCode::ACCEPTED
            && let Ok(waiting) = serde_json::from_slice::<wire::Waiting>(&body)
        {
            return Err(Failure::waits(waiting));
        }
        if status.is_success() { Ok(body) } else { Err(problem(status, &body)) }
    }

    fn exchange_once(
        &self,
        kind: &'static str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let exchange = async {
            match tokio::time::timeout(DEADLINE, self.exchange(kind, method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => Err(Failure::unavailable("the daemon did not answer in time; see its log")),
            }
        };
        self.runtime.block_on(exchange)
    }

    async fn exchange(
        &self,
        kind: &'static str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let stream = UnixStream::connect(self.socket).await.map_err(|error| {
            Failure::unavailable(format!(
                "no daemon answers at {}: {error}; start it with `countersign serve`, or name its socket with --socket",
                self.socket.display()
            ))
        })?;
        let lost = |error: hyper::Error| Failure::unavailable(format!("the daemon went away: {error}"));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "countersign")
            .header(header::CONTENT_TYPE, kind);
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.as_str()));
        }
        let request = request.body(Full::new(body)).map_err(Failure::fault)?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(Failure::fault)?;
        connection.abort();
        Ok((status, body.to_bytes()))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::fault(format!("the daemon's answer is not what it should be: {error}")))
}

fn problem(status: StatusCode, body: &[u8]) -> Failure {
    let text = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => format!("{} ({})", problem.detail, problem.code),
        Err(_) => format!("the daemon answered {status}"),
    };
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Failure::usage(text),
        StatusCode::SERVICE_UNAVAILABLE => Failure::unavailable(text),
        status if status.is_client_error() => Failure::refused(text),
        _ => Failure::fault(text),
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error| Failure::usage(format!("key file {}: {error}", path.display()));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > KEY_MAX {
        return Err(Failure::usage(format!("key file {}: larger than {KEY_MAX} bytes", path.display())));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
    Ok(Zeroizing::new(text.trim_end().to_owned()))
}

/// A path segment from outside, percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    domain::otpauth::percent_encode(text)
}
