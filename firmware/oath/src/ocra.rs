//! One-way challenge-response of RFC 6287: the suite, the question, and the bytes that go under the MAC. The response
//! is then what a [`CodeFormat`] makes of the MAC.
//!
//! Supported is what two buttons can enter and a person can read: numeric questions of 4 to 10 digits and responses of
//! 6 to 10, alone or with a counter or a time step. A PIN (`P`) is not: its hash would be a second secret to keep; nor
//! is session information (`S`), which a token without a line to its user's session cannot know; nor letters (`QA`,
//! `QH`), nor an untruncated response (`0` digits).

use core::fmt::{self, Write as _};

use crate::{Algorithm, CodeFormat, Digits, Error, Truncation};

/// What every suite of this version begins with (section 6.1).
const VERSION: &str = "OCRA-1";

/// The longest suite text, `OCRA-1:HOTP-SHA512-10:C-QN10-T59M`, and some room.
const SUITE_MAX: usize = 40;

/// Bytes of the question inside the input (section 5.1).
const QUESTION_BYTES: usize = 128;

/// The number of ten digits has 34 bits.
const NUMBER_BYTES: usize = 5;

static PADDING: [u8; QUESTION_BYTES - NUMBER_BYTES] = [0; QUESTION_BYTES - NUMBER_BYTES];

/// How many digits a question has: 4 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionLen(u8);

impl QuestionLen {
    /// Eight digits, the RFC's own default.
    pub const EIGHT: Self = Self(8);

    /// A length of `n` digits.
    ///
    /// # Errors
    /// [`Error::QuestionOutOfRange`] outside 4 to 10.
    pub const fn new(n: u8) -> Result<Self, Error> {
        match n {
            4..=10 => Ok(Self(n)),
            _ => Err(Error::QuestionOutOfRange),
        }
    }

    /// The number of digits.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number of questions of this length; each number below it is one.
    pub const fn count(self) -> u64 {
        10u64.pow(self.0 as u32)
    }
}

/// A numeric question: what a person types into the token. It is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    number: u64,
    len: QuestionLen,
}

impl Question {
    /// The question of `len` digits that stands for `number`, with leading zeros.
    ///
    /// # Errors
    /// [`Error::QuestionOutOfRange`] unless `number` is below [`QuestionLen::count`].
    pub const fn new(number: u64, len: QuestionLen) -> Result<Self, Error> {
        if number < len.count() { Ok(Self { number, len }) } else { Err(Error::QuestionOutOfRange) }
    }

    /// Reads 4 to 10 ASCII digits.
    ///
    /// # Errors
    /// [`Error::QuestionOutOfRange`] for anything else.
    pub fn parse(ascii: &[u8]) -> Result<Self, Error> {
        let len = QuestionLen::new(u8::try_from(ascii.len()).map_err(|_| Error::QuestionOutOfRange)?)?;
        let number = ascii.iter().try_fold(0, |number, digit| match digit {
            b'0'..=b'9' => Ok(number * 10 + u64::from(digit - b'0')),
            _ => Err(Error::QuestionOutOfRange),
        });
        Self::new(number?, len)
    }

    /// How many digits it has.
    pub const fn len(&self) -> QuestionLen {
        self.len
    }

    /// The number in hexadecimal digits without leading zeros, left-aligned, as section 5.1 has it: 17 is `11`, and 1
    /// is `10`. So a number and its sixteenfold are the same bytes.
    fn left_aligned(&self) -> [u8; NUMBER_BYTES] {
        let used = (u64::BITS - self.number.leading_zeros()).div_ceil(4).max(1);
        let aligned = self.number << (u64::BITS - 4 * used);
        let bytes = aligned.to_be_bytes();
        core::array::from_fn(|at| bytes[at])
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.number, width = usize::from(self.len.0))
    }
}

/// The unit of a time step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 1 to 59 seconds.
    Seconds,
    /// 1 to 59 minutes.
    Minutes,
    /// 1 to 48 hours.
    Hours,
}

/// A time step of a suite, such as `T1M` (section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeStep {
    count: u8,
    unit: Unit,
}

impl TimeStep {
    /// The step's length in seconds: divide the Unix time by it.
    pub const fn seconds(self) -> u32 {
        let unit = match self.unit {
            Unit::Seconds => 1,
            Unit::Minutes => 60,
            Unit::Hours => 3600,
        };
        self.count as u32 * unit
    }

    fn parse(text: &str) -> Option<Self> {
        let (unit, most) = match text.as_bytes().last()? {
            b'S' => (Unit::Seconds, 59),
            b'M' => (Unit::Minutes, 59),
            b'H' => (Unit::Hours, 48),
            _ => return None,
        };
        let count = small_number(text.get(..text.len() - 1)?)?;
        (1..=most).contains(&count).then_some(Self { count, unit })
    }
}

