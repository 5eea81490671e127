//! Somebody at the cable between host and token: reads every message, and may change it, drop it, or do something
//! to the board before it goes on.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use token::link::{Decoder, encode_frame};

use crate::monitor::Monitor;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the host.
    ToToken,
    /// From the token.
    ToHost,
}

/// Sees each message and returns what goes on in its place, or nothing.
pub type Hand = Box<dyn FnMut(&Monitor, Way, Vec<u8>) -> Option<Vec<u8>> + Send>;

/// Listens at `host` and passes on to `board`, in threads that end with either side.
///
/// # Panics
/// When the sockets cannot be used.
pub fn put_between(host: &Path, board: UnixStream, monitor: Monitor, hand: Hand) {
    let listener = UnixListener::bind(host).expect("own scratch directory");
    let hand = Arc::new(Mutex::new(hand));
    std::thread::spawn(move || {
        let Ok((host, _)) = listener.accept() else { return };
        let copy = |stream: &UnixStream| stream.try_clone().expect("a descriptor");
        let (from, to) = (copy(&board), copy(&host));
        let (hand_too, monitor_too) = (Arc::clone(&hand), monitor.clone());
        std::thread::spawn(move || pass(from, to, Way::ToHost, &monitor_too, &hand_too));
        pass(host, board, Way::ToToken, &monitor, &hand);
    });
}

fn pass(mut from: UnixStream, mut to: UnixStream, way: Way, monitor: &Monitor, hand: &Mutex<Hand>) {
    let mut decoder = Decoder::new();
    let mut bytes = [0; 512];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        for &byte in &bytes[..count] {
            let Some(message) = decoder.handle_byte(byte).map(<[u8]>::to_vec) else { continue };
            let passed = hand.lock().expect("not poisoned")(monitor, way, message);
            let Some(message) = passed else { continue };
            let frame = encode_frame(&message).expect("as long as it came");
            if to.write_all(&frame).is_err() {
                return;
            }
        }
    }
    for stream in [from, to] {
        // The other side may have left already.
        drop(stream.shutdown(Shutdown::Both));
    }
}
