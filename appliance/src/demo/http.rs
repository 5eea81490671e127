//! API and pages over loopback HTTP, as `curl` would speak it.

use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::http::request::Builder;
use hyper::http::response::Parts;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// An answer of the API.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body as it came.
    pub(super) text: String,
    /// The same, read.
    pub(super) body: Value,
}

/// One request on a connection of its own.
///
/// # Errors
/// When no whole answer comes in time, or it is no JSON.
pub(super) fn request(
    port: u16,
    path: &str,
    key: Option<&str>,
    body: Option<&str>,
) -> anyhow::Result<Answer> {
    let mut request = begun(port, path, body.is_some()).header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let (head, text) = send(port, request, body)?;
    let body = serde_json::from_str(&text).context("the answer is no JSON")?;
    Ok(Answer { status: head.status.as_u16(), text, body })
}

/// One request for a page: a form, or none, and the cookie of a visitor.
///
/// # Errors
/// When no whole answer comes in time.
pub(super) fn page(
    port: u16,
    path: &str,
    cookie: Option<&str>,
    form: Option<&str>,
) -> anyhow::Result<(Parts, String)> {
    let kind = "application/x-www-form-urlencoded";
    let mut request = begun(port, path, form.is_some()).header(header::CONTENT_TYPE, kind);
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    send(port, request, form)
}

fn begun(port: u16, path: &str, is_post: bool) -> Builder {
    Request::builder()
        .method(if is_post { Method::POST } else { Method::GET })
        .uri(path)
        .header(header::HOST, format!("127.0.0.1:{port}"))
}

fn send(port: u16, request: Builder, body: Option<&str>) -> anyhow::Result<(Parts, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default().to_owned())))?;
    runtime
        .block_on(async { tokio::time::timeout(DEADLINE, exchange(port, request)).await })
        .context("the daemon did not answer in time")?
}

async fn exchange(port: u16, request: Request<Full<Bytes>>) -> anyhow::Result<(Parts, String)> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_MAX)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("the answer did not come whole: {error}"))?
        .to_bytes();
    connection.abort();
    let text = String::from_utf8(body.to_vec()).context("the answer is no text")?;
    Ok((head, text))
}
