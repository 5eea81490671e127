//! SMS as octets: encode what we send, decode what modems show. Pure.
//!
//! 3GPP TS 23.040 (TPDUs), TS 23.038 (alphabets), TS 24.011 (service centre address).

mod address;
mod dcs;
pub mod gsm7;
mod national;
mod reader;
mod split;
mod timestamp;
mod tpdu;
mod user_data;

use serde::Serialize;

pub use address::{ADDRESS_DIGITS_MAX, Address, E164_DIGITS_MAX, Number, NumberError};
pub use dcs::{Alphabet, Dcs};
pub use national::Language;
pub use split::{AlphabetChoice, MAX_PARTS, SubmitOptions, Tpdu, submit};
pub use timestamp::{Timestamp, Validity, relative_period};
pub use tpdu::{Deliver, Delivery, StatusReport, Submit, Unit};
pub use user_data::{Body, Concat, Element, USER_DATA_OCTETS_MAX, USER_DATA_SEPTETS_MAX, UserData};

use reader::Reader;

/// Why octets or a text are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PduError {
    /// Not pairs of hex digits.
    #[error("not hexadecimal")]
    Hex,
    /// The octets end inside a field.
    #[error("ends inside the {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// An address longer than 20 semi-octets.
    #[error("address of {semi_octets} semi-octets")]
    AddressLength {
        /// What the length octet says.
        semi_octets: usize,
    },
    /// The reserved message type.
    #[error("reserved message type")]
    MessageType,
    /// More user data than 140 octets hold.
    #[error("user data of {length} units")]
    UserDataLength {
        /// Septets or octets.
        length: usize,
    },
    /// A user data header that does not add up.
    #[error("user data header does not fit")]
    Header,
    /// A character that the GSM 7 bit alphabet lacks.
    #[error("{character:?} is not in the GSM 7 bit alphabet")]
    Unencodable {
        /// The first such character.
        character: char,
    },
    /// More parts than [`MAX_PARTS`].
    #[error("text needs {parts} parts, {limit} are allowed")]
    TooLong {
        /// Parts needed.
        parts: usize,
        /// The limit.
        limit: usize,
    },
}

/// Which TPDU a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// SMS-SUBMIT.
    Submit,
    /// SMS-DELIVER.
    Deliver,
    /// SMS-STATUS-REPORT.
    StatusReport,
}

/// A decoded message, by meaning; serialises as `modem decode` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Which TPDU it was.
    pub kind: Kind,
    /// Destination, originator or recipient; `+` marks an international number.
    pub number: Option<String>,
    /// The text; none for 8 bit data and status reports.
    pub text: Option<String>,
    /// The alphabet; none for status reports.
    pub alphabet: Option<Alphabet>,
    /// Message class 0 to 3.
    pub class: Option<u8>,
    /// Part of a long message.
    pub concat: Option<Concat>,
    /// TP-MR; none for SMS-DELIVER.
    pub message_reference: Option<u8>,
    /// TP-ST of a status report; see [`Delivery::of_status`].
    pub status: Option<u8>,
    /// TP-SCTS in RFC 3339 with the offset that was sent.
    pub timestamp: Option<String>,
    /// Service centre address, where the octets began with one.
    pub smsc: Option<String>,
    /// A status report was asked for (TP-SRR) or will follow (TP-SRI).
    #[serde(skip)]
    pub report: bool,
    /// TP-DT of a status report.
    #[serde(skip)]
    pub discharge: Option<String>,
}

/// Decodes one TPDU, with (`has_smsc`) or without a service centre address before it.
///
/// Octets after the TPDU are ignored, as modems pad.
///
/// # Errors
/// Any shortage or contradiction; there are no octets that panic.
pub fn decode(octets: &[u8], has_smsc: bool) -> Result<Message, PduError> {
    let (smsc, unit) = decode_unit(octets, has_smsc)?;
    Ok(message(smsc.as_ref(), &unit))
}

/// [`decode`] for hex text of either case; white space around it is ignored.
///
/// # Errors
/// `Hex`, and those of [`decode`].
pub fn decode_hex(hex: &str, has_smsc: bool) -> Result<Message, PduError> {
    decode(&octets_of_hex(hex)?, has_smsc)
}

/// Hex text of either case as octets.
///
/// # Errors
/// `Hex`.
pub fn octets_of_hex(hex: &str) -> Result<Vec<u8>, PduError> {
    data_encoding::HEXUPPER_PERMISSIVE.decode(hex.trim().as_bytes()).map_err(|_| PduError::Hex)
}

/// Decodes one TPDU field by field.
///
/// # Errors
/// As [`decode`].
pub fn decode_unit(octets: &[u8], has_smsc: bool) -> Result<(Option<Address>, Unit), PduError> {
    let mut reader = Reader::new(octets);
    let smsc = if has_smsc { address::decode_smsc(&mut reader)? } else { None };
    Ok((smsc, Unit::decode(&mut reader)?))
}

fn message(smsc: Option<&Address>, unit: &Unit) -> Message {
    let smsc = smsc.and_then(Address::text);
    let blank = |kind, number: &Address| Message {
        kind,
        number: number.text(),
        text: None,
        alphabet: None,
        class: None,
        concat: None,
        message_reference: None,
        status: None,
        timestamp: None,
        smsc: smsc.clone(),
        report: false,
        discharge: None,
    };
    let with_content = |blank: Message, dcs: Dcs, data: &UserData| Message {
        text: data.text(dcs),
        alphabet: Some(dcs.alphabet()),
        class: dcs.class(),
        concat: data.concat(),
        ..blank
    };
    match unit {
        Unit::Submit(submit) => Message {
            message_reference: Some(submit.message_reference),
            report: submit.report,
            ..with_content(blank(Kind::Submit, &submit.destination), submit.dcs, &submit.user_data)
        },
        Unit::Deliver(deliver) => Message {
            timestamp: deliver.timestamp.rfc3339(),
            report: deliver.report,
            ..with_content(blank(Kind::Deliver, &deliver.originator), deliver.dcs, &deliver.user_data)
        },
        Unit::StatusReport(report) => Message {
            message_reference: Some(report.message_reference),
            status: Some(report.status),
            timestamp: report.timestamp.rfc3339(),
            discharge: report.discharge.rfc3339(),
            ..blank(Kind::StatusReport, &report.recipient)
        },
    }
}
