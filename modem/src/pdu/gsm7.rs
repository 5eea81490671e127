//! The GSM 7 bit default alphabet, its extension table and the packing of septets.
//!
//! 3GPP TS 23.038 6.1.2.1 (packing), 6.2.1 (default alphabet), 6.2.1.1 (extension table).

use super::national::{Language, locking_shift, single_shift};

/// Escape to the extension table (TS 23.038 6.2.1).
pub(super) const ESC: u8 = 0x1b;

/// TS 23.038 6.2.1; index is the septet. The place of ESC holds a space, its fallback on display.
pub(super) const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                                  ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// TS 23.038 6.2.1.1: septet after ESC, and what it means.
pub(super) const EXTENSION: &[(u8, char)] = &[
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// The septets of one character: one, or ESC and one; `None` outside the alphabet.
pub(super) fn septets_of(character: char) -> Option<([u8; 2], usize)> {
    if let Some(&(code, _)) = EXTENSION.iter().find(|(_, extended)| *extended == character) {
        return Some(([ESC, code], 2));
    }
    let position = DEFAULT.chars().enumerate().position(|(i, c)| c == character && i != usize::from(ESC))?;
    Some(([u8::try_from(position).ok()?, 0], 1))
}

/// The septets of a text, or the first character that the alphabet does not have.
///
/// # Errors
/// The character, unchanged: nothing is transliterated.
pub fn encode(text: &str) -> Result<Vec<u8>, char> {
    let mut septets = Vec::with_capacity(text.len());
    for character in text.chars() {
        let (codes, used) = septets_of(character).ok_or(character)?;
        septets.extend_from_slice(&codes[..used]);
    }
    Ok(septets)
}

/// The text of septets, with the national tables that a header asked for.
///
/// An escape to a place the extension table leaves empty shows the character of the main table
/// (TS 23.038 6.2.1.1); an escape at the end shows a space.
pub fn decode(septets: &[u8], locking: Language, single: Language) -> String {
    let main: Vec<char> = locking_shift(locking).chars().collect();
    let extension = single_shift(single);
    let mut text = String::with_capacity(septets.len());
    let mut escaped = false;
    for &septet in septets {
        let septet = septet & 0x7f;
        if septet == ESC && !escaped {
            escaped = true;
            continue;
        }
        let extended = escaped.then(|| extension.iter().find(|(code, _)| *code == septet)).flatten();
        text.push(extended.map_or(main[usize::from(septet)], |&(_, character)| character));
        escaped = false;
    }
    if escaped {
        text.push(' ');
    }
    text
}

/// Packs septets, least significant bit first, after `fill` zero bits.
pub(super) fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let mut packed = vec![0u8; (fill + septets.len() * 7).div_ceil(8)];
    for (index, &septet) in septets.iter().enumerate() {
        let bit = fill + index * 7;
        let spread = u16::from(septet & 0x7f) << (bit % 8);
        let [low, high] = spread.to_le_bytes();
        packed[bit / 8] |= low;
        if let Some(next) = packed.get_mut(bit / 8 + 1) {
            *next |= high;
        }
    }
    packed
}

/// Unpacks `count` septets that begin after `fill` bits; stops early where the octets end.
pub(super) fn unpack(octets: &[u8], fill: usize, count: usize) -> Vec<u8> {
    let available = (octets.len() * 8).saturating_sub(fill) / 7;
    (0..count.min(available))
        .map(|index| {
            let bit = fill + index * 7;
            let low = octets[bit / 8];
            let high = octets.get(bit / 8 + 1).copied().unwrap_or(0);
            let [septet, _] = (u16::from_le_bytes([low, high]) >> (bit % 8)).to_le_bytes();
            septet & 0x7f
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables_have_every_place() {
        assert_eq!(DEFAULT.chars().count(), 128);
        assert_eq!(DEFAULT.chars().nth(0x41), Some('A'));
        assert_eq!(DEFAULT.chars().nth(0x7f), Some('à'));
        assert_eq!(DEFAULT.chars().nth(0x10), Some('Δ'));
        assert_eq!(DEFAULT.chars().nth(0x20), Some(' '));
    }

    #[test]
    fn space_is_0x20_and_never_an_escape() {
        assert_eq!(encode(" "), Ok(vec![0x20]));
        assert_eq!(encode("č"), Err('č'));
    }

    proptest! {
        #[test]
        fn packing_round_trips(septets in prop::collection::vec(0u8..128, 0..161), fill in 0usize..7) {
            let packed = pack(&septets, fill);
            prop_assert_eq!(unpack(&packed, fill, septets.len()), septets);
        }

        #[test]
        fn every_septet_sequence_decodes(septets in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = decode(&septets, Language::Default, Language::Default);
            prop_assert!(encode(&text).is_ok());
        }
    }
}
