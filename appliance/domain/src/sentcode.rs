//! From a MAC to the digits that a person types: OATH codes and codes that we send.
//!
//! The HSM child calls [`render`] with a format that the daemon chose; it is the only place where a code
//! exists on the verifying path.

use oath::{CodeFormat, Digits, Truncation};

/// Fewest digits of a sent code (SMS-29).
pub const SENT_DIGITS_MIN: u8 = 4;
/// Most digits of a sent code (SMS-29).
pub const SENT_DIGITS_MAX: u8 = 10;
/// 64-bit blocks tried before a sent code counts as impossible; one block fails with p < 10^10 / 2^64.
pub const BLOCKS_MAX: u8 = 4;
/// Room for the longest code.
pub const CODE_MAX: usize = 16;

/// Shortest MAC of an OATH code, in bytes: SHA-1's.
const MAC_MIN: usize = 20;
const KIND_OATH: u8 = 1;
const KIND_SENT: u8 = 2;
const DYNAMIC: u8 = 0xff;

/// The format bytes of an OATH code (RFC 4226 5.3, with checksum digit and fixed offset as COMB-24/25).
pub fn oath_format(format: &CodeFormat) -> Vec<u8> {
    let truncation = match format.truncation {
        Truncation::Dynamic => DYNAMIC,
        Truncation::Fixed(offset) => offset,
    };
    vec![KIND_OATH, format.digits.get(), u8::from(format.checksum), truncation]
}

/// The format bytes of a sent code of `digits` digits.
pub fn sent_format(digits: u8) -> Vec<u8> {
    vec![KIND_SENT, digits]
}

/// The messages whose HMAC-SHA256 under the code key yields a sent code, in the order they are tried:
/// challenge id, send number, block index.
pub fn sent_messages(challenge: &[u8; 16], send_number: u32) -> Vec<Vec<u8>> {
    (0..BLOCKS_MAX)
        .map(|block| {
            let mut message = b"countersign sent code 1".to_vec();
            message.extend_from_slice(challenge);
            message.extend_from_slice(&send_number.to_be_bytes());
            message.push(block);
            message
        })
        .collect()
}

/// Turns a MAC into ASCII digits and says how many; `None` when the format is unknown or this MAC must be
/// skipped.
///
/// Sent codes take the MAC's first 64 bits and skip values in the incomplete last interval, so that every
/// code is equally likely.
pub fn render(format: &[u8], mac: &[u8], out: &mut [u8; CODE_MAX]) -> Option<usize> {
    match *format {
        [KIND_OATH, digits, checksum, truncation] if mac.len() >= MAC_MIN => {
            let truncation = match truncation {
                DYNAMIC => Truncation::Dynamic,
                offset => Truncation::Fixed(offset),
            };
            let digits = Digits::new(digits).ok()?;
            let code = CodeFormat { digits, checksum: checksum != 0, truncation }.code(mac);
            let bytes = code.as_bytes();
            out.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(bytes.len())
        }
        [KIND_SENT, digits @ SENT_DIGITS_MIN..=SENT_DIGITS_MAX] => {
            let block = u64::from_be_bytes(mac.get(..8)?.try_into().ok()?);
            let range = 10u64.pow(u32::from(digits));
            let limit = u64::MAX - u64::MAX % range;
            if block >= limit {
                return None;
            }
            let mut rest = block % range;
            for place in out[..usize::from(digits)].iter_mut().rev() {
                *place = b'0' + u8::try_from(rest % 10).expect("a remainder of 10 is one digit");
                rest /= 10;
            }
            Some(usize::from(digits))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(digits: u8, block: u64) -> Option<String> {
        let mut out = [0; CODE_MAX];
        let len = render(&sent_format(digits), &block.to_be_bytes(), &mut out)?;
        Some(String::from_utf8(out[..len].to_vec()).unwrap())
    }

    #[test]
    fn a_sent_code_keeps_its_leading_zeros() {
        assert_eq!(sent(6, 7).unwrap(), "000007");
        assert_eq!(sent(4, 12_345).unwrap(), "2345");
        assert_eq!(sent(10, 1_234_567_890).unwrap(), "1234567890");
    }

    /// A11: no modulo bias. The incomplete last interval is skipped.
    #[test]
    fn the_incomplete_interval_is_skipped() {
        let limit = u64::MAX - u64::MAX % 1_000_000;
        assert_eq!(sent(6, limit - 1).unwrap(), "999999");
        assert_eq!(sent(6, limit), None);
        assert_eq!(sent(6, u64::MAX), None);
    }

    #[test]
    fn unknown_formats_render_nothing() {
        let mut out = [0; CODE_MAX];
        for format in [&[][..], &[9], &[KIND_SENT, 3], &[KIND_SENT, 11], &[KIND_OATH, 5, 0, DYNAMIC]] {
            assert_eq!(render(format, &[0; 32], &mut out), None);
        }
        assert_eq!(render(&[KIND_OATH, 6, 0, DYNAMIC], &[0; 19], &mut out), None);
    }

    #[test]
    fn each_send_number_has_its_own_messages() {
        assert_ne!(sent_messages(&[1; 16], 1), sent_messages(&[1; 16], 2));
        assert_eq!(sent_messages(&[1; 16], 1).len(), usize::from(BLOCKS_MAX));
    }
}
