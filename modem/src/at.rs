//! What a modem says: octets become lines, final results and prompts.
//!
//! 3GPP TS 27.007 and ITU-T V.250 (result codes), 3GPP TS 27.005 3.2.5 (message service errors).
//! Modems differ in line ends, echo and spaces; nothing here depends on them.

use std::collections::VecDeque;

/// Octets of one line; the longest answers (a PDU, a list of commands) stay below. Longer is line noise.
pub const MAX_LINE: usize = 4096;

/// What a modem said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `>`: it waits for a PDU.
    Prompt,
    /// `OK`.
    Ok,
    /// An error result.
    Error(AtError),
    /// Anything else: an answer's text, a URC, an echo. Trimmed, never empty.
    Text(String),
}

/// Which namespace an error number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `+CMS ERROR` (TS 27.005 3.2.5).
    Message,
    /// `+CME ERROR` (TS 27.007 9.2).
    Equipment,
    /// `ERROR`, or words without a number.
    Plain,
}

/// An error result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtError {
    /// The namespace of `code`.
    pub origin: Origin,
    /// The number, where one was given.
    pub code: Option<u16>,
    /// The line as it came.
    pub text: String,
}

impl std::fmt::Display for AtError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an error means for whoever wants the message sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The number or the message: trying again is useless.
    Permanent,
    /// The network: later, or through another modem.
    Temporary,
    /// The SIM: missing, locked, broken.
    Sim,
    /// The modem itself, or no reason given.
    Modem,
    /// No room for messages.
    Memory,
}

/// First and last number, and their class. 0 to 127 is TS 24.011 annex E-2, 128 to 255 TS 23.040 9.2.3.22,
/// from 300 TS 27.005 3.2.5.
const MESSAGE_ERRORS: &[(u16, u16, Class)] = &[
    (1, 1, Class::Permanent),
    (8, 10, Class::Permanent),
    (17, 17, Class::Temporary),
    (21, 21, Class::Permanent),
    (22, 22, Class::Memory),
    (27, 27, Class::Temporary),
    (28, 30, Class::Permanent),
    (38, 47, Class::Temporary),
    (50, 111, Class::Permanent),
    (127, 127, Class::Temporary),
    (128, 191, Class::Permanent),
    (192, 197, Class::Temporary),
    (198, 207, Class::Permanent),
    (208, 208, Class::Memory),
    (209, 209, Class::Sim),
    (210, 213, Class::Temporary),
    (300, 303, Class::Modem),
    (304, 305, Class::Permanent),
    (310, 313, Class::Sim),
    (314, 314, Class::Temporary),
    (315, 318, Class::Sim),
    (320, 321, Class::Memory),
    (322, 322, Class::Memory),
    (330, 330, Class::Sim),
    (331, 332, Class::Temporary),
    (340, 340, Class::Modem),
    (500, 500, Class::Modem),
    (515, 515, Class::Temporary),
];

/// TS 27.007 9.2.1 and 9.2.2, as far as sending meets them; 515 is "please wait" on several makes.
const EQUIPMENT_ERRORS: &[(u16, u16, Class)] = &[
    (5, 7, Class::Sim),
    (10, 13, Class::Sim),
    (14, 14, Class::Temporary),
    (15, 18, Class::Sim),
    (20, 23, Class::Memory),
    (24, 27, Class::Permanent),
    (30, 32, Class::Temporary),
    (515, 515, Class::Temporary),
];

const SIM_BUSY_EQUIPMENT: u16 = 14;
const SIM_BUSY_MESSAGE: u16 = 314;
const PLEASE_WAIT: u16 = 515;

impl AtError {
    /// The class of the number; an error without one is the modem's.
    pub fn class(&self) -> Class {
        let table = match self.origin {
            Origin::Message => MESSAGE_ERRORS,
            Origin::Equipment => EQUIPMENT_ERRORS,
            Origin::Plain => &[],
        };
        let code = self.code.unwrap_or_default();
        let row = table.iter().find(|(first, last, _)| (*first..=*last).contains(&code));
        row.map_or(Class::Modem, |&(_, _, class)| class)
    }

    /// The modem asks for a moment: SIM busy, or "please wait".
    pub fn is_busy(&self) -> bool {
        matches!(
            (self.origin, self.code),
            (Origin::Equipment, Some(SIM_BUSY_EQUIPMENT | PLEASE_WAIT))
                | (Origin::Message, Some(SIM_BUSY_MESSAGE | PLEASE_WAIT))
        )
    }

