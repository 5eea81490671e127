//! User data: header elements, concatenation, text. 3GPP TS 23.040 9.2.3.24.

use serde::Serialize;

use super::dcs::{Alphabet, Dcs};
use super::national::Language;
use super::reader::Reader;
use super::{PduError, gsm7};

/// Octets of TP-UD.
pub const USER_DATA_OCTETS_MAX: usize = 140;
/// Septets of TP-UD.
pub const USER_DATA_SEPTETS_MAX: usize = 160;

const CONCAT_8BIT: u8 = 0x00;
const CONCAT_16BIT: u8 = 0x08;
const SINGLE_SHIFT: u8 = 0x24;
const LOCKING_SHIFT: u8 = 0x25;

/// One information element of a user data header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Information element identifier (9.2.3.24).
    pub id: u8,
    /// Its octets.
    pub data: Vec<u8>,
}

/// Which part of which long message this is (9.2.3.24.1 and 9.2.3.24.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Concat {
    /// The same in all parts; 8 or 16 bits.
    pub reference: u16,
    /// 1 to `parts`.
    pub part: u8,
    /// How many there are.
    pub parts: u8,
}

impl Concat {
    /// The header element with an 8 bit reference.
    pub fn element(reference: u8, part: u8, parts: u8) -> Element {
        Element { id: CONCAT_8BIT, data: vec![reference, parts, part] }
    }

    fn of(element: &Element) -> Option<Self> {
        let (reference, parts, part) = match (element.id, element.data.as_slice()) {
            (CONCAT_8BIT, &[reference, parts, part]) => (u16::from(reference), parts, part),
            (CONCAT_16BIT, &[high, low, parts, part]) => (u16::from_be_bytes([high, low]), parts, part),
            _ => return None,
        };
        (1..=parts).contains(&part).then_some(Self { reference, part, parts })
    }
}

/// The content without its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Unpacked septets, for the GSM 7 bit alphabet.
    Septets(Vec<u8>),
    /// Octets, for 8 bit data and UCS-2.
    Octets(Vec<u8>),
}

/// TP-UDHI, TP-UDL and TP-UD together; never longer than a PDU holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserData {
    header: Vec<Element>,
    body: Body,
}

impl UserData {
    /// Puts header and content together.
    ///
    /// # Errors
    /// `UserDataLength` where they do not fit into 140 octets.
    pub fn new(header: Vec<Element>, body: Body) -> Result<Self, PduError> {
        let this = Self { header, body };
        let (length, limit) = match &this.body {
            Body::Septets(septets) => (this.header_septets() + septets.len(), USER_DATA_SEPTETS_MAX),
            Body::Octets(octets) => (this.header_octets() + octets.len(), USER_DATA_OCTETS_MAX),
        };
        if length > limit { Err(PduError::UserDataLength { length }) } else { Ok(this) }
    }

    /// The content.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The header elements, in order.
    pub fn header(&self) -> &[Element] {
        &self.header
    }

    /// The first usable concatenation element.
    pub fn concat(&self) -> Option<Concat> {
        self.header.iter().find_map(Concat::of)
    }

    /// The text; `None` for 8 bit and compressed data.
    pub fn text(&self, dcs: Dcs) -> Option<String> {
        match (&self.body, dcs.alphabet()) {
            _ if dcs.compressed() => None,
            (Body::Septets(septets), _) => {
                Some(gsm7::decode(septets, self.language(LOCKING_SHIFT), self.language(SINGLE_SHIFT)))
            }
            (Body::Octets(octets), Alphabet::Ucs2) => Some(ucs2_text(octets)),
            (Body::Octets(_), _) => None,
        }
    }

    fn language(&self, id: u8) -> Language {
        let element = self.header.iter().find(|element| element.id == id);
        element.and_then(|e| e.data.first()).map_or(Language::Default, |&n| Language::from_identifier(n))
    }

    /// Octets of the header with its length octet; 0 without a header.
    fn header_octets(&self) -> usize {
        match self.header.iter().map(|element| 2 + element.data.len()).sum() {
            0 => 0,
            elements => 1 + elements,
        }
    }

    fn header_septets(&self) -> usize {
        (self.header_octets() * 8).div_ceil(7)
    }

    /// Is there a header, so that TP-UDHI is set?
    pub(super) fn has_header(&self) -> bool {
        !self.header.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let octet = |n: usize| u8::try_from(n).expect("checked by UserData::new");
        let header = self.header_octets();
        let length = match &self.body {
            Body::Septets(septets) => self.header_septets() + septets.len(),
            Body::Octets(octets) => header + octets.len(),
        };
        out.push(octet(length));
        if header > 0 {
            out.push(octet(header - 1));
        }
        for element in &self.header {
            out.push(element.id);
            out.push(octet(element.data.len()));
            out.extend(&element.data);
        }
        match &self.body {
            Body::Septets(septets) => out.extend(gsm7::pack(septets, self.header_septets() * 7 - header * 8)),
            Body::Octets(octets) => out.extend(octets),
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>, dcs: Dcs, has_header: bool) -> Result<Self, PduError> {
        let length = usize::from(reader.octet("user data length")?);
        let septets = dcs.alphabet() == Alphabet::Gsm7 && !dcs.compressed();
        let octets = if septets { (length * 7).div_ceil(8) } else { length };
        if octets > USER_DATA_OCTETS_MAX {
            return Err(PduError::UserDataLength { length });
        }
        let octets = reader.take(octets, "user data")?;
        let (header, header_octets) = if has_header { decode_header(octets)? } else { (Vec::new(), 0) };
        let rest = &octets[header_octets..];
        if !septets {
            return Self::new(header, Body::Octets(rest.to_vec()));
        }
        let header_septets = (header_octets * 8).div_ceil(7);
        let fill = header_septets * 7 - header_octets * 8;
        let count = length.checked_sub(header_septets).ok_or(PduError::Header)?;
        Self::new(header, Body::Septets(gsm7::unpack(rest, fill, count)))
    }
}

fn decode_header(octets: &[u8]) -> Result<(Vec<Element>, usize), PduError> {
    let mut outer = Reader::new(octets);
    let length = usize::from(outer.octet("user data header").map_err(|_| PduError::Header)?);
    let header = outer.take(length, "user data header").map_err(|_| PduError::Header)?;
    let mut reader = Reader::new(header);
    let mut elements = Vec::new();
    let mut read = 0;
    while read < header.len() {
        let id = reader.octet("element").map_err(|_| PduError::Header)?;
        let count = usize::from(reader.octet("element length").map_err(|_| PduError::Header)?);
        let data = reader.take(count, "element").map_err(|_| PduError::Header)?.to_vec();
        read += 2 + count;
        elements.push(Element { id, data });
    }
    Ok((elements, 1 + length))
}

/// UTF-16BE; a lone surrogate or a lone octet shows U+FFFD.
fn ucs2_text(octets: &[u8]) -> String {
    let units = octets.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0xfffd,
    });
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
