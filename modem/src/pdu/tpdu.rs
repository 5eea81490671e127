//! The three TPDUs an SMS gateway meets, field by field, encoded and decoded.
//!
//! 3GPP TS 23.040 9.2.2.1 (SMS-DELIVER), 9.2.2.2 (SMS-SUBMIT), 9.2.2.3 (SMS-STATUS-REPORT).

use super::PduError;
use super::address::Address;
use super::dcs::Dcs;
use super::reader::Reader;
use super::timestamp::{Timestamp, Validity};
use super::user_data::UserData;

const MTI: u8 = 0x03;
const DELIVER: u8 = 0x00;
const SUBMIT: u8 = 0x01;
const STATUS_REPORT: u8 = 0x02;
/// TP-RD in SUBMIT, TP-MMS (inverted) in DELIVER and STATUS-REPORT.
const BIT_2: u8 = 0x04;
const VPF: u8 = 0x18;
const VPF_RELATIVE: u8 = 0x10;
const VPF_ENHANCED: u8 = 0x08;
/// TP-SRR in SUBMIT, TP-SRI in DELIVER, TP-SRQ in STATUS-REPORT.
const BIT_5: u8 = 0x20;
const UDHI: u8 = 0x40;
const REPLY_PATH: u8 = 0x80;

/// SMS-SUBMIT: from us to the service centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// TP-RD.
    pub reject_duplicates: bool,
    /// TP-SRR: a status report is wanted.
    pub report: bool,
    /// TP-RP.
    pub reply_path: bool,
    /// TP-MR; a modem puts its own number there.
    pub message_reference: u8,
    /// TP-DA.
    pub destination: Address,
    /// TP-PID.
    pub protocol: u8,
    /// TP-DCS.
    pub dcs: Dcs,
    /// TP-VPF and TP-VP.
    pub validity: Validity,
    /// TP-UDHI, TP-UDL, TP-UD.
    pub user_data: UserData,
}

impl Submit {
    /// The octets, without a service centre address.
    pub fn encode(&self) -> Vec<u8> {
        let vpf = match self.validity {
            Validity::Unset => 0,
            Validity::Relative(_) => VPF_RELATIVE,
            Validity::Enhanced(_) => VPF_ENHANCED,
            Validity::Absolute(_) => VPF,
        };
        let first = SUBMIT
            | flag(self.reject_duplicates, BIT_2)
            | vpf
            | flag(self.report, BIT_5)
            | flag(self.user_data.has_header(), UDHI)
            | flag(self.reply_path, REPLY_PATH);
        let mut out = vec![first, self.message_reference];
        self.destination.encode(&mut out);
        out.extend([self.protocol, self.dcs.0]);
        match self.validity {
            Validity::Unset => {}
            Validity::Relative(octet) => out.push(octet),
            Validity::Absolute(until) => out.extend(until.0),
            Validity::Enhanced(octets) => out.extend(octets),
        }
        self.user_data.encode(&mut out);
        out
    }

    fn decode(first: u8, reader: &mut Reader<'_>) -> Result<Self, PduError> {
        let message_reference = reader.octet("message reference")?;
        let destination = Address::decode(reader)?;
        let protocol = reader.octet("protocol identifier")?;
        let dcs = Dcs(reader.octet("data coding scheme")?);
        let validity = match first & VPF {
            0 => Validity::Unset,
            VPF_RELATIVE => Validity::Relative(reader.octet("validity period")?),
            VPF_ENHANCED => Validity::Enhanced(reader.array("validity period")?),
            _ => Validity::Absolute(Timestamp(reader.array("validity period")?)),
        };
        let user_data = UserData::decode(reader, dcs, first & UDHI != 0)?;
        Ok(Self {
            reject_duplicates: first & BIT_2 != 0,
            report: first & BIT_5 != 0,
            reply_path: first & REPLY_PATH != 0,
            message_reference,
            destination,
            protocol,
            dcs,
            validity,
            user_data,
        })
    }
}

/// SMS-DELIVER: from the service centre to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliver {
    /// TP-MMS, inverted on the wire: more messages wait.
    pub more_to_send: bool,
    /// TP-SRI.
    pub report: bool,
    /// TP-RP.
    pub reply_path: bool,
    /// TP-OA.
    pub originator: Address,
    /// TP-PID.
    pub protocol: u8,
    /// TP-DCS.
    pub dcs: Dcs,
    /// TP-SCTS.
    pub timestamp: Timestamp,
    /// TP-UDHI, TP-UDL, TP-UD.
    pub user_data: UserData,
}