    fn parse(line: &str) -> Option<Self> {
        let upper = line.to_ascii_uppercase();
        let error = |origin, detail: &str| {
            let detail = detail.trim();
            let code = detail.parse().ok().or_else(|| code_of_words(origin, detail));
            Some(Self { origin, code, text: line.to_owned() })
        };
        if let Some(detail) = upper.strip_prefix("+CMS ERROR:") {
            return error(Origin::Message, detail);
        }
        if let Some(detail) = upper.strip_prefix("+CME ERROR:") {
            return error(Origin::Equipment, detail);
        }
        let plain = ["ERROR", "COMMAND NOT SUPPORT", "COMMAND NOT SUPPORTED", "TOO MANY PARAMETERS"];
        if plain.contains(&upper.as_str()) { error(Origin::Plain, "") } else { None }
    }
}

/// The verbose forms (`AT+CMEE=2`) whose class matters.
fn code_of_words(origin: Origin, words: &str) -> Option<u16> {
    let table: &[(&str, u16)] = match origin {
        Origin::Message => &[
            ("SIM NOT INSERTED", 310),
            ("SIM PIN REQUIRED", 311),
            ("SIM FAILURE", 313),
            ("SIM BUSY", 314),
            ("SIM WRONG", 315),
            ("SIM PUK REQUIRED", 316),
            ("MEMORY FULL", 322),
            ("SMSC ADDRESS UNKNOWN", 330),
            ("NO NETWORK SERVICE", 331),
            ("NETWORK TIMEOUT", 332),
        ],
        Origin::Equipment => &[
            ("SIM NOT INSERTED", 10),
            ("SIM PIN REQUIRED", 11),
            ("SIM PUK REQUIRED", 12),
            ("SIM FAILURE", 13),
            ("SIM BUSY", 14),
            ("SIM WRONG", 15),
            ("INCORRECT PASSWORD", 16),
            ("NO NETWORK SERVICE", 30),
            ("NETWORK TIMEOUT", 31),
        ],
        Origin::Plain => &[],
    };
    table.iter().find(|(known, _)| *known == words).map(|&(_, code)| code)
}

/// Collects octets and gives lines. The order of calls: [`Lines::push`], then [`Lines::take`] until `None`.
#[derive(Debug, Default)]
pub struct Lines {
    pending: VecDeque<u8>,
    line: Vec<u8>,
    /// Octets since the last text, to tell how a prompt was dressed.
    blank: Vec<u8>,
    prompt: Option<String>,
    after_prompt: bool,
}

impl Lines {
    /// Takes octets as they arrived, in any portions.
    pub fn push(&mut self, octets: &[u8]) {
        self.pending.extend(octets);
    }

    /// The next line. With `expect_prompt`, a line that begins with `>` is a prompt, ended or not.
    pub fn take(&mut self, expect_prompt: bool) -> Option<Line> {
        while let Some(octet) = self.pending.pop_front() {
            match octet {
                b'\r' | b'\n' => {
                    let text = std::mem::take(&mut self.line);
                    let line = String::from_utf8_lossy(&text);
                    let line = line.trim_matches(|c: char| c.is_whitespace() || c.is_control()).to_owned();
                    if let Some(line) = classify(line) {
                        self.after_prompt = false;
                        self.blank = vec![octet];
                        return Some(line);
                    }
                    self.see_blank(octet);
                }
                b' ' if self.line.is_empty() => self.see_blank(octet),
                b'>' if expect_prompt && self.line.is_empty() => {
                    let before = String::from_utf8_lossy(&self.blank).into_owned();
                    self.prompt = Some(before + ">");
                    self.after_prompt = true;
                    self.blank.clear();
                    return Some(Line::Prompt);
                }
                // NUL and the DEL-like noise of a port that changes its speed.
                0x00 | 0xff => {}
                _ if self.line.len() >= MAX_LINE => {}
                _ => self.line.push(octet),
            }
        }
        None
    }

    /// The last prompt with the blanks around it, such as `"\r\n> "`; `None` before the first.
    pub fn prompt(&self) -> Option<&str> {
        self.prompt.as_deref()
    }

