//! What a modem says unasked: status reports, registration, restarts, and noise.
//!
//! 3GPP TS 27.005 3.4.1 (+CDS, +CDSI, +CMT, +CMTI), TS 27.007 7.2 and 10.1.20, 10.1.22 (registration).

use crate::pdu::{self, Message, PduError};

/// Text kept of a line that nobody asked for.
const NOISE_MAX: usize = 120;

/// An unsolicited result code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Urc {
    /// `+CDS`: what became of a message, with the octets as hex.
    StatusReport(Result<Box<Message>, PduError>, String),
    /// `+CDSI`: a status report lies in a memory.
    StatusReportStored {
        /// `SM`, `SR`, `MT` ...
        memory: String,
        /// Where in it.
        index: u16,
    },
    /// `+CMT`: a message for us.
    Message(Result<Box<Message>, PduError>, String),
    /// `+CMTI`: a message for us lies in a memory.
    MessageStored {
        /// `SM`, `ME` ...
        memory: String,
        /// Where in it.
        index: u16,
    },
    /// `+CREG`, `+CGREG`, `+CEREG` changed.
    Registration {
        /// Which of the three.
        domain: Domain,
        /// `<stat>`.
        stat: u8,
    },
    /// The modem began anew: settings are lost, open it again.
    Restarted(String),
    /// `+CMGS` after its message was given up as unknown: it did go out.
    LateSent {
        /// TP-MR.
        reference: u8,
    },
    /// Anything else, shortened.
    Other(String),
}

/// A registration domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// `+CREG`.
    Circuit,
    /// `+CGREG`.
    Packet,
    /// `+CEREG`.
    Eps,
}

/// The three commands that tell about registration.
pub(crate) const DOMAINS: [(&str, Domain); 3] =
    [("+CREG:", Domain::Circuit), ("+CGREG:", Domain::Packet), ("+CEREG:", Domain::Eps)];

/// Lines that say the modem began anew.
const RESTARTS: &[&str] = &["RDY", "^SYSSTART", "*ATREADY", "+READY", "POWERED DOWN", "^SHUTDOWN"];

/// A URC that takes two lines; the first has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    StatusReport,
    Message,
}

impl Opened {
    /// Does this line announce a PDU on the next one?
    pub(crate) fn by(line: &str) -> Option<Self> {
        if line.starts_with("+CDS:") {
            Some(Self::StatusReport)
        } else if line.starts_with("+CMT:") {
            Some(Self::Message)
        } else {
            None
        }
    }

    /// The URC with its second line; `None` where that line is not hex, so it belongs to something else.
    pub(crate) fn close(self, line: &str) -> Option<Urc> {
        pdu::octets_of_hex(line).ok()?;
        let message = pdu::decode_hex(line, true).map(Box::new);
        Some(match self {
            Self::StatusReport => Urc::StatusReport(message, line.to_owned()),
            Self::Message => Urc::Message(message, line.to_owned()),
        })
    }
}

/// Reads a one-line URC.
pub(crate) fn parse(line: &str) -> Urc {
    if let Some((memory, index)) = line.strip_prefix("+CDSI:").and_then(stored) {
        return Urc::StatusReportStored { memory, index };
    }
    if let Some((memory, index)) = line.strip_prefix("+CMTI:").and_then(stored) {
        return Urc::MessageStored { memory, index };
    }
    if RESTARTS.iter().any(|restart| line.starts_with(restart)) {
        return Urc::Restarted(shorten(line));
    }
    for (prefix, domain) in DOMAINS {
        let fields = line.strip_prefix(prefix).map(|rest| rest.split(',').next().unwrap_or(""));
        if let Some(stat) = fields.and_then(|first| first.trim().parse().ok()) {
            return Urc::Registration { domain, stat };
        }
    }
    Urc::Other(shorten(line))
}

fn stored(rest: &str) -> Option<(String, u16)> {
    let (memory, index) = rest.rsplit_once(',')?;
    Some((memory.trim().trim_matches('"').to_owned(), index.trim().parse().ok()?))
}

fn shorten(line: &str) -> String {
    line.chars().take(NOISE_MAX).collect()
}

/// The answer to `AT+CREG?` and its kin: `<n>,<stat>`, with or without more; `None` for the shape of a URC.
pub(crate) fn registration_answer(line: &str, prefix: &str) -> Option<u8> {
    const STAT_DIGITS_MAX: usize = 2;
    let mut fields = line.strip_prefix(prefix)?.split(',').map(str::trim);
    let _mode: u8 = fields.next()?.parse().ok()?;
    fields.next().filter(|stat| stat.len() <= STAT_DIGITS_MAX)?.parse().ok()
}

/// May a modem with this `<stat>` send SMS? Home, roaming, "SMS only" and CSFB values (TS 27.007 10.1.22).
pub fn may_send(stat: u8) -> bool {
    matches!(stat, 1 | 5 | 6 | 7 | 9 | 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_seen_in_the_field() {
        for (line, stat) in [
            ("+CREG: 2,1,4CA,81DE445", Some(1)),
            ("+CREG: 2,1,\"0B,\"0100701\",7", Some(1)),
            ("+CREG: 0,11", Some(11)),
            ("+CREG: 1,\"605F\",\"0100\"", None),
            ("+CREG: 5", None),
        ] {
            assert_eq!(registration_answer(line, "+CREG:"), stat, "{line}");
        }
        assert_eq!(parse("+CDSI: \"SR\",52"), Urc::StatusReportStored { memory: "SR".to_owned(), index: 52 });
        assert_eq!(parse("+CEREG: 5"), Urc::Registration { domain: Domain::Eps, stat: 5 });
        assert!(matches!(parse("RDY"), Urc::Restarted(_)));
        assert!(matches!(parse("^RSSI:19"), Urc::Other(_)));
    }
}
