//! The data coding scheme octet: alphabet, message class, compression. 3GPP TS 23.038 4.

use serde::{Deserialize, Serialize};

/// How user data is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// GSM 7 bit default alphabet, packed.
    Gsm7,
    /// Octets without a meaning as text.
    #[serde(rename = "8bit")]
    Data8,
    /// UCS-2, in practice UTF-16BE.
    Ucs2,
}

impl std::fmt::Display for Alphabet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gsm7 => "gsm7",
            Self::Data8 => "8bit",
            Self::Ucs2 => "ucs2",
        })
    }
}

const CLASS_PRESENT: u8 = 0x10;
const COMPRESSED: u8 = 0x20;

/// TP-DCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dcs(pub u8);

impl Dcs {
    /// The general coding group, class 0 (shown at once, not stored) or no class.
    pub fn general(alphabet: Alphabet, class0: bool) -> Self {
        let coding = match alphabet {
            Alphabet::Gsm7 => 0x00,
            Alphabet::Data8 => 0x04,
            Alphabet::Ucs2 => 0x08,
        };
        Self(coding | if class0 { CLASS_PRESENT } else { 0 })
    }

    /// The alphabet; reserved codings mean the default alphabet, as clause 4 asks.
    pub fn alphabet(self) -> Alphabet {
        match self.0 >> 4 {
            0x0..=0x7 => match (self.0 >> 2) & 3 {
                1 => Alphabet::Data8,
                2 => Alphabet::Ucs2,
                _ => Alphabet::Gsm7,
            },
            0xe => Alphabet::Ucs2,
            0xf if self.0 & 4 != 0 => Alphabet::Data8,
            _ => Alphabet::Gsm7,
        }
    }

    /// The message class 0 to 3, where one is given.
    pub fn class(self) -> Option<u8> {
        let present = match self.0 >> 4 {
            0x0..=0x7 => self.0 & CLASS_PRESENT != 0,
            0xf => true,
            _ => false,
        };
        present.then_some(self.0 & 3)
    }

    /// Compressed user data (TS 23.042), which nobody sends and we do not read.
    pub fn compressed(self) -> bool {
        self.0 & 0x80 == 0 && self.0 & COMPRESSED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_codings() {
        for (octet, alphabet, class) in [
            (0x00, Alphabet::Gsm7, None),
            (0x08, Alphabet::Ucs2, None),
            (0x10, Alphabet::Gsm7, Some(0)),
            (0x18, Alphabet::Ucs2, Some(0)),
            (0x19, Alphabet::Ucs2, Some(1)),
            (0xc8, Alphabet::Gsm7, None),
            (0xe0, Alphabet::Ucs2, None),
            (0xf0, Alphabet::Gsm7, Some(0)),
            (0xf5, Alphabet::Data8, Some(1)),
        ] {
            assert_eq!((Dcs(octet).alphabet(), Dcs(octet).class()), (alphabet, class), "{octet:#04x}");
        }
    }
}
