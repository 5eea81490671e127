//! Listening: Unix sockets and loopback HTTP, bounded in connections and patience.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::auth::Peer;
use super::patient::Patient;
use crate::config::{Address, Listener};

/// Connections of one listener at the most; beyond it a new one waits.
pub const CONNECTIONS_MAX: usize = 1024;
/// Longest time a write to a client may stand still.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Longest time a client may take over its request headers.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// Longest life of a connection that is drained at the end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// Pause after a connection that could not be accepted. With no file descriptor left every further try fails at once
/// until somebody hangs up: without a pause the loop would spin and fill the log.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Mode of the socket: who may connect is decided by uid and key.
const SOCKET_MODE: u32 = 0o666;

/// A listener that is bound and not yet serving.
pub enum Bound {
    /// On a Unix socket.
    Unix(UnixListener, Peer),
    /// On a loopback address.
    Http(TcpListener, Peer),
}

impl Bound {
    /// Binds a listener. A stale socket file is removed; one that answers is not.
    ///
    /// # Errors
    /// When the address is in use or not to be had.
    pub async fn bind(listener: &Listener) -> std::io::Result<Self> {
        let peer = Peer { uid: None, application: listener.application.clone() };
        match &listener.address {
            Address::Unix(path) => {
                remove_stale(path).await?;
                let bound = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
                Ok(Bound::Unix(bound, peer))
            }
            Address::Http(address) => Ok(Bound::Http(TcpListener::bind(address).await?, peer)),
        }
    }

    /// The address as people write it.
    pub fn describe(&self) -> String {
        match self {
            Bound::Unix(listener, _) => match listener.local_addr() {
                Ok(address) => format!("unix:{}", address.as_pathname().unwrap_or(Path::new("?")).display()),
                Err(_) => "unix:?".to_owned(),
            },
            Bound::Http(listener, _) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(_) => "http://?".to_owned(),
            },
        }
    }

    /// Serves until `stop` says so, then drains.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            tokio::select! {
                () = stopped(&mut stop) => break,
                accepted = self.accept() => match accepted {
                    Ok((Stream::Unix(stream), peer)) => {
                        tokio::spawn(converse(stream, peer, router.clone(), stop.clone(), place));
                    }
                    Ok((Stream::Tcp(stream), peer)) => {
                        tokio::spawn(converse(stream, peer, router.clone(), stop.clone(), place));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        self.unlink();
        let all = u32::try_from(CONNECTIONS_MAX).expect("a small number");
        if tokio::time::timeout(DRAIN_DEADLINE, places.acquire_many(all)).await.is_err() {
            tracing::warn!("connections were still open at the end");
        }
    }

    /// Removes the socket's file, so that nobody finds a door without a house.
    fn unlink(&self) {
        let Bound::Unix(listener, _) = self else { return };
        let address = listener.local_addr();
        let path = address.as_ref().ok().and_then(|address| address.as_pathname());
        if let Some(Err(error)) = path.map(std::fs::remove_file) {
            tracing::warn!(%error, "the socket's file could not be removed");
        }
    }

    async fn accept(&self) -> std::io::Result<(Stream, Peer)> {
        match self {
            Bound::Unix(listener, peer) => {
                let (stream, _) = listener.accept().await?;
                let uid = Some(stream.peer_cred()?.uid());
                Ok((Stream::Unix(stream), Peer { uid, ..peer.clone() }))
            }
            Bound::Http(listener, peer) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), peer.clone()))
            }
        }
    }
}

/// Returns once the end has come, or nobody is left to announce it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stopped| *stopped).await);
}

enum Stream {
    Unix(UnixStream),
    Tcp(tokio::net::TcpStream),
}

async fn remove_stale(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(found) if !found.file_type().is_socket() => {
            let text = "there is a file of that name, and it is no socket";
            return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, "another process answers there"));
    }
    std::fs::remove_file(path)
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    router: Router,
    mut stop: watch::Receiver<bool>,
    place: tokio::sync::OwnedSemaphorePermit,
) {
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.map(axum::body::Body::new)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
    let connection = builder.serve_connection(
        TokioIo::new(Patient::new(stream, WRITE_DEADLINE)),
        TowerToHyperService::new(service),
    );
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}
