//! A text becomes one SMS-SUBMIT or several.
//!
//! 3GPP TS 23.040 9.2.3.24.1: 160 septets or 70 UCS-2 units alone, 153 or 67 in a part.

use std::time::Duration;

use super::address::{Address, Number};
use super::dcs::{Alphabet, Dcs};
use super::timestamp::Validity;
use super::tpdu::Submit;
use super::user_data::{Body, Concat, UserData};
use super::{PduError, gsm7};

/// Parts of one text. The standard allows 255; a one-time password needs one or two, and each part costs.
pub const MAX_PARTS: usize = 32;

const GSM7_ALONE: usize = 160;
const GSM7_PART: usize = 153;
const UCS2_ALONE: usize = 70;
const UCS2_PART: usize = 67;

/// Which alphabet a text is sent in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AlphabetChoice {
    /// GSM 7 bit where it has every character, else UCS-2.
    #[default]
    Auto,
    /// GSM 7 bit; a character it lacks is an error.
    Gsm7,
    /// UCS-2.
    Ucs2,
}

/// How a text is sent.
#[derive(Debug, Clone, Default)]
pub struct SubmitOptions {
    /// Message class 0: shown at once and not stored ("flash").
    pub class0: bool,
    /// TP-VP; rounded down to what the octet can say, at least 5 minutes. Without, the service centre decides.
    pub validity: Option<Duration>,
    /// Ask for a status report.
    pub report: bool,
    /// The alphabet.
    pub alphabet: AlphabetChoice,
    /// The reference that joins the parts of a long text; it should differ from message to message.
    pub reference: u8,
}

/// One SMS-SUBMIT, ready for `AT+CMGS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tpdu {
    /// TP octets without a service centre address.
    pub bytes: Vec<u8>,
    /// Its alphabet.
    pub alphabet: Alphabet,
    /// 1 to `parts`.
    pub part: u8,
    /// How many parts the text has.
    pub parts: u8,
    /// The concatenation reference, where there are several parts.
    pub reference: Option<u16>,
    /// What this part says.
    pub text: String,
}

impl Tpdu {
    /// The length that `AT+CMGS=` takes: TP octets, service centre address not counted (TS 27.005 4.3).
    pub fn cmgs_len(&self) -> usize {
        self.bytes.len()
    }

    /// Hex, upper case, without a service centre address.
    pub fn hex(&self) -> String {
        data_encoding::HEXUPPER.encode(&self.bytes)
    }
}

/// Encodes a text for a number: one TPDU, or parts in order.
///
/// Nothing is dropped or transliterated. An escape pair and a surrogate pair stay in one part.
///
/// # Errors
/// `Unencodable` for a character outside a forced GSM 7 bit alphabet; `TooLong` beyond [`MAX_PARTS`].
pub fn submit(number: &Number, text: &str, options: &SubmitOptions) -> Result<Vec<Tpdu>, PduError> {
    let alphabet = choose(text, options.alphabet)?;
    let pieces = split(text, alphabet);
    let parts = match u8::try_from(pieces.len()) {
        Ok(parts) if pieces.len() <= MAX_PARTS => parts,
        _ => return Err(PduError::TooLong { parts: pieces.len(), limit: MAX_PARTS }),
    };
    let encode = |(part, piece): (u8, &str)| -> Result<Tpdu, PduError> {
        let header =
            if parts > 1 { vec![Concat::element(options.reference, part, parts)] } else { Vec::new() };
        let submit = Submit {
            reject_duplicates: false,
            report: options.report,
            reply_path: false,
            message_reference: 0,
            destination: Address::from(number),
            protocol: 0,
            dcs: Dcs::general(alphabet, options.class0),
            validity: options.validity.map_or(Validity::Unset, Validity::at_most),
            user_data: UserData::new(header, body(piece, alphabet)?)?,
        };
        Ok(Tpdu {
            bytes: submit.encode(),
            alphabet,
            part,
            parts,
            reference: (parts > 1).then_some(u16::from(options.reference)),
            text: piece.to_owned(),
        })
    };
    (1..=parts).zip(pieces).map(encode).collect()
}

fn choose(text: &str, choice: AlphabetChoice) -> Result<Alphabet, PduError> {
    match (choice, gsm7::encode(text)) {
        (AlphabetChoice::Ucs2, _) | (AlphabetChoice::Auto, Err(_)) => Ok(Alphabet::Ucs2),
        (AlphabetChoice::Auto | AlphabetChoice::Gsm7, Ok(_)) => Ok(Alphabet::Gsm7),
        (AlphabetChoice::Gsm7, Err(character)) => Err(PduError::Unencodable { character }),
    }
}

fn body(text: &str, alphabet: Alphabet) -> Result<Body, PduError> {
    match alphabet {
        Alphabet::Gsm7 => {
            gsm7::encode(text).map(Body::Septets).map_err(|character| PduError::Unencodable { character })
        }
        Alphabet::Ucs2 | Alphabet::Data8 => {
            Ok(Body::Octets(text.encode_utf16().flat_map(u16::to_be_bytes).collect()))
        }
    }
}

/// Cuts between characters only, so neither kind of pair is ever cut.
fn split(text: &str, alphabet: Alphabet) -> Vec<&str> {
    let cost = |character: char| match alphabet {
        Alphabet::Gsm7 => gsm7::septets_of(character).map_or(1, |(_, septets)| septets),
        Alphabet::Ucs2 | Alphabet::Data8 => character.len_utf16(),
    };
    let (alone, each) =
        if alphabet == Alphabet::Gsm7 { (GSM7_ALONE, GSM7_PART) } else { (UCS2_ALONE, UCS2_PART) };
    if text.chars().map(cost).sum::<usize>() <= alone {
        return vec![text];
    }
    let (mut pieces, mut start, mut used) = (Vec::new(), 0, 0);
    for (index, character) in text.char_indices() {
        if used + cost(character) > each {
            pieces.push(&text[start..index]);
            (start, used) = (index, 0);
        }
        used += cost(character);
    }
    pieces.push(&text[start..]);
    pieces
}