    /// Forgets what was read but not taken, and any half line.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.line.clear();
        self.blank.clear();
        self.after_prompt = false;
    }

    fn see_blank(&mut self, octet: u8) {
        const PROMPT_BLANKS_MAX: usize = 2;
        if !self.after_prompt {
            self.blank.push(octet);
            let excess = self.blank.len().saturating_sub(PROMPT_BLANKS_MAX);
            self.blank.drain(..excess);
        } else if let Some(prompt) = &mut self.prompt {
            prompt.push(char::from(octet));
            self.after_prompt = !prompt.ends_with('\n') && !prompt.ends_with(' ');
        }
    }
}

fn classify(line: String) -> Option<Line> {
    if line.is_empty() {
        return None;
    }
    if line.eq_ignore_ascii_case("OK") {
        return Some(Line::Ok);
    }
    Some(AtError::parse(&line).map_or(Line::Text(line), Line::Error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(octets: &[u8], expect_prompt: bool) -> Vec<Line> {
        let mut lines = Lines::default();
        lines.push(octets);
        std::iter::from_fn(|| lines.take(expect_prompt)).collect()
    }

    fn text(line: &str) -> Line {
        Line::Text(line.to_owned())
    }

    #[test]
    fn line_ends_of_every_make() {
        assert_eq!(all(b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n", false), [text("+CSQ: 20,99"), Line::Ok]);
        assert_eq!(all(b"\r\r\nRING\r\r\nOK\n", false), [text("RING"), Line::Ok]);
        assert_eq!(all(b"AT\rOK\r", false), [text("AT"), Line::Ok]);
        assert_eq!(all(b"\r\n +CPIN: READY\r\n", false), [text("+CPIN: READY")]);
        assert_eq!(all(b"\0\0\xff\r\nOK\r\n", false), [Line::Ok]);
    }

    #[test]
    fn prompts_of_every_make() {
        for (octets, shape) in [
            (&b"\r\n> "[..], "\r\n> "),
            (b">", ">"),
            (b"> ", "> "),
            (b"\r\n>", "\r\n>"),
            (b"\r\n>\r\n", "\r\n>\r\n"),
            (b"AT+CMGS=20\r\r\n> ", "\r\n> "),
        ] {
            let mut lines = Lines::default();
            lines.push(octets);
            let seen: Vec<Line> = std::iter::from_fn(|| lines.take(true)).collect();
            assert_eq!(seen.last(), Some(&Line::Prompt), "{octets:?}");
            assert_eq!(lines.prompt(), Some(shape), "{octets:?}");
        }
        assert_eq!(all(b"\r\n> ", false), [], "no command asked for a prompt");
    }

    #[test]
    fn errors_by_class() {
        for (line, code, class) in [
            ("+CMS ERROR: 1", Some(1), Class::Permanent),
            ("+CMS ERROR: 28", Some(28), Class::Permanent),
            ("+CMS ERROR: 38", Some(38), Class::Temporary),
            ("+CMS ERROR: 304", Some(304), Class::Permanent),
            ("+CMS ERROR: 310", Some(310), Class::Sim),
            ("+CMS ERROR: 322", Some(322), Class::Memory),
            ("+CMS ERROR: 331", Some(331), Class::Temporary),
            ("+CMS ERROR: no network service", Some(331), Class::Temporary),
            ("+CMS ERROR: 500", Some(500), Class::Modem),
            ("+CMS ERROR: 515", Some(515), Class::Temporary),
            ("+CMS ERROR: Unknown error", None, Class::Modem),
            ("+CME ERROR: SIM not inserted", Some(10), Class::Sim),
            ("+CME ERROR: 14", Some(14), Class::Temporary),
            ("+CME ERROR: 3517", Some(3517), Class::Modem),
            ("COMMAND NOT SUPPORT", None, Class::Modem),
            ("ERROR", None, Class::Modem),
        ] {
            let error = AtError::parse(line).expect(line);
            assert_eq!((error.code, error.class()), (code, class), "{line}");
        }
    }

    proptest! {
        #[test]
        fn portions_do_not_matter(octets in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let cut = cut.min(octets.len());
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for portion in [&octets[..cut], &octets[cut..]] {
                lines.push(portion);
                seen.extend(std::iter::from_fn(|| lines.take(true)));
            }
            prop_assert_eq!(seen, all(&octets, true));
        }

        #[test]
        fn noise_is_bounded(octets in prop::collection::vec(any::<u8>(), 0..9000)) {
            for line in all(&octets, false) {
                if let Line::Text(text) = line {
                    prop_assert!(text.len() <= 3 * MAX_LINE);
                }
            }
        }
    }
}
