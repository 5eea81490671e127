//! The first dialogue with a modem, step by step. Pure: an answer in, the next step out.
//!
//! 3GPP TS 27.007 (identity, PIN, functionality, registration), TS 27.005 3 (message service).
//! `AT+CSMP` is left alone: it has no meaning in PDU mode, and some modems lose their SMSC over it.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::at::AtError;
use crate::info::{Family, Info, Registration};
use crate::pdu::Number;
use crate::urc::{DOMAINS, registration_answer};

/// A modem that has just been plugged in takes a moment.
const WAKE_TRIES: u8 = 4;
const WAKE_DEADLINE: Duration = Duration::from_secs(1);
/// After ESC, so that what was half said is over.
const FLUSH: Duration = Duration::from_millis(100);
/// After several `AT`, so that late answers are not taken for later ones.
const SETTLE: Duration = Duration::from_millis(300);
const COMMAND_DEADLINE: Duration = Duration::from_secs(5);
const PIN_DEADLINE: Duration = Duration::from_secs(30);
const FUNCTION_DEADLINE: Duration = Duration::from_secs(20);
/// Below this, a wrong PIN could lock the SIM for other uses of it.
pub const PIN_ATTEMPTS_MIN: u8 = 3;
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=8;

/// Ways to ask how often the PIN may be tried: command, prefix of the answer, field with the number.
const ATTEMPTS: &[(&str, &str, usize)] = &[
    ("AT+CPINR", "+CPINR: SIM PIN,", 0),
    ("AT^CPIN?", "^CPIN:", 3),
    ("AT+SPIC", "+SPIC:", 0),
    ("AT+QPINC=\"SC\"", "+QPINC: \"SC\",", 0),
    ("AT#PCT", "#PCT:", 0),
];

const ICCID: &[&str] = &["AT+CCID", "AT+ICCID", "AT^ICCID?", "AT+QCCID", "AT+CICCID"];
const REGISTRATION_REPORTS: &[&str] = &["AT+CREG=2", "AT+CGREG=2", "AT+CEREG=2"];
const REGISTRATION_READS: &[&str] = &["AT+CREG?", "AT+CGREG?", "AT+CEREG?"];

/// What the first dialogue needs to know.
#[derive(Default)]
pub struct Config {
    /// The SIM's PIN, 4 to 8 digits; without one, a SIM that asks is an error.
    pub sim_pin: Option<Zeroizing<String>>,
    /// The SIM latch is armed: the PIN must not be tried.
    pub latched: bool,
    /// Service centre address to set; without one, the SIM's own stays.
    pub smsc: Option<Number>,
}

/// Why a modem is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// Nothing came back.
    #[error("no modem answers")]
    Silent,
    /// Something came back, but no `OK` to `AT`.
    #[error("what answers does not speak AT")]
    NotAModem,
    /// It stopped answering.
    #[error("no answer to {0}")]
    Timeout(String),
    /// A command it cannot do without was refused.
    #[error("{command} was refused: {error}")]
    Refused {
        /// The command.
        command: String,
        /// Its answer.
        error: String,
    },
    /// No SIM.
    #[error("no SIM inserted")]
    NoSim,
    /// The SIM asks for a PIN and none is configured.
    #[error("the SIM asks for its PIN")]
    PinMissing,
    /// The configured PIN cannot be one.
    #[error("a SIM PIN has 4 to 8 digits")]
    PinMalformed,
    /// The latch is armed.
    #[error("the SIM PIN was tried before without success")]
    PinLatched,
    /// Too few attempts are left.
    #[error("the SIM allows only {0} more attempts at its PIN")]
    PinAttempts(u8),
    /// The SIM refused the PIN.
    #[error("the SIM refused its PIN: {0}")]
    PinRefused(String),
    /// The SIM asks for its PUK or something else that is not ours to give.
    #[error("the SIM asks for {0}")]
    SimLocked(String),
    /// The latch could not be written, so the PIN was not tried.
    #[error("the SIM latch could not be written")]
    Latch,
}

/// One step. Its order is the order of [`Init::after`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Flush,
    Wake(u8),
    Settle,
    EchoOff,
    NumericErrors,
    Manufacturer,
    Model,
    Imei,
    Pin,
    Attempts(usize),
    EnterPin,
    Function,
    FunctionOn,
    Calm,
    RegistrationReports(usize),
    Format,
    Service,
    NotifyTest,
    Notify(usize),
    Smsc,
    Iccid(usize),
    Registration(usize),
}

/// An answer: the lines that are not URCs, and how it ended.
pub(crate) struct Reply {
    pub(crate) lines: Vec<String>,
    pub(crate) result: Result<(), AtError>,
}

/// What follows a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Step(Step),
    Ready,
    Failed(InitError),
}

