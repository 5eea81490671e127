//! Frames on a byte stream: COBS, delimited by 0x00, with a CRC-32 (ISO-HDLC) behind the message.
//!
//! The stream may begin anywhere, lose bytes and carry noise: after the next delimiter all is well again. What
//! a frame means is not known here.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use heapless::Vec;

/// The longest message in a frame, in bytes.
pub const MESSAGE_MAX: usize = 512;

const CRC_LEN: usize = 4;

/// COBS adds one byte per started group of 254.
const STUFFED_MAX: usize = MESSAGE_MAX + CRC_LEN + (MESSAGE_MAX + CRC_LEN).div_ceil(254);

/// The longest frame in bytes, with the delimiter before and after it.
pub const FRAME_MAX: usize = STUFFED_MAX + 2;

const DELIMITER: u8 = 0;

/// Without a table: the line is slower than the arithmetic, and a table would cost the image 1 KiB.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The message is longer than [`MESSAGE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message has at most {MESSAGE_MAX} bytes")
    }
}

impl core::error::Error for TooLong {}

/// The frame that carries `message`, delimiters on both sides: the one in front ends what noise began.
///
/// # Errors
/// [`TooLong`].
pub fn encode_frame(message: &[u8]) -> Result<Vec<u8, FRAME_MAX>, TooLong> {
    let mut checked = Vec::<u8, { MESSAGE_MAX + CRC_LEN }>::new();
    checked.extend_from_slice(message).map_err(|_| TooLong)?;
    checked.extend_from_slice(&CRC.checksum(message).to_le_bytes()).map_err(|_| TooLong)?;
    if message.len() > MESSAGE_MAX {
        return Err(TooLong);
    }
    let mut frame = Vec::new();
    frame.resize(FRAME_MAX, DELIMITER).expect("the vector holds FRAME_MAX bytes");
    let stuffed = cobs::encode(&checked, &mut frame[1..=STUFFED_MAX]);
    frame[1 + stuffed] = DELIMITER;
    frame.truncate(stuffed + 2);
    Ok(frame)
}

/// Finds frames in a stream, byte by byte, in bounded memory.
#[derive(Debug, Default)]
pub struct Decoder {
    stuffed: Vec<u8, STUFFED_MAX>,
    /// The frame became too long; bytes are dropped up to its delimiter.
    overlong: bool,
    /// A message was handed out and is dropped at the next byte.
    done: bool,
    dropped: u32,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub const fn new() -> Self {
        Self { stuffed: Vec::new(), overlong: false, done: false, dropped: 0 }
    }

    /// Takes one byte, and gives the message that it completed.
    pub fn handle_byte(&mut self, byte: u8) -> Option<&[u8]> {
        if core::mem::take(&mut self.done) {
            self.stuffed.clear();
        }
        if byte != DELIMITER {
            self.overlong |= self.stuffed.push(byte).is_err();
            return None;
        }
        let overlong = core::mem::take(&mut self.overlong);
        self.done = true;
        if self.stuffed.is_empty() {
            return None;
        }
        match checked_len(&mut self.stuffed).filter(|_| !overlong) {
            Some(len) => Some(&self.stuffed[..len]),
            None => {
                self.dropped = self.dropped.saturating_add(1);
                None
            }
        }
    }

    /// Frames dropped because they were too long, malformed or had a wrong checksum.
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Forgets a frame that has begun: the line was opened anew.
    pub fn reset(&mut self) {
        self.stuffed.clear();
        self.overlong = false;
        self.done = false;
    }
}

/// Unstuffs in place; the length of the message if its checksum is right.
fn checked_len(stuffed: &mut [u8]) -> Option<usize> {
    let len = cobs::decode_in_place(stuffed).ok()?.checked_sub(CRC_LEN)?;
    let (message, rest) = stuffed.split_at(len);
    let sum = u32::from_le_bytes(rest[..CRC_LEN].try_into().ok()?);
    (len > 0 && CRC.checksum(message) == sum).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::vec::Vec as StdVec;

    fn messages(decoder: &mut Decoder, stream: &[u8]) -> StdVec<StdVec<u8>> {
        stream.iter().filter_map(|&byte| decoder.handle_byte(byte).map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn known_frame() {
        let frame = encode_frame(b"123456789").unwrap();
        assert_eq!(frame[..], [&[0, 14][..], b"123456789", &0xcbf4_3926u32.to_le_bytes(), &[0]].concat());
    }

    #[test]
    fn longest_message_passes_and_one_more_does_not() {
        for fill in [0x00, 0x01, 0xff] {
            let longest = [fill; MESSAGE_MAX];
            let frame = encode_frame(&longest).unwrap();
            assert!(frame.len() <= FRAME_MAX);
            assert_eq!(messages(&mut Decoder::new(), &frame), [longest.to_vec()]);
        }
        assert_eq!(encode_frame(&[0; MESSAGE_MAX + 1]), Err(TooLong));
    }

    #[test]
    fn an_overlong_frame_is_dropped_up_to_its_delimiter() {
        let mut decoder = Decoder::new();
        assert!(messages(&mut decoder, &[7; 100_000]).is_empty());
        assert!(messages(&mut decoder, &[0]).is_empty());
        assert_eq!(decoder.dropped(), 1);
        assert_eq!(messages(&mut decoder, &encode_frame(b"next").unwrap()), [b"next".to_vec()]);
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let message: StdVec<u8> = (0..=255).chain(0..200).collect();
        let frame = encode_frame(&message).unwrap();
        for at in 0..frame.len() {
            for bit in 0..8 {
                let mut flipped = frame.clone();
                flipped[at] ^= 1 << bit;
                let found = messages(&mut Decoder::new(), &flipped);
                assert!(found.is_empty() || (at == 0 && found == [message.clone()]), "{at} {bit}");
            }
            let mut cut = frame.to_vec();
            cut.remove(at);
            let found = messages(&mut Decoder::new(), &cut);
            assert!(found.is_empty() || (at == 0 && found == [message.clone()]), "{at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn no_stream_panics_or_grows(stream in vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..1500)) {
            let mut decoder = Decoder::new();
            for message in messages(&mut decoder, &stream) {
                prop_assert!(!message.is_empty() && message.len() <= MESSAGE_MAX);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn frames_pass_through_any_split_and_between_noise(
            sent in vec((vec(any::<u8>(), 1..=MESSAGE_MAX), vec(1u8.., 0..40)), 1..5)
        ) {
            let mut decoder = Decoder::new();
            let mut stream = StdVec::new();
            for (message, noise) in &sent {
                stream.extend_from_slice(noise);
                stream.extend_from_slice(&encode_frame(message).unwrap());
            }
            let expected: StdVec<_> = sent.into_iter().map(|(message, _)| message).collect();
            prop_assert_eq!(messages(&mut decoder, &stream), expected);
        }

        #[test]
        fn up_to_three_flipped_bits_never_make_another_message(
            message in vec(any::<u8>(), 1..=MESSAGE_MAX),
            flips in vec((any::<prop::sample::Index>(), 0u8..8), 1..=3)
        ) {
            let mut frame = encode_frame(&message).unwrap();
            for (at, bit) in flips {
                let at = at.index(frame.len());
                frame[at] ^= 1 << bit;
            }
            for found in messages(&mut Decoder::new(), &frame) {
                prop_assert_eq!(&found, &message);
            }
        }
    }
}
