//! The emulated modem without its port: octets and time in, outputs out.
//!
//! 3GPP TS 27.005 and TS 27.007, as far as gammu, smstools, ModemManager and our own dialogue ask.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::persona::Persona;
use super::script::{Effect, PROMPT, Script};
use super::sim::Sim;
use crate::pdu::{self, Message, StatusReport, Submit, Timestamp, Unit};

const ESC: u8 = 0x1b;
const CTRL_Z: u8 = 0x1a;
/// A command line or a PDU; longer input is dropped.
const INPUT_MAX: usize = 4096;

/// What the modem does next.
#[derive(Debug)]
pub(super) enum Output {
    /// Say this.
    Say(Vec<u8>),
    /// A message went out; it is on record before the next `Say`.
    Take(Box<Taken>),
    /// The device goes away and comes back after this time.
    Unplug(Duration),
}

/// A message that the emulated network took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) tpdu: String,
    pub(super) message: Message,
    pub(super) reference: u8,
}

enum Mode {
    Command,
    Pdu { length: usize, effect: Option<Effect> },
}

/// How an answer ends.
pub(super) enum End {
    Ok,
    Error(String),
    Prompt(usize),
}

/// Settings that commands change and a restart undoes.
pub(super) struct Registers {
    pub(super) echo: bool,
    pub(super) numeric_errors: u8,
    pub(super) calm: bool,
    pub(super) function: u8,
    pub(super) notify: String,
    pub(super) registration_mode: [u8; 3],
    pub(super) charset: String,
}

impl Default for Registers {
    fn default() -> Self {
        Self {
            echo: true,
            numeric_errors: 0,
            calm: false,
            function: 1,
            notify: "0,0,0,0,0".to_owned(),
            registration_mode: [0; 3],
            charset: "GSM".to_owned(),
        }
    }
}

/// The modem.
pub(super) struct Machine {
    pub(super) persona: &'static Persona,
    pub(super) registers: Registers,
    pub(super) sim: Sim,
    pub(super) smsc: String,
    script: Script,
    mode: Mode,
    input: Vec<u8>,
    outputs: VecDeque<(Instant, Output)>,
    hung_until: Option<Option<Instant>>,
    next_reference: u8,
    report_delay: Duration,
    now_text: fn() -> String,
}

impl Machine {
    pub(super) fn new(
        persona: &'static Persona,
        script: Script,
        sim: Sim,
        report_delay: Duration,
        now_text: fn() -> String,
    ) -> Self {
        Self {
            persona,
            registers: Registers::default(),
            sim,
            smsc: "+41794999000".to_owned(),
            script,
            mode: Mode::Command,
            input: Vec::new(),
            outputs: VecDeque::new(),
            hung_until: None,
            next_reference: 1,
            report_delay,
            now_text,
        }
    }

    /// The device was plugged in again: settings are lost, the SIM is locked, boot messages come.
    pub(super) fn restart(&mut self, now: Instant) {
        self.registers = Registers::default();
        self.sim.lock();
        self.mode = Mode::Command;
        self.input.clear();
        self.outputs.clear();
        self.hung_until = None;
        for line in self.persona.boot {
            self.say_at(now, format!("\r\n{line}\r\n").into_bytes());
        }
    }