impl Deliver {
    /// The octets, without a service centre address.
    pub fn encode(&self) -> Vec<u8> {
        let first = DELIVER
            | flag(!self.more_to_send, BIT_2)
            | flag(self.report, BIT_5)
            | flag(self.user_data.has_header(), UDHI)
            | flag(self.reply_path, REPLY_PATH);
        let mut out = vec![first];
        self.originator.encode(&mut out);
        out.extend([self.protocol, self.dcs.0]);
        out.extend(self.timestamp.0);
        self.user_data.encode(&mut out);
        out
    }

    fn decode(first: u8, reader: &mut Reader<'_>) -> Result<Self, PduError> {
        let originator = Address::decode(reader)?;
        let protocol = reader.octet("protocol identifier")?;
        let dcs = Dcs(reader.octet("data coding scheme")?);
        let timestamp = Timestamp(reader.array("timestamp")?);
        let user_data = UserData::decode(reader, dcs, first & UDHI != 0)?;
        Ok(Self {
            more_to_send: first & BIT_2 == 0,
            report: first & BIT_5 != 0,
            reply_path: first & REPLY_PATH != 0,
            originator,
            protocol,
            dcs,
            timestamp,
            user_data,
        })
    }
}

/// SMS-STATUS-REPORT: what became of a message of ours. Optional parameters after TP-ST are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// TP-MR of the message.
    pub message_reference: u8,
    /// TP-RA.
    pub recipient: Address,
    /// TP-SCTS: when the service centre got the message.
    pub timestamp: Timestamp,
    /// TP-DT: when `status` came to be.
    pub discharge: Timestamp,
    /// TP-ST.
    pub status: u8,
}

impl StatusReport {
    /// The octets, without a service centre address.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![STATUS_REPORT | BIT_2, self.message_reference];
        self.recipient.encode(&mut out);
        out.extend(self.timestamp.0);
        out.extend(self.discharge.0);
        out.push(self.status);
        out
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, PduError> {
        Ok(Self {
            message_reference: reader.octet("message reference")?,
            recipient: Address::decode(reader)?,
            timestamp: Timestamp(reader.array("timestamp")?),
            discharge: Timestamp(reader.array("discharge time")?),
            status: reader.octet("status")?,
        })
    }

    /// What TP-ST means.
    pub fn delivery(&self) -> Delivery {
        Delivery::of_status(self.status)
    }
}

/// TP-ST in four words (TS 23.040 9.2.3.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// 0x00 to 0x1f: transaction completed.
    Delivered,
    /// 0x20 to 0x3f: the service centre still tries.
    Pending,
    /// 0x40 to 0x5f: permanent error, no more attempts.
    Refused,
    /// 0x60 to 0x7f: temporary error, no more attempts; reserved values count as this too.
    GivenUp,
}

impl Delivery {
    /// Reads TP-ST.
    pub fn of_status(status: u8) -> Self {
        match status {
            0x00..=0x1f => Self::Delivered,
            0x20..=0x3f => Self::Pending,
            0x40..=0x5f => Self::Refused,
            _ => Self::GivenUp,
        }
    }
}

/// Any TPDU that we read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// MTI 01.
    Submit(Submit),
    /// MTI 00.
    Deliver(Deliver),
    /// MTI 10; SMS-COMMAND has the same number in the other direction and is not for us.
    StatusReport(StatusReport),
}

impl Unit {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, PduError> {
        let first = reader.octet("first octet")?;
        match first & MTI {
            DELIVER => Deliver::decode(first, reader).map(Self::Deliver),
            SUBMIT => Submit::decode(first, reader).map(Self::Submit),
            STATUS_REPORT => StatusReport::decode(reader).map(Self::StatusReport),
            _ => Err(PduError::MessageType),
        }
    }

    /// The octets, without a service centre address.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Submit(submit) => submit.encode(),
            Self::Deliver(deliver) => deliver.encode(),
            Self::StatusReport(report) => report.encode(),
        }
    }
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}