/// The first dialogue's memory.
pub(crate) struct Init {
    config: Config,
    pub(crate) info: Info,
    pin_tried: bool,
    notify: Vec<(u8, String)>,
}

impl Init {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, info: Info::default(), pin_tried: false, notify: Vec::new() }
    }

    /// The command of a step; `None` where a step only waits.
    pub(crate) fn command(&self, step: Step) -> Option<Zeroizing<String>> {
        let text = match step {
            Step::Flush | Step::Settle => return None,
            Step::Wake(_) => "AT".to_owned(),
            Step::EchoOff => "ATE0".to_owned(),
            Step::NumericErrors => "AT+CMEE=1".to_owned(),
            Step::Manufacturer => "AT+CGMI".to_owned(),
            Step::Model => "AT+CGMM".to_owned(),
            Step::Imei => "AT+CGSN".to_owned(),
            Step::Pin => "AT+CPIN?".to_owned(),
            Step::Attempts(way) => ATTEMPTS[way].0.to_owned(),
            Step::EnterPin => {
                let pin = self.config.sim_pin.as_ref().map_or("", |pin| pin.as_str());
                return Some(Zeroizing::new(format!("AT+CPIN=\"{pin}\"")));
            }
            Step::Function => "AT+CFUN?".to_owned(),
            Step::FunctionOn => "AT+CFUN=1".to_owned(),
            Step::Calm => self.info.profile.calm().unwrap_or("AT").to_owned(),
            Step::RegistrationReports(domain) => REGISTRATION_REPORTS[domain].to_owned(),
            Step::Format => "AT+CMGF=0".to_owned(),
            Step::Service => "AT+CSMS=0".to_owned(),
            Step::NotifyTest => "AT+CNMI=?".to_owned(),
            Step::Notify(choice) => self.notify[choice].1.clone(),
            Step::Smsc => match &self.config.smsc {
                Some(smsc) => format!("AT+CSCA=\"{smsc}\",{}", smsc.type_of_address()),
                None => "AT".to_owned(),
            },
            Step::Iccid(way) => ICCID[way].to_owned(),
            Step::Registration(domain) => REGISTRATION_READS[domain].to_owned(),
        };
        Some(Zeroizing::new(text))
    }

    pub(crate) fn deadline(step: Step) -> Duration {
        match step {
            Step::Flush => FLUSH,
            Step::Settle => SETTLE,
            Step::Wake(_) => WAKE_DEADLINE,
            Step::EnterPin => PIN_DEADLINE,
            Step::FunctionOn => FUNCTION_DEADLINE,
            _ => COMMAND_DEADLINE,
        }
    }

    /// Is this line part of the answer to the step? URCs come between command and answer.
    pub(crate) fn claims(step: Step, line: &str) -> bool {
        match step {
            Step::Pin => line.starts_with("+CPIN:"),
            Step::Attempts(way) => {
                let prefix = ATTEMPTS[way].1;
                line.starts_with(prefix.split(':').next().unwrap_or(prefix))
            }
            Step::Function => line.starts_with("+CFUN:"),
            Step::Service => line.starts_with("+CSMS:"),
            Step::NotifyTest => line.starts_with("+CNMI:"),
            Step::Registration(domain) => registration_answer(line, DOMAINS[domain].0).is_some(),
            Step::Manufacturer => plain(line, "+CGMI:").is_some(),
            Step::Model => plain(line, "+CGMM:").is_some(),
            Step::Imei => digits_of(line, 14..=17).is_some(),
            Step::Iccid(_) => digits_of(line, 18..=20).is_some(),
            _ => false,
        }
    }

    /// No answer within the deadline.
    pub(crate) fn after_silence(&self, step: Step, heard: bool) -> Next {
        match step {
            Step::Flush => Next::Step(Step::Wake(0)),
            Step::Settle => Next::Step(Step::EchoOff),
            Step::Wake(tries) if tries + 1 < WAKE_TRIES => Next::Step(Step::Wake(tries + 1)),
            Step::Wake(_) if heard => Next::Failed(InitError::NotAModem),
            Step::Wake(_) => Next::Failed(InitError::Silent),
            Step::EnterPin => Next::Failed(InitError::Timeout("AT+CPIN=".to_owned())),
            _ => Next::Failed(InitError::Timeout(
                self.command(step).map_or_else(String::new, |c| c.to_string()),
            )),
        }
    }

    /// Takes the answer of a step and names the next one.
    pub(crate) fn after(&mut self, step: Step, reply: &Reply) -> Next {
        let line = reply.lines.first().map(String::as_str);
        match step {
            Step::Flush => return Next::Step(Step::Wake(0)),
            Step::Wake(tries) => {
                return match reply.result {
                    Ok(()) if tries == 0 => Next::Step(Step::EchoOff),
                    Ok(()) => Next::Step(Step::Settle),
                    Err(_) => self.after_silence(step, true),
                };
            }
            Step::Pin => return self.after_pin(line, &reply.result),
            Step::Attempts(way) => return self.after_attempts(way, &reply.lines),
            Step::EnterPin => return self.after_enter_pin(&reply.result),
            Step::Manufacturer => {
                self.info.manufacturer = line.and_then(|line| plain(line, "+CGMI:"));
                self.info.profile =
                    self.info.manufacturer.as_deref().map_or(Family::Generic, Family::of_manufacturer);
            }
            Step::Model => self.info.model = line.and_then(|line| plain(line, "+CGMM:")),
            Step::Imei => self.info.imei = line.and_then(|line| digits_of(line, 14..=17)),
            Step::Function if reply.result.is_ok() && line.is_some_and(is_off) => {
                return Next::Step(Step::FunctionOn);
            }
            Step::Format => {
                if let Err(error) = &reply.result {
                    let command = "AT+CMGF=0".to_owned();
                    return Next::Failed(InitError::Refused { command, error: error.text.clone() });
                }
            }
            Step::NotifyTest => self.notify = notify_choices(line),
            Step::Notify(choice) => {
                if reply.result.is_ok() {
                    self.info.cnmi_ds = Some(self.notify[choice].0);
                } else if choice + 1 < self.notify.len() {
                    return Next::Step(Step::Notify(choice + 1));
                }
            }
            Step::Smsc => {
                if let (Some(smsc), Err(error)) = (&self.config.smsc, &reply.result) {
                    let command = format!("AT+CSCA for {smsc}");
                    return Next::Failed(InitError::Refused { command, error: error.text.clone() });
                }
            }
            Step::Iccid(way) => {
                self.info.iccid = line.and_then(|line| digits_of(line, 18..=20));
                if self.info.iccid.is_none() && way + 1 < ICCID.len() {
                    return Next::Step(Step::Iccid(way + 1));
                }
            }
            Step::Registration(domain) => {
                let stat =
                    line.and_then(|line| registration_answer(line, DOMAINS[domain].0)).map(Registration);
                self.info.registration = match self.info.registration {
                    Some(known) => Some(known.better(stat)),
                    None => stat,
                };
            }
            _ => {}
        }
        self.following(step)
    }

    /// The order of steps that do not depend on an answer.
    fn following(&self, step: Step) -> Next {
        Next::Step(match step {
            Step::Flush => Step::Wake(0),
            Step::Wake(_) | Step::Settle => Step::EchoOff,
            Step::EchoOff => Step::NumericErrors,
            Step::NumericErrors => Step::Manufacturer,
            Step::Manufacturer => Step::Model,
            Step::Model => Step::Imei,
            Step::Imei | Step::EnterPin => Step::Pin,
            Step::Attempts(_) => Step::EnterPin,
            Step::Pin => Step::Function,
            Step::Function | Step::FunctionOn => match self.info.profile.calm() {
                Some(_) => Step::Calm,
                None => Step::RegistrationReports(0),
            },
            Step::Calm => Step::RegistrationReports(0),
            Step::RegistrationReports(domain) if domain + 1 < DOMAINS.len() => {
                Step::RegistrationReports(domain + 1)
            }
            Step::RegistrationReports(_) => Step::Format,
            Step::Format => Step::Service,
            Step::Service => Step::NotifyTest,
            Step::NotifyTest => Step::Notify(0),
            Step::Notify(_) if self.config.smsc.is_some() => Step::Smsc,
            Step::Notify(_) | Step::Smsc => Step::Iccid(0),
            Step::Iccid(_) => Step::Registration(0),
            Step::Registration(domain) if domain + 1 < DOMAINS.len() => Step::Registration(domain + 1),
            Step::Registration(_) => return Next::Ready,
        })
    }

    fn after_pin(&self, line: Option<&str>, result: &Result<(), AtError>) -> Next {
        const NO_SIM: [Option<u16>; 2] = [Some(10), Some(310)];
        let state = line.and_then(|line| line.strip_prefix("+CPIN:"));
        let state = state.map(|state| state.trim().trim_matches('"').to_ascii_uppercase());
        match (state.as_deref(), result) {
            (Some("READY"), _) => self.following(Step::Pin),
            (Some("SIM PIN"), _) => self.before_attempts(),
            (Some(other), _) => Next::Failed(InitError::SimLocked(other.to_owned())),
            (None, Err(error)) if NO_SIM.contains(&error.code) => Next::Failed(InitError::NoSim),
            (None, Err(error)) => {
                let command = "AT+CPIN?".to_owned();
                Next::Failed(InitError::Refused { command, error: error.text.clone() })
            }
            (None, Ok(())) => self.following(Step::Pin),
        }
    }

    fn before_attempts(&self) -> Next {
        if self.pin_tried {
            return Next::Failed(InitError::PinRefused("the SIM asks for it again".to_owned()));
        }
        let Some(pin) = &self.config.sim_pin else { return Next::Failed(InitError::PinMissing) };
        if !PIN_DIGITS.contains(&pin.len()) || !pin.bytes().all(|digit| digit.is_ascii_digit()) {
            return Next::Failed(InitError::PinMalformed);
        }
        if self.config.latched { Next::Failed(InitError::PinLatched) } else { Next::Step(Step::Attempts(0)) }
    }

    /// Where no way tells the number, the latch alone bounds the tries to one.
    fn after_attempts(&mut self, way: usize, lines: &[String]) -> Next {
        let (_, prefix, field) = ATTEMPTS[way];
        let attempts = lines
            .iter()
            .find_map(|line| line.strip_prefix(prefix)?.split(',').nth(field)?.trim().parse::<u8>().ok());
        match attempts {
            Some(left) if left < PIN_ATTEMPTS_MIN => Next::Failed(InitError::PinAttempts(left)),
            None if way + 1 < ATTEMPTS.len() => Next::Step(Step::Attempts(way + 1)),
            Some(_) | None => {
                self.pin_tried = true;
                Next::Step(Step::EnterPin)
            }
        }
    }

    fn after_enter_pin(&mut self, result: &Result<(), AtError>) -> Next {
        // The only use of the PIN is over.
        self.config.sim_pin = None;
        match result {
            Ok(()) => self.following(Step::EnterPin),
            Err(error) => Next::Failed(InitError::PinRefused(error.text.clone())),
        }
    }
}