    /// The next output that is due.
    pub(super) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        let index = (0..self.outputs.len()).min_by_key(|&index| self.outputs[index].0)?;
        if self.outputs[index].0 > now {
            return None;
        }
        self.outputs.remove(index).map(|(_, output)| output)
    }

    /// When the next output is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.outputs.iter().map(|(at, _)| *at).min()
    }

    /// Takes octets from the client.
    pub(super) fn handle_bytes(&mut self, now: Instant, octets: &[u8]) {
        if self.hung_until.is_some_and(|until| until.is_none_or(|until| now < until)) {
            return;
        }
        self.hung_until = None;
        for &octet in octets {
            if self.registers.echo {
                self.say_at(now, vec![octet]);
            }
            match (&self.mode, octet) {
                (Mode::Command, b'\r') => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.input)).trim().to_owned();
                    self.handle_command_line(now, &line);
                }
                (Mode::Pdu { .. }, CTRL_Z) => self.handle_pdu(now),
                (_, ESC) => {
                    self.input.clear();
                    if matches!(std::mem::replace(&mut self.mode, Mode::Command), Mode::Pdu { .. }) {
                        self.say_at(now, b"\r\nOK\r\n".to_vec());
                    }
                }
                (Mode::Command, b'\n') => {}
                _ if self.input.len() >= INPUT_MAX => {}
                _ => self.input.push(octet),
            }
        }
    }

    /// V.250 5.2.1: commands joined by semicolons; the first error ends the line.
    fn handle_command_line(&mut self, now: Instant, line: &str) {
        let Some(commands) = line.get(..2).filter(|at| at.eq_ignore_ascii_case("AT")).map(|_| &line[2..])
        else {
            return;
        };
        let mut lines: Vec<String> = Vec::new();
        let mut effect = None;
        let mut end = End::Ok;
        for command in commands.split(';') {
            let (said, ended) = self.respond(command.trim());
            effect = self.script.meet(&format!("AT{}", command.trim().to_ascii_uppercase())).or(effect);
            lines.extend(said);
            end = ended;
            if !matches!(end, End::Ok) {
                break;
            }
        }
        if let End::Prompt(length) = end {
            self.mode = Mode::Pdu { length, effect };
            let prompt = self.persona.prompt.as_bytes().to_vec();
            let effect = self.script.meet(PROMPT);
            return self.say_with(now, effect, prompt);
        }
        if matches!(effect, Some(Effect::Error(_))) {
            lines.clear();
        }
        let mut answer = self.noise();
        answer.extend(lines.iter().flat_map(|line| format!("\r\n{line}\r\n").into_bytes()));
        let last = if let End::Error(error) = end { error } else { "OK".to_owned() };
        answer.extend(format!("\r\n{last}\r\n").into_bytes());
        self.say_with(now, effect, answer);
    }

    fn handle_pdu(&mut self, now: Instant) {
        let Mode::Pdu { length, effect } = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        let hex = String::from_utf8_lossy(&std::mem::take(&mut self.input)).trim().to_owned();
        let done = !matches!(effect, Some(Effect::Hang(_) | Effect::Error(_) | Effect::Unplug(_)));
        let Some((submit, taken)) = self.submit_of(&hex, length) else {
            return self.say_with(now, effect, b"\r\n+CMS ERROR: 304\r\n".to_vec());
        };
        let reference = taken.reference;
        if done {
            self.next_reference = self.next_reference.wrapping_add(1);
            self.outputs.push_back((now, Output::Take(Box::new(taken))));
            if submit.report {
                self.report(now + self.report_delay, &submit, reference);
            }
        }
        let mut answer = self.noise();
        answer.extend(format!("\r\n+CMGS: {reference}\r\n\r\nOK\r\n").into_bytes());
        self.say_with(now, effect, answer);
    }

    fn submit_of(&self, hex: &str, length: usize) -> Option<(Submit, Taken)> {
        let octets = pdu::octets_of_hex(hex).ok()?;
        let tpdu = octets.get(1 + usize::from(*octets.first()?)..)?;
        let (_, Unit::Submit(submit)) = pdu::decode_unit(&octets, true).ok()? else { return None };
        let message = pdu::decode(&octets, true).ok()?;
        let tpdu_hex = data_encoding::HEXUPPER.encode(tpdu);
        let taken = Taken { tpdu: tpdu_hex, message, reference: self.next_reference };
        (tpdu.len() == length).then_some((submit, taken))
    }

    /// A status report, as `<ds>` of `AT+CNMI` says.
    fn report(&mut self, at: Instant, submit: &Submit, reference: u8) {
        let time = Timestamp::from_utc(&(self.now_text)()).unwrap_or(Timestamp([0; 7]));
        let report = StatusReport {
            message_reference: reference,
            recipient: submit.destination.clone(),
            timestamp: time,
            discharge: time,
            status: 0,
        };
        let octets = report.encode();
        let said = match self.registers.notify.split(',').nth(3) {
            Some("1") => {
                format!("\r\n+CDS: {}\r\n00{}\r\n", octets.len(), data_encoding::HEXUPPER.encode(&octets))
            }
            Some("2") => format!("\r\n+CDSI: \"{}\",{reference}\r\n", self.persona.report_memory),
            _ => return,
        };
        self.say_at(at, said.into_bytes());
    }

    fn noise(&self) -> Vec<u8> {
        let noise = if self.registers.calm { &[] } else { self.persona.noise };
        noise.iter().flat_map(|line| format!("\r\n{line}\r\n").into_bytes()).collect()
    }

    fn say_with(&mut self, now: Instant, effect: Option<Effect>, answer: Vec<u8>) {
        match effect {
            None => self.say_at(now, answer),
            Some(Effect::Hang(period)) => self.hung_until = Some(period.map(|period| now + period)),
            Some(Effect::Error(error)) => self.say_at(now, format!("\r\n{error}\r\n").into_bytes()),
            Some(Effect::Before(mut before)) => {
                before.extend(answer);
                self.say_at(now, before);
            }
            Some(Effect::Split(pause)) => {
                let mut at = now;
                for octet in answer {
                    self.say_at(at, vec![octet]);
                    at += pause;
                }
            }
            Some(Effect::Unplug(period)) => self.outputs.push_back((now, Output::Unplug(period))),
            Some(Effect::Late(period)) => self.say_at(now + period, answer),
            Some(Effect::Drop) => {}
        }
    }

    fn say_at(&mut self, at: Instant, octets: Vec<u8>) {
        self.outputs.push_back((at, Output::Say(octets)));
    }
}
