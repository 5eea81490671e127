//! The child's end of the HSM wire: whatever the socket holds, it answers the first request once, with a whole frame,
//! or not at all, and ends; a request with a byte too many or too few is none.

#![no_main]

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use fuzz::{begin, is_control};
use libfuzzer_sys::fuzz_target;

/// Frames that are longer are refused before their body is read: `hsm`'s wire.
const MAX_FRAME: usize = 4 * hsm::SEAL_MAX;
/// Longer inputs would fill the socket before the child reads it.
const INPUT_MAX: usize = 64 * 1024;
/// The number of `HsmError::Protocol`, and of `Err`, in a reply.
const REFUSED: u8 = 1;

/// No code is rendered without a token.
fn render(_: &[u8], _: &[u8], _: &mut [u8; hsm::CODE_MAX]) -> Option<usize> {
    None
}

/// Runs the child on these bytes; how it ended, and what it answered.
fn run(input: &[u8]) -> (bool, Vec<u8>) {
    let (mut ours, theirs) = UnixStream::pair().expect("a socket pair");
    ours.write_all(input).expect("the socket holds it");
    ours.shutdown(Shutdown::Write).expect("it is open");
    rustix::stdio::dup2_stdin(&theirs).expect("standard input can be replaced");
    drop(theirs);
    let well = hsm::child::run(render) == ExitCode::SUCCESS;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null").expect("/dev/null")).expect("as before");
    let mut reply = Vec::new();
    // What the child left unread resets the socket; what it wrote before comes all the same.
    let _reset = ours.read_to_end(&mut reply);
    // The planted fault: a child that answers twice.
    if is_control() {
        reply.extend_from_within(..);
    }
    (well, reply)
}

/// The body of a request that was answered is refused with another length.
fn check_length(body: &[u8]) {
    for body in [[body, &[0]].concat(), body[..body.len() - 1].to_vec()] {
        let (well, reply) = run(&frame(&body));
        assert!(reply.is_empty() && !well, "a request of another length is answered");
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..], body].concat()
}

/// Requests as postcard writes them: their number, then their fields.
fn seeds() -> Vec<Vec<u8>> {
    let attach = b"\x00\x08/nowhere\x05token\x04/pin\x00\x06/latch";
    let initialise = b"\x01\x08/nowhere\x00\x05token\x04/sop\x00\x04/pin\x00";
    let mut seeds: Vec<_> = (2..20u8).map(|number| frame(&[&[number][..], &[3; 120]].concat())).collect();
    seeds.extend([frame(attach), frame(initialise), frame(&[2]), frame(&[3]), frame(&[9, 8]), vec![0; 3]]);
    seeds.push([frame(attach), frame(&[2])].concat());
    seeds.push([&(MAX_FRAME as u32 + 1).to_le_bytes()[..], &[0; 9]].concat());
    seeds
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let input = &data[..data.len().min(INPUT_MAX)];
    let (well, reply) = run(input);
    let first = input.split_first_chunk::<4>().map(|(len, body)| (u32::from_le_bytes(*len) as usize, body));
    match first {
        // A socket that was closed at once is no fault, one that was closed within a frame is.
        None => assert!(reply.is_empty() && well == input.is_empty()),
        Some((len, body)) if len > MAX_FRAME || body.len() < len => assert!(reply.is_empty() && !well),
        Some(_) if reply.is_empty() => assert!(!well, "a request that was read and not answered"),
        Some((asked, request)) => {
            let (len, body) = reply.split_first_chunk::<4>().expect("a whole frame");
            assert_eq!(u32::from_le_bytes(*len) as usize, body.len(), "one reply, whole");
            assert_eq!(body[0], REFUSED, "there is no token, and something was done");
            check_length(&request[..asked]);
        }
    }
});
