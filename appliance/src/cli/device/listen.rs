//! Where a simulated phone is reached: in place of a push service and the phone's system, one small HTTP endpoint that
//! takes what a push service would pass on (RFC 8030, 8291).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::device::{Delivered, Personality, Subscription};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::cli::output::Failure;

/// Largest message, in bytes (RFC 8291, 4).
const MESSAGE_MAX: usize = 4_096;
/// Longest wait for the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Messages that are on their way at once.
const PENDING_MAX: usize = 4;

/// An open port.
pub(super) struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// What requests are judged by.
struct Endpoint<'a> {
    path: &'a str,
    keys: &'a Subscription,
    personality: Personality,
    found: mpsc::Sender<Delivered>,
}

impl Listening {
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let unbound = |error| Failure::usage(format!("{address} cannot be listened on: {error}"));
        let listener = TcpListener::bind(address).await.map_err(unbound)?;
        let address = listener.local_addr().map_err(Failure::fault)?;
        Ok(Listening { listener, address })
    }

    /// Its own address, as the appliance would have to spell it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first message that these keys open and the host app knows; none when the wait is over.
    pub(super) async fn push(
        self,
        path: &str,
        keys: &Subscription,
        personality: Personality,
        wait: Duration,
    ) -> Result<Option<Delivered>, Failure> {
        let (found, mut arrived) = mpsc::channel(PENDING_MAX);
        let endpoint = Arc::new(Endpoint { path, keys, personality, found });
        let until = Instant::now() + wait;
        loop {
            let (stream, _) = match timeout_at(until, self.listener.accept()).await {
                Ok(accepted) => accepted.map_err(Failure::fault)?,
                Err(_) => return Ok(None),
            };
            // One connection after the other: who pushes waits for its answer.
            if timeout_at(until, serve(stream, &endpoint)).await.is_err() {
                return Ok(None);
            }
            if let Ok(delivered) = arrived.try_recv() {
                return Ok(Some(delivered));
            }
        }
    }
}

async fn serve(stream: TcpStream, endpoint: &Arc<Endpoint<'_>>) {
    let service = service_fn(|request| async {
        Ok::<_, Infallible>(
            Response::builder()
                .status(endpoint.take(request).await)
                .body(Empty::<Bytes>::new())
                .unwrap_or_default(),
        )
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).keep_alive(false);
    // A connection that breaks off is the other side's: the next one is waited for.
    let _broken_off = http.serve_connection(TokioIo::new(stream), service).await;
}

impl Endpoint<'_> {
    async fn take(&self, request: Request<Incoming>) -> StatusCode {
        if request.uri().path() != self.path {
            return StatusCode::NOT_FOUND;
        }
        if request.method() != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        let Ok(body) = Limited::new(request.into_body(), MESSAGE_MAX).collect().await else {
            return StatusCode::PAYLOAD_TOO_LARGE;
        };
        let clear = self.keys.open(&body.to_bytes());
        let envelope = clear.and_then(|clear| serde_json::from_slice(&clear).ok());
        let Some(delivered) = envelope.and_then(|envelope| Delivered::read(self.personality, &envelope))
        else {
            eprintln!("countersign: a message came that this phone's keys do not open; it was dropped");
            return StatusCode::CREATED;
        };
        match self.found.try_send(delivered) {
            Ok(()) => StatusCode::CREATED,
            Err(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}