/// What moves beside the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moving {
    /// Nothing: the question alone is fresh.
    Nothing,
    /// `C`: a counter.
    Counter,
    /// `T`: the time.
    Time(TimeStep),
}

/// A suite (section 6): which hash, how many digits, what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// The hash of the HMAC.
    pub algorithm: Algorithm,
    /// Digits of the response.
    pub digits: Digits,
    /// Digits of the question.
    pub question: QuestionLen,
    /// What moves beside it.
    pub moving: Moving,
}

impl Suite {
    /// Reads a suite, in the RFC's spelling only.
    ///
    /// # Errors
    /// [`Error::UnknownSuite`] for a text that is no suite, or one that is not supported.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or(Error::UnknownSuite)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (version, function, input) = (parts.next()?, parts.next()?, parts.next()?);
        if version != VERSION || parts.next().is_some() {
            return None;
        }
        let (hash, digits) = function.strip_prefix("HOTP-")?.split_once('-')?;
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == hash)?;
        let (input, counter) = match input.strip_prefix("C-") {
            Some(rest) => (rest, true),
            None => (input, false),
        };
        let question = input.strip_prefix("QN")?;
        let (len, step) = (question.get(..2)?, question.get(2..)?);
        let moving = match (counter, step) {
            (true, "") => Moving::Counter,
            (false, "") => Moving::Nothing,
            (false, step) => Moving::Time(TimeStep::parse(step.strip_prefix("-T")?)?),
            (true, _) => return None,
        };
        let len = match len.strip_prefix('0') {
            Some(digit) => small_number(digit)?,
            None => small_number(len)?,
        };
        let digits = Digits::new(small_number(digits)?).ok()?;
        Some(Self { algorithm, digits, question: QuestionLen::new(len).ok()?, moving })
    }

    /// The format of the response.
    pub const fn format(&self) -> CodeFormat {
        CodeFormat { digits: self.digits, checksum: false, truncation: Truncation::Dynamic }
    }

    /// The bytes that go under the MAC for `question`, and for the counter or time step `moving` where the suite has
    /// one.
    pub fn input(&self, question: &Question, moving: u64) -> Input {
        let mut text = Text { bytes: [0; SUITE_MAX], len: 0 };
        write!(text, "{self}").expect("the longest suite fits");
        Input {
            suite: text,
            question: question.left_aligned(),
            moving: moving.to_be_bytes(),
            counter: self.moving == Moving::Counter,
            time: matches!(self.moving, Moving::Time(_)),
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}:HOTP-{}-{}:", self.algorithm.name(), self.digits.get())?;
        if self.moving == Moving::Counter {
            f.write_str("C-")?;
        }
        write!(f, "QN{:02}", self.question.0)?;
        match self.moving {
            Moving::Time(TimeStep { count, unit }) => {
                let unit = match unit {
                    Unit::Seconds => 'S',
                    Unit::Minutes => 'M',
                    Unit::Hours => 'H',
                };
                write!(f, "-T{count}{unit}")
            }
            Moving::Nothing | Moving::Counter => Ok(()),
        }
    }
}

/// One or two digits without a leading zero.
fn small_number(text: &str) -> Option<u8> {
    let plain = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if plain { text.parse().ok()? } else { return None };
    (text.len() == 1 || number >= 10).then_some(number)
}

/// `DataInput` of section 5.1, in parts, so that nobody needs room for all of it.
pub struct Input {
    suite: Text,
    question: [u8; NUMBER_BYTES],
    moving: [u8; 8],
    counter: bool,
    time: bool,
}

impl Input {
    /// suite ‖ 0x00 ‖ [counter] ‖ question ‖ its padding ‖ [time]: what the MAC takes one after the other.
    pub fn parts(&self) -> [&[u8]; 6] {
        let moving = |present: bool| if present { &self.moving[..] } else { &[] };
        [
            &self.suite.bytes[..self.suite.len],
            &[0],
            moving(self.counter),
            &self.question,
            &PADDING,
            moving(self.time),
        ]
    }
}

