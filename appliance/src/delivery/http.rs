//! One HTTP exchange (RFC 9112) on a connection of its own, over TLS or not.
//!
//! Every wait lies inside one deadline. The caller says which of a name's addresses may be connected to, and exactly
//! those are. There are no redirects, proxies, cookies, pools or retries to be switched off; the environment is not read.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use push::address::Url;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::SetupError;
use crate::config::push_delivery;

/// Largest head of an answer, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Longest wait for one of them, so that the next has its turn.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HttpError {
    /// The name has no address.
    #[error("the host's name cannot be resolved")]
    Resolve,
    /// Every address of the name is one that nothing is sent to.
    #[error("the host's name leads to an address that no rule of push.delivery.allow names")]
    NotAdmitted,
    /// No connection.
    #[error("the host cannot be reached: {0}")]
    Connect(io::ErrorKind),
    /// The certificate is not this host's, or nobody's that is known here.
    #[error("the host's certificate is not good: {0}")]
    Certificate(String),
    /// TLS failed otherwise.
    #[error("TLS with the host failed: {0}")]
    Tls(String),
    /// What came is no answer, or not the whole of it.
    #[error("the host's answer is none")]
    Broken,
    /// More than is read.
    #[error("the host's answer is too large")]
    TooLarge,
    /// Not in time.
    #[error("the host did not answer in time")]
    Deadline,
}

/// How hosts are known.
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the authorities of a file, or of the system.
    ///
    /// # Errors
    /// [`SetupError`].
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, SetupError> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(push_delivery::authorities(ca_file)?);
        if added == 0 {
            return Err(SetupError::Fault("no authority's certificate can be used".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError::Fault(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls(Arc::new(config)))
    }
}

/// What is sent.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Retry-After` in seconds; one with a date is passed over.
    pub(crate) retry_after: Option<Duration>,
    /// Empty where the caller wants none.
    pub(crate) body: Vec<u8>,
}

/// Sends one request and reads its answer: the body, if it has at most `body_max` bytes, or nothing but the head.
/// Without `tls` there is none to be spoken.
///
/// # Errors
/// [`HttpError`]. After [`HttpError::Broken`] and [`HttpError::Deadline`] it is not known whether it was heard.
pub(crate) async fn exchange(
    tls: Option<&Tls>,
    admits: &(dyn Fn(IpAddr) -> bool + Sync),
    call: &Call,
    deadline: Duration,
    body_max: Option<usize>,
) -> Result<Answer, HttpError> {
    let whole = async {
        let stream = connect(&addresses(&call.url, admits).await?).await?;
        if !call.url.tls() {
            return talk(stream, call, body_max).await;
        }
        let host = call.url.host();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| HttpError::Resolve)?;
        let Tls(config) = tls.ok_or_else(|| HttpError::Tls("no authority is known here".to_owned()))?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(tls_error)?;
        talk(stream, call, body_max).await
    };
    timeout(deadline, whole).await.unwrap_or(Err(HttpError::Deadline))
}

/// The addresses of a host that may be connected to, in the resolver's order.
async fn addresses(
    url: &Url,
    admits: &(dyn Fn(IpAddr) -> bool + Sync),
) -> Result<Vec<SocketAddr>, HttpError> {
    let host = url.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let found: Vec<SocketAddr> = match literal {
        Ok(address) => vec![SocketAddr::new(address, url.port())],
        Err(_) => {
            let found = tokio::net::lookup_host((host.as_str(), url.port())).await;
            found.map_err(|_| HttpError::Resolve)?.collect()
        }
    };
    if found.is_empty() {
        return Err(HttpError::Resolve);
    }
    let admitted: Vec<_> = found.into_iter().filter(|at| admits(at.ip())).take(ADDRESSES_MAX).collect();
    if admitted.is_empty() { Err(HttpError::NotAdmitted) } else { Ok(admitted) }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, HttpError> {
    let mut last = HttpError::Resolve;
    for address in addresses {
        match timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = HttpError::Connect(error.kind()),
            Err(_) => last = HttpError::Connect(io::ErrorKind::TimedOut),
        }
    }
    Err(last)
}

fn tls_error(error: io::Error) -> HttpError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => HttpError::Certificate(why.to_string()),
        Some(other) => HttpError::Tls(other.to_string()),
        None => HttpError::Tls(error.kind().to_string()),
    }
}

async fn talk<S>(stream: S, call: &Call, body_max: Option<usize>) -> Result<Answer, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |_| HttpError::Broken;
    let origin = call.url.origin();
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let mut request = Request::builder().method(call.method.clone()).uri(call.url.target());
    request = request.header(header::HOST, host);
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(call.body.clone()))).map_err(|_| HttpError::Broken)?;
    let handshake = http1::Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broken)?;
    // Ends with this exchange, also where the deadline ends it.
    let mut driven = tokio::task::JoinSet::new();
    driven.spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    let after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = match body_max {
        None => Vec::new(),
        Some(max) => Limited::new(body, max).collect().await.map_err(too_large)?.to_bytes().to_vec(),
    };
    Ok(Answer { status: head.status.as_u16(), retry_after: after.map(Duration::from_secs), body })
}

fn too_large(error: Box<dyn std::error::Error + Send + Sync>) -> HttpError {
    if error.is::<LengthLimitError>() { HttpError::TooLarge } else { HttpError::Broken }
}
