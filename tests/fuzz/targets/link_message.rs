//! Requests and answers: what is accepted has one spelling, is whole, and names its sequence number in every refusal.

#![no_main]

use fuzz::{begin, is_control, wire};
use libfuzzer_sys::fuzz_target;
use link::{Answer, DecodeError, Envelope, MESSAGE_MAX, Request, decode, encode};
use std::fmt::Debug;

/// Bytes behind a message are looked for at most so far.
const TAIL: usize = 8;

/// The planted fault: whoever reads a message and does not look at what follows it.
fn subject<B>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<Envelope<B>, DecodeError>,
) -> Result<Envelope<B>, DecodeError> {
    let whole = read(bytes);
    if whole.is_ok() || !is_control() {
        return whole;
    }
    (1..TAIL.min(bytes.len())).find_map(|tail| read(&bytes[..bytes.len() - tail]).ok()).map_or(whole, Ok)
}

fn check<B: Debug + PartialEq>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<Envelope<B>, DecodeError>,
    write: impl Fn(&Envelope<B>) -> Vec<u8>,
) {
    match subject(bytes, &read) {
        Ok(envelope) => {
            assert_eq!(write(&envelope), bytes, "another spelling of {envelope:?}");
            assert!(bytes.len() < MESSAGE_MAX);
            assert!(read(&bytes[..bytes.len() - 1]).is_err(), "cut, and accepted");
            assert!(read(&[bytes, &[0]].concat()).is_err(), "lengthened, and accepted");
        }
        Err(DecodeError::Version { sequence } | DecodeError::Body { sequence }) => {
            let header = write_header(sequence);
            assert!(bytes.len() >= header.len(), "a sequence number that was not read");
        }
        Err(DecodeError::Header) => {}
    }
}

/// The sequence number as the header has it.
fn write_header(sequence: u32) -> Vec<u8> {
    encode(&Envelope { sequence, body: () }).to_vec()
}

/// Every message, and with one byte more in its sequence number than that needs.
fn seeds() -> Vec<Vec<u8>> {
    let long = |message: &Vec<u8>| {
        let (header, body) = message.split_at(write_header(wire::SEQUENCE).len());
        let (last, before) = header.split_last().expect("a header");
        [before, &[last | 0x80, 0], body].concat()
    };
    let messages = wire::messages();
    messages.iter().map(long).chain(messages.clone()).collect()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    check::<Request>(data, |bytes| decode(bytes), |envelope| encode(envelope).to_vec());
    check::<Answer>(data, |bytes| decode(bytes), |envelope| encode(envelope).to_vec());
});
