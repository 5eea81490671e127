//! What a push service is handed while it does not answer well: C.11, COMB-45.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use tests::device::{Personality, Phone};
use tests::handset::{Handset, begin};
use tests::phones::{push, rig_with, state};
use tests::{Appliance, Client, PATIENCE, wait_until};

/// A push service that takes nothing until it is told to.
struct Service {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
}

impl Service {
    fn start() -> Service {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let service =
            Service { address, open: Arc::default(), refused: Arc::default(), taken: Arc::default() };
        let (open, refused, taken) =
            (Arc::clone(&service.open), Arc::clone(&service.refused), Arc::clone(&service.taken));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let is_open = open.load(Ordering::SeqCst);
                if serve(&stream, is_open).is_some() {
                    if is_open { &taken } else { &refused }.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        service
    }

    fn config(&self) -> String {
        let address = self.address;
        format!(
            "[push]\n[push.delivery]\nallow = [\"{address}\"]\nplain_loopback = true\nntfy = \"http://{address}\"\n"
        )
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

/// Reads one request and answers it.
fn serve(stream: &TcpStream, is_open: bool) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(("content-length", value)) = line.to_lowercase().trim().split_once(": ") {
            length = value.parse().ok()?;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    let status = if is_open { "200 OK" } else { "503 Later" };
    let mut stream = stream;
    stream
        .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
        .ok()
}

/// A user whose phone is reached by that service; its serial.
#[track_caller]
fn reached(rig: &Appliance, client: &mut Client, user: &str) -> String {
    rig.user(user);
    let begun = begin(client, user, "push");
    let mut handset = Handset::new(rig, Personality::PingNew, user);
    handset.phone = Phone::new(Personality::PingNew, "ntfy:upAbCdEfGh1234");
    assert_eq!(handset.register(begun["uri"].as_str().expect("a URI")).1.status, 200);
    let listed = client.get(&format!("/v1/users/{user}/push")).expect(200).json();
    listed["items"][0]["serial"].as_str().expect("a serial").to_owned()
}

/// COMB-45, D-42, C.11. Red when a phone is shown a push whose place another one took while its service was away, or is
/// told anything once it is set aside.
#[test]
fn what_is_over_is_carried_nowhere() {
    let service = Service::start();
    let (rig, mut client) = rig_with(&service.config());
    reached(&rig, &mut client, "alice");
    let first = push(&mut client, "alice");
    wait_until(PATIENCE, "the first try", || (service.refused() >= 1).then_some(()));
    let second = push(&mut client, "alice");
    assert_eq!(state(&mut client, &first), "superseded");
    let before = service.refused();
    wait_until(PATIENCE, "the second try", || (service.refused() > before).then_some(()));
    service.open.store(true, Ordering::SeqCst);
    wait_until(PATIENCE, "the push", || (state(&mut client, &second) == "waiting").then_some(()));

    service.open.store(false, Ordering::SeqCst);
    let serial = reached(&rig, &mut client, "bob");
    let before = service.refused();
    let asked = push(&mut client, "bob");
    wait_until(PATIENCE, "the try", || (service.refused() > before).then_some(()));
    rig.cli_json(&["token", "suspend", &serial]);
    service.open.store(true, Ordering::SeqCst);
    wait_until(PATIENCE, "its end", || (state(&mut client, &asked) == "failed").then_some(()));
    let failed = rig.events("type=push.transport_failed&user=bob");
    assert_eq!(failed.last().expect("an event")["reason"], json!("set_aside"));
    assert_eq!(service.taken(), 1, "the one push that was open");
}