/// A suite's text in its own room.
struct Text {
    bytes: [u8; SUITE_MAX],
    len: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString as _};

    #[test]
    fn a_suite_is_read_back() {
        for text in [
            "OCRA-1:HOTP-SHA1-6:QN08",
            "OCRA-1:HOTP-SHA256-10:QN04",
            "OCRA-1:HOTP-SHA512-8:C-QN10",
            "OCRA-1:HOTP-SHA512-8:QN08-T1M",
            "OCRA-1:HOTP-SHA512-10:QN10-T59S",
            "OCRA-1:HOTP-SHA1-6:QN08-T48H",
        ] {
            assert_eq!(Suite::parse(text).unwrap().to_string(), text);
        }
        let Moving::Time(step) = Suite::parse("OCRA-1:HOTP-SHA1-6:QN08-T2H").unwrap().moving else {
            panic!("a time step")
        };
        assert_eq!(step.seconds(), 7_200);
    }

    /// RFC 6287 section 6: what is no suite, and the suites of appendix C that this crate leaves out.
    #[test]
    fn other_suites_are_refused() {
        for text in [
            "",
            "OCRA-1",
            "OCRA-2:HOTP-SHA1-6:QN08",
            "ocra-1:HOTP-SHA1-6:QN08",
            "OCRA-1:HOTP-SHA1-6:QN08:",
            "OCRA-1:HOTP-SHA1-0:QN08",
            "OCRA-1:HOTP-SHA1-5:QN08",
            "OCRA-1:HOTP-SHA1-06:QN08",
            "OCRA-1:HOTP-SHA1-11:QN08",
            "OCRA-1:HOTP-MD5-6:QN08",
            "OCRA-1:HOTP-SHA1-6:QN8",
            "OCRA-1:HOTP-SHA1-6:QN03",
            "OCRA-1:HOTP-SHA1-6:QN11",
            "OCRA-1:HOTP-SHA1-6:QN008",
            "OCRA-1:HOTP-SHA256-8:QA08",
            "OCRA-1:HOTP-SHA1-6:QH40",
            "OCRA-1:HOTP-SHA256-8:QN08-PSHA1",
            "OCRA-1:HOTP-SHA256-8:C-QN08-PSHA1",
            "OCRA-1:HOTP-SHA1-6:QN08-S064",
            "OCRA-1:HOTP-SHA1-6:C-QN08-T1M",
            "OCRA-1:HOTP-SHA1-6:QN08-T0M",
            "OCRA-1:HOTP-SHA1-6:QN08-T60M",
            "OCRA-1:HOTP-SHA1-6:QN08-T49H",
            "OCRA-1:HOTP-SHA1-6:QN08-T",
            "OCRA-1:HOTP-SHA1-6:QNé",
        ] {
            assert_eq!(Suite::parse(text), Err(Error::UnknownSuite), "{text}");
        }
    }

    #[test]
    fn a_question_is_4_to_10_digits() {
        assert!(Question::parse(&[b'9'; 300]).is_err() && Question::parse(&[b'9'; 255]).is_err());
        for (text, accepted) in [("123", false), ("1234", true), ("0000000000", true), ("12345678901", false)]
        {
            assert_eq!(Question::parse(text.as_bytes()).is_ok(), accepted, "{text}");
        }
        for text in ["12 4", "+123", "12a4", "１２３４"] {
            assert_eq!(Question::parse(text.as_bytes()), Err(Error::QuestionOutOfRange), "{text}");
        }
        assert!(Question::new(9_999, QuestionLen::new(4).unwrap()).is_ok());
        assert!(Question::new(10_000, QuestionLen::new(4).unwrap()).is_err());
    }

    /// Section 5.1: hexadecimal digits without leading zeros, from the left.
    #[test]
    fn a_number_is_left_aligned() {
        for (text, bytes) in [
            ("00000000", [0, 0, 0, 0, 0]),
            ("00000001", [0x10, 0, 0, 0, 0]),
            ("00000017", [0x11, 0, 0, 0, 0]),
            ("11111111", [0xa9, 0x8a, 0xc7, 0, 0]),
            ("9999999999", [0x25, 0x40, 0xbe, 0x3f, 0xf0]),
        ] {
            assert_eq!(Question::parse(text.as_bytes()).unwrap().left_aligned(), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_input_has_its_length(text in "[0-9]{4,10}", counter: bool, moving: u64) {
            let question = Question::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(question.to_string(), &text[..]);
            let moving_kind = if counter { Moving::Counter } else { Moving::Nothing };
            let suite = Suite {
                algorithm: Algorithm::Sha1, digits: Digits::SIX, question: question.len(), moving: moving_kind,
            };
            let input = suite.input(&question, moving);
            let len: usize = input.parts().iter().map(|part| part.len()).sum();
            prop_assert_eq!(len, suite.to_string().len() + 1 + QUESTION_BYTES + if counter { 8 } else { 0 });
        }

        #[test]
        fn no_text_is_read_as_another_suite(text in "OCRA-1:HOTP-SHA(1|256|512)-[0-9]{1,2}:(C-)?QN[0-9]{1,2}(-T[0-9]{1,2}[SMH])?") {
            if let Ok(suite) = Suite::parse(&text) {
                prop_assert_eq!(suite.to_string(), text);
            }
        }

        #[test]
        fn any_text_is_refused_or_read_back(text: String) {
            let read_back = Suite::parse(&text).map(|suite| suite.to_string() == text);
            prop_assert!(read_back != Ok(false));
        }
    }
}