/// An identity line: not another modem's URC.
fn plain(line: &str, prefix: &str) -> Option<String> {
    let text = line.strip_prefix(prefix).unwrap_or(line).trim().trim_matches('"');
    let urc = text.starts_with(['+', '^', '*', '%', '#', '$']);
    (!urc && !text.is_empty()).then(|| text.to_owned())
}

fn digits_of(line: &str, length: std::ops::RangeInclusive<usize>) -> Option<String> {
    let value = line.rsplit([':', ' ']).next()?.trim_matches('"').trim_end_matches(['F', 'f']);
    (length.contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())).then(|| value.to_owned())
}

fn is_off(line: &str) -> bool {
    line.strip_prefix("+CFUN:").is_some_and(|value| matches!(value.trim().split(',').next(), Some("0" | "4")))
}

/// `AT+CNMI` commands to try, best first, from what `AT+CNMI=?` lists: `<ds>` 1, else 2, else 0.
///
/// Some list a value and refuse it, so later choices stay even when the first is listed.
fn notify_choices(line: Option<&str>) -> Vec<(u8, String)> {
    let lists = line.map(groups).unwrap_or_default();
    let offers = |group: usize, value: u8| lists.get(group).is_none_or(|values| values.contains(&value));
    let mode = if offers(0, 2) { 2 } else { 1 };
    let buffer = u8::from(!offers(4, 0));
    let command = |ds: u8| (ds, format!("AT+CNMI={mode},0,0,{ds},{buffer}"));
    [1, 2, 0].into_iter().filter(|&ds| ds == 0 || offers(3, ds)).map(command).collect()
}

