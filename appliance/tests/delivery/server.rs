//! Servers that are strict, slow, or not what they say: each connection is one exchange, seen byte by byte.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Nothing is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    /// By name in lower case; a name that came twice fails the test.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is done with a request.
pub(crate) enum Reply {
    /// These bytes, then the end.
    Bytes(String),
    /// These bytes, one at a time, until the client leaves.
    Dribble(String),
    /// These bytes again and again after the head, until the client leaves.
    Endless(String, &'static [u8]),
    /// Nothing, until the client leaves.
    Silence,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Reply {
        Reply::with(status, "")
    }

    /// With further header lines, each ending in CR LF.
    pub(crate) fn with(status: u16, lines: &str) -> Reply {
        Reply::Bytes(format!("HTTP/1.1 {status} X\r\n{lines}content-length: 0\r\n\r\n"))
    }
}

/// An authority, and the certificates that it gave out.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Authority of the test");
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a host; `old` is one that has ended.
    pub(crate) fn server(&self, host: &str, old: bool) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if old {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &*self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap())
    }
}

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: mpsc::Receiver<Seen>,
}

impl Server {
    /// Serves until the test ends.
    pub(crate) fn start(
        tls: Option<Arc<ServerConfig>>,
        reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, reply) = (Arc::clone(&connections), Arc::new(reply));
        let (told, seen) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let (told, tls, reply) = (told.clone(), tls.clone(), Arc::clone(&reply));
                std::thread::spawn(move || serve(stream, tls, &*reply, &told));
            }
        });
        Server { address, connections, seen }
    }

    /// A port that takes connections into its backlog and does nothing with them.
    pub(crate) fn half_open() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a request")
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    reply: &(dyn Fn(&Seen) -> Reply + Send + Sync),
    told: &mpsc::Sender<Seen>,
) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    match tls {
        None => exchange(stream, reply, told),
        Some(tls) => exchange(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), reply, told),
    }
}

fn exchange(
    stream: impl Read + Write,
    reply: &(dyn Fn(&Seen) -> Reply + Send + Sync),
    told: &mpsc::Sender<Seen>,
) {
    let mut stream = BufReader::new(stream);
    // A client that leaves during its handshake is what some tests are about.
    let Some(seen) = read(&mut stream) else { return };
    let reply = reply(&seen);
    if told.send(seen).is_err() {
        return;
    }
    let out = stream.get_mut();
    let _left = match reply {
        Reply::Bytes(text) => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
        Reply::Dribble(text) => text.bytes().try_for_each(|byte| {
            std::thread::sleep(Duration::from_millis(100));
            out.write_all(&[byte]).and_then(|()| out.flush())
        }),
        Reply::Endless(head, block) => {
            let begun = out.write_all(head.as_bytes());
            begun.and_then(|()| {
                loop {
                    if let Err(error) = out.write_all(block).and_then(|()| out.flush()) {
                        break Err(error);
                    }
                }
            })
        }
        Reply::Silence => out.read(&mut [0; 1]).map(drop),
    };
}

fn read(stream: &mut impl BufRead) -> Option<Seen> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        line.strip_suffix("\r\n").map(str::to_owned)
    };
    let first = line()?;
    let mut parts = first.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    assert_eq!((parts.next(), parts.next()), (Some("HTTP/1.1"), None), "{first}");
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").expect("a header line");
        assert!(headers.insert(name.to_ascii_lowercase(), value.to_owned()).is_none(), "{name} came twice");
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Seen { method, target, headers, body })
}
