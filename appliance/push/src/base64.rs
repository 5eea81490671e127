//! Base64 that every phone reads alike (RFC 4648).
//!
//! The SDKs do not agree on an alphabet: what one reads as URL-safe, another reads as the standard one, and some skip
//! what they do not know instead of refusing it. Where they disagree, only text is sent whose encoding needs none of
//! the four characters in question: neutral text.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use zeroize::Zeroizing;

/// The URL-safe alphabet without padding: for fields that every SDK reads so (C.1.1, 6).
pub fn url_safe(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64URL_NOPAD.encode(bytes))
}

/// The one encoding that both alphabets share, without padding; none where they differ (C.1.1, 1).
pub fn neutral(bytes: &[u8]) -> Option<String> {
    let text = BASE64URL_NOPAD.encode(bytes);
    (!text.contains(['-', '_'])).then_some(text)
}

/// The standard alphabet with padding: inside a push message and a phone's reply (C.2, C.3).
pub fn standard(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads 32 bytes in the standard alphabet with padding; one spelling only.
pub(crate) fn read_standard_32(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Reads the URL-safe alphabet without padding; one spelling only.
pub(crate) fn read_url_safe(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C.1.1, 1. Red when a text is taken for neutral that the two alphabets spell differently.
    #[test]
    fn neutral_text_is_the_same_in_both_alphabets() {
        let nopad = data_encoding::BASE64_NOPAD;
        for text in ["Example Inc", "Wer?", "Is?", "a~b", "ab~", "ab>", "Zürich", "", "demo"] {
            let same = nopad.encode(text.as_bytes()) == *url_safe(text.as_bytes());
            assert_eq!(neutral(text.as_bytes()).is_some(), same, "{text}");
        }
        assert_eq!(neutral(b"Is?"), None);
        assert_eq!(neutral(b"Wer?").as_deref(), Some("V2VyPw"));
    }

    #[test]
    fn one_spelling_is_read() {
        assert_eq!(read_url_safe("V2VyPw").unwrap().as_slice(), b"Wer?");
        for other in ["V2VyPw==", "V2VyPx", "V2Vy Pw", "V2VyPw\n", "+-"] {
            assert!(read_url_safe(other).is_none(), "{other}");
        }
        assert_eq!(read_standard_32(&standard(&[7; 32])), Some([7; 32]));
        assert_eq!(read_standard_32(&standard(&[7; 31])), None);
        assert_eq!(read_standard_32(standard(&[7; 32]).trim_end_matches('=')), None);
    }
}