/// `+CNMI: (0,1,2),(0-3),(0)` as lists of values.
fn groups(line: &str) -> Vec<Vec<u8>> {
    let inside = line.split('(').skip(1).filter_map(|rest| rest.split_once(')')).map(|(inside, _)| inside);
    inside
        .map(|inside| {
            let ranges = inside.split(',').filter_map(|item| {
                let (first, last) = item.split_once('-').unwrap_or((item, item));
                Some(first.trim().parse::<u8>().ok()?..=last.trim().parse::<u8>().ok()?)
            });
            ranges.flatten().collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notification_by_what_is_listed() {
        for (line, commands) in [
            (Some("+CNMI: (0,1,2),(0-3),(0,2),(0,1,2),(0,1)"), vec!["2,0,0,1,0", "2,0,0,2,0", "2,0,0,0,0"]),
            (Some("+CNMI: (0-3),(0-3),(0,2),(0,1),(0,1)"), vec!["2,0,0,1,0", "2,0,0,0,0"]),
            (Some("+CNMI: (0,1,2),(0,1),(0,2),(0),(1)"), vec!["2,0,0,0,1"]),
            (Some("+CNMI: (0,1),(0,1),(0,2),(0,2),(0)"), vec!["1,0,0,2,0", "1,0,0,0,0"]),
            (None, vec!["2,0,0,1,0", "2,0,0,2,0", "2,0,0,0,0"]),
        ] {
            let got: Vec<String> = notify_choices(line).into_iter().map(|(_, command)| command).collect();
            let expected: Vec<String> = commands.iter().map(|c| format!("AT+CNMI={c}")).collect();
            assert_eq!(got, expected, "{line:?}");
        }
    }
}
