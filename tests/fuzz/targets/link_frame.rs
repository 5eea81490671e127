//! Frames out of any stream, against a reading of the framing that keeps the whole stream: COBS (Cheshire and Baker,
//! 1999) and CRC-32/ISO-HDLC, written out here.

#![no_main]

use fuzz::{begin, is_control, portions, wire, with_options};
use libfuzzer_sys::fuzz_target;
use link::{Decoder, FRAME_MAX, MESSAGE_MAX, encode_frame};

/// The longest frame between its delimiters.
const STUFFED_MAX: usize = FRAME_MAX - 2;

// In bounded memory: one frame and a few words.
const _: () = assert!(size_of::<Decoder>() <= FRAME_MAX + 64);

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

fn unstuffed(stuffed: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), stuffed);
    while let Some((&code, after)) = rest.split_first() {
        let group = after.get(..usize::from(code) - 1)?;
        out.extend_from_slice(group);
        rest = &after[group.len()..];
        if code != u8::MAX && !rest.is_empty() {
            out.push(0);
        }
    }
    Some(out)
}

fn message(stuffed: &[u8]) -> Option<Vec<u8>> {
    let whole = unstuffed(stuffed).filter(|_| stuffed.len() <= STUFFED_MAX)?;
    let (message, sum) = whole.split_last_chunk::<4>()?;
    (!message.is_empty() && crc32(message) == u32::from_le_bytes(*sum)).then(|| message.to_vec())
}

/// The messages of a stream, and how many frames were none.
fn expected(stream: &[u8]) -> (Vec<Vec<u8>>, u32) {
    let Some(end) = stream.iter().rposition(|&byte| byte == 0) else { return (Vec::new(), 0) };
    let frames: Vec<_> = stream[..end].split(|&byte| byte == 0).filter(|frame| !frame.is_empty()).collect();
    let found: Vec<_> = frames.iter().filter_map(|frame| message(frame)).collect();
    let dropped = frames.len() - found.len();
    (found, dropped as u32)
}

fn found(decoder: &mut Decoder, stream: &[u8]) -> Vec<Vec<u8>> {
    stream.iter().filter_map(|&byte| decoder.handle_byte(byte).map(<[u8]>::to_vec)).collect()
}

/// The planted fault: whoever does not look at the checksum.
fn unchecked(stream: &[u8]) -> Vec<Vec<u8>> {
    let frames = stream.split(|&byte| byte == 0).filter(|frame| !frame.is_empty());
    frames
        .filter_map(|frame| unstuffed(frame)?.split_last_chunk::<4>().map(|(message, _)| message.to_vec()))
        .collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let frame = |message: &[u8]| encode_frame(message).expect("short enough").to_vec();
    let lengths = [1, 249, 250, 251, 254, 255, 504, MESSAGE_MAX].map(|len| vec![len as u8; len]);
    let messages: Vec<_> = wire::messages().into_iter().chain(lengths).collect();
    let mut seeds: Vec<_> = messages.iter().map(|message| with_options(3, &frame(message))).collect();
    seeds.push(with_options(7, &[&[9; 600][..], &frame(b"behind noise"), &frame(b"next")].concat()));
    seeds
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (expected, dropped) = expected(stream);
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    for portion in portions(stream, cut) {
        got.extend(found(&mut decoder, portion));
    }
    if is_control() {
        got = unchecked(stream);
    }
    assert_eq!(got, expected, "another reading of the stream");
    assert_eq!(decoder.dropped(), dropped, "frames dropped");
    for message in &got {
        assert!(!message.is_empty() && message.len() <= MESSAGE_MAX, "a message of {} bytes", message.len());
        let frame = encode_frame(message).expect("what was read can be written");
        assert_eq!(found(&mut Decoder::new(), &frame), std::slice::from_ref(message));
    }
    // Whatever came before: a delimiter, and all is well again.
    let sent = stream.get(..MESSAGE_MAX.min(stream.len())).filter(|sent| !sent.is_empty()).unwrap_or(b"?");
    decoder.handle_byte(0);
    assert_eq!(found(&mut decoder, &encode_frame(sent).expect("short enough")), [sent.to_vec()]);
});
