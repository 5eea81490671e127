//! National language shift tables, for reading only.
//!
//! 3GPP TS 23.038 annex A.2 (single shift) and A.3 (locking shift): Turkish, Spanish, Portuguese.
//! A header that names another language falls back to the default tables, as 6.2.1.2.4 asks.

use super::gsm7;

/// A language of the national language identifier (TS 23.038 6.2.1.2.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// The tables of 6.2.1; also what an unknown identifier means.
    #[default]
    Default,
    /// Identifier 1.
    Turkish,
    /// Identifier 2; it has no locking table.
    Spanish,
    /// Identifier 3.
    Portuguese,
}

impl Language {
    /// Reads a national language identifier.
    pub fn from_identifier(identifier: u8) -> Self {
        match identifier {
            1 => Self::Turkish,
            2 => Self::Spanish,
            3 => Self::Portuguese,
            _ => Self::Default,
        }
    }
}

const TURKISH: &str = "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ŞşßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                       İABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§çabcdefghijklmnopqrstuvwxyzäöñüà";

const PORTUGUESE: &str = "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó| ÂâÊÉ !\"#º%&'()*+,-./0123456789:;<=>?\
                          ÍABCDEFGHIJKLMNOPQRSTUVWXYZÃÕÚÜ§~abcdefghijklmnopqrstuvwxyzãõ`üà";

const TURKISH_SINGLE: &[(u8, char)] = &[
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x47, 'Ğ'),
    (0x49, 'İ'),
    (0x53, 'Ş'),
    (0x63, 'ç'),
    (0x65, '€'),
    (0x67, 'ğ'),
    (0x69, 'ı'),
    (0x73, 'ş'),
];

const SPANISH_SINGLE: &[(u8, char)] = &[
    (0x09, 'ç'),
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x41, 'Á'),
    (0x49, 'Í'),
    (0x4f, 'Ó'),
    (0x55, 'Ú'),
    (0x61, 'á'),
    (0x65, '€'),
    (0x69, 'í'),
    (0x6f, 'ó'),
    (0x75, 'ú'),
];

const PORTUGUESE_SINGLE: &[(u8, char)] = &[
    (0x05, 'ê'),
    (0x09, 'ç'),
    (0x0a, '\u{c}'),
    (0x0b, 'Ô'),
    (0x0c, 'ô'),
    (0x0e, 'Á'),
    (0x0f, 'á'),
    (0x12, 'Φ'),
    (0x13, 'Γ'),
    (0x14, '^'),
    (0x15, 'Ω'),
    (0x16, 'Π'),
    (0x17, 'Ψ'),
    (0x18, 'Σ'),
    (0x19, 'Θ'),
    (0x1f, 'Ê'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x41, 'À'),
    (0x49, 'Í'),
    (0x4f, 'Ó'),
    (0x55, 'Ú'),
    (0x5b, 'Ã'),
    (0x5c, 'Õ'),
    (0x61, 'Â'),
    (0x65, '€'),
    (0x69, 'í'),
    (0x6f, 'ó'),
    (0x75, 'ú'),
    (0x7b, 'ã'),
    (0x7c, 'õ'),
    (0x7f, 'â'),
];

/// The main table, 128 characters, index is the septet.
pub(super) fn locking_shift(language: Language) -> &'static str {
    match language {
        Language::Turkish => TURKISH,
        Language::Portuguese => PORTUGUESE,
        Language::Default | Language::Spanish => gsm7::DEFAULT,
    }
}

/// What an escaped septet means.
pub(super) fn single_shift(language: Language) -> &'static [(u8, char)] {
    match language {
        Language::Default => gsm7::EXTENSION,
        Language::Turkish => TURKISH_SINGLE,
        Language::Spanish => SPANISH_SINGLE,
        Language::Portuguese => PORTUGUESE_SINGLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locking_tables_have_every_place() {
        for table in [TURKISH, PORTUGUESE] {
            assert_eq!(table.chars().count(), 128);
        }
    }
}
